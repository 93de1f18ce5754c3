"""A causal Transformer over a map of indices: p(k) as a product over the places in raster order."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.seeded import Dropout
from tfvae.objectives import sum_per_example
from tfvae.priors.base import Prior


@keras.saving.register_keras_serializable(package="tfvae")
class CausalTransformer(Prior):
    """`log p(k) = sum_t log p(k_t | k_1 … k_(t-1))`, t counting the places of a map row by row.

    What stands at place t is the embedding of the index before it (of a start sign at the first) and the learnt
    vectors of its row and its column; a place sees itself and those before it. Blocks are pre-normalised: attention,
    then two dense layers, four times as wide between them.

    Args:
        codes: How many values an index has.
        size: `(rows, columns)`: the largest map.
        width: Units of each place, a multiple of `heads`.
        depth: Blocks.
        heads: Of the attention.
        dropout: Fraction dropped of each block's two outputs while training.
        seed: Starts the dropout noise.

    Call arguments:
        indices: int32 `(batch, rows, columns)`, in [0, codes).

    Returns:
        Logits of each place given those before it, `(batch, rows, columns, codes)`, float32.

    Raises:
        ValueError: If a size is not positive, `width` is not a multiple of `heads`, `dropout` is not in [0, 1), or a
            map is larger than `size`.

    Reference:
        Vaswani et al. (2017), https://arxiv.org/abs/1706.03762; Xiong et al. (2020), https://arxiv.org/abs/2002.04745,
        for the place of the normalisation
    """

    def __init__(self, codes, size, width=128, depth=4, heads=4, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        for name, value in (
            ("codes", codes),
            ("size", min(size)),
            ("width", width),
            ("depth", depth),
            ("heads", heads),
        ):
            if value < 1:
                raise ValueError(f"`{name}` must be positive. Received: {name}={size if name == 'size' else value}")
        if width % heads:
            raise ValueError(f"`width` must be a multiple of `heads`. Received: width={width}, heads={heads}")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")
        self.codes, self.size, self.width, self.depth, self.heads = codes, tuple(size), width, depth, heads
        self.dropout, self.seed = dropout, seed
        policy = self.dtype_policy
        self.embedding = keras.layers.Embedding(codes + 1, width, dtype=policy)  # the last is the start sign
        self.blocks = [
            Block(width, heads, dropout, None if seed is None else seed + place, dtype=policy) for place in range(depth)
        ]
        self.normalisation = keras.layers.LayerNormalization(dtype=policy)
        self.head = keras.layers.Dense(codes, dtype="float32")

    def build(self, input_shape):
        options = {"initializer": keras.initializers.RandomNormal(stddev=0.02), "trainable": True}
        self.rows = self.add_weight(name="rows", shape=(self.size[0], 1, self.width), **options)
        self.columns = self.add_weight(name="columns", shape=(1, self.size[1], self.width), **options)
        self.embedding.build((None, None))
        for layer in (*self.blocks, self.normalisation, self.head):
            layer.build((None, None, self.width))
        self.built = True

    def call(self, indices, training=False):
        shape = ops.shape(indices)
        raster = ops.reshape(indices, (shape[0], -1))
        start = ops.full_like(raster[:, :1], self.codes)
        x = self.embedding(ops.concatenate([start, raster[:, :-1]], axis=1)) + self.places(*shape[1:])
        count = ops.arange(ops.shape(raster)[1])
        earlier = count[:, None] >= count[None, :]
        for block in self.blocks:
            x = block(x, earlier, training=training)
        return ops.reshape(self.logits(x), (*shape, self.codes))

    def places(self, rows, columns):
        """The vectors of the places of a map, `(rows * columns, width)`."""
        for side, most in zip((rows, columns), self.size, strict=True):
            if isinstance(side, int) and side > most:
                raise ValueError(f"`indices` must be at most {self.size} places. Received: {(rows, columns)}")
        positions = ops.convert_to_tensor(self.rows)[:rows] + ops.convert_to_tensor(self.columns)[:, :columns]
        return ops.cast(ops.reshape(positions, (-1, self.width)), self.compute_dtype)

    def logits(self, x):
        return float32(self.head(self.normalisation(x)))

    def log_prob(self, indices, training=False):
        """`log p(k)` of each map, `(batch,)`, nats, float32."""
        logits = self(indices, training=training)
        return -sum_per_example(ops.sparse_categorical_crossentropy(indices, logits, from_logits=True))

    def sample(self, uniform, temperature=1.0):
        """Maps of indices by inverse transform: at each place the first index whose cumulative probability exceeds u.

        Keys and values of the places before are kept, so a place costs what one place costs: for n places n passes of
        one place instead of n passes of the map.

        Args:
            uniform: Numbers in [0, 1), one a place, `(batch, rows, columns)`.
            temperature: What the logits are divided by: below 1 likelier indices, 0 the likeliest at each place.

        Returns:
            int32 of the shape of `uniform`.
        """
        shape = ops.shape(uniform)
        uniform = ops.reshape(float32(uniform), (shape[0], -1))
        count = ops.shape(uniform)[1]
        places = self.places(*shape[1:])
        nothing = ops.zeros((2, shape[0], self.heads, count, self.width // self.heads), dtype=self.compute_dtype)

        def one_place(place, before, raster, cache):
            here = ops.arange(count) == place
            x = self.embedding(before[:, None]) + tf.gather(places, place[None])
            cache = list(cache)
            for level, block in enumerate(self.blocks):
                x, cache[level] = block.next(x, cache[level], here, ops.arange(count) <= place)
            index = inverse_transform(self.logits(x)[:, 0], uniform[:, place], temperature)
            return place + 1, index, ops.where(here, index[:, None], raster), cache

        start = (
            tf.constant(0),
            ops.full((shape[0],), self.codes, dtype="int32"),
            ops.zeros_like(uniform, dtype="int32"),
            [nothing] * self.depth,
        )
        _, _, raster, _ = tf.while_loop(lambda place, *_: place < count, one_place, start)
        return ops.reshape(raster, shape)

    def compute_output_shape(self, input_shape):
        return *input_shape, self.codes

    def get_config(self):
        return {
            **super().get_config(),
            "codes": self.codes,
            "size": self.size,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "dropout": self.dropout,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="tfvae")
class Block(keras.layers.Layer):
    """`x + attention(norm(x))`, then `x + dense(gelu(dense(norm(x))))`; shapes `(batch, places, width)`.

    Args:
        width, heads, dropout, seed: As of `CausalTransformer`.

    Call arguments:
        x: The places.
        seen: Boolean `(places, places)`: whether the place of the row sees that of the column.
    """

    def __init__(self, width, heads, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads, self.dropout, self.seed = width, heads, dropout, seed
        policy = self.dtype_policy
        self.first, self.second = (keras.layers.LayerNormalization(dtype=policy) for _ in range(2))
        self.queries, self.keys_values = (keras.layers.Dense(n * width, dtype=policy) for n in (1, 2))
        self.join = keras.layers.Dense(width, dtype=policy)
        self.widen = keras.layers.Dense(4 * width, activation="gelu", dtype=policy)
        self.narrow = keras.layers.Dense(width, dtype=policy)
        self.drop = Dropout(dropout, seed=seed, dtype=policy)

    def build(self, input_shape, _=None):
        for layer in (self.first, self.second, self.queries, self.keys_values, self.join, self.widen, self.drop):
            layer.build((None, None, self.width))
        self.narrow.build((None, None, 4 * self.width))
        self.built = True

    def call(self, x, seen, training=False):
        h = self.first(x)
        return self._rest(x, self.attend(self.queries(h), self._new(h), seen), training)

    def next(self, x, kept, here, seen):
        """One place more: `(x, kept)` after it.

        Args:
            x: The place, `(batch, 1, width)`.
            kept: Keys and values of all places, `(2, batch, heads, places, width / heads)`.
            here: Boolean `(places,)`: which one `x` is.
            seen: Boolean `(places,)`: which ones it sees.
        """
        h = self.first(x)
        kept = ops.where(here[:, None], self._new(h), kept)
        return self._rest(x, self.attend(self.queries(h), kept, seen), False), kept

    def attend(self, queries, keys_values, seen):
        """Softmax attention with float32 weights: `(batch, places, width)`."""
        keys, values = keys_values[0], keys_values[1]
        scores = float32(ops.matmul(self._split(queries), ops.swapaxes(keys, -1, -2))) / math.sqrt(keys.shape[-1])
        weights = ops.softmax(ops.where(seen, scores, -1e30), axis=-1)
        mixed = ops.swapaxes(ops.matmul(ops.cast(weights, values.dtype), values), 1, 2)
        return ops.reshape(mixed, ops.shape(queries))

    def _new(self, h):
        """Keys and values of places, `(2, batch, heads, places, width / heads)`."""
        both = self.keys_values(h)
        return ops.stack([self._split(both[..., : self.width]), self._split(both[..., self.width :])])

    def _split(self, x):
        shape = ops.shape(x)
        return ops.swapaxes(ops.reshape(x, (shape[0], shape[1], self.heads, self.width // self.heads)), 1, 2)

    def _rest(self, x, attended, training):
        x = x + self.drop(self.join(attended), training=training)
        return x + self.drop(self.narrow(self.widen(self.second(x))), training=training)

    def compute_output_shape(self, input_shape, _=None):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.heads,
            "dropout": self.dropout,
            "seed": self.seed,
        }


def inverse_transform(logits, uniform, temperature=1.0):
    """Draws from categorical distributions: the first index whose cumulative probability exceeds u.

    Args:
        logits: `(batch, codes)`.
        uniform: Numbers in [0, 1), `(batch,)`.
        temperature: What the logits are divided by, not negative; 0 takes the largest.

    Returns:
        int32 `(batch,)`; never an index of probability zero.
    """
    logits = float32(logits)
    # The largest is zero first, so that a tiny temperature overflows nothing.
    logits = (logits - ops.max(logits, axis=-1, keepdims=True)) / ops.maximum(float32(temperature), 1e-6)
    cumulative = ops.cumsum(ops.softmax(logits, axis=-1), axis=-1)
    # Rounding leaves the last sum a little off 1.
    threshold = float32(uniform)[:, None] * cumulative[:, -1:]
    return ops.minimum(ops.sum(ops.cast(cumulative <= threshold, "int32"), axis=-1), logits.shape[-1] - 1)
