package org.tfvae.sample

import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.os.Bundle
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import java.util.Random
import java.util.concurrent.Executors

/** A picture and what the model makes of it; and, of a model with a prior, pictures drawn from noise. */
class MainActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor() // models are not for several threads at a time
    private lateinit var tensors: Tensors
    private lateinit var encoder: Model
    private lateinit var decoder: Model
    private lateinit var original: ImageView
    private lateinit var rebuilt: ImageView
    private lateinit var note: TextView

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        original = ImageView(this).apply { adjustViewBounds = true }
        rebuilt = ImageView(this).apply { adjustViewBounds = true }
        note = TextView(this)
        tensors = Tensors.read(assets)
        val column = LinearLayout(this).apply { orientation = LinearLayout.VERTICAL }
        column.addView(Button(this).apply { text = "Open a picture"; setOnClickListener { choose() } })
        if (tensors.hasPrior) {
            column.addView(Button(this).apply { text = "Draw a new one"; setOnClickListener { draw() } })
        }
        listOf(note, original, rebuilt).forEach(column::addView)
        setContentView(column)
        worker.execute {
            encoder = Model(assets, ENCODER, tensors)
            decoder = Model(assets, DECODER, tensors)
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
            val picture = contentResolver.openInputStream(place)?.use(BitmapFactory::decodeStream)
            if (picture == null) {
                runOnUiThread { note.text = "This picture cannot be read." }
                return@execute
            }
            val image = prepared(picture, tensors)
            show(image, encoder.run(mapOf("image" to image)).getValue(tensors.code))
        }
    }

    private fun draw() = worker.execute {
        val random = Random()
        show(null, FloatArray(tensors.codeSize) { random.nextGaussian().toFloat() })
    }

    private fun show(image: FloatArray?, code: FloatArray) {
        val start = System.nanoTime()
        val decoded = decoder.run(mapOf("z" to code)).getValue("image")
        val milliseconds = (System.nanoTime() - start) / 1e6
        val given: Bitmap? = image?.let { bitmap(it, tensors.file(ENCODER).inputs.first().shape, tensors) }
        val made = bitmap(decoded, tensors.file(DECODER).outputs.first().shape, tensors)
        runOnUiThread {
            original.setImageBitmap(given)
            rebuilt.setImageBitmap(made)
            note.text = String.format("decoded in %.1f ms", milliseconds)
        }
    }

    override fun onDestroy() {
        worker.execute {
            encoder.close()
            decoder.close()
        }
        worker.shutdown()
        super.onDestroy()
    }

    private companion object {
        const val CHOOSE = 1
        const val ENCODER = "encoder.tflite" // or encoder_int8.tflite: it is called alike
        const val DECODER = "decoder.tflite"
    }
}
