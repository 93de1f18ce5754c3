package org.tfvae.sample

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.Color
import android.graphics.ImageDecoder
import android.net.Uri
import kotlin.math.max
import kotlin.math.min
import kotlin.math.roundToInt

private const val MOST_PIXELS = 4_000_000L // 16 MB; a photograph of 200 megapixels would be 800

/** The picture at `place`, upright as its EXIF data say, decoded small; throws `IOException` if it cannot be read. */
fun opened(resolver: ContentResolver, place: Uri, tensors: Tensors): Bitmap =
    ImageDecoder.decodeBitmap(ImageDecoder.createSource(resolver, place)) { decoder, info, _ ->
        decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE // the pixels of a bitmap in graphics memory cannot be read
        decoder.setTargetSampleSize(sampleSize(info.size.width, info.size.height, max(tensors.height, tensors.width)))
    }

/**
 * Of how many pixels a side one is decoded: a power of two, at which JPEG decoders average.
 *
 * It grows until at most [MOST_PIXELS] are left, as long as the model's `side` is.
 */
internal fun sampleSize(width: Int, height: Int, side: Int): Int {
    var sample = 1
    while (width.toLong() * height / (sample * sample) > MOST_PIXELS && min(width, height) >= 2 * sample * side) {
        sample *= 2
    }
    return sample
}

/** The input `image`: scaled to cover height x width, centre-cropped, on white, 0 … 1, rows from the top, channels last. */
fun prepared(picture: Bitmap, tensors: Tensors): FloatArray {
    val (height, width) = tensors.height to tensors.width
    var scaled = picture
    // Bilinear scaling looks at two pixels a side only: halve first, so that no pixel is passed over.
    while (scaled.width >= 2 * width && scaled.height >= 2 * height) {
        scaled = Bitmap.createScaledBitmap(scaled, scaled.width / 2, scaled.height / 2, true)
    }
    val scale = max(height / scaled.height.toFloat(), width / scaled.width.toFloat())
    val cover = max(width, (scale * scaled.width).roundToInt()) to max(height, (scale * scaled.height).roundToInt())
    scaled = Bitmap.createScaledBitmap(scaled, cover.first, cover.second, true)
    val pixels = IntArray(height * width)
    scaled.getPixels(pixels, 0, width, (cover.first - width) / 2, (cover.second - height) / 2, width, height)
    val values = FloatArray(pixels.size * tensors.channels)
    pixels.forEachIndexed { index, pixel ->
        val alpha = Color.alpha(pixel) / 255f // on white, as in training
        val rgb = listOf(Color.red(pixel), Color.green(pixel), Color.blue(pixel)).map { 1 - alpha * (1 - it / 255f) }
        if (tensors.channels == 1) {
            values[index] = 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2] // ITU-R BT.601, as Pillow's "L"
        } else {
            rgb.forEachIndexed { channel, value -> values[3 * index + channel] = value }
        }
    }
    return values
}

/** A bitmap of the decoder's `image`; what it has beyond height x width is padding. */
fun bitmap(image: FloatArray, shape: List<Int>, tensors: Tensors): Bitmap {
    val (rowLength, channels) = shape[2] to shape[3]
    val pixels = IntArray(tensors.height * tensors.width) { index ->
        val place = ((index / tensors.width) * rowLength + index % tensors.width) * channels
        val levels = IntArray(3) { (255 * image[place + if (channels == 1) 0 else it]).roundToInt().coerceIn(0, 255) }
        Color.rgb(levels[0], levels[1], levels[2])
    }
    return Bitmap.createBitmap(pixels, tensors.width, tensors.height, Bitmap.Config.ARGB_8888)
}
