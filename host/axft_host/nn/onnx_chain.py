"""The chain of float operations that grows while the nodes of an ONNX graph are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from axft_host.nn.float_ops import Conv, Dense, FakeQuantise, Flatten, FloatOp, float_shape
from axft_host.nn.onnx_constants import Constant
from axft_host.nn.shapes import Shape
from axft_spec.errors import ModelError

__all__ = ["Chain", "Data", "Input", "Node"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """A node of the graph, free of ONNX's own types.

    Parameters
    ----------
    name : str
    op_type : str
    inputs : tuple of str
        Names of tensors; empty where an optional input is left out.
    outputs : tuple of str
    attributes : mapping
        Numbers, bytes, lists, ndarrays.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Data:
    """What depends on the image: the end of the chain."""

    tensor: str


Input = Union[Constant, Data, None]  # noqa: UP007  # a value, on Python 3.10 too


class Chain:
    """The operations so far.

    Parameters
    ----------
    constants : mapping of str to Constant
        Initializers of the graph.
    tensor : str
        Name of the graph's input.
    shape : tuple of int
        Its shape for one image, (channels, height, width) or (n,).

    Members
    -------
    ops : list of FloatOp
    tensors : list of list of str
        For each operation the names that its output has in the graph.
    tensor : str
        Name of the last output.
    notices : list of str
    """

    def __init__(self, constants: Mapping[str, Constant], tensor: str, shape: Shape) -> None:
        self.constants = dict(constants)
        self.tensor = tensor
        self.ops: list[FloatOp] = []
        self.tensors: list[list[str]] = []
        self.notices: list[str] = []
        self._shape = shape  # of the value
        self._view = shape  # how the graph sees it: one that ends in ones is a vector for us
        self._quantiser: FakeQuantise | None = None  # a QuantizeLinear that waits for its DequantizeLinear
        self._finished = ""  # the softmax after which nothing may follow

    def accept(self, node: Node, handle: Callable[[], None]) -> None:
        """Let a node append to the chain, and move to its output."""
        if self._quantiser is not None and node.op_type != "DequantizeLinear":
            raise ModelError("a quantised value must be dequantised (QDQ form) before it is used")
        before = len(self.ops)
        if self._finished:
            # Rounded probabilities have the order of the logits, or fewer differences.
            if node.op_type not in ("QuantizeLinear", "DequantizeLinear", "Identity"):
                raise ModelError(f"nothing may follow {self._finished}, which must be the last operation")
        else:
            handle()
        self.tensor = node.outputs[0]
        if len(self.ops) == before and self.tensors:
            self.tensors[-1].append(self.tensor)
        self.tensors += [[self.tensor] for _ in self.ops[before:]]

    def input(self, name: str) -> Input:
        """Return what a node's input is; it must be known or the end of the chain."""
        if not name:
            return None
        if name in self.constants:
            return self.constants[name]
        if name == self.tensor:
            return Data(name)
        raise ModelError(
            f"its input {name!r} is not the output of the node before it; only networks without branches are supported"
        )

    def emit(self, op: FloatOp) -> None:
        """Append an operation."""
        self._shape = self._view = float_shape(op, self._view_or_fail())
        self.ops.append(op)

    def _view_or_fail(self) -> Shape:
        if self._view != self._shape:
            raise ModelError(f"a value of shape {self._view} is neither a map (channels, height, width) nor a vector")
        return self._shape

    def map_shape(self) -> tuple[int, int, int]:
        """Return channels, height and width of the value."""
        shape = self._view_or_fail()
        if len(shape) != 3:
            raise ModelError(f"it needs a map (channels, height, width), not a value of shape {shape}")
        return shape[0], shape[1], shape[2]

    def reshape(self, name: str, view: Shape) -> None:
        """See the value in another shape; a vector is a Flatten."""
        if math.prod(view) != math.prod(self._shape):
            raise ModelError(f"a value of shape {self._shape} cannot become one of shape {view}")
        self._view = view
        if len(view) == 1 and len(self._shape) != 1:
            self._shape = view
            self.ops.append(Flatten(name=name))

    @property
    def view(self) -> Shape:
        """Shape of the value for one image, as the graph sees it."""
        return self._view

    def last_layer(self) -> Conv | Dense:
        """Return the operation before, which must be a Conv or a Dense."""
        if not self.ops or not isinstance(self.ops[-1], (Conv, Dense)):
            raise ModelError("it must directly follow Conv, Gemm or MatMul")
        return self.ops[-1]

    def replace_last(self, op: FloatOp) -> None:
        """Put another operation in the place of the last one."""
        self.ops[-1] = op

    def wait_for_dequantise(self, quantiser: FakeQuantise) -> None:
        """Remember a QuantizeLinear."""
        self._quantiser = quantiser

    def take_quantiser(self) -> FakeQuantise:
        """Return the QuantizeLinear that a DequantizeLinear belongs to."""
        if self._quantiser is None:
            raise ModelError("the value it dequantises must come from a QuantizeLinear")
        quantiser, self._quantiser = self._quantiser, None
        return quantiser

    def finish(self, name: str) -> None:
        """Allow nothing after this."""
        self._finished = f"{name!r}"
