"""How far single units of a code stand for single factors of the images, where these are known."""

from typing import Any

import numpy as np

from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.evaluation.measurements import Measurement, bootstrap_measurement, mean_measurement
from tfvae.metrics.disentanglement import BINS, PREDICTOR, dci, mig
from tfvae.metrics.disentanglement_scores import CLASSIFIER, ROWS, VOTES, factor_vae_score, sap


def measure_mig(context: EvaluationContext) -> dict[str, Measurement]:
    """`mig` of the posterior means of images whose factors are known.

    Raises:
        UnmeasurableError: When the factors are not known, or none varies.
    """
    codes, factors, protocol = _known(context)
    protocol["bins"] = BINS
    unit = "0 to 1, higher is better"
    return {
        "mig": bootstrap_measurement(
            lambda rows: _mig(codes[rows], factors[rows]), len(codes), context.seed, unit, protocol
        )
    }


def _mig(codes: np.ndarray, factors: np.ndarray) -> float:
    """`mig`; not a number of a resample of few images in which no factor varies."""
    return mig(codes, factors) if (factors != factors[:1]).any() else float("nan")


def measure_dci(context: EvaluationContext) -> dict[str, Measurement]:
    """`disentanglement`, `completeness` and `informativeness` of the posterior means of images with known factors.

    The interval of informativeness is over held-out images; the others have none, for trees would have to be grown
    for every resample.

    Raises:
        UnmeasurableError: As `measure_mig`, or of fewer than three images.
    """
    codes, factors, protocol = _known(context)
    if len(codes) < 3:
        raise UnmeasurableError(f"it needs three images or more, and these are {len(codes)}")
    found = dci(codes, factors, context.seed)
    protocol["predictor"] = PREDICTOR
    unit = "0 to 1, higher is better"
    return {
        "disentanglement": Measurement(found.disentanglement, unit, None, protocol),
        "completeness": Measurement(found.completeness, unit, None, protocol),
        "informativeness": mean_measurement(
            found.right, "share of factors predicted correctly", {**protocol, "held_out": len(found.right)}
        ),
    }


def measure_sap(context: EvaluationContext) -> dict[str, Measurement]:
    """`sap` of the posterior means of images whose factors are known; raises as `measure_dci`."""
    codes, factors, protocol = _known(context)
    if len(codes) < 3:
        raise UnmeasurableError(f"it needs three images or more, and these are {len(codes)}")
    protocol["predictor"] = CLASSIFIER
    return {"sap": Measurement(sap(codes, factors, context.seed), "0 to 1, higher is better", None, protocol)}


def measure_factor_vae(context: EvaluationContext) -> dict[str, Measurement]:
    """`factor_vae_score` of the posterior means of images whose factors are known; raises as `measure_mig`."""
    codes, factors, protocol = _known(context)
    protocol |= {"votes": VOTES, "rows": ROWS}
    score = factor_vae_score(codes, factors, context.seed)
    return {"factor_vae_score": Measurement(score, f"1/{factors.shape[1]} to 1, higher is better", None, protocol)}


def _known(context: EvaluationContext) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Codes `(n, units)` (of a spatial latent their mean over places), factors `(n, factors)`, and the protocol."""
    factors = context.images.factors
    if factors is None:
        raise UnmeasurableError("the factors of these images are not known (those of --data shapes are)")
    varying = (factors != factors[:1]).any(axis=0)
    if not varying.any():
        raise UnmeasurableError("no factor of these images varies")
    codes = [code.mean(axis=(1, 2)) if code.ndim == 4 else code for code in context.means()]
    names = [name for name, varies in zip(context.images.factor_names, varying, strict=True) if varies]
    return np.concatenate(codes), factors[:, varying], {"factors": names}
