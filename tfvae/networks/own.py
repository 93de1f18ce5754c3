"""Encoders and decoders that a user made: any Keras model, taken as q(z|x) and p(x|z)."""

from typing import Any

import keras

from tfvae import likelihoods
from tfvae.distributions import float32

PROBE = 64  # pixels of the picture whose code says how much a fully convolutional encoder reduces
# Layers that move values and change none; and layers and operations that are an activation.
MOVING = (
    keras.layers.Reshape,
    keras.layers.Permute,
    keras.layers.Cropping2D,
    keras.layers.ZeroPadding2D,
    keras.layers.UpSampling2D,
    keras.layers.Identity,
)
NONLINEAR = ("ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Sigmoid", "HardSigmoid", "Tanh", "Relu")


class _OwnNetwork(keras.layers.Layer):
    """A Keras model and the shapes it maps between."""

    def __init__(self, network, **kwargs):
        # The network casts by its own policy.
        super().__init__(autocast=False, **kwargs)
        self.network = network
        self.built = True

    image_shape: tuple[int | None, ...]
    latent_shape: tuple[int | None, ...]

    @property
    def latent_dim(self):
        return self.latent_shape[-1]

    @property
    def spatial(self):
        """Whether the code is a map, and the picture of any size."""
        return self.image_shape[0] is None

    def get_config(self):
        return {**super().get_config(), "network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config):
        return cls(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})


@keras.saving.register_keras_serializable(package="tfvae")
class OwnEncoder(_OwnNetwork):
    """q(z|x) of a Keras model from images to `mean` and `log_var`, or to one code.

    Args:
        network: Functional, Sequential or subclassed, and built: it maps images `(batch, height, width, channels)` to
            a pair or a dict of `mean` and `log_var`, or to one tensor, their concatenation; where it is not
            `stochastic`, to a code. Codes are `(batch, units)` or `(batch, rows, columns, units)`.
        stochastic: Whether it emits a posterior.

    Returns:
        `(mean, log_var)`, float32; or the code.

    Raises:
        ValueError: If the input is no image, the output is neither of these, or the network is not built.
    """

    def __init__(self, network, stochastic=True, **kwargs):
        super().__init__(network, **kwargs)
        self.stochastic = stochastic
        shape = _input_shape(network, "encoder", "(None, 28, 28, 1)")
        if len(shape) != 4 or shape[-1] is None or (shape[1] is None) != (shape[2] is None):
            raise ValueError(
                f"`encoder` must take images (batch, height, width, channels). Received: '{network.name}' of {shape}"
            )
        self.image_shape = shape[1:]
        sides = [PROBE if side is None else side for side in self.image_shape[:2]]
        code = tuple(self._code_of(keras.KerasTensor((None, *sides, shape[-1]))).shape[1:])
        if len(code) not in (1, 3):
            raise ValueError(
                "`encoder` must emit codes (batch, units) or (batch, rows, columns, units). "
                f"Received: '{network.name}' with codes of shape (batch, {', '.join(map(str, code))})"
            )
        if self.spatial and len(code) == 1:
            raise ValueError(
                f"`encoder` must take images of one size for a vector latent. Received: '{network.name}' of {shape}"
            )
        self.factor = sides[0] // code[0] if len(code) == 3 else 1
        self.latent_shape = (None, None, code[-1]) if self.spatial else code

    def _code_of(self, images):
        outputs = self._posterior(self.network(images))
        return outputs[0] if self.stochastic else outputs

    def _posterior(self, outputs):
        """`(mean, log_var)` of what the network returns; or the code."""
        name = self.network.name
        if not self.stochastic:
            if isinstance(outputs, (list, tuple, dict)):
                raise ValueError(f"`encoder` must emit one code. Received: {len(outputs)} outputs of '{name}'")
            return outputs
        if isinstance(outputs, dict):
            if set(outputs) != {"mean", "log_var"}:
                raise ValueError(
                    f"`encoder` must emit 'mean' and 'log_var'. Received: {', '.join(outputs)} of '{name}'"
                )
            return outputs["mean"], outputs["log_var"]
        if isinstance(outputs, (list, tuple)):
            if len(outputs) != 2:
                raise ValueError(
                    "`encoder` must emit mean and log_var, as the model draws z itself. "
                    f"Received: {len(outputs)} outputs of '{name}'. Remedy: keras.Model(encoder.input, [mean, log_var])"
                )
            mean, log_var = outputs
            if tuple(mean.shape) != tuple(log_var.shape):
                raise ValueError(
                    "mean and log_var of `encoder` must have one shape. "
                    f"Received: {tuple(mean.shape)} and {tuple(log_var.shape)} of '{name}'"
                )
            return mean, log_var
        if outputs.shape[-1] % 2:
            raise ValueError(
                "`encoder` must emit mean and log_var, or both in one tensor of an even number of units. "
                f"Received: {outputs.shape[-1]} units of '{name}'"
            )
        half = outputs.shape[-1] // 2
        return outputs[..., :half], outputs[..., half:]

    def call(self, images, training=False):
        outputs = self._posterior(self.network(images, training=training))
        return tuple(map(float32, outputs)) if self.stochastic else float32(outputs)

    def get_config(self):
        return {**super().get_config(), "stochastic": self.stochastic}


