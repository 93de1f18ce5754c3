import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from keras import ops

import tfvae
from tfvae.networks import NETWORKS
from tfvae.objectives import free_bits_rate, gaussian_kl_per_unit
from tfvae.schedules import CyclicalBeta, LinearBeta

RNG = np.random.default_rng(8)
SHAPE = (11, 7, 1)
# Models of one loss, of an encoder and a decoder whose codes can be decoded alone; the others have tests of their own.
ONE_LOSS, PAIR = tfvae.models.LatentModel.gradient_terms, tfvae.models.LatentModel.assemble.__func__
DECODING = [
    kind
    for kind, model in tfvae.MODELS.items()
    if hasattr(model, "decode") and model.gradient_terms is ONE_LOSS and model.assemble.__func__ is PAIR
]
PYRAMIDS = [name for name, network in NETWORKS.items() if network.pyramid]


def make(kind="vae", network="conv", shape=SHAPE, likelihood="bernoulli", dropout=0.0, latent_dim=3, **options):
    cls = tfvae.MODELS[kind]
    shared = {"image_shape": shape, "latent_dim": latent_dim, "network": network, "hidden": 16, "dropout": dropout}
    encoder = tfvae.Encoder(**shared, widths=(8, 16), stochastic=cls.stochastic, seed=1)
    decoder = tfvae.Decoder(**shared, widths=(16, 8), likelihood=likelihood, seed=2)
    return cls(encoder, decoder, **options)


def images(shape=SHAPE, count=6):
    return RNG.random((count, *shape)).astype("float32")


def case(kind, network, size, name, **options):
    """Networks make no difference between models: the slowest to trace are quick with one of them."""
    marks = [pytest.mark.slow] if kind != "vae" and network in ("inception", "resnet") else []
    return pytest.param({"kind": kind, "network": network, **options}, size, id=name, marks=marks)


CASES = [
    *[case(k, n, SHAPE, f"{k}-{n}") for k in DECODING for n in NETWORKS],
    *[
        case(k, n, (9, 14, 3), f"{k}-{n}-spatial", shape=(None, None, 3))
        for k in DECODING
        for n in tfvae.MODELS[k].networks(spatial=True)
    ],
]


@pytest.mark.parametrize(("options", "size"), CASES)
def test_the_contract(options, size, tmp_path):
    model = make(**options, dropout=0.2)
    x = images(size)
    model.compile("adam", run_eagerly=options["network"] != "mlp")  # two steps are faster than their tracing
    model.fit(x, batch_size=3, verbose=0)
    assert_config_round_trip(model)
    loaded = assert_saves_and_loads(model, tmp_path, x)
    assert int(loaded.optimizer.iterations) == 2


@pytest.mark.parametrize(("options", "size"), CASES)
def test_every_trainable_variable_has_a_finite_gradient(options, size):
    model = make(**options)
    with tf.GradientTape() as tape:
        loss, _, _ = model.loss_terms(images(size), training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert gradients
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.all(np.isfinite(gradient)), variable.path


@pytest.mark.parametrize("likelihood", tfvae.likelihoods.LIKELIHOODS)
def test_every_likelihood_trains_saves_and_loads(likelihood, tmp_path):
    model = make(network="mlp", likelihood=likelihood, seed=3)
    x = images()
    model.compile(keras.optimizers.Adam(1e-3))
    history = model.fit(x, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    assert_config_round_trip(model)
    loaded = assert_saves_and_loads(model, tmp_path, x)
    # The next posterior sample, and the learnt variance, too: the whole state came back.
    np.testing.assert_array_equal(model.elbo_terms(x), loaded.elbo_terms(x))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_half_precision_keeps_float32_variables_terms_and_codes(policy, network):
    keras.config.set_dtype_policy(policy)
    model = make(network=network)
    x = images()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=128.0)
    model.compile(optimizer, run_eagerly=network != "mlp")
    history = model.fit(x, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"])) and int(model.skipped_steps) == 0
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    distortion, rate = model.elbo_terms(x)
    assert distortion.dtype == rate.dtype == model.codes(x).dtype == model.reconstruct(x)["image"].dtype == "float32"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_loss_scale_leaves_the_size_of_the_step_alone(policy):
    """Forgotten, it divides every gradient by the scale, and nothing complains."""
    x = (images(count=32) > 0.7).astype("float32")
    losses = []
    for chosen in ("float32", policy):
        keras.config.set_dtype_policy(chosen)
        keras.utils.set_random_seed(5)
        model = make(seed=3)
        optimizer = keras.optimizers.SGD(1e-3)
        scaled = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=128.0)
        model.compile(optimizer if chosen == "float32" else scaled)
        losses.append(model.fit(x, epochs=5, batch_size=8, shuffle=False, verbose=0).history["loss"])
    drop = [values[0] - values[-1] for values in losses]
    assert drop[0] > 0.5
    np.testing.assert_allclose(drop[1], drop[0], rtol=0.1)


def test_training_improves_the_elbo():
    model = make(seed=1)
    x = (images(count=64) > 0.7).astype("float32")
    model.compile(keras.optimizers.Adam(5e-3))
    history = model.fit(x, epochs=12, batch_size=16, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0] + 1.0


def test_the_reported_terms_make_the_elbo_and_the_loss():
    model = make(beta=4.0, seed=1)
    model.compile("adam")
    logs = model.evaluate(images(), verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["elbo"], -(logs["distortion"] + logs["rate"]), rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], logs["distortion"] + 4.0 * logs["rate"], rtol=1e-5)


