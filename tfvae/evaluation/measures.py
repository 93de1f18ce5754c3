"""The measures by the names that `tfvae evaluate --figures` takes, and the report that they fill.

To add one: a function from a `EvaluationContext` to figures by name, and a line in `MEASURES`. It raises
`UnmeasurableError` for a model or images of which it cannot say anything.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tfvae.errors import did_you_mean
from tfvae.evaluation import bound, disentanglement, distances, edges, gap, marginal, ms_ssim, robustness, units
from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.evaluation.measurements import Measurement
from tfvae.evaluation.protocol import protocol


@dataclass(frozen=True)
class Measure:
    """A function from a context to figures by name.

    Attributes:
        run: The function.
        about: What it measures, for `--help`.
        usual: Whether it is part of every evaluation that does not name its figures: cheap, and never unmeasurable in
            a way that a person would want to hear of.
    """

    run: Callable[[EvaluationContext], dict[str, Measurement]]
    about: str
    usual: bool = False


MEASURES: dict[str, Measure] = {
    "elbo": Measure(bound.measure, "ELBO, rate, distortion, bits per dim, PSNR, SSIM", usual=True),
    "units": Measure(units.measure, "active units", usual=True),
    "gap": Measure(gap.measure, "ELBO of training images less that of held-out ones (memorisation)", usual=True),
    "nll": Measure(marginal.measure, "-log p(x) by importance sampling"),
    "ms_ssim": Measure(ms_ssim.measure, "MS-SSIM of reconstructions"),
    "frechet": Measure(distances.measure_frechet, "Fréchet distance of drawn images from held-out ones, by --features"),
    "prdc": Measure(
        distances.measure_neighbours, "precision, recall, density, coverage of drawn images, by --features"
    ),
    "edges": Measure(edges.measure, "edges of drawn images beside those of reconstructions: things, or blotches"),
    "mig": Measure(disentanglement.measure_mig, "mutual information gap, of images with known factors"),
    "dci": Measure(disentanglement.measure_dci, "disentanglement, completeness, informativeness, likewise"),
    "sap": Measure(disentanglement.measure_sap, "separated attribute predictability, likewise"),
    "factor_vae": Measure(disentanglement.measure_factor_vae, "the FactorVAE score, likewise"),
    "robustness": Measure(
        robustness.measure, "how far codes and reconstructions move under noise, blur, JPEG and an adversary"
    ),
}


@dataclass(frozen=True)
class Evaluation:
    """Figures and what they have in common.

    Attributes:
        protocol: Data, split, hash, seed and versions: of every figure.
        figures: By name; each with what is its own of the protocol.
        left_out: Why a measure was left out, by its name.
    """

    protocol: dict[str, Any]
    figures: dict[str, Measurement]
    left_out: dict[str, str]


def usual_measures() -> list[str]:
    """Names of the measures that are taken when none is named."""
    return [name for name, measure in MEASURES.items() if measure.usual]


def assess(
    context: EvaluationContext, names: Iterable[str], *, source: str = "", split: str = "", must: bool = True
) -> Evaluation:
    """Takes the named measures of `subject`, in their order.

    Args:
        context: Model, images and settings.
        names: Of `MEASURES`.
        source: Where the images come from, for the protocol.
        split: Which part of the source they are, for the protocol.
        must: False to leave out, with the reason, what cannot be measured, instead of raising.

    Raises:
        ValueError: An unknown name.
        UnmeasurableError: When `must` and a measure means nothing here.
    """
    figures: dict[str, Measurement] = {}
    left_out: dict[str, str] = {}
    for name in names:
        if name not in MEASURES:
            raise ValueError(
                f"`names` must be of {', '.join(MEASURES)}.{did_you_mean(name, MEASURES)} Received: {name!r}"
            )
        try:
            figures |= MEASURES[name].run(context)
        except UnmeasurableError as error:
            if must:
                raise UnmeasurableError(f"{name}: {error}") from error
            left_out[name] = str(error)
    return Evaluation(protocol(context, source, split), figures, left_out)
