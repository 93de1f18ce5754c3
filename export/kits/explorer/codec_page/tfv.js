// Reads `.tfv` files: from their bytes to the code that decoder.tflite makes a picture of. No dependency.
//
// What is read is what Python reads, bit for bit; hyper_decoder.js and coders.js say why. The container is described in
// tfvae/applications/compression/container.py.

import { blake2b } from "./blake2b.js";
import { damaged, Reader, UnreadableError } from "./bytes.js";
import { CODERS, Table } from "./coders.js";
import { FACTOR, MEAN_BITS, predicted } from "./hyper_decoder.js";

export { UnreadableError } from "./bytes.js";

const MAGIC = "TFV", VERSION = "1", HEAD = 12; // bytes before the flags
const KEPT = ["alpha", "exif", "icc", "xmp", "dpi"]; // in the order of their flags and of the file
const TENTHS = 10, MOST_SIDE = 2 ** 20, MOST_PIXELS = 256_000_000;
const TILE = 64; // latent places: the side of what is read by itself
const MOST_SYMBOL = 2 ** 20;

/** What tfv.bin (an ArrayBuffer) says of a model: export/formats/tfv_tables.py says how. */
export function readModel(buffer) {
  const length = new DataView(buffer).getUint32(4, true);
  const model = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  if (model.version !== 1) throw new Error("tfv.bin is of another version than this page.");
  const arrays = {};
  let start = 8 + length;
  for (const { name, type, shape } of model.arrays) {
    const count = shape.reduce((product, side) => product * side, 1);
    arrays[name] = new { int16: Int16Array, int32: Int32Array }[type](buffer, start, count);
    start += arrays[name].byteLength;
  }
  const tablesOf = (source, halves) => {
    let place = 0;
    return Array.from(halves, (half) => new Table(source.subarray(place, (place += 2 * half + 2)), half));
  };
  const own = new Array(model.hyper_dim).fill(model.reach), normal = arrays.half_widths;
  model.tables = [...tablesOf(arrays.hyper_tables, own), ...tablesOf(arrays.normal_tables, normal)];
  model.scales = normal.length;
  model.slope = Float64Array.from(arrays.slope);
  model.layers = [0, 1, 2].map((layer) => ({
    kernel: Float64Array.from(arrays[`kernel_${layer}`]),
    bias: Float64Array.from(arrays[`bias_${layer}`]),
    inputs: arrays[`kernel_${layer}`].length / arrays[`bias_${layer}`].length / 9,
    outputs: arrays[`bias_${layer}`].length,
  }));
  return model;
}

