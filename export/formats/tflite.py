"""From a SavedModel to `.tflite` files of builtin ops, in float32, float16, with a dynamic range, and in int8."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfvae.endpoint import VARIANTS
from tfvae.serving import signatures, tflite_content

__all__ = ["OPEN_BATCH", "VARIANTS", "convert", "draws_by_decoding_noise", "file_name"]

# Files whose batch is open, for the classic interpreter of phones; those beside it take one image a call, which
# LiteRT's compiled runtimes and browsers want.
OPEN_BATCH = "open_batch"


def draws_by_decoding_noise(model) -> bool:
    """Whether standard normal noise is a code drawn from the prior, so that drawing needs no file of its own."""
    generate = signatures(model).get("generate")
    return generate is not None and not generate.endpoint.file


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
    return tflite_content(saved_model, [signature], variant, [(signature, inputs) for inputs in calibration])
