"""What is wrong with a training, in plain words, and what to do: one function for each finding.

Each looks at the vital signs (`Vitals`) and at the course of the training so far (`Course`), and is silent when there
is nothing to say. A healthy run has no finding. Names in backticks are settings of `python -m training`
(`--set NAME=VALUE`), and most are the arguments of the same name in the library.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tfvae.health.explain import LOWER, Explanation
from tfvae.health.vitals import Vitals
from tfvae.pixels import out_of_range

# Before so many steps a model is not expected to have learnt anything; a decoder or a posterior may yet wake up.
SETTLED = 200
# Fewer images say little about what varies over images.
ENOUGH = 16
# A tenth: a model with 40 units, of which 10 to 25 are active, is healthy on MNIST (Burda et al. 2016, table 1).
FEW_ACTIVE = 0.1
# However many others are idle, as most at the border are where a hierarchy has maps of latents.
MANY_ACTIVE = 25
# Of a grey level of 255: a step in every latent unit at once that changes no pixel by a hundredth of it.
NO_RESPONSE = 0.01 / 255
# Errors twice as large, root mean square, as the likelihood says they are.
SURPRISED = 4.0
# Share of values at the floor: below, a few constant border pixels do not yet rule the likelihood.
MANY_AT_FLOOR = 0.1
# A figure and the sum it should be differ by noise only; a mean is off by the number of terms.
SCALE = 2.0
# beta within this factor of the number of values in an image (or of its inverse) undoes a sum or a mean.
NEAR = 4.0
# A run that loses half of all it had gained did not merely fluctuate.
FALLEN = 0.5
# Times the usual gradient: Adam's second moment remembers 1,000 steps, so such a step moves nearly every weight by
# 30 times the learning rate.
SPIKE = 1000.0
# The error of predicting every image by the mean image is 1; this is worse than not looking at all.
WORSE_THAN_MEAN = 1.1
FAR = 1.5  # times that where the loss falls from epoch to epoch: flat pictures are learnt after their contrast
# Ten times Adam's usual rate.
FAST = 0.01
# Half of the rate spent on a misplaced aggregate posterior.
WIDE_GAP = 0.5


@dataclass(frozen=True)
class Course:
    """How the training went so far.

    Attributes:
        steps: Taken.
        losses: Training loss of each epoch since the warm-up of beta, at its final value, nats per example; lower is
            better.
        gradient_norm, gradient_peak: Mean and largest of the last epoch.
        skipped: Steps whose gradients were not finite.
        loss_scaled: Whether a loss scale looks for its limit, so that a skipped step now and then is its way.
        explanation: Of the first skipped step.
        learning_rate: The highest of the schedule.
    """

    steps: int = 0
    losses: tuple[float, ...] = ()
    gradient_norm: float = 0.0
    gradient_peak: float = 0.0
    skipped: int = 0
    loss_scaled: bool = False
    explanation: Explanation | None = None
    learning_rate: float | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its short name, what was seen, what to do."""

    name: str
    seen: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.seen}. Remedy: {self.remedy}."


def findings(vitals: Vitals, course: Course | None = None) -> list[Finding]:
    """Everything that is wrong, the causes before their consequences; empty for a healthy training.

    Args:
        vitals: Of the model now.
        course: Of the training; without it the model is taken to be trained.
    """
    course = course or Course(steps=SETTLED)
    if cause := pixels_out_of_range(vitals, course):
        return [cause]  # Whatever else is wrong may follow from it.
    found = [check(vitals, course) for check in CHECKS]
    return [finding for finding in found if finding is not None]


def pixels_out_of_range(vitals: Vitals, course: Course) -> Finding | None:
    found = out_of_range(vitals.lowest, vitals.highest)
    return found and Finding("data outside the likelihood's range", *found)


def kl_scale(vitals: Vitals, course: Course) -> Finding | None:
    name, dims = "KL scale wrong for the image size", vitals.dims
    if vitals.distortion_scale is not None and not 1 / SCALE < vitals.distortion_scale < SCALE:
        return Finding(
            name,
            f"the distortion is {vitals.distortion_scale:.3g} times -log p(x|z) summed over the {dims:,.0f} values of "
            f"an image, so the rate weighs {1 / abs(vitals.distortion_scale):,.0f} times too much",
            "sum the distortion over pixels and channels, and average over the batch last",
        )
    for scale in (vitals.rate_scale, vitals.rate_weight):
        if scale is not None and not 1 / SCALE < scale < SCALE:
            return Finding(
                name,
                f"the rate in the loss is {scale:.3g} times the KL summed over the {vitals.units:,} latent units",
                "sum the KL over the latent axes, and average over the batch last; weigh it by `objective.beta` alone",
            )
    if vitals.beta and not NEAR / dims <= vitals.beta <= dims / NEAR:
        what = "the distortion were averaged over" if vitals.beta > 1 else "the KL were divided by"
        return Finding(
            name,
            f"beta = {vitals.beta:g} on images of {dims:,.0f} values: as if {what} them",
            "both terms are sums here: start from `objective.beta=1`, and stay within 0.1 to 10",
        )
    return None


def dead_decoder(vitals: Vitals, course: Course) -> Finding | None:
    if course.steps < SETTLED or not vitals.response < NO_RESPONSE:
        return None
    return Finding(
        "dead decoder",
        f"a step of one standard deviation in all {vitals.units} latent units changes the picture by "
        f"{255 * vitals.response:.2g} grey levels of 255 (root mean square): it always paints the same one",
        f"{LOWER}; start again, as dead units do not come back; if that does not help, try another `model.network`",
    )


