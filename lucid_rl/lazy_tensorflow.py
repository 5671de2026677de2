"""TensorFlow's graph interface, imported at its first use.

Importing a module of this package costs nothing of TensorFlow's seconds until something
is computed: `--help` and wrong flags answer at once.
"""

import types
from typing import Any


class _LazyTensorFlow(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        import tensorflow.compat.v1

        return getattr(tensorflow.compat.v1, name)


tf = _LazyTensorFlow("tensorflow.compat.v1")
