"""The encoder of a model as a layer of another: frozen it stays as it is, otherwise it learns; it is saved with it."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits
from tiny_runs import autoencoder, vector_vae

X, Y = load_digits().images[:200, ..., None].astype("float32") / 16, load_digits().target[:200]


@pytest.mark.parametrize("make", [vector_vae, autoencoder])
@pytest.mark.parametrize("frozen", [True, False])
def test_an_encoder_is_a_layer_of_a_classifier(make, frozen, tmp_path):
    model = make()
    model.encoder.trainable = not frozen
    code = model.encoder(images := keras.Input((8, 8, 1)))
    mean = code[0] if model.stochastic else code
    classifier = keras.Model(images, layers.Dense(10, activation="softmax")(mean))
    classifier.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    before, codes = model.encoder.get_weights(), model.embed(X)
    losses = classifier.fit(X, Y, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    moved = [not np.array_equal(*pair) for pair in zip(before, model.encoder.get_weights(), strict=True)]
    assert any(moved) != frozen
    assert np.array_equal(codes, model.embed(X)) == frozen  # one encoder, not a copy of it
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), classifier.predict(X, verbose=0))
    kinds = [type(layer) for layer in loaded.layers]
    assert type(model.encoder) in kinds
    encoder = loaded.layers[kinds.index(type(model.encoder))]
    assert encoder.trainable != frozen
    assert len(loaded.trainable_variables) == len(classifier.trainable_variables)
    loaded.fit(X[:50], Y[:50], verbose=0)  # goes on as it was: frozen, with the state of its optimiser
    same = [np.array_equal(*pair) for pair in zip(model.encoder.get_weights(), encoder.get_weights(), strict=True)]
    assert all(same) == frozen
