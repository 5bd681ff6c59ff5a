"""Runs a plan: golden run, batches of faults, rows of the store. And goes on with one that was interrupted."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend
from axft_host.backends.certain import CertainMasking
from axft_host.backends.registry import Board, open_backend, with_engine
from axft_host.campaign.batch import Job, make_batches
from axft_host.campaign.locking import locked
from axft_host.campaign.outcome import Status, top_class
from axft_host.campaign.plan import Plan, plan_campaign
from axft_host.campaign.recorded import options_from_json, options_to_json
from axft_host.campaign.records import FaultRow, Golden, Provenance, Session
from axft_host.campaign.sampled import rule_of, sampling_json, stopping_json
from axft_host.campaign.stopping import StoppingRule, fractions_of
from axft_host.campaign.store import COMPLETE, STORE_NAME, ResultStore, make_result_dir, store_path, utc_now
from axft_host.campaign.versions import tool_versions
from axft_host.campaign.workers import Batch, Interruption, Pool, WorkerPool, run_batches_here
from axft_host.device.recovery import Recovery
from axft_spec.errors import AxftError, BackendError, StoreError, exists_message
from axft_spec.faultlist import write_fault_list
from axft_spec.faults import FaultSpace

__all__ = [
    "FAULT_LIST_NAME",
    "Progress",
    "RunResult",
    "SilentProgress",
    "resume_campaign",
    "run_campaign",
]

#: Name of the fault list in a result directory.
FAULT_LIST_NAME = "faults.jsonl"

#: What a campaign that is gone on with must have in common with its store, and what a difference means.
_SAME = {
    "fault_list_digest": "the fault list",
    "config_digest": "the array's configuration",
    "network_digest": "the compiled network",
    "dataset_digest": "the images",
    "lowering": "the lowering",
    "score": "the score",
    "backend": "the backend",
    "physical": "the device's array",
    "golden_digest": "the golden run",
    "device": "the device",
}


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
    """Where a result is, and whether all faults are in it, or as many as its stopping rule wants."""

    store: Path
    complete: bool
    faults_done: int


@dataclass(slots=True)
class _Stopwatch:
    """Adds up the time inside its context, by a clock that nobody sets."""

    seconds: float = 0.0
    _start: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        self._start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds = self.now
            self._start = None

    @property
    def now(self) -> float:
        """What has added up until now, in seconds."""
        return self.seconds + (0.0 if self._start is None else time.perf_counter() - self._start)


@dataclass(slots=True, kw_only=True)
class _Run:
    """A plan with its golden run: what is the same whether its campaign begins or goes on."""

    plan: Plan
    job: Job
    golden: Golden
    provenance: Provenance
    certain: NDArray[np.bool_]
    skipped: NDArray[np.bool_]
    backend: Backend
    recoveries: tuple[Recovery, ...] = ()
    watch: _Stopwatch = field(default_factory=_Stopwatch)


def _prepare(plan: Plan) -> _Run:
    """Open the backend, run the golden run, and find what is masked with certainty."""
    board = with_engine(plan.board, len(plan.faults.faults) * len(plan.prepared.dataset))
    backend = open_backend(board)
    try:
        return _prepared(plan, board, backend)
    except BaseException:
        # Nobody else can use a board that stays open.
        backend.close()
        raise


def _prepared(plan: Plan, board: Board, backend: Backend) -> _Run:
    workload, faults, watch = plan.prepared.workload, plan.faults, _Stopwatch()
    backend.prepare(workload, share=plan.processes > 1)
    with watch.running():
        golden_run = backend.evaluate(workload, [None])[0]
        accumulators = golden_run.accumulators
        masking = CertainMasking(workload)
        certain = masking.of(faults.faults)
        space = plan.sample_space or faults.space
        space_certain = None if space is None else masking.count(space)
        if plan.sample is not None and space is not None:
            # Of a space that is too large to tell them apart, none were left out of the strata.
            space_certain = space.size - sum(plan.sample.sizes)
        marks = None
        if plan.sample is not None and space_certain and isinstance(space, FaultSpace):
            marks = masking.of(list(space))
    labels = plan.prepared.dataset.labels
    golden = Golden(image_ids=np.arange(len(labels)), labels=labels, predictions=top_class(accumulators))
    return _Run(
        plan=plan,
        job=Job(board=board, workload=workload, labels=labels, golden=accumulators, score=plan.score),
        golden=golden,
        provenance=_provenance(plan, backend, golden, accumulators, certain, space_certain, marks),
        certain=certain,
        skipped=certain if backend.skips_certain else np.zeros_like(certain),
        backend=backend,
        recoveries=golden_run.recoveries,
        watch=watch,
    )


def run_campaign(
    plan: Plan,
    out: Path | None = None,
    progress: Progress | None = None,
    *,
    rule: StoppingRule | None = None,
    cluster: Callable[[Job], Pool] | None = None,
) -> RunResult:
    """Run a campaign and leave its result in a directory of its own.

    The outcomes do not depend on the number of workers. After Ctrl-C, the batches in hand are finished, and
    what is done stays, marked as interrupted: the first faults of a drawn list are a smaller sample.
    `resume_campaign` goes on, also after a kill at any moment.

    Parameters
    ----------
    plan : Plan
    out : Path or None
        The directory, which must not exist; None for a new name under ``axft-results``.
    progress : Progress or None
    rule : StoppingRule or None
        When the faults are enough, instead of what the plan says.
    cluster : callable or None
        Makes the pool that runs the batches; None for processes of this machine.

    Raises
    ------
    StoreError
        If the directory exists or cannot be written.
    BackendError
        If the backend fails, or worker processes do again and again; what was done until then stays.
    KeyboardInterrupt
        After a second Ctrl-C, which stops at once; it says where what was done until then is.
    """
    if out is not None and out.exists():
        raise StoreError(exists_message(out))
    progress = progress or SilentProgress()
    run = _prepare(plan)
    with Interruption(progress.stopping) as stop:
        # A rule that does not fit the list is an error before anything is written.
        rule = rule or rule_of(run.provenance)
        directory = make_result_dir(out, plan.prepared.config_name)
        with locked(directory), _create(directory, run) as store:
            return _execute(run, store, rule, cluster, stop, progress)


def resume_campaign(
    result: Path,
    progress: Progress | None = None,
    *,
    workers: int | None = None,
    rule: StoppingRule | None = None,
    cluster: Callable[[Job], Pool] | None = None,
) -> RunResult:
    """Go on with a campaign that was interrupted or killed: run the faults that are missing, and no others.

    Parameters
    ----------
    result : Path
        Its store, or the directory of it.
    progress, rule, cluster
        As for `run_campaign`.
    workers : int or None
        Number of processes; None for one per processor.

    Raises
    ------
    StoreError
        If another process runs the campaign; if its network, images or anything else are not what they were; if the
        store was changed.
    AxftError
        As `run_campaign`.
    """
    path = store_path(result)
    progress = progress or SilentProgress()
    if not path.is_file():
        # Says so.
        ResultStore.open(result)
    with locked(path.parent), ResultStore.open_to_write(path) as store:
        about, done = store.provenance(), len(store)
        if store.meta()["state"] == COMPLETE:
            return RunResult(store=path, complete=True, faults_done=done)
        if about.options is None:
            raise StoreError(f"{path} is damaged: it lacks what its campaign was asked for (the key options)")
        plan = plan_campaign(options_from_json(about.options, path.with_name(FAULT_LIST_NAME), workers=workers))
        run = _prepare(plan)
        _check_same(path, about, run.provenance)
        with Interruption(progress.stopping) as stop:
            return _execute(run, store, rule or rule_of(store.provenance()), cluster, stop, progress)


def _check_same(path: Path, then: Provenance, now: Provenance) -> None:
    """Refuse to add rows to a store whose rows answer another question."""
    for name, what in _SAME.items():
        before, found = getattr(then, name), getattr(now, name)
        if before != found:
            raise StoreError(
                f"{path} cannot be gone on with: {what} changed ({name} was {before}, is {found}); "
                f"bring back what it was made from, or run a new campaign"
            )


def _execute(
    run: _Run,
    store: ResultStore,
    rule: StoppingRule,
    cluster: Callable[[Job], Pool] | None,
    stop: Interruption,
    progress: Progress,
) -> RunResult:
    """Run what is missing in a store, and say in it how that ended."""
    plan, watch = run.plan, run.watch
    before = sum(session.seconds for session in store.sessions())
    rows = _InOrder(store, run, rule)
    listed = enumerate(plan.faults.faults)
    batches = make_batches(
        [(index, fault) for index, fault in listed if index >= rows.done and not run.skipped[index]],
        len(run.job.labels),
        run.backend.seconds_per_fault,
        run.backend.pairs_at_once,
    )
    if rows.stopped:
        batches = []
    failed = True
    try:
        pool: Pool | None = None
        if batches and cluster is not None:
            run.backend.close()
            pool = cluster(run.job)
        elif (workers := min(plan.processes, len(batches))) > 1:
            shared = replace(run.job.board, shared=run.backend.shared)
            pool = WorkerPool(replace(run.job, board=shared), workers)
        store.begin_session(
            Session(
                started_utc=utc_now(),
                first_fault=rows.done,
                workers="this process" if pool is None else pool.where,
                host=platform.node(),
                versions=tool_versions(run.backend.engine),
                device=run.provenance.device,
            ),
            run.recoveries,
        )
        with watch.running():
            _run_batches(pool, run, batches, rows, stop, progress)
        failed = False
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the faults that are done are kept in {store.path}; `axft-hw campaign resume {store.path.parent}` goes on"
        ) from None
    except BackendError as error:
        if not rows.done:
            raise
        raise BackendError(f"{error}; `axft-hw campaign resume {store.path.parent}` goes on") from error
    finally:
        run.backend.close()
        # Whatever happened, the store says how far it came; where it cannot, what happened matters more.
        with suppress(*([StoreError] if failed else [])):
            store.finish(
                complete=rows.complete,
                seconds=before + watch.seconds,
                stopped_at=rows.done if rows.stopped else None,
            )
    return RunResult(store=store.path, complete=rows.complete, faults_done=rows.done)


def _run_batches(
    pool: Pool | None, run: _Run, batches: Sequence[Batch], rows: _InOrder, stop: Interruption, progress: Progress
) -> None:
    """Run batches and add their rows until done or asked to stop; then let go of the workers."""
    finished, job = False, run.job
    try:
        progress.start(sum(map(len, batches)) * len(job.labels))
        if pool is None:
            results = run_batches_here(job, batches, stop, progress.advance, run.backend)
        else:
            results = pool.run(batches, stop, progress.advance)
        taken = 0
        for done in results:
            rows.add(done)
            taken += 1
            if rows.stopped:
                break
        if taken == len(batches) and not rows.stopped:
            rows.add_rest()
        finished = not rows.stopped
    finally:
        try:
            progress.close()
        finally:
            # Also if stderr is what failed.
            if pool is not None:
                pool.close(kill=not finished)


class _InOrder:
    """Writes rows to a store in the order of the list, the certainly masked faults among them.

    So a store always holds the first faults of its list, whatever finished first and whenever it was killed: of a
    drawn list, a smaller sample of the same space.
    """

    def __init__(self, store: ResultStore, run: _Run, rule: StoppingRule) -> None:
        self._store = store
        self._faults = run.plan.faults.faults
        self._certain = run.certain
        self._golden = run.golden
        self._watch = run.watch
        self._rule = rule
        self.done = 0
        for row in store.rows():
            if row.fault != self._faults[row.index]:
                raise StoreError(f"{store.path} is damaged: row idx {row.index} is not that fault of its list")
            self._feed(row)
            self.done += 1

    @property
    def stopped(self) -> bool:
        """Whether the rule has found these faults enough before the list ended."""
        return self._rule.should_stop and self.done < len(self._faults)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to run."""
        return self._rule.should_stop or self.done == len(self._faults)

    def add(self, rows: Sequence[FaultRow]) -> None:
        """Add the next rows of faults that were simulated, in one transaction, as far as they are needed."""
        simulated = {row.index: self._marked(row) for row in rows}
        self._commit(simulated, rows[-1].index + 1)

    def add_rest(self) -> None:
        """Add the faults after the last simulated one."""
        self._commit({}, len(self._faults))

    def _commit(self, simulated: dict[int, FaultRow], end: int) -> None:
        needed = []
        for index in range(self.done, end):
            if self._rule.should_stop:
                break
            needed.append(simulated[index] if index in simulated else self._masked(index))
            self._feed(needed[-1])
        self._store.add(needed, seconds=self._watch.now)
        self.done += len(needed)

    def _feed(self, row: FaultRow) -> None:
        self._rule.feed(row.index, fractions_of(row, len(self._golden.labels)), certain=row.certain)

    def _marked(self, row: FaultRow) -> FaultRow:
        """Say of a fault that ran, and need not have, that it belongs to those that are masked with certainty."""
        if not self._certain[row.index]:
            return row
        if row.status is not Status.OK:
            raise BackendError(
                f"fault {row.fault} is masked with certainty, and on this device its run ended as {row.status.value}: "
                f"the device is not what it should be; `axft-hw doctor` examines it; what is done is kept"
            )
        return replace(row, certain=True)

    def _masked(self, index: int) -> FaultRow:
        assert self._certain[index], "rows come in the order of the list"
        return FaultRow.masked_with_certainty(index, self._faults[index], self._golden)


