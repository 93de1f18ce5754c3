"""Many pictures as one string of bytes, without loss, by a model of pictures like them: bits-back coding, chained.

Every picture is coded on top of the bits of those before it, which its code is drawn by. The first ones find a stack of
random bits, as many as one picture's code takes; they are part of the file. Groups grow with the stack, from single
pictures to a whole batch, so that large batches cost no more random bits than small ones.

The same computations must give the same numbers when decoding, to the last bit. So a file opens where the model, the
machine and the versions of TensorFlow and constriction are those that wrote it, with as many threads. Where they are
not, the digest of the model or that of the pictures tells; a wrong picture is never returned.

    magic, format        4 + 1 bytes
    digest               16 bytes, BLAKE2b of all that follows
    length of the head   4 bytes, little-endian
    head                 JSON, deflated
    stack                32-bit words, little-endian
"""

import hashlib
import json
import platform
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfvae.applications.compression.bits_back import FINEST, UNUSED, Coder, Grid, posteriors, stream
from tfvae.data.array_batches import largest_batch
from tfvae.pixels import pixels
from tfvae.priors import StandardNormal

MAGIC, FORMAT = b"TFVL", 1
DIGEST = 16  # bytes
BATCH = 100
LOOKED_AT = 500  # pictures whose posteriors fix the grid
SPARE = 1.25  # times the bits that a code takes on average lie on the stack before it is drawn
MOST_HEAD = 2**26  # bytes of a head
MOST_PIXELS = 2**26  # of one picture
NO_LOSS = 1e-3  # of a level: floats that are no nearer to one are not coded


class Unpacked(NamedTuple):
    """What a file holds.

    Attributes:
        images: uint8 `(n, height, width, channels)`; binary pictures have 0 and 255.
        names: One an image, or None where there were none.
    """

    images: np.ndarray
    names: list[str] | None


def compress_images(
    model: Any, images: Any, names: Sequence[str] | None = None, batch_size: int = BATCH, seed: int = 0
) -> bytes:
    """Pictures of one size as bytes from which `decompress_images` makes the same pictures.

    Args:
        model: A `VAE` or `HierarchicalVAE` with a discrete likelihood (Bernoulli for pictures of two values, a
            discretised logistic or a mixture of them for those of 8 bits) and a standard normal prior.
        images: `(n, height, width, channels)`, uint8, or float multiples of 1/255; of two values 0 and 1 (0 and 255)
            for a Bernoulli likelihood.
        names: One an image, to be kept; None: none are.
        batch_size: Rows that networks are given; at most so many pictures are coded at once.
        seed: Of the random bits at the bottom.

    Returns:
        About n times the negative ELBO of a picture, and some hundred bytes.

    Raises:
        ValueError: For another model, for pictures that it gives no mass to, and without constriction.
    """
    _check_model(model)
    levels = 2 if model.likelihood.binary else 256
    values = _as_levels(model, images, levels)
    if names is not None and len(names) != len(values):
        raise ValueError(f"`names` must be one an image. Received: {len(names)} names of {len(values)} images")
    batch_size = largest_batch(batch_size, *values.shape[1:3])
    looked_at = np.unique(np.linspace(0, len(values) - 1, min(len(values), LOOKED_AT)).astype(int))
    mean, log_var = posteriors(model, values[looked_at] / np.float32(levels - 1), batch_size)
    grid = Grid.of(log_var, 0.5 * (mean**2 + np.expm1(log_var) - log_var))
    needed = grid.bits(log_var)
    start = int(SPARE * needed) // 32 + 2
    coder = Coder(model, grid, stream().stack.AnsCoder(_random_words(start, seed)), batch_size)
    groups: list[int] = []
    done = 0
    while done < len(values):
        affordable = int(coder.stack.num_valid_bits() / (SPARE * max(needed, 1.0)))
        groups.append(min(batch_size, len(values) - done, max(1, affordable)))
        coder.push(values[done : done + groups[-1]].astype(np.int64))
        needed = max(needed, coder.taken)
        done += groups[-1]
    head = {
        "shape": values.shape,
        "model": _digest_of_model(model),
        "pictures": _digest(values.tobytes()).hex(),
        "versions": _versions(),
        "batch": batch_size,
        "groups": groups,
        "grid": grid.exponents.tolist(),
        "start": [start, seed],
        "names": None if names is None else [str(name) for name in names],
    }
    return _packed(head, coder.stack.get_compressed())


