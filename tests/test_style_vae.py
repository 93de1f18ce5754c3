"""The VAE of styles: affine parameters linear in the weights, three losses in their places, labels through the loop."""

import itertools
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from PIL import Image
from test_training_run import without_reports

import tfvae
from tfvae.data import DataConfig, load
from tfvae.errors import UserError, run_program
from tfvae.metrics.image_quality import luminance
from tfvae.models.style_vae import other_styles, structure
from tfvae.networks.style_decoder import StyleModulation
from tfvae.toml_sections import read_toml
from training.__main__ import main

NAMES = ("oil", "photos", "water")


def style_vae(channels=3, **options):
    """A tiny model, every weight moved: what starts near zero must not hide what it does once it is trained."""
    keras.utils.set_random_seed(1)
    model = tfvae.StyleVAE(channels, (8, 8), 4, "gaussian", NAMES, blocks=1, critic_widths=(4, 8), seed=0, **options)
    rng = np.random.default_rng(2)
    for weight in model.trainable_variables:
        weight.assign_add(0.05 * rng.standard_normal(weight.shape).astype("float32"))
    return model


@pytest.fixture(scope="module")
def model():
    return style_vae()


def pictures(count=3, height=16, width=12, channels=3, seed=0):
    return np.random.default_rng(seed).random((count, height, width, channels), dtype=np.float32)


LABELS = np.array([0, 1, 2], np.int32)


def test_keeps_its_contract(tmp_path):
    model = style_vae()
    assert_config_round_trip(model)
    assert_config_round_trip(model.decoder)
    x = pictures()
    loaded = assert_saves_and_loads(model, tmp_path, x)
    weights = np.array([[0.3, -1.0, 2.0]], np.float32)
    np.testing.assert_array_equal(loaded.render(x, weights)["image"], model.render(x, weights)["image"])
    assert loaded.label_names == list(NAMES)


def test_affine_parameters_are_linear_in_the_weights():
    layer = StyleModulation(3)
    layer.build((None, None, None, 5))
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 1, 3)).astype("float32")
    (scale_a, shift_a), (scale_b, shift_b), (scale, shift) = (layer.affine(w) for w in (a, b, 0.3 * a - 1.7 * b))
    np.testing.assert_allclose(scale - 1, 0.3 * (scale_a - 1) - 1.7 * (scale_b - 1), atol=1e-6)
    np.testing.assert_allclose(shift, 0.3 * shift_a - 1.7 * shift_b, atol=1e-6)
    x = rng.standard_normal((2, 3, 4, 5)).astype("float32")
    np.testing.assert_array_equal(layer(x, np.zeros((1, 3), np.float32)), x)  # no style changes nothing


def test_weights_of_one_style_are_that_style_whatever_the_neighbours_are_in(model):
    x = pictures()
    pure = np.eye(3, dtype=np.float32)
    each = model.render(x, pure)["image"]
    for row in range(3):
        alone = model.render(x[row : row + 1], pure[row : row + 1])["image"]
        np.testing.assert_allclose(each[row : row + 1], alone, atol=1e-5)
        parameters = model(x, labels=np.full(3, row))["parameters"]
        z = model(x, labels=np.full(3, row))["mean"]
        assert parameters.shape == (3, 16, 12, 3) and z.shape == (3, 4, 3, 4)
    assert np.abs(each[0] - model.render(x[:1], pure[1:2])["image"][0]).max() > 1e-3


def test_a_rendering_is_asked_for_in_a_style_that_is_not_its_own():
    for styles, count in itertools.product((2, 3, 5), (4, 9)):
        labels = np.arange(count, dtype=np.int32)[::-1] % styles
        other = np.asarray(other_styles(labels, styles))
        assert (other != labels).all() and (other >= 0).all() and (other < styles).all()
    assert set(np.asarray(other_styles(np.zeros(8, np.int32), 5))) == {1, 2, 3, 4}  # each in its turn


