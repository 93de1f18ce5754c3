package org.tfvae.tfv

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.DataFormatException
import java.util.zip.Inflater
import kotlin.math.min

// Reads `.tfv` files: from their bytes to the code that decoder.tflite makes a picture of. No dependency.
//
// What is read is what Python reads, bit for bit; HyperDecoder.kt and Coders.kt say why. The container is described in
// tfvae/applications/compression/container.py.

private const val MAGIC = "TFV"
private const val VERSION = "1"
private const val HEAD = 12 // bytes before the flags
private val KEPT = listOf("alpha", "exif", "icc", "xmp", "dpi") // in the order of their flags and of the file
private const val TENTHS = 10
private const val MOST_SIDE = 1 shl 20
private const val MOST_PIXELS = 256_000_000
private const val TILE = 64 // latent places: the side of what is read by itself
private const val MOST_SYMBOL = 1 shl 20

/**
 * A model's tables and integer hyper-decoder.
 *
 * @property factor pixels of a latent place, in each direction
 * @property margin latent places around those of a pixel that it depends on
 */
class Model internal constructor(
    val digest: String,
    val channels: Int,
    val factor: Int,
    val margin: Int,
    val latentDim: Int,
    internal val hyperDim: Int,
    internal val tables: List<Table>,
    internal val layers: List<Layer>,
    internal val slope: IntArray
) {
    internal val scales = tables.size - hyperDim
}

/** What the bytes of tfv.bin say of a model: export/formats/tfv_tables.py says how. */
fun readModel(content: ByteArray): Model {
    val buffer = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    val length = buffer.getInt(4)
    val settings = json(String(content, 8, length, Charsets.UTF_8)) as Map<*, *>
    require(settings["version"] == 1) { "tfv.bin is of another version than this decoder." }
    buffer.position(8 + length)
    val arrays = (settings["arrays"] as List<*>).map { it as Map<*, *> }.associate { array ->
        val count = (array["shape"] as List<*>).fold(1) { product, side -> product * side as Int }
        val short = array["type"] == "int16"
        array["name"] as String to IntArray(count) { if (short) buffer.short.toInt() else buffer.int }
    }
    fun tables(source: IntArray, halves: IntArray): List<Table> {
        var place = 0
        return halves.map { half ->
            val start = place
            place += 2 * half + 2
            Table(source.copyOfRange(start, place), half)
        }
    }
    fun array(name: String) = arrays.getValue(name)
    fun number(name: String) = settings[name] as Int
    val hyperDim = number("hyper_dim")
    return Model(
        digest = settings["digest"] as String,
        channels = number("channels"),
        factor = number("factor"),
        margin = number("margin"),
        latentDim = number("latent_dim"),
        hyperDim = hyperDim,
        tables = tables(array("hyper_tables"), IntArray(hyperDim) { number("reach") }) +
            tables(array("normal_tables"), array("half_widths")),
        layers = List(3) { Layer(array("kernel_$it"), array("bias_$it")) },
        slope = array("slope")
    )
}

/**
 * What a file says of its picture.
 *
 * @property digest of the model that wrote it
 * @property quality 0 … 100
 * @property kept the bytes of alpha ([alphaOf] reads it), EXIF, colour profile, XMP and resolution, where it has them
 */
class Header internal constructor(
    val digest: String,
    val coder: String,
    val height: Int,
    val width: Int,
    val channels: Int,
    val quality: Float,
    val kept: Map<String, ByteArray>
)

/** What a file says, which costs nothing; throws an [UnreadableException] where it is none, or was changed. */
fun readHeader(content: ByteArray): Header = opened(content).first

/** The header, and a reader of the rest. The checksum comes first. */
private fun opened(content: ByteArray): Pair<Header, Reader> {
    fun text(from: Int, end: Int) = String(content.copyOf(HEAD), from, end - from, Charsets.ISO_8859_1)
    if (text(0, 3) != MAGIC) throw UnreadableException("not a compressed picture of tfvae (.tfv)")
    if (text(3, 4) != VERSION) {
        val found = text(3, 4).replace(Regex("\\p{C}"), "?")
        throw UnreadableException("is of version \"$found\" of the format, and this app reads version \"$VERSION\"")
    }
    val head = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    if (content.size < HEAD || checksum(content) != head.getInt(8)) {
        throw UnreadableException("is damaged or cut short: its checksum is another")
    }
    val reader = Reader(content)
    reader.take(HEAD)
    val flags = reader.take(1)[0].toInt() and 255
    val (height, width) = List(2) { reader.varint(MOST_SIDE) }
    val channels = reader.varint(3)
    val tenths = reader.varint(100 * TENTHS)
    val pixels = height.toLong() * width
    if (flags shr (1 + KEPT.size) != 0 || channels !in setOf(1, 3) || pixels !in 1..MOST_PIXELS) throw damaged()
    val kept = KEPT.filterIndexed { place, _ -> flags and (2 shl place) != 0 }
        .associateWith { reader.take(reader.varint(reader.left)) }
    val digest = content.slice(4 until 8).joinToString("") { "%02x".format(it) }
    val coder = CODERS.keys.elementAt(flags and 1)
    return Header(digest, coder, height, width, channels, tenths / TENTHS.toFloat(), kept) to reader
}

/** Of all bytes but its own. */
private fun checksum(content: ByteArray) = blake2b(content.copyOf(8) + content.copyOfRange(HEAD, content.size))

/** Of one view of a picture: its symbols, and what predicts them; all but `hyper` `(rows, columns, latent_dim)`. */
class Part internal constructor(
    val hyper: IntArray,
    val symbols: IntArray,
    val mean: ShortArray,
    val index: ByteArray
)

