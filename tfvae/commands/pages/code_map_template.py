"""The page of `code_map.py`: HTML, style and script in one file, because it is opened from disk."""

from string import Template

from tfvae.commands.pages.theme import head

PAGE = Template(
    head("script-src 'unsafe-inline'")
    + """h1 { margin: 0; font-size: 1.5rem; font-weight: 650; letter-spacing: -0.01em; overflow-wrap: anywhere; }
p { margin: 0.25rem 0 0; color: var(--soft); }
.bar { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; margin: 1rem 0 0.5rem; }
input { font: inherit; padding: 0.4rem 0.6rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--surface); color: var(--ink); min-width: 14rem; }
button { font: inherit; padding: 0.4rem 0.8rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--surface); color: var(--ink); cursor: pointer; }
canvas { display: block; width: 100%; aspect-ratio: 4 / 3; border: 1px solid var(--line); border-radius: 10px;
  background: var(--surface); touch-action: none; cursor: grab; }
#told { min-height: 1.5rem; overflow-wrap: anywhere; color: var(--ink); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$about</p>
</header>
<main>
<div class="bar">
<label>Show <input id="find" type="search" placeholder="names or labels that hold …"></label>
<button id="in" type="button" aria-label="nearer">+</button>
<button id="out" type="button" aria-label="farther">−</button>
<button id="whole" type="button">Whole map</button>
</div>
<canvas id="map" tabindex="0" aria-label="Map of the codes: drag to move, scroll, + or − to come nearer"></canvas>
<p id="told" role="status"></p>
</main>
<script type="application/json" id="data">$data</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("map"), told = document.getElementById("told");
const sprite = new Image();
sprite.src = "data:image/png;base64,$sprite";
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const view = { x: 0, y: 0, zoom: 1 };
let shown = data.places.map(() => true), under = -1;

const size = () => {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
};
const scale = () => 0.46 * Math.min(canvas.width, canvas.height) * view.zoom;
const placed = ([x, y]) => [canvas.width / 2 + (x - view.x) * scale(), canvas.height / 2 - (y - view.y) * scale()];
const side = () => data.side * (window.devicePixelRatio || 1) * Math.min(1.5, 0.35 + 0.3 * Math.log2(1 + view.zoom));

const draw = () => {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = false;
  const one = (index, wide) => {
    const [x, y] = placed(data.places[index]);
    if (x < -wide || y < -wide || x > canvas.width + wide || y > canvas.height + wide) return;
    const left = (index % data.across) * data.side, top = Math.floor(index / data.across) * data.side;
    pen.drawImage(sprite, left, top, data.side, data.side, x - wide / 2, y - wide / 2, wide, wide);
  };
  shown.forEach((on, index) => { if (on) one(index, side()); });
  if (under < 0) return;
  const wide = 2 * data.side * (window.devicePixelRatio || 1), [x, y] = placed(data.places[under]);
  one(under, wide);
  pen.strokeStyle = ink("--accent");
  pen.lineWidth = 3;
  pen.strokeRect(x - wide / 2, y - wide / 2, wide, wide);
};
const at = (event) => {
  const box = canvas.getBoundingClientRect();
  const ratio = canvas.width / box.width;
  return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
};
const look = (event) => {
  const [x, y] = at(event);
  let best = side();
  under = -1;
  data.places.forEach((place, index) => {
    const [px, py] = placed(place), far = Math.hypot(px - x, py - y);
    if (shown[index] && far < best) { best = far; under = index; }
  });
  told.textContent = under < 0 ? "" : [data.names[under], data.labels[under]].filter(Boolean).join(" · ");
  draw();
};
const nearer = (factor) => { view.zoom = Math.min(200, Math.max(0.5, view.zoom * factor)); draw(); };
const move = (x, y) => { view.x += x / scale(); view.y += y / scale(); draw(); };

let held = null;
canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); held = at(event); });
canvas.addEventListener("pointerup", () => { held = null; });
canvas.addEventListener("pointermove", (event) => {
  if (!held) return look(event);
  const now = at(event);
  move(held[0] - now[0], now[1] - held[1]);
  held = now;
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  nearer(Math.exp(-event.deltaY / 500));
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const step = canvas.width / 10;
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
  if (moves[event.key]) { event.preventDefault(); move(...moves[event.key]); }
  if (event.key === "+" || event.key === "-") nearer(event.key === "+" ? 1.4 : 1 / 1.4);
});
document.getElementById("in").addEventListener("click", () => nearer(1.4));
document.getElementById("out").addEventListener("click", () => nearer(1 / 1.4));
document.getElementById("whole").addEventListener("click", () => {
  Object.assign(view, { x: 0, y: 0, zoom: 1 });
  draw();
});
document.getElementById("find").addEventListener("input", (event) => {
  const word = event.target.value.toLowerCase();
  shown = data.names.map((name, index) => (name + " " + data.labels[index]).toLowerCase().includes(word));
  told.textContent = word ? shown.filter(Boolean).length + " of " + shown.length : "";
  under = -1;
  draw();
});
window.addEventListener("resize", () => { size(); draw(); });
sprite.addEventListener("load", () => { size(); draw(); canvas.dataset.ready = "yes"; });
</script>
</body>
</html>
"""
)
