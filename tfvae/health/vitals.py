"""The vital signs of a model, measured on some images."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.data.array_batches import batches
from tfvae.distributions import float32
from tfvae.health.unchanged import unchanged
from tfvae.likelihoods.base import MIN_LOG_STD
from tfvae.metrics.active_units import ACTIVE, unit_variances
from tfvae.objectives import free_bits_rate, sum_per_example
from tfvae.priors import StandardNormal


@dataclass(frozen=True)
class Vitals:
    """What was measured. Figures are means over the images; nats are per example.

    Attributes:
        images: How many images were looked at.
        dims: Values in one image (height * width * channels).
        lowest, highest: The extreme pixel values.
        distortion, rate: As the model reports them: the point in the rate-distortion plane.
        kl_per_unit: KL(q(z_u|x) || p(z_u)) of each latent unit; of a spatial latent a unit is a channel, summed over
            its places. Empty without a posterior.
        unit_variance: Variance over images (and places) of each unit's posterior mean, or code.
        gap: `aggregate_gap`, nats per example; None without a prior.
        response: Root mean square change of `E[x|z]` when every unit of z moves by a standard normal step.
        contrast: Root mean square distance of the images from their mean image.
        residual: Root mean square of `x - E[x|z]`.
        surprise: Mean of `((x - E[x|z]) / std)**2` with the likelihood's own standard deviation: 1 when it is
            honest, large when it is too sure of itself. None where the likelihood has no such parameter.
        at_floor: Share of the values whose density is as narrow as the likelihood lets it be.
        distortion_scale: Reported distortion over `-log p(x|z)` summed over pixels; 1 unless somebody averages.
        rate_scale: Reported rate over the KL summed over units; likewise.
        rate_weight: `(loss - distortion) / (beta * rate)`; likewise.
        beta: The final weight of the rate; None for a model without one.
        free_bits: The floor under each channel's rate.
    """

    images: int
    dims: float
    lowest: float
    highest: float
    distortion: float
    rate: float
    kl_per_unit: tuple[float, ...]
    unit_variance: tuple[float, ...]
    gap: float | None
    response: float
    contrast: float
    residual: float
    surprise: float | None
    at_floor: float
    distortion_scale: float | None
    rate_scale: float | None
    rate_weight: float | None
    beta: float | None
    free_bits: float

    @property
    def units(self) -> int:
        return len(self.unit_variance)

    @property
    def active(self) -> tuple[bool, ...]:
        """Whether each unit's mean moves with the image (Burda et al. 2016, https://arxiv.org/abs/1509.00519)."""
        return tuple(variance > ACTIVE for variance in self.unit_variance)

    @property
    def active_units(self) -> int:
        return sum(self.active)

    def as_table(self) -> dict[str, Any]:
        """Field by name, JSON-ready, with `active_units`."""
        return {**asdict(self), "active_units": self.active_units}


