"""Warm-up requests: what TensorFlow Serving runs when it loads a model, before it answers anybody."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from export.kits.serving.files import predict_messages as messages
from tfvae import serving

PATH = "assets.extra/tf_serving_warmup_requests"  # within the SavedModel; Serving looks nowhere else
MOST_RECORDS = 1000  # Serving refuses to load a model with more
# A larger input is one number throughout, which takes a few bytes whatever the batch; kernels do not care.
MOST_BYTES = 4 * 1024


def write(saved_model: Path, name: str, model, size: tuple[int, int], batches: Iterable[int]) -> int:
    """Write the warm-up file into a SavedModel: a record for each signature and batch size.

    No image of the data set is in it: inputs are random numbers in [0, 1) with a fixed seed, or 0.5 throughout.

    Args:
        saved_model: The folder of the SavedModel.
        name: Under which Serving is to know the model.
        model: The `tfvae` model that is in it.
        size: Height and width of the images, where the model leaves them open.
        batches: Batch sizes.

    Returns:
        How many records the file has.

    Raises:
        ValueError: When there are more than Serving accepts.
    """
    records = list(_records(name, model, size, batches))
    if len(records) > MOST_RECORDS:
        raise ValueError(f"`batches` must make at most {MOST_RECORDS} records. Received: {len(records)} records")
    path = saved_model / PATH
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return len(records)


def read(saved_model: Path) -> list:
    """The requests of the warm-up file, in order, as `PredictRequest` messages."""
    records = tf.data.TFRecordDataset(str(saved_model / PATH)).as_numpy_iterator()
    return [messages.PredictionLog.FromString(record).predict_log.request for record in records]


def _records(name, model, size, batches):
    rng = np.random.default_rng(0)
    for batch in batches:
        table = serving.signatures(model, batch=batch, size=size)
        for signature, described in {**table, serving.SERVING_DEFAULT: table[model.default_endpoint]}.items():
            log = messages.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for tensor, (sides, _) in described.inputs.items():
                shape = tuple(side for side in sides if side is not None)  # none is open: batch and size are given
                if 4 * math.prod(shape) <= MOST_BYTES:
                    messages.write_tensor(request.inputs[tensor], rng.random(shape, np.float32))
                else:
                    messages.write_constant(request.inputs[tensor], shape, 0.5)
            yield log.SerializeToString(deterministic=True)
