"""Write the golden vectors: small worked cases, one file a rule, computed another way than anything that is tested.

The reference model moves operands from register to register, cycle after cycle. This script does not: it says, for
each PE and step in closed form, what the operand must be, from where the faults lie on its line; and it multiplies
by adding up partial products one bit pair at a time. It imports nothing of this project. Run it from anywhere::

    python tests/data/golden/make.py

A vector holds the operands, the fault, the state in every cycle (input registers during the cycle, partial sum after
it), and the result. Emulator, gateware and driver must meet them.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

HERE = Path(__file__).parent
PARTS = {"exact": (0, 0, 0), "2PT": (0, 0, 4), "2QH": (1, 0, 5), "2R5": (2, 0, 5), "2TE": (6, 0, 0), "34P": (3, 3, 0)}
SITES = ("weight", "activation", "weight_operand", "activation_operand", "product", "psum")
KINDS = ("flip", "stuck_at_0", "stuck_at_1")


def bit(value: int, index: int) -> int:
    """Return one bit of a two's complement number of any length."""
    return (value >> index) & 1


def multiply(part: str, a: int, b: int, bits: int) -> int:
    """Add up the partial products that the part keeps."""
    omit_a, omit_b, vbreak = PARTS[part]
    total = 0
    for i in range(omit_a, bits):
        for j in range(omit_b, bits):
            if i + j >= vbreak:
                sign = -1 if (i == bits - 1) != (j == bits - 1) else 1
                total += sign * bit(a, i) * bit(b, j) << (i + j)
    return total


def signed(pattern: int, bits: int) -> int:
    """Read the low bits of a pattern as a two's complement number."""
    low = pattern % (1 << bits)
    return low - (1 << bits) if low >> (bits - 1) else low


def forced(value: int, index: int, kind: str, bits: int) -> int:
    """Force one bit."""
    if kind == "flip":
        pattern = value ^ (1 << index)
    else:
        pattern = value | (1 << index) if kind == "stuck_at_1" else value & ~(1 << index)
    return signed(pattern, bits)


class Array:
    """One tile on one array under one fault, in closed form."""

    def __init__(self, case: dict, activations: list, weights: list, tile: int) -> None:
        self.a, self.w = activations, weights
        self.m, self.k, self.n = len(activations), len(weights), len(weights[0])
        self.rows, self.cols = case["array"]
        self.width, self.part, self.order = case["width"], case["multiplier"], case["operand_a"]
        self.acc = {8: 24, 16: 40}[self.width]
        self.fault, self.tile, self.at = case["fault"], tile, (case["layer"], case["gemm"])
        self.activated = 0

    def active(self, row: int, col: int, step: int) -> bool:
        """Return whether faults of this PE act in this step: a valid step of this PE, inside the window."""
        if self.fault is None or not (row < self.m and col < self.n and 0 <= step < self.k):
            return False
        window = self.fault["window"]
        if window is None:
            return True
        if (window["layer"], window["gemm"], window["tile"]) != (*self.at, self.tile):
            return False
        return window["first_cycle"] <= step + row + col < window["first_cycle"] + window["cycles"]

    def behind(self, site: str, row: int, col: int, step: int, value: int, *, count: bool = False) -> int:
        """Return the value behind a site of one PE."""
        if not self.active(row, col, step):
            return value
        omit_a, omit_b, _ = PARTS[self.part]
        omit_w, omit_x = (omit_a, omit_b) if self.order == "weight" else (omit_b, omit_a)
        ignored = omit_w if site.startswith("weight") else omit_x if site.startswith("activation") else 0
        bits = {"product": 2 * self.width, "psum": self.acc}.get(site, self.width)
        for name, r, c, index in self.fault["sites"]:
            if (name, r, c) == (site, row, col):
                changed = forced(value, index, self.fault["kind"], bits)
                self.activated += count and changed != value and index >= ignored
                value = changed
        return value

    def weight(self, row: int, col: int, step: int) -> int:
        """Return what the north register of a PE holds in one step: what the PEs above have passed on."""
        value = self.w[step][col]
        for above in range(row):
            value = self.behind("weight", above, col, step, value)
        return value

    def activation(self, row: int, col: int, step: int) -> int:
        """Return what the west register of a PE holds in one step."""
        value = self.a[row][step]
        for before in range(col):
            value = self.behind("activation", row, before, step, value)
        return value

    def psums(self, row: int, col: int) -> list[int]:
        """Return the partial sum of a PE after each of its steps; [0] is before the first."""
        sums = [0]
        for step in range(self.k):
            w = self.behind("weight", row, col, step, self.weight(row, col, step), count=True)
            x = self.behind("activation", row, col, step, self.activation(row, col, step), count=True)
            w = self.behind("weight_operand", row, col, step, w, count=True)
            x = self.behind("activation_operand", row, col, step, x, count=True)
            a, b = (w, x) if self.order == "weight" else (x, w)
            # Sign extension: 12-bit parts see 8-bit operands as 12-bit ones, 16-bit operands are multiplied as such.
            product = multiply(self.part, a, b, max(12, self.width))
            product = self.behind("product", row, col, step, product, count=True)
            written = signed(sums[-1] + product, self.acc)
            sums.append(self.behind("psum", row, col, step, written, count=True))
        return sums

    def states(self, sums: dict) -> list:
        """Return [cycle][row][col] = [weight register, activation register, partial sum after the cycle]."""
        cycles = []
        for t in range(self.k + self.rows + self.cols - 2):
            lines = []
            for r in range(self.rows):
                line = []
                for c in range(self.cols):
                    step = t - r - c
                    there = 0 <= step < self.k
                    w = self.weight(r, c, step) if there and c < self.n else None
                    x = self.activation(r, c, step) if there and r < self.m else None
                    psum = sums[r, c][min(max(step + 1, 0), self.k)] if (r, c) in sums else 0
                    line.append([w, x, psum])
                lines.append(line)
            cycles.append(lines)
        return cycles


