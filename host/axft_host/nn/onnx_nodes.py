"""What every node of an ONNX graph adds to the chain of float operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.float_ops import AveragePool, Conv, Dense, FakeQuantise, MaxPool, Relu
from axft_host.nn.onnx_chain import Chain, Data, Input, Node
from axft_host.nn.onnx_constants import FOLDED, Constant, fold, integer_range
from axft_host.nn.onnx_geometry import find_windows
from axft_host.nn.shapes import Shape
from axft_spec.errors import AxftError, ModelError
from axft_spec.lowering import ConvShape

__all__ = ["SUPPORTED", "add_node"]

#: Ends the message about windows that ONNX defines and onnxruntime lays elsewhere.
_AMBIGUOUS = "is not supported, because programs disagree about it; give pads instead"

Float64 = NDArray[np.float64]


def add_node(chain: Chain, node: Node) -> None:
    """Let a chain take in the next node.

    Raises
    ------
    ModelError
        If it cannot; the message names the node.
    """
    try:
        _add(chain, node)
    except AxftError as error:
        raise ModelError(f"node {node.name!r} ({node.op_type}): {error}") from error


def _add(chain: Chain, node: Node) -> None:
    inputs = [chain.input(name) for name in node.inputs]
    known = [value for value in inputs if isinstance(value, Constant)]
    if node.op_type == "Constant":
        chain.constants[node.outputs[0]] = Constant(value=_constant_value(node.attributes))
    elif node.op_type == "Shape":
        chain.constants[node.outputs[0]] = _shape_of(chain, inputs[0], node.attributes)
    elif not any(isinstance(value, Data) for value in inputs):
        if node.op_type not in FOLDED:
            raise ModelError("it must have an input that depends on the image")
        chain.constants[node.outputs[0]] = fold(node.op_type, known, node.attributes)
    elif node.op_type not in _HANDLERS:
        raise ModelError("it is supported for constants alone")
    elif node.op_type != "Add" and not isinstance(inputs[0], Data):
        raise ModelError("its first input must be the value that depends on the image")
    else:
        chain.accept(node, partial(_HANDLERS[node.op_type], chain, node, inputs))


def _shape_of(chain: Chain, source: Input, attributes: Mapping[str, Any]) -> Constant:
    # -1, which a Reshape infers, stands for any number of images.
    shape: Shape = source.value.shape if isinstance(source, Constant) else (-1, *chain.view)
    part = slice(attributes.get("start", 0), attributes.get("end"))
    return Constant(value=np.array(shape, dtype=np.int64)[part])


def _constant_value(attributes: Mapping[str, Any]) -> NDArray[Any]:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in attributes:
            return np.asarray(attributes[name])
    raise ModelError(f"only numbers are supported, not {', '.join(attributes) or 'an empty constant'}")


def _constant(inputs: list[Input], index: int, what: str) -> Constant | None:
    """Return an input that must not depend on the image, or None if it is left out."""
    value = inputs[index] if index < len(inputs) else None
    if isinstance(value, Data):
        raise ModelError(f"its {what} must be constant")
    return value


def _required(inputs: list[Input], index: int, what: str) -> Constant:
    value = _constant(inputs, index, what)
    if value is None:
        raise ModelError(f"its {what} are missing")
    if not np.all(np.isfinite(value.value.astype(np.float64))):
        raise ModelError(f"its {what} are not all finite numbers")
    return value


def _vector(constant: Constant, size: int, what: str) -> Float64:
    """Return a constant as one float64 per output."""
    values = constant.value.astype(np.float64).reshape(-1)
    if values.size not in (1, size):
        raise ModelError(f"its {what} must have {size} elements, not {values.size}")
    if not np.all(np.isfinite(values)):
        raise ModelError(f"its {what} are not all finite numbers")
    return np.broadcast_to(values, (size,)).copy()


def _weight_scales(chain: Chain, node: Node, weights: Constant, axis: int) -> Float64 | None:
    scales = weights.scales_along(axis)
    if weights.dequantised and scales is None:
        chain.notices.append(
            f"{node.name}: its weights are not symmetric 8-bit integers per tensor or output channel, and are "
            "quantised anew"
        )
    return scales


def _conv(chain: Chain, node: Node, inputs: list[Input]) -> None:
    weights = _required(inputs, 1, "weights")
    value = weights.value.astype(np.float64)
    if value.ndim != 4:
        raise ModelError(f"only two-dimensional convolutions are supported, not weights of shape {value.shape}")
    channels, height, width = chain.map_shape()
    windows = find_windows(node.attributes, (height, width), (value.shape[2], value.shape[3]))
    shape = ConvShape(
        in_channels=channels,
        height=height,
        width=width,
        out_channels=value.shape[0],
        kernel=windows.kernel,
        strides=windows.strides,
        pads=windows.pads,
        dilations=windows.dilations,
        groups=int(node.attributes.get("group", 1)),
    )
    bias = _constant(inputs, 2, "bias") or Constant(value=np.zeros(1))
    chain.emit(
        Conv(
            name=node.name,
            shape=shape,
            weights=value,
            bias=_vector(bias, value.shape[0], "biases"),
            weight_scales=_weight_scales(chain, node, weights, 0),
        )
    )


def _gemm(chain: Chain, node: Node, inputs: list[Input]) -> None:
    if node.attributes.get("transA", 0):
        raise ModelError("transA is not supported where it turns the images' axis; images must come first")
    alpha, beta = float(node.attributes.get("alpha", 1.0)), float(node.attributes.get("beta", 1.0))
    weights = _required(inputs, 1, "weights")
    bias = _constant(inputs, 2, "bias") or Constant(value=np.zeros(1))
    _dense(chain, node, weights, bool(node.attributes.get("transB", 0)), (alpha, beta), bias)


def _matmul(chain: Chain, node: Node, inputs: list[Input]) -> None:
    _dense(chain, node, _required(inputs, 1, "weights"), False, (1.0, 1.0), Constant(value=np.zeros(1)))


def _dense(
    chain: Chain, node: Node, weights: Constant, transposed: bool, factors: tuple[float, float], bias: Constant
) -> None:
    value = weights.value.astype(np.float64)
    if value.ndim != 2:
        raise ModelError(f"its weights must be a matrix, not of shape {value.shape}")
    scales = _weight_scales(chain, node, weights, 0 if transposed else 1)
    matrix = factors[0] * (value if transposed else value.T)
    chain.emit(
        Dense(
            name=node.name,
            weights=matrix,
            bias=factors[1] * _vector(bias, len(matrix), "biases"),
            weight_scales=scales * factors[0] if scales is not None and factors[0] > 0 else None,
        )
    )


def _add_bias(chain: Chain, node: Node, inputs: list[Input]) -> None:
    constant = next((value for value in inputs if isinstance(value, Constant)), None)
    if constant is None or len(inputs) != 2:
        raise ModelError("only the addition of a constant bias is supported, no branches")
    layer = chain.last_layer()
    outputs, ndim = len(layer.bias), 4 if isinstance(layer, Conv) else 2
    given = (1,) * (ndim - constant.value.ndim) + constant.value.shape
    if len(given) != ndim or given not in ((1, outputs) + (1,) * (ndim - 2), (1,) * ndim):
        raise ModelError(f"a bias must have one value per output ({outputs}), not the shape {constant.value.shape}")
    chain.replace_last(replace(layer, bias=layer.bias + _vector(constant, outputs, "biases")))


def _batch_normalization(chain: Chain, node: Node, inputs: list[Input]) -> None:
    if node.attributes.get("training_mode", 0):
        raise ModelError("it is in training mode; export the network for inference")
    layer = chain.last_layer()
    outputs = len(layer.bias)
    names = ("scales", "biases", "means", "variances")
    scale, bias, mean, variance = (
        _vector(_required(inputs, index, name), outputs, name) for index, name in enumerate(names, start=1)
    )
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    if not np.all(np.isfinite(factor)):
        raise ModelError("its variances must not be negative")
    own = layer.weight_scales
    chain.replace_last(
        replace(
            layer,
            weights=layer.weights * factor.reshape(-1, *(1,) * (layer.weights.ndim - 1)),
            bias=(layer.bias - mean) * factor + bias,
            weight_scales=own * factor if own is not None and np.all(factor > 0) else None,
        )
    )


def _relu(chain: Chain, node: Node, inputs: list[Input]) -> None:
    chain.emit(Relu(name=node.name))


def _kernel(node: Node) -> tuple[int, int]:
    kernel = tuple(int(size) for size in node.attributes.get("kernel_shape", ()))
    if len(kernel) != 2 or min(kernel) < 1:
        raise ModelError(f"kernel_shape must be two positive numbers (two-dimensional pooling only), not {kernel}")
    return kernel[0], kernel[1]


def _max_pool(chain: Chain, node: Node, inputs: list[Input]) -> None:
    _, height, width = chain.map_shape()
    windows = find_windows(node.attributes, (height, width), _kernel(node))
    if windows.same and windows.dilations != (1, 1):
        raise ModelError(f"auto_pad={windows.auto_pad} with dilations {windows.dilations} {_AMBIGUOUS}")
    chain.emit(
        MaxPool(
            name=node.name,
            kernel=windows.kernel,
            strides=windows.strides,
            pads=windows.pads,
            dilations=windows.dilations,
            out_size=windows.out_size,
        )
    )


def _average_pool(chain: Chain, node: Node, inputs: list[Input]) -> None:
    _, height, width = chain.map_shape()
    windows = find_windows(node.attributes, (height, width), _kernel(node))
    if windows.dilations != (1, 1):
        raise ModelError("an average pooling with dilations is not supported")
    if windows.same and any(s > k for s, k in zip(windows.strides, windows.kernel, strict=True)):
        what = f"strides {windows.strides} larger than the kernel {windows.kernel}"
        raise ModelError(f"auto_pad={windows.auto_pad} with {what} {_AMBIGUOUS}")
    divisors = windows.divisors(bool(node.attributes.get("count_include_pad", 0)))
    if divisors.min() < 1:
        raise ModelError("a window lies on padding alone")
    chain.emit(
        AveragePool(
            name=node.name,
            kernel=windows.kernel,
            strides=windows.strides,
            pads=windows.pads,
            out_size=windows.out_size,
            divisors=divisors,
        )
    )


def _global_average_pool(chain: Chain, node: Node, inputs: list[Input]) -> None:
    _, height, width = chain.map_shape()
    chain.emit(
        AveragePool(
            name=node.name,
            kernel=(height, width),
            strides=(1, 1),
            pads=(0, 0, 0, 0),
            out_size=(1, 1),
            divisors=np.array([[height * width]]),
        )
    )


def _axes(inputs: list[Input], attributes: Mapping[str, Any]) -> tuple[int, ...] | None:
    given = _constant(inputs, 1, "axes")
    if given is not None:
        return tuple(int(axis) for axis in given.value.reshape(-1))
    return tuple(attributes["axes"]) if "axes" in attributes else None


def _reduce_mean(chain: Chain, node: Node, inputs: list[Input]) -> None:
    channels, _, _ = chain.map_shape()
    axes = _axes(inputs, node.attributes)
    if axes is None or sorted(axis % 4 for axis in axes) != [2, 3]:
        raise ModelError(f"only the mean over height and width is supported, not over the axes {axes}")
    _global_average_pool(chain, node, inputs)
    if not node.attributes.get("keepdims", 1):
        chain.reshape(node.name, (channels,))


def _flatten(chain: Chain, node: Node, inputs: list[Input]) -> None:
    if int(node.attributes.get("axis", 1)) not in (1, -len(chain.view)):
        raise ModelError(f"axis must be 1 (one vector per image), not {node.attributes['axis']}")
    chain.reshape(node.name, (math.prod(chain.view),))


def _reshape(chain: Chain, node: Node, inputs: list[Input]) -> None:
    target = [int(size) for size in _required(inputs, 1, "sizes").value.reshape(-1)]
    size = math.prod(chain.view)
    # The images' axis: kept (0), inferred (-1), or as many as the file was exported for.
    if len(target) != 2 or target[1] not in (-1, size, 0 if len(chain.view) == 1 else size):
        raise ModelError(f"only a reshape to one vector of {size} per image is supported, not to {target}")
    chain.reshape(node.name, (size,))


def _squeeze(chain: Chain, node: Node, inputs: list[Input]) -> None:
    axes = _axes(inputs, node.attributes)
    ndim = len(chain.view) + 1
    dropped = {axis % ndim for axis in axes} if axes else {i + 1 for i, size in enumerate(chain.view) if size == 1}
    if any(axis == 0 or chain.view[axis - 1] != 1 for axis in dropped):
        raise ModelError(f"only axes of length 1 can be squeezed, not {axes} of {chain.view}")
    chain.reshape(node.name, tuple(size for i, size in enumerate(chain.view) if i + 1 not in dropped))


def _pass(chain: Chain, node: Node, inputs: list[Input]) -> None:
    """Leave the value as it is."""


def _dropout(chain: Chain, node: Node, inputs: list[Input]) -> None:
    training = _constant(inputs, 2, "training mode")
    if training is not None and bool(np.any(training.value)):
        raise ModelError("it is in training mode; export the network for inference")


def _softmax(chain: Chain, node: Node, inputs: list[Input]) -> None:
    if len(chain.view) != 1:
        raise ModelError(f"it needs one vector per image, not a value of shape {chain.view}")
    # Before opset 13 the default was 1, since then it is -1; of one vector per image, both are the classes.
    axis = int(node.attributes.get("axis", -1))
    if axis not in (1, -1):
        raise ModelError(f"axis must be that of the classes, 1 or -1, not {axis}")
    chain.finish(node.name)


def _quantize_linear(chain: Chain, node: Node, inputs: list[Input]) -> None:
    scale, zero = _required(inputs, 1, "scale").value, _constant(inputs, 2, "zero point")
    if scale.size != 1:
        raise ModelError("activations must be quantised with one scale per tensor")
    if zero is None and node.attributes.get("output_dtype", 0):
        raise ModelError("a zero point must be given, which also states the type")
    point = np.zeros((), dtype=np.uint8) if zero is None else zero.value
    low, high = integer_range(point.dtype)
    factor = float(scale.reshape(-1)[0])
    if not factor > 0:
        raise ModelError(f"the scale must be positive, not {factor}")
    name, zero_point = node.name, int(point.reshape(-1)[0])
    chain.wait_for_dequantise(FakeQuantise(name=name, scale=factor, zero_point=zero_point, low=low, high=high))


def _dequantize_linear(chain: Chain, node: Node, inputs: list[Input]) -> None:
    quantiser = chain.take_quantiser()
    scale, zero = _required(inputs, 1, "scale").value, _constant(inputs, 2, "zero point")
    zero_point = 0 if zero is None else int(zero.value.reshape(-1)[0])
    if scale.size != 1 or (float(scale.reshape(-1)[0]), zero_point) != (quantiser.scale, quantiser.zero_point):
        raise ModelError("scale and zero point must be those of the QuantizeLinear before it")
    chain.emit(quantiser)


_Handler = Callable[[Chain, Node, list[Input]], None]

_HANDLERS: dict[str, _Handler] = {
    "Add": _add_bias,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Conv": _conv,
    "DequantizeLinear": _dequantize_linear,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "Identity": _pass,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "QuantizeLinear": _quantize_linear,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "Squeeze": _squeeze,
}

#: Every operator that a graph may have.
SUPPORTED = tuple(sorted({*_HANDLERS, *FOLDED, "Constant", "Shape"}))
