package org.tfvae.tfv

import java.lang.Long.parseUnsignedLong
import java.lang.Long.rotateRight
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.min

private val SIGMA = listOf(
    "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
    "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0"
).map { row -> IntArray(16) { Character.digit(row[it], 16) } }

// Of the square roots of the first eight primes.
private val START = listOf(
    "6a09e667f3bcc908", "bb67ae8584caa73b", "3c6ef372fe94f82b", "a54ff53a5f1d36f1",
    "510e527fade682d1", "9b05688c2b3e6c1f", "1f83d9abfb41bd6b", "5be0cd19137e2179"
).map { parseUnsignedLong(it, 16) }.toLongArray()
private val MIXED = listOf("048c", "159d", "26ae", "37bf", "05af", "16bc", "278d", "349e").map { four ->
    IntArray(4) { Character.digit(four[it], 16) }
}
private const val BLOCK = 128
private const val ROUNDS = 12

/**
 * BLAKE2b (RFC 7693) of four bytes, without a key: the checksum of `.tfv` files.
 *
 * The four bytes as one number, the lowest first.
 */
internal fun blake2b(bytes: ByteArray): Int {
    val hash = START.clone()
    hash[0] = hash[0] xor 0x01010000 xor 4
    val words = LongArray(BLOCK / 8)
    var start = 0
    do {
        val end = min(start + BLOCK, bytes.size)
        val block = bytes.copyOfRange(start, end).copyOf(BLOCK)
        ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(words)
        compress(hash, words, end, end == bytes.size)
        start += BLOCK
    } while (start < bytes.size)
    return hash[0].toInt()
}

private fun compress(hash: LongArray, words: LongArray, length: Int, last: Boolean) {
    val v = hash + START
    v[12] = v[12] xor length.toLong()
    if (last) v[14] = v[14].inv()
    for (round in 0 until ROUNDS) {
        val sigma = SIGMA[round % SIGMA.size]
        MIXED.forEachIndexed { n, (a, b, c, d) ->
            v[a] += v[b] + words[sigma[2 * n]]
            v[d] = rotateRight(v[d] xor v[a], 32)
            v[c] += v[d]
            v[b] = rotateRight(v[b] xor v[c], 24)
            v[a] += v[b] + words[sigma[2 * n + 1]]
            v[d] = rotateRight(v[d] xor v[a], 16)
            v[c] += v[d]
            v[b] = rotateRight(v[b] xor v[c], 63)
        }
    }
    for (n in hash.indices) hash[n] = hash[n] xor v[n] xor v[n + 8]
}
