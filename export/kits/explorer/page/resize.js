// Bytes of a picture at the model's size, as `tfvae` prepares a picture that it reads.
//
// Pillow's bicubic filter (a = -0.5, widened when it reduces, rounded to bytes between the two passes) on the centre of
// the picture, then ITU-R 601 luminance for a grey model. A browser's own scaling differs by dozens of levels.

/** `source`: RGBA bytes, all opaque. Returns a Uint8Array `(height, width, channels)` for `image` of data.json. */
export function prepared(source, width, height, image, fit) {
  const box = fit === "resize" ? [0, 0, width, height] : centre(width, height, image);
  let rgb = rgbOf(source);
  rgb = resampled(rgb, width, height, box[0], box[2], image.width);
  rgb = transposed(rgb, image.width, height);
  rgb = resampled(rgb, height, image.width, box[1], box[3], image.height);
  rgb = transposed(rgb, image.height, image.width);
  return image.channels === 3 ? rgb : luminance(rgb);
}

function centre(width, height, image) {
  const scale = Math.min(width / image.width, height / image.height);
  const wide = image.width * scale, high = image.height * scale;
  const left = (width - wide) / 2, upper = (height - high) / 2;
  return [Math.max(left, 0), Math.max(upper, 0), Math.min(left + wide, width), Math.min(upper + high, height)];
}

function rgbOf(rgba) {
  const rgb = new Uint8ClampedArray((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}

/** Rows of `width` pixels, `height` of them, cut from `low` to `high` and brought to `size` pixels each. */
function resampled(rgb, width, height, low, high, size) {
  if (low === 0 && high === width && size === width) return rgb;
  const result = new Uint8ClampedArray(size * height * 3); // rounds, and clips the filter's overshoot
  const scale = (high - low) / size, reach = Math.max(scale, 1);
  for (let x = 0; x < size; x++) {
    const middle = low + (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(middle - 2 * reach + 0.5));
    const end = Math.min(width, Math.trunc(middle + 2 * reach + 0.5));
    const weights = [];
    for (let i = first; i < end; i++) weights.push(cubic((i - middle + 0.5) / reach));
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let y = 0; y < height; y++) {
      let red = 0, green = 0, blue = 0;
      for (let i = 0, from = (y * width + first) * 3; i < weights.length; i++, from += 3) {
        red += weights[i] * rgb[from];
        green += weights[i] * rgb[from + 1];
        blue += weights[i] * rgb[from + 2];
      }
      const to = (y * size + x) * 3;
      result[to] = red / sum;
      result[to + 1] = green / sum;
      result[to + 2] = blue / sum;
    }
  }
  return result;
}

function cubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function transposed(rgb, width, height) {
  const result = new Uint8ClampedArray(rgb.length);
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const to = (x * height + y) * 3;
      result[to] = rgb[from++];
      result[to + 1] = rgb[from++];
      result[to + 2] = rgb[from++];
    }
  }
  return result;
}

function luminance(rgb) {
  const grey = new Uint8ClampedArray(rgb.length / 3);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = (19595 * rgb[3 * i] + 38470 * rgb[3 * i + 1] + 7471 * rgb[3 * i + 2] + 32768) >> 16;
  }
  return grey;
}
