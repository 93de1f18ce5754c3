"""With no recipe: look at the data, choose size, latent, network, likelihood and prior, and say why.

What is chosen draws pictures of the kind that it was given. A small picture is one vector, whose density a normalising
flow learns; a larger one is a map of vectors, whose density an autoregressive Transformer learns, place by place. Both
are fitted to the codes of the trained model.
"""

import math

import numpy as np

from tfvae.data import DataConfig, Images, Survey, look
from training.config import Tables

VECTOR_PIXELS = 40 * 40  # the largest picture of which draws from one vector of a few dozen numbers are sharp
LARGEST_VECTOR = 128  # side of the largest square that one vector describes at all
MAP_PIXELS = 96 * 64  # of larger ones: 96 places at an eighth of the resolution, minutes on two cores
CELL = 8  # pixels of a place
# Of a map: so few that the prior can learn what is at a place as a mixture of Gaussians. With 16 of them draws of
# watercolours were twice as far from real ones, at the same PSNR (docs/results/generation.md).
MAP_CHANNELS = 4
TEXTURE_CHANNELS = 16  # where there is no prior to learn them
# Pictures whose height by width differs by less than this factor from the median's lose little when they are cut to it.
NEARLY, MOST = 1.25, 0.8
# Without a warm-up the posterior may empty itself before the decoder has learnt to read it.
WARM_UP = {"beta": {"schedule": "linear", "steps": 500}}
# The rate of a map weighs more than its nats: what is left is what a prior can learn in minutes.
MAP_WARM_UP = {"beta": {"schedule": "linear", "steps": 300, "end": 4.0}}
VECTOR_STEPS, MAP_STEPS = 4000, 750  # of the training: minutes on two cores


def choose_shape(config: DataConfig, seed: int, draws: bool = True, latent: str = "") -> tuple[Tables, list[str]]:
    """Latent, network, prior and sizes from a quick look at the source; and the reasons, a sentence each.

    Args:
        config: The source, and what is asked of sizes.
        seed: Of the pictures that are looked at.
        draws: Whether the model can be given a prior that draws whole pictures; else it sees crops of any size.
        latent: `vector` or `spatial`, where it is asked for.
    """
    survey = look(config, seed)
    height, width = survey.common_size or survey.median_size
    if config.height and config.width:
        height, width = config.height, config.width
    equal = bool(survey.common_size) or bool(config.height)
    small = height * width <= (VECTOR_PIXELS if draws else LARGEST_VECTOR**2)
    if latent != "spatial" and ((equal and small) or (latent == "vector" and draws)):
        size = (height, width) if equal else _reduced(height, width)
        tables, reasons = _vector(*size, equal=equal)
        return (tables if draws else _without(tables, "prior")), reasons
    what = f"all {height}×{width}" if equal else f"of unequal sizes (median {height}×{width})"
    if config.crop or not draws:
        crop = config.crop or max(16, min(96, min(height, width) // CELL * CELL))
        tables, reasons = _map(crop, crop, MAP_CHANNELS if draws else TEXTURE_CHANNELS)
        tables["data"] = {"crop": crop}
        reasons = [f"the pictures are {what}; training sees random crops of {crop}×{crop}", *reasons]
        return (tables, reasons) if draws else (_without(tables, "prior"), reasons[:-1])
    whole = equal or _nearly_equal(survey)
    side = _reduced(height, width) if whole else _reduced(min(height, width), min(height, width))
    tables, reasons = _map(*side)
    tables["data"] = {"height": side[0], "width": side[1]}
    cut = "" if whole else ", the square in the middle of each"
    return tables, [
        f"the pictures are {what}: reduced to {side[0]}×{side[1]}{cut}",
        *reasons,
        "for pictures of any size in full detail, without draws: --recipe photos",
    ]


def _without(tables: Tables, section: str) -> Tables:
    return {name: table for name, table in tables.items() if name != section}


def _vector(height: int, width: int, equal: bool) -> tuple[Tables, list[str]]:
    levels = max(1, min(4, math.floor(math.log2(min(height, width) / 4))))
    tables: Tables = {
        "model": {"latent": "vector", "latent_dim": 32, "network": "resnet", "widths": [32, 64, 128, 256][:levels]},
        "objective": WARM_UP,
        "prior": {"kind": "flow", "fitted": True},
        "training": {"batch_size": 64, "decay": "cosine", "clip_norm": 1000.0, "precision": "auto"},
    }
    if not equal:
        tables["data"] = {"height": height, "width": width}
    return tables, [
        f"{'every picture is' if equal else 'pictures are reduced to'} {height}×{width}: one code of 32 numbers for "
        "the whole picture (vector latent)",
        f"{levels} convolutional levels reach {_coarsest(height, width, levels)} places",
        "a normalising flow is fitted to the codes, so that draws are pictures (prior)",
    ]


def _map(height: int, width: int, channels: int = MAP_CHANNELS) -> tuple[Tables, list[str]]:
    tables: Tables = {
        "model": {"latent": "spatial", "latent_dim": channels, "network": "resnet", "widths": [32, 64, 96]},
        "objective": MAP_WARM_UP,
        "prior": {
            "kind": "autoregressive",
            "fitted": True,
            "steps": 4000,
            "batch_size": 16,
            "options": {"components": 16},
        },
        "training": {
            "batch_size": 16,
            "warmup_steps": 50,
            "decay": "cosine",
            "clip_norm": 3e5,
            "ema": 0.99,
            "precision": "auto",
        },
    }
    places = f"{-(-height // CELL)}×{-(-width // CELL)}"
    return tables, [
        f"a map of {places} codes at 1/{CELL} of the resolution (spatial latent)",
        "a Transformer over the places is fitted to the codes, so that draws are whole pictures (prior)",
    ]


def _nearly_equal(survey: Survey) -> bool:
    """Whether most pictures have nearly the height by width of the median."""
    height, width = survey.median_size
    ratios = survey.shapes[:, 0] / survey.shapes[:, 1] / (height / width)
    return bool((np.maximum(ratios, 1 / ratios) < NEARLY).mean() >= MOST)


def _reduced(height: int, width: int) -> tuple[int, int]:
    """The size in whole cells nearest to that of pictures of this shape with at most `MAP_PIXELS`."""
    scale = min(1.0, math.sqrt(MAP_PIXELS / (height * width)))
    rows, columns = (max(2, round(scale * side / CELL)) for side in (height, width))
    return CELL * rows, CELL * columns


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


def choose_epochs(count: int, batch_size: int, spatial: bool) -> tuple[Tables, list[str]]:
    """Epochs that make about `VECTOR_STEPS` or `MAP_STEPS` steps."""
    steps = MAP_STEPS if spatial else VECTOR_STEPS
    epochs = int(np.clip(round(steps / max(1, count // batch_size)), 3, 300))
    return {"training": {"epochs": epochs}}, [f"{count:,} training images: {epochs} epochs"]


def _coarsest(height: int, width: int, levels: int) -> str:
    for _ in range(levels):
        height, width = -(-height // 2), -(-width // 2)
    return f"{height}×{width}"
