package org.tfvae.tfv

import java.io.File
import java.util.Base64

/**
 * Answers a line for each line that asks: `read`, `show` or `hash`, and the bytes of a file in base64.
 *
 * Arguments: tfv.bin, and the rows and columns of the code that decoder.tflite takes. While a picture is computed, each
 * call of decoder.tflite is a line of its own, which is answered by a line of numbers.
 */
fun main(arguments: Array<String>) {
    val asked = System.`in`.bufferedReader()
    val model = readModel(File(arguments[0]).readBytes())
    val synthesis = Synthesis(model, arguments[1].toInt(), arguments[2].toInt()) { inputs ->
        say(inputs.mapValues { (_, values) -> values.toList() })
        mapOf("image" to asked.readLine().split(" ").map(String::toFloat).toFloatArray())
    }
    asked.forEachLine { line ->
        val (command, text) = line.split(" ")
        val content = Base64.getDecoder().decode(text)
        try {
            say(
                when (command) {
                    "read" -> told(decode(content, model))
                    "show" -> mapOf("pixels" to synthesis.picture(decode(content, model)).toList())
                    "hash" -> mapOf("hash" to blake2b(content))
                    else -> error(command)
                }
            )
        } catch (refusal: UnreadableException) {
            say(mapOf("refused" to refusal.message))
        }
    }
}

private fun told(decoded: Decoded) = mapOf(
    "header" to decoded.header.run {
        mapOf("height" to height, "width" to width, "channels" to channels, "quality" to quality, "coder" to coder)
    },
    "parts" to decoded.parts.map {
        val prediction = mapOf("mean" to it.mean.toList(), "index" to it.index.toList())
        mapOf("hyper" to it.hyper.toList(), "symbols" to it.symbols.toList()) + prediction
    }
)

private fun say(value: Any?) = println(text(value))

private fun text(value: Any?): String = when (value) {
    is Map<*, *> -> value.entries.joinToString(",", "{", "}") { (name, each) -> "\"$name\":${text(each)}" }
    is List<*> -> value.joinToString(",", "[", "]", transform = ::text)
    is String -> "\"" + value.replace("\"", "\\\"") + "\""
    else -> value.toString()
}
