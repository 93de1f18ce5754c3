package org.tfvae.sample

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.TensorBuffer

/**
 * One `.tflite` file of the bundle, compiled once and called by its signature and the names of its tensors.
 *
 * Not safe for several threads at a time: the buffers are reused from call to call.
 */
class Model(assets: AssetManager, name: String, tensors: Tensors, accelerator: Accelerator = Accelerator.CPU) :
    AutoCloseable {
    private val file = tensors.file(name)
    private val model = CompiledModel.create(assets, name, CompiledModel.Options(accelerator))
    private val inputs: Map<String, TensorBuffer> =
        file.inputs.associate { it.name to model.createInputBuffer(it.name, file.signature) }
    private val outputs: Map<String, TensorBuffer> =
        file.outputs.associate { it.name to model.createOutputBuffer(it.name, file.signature) }

    /** Outputs by name for inputs by name; every variant takes and gives float32, the int8 one included. */
    fun run(values: Map<String, FloatArray>): Map<String, FloatArray> {
        for (tensor in file.inputs) {
            val value = requireNotNull(values[tensor.name]) { "no value for the input ${tensor.name}" }
            require(value.size == tensor.size) { "${tensor.name}: ${value.size} numbers, not ${tensor.size}" }
            inputs.getValue(tensor.name).writeFloat(value)
        }
        model.run(inputs, outputs, file.signature)
        return outputs.mapValues { (_, buffer) -> buffer.readFloat() }
    }

    override fun close() {
        (inputs.values + outputs.values).forEach { it.close() }
        model.close()
    }
}
