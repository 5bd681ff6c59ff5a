"""One fault on one image, as differences from the golden run: compiled functions over `tables.Tables`.

Layer by layer: the accumulators that changed operands or the fault itself reach are inside a box of positions. They
start from the golden ones; every changed operand adds its difference times the weights that meet it; the fault adds
what it changes (`faulty`); requantisation and pooling are redone inside the box, and what then differs from the golden
outputs enters the next layer. All of it in integers, exact, or modulo 2**32 or 2**64 where only the low bits count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.faulty import LINE, REPLAY, add_line, prepare_line, replay, wrapped
from axft_host.backends.jit import inlined, njit
from axft_host.backends.lanes import (
    add_bits8,
    add_bits16,
    add_scaled8,
    add_scaled16,
    copy,
    differs8,
    largest8,
    requantise8,
)
from axft_host.backends.tables import Tables

__all__ = ["Golden", "Scratch", "final_golden", "make_golden", "make_scratch", "run_all", "run_pairs"]

Array = NDArray[Any]


class Golden(NamedTuple):
    """The golden run of some images, one after the other; see `tables` for the layouts."""

    values: Array
    sums: Array
    outputs: Array


class Scratch(NamedTuple):
    """What one run needs while it runs.

    Members
    -------
    values, sums : ndarray
        The faulty counterparts of one image's golden ones, valid only where something reached them.
    places, channels, ys, xs, old, new : ndarray
        The changed operands of a layer: where in the values, where in the planes, and what they are.
    box : ndarray of int64, shape (4,)
        First and last row, first and last column of the positions reached.
    lanes : ndarray
        A vector of 8 that is being worked on.
    changes, offsets : ndarray
        What `faulty` uses: sums of one plane, and differences by their place in a layer's sums.
    """

    values: Array
    sums: Array
    places: Array
    channels: Array
    ys: Array
    xs: Array
    old: Array
    new: Array
    box: Array
    lanes: Array
    kept: Array
    masks: Array
    plane: Array
    truncated: Array
    targets: Array
    differences: Array
    listed: Array
    taps: Array
    signs: Array
    ends: Array
    lists: Array
    reached: Array
    boxes: Array
    row_sums: Array
    stamps: Array


def make_scratch(t: Tables) -> Scratch:
    """Return scratch memory for one network."""
    values, sums, _ = (int(size) for size in t.sizes)
    kind = t.bias.dtype
    layers = t.layers
    planes = int((layers["plane"] + 64).max(initial=0))
    slots = int((layers["groups"] * -(-layers["group_outputs"] // t.setup[0]["cols"])).max())
    each = layers["groups"] * -(-layers["group_outputs"] // t.setup[0]["cols"]) * layers["group_inputs"]
    taps = int((each * layers["kernel_y"] * layers["kernel_x"])[layers["toeplitz"] == 0].sum())
    bits = int(t.setup[0]["width"])
    most = int((layers["height"] * layers["width"] * layers["channels"]).max())
    largest = int(max((layers["inputs"] * layers["plane"]).max(), most))
    replayed = int(
        (layers["height"] * layers["width"] * layers["channels"] * layers["group_inputs"] ** layers["toeplitz"]).max()
    )
    return Scratch(
        values=np.zeros(values + 64, dtype=np.int16),
        sums=np.zeros(sums + 64, dtype=kind),
        places=np.zeros(largest, dtype=np.int32),
        channels=np.zeros(largest, dtype=np.int32),
        ys=np.zeros(largest, dtype=np.int32),
        xs=np.zeros(largest, dtype=np.int32),
        old=np.zeros(largest, dtype=np.int32),
        new=np.zeros(largest, dtype=np.int32),
        box=np.zeros(4, dtype=np.int64),
        lanes=np.zeros(8, dtype=kind),
        kept=np.zeros(8, dtype=kind),
        masks=np.zeros(8, dtype=np.int64),
        plane=np.zeros(planes, dtype=np.int32),
        truncated=np.zeros(values + 64, dtype=np.int16),
        targets=np.zeros(replayed, dtype=np.int32),
        differences=np.zeros(replayed, dtype=np.int64),
        listed=np.zeros(1, dtype=np.int64),
        taps=np.zeros(bits * taps, dtype=np.int32),
        signs=np.zeros(bits * taps, dtype=np.int8),
        ends=np.zeros(bits * len(layers) * slots + 1, dtype=np.int64),
        lists=np.zeros(len(layers), dtype=np.int64),
        reached=np.zeros(len(layers), dtype=np.int64),
        boxes=np.zeros((len(layers), 4), dtype=np.int64),
        row_sums=np.zeros(int((layers["plane"] // layers["row"]).max()), dtype=np.int64),
        stamps=np.zeros(int(t.setup[0]["rows"] * t.setup[0]["cols"]) + 1, dtype=np.int64),
    )


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
def _add_bits_span(target: Any, i: Any, source: Any, j: Any, count: Any, masks: Any, terms: Any) -> None:
    k = 0
    while k + 16 <= count:
        add_bits16(target, i + k, source, j + k, masks, terms)
        k += 16
    if k < count:
        add_bits8(target, i + k, source, j + k, masks, terms)


@inlined
def _dropped(t: Any, old: Any, new: Any, bit: Any) -> Any:
    """Return what the vertical break takes from the difference of two products for one bit of the weight."""
    setup = t.setup[0]
    if bit >= setup.vbreak - setup.omit_activation:
        return 0
    low = (1 << (setup.vbreak - bit)) - 1
    return ((old & low) - (new & low)) << bit


@inlined
def _add_product(t: Any, sums: Any, i: Any, j: Any, count: Any, old: Any, new: Any) -> None:
    """Add to `count` sums what a changed operand changes in their products with the weights from `j` on."""
    _add_span(sums, i, t.weights, j, count, new - old)
    _add_dropped(t, sums, i, j, count, old, new)


@inlined
def _add_dropped(t: Any, sums: Any, i: Any, j: Any, count: Any, old: Any, new: Any) -> None:
    """Add what the vertical break takes from that."""
    setup = t.setup[0]
    first = setup.omit_weight
    while first < setup.vbreak - setup.omit_activation:
        masks = (1 << first, 2 << first, 4 << first, 8 << first)
        terms = (
            _dropped(t, old, new, first),
            _dropped(t, old, new, first + 1),
            _dropped(t, old, new, first + 2),
            _dropped(t, old, new, first + 3),
        )
        _add_bits_span(sums, i, t.weights, j, count, masks, terms)
        first += 4


@inlined
def _first(position: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """Return the first window along one axis that a position may lie in."""
    return max(0, -((dilation * (kernel - 1) - position) // stride))


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
            y0 = _first(y, layer.kernel_y, layer.stride_y, layer.dilation_y)
            x0 = _first(x, layer.kernel_x, layer.stride_x, layer.dilation_x)
            y, x = y // layer.stride_y, x // layer.stride_x
        y, x = min(layer.height - 1, y), min(layer.width - 1, x)
        if y0 <= y and x0 <= x:
            _extend(w.box, y0, y, x0, x)


@inlined
def _scatter(t: Any, layer: Any, w: Any, count: Any) -> None:
    """Add what changed operands change in the sums of all windows that they lie in."""
    channel_size = layer.kernel_y * layer.kernel_x * layer.tap
    if layer.plane == 1:
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
def _add_dense(t: Any, layer: Any, w: Any, count: Any) -> None:
    """Add what changed inputs of a dense layer change, four at a time: sums are read and written once for all four."""
    index = 0
    while index + 4 <= count:
        w0 = layer.weights + np.int64(w.channels[index]) * layer.tap
        w1 = layer.weights + np.int64(w.channels[index + 1]) * layer.tap
        w2 = layer.weights + np.int64(w.channels[index + 2]) * layer.tap
        w3 = layer.weights + np.int64(w.channels[index + 3]) * layer.tap
        factors = (
            np.int64(w.new[index] - w.old[index]),
            np.int64(w.new[index + 1] - w.old[index + 1]),
            np.int64(w.new[index + 2] - w.old[index + 2]),
            np.int64(w.new[index + 3] - w.old[index + 3]),
        )
        k = 0
        while k + 16 <= layer.tap:
            add_scaled16(w.sums, layer.sums + k, t.weights, (w0 + k, w1 + k, w2 + k, w3 + k), factors)
            k += 16
        if k < layer.tap:
            add_scaled8(w.sums, layer.sums + k, t.weights, (w0 + k, w1 + k, w2 + k, w3 + k), factors)
        index += 4
    done = index
    for index in range(done, count):
        tap, factor = layer.weights + np.int64(w.channels[index]) * layer.tap, np.int64(w.new[index] - w.old[index])
        _add_span(w.sums, layer.sums, t.weights, tap, layer.tap, factor)
    if t.setup[0].vbreak > t.setup[0].omit_weight + t.setup[0].omit_activation:
        for index in range(count):
            tap = layer.weights + np.int64(w.channels[index]) * layer.tap
            _add_dropped(t, w.sums, layer.sums, tap, layer.tap, np.int64(w.old[index]), np.int64(w.new[index]))


@inlined
def _each(t: Any, layer: Any, w: Any, before: Any, position: Any, lane: Any) -> None:
    """Requantise the vector in hand."""
    if before:
        at = layer.before + position * layer.before_step + lane
        requantise8(w.lanes, 0, t.factors, at, layer.before_shift, layer.before_low, layer.before_high)
    else:
        at = layer.after + position * layer.after_step + lane
        requantise8(w.lanes, 0, t.factors, at, layer.after_shift, layer.after_low, layer.after_high)


@inlined
def _take(t: Any, layer: Any, w: Any, position: Any, lane: Any, combine: Any) -> None:
    """Take 8 sums into hand, wrapped; or the larger ones, or add them."""
    at = layer.sums + position * layer.lanes + lane
    if combine:
        copy(w.kept, 0, w.lanes, 0, 8)
    copy(w.lanes, 0, w.sums, at, 8)
    if layer.wraps:
        for j in range(8):
            bias = np.int64(t.bias[layer.bias + lane + j])
            w.lanes[j] = wrapped(w.lanes[j] - bias, t.setup[0].acc_bits) + bias
    if layer.before >= 0:
        _each(t, layer, w, True, position, lane)
    if combine:
        if layer.pool == 1:
            for j in range(8):
                w.lanes[j] = max(w.lanes[j], w.kept[j])
        else:
            add_scaled8(w.lanes, 0, w.kept, (0,), (1,))


@inlined
def _pool(t: Any, layer: Any, w: Any, out_y: Any, out_x: Any, lane: Any) -> None:
    """Take one vector of outputs into hand."""
    y, x = out_y * layer.pool_stride_y, out_x * layer.pool_stride_x
    if layer.plain_pool:
        at = layer.sums + (y * layer.width + x) * layer.lanes + lane
        below = at + layer.width * layer.lanes
        largest8(w.lanes, 0, w.sums, (at, at + layer.lanes, below, below + layer.lanes))
    else:
        _any_pool(t, layer, w, y - layer.pool_top, x - layer.pool_left, lane)
    if layer.after >= 0:
        _each(t, layer, w, False, out_y * layer.out_width + out_x, lane)


@inlined
def _any_pool(t: Any, layer: Any, w: Any, y: Any, left: Any, lane: Any) -> None:
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


@inlined
def _windows(first: Any, last: Any, kernel: Any, stride: Any, dilation: Any, pad: Any, count: Any) -> Any:
    """Return the first and last pooling window that meets some positions along one axis."""
    return _first(first + pad, kernel, stride, dilation), min(count - 1, (last + pad) // stride)


@inlined
def _from_golden(layer: Any, golden: Any, w: Any, base: Any) -> None:
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
def _locate(layer: Any, w: Any, index: Any, channel: Any, out_y: Any, out_x: Any) -> None:
    """Note where an output is in the next layer's planes."""
    if layer.next_flat:
        w.channels[index] = channel * layer.next_plane + out_y * layer.next_row + out_x
        w.ys[index] = w.xs[index] = 0
    else:
        w.channels[index], w.ys[index], w.xs[index] = channel, out_y + layer.next_y, out_x + layer.next_x


