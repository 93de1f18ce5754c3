"""What models of restoration share: pictures are degraded on the fly, and the original is learnt given that."""

import json
import warnings

import numpy as np
import tensorflow as tf
from keras import ops

from tfvae import corruptions as corruption_library
from tfvae.distributions import float32
from tfvae.endpoint import VARIANTS, Endpoint
from tfvae.layers.degrader import Degrader
from tfvae.layers.variance_function import PARTS, standard_deviation
from tfvae.models.base import VariationalModel
from tfvae.objectives import FLOOR, estimate_loss


class RestorationModel(VariationalModel):
    """A VAE of originals x given degraded pictures y: `log p(x|y) >= E_q[log p(x|y, z)] - KL(q(z|x, y) || p(z))`.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | p(y\\|x) | the corruption, known | `corruptions` |
    | y | the degraded picture | `degraded` |
    | m | where pixels can be trusted: 1, else 0 | `known` |
    | E[x\\|y] | the estimate | `estimate` |
    | q(z\\|x, y), p(z) | posterior and prior of what y leaves open | `mean`, `log_var` |
    | p(x\\|y, z) | likelihood | `parameters` |

    In addition to the bound, the loss has the negative log-likelihood of the estimate alone, with the best standard
    deviation for each picture: `0.5 * n * log(mean((x - estimate)**2))`, so minimising it maximises the mean PSNR. The
    sum is the hybrid objective of Sohn et al., equation 9, with both weights 1.

    Training images are originals. Each step degrades them anew from the model's own generator, whose state is saved;
    outside of training the draw depends on the seed and the pictures alone, so that figures of all epochs compare.

    After training, `tfvae.applications.calibrate_uncertainty` fits the standard deviation to the errors of held-out
    pictures, a function of the model's `predictors` (`tfvae.layers.variance_function`).

    A subclass defines `infer`, `restore`, `sample` and `predictors`, and `takes_mask`, `finds_damage`, `margin`; where
    tiles must know of their whole picture, `context(degraded, like=None)` too.

    Reference:
        Sohn, Lee and Yan (2015), Learning structured output representation using deep conditional generative models
    """

    default_endpoint = "restore"
    correlates = False  # whether its samples are the estimate and noise like its errors

    def __init__(
        self,
        encoder,
        decoder,
        corruptions=(),
        floor=FLOOR,
        beta=1.0,
        free_bits=0.0,
        seed=None,
        uncertainty=None,
        **kwargs,
    ):
        super().__init__(encoder, decoder, beta, free_bits, seed, **kwargs)
        self.use_uncertainty(uncertainty)
        if floor <= 0:
            raise ValueError(f"`floor` must be positive. Received: floor={floor}")
        self.corruptions = corruption_library.from_tables(corruptions)
        self.floor = floor
        self.degrader = Degrader(None if seed is None else seed + 1)

    @property
    def allows_xla(self):
        """Whether XLA has a kernel of every corruption: it draws no Poisson numbers."""
        return all(corruption.allows_xla for corruption in self.corruptions)

    @property
    def takes_mask(self):
        """Whether `restore` wants to know which pixels are lost."""
        return False

    @property
    def finds_damage(self):
        """Whether `restore` returns where the picture is damaged."""
        return False

    @property
    def margin(self):
        """Radius of the receptive field in pixels; 0 where a pixel is changed by itself."""
        return 0

    @property
    def noise_units(self):
        """Standard normal numbers that a sample takes for each place of the latent."""
        return self.latent_shape[-1]

    @property
    def without_int8(self):
        """Why no `.tflite` file computes in int8, a sentence; "" where they do."""
        return ""

    @property
    def uncertainty(self):
        """What `calibrate_uncertainty` returned, and what was measured of it, a copy; None before."""
        return json.loads(self.uncertainty_text)

    def use_uncertainty(self, table):
        """Replaces the calibration; what was traced with the one before is traced anew.

        One by a version before the predictors' products is left out with a warning: what it was fitted to is gone.
        """
        if table is not None and not set(PARTS) <= set(table):
            warnings.warn(
                "The calibration of the uncertainty is of an earlier version of tfvae, and is left out. Calibrate "
                "again: `python -m training --out RUN --resume`, or tfvae.applications.calibrate_uncertainty.",
                stacklevel=2,
            )
            table = None
        self.uncertainty_text = json.dumps(table)  # as text: Keras would track the parts of a dict, as if layers
        self.predict_function = None

    def predictors(self, degraded, known=None, context=None):
        """What the size of an error is told from, `(b, h, w, c, k)`: logarithms, each a map of the picture.

        The first is that of the standard deviation that the network emits.
        """
        raise NotImplementedError

    def calibrated(self, predictors):
        """Standard deviations from predictors `(..., k)`: `(...)`."""
        table = self.uncertainty
        return ops.exp(predictors[..., 0]) if table is None else standard_deviation(predictors, table)

    def corrupt(self, images, seed):
        """`Corrupted(image, damage)` of originals; `seed`: two int32. Equal seeds, equal damage."""
        image, damage = corruption_library.corrupt(float32(images), self.corruptions, seed)
        # Draws of unknown sizes leave the channels unknown, too.
        return corruption_library.Corrupted(tf.ensure_shape(image, images.shape), damage)

    def infer(self, images, degraded, known, training=False):
        """Everything the loss needs: float32 tensors by name.

        Args:
            images: Originals, `(b, h, w, c)`.
            degraded: Of the same shape.
            known: `(b, h, w, 1)`.

        Returns:
            At least `mean`, `log_var`, `z`, `parameters` and `estimate`.
        """
        raise NotImplementedError

    def restore(self, degraded, known=None, context=None):
        """The estimate of the original and how sure it is; deterministic.

        Args:
            degraded: Pictures, `(b, h, w, c)`, of any size, mostly within [0, 1].
            known: `(b, h, w, 1)`: 1 where a pixel can be trusted, 0 where it is lost; all 1 by default.
            context: What `context` returned for the whole pictures, where these are tiles of them.

        Returns:
            `image` in [0, 1] and `std`, its standard deviation, both `(b, h, w, c)`; where `finds_damage` also
            `damage`, the probability that a pixel is damaged, `(b, h, w, 1)`.
        """
        raise NotImplementedError

    def sample(self, degraded, noise, known=None, context=None):
        """`{"image"}`: one plausible original for standard normal `noise`, `noise_units` for each latent place."""
        raise NotImplementedError

    def degrade(self, images, training=False):
        """Degraded pictures, known pixels and damage of originals, as the training or the evaluation draws them."""
        seed = self.degrader(images, training=training)
        image, damage = self.corrupt(images, seed)
        return image, (1.0 - damage if self.takes_mask else tf.ones_like(damage)), damage

    def call(self, images, training=False):
        degraded, known, damage = self.degrade(images, training)
        return {**self.infer(images, degraded, known, training), "damage": damage}

    def encode(self, images):
        """Posterior of originals, each given its own degraded picture."""
        outputs = self(images)
        return {name: outputs[name] for name in ("mean", "log_var")}

    def reconstruct(self, images):
        """`images` taken as degraded pictures, restored."""
        return {"image": self.restore(images)["image"]}

    def restoration_example(self, images):
        """Originals degraded and restored again: `degraded`, `image` and perhaps `std`, all of their size."""
        degraded, known, _ = self.degrade(images)
        return {"degraded": degraded, **self.restore(degraded, known)}

    def reconstruction_for_metrics(self, images, labels=None):
        return self.restoration_example(images)["image"]

    def endpoints(self, image, latent):
        shapes = {"image": image, **({"known": (*image[:3], 1)} if self.takes_mask else {})}
        note = self.without_int8
        variants = VARIANTS[:-1] if note else VARIANTS

        def restore(image, known=None):
            return self.restore(image, known)

        def sample(image, noise, known=None):
            return self.sample(image, noise, known)

        return {
            "restore": Endpoint(shapes, restore, "restorer", variants, note=note),
            "sample": Endpoint(
                {**shapes, "noise": (*latent[:-1], self.noise_units)}, sample, "sampler", variants, note=note
            ),
        }

    @property
    def in_words(self):
        does = "it takes out of an image what it was trained to take out, and says how sure it is"
        return "model of restoration", does + (" and where the damage lies" if self.finds_damage else "")

    def examples(self, images, rng):
        """As `LatentModel.examples`: `image` degraded as in an evaluation, and `known`."""
        degraded, known, _ = self.degrade(images)
        places = self.code_shape(*images.shape[1:3])[:-1]
        noise = rng.standard_normal((len(images), *places, self.noise_units))
        return {
            "image": [ops.convert_to_numpy(degraded)],
            "known": [ops.convert_to_numpy(known)],
            "noise": [noise.astype(np.float32)],
        }

    def selection_loss(self, means):
        """The auxiliary loss alone, the estimate's: the bound is decided by a few pixels that are surer than right."""
        return means["loss"] - super().selection_loss(means)

    def auxiliary_loss(self, outputs, images):
        return estimate_loss(images, outputs["estimate"], self.floor)

    def get_config(self):
        config = super().get_config()
        del config["encoder"], config["decoder"]  # made from the settings
        own = {"floor": self.floor, "uncertainty": self.uncertainty}
        return {**config, "corruptions": corruption_library.as_tables(self.corruptions), **own}