/** What a file (Uint8Array) says of its picture, and a reader of the rest. The checksum comes first. */
export function readHeader(content) {
  const text = (from, to) => String.fromCharCode(...content.subarray(from, to));
  if (text(0, 3) !== MAGIC) throw new UnreadableError("not a compressed picture of tfvae (.tfv)");
  if (text(3, 4) !== VERSION) {
    const found = JSON.stringify(text(3, 4));
    throw new UnreadableError(`is of version ${found} of the format, and this page reads version "${VERSION}"`);
  }
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  if (content.length < HEAD || checksum(content) !== view.getUint32(8, true)) {
    throw new UnreadableError("is damaged or cut short: its checksum is another");
  }
  const reader = new Reader(content);
  reader.take(HEAD);
  const [flags] = reader.take(1);
  const height = reader.varint(MOST_SIDE), width = reader.varint(MOST_SIDE);
  const channels = reader.varint(3), tenths = reader.varint(100 * TENTHS), pixels = height * width;
  if (flags >> (1 + KEPT.length) || ![1, 3].includes(channels) || !pixels || pixels > MOST_PIXELS) throw damaged();
  const kept = {};
  KEPT.forEach((name, place) => {
    if (flags & (2 << place)) kept[name] = reader.take(reader.varint(reader.left));
  });
  const digest = Array.from(content.subarray(4, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const coder = Object.keys(CODERS)[flags & 1], quality = tenths / TENTHS;
  return { digest, coder, height, width, channels, quality, kept, reader };
}

/** Of all bytes but its own. */
function checksum(content) {
  const others = new Uint8Array(content.length - 4);
  others.set(content.subarray(0, 8));
  others.set(content.subarray(HEAD), 8);
  return blake2b(others);
}

/**
 * The symbols of a file and what predicts them.
 *
 * Returns the header, the rows and columns of latent places, and a part for each view of the picture: `hyper`,
 * `symbols`, `mean` and `index`. Throws an UnreadableError for what is no file of this model, or was changed.
 */
export function decode(content, model) {
  const header = readHeader(content), { reader, coder } = header;
  if (header.digest !== model.digest) {
    throw new UnreadableError(`was written by another model (digest ${header.digest}; this one is ${model.digest})`);
  }
  const [rows, columns] = [header.height, header.width].map((side) => Math.ceil(side / model.factor));
  const [high, wide] = [rows, columns].map((side) => Math.ceil(side / FACTOR));
  // A picture of three channels is three pictures to a model of one.
  const views = model.channels === 1 ? header.channels : 1;
  const count = views * (1 + Math.ceil(rows / TILE) * Math.ceil(columns / TILE));
  if (count > reader.left) throw damaged(); // a length is a byte at least
  const lengths = Array.from({ length: count }, () => reader.varint(reader.left));
  if (lengths.reduce((sum, length) => sum + length, 0) !== reader.left) throw damaged();
  const next = (groups) => readSymbols(reader.take(lengths.shift()), groups, model.tables, coder);
  const parts = Array.from({ length: views }, () => {
    const channels = Array.from({ length: model.hyper_dim }, (_, channel) => [channel, high * wide]);
    const hyper = interleaved(next(channels), model.hyper_dim);
    const { mean, index } = predicted(model, hyper, [high, wide], header.quality, [rows, columns]);
    const symbols = new Int32Array(mean.length);
    for (let top = 0; top < rows; top += TILE) {
      for (let left = 0; left < columns; left += TILE) {
        const tile = { top, left, bottom: Math.min(top + TILE, rows), right: Math.min(left + TILE, columns) };
        const { places, counts } = grouped(index, tile, columns, model);
        next(Array.from(counts, (count, table) => [model.hyper_dim + table, count])).forEach((symbol, n) => {
          symbols[places[n]] = symbol;
        });
      }
    }
    return { hyper, symbols, mean, index };
  });
  return { header, rows, columns, parts };
}

/** The code of a part, `(rows, columns, latent_dim)`: a mean is a multiple of a sixteenth, so the sum is exact. */
export function codeOf({ symbols, mean }) {
  const code = new Float32Array(symbols.length);
  symbols.forEach((symbol, n) => (code[n] = symbol + mean[n] / 2 ** MEAN_BITS));
  return code;
}

/** The opacity of each pixel, bytes; null where all is opaque. */
export async function alphaOf({ kept, height, width }) {
  if (!kept.alpha) return null;
  const alpha = new Uint8Array(height * width);
  const inflated = new Blob([kept.alpha]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  for (let place = 0; ; ) {
    const { value, done } = await inflated.read().catch(() => {
      throw damaged();
    });
    if (done ? place < alpha.length : place + value.length > alpha.length) throw damaged();
    if (done) return alpha;
    alpha.set(value, place);
    place += value.length;
  }
}

/** From one channel after the other to the channels of one place after the other. */
function interleaved(values, channels) {
  const count = values.length / channels;
  return values.map((_, n) => values[(n % channels) * count + Math.floor(n / channels)]);
}

/** Where in the map the symbols of a tile lie, table after table, in each in order; and how many each table has. */
function grouped(index, { top, left, bottom, right }, columns, { latent_dim: dim, scales }) {
  const counts = new Uint32Array(scales);
  const each = (visit) => {
    for (let row = top; row < bottom; row++) {
      for (let n = (row * columns + left) * dim; n < (row * columns + right) * dim; n++) visit(n);
    }
  };
  each((n) => counts[index[n]]++);
  let start = 0;
  const free = counts.map((count) => (start += count) - count), places = new Uint32Array(start);
  each((n) => (places[free[index[n]]++] = n));
  return { places, counts };
}

/** The symbols of a stream: of each group `[number of a table, count]`, in order. */
function readSymbols(stream, groups, tables, coder) {
  const reader = new Reader(stream);
  const escapes = new Reader(reader.take(reader.varint(reader.left)));
  const source = new CODERS[coder](reader.take(reader.left));
  const symbols = new Int32Array(groups.reduce((sum, [, count]) => sum + count, 0));
  let start = 0;
  for (const [number, count] of groups) {
    const table = tables[number], { half } = table, part = symbols.subarray(start, (start += count));
    source.read(table, part);
    part.forEach((place, n) => {
      part[n] = place - half;
      if (place > 2 * half) {
        const value = escapes.varint(2 * MOST_SYMBOL);
        part[n] = (value & 1 ? -1 : 1) * (half + 1 + (value >> 1));
      }
    });
  }
  source.end();
  if (escapes.left) throw damaged();
  return symbols;
}
