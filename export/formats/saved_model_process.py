"""Runs a SavedModel where there is TensorFlow and nothing else. A script: it must not import `tfvae` or `export`.

    python -I saved_model_process.py SAVED_MODEL REQUESTS.npz ANSWERS.npz

`REQUESTS.npz` holds inputs `(n, …)` under `case/signature/input`, `ANSWERS.npz` gets the outputs under
`case/signature/output`. Each request is run as a batch of one and a batch of the rest, so that an answer also proves
that the batch is open. Standard output: one JSON object with the signatures as TensorFlow sees them.
"""

import importlib.machinery
import json
import os
import sys

ABSENT = ("keras", "tf_keras", "tfvae")


class WithoutKeras:
    """Finds every module that the interpreter would, except `ABSENT`: TensorFlow imports Keras itself if it can."""

    find_distributions = staticmethod(importlib.machinery.PathFinder.find_distributions)

    def __init__(self, finders):
        self.finders = finders

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            return None
        specs = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in specs if spec is not None), None)


def main(saved_model, requests, answers):
    sys.meta_path[:] = [WithoutKeras(list(sys.meta_path))]
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import numpy as np
    import tensorflow as tf

    model = tf.saved_model.load(saved_model)
    results = {}
    asked: dict[tuple[str, str], dict] = {}
    with np.load(requests) as table:
        for key in table.files:
            case, name, tensor = key.split("/")
            asked.setdefault((case, name), {})[tensor] = table[key]
    for (case, name), inputs in asked.items():
        batches = [{tensor: value[rows] for tensor, value in inputs.items()} for rows in (slice(1), slice(1, None))]
        batches = [batch for batch in batches if all(len(value) for value in batch.values())]
        outputs = [model.signatures[name](**{key: tf.constant(value) for key, value in one.items()}) for one in batches]
        for output in outputs[0]:
            results[f"{case}/{name}/{output}"] = np.concatenate([answer[output].numpy() for answer in outputs])
    np.savez(answers, **results)  # type: ignore[arg-type]
    describe = {
        name: {
            "inputs": {key: _tensor(spec) for key, spec in function.structured_input_signature[1].items()},
            "outputs": {key: _tensor(spec) for key, spec in function.structured_outputs.items()},
        }
        for name, function in model.signatures.items()
    }
    present = sorted({name.partition(".")[0] for name in sys.modules} & set(ABSENT))
    print(json.dumps({"signatures": describe, "absent_modules_present": present, "tensorflow": tf.__version__}))


def _tensor(spec):
    return {"shape": spec.shape.as_list() if spec.shape.rank is not None else None, "dtype": spec.dtype.name}


if __name__ == "__main__":
    main(*sys.argv[1:])
