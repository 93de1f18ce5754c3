// The plane of the two main directions of the codes: every place in it decodes.

import { Plane } from "./code.js";
import { paint } from "./pictures.js";

const THUMBNAIL = 34; // CSS pixels
const TILE = 36; // of the decoded plane, likewise
const STEPS = 40; // of the arrow keys, from edge to edge
const COLOURS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#d4b106", "#b279a2", "#ff8fa0", "#9d755d", "#8b8f98"];

export class Map2D {
  constructor(data, sheet, code, network) {
    Object.assign(this, { data, sheet, code, network });
    this.plane = new Plane(data.map);
    this.canvas = document.getElementById("map");
    this.shows = document.getElementById("ground");
    // A code of one picture's size belongs to no place of the map of a spatial latent.
    if (code.spatial) this.shows.querySelector("[value=decoded]").remove();
    this.bounds();
    this.describe();
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pressed = true;
      this.point(event);
    });
    canvas.addEventListener("pointermove", (event) => this.pressed && this.point(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.pressed = false));
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.shows.addEventListener("change", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(canvas);
    code.listeners.push(() => this.draw());
  }

  /** One scale for both axes, so that distances mean the same in every direction. */
  bounds() {
    const sides = [0, 1].map((axis) => this.data.map.points.map((point) => point[axis]));
    const ends = sides.map((values) => [Math.min(...values), Math.max(...values)]);
    this.middle = ends.map(([low, high]) => (low + high) / 2);
    this.span = ends.map(([low, high]) => Math.max(high - low, 1e-6) * 1.14);
    this.canvas.style.aspectRatio = Math.min(1.7, Math.max(1, this.span[0] / this.span[1]));
  }

  describe() {
    const [first, second] = this.data.map.shares.map((share) => `${Math.round(100 * share)} %`);
    document.getElementById("map-hint").textContent =
      `Press, drag or use the arrow keys. The two main directions hold ${first} and ${second} of the variance; ` +
      (this.code.spatial ? "the nearest picture is shifted towards the place." : "the rest is at its mean.");
    const { labels, label_names: names } = this.data.pictures;
    if (!labels) return;
    this.classes = [...new Set(labels)].filter((label) => label >= 0).sort((a, b) => a - b);
    if (this.classes.length > 20) return;
    for (const label of this.classes) {
      const item = document.createElement("li");
      item.textContent = names[label] ?? label;
      item.style.setProperty("--colour", this.colour(label));
      document.getElementById("legend").append(item);
    }
  }

  colour(label) {
    const place = this.classes ? this.classes.indexOf(label) : -1;
    if (place < 0) return getComputedStyle(this.canvas).getPropertyValue("--faint");
    // Beyond the palette hues are turned by the golden angle, which keeps neighbours apart.
    return COLOURS[place] ?? `hsl(${(place * 137.5) % 360} 55% 55%)`;
  }

  scale() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return Math.min(width / this.span[0], height / this.span[1]);
  }

  toPixels([x, y]) {
    const scale = this.scale(), { clientWidth: width, clientHeight: height } = this.canvas;
    return [width / 2 + (x - this.middle[0]) * scale, height / 2 - (y - this.middle[1]) * scale];
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect(), scale = this.scale();
    const inside = (value, most) => Math.min(most, Math.max(0, value));
    const x = inside(event.clientX - box.left, box.width), y = inside(event.clientY - box.top, box.height);
    this.arrived = this.go([this.middle[0] + (x - box.width / 2) / scale, this.middle[1] - (y - box.height / 2) / scale]);
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [0, 0] };
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    const from = event.key === "Home" ? this.middle : this.plane.place(this.code.pooled());
    const step = ((event.shiftKey ? 5 : 1) * Math.max(...this.span)) / STEPS;
    this.arrived = this.go(from.map((value, axis) => value + step * way[axis]));
  }

  /** Decode a place of the map. */
  async go(place) {
    this.onleave?.();
    const text = `map (${place.map((value) => value.toFixed(2)).join(", ")})`;
    if (!this.code.spatial) return this.code.load(this.plane.code(place), { text });
    const nearest = this.nearest(place);
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const base = await this.sheet.code(nearest, this.network);
    if (turn !== this.turn) return; // the pointer has moved on
    const here = this.plane.code(this.data.map.points[nearest]);
    const shifts = this.plane.code(place).map((value, unit) => value - here[unit]);
    this.code.load(base, { text: `${text}, from ${this.sheet.title(nearest)}` }, shifts);
  }

  nearest([x, y]) {
    const distances = this.data.map.points.map(([a, b]) => (a - x) ** 2 + (b - y) ** 2);
    return distances.indexOf(Math.min(...distances));
  }

  /** Asks for a drawing before the next frame. */
  draw() {
    if (this.waiting || !this.canvas.clientWidth) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.drawNow();
    });
  }

  drawNow() {
    const { canvas } = this, density = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    const size = { width: Math.round(width * density), height: Math.round(height * density) };
    if (!size.width || !size.height) return; // hidden since the drawing was asked for
    // What never changes while a pointer moves is drawn once.
    const key = JSON.stringify([size, this.shows.value, matchMedia("(prefers-color-scheme: dark)").matches]);
    if (key !== this.drawn) {
      this.drawn = key;
      this.ground = new OffscreenCanvas(size.width, size.height);
      const context = this.ground.getContext("2d");
      context.scale(density, density);
      if (this.shows.value === "decoded") this.decoded = this.drawDecoded(context, width, height);
      else this.drawPoints(context, this.shows.value === "pictures");
    }
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    context.drawImage(this.ground, 0, 0);
    context.scale(density, density);
    this.drawMarker(context);
  }

  drawPoints(context, shown) {
    const { points } = this.data.map, labels = this.data.pictures.labels;
    const aspect = this.sheet.width / this.sheet.height;
    const wide = THUMBNAIL * Math.min(1, aspect), high = THUMBNAIL / Math.max(1, aspect);
    const taken = [];
    context.globalAlpha = shown ? 0.4 : 0.85;
    const tiles = [];
    points.forEach((point, index) => {
      const [x, y] = this.toPixels(point);
      const free = taken.every(([a, b]) => Math.abs(a - x) > wide + 5 || Math.abs(b - y) > high + 5);
      context.fillStyle = this.colour(labels?.[index]);
      if (shown && free) {
        taken.push([x, y]);
        tiles.push([index, context.fillStyle]);
        return;
      }
      context.beginPath();
      context.arc(x, y, shown ? 2.5 : 4, 0, 2 * Math.PI);
      context.fill();
    });
    // Pictures lie over points, whatever their order.
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = Math.max(this.sheet.width, this.sheet.height) > THUMBNAIL;
    context.imageSmoothingQuality = "high";
    tiles.forEach(([index, colour], place) => {
      const [x, y] = taken[place];
      context.fillStyle = colour;
      context.beginPath();
      context.roundRect(x - wide / 2 - 2, y - high / 2 - 2, wide + 4, high + 4, 4);
      context.fill();
      this.sheet.draw(context, index, x - wide / 2, y - high / 2, wide, high);
    });
  }

  /** What the decoder makes of the plane itself, tile by tile. */
  async drawDecoded(context, width, height) {
    const { ground, network } = this, { image, decoded_width: rowWidth } = this.data;
    const tile = document.createElement("canvas");
    // A slow decoder gets fewer and larger tiles: the plane is there within seconds.
    const side = TILE * Math.max(1, Math.sqrt(network.milliseconds / 10));
    const columns = Math.max(3, Math.round(width / side)), rows = Math.max(3, Math.round(height / side));
    const [wide, high] = [width / columns, height / rows], scale = this.scale();
    this.tiles = [columns, rows];
    for (let cell = 0; cell < columns * rows; cell++) {
      const x = (cell % columns) * wide, y = Math.floor(cell / columns) * high;
      const place = [x + wide / 2 - width / 2, height / 2 - y - high / 2];
      const code = this.plane.code(place.map((pixels, axis) => this.middle[axis] + pixels / scale));
      paint(tile, await network.decode(code), image, rowWidth);
      if (this.ground !== ground) return; // something else is to be shown by now
      // Cut to the tile's shape rather than squeezed into it.
      const cut = Math.min(image.width / wide, image.height / high);
      const [sx, sy] = [(image.width - wide * cut) / 2, (image.height - high * cut) / 2];
      context.drawImage(tile, sx, sy, wide * cut, high * cut, x, y, wide, high);
      this.draw();
    }
  }

  drawMarker(context) {
    const [x, y] = this.toPixels(this.plane.place(this.code.pooled()));
    const style = getComputedStyle(this.canvas);
    for (const [colour, width] of [[style.getPropertyValue("--surface"), 6], [style.getPropertyValue("--accent"), 3]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, 9, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
