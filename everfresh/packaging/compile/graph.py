"""Writing an ONNX graph node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from everfresh.packaging.compile.exactness import Change

# The first pair in which a tree ensemble answers in float64 (ai.onnx.ml 3 rounds its sums to float32), and the
# operators and runtimes around it are old enough to be everywhere.
OPSETS = {"": 21, "ai.onnx.ml": 5}
IR_VERSION = 10


class Graph:
    """A graph with one input, the float64 matrix of `Codes`, and one output, the answer.

    Attributes:
        input: the name of the matrix.
        inputs: how many columns it has.
        hard_rows: what to change in a row so that it comes to stand where a tree of the graph splits.
    """

    def __init__(self, inputs: int) -> None:
        self.input = "matrix"
        self.inputs = inputs
        self.hard_rows: list[Change] = []
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, values: NDArray[Any]) -> str:
        """The name of a new constant."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The name of what a new node gives."""
        output = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        return output

    def columns(self, source: str, positions: list[int], width: int) -> str:
        """Some columns of a matrix of `width` columns; the matrix itself where these are all of them in order."""
        if positions == list(range(width)):
            return source
        return self.add("Gather", source, self.constant(np.array(positions, dtype=np.int64)), axis=1)

    def concat(self, parts: list[str]) -> str:
        """Matrices side by side."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=1)

    def finished(self, output: str) -> bytes:
        """The model whose answer is `output`, checked against the standard."""
        self._nodes.append(helper.make_node("Identity", [output], ["answer"]))
        graph = helper.make_graph(
            self._nodes,
            "everfresh",
            [helper.make_tensor_value_info(self.input, TensorProto.DOUBLE, ["rows", self.inputs])],
            [helper.make_tensor_value_info("answer", TensorProto.DOUBLE, ["rows", None])],
            self._constants,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="everfresh")
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content
