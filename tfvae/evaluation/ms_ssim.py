"""MS-SSIM of reconstructions."""

import numpy as np
import tensorflow as tf

from tfvae.evaluation.context import EvaluationContext
from tfvae.evaluation.measurements import Measurement, mean_measurement
from tfvae.metrics.image_quality import ms_ssim, ms_ssim_scales, ssim_window


def measure(context: EvaluationContext) -> dict[str, Measurement]:
    """`ms_ssim` of the reconstruction from the posterior mean (or the code) with the images the model saw."""
    step = tf.function(
        lambda model, x, scales, window: ms_ssim(x, model.reconstruction_for_metrics(x), scales, window),
        reduce_retracing=True,
    )
    values: list[np.ndarray] = []
    sizes: set[tuple[int, int]] = set()
    done = 0
    for x in context.batches():
        scales, window = ms_ssim_scales(x.shape[1], x.shape[2]), ssim_window(x.shape[1], x.shape[2])
        values.append(np.asarray(step(context.model, x, scales, window)))
        sizes.add((scales, window))
        done += x.shape[0]
        context.progress("MS-SSIM", done, len(context.images))
    protocol = {"scales": sorted({scales for scales, _ in sizes}), "window": sorted({window for _, window in sizes})}
    return {"ms_ssim": mean_measurement(np.concatenate(values), "reconstructions, 1 is equal", protocol)}
