"""Models whose prior can be fitted to their codes when they are trained."""

from typing import Any, ClassVar

import numpy as np

from tfvae.applications.latent.posteriors import float_batches, posteriors
from tfvae.models.base.latent_model import DecodesCodes
from tfvae.priors import Prior
from tfvae.priors import get as prior_of


class FitsPrior(DecodesCodes):
    """A model that draws pictures from a `Prior` of its codes, which may be another one after the training."""

    prior_name: ClassVar[str] = "prior"  # the attribute that the prior is

    def fit_prior(self, images: Any, prior: Prior | str = "flow", validation_data: Any = None, **options: Any) -> Any:
        """Fits a prior to the codes of `images` and makes it the model's: encoder and decoder stay as they are.

        Codes do not fill N(0, I), and draws from where no code lies are no pictures. Fitted to the aggregate posterior,
        or to codes without one, the prior draws codes that the decoder knows; a bound rises.

        Args:
            images: `(n, height, width, channels)`, uint8 or float in [0, 1]; or an iterable of batches of floats that
                ends, such as a `tf.data.Dataset`.
            prior: A `tfvae.priors.Prior` that can be fitted, or its name in `tfvae.priors.PRIORS`.
            validation_data: Images like these: the epoch that suits them best is kept; None: the last.
            options: Of the fit: `steps`, `batch_size`, `learning_rate`, `seed`; see `tfvae.priors.fitting.ascend`.

        Returns:
            Mean `log p(z)` of each epoch, nats per example.

        The prior is frozen then, as the optimiser has no state for it: `vae.prior.trainable = True` and `compile` let
        it learn on with the model.

        Raises:
            ValueError: If the prior has nothing to learn, is not one of this latent, or is made of posteriors that
                there are not; the model keeps its own.
        """
        prior = prior_of(prior)
        if hasattr(prior, "adapt") and not self.stochastic:
            raise ValueError(
                f"`prior` must not be made of posteriors: these codes have none. Received: {type(prior).__name__}"
            )
        if hasattr(prior, "adapt"):  # to be started from pictures, which a stream gives but once
            images = list(float_batches(images))
        mean, log_var = posteriors(self, images)
        held_out = None if validation_data is None else posteriors(self, validation_data)
        fitted = self.built_prior(prior, mean.shape[1:])
        fitted.trainable = True
        if hasattr(fitted, "adapt"):
            fitted.adapt(np.concatenate(images))
        course = fitted.fit(mean, log_var, held_out, **options)
        fitted.trainable = False
        self._replace(fitted)
        self.train_function = self.test_function = self.predict_function = None  # traced with the former prior
        return course

    def served(self):
        own = getattr(self, self.prior_name)
        prior = own.served()
        if prior is own:
            return self
        copy = type(self).from_config(self.get_config())
        copy.set_weights(self.get_weights())
        copy._replace(prior)
        return copy

    def _replace(self, prior):
        former = getattr(self, self.prior_name)
        delattr(self, self.prior_name)
        # Keras would keep the weights of both, and write those of the former into a file.
        self._tracker.untrack(former)
        setattr(self, self.prior_name, prior)
