"""Vital signs, and each finding provoked by a model that has it; a healthy model has none."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from sklearn.datasets import load_digits
from tiny_runs import autoencoder, spatial_vae

import tfvae
from tfvae.health import Course, HealthCheck, aggregate_gap, explain, findings, measure
from tfvae.health.findings import SETTLED
from tfvae.health.picture import health_picture

DIGITS = (load_digits().images[..., None] / 16).astype("float32")
FEW = DIGITS[:128]


def vae(likelihood="optimal_gaussian", kind=tfvae.VAE, network="mlp", **options):
    keras.utils.set_random_seed(1)
    shape = {"image_shape": (8, 8, 1), "latent_dim": 4, "network": network, "widths": (32,), "hidden": 32}
    return kind(tfvae.Encoder(**shape), tfvae.Decoder(**shape, likelihood=likelihood), seed=0, **options)


def trained(model, images=DIGITS, epochs=8, learning_rate=2e-3):
    """The names of the findings after a short but real training."""
    model.compile(keras.optimizers.Adam(learning_rate))
    check = HealthCheck(images, verbose=False)
    model.fit(images, batch_size=32, epochs=epochs, verbose=0, callbacks=[check])
    return {finding.name for finding in check.findings}


def names(vitals, course=None):
    return {finding.name for finding in findings(vitals, course)}


# The vital signs


def test_the_gap_is_zero_at_the_prior_and_the_closed_form_elsewhere():
    spread = np.array([[-1.0], [1.0]]) * np.sqrt(0.75)  # means of variance 0.75, posteriors of variance 0.25
    np.testing.assert_allclose(aggregate_gap(spread, np.log(np.full((2, 1), 0.25))), 0.0, atol=1e-12)
    one = aggregate_gap(np.full((5, 3), 2.0), np.log(np.full((5, 3), 0.5)))
    np.testing.assert_allclose(one, 3 * 0.5 * (4 + 0.5 - 1 - np.log(0.5)), rtol=1e-12)


def test_the_gap_is_below_the_divergence_of_the_mixture_it_stands_for():
    """KL(q(z) || p(z)) of two narrow posteriors, by quadrature; the moment-matched normal is a lower bound."""
    mean, std = np.array([[-2.0], [2.0]]), 0.5
    z = np.linspace(-12, 12, 200_001)
    q = np.mean([np.exp(-0.5 * ((z - m) / std) ** 2) / (std * np.sqrt(2 * np.pi)) for m in mean[:, 0]], axis=0)
    log_p = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    divergence = np.trapezoid(q * (np.log(np.maximum(q, 1e-300)) - log_p), z)
    gap = aggregate_gap(mean, np.log(np.full((2, 1), std**2)))
    assert 0.2 < gap < divergence
    # The rate is what the mixture costs and what it says about the image, at most log 2.
    rate = 0.5 * (4 + std**2 - 1 - np.log(std**2))
    assert divergence <= rate <= divergence + np.log(2) + 1e-6


def test_vital_signs_are_the_sums_they_are_called():
    model = vae("gaussian")
    vitals = measure(model, FEW)
    mean, log_var = (ops.convert_to_numpy(value).astype("float64") for value in model.encoder(FEW))
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var)
    np.testing.assert_allclose(vitals.kl_per_unit, kl.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(vitals.rate, kl.sum(axis=1).mean(), rtol=1e-4)
    np.testing.assert_allclose(vitals.unit_variance, mean.var(axis=0), rtol=1e-4)
    np.testing.assert_allclose(vitals.gap, aggregate_gap(mean, log_var), rtol=1e-4)
    np.testing.assert_allclose(vitals.contrast, np.sqrt(FEW.astype("float64").var(axis=0).mean()), rtol=1e-6)
    # The learnt deviation is 0.1 for every pixel, and the mean is clipped to [0, 1] nowhere near the start.
    np.testing.assert_allclose(vitals.surprise, (vitals.residual / 0.1) ** 2, rtol=1e-4)
    assert (vitals.lowest, vitals.highest, vitals.dims, vitals.images) == (0.0, 1.0, 64.0, 128)
    np.testing.assert_allclose([vitals.rate_scale, vitals.rate_weight], 1.0, rtol=1e-4)
    np.testing.assert_allclose(vitals.distortion_scale, 1.0, rtol=0.05)  # two draws of z


def test_a_unit_of_a_map_is_a_channel_summed_over_its_places():
    model = spatial_vae()
    images = [FEW[0], FEW[1], np.random.default_rng(0).random((12, 20, 1)).astype("float32")]
    vitals = measure(model, images)
    assert len(vitals.kl_per_unit) == 2 and vitals.images == 3
    np.testing.assert_allclose(sum(vitals.kl_per_unit), vitals.rate, rtol=1e-5)
    np.testing.assert_allclose(vitals.dims, (64 + 64 + 240) / 3)


def test_looking_leaves_the_training_as_it_was():
    results = []
    for callbacks in ([], [HealthCheck(FEW, verbose=False)]):
        model = vae(network="conv")
        model.compile("adam")
        model.fit(FEW, batch_size=32, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
        results.append([np.asarray(variable.value) for variable in [*model.variables, *model.optimizer.variables]])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_explaining_leaves_the_model_as_it_was_and_its_layers_unwrapped():
    model = vae()
    model.compile("adam")
    model.train_on_batch(FEW)
    before = [np.asarray(variable.value) for variable in model.variables]
    explain(model, FEW)
    for one, other in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(one, np.asarray(other.value))
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


# A healthy training has no finding, at any of its epochs


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["bernoulli", "optimal_gaussian", "logistic"])
def test_a_healthy_training_has_no_finding(likelihood):
    model = vae(likelihood)
    check = HealthCheck(DIGITS, verbose=False)
    model.compile(keras.optimizers.Adam(2e-3))
    model.fit(DIGITS, batch_size=32, epochs=8, verbose=0, callbacks=[check])
    assert not check.told and check.vitals[-1].active_units == 4
    assert int(model.first_skip.steps) > SETTLED  # every check had its say


def test_a_healthy_autoencoder_has_no_finding_and_no_rate():
    model = autoencoder()
    assert trained(model) == set()
    vitals = measure(model, FEW)
    assert vitals.gap is None and vitals.kl_per_unit == () and vitals.active_units == 3


# Each finding, provoked


@pytest.mark.parametrize(("scale", "shift"), [(255, 0), (2, -1), (1 / 255, 0)], ids=["0…255", "-1…1", "twice divided"])
def test_data_outside_the_likelihood_s_range(scale, shift):
    (finding,) = findings(measure(vae("bernoulli"), FEW * scale + shift))
    assert finding.name == "data outside the likelihood's range"


def test_fit_warns_of_pixels_divided_twice():
    with pytest.warns(UserWarning, match="data outside the likelihood's range"):  # before the first step, and unasked
        found = trained(vae("bernoulli"), FEW / 255, epochs=1)
    assert found == {"data outside the likelihood's range"}


def test_fit_warns_of_nothing_when_the_pixels_are_right():
    model = vae("bernoulli")
    model.compile("adam")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(FEW, verbose=0)


def test_posterior_collapse():
    model = vae(beta=15.0)  # within the range that is no mistake of scale
    assert trained(model) == {"posterior collapse"}
    assert measure(model, FEW).active_units == 0
    (finding,) = findings(measure(model, FEW))
    assert "objective.free_bits" in finding.remedy and "objective.beta` is 15" in finding.remedy


@pytest.mark.slow
def test_free_bits_the_remedy_for_a_collapse_is_one():
    assert "posterior collapse" not in trained(vae(beta=15.0, free_bits=0.5))


class Averaging(tfvae.VAE):
    """The usual mistake: the KL averaged over the units instead of summed."""

    def loss_terms(self, images, training=False):
        outputs = self(images, training=training)
        distortion, _ = self.elbo_terms(images, training=training, outputs=outputs)
        rate = ops.mean(self.prior.kl(outputs["mean"], outputs["log_var"]), axis=-1)
        return ops.mean(distortion + rate), distortion, rate


class PixelMean(tfvae.VAE):
    """The other usual mistake: the distortion averaged over the pixels."""

    def loss_terms(self, images, training=False):
        distortion, rate = self.elbo_terms(images, training=training)
        return ops.mean(distortion / 64 + rate), distortion / 64, rate


@pytest.mark.parametrize("kind", [Averaging, PixelMean])
def test_a_mean_where_a_sum_belongs_is_found_before_anything_is_learnt(kind):
    # Posteriors far enough from the prior that there is a rate to compare.
    model = vae("bernoulli", kind)
    kernel = model.encoder.head.kernel
    kernel.assign(10 * kernel)
    assert names(measure(model, FEW), Course(steps=1)) == {"KL scale wrong for the image size"}


@pytest.mark.parametrize("beta", [100.0, 0.0005])
def test_a_beta_meant_for_means(beta):
    found = findings(measure(vae(beta=beta), FEW), Course(steps=1))
    assert [finding.name for finding in found] == ["KL scale wrong for the image size"]
    assert f"{beta:g}" in found[0].seen and "64 values" in found[0].seen


@pytest.mark.slow
def test_dead_decoder():
    model = vae(network="conv")
    trained(model, epochs=1)
    for variable in model.decoder.trainable_variables:
        if "dense" in variable.path:
            variable.assign(-tf.abs(variable))  # every unit of a ReLU layer below zero
    assert "dead decoder" in names(measure(model, FEW))
    assert "posterior collapse" not in names(measure(model, FEW))  # its cause is named, not the consequence


def test_a_likelihood_at_its_narrowest():
    model = vae("gaussian")
    model.likelihood.log_std.assign(-8.0)
    assert "likelihood too sharp" in names(measure(model, FEW))
    assert "likelihood too sharp" not in names(measure(model, FEW), Course(steps=SETTLED - 1))


@pytest.mark.slow
def test_constant_pixels_make_a_deviation_per_pixel_too_sharp():
    """The borders of MNIST in small: half of the values are zero in every image."""
    images = DIGITS.copy()
    images[:, :, :4] = 0.0
    model = vae("pixel_gaussian")
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(images, batch_size=32, epochs=60, verbose=0)
    assert names(measure(model, images)) >= {"likelihood too sharp"}


def test_a_likelihood_that_is_too_sure_of_itself():
    model = vae(tfvae.likelihoods.Gaussian(0.02))
    (finding,) = [one for one in findings(measure(model, FEW)) if one.name == "likelihood too sharp"]
    assert "optimal_gaussian" in finding.remedy


@pytest.mark.slow
@pytest.mark.parametrize("learning_rate", [1.0, 30.0])
def test_learning_rate_too_high(learning_rate):
    assert "learning rate too high" in trained(vae(), learning_rate=learning_rate, epochs=4)


def test_reconstructions_beyond_the_mean_image_are_no_finding_while_the_loss_falls():
    vitals = dataclasses.replace(measure(vae(), DIGITS), contrast=0.10, residual=0.12)
    falling, stuck = (Course(steps=2 * SETTLED, losses=losses) for losses in ((9.0, 8.0, 7.0), (9.0, 7.0, 7.1)))
    assert "learning rate too high" not in names(vitals, falling)
    assert "learning rate too high" in names(vitals, stuck)
    assert "learning rate too high" in names(dataclasses.replace(vitals, residual=3.0), falling)


def test_a_training_that_falls_back_from_its_best_is_found():
    vitals = measure(vae(), FEW)
    healthy = Course(steps=10, losses=(50.0, 20.0, 10.0, 11.0))
    fallen = Course(steps=10, losses=(50.0, 20.0, 10.0, 40.0))
    spiked = Course(steps=10, losses=(50.0, 20.0), gradient_norm=3.0, gradient_peak=1e5)
    assert names(vitals, healthy) == set()
    assert names(vitals, fallen) == names(vitals, spiked) == {"learning rate too high"}


def test_codes_far_from_the_prior():
    model = vae()
    trained(model, epochs=2)
    bias = model.encoder.head.bias
    bias.assign(bias + np.array([30.0] * 4 + [0.0] * 4, "float32"))
    assert "aggregate posterior far from the prior" in names(measure(model, FEW))


# Steps that are not finite


def test_a_nan_in_an_image_is_traced_to_it():
    model = vae("bernoulli")
    images = FEW.copy()
    images[5, 2, 3] = np.nan
    model.compile("adam")
    explanation = explain(model, images, [f"{place}.png" for place in range(len(images))])
    assert explanation.term == "image" and explanation.images == ("5.png",)
    assert "row 2, column 3 of 5.png" in explanation.seen


def test_a_weight_that_is_not_finite_is_named():
    model = vae()
    model.compile("adam")
    kernel = model.decoder.trainable_variables[0]
    kernel.assign(tf.fill(kernel.shape, np.inf))
    explanation = explain(model, FEW)
    assert explanation.term == "weight" and explanation.layer == kernel.path


def test_the_first_layer_that_overflows_is_named_and_the_image_that_did_it():
    model = vae(network="conv")
    model.compile("adam")
    for variable in model.encoder.trunk.trainable_variables[:2]:
        variable.assign(variable * 1e20)
    images = np.zeros((4, 8, 8, 1), "float32") + 0.5  # grey: zero after the encoder's centring
    images[2, 4, 4] = 1e25
    explanation = explain(model, images, ["a", "b", "c", "d"])
    assert explanation.term == "layer" and explanation.images == ("c",)
    assert "conv2d" in explanation.layer and explanation.layer.startswith(model.encoder.trunk.path)


def test_a_rate_that_overflows_is_named():
    model = vae()
    model.compile("adam")
    bias = model.encoder.head.bias
    bias.assign(np.array([0.0] * 4 + [100.0, 0.0, 0.0, 0.0], "float32"))  # exp(100) is beyond float32, exp(50) is not
    assert explain(model, FEW).term == "rate"


def test_a_gradient_that_overflows_is_named():
    model = vae("gaussian")
    model.compile("adam")
    model.likelihood.log_std.assign(-6.0)
    kernel = model.decoder.trunk.trainable_variables[0]
    # The squared distance stays finite in float32, its gradient with respect to the code does not.
    kernel.assign(kernel * 1e16)
    explanation = explain(model, FEW[:3])
    assert explanation.term == "gradient"


def test_a_loss_scale_beyond_its_limit_is_no_illness():
    keras.config.set_dtype_policy("mixed_float16")
    model = vae("bernoulli")
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=2.0**40))
    model.optimizer.build(model.trainable_variables)
    explanation = explain(model, FEW)
    assert explanation.term == "loss scale"
    course = Course(steps=SETTLED - 1, skipped=3, gradient_peak=1.0, loss_scaled=True, explanation=explanation)
    assert names(measure(model, FEW), course) == set()


def test_what_cannot_be_repeated_is_said_so():
    model = vae()
    model.compile("adam")
    explanation = explain(model, FEW, recorded=["distortion"])
    assert explanation.term == "nothing" and "the distortion was not finite" in explanation.seen


def test_skipped_steps_are_a_finding():
    images = FEW.copy()
    images[5] = np.nan
    model = vae("bernoulli")
    model.compile("adam")
    check = HealthCheck(FEW, verbose=False)
    model.fit(images, batch_size=32, epochs=2, verbose=0, callbacks=[check])
    assert [finding.name for finding in check.findings] == ["non-finite steps"]
    assert check.findings[0].seen.startswith("2 of 8 steps")


def test_a_finding_is_printed_once(capsys):
    model = vae(beta=100.0)
    model.compile("adam")
    model.fit(FEW, epochs=3, verbose=0, callbacks=[HealthCheck(FEW)])
    assert capsys.readouterr().out.count("KL scale wrong") == 1


def test_the_picture_shows_idle_units_in_grey_and_survives_what_is_not_finite():
    kl, points = [3.0, 0.0, 1.0], [(0.1, 90.0), (2.0, 70.0), (float("nan"), 60.0)]
    busy, idle = (health_picture(kl, active, points) for active in ([True] * 3, [True, True, False]))
    assert busy.shape == idle.shape and (busy != idle).any()
    with pytest.raises(ValueError, match="one or more units"):
        health_picture([], [], [])
