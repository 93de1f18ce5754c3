"""What every test may ask for."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import pytest
import tensorflow as tf
from tiny_runs import made_once, vector_vae, write_run

from export import __main__ as export_program
from tfvae.runs import Run

# Two logical devices on one processor, for the tests of distributed steps; must be said before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

REAL_DATA = Path(os.environ.get("TFVAE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def real_data():
    """The folder of real images; the test is skipped where there is none."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real images are not here: {REAL_DATA} (TFVAE_TEST_DATA names another place)")
    return REAL_DATA


@pytest.fixture(scope="session")
def two_devices():
    """One strategy over two devices for all tests: those of two in a process meet under one key (TensorFlow 2.21)."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def digits_bundle(tmp_path_factory):
    """What `python -m export` makes of an untrained run of digits, its folder `export`; to be copied, not changed."""

    def export(folder):
        assert export_program.main([str(write_run(folder / "digits", vector_vae()))]) == 0

    return made_once(tmp_path_factory, "exported", export) / "digits" / "export"


@pytest.fixture(scope="module")
def loaded_once():
    """Each run's model is loaded, and traced, for the first test of a file that uses it."""
    load, models = Run.load_model, {}

    def load_once(run):
        path = run.path.resolve()
        if path not in models:
            models[path] = load(run)
        return models[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "load_model", load_once)
        yield


@pytest.fixture(autouse=True)
def float32_policy():
    """Each test starts under float32, whatever the one before it chose."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def deep_folder(tmp_path):
    """The innermost of 1,100 folders in one another, more than Python's own walks go into."""
    inner = tmp_path / "deep"
    inner.mkdir()
    for _ in range(1100):
        inner = inner / "a"
        inner.mkdir()
    yield inner
    while inner != tmp_path:
        for entry in os.scandir(inner):
            os.unlink(entry.path)
        os.rmdir(inner)
        inner = inner.parent
