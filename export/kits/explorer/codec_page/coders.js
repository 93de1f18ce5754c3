// Entropy decoders by integer tables: asymmetric numeral systems, and Huffman's codes.
//
// `read(table, part)` fills a part with the places of a table that come next, `end()` throws where not all was read.

import { damaged } from "./bytes.js";

const PRECISION = 24, WHOLE = 2 ** PRECISION; // a probability is a frequency divided by it
const LONGEST = 16, MOST_RUN = 2 ** 12; // bits of a Huffman code; symbols of a run

/** Frequencies of the symbols -half … half, and last of the escape: "beyond these, and a number follows". */
export class Table {
  constructor(frequencies, half) {
    Object.assign(this, { frequencies, half });
  }

  /** The sum of the frequencies before each place, and of all. */
  get sums() {
    return this.kept("sums", () => {
      const sums = new Int32Array(this.frequencies.length + 1);
      this.frequencies.forEach((frequency, place) => (sums[place + 1] = sums[place] + frequency));
      return sums;
    });
  }

  /** How Huffman coding writes the places. */
  get codes() {
    return this.kept("codes", () => new Codes(this.frequencies));
  }

  kept(name, make) {
    const value = make();
    Object.defineProperty(this, name, { value });
    return value;
  }
}

/**
 * Asymmetric numeral systems as the package `constriction` writes them: words of 32 bits, of which the last is read
 * first, and a state of 64 bits, which float64 cannot hold: it is kept as two halves.
 */
class Ans {
  constructor(bytes) {
    if (bytes.length % 4) throw damaged();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.words = Uint32Array.from({ length: bytes.length / 4 }, (_, n) => view.getUint32(4 * n, true));
    this.left = this.words.length;
    if (this.left && !this.words[this.left - 1]) throw damaged();
    this.high = this.left > 1 ? this.words[--this.left] : 0;
    this.low = this.left ? this.words[--this.left] : 0;
  }

  read({ frequencies, sums }, part) {
    for (let n = 0; n < part.length; n++) {
      const quantile = this.low & (WHOLE - 1);
      let place = 0;
      for (let end = frequencies.length; end - place > 1; ) {
        const middle = (place + end) >> 1;
        if (sums[middle] > quantile) end = middle;
        else place = middle;
      }
      part[n] = place;
      // state = (state >> 24) * frequency + rest, the upper 20 bits and the lower by themselves: below 2**45.
      const above = this.high * 2 ** 8 + (this.low >>> PRECISION), frequency = frequencies[place];
      const upper = Math.floor(above / 2 ** 20) * frequency;
      const lower = (above % 2 ** 20) * frequency + quantile - sums[place];
      const low = (upper % 2 ** 12) * 2 ** 20 + (lower % 2 ** 32);
      this.high = Math.floor(upper / 2 ** 12) + Math.floor(lower / 2 ** 32) + Math.floor(low / 2 ** 32);
      this.low = low % 2 ** 32;
      if (this.high === 0 && this.left) {
        this.high = this.low;
        this.low = this.words[--this.left];
      }
    }
  }

  end() {
    if (this.left || this.high || this.low) throw damaged();
  }
}

/** Canonical codes, of single places, and of runs of the likeliest one where it is likelier than all others. */
class Huffman {
  constructor(bytes) {
    this.bytes = new Uint8Array(bytes.length + 3); // zeros after the end
    this.bytes.set(bytes);
    Object.assign(this, { length: bytes.length, bit: 0 });
  }

  /** The next 16 bits. */
  get window() {
    const n = this.bit >> 3, { bytes } = this;
    return (((bytes[n] << 16) | (bytes[n + 1] << 8) | bytes[n + 2]) >> (8 - (this.bit & 7))) & (2 ** LONGEST - 1);
  }

  one(code) {
    if (this.bit >= 8 * this.length) throw damaged();
    const { window } = this;
    let length = 1;
    while (window >= code.limits[length]) length++;
    this.bit += length;
    return code.places[code.starts[length] + (window >> (LONGEST - length))];
  }

  read({ codes: { frequent, single, runs, longestRun } }, part) {
    for (let n = 0; n < part.length; ) {
      if (longestRun) {
        const run = this.one(runs), end = Math.min(n + run, part.length);
        part.fill(frequent, n, end);
        n = end;
        if (run === longestRun || n === part.length) continue;
      }
      part[n++] = this.one(single);
    }
  }

  end() {
    if (Math.ceil(this.bit / 8) !== this.length || this.window) throw damaged();
  }
}

export const CODERS = { ans: Ans, huffman: Huffman }; // in the order of their numbers in a file

class Codes {
  constructor(frequencies) {
    const share = Math.max(...frequencies), others = frequencies.slice();
    Object.assign(this, { frequent: frequencies.indexOf(share), longestRun: 0 });
    if (2 * share > WHOLE) {
      const runs = [];
      let left = WHOLE;
      while (runs.length < MOST_RUN && (2 * left > WHOLE || !runs.length)) {
        const after = Math.floor((left * share) / WHOLE); // of a product below 2**48
        runs.push(Math.max(1, left - after));
        left = after;
      }
      this.longestRun = runs.length;
      this.runs = new PrefixCode([...runs, Math.max(1, left)]);
      others[this.frequent] = 1;
    }
    this.single = new PrefixCode(Array.from(others));
  }
}

/** A canonical code: `places` in the order of their codes, of which those of one length follow each other. */
class PrefixCode {
  constructor(frequencies) {
    const lengths = codeLengths(frequencies);
    this.places = [...lengths.keys()].sort((one, other) => lengths[one] - lengths[other]);
    this.limits = new Uint32Array(LONGEST + 1); // 16 bits below it begin with a code of at most that length
    this.starts = new Int32Array(LONGEST + 1); // with a code of that length added: where its place stands
    for (let length = 1, code = 0, before = 0; length <= LONGEST; length++) {
      const count = lengths.filter((each) => each === length).length;
      code *= 2;
      this.starts[length] = before - code;
      code += count;
      before += count;
      this.limits[length] = code * 2 ** (LONGEST - length);
    }
  }
}

/** Lengths of the best prefix code of at most 16 bits, by package-merge; sorting is stable, as in Python. */
function codeLengths(frequencies) {
  const order = [...frequencies.keys()].sort((one, other) => frequencies[one] - frequencies[other]);
  const leaves = order.map((place) => ({ weight: frequencies[place], leaf: true })), levels = [leaves];
  while (levels.length < LONGEST) {
    const merged = levels.at(-1), pairs = [];
    for (let n = 1; n < merged.length; n += 2) {
      pairs.push({ weight: merged[n - 1].weight + merged[n].weight, leaf: false });
    }
    levels.push([...leaves, ...pairs].sort((one, other) => one.weight - other.weight));
  }
  const lengths = frequencies.map(() => 0);
  let taken = 2 * frequencies.length - 2;
  for (const level of levels.reverse()) {
    const own = level.slice(0, taken).filter(({ leaf }) => leaf).length;
    for (const place of order.slice(0, own)) lengths[place]++; // the rarest so many have a bit at this level
    taken = 2 * (taken - own);
  }
  return lengths;
}
