"""What a campaign is about to do, and how long it will take, before it does."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from axft_host.backends.certain import CertainMasking
from axft_host.backends.registry import open_backend, with_engine
from axft_host.campaign.batch import BatchRunner, Job
from axft_host.campaign.plan import Plan
from axft_host.campaign.sampled import stopping_json
from axft_host.campaign.spec import Run

__all__ = ["Forecast", "forecast"]

#: What a calibration run may take, in seconds, and how many images it has at most.
_BUDGET_S = 1.0
_IMAGES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is known of a run before it begins.

    Members
    -------
    name, config, lowering, backend, sample : str
    fault_space : int or None
        Size of the space; None for a list made by hand.
    certain : int or None
        How many of the space are masked with certainty, an exact stratum of its own.
    faults : int
        How many are listed.
    listed_certain : int
        How many of these are masked with certainty.
    simulated : int
        How many of these run; a device runs certainly masked ones, too.
    images : int
    seconds_per_pair : float or None
        Measured here, in one process; None if nothing is to run.
    measured_pairs : int
        On so many pairs of this very run.
    named_strata : dict of str to int
        Strata that faults are drawn from, if the design has any, with their sizes.
    allocation : dict of str to int
        How many faults are drawn of each of these strata.
    allocation_from : str or None
        What the allocation is: ``proportional``; ``pilot`` for the draw of a pilot; ``after pilot`` if the sizes follow
        from a pilot, and are proportional ones here.
    stopping : dict or None
        The stopping rule; faults, pairs and seconds are upper bounds then.
    workers : int
        Processes that are taken to share the work evenly.
    """

    name: str
    config: str
    lowering: str
    backend: str
    sample: str
    fault_space: int | None
    certain: int | None
    faults: int
    listed_certain: int
    simulated: int
    images: int
    seconds_per_pair: float | None
    measured_pairs: int
    named_strata: dict[str, int]
    workers: int
    allocation: dict[str, int] = field(default_factory=dict)
    allocation_from: str | None = None
    stopping: dict[str, Any] | None = None

    @property
    def pairs(self) -> int:
        """How many (image, fault) pairs are to be simulated."""
        return self.simulated * self.images

    @property
    def seconds(self) -> float:
        """How long the faulty runs are expected to take."""
        return self.pairs * (self.seconds_per_pair or 0.0) / self.workers

    @property
    def strata(self) -> dict[str, int]:
        """Return the parts of the space that rates treat apart, with their sizes."""
        if self.fault_space is None:
            return {}
        left = self.fault_space - (sum(self.named_strata.values()) if self.named_strata else 0)
        if self.named_strata:
            return {**({"certainly masked": left} if left else {}), **self.named_strata}
        if self.certain is None:
            return {"all faults": self.fault_space}
        return {"certainly masked": self.certain, "open": self.fault_space - self.certain}

    def to_json(self) -> dict[str, Any]:
        """Return the members, and what follows from them, as plain JSON values."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "pairs": self.pairs, "strata": self.strata, "seconds": self.seconds}


def forecast(run: Run, plan: Plan) -> Forecast:
    """Count the strata of a run, and measure how long its faults take on a few of them.

    Parameters
    ----------
    run : Run
    plan : Plan
        Of the run.
    """
    masking = CertainMasking(plan.prepared.workload)
    faults = plan.faults.faults
    certain = masking.of(faults)
    backend = open_backend(plan.board)
    skipped = certain if backend.skips_certain else np.zeros_like(certain)
    simulated = int(np.count_nonzero(~skipped))
    seconds, pairs = _measure(plan, [index for index in range(len(faults)) if not skipped[index]])
    space = plan.sample_space or plan.faults.space
    sample, stopping = plan.sample, run.options.stopping
    drawn = {} if sample is None else np.bincount(sample.stratum, minlength=len(sample.names)).tolist()
    return Forecast(
        name=run.name,
        config=plan.prepared.config_name,
        lowering=plan.prepared.workload.lowering,
        backend=plan.board.name,
        sample=run.sample,
        fault_space=None if space is None else space.size,
        certain=None if space is None else masking.count(space),
        faults=len(faults),
        listed_certain=int(np.count_nonzero(certain)),
        simulated=simulated,
        images=len(plan.prepared.dataset),
        seconds_per_pair=seconds / pairs if pairs else None,
        measured_pairs=pairs,
        named_strata={} if sample is None else dict(zip(sample.names, sample.sizes, strict=True)),
        allocation={} if sample is None else dict(zip(sample.names, drawn, strict=True)),
        allocation_from=_allocation_from(run),
        stopping=None if stopping is None else stopping_json(stopping),
        workers=max(1, min(plan.processes, simulated)),
    )


def _allocation_from(run: Run) -> str | None:
    design = run.options.faults.design
    if design == "neyman":
        return "pilot" if run.pilot is None else "after pilot"
    return design if run.options.faults.stratified else None


def _measure(plan: Plan, indices: list[int]) -> tuple[float, int]:
    """Run the first faults that are to run until the time is up; return seconds and pairs of the longest batch."""
    workload = plan.prepared.workload
    images = workload.images[:_IMAGES]
    count = 1
    seconds, pairs = 0.0, 0
    if not indices:
        return seconds, pairs
    board = with_engine(plan.board, len(indices) * len(plan.prepared.dataset))
    backend = open_backend(board)
    if not backend.skips_certain:
        images = images[:1]
    workload = replace(workload, images=images)
    labels = plan.prepared.dataset.labels[: len(images)]
    golden = backend.evaluate(workload, [None])[0].accumulators
    runner = BatchRunner(Job(board=board, workload=workload, labels=labels, golden=golden, score=plan.score))
    # What the first use of a backend builds is not part of the rate.
    runner.run([(index, plan.faults.faults[index]) for index in indices[:1]])
    start = time.perf_counter()
    while time.perf_counter() - start < _BUDGET_S:
        batch = [(index, plan.faults.faults[index]) for index in indices[:count]]
        begun = time.perf_counter()
        runner.run(batch)
        seconds, pairs = time.perf_counter() - begun, len(batch) * len(images)
        if count >= min(len(indices), 64):
            break
        count = min(4 * count, len(indices), 64)
    return seconds, pairs
