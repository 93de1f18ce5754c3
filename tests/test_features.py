"""Named features, and the measures of drawn images in them: what they depend on, and what they refuse."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import autoencoder, spatial_vae, vector_vae, write_run

from tfvae.cli import main
from tfvae.data import DataConfig, Images, load
from tfvae.errors import UserError
from tfvae.evaluation import EvaluationContext, UnmeasurableError, assess, read_evaluation, unlike
from tfvae.evaluation.classifier import train_classifier
from tfvae.evaluation.features import FEATURES, features
from tfvae.metrics.disentanglement import dci, mig
from tfvae.metrics.disentanglement_scores import factor_vae_score, sap
from tfvae.metrics.frechet import frechet_distance
from tfvae.metrics.image_quality import ms_ssim
from tfvae.metrics.precision_recall import neighbour_figures

CONFIG = DataConfig(source="digits")


@pytest.fixture(scope="module")
def digits():
    return load(DataConfig("digits", test=200, validation=0))


def bars(count, seed=0):
    """uint8 8×8 images with a bright column on the left or on the right half, which is their label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.integers(0, 60, (count, 8, 8, 1), dtype=np.uint8)
    images[np.arange(count), :, labels * 4 + rng.integers(0, 4, count)] += 150
    return images, labels


class Copier:
    """Draws the very images it was given, whatever the noise; its codes are those of a table."""

    generates, latent_shape, encoder, conditional = True, (1,), None, False

    def __init__(self, images, codes=None):
        self.images = images
        self.image_shape = images.array.shape[1:]
        self.table = codes
        self.place = 0

    def generate(self, noise, temperature=1.0):
        rows = np.arange(self.place, self.place + len(noise)) % len(self.images)
        self.place += len(noise)
        return {"image": tf.constant(self.images.array[rows] / np.float32(255))}

    def codes(self, x):
        """The codes of images by their first pixel, a number in the table."""
        return tf.gather(self.table, tf.cast(tf.round(255 * x[:, 0, 0, 0]), tf.int32))


def subject(model, images, **options):
    return EvaluationContext(model, images, CONFIG, **options)


def test_the_classifier_tells_what_labels_tell_and_is_the_same_for_the_same_seed():
    images, labels = bars(400)
    before = keras.random.uniform((3,))
    keras.utils.set_random_seed(0)
    first = train_classifier(images, labels * 5 + 2, seed=1, steps=60)
    assert first.names.tolist() == [2, 7]
    held_out, truth = bars(200, seed=9)
    assert first.accuracy(held_out, truth * 5 + 2) > 0.97
    np.testing.assert_array_equal(keras.random.uniform((3,)), before)  # nobody's random numbers were used up
    again, other = (train_classifier(images, labels, seed=seed, steps=60) for seed in (1, 2))
    x = held_out / np.float32(255)
    np.testing.assert_array_equal(first.extract(x), again.extract(x))
    assert np.abs(first.extract(x) - other.extract(x)).max() > 0.1


def test_the_classifier_reduces_large_pictures_and_takes_single_rows():
    images, labels = bars(40)
    large = images.repeat(16, axis=1).repeat(16, axis=2)  # 128×128
    found = train_classifier(large, labels, seed=0, steps=3)
    assert found.side == 64
    x = large / np.float32(255)
    np.testing.assert_allclose(found.extract(x)[4:5], found.extract(x[4:5]), atol=1e-4)
    with pytest.raises(ValueError, match="two classes"):
        train_classifier(images, np.zeros(40), seed=0)


def test_features_of_the_encoder_are_its_posterior_means_and_carry_its_hash(digits):
    model = vector_vae()
    named = features(subject(model, digits.test, features="encoder"))
    x = digits.test.array / np.float32(255)
    np.testing.assert_allclose(named.of(digits.test), keras.ops.convert_to_numpy(model.codes(x)), atol=1e-6)
    model.encoder.set_weights([1.01 * weights for weights in model.encoder.get_weights()])
    changed = features(subject(model, digits.test, features="encoder"))
    assert named.protocol["features_sha256"] != changed.protocol["features_sha256"]
    spatial = features(subject(spatial_vae(), digits.test, features="encoder")).of(digits.test)
    np.testing.assert_allclose(spatial, np.mean(spatial_vae().codes(x), axis=(1, 2)), atol=1e-5)


def test_raw_features_are_the_pixels(digits):
    named = features(subject(vector_vae(), digits.test, features="raw"))
    np.testing.assert_allclose(named.of(digits.test), digits.test.array.reshape(200, -1) / 255, atol=1e-6)
    flat = Images.from_array(np.full((2, 100, 60, 1), 51, np.uint8))
    np.testing.assert_allclose(named.of(flat), np.full((2, 32 * 32), 0.2), atol=1e-6)


