// From one picture to another, through the codes between them.

import { linear, slerp } from "./code.js";
import { paint } from "./pictures.js";

const FRAMES = 7;

export class Blend {
  constructor(data, code, network) {
    Object.assign(this, { data, code, network });
    this.share = document.getElementById("share");
    this.slots = ["slot-a", "slot-b"].map((id) => this.slot(document.getElementById(id)));
    this.next = 0; // which end the next picture becomes
    this.film = document.getElementById("film");
    for (let frame = 0; frame < FRAMES; frame++) this.film.append(this.frame(frame / (FRAMES - 1)));
    this.share.addEventListener("input", () => this.show());
    for (const path of document.getElementsByName("path")) {
      path.addEventListener("change", () => {
        this.show();
        this.drawFilm();
      });
    }
  }

  slot(element) {
    const [original, rebuilt] = element.querySelectorAll("canvas");
    const ratio = `${this.data.image.width} / ${this.data.image.height}`;
    for (const canvas of [original, rebuilt]) canvas.style.aspectRatio = ratio;
    return { element, original, rebuilt, caption: element.querySelector("span") };
  }

  frame(share) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "thumbnail" });
    button.setAttribute("aria-label", `${Math.round(100 * share)} % of the way`);
    button.append(document.createElement("canvas"));
    button.addEventListener("click", () => {
      this.share.value = share;
      this.show();
    });
    return button;
  }

  /** Make a picture, pixels in [0, 1], one end of the path; by default the end that was not set last. */
  async take(pixels, title, end = this.next, label = "") {
    this.next = 1 - end;
    const slot = this.slots[end];
    slot.code = await this.network.encode(pixels, label);
    const decoded = await this.network.decode(slot.code);
    paint(slot.original, pixels, this.data.image);
    paint(slot.rebuilt, decoded, this.data.image, this.data.decoded_width);
    slot.caption.textContent = title;
    await this.drawFilm();
  }

  path() {
    return document.querySelector("input[name=path]:checked").value === "slerp" ? slerp : linear;
  }

  at(share) {
    return this.path()(this.slots[0].code, this.slots[1].code, share);
  }

  get complete() {
    return this.slots.every((slot) => slot.code);
  }

  show() {
    if (!this.complete) return;
    this.onleave?.();
    const share = this.share.valueAsNumber;
    this.share.style.setProperty("--filled", `${100 * share}%`);
    this.code.load(this.at(share), { text: `${Math.round(100 * share)} % of the way` });
  }

  async drawFilm() {
    if (!this.complete) return;
    const drawing = (this.drawing = {});
    for (const [frame, button] of [...this.film.children].entries()) {
      const decoded = await this.network.decode(this.at(frame / (FRAMES - 1)));
      if (drawing !== this.drawing) return; // an end has changed meanwhile
      paint(button.firstChild, decoded, this.data.image, this.data.decoded_width);
    }
  }
}