def posterior_collapse(vitals: Vitals, course: Course) -> Finding | None:
    if course.steps < SETTLED or vitals.images < ENOUGH or not vitals.kl_per_unit:
        return None
    if vitals.active_units > min(FEW_ACTIVE * vitals.units, MANY_ACTIVE) or dead_decoder(vitals, course):
        return None
    first = f"`objective.beta` is {vitals.beta:g}: lower it first; or " if vitals.beta and vitals.beta > 1 else ""
    if course.learning_rate and course.learning_rate > FAST:
        first += f"`training.learning_rate` is {course.learning_rate:g}: try 0.001; or "
    return Finding(
        "posterior collapse",
        f"{vitals.active_units} of {vitals.units} latent units are active (variance of the posterior mean above 0.01), "
        f"and the rate is {vitals.rate:.3g} nats: the code says nothing about the image",
        f'{first}warm up with `objective.beta={{schedule="linear", steps=1000}}`, or give each unit nats that cost '
        "nothing with `objective.free_bits=0.25`",
    )


def likelihood_too_sharp(vitals: Vitals, course: Course) -> Finding | None:
    if course.steps < SETTLED:
        return None
    name = "likelihood too sharp"
    if vitals.at_floor > MANY_AT_FLOOR:
        return Finding(
            name,
            f"{vitals.at_floor:.0%} of the values have the smallest standard deviation that is allowed, half a grey "
            "level: the density grows by describing the rounding of the pixels, and the rate no longer matters",
            '`model.likelihood="logistic"`, whose mass is bounded, or "optimal_gaussian", which shares one deviation; '
            'black and white pictures want "bernoulli"',
        )
    if vitals.surprise is not None and vitals.surprise > SURPRISED:
        return Finding(
            name,
            f"the errors are {math.sqrt(vitals.surprise):.1f} times as large (root mean square) as the likelihood's "
            "standard deviation says",
            '`model.likelihood="optimal_gaussian"`, whose deviation is the error itself; or, where it is fit to few '
            "images, more data or `model.dropout`",
        )
    return None


def learning_rate_too_high(vitals: Vitals, course: Course) -> Finding | None:
    rate = f" of {course.learning_rate:g}" if course.learning_rate else ""
    lower = LOWER + "; `training.warmup_steps=500` helps a first epoch that starts badly"

    def finding(seen: str) -> Finding:
        return Finding("learning rate too high", seen, lower)

    image = course.explanation is not None and course.explanation.term == "image"
    if course.skipped and not course.gradient_peak and not image:
        return finding(f"with a learning rate{rate} no step of the epoch had gradients that are finite")
    if len(course.losses) > 1:
        first, now = course.losses[0], course.losses[-1]
        best = min(course.losses)
        if not math.isfinite(now) or now - best > max(FALLEN * (first - best), 0.01 * vitals.dims):
            return finding(
                f"with a learning rate{rate} the training loss is {now:,.4g} nats, and was {best:,.4g} at its best"
            )
        if course.gradient_norm and course.gradient_peak > SPIKE * course.gradient_norm:
            return finding(
                f"with a learning rate{rate} the largest gradient norm of the epoch is {course.gradient_peak:.3g}, the "
                f"mean {course.gradient_norm:.3g}"
            )
    falling = len(course.losses) > 1 and course.losses[-1] == min(course.losses)  # on its way still
    worse = vitals.residual > WORSE_THAN_MEAN * vitals.contrast * (FAR if falling else 1)
    if course.steps >= SETTLED and vitals.images >= ENOUGH and worse:
        return finding(
            f"after {course.steps:,} steps with a learning rate{rate} the reconstructions are {vitals.residual:.3g} "
            f"from the images (root mean square), further than their mean image, {vitals.contrast:.3g}"
        )
    return None


def prior_is_missed(vitals: Vitals, course: Course) -> Finding | None:
    if course.steps < SETTLED or vitals.gap is None or vitals.images < ENOUGH:
        return None
    if not (vitals.gap > WIDE_GAP * vitals.rate and vitals.gap > vitals.units):
        return None
    return Finding(
        "aggregate posterior far from the prior",
        f"{vitals.gap:.3g} of the rate's {vitals.rate:.3g} nats come from codes that lie, all together, elsewhere than "
        "the prior, so its draws are codes the decoder never saw",
        "raise `objective.beta` towards 1, or train longer",
    )


def non_finite_steps(vitals: Vitals, course: Course) -> Finding | None:
    if not course.skipped:
        return None
    explanation = course.explanation
    # A loss scale doubles every 2,000 steps until it overflows once: that is how it finds its limit.
    scaling = course.loss_scaled and (explanation is None or explanation.term == "loss scale")
    if scaling and course.skipped <= 20 + course.steps / 500:
        return None
    seen = f"{course.skipped:,} of {course.steps:,} steps had gradients that were not finite, and were skipped"
    if explanation is None:
        return Finding("non-finite steps", seen, f"look for broken images in the data; {LOWER}")
    return Finding("non-finite steps", f"{seen}; the first one {explanation.seen}", explanation.remedy)


CHECKS: tuple[Callable[[Vitals, Course], Finding | None], ...] = (
    non_finite_steps,
    kl_scale,
    dead_decoder,
    posterior_collapse,
    likelihood_too_sharp,
    learning_rate_too_high,
    prior_is_missed,
)
