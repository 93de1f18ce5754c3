"""The two sides of a ladder: features of a picture at every level on the way up, groups of latents on the way down."""

import math
from itertools import accumulate, pairwise
from typing import Any

import keras
from keras import ops

from tfvae import likelihoods
from tfvae.distributions import float32
from tfvae.inputs import as_images
from tfvae.networks.coder import Coder
from tfvae.networks.ladder import Fall, LatentGroup, Latents, ResidualBottlenecks, Rise, kernel_of

NETWORKS = ("mlp", "resnet")


class LadderCoder(Coder):
    """What both sides know: the levels, and the latents of each.

    Args:
        image_shape: `(height, width, channels)`.
        latent_dim: Channels of a group of latents; units of one that is a vector.
        network: `"resnet"`, each of whose `widths` halves the resolution, rounded up, and above which is a vector of
            `hidden` units; or `"mlp"`, whose levels are all vectors.
        widths: Filters of each level, fine to coarse.
        hidden: Units of the vector above the maps of a `"resnet"`.
        groups: Groups of latents of each level, fine to coarse, the vector last; or one number for all levels.
        blocks: Residual blocks of each level on the way up, and after each group on the way down.

    Attributes:
        levels: `(height, width, filters)` of each, coarse to fine.
        groups_of: Groups of latents of each, likewise.

    Raises:
        ValueError: If a size is not positive, the network is another, the pictures have no fixed size, or `groups`
            does not fit the levels or has none.
    """

    def __init__(self, image_shape, latent_dim, network, widths, hidden, groups, blocks, **kwargs):
        super().__init__(image_shape, latent_dim, network, widths, hidden, 0.0, None, **kwargs)
        if network not in NETWORKS:
            raise ValueError(f"`network` of a ladder must be {' or '.join(NETWORKS)}. Received: network={network!r}")
        if self.spatial:
            raise ValueError(
                "`latent` of a ladder must be 'vector': it is for pictures of one size, image_shape=(height, width, "
                f"channels). Received: image_shape={self.image_shape}"
            )
        if blocks < 1:
            raise ValueError(f"`blocks` must be at least 1. Received: blocks={blocks}")
        self.groups, self.blocks = tuple(groups), blocks
        self.levels = _levels(self.image_shape, network, self.widths, hidden)[::-1]
        count = len(self.levels)
        self.groups_of = (self.groups * count if len(self.groups) == 1 else self.groups)[::-1]
        if len(self.groups_of) != count or min(self.groups_of) < 0 or not any(self.groups_of):
            raise ValueError(
                f"`groups` must be one positive number, or {count} numbers, one for each level from fine to coarse. "
                f"Received: groups={groups}"
            )
        # With so many blocks on the way, each adds such a share of the variance.
        self.scale = 1.0 / sum(blocks * max(1, own) for own in self.groups_of)

    @property
    def group_shapes(self):
        """`(height, width, latent_dim)` of each group of latents, coarse to fine: their order in a code."""
        pairs = zip(self.levels, self.groups_of, strict=True)
        return [(*level[:2], self.latent_dim) for level, own in pairs for _ in range(own)]

    @property
    def level_units(self):
        """Latents of each level that has any, coarse to fine."""
        pairs = zip(self.levels, self.groups_of, strict=True)
        return [own * level[0] * level[1] * self.latent_dim for level, own in pairs if own]

    @property
    def latent_shape(self):
        return (sum(self.level_units),)

    def _blocks(self, level):
        return ResidualBottlenecks(self.blocks, kernel_of(level), self.scale, dtype=self.dtype_policy)

    def get_config(self):
        config = {**super().get_config(), "groups": self.groups, "blocks": self.blocks}
        return {name: value for name, value in config.items() if name not in ("dropout", "seed")}