@inlined
def _finish(t: Any, layer: Any, golden: Any, w: Any, outputs: Any) -> Any:
    """Redo what the host does inside the box of windows; list what changed. The image's outputs begin at `outputs`."""
    count = 0
    mask = -(1 << t.setup[0].omit_activation)
    for out_y in range(w.box[0], w.box[1] + 1):
        for out_x in range(w.box[2], w.box[3] + 1):
            at = outputs + layer.outputs + (out_y * layer.out_width + out_x) * layer.lanes
            place = layer.next + out_y * layer.next_row + out_x
            for lane in range(0, layer.lanes, 8):
                _pool(t, layer, w, out_y, out_x, lane)
                changed = differs8(w.lanes, 0, golden.outputs, at + lane, mask)
                channel = lane
                while changed and channel < layer.channels:
                    if changed & 1:
                        w.places[count] = place + channel * layer.next_plane
                        _locate(layer, w, count, channel, out_y, out_x)
                        w.old[count] = golden.outputs[at + channel]
                        w.new[count] = w.lanes[channel - lane]
                        count += 1
                    changed >>= 1
                    channel += 1
    return count


@inlined
def _final(t: Any, layer: Any, sums: Any, base: Any, out: Any) -> None:
    """Read the last layer's accumulators, in the order of the network's output."""
    positions = layer.height * layer.width
    for channel in range(layer.channels):
        for position in range(positions):
            value = np.int64(sums[base + layer.sums + position * layer.lanes + channel])
            if layer.wraps:
                bias = np.int64(t.bias[layer.bias + channel])
                value = wrapped(value - bias, t.setup[0].acc_bits) + bias
            out[channel * positions + position] = value


