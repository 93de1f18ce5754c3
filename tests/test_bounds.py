"""Bounds of several draws: exact where the posterior is, ordered where it is not, and gradients without the score."""

import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from test_marginal import evidence, linear_vae

import tfvae
from tfvae import bounds

STD = 0.3
SETTINGS = [(kind, samples, gradient) for kind in bounds.BOUNDS for samples in (1, 5) for gradient in bounds.GRADIENTS]


def with_bound(kind, samples, gradient="total", off=0.0):
    """The linear model, whose posterior is exact, or `off` by so much in its means and log-variances; and its parts."""
    exact, weights, bias = linear_vae(STD)
    model = tfvae.VAE(exact.encoder, exact.decoder, seed=0, bound=bounds.get(kind, samples=samples, gradient=gradient))
    head = model.encoder.trainable_variables[-1]
    head.assign_add([off, 0.0, off, 0.0])
    return model, weights, bias


def pictures(count):
    return np.random.default_rng(1).uniform(0.2, 0.8, (count, 3, 3, 1)).astype("float32")


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_with_the_exact_posterior_every_bound_is_the_evidence(setting):
    model, weights, bias = with_bound(*setting)
    x = pictures(6)
    loss, distortion, rate = model.loss_terms(x, training=True)
    if setting != ("elbo", 1, "total"):  # whose rate is the closed form, not that of the draw
        assert float(loss) == pytest.approx(-evidence(x, weights, bias, STD).mean(), abs=1e-4)
    assert distortion.shape == rate.shape == (6,)


@pytest.mark.parametrize("kind", bounds.BOUNDS)
def test_the_path_gradient_has_no_variance_where_the_posterior_is_exact(kind):
    def gradients(gradient):
        model, *_ = with_bound(kind, 3, gradient)
        with tf.GradientTape() as tape:
            loss, *_ = model.loss_terms(pictures(4), training=True)
        return np.concatenate([g.numpy().ravel() for g in tape.gradient(loss, model.encoder.trainable_variables)])

    assert np.abs(gradients("path")).max() < 1e-4
    assert np.abs(gradients("total")).max() > 1e-2


def bound_of(kind, samples, copies=4000):
    """Its mean over many draws for one picture, off the posterior."""
    model, *parts = with_bound(kind, samples, off=0.7)
    x = pictures(1)
    loss, *_ = model.loss_terms(np.repeat(x, copies, axis=0), training=True)
    return -float(loss), evidence(x, *parts, STD)[0]


def test_bounds_are_ordered_in_expectation():
    elbo, exact = bound_of("elbo", 1)
    several, _ = bound_of("elbo", 8)
    values = [bound_of("iwae", samples)[0] for samples in (1, 4, 16, 64)]
    assert several == pytest.approx(elbo, abs=0.05) and values[0] == pytest.approx(elbo, abs=0.1)
    assert elbo < values[1] < values[2] < values[3] < exact
    assert exact - values[3] < 0.1 < exact - elbo


@pytest.mark.parametrize("kind", bounds.BOUNDS)
def test_both_gradients_agree_in_expectation_and_the_path_s_has_less_variance(kind):
    def draws(gradient):
        model, *_ = with_bound(kind, 8, gradient, off=0.3)
        x = np.repeat(pictures(1), 16, axis=0)

        @tf.function
        def one():
            with tf.GradientTape() as tape:
                loss, *_ = model.loss_terms(x, training=True)
            return tape.gradient(loss, [model.encoder.trainable_variables[-1], model.decoder.trainable_variables[-1]])

        return (np.array(values) for values in zip(*(one() for _ in range(400)), strict=True))

    (total, decoder), (path, decoder_too) = draws("total"), draws("path")
    for ours, theirs in ((total, path), (decoder, decoder_too)):
        error = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / 400)
        assert np.all(np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 5 * error + 1e-6)
    assert path.var(axis=0).sum() < 0.7 * total.var(axis=0).sum()


def test_a_model_trains_under_it_saves_it_and_scores_the_same(tmp_path):
    bound = bounds.ImportanceBound(4, "path")
    vae = tfvae.VAE.from_shape((8, 8, 1), 2, network="mlp", widths=(16,), seed=0, bound=bound)
    vae.compile("adam")
    x = np.random.default_rng(0).random((32, 8, 8, 1), "float32").round()
    history = vae.fit(x, epochs=3, batch_size=16, verbose=0, validation_data=x).history
    assert history["loss"][-1] < history["loss"][0] and history["val_loss"][-1] <= -history["val_elbo"][-1]
    assert_config_round_trip(vae)
    loaded = assert_saves_and_loads(vae, tmp_path, x[:2])
    assert (loaded.bound.samples, loaded.bound.gradient) == (4, "path")


def test_labels_go_with_every_draw():
    vae = tfvae.VAE.from_shape((8, 8, 1), 2, network="mlp", widths=(8,), label_names=range(3), bound="iwae")
    vae.compile("adam")
    history = vae.fit(np.zeros((6, 8, 8, 1), "float32"), np.array([0, 1, 2] * 2), batch_size=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bound": "iwea"}, "`bound` must be one of elbo, iwae"),
        ({"bound": "iwae", "free_bits": 0.5}, "`free_bits` must be 0"),
        ({"bound": "iwae", "capacity": 5.0}, "`capacity` must be 0"),
        ({"capacity": -1.0}, "`capacity` must be non-negative"),
    ],
)
def test_what_does_not_go_together_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        tfvae.VAE.from_shape((8, 8, 1), 2, network="mlp", widths=(8,), **options)


def test_settings_of_a_bound_are_checked():
    for options, said in (({"samples": 0}, "positive"), ({"gradient": "none"}, "total, path"), ({"k": 3}, "takes")):
        with pytest.raises(ValueError, match=said):
            bounds.get("iwae", **options)


def test_the_capacity_is_the_rate_that_is_asked_for():
    vae = tfvae.VAE.from_shape((8, 8, 1), 2, network="mlp", widths=(8,), beta=3.0, capacity=4.0, seed=0)
    x = np.random.default_rng(0).random((8, 8, 8, 1), "float32")
    loss, distortion, rate = vae.loss_terms(x)
    mean = float(np.mean(rate))
    assert float(loss) == pytest.approx(float(np.mean(distortion)) + 3.0 * abs(mean - 4.0), rel=1e-5)
    scheduled = tfvae.VAE.from_shape(
        (8, 8, 1), 2, network="mlp", widths=(8,), capacity=tfvae.schedules.LinearBeta(10, 0.0, 25.0)
    )
    assert_config_round_trip(scheduled)
    assert float(scheduled.rate_cost(5.0, training=False)) == 20.0
