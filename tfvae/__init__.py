"""Variational autoencoders for images with Keras 3 and TensorFlow.

`import tfvae` is light; what stands below is loaded when it is first used (`tfvae/first_use.py`).
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from tfvae import first_use

if TYPE_CHECKING:
    from tfvae import (
        applications,
        bounds,
        corruptions,
        data,
        distributions,
        evaluation,
        health,
        layers,
        likelihoods,
        metrics,
        models,
        networks,
        objectives,
        optimizers,
        pictures,
        priors,
        regularisers,
        schedules,
        video,
    )
    from tfvae.models import (
        MODELS,
        VAE,
        VQVAE,
        Autoencoder,
        Codec,
        Enhancer,
        HierarchicalVAE,
        Inspector,
        RegularisedAutoencoder,
        Restorer,
        StyleVAE,
        TwoLayerVAE,
        VideoVAE,
    )
    from tfvae.networks.decoder import Decoder
    from tfvae.networks.encoder import Encoder

__version__ = "0.1.0"
__all__ = [
    "MODELS",
    "VAE",
    "VQVAE",
    "Autoencoder",
    "Codec",
    "Decoder",
    "Encoder",
    "Enhancer",
    "HierarchicalVAE",
    "Inspector",
    "RegularisedAutoencoder",
    "Restorer",
    "StyleVAE",
    "TwoLayerVAE",
    "VideoVAE",
    "applications",
    "bounds",
    "corruptions",
    "data",
    "distributions",
    "evaluation",
    "health",
    "layers",
    "likelihoods",
    "metrics",
    "models",
    "networks",
    "objectives",
    "optimizers",
    "pictures",
    "priors",
    "regularisers",
    "schedules",
    "video",
]

# Of the classes; the others are at home in `tfvae.models`.
_HOME = {"Decoder": "tfvae.networks.decoder", "Encoder": "tfvae.networks.encoder"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tfvae' has no attribute '{name}'")
    importlib.import_module("tfvae.models")  # first, whatever is asked for: threads wait for each other here
    if name.islower():
        return importlib.import_module(f"tfvae.{name}")
    value = globals()[name] = getattr(importlib.import_module(_HOME.get(name, "tfvae.models")), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


first_use.arrange()