@keras.saving.register_keras_serializable(package="tfvae")
class OwnDecoder(_OwnNetwork):
    """p(x|z) of a Keras model from codes to the parameters of a likelihood.

    Args:
        network: Functional, Sequential or subclassed, and built: it maps codes to `(batch, height, width, channels *
            likelihood.parameters_per_channel)`, with no activation at the end: parameters are log-odds, locations and
            log-scales, any real numbers.
        likelihood: A `Likelihood`, or its name.
        image_shape: `(height, width, channels)` of the encoder's images.

    Returns:
        Parameters of the likelihood, float32.

    Raises:
        ValueError: If the output has another shape or ends in an activation, or the network is not built.
    """

    def __init__(self, network, likelihood="bernoulli", image_shape=None, **kwargs):
        super().__init__(network, **kwargs)
        self.likelihood = likelihoods.get(likelihood)
        shape = _input_shape(network, "decoder", "(None, 16)")
        self.latent_shape = shape[1:]
        places = [PROBE if side is None else side for side in shape[1:-1]]
        output = network(keras.KerasTensor((None, *places, shape[-1])))
        parameters = None if isinstance(output, (list, tuple, dict)) else tuple(output.shape[1:])
        self.factor = parameters[0] // places[0] if places and parameters and len(parameters) == 3 else 1
        of_likelihood = self.likelihood.parameters_per_channel
        height, width, channels = image_shape
        sides = [place * self.factor for place in places] if height is None else [height, width]
        wanted = (*sides, channels * of_likelihood)
        if parameters != wanted:
            received = "several outputs" if parameters is None else f"(batch, {', '.join(map(str, parameters))})"
            raise ValueError(
                f"`decoder` must emit {of_likelihood} number{'s' * (of_likelihood > 1)} for each channel of a pixel, "
                f"as {type(self.likelihood).__name__} takes: (batch, {', '.join(map(str, wanted))}). "
                f"Received: {received} from '{network.name}'; {_last(network)}"
            )
        if activation := _activation(_last_layer(network)):
            raise ValueError(
                f"`decoder` must end without an activation, as the parameters of {type(self.likelihood).__name__} are "
                f"any real numbers (of a Bernoulli the log-odds). Received: '{activation}'; {_last(network)}"
            )
        self.image_shape = tuple(image_shape)
        if not self.likelihood.built:
            self.likelihood.build((None, *wanted))

    def call(self, z, training=False):
        return float32(self.network(z, training=training))

    def get_config(self):
        return {
            **super().get_config(),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "image_shape": self.image_shape,
        }


def coders(encoder: Any, decoder: Any, likelihood: Any, stochastic: bool) -> tuple[Any, Any]:
    """Encoder and decoder as the models of this library take them: their own as they are, others adapted.

    Args:
        encoder, decoder: Of this library (they know their `image_shape` and `latent_shape`), or any Keras models.
        likelihood: Of a decoder that has none; None: Bernoulli.
        stochastic: Whether the encoder emits a posterior.

    Raises:
        ValueError: If a likelihood is given to a decoder that has one; and as `OwnEncoder` and `OwnDecoder`.
    """
    if not hasattr(encoder, "latent_shape"):
        encoder = OwnEncoder(encoder, stochastic)
    if not hasattr(decoder, "latent_shape"):
        decoder = OwnDecoder(decoder, likelihood or "bernoulli", encoder.image_shape)
    elif likelihood is not None:
        raise ValueError(
            f"`likelihood` must be None for a decoder that has one, {type(decoder.likelihood).__name__}. "
            f"Received: likelihood={likelihood!r}"
        )
    return encoder, decoder


def _input_shape(network, role, example):
    """Shape of the only input of a built Keras model, with the batch."""
    if not isinstance(network, keras.layers.Layer):
        raise ValueError(f"`{role}` must be a Keras model. Received: {type(network).__name__}")
    shape = getattr(network, "input_shape", None) or next(iter((network._build_shapes_dict or {}).values()), None)
    if shape is None:
        raise ValueError(
            f"`{role}` must be built, so that its shapes are known. Received: '{network.name}', which is not. "
            f"Remedy: call it on a batch, or {role}.build({example}), or give it a keras.Input"
        )
    if isinstance(shape, dict) or any(isinstance(side, (list, tuple)) for side in shape):
        raise ValueError(f"`{role}` must have one input. Received: '{network.name}' of {len(shape)}")
    return tuple(shape)


def _last_layer(network):
    """The layer that makes the values of a functional or Sequential model's output; None of others.

    Layers that only move values (reshape, crop, pad, enlarge) are passed over.
    """
    if not isinstance(network, keras.Model):
        return network
    outputs = getattr(network, "outputs", None)
    if not outputs:
        return None
    layer = outputs[0]._keras_history.operation
    while isinstance(layer, MOVING):
        layer = layer.input._keras_history.operation
    return _last_layer(layer)


def _activation(layer):
    """Name of the function that a layer ends in; None where it ends in none."""
    if type(layer).__name__ in NONLINEAR:
        return type(layer).__name__
    name = getattr(getattr(layer, "activation", None), "__name__", None)
    return None if name in ("linear", "identity") else name


def _last(network):
    layer = _last_layer(network)
    return f"its last layer is '{layer.name}' ({type(layer).__name__})" if layer else "its `call` returns it"
