"""Where images come from and how they become batches."""

from tfvae.data.batches import crops_of_each, evaluation_batches, steps_per_epoch, training_batches, training_indices
from tfvae.data.images import Images, Refusal
from tfvae.data.loading import Splits, Survey, load, load_images, look
from tfvae.data.own import load_own
from tfvae.data_config import AUGMENTATIONS, DataConfig

__all__ = [
    "AUGMENTATIONS",
    "DataConfig",
    "Images",
    "Refusal",
    "Splits",
    "Survey",
    "crops_of_each",
    "evaluation_batches",
    "load",
    "load_images",
    "load_own",
    "look",
    "steps_per_epoch",
    "training_batches",
    "training_indices",
]
