"""Inspection: what does not belong in this picture? Learnt from good pieces alone."""

import functools
import json
from typing import Any, ClassVar

import keras
from keras import ops

from tfvae.distributions import float32
from tfvae.endpoint import VARIANTS, Endpoint
from tfvae.layers.whole_piece import WholePiece
from tfvae.layers.window import window_mean
from tfvae.metrics.conformal import least_pieces
from tfvae.models.restorer import Restorer
from tfvae.networks.residual_latent import FACTOR
from tfvae.objectives import FLOOR

# What synthetic defects a good piece gets while training; a third of the pieces stays as it is.
DEFECTS: tuple[dict[str, Any], ...] = (
    {
        "kind": "one_of",
        "probability": 0.67,
        "weights": [3, 1, 3, 3, 1, 1, 1],
        "of": [
            {"kind": "pasted_patches"},
            {"kind": "warped_patches"},
            {"kind": "cracks"},
            {"kind": "uneven_tone", "count": 1},
            {"kind": "scratches", "count": [1, 2]},
            {"kind": "stains", "count": [1, 2], "size": [0.05, 0.4]},
            {"kind": "boxes", "count": [1, 2], "size": [0.03, 0.2], "fill": [0.0, 1.0]},
        ],
    },
)
WINDOW = 3  # pixels a side of the squares over which the probability of damage is averaged
WHOLE = ("tone", "parts")
SOURCES = ("damage", *WHOLE)
LEAST = 1e-3  # a mean probability of damage below this is none
SOFT = 4.0  # deviations from what is usual for good pieces at which the map is 1/4 above the middle of its range
UNCALIBRATED = {"damage": (-0.7, 1.0)}  # centre and spread


