"""What every registered layer and model promises: its configuration and its file bring it back whole."""

import inspect
import json

import keras
import numpy as np


def assert_config_round_trip(thing):
    """Every constructor argument is in the config, JSON-ready, and the config repeats itself."""
    arguments = set(inspect.signature(type(thing).__init__).parameters) - {"self", "kwargs"}
    config = keras.saving.serialize_keras_object(thing)["config"]
    assert arguments <= set(config), f"missing from get_config: {arguments - set(config)}"
    text = _without_identity(config)
    clone = type(thing).from_config(json.loads(json.dumps(config)))
    assert _without_identity(keras.saving.serialize_keras_object(clone)["config"]) == text
    return clone


def assert_saves_and_loads(model, tmp_path, *inputs):
    """The file, read in safe mode without custom objects, gives the same numbers."""
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    for method in ("codes", "reconstruct"):
        expected, actual = getattr(model, method)(*inputs), getattr(loaded, method)(*inputs)
        for a, b in zip(keras.tree.flatten(expected), keras.tree.flatten(actual), strict=True):
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))
    return loaded


def _without_identity(config):
    """JSON text without the ids that say which object this was."""

    def strip(value):
        if isinstance(value, dict):
            dropped = ("shared_object_id", "build_config", "compile_config")
            return {key: strip(item) for key, item in value.items() if key not in dropped}
        return [strip(item) for item in value] if isinstance(value, (list, tuple)) else value

    return json.dumps(strip(config), sort_keys=True)
