"""Faults that are replayed: compiled functions.

The outputs of the PEs that a fault reaches are computed step by step, most of them only in the steps in which it acts.
So can any fault be done; `lines` does the usual ones faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from axft_host.backends.faulty import ACTIVATION, ACTIVATION_OPERAND, FLIP, PRODUCT, PSUM, SA1, WEIGHT, WEIGHT_OPERAND
from axft_host.backends.jit import inlined, njit

__all__ = ["replay", "wrapped"]

# What an armed bit is to a PE: nothing, on its line before it, or its own at one of the sites.
_AWAY, _WEIGHT_BEFORE, _ACTIVATION_BEFORE, _OWN = 0, 1, 2, 3


@inlined
def wrapped(value: Any, bits: Any) -> Any:
    """Wrap to two's complement of so many bits."""
    half = np.int64(1) << (bits - 1)
    return ((value + half) & ((half << 1) - 1)) - half


@inlined
def _forced(value: Any, kind: Any, mask: Any, bits: Any) -> Any:
    if kind == FLIP:
        value = value ^ mask
    elif kind == SA1:
        value = value | mask
    else:
        value = value & ~mask
    return wrapped(value, bits)


@inlined
def _combined(kind: Any, first: Any, second: Any) -> Any:
    return first ^ second if kind == FLIP else first | second


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
            elif site == WEIGHT and own_col == col and own_row < row:
                role = _WEIGHT_BEFORE
            elif site == ACTIVATION and own_row == row and own_col < col:
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
    """Return by how much one partial sum changes, modulo what it wraps at, and the activations on the way."""
    setup, kind = t.setup[0], faults.kind[fault]
    first, last, sites = steps
    # The other steps cancel: exactly where nothing wraps, and modulo what sums wrap at where they do in the end only.
    # A partial sum that is forced needs all of them, and so do products that could make one wrap of a layer whose sums
    # otherwise do not.
    if sites >> PSUM & 1 or (sites >> PRODUCT & 1 and layer.products_wrap and not layer.wraps):
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
        activated += _changed_bits(weight, kind, masks[WEIGHT], width, omitted)
        weight = _forced(weight, kind, masks[WEIGHT], width)
        activated += _changed_bits(weight, kind, masks[WEIGHT_OPERAND], width, omitted)
        weight = _forced(weight, kind, masks[WEIGHT_OPERAND], width)
        omitted = setup.omit_activation
        operand = _forced(operand, kind, masks[5 + _ACTIVATION_BEFORE], width)
        activated += _changed_bits(operand, kind, masks[ACTIVATION], width, omitted)
        operand = _forced(operand, kind, masks[ACTIVATION], width)
        activated += _changed_bits(operand, kind, masks[ACTIVATION_OPERAND], width, omitted)
        operand = _forced(operand, kind, masks[ACTIVATION_OPERAND], width)
        product = _product(t, weight, operand)
        activated += _changed_bits(product, kind, masks[PRODUCT], setup.product_bits, 0)
        product = _forced(product, kind, masks[PRODUCT], setup.product_bits)
        psum = wrapped(psum + product, setup.acc_bits)
        activated += _changed_bits(psum, kind, masks[PSUM], setup.acc_bits, 0)
        psum = _forced(psum, kind, masks[PSUM], setup.acc_bits)
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
        rows = setup.rows if site == WEIGHT else row + 1
        cols = setup.cols if site == ACTIVATION else col + 1
        for r in range(row, rows):
            for c in range(col, cols):
                if w.stamps[r * setup.cols + c] != stamp:
                    w.stamps[r * setup.cols + c] = stamp
                    activated += _replay_pe(t, number, faults, fault, r, c, w, x, x0)
    return w.listed[0], activated
