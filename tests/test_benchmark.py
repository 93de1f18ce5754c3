"""A fair comparison is a tested comparison: all sides of the benchmark train one network on one loss."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import training_step
from benchmarks.__main__ import BENCHMARKS, main, run
from benchmarks.measuring import Contender, alternate
from benchmarks.training_step import contenders, flops, keras_io, network
from tfvae import networks
from tfvae.errors import UserError

FOLDER = Path(training_step.__file__).parents[1]
LAYERS = {  # layer: (weights, multiply-adds an image), from the layers' definitions
    "conv 32": (9 * 1 * 32 + 32, 14 * 14 * 9 * 1 * 32),
    "conv 64": (9 * 32 * 64 + 64, 7 * 7 * 9 * 32 * 64),
    "dense 16": (3136 * 16 + 16, 3136 * 16),
    "mean and log-variance": (16 * 4 + 4, 16 * 4),
    "dense 3136": (2 * 3136 + 3136, 2 * 3136),
    "transposed 64": (9 * 64 * 64 + 64, 7 * 7 * 9 * 64 * 64),
    "transposed 32": (9 * 64 * 32 + 32, 14 * 14 * 9 * 64 * 32),
    "transposed 1": (9 * 32 * 1 + 1, 28 * 28 * 9 * 32 * 1),
}


@pytest.fixture
def ours(monkeypatch):
    """Our model; the registry of networks is as it was afterwards."""
    monkeypatch.setattr(networks, "NETWORKS", dict(networks.NETWORKS))
    return network.build()


def count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


def test_all_sides_have_the_weights_of_the_published_network(ours):
    expected = sum(weights for weights, _ in LAYERS.values())
    assert count(ours.trainable_variables) == expected
    theirs = keras_io.build()
    assert count(theirs.encoder.trainable_variables + theirs.decoder.trainable_variables) == expected


def test_pytorch_has_as_many_weights():
    pytest.importorskip("torch")
    from benchmarks.training_step import pytorch

    assert count(pytorch.VAE().parameters()) == sum(weights for weights, _ in LAYERS.values())


def test_the_count_of_multiply_adds_is_the_layers_own(ours):
    expected = sum(macs for _, macs in LAYERS.values())
    assert flops.forward_macs(ours, (28, 28, 1)) == expected
    assert flops.training_gflop(ours, (28, 28, 1)) == pytest.approx(6e-9 * expected)


def test_from_the_same_weights_noise_and_batches_our_losses_are_those_of_keras_io(ours):
    theirs = keras_io.build(jit_compile=False)
    network.copy_weights(theirs, ours)
    batches = np.random.default_rng(0).random((3, 16, 28, 28, 1), np.float32)
    for batch in tf.constant(batches):  # The second and third loss also show that the updates agree.
        for tracker in ours.metrics + theirs.metrics:
            tracker.reset_state()
        np.testing.assert_allclose(ours.train_step(batch)["loss"], theirs.train_step(batch)["loss"], rtol=2e-5)


def test_sides_alternate_after_a_round_that_only_warms_up():
    order = []

    def side(name, rate):
        def turn():
            order.append(name)
            return rate + len(order)

        return Contender(name, "group", turn)

    rates = alternate([side("a", 0), side("b", 100)], rounds=2, report=lambda line: None)

    assert order == ["a", "b"] * 3
    np.testing.assert_array_equal(rates, [[3, 104], [5, 106]])


@pytest.mark.slow
def test_the_program_prints_its_table_and_writes_its_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "NETWORKS", dict(networks.NETWORKS))
    monkeypatch.setattr(contenders, "pytorch_sides", lambda images, batch: ([], ["PyTorch: not installed"]))
    monkeypatch.setattr(contenders, "recipe_sides", lambda work: [])
    monkeypatch.setattr(contenders, "MATRIX", 64)
    out = tmp_path / "training_step.json"

    main(["training_step", "--rounds", "1", "--steps", "10", "--batch-size", "2", "--out", str(out)])

    printed, facts = capsys.readouterr().out, json.loads(out.read_text(encoding="utf-8"))
    assert "keras.io, as published" in printed and "skipped: PyTorch: not installed" in printed
    rows = {(row["name"], row["fed"]): row for row in facts["images_per_second"]}
    ours, theirs = (rows[name, contenders.LOADED] for name in (training_step.OURS, "keras.io, as published"))
    assert theirs["tfvae_is"]["median"] == pytest.approx(ours["rounds"][0] / theirs["rounds"][0])
    first = facts["of_matmul"][0]
    assert first["fraction"]["median"] == pytest.approx(first["gflops"]["median"] / facts["matmul_gflops"]["median"])
    assert {"cpu", "cores", "versions", "command", "settings", "load_at_start"} <= set(facts)


@pytest.mark.parametrize("name", contenders.CONVOLUTIONAL_RECIPES)
def test_the_recipes_that_are_measured_exist_and_are_convolutional(name):
    from training.config import read_recipe

    assert networks.NETWORKS[read_recipe(name)["model"]["network"]].pyramid


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--rounds", "0"], "--rounds"),
        (["--steps", "15"], "multiple of 10"),
        (["--batch-size", "x"], "--batch-size"),
        (["--out", "nowhere/at/all.json"], "nowhere/at"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, word):
    with pytest.raises(UserError, match=word) as caught:
        main(["training_step", *arguments])
    assert "\n" not in str(caught.value)


def test_every_benchmark_is_listed_and_a_mistyped_name_is_answered(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    found = {path.stem for path in FOLDER.glob("*.py")} | {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    none_of_its_own = {"__init__", "__main__", "argument_types", "arguments", "measuring", "export_latency_process"}
    assert found - none_of_its_own == set(BENCHMARKS) and all(name in shown for name in BENCHMARKS)
    assert run(["flickr"]) == 2
    assert "Did you mean 'flicker'?" in capsys.readouterr().err
