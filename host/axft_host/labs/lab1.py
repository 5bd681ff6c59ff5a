"""Tasks of lab 1: the array, cycle by cycle. What is expected is taken from the schedule and the reference model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.workload import WorkloadOptions, prepare_network
from axft_host.labs.answers import array, function, number, several, statements
from axft_host.labs.session import Lab
from axft_host.labs.tasks import Tasks
from axft_spec.config import ArrayConfig
from axft_spec.faults import Fault, FaultKind, FaultSite, Site
from axft_spec.reference import run_tile
from axft_spec.schedule import Window, tile_cycles, tiles

__all__ = ["task"]

Int64 = NDArray[np.int64]

task = Tasks("1")

#: The lab's array, and K of its tile.
_ARRAY, _K = ArrayConfig(rows=3, cols=3), 4


@task("1.1", "an array of 3 x 3 zeros and ones")
def _busy(answer: Any, lab: Lab) -> str | None:
    ones = np.ones((3, _K), np.int64)
    states = run_tile(_ARRAY, ones, ones.T.copy(), None, trace=True).states[3]
    busy = [[int(weight is not None and activation is not None) for weight, activation, _ in line] for line in states]
    return array(
        answer, busy, otherwise="A PE is busy from the cycle in which its first operands meet, for as many steps as K"
    )


@task("1.2", "a function of t, r, c and K")
def _step(answer: Any, lab: Lab) -> str | None:
    # What a PE holds is read off a trace in which every weight is its own step.
    cases = []
    for k in (4, 1):
        config = _ARRAY.resized(3, 4)
        weights = np.repeat(np.arange(k, dtype=np.int64)[:, None], 4, axis=1)
        states = run_tile(config, np.ones((3, k), np.int64), weights, None, trace=True).states
        for t, state in enumerate(states):
            for r, c in ((0, 0), (1, 2), (2, 3), (2, 0)):
                weight, activation, _ = state[r][c]
                expected = -1 if weight is None or activation is None else weight
                cases.append(((t, r, c, k), expected))
    return function(answer, cases, otherwise="When does this PE begin, and when has the last operand passed?")


_SHAPES = ((4, 3, 3), (150, 28, 28), (1, 1, 1), (7, 16, 4))


@task("1.3", "a function of K, R and C")
def _tile_cycles(answer: Any, lab: Lab) -> str | None:
    cases = [(shape, tile_cycles(*shape)) for shape in _SHAPES]
    return function(
        answer, cases, otherwise="How long after PE(0, 0) does the last PE begin, and how long does it take?"
    )


@task("1.4", "a function of m, n, K, R and C")
def _utilisation(answer: Any, lab: Lab) -> str | None:
    cases: list[tuple[tuple[Any, ...], Any]] = []
    for m, n, k, rows, cols in ((3, 3, 4, 3, 3), (1, 28, 400, 28, 28), (2, 5, 7, 4, 6)):
        config = ArrayConfig(rows=rows, cols=cols)
        states = run_tile(config, np.ones((m, k), np.int64), np.ones((k, n), np.int64), None, trace=m < 4 and k < 9)
        # Where a trace would be long, the multiplications are counted as what they are.
        busy = m * n * k if not states.states else _both(states.states)
        cases.append(((m, n, k, rows, cols), busy / (rows * cols * tile_cycles(k, rows, cols))))
    said = "All PEs of the array count, and all cycles of the tile; multiplications are only those that outputs need"
    return function(answer, cases, tolerance=1e-9, otherwise=said)


def _both(states: list[list[list[tuple[int | None, int | None, int]]]]) -> int:
    """Return in how many (cycle, PE) both operands were there."""
    return sum(w is not None and a is not None for state in states for line in state for w, a, _ in line)


@task("1.5", "a whole number of PEs")
def _used(answer: Any, lab: Lab) -> str | None:
    network = prepare_network(WorkloadOptions(config="8P")).network
    used = np.zeros((28, 28), dtype=bool)
    alone = []
    for _, shape in network.gemms("im2col"):
        layer = np.zeros((28, 28), dtype=bool)
        for tile in tiles(shape, 28, 28):
            layer[: tile.rows, : tile.cols] = True
        alone.append(int(layer.sum()))
        used |= layer
    hints = [
        (max(alone), "one layer reaches so many; do the others reach any that this one does not?"),
        (sum(alone), "PEs that several layers use are counted more than once"),
        (784, "all of them? Which layer has 28 output channels or more, and how many rows does it have?"),
        (784 - int(used.sum()), "these are the PEs that are never used"),
    ]
    return number(answer, int(used.sum()), hints=hints, otherwise="Draw rows and columns of each layer as a rectangle")


_REACHING = {
    "weight": "who gets the forced weight after this PE?",
    "activation": "who gets the forced activation after this PE?",
    "weight_operand": "does the forced value leave the PE?",
    "psum": "do partial sums move in an output-stationary array?",
}


@task("1.6", "a dict with an array of 3 x 3 zeros and ones for each of the four sites")
def _reach(answer: Any, lab: Lab) -> str | None:
    if not isinstance(answer, dict) or set(answer) != set(_REACHING):
        return f"a dict with the keys {', '.join(_REACHING)} is asked for"
    draw = np.random.default_rng(7)
    for name, hint in _REACHING.items():
        if answer[name] is None or answer[name] is ...:
            return f"{name} is not answered yet"
        fault = Fault(FaultKind.FLIP, (FaultSite(Site(name), 1, 1, 6),))
        changed = np.zeros((3, 3), dtype=bool)
        for _ in range(20):
            a, w = draw.integers(1, 128, (3, _K)), draw.integers(-128, 128, (_K, 3))
            changed |= run_tile(_ARRAY, a, w, fault).psums != run_tile(_ARRAY, a, w, None).psums
        wrong = array(answer[name], changed.astype(int))
        if wrong is not None:
            return f"{name}: {wrong}; {hint}"
    return None


@task("1.7", "a list of three whole numbers")
def _window(answer: Any, lab: Lab) -> str | None:
    window = Window(layer=0, gemm=0, tile=0, first_cycle=3, cycles=1)
    (step,) = window.steps(0, 1, _K)
    ones = np.ones((3, _K), np.int64)
    fault = Fault(FaultKind.FLIP, (FaultSite(Site.WEIGHT, 0, 1, 6),), window)
    changed = run_tile(_ARRAY, ones, ones.T.copy(), fault).psums != run_tile(_ARRAY, ones, ones.T.copy(), None).psums
    expected = (step, 2 + 1 + step, int(changed.sum()))
    hints: tuple[list[tuple[float, str]], ...] = (
        [(3, "that is the cycle; PE(0, 1) starts later than PE(0, 0)"), (4, "the skew makes a PE late, not early")],
        [(3, "in that cycle the weight is still at row 0"), (4, "how many rows lie between?")],
        [(1, "the flipped weight travels on: who else multiplies with it?"), (9, "does it leave its column?")],
    )
    names = ("hit_step", "cycle_at_row_2", "outputs_at_risk")
    return several(answer, names, expected, hints, otherwise="Use your rule of task 1.2")


@task("1.8", 'letters of statements, as in "ac",')
def _conclude(answer: Any, lab: Lab) -> str | None:
    truths = dict(zip("abcdef", (True, False, True, True, False, True), strict=True))
    hint = (
        "who owns an output, where a forced weight goes, what m is in a dense layer, and what each share is a share of"
    )
    return statements(answer, truths, hint)
