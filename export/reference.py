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
        self.codes = self.call("codes", images)["codes"]
        self.requests: dict[str, list[Tensors]] = {
            "encode": [{"image": images}],
            "decode": [{"z": self.codes}],
            "reconstruct": [{"image": images}],
        }
        if model.prior is not None:
            noise = np.random.default_rng(seed).standard_normal(self.codes.shape).astype(np.float32)
            self.requests["decode"].append({"z": noise})
            self.requests["generate"] = [{"noise": noise}]
        self.answers = {
            name: [self.call(name, *request.values()) for request in requests]
            for name, requests in self.requests.items()
        }

    def odd_size(self) -> tuple[Tensors, Tensors] | None:
        """`reconstruct` of two images whose sides are odd, which the model has to pad and crop; its inputs and outputs.

        `None` for a model that takes images of one size.
        """
        if self.model.image_shape[0] is not None:
            return None
        height, width = self.images.shape[1:3]
        image = np.ascontiguousarray(self.images[:2, : height - 3, : width - 5])
        return {"image": image}, self.call("reconstruct", image)

    def call(self, method: str, value: np.ndarray) -> Tensors:
        """Outputs by name of a method of the model, run in small batches; `codes` has one output of that name."""
        parts = []
        for start in range(0, len(value), BATCH):
            outputs = getattr(self.model, method)(value[start : start + BATCH])
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
            outputs = self.call("decode", outputs["mean" if "mean" in outputs else "code"])
        return mean_psnr(self.images, outputs["image"])
