// Pictures in and out: the sheet of held-out images, files that a person gives, and canvases.

import { fetched } from "./network.js";
import { prepared } from "./resize.js";

/** The held-out images of data.json, all on one sheet. */
export class Sheet {
  static async open(data) {
    const blob = await (await fetched(data.pictures.file)).blob();
    return new Sheet(data, await createImageBitmap(blob, { colorSpaceConversion: "none" }));
  }

  constructor(data, bitmap) {
    const { height, width } = data.image;
    Object.assign(this, { data, bitmap, height, width, count: data.pictures.count });
    this.codes = new Map();
  }

  corner(index) {
    const { columns } = this.data.pictures;
    return [(index % columns) * this.width, Math.floor(index / columns) * this.height];
  }

  draw(context, index, x, y, width, height) {
    context.drawImage(this.bitmap, ...this.corner(index), this.width, this.height, x, y, width, height);
  }

  /** Pixels in [0, 1], exactly those of the image that Python read. */
  pixels(index) {
    const context = new OffscreenCanvas(this.width, this.height).getContext("2d", { willReadFrequently: true });
    this.draw(context, index, 0, 0, this.width, this.height);
    const rgba = context.getImageData(0, 0, this.width, this.height).data;
    const { channels } = this.data.image;
    return Float32Array.from({ length: this.width * this.height * channels }, (_, i) =>
      rgba[4 * Math.floor(i / channels) + (i % channels)] / 255);
  }

  /** The code of an image, computed once. */
  async code(index, network) {
    if (!this.codes.has(index)) this.codes.set(index, network.encode(this.pixels(index), this.label(index)));
    return this.codes.get(index);
  }

  label(index) {
    const { labels, label_names: names } = this.data.pictures;
    if (!labels || labels[index] < 0) return "";
    return names[labels[index]] ?? String(labels[index]);
  }

  title(index) {
    const label = this.label(index);
    return `${this.data.pictures.split} picture ${index + 1}${label && ` (${label})`}`;
  }
}

/** Pixels in [0, 1] of a picture file, made to fit the model. Throws an Error that names the file. */
export async function readFile(file, data) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${file.name}: the browser cannot read it as a picture.`);
  }
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff"; // what is transparent is white, as in training
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const bytes = prepared(context.getImageData(0, 0, width, height).data, width, height, data.image, data.fit);
  return Float32Array.from(bytes, (value) => value / 255);
}

/** Draw pixels in [0, 1] on a canvas, which takes the picture's size; `rowWidth` is the width of the rows of `pixels`. */
export function paint(canvas, pixels, { width, height, channels }, rowWidth = width) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0, from = y * rowWidth * channels; x < width; x++, from += channels) {
      image.data[to++] = 255 * pixels[from];
      image.data[to++] = 255 * pixels[from + (channels > 1 ? 1 : 0)];
      image.data[to++] = 255 * pixels[from + (channels > 1 ? 2 : 0)];
      image.data[to++] = 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  // Few pixels are shown as the squares they are.
  canvas.classList.toggle("crisp", Math.max(width, height) <= 128);
}

/** A row of buttons, one for each of the first pictures, in `place`. */
export function strip(place, sheet, count, choose) {
  for (let index = 0; index < Math.min(count, sheet.count); index++) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "thumbnail";
    button.setAttribute("aria-label", sheet.title(index));
    button.title = sheet.title(index);
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: sheet.width, height: sheet.height });
    canvas.classList.toggle("crisp", Math.max(sheet.width, sheet.height) <= 64);
    sheet.draw(canvas.getContext("2d"), index, 0, 0, sheet.width, sheet.height);
    button.append(canvas);
    button.addEventListener("click", () => choose(index));
    place.append(button);
  }
}
