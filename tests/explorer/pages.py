"""What tests of the explorer look at: pictures and numbers of its page, and what Keras gives."""

import base64
import io

import numpy as np
from PIL import Image
from test_serving import make
from tiny_runs import autoencoder, conditional_vae, vector_vae

from export import parity
from tfvae.data import reading
from tfvae.pixels import to_uint8

BOUND = parity.BOUNDS["float32"].limit  # 1e-4, what a TFLite file is held to
KINDS = {
    "vae": (vector_vae, None),
    "autoencoder": (autoencoder, None),
    # A size that is no multiple of the factor, so that the page has to crop what is decoded.
    "spatial": (lambda: make(image_shape=(None, None, 3)), (10, 6)),
}
MADE = {**KINDS, "conditional": (conditional_vae, None)}
STILL = {"reduced_motion": "reduce"}  # codes do not glide: what was asked for is there at once


def floats(page, expression):
    return np.array(page.evaluate(f"Promise.resolve({expression}).then((values) => Array.from(values))"), np.float32)


def canvas(page, selector="#picture"):
    """Pixels of a canvas, uint8 RGB."""
    page.evaluate("explorer.stage.shown")
    text = page.eval_on_selector(selector, "(canvas) => canvas.toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


def decoded(work, code, **given):
    """What Keras decodes, as the page shows it: RGB bytes at the size of the images."""
    z = code.reshape(1, *work.model.code_shape(*work.size))
    image = work.reference.answer("decode", {"z": z, **given})["image"][0]
    image = to_uint8(image[: work.size[0], : work.size[1]])
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def assert_shows(page, work, code, **given):
    difference = np.abs(canvas(page).astype(int) - decoded(work, code, **given)).max()
    assert difference <= 1  # a value may fall on the other side of a half


def png(path, seed, size=(45, 60), mode="RGB"):
    """A picture file of smooth colours."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 7, 4), np.uint8), "RGBA").convert(mode)
    small.resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def read(path, work):
    """Float pixels of a picture file, as Python prepares it for the model of an export."""
    how = reading.Preparation(height=work.size[0], width=work.size[1], channels=work.model.image_shape[2])
    return reading.read_picture(str(path), how).astype(np.float32) / 255