@keras.saving.register_keras_serializable(package="tfvae")
class LadderEncoder(LadderCoder):
    """Features of a picture at each level, from which the posteriors of all groups are made.

    Arguments as `LadderCoder`.

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1].

    Returns:
        A list of `(batch, height, width, filters)`, coarse to fine.
    """

    stochastic = True

    def __init__(
        self, image_shape, latent_dim, network="resnet", widths=(32, 64), hidden=128, groups=(1,), blocks=1, **kwargs
    ):
        super().__init__(image_shape, latent_dim, network, widths, hidden, groups, blocks, **kwargs)
        upwards = self.levels[::-1]
        self.entrance = Rise(self.image_shape, upwards[0], 3, dtype=self.dtype_policy)
        self.rise = [Rise(*pair, dtype=self.dtype_policy) for pair in pairwise(upwards)]
        self.rungs = [self._blocks(level) for level in upwards]
        self.build((None, *self.image_shape))

    def build(self, input_shape):
        if self.built:
            return
        for step in (self.entrance, *self.rise):
            step.build((None, *step.source))
        for rung, level in zip(self.rungs, self.levels[::-1], strict=True):
            rung.build((None, *level))
        self.built = True

    def call(self, images, training=False):
        images = as_images(images, self.image_shape, type(self).__name__)
        # Centred pixels, as in `Encoder`.
        features = [self.rungs[0](self.entrance(images - 0.5))]
        for rise, rung in zip(self.rise, self.rungs[1:], strict=True):
            features.append(rung(rise(features[-1])))
        return features[::-1]

    def compute_output_shape(self, input_shape):
        return [(input_shape[0], *level) for level in self.levels]


