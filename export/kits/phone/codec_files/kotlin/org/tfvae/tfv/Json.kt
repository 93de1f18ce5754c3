package org.tfvae.tfv

/**
 * What JSON text says, as maps, lists, strings and whole numbers: enough for the settings in tfv.bin, whose strings
 * have no escapes. Android has `org.json`, and other machines that run Kotlin have not.
 */
internal fun json(text: String): Any = Json(text).value()

private class Json(private val text: String) {
    private var place = 0

    fun value(): Any = when (next()) {
        '{' -> each('}') { (string() to run { pass(':'); value() }) }.toMap()
        '[' -> each(']') { value() }
        '"' -> string()
        else -> matched(NUMBER).toInt()
    }

    private fun string() = matched(STRING).trim('"')

    private fun <T> each(close: Char, read: () -> T): List<T> {
        val found = ArrayList<T>()
        place++
        while (next() != close) {
            if (found.isNotEmpty()) pass(',')
            found += read()
        }
        place++
        return found
    }

    private fun next(): Char {
        while (text[place].isWhitespace()) place++
        return text[place]
    }

    private fun pass(expected: Char) {
        require(next() == expected) { "no $expected at ${text.substring(place)}" }
        place++
    }

    private fun matched(kind: Regex): String {
        next()
        val found = requireNotNull(kind.find(text, place)?.takeIf { it.range.first == place }) { text.substring(place) }
        place += found.value.length
        return found.value
    }

    private companion object {
        val STRING = Regex("\"[^\"\\\\]*\"")
        val NUMBER = Regex("-?\\d+")
    }
}
