"""The VAE-GAN: which loss moves which weights, what the losses are, and what of it leaves Python."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads

import tfvae
from tfvae.models.vae_gan import FLOOR
from tfvae.networks.critic import PatchCritic, spectral_norm
from tfvae.objectives import estimate_loss, patch_cross_entropy
from training.checkpoint import Checkpoints

SIZE = (8, 6, 3)
X = np.random.default_rng(0).random((4, *SIZE), dtype=np.float32)
PARTS = ("encoder", "decoder", "critic")


def make(spatial=False, likelihood="optimal_gaussian", **options):
    keras.utils.set_random_seed(1)
    shape = {"image_shape": (None, None, 3) if spatial else SIZE, "latent_dim": 3, "hidden": 8, "widths": (4,)}
    shape |= {"network": "conv" if spatial else "mlp"}
    encoder, decoder = tfvae.Encoder(**shape, seed=1), tfvae.Decoder(**shape, likelihood=likelihood, seed=2)
    model = tfvae.VAEGAN(encoder, decoder, **{"level": 1, "critic_widths": (4, 5), "seed": 0, **options})
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)  # a step is faster than its tracing
    model.optimizer.build(model.trainable_variables)
    return model


def gradients_by_part(model, x=X):
    gradients, *_ = model.gradient_terms(tf.constant(x))
    found = {id(v): np.asarray(g) for v, g in zip(model.trainable_variables, gradients, strict=True)}
    return {part: [found[id(v)] for v in getattr(model, part).trainable_variables] for part in PARTS}


def rewound(model):
    """The same noise again for the next look at the same batch."""
    for sampler in (model.sampler, model.prior_noise):
        sampler.seed_generator.state.assign([7, 7])
    return model


def assert_parallel(left, right, part, factor=1.0):
    for a, b in zip(left[part], right[part], strict=True):
        np.testing.assert_allclose(a, factor * b, rtol=1e-4, atol=1e-4 * max(1.0, np.abs(a).max()))


@pytest.mark.parametrize("spatial", [False, True], ids=["vector", "spatial"])
def test_keeps_its_contract(spatial, tmp_path):
    model = make(spatial)
    model.train_on_batch(X)
    assert_config_round_trip(model)
    loaded = assert_saves_and_loads(model, tmp_path, X)
    np.testing.assert_array_equal(loaded.judge(X)[0], model.judge(X)[0])
    # The noise of the next step, too: of the posterior and of the prior.
    for a, b in zip(model.part_losses(X)[0], loaded.part_losses(X)[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_each_part_is_given_the_gradient_of_its_own_loss():
    model = rewound(make(gamma=0.3, beta=2.0))
    found = gradients_by_part(model)
    for index, part in enumerate(PARTS):
        with tf.GradientTape() as tape:
            loss = rewound(model).part_losses(tf.constant(X))[0][index]
        expected = {part: tape.gradient(loss, getattr(model, part).trainable_variables)}
        assert all(np.any(np.asarray(gradient)) for gradient in expected[part])
        assert_parallel(found, expected, part)


def test_the_encoder_hears_nothing_of_the_adversary():
    """Another weight between distortion and adversary changes the decoder's gradient, and that alone."""
    alike, minding = (gradients_by_part(rewound(make(gamma=gamma))) for gamma in (1.0, 0.0))
    assert_parallel(alike, minding, "encoder")
    assert_parallel(alike, minding, "critic")
    assert any(np.abs(a - b).max() > 1e-2 for a, b in zip(alike["decoder"], minding["decoder"], strict=True))
    # And what it hears is the bound and the similarity.
    model = rewound(make())
    with tf.GradientTape() as tape:
        outputs = model(X, training=True)
        distortion, rate = model.elbo_terms(X, training=True, outputs=outputs)
        features = [model.judge(picture)[1] for picture in (X, model.likelihood.mean(outputs["parameters"]))]
        loss = tf.reduce_mean(distortion + rate + estimate_loss(*features, FLOOR))
    assert_parallel(alike, {"encoder": tape.gradient(loss, model.encoder.trainable_variables)}, "encoder")


def test_a_large_gamma_leaves_the_decoder_of_a_plain_vae_with_the_similarity():
    large, larger = (gradients_by_part(rewound(make(gamma=gamma))) for gamma in (1e6, 1e7))
    assert_parallel(larger, large, "decoder", factor=10.0)


def test_a_critic_that_knows_nothing_says_one_half():
    model = make()
    model.critic.head.kernel.assign(tf.zeros_like(model.critic.head.kernel))
    _, _, (_, _, _, adversarial, critic) = model.part_losses(X)
    np.testing.assert_allclose(adversarial, np.full(4, math.log(2)), rtol=1e-6)
    np.testing.assert_allclose(critic, np.full(4, 2 * math.log(2)), rtol=1e-6)


