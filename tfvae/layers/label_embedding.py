"""What a picture's label adds to it on its way into an encoder."""

import keras
from keras import ops

from tfvae.distributions import float32


@keras.saving.register_keras_serializable(package="tfvae")
class LabelEmbedding(keras.layers.Layer):
    """Images plus a picture that is learnt for each class, `x + scale * sum_y w_y E_y`; of images of any size a colour.

    Args:
        classes: How many.
        scale: Multiplies the embedding, and with it the size of Adam's steps.

    Call arguments:
        images: Shape `(batch, height, width, channels)`.
        weights: Of the classes, `(batch, classes)`.

    Returns:
        Shape of `images`, float32.
    """

    def __init__(self, classes, scale=1.0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.classes, self.scale = classes, scale

    def build(self, images_shape, weights_shape=None):
        shape = (self.classes, *(side or 1 for side in images_shape[1:]))
        self.embedding = self.add_weight(name="embedding", shape=shape, initializer="zeros", dtype="float32")

    def call(self, images, weights):
        return float32(images) + ops.tensordot(self.scale * float32(weights), self.embedding, axes=1)

    def compute_output_shape(self, images_shape, weights_shape=None):
        return images_shape

    def get_config(self):
        return {**super().get_config(), "classes": self.classes, "scale": self.scale}
