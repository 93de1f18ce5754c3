package org.tfvae.tfv

import kotlin.math.max
import kotlin.math.min

// What is known of the latents before they are read: means, and the numbers of their tables.
//
// The integer hyper-decoder (tfvae/networks/integer_decoder.py) is exact: Python and every phone say the same.
// Weights are whole numbers of 16 bits, what they are multiplied with of 16, too, and a sum of a layer is below 2**42,
// which a Long holds.

internal const val FACTOR = 4 // latent places in one of the hyper-latents, in each direction
internal const val MEAN_BITS = 4
private const val WEIGHT_BITS = 10
private const val HIDDEN_BITS = 6
private const val INDEX_BITS = 3
private const val INPUT_MOST = (1 shl 15) - 1
private const val HIDDEN_MOST = (1L shl 14) - 1
private const val MEAN_MOST = (1L shl 15) - 1
private const val STRIP = 8 // rows of hyper-latents that are computed at once,
private const val HALO = 2 // and around them what they depend on

/** A 3×3 convolution: `kernel` `(3, 3, inputs, outputs)`. */
internal class Layer(val kernel: IntArray, val bias: IntArray) {
    val outputs = bias.size
    val inputs = kernel.size / outputs / 9
}

/** Means in sixteenths and numbers of tables, each `(rows, columns, latent_dim)`. */
internal class Prediction(val mean: ShortArray, val index: ByteArray)

/** The prediction of so many places by hyper-latents `(high, wide, hyper_dim)` and the whole part of the quality. */
internal fun predicted(model: Model, hyper: IntArray, quality: Int, rows: Int, columns: Int): Prediction {
    val (high, wide) = hyperPlaces(rows, columns)
    val dim = model.latentDim
    val bits = WEIGHT_BITS + HIDDEN_BITS
    val prediction = Prediction(ShortArray(rows * columns * dim), ByteArray(rows * columns * dim))
    for (start in 0 until high step STRIP) {
        val first = max(0, start - HALO)
        val end = min(high, start + STRIP + HALO)
        var height = end - first
        var width = wide
        val rowSize = wide * model.hyperDim
        var image = inputs(hyper.copyOfRange(first * rowSize, end * rowSize), model.hyperDim, quality)
        model.layers.dropLast(1).forEachIndexed { n, layer ->
            val total = convolved(image, height, width, layer)
            image = subPixels(total, height, width, layer.outputs / 4, WEIGHT_BITS - if (n == 0) HIDDEN_BITS else 0)
            height *= 2
            width *= 2
        }
        val last = model.layers.last()
        val total = convolved(image, height, width, last)
        for (row in FACTOR * start until min(rows, FACTOR * (start + STRIP))) {
            for (column in 0 until columns) {
                val from = ((row - FACTOR * first) * width + column) * last.outputs
                val to = (row * columns + column) * dim
                for (n in 0 until dim) {
                    val value = total[from + n] + quality.toLong() * model.slope[n]
                    val scale = total[from + dim + n] + quality.toLong() * model.slope[dim + n]
                    val mean = shifted(value, bits - MEAN_BITS).coerceIn(-MEAN_MOST, MEAN_MOST)
                    val index = shifted(scale, bits - INDEX_BITS).coerceIn(0L, model.scales - 1L)
                    prediction.mean[to + n] = mean.toShort()
                    prediction.index[to + n] = index.toByte()
                }
            }
        }
    }
    return prediction
}

/** Rows and columns of the hyper-latents of so many latent places. */
internal fun hyperPlaces(rows: Int, columns: Int) = (rows + FACTOR - 1) / FACTOR to (columns + FACTOR - 1) / FACTOR

/** Divided by a power of two, rounded to the nearest. */
private fun shifted(total: Long, bits: Int) = (total + (1L shl (bits - 1))) shr bits

/** Hyper-latents with the quality as one channel more. */
private fun inputs(hyper: IntArray, channels: Int, quality: Int): IntArray {
    var from = 0
    return IntArray(hyper.size / channels * (channels + 1)) {
        if (it % (channels + 1) == channels) quality else hyper[from++].coerceIn(-INPUT_MOST, INPUT_MOST)
    }
}

/** A 3×3 convolution with zeros around. */
private fun convolved(image: IntArray, height: Int, width: Int, layer: Layer): LongArray {
    val (inputs, outputs) = layer.inputs to layer.outputs
    val total = LongArray(height * width * outputs) { layer.bias[it % outputs].toLong() }
    for (y in 0 until height) {
        for (x in 0 until width) {
            val to = (y * width + x) * outputs
            for (row in max(0, y - 1) until min(height, y + 2)) {
                for (column in max(0, x - 1) until min(width, x + 2)) {
                    val tap = ((row - y + 1) * 3 + column - x + 1) * inputs
                    val place = (row * width + column) * inputs
                    for (n in 0 until inputs) {
                        val value = image[place + n].toLong()
                        if (value == 0L) continue // many are, after a ReLU
                        val from = (tap + n) * outputs
                        for (output in 0 until outputs) total[to + output] += value * layer.kernel[from + output]
                    }
                }
            }
        }
    }
    return total
}

/** A ReLU, rounded, and laid out as twice as many pixels in each direction. */
private fun subPixels(total: LongArray, height: Int, width: Int, channels: Int, bits: Int): IntArray {
    val image = IntArray(total.size)
    var from = 0
    for (y in 0 until height) {
        for (x in 0 until width) {
            for (part in 0 until 4) {
                val to = ((2 * y + part / 2) * 2 * width + 2 * x + part % 2) * channels
                for (n in 0 until channels) {
                    image[to + n] = shifted(total[from++], bits).coerceIn(0L, HIDDEN_MOST).toInt()
                }
            }
        }
    }
    return image
}
