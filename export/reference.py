"""What Keras answers to the requests that every artefact is given."""

from collections.abc import Callable
from typing import Any

import numpy as np

from export.parity import Tensors, mean_psnr
from export.samples import cut
from tfvae.endpoint import Endpoint
from tfvae.serving import SERVING_DEFAULT, example_inputs, signatures

BATCH = 8


class Reference:
    """The float32 model's own answers on the held-out images.

    Args:
        model: A float32 `tfvae` model.
        images: Held-out images, float32 `(n, height, width, channels)` in [0, 1].
        seed: Of the noise that prior samples are made of.

    Attributes:
        signatures: The model's, by name, of open batch and size.
        requests: For each signature a list of inputs by name.
        answers: For each signature the list of outputs by name, one for each request.
    """

    def __init__(self, model, images: np.ndarray, seed: int):
        self.model, self.images = model, images
        self.signatures = signatures(model)
        self.requests = self.requests_of(images, seed)
        self.answers = {
            name: [self.answer(name, request) for request in requests] for name, requests in self.requests.items()
        }

    @property
    def default(self) -> str:
        """The signature that is served when a request names none."""
        return self.model.default_endpoint

    def method(self, signature: str) -> str:
        """The name of a signature in `signatures`: `serving_default` is a second name of one."""
        return self.default if signature == SERVING_DEFAULT else signature

    def endpoint(self, signature: str) -> Endpoint:
        """What the model says of a signature."""
        return self.signatures[self.method(signature)].endpoint

    @property
    def shown(self) -> str:
        """The signature that pictures are made with: the default one, or the first file from images to images."""
        files = [name for name, signature in self.signatures.items() if signature.endpoint.file]
        rebuilding = [name for name in files if "image" in self.requests[name][0] and "image" in self.answers[name][0]]
        return self.default if self.default in rebuilding else rebuilding[0]

    def examples(self, images: np.ndarray, seed: int = 0) -> dict[str, list[np.ndarray]]:
        """`model.examples` of images, computed in small batches: values of every input by name."""
        rng = np.random.default_rng(seed)
        parts = [self.model.examples(images[start : start + BATCH], rng) for start in range(0, len(images), BATCH)]
        return {
            name: [np.concatenate(values) for values in zip(*(part[name] for part in parts), strict=True)]
            for name in parts[0]
        }

    def requests_of(self, images: np.ndarray, seed: int) -> dict[str, list[Tensors]]:
        """What each signature is asked about images: a list of inputs by name; the first shows the images."""
        return example_inputs(self.signatures, self.examples(images, seed))

    def odd_size(self) -> tuple[Tensors, Tensors] | None:
        """The default signature of two images of odd sides, which the model has to pad and crop; inputs and outputs.

        `None` for a model that takes images of one size.
        """
        if self.model.image_shape[0] is not None:
            return None
        (request, *_) = self.requests_of(cut(self.images[:2], -3, -5, self.model.frames), 0)[self.default]
        return request, self.answer(self.default, request)

    def answer(self, signature: str, inputs: Tensors) -> Tensors:
        """What Keras answers to a request; run in small batches."""
        function, count = self.endpoint(signature).function, len(next(iter(inputs.values())))
        starts = range(0, count, BATCH)
        parts = [function(**{name: each[start : start + BATCH] for name, each in inputs.items()}) for start in starts]
        return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}

    def psnr_pair(self, signature: str, outputs: list[Tensors]) -> tuple[float, float]:
        """Mean PSNR against the held-out images, dB: Keras's, and that of an artefact's outputs.

        Codes are compared by the images that Keras's own decoder makes of them. What shows no held-out image has NaN.
        """
        return tuple(self._psnr(signature, side[0]) for side in (self.answers[signature], outputs))  # type: ignore

    def _psnr(self, signature: str, outputs: Tensors) -> float:
        images = self.pictures_of(signature, outputs)
        return float("nan") if images is None else mean_psnr(self.images, images)

    def pictures_of(self, signature: str, outputs: Tensors) -> np.ndarray | None:
        """What the answer to the first request of a signature shows of the held-out images; `None`: nothing."""
        return pictures_of(signature, self.requests, outputs, lambda request: self.answer("decode", request)["image"])


def pictures_of(
    signature: str,
    requests: dict[str, list[Tensors]],
    outputs: Tensors,
    decode: Callable[[Tensors], Any],
) -> Any:
    """What an answer to the first request of a signature shows of the held-out images; `None`: nothing.

    Args:
        signature: Its name.
        requests: What each signature is asked.
        outputs: The answer.
        decode: From the inputs of `decode` to images.
    """
    asked = requests[signature][0]
    if not {"image", "z"} & asked.keys():
        return None  # a draw
    if "image" in outputs:
        return outputs["image"]
    code = code_of(outputs)
    if code is None or "decode" not in requests:
        return None
    return decode({**requests["decode"][0], "z": code})


def code_of(outputs: Tensors) -> np.ndarray | None:
    """The code among the outputs of a signature, if there is one."""
    return outputs.get("mean", outputs.get("code"))
