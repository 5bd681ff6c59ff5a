"""What the host makes of a layer's sums, redone for what changed: compiled functions.

Pooling and requantisation inside a box of windows, or of single channels; the outputs that differ from the golden ones
are listed as the changed operands of the next layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from axft_host.backends.faulty import WEIGHT
from axft_host.backends.jit import inlined
from axft_host.backends.lanes import (
    add_scaled8,
    copy,
    differs8,
    finish8,
    finish16,
    finish_line16,
    list16,
    requantise8,
    wrap8,
)
from axft_host.backends.lines import fill_plane, power, seen
from axft_host.backends.replay import wrapped

__all__ = ["final", "finish", "finish_line", "first_window", "from_golden"]


@inlined
def first_window(position: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """Return the first window along one axis that a position may lie in."""
    return max(0, -((dilation * (kernel - 1) - position) // stride))


@inlined
def _each(t: Any, layer: Any, w: Any, before: Any, position: Any, lane: Any) -> None:
    """Requantise the vector in hand."""
    if before:
        at = layer.before + position * layer.before_step + lane
        requantise8(w.lanes, 0, t.factors, at, (layer.before_shift, layer.before_low, layer.before_high))
    else:
        at = layer.after + position * layer.after_step + lane
        requantise8(w.lanes, 0, t.factors, at, (layer.after_shift, layer.after_low, layer.after_high))


@inlined
def _take(t: Any, layer: Any, w: Any, position: Any, lane: Any, combine: Any) -> None:
    """Take 8 sums into hand; or the larger ones, or add them."""
    at = layer.sums + position * layer.lanes + lane
    if combine:
        copy(w.kept, 0, w.lanes, 0, 8)
    copy(w.lanes, 0, w.sums, at, 8)
    if layer.before >= 0:
        _each(t, layer, w, True, position, lane)
    if combine:
        if layer.pool == 1:
            for j in range(8):
                w.lanes[j] = max(w.lanes[j], w.kept[j])
        else:
            add_scaled8(w.lanes, 0, w.kept, (0,), (1,))


@inlined
def _any_pool(t: Any, layer: Any, w: Any, out_y: Any, out_x: Any, lane: Any) -> None:
    """Take 8 outputs into hand, whatever the host does to make them."""
    y, left = out_y * layer.pool_stride_y - layer.pool_top, out_x * layer.pool_stride_x - layer.pool_left
    combine = False
    for _ in range(layer.pool_y):
        if 0 <= y < layer.height:
            x = left
            for _ in range(layer.pool_x):
                if 0 <= x < layer.width:
                    _take(t, layer, w, y * layer.width + x, lane, combine)
                    combine = True
                x += layer.pool_dilation_x
        y += layer.pool_dilation_y
    if not combine:
        w.lanes[:] = 0  # a window in the padding
    if layer.after >= 0:
        _each(t, layer, w, False, out_y * layer.out_width + out_x, lane)


@inlined
def _windows(first: Any, last: Any, kernel: Any, stride: Any, dilation: Any, pad: Any, count: Any) -> Any:
    """Return the first and last pooling window that meets some positions along one axis."""
    return first_window(first + pad, kernel, stride, dilation), min(count - 1, (last + pad) // stride)


@inlined
def from_golden(layer: Any, golden: Any, w: Any, base: Any) -> None:
    """Widen the box to whole pooling windows, and fill it with golden sums. The box holds windows afterwards."""
    box = w.box
    y0, y1 = _windows(
        box[0],
        box[1],
        layer.pool_y,
        layer.pool_stride_y,
        layer.pool_dilation_y,
        layer.pool_top,
        layer.out_height,
    )
    x0, x1 = _windows(
        box[2], box[3], layer.pool_x, layer.pool_stride_x, layer.pool_dilation_x, layer.pool_left, layer.out_width
    )
    top = max(0, min(box[0], y0 * layer.pool_stride_y - layer.pool_top))
    left = max(0, min(box[2], x0 * layer.pool_stride_x - layer.pool_left))
    bottom = (y1 * layer.pool_stride_y - layer.pool_top) + (layer.pool_y - 1) * layer.pool_dilation_y
    right = (x1 * layer.pool_stride_x - layer.pool_left) + (layer.pool_x - 1) * layer.pool_dilation_x
    bottom, right = min(layer.height - 1, max(box[1], bottom)), min(layer.width - 1, max(box[3], right))
    for y in range(top, bottom + 1):
        at = layer.sums + (y * layer.width + left) * layer.lanes
        copy(w.sums, at, golden.sums, base + at, (right - left + 1) * layer.lanes)
    box[0], box[1], box[2], box[3] = y0, y1, x0, x1


@inlined
def _wrap_sums(t: Any, layer: Any, w: Any) -> None:
    """Wrap the sums that the windows in the box are made of."""
    top, left = w.box[0] * layer.pool_stride_y - layer.pool_top, w.box[2] * layer.pool_stride_x - layer.pool_left
    bottom = w.box[1] * layer.pool_stride_y - layer.pool_top + (layer.pool_y - 1) * layer.pool_dilation_y
    right = w.box[3] * layer.pool_stride_x - layer.pool_left + (layer.pool_x - 1) * layer.pool_dilation_x
    for y in range(max(0, top), min(layer.height - 1, bottom) + 1):
        for x in range(max(0, left), min(layer.width - 1, right) + 1):
            at = layer.sums + (y * layer.width + x) * layer.lanes
            for lane in range(0, layer.lanes, 8):
                wrap8(w.sums, at + lane, t.bias, layer.bias + lane, t.setup[0].acc_bits)


@inlined
def finish(  # noqa: PLR0912
    t: Any, layer: Any, golden: Any, w: Any, outputs: Any
) -> Any:
    """Redo what the host does inside the box of windows; list what changed. The image's outputs begin at `outputs`."""
    if layer.wraps:
        _wrap_sums(t, layer, w)
    # Numbers of the layer in variables: the compiler would read them again after everything that is written.
    rule = (layer.after_shift, layer.after_low, layer.after_high)
    mask = -(1 << t.setup[0].omit_activation)
    lanes, channels, across, step, after = layer.lanes, layer.channels, layer.out_width, layer.after_step, layer.after
    quick, pooled, sums, below = layer.quick, layer.plain_pool, layer.sums, layer.width * layer.lanes
    flat, plane, row, top, left = layer.next_flat, layer.next_plane, layer.next_row, layer.next_y, layer.next_x
    into, count, x0, x1 = layer.next, 0, w.box[2], w.box[3]
    outputs += layer.outputs
    for out_y in range(w.box[0], w.box[1] + 1):
        for out_x in range(x0, x1 + 1):
            window = out_y * across + out_x
            at = outputs + window * lanes
            place = sums + (2 * (out_y * below + out_x * lanes) if pooled else window * lanes)
            for lane in range(0, lanes, 16):
                factors, old = after + window * step + lane, at + lane
                if not quick:
                    changed = _any_window(t, layer, golden, w, out_y, out_x, lane, old)
                elif pooled:
                    four = (place + lane, place + lane + lanes, place + lane + below, place + lane + below + lanes)
                    if lanes == 8:
                        changed = finish8(w.fresh, w.sums, four, t.factors, factors, rule, mask, golden.outputs, old)
                    else:
                        changed = finish16(w.fresh, w.sums, four, t.factors, factors, rule, mask, golden.outputs, old)
                else:
                    one = (place + lane,)
                    if lanes == 8:
                        changed = finish8(w.fresh, w.sums, one, t.factors, factors, rule, mask, golden.outputs, old)
                    else:
                        changed = finish16(w.fresh, w.sums, one, t.factors, factors, rule, mask, golden.outputs, old)
                changed &= (1 << min(16, channels - lane)) - 1
                if changed:
                    to = lane * plane + out_y * row + out_x
                    if flat:
                        lists, starts, steps = (w.places, w.channels, w.old, w.new), (into + to, to), (plane, plane)
                        count = list16(lists, count, starts, steps, w.fresh, golden.outputs, old, changed)
                    else:
                        count = list16(
                            (w.places, w.channels, w.ys, w.xs, w.old, w.new), count,
                            (into + to, lane, out_y + top, out_x + left), (plane, 1, 0, 0),
                            w.fresh, golden.outputs, old, changed,
                        )  # fmt: skip
    if flat:
        w.ys[:count] = 0
        w.xs[:count] = 0
    return count