def test_structure_is_one_of_equals_and_of_changed_contrast_and_minus_one_of_a_negative():
    x = pictures(2, 20, 24, seed=3)
    np.testing.assert_allclose(structure(x, x), 1.0, atol=1e-5)
    np.testing.assert_allclose(structure(x, 0.3 + 0.5 * x), 1.0, atol=0.02)  # the constant costs a little
    np.testing.assert_allclose(structure(x, 1.0 - x), -1.0, atol=0.05)
    flat = np.full_like(x, 0.4)
    np.testing.assert_allclose(structure(flat, flat + 0.2), 1.0, atol=1e-3)
    grey = x[..., :1]
    np.testing.assert_array_equal(luminance(grey), grey)


def test_every_weight_has_the_gradient_of_its_own_loss(model):
    """The critic's weights that of the critic's loss, all others that of the bound and the renderings."""
    model.compile("adam")
    x = pictures()
    state = model.sampler.seed_generator.state
    before = np.array(state)
    gradients, _, *terms = model.gradient_terms(x, labels=LABELS)
    state.assign(before)
    with tf.GradientTape(persistent=True) as tape:
        (making, judging), _, _ = model.part_losses(x, LABELS)
    critic = {id(weight) for weight in model.critic.trainable_variables}
    assert 0 < len(critic) < len(model.trainable_variables)
    for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
        expected = tape.gradient(judging if id(weight) in critic else making, weight)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-3, err_msg=weight.path)
        assert np.any(np.asarray(gradient)), weight.path
    assert len(terms) == 2 + len(model.more_trackers) and all(term.shape == (3,) for term in terms)


def test_without_the_weights_of_renderings_it_is_a_vae_of_each_style():
    model = style_vae(adversarial=0.0, naming=0.0, content=0.0, structure=0.0)
    model.compile("adam")
    x = pictures()
    state = model.sampler.seed_generator.state
    before = np.array(state)
    gradients, loss, distortion, rate, *_ = model.gradient_terms(x, labels=LABELS)
    state.assign(before)
    with tf.GradientTape() as tape:
        bound, *terms = model.loss_terms(x, training=True, labels=LABELS)
    np.testing.assert_allclose(loss, bound, rtol=1e-5)
    np.testing.assert_allclose((distortion, rate), terms, rtol=1e-5)
    makers = [*model.encoder.trainable_variables, *model.decoder.trainable_variables]
    found = dict(zip(map(id, model.trainable_variables), gradients, strict=True))
    for weight, expected in zip(makers, tape.gradient(bound, makers), strict=True):
        np.testing.assert_allclose(found[id(weight)], expected, rtol=1e-3, atol=1e-2, err_msg=weight.path)


def test_the_critic_learns_to_name_what_is_told_apart():
    """Dark, middle and bright pictures: after a few steps of the critic alone a picture's own style is its label."""
    model = style_vae()
    optimizer = keras.optimizers.Adam(2e-2)
    rng = np.random.default_rng(0)

    def batch():
        labels = rng.integers(0, 3, 12).astype(np.int32)
        return (0.1 + 0.4 * labels[:, None, None, None] + 0.05 * rng.random((12, 8, 8, 3))).astype("float32"), labels

    @tf.function
    def step(x, labels):
        with tf.GradientTape() as tape:
            (_, judging), _, _ = model.part_losses(x, labels)
        weights = model.critic.trainable_variables
        optimizer.apply(tape.gradient(judging, weights), weights)

    for _ in range(60):
        step(*batch())
    x, labels = batch()
    np.testing.assert_array_equal(np.argmax(model.predicted_style(x), axis=-1), labels)
    # Then a picture needs no label: its bound is that of its own style.
    state = model.sampler.seed_generator.state
    before = np.array(state)
    told = model.elbo_terms(x)
    state.assign(before)
    expected = model.loss_terms(x, labels=labels)[1:]
    np.testing.assert_allclose(told, expected, rtol=1e-5)


