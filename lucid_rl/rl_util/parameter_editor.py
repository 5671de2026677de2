"""`lucid.scratch.parameter_editor` of Lucid 0.3.10."""

from typing import Any

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.lazy_tensorflow import tf

_MARK = "lucid_is_edited"  # a constant that marks an edited graph


class ParameterEditor:
    """Reads and changes the constants of a frozen graph in place.

        editor = ParameterEditor(model.graph_def)
        editor["conv/kernel"] = kernel
        editor["conv/kernel", ..., 3] = 0

    Attributes:
        nodes: the graph's constants, by name.
    """

    def __init__(self, graph_def: Any):
        """Marks the graph as edited.

        Args:
            graph_def: a `tf.GraphDef`; assignments change it.
        """
        self.nodes = {n.name: n for n in graph_def.node if "value" in n.attr}
        if _MARK not in self.nodes:
            node = graph_def.node.add(name=_MARK, op="Const")
            node.attr["dtype"].type = tf.bool.as_datatype_enum
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(True))

    def __getitem__(self, key: Any) -> np.ndarray:
        """Returns a copy of a constant, or of what an index after its name selects."""
        name, index = _split(key)
        return tf.make_ndarray(self._node(name).attr["value"].tensor)[index].copy()

    def __setitem__(self, key: Any, new_value: Any) -> None:
        """Assigns a constant of the same shape, or what an index selects of it."""
        name, index = _split(key)
        array = self[name]
        if index == () and np.shape(new_value) != array.shape:
            raise InputError(
                f"{name} has shape {array.shape}, but the new value has "
                f"{np.shape(new_value)}."
            )
        array[index] = new_value
        self._node(name).attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))

    def _node(self, name):
        try:
            return self.nodes[name]
        except KeyError:
            raise InputError(f"the graph has no constant {name!r}.") from None


def _split(key):
    return (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
