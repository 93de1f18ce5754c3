"""The page of `before_after.py`: HTML, style and script in one file, because it is opened from disk and moved about."""

from string import Template

from tfvae.commands.pages.theme import head

PAGE = Template(
    head("script-src 'unsafe-inline'")
    + """h1 { margin: 0; font-size: 1.5rem; font-weight: 650; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 1.05rem; font-weight: 600; overflow-wrap: anywhere; }
header p { margin: 0.25rem 0 0; color: var(--soft); }
nav { margin-top: 1rem; }
summary { min-height: 2.75rem; padding: 0.6rem 0; color: var(--soft); cursor: pointer; }
nav ol { margin: 0; padding: 0 0 0 2.5rem; columns: 16rem; color: var(--soft); }
nav li { padding: 0.2rem 0; break-inside: avoid; overflow-wrap: anywhere; }
a { color: var(--accent); text-underline-offset: 0.2em; }
article { margin-top: 2rem; scroll-margin-top: 1rem; content-visibility: auto; contain-intrinsic-size: auto 40rem; }
.bar {
  display: flex; gap: 1rem; align-items: end; justify-content: space-between; min-height: 2.5rem; margin-bottom: 0.6rem;
}
/* As wide as it can be without the slider below leaving the screen. */
.compare { --at: 50%; width: min(100%, max(18rem, 72vh * var(--ratio))); margin: 0 auto; }
.frame {
  position: relative; width: 100%; aspect-ratio: var(--ratio); overflow: hidden; border-radius: 10px;
  background: var(--line); cursor: ew-resize; touch-action: pan-y; user-select: none; -webkit-user-select: none;
}
.frame img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: fill; pointer-events: none; }
.small img { image-rendering: pixelated; }
.before { clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.uncertainty { visibility: hidden; }
.unsure .uncertainty { visibility: visible; }
.unsure .after { visibility: hidden; }
.line {
  position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 0 1px #0006; pointer-events: none;
}
.tag {
  position: absolute; top: 0.6rem; padding: 0.1rem 0.55rem; border-radius: 6px; background: #000a; color: #fff;
  font-size: 0.8rem; white-space: nowrap; pointer-events: none;
}
.tag.left { left: 0.6rem; } .tag.right { right: 0.6rem; }
.at-start .left, .at-end .right { visibility: hidden; }
input[type=range]:focus-visible { outline-offset: -5px; border-radius: 10px; }
input[type=range] {
  display: block; width: 100%; height: 2.75rem; margin: 0; accent-color: var(--accent); cursor: pointer;
}
button {
  min-height: 2.5rem; padding: 0.4rem 0.9rem; border: 1px solid var(--line); border-radius: 10px;
  background: var(--surface); color: inherit; font: inherit; font-size: 0.9rem; cursor: pointer;
}
button:hover { border-color: var(--accent); }
button[aria-pressed=true] { border-color: var(--accent); background: var(--accent); color: var(--on-accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
footer {
  display: flex; flex-wrap: wrap; gap: 0.25rem 2rem; justify-content: space-between; color: var(--soft);
  font-size: 0.9rem;
}
dl { display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; margin: 0; }
dl div { display: flex; gap: 0.4rem; }
dd { margin: 0; color: var(--ink); font-variant-numeric: tabular-nums; }
.links { display: flex; gap: 1rem; }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$count. Drag across a picture, or move its slider with the arrow keys: $left on the left, $right on the right.</p>
<nav aria-label="Pictures"$many><details><summary>List of pictures</summary><ol id="list"></ol></details></nav>
</header>
<main>
$figures
</main>
<noscript><p>Without JavaScript the slider stands still; the links below each picture lead to the files.</p></noscript>
<script>
"use strict";
for (const article of document.querySelectorAll("article")) {
  const compare = article.querySelector(".compare");
  const frame = article.querySelector(".frame");
  const slider = article.querySelector("input");
  const unsure = article.querySelector("button");
  const right = article.querySelector(".right");

  const show = () => {
    compare.style.setProperty("--at", slider.value + "%");
    compare.classList.toggle("at-start", slider.value < 12);
    compare.classList.toggle("at-end", slider.value > 88);
    slider.setAttribute("aria-valuetext", Math.round(slider.value) + "% $left, then " + right.textContent);
  };
  const follow = (event) => {
    const box = frame.getBoundingClientRect();
    slider.value = 100 * (event.clientX - box.left) / box.width;
    show();
  };
  slider.addEventListener("input", show);
  frame.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    frame.setPointerCapture(event.pointerId);
    follow(event);
  });
  frame.addEventListener("pointermove", (event) => {
    if (frame.hasPointerCapture(event.pointerId)) follow(event);
  });
  unsure.addEventListener("click", () => {
    const on = compare.classList.toggle("unsure");
    unsure.setAttribute("aria-pressed", on);
    right.textContent = on ? "uncertainty (bright: unsure)" : "$right";
    show();
  });
  show();

  const entry = document.createElement("li");
  const link = document.createElement("a");
  link.href = "#" + article.id;
  link.textContent = article.querySelector("h2").textContent;
  entry.append(link);
  document.getElementById("list").append(entry);
}
</script>
</body>
</html>
"""
)

FIGURE = Template("""<article id="picture-$number" aria-labelledby="name-$number">
<div class="compare$small" style="--ratio: $width / $height">
<div class="bar">
<h2 id="name-$number">$name</h2>
<button type="button" aria-pressed="false"$unsure>Uncertainty</button>
</div>
<div class="frame">
<img class="after" src="$after" alt="$right: $name" width="$width" height="$height" loading="lazy" decoding="async">
$uncertainty
<img class="before" src="$before" alt="$left: $name" width="$width" height="$height" loading="lazy" decoding="async">
<span class="line"></span><span class="tag left" aria-hidden="true">$left</span>
<span class="tag right" aria-hidden="true">$right</span>
</div>
<input type="range" min="0" max="100" step="0.5" value="50" aria-label="How much of $name is shown as it was before">
<footer><dl>$figures</dl><span class="links"><span>Files:</span> $links</span></footer>
</div>
</article>""")
