"""The page of `dreams_page.py`: HTML and style in one file and no script, because it is opened from disk."""

from string import Template

from tfvae.commands.pages.theme import head

PAGE = Template(
    head()
    + """h1 { margin: 0; font-size: 1.5rem; font-weight: 650; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 1.25rem; font-weight: 600; letter-spacing: -0.01em; }
h3 { margin: 1.25rem 0 0.4rem; font-size: 0.9rem; font-weight: 600; overflow-wrap: anywhere; }
p { margin: 0.25rem 0 0; max-width: 44rem; color: var(--soft); }
code { overflow-wrap: anywhere; font: 0.85rem ui-monospace, monospace; }
a { color: var(--accent); text-underline-offset: 0.2em; }
nav ul { display: flex; flex-wrap: wrap; gap: 0 1.25rem; margin: 0.75rem 0 0; padding: 0; list-style: none; }
nav a { display: inline-block; padding: 0.55rem 0; }
section { margin-top: 3rem; scroll-margin-top: 1rem; }
figure { display: flex; flex-direction: column; min-width: 0; margin: 0; }
img { display: block; width: 100%; height: auto; border-radius: 4px; background: var(--line); }
.small img { image-rendering: pixelated; border-radius: 2px; }
figcaption {
  margin-top: 0.15rem; color: var(--soft); font-size: 0.75rem; line-height: 1.3; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums;
}
/* A picture of few pixels is seen at the width of a thumb; a photograph needs more, and its row is moved sideways. */
.row { --least: 7rem; display: grid; gap: 0.4rem; padding: 3px; margin: 0 -3px; overflow-x: auto; }
.small { --least: 2.4rem; gap: 0.3rem; }
.sheet { grid-template-columns: repeat(auto-fill, minmax(var(--least), 1fr)); }
.sheet.small { grid-template-columns: repeat(auto-fill, minmax(4rem, 1fr)); }
.strip, .near { grid-template-columns: repeat(var(--count), minmax(var(--least), 1fr)); }
.strip.small, .near.small { grid-template-columns: repeat(var(--count), minmax(var(--least), 6rem)); }
.near figure:first-child img { outline: 2px solid var(--accent); outline-offset: 1px; }
.sum { grid-template-columns: repeat(4, minmax(var(--least), 9rem)); gap: 1.6rem; }
.sign {
  position: absolute; right: 100%; width: 1.6rem; top: 0; bottom: 0; display: grid;
  place-items: center; color: var(--soft); font-size: 1.1rem;
}
.picture { position: relative; }
.map { grid-template-columns: minmax(34rem, 1fr); }
.map img { border: 1px solid var(--line); border-radius: 10px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); }
@media (max-width: 30rem) {
  .strip.small, .near.small { gap: 2px; }
  .sum { gap: 1.1rem; }
  .sign { width: 1.1rem; }
}
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$about</p>
<nav aria-label="Sections"><ul>$contents</ul></nav>
</header>
<main>
$sections
</main>
<footer><p>Made by <code>$command</code></p>$missing</footer>
</body>
</html>
"""
)

SECTION = Template("""<section id="$name" aria-labelledby="$name-title">
<h2 id="$name-title">$title</h2>
<p>$text</p>
$rows
</section>""")

# A row that is wider than the screen is moved with the arrow keys, and so has to take the focus.
ROW = Template("""<h3>$title</h3>
<div class="row $kind" style="--count: $count"$focus>
$cells
</div>""")

CELL = Template("""<figure><div class="picture">$sign<img src="$address" alt="$alt" width="$width" height="$height"
 loading="lazy" decoding="async"></div>$caption</figure>""")
