"""From a SavedModel to `.tflite` files of builtin ops, in float32, float16, with a dynamic range, and in int8."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvae.quiet import native_messages_held

# Which signature each file holds.
PARTS = {"encoder": "encode", "decoder": "decode", "autoencoder": "reconstruct"}

# float16: weights are stored in half precision, arithmetic is float32 (or half, where the phone's GPU chooses so).
# dynamic_range: weights are 8-bit integers; activations are float32, and quantised for each call where a kernel gains.
# int8: weights (one scale per channel) and activations are 8-bit integers; the file takes and gives float32.
VARIANTS = ("float32", "float16", "dynamic_range", "int8")

# Files whose batch is open, for the classic interpreter of phones; those beside it take one image a call, which
# LiteRT's compiled runtimes and browsers want.
OPEN_BATCH = "open_batch"


def file_name(part: str, variant: str, open_batch: bool = False) -> str:
    """`decoder.tflite`, `decoder_int8.tflite`; in the folder `open_batch` where the batch is open."""
    name = f"{part}.tflite" if variant == "float32" else f"{part}_{variant}.tflite"
    return f"{OPEN_BATCH}/{name}" if open_batch else name


def convert(
    saved_model: Path, signature: str, variant: str, calibration: Sequence[dict[str, np.ndarray]] = ()
) -> bytes:
    """The content of a `.tflite` file with one signature.

    Args:
        saved_model: SavedModel whose height and width are fixed, and whose batch is one or open.
        signature: Name of the signature to convert.
        variant: One of `VARIANTS`.
        calibration: For int8: inputs by name, each with the batch dimension, from which the ranges of activations
            are taken.
    """
    with native_messages_held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "tf.lite.Interpreter is deprecated": the converter's own calibrator
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[signature])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if variant not in VARIANTS:
            raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}. Received: {variant!r}")
        if variant != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if variant == "float16":
            converter.target_spec.supported_types = [tf.float16]
        elif variant == "int8":
            # Builtins in int8 only: an op without an integer kernel is an error, never a silent float island.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: ((signature, inputs) for inputs in calibration)
        return converter.convert()
