"""Networks by name or by file: shipped ones, ONNX files, float networks and compiled networks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axft_host.nn import graph
from axft_host.nn.archive import read_archive
from axft_host.nn.graph import FloatNetwork
from axft_host.nn.network import Network
from axft_host.nn.onnx_import import import_onnx
from axft_host.nn.quantise import ROUNDINGS, check_rounding, quantise
from axft_spec.config import ArrayConfig
from axft_spec.errors import ModelError, unknown_name

__all__ = ["DEFAULT_MODEL", "SHIPPED", "load_float_network", "load_network_file", "shipped_path"]

#: The networks that come with the package.
SHIPPED = {"lenet5": "LeNet-5 for MNIST: two convolutions and three dense layers, with ReLU and max pooling"}

DEFAULT_MODEL = "lenet5"


def shipped_path(name: str) -> Path:
    """Return the file of a shipped network; it has a calibration and corrections for the presets' multipliers.

    Raises
    ------
    ModelError
        If there is no such network.
    """
    if name not in SHIPPED:
        raise ModelError(unknown_name("model", name, SHIPPED))
    return Path(__file__).parent / "data" / f"{name}.npz"


def load_float_network(
    path_or_name: str | os.PathLike[str],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> FloatNetwork:
    """Return a network before quantisation.

    Parameters
    ----------
    path_or_name : str or path
        The name of a shipped network, an ``.onnx`` file or the ``.npz`` file of a float network.
    mean, std : sequence of float or None
        Input normalisation instead of the network's own; see `import_onnx`.

    Raises
    ------
    ModelError
        If there is no such network, or its file cannot be used.
    """
    network = _load(path_or_name, mean, std)
    if isinstance(network, Network):
        raise ModelError(f"{path_or_name} is compiled already; give the network it was compiled from")
    return network


def load_network_file(
    path_or_name: str | os.PathLike[str],
    config: ArrayConfig,
    *,
    rounding: str | None = None,
    compensate: bool | None = None,
    calibration: NDArray[np.uint8] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> tuple[Network, FloatNetwork | None]:
    """Return a network ready for a configuration, compiled if need be.

    Parameters
    ----------
    path_or_name : str or path
        The name of a shipped network, an ``.onnx`` file, or the ``.npz`` file of a float or of a compiled network.
    config : ArrayConfig
        The array's size does not matter.
    rounding, compensate : str or None, bool or None
        See `quantise`; None is the default (``multiplier``, False), and whatever a compiled network has.
    calibration : ndarray of uint8, shape (n, channels, height, width), or None
        See `quantise`.
    mean, std : sequence of float or None
        See `import_onnx`.

    Returns
    -------
    network : Network
    source : FloatNetwork or None
        What it was compiled from; None if it was compiled before.

    Raises
    ------
    ModelError
        If there is no such network, its file cannot be used, or it was compiled for something else.
    """
    if rounding is not None:
        check_rounding(rounding)
    source = _load(path_or_name, mean, std)
    if isinstance(source, Network):
        if calibration is not None:
            raise ModelError(f"{path_or_name} is compiled already; calibration data would have no effect")
        _check_compiled(str(path_or_name), source, config, rounding, compensate)
        return source, None
    network = quantise(
        source,
        config,
        rounding=rounding or ROUNDINGS[0],
        compensate=bool(compensate),
        calibration=calibration,
    )
    return network, source


def _load(
    path_or_name: str | os.PathLike[str], mean: Sequence[float] | None, std: Sequence[float] | None
) -> FloatNetwork | Network:
    path = Path(path_or_name)
    if isinstance(path_or_name, str) and path_or_name in SHIPPED:
        path = shipped_path(path_or_name)
    elif path.suffix == "" and not path.exists():
        raise ModelError(
            unknown_name("model", str(path_or_name), SHIPPED) + "; or give a file that ends in .onnx or .npz"
        )
    if path.suffix == ".onnx":
        return import_onnx(path, mean=mean, std=std)
    if path.suffix != ".npz":
        raise ModelError(f"a model file must end in .onnx or .npz, not be called {path.name!r}")
    archive = read_archive(path)
    if archive.kind != graph.KIND:
        network = Network.from_archive(archive, str(path))
        if mean is not None or std is not None:
            raise ModelError(f"{path} is compiled already; mean and std would have no effect")
        return network
    return FloatNetwork.from_archive(archive, str(path)).renormalised(mean, std)


def _switch(value: bool) -> str:
    return "on" if value else "off"


def _check_compiled(
    path: str, network: Network, config: ArrayConfig, rounding: str | None, compensate: bool | None
) -> None:
    """Refuse a compiled network that was compiled for something else than is wanted."""
    has, wants = network.config.multiplier, config.multiplier
    compensated = network.compensated
    pairs = (
        ("width", network.width, config.width),
        ("multiplier", replace(has, name=""), replace(wants, name="")),
        ("operand A", network.operand_a, config.operand_a),
        ("rounding", network.rounding, rounding or network.rounding),
        ("compensation", _switch(compensated), _switch(compensated if compensate is None else compensate)),
    )
    for what, own, wanted in pairs:
        if own != wanted:
            names = (has.name, wants.name) if what == "multiplier" else (own, wanted)
            raise ModelError(f"{path} was compiled for {what} {names[0]}, not {names[1]}; compile the network again")
