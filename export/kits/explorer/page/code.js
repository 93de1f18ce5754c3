// Codes, and the arithmetic of moving between them.

/** The code that is shown. A spatial one is a base, the code of a picture, plus one shift for each channel. */
export class Code {
  constructor(data) {
    this.count = data.latent.at(-1);
    this.spatial = data.latent.length > 1;
    this.size = data.latent.reduce((product, side) => product * side, 1);
    this.base = new Float32Array(this.size);
    this.shifts = new Float32Array(this.count);
    this.listeners = [];
  }

  /** What a slider shows: the unit itself, or the shift of its channel. */
  value(unit) {
    return this.spatial ? this.shifts[unit] : this.base[unit];
  }

  set(unit, value, from) {
    (this.spatial ? this.shifts : this.base)[unit] = value;
    this.changed(from);
  }

  load(code, from, shifts = null) {
    this.base.set(code);
    this.shifts.fill(0);
    if (shifts) this.shifts.set(shifts);
    this.changed(from);
  }

  /** All numbers that the decoder takes. */
  flat() {
    return this.base.map((value, index) => value + (this.spatial ? this.shifts[index % this.count] : 0));
  }

  /** One number for each unit: the code, or its mean over places. */
  pooled() {
    const sums = new Float64Array(this.count);
    this.flat().forEach((value, index) => (sums[index % this.count] += value));
    return sums.map((sum) => (sum * this.count) / this.size);
  }

  /** `from` says what moved the code: it goes to the listeners and becomes the caption. */
  changed(from) {
    for (const listener of this.listeners) listener(from);
  }
}

export function linear(a, b, share) {
  return a.map((value, index) => (1 - share) * value + share * b[index]);
}

/** Spherical interpolation: constant angular speed, length between those of the ends; a line where they are parallel. */
export function slerp(a, b, share) {
  let product = 0, aa = 0, bb = 0;
  a.forEach((value, index) => {
    product += value * b[index];
    aa += value * value;
    bb += b[index] * b[index];
  });
  const angle = Math.acos(Math.min(1, Math.max(-1, product / Math.sqrt(aa * bb || 1))));
  const sine = Math.sin(angle);
  if (sine < 1e-6) return linear(a, b, share);
  const left = Math.sin((1 - share) * angle) / sine, right = Math.sin(share * angle) / sine;
  return a.map((value, index) => left * value + right * b[index]);
}

/** The plane of the map: `code = mean + x * axes[0] + y * axes[1]`. */
export class Plane {
  constructor({ mean, axes }) {
    this.mean = mean;
    this.axes = axes;
  }

  code([x, y]) {
    return Float32Array.from(this.mean, (value, i) => value + x * this.axes[0][i] + y * this.axes[1][i]);
  }

  place(code) {
    return this.axes.map((axis) => axis.reduce((sum, entry, i) => sum + entry * (code[i] - this.mean[i]), 0));
  }
}

/** A standard normal number (Box and Muller). */
export function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