class Examination:
    """Measures one model again and again, through one compiled function; the model is left as it was.

    Args:
        model: A latent model of this library.
        seed: Of the posterior samples and of the steps in the latent space, so that two looks can be compared.
    """

    def __init__(self, model: Any, seed: int = 0):
        self.model, self.seed = model, seed
        self.signs = tf.function(self._signs, reduce_retracing=True)

    def __call__(self, image_batches: Iterable[Any]) -> Vitals:
        """`Vitals` of float32 batches `(b, height, width, channels)`.

        Raises:
            ValueError: When there is no batch.
        """
        sums: list[dict[str, np.ndarray]] = []
        means: list[np.ndarray] = []
        log_vars: list[np.ndarray] = []
        contrast = _Contrast()
        with unchanged(self.model, self.seed):
            for place, x in enumerate(image_batches):
                figures, codes, log_var = self.signs(tf.convert_to_tensor(x), tf.constant([self.seed, place]))
                sums.append({name: np.asarray(value, np.float64) for name, value in figures.items()})
                means.append(np.asarray(codes, np.float64))
                log_vars.append(np.asarray(log_var, np.float64))
                contrast.add(np.asarray(x, np.float64))
        if not sums:
            raise ValueError("`image_batches` must hold at least one image. Received: none.")
        return self._vitals(sums, means, log_vars, contrast)

    def _signs(self, x, key):
        """Sums over one batch by name, its codes, and its posterior log-variances (zeros without a posterior)."""
        model, likelihood = self.model, self.model.likelihood
        outputs = model(x, training=False)
        loss, distortion, rate = model.loss_terms(x, training=False)
        z = next(outputs[name] for name in ("z", "code") if name in outputs)
        image = model.crop(likelihood.mean(outputs["parameters"]), x)
        noise = tf.random.stateless_normal(tf.shape(z), seed=key)
        moved = model.crop(model.decode_with_context(outputs, z + noise), x)
        count = tf.cast(tf.shape(x)[0], tf.float32)
        values = tf.cast(tf.size(x), tf.float32)
        figures = {
            "images": count,
            "values": values,
            "lowest": tf.reduce_min(x),
            "highest": tf.reduce_max(x),
            "distortion": tf.reduce_sum(distortion),
            "rate": tf.reduce_sum(rate),
            "response": tf.reduce_sum(tf.square(moved - image)),
            "residual": tf.reduce_sum(tf.square(x - image)),
        }
        std = likelihood.std(outputs["parameters"])
        if std is not None:
            ratio = tf.broadcast_to((x - image) / std, tf.shape(x))
            figures["surprise"] = tf.reduce_sum(tf.square(ratio))
            # A mass cannot exceed one, however narrow; a density can, and then grows without end.
            floor = 0.0 if likelihood.discrete else 1.01 * float(np.exp(MIN_LOG_STD))
            figures["at_floor"] = tf.reduce_sum(tf.cast(tf.broadcast_to(std <= floor, tf.shape(x)), tf.float32))
        if "log_var" not in outputs:
            return figures, model.codes(x), tf.zeros((0,))
        if not hasattr(model.prior, "kl"):
            return figures, outputs["mean"], outputs["log_var"]
        kl = model.prior.kl(outputs["mean"], outputs["log_var"])
        figures["kl_per_unit"] = tf.reduce_sum(kl, axis=list(range(len(kl.shape) - 1)))
        own = -likelihood.log_prob(x, outputs["parameters"])
        figures["own_distortion"], figures["own_rate"] = tf.reduce_sum(own), tf.reduce_sum(sum_per_example(kl))
        if hasattr(model, "current_beta"):
            beta = float32(model.beta)  # as `loss_terms` outside of training
            auxiliary = tf.reduce_mean(model.auxiliary_loss(outputs, x))
            figures["paid"] = count * (loss - tf.reduce_mean(distortion) - auxiliary)
            floored = model.by_group(kl) if hasattr(model, "by_group") else kl
            figures["owed"] = count * beta * free_bits_rate(floored, model.free_bits)
        return figures, outputs["mean"], outputs["log_var"]

    def _vitals(self, sums, means, log_vars, contrast) -> Vitals:
        total = {name: np.sum([one[name] for one in sums], axis=0) for name in sums[0]}
        count, values = float(total["images"]), float(total["values"])
        beta = getattr(self.model, "beta", None)
        posterior = "kl_per_unit" in total
        rows = [codes.reshape(-1, codes.shape[-1]) for codes in means]
        gap = None
        if posterior and isinstance(self.model.prior, StandardNormal):  # the gap is that from N(0, 1)
            every_mean = np.concatenate(rows)
            every_log_var = np.concatenate([value.reshape(-1, value.shape[-1]) for value in log_vars])
            # Of a spatial latent, each image has this many places.
            gap = len(every_mean) / count * aggregate_gap(every_mean, every_log_var)
        return Vitals(
            images=int(count),
            dims=values / count,
            lowest=float(min(one["lowest"] for one in sums)),
            highest=float(max(one["highest"] for one in sums)),
            distortion=float(total["distortion"]) / count,
            rate=float(total["rate"]) / count,
            kl_per_unit=tuple(float(kl) for kl in total["kl_per_unit"] / count) if posterior else (),
            unit_variance=tuple(float(variance) for variance in unit_variances(rows)),
            gap=gap,
            response=float(np.sqrt(total["response"] / values)),
            contrast=contrast.root_mean_square(),
            residual=float(np.sqrt(total["residual"] / values)),
            surprise=float(total["surprise"] / values) if "surprise" in total else None,
            at_floor=float(total["at_floor"] / values) if "at_floor" in total else 0.0,
            # Below a fiftieth of a nat a value, a density may be near zero by chance, and a ratio says nothing.
            distortion_scale=_ratio(total, "distortion", "own_distortion", 0.02 * values),
            rate_scale=_ratio(total, "rate", "own_rate", 0.1 * count),
            rate_weight=_ratio(total, "paid", "owed", 0.1 * count),
            beta=float(beta.value.numpy()) if beta is not None else None,
            free_bits=float(getattr(self.model, "free_bits", 0.0)),
        )


