"""How good a trained model is: figures on held-out images, each with the protocol it was measured by."""

from tfvae.evaluation.bound import evaluate
from tfvae.evaluation.image_quality import PSNR_CAP, psnr, ssim, ssim_window

__all__ = ["PSNR_CAP", "evaluate", "psnr", "ssim", "ssim_window"]
