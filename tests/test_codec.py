"""The codec: its rate, its qualities, and a hyper-decoder that computes in whole numbers."""

import contextlib
import io
import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads

import tfvae
from tfvae.distributions import normal_log_prob
from tfvae.evaluation import evaluate
from tfvae.integer_tables import TOTAL, bits
from tfvae.layers.gdn import GDN
from tfvae.layers.rounding import Uniform
from tfvae.networks.gains import Gains
from tfvae.networks.hyperprior import REACH, FactorisedPrior, rounded_normal_log_prob
from tfvae.networks.integer_decoder import IntegerHyperDecoder

RNG = np.random.default_rng(3)


def codec(channels=3, moved=True, **options):
    """A tiny one; every weight moved, so that nothing is hidden by what starts at zero."""
    keras.utils.set_random_seed(2)
    model = tfvae.Codec(channels, (6, 8), 5, **{"hyper_dim": 4, "hyper_width": 8, "seed": 0, **options})
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables if moved else ():
        weight.assign_add(0.05 * rng.standard_normal(weight.shape).astype("float32"))
    return model


def pictures(count=2, size=(24, 17), channels=3):
    return RNG.random((count, *size, channels)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return codec()


def hyper_decoder(width=7):
    keras.utils.set_random_seed(4)
    layer = IntegerHyperDecoder(3, 5, width)
    layer.build((None, None, None, 3))
    for weight in layer.weights:
        weight.assign_add(RNG.normal(0, 0.3, weight.shape))
    return layer


# The contract.


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_saved_and_comes_back(channels, tmp_path):
    made = codec(channels)
    assert_config_round_trip(made)
    loaded = assert_saves_and_loads(made, tmp_path, pictures(channels=channels))
    image = (255 * pictures(1, channels=channels)[0]).astype(np.uint8)
    assert loaded.compress(image, 80) == made.compress(image, 80)


@pytest.mark.parametrize(
    "layer",
    [GDN(inverse=True), Gains(3), FactorisedPrior(3), IntegerHyperDecoder(2, 3, 4), Uniform(1)],
    ids=lambda layer: layer.name,
)
def test_its_layers_are_their_configurations(layer):
    assert_config_round_trip(layer)


def test_every_weight_has_a_gradient():
    made, x = codec(), pictures()
    with tf.GradientTape() as tape:
        loss, _, _ = made.loss_terms(x, training=True)
    gradients = tape.gradient(loss, made.trainable_variables)
    pairs = zip(made.trainable_variables, gradients, strict=True)
    lengths = {weight.path: float(tf.norm(gradient)) for weight, gradient in pairs}
    assert all(0 < length < math.inf for length in lengths.values()), lengths


def test_training_lowers_the_loss_at_the_quality_that_is_measured():
    made, x = codec(moved=False), np.repeat(pictures(1, (16, 16)), 16, axis=0)
    made.compile(keras.optimizers.Adam(1e-3))
    before, _, _ = made.loss_terms(x)
    made.fit(x, epochs=10, batch_size=8, verbose=0)
    after, _, _ = made.loss_terms(x)
    assert after < before and int(made.skipped_steps) == 0


@pytest.mark.parametrize("policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_half_precision_keeps_float32_weights_and_terms(policy):
    keras.config.set_dtype_policy(policy)
    made, x = codec(), pictures()
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=2.0**-4)
    made.compile(scaled, run_eagerly=True)  # two steps are faster than their tracing
    assert np.all(np.isfinite(made.fit(x, epochs=2, verbose=0).history["loss"])) and int(made.skipped_steps) == 0
    assert {weight.dtype for weight in made.trainable_variables} == {"float32"}
    assert all(part.dtype == "float32" for part in (*made.elbo_terms(x), made.codes(x)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, "channels"),
        ({"stds": (0.1,)}, "stds"),
        ({"stds": (0.01, 0.1)}, "stds"),
        ({"stds": (0.1, 0)}, "stds"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=f"`{message}`"):
        codec(**options)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_shape": (8, 8, 3)}, "`latent` must be 'spatial'"),
        ({"network": "conv"}, "`network` of a codec must be 'resnet'"),
        ({"dropout": 0.1}, "without dropout"),
    ],
)
def test_recipes_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tfvae.Codec.from_shape(**{"image_shape": (None, None, 3), "latent_dim": 4, **settings})


# Rate and distortion.


