"""Random numbers of a corruption: one stream from a seed, every image of the batch with its own."""

import tensorflow as tf

Setting = float | tuple[float, float]  # a fixed number, or the ends of the interval it is drawn from


class Draws:
    """Draws for a batch of images, a function of `seed` (int32, shape (2,)) and of the order of the calls.

    The seed must come from `tf.random.split`, all of whose bits are random: the streams of two corruptions, which
    count upwards from their seeds, then do not meet. XLA has its own generator: under `jit_compile` a seed gives other
    numbers than without.
    """

    def __init__(self, seed: tf.Tensor, batch: tf.Tensor):
        self.seed = tf.convert_to_tensor(seed, tf.int32)
        self.batch = batch
        self.made = 0

    def next_seed(self) -> tf.Tensor:
        """A seed that no other draw of this stream has."""
        self.made += 1
        return self.seed + tf.constant([0, self.made])

    def uniform(self, *shape, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """Uniform in [low, high), `(batch, *shape)` float32."""
        return tf.random.stateless_uniform((self.batch, *shape), self.next_seed(), low, high)

    def normal(self, *shape) -> tf.Tensor:
        """Standard normal, `(batch, *shape)` float32."""
        return tf.random.stateless_normal((self.batch, *shape), self.next_seed())

    def setting(self, value: Setting, *shape) -> tf.Tensor:
        """A setting of each image, `(batch, *shape)` float32: the number itself, or uniform over its pair."""
        if isinstance(value, tuple):
            return self.uniform(*shape, low=float(value[0]), high=float(value[1]))
        return tf.fill((self.batch, *shape), float(value))

    def whole(self, value: Setting, *shape) -> tf.Tensor:
        """A whole number of each image, `(batch, *shape)` float32: both ends of a pair are as likely as the others."""
        low, high = value if isinstance(value, tuple) else (value, value)
        # The minimum, because low + u * span rounds up to the excluded end once in some millions of draws.
        return tf.minimum(tf.floor(self.uniform(*shape, low=float(low), high=high + 1.0)), float(high))

    def present(self, count: Setting) -> tf.Tensor:
        """Which of the `most(count)` objects an image has, `(batch, most)` of 0 and 1 float32."""
        return tf.cast(tf.range(most(count), dtype=tf.float32) < self.whole(count, 1), tf.float32)


def most(count: Setting) -> int:
    """The largest whole number that `count` allows."""
    return int(count[1] if isinstance(count, tuple) else count)
