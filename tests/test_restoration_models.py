"""The models of restoration: what they promise of masks, neighbourhoods, noise and bounds."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from tiny_runs import calibration

import tfvae
from tfvae.evaluation import psnr
from tfvae.layers.area import area_means
from tfvae.objectives import FLOOR, estimate_loss, gaussian_kl, importance_bound, sum_per_example

NOISE = [{"kind": "gaussian", "std": 0.1}]
HOLES = [{"kind": "random_pixels", "fraction": 0.5}]
MARKS = [{"kind": "scratches"}]
TONES = [{"kind": "exposure", "stops": [-1.0, 1.0]}, {"kind": "gamma", "gamma": 0.7}]


def restorer(mask="none", channels=1, corruptions=NOISE, **options):
    keras.utils.set_random_seed(1)
    model = tfvae.Restorer(channels, (8, 8, 8), 2, blocks=1, mask=mask, corruptions=corruptions, seed=0, **options)
    return shaken(model)


def enhancer(channels=3, **options):
    keras.utils.set_random_seed(1)
    return shaken(tfvae.Enhancer(channels, (8, 8), 2, "conv", 16, corruptions=TONES, seed=0, **options))


def shaken(model):
    """Every weight moved: what starts at zero must not hide what it does once it is trained."""
    rng = np.random.default_rng(2)
    for weight in model.trainable_variables:
        weight.assign_add(0.03 * rng.standard_normal(weight.shape).astype("float32"))
    return model


def pictures(count=2, height=24, width=16, channels=1, seed=0):
    return np.random.default_rng(seed).random((count, height, width, channels), dtype=np.float32)


def calibrated(model):
    """With knots and octaves of a calibration, none of them special."""
    amplitudes = np.random.default_rng(4).normal(1.0, 0.3, (5, model.channels, model.channels)).tolist()
    model.use_uncertainty({**calibration(7), "amplitudes": amplitudes})
    return model


MODELS = {
    "blind": lambda: (restorer(), 1),
    "calibrated": lambda: (calibrated(restorer(channels=3)), 3),
    "masked": lambda: (restorer("given", 3, HOLES), 3),
    "finding": lambda: (restorer("found", 3, MARKS), 3),
    "enhancer": lambda: (enhancer(), 3),
    "grey enhancer": lambda: (enhancer(1), 1),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
class TestEveryModel:
    def test_keeps_its_contract(self, make, tmp_path):
        model, channels = make()
        assert_config_round_trip(model)
        x = pictures(channels=channels)
        loaded = assert_saves_and_loads(model, tmp_path, x)
        np.testing.assert_array_equal(loaded.restore(x)["std"], model.restore(x)["std"])
        noise = np.random.default_rng(3).standard_normal((2, *model.code_shape(24, 16)[:-1], model.noise_units))
        np.testing.assert_array_equal(loaded.sample(x, noise)["image"], model.sample(x, noise)["image"])

    def test_the_epoch_that_is_kept_is_the_one_of_the_best_estimate(self, make):
        model, channels = make()
        model.compile(optimizer="sgd")
        x = pictures(4, channels=channels)
        means = model.evaluate(x, batch_size=4, verbose=0, return_dict=True)
        expected = np.mean(model.auxiliary_loss(model(x), x))
        np.testing.assert_allclose(model.selection_loss(means), expected, rtol=1e-5)
        surer = {**means, "distortion": means["distortion"] + 7e3, "loss": means["loss"] + 7e3}
        np.testing.assert_allclose(model.selection_loss(surer), expected, rtol=1e-5)

    def test_gives_every_weight_a_gradient(self, make):
        model, channels = make()
        with tf.GradientTape() as tape:
            loss, _, _ = model.loss_terms(pictures(channels=channels), training=True)
        for weight, gradient in zip(
            model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
        ):
            assert gradient is not None and np.any(np.asarray(gradient)), weight.path

    def test_degrades_alike_outside_of_training_and_anew_within(self, make):
        model, channels = make()
        x = pictures(channels=channels)
        first, again, trained = (model.degrade(x, training)[0] for training in (False, False, True))
        np.testing.assert_array_equal(first, again)
        assert np.any(np.asarray(trained) != np.asarray(model.degrade(x, True)[0]))
        # Other pictures have other draws.
        other = model.degrade(pictures(channels=channels, seed=1))[0] - pictures(channels=channels, seed=1)
        assert np.any(np.asarray(first - x) != np.asarray(other))

    def test_resumes_its_corruptions_where_it_stopped(self, make, tmp_path):
        model, channels = make()
        x = pictures(channels=channels)
        model.degrade(x, training=True)
        model.save(tmp_path / "model.keras")
        expected = model.degrade(x, training=True)[0]
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded.degrade(x, training=True)[0], expected)

    def test_the_bound_rises_with_the_number_of_draws(self, make):
        model, channels = make()
        x = pictures(1, 16, 16, channels)
        degraded, known, _ = model.degrade(x)
        draws = 64
        outputs = model.infer(*(np.repeat(value, draws, axis=0) for value in (x, degraded, known)))
        mean, log_var, z = (np.asarray(outputs[name], "float64") for name in ("mean", "log_var", "z"))
        log_likelihood = np.asarray(model.likelihood.log_prob(np.repeat(x, draws, axis=0), outputs["parameters"]))
        log_ratio = 0.5 * sum_per_example((z - mean) ** 2 / np.exp(log_var) + log_var - z**2)
        log_weights = log_likelihood + np.asarray(log_ratio)
        bounds = log_likelihood - np.asarray(gaussian_kl(mean, log_var))
        standard_error = (log_weights - bounds).std() / np.sqrt(draws)
        assert abs(bounds.mean() - log_weights.mean()) <= 5 * standard_error + 1e-5 * abs(bounds.mean())
        assert bounds.mean() <= float(importance_bound(log_weights)) + 5 * standard_error


@pytest.mark.parametrize("kind", ["blind", "enhancer"])
def test_trains_and_finds_a_better_estimate(kind):
    model, channels = MODELS[kind]()
    model.compile(keras.optimizers.Adam(3e-3))
    x = np.repeat(pictures(4, 3, 2, channels), 8, axis=1).repeat(8, axis=2)  # flat squares: easy to restore
    before = np.mean(psnr(x, model.reconstruction_for_metrics(x)))
    model.fit(x, batch_size=4, epochs=30, verbose=0)
    assert np.mean(psnr(x, model.reconstruction_for_metrics(x))) > before + 1.0


def test_the_loss_of_the_estimate_is_psnr_in_other_units():
    x, y = pictures(3), pictures(3, seed=1)
    decibels = -10 / np.log(10) * 2 * np.asarray(estimate_loss(x, y)) / x[0].size
    np.testing.assert_allclose(decibels, psnr(x, y), atol=10 / np.log(10) * FLOOR / np.mean((x - y) ** 2) * 2)


def test_a_new_restorer_returns_what_it_is_given():
    model = tfvae.Restorer(3, (8, 8, 8), 2, seed=0)
    x = pictures(channels=3)
    np.testing.assert_allclose(model.restore(x)["image"], x, atol=1e-7)


def test_a_thumbnail_is_the_mean_of_areas():
    x = pictures(2, 200, 131, 3)
    np.testing.assert_allclose(area_means(x, 64), tf.image.resize(x, (64, 64), method="area"), atol=1e-5)
    flat = np.full((1, 3, 5, 1), 0.25, "float32")
    np.testing.assert_allclose(area_means(flat, 64), np.full((1, 64, 64, 1), 0.25), atol=1e-6)


@pytest.mark.parametrize(
    "make", [MODELS["masked"], MODELS["finding"], MODELS["enhancer"]], ids=["masked", "found", "tone"]
)
def test_sizes_need_not_be_known_when_a_step_is_traced(make):
    model, channels = make()
    step = tf.function(model.loss_terms, input_signature=[tf.TensorSpec((None, None, None, channels))])
    x = pictures(2, 17, 23, channels)
    np.testing.assert_allclose(step(x)[2], model.loss_terms(x)[2], rtol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (17, 23), (1, 5)])
def test_a_restorer_takes_any_size(size):
    model = restorer("found", 3, MARKS)
    maps = model.restore(pictures(1, *size, 3))
    assert maps["image"].shape == maps["std"].shape == (1, *size, 3)
    assert maps["damage"].shape == (1, *size, 1)


def test_a_picture_is_mirrored_to_the_size_that_the_network_takes():
    model = restorer()
    x = pictures(1, 19, 21)
    whole = np.pad(x, ((0, 0), (0, 5), (0, 3), (0, 0)), mode="symmetric")
    np.testing.assert_allclose(
        model.restore(x)["image"], model.restore(whole)["image"][:, :19, :21], rtol=1e-6, atol=1e-6
    )


def test_what_is_further_away_than_the_margin_changes_nothing():
    model = restorer()
    x = pictures(1, 16, 8 * 24)
    other = x.copy()
    other[:, :, 96:] = 1.0 - other[:, :, 96:]
    kept = 96 - model.margin
    assert kept > 0
    for name, value in model.restore(x).items():
        changed = np.abs(value - model.restore(other)[name])
        np.testing.assert_allclose(changed[:, :, :kept], 0.0, atol=1e-6)
        # Just within the margin something may change, and in the picture itself it does.
        assert changed[:, :, 90:96].max() > 1e-4


def test_known_pixels_come_back_as_they_are_and_have_no_probability():
    model = restorer("given", 3, HOLES)
    x = pictures(channels=3)
    known = (np.random.default_rng(3).random((2, 24, 16, 1)) < 0.5).astype("float32")
    maps = model.restore(x, known)
    where = np.broadcast_to(known > 0, x.shape)
    np.testing.assert_array_equal(maps["image"].numpy()[where], x[where])
    np.testing.assert_array_equal(maps["std"].numpy()[where], 0.0)
    assert np.all(maps["std"].numpy()[~where] > 0)
    outputs = model.infer(x, x, known)
    flipped = np.where(known > 0, 1.0 - x, x)
    np.testing.assert_allclose(
        model.likelihood.log_prob(flipped, outputs["parameters"]), model.likelihood.log_prob(x, outputs["parameters"])
    )


def test_what_a_lost_pixel_holds_does_not_matter():
    model = restorer("given", 1, HOLES)
    x = pictures()
    known = np.zeros((2, 24, 16, 1), "float32")
    known[:, ::2] = 1.0
    np.testing.assert_array_equal(
        model.restore(x, known)["image"], model.restore(np.where(known > 0, x, 0.123), known)["image"]
    )


def test_the_bound_leaves_the_network_of_the_estimate_alone():
    model = restorer()
    weights = [*model.unet.trainable_variables, *model.exit.trainable_variables]
    with tf.GradientTape() as tape:
        bound = tf.reduce_sum(sum(model.elbo_terms(pictures(), training=True)))
    assert all(gradient is None for gradient in tape.gradient(bound, weights))


def test_samples_differ_where_the_picture_is_lost_only():
    model = restorer("given", 1, HOLES)
    x = pictures(1)
    known = np.ones((1, 24, 16, 1), "float32")
    known[:, 8:16] = 0.0
    noise = np.random.default_rng(0).standard_normal((2, 1, 3, 2, model.noise_units)).astype("float32")
    first, second = (np.asarray(model.sample(x, one, known)["image"]) for one in noise)
    assert np.abs(first - second)[:, 8:16].max() > 1e-3
    np.testing.assert_array_equal(np.delete(first, slice(8, 16), 1), np.delete(second, slice(8, 16), 1))


def test_damage_is_learnt_as_a_probability():
    model = restorer("found", 1, MARKS)
    x = pictures()
    outputs = model(x)
    odds = outputs["log_odds"].numpy()
    p = 1 / (1 + np.exp(-odds))
    truth = outputs["damage"].numpy()
    cross_entropy = -(truth * np.log(p) + (1 - truth) * np.log1p(-p)).sum((1, 2, 3))
    found = model.auxiliary_loss(outputs, x) - estimate_loss(x, outputs["estimate"])
    np.testing.assert_allclose(found, cross_entropy, rtol=1e-3)


def test_an_enhancer_changes_every_pixel_by_its_colour_alone():
    model = enhancer()
    x = pictures(1, channels=3)
    seen = model.context(x)
    order = np.random.default_rng(0).permutation(24 * 16)
    shuffled = x.reshape(1, -1, 3)[:, order].reshape(x.shape)
    np.testing.assert_allclose(
        model.restore(shuffled, context=seen)["image"].numpy().reshape(1, -1, 3),
        model.restore(x, context=seen)["image"].numpy().reshape(1, -1, 3)[:, order],
        atol=1e-6,
    )
    # A tile of a picture is enhanced as the whole picture is.
    np.testing.assert_allclose(
        model.restore(x[:, :5, 3:], context=seen)["image"], model.restore(x)["image"][:, :5, 3:], atol=1e-6
    )


@pytest.mark.parametrize(
    "kind", ["enhancer", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("masked", "calibrated"))]
)
def test_leaves_python_as_restore_and_sample(kind, tmp_path):
    model, channels = MODELS[kind]()
    x = pictures(1, 16, 24, channels)
    inputs = {"image": tf.constant(x)}
    if model.takes_mask:
        inputs["known"] = tf.constant((x[..., :1] < 0.5).astype("float32"))
    model.export(tmp_path / "served")
    served = tf.saved_model.load(tmp_path / "served")
    assert set(served.signatures) == {"restore", "sample", "serving_default"}
    expected = model.restore(x, inputs.get("known"))
    for name, value in served.signatures["serving_default"](**inputs).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)
    model.export(tmp_path / "model.tflite", format="litert", size=(16, 24), batch=1)
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    runner = interpreter.get_signature_runner("restore")
    for name, value in runner(**{key: value.numpy() for key, value in inputs.items()}).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-4)

    drawn = np.random.default_rng(0).standard_normal((1, *model.code_shape(16, 24)[:-1], model.noise_units))
    asked = {**inputs, "noise": tf.constant(drawn, tf.float32)}
    sample = model.sample(x, drawn, inputs.get("known"))["image"]
    np.testing.assert_allclose(served.signatures["sample"](**asked)["image"], sample, atol=1e-5)
    found = interpreter.get_signature_runner("sample")(**{key: value.numpy() for key, value in asked.items()})
    np.testing.assert_allclose(found["image"], sample, atol=1e-4)

    # What is no number, in a lost pixel too, is answered with NaN for its picture alone.
    noise = np.zeros((1, *model.code_shape(16, 24)[:-1], model.noise_units), "float32")
    for endpoint, given in (("restore", inputs), ("sample", {**inputs, "noise": tf.constant(noise)})):
        whole = served.signatures[endpoint](**given)
        for spoilt in given:
            for bad in (np.nan, np.inf):
                values = {key: np.concatenate([value, value]) for key, value in given.items()}
                values[spoilt][1].reshape(-1)[-2] = bad
                found = served.signatures[endpoint](**{key: tf.constant(value) for key, value in values.items()})
                for name, value in found.items():
                    np.testing.assert_allclose(value[0], whole[name][0], atol=1e-6)
                    assert np.isnan(value[1]).all(), (endpoint, spoilt, name)
                alone = {key: value[1:] for key, value in values.items()}
                for name, value in interpreter.get_signature_runner(endpoint)(**alone).items():
                    assert np.isnan(value).all(), (endpoint, spoilt, name)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="`mask` must be one of none, given, found"):
        restorer("blind")
    with pytest.raises(ValueError, match="`widths` must be of 3 levels"):
        tfvae.Restorer(1, (8, 8), 2)
    with pytest.raises(ValueError, match="no setting of the corruption 'gaussian'"):
        restorer(corruptions=[{"kind": "gaussian", "sigma": 0.1}])
    with pytest.raises(ValueError, match="must be 'spatial'"):
        parts = {"hidden": 0, "dropout": 0.0, "likelihood": "bernoulli", "seed": 0}
        tfvae.Restorer.from_shape((8, 8, 1), 2, network="resnet", widths=(8, 8, 8), **parts)


def test_the_rate_is_the_sum_of_what_the_units_say():
    model = restorer()
    outputs = model(pictures())
    mean, log_var = outputs["mean"].numpy(), outputs["log_var"].numpy()
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var)
    np.testing.assert_allclose(model.elbo_terms(pictures())[1], sum_per_example(kl), rtol=1e-5)
