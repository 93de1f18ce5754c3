// BLAKE2b (RFC 7693) of four bytes, without a key: the checksum of `.tfv` files.
//
// A word of 64 bits is two numbers of a Uint32Array, the lower half first.

const SIGMA = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
].map((row) => Array.from(row, (digit) => parseInt(digit, 16)));
// Of the square roots of the first eight primes.
const START = Uint32Array.of(
  0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a,
  0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19,
);
const MIXED = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
].map((four) => four.map((word) => 2 * word));
const BLOCK = 128, ROUNDS = 12;

/** The four bytes as one number, the lowest first. */
export function blake2b(bytes) {
  const hash = START.slice();
  hash[0] ^= 0x01010000 ^ 4;
  const block = new Uint8Array(BLOCK), view = new DataView(block.buffer), words = new Uint32Array(BLOCK / 4);
  for (let start = 0; start === 0 || start < bytes.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, bytes.length);
    block.fill(0);
    block.set(bytes.subarray(start, end));
    words.forEach((_, n) => (words[n] = view.getUint32(4 * n, true)));
    compress(hash, words, end, end === bytes.length);
  }
  return hash[0];
}

function compress(hash, words, length, last) {
  const v = new Uint32Array(32);
  v.set(hash);
  v.set(START, 16);
  v[24] ^= length;
  v[25] ^= length / 2 ** 32;
  if (last) {
    v[28] = ~v[28];
    v[29] = ~v[29];
  }
  for (let round = 0; round < ROUNDS; round++) {
    const sigma = SIGMA[round % SIGMA.length];
    MIXED.forEach(([a, b, c, d], n) => {
      add(v, a, v[b], v[b + 1]);
      add(v, a, words[2 * sigma[2 * n]], words[2 * sigma[2 * n] + 1]);
      turn(v, d, a, 32);
      add(v, c, v[d], v[d + 1]);
      turn(v, b, c, 24);
      add(v, a, v[b], v[b + 1]);
      add(v, a, words[2 * sigma[2 * n + 1]], words[2 * sigma[2 * n + 1] + 1]);
      turn(v, d, a, 16);
      add(v, c, v[d], v[d + 1]);
      turn(v, b, c, 63);
    });
  }
  hash.forEach((value, n) => (hash[n] = value ^ v[n] ^ v[n + 16]));
}

function add(v, to, low, high) {
  const sum = v[to] + low;
  v[to] = sum;
  v[to + 1] += high + Number(sum >= 2 ** 32);
}

/** `to` becomes `to ^ other`, turned right by so many bits: 16, 24, 32 or 63, which is one to the left. */
function turn(v, to, other, bits) {
  const low = v[to] ^ v[other], high = v[to + 1] ^ v[other + 1];
  if (bits === 32) {
    v[to] = high;
    v[to + 1] = low;
  } else if (bits === 63) {
    v[to] = (low << 1) | (high >>> 31);
    v[to + 1] = (high << 1) | (low >>> 31);
  } else {
    v[to] = (low >>> bits) | (high << (32 - bits));
    v[to + 1] = (high >>> bits) | (low << (32 - bits));
  }
}
