"""What a model exposes when it leaves Python: names, shapes, dtypes, and the same numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.core.protobuf import config_pb2

import tfvae
from tfvae import serving

NETWORKS = ["mlp", "conv", "resnet", pytest.param("inception", marks=pytest.mark.slow)]


def make(network="conv", image_shape=(7, 5, 1), kind=tfvae.VAE, policy="float32", **decoder):
    """An untrained model, its weights moved off the symmetric start, under a dtype policy."""
    keras.utils.set_random_seed(3)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        shape = {"image_shape": image_shape, "latent_dim": 3, "network": network, "hidden": 16}
        parts = (
            tfvae.Encoder(**shape, widths=(8, 8), stochastic=kind is tfvae.VAE),
            tfvae.Decoder(**shape, widths=(8, 8), **decoder),
        )
        model = kind(*parts)
    finally:
        keras.config.set_dtype_policy(before)
    rng = np.random.default_rng(4)
    for weight in model.trainable_weights:
        weight.assign_add(0.1 * rng.standard_normal(weight.shape))
    return model


def pictures(count, height, width, channels):
    return np.random.default_rng(5).random((count, height, width, channels), np.float32)


def answer(module, name, value):
    (argument,) = module.signatures[name].structured_input_signature[1]
    return {key: tensor.numpy() for key, tensor in module.signatures[name](**{argument: value}).items()}


@pytest.mark.parametrize("kind", [tfvae.VAE, tfvae.Autoencoder])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_saved_model_answers_like_keras_for_any_batch(network, kind, tmp_path):
    model = make(network, kind=kind)
    serving.write_saved_model(model, tmp_path / "model")
    module = tf.saved_model.load(str(tmp_path / "model"))
    for count in (1, 3):
        images = pictures(count, 7, 5, 1)
        codes = np.asarray(model.codes(images))
        for name, value in {"encode": images, "decode": codes, "reconstruct": images}.items():
            expected = getattr(model, name)(value)
            found = answer(module, name, tf.constant(value))
            assert found.keys() == expected.keys()
            for key in expected:
                np.testing.assert_allclose(found[key], expected[key], rtol=0, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS[1:])
def test_a_spatial_saved_model_takes_odd_heights_and_widths(network, tmp_path):
    model = make(network, image_shape=(None, None, 3))
    serving.write_saved_model(model, tmp_path / "model")
    module = tf.saved_model.load(str(tmp_path / "model"))
    for size in ((8, 8), (9, 6)):
        images = pictures(2, *size, 3)
        found = answer(module, "reconstruct", tf.constant(images))["image"]
        assert found.shape == images.shape
        np.testing.assert_allclose(found, model.reconstruct(images)["image"], rtol=0, atol=1e-5)


def test_the_signatures_have_the_names_that_other_runtimes_call():
    inputs = {name: signature.inputs for name, signature in serving.signatures(make()).items()}
    image, latent = ((None, 7, 5, 1), "float32"), ((None, 3), "float32")
    assert inputs == {
        "encode": {"image": image},
        "decode": {"z": latent},
        "reconstruct": {"image": image},
        "generate": {"noise": latent},
    }


def test_a_model_without_a_prior_has_nothing_to_generate():
    assert "generate" not in serving.signatures(make(kind=tfvae.Autoencoder))


def test_the_default_signature_is_reconstruct(tmp_path):
    model = make()
    serving.write_saved_model(model, tmp_path / "model")
    module = tf.saved_model.load(str(tmp_path / "model"))
    images = tf.constant(pictures(2, 7, 5, 1))
    np.testing.assert_array_equal(
        answer(module, "serving_default", images)["image"], answer(module, "reconstruct", images)["image"]
    )


def test_fixed_sizes_round_the_latent_up_to_whole_places():
    model = make(image_shape=(None, None, 3))  # two levels: factor 4
    inputs = serving.signatures(model, batch=1, size=(9, 6))
    assert inputs["encode"].inputs["image"] == ((1, 9, 6, 3), "float32")
    assert inputs["decode"].inputs["z"] == ((1, 3, 2, 3), "float32")


def test_a_vector_latent_refuses_another_size():
    with pytest.raises(ValueError, match=r"must be \(7, 5\).*Received: size=\(8, 8\)"):
        serving.signatures(make(), size=(8, 8))


def test_no_exported_function_draws_random_numbers(tmp_path):
    for name, signature in serving.signatures(make()).items():
        graph = signature.traced().get_concrete_function().graph
        ops = {op.type for op in graph.get_operations()}
        ops |= {node.op for function in graph.as_graph_def().library.function for node in function.node_def}
        assert not [op for op in ops if "Random" in op or "Multinomial" in op], name


def test_a_float32_model_is_its_own_copy():
    model = make()
    assert serving.float32_copy(model) is model


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_float32_copy_of_a_mixed_model_has_its_weights_and_computes_in_float32(policy):
    model = make("resnet", policy=policy)
    copy = serving.float32_copy(model)
    assert {layer.compute_dtype for layer in copy._flatten_layers()} == {"float32"}
    for mine, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert keras.config.dtype_policy().name == "float32"
    images = pictures(2, 7, 5, 1)
    # bfloat16 keeps 8 bits: images agree to a few steps of 2**-8.
    np.testing.assert_allclose(copy.reconstruct(images)["image"], model.reconstruct(images)["image"], atol=0.03)


def test_a_mixed_model_is_exported_in_float32_throughout(tmp_path):
    model = make("conv", policy="mixed_float16")
    serving.write_saved_model(model, tmp_path / "model")
    module = tf.saved_model.load(str(tmp_path / "model"))
    for function in module.signatures.values():
        tensors = [*function.structured_input_signature[1].values(), *function.structured_outputs.values()]
        assert {tensor.dtype for tensor in tensors} == {tf.float32}
        nodes = function.graph.as_graph_def().library.function
        halves = [node.name for f in nodes for node in f.node_def if node.attr["T"].type == tf.float16.as_datatype_enum]
        assert not halves
    images = pictures(2, 7, 5, 1)
    expected = serving.float32_copy(model).reconstruct(images)["image"]
    np.testing.assert_allclose(answer(module, "reconstruct", tf.constant(images))["image"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("image_shape", "options"), [((7, 5, 1), {}), ((7, 5, 1), {"batch": 1}), ((None, None, 1), {"size": (8, 4)})]
)
def test_export_writes_one_tflite_file_with_every_signature(image_shape, options, tmp_path):
    """What Keras's own exporter cannot: builtin ops only, named tensors, noise as an input."""
    model = make(image_shape=image_shape)
    model.export(tmp_path / "model.tflite", format="litert", **options)
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    size = options.get("size", image_shape[:2])
    inputs = {
        "image": pictures(options.get("batch", 3), *size, 1),
        "code": np.random.default_rng(0).standard_normal(
            (options.get("batch", 3), *([2, 1] if options.get("size") else []), 3), np.float32
        ),
    }
    signatures = interpreter.get_signature_list()
    assert set(signatures) == {"encode", "decode", "reconstruct", "generate"}
    for name, tensors in signatures.items():
        (argument,) = tensors["inputs"]
        value = inputs["image" if argument == "image" else "code"]
        outputs = interpreter.get_signature_runner(name)(**{argument: value})
        for key, expected in getattr(model, name)(value).items():
            np.testing.assert_allclose(outputs[key], expected, atol=1e-5)