@keras.saving.register_keras_serializable(package="tfvae")
class Inspector(Restorer):
    """A `Restorer` taught where synthetic defects of good pieces are, and Gaussians of those pieces as wholes.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | x, y | a good piece; the piece as it is seen | `images`, `degraded` |
    | p | probability that a pixel is damaged | `damage` |
    | a_k | evidence k, logarithms: mean of `p + LEAST` over a window; distances of a `WholePiece` | `evidence` |
    | d | `log(sum_k exp((a_k - centre_k) / spread_k))` over the sources in use | deviation |
    | m | `1/2 + d / (2 (SOFT + \\|d\\|))` | `map` |
    | s | `max(m)` over the pixels | `score` |

    The damage sees what has an outline, at full resolution, wherever it lies; the Gaussians, fitted by
    `tfvae.applications.fit_whole`, see tone and form that are unlike those of good pieces which lie alike. Centre and
    spread are those of the largest evidence in held-out good pieces, so that each term says how unlikely such evidence
    is in one of them, whatever its source. The damage at a pixel depends on a neighbourhood alone: a picture may have
    any size, and tiles that are given the `whole` equal it.

    `tfvae.applications.inspection.calibrate` says what is usual and gives the threshold; a piece fails where its score
    is above that.

    Args:
        channels, widths, latent_dim, blocks, floor, beta, free_bits, seed: As in `Restorer`.
        corruptions: The synthetic defects: tables as `tfvae.corruptions.from_tables` takes.
        alpha: The false-alarm rate that the threshold of `calibrate` admits.
        calibration: What `calibrate` returned; None before.

    Raises:
        ValueError: If `alpha` is not between 0 and 1; and as `Restorer`.

    Reference:
        Zavrtanik, Kristan and Skočaj (2021), DRAEM, https://arxiv.org/abs/2108.07610
    """

    usual: ClassVar = {"network": "resnet", "widths": (16, 32, 48), "likelihood": "bernoulli"}
    residual_units = 8  # the map needs none of them
    default_endpoint = "inspect"
    evidence_sources: ClassVar = SOURCES
    whole_sources: ClassVar = WHOLE

    def __init__(
        self,
        channels,
        widths,
        latent_dim,
        blocks=2,
        corruptions=DEFECTS,
        floor=FLOOR,
        beta=1.0,
        free_bits=0.0,
        seed=None,
        alpha=0.05,
        calibration=None,
        **kwargs,
    ):
        settings = {"corruptions": corruptions, "floor": floor, "beta": beta, "free_bits": free_bits, "seed": seed}
        super().__init__(channels, widths, latent_dim, blocks, mask="found", **settings, **kwargs)
        least_pieces(alpha)  # raises for one that is none
        self.whole_piece = WholePiece(channels)
        self.whole_piece.build()
        self.alpha = alpha
        self.use(calibration)

    @property
    def calibration(self):
        """What `calibrate` returned, a copy; None before."""
        return json.loads(self.calibration_text)

    def use(self, calibration):
        """Replaces the calibration; what was traced with the one before is traced anew."""
        # As text: Keras would track the parts of a dict, as if they were layers.
        self.calibration_text = json.dumps(calibration)
        self.predict_function = None

    @property
    def without_int8(self):
        return "int8 is left out: a score in steps of 1/256 decides otherwise near the threshold."

    @property
    def threshold(self):
        """The score above which a piece fails; None before it is calibrated."""
        usual = self.calibration
        return usual and usual["threshold"]

    @property
    def reach(self):
        """Pixels beyond which nothing changes the damage, a multiple of `factor`."""
        radius = self.unet.margin + 2 + WINDOW // 2
        return -(-radius // FACTOR) * FACTOR

    @property
    def sources(self):
        """Names of the sources that the score sums, of `SOURCES`: all, or the damage where nothing was fitted."""
        return SOURCES if self.whole_piece.fitted else SOURCES[:1]

    def whole(self, image):
        """What speaks against a picture as a whole, `{"whole"}`, `(b, h, w, 2)`: what its tiles have to be told."""
        return {"whole": self.whole_piece(float32(image))}

    def evidence(self, image, whole=None):
        """What speaks against each pixel, by `SOURCES`: `{"evidence"}`, `(b, h, w, 3)`, float32.

        Args:
            image: Pictures, `(b, h, w, c)` in [0, 1], of any size.
            whole: What `whole` returned of the whole pictures, there, where these are tiles of them.
        """
        _, source = self._sources(image, whole)
        return {"evidence": ops.concatenate([source(name) for name in SOURCES], axis=-1)}

    def inspect(self, image, whole=None):
        """What does not belong in a picture; deterministic. Arguments as of `evidence`.

        Returns:
            `map`, how unlike a good piece each pixel is, in (0, 1), `(b, h, w, 1)`; `score`, its maximum, `(b, 1)`; and
            `image`, what the piece would be without, `(b, h, w, c)`.
        """
        restored, source = self._sources(image, whole)
        usual = self.calibration["sources"] if self.calibration else UNCALIBRATED
        deviations = [(source(name) - centre) / spread for name, (centre, spread) in usual.items()]
        found = suspicion(ops.logsumexp(ops.concatenate(deviations, axis=-1), axis=-1, keepdims=True))
        return {"map": found, "score": ops.max(found, axis=(1, 2)), "image": ops.clip(restored, 0.0, 1.0)}

    def failing(self, outputs):
        """Which pieces fail, `(b,)` bool, of the outputs of `inspect`; None before it is calibrated."""
        return None if self.threshold is None else ops.convert_to_numpy(outputs["score"])[:, 0] > self.threshold

    def _sources(self, image, whole):
        """The restoration, and a function from the name of a source to its evidence, `(b, h, w, 1)`."""
        image, known = self._inputs(image, None)
        _, estimate, log_odds = self.estimate(image, known)
        damage = ops.sigmoid(self.crop(log_odds, image))

        @functools.cache
        def distances():
            return self.whole(image)["whole"] if whole is None else float32(whole)

        def source(name):
            if name in WHOLE:
                return distances()[..., WHOLE.index(name), None]
            return ops.log(window_mean(damage, WINDOW) + LEAST)

        return self.crop(estimate, image), source

    def endpoints(self, image, latent):
        found = super().endpoints(image, latent)
        # They are in the SavedModel: the file for a phone is the one that inspects.
        served = {name: Endpoint(each.inputs, each.function) for name, each in found.items()}
        options = {"variants": VARIANTS[:-1], "note": self.without_int8}
        return {
            "inspect": Endpoint({"image": image}, lambda image: self.inspect(image), "inspector", **options),
            **served,
        }

    @property
    def in_words(self):
        does = "it says what in an image does not belong there, having learnt good pieces alone"
        if self.calibration:
            count, alpha = len(self.calibration["scores"]), self.calibration["alpha"]
            does += (
                f". A piece fails where its score is above {self.threshold:.6g}: at most {alpha:.3g} false alarms, "
                f"by conformal calibration with {count:,} held-out good pieces"
            )
        return "model of inspection", does

    def get_config(self):
        config = {**super().get_config(), "alpha": self.alpha, "calibration": self.calibration}
        del config["mask"]  # always "found"
        return config


def suspicion(deviation):
    """`1/2 + d / (2 (SOFT + |d|))`: in (0, 1), rising, and still telling large deviations apart."""
    return 0.5 + 0.5 * deviation / (SOFT + ops.abs(deviation))
