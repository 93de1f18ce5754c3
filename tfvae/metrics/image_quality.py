"""PSNR, SSIM and MS-SSIM of each image of a batch, on float32 pixels in [0, 1], and luminance."""

import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601


def luminance(images):
    """`(b, h, w, 1)` float32 of grey or colour."""
    images = float32(images)
    return images if images.shape[-1] == 1 else ops.sum(images * ops.convert_to_tensor(LUMINANCE), -1, keepdims=True)


# Two identical images have an infinite PSNR, which would make any mean over images infinite: the mean squared error
# is not taken below 1e-10, so 100 dB is the highest value there is.
PSNR_CAP = 100.0
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first


def psnr(x, y):
    """Peak signal-to-noise ratio of each image, `-10 log10(mean((x - y)**2))`, at most `PSNR_CAP`.

    A published PSNR is the mean over images of this value, not the PSNR of the mean error.

    Args:
        x: Images in [0, 1], shape `(batch, height, width, channels)`.
        y: Images to compare with, same shape.

    Returns:
        Decibels, shape `(batch,)`, float32.
    """
    error = tf.cast(x, tf.float32) - tf.cast(y, tf.float32)
    mean_squared_error = tf.reduce_mean(tf.square(error), axis=(1, 2, 3))
    floor = 10.0 ** (-PSNR_CAP / 10.0)
    return -10.0 * tf.math.log(tf.maximum(mean_squared_error, floor)) / tf.math.log(10.0)


def ssim(x, y, window=None):
    """Structural similarity of each image: Gaussian window, sigma 1.5, population covariance, mean over channels.

    Equals `skimage.metrics.structural_similarity(..., gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=1)`. Below 11 pixels a side the window shrinks to `ssim_window`: such values compare with each other,
    not with those of larger images.

    Args:
        x: Images in [0, 1], shape `(batch, height, width, channels)`.
        y: Images to compare with, same shape.
        window: Side of the window in pixels; needed only where height or width is unknown while tracing.

    Returns:
        Similarity, 1 for identical images, shape `(batch,)`, float32.

    Reference:
        Wang, Bovik, Sheikh and Simoncelli (2004), https://doi.org/10.1109/TIP.2003.819861
    """
    if window is None:
        window = ssim_window(x.shape[1], x.shape[2])
    x, y = tf.cast(x, tf.float32), tf.cast(y, tf.float32)
    return tf.image.ssim(x, y, max_val=1.0, filter_size=window, filter_sigma=SSIM_SIGMA)


def ssim_window(height: int, width: int) -> int:
    """Side of the SSIM window for images of this size: 11, or the largest odd number of pixels that fits."""
    side = min(SSIM_WINDOW, height, width)
    return side if side % 2 else side - 1


def ms_ssim(x, y, scales=None, window=None):
    """Multi-scale structural similarity of each image: `product over scales s of cs_s ** w_s`, at the coarsest `ssim`.

    `cs` is the contrast-structure term of SSIM, negative values taken as 0; from scale to scale the images are halved
    by averaging. From 161 pixels a side on there are five scales with the weights of the paper, and the value equals
    TensorFlow's `tf.image.ssim_multiscale`, which fails below that. There, fewer scales are used, as many as the
    window of 11 pixels fits into, with the weights of the finest ones rescaled to the sum of 1; with a single scale
    it is SSIM with negative values taken as 0. Values of unlike scales do not compare: the number is part of the
    protocol.

    Args:
        x: Images in [0, 1], shape `(batch, height, width, channels)`.
        y: Images to compare with, same shape.
        scales: How many; needed only where height or width is unknown while tracing.
        window: Side of the window in pixels; likewise.

    Returns:
        Similarity, 1 for identical images, shape `(batch,)`, float32.

    Reference:
        Wang, Simoncelli and Bovik (2003), https://doi.org/10.1109/ACSSC.2003.1292216
    """
    if scales is None:
        scales = ms_ssim_scales(x.shape[1], x.shape[2])
    if window is None:
        window = ssim_window(x.shape[1], x.shape[2])
    weights = np.array(MS_SSIM_WEIGHTS[:scales])
    # Five weights of the paper sum to 1.0001: left as they are, as TensorFlow and the paper do.
    weights = weights if scales == len(MS_SSIM_WEIGHTS) else weights / weights.sum()
    x, y = tf.cast(x, tf.float32), tf.cast(y, tf.float32)
    return tf.image.ssim_multiscale(
        x, y, max_val=1.0, power_factors=weights.tolist(), filter_size=window, filter_sigma=SSIM_SIGMA
    )


def ms_ssim_scales(height: int, width: int) -> int:
    """How many scales MS-SSIM has for images of this size: each halves the sides, rounded up, and needs 11 pixels."""
    side, scales = min(height, width), 1
    while scales < len(MS_SSIM_WEIGHTS) and -(-side // 2) >= SSIM_WINDOW:
        side, scales = -(-side // 2), scales + 1
    return scales
