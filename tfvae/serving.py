"""The functions a model exposes when it leaves Python, and the SavedModel that carries them.

| signature | inputs | outputs |
|---|---|---|
| `encode` | `image` | `mean` and `log_var` (VAE) or `code` (autoencoder) |
| `decode` | `z` | `image` |
| `reconstruct` | `image` | `image` |
| `generate` | `noise` | `image`, only where the model has a prior |
| `restore` | `image` (and `known`) | `image`, `std` (and `damage`): these two are all that a model of restoration has |
| `sample` | `image`, `noise` (and `known`) | `image` |
| `stylize` | `image`, `labels` | `image`, of a model of styles |
| `continue` | `image`, `noise` | `image`, of a model of films: clips whose first frames are given |

All of a conditional model also take `labels`, `(batch, classes)`: 1 at the class
of a picture and 0 elsewhere, or a mixture. A model with a codebook also gives `indices` with its `code`. A codec gives
`latents`, and its `decode` also takes a `quality`, and `inside`: which places are of the picture.

All are deterministic and float32 on both sides: noise enters as an input, so that no runtime needs a random op.
"""

import dataclasses
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.endpoint import VARIANTS, Endpoint
from tfvae.pixels import pixels
from tfvae.quiet import native_messages_held
from tfvae.tflite_nan import nan_kept
from tfvae.whole_files import write_whole

SERVING_DEFAULT = "serving_default"  # what TensorFlow Serving runs when a request names no signature


@dataclasses.dataclass(frozen=True)
class Signature:
    """One function of a model: tensors by name in, tensors by name out.

    Attributes:
        name: `encode`, `decode`, `reconstruct`, `generate`, `restore` …
        endpoint: What the model says of it.
    """

    name: str
    endpoint: Endpoint

    @property
    def inputs(self) -> dict[str, tuple[tuple[int | None, ...], str]]:
        """Shape and dtype of each input by name; `None` is a dimension known only when the function runs."""
        return {name: (shape, "float32") for name, shape in self.endpoint.inputs.items()}

    @property
    def function(self) -> Callable[..., dict[str, Any]]:
        """Takes the inputs as keyword arguments, returns a dict of float32 tensors."""
        return self.endpoint.function

    def specs(self) -> list[tf.TensorSpec]:
        """The inputs as named `tf.TensorSpec`s, in order."""
        return [tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in self.inputs.items()]

    def traced(self, keeps_nan: bool = False):
        """The function as a `tf.function` of positional inputs, traced once for the shapes of `inputs`.

        With `keeps_nan`, examples of which an input is not finite are answered with NaN, whatever kernels make of them.
        """
        names = list(self.inputs)

        def call(*tensors):
            # Serving passes on tensors of any rank, and a kernel that meets another than it was made for may abort.
            shaped = (tf.ensure_shape(tensor, spec.shape) for tensor, spec in zip(tensors, self.specs(), strict=True))
            outputs = self.function(**dict(zip(names, shaped, strict=True)))
            if keeps_nan:
                outputs = {name: nan_where_not_finite(value, tensors) for name, value in outputs.items()}
            return {name: tf.identity(value) for name, value in outputs.items()}

        function = tf.function(call, input_signature=self.specs(), autograph=False)
        function.get_concrete_function()
        return function


def signatures(model, batch: int | None = None, size: tuple[int, int] | None = None) -> dict[str, Signature]:
    """The signatures of `model`, by name.

    Args:
        model: A `tfvae` model.
        batch: Images in a call; `None` leaves it open.
        size: `(height, width)` in pixels, to fix the size of a model with spatial latents; `None` leaves it open.
            A model with a vector latent has one size, its own.

    Returns:
        `encode`, `decode`, `reconstruct`, and `generate` where `model.generate`; `restore` and `sample` of a model of
        restoration; whatever else `model.endpoints` names.

    Raises:
        ValueError: When `size` is not the size of the model's images.
    """
    image, latent = (batch, *_image_shape(model, size)), (batch, *_latent_shape(model, size))
    return {name: Signature(name, endpoint) for name, endpoint in model.endpoints(image, latent).items()}


