"""One fault on one image, as differences from the golden run: compiled functions over `tables.Tables`.

Layer by layer: the accumulators that changed operands or the fault itself reach are inside a box of positions. They
start from the golden ones; every changed operand adds its difference times the weights that meet it; the fault adds
what it changes (`faulty`); requantisation and pooling are redone inside the box, and what then differs from the golden
outputs enters the next layer. All of it in integers, exact, or modulo 2**32 or 2**64 where only the low bits count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from axft_host.backends.faulty import LINE, REPLAY
from axft_host.backends.finish import final, finish, finish_line, first_window, from_golden
from axft_host.backends.jit import inlined, njit
from axft_host.backends.lanes import (
    add_bytes8,
    add_bytes16,
    add_pairs16,
    add_pairs32,
    add_scaled8,
    add_scaled16,
    add_scaled_bytes8,
    add_scaled_bytes16,
    copy,
)
from axft_host.backends.lines import add_line, prepare_line
from axft_host.backends.replay import replay

__all__ = ["final_golden", "make_golden", "run_pairs"]


@inlined
def _add_span(target: Any, i: Any, source: Any, j: Any, count: Any, factor: Any) -> None:
    """Add a multiple of `count` elements, 8 or 16 at a time."""
    k = 0
    while k + 16 <= count:
        add_scaled16(target, i + k, source, (j + k,), (factor,))
        k += 16
    if k < count:
        add_scaled8(target, i + k, source, (j + k,), (factor,))


@inlined
def _add_bytes_span(target: Any, i: Any, source: Any, j: Any, count: Any, terms: Any) -> None:
    k = 0
    while k + 16 <= count:
        add_bytes16(target, i + k, source, (j + k,), (terms,))
        k += 16
    if k < count:
        add_bytes8(target, i + k, source, (j + k,), (terms,))


@inlined
def _taken(t: Any, four: Any, old: Any, new: Any) -> Any:
    """Return what the vertical break takes from the difference of two products beside four bits, a byte each."""
    ends, signs = t.taken.shape[1] - 1, 0x80808080
    # Bytes from 0 to 127, one subtraction for all: none borrows from the next.
    return ((t.taken[four, old & ends] | signs) - t.taken[four, new & ends]) ^ signs


@inlined
def _add_product(t: Any, sums: Any, i: Any, j: Any, count: Any, old: Any, new: Any) -> None:
    """Add to `count` sums what a changed operand changes in their products with the weights from `j` on."""
    if not t.setup[0].broken:
        _add_span(sums, i, t.weights, j, count, new - old)
        return
    taken, k = _taken(t, 0, old, new), 0
    while k + 16 <= count:
        add_scaled_bytes16(sums, i + k, (t.weights, t.bits), j + k, new - old, taken)
        k += 16
    if k < count:
        add_scaled_bytes8(sums, i + k, (t.weights, t.bits), j + k, new - old, taken)
    if t.setup[0].broken > 1:
        _add_bytes_span(sums, i, t.bits, len(t.weights) + j, count, _taken(t, 1, old, new))


@inlined
def _extend(box: Any, y0: Any, y1: Any, x0: Any, x1: Any) -> None:
    box[0] = min(box[0], y0)
    box[1] = max(box[1], y1)
    box[2] = min(box[2], x0)
    box[3] = max(box[3], x1)


@inlined
def _box_of_changes(layer: Any, w: Any, count: Any) -> None:
    """Extend the box by the windows that changed operands lie in."""
    if layer.height == 1 and layer.width == 1 and count:
        _extend(w.box, 0, 0, 0, 0)
        return
    unit = layer.stride_y == 1 and layer.stride_x == 1
    for index in range(count):
        y, x = np.int64(w.ys[index]), np.int64(w.xs[index])
        y0 = max(0, y - layer.dilation_y * (layer.kernel_y - 1))
        x0 = max(0, x - layer.dilation_x * (layer.kernel_x - 1))
        if not unit:
            y0 = first_window(y, layer.kernel_y, layer.stride_y, layer.dilation_y)
            x0 = first_window(x, layer.kernel_x, layer.stride_x, layer.dilation_x)
            y, x = y // layer.stride_y, x // layer.stride_x
        y, x = min(layer.height - 1, y), min(layer.width - 1, x)
        if y0 <= y and x0 <= x:
            _extend(w.box, y0, y, x0, x)


@inlined
def _scatter(t: Any, layer: Any, w: Any, count: Any) -> None:
    """Add what changed operands change in the sums of all windows that they lie in."""
    channel_size = layer.kernel_y * layer.kernel_x * layer.tap
    if layer.plane == 1 and layer.groups == 1:
        _add_dense(t, layer, w, count)
        return
    if (
        layer.groups == 1
        and layer.stride_y == 1
        and layer.stride_x == 1
        and layer.dilation_y == 1
        and layer.dilation_x == 1
    ):
        # Weights lie with the last column first: those of neighbouring windows are neighbours.
        for index in range(count):
            old, new = np.int64(w.old[index]), np.int64(w.new[index])
            y, x = np.int64(w.ys[index]), np.int64(w.xs[index])
            left, right = max(0, x - layer.kernel_x + 1), min(layer.width - 1, x)
            top, bottom = max(0, y - layer.kernel_y + 1), min(layer.height - 1, y)
            size = (right - left + 1) * layer.tap
            at = layer.sums + (top * layer.width + left) * layer.lanes
            tap = (y - top) * layer.kernel_x + layer.kernel_x - 1 - x + left
            weights = layer.weights + w.channels[index] * channel_size + tap * layer.tap
            for _ in range(top, bottom + 1):
                _add_product(t, w.sums, at, weights, size, old, new)
                at += layer.width * layer.lanes
                weights -= layer.kernel_x * layer.tap
        return
    for index in range(count):
        old, new = np.int64(w.old[index]), np.int64(w.new[index])
        channel, y, x = w.channels[index], w.ys[index], w.xs[index]
        lane = layer.sums + channel // layer.group_inputs * layer.group_outputs
        weights = layer.weights + channel * channel_size
        for ky in range(layer.kernel_y):
            top = y - ky * layer.dilation_y
            out_y = top // layer.stride_y
            if top < 0 or out_y >= layer.height or out_y * layer.stride_y != top:
                continue
            for kx in range(layer.kernel_x):
                left = x - kx * layer.dilation_x
                out_x = left // layer.stride_x
                if left < 0 or out_x >= layer.width or out_x * layer.stride_x != left:
                    continue
                at = lane + (out_y * layer.width + out_x) * layer.lanes
                tap = ky * layer.kernel_x + layer.kernel_x - 1 - kx
                _add_product(t, w.sums, at, weights + tap * layer.tap, layer.tap, old, new)


@inlined
def _packed(first: Any, second: Any) -> Any:
    """Pack two factors of 16 bits into one number."""
    return (np.int64(first) & 0xFFFF) | (np.int64(second) << 16)


@inlined
def _add_dense(t: Any, layer: Any, w: Any, count: Any) -> None:
    """Add what changed inputs of a dense layer change, four at a time: sums are read and written once for all four."""
    index = 0
    while layer.pairs and index + 4 <= count:
        w0 = layer.weights + np.int64(w.channels[index]) * layer.tap
        w1 = layer.weights + np.int64(w.channels[index + 1]) * layer.tap
        w2 = layer.weights + np.int64(w.channels[index + 2]) * layer.tap
        w3 = layer.weights + np.int64(w.channels[index + 3]) * layer.tap
        f01 = _packed(w.new[index] - w.old[index], w.new[index + 1] - w.old[index + 1])
        f23 = _packed(w.new[index + 2] - w.old[index + 2], w.new[index + 3] - w.old[index + 3])
        k = 0
        while k + 32 <= layer.tap:
            add_pairs32(w.sums, layer.sums + k, t.weights, (w0 + k, w1 + k, w2 + k, w3 + k), (f01, f23))
            k += 32
        if k < layer.tap:
            add_pairs16(w.sums, layer.sums + k, t.weights, (w0 + k, w1 + k, w2 + k, w3 + k), (f01, f23))
        index += 4
    done = index
    for index in range(done, count):
        tap, factor = layer.weights + np.int64(w.channels[index]) * layer.tap, np.int64(w.new[index] - w.old[index])
        _add_span(w.sums, layer.sums, t.weights, tap, layer.tap, factor)
    for four in range(t.setup[0].broken):
        _add_dense_taken(t, layer, w, count, four)


@inlined
def _add_dense_taken(t: Any, layer: Any, w: Any, count: Any, four: Any) -> None:
    """Add what the vertical break takes from that beside four bits of the weights; four inputs at a time, too."""
    first, index = four * len(t.weights) + layer.weights, 0
    while index + 4 <= count:
        w0 = first + np.int64(w.channels[index]) * layer.tap
        w1 = first + np.int64(w.channels[index + 1]) * layer.tap
        w2 = first + np.int64(w.channels[index + 2]) * layer.tap
        w3 = first + np.int64(w.channels[index + 3]) * layer.tap
        taken = (
            _taken(t, four, np.int64(w.old[index]), np.int64(w.new[index])),
            _taken(t, four, np.int64(w.old[index + 1]), np.int64(w.new[index + 1])),
            _taken(t, four, np.int64(w.old[index + 2]), np.int64(w.new[index + 2])),
            _taken(t, four, np.int64(w.old[index + 3]), np.int64(w.new[index + 3])),
        )
        for k in range(0, layer.tap, 16):
            add_bytes16(w.sums, layer.sums + k, t.bits, (w0 + k, w1 + k, w2 + k, w3 + k), taken)
        index += 4
    done = index
    for index in range(done, count):
        tap = first + np.int64(w.channels[index]) * layer.tap
        each = _taken(t, four, np.int64(w.old[index]), np.int64(w.new[index]))
        _add_bytes_span(w.sums, layer.sums, t.bits, tap, layer.tap, each)


@inlined
def _run(t: Any, golden: Any, w: Any, faults: Any, fault: Any, image: Any, out: Any) -> Any:  # noqa: PLR0912
    """Run one fault on one image. Write final accumulators if they were reached.

    Returns
    -------
    activated : int
    reached : bool
        Otherwise they are the golden ones, and `out` is as it was.
    """
    values, sums, outputs = image * t.sizes[0], image * t.sizes[1], image * t.sizes[2]
    box, mode = w.box, faults.mode[fault]
    activated, count, reached = np.int64(0), 0, False
    layers = len(t.layers)
    for number in range(layers):
        layer = t.layers[number]
        box[0], box[1], box[2], box[3] = layer.height, -1, layer.width, -1
        acts = mode == REPLAY and (faults.windows[fault, 0] == number or faults.windows[fault, 0] < 0)
        if mode == LINE and w.reached[number]:
            acts = True
            reach = w.boxes[number]
            box[0], box[1], box[2], box[3] = reach[0], reach[1], reach[2], reach[3]
        if not acts and not count:
            continue
        if not count and mode == LINE and layer.line >= 0 and faults.starts[fault] + 1 == faults.starts[fault + 1]:
            count = finish_line(t, number, faults, fault, golden, w, image)
            continue
        _box_of_changes(layer, w, count)
        x, x0 = golden.values, values
        if acts and count:
            size = layer.inputs * layer.plane
            copy(w.values, layer.values, golden.values, values + layer.values, size)
            for index in range(count):
                w.values[w.places[index]] = w.new[index]
            x, x0 = w.values, 0
        differences = 0
        if acts and mode == REPLAY:
            differences, counted = replay(t, number, faults, fault, w, x, x0)
            activated += counted
            for index in range(differences):
                position = w.targets[index] // layer.lanes
                y = position // layer.width
                _extend(box, y, y, position - y * layer.width, position - y * layer.width)
        if box[1] < box[0]:
            count = 0
            continue
        if number + 1 == layers:
            # All of its accumulators are read.
            box[0], box[1], box[2], box[3] = 0, layer.height - 1, 0, layer.width - 1
        from_golden(layer, golden, w, sums)
        _scatter(t, layer, w, count)
        for index in range(differences):
            w.sums[layer.sums + w.targets[index]] += w.differences[index]
        if acts and mode == LINE:
            add_line(t, number, faults, fault, w, x, x0)
        if number + 1 < layers:
            count = finish(t, layer, golden, w, outputs)
        else:
            final(t, layer, w.sums, 0, out)
            reached = True
    return activated, reached


@njit
def make_golden(t: Any, golden: Any, w: Any, images: Any) -> None:
    """Run images without a fault; their operands are in `golden.values`, everything else is 0."""
    layers = len(t.layers)
    for image in range(images):
        values, sums, outputs = image * t.sizes[0], image * t.sizes[1], image * t.sizes[2]
        count = 0
        first = t.layers[0]
        for index in range(first.inputs * first.plane):
            value = golden.values[values + index]
            if value:
                w.old[count], w.new[count], w.channels[count] = 0, value, index // first.plane
                w.ys[count] = index % first.plane // first.row
                w.xs[count] = index % first.plane % first.row
                count += 1
        for number in range(layers):
            layer = t.layers[number]
            positions = layer.height * layer.width
            for position in range(positions):
                copy(w.sums, layer.sums + position * layer.lanes, t.bias, layer.bias, layer.lanes)
            _scatter(t, layer, w, count)
            copy(golden.sums, sums + layer.sums, w.sums, layer.sums, positions * layer.lanes)
            if number + 1 == layers:
                break
            w.box[0], w.box[1], w.box[2], w.box[3] = 0, layer.out_height - 1, 0, layer.out_width - 1
            count = finish(t, layer, golden, w, outputs)
            # Against outputs of 0: the changed ones are those that are not 0.
            for index in range(count):
                place = w.places[index]
                golden.values[values + place] = w.new[index]
                channel = (place - layer.next) // layer.next_plane
                rest = place - layer.next - channel * layer.next_plane
                out_y = rest // layer.next_row
                position = out_y * layer.out_width + rest - out_y * layer.next_row
                golden.outputs[outputs + layer.outputs + position * layer.lanes + channel] = w.new[index]


@njit
def final_golden(t: Any, golden: Any, images: Any, out: Any) -> None:
    """Read the final accumulators of images, shape (images, classes)."""
    layer = t.layers[len(t.layers) - 1]
    for image in range(images):
        final(t, layer, golden.sums, image * t.sizes[1], out[image])


@njit
def run_pairs(t: Any, golden: Any, w: Any, faults: Any, chosen: Any, images: Any, out: Any, activated: Any) -> None:
    """Run faults on images: pairs with the same fault best one after the other.

    Parameters
    ----------
    chosen, images : ndarray of int64, shape (pairs,)
        The fault, and the image among those that are here, of each pair.
    out : ndarray of int64, shape (pairs, classes)
        Holds the golden accumulators; those that a fault reaches are written.
    activated : ndarray of int64, shape (pairs,)
    """
    prepared, constant = np.int64(-1), np.int64(0)
    for index in range(len(chosen)):
        fault = chosen[index]
        if fault != prepared:
            prepared, constant = fault, np.int64(0)
            if faults.mode[fault] == LINE:
                constant = prepare_line(t, faults, fault, w)
        counted, _ = _run(t, golden, w, faults, fault, images[index], out[index])
        activated[index] = constant + counted