def solve(case: dict, *, states: bool) -> dict:
    """Fill in psums, activated and, for a single tile, the states."""
    a, w = case["activations"], case["weights"]
    rows, cols = case["array"]
    m, n = len(a), len(w[0])
    result = [[0] * n for _ in range(m)]
    activated, tile, trace = 0, 0, None
    for row0 in range(0, m, rows):
        for col0 in range(0, n, cols):
            array = Array(case, a[row0 : row0 + rows], [line[col0 : col0 + cols] for line in w], tile)
            sums = {(r, c): array.psums(r, c) for r in range(array.m) for c in range(array.n)}
            for (r, c), values in sums.items():
                result[row0 + r][col0 + c] = values[-1]
            activated += array.activated
            trace = array.states(sums) if states and tile == 0 else trace
            tile += 1
    assert not states or tile == 1, "states are for a single tile"
    return {**case, "psums": result, "activated": activated, "states": trace}


def operands(seed: int, m: int, k: int, n: int, width: int = 8) -> dict:
    """Draw operands: unsigned activations, signed weights."""
    draw = random.Random(seed)
    top = 1 << (width - 1)
    return {
        "activations": [[draw.randrange(top) for _ in range(k)] for _ in range(m)],
        "weights": [[draw.randrange(-top, top) for _ in range(n)] for _ in range(k)],
    }


def make(array: tuple, data: dict, fault: dict | None = None, **options: object) -> dict:
    """Return a case without its solution."""
    defaults = {"width": 8, "multiplier": "exact", "operand_a": "weight", "layer": 0, "gemm": 0, "physical": None}
    return {"array": list(array), **defaults, **data, "fault": fault, **options}


def fault(kind: str, *sites: tuple, window: tuple | None = None) -> dict:
    """Return a fault as a line of a fault list holds it; window = (tile, first cycle, cycles)."""
    if window is not None:
        names = ("layer", "gemm", "tile", "first_cycle", "cycles")
        window = dict(zip(names, (0, 0, *window), strict=True))
    return {"kind": kind, "sites": [list(site) for site in sites], "window": window}


