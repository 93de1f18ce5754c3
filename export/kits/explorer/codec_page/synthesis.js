// From codes to pixels by decoder.tflite, which takes one size: tile by tile, and the tiles give what the whole would.

import { Tensor } from "@litertjs/core";

export class Synthesis {
  /** `places`: rows and columns of the code that the decoder takes. */
  constructor(decoder, model, places) {
    Object.assign(this, { decoder, model, places });
  }

  /** Bytes of red, green, blue and opacity of a file that was read. `progress` is called with tiles done, and all. */
  async picture({ header, rows, columns, codes, alpha }, progress = () => {}) {
    const { width, height, channels, quality } = header, views = [];
    for (const [view, code] of codes.entries()) {
      const share = (done, all) => progress(view * all + done, codes.length * all);
      views.push(await this.view(code, [rows, columns], [height, width], quality, share));
    }
    const pixels = new Uint8ClampedArray(4 * width * height), own = this.model.channels;
    // Each channel by itself, by a model of grey pictures; the mean, of a grey picture by a model of colours.
    const value = (place, channel) => {
      if (own === 1) return views[channels === 1 ? 0 : channel][place];
      const from = 3 * place, [view] = views;
      return channels === 1 ? (view[from] + view[from + 1] + view[from + 2]) / 3 : view[from + channel];
    };
    for (let place = 0; place < width * height; place++) {
      for (let channel = 0; channel < 3; channel++) pixels[4 * place + channel] = value(place, channel);
      pixels[4 * place + 3] = alpha ? alpha[place] : 255;
    }
    return pixels;
  }

  /** Bytes `(height, width, channels of the model)` of one code `(rows, columns, latent_dim)`. */
  async view(code, [rows, columns], [height, width], quality, progress) {
    const { factor, channels, margin } = this.model, [high, wide] = this.places;
    const pixels = new Uint8ClampedArray(height * width * channels); // rounds to the nearest
    const down = spans(rows, high, margin), across = spans(columns, wide, margin);
    let done = 0;
    for (const row of down) {
      for (const column of across) {
        progress(done++, down.length * across.length);
        const image = await this.tile(code, [rows, columns], [row.start, column.start], quality);
        const left = factor * column.begin, right = Math.min(factor * column.end, width);
        for (let y = factor * row.begin; y < Math.min(factor * row.end, height); y++) {
          let from = ((y - factor * row.start) * factor * wide + left - factor * column.start) * channels;
          for (let to = (y * width + left) * channels; to < (y * width + right) * channels; to++) {
            pixels[to] = 255 * image[from++];
          }
        }
      }
    }
    return pixels;
  }

  /** Pixels in [0, 1] of the part of a code that begins there; what is beyond the picture means nothing. */
  async tile(code, [rows, columns], [top, left], quality) {
    const { latent_dim: dim } = this.model, [high, wide] = this.places;
    const z = new Float32Array(high * wide * dim), inside = new Float32Array(high * wide);
    const across = Math.min(wide, columns - left);
    for (let row = 0; row < Math.min(high, rows - top); row++) {
      const from = ((top + row) * columns + left) * dim;
      z.set(code.subarray(from, from + across * dim), row * wide * dim);
      inside.fill(1, row * wide, row * wide + across);
    }
    const inputs = {
      z: new Tensor(z, [1, high, wide, dim]),
      quality: new Tensor(Float32Array.of(quality), [1, 1]),
      inside: new Tensor(inside, [1, high, wide, 1]),
    };
    const outputs = await this.decoder.run(inputs);
    const image = outputs.image.toTypedArray().slice();
    // Tensors live on the heap of the WebAssembly module, where no garbage is collected.
    for (const each of [...Object.values(inputs), ...Object.values(outputs)]) each.delete();
    return image;
  }
}

/** Tiles along an axis: where they start, and from which place to which they are right: not near to a cut. */
export function spans(length, side, margin) {
  const found = [];
  for (let begin = 0; begin < length; begin = found.at(-1).end) {
    const start = Math.max(0, begin - margin);
    found.push({ start, begin, end: start + side >= length ? length : start + side - margin });
  }
  return found;
}
