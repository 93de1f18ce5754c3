"""A prior in a run: named in a recipe, or fitted to a copy of a run that is trained; and what its bundle draws."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import training.__main__ as training
from export.__main__ import main as export_main
from tfvae import priors
from tfvae.cli import main as tfvae_main
from tfvae.errors import UserError
from tfvae.priors import GaussianMixture, VampPrior
from tfvae.runs import open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a few of the embedded digits."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    settings = ("data.limit=300", "model.network=mlp", "model.widths=[32]", "model.latent_dim=3")
    settings += ("prior.kind=standard_normal",)
    words = [word for setting in (*settings, "model.likelihood=optimal_gaussian") for word in ("--set", setting)]
    training.main(["--data", "digits", "--epochs", "3", *words, "--out", str(out)])
    return out


def elbo(path):
    return json.loads((path / "report.json").read_text())["test"]["elbo"]


@pytest.mark.slow
def test_a_copy_of_a_run_gets_a_fitted_prior(run, capsys):
    training.main(["prior", str(run), "--kind", "gmm", "--steps", "20", "--set", "prior.options={components=4}"])
    copy = run.with_name("digits-gmm")
    assert elbo(copy) > elbo(run)
    assert "The prior, `gmm`, was fitted" in (copy / "report.md").read_text()
    assert tfvae_main(["generate", str(copy), "-n", "4"]) == 0 and (copy / "generated.png").is_file()
    # It is a run like any other: it alone repeats itself, and goes on, with its prior fitted again.
    capsys.readouterr()
    training.main(["--out", str(copy), "--resume", "--epochs", "4"])
    assert "fitting the prior: gmm" in capsys.readouterr().out
    loaded = keras.saving.load_model(copy / "model.keras", compile=False)
    assert isinstance(loaded.prior, GaussianMixture) and loaded.prior.components == 4
    assert isinstance(keras.saving.load_model(run / "model.keras", compile=False).prior, priors.StandardNormal)


def test_a_recipe_names_its_prior(tmp_path):
    settings = ("data.limit=200", "model.network=mlp", "model.widths=[16]", "model.latent_dim=3", "prior.kind=vamp")
    words = [word for setting in (*settings, "prior.options={components=5}") for word in ("--set", setting)]
    training.main(["--data", "digits", "--epochs", "1", *words, "--out", str(tmp_path / "run")])
    model = keras.saving.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert isinstance(model.prior, VampPrior) and model.prior.trainable_weights
    assert 'kind = "vamp"' in (tmp_path / "run" / "config.toml").read_text()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["prior.kind=flo"], "prior.kind: unknown 'flo'. Did you mean 'flow'?"),
        (["prior.kind=standard_normal", "prior.fitted=true"], "prior.fitted: standard_normal has nothing to fit."),
        (["prior.kind=flow", "model.kind=vq_vae"], "prior.kind: a vq_vae has a prior of its own, or none."),
        (["prior.kind=flow", "prior.options={rings=3}"], "[prior.options]: unknown key 'rings'."),
        (["prior.kind=flow", "prior.options={couplings=0}"], "`couplings` must be positive."),
        (["prior.steps=-1"], "prior.steps must not be negative."),
    ],
)
def test_a_prior_that_cannot_be_is_a_line(tmp_path, capsys, settings, line):
    words = [word for setting in settings for word in ("--set", setting)]
    with pytest.raises(UserError) as error:
        training.main(["--data", "digits", *words, "--out", str(tmp_path / "run")])
    assert line in str(error.value) and not (tmp_path / "run").exists()


def test_where_no_prior_can_be_fitted_no_copy_is_left(run, tmp_path):
    out = tmp_path / "copy"
    with pytest.raises(UserError, match=r"\[prior\]: AutoregressiveMixture is a density of maps"):
        training.main(["prior", str(run), "--kind", "autoregressive", "-o", str(out)])
    assert not out.exists()
    with pytest.raises(UserError, match=r"--set: here only settings of \[prior\].*Received: model.latent_dim"):
        training.main(["prior", str(run), "--kind", "gmm", "--set", "model.latent_dim=4", "-o", str(out)])


@pytest.mark.slow
def test_a_bundle_draws_from_the_prior_that_was_fitted(run, tmp_path):
    copy = tmp_path / "flow"
    training.main(
        ["prior", str(run), "--kind", "flow", "--steps", "20", "-o", str(copy), "--set", "prior.options={couplings=2}"]
    )
    assert export_main([str(copy)]) in (0, 1)  # so few steps may miss a bound
    bundle = copy / "export"
    rows = {row["name"]: row for row in json.loads((bundle / "export_report.json").read_text())["artefacts"]}
    assert (
        rows["generator.tflite"]["written"] and not json.loads((bundle / "phone/tensors.json").read_text())["has_prior"]
    )
    z = np.random.default_rng(0).standard_normal((1, 3)).astype("float32")
    drawn = Interpreter(str(bundle / "generator.tflite")).get_signature_runner("generate")(noise=z)["image"]
    model = open_run(copy).load_model()  # in float32, whatever it was trained in
    expected = model.generate(z)["image"]
    np.testing.assert_allclose(drawn, expected, atol=1e-4)
    called = [sys.executable, str(bundle / "phone" / "call.py"), "--seed", "3", "-o", str(tmp_path / "new.png")]
    assert subprocess.run(called, capture_output=True, timeout=300).returncode == 0
    z = np.random.default_rng(3).standard_normal((1, 3)).astype("float32")
    picture = model.generate(z)["image"]
    shown = np.asarray(Image.open(tmp_path / "new.png"), float) / 255
    np.testing.assert_allclose(shown, np.asarray(picture)[0, ..., 0], atol=1 / 255)
