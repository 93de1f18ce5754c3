"""The likelihood benchmark compares one model with itself: same weights, same pixels, same draws, same value."""

import json

import numpy as np
import pytest

from benchmarks import likelihood
from benchmarks.__main__ import main
from tfvae.errors import UserError
from tfvae.evaluation import marginal_likelihood


def test_from_the_same_weights_and_noise_pythae_has_our_value_for_every_image():
    torch = pytest.importorskip("torch")
    pytest.importorskip("pythae")
    model, images, config = likelihood.trained("digits", 12, 1)
    theirs, pixels = likelihood.pythae_model(model), torch.from_numpy(likelihood.binarised(images, config))
    for k in (40, 1300):  # the second in three portions
        ours = likelihood.our_values(model, images, config, k)
        same = likelihood.pythae_values(theirs, pixels, k, likelihood.our_noise(model, pixels, k))
        np.testing.assert_allclose(ours, same, atol=2e-3)  # float32 sums of hundreds of nats
    # With its own noise it differs by the Monte Carlo error, whose variance is about (k / ESS - 1) / k an image a side.
    own = -likelihood.without_gradients(theirs, pixels, 1300)
    effective = marginal_likelihood(model, images, data_config=config, k=1300).effective_samples
    error = np.sqrt(2 * np.sum((1300 / effective - 1) / 1300)) / len(images)
    assert own != pytest.approx(same.mean(), abs=1e-6)
    assert own == pytest.approx(same.mean(), abs=5 * error)


def test_the_program_prints_its_table_and_writes_its_numbers(tmp_path, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("pythae")
    out = tmp_path / "likelihood.json"
    few = ["--count", "4", "--nll", "100", "--epochs", "1", "--rounds", "2"]
    main(["likelihood", *few, "--data", "digits", "--out", str(out)])
    printed, facts = capsys.readouterr().out, json.loads(out.read_text(encoding="utf-8"))
    assert "pythae get_nll, as it is" in printed and "4 binarised images of digits, k = 100" in printed
    ours, theirs = facts["images_per_second"][:2]
    ratios = np.array(ours["rounds"]) / np.array(theirs["rounds"])
    assert theirs["tfvae_is"]["median"] == pytest.approx(np.median(ratios))
    assert facts["nats"]["tfvae"] == pytest.approx(facts["nats"]["pythae, our noise"], abs=1e-3)
    assert {"cpu", "cores", "versions", "command", "settings", "load_at_start"} <= set(facts)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--rounds", "0"], "--rounds"),
        (["--nll", "150"], "multiple of 100"),
        (["--out", "nowhere/at/all.json"], "nowhere/at"),
        (["--cuont", "3"], "Did you mean '--count'"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, word):
    with pytest.raises(UserError, match=word) as caught:
        main(["likelihood", *arguments])
    assert "\n" not in str(caught.value)


def test_without_pythae_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(likelihood, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps pythae"):
        main(["likelihood"])
