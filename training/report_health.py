"""The section "Health" of a report, and its picture."""

from pathlib import Path
from typing import Any

from tfvae.health.picture import health_picture
from tfvae.metrics.active_units import ACTIVE
from tfvae.pictures import save_png

PICTURE = "health.png"
NOTHING = "Nothing to report: no check found anything wrong."


def picture(path: Path, health: dict[str, Any], record: dict[str, Any]) -> bool:
    """Writes `health.png`; False for a model without a posterior, of which there is none."""
    vitals = health["vitals"]
    if not vitals["kl_per_unit"]:
        return False
    kl = [_float(value) for value in vitals["kl_per_unit"]]
    active = [variance is not None and variance > ACTIVE for variance in vitals["unit_variance"]]
    points = [(_float(row["rate"]), _float(row["distortion"])) for row in record["epochs"]]
    save_png(path / PICTURE, health_picture(kl, active, points))
    return True


def section(health: dict[str, Any], pictured: bool) -> list[str]:
    """Lines of markdown: the findings or that there are none, the vital signs, the picture."""
    lines = ["## Health", ""]
    last = health["epochs"]
    if not health["findings"]:
        lines += [NOTHING, ""]
    for finding in health["findings"]:
        lines += [
            f"- **{finding['name']}** ({_when(finding, last)}): {finding['seen']}.",
            f"  *Remedy:* {finding['remedy']}.",
        ]
    if health["findings"]:
        lines.append("")
    first = health["first_skip"]
    if first and not any(finding["name"] == "non-finite steps" for finding in health["findings"]):
        lines += [f"Step {first['step']:,} was skipped: {first['explanation']['seen']}.", ""]
    vitals = health["vitals"]
    lines += ["| vital sign | value | meaning |", "| --- | ---: | --- |"]
    lines += [f"| {label} | {value} | {meaning} |" for label, value, meaning in _signs(vitals)]
    lines += ["", f"Of the kept model, on {vitals['images']:,} images; `health.json` has every epoch.", ""]
    if pictured:
        caption = (
            "KL of each latent unit of the kept model; rate and distortion of the weights in training, epoch by epoch"
        )
        lines += [f"**{caption}**", "", f"![{caption}]({PICTURE})", ""]
    return lines


def _signs(vitals: dict[str, Any]) -> list[tuple[str, str, str]]:
    units = len(vitals["unit_variance"])
    signs = [("active units", f"{vitals['active_units']} of {units}", "variance of the posterior mean above 0.01")]
    if vitals["kl_per_unit"]:
        signs += [
            ("rate, distortion", f"{_number(vitals['rate'])}, {_number(vitals['distortion'])}", "nats per image"),
            (
                "aggregate-posterior gap",
                _number(vitals["gap"]),
                "nats per image between all codes together and the prior, by mean and variance of each unit",
            ),
        ]
    signs.append(
        (
            "response of the decoder",
            _number(None if vitals["response"] is None else 255 * vitals["response"]),
            "grey levels of 255 (root mean square), for a step of one deviation in every unit",
        )
    )
    if vitals["surprise"] is not None:
        signs.append(
            ("surprise of the likelihood", _number(vitals["surprise"]), "squared error over its variance; 1 is honest")
        )
    return signs


def _when(finding: dict[str, Any], last: int) -> str:
    first, end = finding["first_epoch"], finding["last_epoch"]
    if end == last:
        return f"since epoch {first}"
    return f"in epoch {first}, gone since" if first == end else f"epochs {first} to {end}, gone since"


def _float(value: float | None) -> float:
    return float("nan") if value is None else value


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"
