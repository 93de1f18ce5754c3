"""What Keras answers to the requests that every artefact is given."""

import numpy as np

from export.parity import Tensors, mean_psnr

BATCH = 8


class Reference:
    """The float32 model's own answers on the held-out images.

    Args:
        model: A float32 `tfvae` model.
        images: Held-out images, float32 `(n, height, width, channels)` in [0, 1].
        seed: Of the noise that prior samples are made of.

    Attributes:
        requests: For each signature a list of inputs by name.
        answers: For each signature the list of outputs by name, one for each request.
    """

    def __init__(self, model, images: np.ndarray, seed: int):
        self.model, self.images = model, images
        self.labels = self.labels_of(images)
        self.codes = self.call("codes", images, **self.labels)["codes"]
        self.requests: dict[str, list[Tensors]] = {
            "encode": [{"image": images, **self.labels}],
            "decode": [{"z": self.codes, **self.labels}],
            "reconstruct": [{"image": images, **self.labels}],
        }
        if model.prior is not None:
            noise = np.random.default_rng(seed).standard_normal(self.codes.shape).astype(np.float32)
            self.requests["decode"].append({"z": noise, **self.labels})
            self.requests["generate"] = [{"noise": noise, **self.labels}]
        self.answers = {
            name: [self.answer(name, request) for request in requests] for name, requests in self.requests.items()
        }

    def labels_of(self, images: np.ndarray) -> Tensors:
        """`{"labels"}`, one-hot weights `(n, classes)` of the likeliest label of each image, of a conditional model."""
        if not self.model.conditional:
            return {}
        likeliest = self.call("likeliest_labels", images)["likeliest_labels"]
        return {"labels": np.eye(len(self.model.label_names), dtype=np.float32)[likeliest]}

    def odd_size(self) -> tuple[Tensors, Tensors] | None:
        """`reconstruct` of two images whose sides are odd, which the model has to pad and crop; its inputs and outputs.

        `None` for a model that takes images of one size.
        """
        if self.model.image_shape[0] is not None:
            return None
        height, width = self.images.shape[1:3]
        image = np.ascontiguousarray(self.images[:2, : height - 3, : width - 5])
        inputs = {"image": image, **{name: weights[:2] for name, weights in self.labels.items()}}
        return inputs, self.answer("reconstruct", inputs)

    def answer(self, signature: str, inputs: Tensors) -> Tensors:
        """What Keras answers to a request: the first input is an image, a code or noise."""
        (_, value), *given = inputs.items()
        return self.call(signature, value, **dict(given))

    def call(self, method: str, value: np.ndarray, **given: np.ndarray) -> Tensors:
        """Outputs by name of a method of the model, run in small batches; `codes` has one output of that name."""
        parts = []
        for start in range(0, len(value), BATCH):
            rows = slice(start, start + BATCH)
            outputs = getattr(self.model, method)(value[rows], **{name: each[rows] for name, each in given.items()})
            parts.append(outputs if isinstance(outputs, dict) else {method: outputs})
        return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}

    def psnr_pair(self, signature: str, outputs: list[Tensors]) -> tuple[float, float]:
        """Mean PSNR against the held-out images, dB: Keras's, and that of an artefact's outputs.

        Codes are compared by the images that Keras's own decoder makes of them. Prior samples have no original: NaN.
        """
        if signature == "generate":
            return float("nan"), float("nan")
        return tuple(self._psnr(signature, side[0]) for side in (self.answers[signature], outputs))  # type: ignore

    def _psnr(self, signature: str, outputs: Tensors) -> float:
        if signature == "encode":
            outputs = self.call("decode", outputs["mean" if "mean" in outputs else "code"], **self.labels)
        return mean_psnr(self.images, outputs["image"])
