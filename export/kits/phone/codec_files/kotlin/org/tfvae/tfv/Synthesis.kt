package org.tfvae.tfv

import kotlin.math.max
import kotlin.math.min
import kotlin.math.roundToInt

/**
 * From codes to pixels by decoder.tflite, which takes one size: tile by tile, and the tiles give what the whole would.
 *
 * @param high rows of the code that the decoder takes
 * @param wide columns of it
 * @param run one call of decoder.tflite: outputs by name for inputs by name
 */
class Synthesis(
    private val model: Model,
    private val high: Int,
    private val wide: Int,
    private val run: (Map<String, FloatArray>) -> Map<String, FloatArray>
) {
    /** Pixels of a file that was read, 0xAARRGGBB, as a Bitmap has them. `progress` is told tiles done, and all. */
    fun picture(decoded: Decoded, progress: (Int, Int) -> Unit = { _, _ -> }): IntArray {
        val header = decoded.header
        val views = decoded.parts.mapIndexed { n, part ->
            view(decoded, codeOf(part)) { done, all -> progress(n * all + done, decoded.parts.size * all) }
        }
        val alpha = alphaOf(header)
        // Each channel by itself, by a model of grey pictures; the mean, of a grey picture by a model of colours.
        fun byte(view: Int, place: Int) = views[view][place].toInt() and 255
        fun level(place: Int, channel: Int) = when {
            model.channels == 1 -> byte(if (header.channels == 1) 0 else channel, place)
            header.channels == 1 -> (byte(0, 3 * place) + byte(0, 3 * place + 1) + byte(0, 3 * place + 2) + 1) / 3
            else -> byte(0, 3 * place + channel)
        }
        return IntArray(header.height * header.width) {
            val opacity = if (alpha == null) 255 else alpha[it].toInt()
            (opacity shl 24) or (level(it, 0) shl 16) or (level(it, 1) shl 8) or level(it, 2)
        }
    }

    /** Bytes `(height, width, channels of the model)` of one code `(rows, columns, latent_dim)`. */
    private fun view(decoded: Decoded, code: FloatArray, progress: (Int, Int) -> Unit): ByteArray {
        val (height, width) = decoded.header.height to decoded.header.width
        val (factor, channels) = model.factor to model.channels
        val pixels = ByteArray(height * width * channels)
        val down = spans(decoded.rows, high, model.margin)
        val across = spans(decoded.columns, wide, model.margin)
        down.forEachIndexed { n, row ->
            across.forEachIndexed { m, column ->
                progress(n * across.size + m, down.size * across.size)
                val image = tile(decoded, code, row.start, column.start)
                val (left, right) = factor * column.begin to min(factor * column.end, width)
                for (y in factor * row.begin until min(factor * row.end, height)) {
                    val from = ((y - factor * row.start) * factor * wide + left - factor * column.start) * channels
                    val to = (y * width + left) * channels
                    for (k in 0 until (right - left) * channels) {
                        pixels[to + k] = (255 * image[from + k]).roundToInt().coerceIn(0, 255).toByte()
                    }
                }
            }
        }
        return pixels
    }

    /** Pixels in [0, 1] of the part of a code that begins there; what is beyond the picture means nothing. */
    private fun tile(decoded: Decoded, code: FloatArray, top: Int, left: Int): FloatArray {
        val dim = model.latentDim
        val z = FloatArray(high * wide * dim)
        val inside = FloatArray(high * wide)
        val across = min(wide, decoded.columns - left)
        for (row in 0 until min(high, decoded.rows - top)) {
            val from = ((top + row) * decoded.columns + left) * dim
            System.arraycopy(code, from, z, row * wide * dim, across * dim)
            inside.fill(1f, row * wide, row * wide + across)
        }
        val inputs = mapOf("z" to z, "quality" to floatArrayOf(decoded.header.quality), "inside" to inside)
        return run(inputs).getValue("image")
    }
}

/** A tile along an axis: where it starts, and from which place to which it is right: not near to a cut. */
internal class Span(val start: Int, val begin: Int, val end: Int)

internal fun spans(length: Int, side: Int, margin: Int): List<Span> {
    require(length <= side || side > 2 * margin) { "$side places a side are too few: $margin at each cut are wrong" }
    val found = ArrayList<Span>()
    var begin = 0
    while (begin < length) {
        val start = max(0, begin - margin)
        found += Span(start, begin, if (start + side >= length) length else start + side - margin)
        begin = found.last().end
    }
    return found
}
