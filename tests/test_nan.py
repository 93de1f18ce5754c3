"""What is exported answers NaN to what is no number, example by example, and never with a plausible picture."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from test_serving import answer, make, pictures

from tfvae import serving
from tfvae.endpoint import Endpoint

BAD = [np.nan, np.inf, -np.inf]


def spoilt(values, bad):
    """Of three examples the second holds one bad number."""
    values = values.copy()
    values[1].reshape(-1)[2] = bad
    return values


@pytest.mark.parametrize("network", ["conv", "inception"])  # the latter's pooling passes NaN over
def test_a_saved_model_answers_nan_for_the_example_that_holds_it(network, tmp_path):
    model = make(network)
    serving.write_saved_model(model, tmp_path / "model")
    module = tf.saved_model.load(str(tmp_path / "model"))
    noise = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    for name, value in {"reconstruct": pictures(3, 7, 5, 1), "encode": pictures(3, 7, 5, 1), "decode": noise}.items():
        expected = answer(module, name, tf.constant(value))
        for bad in BAD:
            for key, found in answer(module, name, tf.constant(spoilt(value, bad))).items():
                assert np.isnan(found[1]).all()
                np.testing.assert_array_equal(found[[0, 2]], expected[key][[0, 2]])


def test_an_output_that_is_a_constant_keeps_its_values(tmp_path):
    model = make(likelihood="gaussian")  # its standard deviation is one number for all pixels
    wanted = np.full((1, 3), 0.5, np.float32)
    endpoint = Endpoint({"image": (1, 7, 5, 1)}, lambda image: {**model.reconstruct(image), "std": wanted})
    signature = serving.Signature("reconstruct", endpoint)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "signatures", lambda *_, **__: {"reconstruct": signature})
        serving.write_tflite(model, tmp_path / "a.tflite", batch=1)
    runner = Interpreter(str(tmp_path / "a.tflite")).get_signature_runner("reconstruct")
    images = pictures(1, 7, 5, 1)
    np.testing.assert_array_equal(runner(image=images)["std"], wanted)
    assert np.isnan(runner(image=np.full_like(images, np.nan))["std"]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "kind", "batch"),
    [("float32", {"likelihood": "pixel_gaussian"}, 1), ("float32", {"network": "inception"}, None),
     ("dynamic_range", {}, None), ("int8", {}, 1)],
)  # fmt: skip
def test_a_tflite_file_answers_nan_for_the_example_that_holds_it(variant, kind, batch, tmp_path):
    model = make(**kind)
    calibration = {"representative": pictures(20, 7, 5, 1)} if variant == "int8" else {}
    serving.write_tflite(model, tmp_path / "a.tflite", batch=batch, quantize=variant, **calibration)
    inputs = {"reconstruct": pictures(3, 7, 5, 1), "decode": np.zeros((3, 3), np.float32)}
    for delegates in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        interpreter = Interpreter(str(tmp_path / "a.tflite"), experimental_op_resolver_type=delegates)
        for name, value in inputs.items():
            runner = interpreter.get_signature_runner(name)
            (argument,) = runner.get_input_details()

            def run(values, runner=runner, argument=argument):
                parts = [values] if batch is None else [values[i : i + 1] for i in range(3)]
                return np.concatenate([runner(**{argument: part})["image"] for part in parts])

            expected = run(value)
            assert np.isfinite(expected).all()
            for bad in BAD:
                found = run(spoilt(value, bad))
                assert np.isnan(found[1]).all()
                np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
