"""What a fault changes in the sums of one layer of one image: compiled functions.

Two ways. Bits of one weight line that are stuck or flip for good (`LINE`), the usual campaign: a product is a sum over
the bits of the weight, each times the operand without the bits that the multiplier leaves out beside it; so a bit that
changes in some weights changes a sum by that power of two times the sum of their operands. Everything else (`REPLAY`):
the outputs of the PEs that the fault reaches are computed step by step; where nothing can wrap, only in the steps in
which it acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.jit import inlined, njit
from axft_host.backends.lanes import add_bits8, add_bits16, add_scaled16, sum8
from axft_spec.faults import Fault, FaultKind, Site

__all__ = ["LINE", "REPLAY", "Faults", "add_line", "fault_tables", "prepare_line", "replay", "wrapped"]

Array = NDArray[Any]

#: How a fault is done.
LINE, REPLAY = 1, 2

_FLIP, _SA0, _SA1 = 0, 1, 2
_KINDS = {FaultKind.FLIP: _FLIP, FaultKind.STUCK_AT_0: _SA0, FaultKind.STUCK_AT_1: _SA1}

_WEIGHT, _ACTIVATION, _WEIGHT_OPERAND, _ACTIVATION_OPERAND, _PRODUCT, _PSUM = range(6)
_SITES = {site: number for number, site in enumerate(Site)}

# What an armed bit is to a PE: nothing, on its line before it, or its own at one of the sites.
_AWAY, _WEIGHT_BEFORE, _ACTIVATION_BEFORE, _OWN = 0, 1, 2, 3


class Faults(NamedTuple):
    """Faults as arrays.

    Members
    -------
    mode, kind : ndarray of int64, shape (faults,)
    windows : ndarray of int64, shape (faults, 5)
        Layer, GEMM, tile, first cycle and number of cycles; all -1 for a permanent fault.
    starts : ndarray of int64, shape (faults + 1,)
        Where the armed bits of each fault begin.
    sites : ndarray of int64, shape (armed bits, 4)
        Site, row, column, bit.
    roles : ndarray of int64, shape (armed bits, 3)
        Working memory: what the bit is to the PE in hand, and from which step to which it acts.
    """

    mode: Array
    kind: Array
    windows: Array
    starts: Array
    sites: Array
    roles: Array


def fault_tables(faults: Sequence[Fault]) -> Faults:
    """Return faults as arrays."""
    mode: list[int] = []
    kinds: list[int] = []
    windows: list[tuple[int, ...]] = []
    sites: list[tuple[int, ...]] = []
    starts = [0]
    for fault in faults:
        window = fault.window
        armed = fault.sites
        sites.extend((_SITES[bit.site], bit.row, bit.col, bit.bit) for bit in armed)
        starts.append(len(sites))
        kinds.append(_KINDS[fault.kind])
        if window is None:
            first = armed[0]
            line = first.site in (Site.WEIGHT, Site.WEIGHT_OPERAND) and all(
                (bit.site, bit.row, bit.col) == (first.site, first.row, first.col) for bit in armed
            )
            mode.append(LINE if line else REPLAY)
            windows.append((-1,) * 5)
        else:
            mode.append(REPLAY)
            windows.append((window.layer, window.gemm, window.tile, window.first_cycle, window.cycles))
    return Faults(
        mode=np.array(mode, dtype=np.int64),
        kind=np.array(kinds, dtype=np.int64),
        windows=np.array(windows, dtype=np.int64).reshape(-1, 5),
        starts=np.array(starts, dtype=np.int64),
        sites=np.array(sites, dtype=np.int64).reshape(-1, 4),
        roles=np.zeros([len(sites), 3], dtype=np.int64),
    )


@inlined
def wrapped(value: Any, bits: Any) -> Any:
    """Wrap to two's complement of so many bits."""
    half = np.int64(1) << (bits - 1)
    return ((value + half) & ((half << 1) - 1)) - half


@inlined
def _changes(kind: Any, weight: Any, bit: Any) -> Any:
    """Return 1 if forcing a bit sets it, -1 if it clears it, 0 if it was so."""
    if (weight >> bit) & 1:
        return 0 if kind == _SA1 else -1
    return 0 if kind == _SA0 else 1


