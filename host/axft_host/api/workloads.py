"""Networks, images and backends by the names that the command line takes, and what an array does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axft_host.api.config import Config, PathOrName, as_config
from axft_host.api.keywords import by_keywords
from axft_host.backends.base import Backend
from axft_host.backends.registry import Board
from axft_host.backends.registry import open_backend as open_board
from axft_host.campaign.infer import Inference
from axft_host.campaign.infer import infer as infer_prepared
from axft_host.campaign.workload import prepare, prepare_network
from axft_host.nn.datasets import Dataset, load_dataset
from axft_host.nn.inference import plain_gemm, run_network
from axft_host.nn.network import Network
from axft_spec.errors import check_int
from axft_spec.schedule import Schedule, tile_count, tiles

__all__ = ["TileOperands", "infer", "load_images", "load_network", "open_backend", "schedule", "tile_operands"]

Int64 = NDArray[np.int64]


@by_keywords
def load_network(
    config: Config | str | None,
    model: PathOrName | None = None,
    *,
    calibration: PathOrName | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Network:
    """Return a network as integers, compiled for a configuration if it is not yet.

    Parameters
    ----------
    config : Config, str or None
        A configuration or its name; None for what a compiled network has.
    model, calibration, mean, std
        As for `Config.options`.

    Raises
    ------
    AxftError
        If there is no such network, or it cannot be compiled; the message says what is allowed.

    Examples
    --------
    >>> load_network("34P").multiplying_layers[0].weights.shape
    (6, 1, 5, 5)
    """
    options = as_config(config).options(model=model, calibration=calibration, mean=mean, std=std)
    return prepare_network(options).network


@by_keywords
def load_images(data: PathOrName | None = None, images: int | None = None) -> Dataset:
    """Return labelled images.

    Parameters
    ----------
    data : str or path, optional
        As for `Config.options`.
    images : int, optional
        How many of the first; all by default.

    Raises
    ------
    DataError
        If there are none.
    """
    found = load_dataset(None if data is None else str(data))
    return found if images is None else found.take(images)


@by_keywords
def open_backend(board: str = "emu", *, physical: str | None = None, bitstream: str | Path | None = None) -> Backend:
    """Open a backend; ``close()`` lets go of a board.

    Parameters
    ----------
    board : str
        As ``--board``: ``emu``, ``rtl``, ``pynq`` or ``link:URL``.
    physical : str, optional
        The device's array, as in ``8x8``; as large as the logical one, or that of the bitstream, by default.
    bitstream : str or path, optional
        What board ``pynq`` loads; the one for the configuration by default.

    Raises
    ------
    BackendError
        If there is no such board; the message lists them.
    """
    return open_board(Board.parse(board, physical, bitstream))


@by_keywords
def infer(
    config: Config | str | None,
    *,
    model: PathOrName | None = None,
    data: PathOrName | None = None,
    images: int | None = None,
    calibration: PathOrName | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    board: str = "emu",
    physical: str | None = None,
    bitstream: str | Path | None = None,
) -> Inference:
    """Run labelled images through the array without a fault; return the accuracy, and that of the float network.

    Parameters
    ----------
    config : Config, str or None
    model, data, images, calibration, mean, std
        As for `Config.options`.
    board, physical, bitstream
        As for `open_backend`.
    """
    where = Board.parse(board, physical, bitstream)
    open_board(where)
    options = as_config(config).options(
        model=model, data=data, images=images, calibration=calibration, mean=mean, std=std
    )
    return infer_prepared(prepare(options), where)


@by_keywords
def schedule(config: Config | str | None, model: PathOrName | None = None) -> pd.DataFrame:
    """Return how the layers of a network run on the array: one row per layer that multiplies.

    Parameters
    ----------
    config : Config, str or None
    model : str or path, optional

    Returns
    -------
    DataFrame
        `layer`, `name`; `gemms` matrix products of shape (`m`, `k`) x (`k`, `n`) per image; `tiles` and `cycles` of all
        of them; `busy`, the share of PEs in a mean cycle that accumulate.
    """
    chosen = as_config(config)
    made = prepare_network(chosen.options(model=model))
    rows, cols = made.config.rows, made.config.cols
    plan = Schedule.of(made.network.gemms(chosen.lowering), rows, cols)
    table = []
    for number, (op, layer) in enumerate(zip(made.network.multiplying_layers, plan.layers, strict=True)):
        shape = layer.shape
        cycles = Schedule(rows=rows, cols=cols, layers=(layer,)).cycles
        table.append(
            {
                "layer": number,
                "name": op.name,
                "gemms": layer.gemms,
                "m": shape.m,
                "k": shape.k,
                "n": shape.n,
                "tiles": layer.gemms * tile_count(shape, rows, cols),
                "cycles": cycles,
                "busy": layer.gemms * shape.m * shape.k * shape.n / (cycles * rows * cols),
            }
        )
    return pd.DataFrame(table)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileOperands:
    """What one tile of a network multiplies.

    Members
    -------
    layer, gemm, tile : int
    name : str
        Of the layer.
    activations : ndarray of int64, shape (tile rows, k)
    weights : ndarray of int64, shape (k, tile columns)
    """

    layer: int
    gemm: int
    tile: int
    name: str
    activations: Int64
    weights: Int64


@by_keywords
def tile_operands(
    config: Config | str | None,
    *,
    layer: int = 0,
    gemm: int = 0,
    tile: int = 0,
    image: int = 0,
    model: PathOrName | None = None,
    data: PathOrName | None = None,
) -> TileOperands:
    """Return the operands of one tile of a network's run without faults, to be seen with `trace`.

    Parameters
    ----------
    config : Config, str or None
    layer, gemm, tile : int
        Layers are numbered over those that multiply; GEMMs within their layer, tiles within their GEMM.
    image : int
        Its index in the data.
    model, data
        As for `Config.options`.

    Raises
    ------
    ConfigError
        If there is no such layer, GEMM, tile or image; the message says how many there are.
    """
    chosen = as_config(config)
    check_int("image", image, 0)
    prepared = prepare(chosen.options(model=model, data=data, images=image + 1))
    network, array = prepared.workload.network, prepared.workload.config
    layers = network.gemms(chosen.lowering)
    count, shape = layers[check_int("layer", layer, 0, len(layers) - 1)]
    check_int("gemm", gemm, 0, count - 1)
    check_int("tile", tile, 0, tile_count(shape, array.rows, array.cols) - 1)
    place = next(one for one in tiles(shape, array.rows, array.cols) if one.index == tile)
    found: dict[str, Int64] = {}
    multiply = plain_gemm(network)

    def watch(number: int, index: int, activations: Int64, weights: Int64) -> Int64:
        if (number, index) == (layer, gemm):
            found["activations"] = activations[0, place.row0 : place.row0 + place.rows].copy()
            found["weights"] = weights[:, place.col0 : place.col0 + place.cols].copy()
        return multiply(number, index, activations, weights)

    operands = network.quantise_images(prepared.workload.images[[image]])
    run_network(network, operands, watch, lowering=chosen.lowering)
    return TileOperands(layer=layer, gemm=gemm, tile=tile, name=network.multiplying_layers[layer].name, **found)
