"""The vector quantiser: each vector becomes the nearest of a learnt codebook."""

import keras
import tensorflow as tf
from keras import ops

from tfvae import example_weights, replicas
from tfvae.distributions import float32
from tfvae.layers.seeded import SavesSeedState
from tfvae.objectives import sum_per_example


@keras.saving.register_keras_serializable(package="tfvae")
class VectorQuantiser(SavesSeedState):
    """`k = argmin_i |z_e - e_i|**2`, `z_q = e_k`, with the codebook learnt by moving averages instead of a gradient.

    While training, after the batch was quantised, with `n_i` the vectors of the batch whose nearest code is i and
    `s_i` their sum:

        N_i <- momentum * N_i + (1 - momentum) * n_i
        e_i <- (momentum * N_i_before * e_i + (1 - momentum) * s_i) / N_i

    which is a step of k-means for `momentum = 0`. A code whose `N_i` falls below `revival` times an even share of the
    batch is put where a vector of the batch is, and given that share. All `N_i` start at 0, so the first batch places
    the codebook. The gradient passes straight through: that of `z_e` is that of `z_q`.

    The averages are float32, saved with the weights, and those of the whole batch where replicas share it. A batch
    with a vector that is not finite changes nothing.

    Args:
        codes: Vectors in the codebook.
        momentum: Weight of the past in the averages.
        revival: Share of an even use below which a code is placed anew; 0 leaves it where it is.
        seed: Starts the choice of the vectors that revived codes take.

    Call arguments:
        inputs: Vectors `(…, dim)`, `dim` known.

    Returns:
        `(indices, quantised)`: int32 `(…)`, and float32 of the shape of `inputs`.

    Raises:
        ValueError: If `codes` is not positive, `momentum` is not in [0, 1) or `revival` not in [0, 1).

    Reference:
        van den Oord et al. (2017), section 3.1 and appendix A.1, https://arxiv.org/abs/1711.00937;
        Dhariwal et al. (2020), section 3.1, https://arxiv.org/abs/2005.00341, for the revival
    """

    def __init__(self, codes, momentum=0.99, revival=0.1, seed=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if codes < 1:
            raise ValueError(f"`codes` must be positive. Received: codes={codes}")
        for name, value in (("momentum", momentum), ("revival", revival)):
            if not 0 <= value < 1:
                raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={value}")
        self.codes, self.momentum, self.revival, self.seed = codes, momentum, revival, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        options = {"trainable": False, "aggregation": "only_first_replica", "dtype": "float32"}
        limit = 1.0 / self.codes
        start = keras.initializers.RandomUniform(-limit, limit, seed=self.seed)
        self.codebook = self.add_weight(
            name="codebook", shape=(self.codes, input_shape[-1]), initializer=start, **options
        )
        self.counts = self.add_weight(name="counts", shape=(self.codes,), initializer="zeros", **options)
        self.built = True

    def call(self, inputs, training=False):
        inputs = float32(inputs)
        indices = self.nearest(inputs)
        quantised = self.look_up(indices)
        if training:
            self.learn(tf.stop_gradient(inputs), indices)
            quantised = inputs + tf.stop_gradient(quantised - inputs)
        return indices, quantised

    def nearest(self, vectors):
        """The index of the code nearest to each of `vectors`, `(…, dim) -> (…)`, int32; the first of equals."""
        codebook = ops.convert_to_tensor(self.codebook)
        # Without |z_e|**2, which is the same for all codes.
        distances = ops.sum(ops.square(codebook), axis=-1) - 2.0 * ops.matmul(vectors, ops.transpose(codebook))
        # Not Keras's argmin, which orders -0.0 before 0.0 by bitwise operations that TFLite has no builtin for.
        return tf.argmin(distances, axis=-1, output_type=tf.int32)

    def look_up(self, indices):
        """The code of each of `indices`, `(…) -> (…, dim)`, float32."""
        return ops.take(ops.convert_to_tensor(self.codebook), indices, axis=0)

    def distance(self, encoded, quantised):
        """What the commitment weighs, `(batch,)`: the squared distance of the vectors from their codes."""
        return sum_per_example(ops.square(encoded - ops.stop_gradient(quantised)))

    def learn(self, vectors, indices):
        """One step of the moving averages and the revival, from `vectors` `(…, dim)` and their codes `(…)`."""
        weights = tf.reshape(example_weights.each(indices), (-1,))
        vectors, indices = tf.reshape(vectors, (-1, vectors.shape[-1])), tf.reshape(indices, (-1,))
        number = tf.shape(vectors)[0]
        used = tf.math.unsorted_segment_sum(weights, indices, self.codes)
        sums = tf.math.unsorted_segment_sum(weights[:, None] * vectors, indices, self.codes)
        used, sums, chosen = _over_replicas(used, sums, self._some(vectors, number))

        before, codebook = ops.convert_to_tensor(self.counts), ops.convert_to_tensor(self.codebook)
        kept = self.momentum * before
        counts = kept + (1 - self.momentum) * used
        known = counts > 1e-30  # below, the division has no digits left, and the code stays where it was
        means = (kept[:, None] * codebook + (1 - self.momentum) * sums) / tf.where(known, counts, 1.0)[:, None]
        moved = tf.where(known[:, None], means, codebook)

        share = tf.reduce_sum(used) / self.codes
        dead = counts < self.revival * share
        finite = tf.reduce_all(tf.math.is_finite(sums))
        self.counts.assign(tf.where(finite, tf.where(dead, share, counts), before))
        self.codebook.assign(tf.where(finite, tf.where(dead[:, None], chosen, moved), codebook))

    def _some(self, vectors, number):
        """A vector of the global batch for every code, `(codes, dim)`: this replica's part, zero where not its own."""
        seed = tf.cast(self.seed_generator.next(), "int32")
        replica = replicas.several()
        parts = 1 if replica is None else replica.num_replicas_in_sync
        place = tf.random.stateless_uniform((self.codes,), seed, maxval=number * parts, dtype=tf.int32)
        own = 0 if replica is None else replica.replica_id_in_sync_group
        return tf.where((place // number == own)[:, None], tf.gather(vectors, place % number), 0.0)

    def perplexity(self):
        """How many codes are in use: `exp(-sum p_i log p_i)` with `p_i = N_i / sum N`, from 1 to `codes`."""
        share = self.counts / ops.maximum(ops.sum(self.counts), 1e-30)
        return ops.exp(-ops.sum(share * ops.log(ops.maximum(share, 1e-30))))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[:-1]), tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "codes": self.codes,
            "momentum": self.momentum,
            "revival": self.revival,
            "seed": self.seed,
        }


def _over_replicas(*values):
    """The sums of `values` over the replicas."""
    replica = replicas.several()
    return values if replica is None else replica.all_reduce(tf.distribute.ReduceOp.SUM, list(values))
