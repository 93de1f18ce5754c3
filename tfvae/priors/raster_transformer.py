"""A causal Transformer over the places of a map: what priors of indices and of vectors share."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.seeded import Dropout
from tfvae.priors.base import Prior


class RasterTransformer(Prior):
    """`log p(k) = sum_t log p(k_t | k_1 … k_(t-1))`, t counting the places of a map row by row.

    What stands at place t is the embedding of what is before it (of a start sign at the first) and the learnt vectors
    of its row and its column; a place sees itself and those before it. Blocks are pre-normalised: attention, then two
    dense layers, four times as wide between them.

    A subclass says how what is at a place is embedded (`embedded`, `start_sign`), what the last features of a place
    say of it (`parameters`, `draw`), and builds its layers for it (`build_ends`).

    Args:
        size: `(rows, columns)`: the largest map.
        width: Units of each place, a multiple of `heads`.
        depth: Blocks.
        heads: Of the attention.
        dropout: Fraction dropped of each block's two outputs while training.
        seed: Starts the dropout noise.

    Raises:
        ValueError: If a size is not positive, `width` is not a multiple of `heads`, `dropout` is not in [0, 1), or a
            map is larger than `size`.

    Reference:
        Vaswani et al. (2017), https://arxiv.org/abs/1706.03762; Xiong et al. (2020), https://arxiv.org/abs/2002.04745,
        for the place of the normalisation
    """

    def __init__(self, size, width=128, depth=4, heads=4, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        positive("size", min(size), size)
        for name, value in (("width", width), ("depth", depth), ("heads", heads)):
            positive(name, value)
        if width % heads:
            raise ValueError(f"`width` must be a multiple of `heads`. Received: width={width}, heads={heads}")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")
        self.size, self.width, self.depth, self.heads = tuple(size), width, depth, heads
        self.dropout, self.seed = dropout, seed
        policy = self.dtype_policy
        self.blocks = [
            Block(width, heads, dropout, None if seed is None else seed + place, dtype=policy) for place in range(depth)
        ]
        self.normalisation = keras.layers.LayerNormalization(dtype=policy)

    def embedded(self, raster):
        """What is at each place as a vector, `(batch, places, width)`; `raster` is `(batch, places, …)`."""
        raise NotImplementedError

    def start_sign(self, batch):
        """What stands before the first place, `(batch, 1, width)`."""
        raise NotImplementedError

    def parameters(self, features):
        """Of what is at each place, from the last features `(batch, places, width)`; float32."""
        raise NotImplementedError

    def draw(self, parameters, noise, temperature):
        """What is at one place: of `parameters` and of its `noise`, both `(batch, …)`."""
        raise NotImplementedError

    def build_ends(self, input_shape):
        """Builds what `embedded`, `start_sign` and `parameters` need."""
        raise NotImplementedError

    def build(self, input_shape):
        options = {"initializer": keras.initializers.RandomNormal(stddev=0.02), "trainable": True}
        self.rows = self.add_weight(name="rows", shape=(self.size[0], 1, self.width), **options)
        self.columns = self.add_weight(name="columns", shape=(1, self.size[1], self.width), **options)
        self.build_ends(input_shape)
        for layer in (*self.blocks, self.normalisation):
            layer.build((None, None, self.width))
        self.built = True

    def raster_parameters(self, raster, size, training=False):
        """`parameters` of each place given those before it, of a map of `size` as `(batch, rows * columns, …)`."""
        before = self.embedded(raster)[:, :-1]
        x = ops.concatenate([self.start_sign(ops.shape(raster)[0]), before], axis=1) + self.places(*size)
        count = ops.arange(ops.shape(raster)[1])
        earlier = count[:, None] >= count[None, :]
        for block in self.blocks:
            x = block(x, earlier, training=training)
        return self.parameters(self.normalisation(x))

    def places(self, rows, columns):
        """The vectors of the places of a map, `(rows * columns, width)`."""
        for side, most in zip((rows, columns), self.size, strict=True):
            if isinstance(side, int) and side > most:
                raise ValueError(f"{self.of_maps} must be at most {self.size} places. Received: {(rows, columns)}")
        positions = ops.convert_to_tensor(self.rows)[:rows] + ops.convert_to_tensor(self.columns)[:, :columns]
        return ops.cast(ops.reshape(positions, (-1, self.width)), self.compute_dtype)

    of_maps = "`z`"  # the argument, in what is raised

    def drawn(self, noise, size, temperature):
        """A map, `(batch, rows * columns, …)`, place by place.

        Keys and values of the places before are kept, so a place costs what one place costs: for n places n passes of
        one place instead of n passes of the map.

        Args:
            noise: Of each place, `(batch, rows * columns, …)`, float32.
            size: `(rows, columns)` of the map.
            temperature: As `draw` takes it.
        """
        shape = ops.shape(noise)
        count = shape[1]
        places = self.places(*size)
        nothing = ops.zeros((shape[0], self.heads, count, self.width // self.heads), dtype=self.compute_dtype)

        def one_place(place, before, cache, made):
            here = ops.arange(count) == place
            x = before + tf.gather(places, place[None])
            cache = list(cache)
            for level, block in enumerate(self.blocks):
                x, cache[level] = block.next(x, cache[level], here, ops.arange(count) <= place)
            parameters = self.parameters(self.normalisation(x))
            new = self.draw(tf.nest.map_structure(lambda value: value[:, 0], parameters), noise[:, place], temperature)
            new = new[:, None]
            here = ops.reshape(here, (-1, *[1] * (len(made.shape) - 2)))
            return place + 1, self.embedded(new), cache, tf.ensure_shape(tf.where(here, new, made), made.shape)

        # Not a `TensorArray`, which in a TFLite file takes a batch of one size only.
        start = (
            tf.constant(0),
            self.start_sign(shape[0]),
            [(nothing, nothing)] * self.depth,
            tf.zeros_like(noise, self.drawn_dtype),
        )
        *_, made = tf.while_loop(lambda place, *_: place < count, one_place, start)
        return made

    drawn_dtype: str = "float32"

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "dropout": self.dropout,
            "seed": self.seed,
        }


def positive(name, value, shown=None):
    """Raises `ValueError` where an argument is not positive."""
    if value < 1:
        raise ValueError(f"`{name}` must be positive. Received: {name}={value if shown is None else shown}")


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
        keys, values = self._new(h)
        return self._rest(x, self.attend(self.queries(h), keys, values, seen), training)

    def next(self, x, kept, here, seen):
        """One place more: `(x, kept)` after it.

        Args:
            x: The place, `(batch, 1, width)`.
            kept: Keys and values of all places, `(batch, heads, places, width / heads)` each.
            here: Boolean `(places,)`: which one `x` is.
            seen: Boolean `(places,)`: which ones it sees.
        """
        h = self.first(x)
        keys, values = (ops.where(here[:, None], new, old) for new, old in zip(self._new(h), kept, strict=True))
        return self._rest(x, self.attend(self.queries(h), keys, values, seen), False), (keys, values)

    def attend(self, queries, keys, values, seen):
        """Softmax attention with float32 weights: `(batch, places, width)`."""
        scores = float32(ops.matmul(self._split(queries), ops.swapaxes(keys, -1, -2))) / math.sqrt(keys.shape[-1])
        weights = ops.softmax(ops.where(seen, scores, -1e30), axis=-1)
        mixed = ops.swapaxes(ops.matmul(ops.cast(weights, values.dtype), values), 1, 2)
        return ops.reshape(mixed, ops.shape(queries))

    def _new(self, h):
        """Keys and values of places, `(batch, heads, places, width / heads)` each."""
        return [self._split(part) for part in ops.split(self.keys_values(h), 2, axis=-1)]

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
