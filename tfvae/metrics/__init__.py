"""Metrics as pure functions of arrays; `tfvae.evaluation` measures models by them, with protocol and interval."""

from tfvae.metrics.active_units import active_units, unit_variances
from tfvae.metrics.anomaly import aupro, auroc, best_f1, bootstrap_interval, share_above
from tfvae.metrics.bd_rate import bd_rate
from tfvae.metrics.disentanglement import dci, mig
from tfvae.metrics.disentanglement_scores import factor_vae_score, sap, udr
from tfvae.metrics.edge_sparseness import edge_sparseness
from tfvae.metrics.frechet import frechet_distance, gaussian_frechet_distance
from tfvae.metrics.image_quality import PSNR_CAP, luminance, ms_ssim, psnr, ssim, ssim_window
from tfvae.metrics.precision_recall import neighbour_figures
from tfvae.metrics.sliced_wasserstein import pyramid_distance, sliced_wasserstein
from tfvae.metrics.uncertainty import calibration_curve, coverage, expected_calibration_error

__all__ = [
    "PSNR_CAP",
    "active_units",
    "aupro",
    "auroc",
    "bd_rate",
    "best_f1",
    "bootstrap_interval",
    "calibration_curve",
    "coverage",
    "dci",
    "edge_sparseness",
    "expected_calibration_error",
    "factor_vae_score",
    "frechet_distance",
    "gaussian_frechet_distance",
    "luminance",
    "mig",
    "ms_ssim",
    "neighbour_figures",
    "psnr",
    "pyramid_distance",
    "sap",
    "share_above",
    "sliced_wasserstein",
    "ssim",
    "ssim_window",
    "udr",
    "unit_variances",
]
