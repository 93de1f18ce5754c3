"""Is this training well? Vital signs of a model, findings in plain words with their remedy."""

from tfvae.health.callback import HealthCheck
from tfvae.health.explain import Explanation, explain
from tfvae.health.findings import Course, Finding, findings
from tfvae.health.vitals import Examination, Vitals, aggregate_gap, measure

__all__ = [
    "Course",
    "Examination",
    "Explanation",
    "Finding",
    "HealthCheck",
    "Vitals",
    "aggregate_gap",
    "explain",
    "findings",
    "measure",
]