@njit
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
        _from_golden(layer, golden, w, sums)
        _scatter(t, layer, w, count)
        for index in range(differences):
            w.sums[layer.sums + w.targets[index]] += w.differences[index]
        if acts and mode == LINE:
            add_line(t, number, faults, fault, w, x, x0)
        if number + 1 < layers:
            count = _finish(t, layer, golden, w, outputs)
        else:
            _final(t, layer, w.sums, 0, out)
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
            count = _finish(t, layer, golden, w, outputs)
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
        _final(t, layer, golden.sums, image * t.sizes[1], out[image])


@njit
def run_all(t: Any, golden: Any, w: Any, faults: Any, images: Any, out: Any, activated: Any) -> None:
    """Run all faults on all images that are here.

    Parameters
    ----------
    out : ndarray of int64, shape (faults, images, classes)
        Holds the golden accumulators; those that a fault reaches are written.
    activated : ndarray of int64, shape (faults, images)
    """
    for fault in range(len(faults.mode)):
        constant = prepare_line(t, faults, fault, w) if faults.mode[fault] == LINE else np.int64(0)
        for image in range(images):
            counted, _ = _run(t, golden, w, faults, fault, image, out[fault, image])
            activated[fault, image] = constant + counted


@njit
def run_pairs(t: Any, golden: Any, w: Any, faults: Any, pairs: Any, images: Any, out: Any, activated: Any) -> None:
    """Run some faults, each on an image of its own.

    Parameters
    ----------
    pairs : ndarray of int64
        The faults.
    images : ndarray of int64
        For each, the image among those that are here.
    out : ndarray of int64, shape (all faults, classes)
        Holds the golden accumulators.
    activated : ndarray of int64, shape (all faults,)
    """
    for index in range(len(pairs)):
        fault = pairs[index]
        constant = prepare_line(t, faults, fault, w) if faults.mode[fault] == LINE else np.int64(0)
        counted, _ = _run(t, golden, w, faults, fault, images[index], out[fault])
        activated[fault] = constant + counted
