"""What photographs are compared with that are painted: transferred colours, and a quilt that follows the picture."""

import warnings

import numpy as np

from tfvae.applications.textures.quilting import cut
from tfvae.pixels import pixels

SIDES = (24, 16, 10)  # of the quilt's windows, in pixels
GUIDANCE = 0.75  # of the first; the content counts less and less, what was made before more
MOST, NEAREST = 30_000, 40  # windows that are searched, and compared one by one


def reinhard(photo: np.ndarray, painting: np.ndarray) -> np.ndarray:
    """Mean and deviation of each channel of CIELAB brought to those of a painting, float32.

    Reference:
        Reinhard et al. (2001), Color transfer between images
    """
    from skimage.color import lab2rgb, rgb2lab

    x, y = rgb2lab(pixels(photo)), rgb2lab(pixels(painting))
    moved = (x - x.mean((0, 1))) / np.maximum(x.std((0, 1)), 1e-6) * y.std((0, 1)) + y.mean((0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # colours that no screen shows are clipped
        return np.clip(lab2rgb(moved), 0, 1).astype(np.float32)


def quilt(photo: np.ndarray, painting: np.ndarray) -> np.ndarray:
    """Texture transfer by image quilting: row by row, coarse to fine, float32.

    Windows of one orientation are chosen by their colours, by what they overlap, by what the coarser quilt shows, and
    by how often they were chosen already.

    Args:
        photo: In the colours of the painting, `(h, w, 3)`, float in [0, 1].
        painting: Likewise.

    Reference:
        Efros and Freeman (2001), Image quilting for texture synthesis and transfer, section 4
    """
    from skimage.color import rgb2lab

    content, style = (rgb2lab(each).astype(np.float32) / 100 for each in (photo, painting))
    made: np.ndarray | None = None
    for number, side in enumerate(SIDES):
        share = GUIDANCE * (1 - number / len(SIDES)) + 0.25
        made = _layer(content, painting, style, side, share, made)
    assert made is not None  # there are sides
    return made


def _layer(content, painting, style, side, share, before):
    overlap = side // 3
    windows, shown = (_windows(each, side) for each in (painting, style))
    kept = np.random.default_rng(0).permutation(len(windows))[:MOST]
    windows, shown = windows[kept], shown[kept]
    tops, lefts = (
        [*range(0, length - side, side - overlap), length - side] for length in content.shape[:2]
    )  # the last one overlaps more
    asked = np.stack([content[y : y + side, x : x + side] for y in tops for x in lefts])
    candidates = iter(_nearest(shown, asked))
    out, filled = np.zeros_like(content), np.zeros(content.shape[:2], bool)
    used = np.zeros(len(windows), np.float32)
    for y in tops:
        for x in lefts:
            place = np.s_[y : y + side, x : x + side]
            found, known, lying = next(candidates), filled[place], out[place]
            cost = 4 * share * np.square(shown[found] - content[place]).mean((1, 2, 3)) + 2e-3 * used[found]
            apart = np.square(windows[found] - lying).mean(-1)
            cost += 4 * (1 - share) * (apart * known).sum((1, 2)) / max(known.sum(), 1)
            if before is not None:
                cost += 2 * (1 - share) * np.square(windows[found] - before[place]).mean((1, 2, 3))
            best = int(cost.argmin())
            used[found[best]] += 1
            taken = cut(apart[best], overlap if y else 0, 0, overlap if x else 0, 0) | ~known
            out[place] = np.where(taken[..., None], windows[found[best]], lying)
            filled[place] = True
    return out


def _windows(picture: np.ndarray, side: int) -> np.ndarray:
    """At every second pixel, `(n, side, side, 3)`."""
    views = np.lib.stride_tricks.sliding_window_view(picture, (side, side), axis=(0, 1))[::2, ::2]
    return views.transpose(0, 1, 3, 4, 2).reshape(-1, side, side, picture.shape[2])


def _nearest(shown: np.ndarray, asked: np.ndarray) -> np.ndarray:
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    flat = shown.reshape(len(shown), -1)
    pca = PCA(40, svd_solver="randomized", random_state=0).fit(flat[:8000])
    search = NearestNeighbors(n_neighbors=min(NEAREST, len(shown)), algorithm="brute").fit(pca.transform(flat))
    return search.kneighbors(pca.transform(asked.reshape(len(asked), -1)), return_distance=False)