def test_the_noisy_likelihood_is_the_integral_of_the_density_over_a_bin():
    values = np.linspace(-9, 9, 41).astype("float32")
    nodes, weights = np.polynomial.legendre.leggauss(80)
    for scale in (0.3, 1.0, 4.0):
        density = np.exp(-0.5 * ((values[:, None] + nodes / 2) / scale) ** 2) / (scale * math.sqrt(2 * math.pi))
        mass = density @ weights / 2
        escape = np.exp(-16 * math.log(2) - 1.5 * np.log1p(np.abs(values)))
        np.testing.assert_allclose(rounded_normal_log_prob(values, scale), np.log(mass + escape), rtol=1e-4, atol=1e-4)


def test_far_outliers_cost_what_an_escape_does_and_have_a_gradient():
    value = tf.constant([0.0, 50.0, 1e5])
    with tf.GradientTape() as tape:
        tape.watch(value)
        log_prob = rounded_normal_log_prob(value, 0.11)
    assert np.all(np.isfinite(log_prob)) and log_prob[2] > -30
    gradient = tape.gradient(log_prob, value).numpy()
    assert np.all(np.isfinite(gradient)) and gradient[0] == 0 and np.all(gradient[1:] < 0)


def test_the_prior_s_masses_sum_to_one_and_are_integrals_of_its_density():
    layer = FactorisedPrior(3)
    layer.build((None, None, None, 3))
    for weight in layer.trainable_variables:
        weight.assign_add(RNG.normal(0, 0.5, weight.shape))
    z = np.repeat(np.arange(-200.0, 201)[None, :, None, None], 3, axis=-1).astype("float32")
    np.testing.assert_allclose(np.exp(layer(z)).sum(axis=1).ravel(), 1, rtol=1e-4)

    at = np.linspace(-4, 4, 9)[:, None, None, None]
    nodes, weights = np.polynomial.legendre.leggauss(60)
    means, scales = (np.asarray(part, np.float64) for part in (layer.means, np.exp(layer.log_scales)))
    share = np.asarray(tf.nn.softmax(layer.logits), np.float64)
    u = (at[..., None] + nodes[:, None, None] / 2 - means) / scales
    density = np.sum(share / (4 * scales * np.cosh(u / 2) ** 2), axis=-1)
    expected = np.log(np.tensordot(density, weights / 2, axes=([2], [0])))[:, 0]
    actual = layer(np.repeat(at, 3, axis=-1).astype("float32"))[:, 0, 0]
    np.testing.assert_allclose(actual, expected.reshape(actual.shape), rtol=1e-4)


def test_the_tables_hold_the_prior_s_masses():
    layer = FactorisedPrior(2)
    layer.build((None, None, None, 2))
    own, normal = layer.tables()
    z = np.arange(-REACH, REACH + 1, dtype=np.float32)
    mass = np.exp(layer(np.stack([z, z], axis=-1)[None, None])[0, 0])
    np.testing.assert_allclose(own[:, :-1].T / TOTAL, mass, rtol=1e-3, atol=3e-5)
    assert len(normal) == 64 and all(table.sum() == TOTAL for table in (*own, *normal))


