package org.tfvae.tfv

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.max
import kotlin.math.min

private const val PRECISION = 24
private const val WHOLE = 1 shl PRECISION // a probability is a frequency divided by it
private const val LONGEST = 16 // bits of a Huffman code
private const val MOST_RUN = 1 shl 12 // symbols of a run

/** Frequencies of the symbols -half … half, and last of the escape: "beyond these, and a number follows". */
internal class Table(val frequencies: IntArray, val half: Int) {
    /** The sum of the frequencies before each place, and of all. */
    val sums by lazy {
        IntArray(frequencies.size + 1).also { sums ->
            frequencies.forEachIndexed { place, frequency -> sums[place + 1] = sums[place] + frequency }
        }
    }

    /** How Huffman coding writes the places. */
    val codes by lazy { Codes(frequencies) }
}

/** Entropy decoders by integer tables: asymmetric numeral systems, and Huffman's codes. */
internal interface Coder {
    /** Fills `part` from `from` to `end` with the places of a table that come next. */
    fun read(table: Table, part: IntArray, from: Int, end: Int)

    /** Throws where not all was read. */
    fun end()
}

/**
 * Asymmetric numeral systems as the package `constriction` writes them: words of 32 bits, of which the last is read
 * first, and a state of 64 bits, as which a Long stands: its sign is a bit like the others.
 */
internal class Ans(bytes: ByteArray) : Coder {
    private val words = IntArray(bytes.size / 4)
    private var left = words.size
    private var state = 0L

    init {
        if (bytes.size % 4 != 0) throw damaged()
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(words)
        if (left > 0 && words.last() == 0) throw damaged()
        repeat(min(left, 2)) { refill() }
    }

    private fun refill() {
        state = (state shl 32) or (words[--left].toLong() and 0xffffffffL)
    }

    override fun read(table: Table, part: IntArray, from: Int, end: Int) {
        val sums = table.sums
        for (n in from until end) {
            val quantile = state.toInt() and (WHOLE - 1)
            var place = 0
            var beyond = table.frequencies.size
            while (beyond - place > 1) {
                val middle = (place + beyond) / 2
                if (sums[middle] > quantile) beyond = middle else place = middle
            }
            part[n] = place
            state = (state ushr PRECISION) * table.frequencies[place] + (quantile - sums[place])
            if (state ushr 32 == 0L && left > 0) refill()
        }
    }

    override fun end() {
        if (left != 0 || state != 0L) throw damaged()
    }
}

/** Canonical codes, of single places, and of runs of the likeliest one where it is likelier than all others. */
internal class Huffman(bytes: ByteArray) : Coder {
    private val length = bytes.size
    private val bytes = bytes.copyOf(length + 3) // zeros after the end
    private var bit = 0

    /** The next 16 bits. */
    private val window: Int
        get() {
            val three = (byte(0) shl 16) or (byte(1) shl 8) or byte(2)
            return (three shr (8 - bit % 8)) and ((1 shl LONGEST) - 1)
        }

    private fun byte(ahead: Int) = bytes[bit / 8 + ahead].toInt() and 255

    private fun one(code: PrefixCode): Int {
        if (bit >= 8 * length) throw damaged()
        val window = window
        var length = 1
        while (window >= code.limits[length]) length++
        bit += length
        return code.places[code.starts[length] + (window shr (LONGEST - length))]
    }

    override fun read(table: Table, part: IntArray, from: Int, end: Int) {
        val codes = table.codes
        var n = from
        while (n < end) {
            if (codes.runs != null) {
                val run = one(codes.runs)
                val after = min(n + run, end)
                part.fill(codes.frequent, n, after)
                n = after
                if (run == codes.longestRun || n == end) continue
            }
            part[n++] = one(codes.single)
        }
    }

    override fun end() {
        if ((bit + 7) / 8 != length || window != 0) throw damaged()
    }
}

internal val CODERS = mapOf("ans" to ::Ans, "huffman" to ::Huffman) // in the order of their numbers in a file

internal class Codes(frequencies: IntArray) {
    private val share = frequencies.fold(0, ::max)
    private val runLengths = if (2 * share > WHOLE) runLengths(share) else null
    val frequent = frequencies.indexOf(share)
    val longestRun = runLengths?.let { it.size - 1 }
    val runs = runLengths?.let(::PrefixCode)
    val single = PrefixCode(frequencies.clone().also { if (runs != null) it[frequent] = 1 })

    /** Frequencies of runs of so many, and of the longest, after which another follows. */
    private fun runLengths(share: Int): IntArray {
        val runs = ArrayList<Int>()
        var left = WHOLE
        while (runs.size < MOST_RUN && (2 * left > WHOLE || runs.isEmpty())) {
            val after = (left.toLong() * share / WHOLE).toInt()
            runs += max(1, left - after)
            left = after
        }
        return (runs + max(1, left)).toIntArray()
    }
}

/** A canonical code: `places` in the order of their codes, of which those of one length follow each other. */
internal class PrefixCode(frequencies: IntArray) {
    private val lengths = codeLengths(frequencies)
    val places = lengths.indices.sortedBy { lengths[it] }.toIntArray()
    val limits = IntArray(LONGEST + 1) // 16 bits below it begin with a code of at most that length
    val starts = IntArray(LONGEST + 1) // with a code of that length added: where its place stands

    init {
        var code = 0
        var before = 0
        for (length in 1..LONGEST) {
            val count = lengths.count { it == length }
            code *= 2
            starts[length] = before - code
            code += count
            before += count
            limits[length] = code shl (LONGEST - length)
        }
    }
}

private class Package(val weight: Int, val leaf: Boolean)

/** Lengths of the best prefix code of at most 16 bits, by package-merge; sorting is stable, as in Python. */
private fun codeLengths(frequencies: IntArray): IntArray {
    val order = frequencies.indices.sortedBy { frequencies[it] }
    val leaves = order.map { Package(frequencies[it], leaf = true) }
    val levels = mutableListOf(leaves)
    while (levels.size < LONGEST) {
        val pairs = levels.last().chunked(2).filter { it.size == 2 }.map { (one, other) ->
            Package(one.weight + other.weight, leaf = false)
        }
        levels += (leaves + pairs).sortedBy { it.weight }
    }
    val lengths = IntArray(frequencies.size)
    var taken = 2 * frequencies.size - 2
    for (level in levels.asReversed()) {
        val own = level.take(taken).count { it.leaf }
        for (place in order.take(own)) lengths[place]++ // the rarest so many have a bit at this level
        taken = 2 * (taken - own)
    }
    return lengths
}
