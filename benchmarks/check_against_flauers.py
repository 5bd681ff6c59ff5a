"""Compare the emulator with flauers, a systolic-array fault simulator that is not ours, on random integer GEMMs.

flauers (formerly SAFFIRA, MIT, https://github.com/jspkay/flauers) is not bundled: give a checkout of it. It needs
numba, bitarray and **numpy 1.x**: it forces the top bit of a register by an assignment that numpy 2 refuses::

    git clone https://github.com/jspkay/flauers ../flauers
    python3 -m venv .venv-flauers && .venv-flauers/bin/pip install "numpy<2" numba bitarray
    PYTHONPATH=host .venv-flauers/bin/python benchmarks/check_against_flauers.py --flauers ../flauers --count 10000

Every case depends on the seed and its own number alone: ``--first 4711 --count 1`` repeats one. The exit status is 1 if
a difference is not one of those listed here, 2 for bad input.

flauers spends seconds on each fault, in a loop without effect over the million cycles that its "forever" lasts. The
attribute ``t_stop`` of its faults is therefore set to the last cycle there is; ``--untouched`` leaves it as it was.

How its lines map to our sites
------------------------------
flauers computes C = A B by index equations; its projection ``output_stationary`` puts C[i, j] at PE(i, j), and step k
there into cycle i + j + k. Numbers count from 1, bits (with ``msb="last"``) from the least significant.

=====================  =====================================================================================
theirs                 ours
=====================  =====================================================================================
A, B                   activations (m, k), weights (k, n)
N1, N2                 rows, columns of the array
x, y                   row + 1, column + 1
line ``a``             site ``activation``: this PE and all to the east
line ``b``             site ``weight``: this PE and all to the south
line ``c``             site ``psum``: psum <- F(psum + product); the cleared psum is not forced
polarity 0, 1          ``stuck_at_0``, ``stuck_at_1``, on the two's complement pattern
polarity 2             ``flip``; its kernel has it, though its documentation does not mention it
``tiling=True``        several tiles; a partial tile sits at PE(0, 0); the fault acts in every tile
=====================  =====================================================================================

It has nothing like the sites ``product``, ``weight_operand`` and ``activation_operand``, no windows, and does not count
activations. All that follows is about its CPU path.

Where it differs
----------------
1. *Accumulators* have 32 bits for 8-bit operands and 64 for 16-bit ones; ours have 24 and 40. Results are compared
   modulo 2^24 and 2^40, which loses nothing: the low bits of a sum, and of a forced sum, depend on no higher ones.
2. *Depth*. N3, the largest K of one run, counts as a dimension of its array. Its faults stop two cycles before the
   last cycle of a tile of that depth: the time of an operation, 3 ... N1 + N2 + N3, is compared with the number of
   cycles, N1 + N2 + N3 - 2. So permanent faults miss the last two steps of PE(R-1, C-1) and the last step of its
   neighbours to the north and west. Ours act in all valid steps. With N3 >= K + 2 nothing is missed; those runs are
   ``whole`` below, and must be equal. Runs with N3 = K or K + 1 are ``tight``.
3. *K is split* where it exceeds N3 (``split`` below): each chunk starts from 0 and chunks are added outside the
   array. Ours streams all of K into one psum. Operand faults do not mind; a psum fault does.
4. *A flip that meets another of the same bit* on one line: flauers joins armed bits into one pattern, so that the bit
   is flipped once; ours is flipped twice, which is not at all. Stuck-ats cannot tell.

`as_flauers` expresses 2 to 4 with our own faults. Its result must equal flauers' in every case, so that "explained"
means explained to the bit.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.emulator import Emulator
from axft_spec.config import ArrayConfig
from axft_spec.faults import Fault, FaultKind, FaultSite, Site, site_bits
from axft_spec.lowering import GemmShape
from axft_spec.numeric import signed_range, wrap
from axft_spec.schedule import Window, tile_cycles, tiles

Int64 = NDArray[np.int64]
Rng = np.random.Generator

LINES = {Site.WEIGHT: "b", Site.ACTIVATION: "a", Site.PSUM: "c"}
POLARITIES = {FaultKind.STUCK_AT_0: 0, FaultKind.STUCK_AT_1: 1, FaultKind.FLIP: 2}

#: Cycles at the end of a tile in which faults of flauers do not act.
MISSED_CYCLES = 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """One GEMM and one fault; `depth` is N3 of flauers, `tiling` how it is called."""

    config: ArrayConfig
    depth: int
    tiling: bool
    activations: Int64
    weights: Int64
    fault: Fault

    @property
    def group(self) -> str:
        """``whole``, ``tight`` or ``split``; see the module."""
        k = self.weights.shape[0]
        if self.depth < k:
            return "split"
        return "whole" if self.depth >= k + MISSED_CYCLES else "tight"

    @property
    def site(self) -> str:
        """The site of a single bit; ``set`` for several."""
        return self.fault.sites[0].site.value if len(self.fault.sites) == 1 else "set"

    @property
    def fit(self) -> str:
        """How the outputs fill the array."""
        m, n = self.activations.shape[0], self.weights.shape[1]
        if m > self.config.rows or n > self.config.cols:
            return "several tiles"
        return "one full tile" if (m, n) == (self.config.rows, self.config.cols) else "one partial tile"

    @property
    def may_differ(self) -> bool:
        """Whether one of the differences 2 to 4 can show."""
        places = [
            (armed.site, armed.bit, armed.col if armed.site is Site.WEIGHT else armed.row)
            for armed in self.fault.sites
            if armed.site is not Site.PSUM
        ]
        meeting = self.fault.kind is FaultKind.FLIP and len(set(places)) < len(places)
        return meeting or self.group != "whole"

    def __str__(self) -> str:
        m, k = self.activations.shape
        size = f"{self.config.rows}x{self.config.cols}, {self.config.width} bits, depth {self.depth}"
        return f"({m} x {k}) ({k} x {self.weights.shape[1]}) on {size}, tiling {self.tiling}: {self.fault}"


def random_operands(rng: Rng, width: int, shape: tuple[int, int]) -> Int64:
    """Draw signed, unsigned, sparse or extreme operands."""
    low, high = signed_range(width)
    style = rng.integers(4)
    if style == 0:
        return rng.integers(low, high + 1, shape)
    if style == 1:
        return rng.integers(0, high + 1, shape)
    if style == 2:
        return rng.integers(-7, 8, shape) * rng.integers(0, 2, shape)
    return rng.choice(np.array([low, low + 1, -1, 0, 1, high]), shape)


def random_case(rng: Rng) -> Case:
    """Draw an array, a GEMM of its size, smaller or larger, a depth and a permanent fault."""
    size = rng.random()
    if size < 0.02:
        rows = cols = 28
        k = int(rng.integers(1, 11))
    elif size < 0.12:  # long enough for a psum of 24 or 40 bits to wrap
        rows, cols = (int(side) for side in rng.integers(1, 4, 2))
        k = int(rng.integers(200, 701))
    else:
        rows, cols = (int(side) for side in rng.integers(1, 9, 2))
        k = int(rng.integers(1, 13))
    config = ArrayConfig(rows=rows, cols=cols, width=int(rng.choice([8, 16])))

    fit = rng.random()
    if fit < 0.4:
        m, n = rows, cols
    elif fit < 0.7:
        m, n = int(rng.integers(1, rows + 1)), int(rng.integers(1, cols + 1))
    else:
        m, n = int(rng.integers(1, 3 * rows + 1)), int(rng.integers(1, 3 * cols + 1))

    room = rng.random()
    if room < 0.7:
        depth = k + MISSED_CYCLES + int(rng.integers(3))
    elif room < 0.85 or k == 1:
        depth = k + int(rng.integers(MISSED_CYCLES))
    else:
        depth = int(rng.integers(max(1, k // 5), k))
    return Case(
        config=config,
        depth=depth,
        tiling=bool(m > rows or n > cols or depth < k or rng.random() < 0.3),
        activations=random_operands(rng, config.width, (m, k)),
        weights=random_operands(rng, config.width, (k, n)),
        fault=random_fault(rng, config),
    )


def random_fault(rng: Rng, config: ArrayConfig) -> Fault:
    """Draw a single bit, or sometimes a set of up to four, mostly stuck."""
    count = int(rng.integers(2, 5)) if rng.random() < 0.15 else 1
    sites = set()
    for _ in range(count):
        site = list(LINES)[int(rng.choice(3, p=[0.4, 0.4, 0.2]))]
        bit = int(rng.choice(list(site_bits(config, site))))
        sites.add(FaultSite(site, int(rng.integers(config.rows)), int(rng.integers(config.cols)), bit))
    kind = list(POLARITIES)[int(rng.choice(3, p=[0.45, 0.45, 0.1]))]
    return Fault(kind, tuple(sites))


def run_flauers(flauers: ModuleType, case: Case, untouched: bool) -> tuple[Int64, Int64, Int64]:
    """Return the products that flauers computes before, under and after the fault, as its accumulators hold them."""
    dtype = np.dtype(f"int{case.config.width}")
    array = flauers.SystolicArray(
        case.config.rows,
        case.config.cols,
        case.depth,
        flauers.projection_matrices.output_stationary,
        in_dtype=dtype,
    )

    def multiply() -> Int64:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a line for each product
            product = array.matmul(case.activations.astype(dtype), case.weights.astype(dtype), tiling=case.tiling)
        return np.asarray(product).astype(np.int64)

    before = multiply()
    for armed in case.fault.sites:
        fault = flauers.fault_models.StuckAt(
            LINES[armed.site],
            x=armed.row + 1,
            y=armed.col + 1,
            bit=armed.bit,
            polarity=POLARITIES[case.fault.kind],
            msb="last",
        )
        if not untouched:
            fault.t_stop = array.N1 + array.N2 + array.N3
        array.add_fault(fault)
    faulty = multiply()
    array.clear_all_faults()
    return before, faulty, multiply()


def run_ours(case: Case, fault: Fault | None) -> tuple[Int64, int]:
    """Return psums and the number of activations of the emulator."""
    result = Emulator().gemm(case.config, case.activations[None], case.weights, fault)
    return result.psums[0], int(result.activated[0])


def as_flauers(case: Case) -> Int64:
    """Compute what flauers computes from its differences alone, with the emulator; see the module.

    A line is named by the operand copies of all PEs that it reaches, because the cycles that flauers misses are those
    of each PE, not those of the fault's own.
    """
    config = case.config
    reached = set()
    for armed in case.fault.sites:
        if armed.site is Site.WEIGHT:
            reached |= {replace(armed, site=Site.WEIGHT_OPERAND, row=row) for row in range(armed.row, config.rows)}
        elif armed.site is Site.ACTIVATION:
            reached |= {replace(armed, site=Site.ACTIVATION_OPERAND, col=col) for col in range(armed.col, config.cols)}
        else:
            reached.add(armed)
    fault = None
    cycles = tile_cycles(case.depth, config.rows, config.cols) - MISSED_CYCLES
    if cycles > 0:
        window = Window(layer=0, gemm=0, tile=0, first_cycle=0, cycles=cycles)
        fault = Fault(case.fault.kind, tuple(reached), window)

    m, k = case.activations.shape
    shape = GemmShape(m=m, k=k, n=case.weights.shape[1])
    sums = np.zeros((m, shape.n), dtype=np.int64)
    for tile in tiles(shape, config.rows, config.cols):
        rows, cols = slice(tile.row0, tile.row0 + tile.rows), slice(tile.col0, tile.col0 + tile.cols)
        for first in range(0, k, case.depth):
            steps = slice(first, first + case.depth)
            part = replace(case, activations=case.activations[rows, steps], weights=case.weights[steps, cols])
            sums[rows, cols] += run_ours(part, fault)[0]
    return np.asarray(wrap(sums, config.acc_bits))


def check(flauers: ModuleType, case: Case, untouched: bool) -> dict[str, bool]:
    """Run one case everywhere; return what was found."""
    bits = case.config.acc_bits
    before, faulty, after = (wrap(product, bits) for product in run_flauers(flauers, case, untouched))
    product = wrap(case.activations @ case.weights, bits)
    golden, _ = run_ours(case, None)
    psums, activated = run_ours(case, case.fault)
    return {
        "clean": all(np.array_equal(product, result) for result in (before, after, golden)),
        "activated": activated > 0,
        "not masked": not np.array_equal(golden, psums),
        "agree": np.array_equal(faulty, psums),
        "as expected": np.array_equal(faulty, as_flauers(case)),
    }


def load_flauers(checkout: Path) -> ModuleType:
    """Import flauers from a checkout.

    Raises
    ------
    ValueError
        If it cannot be imported, or not with this numpy.
    """
    source = checkout / "src"
    if not (source / "flauers" / "systolic_array.py").is_file():
        raise ValueError(f"--flauers must be a checkout of https://github.com/jspkay/flauers, not {checkout}")
    if int(np.__version__.partition(".")[0]) > 1:
        raise ValueError(f"numpy must be 1.x for flauers, not {np.__version__}; see the top of this file")
    sys.path.insert(0, str(source))
    try:
        return importlib.import_module("flauers")
    except ImportError as error:
        raise ValueError(f"flauers needs numba and bitarray ({error}); see the top of this file") from error


def version_of(checkout: Path) -> str:
    """Return the commit of a checkout, marked if files in it were changed."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown commit"