def test_the_rate_is_what_the_integer_tables_say():
    model, x = codec(moved=False), 0.4 + 0.1 * pictures(1)  # without outliers: of an escape the rate is an estimate
    outputs = model(x, quality=model.qualities(x, 60.0))
    hyper = np.rint(outputs["hyper"][0]).astype(int)
    mean, index = model.hyper_decoder.exact(hyper, 60)
    symbols = np.rint(outputs["latents"][0] - mean[:3, :3] / 16).astype(int)
    own, normal = model.prior.tables()
    total = sum(bits(own[channel], hyper[..., channel].ravel() + REACH) for channel in range(4))
    for symbol, table in zip(symbols.ravel(), index[:3, :3].ravel(), strict=True):
        total += bits(normal[table], np.array([symbol + (len(normal[table]) - 2) // 2]))
    assert -float(outputs["log_prob"][0]) / math.log(2) == pytest.approx(total, rel=1e-3)


def test_distortion_is_that_of_a_normal_whose_deviation_the_quality_sets(model):
    x = pictures()
    np.testing.assert_allclose(model.std([[0.0], [50.0], [100.0]])[:, 0] * 255, [40, 160**0.5, 4], rtol=1e-5)
    outputs = model(x, quality=np.array([[0.0], [100.0]], "float32"))
    distortion, rate = model.terms(x, outputs)
    image = 0.5 + outputs["parameters"].numpy()
    for place, std in enumerate((40 / 255, 4 / 255)):
        expected = -np.sum(normal_log_prob(x[place], image[place], math.log(std)))
        np.testing.assert_allclose(distortion[place], expected, rtol=1e-5)
    np.testing.assert_array_equal(rate, -outputs["log_prob"])


@pytest.mark.slow
def test_figures_have_the_rate_in_bits_a_pixel(model):
    figures = evaluate(model, (255 * pictures(3)).astype(np.uint8))
    assert figures["bits_per_pixel"] * 24 * 17 * math.log(2) == pytest.approx(figures["rate"])


def test_noise_is_as_wide_as_a_step_of_rounding_and_goes_on_after_a_save(tmp_path):
    layer = Uniform(7)
    layer.build(None)
    noise = layer(tf.zeros((50_000,))).numpy()
    assert noise.min() >= -0.5 and noise.max() < 0.5
    np.testing.assert_allclose([noise.mean(), noise.var()], [0, 1 / 12], atol=4e-3)
    made = codec()
    made(pictures(), training=True)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(made.uniform(tf.zeros((4,))), loaded.uniform(tf.zeros((4,))))


# Qualities.


def test_gains_are_geometric_between_knots_and_the_way_back_undoes_them():
    layer = Gains(4)
    layer.build((None, None, None, 4))
    layer.start(np.repeat(np.geomspace(0.2, 2, 6)[:, None], 4, axis=1))
    latents = np.ones((5, 1, 1, 4), "float32")
    quality = np.array([[0.0], [10.0], [20.0], [50.0], [100.0]], "float32")
    gains = layer(latents, quality).numpy()[:, 0, 0]
    np.testing.assert_allclose(gains[-1] / gains[0], 10, rtol=1e-5)
    np.testing.assert_allclose(gains[1] ** 2, gains[0] * gains[2], rtol=1e-5)
    np.testing.assert_allclose(layer(layer(latents, quality), quality, back=True), latents, rtol=1e-5)
    layer.log_forth.assign(RNG.standard_normal(layer.log_forth.shape))
    for place, knot in ((0, 0), (2, 1), (4, 5)):
        found = layer(latents, quality).numpy()[place, 0, 0]
        np.testing.assert_allclose(np.log(found), layer.log_forth[knot], rtol=1e-5, atol=1e-6)


def test_examples_are_trained_at_qualities_of_their_own_and_measured_at_fifty(model):
    x = pictures(64, (8, 8))
    drawn = model(x, training=True)["quality"].numpy()
    assert drawn.min() >= 0 and drawn.max() <= 100 and len(np.unique(drawn)) == 64
    np.testing.assert_allclose(np.diff(np.sort(drawn.ravel())), 100 / 64, rtol=1e-3)
    other = model(x, training=True)["quality"].numpy()
    assert not np.allclose(np.sort(drawn, axis=0), np.sort(other, axis=0))
    assert np.all(model(x)["quality"].numpy() == 50)


# Whole numbers.


def direct(layer, z, quality):
    """The hyper-decoder in int64, every sum written out."""
    hidden = np.concatenate([z, np.full((*z.shape[:2], 1), quality)], axis=-1).astype(np.int64)
    layers, slope = layer.integers()
    for place, (kernel, bias) in enumerate(layers):
        kernel, bias = kernel.astype(np.int64), bias.astype(np.int64)
        height, width, _ = hidden.shape
        total = np.zeros((height, width, len(bias)), np.int64) + bias
        for i, j, row, column in np.ndindex(height, width, 3, 3):
            y, x = i + row - 1, j + column - 1
            if 0 <= y < height and 0 <= x < width:
                total[i, j] += hidden[y, x] @ kernel[row, column]
        if place < 2:
            shift = 10 if place else 4
            hidden = np.clip((total + (1 << shift >> 1)) >> shift, 0, 2**14 - 1)
            enlarged = np.zeros((2 * height, 2 * width, len(bias) // 4), np.int64)
            for row, column in np.ndindex(2, 2):
                part = 2 * row + column
                count = len(bias) // 4
                enlarged[row::2, column::2] = hidden[..., part * count : (part + 1) * count]
            hidden = enlarged
    total += quality * slope.astype(np.int64)
    half = total.shape[-1] // 2
    return (total[..., :half] + 2**11) >> 12, np.clip((total[..., half:] + 2**12) >> 13, 0, 63)


def test_the_hyper_decoder_is_its_own_arithmetic_in_int64():
    layer = hyper_decoder()
    for quality in (0, 37, 100):
        z = RNG.integers(-40, 41, (19, 3, 3))  # more rows than a strip has
        mean, index = layer.exact(z, quality)
        expected = direct(layer, z, quality)
        np.testing.assert_array_equal(mean, expected[0])
        np.testing.assert_array_equal(index, expected[1])
        assert len(np.unique(index)) > 5 and len(np.unique(mean)) > 50


def test_what_is_trained_is_what_is_decoded():
    layer, z = hyper_decoder(), RNG.integers(-9, 10, (6, 5, 3))
    mean, index = layer.exact(z, 80)
    trained = layer(z[None].astype("float32"), np.array([[80.4]], "float32"))
    np.testing.assert_allclose(trained[0][0], mean / 16, atol=1 / 16)
    np.testing.assert_allclose(trained[1][0], index, atol=1)
    assert np.mean(trained[1][0] == index) > 0.99  # float32 rounds a few sums to the other side


def test_extreme_hyper_latents_stay_within_what_float64_holds():
    layer = hyper_decoder()
    for weight in layer.weights:
        weight.assign(tf.fill(weight.shape, 1e6))
    sums = (2**15 - 1) * 9 * 97 * (2**15 - 1) + 101 * 2**31
    assert sums < 2**53
    mean, index = layer.exact(np.full((2, 2, 3), 2**31 - 1), 100)
    assert np.all(mean == 2**15 - 1) and np.all(index == 63)


THREADS = "tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))"
SYMBOLS = (
    """
import hashlib, sys
import keras, numpy as np, tensorflow as tf
"""
    + THREADS
    + """
import tfvae
from tfvae.applications.compression import container
from tfvae.applications.compression.streams import digest, streams
from tfvae.applications.compression.symbols import predicted
model = keras.saving.load_model(sys.argv[1])
content = open(sys.argv[3], "rb").read()
header, found = container.unpack(content, digest(model), model.factor, 3)
reader, seen = streams(model, header.coder), hashlib.sha256()
hyper = reader.read_hyper(found[0], (3, 2))
known = predicted(model, hyper, header.quality, header.places(model.factor))
for part in (hyper, known.mean, known.index, reader.read_latents(found[1], known.index)):
    seen.update(np.ascontiguousarray(part).tobytes())
picture = model.decompress(content)
print(seen.hexdigest(), int(picture.astype(int).sum()))
"""
)


def check_symbols(tmp_path, settings):
    """A file read under each of `settings`, threads and whether oneDNN computes, in a process of its own."""
    made = codec()
    made.save(tmp_path / "model.keras")
    (tmp_path / "a.tfv").write_bytes(made.compress((255 * pictures(1, (90, 61))[0]).astype(np.uint8), 77.7))
    words = ["", str(tmp_path / "model.keras"), "", str(tmp_path / "a.tfv")]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as here:
        patch.setattr(sys, "argv", words)
        exec(SYMBOLS.replace(THREADS, ""), {})  # in this process, as it is
    said = {tuple(here.getvalue().split())}
    for threads, onednn in settings:
        words = [sys.executable, "-c", SYMBOLS, str(tmp_path / "model.keras"), threads, str(tmp_path / "a.tfv")]
        environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn}
        ended = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        assert ended.returncode == 0, ended.stderr
        said.add(tuple(ended.stdout.split()))
    assert len({symbols for symbols, _ in said}) == 1
    sums = [int(total) for _, total in said]
    assert max(sums) - min(sums) <= 3 * 90 * 61


def test_symbols_are_the_same_under_another_number_of_threads_and_without_onednn(tmp_path):
    check_symbols(tmp_path, (("1", "0"),))


@pytest.mark.slow
def test_symbols_are_the_same_under_every_number_of_threads_and_with_or_without_onednn(tmp_path):
    check_symbols(tmp_path, [(threads, onednn) for threads in "124" for onednn in "01"])


def test_tables_are_not_made_again_from_the_same_mixtures(monkeypatch, tmp_path):
    made = codec()
    tables = made.prior.tables()[0]
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    # Another machine, whose exponential differs: what was saved counts, also in a model that it saves.
    monkeypatch.setattr("tfvae.networks.hyperprior._sigmoid", lambda x: 1 / (1 + np.exp(-1.01 * x)))
    np.testing.assert_array_equal(loaded.prior.tables()[0], tables)
    loaded.prior.means.assign_add(0.5 + loaded.prior.means)
    assert np.any(loaded.prior.tables()[0] != tables)


def test_gdn_divides_by_its_neighbours_and_its_inverse_multiplies():
    x = RNG.standard_normal((1, 2, 2, 3)).astype("float32")
    down, up = GDN(), GDN(inverse=True)
    norm = down.build(x.shape) or np.square(down.root_beta) + 1e-6 + np.abs(x) @ np.square(down.root_gamma)
    np.testing.assert_allclose(down(x), x / norm, rtol=1e-5)
    np.testing.assert_allclose(up(x), x * norm, rtol=1e-5)
