"""Layers that draw random numbers and remember where they stopped."""

import keras
from keras import ops


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
    """`keras.layers.Dropout` whose noise continues after a resume."""
