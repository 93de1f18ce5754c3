// Bytes in order, and what is said of those that are no file of ours.

/** A file that is not shown; the message is the reason, in a line. */
export class UnreadableError extends Error {}

export function damaged() {
  return new UnreadableError("a compressed picture that is cut short or damaged");
}

/** Reads a Uint8Array from its beginning. Throws an UnreadableError where there is less than is asked for. */
export class Reader {
  constructor(content) {
    Object.assign(this, { content, place: 0 });
  }

  get left() {
    return this.content.length - this.place;
  }

  take(count) {
    if (count > this.left) throw damaged();
    this.place += count;
    return this.content.subarray(this.place - count, this.place);
  }

  /** A number of at most `most`: seven bits a byte, the lowest first; the highest bit says that more follow. */
  varint(most) {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const [byte] = this.take(1);
      value += (byte & 127) * scale;
      if (value > most || scale > 2 ** 63) throw damaged();
      if (byte < 128) return value;
    }
  }
}
