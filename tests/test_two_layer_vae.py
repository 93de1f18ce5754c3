"""The two-layer VAE: exact on a linear-Gaussian model, gradients without the score, and all that a model does."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from test_marginal import assign
from tiny_runs import only

import tfvae
import training.__main__ as training
from export import __main__ as export
from tfvae import bounds, cli
from tfvae.data import DataConfig, Images
from tfvae.evaluation import marginal_likelihood
from tfvae.evaluation.context import EvaluationContext
from tfvae.evaluation.units import measure as measure_units

STD, SPREAD = 0.3, 0.6  # of x given h1, of h1 given h2
SCALES = np.array([0.9, -1.4])  # h1 = SCALES * h2 + SPREAD * noise
SETTINGS = [(kind, samples, gradient) for kind in bounds.BOUNDS for samples in (1, 5) for gradient in bounds.GRADIENTS]


def linear_model(bound="elbo", off=0.0):
    """x = 0.5 + h1 W + b + STD * noise, whose posterior is diagonal and exact, or off by so much; and (W, b)."""
    rng = np.random.default_rng(0)
    weights, bias = 0.2 * rng.standard_normal((2, 9)), 0.1 * rng.standard_normal(9)
    weights[1] -= weights[0] * (weights[0] @ weights[1]) / (weights[0] @ weights[0])
    shape = {"image_shape": (3, 3, 1), "latent_dim": 2, "network": "mlp", "widths": (18,)}
    decoder = tfvae.Decoder(**shape, likelihood=tfvae.likelihoods.Gaussian(initial_std=STD))
    model = tfvae.TwoLayerVAE(tfvae.Encoder(**shape), decoder, 2, (), seed=0, bound=bound)
    precision = 1 / (SCALES**2 + SPREAD**2) + (weights**2).sum(1) / STD**2
    to_mean = (weights / STD**2 / precision[:, None]).T
    both = np.concatenate([np.eye(9), -np.eye(9)], axis=1)  # relu(u) - relu(-u) = u
    head = np.concatenate([np.concatenate([to_mean, -to_mean]), np.zeros((18, 2))], axis=1)
    moved = off * np.array([1.0, 0.0, 1.0, 0.0])
    shift = np.concatenate([-bias @ to_mean, -np.log(precision)])
    assign(model.encoder, [both, np.zeros(18), head, shift + moved])
    assign(model.decoder, [np.concatenate([weights, -weights], axis=1), np.zeros(18), both.T, bias])
    assign(model.prior, [np.hstack([np.diag(SCALES), np.zeros((2, 2))]), np.repeat([0.0, 2 * np.log(SPREAD)], 2)])
    top = 1 + SCALES**2 / SPREAD**2
    kernel = np.hstack([np.diag(SCALES / SPREAD**2 / top), np.zeros((2, 2))])
    assign(model.top_encoder, [kernel, np.concatenate([np.zeros(2), -np.log(top)]) + moved])
    return model, weights, bias


def evidence(x, weights, bias):
    """log N(x; 0.5 + b, W'(A'A + SPREAD**2)W + STD**2), nats."""
    covariance = weights.T @ np.diag(SCALES**2 + SPREAD**2) @ weights + STD**2 * np.eye(9)
    residual = x.reshape(len(x), -1) - 0.5 - bias
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    return -0.5 * (log_det + np.einsum("np,pq,nq->n", residual, np.linalg.inv(covariance), residual))


def pictures(count):
    return np.random.default_rng(1).uniform(0.2, 0.8, (count, 3, 3, 1)).astype("float32")


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_with_the_exact_posterior_every_bound_is_the_evidence(setting):
    kind, samples, gradient = setting
    model, *parts = linear_model(bounds.get(kind, samples=samples, gradient=gradient))
    x = pictures(6)
    loss, distortion, rate = model.loss_terms(x, training=True)
    assert float(loss) == pytest.approx(-evidence(x, *parts).mean(), abs=1e-4)
    assert distortion.shape == rate.shape == (6,)


@pytest.mark.slow
def test_importance_sampling_finds_the_evidence_off_the_posterior():
    model, *parts = linear_model(off=0.4)
    images = Images.from_array((255 * pictures(4)).round().astype("uint8"))
    x = np.stack([images[place] for place in range(4)]).astype("float32") / 255
    found = marginal_likelihood(model, images, data_config=DataConfig(source="digits"), k=1000)
    error = np.sqrt((1000 / found.effective_samples - 1) / 1000)  # of log of a mean of weights
    assert np.all(np.abs(found.nll + evidence(x, *parts)) < 5 * error + 1e-3)
    assert np.all(found.effective_samples < 975)


def test_bounds_are_ordered_in_expectation():
    def value(kind, samples):
        model, *parts = linear_model(bounds.get(kind, samples=samples), off=0.7)
        loss, *_ = model.loss_terms(np.repeat(pictures(1), 4000, axis=0))
        return -float(loss), evidence(pictures(1), *parts)[0]

    elbo, exact = value("elbo", 1)
    several = [value("iwae", samples)[0] for samples in (4, 16, 64)]
    assert elbo < several[0] < several[1] < several[2] < exact


@pytest.mark.parametrize("kind", bounds.BOUNDS)
def test_the_path_gradient_has_no_variance_where_the_posterior_is_exact(kind):
    def gradients(gradient):
        model, *_ = linear_model(bounds.get(kind, samples=3, gradient=gradient))
        with tf.GradientTape() as tape:
            loss, *_ = model.loss_terms(pictures(4), training=True)
        weights = [*model.encoder.trainable_variables, *model.top_encoder.trainable_variables]
        return np.concatenate([g.numpy().ravel() for g in tape.gradient(loss, weights)])

    assert np.abs(gradients("path")).max() < 1e-4
    assert np.abs(gradients("total")).max() > 1e-2


@pytest.mark.parametrize("kind", bounds.BOUNDS)
def test_both_gradients_agree_in_expectation_for_both_layers(kind):
    def draws(gradient):
        model, *_ = linear_model(bounds.get(kind, samples=8, gradient=gradient), off=0.3)
        x = np.repeat(pictures(1), 16, axis=0)
        weights = [model.encoder.trainable_variables[-1], *model.top_encoder.trainable_variables]

        @tf.function
        def one():
            with tf.GradientTape() as tape:
                loss, *_ = model.loss_terms(x, training=True)
            return tf.concat([tf.reshape(part, [-1]) for part in tape.gradient(loss, weights)], 0)

        return np.array([one() for _ in range(400)])

    total, path = draws("total"), draws("path")
    error = np.sqrt((total.var(axis=0) + path.var(axis=0)) / 400)
    assert np.all(np.abs(total.mean(axis=0) - path.mean(axis=0)) < 5 * error + 1e-6)
    assert path.var(axis=0).sum() < 0.7 * total.var(axis=0).sum()


def test_draws_of_the_prior_have_its_moments():
    model, weights, bias = linear_model()
    noise = np.random.default_rng(0).standard_normal((20_000, 4)).astype("float32")
    codes = np.asarray(model.prior.sample(noise))
    np.testing.assert_allclose(codes[:, :2].var(axis=0), SCALES**2 + SPREAD**2, rtol=0.05)
    np.testing.assert_allclose((codes[:, :2] * codes[:, 2:]).mean(axis=0), SCALES, rtol=0.05)
    generated = np.asarray(model.generate(noise[:3])["image"]).reshape(3, -1)
    np.testing.assert_allclose(generated, np.clip(0.5 + codes[:3, :2] @ weights + bias, 0, 1), atol=1e-5)
    assert np.asarray(model.draw(pictures(2), noise[:2])).shape == (2, 4)


def small(**options):
    return tfvae.TwoLayerVAE.from_shape(
        (8, 8, 1), 6, network="tanh_mlp", widths=(16,), top_dim=3, top_widths=(8,), seed=0, **options
    )


def test_it_trains_saves_and_scores_the_same(tmp_path):
    model = small(bound=bounds.ImportanceBound(4, "path"))
    model.compile("adam")
    x = np.random.default_rng(0).random((32, 8, 8, 1), "float32").round()
    history = model.fit(x, epochs=3, batch_size=16, verbose=0, validation_data=x).history
    assert history["loss"][-1] < history["loss"][0] and np.isfinite(history["val_loss"]).all()
    assert_config_round_trip(model)
    loaded = assert_saves_and_loads(model, tmp_path, x[:2])
    noise = np.random.default_rng(0).standard_normal((2, 9)).astype("float32")
    weights = [one.log_weights(x[:2], one.encode(x[:2]), noise) for one in (model, loaded)]
    np.testing.assert_array_equal(*weights)
    assert (loaded.bound.samples, loaded.bound.gradient) == (4, "path")


@pytest.mark.parametrize("bound", [bounds.EvidenceBound(1), bounds.ImportanceBound(3, "path")])
def test_every_weight_has_a_gradient(bound):
    model = small(bound=bound)
    with tf.GradientTape() as tape:
        loss, *_ = model.loss_terms(np.random.default_rng(0).random((4, 8, 8, 1), "float32"), training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(np.abs(keras.ops.convert_to_numpy(part)).max() > 0 for part in gradients)


def test_active_units_are_told_for_each_layer():
    model, *_ = linear_model()
    model.top_encoder.trainable_variables[0].assign(np.zeros((2, 4)))  # the top says nothing
    images = Images.from_array(np.random.default_rng(0).integers(0, 256, (40, 3, 3, 1), dtype=np.uint8))
    found = measure_units(EvaluationContext(model, images, DataConfig(source="digits")))
    counts = {name: figure.value for name, figure in found.items()}
    assert counts == {"active_units": 2, "active_units_h1": 2, "active_units_h2": 0}


def test_the_decoder_starts_at_the_mean_picture():
    model = small()
    x = np.random.default_rng(0).random((50, 8, 8, 1), "float32")
    x[:, 0, 0] = 0.0  # its log-odds would be infinite
    model.decoder.start_at_mean(x)
    at_rest = np.asarray(model.decode(np.zeros((1, 9), "float32"))["image"])[0]
    np.testing.assert_allclose(at_rest, np.clip(x.mean(axis=0), 0.001, 0.999), atol=1e-5)
    assert not tfvae.VAE.from_shape((8, 8, 1), 2, network="mlp").decoder.starts_at_mean


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_shape": (None, None, 1), "network": "conv"}, "must emit a vector"),
        ({"top_dim": 0}, "`top_dim` and `top_widths` must be positive"),
        ({"bound": "iwea"}, "`bound` must be one of elbo, iwae"),
    ],
)
def test_what_it_cannot_be_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        tfvae.TwoLayerVAE.from_shape(**{"image_shape": (8, 8, 1), "network": "mlp", "widths": (8,)} | options)


@pytest.mark.slow
def test_its_recipe_trains_is_measured_and_leaves_python(tmp_path):
    out = tmp_path / "run"
    settings = ["data.limit=200", "data.validation=20", "model.widths=[16]", "model.latent_dim=6"]
    settings += [
        "objective.top_dim=3",
        "objective.top_widths=[8]",
        'objective.bound={kind="iwae", samples=3, gradient="path"}',
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    training.main(["--recipe", "iwae_2", "--data", "digits", "--epochs", "2", *words, "--out", str(out)])
    measured = out / "measured.json"
    assert cli.main(["evaluate", str(out), "--figures", "nll,units", "--nll", "20", "-o", str(measured)]) == 0
    figures = json.loads(measured.read_text())["figures"]
    assert figures["nll"]["value"] > 0 and {"active_units_h1", "active_units_h2"} < set(figures)
    with only("float32"):
        assert export.main([str(out)]) in (0, 1)  # so few steps may miss a bound
    rows = json.loads((out / "export/export_report.json").read_text())["artefacts"]
    assert {"encoder.tflite", "decoder.tflite", "generator.tflite"} <= {row["name"] for row in rows if row["written"]}
