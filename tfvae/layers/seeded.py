"""Layers that draw random numbers and remember where they stopped."""

import keras
from keras import ops

from tfvae.replicas import own_rows, several


class SavesSeedState(keras.layers.Layer):
    """Mixin: the state of `self.seed_generator` is saved and loaded with the layer's weights.

    Keras leaves it out of every file it writes, so a resumed run would draw the noise of its first steps again.
    """

    seed_generator: keras.random.SeedGenerator

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if hasattr(self, "seed_generator"):
            store["seed_state"] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        if "seed_state" in store.keys():  # noqa: SIM118 (an HDF5 group, or Keras's stand-in for one)
            self.seed_generator.state.assign(store["seed_state"][()])
        super().load_own_variables({key: store[key] for key in store.keys() if key != "seed_state"})  # noqa: SIM118


@keras.saving.register_keras_serializable(package="tfvae")
class Dropout(SavesSeedState, keras.layers.Dropout):
    """`keras.layers.Dropout` whose noise continues after a resume, and whose replicas drop what one device would."""

    def call(self, inputs, training=False):
        if not training or several() is None:
            return super().call(inputs, training=training)
        kept = own_rows(lambda shape: super(Dropout, self).call(ops.ones(shape, inputs.dtype), True), ops.shape(inputs))
        return inputs * kept