def test_a_spatial_model_needs_a_size_in_a_tflite_file(tmp_path):
    with pytest.raises(ValueError, match="`size` must be"):
        make(image_shape=(None, None, 1)).export(tmp_path / "model.tflite", format="litert")


def test_export_writes_a_saved_model_with_the_named_signatures(tmp_path):
    make().export(tmp_path / "model")
    assert set(tf.saved_model.load(str(tmp_path / "model")).signatures) >= {"encode", "decode", "generate"}


def test_a_request_of_another_rank_is_an_error_and_not_the_end_of_the_server(tmp_path):
    """As TensorFlow Serving calls: through a session, with no look at the shape in Python."""
    model = make("conv")
    serving.write_saved_model(model, tmp_path)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path))
        for name in ("reconstruct", "decode"):
            signature = loaded.signature_def[name]
            (given,), (answer, *_) = signature.inputs.values(), signature.outputs.values()
            options = config_pb2.CallableOptions(feed=[given.name], fetch=[answer.name])
            call = session._make_callable_from_options(options)
            right = [max(1, side.size) for side in given.tensor_shape.dim]
            assert call(np.zeros(right, "float32"))[0].shape[0] == 1
            for wrong in (right[1:], [1, *right], right[:1]):
                with pytest.raises(tf.errors.InvalidArgumentError):
                    call(np.zeros(wrong, "float32"))