def example_inputs(
    found: dict[str, Signature], examples: dict[str, list[np.ndarray]]
) -> dict[str, list[dict[str, np.ndarray]]]:
    """The calls that each signature is tried with: a list of inputs by name.

    Args:
        found: Signatures by name.
        examples: What `model.examples` gives. The first call is of the first value of each input, the second of the
            second, and so on; of an input that has fewer values the last one goes on.
    """
    calls = {}
    for name, signature in found.items():
        values = {key: examples[key] for key in signature.inputs}
        count = max(map(len, values.values()))
        calls[name] = [{key: each[min(i, len(each) - 1)] for key, each in values.items()} for i in range(count)]
    return calls


def float32_copy(model):
    """`model` itself where it computes in float32 throughout, else the same model with the same weights in float32.

    A mixed policy keeps float32 weights, so nothing is lost; it would otherwise put half-precision ops, which TFLite
    has no kernels for, into what is exported.
    """
    if all(layer.compute_dtype == "float32" for layer in model._flatten_layers()):
        return model
    policy = keras.config.dtype_policy()
    # Layers that a constructor makes without a dtype follow the global policy, not their parent's.
    keras.config.set_dtype_policy("float32")
    try:
        copy = type(model).from_config(_in_float32(model.get_config()))
        if not copy.built:
            copy.build((None, *model.image_shape))
    finally:
        keras.config.set_dtype_policy(policy)
    copy.set_weights(model.get_weights())
    return copy


def write_saved_model(
    model,
    path: str | Path,
    batch: int | None = None,
    size: tuple[int, int] | None = None,
    to_convert: bool = False,
) -> dict[str, Signature]:
    """Write `model` as a SavedModel that TensorFlow alone can run; returns the signatures it has.

    Besides the signatures of `signatures(model)` there is `serving_default`, which is `reconstruct` (`restore` of a
    model of restoration). The batch is open, and for spatial latents height and width are too, unless `batch` and
    `size` fix them.

    Args:
        model: A `tfvae` model, of any dtype policy.
        path: Folder to write; what it held is replaced.
        batch: As in `signatures`.
        size: As in `signatures`.
        to_convert: Leave out that NaN is answered with NaN: `tflite_content` adds it to what it makes.
    """
    model = float32_copy(model.served())
    archive = keras.export.ExportArchive()
    archive.track(model)
    found = signatures(model, batch=batch, size=size)
    for name, signature in found.items():
        function = signature.traced(keeps_nan=not to_convert)
        archive.add_endpoint(name, function)
        if name == model.default_endpoint:
            # The same traced function under a second name: the graph is stored once.
            archive.add_endpoint(SERVING_DEFAULT, function)
    archive.write_out(str(path), verbose=False)
    return found


