"""What others make of a degraded picture: BM3D, OpenCV, scikit-image, Pillow, each as its documentation shows it.

Every method takes an `Example` and returns float pixels of its size, not yet clipped. A library that works on floats
gets floats; OpenCV inpaints colour in bytes only, and the pictures that it gets are bytes: nothing is lost there but
the rounding of what it fills in, 59 dB, far from where any of them are.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks.restoration.degraded import Example
from tfvae.applications.channels import in_channels
from tfvae.errors import UserError
from tfvae.pixels import to_uint8

AS_IT_CAME = "as it came"  # the side that does nothing
MODULES = {"bm3d": "bm3d", "opencv-python-headless": "cv2", "scikit-image": "skimage"}  # package: what is imported


@dataclass(frozen=True)
class Method:
    """One of the things compared.

    Attributes:
        name: In the table.
        apply: Pixels restored from an example.
        package: The distribution that does it; its version is part of the result. Empty: it costs nothing.
        slow: Whether its results are worth keeping from one run to the next.
    """

    name: str
    apply: Callable[[Example], np.ndarray]
    package: str = ""
    slow: bool = False


def baselines(task: str) -> list[Method]:
    """The other sides of a task, the degraded picture itself first; `UserError` where a package is missing."""
    methods = [Method(AS_IT_CAME, lambda example: example.degraded), *METHODS.get(task, [])]
    require(*(method.package for method in methods))
    return methods


def require(*packages: str) -> None:
    """`UserError` with the way to get them where packages of the benchmark are not installed."""
    missing = sorted({package for package in packages if package in MODULES and not find_spec(MODULES[package])})
    if missing:
        raise UserError(f"{', '.join(missing)} needed: pip install -e '.[benchmark]'.")


def bm3d(example: Example) -> np.ndarray:
    """BM3D at its normal profile, given σ (Dabov et al. 2007; Mäkinen et al. 2020)."""
    from bm3d import bm3d, bm3d_rgb

    grey = example.degraded.shape[2] == 1
    return bm3d(example.degraded[:, :, 0], example.sigma) if grey else bm3d_rgb(example.degraded, example.sigma)


def non_local_means(example: Example) -> np.ndarray:
    """Non-local means with the settings of scikit-image's own example, given σ (Buades et al. 2005)."""
    from skimage.restoration import denoise_nl_means

    sigma = example.sigma
    return denoise_nl_means(
        example.degraded, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
    )


def wavelets(example: Example) -> np.ndarray:
    """BayesShrink, given σ (Chang, Yu and Vetterli 2000)."""
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(example.degraded, sigma=example.sigma, rescale_sigma=True, channel_axis=-1)


def telea(example: Example) -> np.ndarray:
    """Fast marching with a radius of 3 pixels (Telea 2004)."""
    import cv2

    return _opencv(example, cv2.INPAINT_TELEA)


def navier_stokes(example: Example) -> np.ndarray:
    """Fluid dynamics with a radius of 3 pixels (Bertalmio, Bertozzi and Sapiro 2001)."""
    import cv2

    return _opencv(example, cv2.INPAINT_NS)


def biharmonic(example: Example) -> np.ndarray:
    """The smoothest filling: the biharmonic equation, solved in each hole by itself (Damelin and Hoang 2018)."""
    from skimage.restoration import inpaint_biharmonic

    lost = _lost(example)
    return inpaint_biharmonic(example.degraded, lost, split_into_regions=True, channel_axis=-1)


def auto_contrast(example: Example) -> np.ndarray:
    """Tones stretched to the whole range, all channels alike, the outermost per cent left out."""
    return _pillow(example.degraded, lambda image: ImageOps.autocontrast(image, cutoff=1, preserve_tone=True))


def auto_levels(example: Example) -> np.ndarray:
    """Each channel stretched to the whole range by itself, the outermost per cent left out."""
    return _pillow(example.degraded, lambda image: ImageOps.autocontrast(image, cutoff=1))