def test_the_surprise_is_the_logarithm_of_the_sigmoid():
    scores = np.array([-30.0, -1.0, 0.0, 2.0], "float32").reshape(4, 1, 1, 1)
    p = 1 / (1 + np.exp(-scores.astype("float64").ravel()))
    np.testing.assert_allclose(patch_cross_entropy(1.0, scores), -np.log(p), rtol=1e-6)
    np.testing.assert_allclose(patch_cross_entropy(0.0, scores), -np.log1p(-p), rtol=1e-5, atol=1e-12)
    # Means over patches, so that the size of a picture does not matter.
    np.testing.assert_allclose(patch_cross_entropy(1.0, scores.reshape(1, 2, 2, 1)), [-np.log(p).mean()], rtol=1e-6)


def test_the_similarity_of_level_0_is_that_of_pixels():
    model = rewound(make(level=0))
    _, _, (_, _, similarity, _, _) = model.part_losses(X)
    rebuilt = model.likelihood.mean(rewound(model)(X)["parameters"])
    np.testing.assert_allclose(similarity, estimate_loss(X, rebuilt, FLOOR), rtol=1e-5)


def test_features_that_are_the_pixels_in_another_order_compare_them_as_pixels():
    """2×2 pixels side by side, none below zero where the ReLU would leak: then the distances are those of pixels."""
    model = rewound(make(critic_widths=(12,)))
    kernel = np.zeros((4, 4, 3, 12), "float32")
    for place in range(12):
        kernel[1 + place // 6, 1 + place // 3 % 2, place % 3, place] = 1.0
    level = model.critic.levels[0]
    level.kernel.assign(kernel)
    level.bias.assign(np.full(12, 2.0))
    _, _, (_, _, similarity, _, _) = model.part_losses(X)
    rebuilt = model.likelihood.mean(rewound(model)(X)["parameters"])
    scale = 2.0 * 2.0 / float(spectral_norm(kernel))  # pixels are laid out between -1 and 1
    count = X[0].size
    pixels = estimate_loss(X, rebuilt, FLOOR / scale**2) + count * math.log(scale)
    np.testing.assert_allclose(similarity, pixels, rtol=1e-4)


def test_what_is_reported_is_the_bound_of_the_pixels():
    model = rewound(make(beta=3.0))
    logs = model.train_on_batch(X, return_dict=True)
    np.testing.assert_allclose(logs["loss"], logs["distortion"] + 3.0 * logs["rate"], rtol=1e-5)
    np.testing.assert_allclose(logs["elbo"], -(logs["distortion"] + logs["rate"]), rtol=1e-5)
    assert {"similarity", "adversarial", "critic"} <= logs.keys()
    plain = tfvae.VAE(model.encoder, model.decoder, beta=3.0, seed=0)
    rewound(model)
    plain.sampler.seed_generator.state.assign([7, 7])
    np.testing.assert_allclose(model.elbo_terms(X), plain.elbo_terms(X), rtol=1e-6)


@pytest.mark.parametrize(("part", "term"), [("critic", "critic"), ("decoder", "adversarial")])
def test_each_side_of_the_game_gets_better_while_the_other_waits(part, term):
    model = make(gamma=0.0)
    for other in set(PARTS) - {part}:
        getattr(model, other).trainable = False
    model.compile(keras.optimizers.Adam(1e-2))  # of what is trainable now
    history = model.fit(X, batch_size=4, epochs=12, verbose=0).history[term]
    assert history[-1] < history[0] - 0.02


def test_a_step_in_half_precision_is_finite_and_ends_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = make()
    before = [v.numpy().copy() for v in model.trainable_variables]
    logs = model.train_on_batch(X, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values()) and int(model.skipped_steps) == 0
    assert all(np.any(a != b.numpy()) for a, b in zip(before, model.trainable_variables, strict=True))
    losses, _, terms = model.part_losses(X)
    assert {value.dtype for value in (*losses, *terms, *model.judge(X))} == {tf.float32}
    assert {weight.dtype for weight in model.trainable_variables} == {"float32"}


def test_a_bad_picture_changes_no_part_and_no_figure():
    model = make()
    model.train_on_batch(X)
    before = [v.numpy().copy() for v in (*model.trainable_variables, *model.optimizer.variables)]
    bad = X.copy()
    bad[1, 2, 3] = np.nan
    logs = model.train_on_batch(bad, return_dict=True)
    for a, b in zip(before, (*model.trainable_variables, *model.optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    assert int(model.skipped_steps) == 1 and np.isnan(logs["loss"]) and np.isnan(logs["gradient_norm"])
    assert np.isfinite([logs["rate"], logs["similarity"]]).all()  # of the other pictures of the batch


def test_a_resumed_run_takes_the_steps_of_one_that_was_never_stopped(tmp_path):
    model = make()
    model.train_on_batch(X)
    with Checkpoints(tmp_path, model) as checkpoints:
        checkpoints.save({"step": 1})
    expected = [model.train_on_batch(X, return_dict=True) for _ in range(2)][-1]
    again = make()
    assert Checkpoints(tmp_path, again).restore() == {"step": 1}
    actual = [again.train_on_batch(X, return_dict=True) for _ in range(2)][-1]
    assert actual == expected
    for a, b in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_devices_take_the_steps_of_one(two_devices):
    def curve():
        model = make(likelihood="bernoulli")
        model.compile(keras.optimizers.SGD(1e-4))  # Adam would make much of the order of sums
        return model.fit(X, batch_size=4, epochs=2, shuffle=False, verbose=0).history

    alone = curve()
    with two_devices.scope():
        shared = curve()
    for name, values in alone.items():
        np.testing.assert_allclose(shared[name], values, rtol=1e-4, err_msg=name)


def test_what_leaves_python_is_a_vae_without_the_critic(tmp_path):
    model = make()
    model.export(tmp_path / "served")
    served = tf.saved_model.load(tmp_path / "served")
    assert set(served.signatures) == {"encode", "decode", "reconstruct", "generate", "serving_default"}
    np.testing.assert_allclose(
        served.signatures["reconstruct"](image=tf.constant(X))["image"], model.reconstruct(X)["image"], atol=1e-6
    )
    stored = {tuple(shape) for _, shape in tf.train.list_variables(str(tmp_path / "served/variables/variables"))}
    assert tuple(model.encoder.head.kernel.shape) in stored
    assert tuple(model.critic.levels[0].kernel.shape) not in stored


@pytest.mark.parametrize("size", [(16, 16), (13, 9), (1, 3)])
def test_a_critic_judges_pictures_of_any_size_patch_by_patch(size):
    critic = PatchCritic((4, 5, 6), outputs=2, gain=1.5)
    scores, features = critic(np.ones((1, *size, 1), "float32"))
    sizes = [tuple(-(-side // 2**level) for side in size) for level in (1, 2, 3)]
    assert [value.shape[1:3] for value in features] == sizes and scores.shape == (1, *sizes[-1], 2)
    assert_config_round_trip(critic)


def test_a_score_depends_on_its_own_patch_alone():
    critic = PatchCritic((4, 5))
    x = np.random.default_rng(1).random((1, 64, 8, 3), dtype=np.float32)
    other = x.copy()
    other[:, 40:] = 0.0
    changed = np.abs(np.asarray(critic(x)[0] - critic(other)[0])).max(axis=(0, 2, 3))
    # A score sees 4 * (3 - 1) + (4 - 1) * 2 + 4 = 18 pixels, of which seven are before its own four.
    assert np.all(changed[:8] == 0) and np.all(changed[10:] > 0)


def test_features_are_as_large_as_the_gain_allows():
    x = np.random.default_rng(1).random((2, 16, 16, 3), dtype=np.float32)
    plain, twice = PatchCritic((4, 5), gain=1.0), PatchCritic((4, 5), gain=2.0)
    plain.build(x.shape)
    twice.build(x.shape)
    twice.set_weights(plain.get_weights())  # biases of zero, so that every level is homogeneous
    for level, (one, two) in enumerate(zip(plain(x)[1], twice(x)[1], strict=True), start=1):
        np.testing.assert_allclose(two, 2.0**level * np.asarray(one), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(twice(x)[0], 4.0 * np.asarray(plain(x)[0]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4, 3, 8), (3, 3, 6, 1), (1, 1, 2, 9)])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_the_spectral_norm_is_the_largest_singular_value_or_a_little_more(shape, size):
    kernel = (size * np.random.default_rng(2).standard_normal(shape)).astype("float32")
    singular = np.linalg.svd(kernel.reshape(-1, shape[-1]).astype("float64"), compute_uv=False)
    schatten = singular[0] * np.sum((singular / singular[0]) ** 64) ** (1 / 64)
    np.testing.assert_allclose(float(spectral_norm(kernel)), schatten, rtol=1e-4)
    assert singular[0] * (1 - 1e-4) <= float(spectral_norm(kernel)) <= singular[0] * len(singular) ** (1 / 64) * 1.0001


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="`gamma` must be non-negative"):
        make(gamma=-1.0)
    with pytest.raises(ValueError, match="`level` must be from 0 to 2"):
        make(level=3)
    with pytest.raises(ValueError, match="must be positive, with one width or more"):
        make(level=0, critic_widths=())
    with pytest.raises(ValueError, match="`gain` must be positive"):
        PatchCritic(gain=0.0)
