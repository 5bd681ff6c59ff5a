"""Import of ONNX files: linear chains of two-dimensional convolutions, dense layers and pooling, float or QDQ."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from axft_host.nn.graph import Calibration, Compensation, FloatNetwork
from axft_host.nn.onnx_chain import Chain, Node
from axft_host.nn.onnx_constants import Constant
from axft_host.nn.onnx_nodes import SUPPORTED, add_node
from axft_spec.errors import AxftError, ModelError, how_to_install
from axft_spec.multipliers import Multiplier

if TYPE_CHECKING:
    import onnx

__all__ = ["CALIBRATION_KEY", "COMPENSATION_KEY", "INPUT_KEY", "import_onnx"]

#: Metadata: ``{"mean": [...], "std": [...], "pixel_scale": 255}``.
INPUT_KEY = "axft.input"
#: Metadata: ``{"source": "which images", "maxima": {tensor name: largest magnitude}}``.
CALIBRATION_KEY = "axft.calibration"
#: Metadata: a list of the members of `Compensation`.
COMPENSATION_KEY = "axft.compensation"

_IDENTITY = {"mean": [0.0], "std": [1.0]}
#: Before opset 7, operators had other attributes.
_OLDEST_OPSET = 7
#: What onnx and numpy raise on a file that can be parsed, but holds nonsense.
_BROKEN = (ValueError, TypeError, LookupError, AttributeError, OverflowError, MemoryError)
#: Quantisation of 16 bits came from onnxruntime before it came to ONNX.
_DOMAINS = {"": None, "ai.onnx": None, "com.microsoft": ("QuantizeLinear", "DequantizeLinear")}


def import_onnx(
    path: str | os.PathLike[str],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> FloatNetwork:
    """Read an ONNX file.

    Parameters
    ----------
    path : path
    mean, std : sequence of float or None
        Input normalisation, one value for all channels or one per channel, instead of what the file's metadata
        say; see `FloatNetwork.renormalised`. Without either, pixels are divided by 255 and no more.

    Returns
    -------
    FloatNetwork

    Raises
    ------
    ModelError
        If onnx is not installed, the file is damaged or incomplete, or the network has an operator or a form that
        is not supported; the message names the node.
    """
    source = Path(path)
    model, digest = _read(source)
    try:
        return _convert(model, digest, source.stem).renormalised(mean, std)
    except AxftError as error:
        raise ModelError(f"{source}: {error}") from error
    except _BROKEN as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelError(f"{source} is damaged, its parts do not fit together ({reason})") from error


def _read(source: Path) -> tuple[onnx.ModelProto, str]:
    """Return a file's content, external data included, and its SHA-256 (hex)."""
    try:
        import onnx
        from onnx import external_data_helper
    except ImportError as error:
        raise ModelError(f"reading ONNX files needs the package onnx; {how_to_install()}, or use a .npz") from error
    # protobuf comes with onnx but without types.
    decode_error: type[Exception] = import_module("google.protobuf.message").DecodeError
    try:
        content = source.read_bytes()
        model = onnx.load_model_from_string(content)
    except FileNotFoundError as error:
        raise ModelError(f"{source} does not exist") from error
    except OSError as error:
        raise ModelError(f"cannot read {source}: {error}") from error
    except (decode_error, ValueError) as error:
        raise ModelError(f"{source} is not an ONNX file, or is damaged: {error}") from error
    if not model.graph.node:
        raise ModelError(f"{source} is not an ONNX file, or is damaged: it has no nodes")
    external = any(external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)
    try:
        if external:
            external_data_helper.load_external_data_for_model(model, str(source.parent))
            content = model.SerializeToString(deterministic=True)
        _check_operators(model)
        for output in model.graph.output:
            # The checker wants a shape, which files often leave out, and which nothing here depends on.
            output.type.tensor_type.shape.SetInParent()
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, OSError, ValueError, RuntimeError) as error:
        what = "its external data" if external else "it"
        raise ModelError(f"{source}: {what} cannot be used: {str(error).strip().splitlines()[0]}") from error
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from error
    return model, hashlib.sha256(content).hexdigest()


def _check_operators(model: onnx.ModelProto) -> None:
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version < _OLDEST_OPSET:
            raise ModelError(f"opset must be at least {_OLDEST_OPSET}, not {opset.version}; export it anew")
    for index, node in enumerate(model.graph.node):
        allowed = _DOMAINS.get(node.domain, ())
        if node.op_type not in SUPPORTED or (allowed is not None and node.op_type not in allowed):
            domain = f"{node.domain}." if node.domain else ""
            raise ModelError(
                f"node {_node_name(node, index)!r} has the operator {domain}{node.op_type}, which is not supported; "
                f"supported: {', '.join(SUPPORTED)}"
            )