def decompress_images(model: Any, data: bytes) -> Unpacked:
    """The pictures of `compress_images`, by the same model on the same machine.

    Raises:
        ValueError: For bytes that are none of its files, or damaged; for another model; where this machine or its
            versions compute other numbers; and without constriction. In one line each.
    """
    head, words = _unpacked(data)
    _check_model(model)
    if head["model"] != _digest_of_model(model):
        raise ValueError("`model` is not the one that this file was written with, and no other can read it.")
    shape, groups, grid = head["shape"], head["groups"], Grid(np.array(head["grid"], np.int8))
    _check_fit(model, head, grid, len(data))
    levels = 2 if model.likelihood.binary else 256
    coder = Coder(model, grid, stream().stack.AnsCoder(words), head["batch"])
    values = np.zeros(shape, np.uint8)
    last = len(values)
    different = f"the networks compute other numbers here than where it was written ({_changed(head['versions'])})"
    for size in groups[::-1]:
        try:
            values[last - size : last] = coder.pop((size, *shape[1:]))
        except ValueError as error:  # a posterior that is no number any more
            raise ValueError(f"`data` cannot be decoded: {different}.") from error
        last -= size
    start = _random_words(*head["start"])
    if _digest(values.tobytes()).hex() != head["pictures"] or not np.array_equal(coder.stack.get_compressed(), start):
        raise ValueError(f"`data` cannot be decoded: {different}.")
    return Unpacked(values * np.uint8(255 // (levels - 1)), head["names"])


def is_lossless(data: bytes) -> bool:
    """Whether bytes, or the first few of them, are of a file of `compress_images`."""
    return data[: len(MAGIC)] == MAGIC


def facts(data: bytes) -> dict[str, Any]:
    """What a file says of itself: `count`, `shape` of a picture, `versions`, sizes of the `groups`, and `bits`.

    These are those of the random `start` at the bottom of the stack, of the `head` with all that is beside the
    stack, of the names in it, about, and of the whole.

    Raises:
        ValueError: As `decompress_images`, where the model has no part in it.
    """
    head, words = _unpacked(data)
    count, *shape = head["shape"]
    names = len(zlib.compress(json.dumps(head["names"]).encode(), 9)) if head["names"] is not None else 0
    bits = {"start": 32 * head["start"][0], "head": 8 * len(data) - 32 * len(words), "names": 8 * names}
    told = {"count": count, "shape": tuple(shape), "versions": head["versions"], "groups": head["groups"]}
    return told | {"bits": bits | {"in all": 8 * len(data)}}


def _check_model(model: Any) -> None:
    name, likelihood = type(model).__name__, getattr(model, "likelihood", None)
    if not hasattr(model, "chosen_code") or not hasattr(likelihood, "cumulative"):
        raise ValueError(
            "`model` must be a VAE or a HierarchicalVAE with a discrete likelihood (bernoulli, logistic or "
            f"logistic_mixture). Received: {name}, likelihood {type(likelihood).__name__}"
        )
    if not isinstance(model.prior, StandardNormal) or model.conditional:
        prior = "labels" if model.conditional else f"the prior {type(model.prior).__name__}"
        raise ValueError(f"`model` must have the standard normal prior and no labels. Received: {name} with {prior}")


def _as_levels(model: Any, images: Any, levels: int) -> np.ndarray:
    """Levels of pixels, uint8 `(n, height, width, channels)`."""
    if len(images) == 0:
        raise ValueError("`images` must hold at least one image. Received: 0 images.")
    shapes = sorted({np.shape(image) for image in images})
    if len(shapes) > 1:
        raise ValueError(f"`images` must have one size. Received: {shapes[0]}, {shapes[1]} …")
    values = np.stack([np.asarray(image) for image in images])
    model.as_images(values[:1])  # raises for another shape
    values = values[..., None] if values.ndim == 3 else values
    whole = _exact(values, levels)
    if whole is None:
        what = "0 and 1 (0 and 255 as uint8)" if levels == 2 else "uint8, or multiples of 1/255 in [0, 1]"
        raise ValueError(
            f"`images` must be {what}: {type(model.likelihood).__name__} gives others no mass. "
            f"Received: {values.dtype} from {values.min():.4g} to {values.max():.4g}"
        )
    return whole


def _exact(values: np.ndarray, levels: int) -> np.ndarray | None:
    """Levels of pixels, uint8; None where some are none."""
    if values.dtype == np.uint8:
        step = 255 // (levels - 1)
        return values // step if not (values % step).any() else None
    scaled = pixels(values) * np.float32(levels - 1)
    whole = np.round(scaled)
    fits = (np.abs(scaled - whole) <= NO_LOSS).all() and whole.min() >= 0 and whole.max() < levels
    return whole.astype(np.uint8) if fits else None


def _packed(head: dict[str, Any], words: np.ndarray) -> bytes:
    text = zlib.compress(json.dumps(head, separators=(",", ":")).encode(), 9)
    body = len(text).to_bytes(4, "little") + text + words.astype("<u4").tobytes()
    return MAGIC + bytes([FORMAT]) + _digest(body) + body


def _unpacked(data: bytes) -> tuple[dict[str, Any], np.ndarray]:
    """Head and stack; `ValueError` for other bytes."""
    start = len(MAGIC) + 1 + DIGEST
    if not is_lossless(data):
        raise ValueError("`data` is not of losslessly coded pictures: it begins with other bytes.")
    if len(data) <= len(MAGIC) or data[len(MAGIC)] != FORMAT:
        found = data[len(MAGIC)] if len(data) > len(MAGIC) else "nothing"
        raise ValueError(f"`data` is of another format of losslessly coded pictures: {found}, not {FORMAT}.")
    body = data[start:]
    if len(data) < start + 4 or _digest(body) != data[start - DIGEST : start]:
        raise ValueError("`data` is damaged: cut short or altered.")
    length = int.from_bytes(body[:4], "little")
    try:
        inflate = zlib.decompressobj()
        head = json.loads(inflate.decompress(body[4 : 4 + length], MOST_HEAD))
        words = np.frombuffer(body[4 + length :], "<u4").astype(np.uint32)
        _check_head(head)
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError("`data` is no file that tfvae wrote: its head makes no sense.") from error
    return head, words


def _check_head(head: dict[str, Any]) -> None:
    """Raises `ValueError`, `TypeError` or `KeyError` for what `compress_images` would not write."""
    count, *size = shape = head["shape"]
    start, seed = head["start"]
    whole = [*shape, *head["groups"], *head["grid"], head["batch"], start, seed]
    lists = [shape, head["groups"], head["grid"]]
    names, texts = head["names"], [head["model"], head["pictures"], *head["versions"].values()]
    sensible = (
        all(isinstance(one, list) for one in lists)
        and all(type(number) is int for number in whole)
        and len(size) == 3
        and min(size) > 0
        and np.prod(size, dtype=float) <= MOST_PIXELS
        and 0 < min(head["groups"]) <= max(head["groups"]) <= head["batch"] <= MOST_PIXELS
        and sum(head["groups"]) == count
        and all(UNUSED <= exponent <= FINEST for exponent in head["grid"])
        and 0 < start < MOST_HEAD
        and seed >= 0
        and all(isinstance(text, str) for text in [*texts, *(names or [])])
        and (names is None or (isinstance(names, list) and len(names) == count))
    )
    if not sensible:
        raise ValueError("a head that no coder writes")


def _check_fit(model: Any, head: dict[str, Any], grid: Grid, length: int) -> None:
    """Raises `ValueError` for a head, made on purpose, that names this model and does not suit it."""
    count, *size = head["shape"]
    sides = zip(size, model.image_shape, strict=True)
    fits = all(own in (None, side) for side, own in sides)
    # A picture that costs less than a hundredth of a bit is a claim, of memory and of time.
    fits = fits and np.prod(model.code_shape(*size[:2])) == len(grid.exponents) and count <= 800 * length
    if not fits or head["batch"] > largest_batch(head["batch"], *size[:2]):
        raise ValueError("`data` is no file that tfvae wrote: its head does not suit the model.")


def _random_words(count: int, seed: int) -> np.ndarray:
    """uint32, the last of them not 0, which the coder would take for nothing."""
    words = np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)
    words[-1] |= 1 << 31
    return words


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


def _digest_of_model(model: Any) -> str:
    """Of its classes, shapes and weights, hexadecimal; what a `.keras` file holds besides changes at each writing."""
    name = f"{type(model).__name__} {type(model.likelihood).__name__} {model.image_shape} {model.latent_shape}"
    told = hashlib.blake2b(name.encode(), digest_size=DIGEST)
    for part in (model.encoder, model.decoder):
        for weight in part.get_weights():
            told.update(str((weight.dtype, weight.shape)).encode())
            told.update(np.ascontiguousarray(weight).tobytes())
    return told.hexdigest()


def _versions() -> dict[str, str]:
    packages = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
    return {**packages, "constriction": version("constriction"), "machine": platform.machine()}


def _changed(written: dict[str, str]) -> str:
    now = _versions()
    changes = [f"{name} {then}, now {now.get(name)}" for name, then in written.items() if now.get(name) != then]
    return "; ".join(changes) or "the versions are the same: another processor, or another number of threads"
