"""The shipped network on a board, with and without faults, beside what the emulator computes for the same."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend, Evaluation, RunEnd, Workload
from axft_host.backends.emulator import Emulator
from axft_host.campaign.outcome import Outcome, classify
from axft_host.device.examination.finding import Finding
from axft_host.doctor.pictures import pictures
from axft_host.nn.library import DEFAULT_MODEL, load_network_file
from axft_spec.config import PRESETS, ArrayConfig
from axft_spec.faultlist import draw_fault_list
from axft_spec.faults import Fault, FaultKind, FaultSpace, Site

__all__ = ["Pair", "Trial", "known_digests", "preset_name", "row_digests", "trial_faults", "trial_workload"]

Int64 = NDArray[np.int64]

#: Final accumulators of the shipped network, as another machine has computed them.
_KNOWN = Path(__file__).parent / "known.json"

_UNSTEADY = "the board is not steady: see its power supply and its clock before a campaign"

#: Seconds that the speed of a board is measured for, at least.
_SPEED_S = 1.0


def trial_workload(config: ArrayConfig, images: int) -> Workload:
    """Return the shipped network on an array, with the first pictures."""
    network, _ = load_network_file(DEFAULT_MODEL, config)
    return Workload(network=network, config=config, lowering="im2col", images=pictures(images))


def trial_faults(config: ArrayConfig, count: int, sites: Sequence[Site]) -> list[Fault]:
    """Return a drawn list of stuck-at faults at the first of the sites that a device has."""
    space = FaultSpace(config=config, sites=(sites[0],), kinds=(FaultKind.STUCK_AT_0, FaultKind.STUCK_AT_1))
    return [fault for fault in draw_fault_list(space, count, 1).faults if isinstance(fault, Fault)]


def row_digests(accumulators: Int64) -> list[str]:
    """Return the SHA-256 (hex, first 16 digits) of each image's accumulators, as int64, little endian."""
    return [hashlib.sha256(row.astype("<i8").tobytes()).hexdigest()[:16] for row in accumulators]


def preset_name(config: ArrayConfig) -> str | None:
    """Return the name of the preset with this arithmetic and this array; None if there is none."""
    return next((preset.name for preset in PRESETS.values() if preset.config == config), None)


@lru_cache(maxsize=1)
def _known() -> dict[str, list[str]]:
    value: dict[str, list[str]] = json.loads(_KNOWN.read_text(encoding="utf-8"))["digests"]
    return value