@inlined
def _power(t: Any, bit: Any) -> Any:
    """Return what a bit of a weight is worth."""
    return -(np.int64(1) << bit) if bit == t.setup[0].width - 1 else np.int64(1) << bit


@inlined
def _at_row(count: Any, row: Any, rows: Any) -> Any:
    """Return how many of `count` outputs, dealt to `rows` PEs in turn, one PE makes."""
    return (count - row + rows - 1) // rows if row < count else 0


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
    first, last = faults.starts[fault], faults.starts[fault + 1]
    site, row, col = faults.sites[first, 0], faults.sites[first, 1], faults.sites[first, 2]
    end = setup.rows if site == _WEIGHT else row + 1
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
                        changed += abs(_changes(faults.kind[fault], t.weights[index], bit))
                zeros = layer.channels * layer.group_inputs * (layer.k - kernel)
                changed += zeros * abs(_changes(faults.kind[fault], 0, bit))
                w.reached[number] |= changed > 0
                changed *= _at_row(layer.n, col, setup.cols)
            else:
                for group in range(layer.groups):
                    for output in range(col, layer.group_outputs, setup.cols):
                        before = taps
                        for tap in range(layer.group_inputs * kernel):
                            channel = group * layer.group_inputs + tap // kernel
                            y = tap % kernel // layer.kernel_x
                            x = tap % layer.kernel_x
                            index = (channel * kernel + y * layer.kernel_x + layer.kernel_x - 1 - x) * layer.tap
                            sign = _changes(faults.kind[fault], t.weights[layer.weights + index + output], bit)
                            if sign:
                                place = y * layer.dilation_y * layer.row + x * layer.dilation_x
                                w.taps[taps] = channel * layer.plane + place
                                w.signs[taps] = sign
                                taps += 1
                        changed += taps - before
                        lists += 1
                        w.ends[lists] = taps
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


@inlined
def add_line(t: Any, number: Any, faults: Any, fault: Any, w: Any, x: Any, x0: Any) -> None:
    """Add what a prepared fault changes in a layer's sums; `x`, from `x0` on, are the image's values."""
    layer, setup = t.layers[number], t.setup[0]
    first, last = faults.starts[fault], faults.starts[fault + 1]
    row, col = faults.sites[first, 1], faults.sites[first, 2]
    end = setup.rows if faults.sites[first, 0] == _WEIGHT else row + 1
    lists = w.lists[number]
    for item in range(first, last):
        bit = faults.sites[item, 3]
        if bit < setup.omit_weight:
            continue
        source, base = x, x0 + layer.values
        if bit < setup.vbreak - setup.omit_activation:
            mask = -(1 << (setup.vbreak - bit))
            for index in range(layer.inputs * layer.plane):
                w.truncated[index] = x[(base & 0x7FFFFFFFFFFF) + index] & mask
            source, base = w.truncated, 0
        if layer.toeplitz:
            _add_toeplitz(t, layer, faults.kind[fault], bit, row, end, col, w, source, base)
            continue
        for group in range(layer.groups):
            for output in range(col, layer.group_outputs, setup.cols):
                channel = group * layer.group_outputs + output
                _add_taps(t, layer, _power(t, bit), channel, row, end, lists, w, source, base)
                lists += 1


@inlined
def _add_taps(
    t: Any, layer: Any, power: Any, channel: Any, row: Any, end: Any, number: Any, w: Any, x: Any, x0: Any
) -> None:
    """Add the changed taps of one channel at every position that the PEs make, from row to row."""
    rows = t.setup[0].rows
    first, last = w.ends[number], w.ends[number + 1]
    at = layer.sums + channel
    if first == last:
        return
    dense = layer.stride_y == 1 and layer.stride_x == 1 and layer.m > 1
    if dense:
        size = (layer.height - 1) * layer.row + layer.width
        w.plane[:size] = 0
        for tap in range(first, last):
            k, factor = 0, np.int64(w.signs[tap])
            while k < size:
                add_scaled16(w.plane, k, x, (x0 + w.taps[tap] + k,), (factor,))
                k += 16
    made = 0  # row of the PE that makes this position
    for out_y in range(layer.height):
        for out_x in range(layer.width):
            if row <= made < end:
                total = np.int64(0)
                if dense:
                    total = np.int64(w.plane[out_y * layer.row + out_x])
                else:
                    place = x0 + out_y * layer.stride_y * layer.row + out_x * layer.stride_x
                    for tap in range(first, last):
                        total += np.int64(x[place + w.taps[tap]]) * w.signs[tap]
                w.sums[at] += power * total
            at += layer.lanes
            made += 1
            if made == rows:
                made = 0


