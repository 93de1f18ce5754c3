"""Restores pictures with a VAE that learnt pictures, not their restoration: by its prior."""

import argparse
from typing import Any

import numpy as np

from tfvae.applications.channels import as_known, floats, joined, put_back, views
from tfvae.applications.restoration import posterior
from tfvae.applications.restoration.restore import Restored
from tfvae.commands.jobs import Progress
from tfvae.commands.masks import Given
from tfvae.decoding import UnreadableError
from tfvae.errors import UserError
from tfvae.likelihoods.noise_model import NoiseModel
from tfvae.runs import Run

DRAWS = 16  # at least, of the posterior: for its mean


class PriorRestorer:
    """An engine of `tfvae restore`.

    Args:
        run: What is named in messages.
        model: Any model without a `restore` of its own.
        arguments: Of the command.

    Raises:
        UserError: When the model has no Gaussian posterior or no prior, or the arguments do not say what is wrong
            with the pictures.
    """

    def __init__(self, run: Run, model: Any, arguments: argparse.Namespace):
        kind = type(model).__name__
        if not hasattr(model, "log_weights"):
            raise UserError(f"restore: {run.path} holds a {kind}, which has no prior to restore with. Use a VAE.")
        self.model, self.arguments = model, arguments
        masked = bool(arguments.mask or arguments.auto)
        self.denoises = isinstance(model.likelihood, NoiseModel)
        # A model with a noise model has learnt to take the noise out; any other must be given what is wrong.
        self.method = arguments.method or ("model" if self.denoises and not masked else "map")
        if self.method == "model" and not self.denoises:
            raise UserError(
                f"restore: --method model is for runs that learnt to restore. {run.path} holds a {kind}: "
                "use map, langevin or gibbs."
            )
        if self.method == "model" and (masked or arguments.noise is not None):
            raise UserError("restore: --method model takes neither --mask, --auto nor --noise with this run.")
        if self.method != "model" and not masked and arguments.noise is None:
            raise UserError(
                f"restore: {run.path} holds a {kind}, which must be given what is wrong: --mask M (white is filled), "
                "--noise STD, or both."
            )
        if arguments.noise == 0:
            raise UserError("restore: --noise must be above 0, or left out where known pixels are free of it.")
        if self.method == "gibbs" and arguments.noise is not None:
            raise UserError("restore: --noise needs --method map or langevin. Received: --method gibbs.")
        if self.method == "map" and (arguments.samples or arguments.uncertainty):
            raise UserError("restore: --samples and --uncertainty need --method langevin or gibbs. Received: map.")

    def __call__(self, pixels: np.ndarray, given: Given, progress: Progress) -> Restored:
        height, width, channels = self.model.image_shape
        if height is not None and pixels.shape[:2] != (height, width):
            raise UnreadableError(
                f"has {pixels.shape[1]}x{pixels.shape[0]} pixels, and this model takes {width}x{height} only"
            )
        known = as_known(given.known, pixels)
        parts = []
        seen = views(floats(pixels), channels)
        for done, view in enumerate(seen, start=1):
            parts.append(self._restored(view, known))
            progress(done, len(seen))
        kept = known if self.arguments.noise is None else None  # noise is on what is known, too
        samples = [joined(draws, pixels.shape[2]) for draws in zip(*(part.samples for part in parts), strict=True)]
        image = joined([part.image for part in parts], pixels.shape[2])
        return Restored(
            put_back(pixels, image, kept),
            joined([part.std for part in parts], pixels.shape[2]) if self.arguments.uncertainty else None,
            samples=[put_back(pixels, draw, kept) for draw in samples[: self.arguments.samples]],
        )

    def _restored(self, view: np.ndarray, known: np.ndarray | None) -> Any:
        wanted, seed = self.arguments.samples, self.arguments.seed
        if self.method == "model":
            return posterior.denoise(self.model, view, keep=wanted, seed=seed)
        return posterior.restore_with_prior(
            self.model,
            view,
            known,
            noise_std=self.arguments.noise,
            method=self.method,
            samples=max(DRAWS, wanted),
            seed=seed,
        )