def known_digests(config: ArrayConfig) -> list[str]:
    """Return the digests, as `row_digests`, that come with the package; empty for an array that it has none for."""
    return _known().get(preset_name(config) or "", [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What one run gave on the board, and on the emulator."""

    fault: Fault | None
    board: Evaluation
    emulator: Evaluation

    @property
    def equal(self) -> bool:
        """Whether the board's run is complete and gave the same, bit for bit, with the same activations."""
        return (
            self.board.end is RunEnd.COMPLETE
            and np.array_equal(self.board.accumulators, self.emulator.accumulators)
            and np.array_equal(self.board.activated, self.emulator.activated)
        )

    def to_json(self, golden: Int64, score_scale: float) -> dict[str, Any]:
        """Return both sides as plain JSON values; outcomes are against a golden run's accumulators."""
        sides = {}
        for name, side in (("board", self.board), ("expected", self.emulator)):
            complete = side.end is RunEnd.COMPLETE
            outcomes = np.full(len(golden), Outcome.NONE)
            if complete:
                outcomes = classify(golden, side.accumulators, score="softmax", score_scale=score_scale)
            sides[name] = {
                "end": side.end.value,
                "outcomes": [Outcome(int(outcome)).name.lower() for outcome in outcomes],
                "activated": [int(count) for count in side.activated],
                "digests": row_digests(side.accumulators),
                "accumulators": side.accumulators.tolist(),
            }
        return {"fault": None if self.fault is None else str(self.fault), "equal": self.equal, **sides}


def _counted(outcomes: Sequence[str]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(outcomes).items()))


class Trial:
    """Runs of one workload on a board, each beside the emulator's.

    Parameters
    ----------
    backend : Backend
    workload : Workload

    Attributes
    ----------
    expected : Evaluation
        The emulator's golden run.
    recoveries : list of str
        How the board had to be brought back on the way.
    """

    def __init__(self, backend: Backend, workload: Workload) -> None:
        self.backend = backend
        self.workload = workload
        self._emulator = Emulator()
        self.expected = self._emulator.evaluate(workload, [None])[0]
        self.recoveries: list[str] = []

    def run(self, fault: Fault | None) -> Pair:
        """Run one fault, or none, on both.

        Raises
        ------
        AxftError
            If the board fails in a way that is no outcome.
        """
        board = self.backend.evaluate(self.workload, [fault])[0]
        self.recoveries += [f"{each.rung} after {each.end} ({each.cause})" for each in board.recoveries]
        expected = self.expected if fault is None else self._emulator.evaluate(self.workload, [fault])[0]
        return Pair(fault=fault, board=board, emulator=expected)

    def shown(self, pair: Pair) -> dict[str, Any]:
        """Return both sides of a run as plain JSON values."""
        return pair.to_json(self.expected.accumulators, self.workload.network.score_scale)

    def sites(self) -> tuple[Site, ...]:
        """Return the fault sites that can be armed, that of the default fault space first."""
        device = self.backend.device()
        hardware = (device or {}).get("hardware")
        have = [site.value for site in Site] if hardware is None else list(hardware["sites"])
        return tuple(site for site in Site if site.value in have)

    # What the doctor looks at

    def check_machine(self) -> Iterator[Finding]:
        """Compare the emulator on this machine with what another machine has computed."""
        known = known_digests(self.workload.config)[: len(self.workload.images)]
        found = row_digests(self.expected.accumulators)[: len(known)]
        if not known:
            yield Finding.skipped("golden here", "the package has no known result for this array")
        elif found == known:
            yield Finding.passed("golden here", f"{len(known)} images: this machine's emulator gives the known results")
        else:
            bad = [number for number, pair in enumerate(zip(found, known, strict=True)) if pair[0] != pair[1]]
            yield Finding.failed(
                "golden here",
                f"image {bad[0]}: this machine's emulator gives {found[bad[0]]} instead of {known[bad[0]]}",
                "this machine's numpy, or the installed package, is not what it should be: install both again",
            )

    def check_golden(self) -> Iterator[Finding]:
        """Run all images without a fault, and compare with the emulator."""
        pair = self.run(None)
        images = len(self.workload.images)
        if not pair.equal:
            wrong = int((pair.board.accumulators != pair.emulator.accumulators).any(axis=-1).sum())
            text = f"{wrong} of {images} images differ from the emulator ({pair.board.end.value})"
            yield Finding.failed("golden network", text)
        elif self.recoveries:
            yield Finding.failed("golden network", f"right, but only after {'; '.join(self.recoveries)}", _UNSTEADY)
        else:
            digest = row_digests(pair.board.accumulators)[0]
            text = f"{self.workload.network.name}, {images} images: final accumulators as expected ({digest}, ...)"
            yield Finding.passed("golden network", text)

    def check_injection(self) -> Iterator[Finding]:
        """Inject the first fault of a list that changes a result, and compare with the emulator."""
        sites = self.sites()
        if not sites:
            yield Finding.skipped("injection", "this hardware has no fault sites", "build it with --sites weight")
            return
        faults = trial_faults(self.workload.config, 200, sites)
        fault = next((fault for fault in faults if self._changes(fault)), None)
        if fault is None:
            yield Finding.skipped("injection", f"none of {len(faults)} faults changes a result for these images")
            return
        pair = self.run(fault)
        shown = self.shown(pair)
        board, expected = shown["board"], shown["expected"]
        text = f"{fault}: activated {sum(board['activated'])} times, {_counted(board['outcomes'])}"
        if pair.equal:
            yield Finding.passed("injection", f"{text}: as expected")
        else:
            text += f"; expected {sum(expected['activated'])} times, {_counted(expected['outcomes'])}"
            yield Finding.failed("injection", text if board["end"] == "complete" else f"{text} ({board['end']})")

    def _changes(self, fault: Fault) -> bool:
        result = self._emulator.evaluate(self.workload, [fault])[0]
        return not np.array_equal(result.accumulators, self.expected.accumulators)

    def check_speed(self) -> Iterator[Finding]:
        """Time golden runs: inferences per second, operands and results moved and all."""
        images, done = len(self.workload.images), 0
        start = time.perf_counter()
        while done == 0 or time.perf_counter() - start < _SPEED_S:
            self.backend.evaluate(self.workload, [None])
            done += images
        seconds = time.perf_counter() - start
        rate = done / seconds
        yield Finding.passed(
            "inferences per second",
            f"{rate:,.1f} inferences/s of {self.workload.network.name} ({done} images in {seconds:.2f} s)",
            inferences_per_second=rate,
        )
