"""ONNX models made for a test, and what onnxruntime makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
IR_VERSION = 9


def node(op_type: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node named ``n_<output>``; `inputs` are separated by spaces, ``-`` is one left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op_type, names, [output], name=f"n_{output}", **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Any],
    shape: Sequence[int | str],
    *,
    output: str | None = None,
    opset: int = OPSET,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """Return a model with one input ``x`` of any number of images, and one output: that of the last node."""
    tensors = [
        numpy_helper.from_array(value if isinstance(value, np.ndarray) else np.asarray(value, np.float32), name)
        for name, value in constants.items()
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])]
    outputs = [helper.make_tensor_value_info(output or nodes[-1].output[0], TensorProto.FLOAT, None)]
    graph = helper.make_graph(list(nodes), "test", inputs, outputs, tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = IR_VERSION
    helper.set_model_props(made, dict(metadata or {}))
    return made


def write(made: onnx.ModelProto, path: Path) -> Path:
    """Write a model and return its path."""
    path.write_bytes(made.SerializeToString())
    return path


def onnxruntime_output(path: Path, values: np.ndarray) -> np.ndarray:
    """Return the output for float32 values, unoptimised: the operators as they stand."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what it refuses is an exception all the same
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: values.astype(np.float32)})[0])
