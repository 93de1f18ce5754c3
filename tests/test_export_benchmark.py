"""The decoder beside other runtimes: the same network in each."""

import numpy as np
import pytest
from test_serving import make
from tiny_runs import vector_vae, write_run

from benchmarks import export_latency, export_latency_process
from tfvae.errors import UserError


@pytest.mark.parametrize("network", ["mlp", "conv", "resnet"])
@pytest.mark.parametrize("image_shape", [(7, 5, 1), (None, None, 3)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "optimal_gaussian"])
def test_the_twin_in_pytorch_is_the_same_network(network, image_shape, likelihood, tmp_path):
    pytest.importorskip("torch")
    if network == "mlp" and image_shape[0] is None:
        pytest.skip("an mlp has no spatial latent")
    model = make(network, image_shape=image_shape, likelihood=likelihood)
    codes = np.random.default_rng(0).standard_normal((2, *([4, 3] if image_shape[0] is None else []), 3), np.float32)
    export_latency.write_network(model.decoder, tmp_path)
    np.testing.assert_allclose(
        export_latency_process.pytorch(tmp_path, 1)(codes), model.decode(codes)["image"], atol=1e-5
    )


def test_what_has_no_twin_is_said(tmp_path):
    with pytest.raises(UserError, match=r"no PyTorch twin of the layer (InceptionBlock|ResizeUpsample)"):
        export_latency.write_network(make("inception").decoder, tmp_path)


def test_sides_take_turns_and_answer_like_keras(tmp_path):
    run = write_run(tmp_path / "run", vector_vae())
    lines = []
    times = export_latency.measure(run, threads=1, rounds=2, calls=2, say=lines.append)
    assert {"litert", "litert_int8"} <= set(times) and all(len(values) == 2 for values in times.values())
    assert export_latency.table(times).count("\n") == len(times) + 1


def test_the_table_holds_ratios_of_the_same_round():
    text = export_latency.table({"litert": [1.0, 2.0, 4.0], "pytorch": [3.0, 4.0, 20.0]})
    assert "| LiteRT, float32 | 2.000 |" in text and "| PyTorch, eager | 4.000 | 3.00 (2.00 – 5.00) × |" in text
