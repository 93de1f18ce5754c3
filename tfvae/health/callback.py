"""Health for `vae.fit`."""

import math
from typing import Any

import keras

from tfvae.data.array_batches import batches
from tfvae.health.findings import Course, Finding, findings
from tfvae.health.vitals import Examination, Vitals

LOOK_AT = 500  # images
BATCH = 64


class HealthCheck(keras.callbacks.Callback):
    """Measures the model at the end of each epoch, and prints a finding when it first appears.

        vae.fit(images, callbacks=[tfvae.health.HealthCheck(images)])

    The training is the same with it and without it: no weight and no random state changes.

    Args:
        images: What to look at, uint8 or float in [0, 1]; the first 500 of them are used.
        verbose: Whether to print.

    Attributes:
        vitals: One `Vitals` an epoch.
        findings: Those of the last epoch.
    """

    def __init__(self, images: Any, verbose: bool = True):
        super().__init__()
        self.images, self.verbose = images[:LOOK_AT], verbose
        self.vitals: list[Vitals] = []
        self.findings: list[Finding] = []
        self.losses: list[float] = []
        self.told: set[str] = set()

    def on_train_begin(self, logs=None):
        self.examination = Examination(self.model)

    def on_epoch_end(self, epoch, logs=None):
        model, logs = self.model, logs or {}
        vitals = self.examination(batches(self.images, BATCH))
        self.vitals.append(vitals)
        self.losses.append(final_loss(model, logs, vitals.beta))
        optimizer = model.optimizer
        course = Course(
            steps=int(model.first_skip.steps.value.numpy()),
            losses=tuple(loss for loss in self.losses if not math.isnan(loss)),
            gradient_norm=float(logs.get("gradient_norm", 0.0)),
            gradient_peak=float(logs.get("gradient_peak", 0.0)),
            skipped=int(model.skipped_steps.value.numpy()),
            loss_scaled=isinstance(optimizer, keras.optimizers.LossScaleOptimizer),
            learning_rate=float(optimizer.learning_rate),
        )
        self.findings = findings(vitals, course)
        for finding in self.findings:
            if finding.name not in self.told and self.verbose:
                print(f"\nhealth: {finding}")
            self.told.add(finding.name)


def final_loss(model: Any, logs: dict[str, Any], beta: float | None) -> float:
    """`distortion + beta * rate` of an epoch's figures at the final beta: under a schedule the loss itself moves.

    Not a number where every step was skipped, as there is no mean of nothing, and while the model warms up.
    """
    if not logs.get("gradient_peak") or int(model.first_skip.steps.value.numpy()) <= model.warm_up:
        return float("nan")
    return float(logs["distortion"]) + (1.0 if beta is None else beta) * float(logs.get("rate", 0.0))
