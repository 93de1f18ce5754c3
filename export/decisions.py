"""Whether an artefact of a model that decides decides as Keras does: which pieces fail, and which pass."""

import numpy as np

from export.artefacts import Export
from export.parity import Tensors


def decided_otherwise(work: Export, signature: str, outputs: list[Tensors]) -> list[str]:
    """A defect, in words, where the held-out pieces that fail are others than those that fail by Keras; else none.

    Args:
        work: What is exported. A model that makes no decisions has no `failing`, and one that was not calibrated none.
        signature: That was asked.
        outputs: What the artefact answered to each of its requests.
    """
    method = work.reference.method(signature)
    if not hasattr(work.model, "failing") or method != work.model.default_endpoint or work.model.threshold is None:
        return []
    pairs = zip(work.reference.answers[method], outputs, strict=False)  # the last may be of an odd size
    differs = np.concatenate([work.model.failing(keras) != work.model.failing(found) for keras, found in pairs])
    if not differs.any():
        return []
    return [f"{differs.sum()} of {len(differs)} pieces pass or fail otherwise than with Keras"]
