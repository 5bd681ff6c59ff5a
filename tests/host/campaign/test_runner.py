"""Campaigns: what they leave, with any number of workers, interrupted or not."""

from __future__ import annotations

import math
import multiprocessing
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from axft_host.backends.base import Evaluation, Workload
from axft_host.backends.emulator import Emulator
from axft_host.campaign.batch import make_batches
from axft_host.campaign.compare import compare
from axft_host.campaign.outcome import Outcome
from axft_host.campaign.runner import FAULT_LIST_NAME, run_campaign
from axft_host.campaign.store import STORE_NAME, ResultStore
from axft_spec import reference
from axft_spec.errors import BackendError, StoreError
from axft_spec.faultlist import read_fault_list
from axft_spec.faults import Fault, parse_fault
from support.processes import exists
from support.small_campaign import IMAGES, small_plan


class Recorder:
    """Progress that is remembered."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.closed = False

    def start(self, pairs: int) -> None:
        """Remember the total."""
        self.total = pairs

    def advance(self, pairs: int) -> None:
        """Add up."""
        self.done += pairs

    def stopping(self) -> None:
        """Not expected."""

    def close(self) -> None:
        """Remember."""
        self.closed = True


def content(path: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], dict[str, str]]:
    """Return the rows of a store, its golden run, and its meta data but for times."""
    connection = sqlite3.connect(path)
    faults = connection.execute("SELECT * FROM faults").fetchall()
    golden = connection.execute("SELECT * FROM golden").fetchall()
    meta = dict(connection.execute("SELECT * FROM meta").fetchall())
    connection.close()
    return faults, golden, {key: meta[key] for key in meta.keys() - {"created_utc", "finished_utc", "seconds"}}


def test_campaign_leaves_every_fault_in_order(tmp_path: Path) -> None:
    """With its list beside the store, and certainly masked faults in their places."""
    plan, progress = small_plan(tmp_path), Recorder()
    result = run_campaign(plan, tmp_path / "result", progress)
    assert (result.complete, result.faults_done) == (True, 60)
    assert sorted(path.name for path in (tmp_path / "result").iterdir()) == [STORE_NAME, FAULT_LIST_NAME]
    assert read_fault_list(tmp_path / "result" / FAULT_LIST_NAME) == plan.faults
    with ResultStore.open(result.store) as store:
        rows, meta = list(store.rows()), store.meta()
    assert [row.index for row in rows] == list(range(60))
    assert [row.fault for row in rows] == list(plan.faults.faults)
    assert meta["state"] == "complete"
    certain = [row for row in rows if row.certain]
    assert 5 < len(certain) < 55
    assert all((row.masked, row.activated) == (IMAGES, 0) for row in certain)
    assert progress.total == progress.done == (60 - len(certain)) * IMAGES
    assert progress.closed


def reference_outcome(workload: Workload, image: int, fault: Fault | None) -> list[int]:
    """Return the final accumulators of one image from the slow reference, for the small network."""
    conv, requantise, _, _, dense = workload.network.ops
    activations = workload.network.quantise_images(workload.images[image : image + 1])[0]
    padded = np.pad(activations[0], 1)
    patches = np.array([padded[y : y + 3, x : x + 3].ravel() for y in range(6) for x in range(6)])
    sums = reference.gemm(workload.config, patches, conv.weights.reshape(2, 9).T, fault, layer=0).psums
    maps = (sums + conv.bias).T.reshape(2, 6, 6)
    factors = np.broadcast_to(requantise.multipliers, maps.shape)
    half = 1 << (requantise.shift - 1)
    maps = np.clip((maps * factors + half) >> requantise.shift, requantise.low, requantise.high)
    pooled = maps.reshape(2, 3, 2, 3, 2).max(axis=(2, 4))
    sums = reference.gemm(workload.config, pooled.reshape(1, -1), dense.weights.T, fault, layer=1).psums
    return (sums[0] + dense.bias).tolist()


def naive_outcome(golden: list[int], faulty: list[int], scale: float) -> Outcome:
    """Classify with the library's exp."""

    def top(values: list[int]) -> float:
        return 1 / sum(math.exp((value - max(values)) * scale) for value in values)

    if golden == faulty:
        return Outcome.MASKED
    same = golden.index(max(golden)) == faulty.index(max(faulty))
    return Outcome.TOLERABLE if same and top(faulty) / top(golden) >= 0.95 else Outcome.CRITICAL


