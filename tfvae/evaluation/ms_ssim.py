"""MS-SSIM of reconstructions."""

import numpy as np
import tensorflow as tf

from tfvae.evaluation.figures import Figure, mean_figure
from tfvae.evaluation.subject import Subject
from tfvae.metrics.image_quality import ms_ssim, ms_ssim_scales, ssim_window


def measure(subject: Subject) -> dict[str, Figure]:
    """`ms_ssim` of the reconstruction from the posterior mean (or the code) with the images the model saw."""
    step = tf.function(
        lambda model, x, scales, window: ms_ssim(x, model.reconstruction_for_metrics(x), scales, window),
        reduce_retracing=True,
    )
    values: list[np.ndarray] = []
    sizes: set[tuple[int, int]] = set()
    done = 0
    for x in subject.batches():
        scales, window = ms_ssim_scales(x.shape[1], x.shape[2]), ssim_window(x.shape[1], x.shape[2])
        values.append(np.asarray(step(subject.model, x, scales, window)))
        sizes.add((scales, window))
        done += x.shape[0]
        subject.progress("MS-SSIM", done, len(subject.images))
    protocol = {"scales": sorted({scales for scales, _ in sizes}), "window": sorted({window for _, window in sizes})}
    return {"ms_ssim": mean_figure(np.concatenate(values), "reconstructions, 1 is equal", protocol)}