def rules() -> dict[str, list[dict]]:
    """Return the cases of every rule."""
    small = operands(1, 2, 3, 3)
    every: dict[str, list[dict]] = {}
    every["clean"] = [solve(make((2, 3), small, multiplier=part), states=True) for part in PARTS]
    every["clean"] += [
        solve(make((2, 3), small, multiplier="2R5", operand_a="activation"), states=True),
        solve(make((2, 2), operands(2, 2, 3, 2, 16), width=16), states=True),
        solve(make((1, 1), operands(3, 1, 4, 1)), states=True),
    ]
    every["partial_tile"] = [
        solve(make((3, 4), operands(4, 2, 3, 2)), states=True),
        solve(make((3, 4), operands(5, 5, 3, 6)), states=False),
    ]
    low = {"product": 6, "psum": 6}
    every["site_and_kind"] = [
        solve(make((2, 3), small, fault(kind, (site, r, c, low.get(site, 0) + b)), multiplier=part), states=True)
        for site in SITES
        for kind in KINDS
        for r, c, b, part in ((0, 0, 6, "exact"), (1, 2, 7, "34P"), (0, 1, 4, "2TE"), (1, 0, 3, "34P"))
    ]
    every["ignored_bit"] = [
        solve(make((2, 3), small, fault(kind, (site, 0, 0, 1)), multiplier="34P"), states=True)
        for site in SITES[:4]
        for kind in KINDS
    ]
    edge = operands(6, 2, 4, 2)
    every["tile_edge"] = [
        solve(make((3, 3), edge, fault("flip", (site, r, c, 5))), states=True)
        for site in SITES[:4]
        for r, c in ((1, 1), (2, 1), (1, 2), (2, 2), (0, 2), (2, 0))
    ]
    every["many_tiles"] = [
        solve(make((2, 2), operands(7, 5, 3, 5), fault(kind, (site, 1, 0, 8))), states=False)
        for site in ("product", "psum")
        for kind in KINDS
    ]
    every["many_tiles"] += [
        solve(make((2, 2), operands(7, 5, 3, 5), fault("stuck_at_1", (site, r, c, 6))), states=False)
        for site in SITES[:4]
        for r, c in ((0, 0), (1, 1))
    ]
    every["window"] = [
        solve(make((2, 3), small, fault(kind, (site, 1, 1, 9 if site in low else 6), window=(0, *span))), states=True)
        for site in SITES
        for kind in ("flip", "stuck_at_1")
        for span in ((2, 1), (3, 2), (0, 2), (5, 1), (0, 6))
    ]
    every["window_of_tile"] = [
        solve(make((2, 2), operands(8, 4, 3, 4), fault("flip", ("weight", 0, 1, 6), window=(tile, 1, 2))), states=False)
        for tile in range(4)
    ]
    every["several_bits"] = [
        solve(make((3, 2), operands(9, 3, 4, 2), fault(kind, *sites)), states=True)
        for kind in KINDS
        for sites in (
            (("weight", 0, 1, 6), ("weight", 1, 1, 6)),
            (("weight", 0, 0, 3), ("weight_operand", 2, 0, 3), ("activation", 2, 0, 5)),
            (("product", 1, 1, 10), ("psum", 1, 1, 12), ("activation", 1, 0, 2)),
        )
    ]
    every["several_bits"] += [
        solve(make((3, 2), operands(9, 3, 4, 2), fault(kind, *line, window=span)), states=True)
        for kind in ("flip", "stuck_at_1")
        for line in ((("weight", 0, 1, 6), ("weight", 1, 1, 6)), (("activation", 1, 0, 3), ("activation", 1, 1, 3)))
        for span in ((0, 0, 7), (0, 2, 2))
    ]
    corner = {"activations": [[-32768] * 513], "weights": [[-32768]] * 513}
    every["wrap"] = [
        solve(make((1, 1), corner, width=16), states=False),
        solve(make((1, 1), corner, fault("stuck_at_1", ("psum", 0, 0, 39)), width=16), states=False),
        solve(make((1, 1), {"activations": [[-128] * 513], "weights": [[-128]] * 513}), states=False),
    ]
    large = operands(10, 5, 4, 3)
    lines = [("weight", 0, 1, 6), ("weight", 3, 2, 5), ("activation", 4, 0, 6), ("activation", 1, 2, 3)]
    every["folded"] = [
        solve(make((5, 3), large, fault(kind, site, window=window), physical=[2, 2]), states=False)
        for site in (*lines, ("weight_operand", 2, 1, 6), ("product", 4, 2, 9), ("psum", 3, 0, 11))
        for kind in KINDS
        for window in (None, (0, 3, 2), (0, 5, 3))
    ]
    return every


def main() -> None:
    """Write one file for each rule."""
    for rule, cases in rules().items():
        text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
        (HERE / f"{rule}.json").write_text(f"[\n{text}\n]\n", encoding="ascii")
        print(f"{rule}: {len(cases)} cases, {sum(case['activated'] > 0 for case in cases)} activated")


if __name__ == "__main__":
    main()
