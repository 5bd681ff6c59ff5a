"""A batch of faults: evaluated, classified, and turned into rows of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import RunEnd, Workload
from axft_host.backends.registry import Board, open_backend
from axft_host.campaign.outcome import Status, classify, top_class
from axft_host.campaign.records import FaultRow
from axft_spec.flipflops import AnyFault

__all__ = ["BatchRunner", "Job"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """What all faults of a campaign have in common. It is sent once to every worker process.

    Members
    -------
    board : Board
    workload : Workload
    labels : ndarray of int64, shape (images,)
    golden : ndarray of int64, shape (images, classes)
        Final accumulators of the golden run.
    score : str
    """

    board: Board
    workload: Workload
    labels: NDArray[np.int64]
    golden: NDArray[np.int64]
    score: str


class BatchRunner:
    """Runs batches of faults of one job, one after another, on a backend of its own."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._backend = open_backend(job.board)

    def run(
        self, faults: Sequence[tuple[int, AnyFault]], progress: Callable[[int], None] | None = None
    ) -> list[FaultRow]:
        """Run faults, given with their places in the list, over all images.

        Parameters
        ----------
        faults : sequence of (int, Fault or FlipFlopFault)
        progress : callable, optional
            Called with the number of pairs done since the last call.
        """
        job = self._job
        evaluations = self._backend.evaluate(job.workload, [fault for _, fault in faults], progress)
        rows = []
        for (index, fault), evaluation in zip(faults, evaluations, strict=True):
            if evaluation.end is not RunEnd.COMPLETE:
                rows.append(FaultRow.without_result(index, fault, Status(evaluation.end.value), len(job.labels)))
                continue
            outcomes = classify(
                job.golden, evaluation.accumulators, score=job.score, score_scale=job.workload.network.score_scale
            )
            correct = int(np.count_nonzero(top_class(evaluation.accumulators) == job.labels))
            activated = int(evaluation.activated.sum())
            rows.append(FaultRow.of(index, fault, outcomes, correct=correct, activated=activated))
        return rows