def test_beta_follows_its_schedule_inside_the_traced_step():
    model = make(beta=LinearBeta(10), seed=1)
    model.compile(keras.optimizers.SGD(0.0))
    x = images(count=2)
    betas = []
    for _ in range(4):
        logs = model.train_on_batch(x, return_dict=True)
        betas.append((logs["loss"] - logs["distortion"]) / logs["rate"])
        model.reset_metrics()
    np.testing.assert_allclose(betas, [0.0, 0.1, 0.2, 0.3], atol=1e-2)


def test_assigning_beta_changes_a_step_that_is_already_traced():
    model = make(seed=1)
    model.compile(keras.optimizers.SGD(0.0))
    x = images(count=2)
    model.train_on_batch(x)
    model.beta.assign(7.0)
    model.reset_metrics()
    logs = model.train_on_batch(x, return_dict=True)
    np.testing.assert_allclose(logs["loss"], logs["distortion"] + 7.0 * logs["rate"], rtol=1e-4)


def test_free_bits_put_a_floor_under_the_loss_but_not_under_the_reported_rate():
    model, x = make(free_bits=100.0, seed=1), images()
    loss, distortion, rate = model.loss_terms(x)
    np.testing.assert_allclose(loss, np.mean(distortion) + 3 * 100.0, rtol=1e-4)
    assert np.all(np.asarray(rate) < 100.0)
    kl = gaussian_kl_per_unit(*model.encoder(x))
    np.testing.assert_allclose(np.mean(rate), free_bits_rate(kl, 0.0), rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["bernoulli", "optimal_gaussian"])
