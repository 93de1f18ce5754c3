"""A patch critic: which parts of a picture look real, and the features it judges by."""

import keras
from keras import ops

from tfvae.distributions import float32

SQUARINGS = 5  # of the Gram matrix: the norm is Schatten's with p = 2 * 2**5 = 64


@keras.saving.register_keras_serializable(package="tfvae")
class PatchCritic(keras.layers.Layer):
    """`(b, h, w, c) -> (b, ceil(h / 2**n), ceil(w / 2**n), outputs)`: a score for every patch, and all features.

    A 4×4 convolution of stride two with a leaky ReLU for each of the n widths, then a 3×3 convolution. Each score
    depends on a patch alone, so pictures of any size are judged alike, and textures rather than compositions. Every
    kernel is divided by its spectral norm: the critic cannot grow steeper than its layers allow, whatever it is
    asked. No batch statistics: they would let pictures of a batch vouch for each other.

    Args:
        widths: Filters of each level, fine to coarse.
        outputs: Scores of a patch: 1 for real or not, more for real or not as one of several classes.
        gain: Spectral norm of each level. At 1 the features shrink from level to level and the critic is slow to have
            an opinion; at 2 they keep their size, for the levels halve what the stride and the ReLU leave of it.

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1]; any size, as many channels as at first.

    Returns:
        `(scores, features)`: scores in float32, and a list of the features of each level after its activation,
        `(batch, ceil(height / 2**i), ceil(width / 2**i), widths[i - 1])`, in the policy's dtype.

    Raises:
        ValueError: If there are no widths, or a size or `gain` is not positive.

    Reference:
        Isola et al. (2017), Image-to-image translation with conditional adversarial networks, section 3.2.2,
        https://arxiv.org/abs/1611.07004
    """

    def __init__(self, widths=(32, 64, 128), outputs=1, gain=2.0, **kwargs):
        super().__init__(**kwargs)
        if not widths or min(*widths, outputs) < 1:
            raise ValueError(
                "`widths` and `outputs` must be positive, with one width or more. "
                f"Received: widths={widths}, outputs={outputs}"
            )
        if gain <= 0:
            raise ValueError(f"`gain` must be positive. Received: gain={gain}")
        self.widths, self.outputs, self.gain = tuple(widths), outputs, gain
        options = {"gain": gain, "strides": 2, "padding": "same", "dtype": self.dtype_policy}
        self.levels = [SpectralConv2D(width, 4, **options) for width in widths]
        self.head = SpectralConv2D(outputs, 3, padding="same", dtype="float32")

    def build(self, input_shape):
        shape = tuple(input_shape)
        for layer in (*self.levels, self.head):
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, images):
        x, features = 2.0 * images - 1.0, []
        for level in self.levels:
            x = ops.leaky_relu(level(x), negative_slope=0.2)
            features.append(x)
        return self.head(float32(x)), features

    def get_config(self):
        return {**super().get_config(), "widths": self.widths, "outputs": self.outputs, "gain": self.gain}


@keras.saving.register_keras_serializable(package="tfvae")
class SpectralConv2D(keras.layers.Conv2D):
    """`Conv2D` with its kernel times `gain / spectral_norm`: spectral normalisation without a state of its own.

    Miyato et al. keep an estimate of the first singular vector, which every pass updates. A pass that changes nothing
    is the same pass on every replica, after a resume, and however often a step looks at the critic.

    Reference:
        Miyato et al. (2018), Spectral normalization for generative adversarial networks,
        https://arxiv.org/abs/1802.05957
    """

    def __init__(self, *args, gain=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain = gain

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel * ops.cast(self.gain / spectral_norm(kernel), kernel.dtype))

    def get_config(self):
        return {**super().get_config(), "gain": self.gain}


def spectral_norm(kernel):
    """`(sum_i s_i**64)**(1 / 64)` of the singular values of a kernel as a matrix `(…, filters)`, a scalar, float32.

    At least the largest singular value, and above it by at most a factor `rank**(1 / 64)`: 8 % for 128 filters. It is
    smooth also where two singular values are equal, and positive also for zeros, so that it can divide.
    """
    matrix = ops.reshape(float32(kernel), (-1, kernel.shape[-1]))
    if matrix.shape[0] < matrix.shape[1]:
        matrix = ops.transpose(matrix)
    gram = ops.matmul(ops.transpose(matrix), matrix)
    trace = ops.trace(gram) + 1e-24
    log_norm = 0.5 * ops.log(trace)
    for squaring in range(1, SQUARINGS + 1):
        # Divided by its trace, the matrix is squared over and over without overflow; the logarithms keep count.
        gram = ops.matmul(gram / trace, gram / trace)
        trace = ops.trace(gram) + 1e-24
        log_norm += 0.5**squaring * 0.5 * ops.log(trace)
    return ops.exp(log_norm)
