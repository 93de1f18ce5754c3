"""A conditional VAE: p(x|z, y) with labels in fit, in the figures, and in what leaves Python."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_saves_and_loads
from keras_models import X

import tfvae
from tfvae import applications
from tfvae.applications.restoration.observation import Observation
from tfvae.applications.restoration.posterior import METHODS, restore_with_prior
from tfvae.layers.label_embedding import LabelEmbedding

Y = np.arange(len(X)) % 3
NAMES = ("ant", "bee", "cat")
SHAPE = {"image_shape": (8, 8, 1), "latent_dim": 3, "network": "mlp", "widths": (16,)}


def model(cls=tfvae.VAE, **options):
    made = cls.from_shape(**SHAPE | options, label_names=NAMES, seed=0)
    made.compile("adam")
    return made


@pytest.fixture(scope="module")
def stripes():
    """Pictures whose label is the place of a bright stripe, which a decoder can learn from the label alone; a model."""
    labels = np.random.default_rng(0).integers(0, 3, 600)
    images = np.random.default_rng(1).uniform(0, 0.1, (600, 8, 8, 1)).astype("float32")
    for image, label in zip(images, labels, strict=True):
        image[1 + 2 * label] += 0.9
    vae = tfvae.VAE.from_shape(**SHAPE, label_names=NAMES, seed=0)
    vae.compile(keras.optimizers.Adam(0.01))
    vae.fit(images, labels, epochs=15, verbose=0)
    return images, labels, vae


def brightest(images):
    return (np.asarray(images).mean(axis=(2, 3))[:, 1:6:2]).argmax(axis=1)


def test_draws_are_of_the_asked_class(stripes):
    _, _, vae = stripes
    for label, name in enumerate(NAMES):
        assert (brightest(vae.generate(20, labels=label, seed=0)["image"]) == label).all()
        assert (brightest(vae.generate(20, labels=name, seed=0)["image"]) == label).all()
    np.testing.assert_array_equal(brightest(vae.generate(6, seed=0)["image"]), [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(brightest(vae.generate(3, labels=[2, 2, 0], seed=0)["image"]), [2, 2, 0])
    np.testing.assert_array_equal(brightest(applications.generate(vae, 4, 0, labels=[0, 1, 1, 0])), [0, 1, 1, 0])


def test_the_label_that_explains_a_picture_best_is_its_own(stripes):
    images, labels, vae = stripes
    assert (np.asarray(vae.likeliest_labels(images)) == labels).mean() > 0.99
    np.testing.assert_allclose(vae.reconstruct(images[:9])["image"], vae.reconstruct(images[:9], labels[:9])["image"])


def test_a_reconstruction_under_another_label_has_that_label(stripes):
    images, labels, vae = stripes
    other = (labels[:30] + 1) % 3
    found = brightest(vae.reconstruct(images[:30], other)["image"])
    assert (found == other).mean() > 0.9


def test_weights_of_classes_mix_them():
    vae = model()
    z = np.zeros((1, 3), "float32")
    one_hot = vae.decode(z, np.eye(3, dtype="float32")[[1]])["image"]
    np.testing.assert_array_equal(one_hot, vae.decode(z, [1])["image"])
    half = np.array([[0.5, 0.5, 0.0]], "float32")
    assert not np.allclose(vae.decode(z, half)["image"], one_hot)


def test_without_labels_the_bound_is_that_of_the_marginal_likelihood():
    """log p(x) = log sum_y p(x|y) / K is at least max_y log p(x|y) - log K."""
    vae = model()
    keras.utils.set_random_seed(0)
    distortion, rate = vae.elbo_terms(X, labels=vae.likeliest_labels(X))
    _, marginal_rate = vae.elbo_terms(X)
    np.testing.assert_allclose(np.asarray(marginal_rate - rate), math.log(3), rtol=1e-5)
    encoded = vae.encode(X[:1])
    noise = vae.posterior_noise(encoded, 7, [1, 2])
    given = [np.asarray(vae.log_weights(X[:1], encoded, noise, labels=[label])) for label in range(3)]
    best = int(vae.likeliest_labels(X[:1])[0])
    np.testing.assert_allclose(vae.log_weights(X[:1], encoded, noise), given[best] - math.log(3), rtol=1e-5)
    assert distortion.shape == (len(X),)


@pytest.mark.parametrize("latent", ["vector", "spatial"])
def test_fit_evaluate_predict_save(latent, tmp_path):
    shape = {} if latent == "vector" else {"image_shape": (None, None, 1), "network": "resnet", "widths": (4, 8)}
    vae = model(**shape)
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    history = vae.fit(dataset, validation_data=(X, Y), verbose=0).history
    assert np.isfinite(history["loss"] + history["val_loss"]).all()
    vae.evaluate(X, Y, sample_weight=np.ones(len(X)), verbose=0)
    assert vae.predict(X, verbose=0)["image"].shape == X.shape
    given = vae.predict({"images": X, "labels": Y}, verbose=0)["image"]
    np.testing.assert_allclose(given, vae.reconstruct(X, Y)["image"], rtol=1e-5, atol=1e-6)
    loaded = assert_saves_and_loads(vae, tmp_path, X)
    assert list(loaded.label_names) == list(NAMES)


def assert_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_what_does_not_fit_is_refused():
    vae, plain = model(), tfvae.VAE.from_shape(**SHAPE)
    z = np.zeros((2, 3), "float32")
    assert_refused(lambda: vae.fit(X, verbose=0), "conditional: it takes a label for each image")
    assert_refused(lambda: vae.fit(X, Y + 1, verbose=0), "labels must be from 0 to 2, the places of ant, bee, cat")
    assert_refused(lambda: vae.decode(z), "takes labels of ant, bee, cat")
    assert_refused(lambda: vae.generate(2, labels=3), "from 0 to 2.*Received: labels from 3 to 3")
    assert_refused(lambda: vae.generate(2, labels="dog"), "labels must be from 0 to 2")
    assert_refused(lambda: vae.decode(z, np.ones((2, 4), "float32")), r"shape \(batch, 3\)")
    assert_refused(lambda: plain.decode(z, [0, 1]), "takes no labels")
    assert_refused(lambda: plain.generate(2, labels=1), "takes no labels")
    encoder, decoder = plain.encoder, plain.decoder
    assert_refused(lambda: tfvae.VAE(encoder, decoder, label_names=NAMES), "must agree.*with 3 labels")


def test_own_networks_take_the_labels_behind_the_code():
    encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
    decoder = keras.Sequential([keras.Input((2 + 3,)), keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))])
    vae = tfvae.VAE(encoder, decoder, label_names=NAMES)
    vae.compile("adam")
    vae.fit(X, Y, verbose=0)
    assert vae.generate(5, labels=1)["image"].shape == (5, 8, 8, 1)


@pytest.mark.parametrize("size", [(8, 6), (None, None)])
def test_a_label_embedding_adds_the_weighted_pictures_of_the_classes(size):
    layer = LabelEmbedding(3, scale=2.0)
    layer.build((None, *size, 1))
    assert layer.embedding.shape == (3, *(side or 1 for side in size), 1)
    layer.embedding.assign(np.random.default_rng(0).normal(size=layer.embedding.shape))
    images, weights = np.random.default_rng(1).random((4, 8, 6, 1)), np.eye(3)[[2, 0, 1, 2]]
    expected = images + 2.0 * layer.embedding.numpy()[[2, 0, 1, 2]]
    np.testing.assert_allclose(layer(images, weights), expected, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_lost_of_a_picture_is_restored_under_its_label(stripes, method):
    images, _, vae = stripes
    image = images[0]
    known = np.zeros(image.shape[:2], bool)
    known[0] = known[7] = True  # where no stripe is

    def restored(label):
        return restore_with_prior(vae, image, known, method=method, steps=4, samples=2, label=label).image

    for label in range(len(NAMES)):
        assert brightest(restored(label)[None]) == [label]
    likeliest = int(vae.likeliest_labels(Observation(vae, image, known).guess[None])[0])
    np.testing.assert_array_equal(restored(None), restored(likeliest))
    assert_refused(lambda: restored(len(NAMES)), "label")


def test_a_label_is_refused_where_the_model_has_none():
    plain = tfvae.VAE.from_shape(**SHAPE, seed=0)
    assert_refused(lambda: restore_with_prior(plain, X[0], label=0), "no conditional VAE")