def _node_name(node: onnx.NodeProto, index: int) -> str:
    return node.name or next(filter(None, node.output), f"{node.op_type}_{index}")


def _convert(model: onnx.ModelProto, digest: str, name: str) -> FloatNetwork:
    from onnx import numpy_helper

    graph = model.graph
    constants = {t.name: Constant(value=np.asarray(numpy_helper.to_array(t))) for t in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ModelError(f"a network must have one input and one output, not {len(inputs)} and {len(graph.output)}")
    shape = _input_shape(inputs[0])
    # A network of vectors takes images of one row.
    image_shape = shape if len(shape) == 3 else (1, 1, shape[0])
    chain = Chain(constants, inputs[0].name, image_shape)
    if len(shape) == 1:
        chain.reshape("flatten", shape)
        chain.tensors.append([inputs[0].name])
    for index, node in _needed(graph):
        add_node(chain, _plain(node, index))
    if chain.tensor != graph.output[0].name:
        raise ModelError(f"the output {graph.output[0].name!r} must be that of the last node, not another one")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return FloatNetwork(
        name=name,
        ops=tuple(chain.ops),
        input_shape=(image_shape[0], image_shape[1], image_shape[2]),
        calibration=_calibration(metadata, chain),
        compensations=_compensations(metadata),
        source_digest=digest,
        notices=tuple(chain.notices),
        **_normalisation(metadata, image_shape[0]),
    )


def _input_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the input's shape for one image."""
    sizes = [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]
    if len(sizes) not in (2, 4) or None in sizes[1:]:
        names = [dim.dim_param or dim.dim_value or "?" for dim in value.type.tensor_type.shape.dim]
        raise ModelError(
            f"the input {value.name!r} must have the shape (images, channels, height, width) or (images, n), with all "
            f"sizes but the first fixed, not ({', '.join(str(size) for size in names)})"
        )
    return tuple(size for size in sizes[1:] if size is not None)


def _needed(graph: onnx.GraphProto) -> list[tuple[int, onnx.NodeProto]]:
    """Return the nodes that the output depends on, in order, with their numbers."""
    wanted = {graph.output[0].name}
    needed = []
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if wanted.intersection(node.output):
            wanted.update(node.input)
            needed.append((index, node))
    return needed[::-1]


def _plain(node: onnx.NodeProto, index: int) -> Node:
    import onnx
    from onnx import numpy_helper

    attributes: dict[str, Any] = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        is_tensor = isinstance(value, onnx.TensorProto)
        attributes[attribute.name] = np.asarray(numpy_helper.to_array(value)) if is_tensor else value
    return Node(
        name=_node_name(node, index),
        op_type=node.op_type,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes=attributes,
    )


def _metadata(metadata: dict[str, str], key: str) -> Any:
    try:
        return json.loads(metadata[key]) if key in metadata else None
    except ValueError as error:
        raise ModelError(f"metadata {key} must be JSON: {error}") from error


def _normalisation(metadata: dict[str, str], channels: int) -> dict[str, Any]:
    value = _metadata(metadata, INPUT_KEY) or {}
    try:
        scale = float(value.get("pixel_scale", 255.0))
        means, stds = ([float(x) for x in value.get(key, default)] for key, default in _IDENTITY.items())
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"metadata {INPUT_KEY} must hold numbers: {error}") from error
    return {
        "input_mean": tuple(means * channels if len(means) == 1 else means),
        "input_std": tuple(stds * channels if len(stds) == 1 else stds),
        "pixel_scale": scale,
    }


def _calibration(metadata: dict[str, str], chain: Chain) -> Calibration | None:
    value = _metadata(metadata, CALIBRATION_KEY)
    if value is None:
        return None
    try:
        known = {str(name): float(maximum) for name, maximum in value["maxima"].items()}
        source = str(value["source"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"metadata {CALIBRATION_KEY} must have source and maxima: {error!r}") from error
    if not all(np.isfinite(maximum) and maximum >= 0 for maximum in known.values()):
        raise ModelError(f"the maxima of {CALIBRATION_KEY} must be finite and not negative")
    return Calibration(
        source=source,
        maxima=tuple(next((known[n] for n in names if n in known), None) for names in chain.tensors),
    )


def _compensations(metadata: dict[str, str]) -> tuple[Compensation, ...]:
    try:
        return tuple(
            Compensation(
                width=table["width"],
                multiplier=Multiplier.from_json(table["multiplier"]),
                operand_a=table["operand_a"],
                rounding=table["rounding"],
                corrections=tuple(np.asarray(part, dtype=np.int64) for part in table["corrections"]),
            )
            for table in _metadata(metadata, COMPENSATION_KEY) or ()
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"metadata {COMPENSATION_KEY} is not what it should be: {error!r}") from error
