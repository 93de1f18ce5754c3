"""The VAE with several groups of latents, from coarse to fine, each drawn given those above it."""

from collections.abc import Iterable
from itertools import accumulate
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from tfvae.applications.latent.embed import embed
from tfvae.applications.latent.interpolate import interpolate
from tfvae.distributions import float32
from tfvae.example_weights import batch_mean
from tfvae.models.base import DecodesCodes, VariationalModel
from tfvae.networks.ladder_coders import NETWORKS, LadderDecoder, LadderEncoder
from tfvae.objectives import free_bits_rate
from tfvae.priors.base import gaussian_log_prob

Levels = int | Iterable[int] | None


@keras.saving.register_keras_serializable(package="tfvae")
class HierarchicalVAE(VariationalModel, DecodesCodes):
    """Maximises `E_q[log p(x|z)] - beta * sum_l KL(q(z_l|x, z_<l) || p(z_l|z_<l))`.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | z_1 … z_L | groups of latents, coarse to fine; several make a level | `decoder.group_shapes` |
    | p(z_l\\|z_<l) = N(mu_l, sigma_l**2) | conditional prior | `prior_mean`, `prior_log_var` of `latents` |
    | q(z_l\\|x, z_<l) | posterior | `mean`, `log_var` of `latents` |
    | u_l = (z_l - mu_l) / sigma_l | code of a group: standard normal under p | `z` |
    | N(m_l, s_l**2) | the posterior of u_l | `mean`, `log_var` of the outputs |
    | KL(N(m_l, s_l**2) \\|\\| N(0, 1)) | rate of a group, that of z_l | `prior.kl` |
    | p(x\\|z) | likelihood | `parameters`, read by `likelihood` |
    | beta, lambda | weight of the rate; floor under the rate of each group | `beta`, `free_bits` |

    A code is flat, `(batch, units)`: the u of all groups, one after the other, coarse to fine. As the conditional
    priors are its units, any numbers are a code, `p(u) = N(0, I)`, noise decoded is a draw, and zeros are a mean: what
    is known of a picture at its top levels alone is decoded by zeros below them. Densities of z and of u differ by a
    factor that q and p share, so rates and importance weights are those of z.

    On the way up the picture becomes features at every level; on the way down a state, which is what the groups so far
    have said, gives the next prior, state and features together the next posterior. A level is half the resolution of
    the one below, and the top is one vector; or all are vectors (`network="mlp"`).

    Where a method takes `levels`, a number means so many from the top, and a list those levels, of which 0 is the top;
    levels without groups do not count.

    Args:
        image_shape: `(height, width, channels)`; pictures of one size.
        latent_dim: Channels of each group of latents, units of one that is a vector.
        network: `"resnet"` or `"mlp"`.
        widths: Filters of each level, fine to coarse.
        hidden: Units of the vector on top of a `"resnet"`.
        likelihood: A `Likelihood`, or its name.
        groups: Groups of latents of each level, fine to coarse as `widths`, of a `"resnet"` the vector's last; 0 for a
            level without. One number: of all levels.
        blocks: Residual blocks of each level on the way up, and after each group on the way down.
        embed_levels: Levels that `embed` takes, from the top.
        beta, free_bits, seed: As in `VAE`; free bits are for a whole group.

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1].

    Returns:
        `{"mean", "log_var", "z", "parameters"}`, all float32: a code that was drawn, and the posterior of each of its
        groups given the groups above it as drawn.

    Raises:
        ValueError: If `embed_levels` are not at most the levels there are; and as `VAE` and `LadderCoder`.

    Reference:
        Sønderby et al. (2016), Ladder VAE, https://arxiv.org/abs/1602.02282; Maaløe et al. (2019), BIVA,
        https://arxiv.org/abs/1902.02102; Child (2021), VDVAE, https://arxiv.org/abs/2011.10650
    """

    usual: ClassVar = {"network": "resnet", "widths": (32, 64), "likelihood": "bernoulli"}

    def __init__(
        self,
        image_shape,
        latent_dim,
        network,
        widths,
        hidden,
        likelihood,
        groups=(1,),
        blocks=1,
        embed_levels=1,
        beta=1.0,
        free_bits=0.0,
        seed=None,
        **kwargs,
    ):
        shared: dict[str, Any] = {"image_shape": image_shape, "latent_dim": latent_dim, "network": network}
        shared |= {"widths": widths, "hidden": hidden, "groups": groups, "blocks": blocks}
        encoder, decoder = LadderEncoder(**shared), LadderDecoder(**shared, likelihood=likelihood)
        super().__init__(encoder, decoder, beta, free_bits, seed, **kwargs)
        if not 1 <= embed_levels <= len(decoder.level_units):
            raise ValueError(
                f"`embed_levels` must be from 1 to {len(decoder.level_units)}. Received: embed_levels={embed_levels}"
            )
        self.embed_levels = embed_levels

    @classmethod
    def assemble(cls, image_shape, latent_dim, *, network, widths, hidden, dropout, likelihood, seed, **options):
        if dropout:
            raise ValueError(f"`dropout` of a {cls.__name__} must be 0. Received: dropout={dropout}")
        return cls(image_shape, latent_dim, network, widths, hidden, likelihood, seed=seed, **options)

    @classmethod
    def networks(cls, spatial):
        return [] if spatial else list(NETWORKS)

    @property
    def levels(self):
        """How many levels have latents."""
        return len(self.decoder.level_units)

    @property
    def unit_groups(self):
        """Units of each level, coarse to fine, by name."""
        return {f"level_{place}": part for place, part in enumerate(self._parts(self.levels))}

    def call(self, images, training=False):
        flat = ops.zeros((ops.shape(images)[0], *self.latent_shape))
        # The sampler's noise, with its seed and its replicas; the posterior is known only on the way down.
        return self._outputs(images, self.sampler(flat, flat), training)

    def _outputs(self, images, noise, training=False):
        features = self.encoder(images, training=training)
        z, mean, log_var, parameters, _ = self.decoder.posterior(features, noise)
        return {"mean": mean, "log_var": log_var, "z": z, "parameters": parameters}

    def encode(self, images):
        """`{"mean", "log_var"}` of the posterior of each group, given the means of the groups above it."""
        outputs = self._outputs(self.as_images(images), None)
        return {"mean": outputs["mean"], "log_var": outputs["log_var"]}

    def codes(self, images, levels: Levels = None):
        """One deterministic code per image, `(batch, units)`, float32: that of all levels, or of some alone."""
        codes = self.encode(images)["mean"]
        return codes if levels is None else ops.concatenate([codes[:, part] for part in self._parts(levels)], axis=-1)

    def draw(self, images, noise):
        """Codes drawn from q(z|x): of standard normal `noise`, `(batch, *latent_shape)`, one for each image."""
        return self._outputs(self.as_images(images), noise)["z"]

    def chosen_code(self, images, choose):
        return self.decoder.chosen(self.encoder(self.as_images(images)), choose)[0]

    def latents(self, images, noise=None):
        """The `Latents` of each group, coarse to fine: q, p and z in the ladder's own units, as maps.

        Args:
            images: Shape `(batch, height, width, channels)`.
            noise: Standard normal, `(batch, *latent_shape)`, of the draw of z; None: z is the mean of q.
        """
        return self.decoder.posterior(self.encoder(self.as_images(images)), noise)[-1]

    def reconstruct(self, images, levels: Levels = None):
        """`{"image"}` of the codes of `images`; with `levels` what these alone say, the others at their prior's mean.

        Of no level that is one picture, the same for all. Deterministic.
        """
        codes = self.codes(images)
        return self.decode(codes if levels is None else self.mixed(ops.zeros_like(codes), codes, levels))

    def mixed(self, codes, others, levels: Levels):
        """`codes` with `levels` of `others`: the coarse of one picture with the fine of another, `(batch, units)`."""
        chosen = self._chosen(levels)
        return float32(codes) * (1.0 - chosen) + float32(others) * chosen

    def generate(self, noise, temperature=1.0, *, seed=None, size=None):
        """`{"image"}` of standard normal `noise`, `(batch, *latent_shape)`, or of so many draws, as `VAE.generate`.

        The temperature multiplies the deviation of every conditional prior; or there is one for each level, coarse to
        fine, `(levels,)`: 1 on top for what varies, less below for clean shapes.

        Raises:
            ValueError: If there are more or fewer temperatures than levels.
        """
        temperature = float32(temperature)
        if len(temperature.shape):
            if tuple(temperature.shape) != (self.levels,):
                raise ValueError(
                    f"`temperature` must be a number, or one for each of the {self.levels} levels. "
                    f"Received: {temperature.shape[0]}"
                )
            temperature = ops.repeat(temperature, np.array(self.decoder.level_units))
        return self.decode(self.prior.sample(self.noise(noise, seed, size), temperature))

    def embed(self, images, batch_size=64, levels: Levels = None):
        """Codes of the top levels, `embed_levels` of them, or of `levels`, `(n, units)`, NumPy; see `codes`."""
        units = self.embedded if levels is None else np.flatnonzero(self._chosen(levels))
        return embed(self, images, batch_size)[:, units]

    @property
    def embedded(self):
        """Units of the top `embed_levels` levels, integers."""
        return np.flatnonzero(self._chosen(self.embed_levels))

    def interpolate(self, first, second, steps=10, method="linear", levels: Levels = None):
        """As `DecodesCodes.interpolate`; with `levels` only these go over, and the others stay those of `first`."""
        return interpolate(self, first, second, steps, method, levels=levels)

    def bound_loss(self, outputs, distortion, rate, training=True):
        """`distortion + beta * rate` with the free bits of each group, a scalar."""
        beta = self.current_beta() if training else self.beta
        kl = self.prior.kl(outputs["mean"], outputs["log_var"])
        return batch_mean(distortion) + beta * free_bits_rate(self.by_group(kl), self.free_bits)

    def by_group(self, kl):
        """The divergences of all units, `(batch, units)`, summed over each group: `(batch, groups)`."""
        return ops.stack([ops.sum(part, axis=(1, 2, 3)) for part in self.decoder.split(kl)], axis=-1)

    def log_weights(self, images, encoded, noise, labels=None):
        """As `VariationalModel.log_weights`, of codes drawn group by group; `encoded` is not used."""
        features = self.encoder(self.as_images(images))
        copies = ops.shape(noise)[0] // ops.shape(images)[0]  # one image has as many draws as there is noise
        features = [ops.repeat(feature, copies, axis=0) for feature in features]
        z, mean, log_var, parameters, _ = self.decoder.posterior(features, noise)
        log_ratio = self.prior.log_prob(z) - gaussian_log_prob(z, mean, log_var)
        return self.likelihood.log_prob(images, parameters) + log_ratio

    def endpoints(self, image, latent):
        generate = self.drawing({"noise": latent}, lambda noise: self.generate(noise))
        return {**super().endpoints(image, latent), "generate": generate}

    def _parts(self, levels):
        """The slices of a code that belong to `levels`, coarse to fine."""
        ends = list(accumulate(self.decoder.level_units))
        count = len(ends)
        chosen = list(range(levels)) if isinstance(levels, (int, np.integer)) else sorted(set(levels))
        if any(not 0 <= level < count for level in chosen) or (not chosen and levels != 0):
            raise ValueError(
                f"`levels` must be a number from 0 to {count}, or a list of levels from 0 to {count - 1}. "
                f"Received: levels={levels}"
            )
        return [slice(ends[level] - self.decoder.level_units[level], ends[level]) for level in chosen]

    def _chosen(self, levels):
        """1 for each unit of `levels`, 0 for the others, float32 `(units,)`."""
        mask = np.zeros(self.latent_shape, np.float32)
        for part in self._parts(levels):
            mask[part] = 1.0
        return mask

    def get_config(self):
        config = super().get_config()
        del config["encoder"], config["decoder"]  # made from the settings
        decoder = self.decoder
        return {
            **config,
            "image_shape": decoder.image_shape,
            "latent_dim": decoder.latent_dim,
            "network": decoder.network,
            "widths": decoder.widths,
            "hidden": decoder.hidden,
            "likelihood": keras.saving.serialize_keras_object(decoder.likelihood),
            "groups": decoder.groups,
            "blocks": decoder.blocks,
            "embed_levels": self.embed_levels,
        }