def test_outcomes_are_those_of_the_reference(tmp_path: Path) -> None:
    """Computed here with the slow array, loops for the rest, and the library's exp."""
    plan = small_plan(tmp_path, workload={"images": 4}, faults={"faults": 40})
    workload = plan.prepared.workload
    kinds = [type(op).__name__ for op in workload.network.ops]
    assert kinds == ["Conv", "Requantise", "MaxPool", "Flatten", "Dense"]
    with ResultStore.open(run_campaign(plan, tmp_path / "result").store) as store:
        rows = list(store.rows())
    seen = set()
    golden = [reference_outcome(workload, image, None) for image in range(4)]
    for row in rows:
        for image, code in enumerate(row.outcomes(4)):
            faulty = reference_outcome(workload, image, row.fault)
            expected = naive_outcome(golden[image], faulty, workload.network.score_scale)
            assert code == expected, f"{row.fault}, image {image}"
            seen.add(expected)
    assert len(seen) == 3


def test_result_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    """One process, or several that finish in any order."""
    options = {"faults": {"faults": 192}}
    one = run_campaign(small_plan(tmp_path, **options, workers=1), tmp_path / "one")
    two = run_campaign(small_plan(tmp_path, **options, workers=3), tmp_path / "three", progress := Recorder())
    assert content(one.store) == content(two.store)
    assert compare(one.store, two.store).equal
    assert progress.done == progress.total


def test_campaign_of_certainly_masked_faults_alone_is_complete(tmp_path: Path) -> None:
    """Nothing is simulated."""
    plan = small_plan(tmp_path, workload={"config": "34P"}, faults={"fault": "weight:r0:c0:b0:sa1"}, workers=2)
    with ResultStore.open(run_campaign(plan, tmp_path / "result").store) as store:
        (row,) = store.rows()
    assert (row.certain, row.masked) == (True, IMAGES)


def test_directory_that_exists_is_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And stays as it is."""
    (tmp_path / "result").mkdir()
    plan = small_plan(tmp_path)
    monkeypatch.setattr(Emulator, "evaluate", lambda *args: pytest.fail("it ran"))
    with pytest.raises(StoreError, match="exists and is not overwritten"):
        run_campaign(plan, tmp_path / "result")
    assert list((tmp_path / "result").iterdir()) == []


def test_failure_keeps_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches before it stay, marked as interrupted, and the error is the backend's."""
    plan = small_plan(tmp_path, faults={"faults": 192})
    evaluate, calls = Emulator.evaluate, []

    def fail_at_third(
        self: Emulator, workload: Workload, faults: list[Fault | None], *rest: object
    ) -> list[Evaluation]:
        calls.append(len(faults))
        if len(calls) == 4:  # the first one is the golden run
            raise BackendError("the board is on fire")
        return evaluate(self, workload, faults, *rest)

    monkeypatch.setattr(Emulator, "evaluate", fail_at_third)
    with pytest.raises(BackendError, match="on fire"):
        run_campaign(plan, tmp_path / "result")
    with ResultStore.open(tmp_path / "result") as store:
        assert store.meta()["state"] == "interrupted"
        done = [row for row in store.rows() if not row.certain]
        assert len(done) == calls[1] + calls[2]


def _runs(pid: int | None) -> bool:
    assert pid is not None
    return exists(pid)


