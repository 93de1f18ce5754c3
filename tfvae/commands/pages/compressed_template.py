"""The HTML of the page of compressed pictures."""

from string import Template

from tfvae.commands.pages.theme import head

PAGE = Template(
    head()
    + """
figure { margin: 2rem 0; padding: 1rem; background: var(--surface); border: 1px solid var(--line); }
figcaption { font-weight: 600; overflow-wrap: anywhere; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem; margin: 1rem 0; }
.row a { color: var(--soft); text-decoration: none; }
.row img { display: block; width: 100%; height: auto; background: var(--line); }
.small img { image-rendering: pixelated; }
table { border-collapse: collapse; }
th, td { padding: 0.2rem 1.2rem 0.2rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
p { color: var(--soft); }
</style>
</head>
<body>
<h1>$title</h1>
<p>Differences are shown eight times as large, around grey. The other formats are what Pillow writes at about the same
PSNR (JPEG 4:2:0 with optimised tables, WebP method 6, AVIF speed 4).</p>
$figures
</body>
</html>
"""
)

FIGURE = Template(
    """<figure class="$small">
<figcaption>$name</figcaption>
<div class="row">
$pictures
</div>
<table>
<tr><th>file</th><th>bytes</th><th>bits/pixel</th><th>PSNR, dB</th></tr>
$rows
</table>
</figure>"""
)