def write_tflite(
    model,
    path: str | Path,
    batch: int | None = None,
    size: tuple[int, int] | None = None,
    quantize: str = "float32",
    representative: Any = None,
) -> list[str]:
    """Write `model` as one `.tflite` file with all its signatures, float32 on the outside; returns their names.

    Every op is a TFLite builtin: no select ops and no random ops, so any LiteRT runtime can load it. Weights that
    signatures share are stored once.

    Args:
        model: A `tfvae` model, of any dtype policy.
        path: File to write.
        batch: Images in a call; `None` leaves it open, which LiteRT's compiled runtimes and browsers refuse.
        size: `(height, width)` in pixels, which a model with spatial latents needs.
        quantize: One of `VARIANTS`: how the inside is computed. What a model cannot compute in integers is left out
            of an int8 file.
        representative: Some hundred images, `(n, height, width, channels)`, from which int8 takes the ranges of
            activations.

    Raises:
        ValueError: When `size` is missing, or is not the size of the model's images; when `quantize` is unknown, int8
            has no images to take ranges from, or nothing of the model computes in int8.
    """
    if size is None and model.image_shape[0] is None:
        raise ValueError("`size` must be (height, width) for a model with spatial latents. Received: size=None")
    if (quantize == "int8") != (representative is not None):
        raise ValueError(
            "`representative` must be images for quantize='int8', and None else. "
            f"Received: quantize={quantize!r}, representative of {type(representative).__name__}"
        )
    available = signatures(model, batch=batch, size=size)
    # In floats as well as it goes; what cannot compute in integers, though, may end the converter.
    names = [name for name, each in available.items() if quantize != "int8" or quantize in each.endpoint.variants]
    if not names:
        raise ValueError(f"`quantize` must be another one for {type(model).__name__}. Received: 'int8'")
    with tempfile.TemporaryDirectory() as folder:
        with native_messages_held():
            found = write_saved_model(model, folder, batch=batch, size=size, to_convert=True)
        found = {name: found[name] for name in names}
        calibration = [] if representative is None else list(_calibration(model, found, representative, size))
        content = tflite_content(Path(folder), list(found), quantize, calibration)
    write_whole(path, content)
    return list(found)


def tflite_content(
    saved_model: Path,
    signature_names: Sequence[str],
    variant: str = "float32",
    calibration: Sequence[tuple[str, dict[str, np.ndarray]]] = (),
) -> bytes:
    """The content of a `.tflite` file with some signatures of a SavedModel, of builtin ops only.

    Args:
        saved_model: SavedModel whose height and width are fixed.
        signature_names: Of the signatures to convert.
        variant: One of `VARIANTS`.
        calibration: For int8: a signature and its inputs by name, each with the batch dimension.

    Raises:
        ValueError: For an unknown variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"`quantize` must be one of {', '.join(VARIANTS)}. Received: {variant!r}")
    with native_messages_held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "tf.lite.Interpreter is deprecated": the converter's own calibrator
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=list(signature_names))
        # Keras's own exporter allows select ops, and what it then writes may not load where it is used.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if variant != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if variant == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if variant == "int8":
            # Builtins in int8 only: an op without an integer kernel is an error, never a silent float island.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: iter(calibration)
        content = converter.convert()
    return nan_kept(content)


def nan_where_not_finite(value, inputs):
    """`value`, but NaN for each example for which an input holds NaN or ±inf."""
    for tensor in inputs:
        finite = tf.reduce_all(tf.math.is_finite(tensor), axis=list(range(1, tensor.shape.rank)))
        value = tf.where(tf.reshape(finite, [-1] + [1] * (len(value.shape) - 1)), value, float("nan"))
    return value


def _calibration(model, found, images, size):
    """A signature and its inputs for each image and call of `example_inputs`."""
    images = pixels(images)
    if size is not None and images.shape[1:3] != tuple(size):
        raise ValueError(f"`representative` must be images of {size}. Received: shape {images.shape}")
    rng = np.random.default_rng(0)
    for place in range(len(images)):
        examples = model.examples(images[place : place + 1], rng)
        for name, calls in example_inputs(found, examples).items():
            for inputs in calls:
                yield name, inputs


def _image_shape(model, size):
    height, width, channels = model.image_shape
    if size is not None and (height, width) not in ((None, None), tuple(size)):
        raise ValueError(f"`size` must be ({height}, {width}), the model's own. Received: size={size}")
    return (height, width, channels) if size is None else (*size, channels)


def _latent_shape(model, size):
    return tuple(model.latent_shape) if size is None else model.code_shape(*size)


def _in_float32(config):
    """`config` with every dtype policy in it, at any depth, replaced by float32."""
    if isinstance(config, dict):
        if config.get("class_name") in ("DTypePolicy", "DTypePolicyMap", "QuantizedDTypePolicy"):
            return "float32"
        return {key: "float32" if _is_policy(key, value) else _in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(map(_in_float32, config))
    return config


def _is_policy(key, value):
    return key == "dtype" and isinstance(value, str) and value != "float32" and "float" in value