@inlined
def _add_toeplitz(  # noqa: PLR0912
    t: Any, layer: Any, kind: Any, bit: Any, row: Any, end: Any, col: Any, w: Any, x: Any, x0: Any
) -> None:
    """Add what a bit changes in a column of outputs: what it makes of zeros, and the rest at taps that have it."""
    rows, cols, power = t.setup[0].rows, t.setup[0].cols, _power(t, bit)
    outputs, across = layer.group_outputs, layer.width * layer.lanes
    one_tile = layer.height <= rows
    last = min(layer.height, end) if one_tile else layer.height
    for group in range(layer.groups):
        plane = x0 + group * layer.group_inputs * layer.plane
        top = layer.sums + group * outputs
        if kind != _SA0:
            _row_sums(layer, row * layer.stride_y, w, x, plane)
            for out_y in range(row, last):
                if one_tile or row <= out_y % rows < end:
                    total = np.int64(0)
                    for ky in range(layer.kernel_y):
                        total += w.row_sums[out_y * layer.stride_y + ky * layer.dilation_y]
                    total *= power
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
                            operand = x[place + out_y * layer.stride_y * layer.row]
                            if operand and (one_tile or row <= out_y % rows < end):
                                term = -power * operand
                                _add_where(w.sums, at + out_y * across, t.weights, j, layer.tap, 1 << bit, term)
                                if kind == _FLIP:
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
def _row_sums(layer: Any, first: Any, w: Any, x: Any, plane: Any) -> None:
    """Sum the operands of a group's channels along each padded row from `first` on."""
    for y in range(first, layer.plane // layer.row):
        total = np.int64(0)
        for channel in range(layer.group_inputs):
            place, column = plane + channel * layer.plane + y * layer.row, 0
            while column + 8 <= layer.row:
                total += sum8(x, place + column)
                column += 8
            while column < layer.row:
                total += x[place + column]
                column += 1
        w.row_sums[y] = total


@inlined
def _forced(value: Any, kind: Any, mask: Any, bits: Any) -> Any:
    if kind == _FLIP:
        value = value ^ mask
    elif kind == _SA1:
        value = value | mask
    else:
        value = value & ~mask
    return wrapped(value, bits)


@inlined
def _combined(kind: Any, first: Any, second: Any) -> Any:
    return first ^ second if kind == _FLIP else first | second


@inlined
def _changed_bits(value: Any, kind: Any, mask: Any, bits: Any, ignored: Any) -> Any:
    """Count the armed bits that a fault changes, without those that the multiplier ignores."""
    changed = ((value ^ _forced(value, kind, mask, bits)) & mask) >> ignored
    count = 0
    while changed:
        changed &= changed - 1
        count += 1
    return count


@inlined
def _product(t: Any, weight: Any, operand: Any) -> Any:
    """Multiply as the array's multiplier does."""
    setup = t.setup[0]
    weight = weight >> setup.omit_weight << setup.omit_weight
    operand = operand >> setup.omit_activation << setup.omit_activation
    product = weight * operand
    for bit in range(setup.omit_weight, setup.vbreak - setup.omit_activation):
        if (weight >> bit) & 1:
            product -= (operand & ((1 << (setup.vbreak - bit)) - 1)) << bit
    return product


@inlined
def _operands(t: Any, layer: Any, gemm: Any, m: Any, n: Any, k: Any, x: Any, x0: Any) -> Any:
    """Return the weight and the activation of one step."""
    kernel = layer.kernel_y * layer.kernel_x
    if layer.toeplitz:
        output, inner = gemm // layer.group_inputs, gemm % layer.group_inputs
        group = output // layer.group_outputs
        channel = group * layer.group_inputs + inner
        ky, column = k // layer.row, k % layer.row
        place = channel * layer.plane + (m * layer.stride_y + ky * layer.dilation_y) * layer.row + column
        shift = column - n * layer.stride_x
        kx = shift // layer.dilation_x
        if shift < 0 or kx >= layer.kernel_x or kx * layer.dilation_x != shift:
            return np.int64(0), np.int64(x[x0 + layer.values + place])
        lane = output - group * layer.group_outputs
    else:
        channel, tap = gemm * layer.group_inputs + k // kernel, k % kernel
        ky, kx = tap // layer.kernel_x, tap % layer.kernel_x
        y = m // layer.width * layer.stride_y + ky * layer.dilation_y
        place = channel * layer.plane + y * layer.row + m % layer.width * layer.stride_x + kx * layer.dilation_x
        lane = n
    index = (channel * kernel + ky * layer.kernel_x + layer.kernel_x - 1 - kx) * layer.tap + lane
    return np.int64(t.weights[layer.weights + index]), np.int64(x[x0 + layer.values + place])


@inlined
def _roles(faults: Any, fault: Any, row: Any, col: Any, rows: Any, cols: Any, k: Any) -> Any:
    """Work out what every armed bit is to a PE in a tile of so many outputs.

    Returns
    -------
    first, last : int
        The steps in which any of them acts on the PE.
    sites : int
        One bit for each site at which the PE's own are armed; 64 if a line brings something.
    """
    first, last, sites = k, 0, 0
    permanent = faults.windows[fault, 0] < 0
    for index in range(faults.starts[fault], faults.starts[fault + 1]):
        site, own_row, own_col = faults.sites[index, 0], faults.sites[index, 1], faults.sites[index, 2]
        role = _AWAY
        if own_row < rows and own_col < cols:
            if own_row == row and own_col == col:
                role = _OWN
            elif site == _WEIGHT and own_col == col and own_row < row:
                role = _WEIGHT_BEFORE
            elif site == _ACTIVATION and own_row == row and own_col < col:
                role = _ACTIVATION_BEFORE
        low, high = 0, k
        if not permanent:
            low = faults.windows[fault, 3] - own_row - own_col
            high = min(max(low + faults.windows[fault, 4], 0), k)
            low = min(max(low, 0), k)
        faults.roles[index, 0], faults.roles[index, 1], faults.roles[index, 2] = role, low, high
        if role != _AWAY and low < high:
            first, last = min(first, low), max(last, high)
            sites |= 1 << site if role == _OWN else 64
    return first, last, sites


@inlined
def _replay_output(
    t: Any, layer: Any, faults: Any, fault: Any, gemm: Any, m: Any, n: Any, steps: Any, w: Any, x: Any, x0: Any
) -> Any:
    """Return by how much one partial sum changes, and the activations on the way."""
    setup, kind = t.setup[0], faults.kind[fault]
    first, last, sites = steps
    # Where nothing can wrap and no partial sum is forced, the other steps cancel.
    if sites >> _PSUM & 1 or (layer.products_wrap if sites >> _PRODUCT & 1 else layer.wraps):
        first, last = 0, layer.k
    psum, clean, activated = np.int64(0), np.int64(0), 0
    masks = w.masks
    for k in range(first, last):
        masks[:] = 0
        for index in range(faults.starts[fault], faults.starts[fault + 1]):
            role = faults.roles[index, 0]
            if role != _AWAY and faults.roles[index, 1] <= k < faults.roles[index, 2]:
                place = faults.sites[index, 0] if role == _OWN else 5 + role
                masks[place] = _combined(kind, masks[place], np.int64(1) << faults.sites[index, 3])
        weight, operand = _operands(t, layer, gemm, m, n, k, x, x0)
        product = _product(t, weight, operand)
        clean += product
        width, omitted = setup.width, setup.omit_weight
        weight = _forced(weight, kind, masks[5 + _WEIGHT_BEFORE], width)
        activated += _changed_bits(weight, kind, masks[_WEIGHT], width, omitted)
        weight = _forced(weight, kind, masks[_WEIGHT], width)
        activated += _changed_bits(weight, kind, masks[_WEIGHT_OPERAND], width, omitted)
        weight = _forced(weight, kind, masks[_WEIGHT_OPERAND], width)
        omitted = setup.omit_activation
        operand = _forced(operand, kind, masks[5 + _ACTIVATION_BEFORE], width)
        activated += _changed_bits(operand, kind, masks[_ACTIVATION], width, omitted)
        operand = _forced(operand, kind, masks[_ACTIVATION], width)
        activated += _changed_bits(operand, kind, masks[_ACTIVATION_OPERAND], width, omitted)
        operand = _forced(operand, kind, masks[_ACTIVATION_OPERAND], width)
        product = _product(t, weight, operand)
        activated += _changed_bits(product, kind, masks[_PRODUCT], setup.product_bits, 0)
        product = _forced(product, kind, masks[_PRODUCT], setup.product_bits)
        psum = wrapped(psum + product, setup.acc_bits)
        activated += _changed_bits(psum, kind, masks[_PSUM], setup.acc_bits, 0)
        psum = _forced(psum, kind, masks[_PSUM], setup.acc_bits)
    return psum - wrapped(clean, setup.acc_bits), activated


@inlined
def _replay_pe(t: Any, number: Any, faults: Any, fault: Any, row: Any, col: Any, w: Any, x: Any, x0: Any) -> Any:
    """Replay all outputs of one PE, in the window's tile or in all; add to the differences listed in `w`."""
    layer, setup = t.layers[number], t.setup[0]
    window = faults.windows[fault]
    m0, m1, m_step, n0, n1, n_step = row, layer.m, setup.rows, col, layer.n, setup.cols
    gemms0 = 0
    gemms1 = layer.channels * layer.group_inputs if layer.toeplitz else layer.groups
    rows, cols = min(setup.rows, layer.m), min(setup.cols, layer.n)
    if window[0] >= 0:
        across = (layer.n + setup.cols - 1) // setup.cols
        top, left = window[2] // across * setup.rows, window[2] % across * setup.cols
        rows, cols = min(rows, layer.m - top), min(cols, layer.n - left)
        m0, n0 = top + row, left + col
        m1, n1 = (m0 + 1, n0 + 1) if row < rows and col < cols else (m0, n0)
        gemms0, gemms1 = window[1], window[1] + 1
    steps = _roles(faults, fault, row, col, rows, cols, layer.k)
    count, activated = 0, np.int64(0)
    if steps[0] >= steps[1]:
        return activated
    for gemm in range(gemms0, gemms1):
        for m in range(m0, m1, m_step):
            for n in range(n0, n1, n_step):
                delta, counted = _replay_output(t, layer, faults, fault, gemm, m, n, steps, w, x, x0)
                activated += counted
                if delta:
                    count = w.listed[0]
                    if layer.toeplitz:
                        w.targets[count] = (m * layer.width + n) * layer.lanes + gemm // layer.group_inputs
                    else:
                        w.targets[count] = m * layer.lanes + gemm * layer.group_outputs + n
                    w.differences[count] = delta
                    w.listed[0] = count + 1
    return activated


@njit
def replay(t: Any, number: Any, faults: Any, fault: Any, w: Any, x: Any, x0: Any) -> Any:
    """Replay all PEs that a fault reaches in a layer; `x`, from `x0` on, are the image's values.

    Returns
    -------
    count : int
        Differences listed in `w`: places in the layer's sums, and what to add there. A place may occur again.
    activated : int
    """
    setup = t.setup[0]
    activated = np.int64(0)
    w.listed[0] = 0
    w.stamps[-1] += 1
    stamp = w.stamps[-1]
    for index in range(faults.starts[fault], faults.starts[fault + 1]):
        site, row, col = faults.sites[index, 0], faults.sites[index, 1], faults.sites[index, 2]
        rows = setup.rows if site == _WEIGHT else row + 1
        cols = setup.cols if site == _ACTIVATION else col + 1
        for r in range(row, rows):
            for c in range(col, cols):
                if w.stamps[r * setup.cols + c] != stamp:
                    w.stamps[r * setup.cols + c] = stamp
                    activated += _replay_pe(t, number, faults, fault, r, c, w, x, x0)
    return w.listed[0], activated