def test_a_step_in_bfloat16_keeps_losses_and_heads_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = style_vae()
    model.compile(keras.optimizers.Adam(1e-3))
    logs = model.train_step((tf.constant(pictures()), tf.constant(LABELS)))
    assert all(np.isfinite(float(value)) for value in logs.values()) and "adversarial" in logs
    assert int(model.skipped_steps.value) == 0
    outputs = model(pictures(), labels=LABELS)
    assert all(value.dtype == tf.float32 for value in outputs.values())
    assert model.judge(pictures())[0].dtype == tf.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [({"label_names": ("one",)}, "two styles or more"), ({"structure": -1.0}, "`structure` must be non-negative")],
)
def test_refuses_what_it_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        tfvae.StyleVAE(3, (8, 8), 4, "gaussian", **{"label_names": NAMES, **options})


def folder_of_styles(path, flat=False):
    rng = np.random.default_rng(0)
    for style, (name, count) in enumerate({"bright": 8, "dark": 4}.items()):
        for index in range(count):
            file = path / (f"{name}{index}.png" if flat else f"{name}/{index}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            level = 200 - 150 * style
            Image.fromarray((level + rng.integers(0, 50, (12, 16, 3))).astype(np.uint8)).save(file)
    return path


SETTINGS = (
    "model.kind=style_vae", "model.network=resnet", "model.latent=spatial", "model.latent_dim=2", "model.widths=[4,4]",
    "model.likelihood=gaussian", "objective.blocks=1", "objective.critic_widths=[4]", "data.crop=8",
    "data.balance=true", "data.validation=2", "data.test=2", "training.batch_size=4", "training.epochs=2",
    "training.checkpoint_steps=1", "training.keep_checkpoints=9",
)  # fmt: skip


def train(path, *arguments):
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return run_program("training", lambda: main(["--out", str(path), *settings, *arguments]))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("styles")
    with without_reports():
        assert train(folder / "run", "--data", str(folder_of_styles(folder / "data"))) == 0
    return folder / "run"


@pytest.mark.slow
def test_a_run_learns_the_names_of_the_folders_and_resumes_bit_for_bit(run, tmp_path):
    assert read_toml(run / "config.toml")["objective"]["label_names"] == ["bright", "dark"]
    whole = keras.saving.load_model(run / "model.keras", compile=False)
    assert whole.label_names == ["bright", "dark"]
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    checkpoints = sorted((copy / "checkpoints").iterdir())
    for later in checkpoints[1:]:
        later.unlink()
    (copy / "model.keras").unlink()
    with without_reports():
        assert run_program("training", lambda: main(["--out", str(copy), "--resume"])) == 0
    again = keras.saving.load_model(copy / "model.keras", compile=False)
    for a, b in zip(whole.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a.value, b.value, err_msg=a.path)


def test_pictures_without_a_label_are_refused_in_one_line(tmp_path, capsys):
    data = folder_of_styles(tmp_path / "flat", flat=True)
    assert train(tmp_path / "run", "--data", str(data)) == 2
    assert "these pictures have no labels" in capsys.readouterr().err


def test_a_table_of_names_stands_for_folders(tmp_path):
    data = folder_of_styles(tmp_path / "flat", flat=True)
    table = tmp_path / "names.csv"
    rows = [f"{file.name},{'night' if 'dark' in file.name else 'day'}" for file in sorted(data.iterdir())]
    table.write_text("\n".join(["name,label", *rows]))
    splits = load(DataConfig(str(data), labels=str(table), validation=0, test=0))
    assert splits.train.label_names == ["day", "night"]
    for name, label in zip(splits.train.names, splits.train.labels, strict=True):
        assert splits.train.label_names[label] == ("night" if "dark" in name else "day")
    for text, message in (("file,style\na,b", "columns name,label"), ("name,label\nnobody.png,x", "names none")):
        table.write_text(text)
        with pytest.raises(UserError, match=message):
            load(DataConfig(str(data), labels=str(table)))
