"""PSNR and SSIM of each image of a batch, on float32 pixels in [0, 1]."""

import tensorflow as tf

# Two identical images have an infinite PSNR, which would make any mean over images infinite: the mean squared error
# is not taken below 1e-10, so 100 dB is the highest value there is.
PSNR_CAP = 100.0

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


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