@pytest.mark.parametrize("broken", ["start", "close"])
def test_progress_that_cannot_be_shown_leaves_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """As with a stderr that nobody reads any more; the store says how far it came."""

    def fail(self: Recorder, *pairs: int) -> None:
        raise BrokenPipeError("stderr is gone")

    monkeypatch.setattr(Recorder, broken, fail)
    before = set(multiprocessing.active_children())
    with pytest.raises(BrokenPipeError, match="stderr is gone"):
        run_campaign(small_plan(tmp_path, faults={"faults": 192}, workers=2), tmp_path / "result", Recorder())
    left = set(multiprocessing.active_children()) - before
    # Asked of the system: the executor's thread also reaps them, and `is_alive` can miss that.
    deadline = time.monotonic() + 10
    while (running := [process for process in left if _runs(process.pid)]) and time.monotonic() < deadline:
        multiprocessing.active_children()  # reaps what nobody else has
        time.sleep(0.05)
    assert running == []
    with ResultStore.open(tmp_path / "result") as store:
        assert store.meta()["state"] == ("interrupted" if broken == "start" else "complete")


def test_batches_cover_the_list_in_order() -> None:
    """None is larger than 64 faults, and none is much smaller than 16."""
    faults = [(index, parse_fault("weight:r0:c0:b0:sa1")) for index in range(200)]
    for images, size in ((1, 64), (100, 64), (200, 32), (5000, 16)):
        batches = make_batches(faults, images)
        assert [entry for batch in batches for entry in batch] == faults
        assert max(map(len, batches)) == size
    assert make_batches([], 10) == []


def test_batches_of_a_slow_device_take_two_seconds() -> None:
    """So long is the wait after Ctrl-C, and so much is lost with a worker; one fault is the least."""
    faults = [(index, parse_fault("weight:r0:c0:b0:sa1")) for index in range(200)]
    for seconds, size in ((0.001, 64), (0.1, 20), (1.5, 1), (300.0, 1)):
        batches = make_batches(faults, 10, seconds)
        assert [entry for batch in batches for entry in batch] == faults
        assert max(map(len, batches)) == size


@pytest.mark.parametrize(
    ("listed", "images", "pairs", "size"),
    [
        (1600, 10_000, 2_000_000, 100),  # sixteen batches
        (256, 10_000, 2_000_000, 64),  # no fewer than 64
        (10_000, 10_000, 2_000_000, 200),
        (10_000, 60_000, 2_000_000, 64),  # golden runs that are not kept count
        (10_000, 1_000, 6_000, 24),  # a large network: four times as many pairs at most
        (10_000, 10_000, 6_000, 16),
    ],
)
def test_batches_of_an_engine_that_shares_work(listed: int, images: int, pairs: int, size: int) -> None:
    """As many pairs as it asks for, if every worker has some, and enough faults for one golden run."""
    faults = [(index, parse_fault("weight:r0:c0:b0:sa1")) for index in range(listed)]
    batches = make_batches(faults, images, pairs_at_once=pairs)
    assert [entry for batch in batches for entry in batch] == faults
    assert max(map(len, batches)) == size


def test_engines_leave_equal_rows_and_say_which_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled engine in two processes, which share one golden run, against numpy in this one."""
    pytest.importorskip("numba", reason="the compiled engine needs numba")
    stores = {}
    for engine, workers in (("numpy", 1), ("compiled", 2)):
        monkeypatch.setenv("AXFT_ENGINE", engine)
        plan = small_plan(tmp_path, faults={"faults": 192, "seed": 3}, workers=workers)
        stores[engine] = run_campaign(plan, tmp_path / engine).store
    with ResultStore.open(stores["numpy"]) as one, ResultStore.open(stores["compiled"]) as other:
        assert list(one.rows()) == list(other.rows())
        assert any(row.tolerable or row.critical for row in one.rows())
        assert one.provenance().versions["engine"] == "numpy"
        assert other.provenance().versions["engine"].startswith("compiled (numba ")
        assert other.sessions()[0].workers == "2 processes"
