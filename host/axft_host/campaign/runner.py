"""Runs a plan: golden run, batches of faults, rows of the store."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.certain import CertainMasking
from axft_host.backends.registry import open_backend
from axft_host.campaign.batch import Job
from axft_host.campaign.outcome import Status, top_class
from axft_host.campaign.plan import Plan
from axft_host.campaign.records import FaultRow, Golden, Provenance
from axft_host.campaign.store import STORE_NAME, ResultStore, make_result_dir, utc_now
from axft_host.campaign.versions import tool_versions
from axft_host.campaign.workers import Batch, Interruption, WorkerPool, default_workers, run_batches_here
from axft_spec.errors import StoreError, exists_message
from axft_spec.faultlist import write_fault_list
from axft_spec.faults import Fault

__all__ = ["FAULT_LIST_NAME", "Progress", "RunResult", "SilentProgress", "make_batches", "run_campaign"]

#: Name of the fault list in a result directory.
FAULT_LIST_NAME = "faults.jsonl"

#: Faults of a batch, and how many pairs one should have in between.
_BATCH_FAULTS = (16, 64)
_BATCH_PAIRS = 6400


class Progress(Protocol):
    """Is told how a campaign gets on."""

    def start(self, pairs: int) -> None:
        """Faulty runs begin; so many (image, fault) pairs are to be simulated."""

    def advance(self, pairs: int) -> None:
        """So many more pairs are done."""

    def stopping(self) -> None:
        """Ctrl-C came; the batches in hand are being finished. Called from a signal handler."""

    def close(self) -> None:
        """No more comes."""


class SilentProgress:
    """Tells nobody."""

    def start(self, pairs: int) -> None:
        """See `Progress`."""

    def advance(self, pairs: int) -> None:
        """See `Progress`."""

    def stopping(self) -> None:
        """See `Progress`."""

    def close(self) -> None:
        """See `Progress`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Where a result is, and whether all faults are in it."""

    store: Path
    complete: bool
    faults_done: int


@dataclass(slots=True)
class _Stopwatch:
    """Adds up the time inside its context."""

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


def make_batches(faults: Sequence[tuple[int, Fault]], images: int) -> list[Batch]:
    """Cut a list into batches: large enough to share one golden run, small enough to stop soon."""
    size = max(_BATCH_FAULTS[0], min(_BATCH_FAULTS[1], _BATCH_PAIRS // images))
    return [faults[start : start + size] for start in range(0, len(faults), size)]


def run_campaign(plan: Plan, out: Path | None = None, progress: Progress | None = None) -> RunResult:
    """Run a campaign and leave its result in a directory of its own.

    The outcomes do not depend on the number of workers. After Ctrl-C, the batches in hand are finished, and
    what is done stays, marked as interrupted: the first faults of a drawn list are a smaller sample.

    Parameters
    ----------
    plan : Plan
    out : Path or None
        The directory, which must not exist; None for a new name under ``axft-results``.
    progress : Progress or None

    Raises
    ------
    StoreError
        If the directory exists or cannot be written.
    BackendError
        If the backend or a worker process fails; what was done until then stays.
    KeyboardInterrupt
        After a second Ctrl-C, which stops at once; it says where what was done until then is.
    """
    if out is not None and out.exists():
        raise StoreError(exists_message(out))
    progress = progress or SilentProgress()
    workload, faults = plan.prepared.workload, plan.faults
    watch = _Stopwatch()
    with watch.running():
        backend = open_backend(plan.board)
        accumulators = backend.evaluate(workload, [None])[0].accumulators
        masking = CertainMasking(workload)
        certain = masking.of(faults.faults)
        space_certain = None if faults.space is None else masking.count(faults.space)
    labels = plan.prepared.dataset.labels
    golden = Golden(image_ids=np.arange(len(labels)), labels=labels, predictions=top_class(accumulators))
    job = Job(board=plan.board, workload=workload, labels=labels, golden=accumulators, score=plan.score)
    skipped = certain if backend.skips_certain else np.zeros_like(certain)
    open_faults = [(index, fault) for index, fault in enumerate(faults.faults) if not skipped[index]]
    batches = make_batches(open_faults, len(labels))

    with Interruption(progress.stopping) as stop:
        directory = make_result_dir(out, plan.prepared.config_name)
        write_fault_list(directory / FAULT_LIST_NAME, faults)
        provenance = _provenance(plan, backend.device(), golden, accumulators, space_certain)
        with ResultStore.create(directory / STORE_NAME, provenance, golden) as store:
            rows = _InOrder(store, faults.faults, certain, golden)
            try:
                workers = min(plan.workers or default_workers(), max(len(batches), 1))
                pool = WorkerPool(job, workers) if workers > 1 else None
                with watch.running():
                    _run_batches(pool, job, batches, rows, stop, progress)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"the faults that are done are kept in {store.path}") from None
            finally:
                # Whatever happened, the store says how far it came.
                complete = rows.done == len(faults.faults)
                store.finish(complete=complete, seconds=watch.seconds)
    return RunResult(store=store.path, complete=complete, faults_done=rows.done)


def _run_batches(
    pool: WorkerPool | None, job: Job, batches: Sequence[Batch], rows: _InOrder, stop: Interruption, progress: Progress
) -> None:
    """Run batches and add their rows until done or asked to stop; then let go of the workers."""
    finished = False
    try:
        progress.start(sum(map(len, batches)) * len(job.labels))
        if pool is None:
            results = run_batches_here(job, batches, stop, progress.advance)
        else:
            results = pool.run(batches, stop, progress.advance)
        taken = 0
        for done in results:
            rows.add(done)
            taken += 1
        if taken == len(batches):
            rows.add_rest()
        finished = True
    finally:
        try:
            progress.close()
        finally:
            # Also if stderr is what failed.
            if pool is not None:
                pool.close(kill=not finished)


class _InOrder:
    """Writes rows to a store in the order of the list, the certainly masked faults among them."""

    def __init__(self, store: ResultStore, faults: Sequence[Fault], certain: NDArray[np.bool_], golden: Golden) -> None:
        self._store = store
        self._faults = faults
        self._certain = certain
        self._golden = golden
        self.done = 0

    def add(self, rows: Sequence[FaultRow]) -> None:
        """Add the next rows of faults that were simulated, in one transaction."""
        simulated = {row.index: self._marked(row) for row in rows}
        end = rows[-1].index + 1
        self._store.add(
            [simulated[index] if index in simulated else self._masked(index) for index in range(self.done, end)]
        )
        self.done = end

    def add_rest(self) -> None:
        """Add the faults after the last simulated one."""
        self._store.add([self._masked(index) for index in range(self.done, len(self._faults))])
        self.done = len(self._faults)

    def _marked(self, row: FaultRow) -> FaultRow:
        """Say of a fault that ran, and need not have, that it belongs to those that are masked with certainty."""
        return replace(row, certain=True) if self._certain[row.index] and row.status is Status.OK else row

    def _masked(self, index: int) -> FaultRow:
        assert self._certain[index], "rows come in the order of the list"
        return FaultRow.masked_with_certainty(index, self._faults[index], self._golden)


def _provenance(
    plan: Plan,
    device: dict[str, Any] | None,
    golden: Golden,
    accumulators: NDArray[np.int64],
    space_certain: int | None,
) -> Provenance:
    workload, dataset, faults = plan.prepared.workload, plan.prepared.dataset, plan.faults
    network, space = workload.network, faults.space
    return Provenance(
        created_utc=utc_now(),
        spec=plan.spec(),
        fault_list_digest=faults.digest,
        fault_space=None if space is None else space.to_json(),
        fault_seed=faults.seed,
        faults=len(faults.faults),
        space_size=None if space is None else space.size,
        space_certain=space_certain,
        site=plan.site,
        kind=plan.kind,
        config_name=plan.prepared.config_name,
        config=workload.config.to_json(),
        config_digest=workload.config.digest(),
        lowering=workload.lowering,
        score=plan.score,
        rounding=network.rounding,
        compensated=network.compensated,
        network_name=network.name,
        network_digest=network.digest,
        network_source_digest=network.source_digest,
        network_notices=list(network.notices),
        dataset_name=dataset.name,
        dataset_digest=dataset.digest,
        dataset_source=dataset.source,
        golden_accuracy=golden.accuracy,
        golden_digest=hashlib.sha256(accumulators.astype("<i8").tobytes()).hexdigest(),
        backend=plan.board.name,
        physical=None if plan.board.physical is None else list(plan.board.physical),
        device=device,
        regmap_digest=None if device is None else device["regmap_hash"],
        confidence=plan.confidence,
        versions=tool_versions(),
    )
