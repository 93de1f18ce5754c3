"""The train–test gap of the ELBO: how much better a model knows the images it was trained on."""

from dataclasses import replace

import numpy as np

from tfvae.evaluation.bound import bounds
from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.evaluation.measurements import Measurement, difference_figure


def measure(context: EvaluationContext) -> dict[str, Measurement]:
    """`elbo_gap = mean elbo(training images) - mean elbo(held-out images)`, nats per image.

    Of a model that has learnt what its images have in common, the two agree. A gap above its interval says that it
    also remembers its training images themselves, by so many nats each. The training images are at most as many as
    the held-out ones, drawn with the seed. Both sides have one posterior sample an image.

    Raises:
        UnmeasurableError: For a model without an ELBO, or where the training images are not at hand.
    """
    if context.model.prior is None:
        raise UnmeasurableError(f"a {type(context.model).__name__} has no ELBO")
    if context.training is None or len(context.training) == 0:
        raise UnmeasurableError("it needs the held-out images of the run, besides those it was trained on")
    training = context.training
    if len(training) > len(context.images):
        drawn = np.random.default_rng((context.seed, 13)).choice(len(training), len(context.images), replace=False)
        training = training.take(np.sort(drawn))
    seen, held_out = bounds(context, training), context.remembered("bounds", lambda: bounds(context, context.images))
    protocol = {
        "training_images": len(training),
        "training_sha256": training.digest(),
        "distortion": held_out.kind,
        "samples_per_image": 1,
    }
    figure = difference_figure(seen.elbo, held_out.elbo, "nats per image, training less held-out, 0 is best", protocol)
    return {"elbo_gap": replace(figure, note=in_words(figure))}


def in_words(gap: Measurement) -> str:
    """What a gap says about memorisation."""
    if gap.interval is None:
        return "too few images to say anything"
    low, high = gap.interval
    if low > 0:
        return "the training images are known better than others of their kind: the model remembers something of them"
    if high < 0:
        return "the held-out images are easier than the training images, so this says nothing about memorisation"
    return "no memorisation to be seen: 0 lies within the interval"
