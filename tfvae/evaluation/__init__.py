"""How good a trained model is: figures on held-out images, each with the protocol it was measured by."""

from tfvae.evaluation.bound import evaluate
from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.evaluation.marginal import Marginal, marginal_likelihood
from tfvae.evaluation.measurements import Measurement
from tfvae.evaluation.measures import MEASURES, Evaluation, assess, usual_measures
from tfvae.evaluation.protocol import comparison, read_evaluation, unlike, write_evaluation
from tfvae.metrics.active_units import active_units
from tfvae.metrics.disentanglement import dci, mig
from tfvae.metrics.frechet import frechet_distance
from tfvae.metrics.image_quality import PSNR_CAP, ms_ssim, psnr, ssim, ssim_window
from tfvae.metrics.precision_recall import neighbour_figures

__all__ = [
    "MEASURES",
    "PSNR_CAP",
    "Evaluation",
    "EvaluationContext",
    "Marginal",
    "Measurement",
    "UnmeasurableError",
    "active_units",
    "assess",
    "comparison",
    "dci",
    "evaluate",
    "frechet_distance",
    "marginal_likelihood",
    "mig",
    "ms_ssim",
    "neighbour_figures",
    "psnr",
    "read_evaluation",
    "ssim",
    "ssim_window",
    "unlike",
    "usual_measures",
    "write_evaluation",
]
