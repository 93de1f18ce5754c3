"""The regularised autoencoder: each term against a direct computation, and draws from a density fitted to its codes."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from tiny_runs import only

import tfvae
import training.__main__ as training
from export import __main__ as export
from tfvae import cli
from tfvae.priors import GaussianMixture, StandardNormal

X = np.random.default_rng(0).random((48, 8, 8, 1), "float32")


def small(**options):
    return tfvae.RegularisedAutoencoder.from_shape((8, 8, 1), 3, network="mlp", widths=(12,), seed=0, **options)


def terms(model, x=X):
    loss, distortion, rate = model.loss_terms(x)
    assert not np.any(rate)
    return float(loss) - float(np.mean(distortion))


def test_the_norm_of_codes_and_the_weights_of_the_decoder_cost_what_they_say():
    model = small(code_norm=0.3, weight_decay=0.0)
    assert terms(model) == pytest.approx(0.15 * np.mean(np.sum(np.square(model.codes(X)), axis=1)), rel=1e-3)
    model = small(code_norm=0.0, weight_decay=0.2)
    squares = sum(np.sum(np.square(weight)) for weight in model.decoder.trainable_variables)
    assert terms(model) == pytest.approx(0.2 * squares, rel=1e-4)
    assert terms(small(code_norm=0.0, weight_decay=0.0)) == 0.0


def test_the_slope_of_the_decoder_is_that_of_its_jacobian_in_expectation():
    model = small(code_norm=0.0, weight_decay=0.0, gradient_penalty=1.0)
    codes = tf.convert_to_tensor(model.codes(X[:1]))
    with tf.GradientTape() as tape:
        tape.watch(codes)
        picture = tf.reshape(model.decode(codes)["image"], (1, -1))
    exact = float(np.sum(np.square(tape.batch_jacobian(picture, codes))))
    drawn = np.array(model._outputs(np.repeat(X[:1], 4000, axis=0), False)[1])
    assert abs(drawn.mean() - exact) < 5 * drawn.std() / np.sqrt(len(drawn))
    assert terms(model, np.repeat(X[:1], 4000, axis=0)) == pytest.approx(exact, rel=0.1)


def test_the_penalty_makes_the_decoder_flatter_also_under_a_frozen_encoder():
    def slope(**options):
        model = small(code_norm=0.0, weight_decay=0.0, **options)
        model.encoder.trainable = False
        model.compile(tfvae.optimizers.AveragedAdam(1e-2))
        model.fit(X, epochs=20, batch_size=16, verbose=0)
        codes = model.codes(X)
        moved = np.asarray(model.decode(codes + 0.1)["image"]) - np.asarray(model.decode(codes)["image"])
        return np.sqrt(np.mean(np.square(moved)))

    assert slope(gradient_penalty=1.0) < 0.7 * slope()


def test_draws_come_from_the_density_that_was_fitted_to_its_codes(tmp_path):
    model = small()
    assert isinstance(model.density, StandardNormal) and model.prior is None
    model.fit_prior(X, GaussianMixture(2, seed=0))
    codes = np.asarray(model.codes(X))
    noise = np.random.default_rng(1).standard_normal((20_000, 3)).astype("float32")
    drawn = np.asarray(model.density.sample(noise))
    # A mixture fitted by EM has the mean and the covariance of what it was fitted to; the ridge is 1e-4.
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=6 * codes.std(0).max() / np.sqrt(20_000) + 1e-3)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T, bias=True), atol=0.05 * codes.var(0).max() + 2e-4)
    assert_config_round_trip(model)
    loaded = assert_saves_and_loads(model, tmp_path, X[:2])
    np.testing.assert_array_equal(*(one.generate(noise[:2])["image"] for one in (model, loaded)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"code_norm": -1.0}, "`code_norm` must be non-negative"),
        ({"gradient_penalty": -1.0}, "`gradient_penalty` must be non-negative"),
        ({"image_shape": (None, None, 1), "network": "conv"}, "must emit a vector"),
    ],
)
def test_what_it_cannot_be_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        tfvae.RegularisedAutoencoder.from_shape(
            **{"image_shape": (8, 8, 1), "network": "mlp", "widths": (8,)} | options
        )


def test_a_mixture_of_posteriors_is_not_for_codes_without_one():
    with pytest.raises(ValueError, match="must not be made of posteriors"):
        small().fit_prior(X, "vamp")


@pytest.mark.slow
def test_its_recipe_trains_fits_a_density_draws_and_leaves_python(tmp_path):
    out = tmp_path / "run"
    settings = ["data.limit=300", "data.validation=20", "model.widths=[16]", "model.latent_dim=3"]
    settings += ["prior.options={components=3}"]
    words = [word for setting in settings for word in ("--set", setting)]
    training.main(["--recipe", "rae", "--data", "digits", "--epochs", "2", *words, "--out", str(out)])
    report = json.loads((out / "report.json").read_text())
    assert report["prior"]["kind"] == "gmm" and "elbo" not in report["test"]
    copy = out.with_name("run-flow")
    training.main(["prior", str(out), "--kind", "flow", "--steps", "20", "--set", "prior.options={couplings=2}"])
    model = keras.saving.load_model(copy / "model.keras", compile=False)
    assert type(model.density).__name__ == "NormalizingFlow"
    assert cli.main(["generate", str(copy), "-n", "4"]) == 0 and (copy / "generated.png").is_file()
    with only("float32"):
        assert export.main([str(out)]) in (0, 1)  # so few steps may miss a bound
    rows = json.loads((out / "export/export_report.json").read_text())["artefacts"]
    assert {"encoder.tflite", "decoder.tflite", "generator.tflite"} <= {row["name"] for row in rows if row["written"]}
