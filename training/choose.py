"""With no recipe: look at the data, choose size, latent, network and likelihood, and say why."""

import math

import numpy as np

from tfvae.data import DataConfig, Images, look
from training.config import Tables

VECTOR_SIDE = 128  # Largest picture that one code of a few dozen numbers describes well.
# Without a warm-up the posterior may empty itself before the decoder has learnt to read it.
WARM_UP = {"beta": {"schedule": "linear", "steps": 500}}
TARGET_STEPS = 4000  # Enough for a first look; minutes on two cores.


def choose_shape(config: DataConfig, seed: int) -> tuple[Tables, list[str]]:
    """Latent, network and sizes from a quick look at the source; and the reasons, a sentence each."""
    survey = look(config, seed)
    height, width = survey.common_size or survey.median_size
    if config.height and config.width:
        height, width = config.height, config.width
    equal = bool(survey.common_size) or bool(config.height)
    if equal and max(height, width) <= VECTOR_SIDE:
        levels = max(1, min(4, math.floor(math.log2(min(height, width) / 4))))
        widths = [32, 64, 128, 256][:levels]
        reason = f"every picture is {height}×{width}: one code of 32 numbers for the whole picture (vector latent)"
        tables: Tables = {
            "model": {"latent": "vector", "latent_dim": 32, "network": "resnet", "widths": widths},
            "objective": WARM_UP,
            "training": {"batch_size": 64, "decay": "cosine", "clip_norm": 1000.0},
        }
        return tables, [reason, f"{levels} convolutional levels reach {_coarsest(height, width, levels)} places"]
    crop = max(16, min(96, min(height, width) // 8 * 8))
    shape = f"all {height}×{width}" if equal else f"of unequal sizes (median {height}×{width})"
    tables = {
        "data": {"crop": crop},
        "objective": WARM_UP,
        "model": {"latent": "spatial", "latent_dim": 16, "network": "resnet", "widths": [32, 64, 96]},
        "training": {"batch_size": 16, "decay": "cosine", "clip_norm": 10000.0},
    }
    return tables, [
        f"the pictures are {shape}: a map of codes at 1/8 of the resolution (spatial latent) takes any size",
        f"training sees random crops of {crop}×{crop}; to generate whole pictures instead, set data.height, "
        "data.width and model.latent='vector'",
    ]


def choose_likelihood(images: Images) -> tuple[Tables, list[str]]:
    """Likelihood from the pixels of (at most 200 of) the training images."""
    picks = np.linspace(0, len(images) - 1, min(200, len(images))).astype(int)
    values = np.concatenate([images[pick].ravel() for pick in picks])
    if not np.any((values > 0) & (values < 255)):
        return {"model": {"likelihood": "bernoulli"}, "data": {"binarize": True}}, [
            "every pixel is black or white: bernoulli likelihood"
        ]
    return {"model": {"likelihood": "optimal_gaussian"}}, [
        "pixels have many levels: gaussian likelihood with its variance at the optimum"
    ]


def choose_epochs(count: int, batch_size: int) -> tuple[Tables, list[str]]:
    """Epochs that make about `TARGET_STEPS` steps."""
    epochs = int(np.clip(round(TARGET_STEPS / max(1, count // batch_size)), 3, 300))
    return {"training": {"epochs": epochs}}, [f"{count:,} training images: {epochs} epochs"]


def _coarsest(height: int, width: int, levels: int) -> str:
    for _ in range(levels):
        height, width = -(-height // 2), -(-width // 2)
    return f"{height}×{width}"
