"""What is loaded when: `import tfvae` alone loads neither TensorFlow nor Keras, so that `tfvae --help` need not wait.

Keras looks for the classes of a saved model among those that are registered, and imports none. After
`import tfvae, keras`, in either order, all of ours must be there, also when nothing of tfvae was touched. So the first
import of TensorFlow, of Keras, or of a module of tfvae that may need them, by whomever, is followed by that of
`tfvae.models`, which registers every class.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from tfvae.quiet import native_messages_held

# What lies directly in `tfvae/` and needs none of the libraries. A name that is missing here costs time, nothing else.
LIGHT = (
    "__main__",
    "arguments",
    "cli",
    "data_config",
    "errors",
    "whole_files",
    "file_names",
    "first_use",
    "quiet",
    "runs",
    "terminal",
    "toml_sections",
)
LIBRARIES = ("keras", "tensorflow")


def arrange() -> None:
    """Everything is loaded at its first use; at once where one of the libraries is here already."""
    if any(library in sys.modules for library in LIBRARIES):
        with native_messages_held():
            _complete()
    else:
        sys.meta_path.insert(0, _FirstUse())


class _FirstUse(MetaPathFinder):
    """Finds modules as Python does, and has the first one that is no light one loaded with all the others.

    Attributes:
        loading: What is imported meanwhile is only a part: a module may still be halfway.
    """

    loading = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, inner = fullname.partition(".")
        ours = package == "tfvae" and inner and inner.split(".")[0] not in LIGHT
        if self.loading or not (ours or fullname in LIBRARIES):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _WithAllOthers(spec.loader, self)
        return spec


class _WithAllOthers(Loader):
    """Loads a module as `loader` does, and then all that belongs to it; afterwards `finder` is needed no more."""

    def __init__(self, loader: Loader, finder: _FirstUse):
        self.loader, self.finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.finder.loading = True
        try:
            with native_messages_held():
                self.loader.exec_module(module)
                _complete()
        finally:
            self.finder.loading = False
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self.finder]


def _complete() -> None:
    """Keras on TensorFlow, and every class of tfvae registered.

    Raises:
        ImportError: When Keras has another backend.
    """
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()  # says on stderr what it did not find
    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            f"tfvae needs the TensorFlow backend of Keras, and '{keras.backend.backend()}' is loaded: "
            "set KERAS_BACKEND=tensorflow before Keras is imported."
        )
    importlib.import_module("tfvae.models")
