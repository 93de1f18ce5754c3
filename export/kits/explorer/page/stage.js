// The picture of the current code, and what can be done with it.

import { paint } from "./pictures.js";
import { download } from "./shared.js";

const FADE = 420; // milliseconds from one code to another
const SAVED_SIDE = 256; // pixels of a saved picture at least
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Stage {
  constructor(data, network, code) {
    Object.assign(this, { data, network, code });
    this.picture = document.getElementById("picture");
    this.original = document.getElementById("original");
    this.caption = document.getElementById("caption");
    this.cost = document.getElementById("cost");
    for (const canvas of [this.picture, document.getElementById("frame")]) {
      canvas.style.aspectRatio = `${data.image.width} / ${data.image.height}`;
    }
    this.shown = Promise.resolve();
    code.listeners.push((from) => this.show(from));
  }

  /** Decode the code before the next frame is drawn; of codes that follow faster than that, the last. */
  show({ text = "", original = null }) {
    this.caption.textContent = text;
    this.original.hidden = original === null;
    if (original) paint(this.original, original, this.data.image);
    if (this.waiting) return;
    this.waiting = true;
    this.shown = new Promise((resolve, reject) => {
      requestAnimationFrame(async () => {
        // One decoding at a time: those that a slow model cannot follow are left out, never queued.
        await this.network.last;
        this.waiting = false;
        try {
          this.pixels = await this.network.decode(this.code.flat());
          paint(this.picture, this.pixels, this.data.image, this.data.decoded_width);
          this.cost.textContent = `${this.network.milliseconds.toFixed(1)} ms`;
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Go to a code smoothly; at once where motion is unwanted or decoding is slow. */
  glide(target, from, shifts = null) {
    cancelAnimationFrame(this.gliding);
    if (calm.matches || this.network.milliseconds > 40) return this.code.load(target, from, shifts);
    const start = this.code.base.slice(), startShifts = this.code.shifts.slice(), began = performance.now();
    const ends = shifts ?? new Float32Array(this.code.count);
    const step = (now) => {
      const share = Math.min(1, Math.max(0, (now - began) / FADE));
      if (share === 1) return this.code.load(target, from, shifts);
      const eased = share * share * (3 - 2 * share);
      const between = (a, b) => a.map((value, i) => value + eased * (b[i] - value));
      this.code.load(between(start, target), { ...from, original: null }, between(startShifts, ends));
      this.gliding = requestAnimationFrame(step);
    };
    this.gliding = requestAnimationFrame(step);
  }

  halt() {
    cancelAnimationFrame(this.gliding);
  }

  /** PNG of the picture, enlarged by a whole factor so that it can be seen. */
  async png() {
    await this.shown;
    const { width, height } = this.picture;
    const factor = Math.ceil(SAVED_SIDE / Math.max(width, height));
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: width * factor, height: height * factor });
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.picture, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  async save() {
    download(await this.png(), `${this.data.name}.png`);
  }

  /** The code as JSON on the clipboard, or in a file where a page may not write there. */
  async copy() {
    const { latent } = this.data;
    const numbers = Array.from(this.code.flat(), (value) => Number(value.toPrecision(7)));
    const text = JSON.stringify({ signature: "decode", shape: [1, ...latent], z: numbers });
    try {
      await navigator.clipboard.writeText(text);
      return "code copied";
    } catch {
      download(new Blob([text], { type: "application/json" }), `${this.data.name}_code.json`);
      return "code saved as a file";
    }
  }
}