COLUMNS = ("cases", "activated", "not masked", "agree", "explained", "unexplained")


def print_table(counts: dict[tuple[str, str, str], Counter[str]]) -> None:
    """Print one line for each group, site and kind, and one for each group."""
    print(f"{'':35}" + "".join(f"{name:>13}" for name in COLUMNS))
    for group in ("whole", "tight", "split"):
        total: Counter[str] = Counter()
        for site in (*(site.value for site in LINES), "set"):
            for kind in POLARITIES:
                row = counts.get((group, site, kind.value), Counter())
                total += row
                print(f"{group:7}{site:12}{kind.value:16}" + "".join(f"{row[name]:13}" for name in COLUMNS))
        print(f"{group:7}{'all':28}" + "".join(f"{total[name]:13}" for name in COLUMNS))


def main() -> int:
    """Run cases, print the counts, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flauers", type=Path, required=True, metavar="DIR", help="a checkout of flauers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, default=2000, help="number of cases")
    parser.add_argument("--untouched", action="store_true", help="do not shorten flauers' idle loops")
    options = parser.parse_args()
    if options.count < 1 or options.first < 0 or options.seed < 0:
        parser.error("--count must be at least 1, --first and --seed at least 0")
    try:
        flauers = load_flauers(options.flauers)
    except ValueError as error:
        parser.error(str(error))

    print(f"flauers {version_of(options.flauers)}, numpy {np.__version__}, seed {options.seed}")
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    shapes: Counter[str] = Counter()
    clean = bad = 0
    start = time.monotonic()
    for number in range(options.first, options.first + options.count):
        case = random_case(np.random.default_rng([options.seed, number]))
        found = check(flauers, case, options.untouched)
        clean += found["clean"]
        outcome = "agree" if found["agree"] else "explained"
        # An account of the differences that is wrong where the two agree would be no account.
        if not (found["clean"] and found["as expected"] and (found["agree"] or case.may_differ)):
            outcome = "unexplained"
            bad += 1
            print(f"case {number}, {case}: {found}", file=sys.stderr)
        row = counts.setdefault((case.group, case.site, case.fault.kind.value), Counter())
        row.update({"cases": 1, "activated": found["activated"], "not masked": found["not masked"], outcome: 1})
        shapes.update((case.fit, f"{case.config.width} bits", f"{case.config.rows}x{case.config.cols}"))
    print_table(counts)
    named = ("one full tile", "one partial tile", "several tiles", "8 bits", "16 bits", "28x28")
    print(", ".join(f"{name} {shapes[name]}" for name in named))
    print(f"without a fault, before and after: {clean} of {options.count} equal to numpy and to the emulator")
    print(f"unexplained: {bad} of {options.count}; {time.monotonic() - start:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
