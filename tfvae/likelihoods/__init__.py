"""p(x|z): what a decoder's output means. Each likelihood turns `parameters` into log-probabilities, a mean and samples.

`parameters` is the decoder's output, shape `(batch, height, width, channels * parameters_per_channel)`, float32.
Images are in [0, 1]. Log-probabilities are nats per example, summed over the pixels of an image.
"""

from tfvae.likelihoods.base import Likelihood
from tfvae.likelihoods.bernoulli import Bernoulli
from tfvae.likelihoods.gaussian import Gaussian, OptimalGaussian, PixelGaussian
from tfvae.likelihoods.logistic import DiscretizedLogistic, DiscretizedLogisticMixture
from tfvae.likelihoods.noise_model import NoiseModel
from tfvae.parts import part_of

LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "optimal_gaussian": OptimalGaussian,
    "pixel_gaussian": PixelGaussian,
    "noise_model": NoiseModel,
    "logistic": DiscretizedLogistic,
    "logistic_mixture": DiscretizedLogisticMixture,
}


def get(likelihood, **options):
    """A likelihood from its name and the arguments of its constructor, or itself.

    Raises:
        ValueError: For an unknown name, saying the known ones; or as the constructor does.
    """
    if isinstance(likelihood, Likelihood):
        return likelihood
    return part_of("likelihood", LIKELIHOODS, likelihood, options)