def measure(model: Any, images: Any, batch_size: int = 64, seed: int = 0) -> Vitals:
    """`Vitals` of `model` on `images`; the model, its random state included, is left as it was.

    Args:
        model: A latent model of this library.
        images: `(n, height, width, channels)`, or a sequence of images of any sizes for a model with a spatial
            latent; uint8, or float in [0, 1]. Some hundreds are enough.
        batch_size: Most images in a batch.
        seed: Of all noise.

    Raises:
        ValueError: When there are no images.
    """
    if len(images) == 0:
        raise ValueError("`images` must hold at least one image. Received: 0 images.")
    return Examination(model, seed)(batches(images, batch_size))


def aggregate_gap(mean: np.ndarray, log_var: np.ndarray) -> float:
    """How far the aggregate posterior is from the prior, by its first two moments, nats.

    The aggregate posterior `q(z) = mean_x q(z|x)` is what the decoder was trained on; the prior `N(0, 1)` is what it
    will draw from. With `m_u = mean_x(mean)` and `v_u = mean_x(exp(log_var)) + var_x(mean)` of each unit,

        gap = sum_u 0.5 * (m_u**2 + v_u - 1 - log(v_u))

    is the KL divergence of the moment-matched normals. It is zero when q(z) is the prior, and never above
    `sum_u KL(q(z_u) || p(z_u))`, the dimension-wise KL of Chen et al., because among all densities of one mean and
    variance the normal has the largest entropy; that sum in turn is a part of the rate. So a large gap is real, while a
    small one says nothing about the shape beyond two moments. Unlike a mixture of the posteriors of a sample, it
    needs no more than a few hundred images.

    Args:
        mean: Posterior means, shape `(rows, units)`.
        log_var: Posterior log-variances, same shape.

    Returns:
        Nats per row, float.

    Reference:
        Hoffman and Johnson (2016), ELBO surgery, https://approximateinference.org/2016/accepted/HoffmanJohnson2016.pdf;
        Chen et al. (2018), equation 2, https://arxiv.org/abs/1802.04942
    """
    mean, log_var = np.asarray(mean, np.float64), np.asarray(log_var, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # a diverged encoder has an infinite gap
        centre = mean.mean(axis=0)
        variance = np.exp(log_var).mean(axis=0) + mean.var(axis=0)
        return float(0.5 * np.sum(centre**2 + variance - 1.0 - np.log(variance)))


class _Contrast:
    """Distance of images from their mean image; of images of unequal sizes, from their mean colour."""

    def __init__(self):
        self.count, self.squares = 0, 0.0
        self.image: np.ndarray | None = None
        self.colour = 0.0

    def add(self, x: np.ndarray) -> None:
        if not self.count:
            self.image = np.zeros(x.shape[1:])
        self.image = self.image + x.sum(axis=0) if self.image is not None and self.image.shape == x.shape[1:] else None
        self.colour = self.colour + x.mean(axis=(1, 2)).sum(axis=0)
        self.squares += float(np.square(x).mean(axis=(1, 2, 3)).sum())
        self.count += len(x)

    def root_mean_square(self) -> float:
        mean = (self.colour if self.image is None else self.image) / self.count
        return float(np.sqrt(max(0.0, self.squares / self.count - float(np.mean(np.square(mean))))))


def _ratio(total: dict[str, np.ndarray], above: str, below: str, least: float) -> float | None:
    """`total[above] / total[below]`, None where the latter is missing or near zero, or one is not finite."""
    if below not in total or not (np.isfinite(total[above]) and least < abs(float(total[below])) < np.inf):
        return None
    return float(total[above]) / float(total[below])