@inlined
def _any_window(t: Any, layer: Any, golden: Any, w: Any, y: Any, x: Any, lane: Any, old: Any) -> Any:
    """Make up to 16 new outputs of a window, whatever the host does; return which differ from the golden ones."""
    flags, mask = np.int64(0), -(1 << t.setup[0].omit_activation)
    for half in range(0, min(16, layer.lanes), 8):
        _any_pool(t, layer, w, y, x, lane + half)
        flags |= differs8(w.lanes, 0, golden.outputs, old + half, mask) << half
        for j in range(8):
            w.fresh[half + j] = w.lanes[j]
    return flags


@inlined
def finish_line(t: Any, number: Any, faults: Any, fault: Any, golden: Any, w: Any, image: Any) -> Any:
    """Do a fault of one bit of a weight line that meets golden operands: only channels of its column change."""
    layer, setup, first = t.layers[number], t.setup[0], faults.starts[fault]
    row, col, bit = faults.sites[first, 1], faults.sites[first, 2], faults.sites[first, 3]
    made_by = (row, setup.rows if faults.sites[first, 0] == WEIGHT else row + 1)
    worth, operands = power(t, bit), seen(t, bit)
    lists, count, pooled = w.lists[number], 0, layer.plain_pool
    shrink = 1 + pooled
    top, bottom = w.boxes[number, 0] // shrink, min(w.boxes[number, 1] // shrink, layer.out_height - 1)
    left, right = w.boxes[number, 2] // shrink & ~15, min(w.boxes[number, 3] // shrink, layer.out_width - 1)
    rule = (layer.after_shift, layer.after_low, layer.after_high)
    mask, across, width = -(1 << setup.omit_activation), layer.line_row, layer.out_width
    pitch, flat, plane, next_row = layer.row, layer.next_flat, layer.next_plane, layer.next_row
    down, over, into, made = layer.next_y, layer.next_x, layer.next, layer.line_made
    for group in range(layer.groups):
        for output in range(col, layer.group_outputs, setup.cols):
            channel = group * layer.group_outputs + output
            lists += 1
            if w.ends[2 * lists] == w.ends[2 * lists - 2]:
                continue
            fill_plane(t, layer, lists - 1, w, golden.values, image * t.sizes[0] + layer.values, operands)
            sums = image * t.sizes[3] + layer.line + channel * layer.line_size
            outputs = image * t.sizes[4] + layer.line_outputs + channel * layer.out_height * across
            factor = np.int64(t.factors[layer.after + channel])
            for out_y in range(top, bottom + 1):
                for x in range(left, right + 1, 16):
                    old = outputs + out_y * across + x
                    if pooled:
                        place = 2 * (out_y * pitch + x)
                        changed = finish_line16(
                            w.fresh, w.line_sums, (sums, made), w.plane, t.made, made_by, worth,
                            (place, place + pitch), factor, rule, mask, w.line_outputs, old,
                        )  # fmt: skip
                    else:
                        changed = finish_line16(
                            w.fresh, w.line_sums, (sums, made), w.plane, t.made, made_by, worth,
                            (out_y * pitch + x,), factor, rule, mask, w.line_outputs, old,
                        )  # fmt: skip
                    changed &= (1 << min(16, width - x)) - 1
                    if changed:
                        to = channel * plane + out_y * next_row + x
                        where, steps = (channel, out_y + down, x + over), (1, 0, 0, 1)
                        if flat:
                            where, steps = (to, 0, 0), (1, 1, 0, 0)
                        count = list16(
                            (w.places, w.channels, w.ys, w.xs, w.old, w.new), count, (into + to, *where), steps,
                            w.fresh, w.line_outputs, old, changed,
                        )  # fmt: skip
    return count


@inlined
def final(t: Any, layer: Any, sums: Any, base: Any, out: Any) -> None:
    """Read the last layer's accumulators, in the order of the network's output."""
    positions = layer.height * layer.width
    for channel in range(layer.channels):
        for position in range(positions):
            value = np.int64(sums[base + layer.sums + position * layer.lanes + channel])
            if layer.wraps:
                bias = np.int64(t.bias[layer.bias + channel])
                value = wrapped(value - bias, t.setup[0].acc_bits) + bias
            out[channel * positions + position] = value
