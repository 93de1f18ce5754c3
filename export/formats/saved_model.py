"""A SavedModel's answers, asked for in a process that has TensorFlow only."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SCRIPT = Path(__file__).with_name("saved_model_process.py")


class Request(NamedTuple):
    """One signature and what it is given: inputs `(n, …)` by name."""

    signature: str
    inputs: dict[str, np.ndarray]


def run_in_fresh_process(
    saved_model: Path, requests: list[Request]
) -> tuple[list[dict[str, np.ndarray]], dict[str, Any]]:
    """Outputs by name of each request, and the signatures that TensorFlow found.

    The process starts without this one's modules and cannot import `keras` or `tfvae`, so what runs is what is in the
    folder. It sees no GPU: its figures are compared with those of this process's CPU.

    Raises:
        RuntimeError: With what the process printed, when it failed, or when Keras was in it after all.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "requests.npz"), Path(folder, "answers.npz")
        table = {f"{i}/{r.signature}/{name}": value for i, r in enumerate(requests) for name, value in r.inputs.items()}
        np.savez(asked, **table)  # type: ignore[arg-type]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
        # -I: no PYTHONPATH, no current folder, nothing of the user's.
        command = [sys.executable, "-I", str(SCRIPT), str(saved_model), str(asked), str(answered)]
        process = subprocess.run(command, capture_output=True, text=True, env=environment)
        if process.returncode != 0:
            raise RuntimeError(f"the SavedModel failed in a fresh process:\n{process.stderr}")
        facts = json.loads(process.stdout.splitlines()[-1])
        if facts["absent_modules_present"]:
            raise RuntimeError(f"the fresh process was not fresh: it held {facts['absent_modules_present']}")
        outputs: list[dict[str, np.ndarray]] = [{} for _ in requests]
        with np.load(answered) as answers:
            for key in answers.files:
                case, _, name = key.split("/")
                outputs[int(case)][name] = answers[key]
    return outputs, facts
