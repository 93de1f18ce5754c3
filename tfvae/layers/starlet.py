"""The isotropic undecimated wavelet transform (starlet) of pictures, and noise of a given strength in each octave.

Reference:
    Starck, Fadili and Murtagh (2007), The undecimated wavelet decomposition and its reconstruction,
    https://doi.org/10.1109/TIP.2006.887733
"""

import itertools

import numpy as np
import tensorflow as tf

SCALES = 4  # octaves; what is coarser than the last is one band
TAPS = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16  # the cubic B-spline
RADIUS = 2 * (2**SCALES - 1)  # pixels


def starlet(images, scales=SCALES):
    """Bands of `images`, fine to coarse, whose sum is the images: `w_j = c_j - c_(j+1)`, then the smooth rest.

    `c_0` is the picture and `c_(j+1)` is `c_j` smoothed by the B-spline with `2**j - 1` zeros between its taps. Beyond
    the border there is nothing.

    Args:
        images: `(b, h, w, c)`, float32.
        scales: Octaves.

    Returns:
        `scales + 1` maps of the same shape.
    """
    bands, smooth = [], images
    for scale in range(scales):
        finer, smooth = smooth, _smoothed(smooth, 2**scale)
        bands.append(finer - smooth)
    return [*bands, smooth]


def shaped(noise, amplitudes):
    """Noise whose spectrum is smooth from octave to octave: bands of `noise`, each times its matrix, added.

    Equal matrices leave white noise white, as the bands add up to it.

    Args:
        noise: White, `(b, h, w, c)`, float32.
        amplitudes: A matrix of channels for each band of `starlet`, `(scales + 1, c, c)`.
    """
    bands = starlet(noise, len(amplitudes) - 1)
    # Convolutions of 1×1, which compute in 8 bits as well.
    kernels = [np.asarray(matrix, "float32").T[None, None] for matrix in amplitudes]
    return tf.add_n([tf.nn.conv2d(band, kernel, 1, "SAME") for band, kernel in zip(bands, kernels, strict=True)])


def frequency_responses(side, scales=SCALES):
    """What each band lets through of the frequencies of NumPy's FFT, `(scales + 1, side, side)`, real."""
    omega = 2 * np.pi * np.fft.fftfreq(side)
    lines = [np.ones(side)]
    for scale in range(scales):
        turn = 2**scale * omega
        lines.append(lines[-1] * (TAPS[2] + 2 * TAPS[1] * np.cos(turn) + 2 * TAPS[0] * np.cos(2 * turn)))
    smooth = [np.outer(line, line) for line in lines]
    return np.stack([*(finer - coarser for finer, coarser in itertools.pairwise(smooth)), smooth[-1]])


def _smoothed(images, spacing):
    """By the taps along both axes, so many pixels apart."""
    reach = 2 * spacing
    for axis in (1, 2):
        size = tf.shape(images)[axis]
        padded = tf.pad(images, [[0, 0], *([reach, reach] if axis == side else [0, 0] for side in (1, 2)), [0, 0]])
        # Sums of shifted maps: a dilated convolution by channel has no kernel that takes every size everywhere.
        starts = range(0, 2 * reach + 1, spacing)
        parts = (padded[:, at : at + size] if axis == 1 else padded[:, :, at : at + size] for at in starts)
        images = tf.add_n([float(tap) * part for tap, part in zip(TAPS, parts, strict=True)])
    return images
