package org.tfvae.sample

import android.content.res.AssetManager
import org.json.JSONArray
import org.json.JSONObject

/** What `tensors.json` says about the bundle: sizes, names and signatures, so that none of them is written in code. */
class Tensors(text: String) {
    private val json = JSONObject(text)

    val height = json.getJSONArray("image").getInt(0)
    val width = json.getJSONArray("image").getInt(1)
    val channels = json.getJSONArray("image").getInt(2)

    /** The encoder's output that is a code: `mean` of a VAE, `code` of an autoencoder. */
    val code: String = json.getString("code")
    val codeSize = json.getJSONArray("code_shape").ints().fold(1, Int::times)
    val hasPrior = json.getBoolean("has_prior")

    /** The classes of a conditional model, which also takes `labels`: 1 at the wanted one, 0 elsewhere. */
    val labels: List<String> = json.getJSONArray("labels").let { names -> (0 until names.length()).map(names::getString) }

    fun file(name: String): FileTensors {
        val entry = json.getJSONObject("files").getJSONObject(name)
        return FileTensors(
            signature = entry.getString("signature"),
            inputs = entry.getJSONArray("inputs").tensors(),
            outputs = entry.getJSONArray("outputs").tensors(),
        )
    }

    companion object {
        fun read(assets: AssetManager): Tensors =
            Tensors(assets.open("tensors.json").bufferedReader().use { it.readText() })
    }
}

class FileTensors(val signature: String, val inputs: List<Tensor>, val outputs: List<Tensor>)

class Tensor(val name: String, val shape: List<Int>) {
    val size = shape.fold(1, Int::times)
}

private fun JSONArray.ints(): List<Int> = (0 until length()).map { getInt(it) }

private fun JSONArray.tensors(): List<Tensor> = (0 until length()).map { index ->
    val entry = getJSONObject(index)
    Tensor(entry.getString("name"), entry.getJSONArray("shape").ints())
}
