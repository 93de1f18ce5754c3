"""Networks by name, for either side of a model: `down` from picture to features, `up` from code to picture.

A new network is a pair of layers with these constructors, and one line in `NETWORKS`:

- `down(widths, hidden, dropout, seed)` maps `(b, h, w, c)` to features;
- `up(output_shape, widths, hidden, dropout, seed)` maps a code to `(b, *output_shape)` in float32.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from tfvae.errors import did_you_mean
from tfvae.networks import stages
from tfvae.networks.mlp import GatedMLPDown, GatedMLPUp, MLPDown, MLPUp, TanhMLPDown, TanhMLPUp
from tfvae.networks.own import OwnDecoder, OwnEncoder
from tfvae.networks.pyramid import PyramidDown, PyramidUp


@keras.saving.register_keras_serializable(package="tfvae")
class ConvPyramidDown(PyramidDown):
    stage = stages.ConvDown


@keras.saving.register_keras_serializable(package="tfvae")
class ConvPyramidUp(PyramidUp):
    stage = stages.ConvUp


@keras.saving.register_keras_serializable(package="tfvae")
class InceptionPyramidDown(PyramidDown):
    stage = stages.InceptionDown


@keras.saving.register_keras_serializable(package="tfvae")
class InceptionPyramidUp(PyramidUp):
    stage = stages.InceptionUp


@keras.saving.register_keras_serializable(package="tfvae")
class ResidualPyramidDown(PyramidDown):
    stage = stages.ResidualDown


@keras.saving.register_keras_serializable(package="tfvae")
class ResidualPyramidUp(PyramidUp):
    stage = stages.ResidualUp


__all__ = ["NETWORKS", "Network", "OwnDecoder", "OwnEncoder", "get"]


@dataclass(frozen=True)
class Network:
    """A pair of trunks. `pyramid`: it halves the resolution at each width, so it can carry a spatial latent."""

    down: Callable[..., keras.layers.Layer]
    up: Callable[..., keras.layers.Layer]
    pyramid: bool = True


NETWORKS = {
    "mlp": Network(MLPDown, MLPUp, pyramid=False),
    "tanh_mlp": Network(TanhMLPDown, TanhMLPUp, pyramid=False),
    "gated_mlp": Network(GatedMLPDown, GatedMLPUp, pyramid=False),
    "conv": Network(ConvPyramidDown, ConvPyramidUp),
    "inception": Network(InceptionPyramidDown, InceptionPyramidUp),
    "resnet": Network(ResidualPyramidDown, ResidualPyramidUp),
}


def get(name, *, spatial=False):
    """The network called `name`. Raises `ValueError` naming the known ones, or when it has no spatial form."""
    if name not in NETWORKS:
        raise ValueError(
            f"`network` must be one of {', '.join(NETWORKS)}.{did_you_mean(str(name), NETWORKS)} "
            f"Received: network={name!r}"
        )
    if spatial and not NETWORKS[name].pyramid:
        raise ValueError(
            f"`network` '{name}' has no resolution levels, which a spatial latent needs; "
            f"one of {', '.join(key for key, network in NETWORKS.items() if network.pyramid)} has. "
            f"Received: network={name!r}"
        )
    return NETWORKS[name]
