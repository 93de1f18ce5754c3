"""From a SavedModel to `.tflite` files of builtin ops, in float32, float16 and int8."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvae.quiet import native_messages_held

# Which signature each file holds.
PARTS = {"encoder": "encode", "decoder": "decode", "autoencoder": "reconstruct"}

# float16: weights are stored in half precision, arithmetic is float32 (or half, where the phone's GPU chooses so).
# int8: weights (one scale per channel) and activations are 8-bit integers; the file takes and gives float32.
VARIANTS = ("float32", "float16", "int8")


def file_name(part: str, variant: str) -> str:
    """`decoder.tflite`, `decoder_float16.tflite`, `decoder_int8.tflite`."""
    return f"{part}.tflite" if variant == "float32" else f"{part}_{variant}.tflite"


def convert(
    saved_model: Path, signature: str, variant: str, calibration: Sequence[dict[str, np.ndarray]] = ()
) -> bytes:
    """The content of a `.tflite` file with one signature.

    Args:
        saved_model: SavedModel whose shapes are all fixed. With an open batch the converter leaves ops that it has
            no builtin for in nearest-neighbour up-sampling, and LiteRT's compiled runtimes refuse the file.
        signature: Name of the signature to convert.
        variant: One of `VARIANTS`.
        calibration: For int8: inputs by name, each with the batch dimension, from which the ranges of activations
            are taken.
    """
    with native_messages_held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "tf.lite.Interpreter is deprecated": the converter's own calibrator
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[signature])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if variant == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        elif variant == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            # Builtins in int8 only: an op without an integer kernel is an error, never a silent float island.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: ((signature, inputs) for inputs in calibration)
        elif variant != "float32":
            raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}. Received: {variant!r}")
        return converter.convert()