def test_a_step_with_a_bad_image_changes_nothing_and_is_counted(likelihood):
    model, x = make(seed=1, likelihood=likelihood), images()
    model.compile("adam")
    model.train_on_batch(x)
    learnt = [*model.trainable_variables, *model.optimizer.variables, *model.likelihood.variables]
    before = [v.numpy().copy() for v in learnt]
    bad = x.copy()
    bad[0, 0, 0] = np.nan
    model.reset_metrics()  # train_on_batch of Keras 3.13 does not do so by itself
    model.train_on_batch(bad)
    logs = model.train_on_batch(bad, return_dict=True)
    for a, b in zip(before, learnt, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    assert np.isnan(logs["loss"]) and np.isnan(logs["gradient_norm"])  # a mean of nothing
    if likelihood == "bernoulli":  # the optimal variance is that of all images of the batch
        assert np.isfinite([logs["elbo"], logs["distortion"], logs["rate"]]).all()  # of the other images
    assert np.isnan(model.evaluate(bad, verbose=0, return_dict=True)["elbo"])  # a figure hides nothing
    assert int(model.skipped_steps) == int(model.skipped_in_a_row) == 2
    model.train_on_batch(x)
    assert int(model.skipped_steps) == 2 and int(model.skipped_in_a_row) == 0


@pytest.mark.parametrize("options", [{"steps_per_execution": 3}, {"jit_compile": True}, {"run_eagerly": True}], ids=str)
def test_the_step_works_under_every_way_of_running_it(options):
    model = make(network="mlp", seed=1)
    model.compile("adam", **options)
    history = model.fit(images(count=18), batch_size=3, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"])) and int(model.optimizer.iterations) == 12


def test_steps_per_execution_changes_no_number():
    x, losses = images(count=18), []
    for steps in (1, 3):
        keras.utils.set_random_seed(4)
        model = make(network="mlp", seed=1)
        model.compile("adam", steps_per_execution=steps)
        losses.append(model.fit(x, batch_size=3, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_array_equal(*losses)


@pytest.mark.parametrize("network", PYRAMIDS)
@pytest.mark.parametrize("size", [(8, 8), (13, 9), (30, 21)])
def test_a_spatial_latent_takes_any_size(network, size):
    model = make(network=network, shape=(None, None, 3))
    x = images((*size, 3), 2)
    latent = tuple(-(-side // 4) for side in size)
    assert model.factor == 4 and model.codes(x).shape == (2, *latent, 3)
    assert model.reconstruct(x)["image"].shape == x.shape
    assert model.decode(model.codes(x))["image"].shape == (2, 4 * latent[0], 4 * latent[1], 3)
    distortion, rate = model.elbo_terms(x)
    assert distortion.shape == rate.shape == (2,)


def test_reconstruction_is_deterministic_and_is_the_decoded_code():
    model, x = make(seed=1), images()
    np.testing.assert_array_equal(model.reconstruct(x)["image"], model.reconstruct(x)["image"])
    np.testing.assert_array_equal(model.reconstruct(x)["image"], model.decode(model.codes(x))["image"])


def test_the_autoencoder_s_distortions_are_the_sums_they_are_called():
    x = images()
    squared, entropy = make("autoencoder"), make("autoencoder", distortion="cross_entropy")
    y = ops.convert_to_numpy(squared.reconstruct(x)["image"])
    np.testing.assert_allclose(squared.elbo_terms(x)[0], ((x - y) ** 2).sum((1, 2, 3)), rtol=1e-4)
    y = ops.convert_to_numpy(entropy.reconstruct(x)["image"])
    expected = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum((1, 2, 3))
    np.testing.assert_allclose(entropy.elbo_terms(x)[0], expected, rtol=1e-4)


def test_senseless_models_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'resnet'"):
        make(network="resnt")
    with pytest.raises(ValueError, match="no resolution levels"):
        make(network="mlp", shape=(None, None, 1))
    with pytest.raises(ValueError, match="`beta` must be non-negative"):
        make(beta=-1.0)
    with pytest.raises(ValueError, match="`distortion` must be one of"):
        make("autoencoder", distortion="l3")
    with pytest.raises(ValueError, match="bernoulli likelihood"):
        make("autoencoder", likelihood="gaussian")
    with pytest.raises(ValueError, match="emit one code"):
        tfvae.Autoencoder(make().encoder, make().decoder)
    with pytest.raises(ValueError, match="agree on image and latent shape"):
        tfvae.VAE(make().encoder, make(latent_dim=4).decoder)
    with pytest.raises(ValueError, match="`image_shape` must be"):
        tfvae.Encoder((8, None, 1), 2)
    with pytest.raises(ValueError, match="dropout=1"):
        tfvae.Encoder((8, 8, 1), 2, dropout=1.0)
    with pytest.raises(ValueError, match="latent_dim=0"):
        tfvae.Decoder((8, 8, 1), 0)


def test_schedules_survive_the_model_s_config():
    model = make(beta=CyclicalBeta(10, end=2.0), seed=1)
    clone = tfvae.VAE.from_config(json.loads(json.dumps(model.get_config())))
    assert clone.beta_schedule.get_config() == model.beta_schedule.get_config()
    assert float(clone.beta) == 2.0


def test_a_file_of_an_earlier_release_still_gives_its_outputs():
    """`tests/files` grows by a file each release; none is ever written again."""
    for path in sorted((Path(__file__).parent / "files").glob("*.keras")):
        model = keras.saving.load_model(path)
        with np.load(path.with_suffix(".npz")) as kept:
            np.testing.assert_allclose(model.codes(kept["images"]), kept["codes"], atol=1e-5)
            np.testing.assert_allclose(model.reconstruct(kept["images"])["image"], kept["rebuilt"], atol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class Classifying(tfvae.VAE):
    """A subclass that adds a layer and a weight of its own after `super().__init__`."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.head = keras.layers.Dense(3)
        self.head.build((None, *self.latent_shape))
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")

    def call(self, images, training=False):
        outputs = super().call(images, training=training)
        return {**outputs, "classes": self.scale * self.head(outputs["mean"])}


def test_a_subclass_adds_layers_and_weights_which_are_trained_and_saved(tmp_path):
    shape = {"image_shape": (8, 8, 1), "latent_dim": 3, "network": "mlp", "widths": (16,)}
    model = Classifying(tfvae.Encoder(**shape), tfvae.Decoder(**shape), seed=0)
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    model.scale.assign(2.0)
    assert {"kernel", "bias", "scale"} <= {weight.name for weight in model.trainable_weights}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert float(loaded.scale.value) == 2.0
    np.testing.assert_array_equal(model(x)["classes"], loaded(x)["classes"])
