// What is known of the latents before they are read: means, and the numbers of their tables.
//
// The integer hyper-decoder (tfvae/networks/integer_decoder.py) is exact: Python and every browser say the same.
// Weights are whole numbers of 16 bits, what they are multiplied with of 16, too, and a sum of a layer is below 2**42.
// JavaScript's numbers are float64, in which whole numbers below 2**53 are added and multiplied without rounding, in
// whatever order; a shift is a division by a power of two, rounded down.

export const FACTOR = 4; // latent places in one of the hyper-latents, in each direction
const WEIGHT_BITS = 10, HIDDEN_BITS = 6, INDEX_BITS = 3;
export const MEAN_BITS = 4;
const INPUT_MOST = 2 ** 15 - 1, HIDDEN_MOST = 2 ** 14 - 1, MEAN_MOST = 2 ** 15 - 1;
const STRIP = 8, HALO = 2; // rows of hyper-latents that are computed at once, and around them what they depend on

/**
 * Means in sixteenths (Int16Array) and numbers of tables (Uint8Array), each `(rows, columns, latent_dim)`.
 *
 * `hyper` is `(high, wide, hyper_dim)`; the whole part of the quality counts.
 */
export function predicted(model, hyper, [high, wide], quality, [rows, columns]) {
  const { latent_dim: dim, layers, slope } = model, bits = WEIGHT_BITS + HIDDEN_BITS;
  const last = layers.at(-1), most = model.scales - 1, whole = Math.trunc(quality);
  const mean = new Int16Array(rows * columns * dim), index = new Uint8Array(mean.length);
  for (let start = 0; start < high; start += STRIP) {
    const first = Math.max(0, start - HALO), end = Math.min(high, start + STRIP + HALO);
    const [from, to] = [first, end].map((row) => row * wide * model.hyper_dim);
    let image = inputs(hyper.subarray(from, to), model.hyper_dim, whole);
    let height = end - first, width = wide;
    layers.slice(0, -1).forEach((layer, n) => {
      const total = convolved(image, height, width, layer);
      image = subPixels(total, height, width, layer.outputs / 4, n ? WEIGHT_BITS : WEIGHT_BITS - HIDDEN_BITS);
      height *= 2;
      width *= 2;
    });
    const total = convolved(image, height, width, last);
    for (let row = FACTOR * start; row < Math.min(rows, FACTOR * (start + STRIP)); row++) {
      for (let column = 0, to = row * columns * dim; column < columns; column++) {
        const from = ((row - FACTOR * first) * width + column) * last.outputs;
        for (let n = 0; n < dim; n++, to++) {
          const value = total[from + n] + whole * slope[n], scale = total[from + dim + n] + whole * slope[dim + n];
          mean[to] = clipped(shifted(value, bits - MEAN_BITS), -MEAN_MOST, MEAN_MOST);
          index[to] = clipped(shifted(scale, bits - INDEX_BITS), 0, most);
        }
      }
    }
  }
  return { mean, index };
}

const clipped = (value, low, high) => Math.min(Math.max(value, low), high);
const shifted = (total, bits) => Math.floor(total / 2 ** bits + 0.5);

/** Hyper-latents with the quality as one channel more. */
function inputs(hyper, channels, quality) {
  const image = new Float64Array((hyper.length / channels) * (channels + 1));
  for (let from = 0, to = 0; from < hyper.length; ) {
    for (let n = 0; n < channels; n++) image[to++] = clipped(hyper[from++], -INPUT_MOST, INPUT_MOST);
    image[to++] = quality;
  }
  return image;
}

/** A 3×3 convolution with zeros around. */
function convolved(image, height, width, { kernel, bias, inputs, outputs }) {
  const total = new Float64Array(height * width * outputs);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += outputs) {
      total.set(bias, to);
      for (let row = Math.max(0, y - 1); row < Math.min(height, y + 2); row++) {
        for (let column = Math.max(0, x - 1); column < Math.min(width, x + 2); column++) {
          const tap = ((row - y + 1) * 3 + column - x + 1) * inputs, place = (row * width + column) * inputs;
          for (let n = 0; n < inputs; n++) {
            const value = image[place + n];
            if (value === 0) continue; // many are, after a ReLU
            const from = (tap + n) * outputs;
            for (let output = 0; output < outputs; output++) total[to + output] += value * kernel[from + output];
          }
        }
      }
    }
  }
  return total;
}

/** A ReLU, rounded, and laid out as twice as many pixels in each direction. */
function subPixels(total, height, width, channels, bits) {
  const image = new Float64Array(total.length);
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let part = 0; part < 4; part++) {
        const to = ((2 * y + (part >> 1)) * 2 * width + 2 * x + (part & 1)) * channels;
        for (let n = 0; n < channels; n++) image[to + n] = clipped(shifted(total[from++], bits), 0, HIDDEN_MOST);
      }
    }
  }
  return image;
}
