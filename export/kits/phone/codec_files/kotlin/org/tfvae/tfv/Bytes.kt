package org.tfvae.tfv

import java.io.IOException

/** A file that is not shown; the message is the reason, in a line. */
class UnreadableException(message: String) : IOException(message)

internal fun damaged() = UnreadableException("a compressed picture that is cut short or damaged")

/** Reads bytes from their beginning. Throws an [UnreadableException] where there are fewer than are asked for. */
internal class Reader(private val content: ByteArray) {
    private var place = 0

    val left get() = content.size - place

    fun take(count: Int): ByteArray {
        if (count > left) throw damaged()
        place += count
        return content.copyOfRange(place - count, place)
    }

    /** A number of at most `most`: seven bits a byte, the lowest first; the highest bit says that more follow. */
    fun varint(most: Int): Int {
        var value = 0L
        var shift = 0
        while (true) {
            val byte = take(1)[0].toInt()
            val bits = (byte and 127).toLong()
            if (shift > 63 || bits > (most - value) shr shift) throw damaged()
            value += bits shl shift
            if (byte >= 0) return value.toInt()
            shift += 7
        }
    }
}
