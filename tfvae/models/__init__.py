"""The models, by the name that recipes use; importing this registers every class of tfvae with Keras."""

from tfvae import optimizers  # noqa: F401 - registered, for saved models that were trained with one
from tfvae.models.autoencoder import Autoencoder
from tfvae.models.base import LatentModel
from tfvae.models.codec import Codec
from tfvae.models.enhancer import Enhancer
from tfvae.models.hierarchical_vae import HierarchicalVAE
from tfvae.models.inspector import Inspector
from tfvae.models.regularised_autoencoder import RegularisedAutoencoder
from tfvae.models.restorer import Restorer
from tfvae.models.style_vae import StyleVAE
from tfvae.models.two_layer_vae import TwoLayerVAE
from tfvae.models.vae import VAE
from tfvae.models.video_vae import VideoVAE
from tfvae.models.vq_vae import VQVAE

MODELS: dict[str, type[LatentModel]] = {
    "vae": VAE,
    "autoencoder": Autoencoder,
    "rae": RegularisedAutoencoder,
    "restorer": Restorer,
    "enhancer": Enhancer,
    "inspector": Inspector,
    "style_vae": StyleVAE,
    "vq_vae": VQVAE,
    "hierarchical_vae": HierarchicalVAE,
    "two_layer_vae": TwoLayerVAE,
    "video_vae": VideoVAE,
    "codec": Codec,
}

__all__ = [
    "MODELS",
    "VAE",
    "VQVAE",
    "Autoencoder",
    "Codec",
    "Enhancer",
    "HierarchicalVAE",
    "Inspector",
    "LatentModel",
    "RegularisedAutoencoder",
    "Restorer",
    "StyleVAE",
    "TwoLayerVAE",
    "VideoVAE",
]