def _create(directory: Path, run: _Run) -> ResultStore:
    """Write the fault list and the store without rows; leave nothing where that cannot be."""
    try:
        _write_list(directory / FAULT_LIST_NAME, run.plan)
        return ResultStore.create(directory / STORE_NAME, run.provenance, run.golden)
    except (OSError, AxftError) as error:
        with suppress(OSError):
            for path in directory.iterdir():
                if path.name == FAULT_LIST_NAME or STORE_NAME in path.name:
                    path.unlink()
            directory.rmdir()
        reason = f"{directory} cannot be written: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise StoreError(f"{reason}; no fault has run yet: when the cause is gone, begin again") from error


def _write_list(path: Path, plan: Plan) -> None:
    """Write the fault list, and see to it that a store never outlives its list, not even a power cut."""
    write_fault_list(path, plan.faults)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _provenance(
    plan: Plan,
    backend: Backend,
    golden: Golden,
    accumulators: NDArray[np.int64],
    certain: NDArray[np.bool_],
    space_certain: int | None,
    marks: NDArray[np.bool_] | None,
) -> Provenance:
    workload, dataset, faults = plan.prepared.workload, plan.prepared.dataset, plan.faults
    network, space = workload.network, plan.sample_space or faults.space
    stopping, device = plan.options.stopping, backend.device()
    return Provenance(
        created_utc=utc_now(),
        spec=plan.spec(),
        fault_list_digest=faults.digest,
        fault_space=None if space is None else space.to_json(),
        fault_seed=faults.seed if plan.sample is None else plan.sample.seed,
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
        versions=tool_versions(backend.engine),
        options=options_to_json(plan.options, images=len(dataset)),
        sampling=None if space is None else sampling_json(plan.sample, certain, marks),
        stopping=None if stopping is None else stopping_json(stopping),
    )
