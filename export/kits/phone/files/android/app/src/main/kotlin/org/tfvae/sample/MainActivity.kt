package org.tfvae.sample

import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.os.Bundle
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.Spinner
import android.widget.TextView
import java.io.IOException
import java.util.Locale
import java.util.Random
import java.util.concurrent.Executors

/** A picture and what the model makes of it; and, of a model with a prior, pictures drawn from noise. */
class MainActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor() // models are not for several threads at a time
    private val toClose = ArrayDeque<AutoCloseable>() // what was opened last is closed first; for the worker only
    private lateinit var tensors: Tensors
    private lateinit var encoder: Model
    private lateinit var decoder: Model
    private lateinit var original: ImageView
    private lateinit var rebuilt: ImageView
    private lateinit var note: TextView
    private lateinit var labels: Spinner

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        original = ImageView(this).apply { adjustViewBounds = true }
        rebuilt = ImageView(this).apply { adjustViewBounds = true }
        note = TextView(this)
        labels = Spinner(this)
        tensors = Tensors.read(assets)
        labels.adapter = ArrayAdapter(this, android.R.layout.simple_spinner_dropdown_item, tensors.labels)
        val buttons = buildList {
            add(button("Open a picture") { choose() })
            if (tensors.hasPrior) add(button("Draw a new one") { draw() })
        }
        val column = LinearLayout(this).apply { orientation = LinearLayout.VERTICAL }
        val choice = if (tensors.labels.isEmpty()) emptyList() else listOf(labels)
        (buttons + choice + listOf(note, original, rebuilt)).forEach(column::addView)
        setContentView(column)
        worker.execute { start(buttons) }
    }

    private fun button(title: String, action: () -> Unit) = Button(this).apply {
        text = title
        isEnabled = false // until there are models to call
        setOnClickListener { action() }
    }

    private fun start(buttons: List<Button>) {
        try {
            val environment = startLiteRt(this).also(toClose::addFirst)
            encoder = Model.open(assets, ENCODER, tensors, environment).also(toClose::addFirst)
            decoder = Model.open(assets, DECODER, tensors, environment).also(toClose::addFirst)
        } catch (failure: Exception) { // of LiteRT, or of Google Play services
            runOnUiThread { note.text = "LiteRT did not start: ${failure.message}" }
            return
        }
        runOnUiThread {
            note.text = "encoder on the ${encoder.accelerator}, decoder on the ${decoder.accelerator}"
            buttons.forEach { it.isEnabled = true }
        }
    }

    private fun choose() {
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*")
        @Suppress("DEPRECATION") // the newer way needs a library of its own
        startActivityForResult(intent, CHOOSE)
    }

    @Deprecated("Deprecated in Java")
    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        super.onActivityResult(requestCode, resultCode, data)
        val place = data?.data
        if (requestCode != CHOOSE || resultCode != RESULT_OK || place == null) return
        worker.execute {
            val image = try {
                prepared(opened(contentResolver, place, tensors), tensors)
            } catch (failure: IOException) {
                runOnUiThread { note.text = "This picture cannot be read: ${failure.message}" }
                return@execute
            }
            show(image, encoder.run(mapOf("image" to image) + label()).getValue(tensors.code))
        }
    }

    private fun draw() = worker.execute {
        val random = Random()
        show(null, FloatArray(tensors.codeSize) { random.nextGaussian().toFloat() })
    }

    /** The input `labels` of a conditional model: the class that was chosen. */
    private fun label(): Map<String, FloatArray> {
        if (tensors.labels.isEmpty()) return emptyMap()
        val chosen = labels.selectedItemPosition
        return mapOf("labels" to FloatArray(tensors.labels.size) { if (it == chosen) 1f else 0f })
    }

    private fun show(image: FloatArray?, code: FloatArray) {
        val start = System.nanoTime()
        val decoded = decoder.run(mapOf("z" to code) + label()).getValue("image")
        val milliseconds = (System.nanoTime() - start) / 1e6
        val given: Bitmap? = image?.let { bitmap(it, tensors.file(ENCODER).inputs.first().shape, tensors) }
        val made = bitmap(decoded, tensors.file(DECODER).outputs.first().shape, tensors)
        runOnUiThread {
            original.setImageBitmap(given)
            rebuilt.setImageBitmap(made)
            note.text = String.format(Locale.US, "decoded in %.1f ms on the %s", milliseconds, decoder.accelerator)
        }
    }

    override fun onDestroy() {
        worker.execute { toClose.forEach(AutoCloseable::close) }
        worker.shutdown()
        super.onDestroy()
    }

    private companion object {
        const val CHOOSE = 1
        const val ENCODER = "encoder.tflite" // or encoder_int8.tflite: it is called alike
        const val DECODER = "decoder.tflite"
    }
}
