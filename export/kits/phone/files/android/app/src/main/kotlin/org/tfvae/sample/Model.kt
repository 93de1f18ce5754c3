package org.tfvae.sample

import android.content.res.AssetManager
import android.util.Log
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.Environment
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer

/**
 * One `.tflite` file of the bundle, compiled once and called by its signature and the names of its tensors.
 *
 * Not safe for several threads at a time: the buffers are reused from call to call.
 *
 * @property accelerator what runs it
 */
class Model private constructor(
    private val file: FileTensors,
    private val compiled: CompiledModel,
    val accelerator: Accelerator,
) : AutoCloseable {
    private val inputs: Map<String, TensorBuffer> =
        file.inputs.associate { it.name to compiled.createInputBuffer(it.name, file.signature) }
    private val outputs: Map<String, TensorBuffer> =
        file.outputs.associate { it.name to compiled.createOutputBuffer(it.name, file.signature) }

    /** Outputs by name for inputs by name; every variant takes and gives float32, the int8 one included. */
    fun run(values: Map<String, FloatArray>): Map<String, FloatArray> {
        for (tensor in file.inputs) {
            val value = requireNotNull(values[tensor.name]) { "no value for the input ${tensor.name}" }
            require(value.size == tensor.size) { "${tensor.name}: ${value.size} numbers, not ${tensor.size}" }
            inputs.getValue(tensor.name).writeFloat(value)
        }
        compiled.run(inputs, outputs, file.signature)
        return outputs.mapValues { (_, buffer) -> buffer.readFloat() }
    }

    override fun close() {
        (inputs.values + outputs.values).forEach { it.close() }
        compiled.close()
    }

    companion object {
        /** The file on the GPU, or on the CPU where the GPU cannot run it. */
        fun open(assets: AssetManager, name: String, tensors: Tensors, environment: Environment): Model =
            try {
                compile(assets, name, tensors, environment, Accelerator.GPU)
            } catch (refusal: LiteRtException) {
                Log.i("tfvae", "$name: not on the GPU (${refusal.message}), so on the CPU")
                compile(assets, name, tensors, environment, Accelerator.CPU)
            }

        private fun compile(
            assets: AssetManager,
            name: String,
            tensors: Tensors,
            environment: Environment,
            accelerator: Accelerator,
        ): Model {
            val file = tensors.file(name)
            // One accelerator at a time: asked for both, LiteRT may take the CPU and not say so.
            val compiled = CompiledModel.create(assets, name, CompiledModel.Options(accelerator), environment)
            try {
                val model = Model(file, compiled, accelerator)
                // The first call is slow on a GPU, and some drivers refuse a model only now.
                model.run(file.inputs.associate { it.name to FloatArray(it.size) })
                return model
            } catch (refusal: LiteRtException) {
                compiled.close()
                throw refusal
            }
        }
    }
}