def adaptive_equalisation(example: Example) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation of the lightness (Zuiderveld 1994)."""
    from skimage.color import lab2rgb, rgb2lab
    from skimage.exposure import equalize_adapthist

    picture = np.clip(example.degraded, 0.0, 1.0)
    if picture.shape[2] == 1:
        return equalize_adapthist(picture[:, :, 0])[:, :, None]
    lab = rgb2lab(picture)
    lab[:, :, 0] = 100.0 * equalize_adapthist(lab[:, :, 0] / 100.0)
    return lab2rgb(lab)


def colour_transfer(example: Example) -> np.ndarray:
    """Means and covariance of the reference's colours, and half of its histogram of lightness (Pitié, Kokaram 2007)."""
    from tfvae.applications.styles.colours import oklab, srgb, transferred

    assert example.reference is not None
    moved = srgb(transferred(oklab(example.degraded), oklab(example.reference)))
    return in_channels(moved, example.degraded.shape[2])


def mean_and_spread(example: Example) -> np.ndarray:
    """Mean and standard deviation of the reference's colours (Reinhard et al. 2001)."""
    from benchmarks.painting.rivals import reinhard

    assert example.reference is not None
    return in_channels(reinhard(example.degraded, example.reference), example.degraded.shape[2])


def grey_world(example: Example) -> np.ndarray:
    """Each channel multiplied so that their means agree (Buchsbaum 1980)."""
    means = example.degraded.mean(axis=(0, 1))
    return np.clip(example.degraded * (means.mean() / np.maximum(means, 1e-3)), 0.0, 1.0)


def grey_world_and_contrast(example: Example) -> np.ndarray:
    """Grey-world, then the tones stretched."""
    balanced = grey_world(example)
    return _pillow(balanced, lambda image: ImageOps.autocontrast(image, cutoff=1, preserve_tone=True))


FILLING = [
    Method("Telea", telea, "opencv-python-headless"),
    Method("Navier–Stokes", navier_stokes, "opencv-python-headless"),
    Method("biharmonic", biharmonic, "scikit-image", slow=True),
]
SMOOTHING = [
    Method("BM3D", bm3d, "bm3d", slow=True),
    Method("non-local means", non_local_means, "scikit-image", slow=True),
    Method("wavelets", wavelets, "scikit-image"),
]
METHODS = {
    "denoise": SMOOTHING,
    "jpeg": SMOOTHING,
    "inpaint": FILLING,
    "holes": FILLING,
    "like": [
        Method("colour transfer", colour_transfer, "numpy"),
        Method("Reinhard", mean_and_spread, "numpy"),
    ],
    "enhance": [
        Method("auto-contrast", auto_contrast, "pillow"),
        Method("auto-levels", auto_levels, "pillow"),
        Method("CLAHE", adaptive_equalisation, "scikit-image"),
        Method("grey-world", grey_world, "numpy"),
        Method("grey-world, auto-contrast", grey_world_and_contrast, "pillow"),
    ],
}


def cached(method: Method, example: Example, folder: Path | None) -> np.ndarray:
    """What the method returns, in the example's shape, clipped to [0, 1], float32; `folder` keeps what is slow.

    Kept under everything that decides it: the method, its version, the degraded pixels, the mask and the noise. So a
    run that is stopped goes on where it was, and a changed seed, picture or package is computed anew.
    """
    if folder is None or not method.slow:
        return finished(method, example)
    how = (method.name, version(method.package), example.sigma, example.degraded.shape)
    digest = hashlib.sha256(" ".join(map(str, how)).encode())
    for pixels in (example.degraded, example.known):
        digest.update(b"" if pixels is None else np.ascontiguousarray(pixels, np.float32).tobytes())
    path = folder / f"{digest.hexdigest()}.npy"
    if path.is_file():
        return np.load(path).reshape(example.degraded.shape)
    result = finished(method, example)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        np.save(file, result)
    unfinished.replace(path)  # a stopped run leaves no half of a result
    return result


def finished(method: Method, example: Example) -> np.ndarray:
    """What the method returns as it would be shown: clipped to [0, 1], float32, with an axis of channels."""
    return np.clip(np.asarray(method.apply(example), np.float32), 0.0, 1.0).reshape(example.degraded.shape)


def _lost(example: Example) -> np.ndarray:
    """Where pixels are missing, `(height, width)`, boolean."""
    assert example.known is not None
    return example.known[:, :, 0] == 0


def _opencv(example: Example, method: int) -> np.ndarray:
    import cv2

    filled = cv2.inpaint(to_uint8(example.degraded), _lost(example).astype(np.uint8), 3, method)
    return filled.reshape(example.degraded.shape).astype(np.float32) / 255.0


def _pillow(picture: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    pixels = to_uint8(picture)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(change(image)).reshape(picture.shape).astype(np.float32) / 255.0
