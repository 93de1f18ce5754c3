"""How far single units of a code stand for single factors of the images: MIG and DCI, where the factors are known."""

from typing import Any

import numpy as np

from tfvae.evaluation.figures import Figure, bootstrap_figure, mean_figure
from tfvae.evaluation.subject import Subject, UnmeasurableError
from tfvae.metrics.disentanglement import BINS, PREDICTOR, dci, mig


def measure_mig(subject: Subject) -> dict[str, Figure]:
    """`mig` of the posterior means of images whose factors are known.

    Raises:
        UnmeasurableError: When the factors are not known, or none varies.
    """
    codes, factors, protocol = _known(subject)
    protocol["bins"] = BINS
    unit = "0 to 1, higher is better"
    return {
        "mig": bootstrap_figure(lambda rows: mig(codes[rows], factors[rows]), len(codes), subject.seed, unit, protocol)
    }


def measure_dci(subject: Subject) -> dict[str, Figure]:
    """`disentanglement`, `completeness` and `informativeness` of the posterior means of images with known factors.

    The interval of informativeness is over held-out images; the others have none, for trees would have to be grown
    for every resample.

    Raises:
        UnmeasurableError: As `measure_mig`, or of fewer than three images.
    """
    codes, factors, protocol = _known(subject)
    if len(codes) < 3:
        raise UnmeasurableError(f"it needs three images or more, and these are {len(codes)}")
    found = dci(codes, factors, subject.seed)
    protocol["predictor"] = PREDICTOR
    unit = "0 to 1, higher is better"
    return {
        "disentanglement": Figure(found.disentanglement, unit, None, protocol),
        "completeness": Figure(found.completeness, unit, None, protocol),
        "informativeness": mean_figure(
            found.right, "share of factors told rightly", {**protocol, "held_out": len(found.right)}
        ),
    }


def _known(subject: Subject) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Codes `(n, units)` (of a spatial latent their mean over places), factors `(n, factors)`, and the protocol."""
    factors = subject.images.factors
    if factors is None:
        raise UnmeasurableError("the factors of these images are not known (those of --data shapes are)")
    varying = (factors != factors[:1]).any(axis=0)
    if not varying.any():
        raise UnmeasurableError("no factor of these images varies")
    codes = [code.mean(axis=(1, 2)) if code.ndim == 4 else code for code in subject.means()]
    names = [name for name, varies in zip(subject.images.factor_names, varying, strict=True) if varies]
    return np.concatenate(codes), factors[:, varying], {"factors": names}
