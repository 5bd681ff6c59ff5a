"""The golden run of some images, and the memory that faulty runs of them need."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.tables import Tables

__all__ = ["SLACK", "Golden", "Scratch", "make_scratch"]

Array = NDArray[Any]

#: Elements that vector operations may read or write behind an array.
SLACK = 160


class Golden(NamedTuple):
    """The golden run of some images, one after the other; see `tables` for the layouts."""

    values: Array
    sums: Array
    outputs: Array


class Scratch(NamedTuple):
    """What one run needs while it runs.

    Members
    -------
    line_sums, line_outputs : ndarray
        Those of the images in hand; see `tables`.
    values, sums : ndarray
        The faulty counterparts of one image's golden ones, valid only where something reached them.
    places, channels, ys, xs, old, new : ndarray
        The changed operands of a layer: where in the values, where in the planes, and what they are.
    box : ndarray of int64, shape (4,)
        First and last row, first and last column of the positions reached.
    fresh : ndarray of int32, shape (16,)
        New outputs.
    lanes, kept : ndarray
        Vectors of 8 that are being worked on.
    plane, row_sums, taps, ends, lists, reached, boxes : ndarray
        What `lines` uses: sums of operands, and the taps whose weights a fault changes, by layer and output.
    masks, targets, differences, listed, stamps : ndarray
        What `replay` uses: differences by their place in a layer's sums.
    """

    line_sums: Array
    line_outputs: Array
    values: Array
    sums: Array
    places: Array
    channels: Array
    ys: Array
    xs: Array
    old: Array
    new: Array
    box: Array
    fresh: Array
    lanes: Array
    kept: Array
    plane: Array
    row_sums: Array
    taps: Array
    ends: Array
    lists: Array
    reached: Array
    boxes: Array
    masks: Array
    targets: Array
    differences: Array
    listed: Array
    stamps: Array


def make_scratch(t: Tables, images: int) -> Scratch:
    """Return scratch memory for one network and so many images at a time."""
    values, sums, _, line_sums, line_outputs = (int(size) for size in t.sizes)
    kind, layers, setup = t.bias.dtype, t.layers, t.setup[0]
    most = int((layers["height"] * layers["width"] * layers["channels"]).max())
    listed = int(max((layers["inputs"] * layers["plane"]).max(), most))
    replayed = layers["height"] * layers["width"] * layers["channels"] * layers["group_inputs"] ** layers["toeplitz"]
    bits = int(setup["width"])
    slots = layers["groups"] * -(-layers["group_outputs"] // setup["cols"]) * (layers["toeplitz"] == 0)
    taps = int((slots * layers["group_inputs"] * layers["kernel_y"] * layers["kernel_x"]).sum())
    rows = int((layers["plane"] // layers["row"]).max())

    def zeros(size: int, dtype: Any) -> Array:
        return np.zeros(size + SLACK, dtype=dtype)

    return Scratch(
        line_sums=zeros(images * line_sums, kind),
        line_outputs=zeros(images * line_outputs, np.int16),
        values=zeros(values, np.int16),
        sums=zeros(sums, kind),
        places=zeros(listed, np.int32),
        channels=zeros(listed, np.int32),
        ys=zeros(listed, np.int32),
        xs=zeros(listed, np.int32),
        old=zeros(listed, np.int32),
        new=zeros(listed, np.int32),
        box=np.zeros(4, dtype=np.int64),
        fresh=np.zeros(16, dtype=np.int32),
        lanes=np.zeros(8, dtype=kind),
        kept=np.zeros(8, dtype=kind),
        plane=zeros(int(layers["plane"].max()), np.int32),
        row_sums=np.zeros(rows, dtype=np.int64),
        taps=zeros(bits * taps, np.int32),
        ends=np.zeros(2 * bits * int(slots.sum()) + 1, dtype=np.int64),
        lists=np.zeros(len(layers), dtype=np.int64),
        reached=np.zeros(len(layers), dtype=np.int64),
        boxes=np.zeros((len(layers), 4), dtype=np.int64),
        masks=np.zeros(8, dtype=np.int64),
        targets=np.zeros(int(replayed.max()), dtype=np.int32),
        differences=np.zeros(int(replayed.max()), dtype=np.int64),
        listed=np.zeros(1, dtype=np.int64),
        stamps=np.zeros(int(setup["rows"] * setup["cols"]) + 1, dtype=np.int64),
    )
