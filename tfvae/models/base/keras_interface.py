"""What a Keras user calls: compile, fit, evaluate, predict. Nothing is accepted and ignored."""

import contextlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfvae import replicas
from tfvae.inputs import as_images, check_keras_settings
from tfvae.models.base.inspection import Inspection, is_array
from tfvae.optimizers import AveragedAdam


class KerasInterface(keras.Model):
    """A `keras.Model` that looks at what it is given before it trains on it."""

    conditional = False  # whether batches come with labels, of the classes that `label_names` names
    label_names: Sequence[str] = ()
    jit_compile: bool
    automatic_jit = False  # whether `compile` chose
    default_endpoint = "reconstruct"  # what `predict` does, and a server when a request names nothing

    def __init__(self, **kwargs):
        check_keras_settings()
        super().__init__(**kwargs)

    @property
    def warm_up(self) -> float:
        """Steps of training before the loss has its final form."""
        return 0

    @property
    def allows_xla(self) -> bool:
        """Whether all of a training step has kernels under XLA."""
        return True

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """`(height, width, channels)` of the images; height and width None where any size will do."""
        raise NotImplementedError

    def as_images(self, x):
        """float32 images of the model's shape; see `tfvae.inputs.as_images`."""
        return as_images(x, self.image_shape, type(self).__name__)

    def compile(
        self,
        optimizer="adam",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        jit_compile="auto",
        auto_scale_loss=True,
        **kwargs,
    ):
        """As `keras.Model.compile`; the loss is the model's own.

        Args:
            optimizer: `"adam"` is `tfvae.optimizers.AveragedAdam`, the same step in less time. Wrapped in a
                `LossScaleOptimizer` where a part of the model computes in float16, unless `auto_scale_loss` is False.
            loss, loss_weights: None: further terms are what `auxiliary_loss` is for.
            metrics, weighted_metrics: Of pairs of images and their reconstructions, which take another forward pass.
            jit_compile: `"auto"` uses XLA on a GPU only, as it halves the speed on a CPU, and where the model allows
                it. The same seed gives other noise under XLA, so figures are measured without it.
            auto_scale_loss, kwargs: As in Keras.

        Raises:
            ValueError: For a loss, or for metrics on several devices.
            NotImplementedError: If the class has its own `compute_loss` or `compute_metrics`, which no step calls.
        """
        if loss is not None or loss_weights is not None:
            raise ValueError(
                f"{type(self).__name__} has a loss of its own, the bound: compile(loss=…) would never be seen. "
                "Define `auxiliary_loss(outputs, images)` in a subclass to add a term to it."
            )
        if (metrics or weighted_metrics) and replicas.distributed(self):
            raise ValueError("`metrics` must be None on several devices: only what is a number an image is gathered.")
        for name in ("compute_loss", "compute_metrics"):
            if getattr(type(self), name) is not getattr(keras.Model, name):
                raise NotImplementedError(
                    f"`{name}` of {type(self).__name__} is never called. Define `auxiliary_loss(outputs, images)` "
                    "to add to the loss, and update metrics there; or `loss_terms` to replace it."
                )
        if jit_compile is True and not self.allows_xla:
            raise ValueError(f"`jit_compile` must be False or 'auto': XLA has no kernel of all that {self.name} draws.")
        self.automatic_jit = jit_compile == "auto"
        if self.automatic_jit:
            jit_compile = self.allows_xla and bool(tf.config.list_logical_devices("GPU"))
        optimizer = AveragedAdam() if optimizer == "adam" else keras.optimizers.get(optimizer)
        scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if auto_scale_loss and not scales and any(one.compute_dtype == "float16" for one in self._flatten_layers()):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
        super().compile(
            optimizer=optimizer,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
            **kwargs,
        )

    def get_compile_config(self):
        config = super().get_compile_config()
        # What was asked for, not what it came to on the machine that saved the model.
        return {**config, "jit_compile": "auto"} if config and self.automatic_jit else config

    def compile_from_config(self, config):
        # Keras leaves this to models with a `compile` of their own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def make_test_function(self, force=False):
        with self._without_xla():
            super().make_test_function(force)

    def make_predict_function(self, force=False):
        with self._without_xla():
            super().make_predict_function(force)

    @contextlib.contextmanager
    def _without_xla(self):
        kept, self.jit_compile = self.jit_compile, False
        try:
            yield
        finally:
            self.jit_compile = kept

    def fit(self, x=None, y=None, *args, validation_data=None, sample_weight=None, class_weight=None, **kwargs):
        """As `keras.Model.fit`, with weights of examples; the first batch, and validation data, are looked at.

        Args:
            x: Images in any form that Keras takes: uint8, or floats in [0, 1]; `(n, height, width)` is grey.
            y: Labels of a conditional model; None, `x` itself, or what `class_weight` weighs, of the others.
            validation_data, sample_weight, class_weight, args, kwargs: As in Keras. Weights multiply the loss of each
                example; figures are weighted means.

        Raises:
            ValueError: For images of another shape or outside of [0, 1], and for labels that mean nothing to the model.
        """
        inspection = Inspection(self, weighs=class_weight is not None)
        if validation_data is not None:
            validation_data = _with_targets(Inspection(self).now(validation_data))
        if not is_array(x):
            kwargs.setdefault("shuffle", False)  # Keras warns that it does not shuffle them
        with _raised_as_found(inspection):
            x = inspection.source(x, y)
            return super().fit(
                x,
                _target(x, y, sample_weight),
                *args,
                validation_data=validation_data,
                sample_weight=sample_weight,
                class_weight=class_weight,
                **kwargs,
            )

    def evaluate(self, x=None, y=None, *args, sample_weight=None, **kwargs):
        """As `keras.Model.evaluate`, at the final beta; `x`, `y` and `sample_weight` as in `fit`."""
        inspection = Inspection(self)
        with _raised_as_found(inspection):
            if not kwargs.get("_use_cached_eval_dataset"):
                x = inspection.source(x, y)
                y = _target(x, y, sample_weight)
            return super().evaluate(x, y, *args, sample_weight=sample_weight, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        Inspection(self, weighs=class_weight is not None)((x, y))
        return super().train_on_batch(x, _target(x, y, sample_weight), sample_weight, class_weight, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        Inspection(self)((x, y))
        return super().test_on_batch(x, _target(x, y, sample_weight), sample_weight, return_dict)

    def predict(self, x, *args, **kwargs):
        """As `keras.Model.predict`, of the default endpoint: `{"image"}` of `reconstruct` or `restore`; deterministic.

        Args:
            x: Images as in `fit`, or a dict of the endpoint's arguments by name.
            args, kwargs: As in Keras.

        Raises:
            ValueError: For images of another shape, and for an array of pixels up to 255 that are no bytes.
        """
        if is_array(x):
            Inspection(self).scale(x)
        return super().predict(x, *args, **kwargs)

    def predict_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        endpoint = getattr(self, self.default_endpoint)
        if isinstance(x, dict):
            return endpoint(**x)
        return endpoint(self.as_images(x))


def _target(x, y, weights):
    """`y`, or `x` where there is none: Keras drops the weights of examples that have no target."""
    return x if y is None and weights is not None else y


def _with_targets(data):
    """Validation data as `(x, y, weights)` with a `y`: see `_target`."""
    if isinstance(data, (list, tuple)) and len(data) == 3:
        return (data[0], _target(*data), data[2])
    return data


@contextlib.contextmanager
def _raised_as_found(inspection):
    """Raises what an inspection found within a pipeline in place of TensorFlow's account of it."""
    try:
        yield
    except tf.errors.OpError:
        if inspection.error is None:
            raise
        raise inspection.error from None
