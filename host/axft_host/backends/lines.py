"""Bits of one weight line that are stuck or flip for good, the usual campaign: compiled functions.

A product is a sum over the bits of the weight, each times the operand without the bits that the multiplier leaves out
beside it; so a bit that changes in some weights changes a sum by that power of two times the sum of their operands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from axft_host.backends.faulty import FLIP, SA0, SA1, WEIGHT
from axft_host.backends.jit import inlined, njit
from axft_host.backends.lanes import (
    add_bits8,
    add_bits16,
    sum8,
    sum_taps32,
    sum_taps_short32,
    sum_taps_short128,
    sum_taps_short128_masked,
)

__all__ = ["add_line", "fill_plane", "line_sums", "power", "prepare_line", "seen"]


@inlined
def _changes(kind: Any, weight: Any, bit: Any) -> Any:
    """Return 1 if forcing a bit sets it, -1 if it clears it, 0 if it was so."""
    if (weight >> bit) & 1:
        return 0 if kind == SA1 else -1
    return 0 if kind == SA0 else 1


@inlined
def power(t: Any, bit: Any) -> Any:
    """Return what a bit of a weight is worth."""
    return -(np.int64(1) << bit) if bit == t.setup[0].width - 1 else np.int64(1) << bit


@inlined
def seen(t: Any, bit: Any) -> Any:
    """Return a mask of the bits of an operand that the multiplier takes beside a bit of the weight."""
    omitted = max(0, t.setup[0].vbreak - bit) if bit < t.setup[0].vbreak - t.setup[0].omit_activation else 0
    return -(np.int64(1) << omitted)


@inlined
def _at_row(count: Any, row: Any, rows: Any) -> Any:
    """Return how many of `count` outputs, dealt to `rows` PEs in turn, one PE makes."""
    return (count - row + rows - 1) // rows if row < count else 0


@inlined
def _list_taps(t: Any, layer: Any, w: Any, output: Any, group: Any, bit: Any, has: Any, taps: Any) -> Any:
    """List the taps of one output whose weights have a bit, or have it not; return where the list ends."""
    index = layer.weights + group * layer.group_inputs * layer.kernel_y * layer.kernel_x * layer.tap + output
    for channel in range(group * layer.group_inputs, (group + 1) * layer.group_inputs):
        for y in range(layer.kernel_y):
            place = channel * layer.plane + y * layer.dilation_y * layer.row
            for x in range(layer.kernel_x - 1, -1, -1):  # weights lie with the last column first
                w.taps[taps] = place + x * layer.dilation_x
                taps += ((t.weights[index] >> bit) & 1) == has
                index += layer.tap
    return taps


@njit
def prepare_line(t: Any, faults: Any, fault: Any, w: Any) -> Any:
    """Find out which layers a fault of a weight line reaches, where, and which weights it changes.

    Returns
    -------
    int
        Its activations in one image, which do not depend on the image.
    """
    setup = t.setup[0]
    activated, taps, lists = np.int64(0), 0, 0
    first, last, kind = faults.starts[fault], faults.starts[fault + 1], faults.kind[fault]
    site, row, col = faults.sites[first, 0], faults.sites[first, 1], faults.sites[first, 2]
    end = setup.rows if site == WEIGHT else row + 1
    w.ends[0] = 0
    for number in range(len(t.layers)):
        layer = t.layers[number]
        w.reached[number] = 0
        w.lists[number] = lists
        if row >= min(setup.rows, layer.m) or col >= min(setup.cols, layer.n):
            continue
        kernel = layer.kernel_y * layer.kernel_x
        own = _at_row(layer.m, row, setup.rows)
        for item in range(first, last):
            bit = faults.sites[item, 3]
            if bit < setup.omit_weight:
                continue
            changed = 0
            if layer.toeplitz:
                for index in range(layer.weights, layer.weights + layer.inputs * kernel * layer.tap):
                    if (index - layer.weights) % layer.tap < layer.group_outputs:
                        changed += abs(_changes(kind, t.weights[index], bit))
                zeros = layer.channels * layer.group_inputs * (layer.k - kernel)
                changed += zeros * abs(_changes(kind, 0, bit))
                w.reached[number] |= changed > 0
                changed *= _at_row(layer.n, col, setup.cols)
            else:
                for group in range(layer.groups):
                    for output in range(col, layer.group_outputs, setup.cols):
                        before = taps
                        if kind != SA1:
                            taps = _list_taps(t, layer, w, output, group, bit, 1, taps)
                        w.ends[2 * lists + 1] = taps
                        if kind != SA0:
                            taps = _list_taps(t, layer, w, output, group, bit, 0, taps)
                        w.ends[2 * lists + 2] = taps
                        lists += 1
                        changed += taps - before
                w.reached[number] |= changed > 0
            activated += own * changed
        _line_box(layer, row, end, col, setup.rows, setup.cols, w.boxes[number])
    return activated


@inlined
def _line_box(layer: Any, row: Any, end: Any, col: Any, rows: Any, cols: Any, box: Any) -> None:
    """Write the first and last row and column of the positions that a column of PEs makes, from one row to another."""
    box[0], box[1], box[2], box[3] = 0, layer.height - 1, 0, layer.width - 1
    if layer.toeplitz:
        box[0], box[2] = row, col
        if layer.height <= rows:
            box[1] = min(end, layer.height) - 1
        if layer.width <= cols:
            box[3] = col
    elif layer.width == rows:
        box[2], box[3] = row, min(end, layer.width) - 1
    elif layer.m <= rows:
        box[0], box[1] = row // layer.width, (min(end, layer.m) - 1) // layer.width


@njit
def line_sums(t: Any, golden: Any, w: Any, images: Any) -> None:
    """Lay out the golden sums and outputs of images once more, by channel."""
    for number in range(len(t.layers)):
        layer = t.layers[number]
        if layer.line < 0:
            continue
        for image in range(images):
            for channel in range(layer.channels):
                to = image * t.sizes[3] + layer.line + channel * layer.line_size
                at = image * t.sizes[1] + layer.sums + channel
                for _ in range(layer.height):
                    for x in range(layer.width):
                        w.line_sums[to + x] = golden.sums[at]
                        at += layer.lanes
                    to += layer.row
                to = image * t.sizes[4] + layer.line_outputs + channel * layer.out_height * layer.line_row
                at = image * t.sizes[2] + layer.outputs + channel
                for _ in range(layer.out_height):
                    for x in range(layer.out_width):
                        w.line_outputs[to + x] = golden.outputs[at]
                        at += layer.lanes
                    to += layer.line_row


@inlined
def fill_plane(t: Any, layer: Any, number: Any, w: Any, x: Any, x0: Any, mask: Any) -> None:
    """Write, for each position, the sum of the operands whose weights gain a bit less those whose weights lose it."""
    size, start = (layer.height - 1) * layer.row + layer.width, w.ends[2 * number]
    middle, last = w.ends[2 * number + 1], w.ends[2 * number + 2]
    w.plane[:size] = 0
    while start < last:
        sign = -1 if start < middle else 1
        end = middle if start < middle else last
        k = 0
        if t.setup[0].width > 8:
            while k < size:
                sum_taps32(w.plane, k, x, x0 + k, w.taps, start, end, mask, sign)
                k += 32
        else:
            end = min(end, start + 255)  # of so many operands the sum fits into 16 bits
            while k + 96 < size:
                if mask == -1:
                    sum_taps_short128(w.plane, k, x, x0 + k, w.taps, start, end, mask, sign)
                else:
                    sum_taps_short128_masked(w.plane, k, x, x0 + k, w.taps, start, end, mask, sign)
                k += 128
            while k < size:
                sum_taps_short32(w.plane, k, x, x0 + k, w.taps, start, end, mask, sign)
                k += 32
        start = end


@inlined
def add_line(t: Any, number: Any, faults: Any, fault: Any, w: Any, x: Any, x0: Any) -> None:
    """Add what a prepared fault changes in a layer's sums; `x`, from `x0` on, are the image's values."""
    layer, setup = t.layers[number], t.setup[0]
    row, col = faults.sites[faults.starts[fault], 1], faults.sites[faults.starts[fault], 2]
    end = setup.rows if faults.sites[faults.starts[fault], 0] == WEIGHT else row + 1
    lists = w.lists[number]
    for item in range(faults.starts[fault], faults.starts[fault + 1]):
        bit = faults.sites[item, 3]
        if bit < setup.omit_weight:
            continue
        base, mask = x0 + layer.values, seen(t, bit)
        if layer.toeplitz:
            _add_toeplitz(t, layer, faults.kind[fault], bit, row, end, col, w, x, base, mask)
            continue
        for group in range(layer.groups):
            for output in range(col, layer.group_outputs, setup.cols):
                if w.ends[2 * lists + 2] > w.ends[2 * lists]:
                    channel = group * layer.group_outputs + output
                    _add_taps(t, layer, power(t, bit), channel, row, end, lists, w, x, base, mask)
                lists += 1


@inlined
def _add_taps(
    t: Any, layer: Any, worth: Any, channel: Any, row: Any, end: Any, number: Any, w: Any, x: Any, x0: Any, mask: Any
) -> None:
    """Add the changed taps of one channel at every position that the PEs make, from row to row."""
    rows = t.setup[0].rows
    at = layer.sums + channel
    dense = layer.stride_y == 1 and layer.stride_x == 1 and layer.m > 1
    if dense:
        fill_plane(t, layer, number, w, x, x0, mask)
    first, middle, last = w.ends[2 * number], w.ends[2 * number + 1], w.ends[2 * number + 2]
    made = 0  # row of the PE that makes this position
    for out_y in range(layer.height):
        for out_x in range(layer.width):
            if row <= made < end:
                total = np.int64(0)
                if dense:
                    total = np.int64(w.plane[out_y * layer.row + out_x])
                else:
                    place = x0 + out_y * layer.stride_y * layer.row + out_x * layer.stride_x
                    for tap in range(first, middle):
                        total -= np.int64(x[place + w.taps[tap]]) & mask
                    for tap in range(middle, last):
                        total += np.int64(x[place + w.taps[tap]]) & mask
                w.sums[at] += worth * total
            at += layer.lanes
            made += 1
            if made == rows:
                made = 0


@inlined
def _add_toeplitz(  # noqa: PLR0912
    t: Any, layer: Any, kind: Any, bit: Any, row: Any, end: Any, col: Any, w: Any, x: Any, x0: Any, mask: Any
) -> None:
    """Add what a bit changes in a column of outputs: what it makes of zeros, and the rest at taps that have it."""
    rows, cols, worth = t.setup[0].rows, t.setup[0].cols, power(t, bit)
    outputs, across = layer.group_outputs, layer.width * layer.lanes
    one_tile = layer.height <= rows
    last = min(layer.height, end) if one_tile else layer.height
    for group in range(layer.groups):
        plane = x0 + group * layer.group_inputs * layer.plane
        top = layer.sums + group * outputs
        if kind != SA0:
            _row_sums(layer, row * layer.stride_y, w, x, plane, mask)
            for out_y in range(row, last):
                if one_tile or row <= out_y % rows < end:
                    total = np.int64(0)
                    for ky in range(layer.kernel_y):
                        total += w.row_sums[out_y * layer.stride_y + ky * layer.dilation_y]
                    total *= worth
                    if total:
                        for out_x in range(col, layer.width, cols):
                            for output in range(outputs):
                                w.sums[top + out_y * across + out_x * layer.lanes + output] += total
        weights = layer.weights + group * layer.group_inputs * layer.kernel_y * layer.kernel_x * layer.tap
        for out_x in range(col, layer.width, cols):
            # Row after row with the same weights: one sum need not wait for the next.
            j, at = weights, top + out_x * layer.lanes
            for channel in range(layer.group_inputs):
                for ky in range(layer.kernel_y):
                    for kx in range(layer.kernel_x):
                        place = plane + channel * layer.plane + ky * layer.dilation_y * layer.row
                        place += out_x * layer.stride_x + (layer.kernel_x - 1 - kx) * layer.dilation_x
                        for out_y in range(row, last):
                            operand = x[place + out_y * layer.stride_y * layer.row] & mask
                            if operand and (one_tile or row <= out_y % rows < end):
                                term = -worth * operand
                                _add_where(w.sums, at + out_y * across, t.weights, j, layer.tap, 1 << bit, term)
                                if kind == FLIP:
                                    _add_where(w.sums, at + out_y * across, t.weights, j, layer.tap, 1 << bit, term)
                        j += layer.tap


@inlined
def _add_where(target: Any, i: Any, source: Any, j: Any, count: Any, mask: Any, term: Any) -> None:
    k = 0
    while k + 16 <= count:
        add_bits16(target, i + k, source, j + k, (mask,), (term,))
        k += 16
    if k < count:
        add_bits8(target, i + k, source, j + k, (mask,), (term,))


@inlined
def _row_sums(layer: Any, first: Any, w: Any, x: Any, plane: Any, mask: Any) -> None:
    """Sum the operands of a group's channels along each padded row from `first` on."""
    for y in range(first, layer.plane // layer.row):
        total = np.int64(0)
        for channel in range(layer.group_inputs):
            place, column = plane + channel * layer.plane + y * layer.row, 0
            while column + 8 <= layer.row:
                total += sum8(x, place + column, mask)
                column += 8
            while column < layer.row:
                total += x[place + column] & mask
                column += 1
        w.row_sums[y] = total