@keras.saving.register_keras_serializable(package="tfvae")
class LadderDecoder(LadderCoder):
    """From a code to the parameters of `p(x|z)`, through all groups of latents.

    Args:
        likelihood: A `Likelihood`, or its name; the others as `LadderCoder`.

    Call arguments:
        z: Codes `(batch, *latent_shape)`: the groups one after the other, coarse to fine, each in units of its prior,
            so that standard normal noise is a draw from p(z).

    Returns:
        Parameters, `(batch, height, width, channels * likelihood.parameters_per_channel)`, float32.
    """

    def __init__(
        self,
        image_shape,
        latent_dim,
        likelihood="bernoulli",
        network="resnet",
        widths=(32, 64),
        hidden=128,
        groups=(1,),
        blocks=1,
        **kwargs,
    ):
        super().__init__(image_shape, latent_dim, network, widths, hidden, groups, blocks, **kwargs)
        self.likelihood = likelihoods.get(likelihood)
        height, width, channels = self.image_shape
        self.parameters_shape = (height, width, channels * self.likelihood.parameters_per_channel)
        # One list of rungs, as Keras saves no lists of lists: the groups of a level, or blocks where it has none.
        self.rungs = [
            rung
            for level, own in zip(self.levels, self.groups_of, strict=True)
            for rung in ([self._group(level) for _ in range(own)] or [self._blocks(level)])
        ]
        self.fall = [Fall(*pair, dtype=self.dtype_policy) for pair in pairwise(self.levels)]
        self.exit = Fall(self.levels[-1], self.parameters_shape, 3, head=True, dtype=self.dtype_policy)
        self.start = self.add_weight(name="start", shape=(1, *self.levels[0]), initializer="zeros")
        self.build((None, *self.latent_shape))

    def _group(self, level):
        return LatentGroup(self.latent_dim, self.blocks, kernel_of(level), self.scale, dtype=self.dtype_policy)

    def build(self, input_shape):
        if self.built:
            return
        for level, rungs in zip(self.levels, self._rungs_of_levels(), strict=True):
            for rung in rungs:
                rung.build((None, *level))
        for step in (*self.fall, self.exit):
            step.build((None, *step.source))
        if not self.likelihood.built:
            self.likelihood.build((None, *self.parameters_shape))
        self.built = True

    def _rungs_of_levels(self):
        rungs = iter(self.rungs)
        return [[next(rungs) for _ in range(max(1, own))] for own in self.groups_of]

    def call(self, z, training=False):
        codes = iter(self.split(float32(z)))
        return self._descend(ops.shape(z)[0], lambda place, group, state: next(codes))[0]

    def posterior(self, features, noise=None):
        """The code of pictures, drawn from q(z|x) group by group, each given those above it.

        Args:
            features: What `LadderEncoder` made of the pictures.
            noise: Standard normal, `(batch, *latent_shape)`; None: the means are taken.

        Returns:
            As `chosen`.
        """
        if noise is None:
            return self.chosen(features, lambda mean, log_var: mean)
        noises = iter(self.split(float32(noise)))
        return self.chosen(features, lambda mean, log_var: mean + ops.exp(0.5 * log_var) * next(noises))

    def chosen(self, features, choose):
        """The code of pictures, group by group, each of which is `choose(mean, log_var)` of its posterior.

        Args:
            features: What `LadderEncoder` made of the pictures.
            choose: From mean and log-variance of a group's code, `(batch, height, width, latent_dim)` in units of the
                prior and given the groups above as chosen, to its code.

        Returns:
            `(z, mean, log_var, parameters, latents)`: code, mean and log-variance in units of the prior,
            `(batch, *latent_shape)`, float32; and the `Latents` of each group in the ladder's own units.
        """
        means: list[Any] = []
        log_vars: list[Any] = []
        codes: list[Any] = []

        def drawn(place, group, state):
            mean, log_var = group.posterior(state, features[place])
            code = choose(mean, log_var)
            for values, value in ((means, mean), (log_vars, log_var), (codes, code)):
                values.append(value)
            return code

        parameters, seen = self._descend(ops.shape(features[0])[0], drawn)
        latents = [
            Latents(prior + ops.exp(log_std) * mean, log_var + 2 * log_std, prior, 2 * log_std, z)
            for mean, log_var, (z, prior, log_std) in zip(means, log_vars, seen, strict=True)
        ]
        return *(joined(values) for values in (codes, means, log_vars)), parameters, latents

    def _descend(self, rows, code_of):
        """Parameters, and what each group returned, where `code_of(level, group, state)` is the code of a group."""
        state = ops.cast(ops.tile(self.start, (rows, 1, 1, 1)), self.compute_dtype)
        seen = []
        for place, rungs in enumerate(self._rungs_of_levels()):
            state = self.fall[place - 1](state) if place else state
            for rung in rungs:
                if not self.groups_of[place]:
                    state = rung(state)
                    continue
                state, latents = rung(state, code_of(place, rung, state))
                seen.append(latents)
        return float32(self.exit(state)), seen

    def split(self, z):
        """A flat code as the codes of its groups, `(batch, height, width, latent_dim)` each."""
        ends = list(accumulate(math.prod(shape) for shape in self.group_shapes))
        parts = ops.split(z, ends[:-1], axis=-1)
        return [ops.reshape(part, (-1, *shape)) for part, shape in zip(parts, self.group_shapes, strict=True)]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.parameters_shape)

    def get_config(self):
        return {**super().get_config(), "likelihood": keras.saving.serialize_keras_object(self.likelihood)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        likelihood = keras.saving.deserialize_keras_object(config["likelihood"])
        return super().from_config({**config, "likelihood": likelihood}, custom_objects)


def joined(parts):
    """The codes of all groups as one flat code, `(batch, units)`: the inverse of `LadderDecoder.split`."""
    return ops.concatenate([ops.reshape(part, (-1, math.prod(part.shape[1:]))) for part in parts], axis=-1)


def _levels(image_shape, network, widths, hidden):
    """`(height, width, filters)` of each level, fine to coarse."""
    if network == "mlp":
        return [(1, 1, width) for width in widths]
    height, width, _ = image_shape
    levels = []
    for filters in widths:
        height, width = -(-height // 2), -(-width // 2)
        levels.append((height, width, filters))
    return [*levels, (1, 1, hidden)]
