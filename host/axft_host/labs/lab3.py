"""Tasks of lab 3: one fault. What is expected is counted on the network, or on the runs of the notebook."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.api.injection import FollowedFault
from axft_host.api.results import Result
from axft_host.campaign.outcome import Outcome, classify
from axft_host.campaign.workload import WorkloadOptions, prepare_network
from axft_host.labs.answers import array, is_open, number, require_result, several, statements, text
from axft_host.labs.session import Lab
from axft_host.labs.tasks import Tasks
from axft_host.nn.inference import apply_host_op
from axft_host.nn.network import Network
from axft_spec.faults import Site, ignored_bits
from axft_spec.schedule import tiles

__all__ = ["task"]

Sums = tuple[NDArray[np.int64], NDArray[np.int64]]

task = Tasks("3")


def _network() -> Network:
    return prepare_network(WorkloadOptions(config="34P")).network


@task("3.1", "a list of two whole numbers")
def _activations(answer: Any, lab: Lab) -> str | None:
    network = _network()
    column = network.multiplying_layers[1].weights[5].reshape(-1)
    zeros = int(np.count_nonzero((column >> 6 & 1) == 0))
    _, shape = network.gemms("im2col")[1]
    passes = sum(tile.rows > 3 and tile.cols > 5 for tile in tiles(shape, 28, 28))
    other = network.multiplying_layers[1].weights.reshape(16, -1)[:, 5]
    return several(
        answer,
        ("zeros_at_bit_6", "activations"),
        (zeros, zeros * passes),
        (
            [
                (len(column) - zeros, "those have a 1, and stuck at 1 changes nothing there"),
                (int(np.count_nonzero((other >> 6 & 1) == 0)), "that is row 5; column 5 carries output channel 5"),
                (int(np.count_nonzero((column >> 5 & 1) == 0)), "that is bit 5; bit 0 is the least significant"),
            ],
            [
                (zeros, "once per tile; how many tiles does this layer have, and which of them have a row 3?"),
                (zeros * 100, "PE(3, 5) does one output pixel of each tile, not all of them"),
                (zeros * (passes - 1), "the last tile is not full; does it have a row 3?"),
            ],
        ),
        otherwise=(
            "Think of where bit 6 is, if bit 0 is the least significant one, and of what a negative weight looks like "
            "in two's complement",
            "Think of the tiles that 100 output pixels make, of what passes PE(3, 5) in each, and of which bits of "
            "that the fault changes",
        ),
    )


_REASONS = {"A": "ignored bit", "B": "idle PE", "C in conv1": "zero activation", "C in conv2": "rounded away"}
_WHY = {
    "A": "which bits of a weight does 34P read?",
    "B": "which layer has an output in row 20 and column 20? (Lab 1, task 1.5)",
    "C in conv1": "it is activated, and not one sum is struck: what must the other factor be?",
    "C in conv2": "how many sums differ, and how many values?",
}


@task("3.2", "a dict with a reason for each of the four")
def _masked_why(answer: Any, lab: Lab) -> str | None:
    if not isinstance(answer, dict) or set(answer) != set(_REASONS):
        return f"a dict with the keys {', '.join(_REASONS)} is asked for"
    assert ignored_bits(_network().config, Site.WEIGHT) > 2
    options = tuple(_REASONS.values())
    for name, reason in _REASONS.items():
        if is_open(answer[name]):
            return f"{name} is not answered yet"
        hints = dict.fromkeys(options, f"that is not it: {_WHY[name]}")
        wrong = text(answer[name], reason, options=options, hints=hints)
        if wrong is not None:
            return f"{name}: {wrong}"
    return None


@task("3.3", "a fraction")
def _survive(answer: Any, lab: Lab, path: FollowedFault) -> str | None:
    network = _network()
    place = [op.name for op in network.ops].index("conv2.requantise")
    golden, faulty = path.layers[1].golden_sums, path.layers[1].faulty_sums
    differs = golden != faulty
    left = apply_host_op(network.ops[place], golden) != apply_host_op(network.ops[place], faulty)
    right = float(left[differs].mean())
    pooled = path.layers[1].golden != path.layers[1].faulty
    hints = [
        (1 - right, "that is the share that is lost"),
        (float(left.mean()), "a share of the sums that differ, not of all of them"),
        (float(pooled.sum() / differs.sum()), "that is after pooling"),
        (float(left.sum()), "that is how many; the share of those that differed is asked for"),
    ]
    return number(answer, right, tolerance=5e-4, hints=hints)


def _zeros(values: NDArray[np.int64]) -> float:
    """Return the share of zeros in channel 15 of what leaves conv2, which is flattened."""
    return float((values.reshape(-1, 16, 25)[:, 15] == 0).mean())


@task("3.4", "a list of three numbers")
def _signs(answer: Any, lab: Lab, signs: Mapping[str, FollowedFault]) -> str | None:
    network = _network()
    zeros, before = _zeros(signs["sa1"].layers[1].faulty), _zeros(signs["sa1"].layers[1].golden)
    high = 1 << (network.width - 1)
    mixed = [
        (-high, "which weights have a 1 in the sign bit, and what are they without it?"),
        (2 * high, "the sign bit of a two's complement number has a weight, once"),
        (-2 * high, "the sign bit of a two's complement number has a weight, once"),
    ]
    return several(
        answer,
        ("change_sa0", "change_sa1", "zeros_sa1"),
        (high, -high, zeros),
        (
            mixed,
            [(high, "with a 1 in the sign bit, is a number larger or smaller?"), *mixed[1:]],
            [
                (before, "that is without the fault"),
                (1 - zeros, "that is the share that is not 0"),
                (_zeros(signs["sa0"].layers[1].faulty), "that is stuck at 0"),
            ],
        ),
        tolerance=5e-4,
    )


@task("3.5", "a function of golden, faulty and scale")
def _outcome(answer: Any, lab: Lab) -> str | None:
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    scale = _network().score_scale
    top = round(8 / scale)
    golden = np.array([0, top, 0, -top, top // 3, 0, 0, 0, 0, 0])
    tied = np.where(np.arange(10) == 7, top, golden)

    def sums(probability: float) -> NDArray[np.int64]:
        """Return sums of which class 1 has this probability, and the other nine share the rest."""
        return np.where(np.arange(10) == 1, round(math.log(9 * probability / (1 - probability)) / scale), 0)

    changes: dict[str, Sums] = {
        "equal sums": (golden, golden),
        "one small sum that differs": (golden, golden + np.eye(10, dtype=np.int64)[3]),
        "another class": (golden, np.roll(golden, 1)),
        "the same class with half of its sum": (golden, np.where(golden == top, top // 2, golden)),
        "the same class with a larger sum": (golden, np.where(golden == top, 2 * top, golden)),
        "a tie of two classes": (golden, tied),
        "all sums raised alike": (golden, golden + top),
        "a tie with a class of lower index": (golden, np.where(np.arange(10) == 0, top, golden)),
        "a tie without the fault, which the fault ends": (tied, tied + (np.arange(10) == 7)),
        "the same class, its probability falling from 0.50 to 0.46": (sums(0.50), sums(0.46)),
        "the same class, its probability rising from 0.5 to 0.9": (sums(0.5), sums(0.9)),
    }

    def right(before: NDArray[np.int64], faulty: NDArray[np.int64], scale: float) -> str:
        code = int(classify(before[None], faulty[None], score="softmax", score_scale=scale)[0])
        return Outcome(code).name.lower()

    for name, (before, faulty) in changes.items():
        expected = right(before, faulty, scale)
        try:
            given = answer(before.copy(), faulty.copy(), scale)
        except Exception as error:  # whatever the student's code raises
            return f"{name}: outcome(...) raised {type(error).__name__}: {error}"
        if (nothing := require_result(f"{name}: outcome(...)", given)) is not None:
            return nothing
        wrong = text(given, expected, options=("masked", "tolerable", "critical"))
        if wrong is not None:
            matters = right(before, faulty, scale / 100) != expected
            hint = "whatever `scale` is, your verdict is the same; " * (
                matters and _without_scale(answer, changes.values(), scale)
            )
            called = f"golden = {before.tolist()}, faulty = {faulty.tolist()}, scale = {scale:.4g}"
            return f"{name}: {wrong}; {hint}it was called with {called}"
    return None


def _without_scale(answer: Callable[..., object], pairs: Iterable[Sums], scale: float) -> bool:
    """Return whether a verdict on some golden and faulty sums is the same at another scale for all of them."""
    try:
        return all(
            str(answer(before.copy(), faulty.copy(), scale)) == str(answer(before.copy(), faulty.copy(), scale / 100))
            for before, faulty in pairs
        )
    except Exception:  # whatever the student's code raises
        return False


@task("3.6", "an array of six fractions, and their mean")
def _shares(answer: Any, lab: Lab, result: Result) -> str | None:
    if not isinstance(answer, dict) or set(answer) != {"shares", "rate"}:
        return "a dict with the keys shares and rate is asked for, as the cell has it"
    counts = np.array([row.count("C") for row in result.frame["outcomes"]])
    shares = counts / len(result.frame["outcomes"].iloc[0])
    for name, given in answer.items():
        if is_open(given):
            return f"critical_{name} is not answered yet"
    hints = [(counts, "these are counts; divide by the number of images"), (100 * shares, "these are in percent")]
    wrong = array(answer["shares"], shares, hints=hints)
    if wrong is not None:
        return f"critical_shares: {wrong}"
    wrong = number(answer["rate"], float(shares.mean()), tolerance=1e-6)
    return None if wrong is None else f"critical_rate: {wrong}"


@task("3.7", 'letters of statements, as in "ac",')
def _conclude(answer: Any, lab: Lab) -> str | None:
    truths = dict(zip("abcdef", (True, False, True, False, True, False), strict=True))
    hint = (
        "the runs of this lab that could contradict each of them (parts 1 to 3), and of how faults were chosen or "
        "counted"
    )
    return statements(answer, truths, hint)
