"""A batch of faults: evaluated, classified, and turned into rows of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend, RunEnd, Workload
from axft_host.backends.registry import Board, open_backend
from axft_host.campaign.outcome import Status, classify, top_class
from axft_host.campaign.records import FaultRow
from axft_spec.flipflops import AnyFault

if TYPE_CHECKING:
    from axft_host.campaign.judge import Judge

__all__ = ["BatchRunner", "Job", "make_batches"]

Int64 = NDArray[np.int64]

#: Faults of a batch, and how many pairs one should have in between.
_BATCH_FAULTS = (16, 64)
_BATCH_PAIRS = 6400

#: Into how many batches a list is cut at least, if it is long: workers end at about the same time.
_BATCHES = 16

#: Seconds that a batch should take where its faults run one after another.
_BATCH_S = 2.0


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


def make_batches(
    faults: Sequence[tuple[int, AnyFault]],
    images: int,
    seconds_per_fault: float | None = None,
    pairs_at_once: int | None = None,
) -> list[Sequence[tuple[int, AnyFault]]]:
    """Cut a list into batches: small enough to stop soon, and large enough to share a golden run where they do.

    Parameters
    ----------
    faults : sequence of (int, Fault or FlipFlopFault)
    images : int
    seconds_per_fault : float or None
        What a fault takes where they share nothing; see :class:`~axft_host.backends.base.Backend`.
    pairs_at_once : int or None
        How many pairs a batch had best be, if there are enough for all workers; see there, too.
    """
    size = max(_BATCH_FAULTS[0], min(_BATCH_FAULTS[1], _BATCH_PAIRS // images))
    if seconds_per_fault is not None:
        size = max(1, min(_BATCH_FAULTS[1], int(_BATCH_S / max(seconds_per_fault, 1e-6))))
    elif pairs_at_once is not None:
        # Golden runs that are not kept are made for every batch, so that few faults cost more than they are worth.
        least = max(_BATCH_FAULTS[0], min(_BATCH_FAULTS[1], 4 * pairs_at_once // images))
        size = max(least, min(pairs_at_once // images, -(-len(faults) // _BATCHES)))
    return [faults[start : start + size] for start in range(0, len(faults), size)]


class BatchRunner:
    """Runs batches of faults of one job, one after another.

    Parameters
    ----------
    job : Job
    backend : Backend or None
        One that is open already; None to open one.
    """

    def __init__(self, job: Job, backend: Backend | None = None) -> None:
        self._job = job
        self._backend = backend or open_backend(job.board)
        self._judge: Judge | None = None

    def prepare(self) -> None:
        """Build what the first batch would build."""
        self._backend.prepare(self._job.workload)

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
        return list(self.rows(faults, progress))

    def rows(
        self, faults: Sequence[tuple[int, AnyFault]], progress: Callable[[int], None] | None = None
    ) -> Iterator[FaultRow]:
        """Yield what `run` returns, row by row: those before an error are not lost with it."""
        job, listed = self._job, [fault for _, fault in faults]
        blocks = self._backend.evaluate_blocks(job.workload, listed, progress)
        if blocks is not None:
            yield from self._rows_of(faults, blocks)
            return
        evaluations = self._backend.evaluate_each(job.workload, listed, progress)
        for (index, fault), evaluation in zip(faults, evaluations, strict=True):
            if evaluation.end is not RunEnd.COMPLETE:
                status, images = Status(evaluation.end.value), len(job.labels)
                yield FaultRow.without_result(index, fault, status, images, recoveries=evaluation.recoveries)
                continue
            outcomes = classify(
                job.golden, evaluation.accumulators, score=job.score, score_scale=job.workload.network.score_scale
            )
            correct = int(np.count_nonzero(top_class(evaluation.accumulators) == job.labels))
            activated = int(evaluation.activated.sum())
            yield FaultRow.of(
                index, fault, outcomes, correct=correct, activated=activated, recoveries=evaluation.recoveries
            )

    def _rows_of(
        self, faults: Sequence[tuple[int, AnyFault]], blocks: Iterator[tuple[slice, Int64, Int64]]
    ) -> Iterator[FaultRow]:
        """Yield rows from what comes for a few images at a time."""
        if self._judge is None:
            # Importing it imports numba, which takes a second.
            from axft_host.campaign.judge import Judge

            job = self._job
            self._judge = Judge(job.golden, job.labels, job.score, job.workload.network.score_scale)
        outcomes = np.zeros((len(faults), len(self._job.labels)), dtype=np.uint8)
        correct, activated = np.zeros(len(faults), dtype=np.int64), np.zeros(len(faults), dtype=np.int64)
        for images, accumulators, counted in blocks:
            self._judge.outcomes(images, accumulators, outcomes[:, images], correct)
            activated += counted.sum(axis=1)
        for place, (index, fault) in enumerate(faults):
            yield FaultRow.of(
                index, fault, outcomes[place], correct=int(correct[place]), activated=int(activated[place])
            )