/** A file that was read: `rows` and `columns` of latent places, and a part for each view of the picture. */
class Decoded internal constructor(val header: Header, val rows: Int, val columns: Int, val parts: List<Part>)

/**
 * The symbols of a file and what predicts them.
 *
 * Throws an [UnreadableException] for what is no file of this model, or was changed.
 */
fun decode(content: ByteArray, model: Model): Decoded {
    val (header, reader) = opened(content)
    if (header.digest != model.digest) {
        throw UnreadableException("was written by another model (digest ${header.digest}; this one is ${model.digest})")
    }
    val (rows, columns) = listOf(header.height, header.width).map { (it + model.factor - 1) / model.factor }
    val (high, wide) = hyperPlaces(rows, columns)
    // A picture of three channels is three pictures to a model of one.
    val views = if (model.channels == 1) header.channels else 1
    val count = views * (1 + (rows + TILE - 1) / TILE * ((columns + TILE - 1) / TILE))
    if (count > reader.left) throw damaged() // a length is a byte at least
    val lengths = List(count) { reader.varint(reader.left) }
    if (lengths.map(Int::toLong).sum() != reader.left.toLong()) throw damaged()
    val next = lengths.iterator()
    fun symbols(groups: List<Group>) = readSymbols(reader.take(next.next()), groups, header.coder)
    val parts = List(views) {
        val channels = model.tables.take(model.hyperDim).map { Group(it, high * wide) }
        val hyper = interleaved(symbols(channels), model.hyperDim)
        val prediction = predicted(model, hyper, header.quality.toInt(), rows, columns)
        val found = IntArray(prediction.mean.size)
        for (top in 0 until rows step TILE) {
            for (left in 0 until columns step TILE) {
                val tile = Tile(top, left, min(top + TILE, rows), min(left + TILE, columns))
                val (places, groups) = grouped(prediction.index, tile, columns, model)
                symbols(groups).forEachIndexed { n, symbol -> found[places[n]] = symbol }
            }
        }
        Part(hyper, found, prediction.mean, prediction.index)
    }
    return Decoded(header, rows, columns, parts)
}

/** The code of a part, `(rows, columns, latent_dim)`: a mean is a multiple of a sixteenth, so the sum is exact. */
fun codeOf(part: Part): FloatArray {
    val unit = 1f / (1 shl MEAN_BITS)
    return FloatArray(part.symbols.size) { part.symbols[it] + unit * part.mean[it] }
}

/** The opacity of each pixel, bytes; null where all is opaque. */
fun alphaOf(header: Header): ByteArray? {
    val content = header.kept["alpha"] ?: return null
    val alpha = ByteArray(header.height * header.width)
    val inflater = Inflater()
    try {
        inflater.setInput(content)
        var place = 0
        while (place < alpha.size) {
            val read = inflater.inflate(alpha, place, alpha.size - place)
            if (read == 0) throw damaged() // it ends, or asks for what there is not
            place += read
        }
        // The end, and nothing behind it.
        if (inflater.inflate(ByteArray(1)) != 0 || !inflater.finished() || inflater.remaining != 0) throw damaged()
        return alpha
    } catch (error: DataFormatException) {
        throw damaged()
    } finally {
        inflater.end()
    }
}

/** From one channel after the other to the channels of one place after the other. */
private fun interleaved(values: IntArray, channels: Int): IntArray {
    val count = values.size / channels
    return IntArray(values.size) { values[it % channels * count + it / channels] }
}

private class Tile(val top: Int, val left: Int, val bottom: Int, val right: Int) {
    inline fun each(columns: Int, dim: Int, visit: (Int) -> Unit) {
        for (row in top until bottom) {
            for (n in (row * columns + left) * dim until (row * columns + right) * dim) visit(n)
        }
    }
}

/** So many symbols of a table. */
private class Group(val table: Table, val count: Int)

/** Where in the map the symbols of a tile lie, table after table, in each in order; and how many each table has. */
private fun grouped(index: ByteArray, tile: Tile, columns: Int, model: Model): Pair<IntArray, List<Group>> {
    val counts = IntArray(model.scales)
    tile.each(columns, model.latentDim) { n -> counts[index[n].toInt()]++ }
    var start = 0
    val free = IntArray(model.scales) { table -> start.also { start += counts[table] } }
    val places = IntArray(start)
    tile.each(columns, model.latentDim) { n -> places[free[index[n].toInt()]++] = n }
    return places to counts.mapIndexed { table, count -> Group(model.tables[model.hyperDim + table], count) }
}

/** The symbols of a stream, of each group in order. */
private fun readSymbols(stream: ByteArray, groups: List<Group>, coder: String): IntArray {
    val reader = Reader(stream)
    val escapes = Reader(reader.take(reader.varint(reader.left)))
    val source = CODERS.getValue(coder)(reader.take(reader.left))
    val symbols = IntArray(groups.fold(0) { sum, group -> sum + group.count })
    var start = 0
    for (group in groups) {
        val half = group.table.half
        val end = start + group.count
        source.read(group.table, symbols, start, end)
        for (n in start until end) {
            val place = symbols[n]
            symbols[n] = if (place > 2 * half) escaped(escapes.varint(2 * MOST_SYMBOL), half) else place - half
        }
        start = end
    }
    source.end()
    if (escapes.left != 0) throw damaged()
    return symbols
}

/** A symbol beyond its table: the lowest bit is its sign. */
private fun escaped(value: Int, half: Int) = (if (value and 1 == 1) -1 else 1) * (half + 1 + value / 2)