def test_the_classifier_is_trained_on_the_training_labels_and_tells_its_accuracy(digits, monkeypatch):
    monkeypatch.setattr("tfvae.evaluation.classifier.train_classifier.__defaults__", (lambda d, n: None, 150))
    named = features(subject(vector_vae(), digits.test, features="classifier", training=digits.train))
    assert named.protocol["classes"] == 10 and 0.9 < named.protocol["accuracy"] <= 1
    other = features(subject(autoencoder(), digits.test, features="classifier", training=digits.train))
    assert other.protocol == named.protocol  # whatever the model: so that models compare


def test_features_that_cannot_be_had_are_one_line(digits, tmp_path, monkeypatch):
    model = vector_vae()
    with pytest.raises(UserError, match="Did you mean 'classifier'"):
        features(subject(model, digits.test, features="clasifier"))
    with pytest.raises(UserError, match="unknown features 'raw:x'"):
        features(subject(model, digits.test, features="raw:x"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(UserError, match="no weights of Inception at") as caught:
        features(subject(model, digits.test, features="inception"))
    assert "\n" not in str(caught.value)
    with pytest.raises(UnmeasurableError, match="labels of two classes"):
        features(subject(model, digits.test, features="classifier"))
    unlabelled = Images.from_array(digits.train.array)
    with pytest.raises(UnmeasurableError, match="labels of two classes"):
        features(subject(model, digits.test, features="classifier", training=unlabelled))


@pytest.mark.slow
def test_inception_is_that_of_keras_with_the_weights_of_the_file(tmp_path):
    keras.utils.set_random_seed(3)
    network = keras.applications.InceptionV3(include_top=False, pooling="avg", weights=None)
    network.save_weights(tmp_path / "own.weights.h5")
    images = np.random.default_rng(0).integers(0, 256, (3, 299, 299, 3), dtype=np.uint8)
    own = subject(vector_vae(), Images.from_array(images), features=f"inception:{tmp_path / 'own.weights.h5'}")
    prepared = keras.applications.inception_v3.preprocess_input(images.astype(np.float32))
    expected = np.asarray(network(prepared, training=False))
    np.testing.assert_allclose(features(own).of(images), expected, rtol=1e-3, atol=1e-5)
    grey = features(own).of(images[..., :1])
    np.testing.assert_allclose(grey, features(own).of(images[..., :1].repeat(3, axis=-1)), rtol=1e-4)
    (tmp_path / "text.weights.h5").write_text("no weights")
    broken = subject(vector_vae(), Images.from_array(images), features=f"inception:{tmp_path / 'text.weights.h5'}")
    with pytest.raises(UserError, match="holds no weights of InceptionV3"):
        features(broken)


def test_a_model_that_draws_the_held_out_images_is_at_distance_zero_and_covers_all(digits):
    told = assess(
        subject(Copier(digits.test), digits.test, features="raw", training=digits.train), ["frechet", "prdc"]
    ).figures
    assert told["frechet"].value == pytest.approx(0, abs=1e-6)
    assert [told[name].value for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    assert told["density"].value >= 1
    assert told["frechet_floor"].value > 0.05  # other digits of the same hands are not the same digits


def test_a_model_that_draws_training_images_is_about_as_far_as_the_floor(digits):
    """Two samples of the training images stand for each other: they differ by no more than their spread."""
    rows = np.random.default_rng(5).choice(len(digits.train), 200, replace=False)
    model = Copier(digits.train.take(rows))
    told = assess(subject(model, digits.test, features="raw", training=digits.train), ["frechet"]).figures
    samples = [np.random.default_rng(seed).choice(len(digits.train), 200, replace=False) for seed in range(20)]
    real, pool = (images.array.reshape(len(images), -1) / 255 for images in (digits.test, digits.train))
    floors = [frechet_distance(real, pool[rows]) for rows in samples]
    for name in ("frechet", "frechet_floor"):
        assert abs(told[name].value - np.mean(floors)) < 4 * np.std(floors)
        assert told[name].interval[0] <= told[name].value <= told[name].interval[1]


def test_the_figures_are_those_of_the_drawn_images_and_repeatable(digits):
    model = vector_vae()
    one, again = (
        assess(subject(model, digits.test, features="raw", seed=4), ["frechet", "prdc"]).figures for _ in range(2)
    )
    assert one == again and "frechet_floor" not in one  # no training images at hand
    noise = np.random.default_rng(4)
    z = np.concatenate([noise.standard_normal((min(64, 200 - start), 3), np.float32) for start in range(0, 200, 64)])
    drawn = np.rint(255 * keras.ops.convert_to_numpy(model.generate(z)["image"])).reshape(200, -1) / 255
    real = digits.test.array.reshape(200, -1) / 255
    assert one["frechet"].value == pytest.approx(frechet_distance(real, drawn), rel=1e-3)
    for name, value in neighbour_figures(real, drawn, 5).items():
        assert one[name].value == pytest.approx(value, abs=1e-9)
    assert one["density"].protocol["neighbours"] == 5


def test_what_cannot_be_measured_says_why(digits):
    unequal = Images(np.zeros(9 * 9 + 9 * 7, np.uint8), [0, 81], [(9, 9, 1), (9, 7, 1)], ["a", "b"])
    left_out = assess(subject(spatial_vae(), unequal), ["frechet", "prdc", "mig", "dci"], must=False).left_out
    assert "one size" in left_out["frechet"] and "one size" in left_out["prdc"]
    assert "factors of these images are not known" in left_out["mig"]
    assert "no prior" in assess(subject(autoencoder(), digits.test), ["frechet"], must=False).left_out["frechet"]
    few = subject(vector_vae(), digits.test.take(range(4)))
    assert "more than 5 images" in assess(few, ["prdc"], must=False).left_out["prdc"]
    with pytest.raises(UnmeasurableError, match="dci: the factors"):
        assess(subject(vector_vae(), digits.test), ["dci"])
    assert set(FEATURES) == {"encoder", "classifier", "inception", "raw"}


def test_mig_and_dci_are_of_the_codes_and_the_factors_of_the_images():
    """Images whose first pixel is their number: codes and factors are tables by that number."""
    count = 200
    rng = np.random.default_rng(0)
    factors = np.column_stack([rng.integers(0, 4, count), rng.integers(0, 3, count), np.zeros(count, int)])
    codes = (factors + 0.4 * rng.standard_normal((count, 3))).astype(np.float32)
    pixels = np.zeros((count, 2, 2, 1), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(count)
    images = Images.from_array(pixels, factors=factors, factor_names=["a", "b", "constant"])
    order = rng.permutation(count)
    measured = subject(Copier(images, tf.constant(codes)), images.take(order), seed=2)
    told = assess(measured, ["mig", "dci", "sap", "factor_vae"]).figures
    codes, factors = codes[order], factors[order]
    assert told["mig"].value == pytest.approx(mig(codes, factors), abs=1e-6)
    assert told["sap"].value == pytest.approx(sap(codes, factors, seed=2), abs=1e-6)
    assert told["factor_vae_score"].value == pytest.approx(factor_vae_score(codes, factors, seed=2), abs=1e-6)
    expected = dci(codes, factors, seed=2)
    for name in ("disentanglement", "completeness", "informativeness"):
        assert told[name].value == pytest.approx(getattr(expected, name), abs=1e-9)
    assert told["mig"].protocol["factors"] == ["a", "b"] and told["mig"].protocol["bins"] == 20


def test_ms_ssim_is_the_mean_over_images_of_the_reconstructions(digits):
    model = vector_vae()
    x = digits.test.array / np.float32(255)
    figure = assess(subject(model, digits.test, batch_size=30), ["ms_ssim"]).figures["ms_ssim"]
    assert figure.value == pytest.approx(np.mean(ms_ssim(x, model.reconstruct(x)["image"])), rel=1e-4)
    assert figure.protocol == {"scales": [1], "window": [7]}


def test_the_command_measures_shapes_and_names_what_is_missing_elsewhere(tmp_path, capsys):
    shapes = write_run(tmp_path / "shapes", vector_vae(), source="shapes", height=8, width=8, test=30)
    out = tmp_path / "figures.json"
    names = "ms_ssim,frechet,prdc,mig,dci"
    assert main(["evaluate", str(shapes), "--figures", names, "--features", "raw", "-o", str(out)]) == 0
    assert "mig" in capsys.readouterr().out
    figures = read_evaluation(out)["figures"]
    assert {"ms_ssim", "frechet", "density", "mig", "completeness"} <= set(figures)
    digits = write_run(tmp_path / "digits", vector_vae())
    assert main(["evaluate", str(digits), "--figures", "mig"]) == 2
    line = capsys.readouterr().err
    assert "factors of these images are not known" in line and line.count("\n") == 1
    assert main(["evaluate", str(digits), "--figures", "frechet", "--features", "inceptions"]) == 2
    assert "Did you mean 'inception'?" in capsys.readouterr().err


def test_two_models_do_not_compare_in_their_own_encoders(digits):
    one, other = vector_vae(), vector_vae()
    other.encoder.set_weights([2 * weights for weights in other.encoder.get_weights()])
    protocols = [assess(subject(model, digits.test), ["frechet"]).figures["frechet"].protocol for model in (one, other)]
    records = [{"protocol": {}, "figures": {"frechet": {"protocol": protocol}}} for protocol in protocols]
    assert [field for field, _, _ in unlike(*records)] == ["frechet: features_sha256"]
