"""A device that fails: what is an outcome, what is not, and that nothing is lost either way."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axft_host.backends.base import Backend, Evaluation, RunEnd, Workload
from axft_host.backends.emulator import Emulator
from axft_host.backends.on_device import GOLDEN_IMAGES
from axft_host.backends.registry import Board
from axft_host.campaign import batch, runner
from axft_host.campaign.compare import compare
from axft_host.campaign.outcome import Status
from axft_host.campaign.plan import Plan
from axft_host.campaign.runner import resume_campaign, run_campaign
from axft_host.campaign.store import ResultStore
from axft_host.device.recovery import ATTEMPTS, RecoveryError
from axft_spec.errors import BackendError, FaultError
from axft_spec.faults import Fault, parse_fault
from axft_spec.scanmap import ScanMap
from support.flaky_port import FlakyBackend, Mode, Upset
from support.small_campaign import small_plan

pytest.importorskip("amaranth", reason="Amaranth is not installed")

#: Commands of one run over all images of the small campaign on this device, its golden run included.
COMMANDS = 252
LISTED = {"faults": 24, "seed": 3}
SETTINGS = {"config": "34P"}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Plan a campaign of 24 faults."""
    return small_plan(tmp_path_factory.mktemp("plan"), faults=LISTED, workload=SETTINGS)


@pytest.fixture(scope="module")
def workload(plan: Plan) -> Workload:
    """Return its network, array and images."""
    return plan.prepared.workload


@pytest.fixture(scope="module")
def faults(plan: Plan) -> list[Fault]:
    """Return four of its faults that do something, and one that does not."""
    found = [fault for fault in plan.faults.faults if isinstance(fault, Fault)]
    runs = Emulator().evaluate(plan.prepared.workload, found)
    active = [fault for fault, run in zip(found, runs, strict=True) if run.activated.any()]
    return [*active[:4], next(fault for fault in found if fault not in active)]


@pytest.fixture(scope="module")
def undisturbed(workload: Workload, faults: list[Fault]) -> list[Evaluation]:
    """Return what the emulator computes."""
    return Emulator().evaluate(workload, faults)


def check(found: list[Evaluation], expected: list[Evaluation]) -> None:
    """Check that outcomes are the same, and that nothing hung or crashed."""
    assert [result.end for result in found] == [RunEnd.COMPLETE] * len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.accumulators, theirs.accumulators)
        np.testing.assert_array_equal(mine.activated, theirs.activated)


def position(workload: Workload, backend: FlakyBackend, fault: Fault) -> int:
    """Return the place of a fault in the scan chain."""
    hardware = backend.accelerator(workload.config).hardware
    return int(ScanMap(hardware).position(fault.sites[0]))


def test_device_that_works_needs_no_recovery(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation]
) -> None:
    """And the number of commands is what the other tests take it for."""
    backend = FlakyBackend()
    check(backend.evaluate(workload, faults), undisturbed)
    assert not backend.recoveries and not backend.acts
    before = backend.port(workload.config).commands
    backend.proves = False
    backend.evaluate(workload, [None])
    assert backend.port(workload.config).commands - before == COMMANDS


@pytest.mark.parametrize(
    ("mode", "end"), [("hang", "hang"), ("late", "hang"), ("overrun", "hang"), ("bus", "crash"), ("dead", "crash")]
)
@pytest.mark.parametrize("rung", ["soft reset", "reload", "power"])
def test_single_failure_never_becomes_an_outcome(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation], mode: Mode, end: str, rung: str
) -> None:
    """Whatever it is, and however much it takes; the recovery says how it was cured, in which run of the fault."""
    at = 2 * COMMANDS + 100
    backend = FlakyBackend({at: Upset(mode, rung)})  # type: ignore[arg-type]
    found = backend.evaluate(workload, faults)
    check(found, undisturbed)
    assert backend.port(workload.config).happened == [at]
    (recovery,) = [recovery for result in found for recovery in result.recoveries]
    assert (recovery.rung, recovery.end, recovery.attempt) == (rung, end, 1)
    assert recovery.cause.startswith("layer ") and "\n" not in recovery.cause
    assert found[2].recoveries == (recovery,)
    assert backend.recoveries == {rung: 1}
    assert backend.acts == ["soft reset", "reload", "power"][: 1 + ["soft reset", "reload", "power"].index(rung)]


@pytest.mark.parametrize(("mode", "end"), [("hang", RunEnd.HANG), ("dead", RunEnd.CRASH)])
def test_failure_that_repeats_is_an_outcome(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation], mode: Mode, end: RunEnd
) -> None:
    """After two runs that fail at the same command; the faults around it are not touched."""
    backend = FlakyBackend()
    cursed = position(workload, backend, faults[1])
    backend.port(workload.config).curses[cursed] = (lambda: 130, Upset(mode, "reload"))
    found = backend.evaluate(workload, faults)
    assert found[1].end is end
    assert not found[1].accumulators.any() and not found[1].activated.any()
    assert [(recovery.attempt, recovery.rung) for recovery in found[1].recoveries] == [(1, "reload"), (2, "reload")]
    assert len({recovery.cause.partition(": ")[0] for recovery in found[1].recoveries}) == 1
    check([found[0], *found[2:]], [undisturbed[0], *undisturbed[2:]])


def test_fault_that_fails_everywhere_is_an_outcome(workload: Workload, faults: list[Fault]) -> None:
    """Though never twice at the same place."""
    backend = FlakyBackend()
    places = iter(range(10, 200, 10))
    place = [next(places)]

    def elsewhere() -> int:
        return place[0]

    port = backend.port(workload.config)
    port.curses[position(workload, backend, faults[0])] = (elsewhere, Upset("hang"))
    reset = backend.accelerator(workload.config).reset

    def moving() -> None:
        reset()
        place[0] = next(places)

    backend.accelerator(workload.config).reset = moving  # type: ignore[method-assign]
    (found,) = backend.evaluate(workload, faults[:1])
    assert found.end is RunEnd.HANG
    assert [recovery.attempt for recovery in found.recoveries] == list(range(1, ATTEMPTS + 1))
    assert len({recovery.cause for recovery in found.recoveries}) == ATTEMPTS


def test_bad_luck_that_strikes_the_repetition_too_is_no_outcome(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation]
) -> None:
    """Two failures of one fault, each at another place."""
    backend = FlakyBackend({20: Upset("hang"), 20 + 168 + 90: Upset("hang")})
    found = backend.evaluate(workload, faults)
    check(found, undisturbed)
    assert [recovery.attempt for recovery in found[0].recoveries] == [1, 2]


def test_bad_luck_during_a_recovery_is_survived(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation]
) -> None:
    """A golden run that hangs too; the next rung is tried, and the ladder a second time."""
    backend = FlakyBackend({20: Upset("hang"), 30: Upset("hang"), 40: Upset("bus")}, rungs=["soft reset", "power"])
    check(backend.evaluate(workload, faults), undisturbed)
    assert backend.acts == ["soft reset", "power", "soft reset"]


def test_device_that_never_comes_back_costs_nothing_that_was_done(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation]
) -> None:
    """The error names what was tried; the evaluations before are the caller's."""
    backend = FlakyBackend()
    each = backend.evaluate_each(workload, faults)
    backend.proves = False
    each = backend.evaluate_each(workload, faults)
    found = [next(each), next(each)]
    port = backend.port(workload.config)
    port.upsets[port.commands + 5] = Upset("dead", "nothing")
    with pytest.raises(RecoveryError, match=r"tried: soft reset \(.*reload \(.*power \(.*what is done is kept"):
        next(each)
    check(found, undisturbed[:2])


def test_golden_run_that_fails_is_run_again_and_is_never_an_outcome(workload: Workload) -> None:
    """And one that keeps failing is an error."""
    backend = FlakyBackend({20: Upset("hang")})
    (found,) = backend.evaluate(workload, [None])
    np.testing.assert_array_equal(found.accumulators, Emulator().evaluate(workload, [None])[0].accumulators)
    assert [recovery.end for recovery in found.recoveries] == ["hang"]
    dirty = FlakyBackend({0: Upset("dirty", "nothing")})
    with pytest.raises(RecoveryError, match="the golden run is not what the emulator computes"):
        dirty.evaluate(workload, [None])


def test_what_was_armed_wrongly_is_no_outcome(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation]
) -> None:
    """A scan chain that errs once is run again; one that always errs is an error, and not the fault's doing."""
    at = COMMANDS
    backend = FlakyBackend({at - 1: Upset("chain")})
    found = backend.evaluate(workload, faults)
    check(found, undisturbed)
    broken = FlakyBackend()
    broken.port(workload.config).curses[position(workload, broken, faults[0])] = (lambda: 0, Upset("chain", "reload"))
    with pytest.raises(BackendError, match=r"failed 4 times, which is no outcome: .*scan chain"):
        broken.evaluate(workload, faults[:1])


@pytest.mark.parametrize("cure", ["soft reset", "reload", "power"])
def test_device_that_goes_wrong_silently_is_noticed(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation], cure: str
) -> None:
    """Every result counts only when a golden run behind it was clean; those that may be wrong run again."""
    backend = FlakyBackend({COMMANDS + 80: Upset("dirty", cure)})  # type: ignore[arg-type]
    found = backend.evaluate(workload, faults)
    check(found, undisturbed)
    assert [(recovery.end, recovery.rung) for result in found for recovery in result.recoveries] == [("golden", cure)]


def test_failure_makes_doubtful_what_ran_before_it(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silently wrong from the second fault on, and down in the fourth: what cures the latter hides the former."""
    monkeypatch.setattr("axft_host.backends.on_device.PROOF_S", 60.0)
    at = [COMMANDS + 80, 3 * COMMANDS + 40]
    backend = FlakyBackend({at[0]: Upset("dirty", "reload"), at[1]: Upset("dead", "reload")})
    check(backend.evaluate(workload, faults), undisturbed)
    assert backend.port(workload.config).happened == at
    assert backend.acts == ["soft reset", "reload"]


def test_what_is_worse_than_the_failure_behind_it_shows_again(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation]
) -> None:
    """Then the golden run of the recovery is not clean, and the next rung is tried."""
    at = [COMMANDS + 80, 3 * COMMANDS + 40]
    backend = FlakyBackend({at[0]: Upset("dirty", "power"), at[1]: Upset("dead", "reload")})
    check(backend.evaluate(workload, faults), undisturbed)
    assert backend.port(workload.config).happened == at
    assert backend.acts == ["soft reset", "reload", "power"]


@pytest.mark.parametrize("mode", ["dead", "dirty"])
def test_doubtful_results_are_shown_to_be_right_one_at_a_time(
    workload: Workload, faults: list[Fault], mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a golden run of its own behind it, so that this ends however often the device fails."""
    monkeypatch.setattr("axft_host.backends.on_device.PROOF_S", 60.0)
    backend = FlakyBackend({3 * COMMANDS + 40: Upset(mode)})
    port = backend.port(workload.config)
    commands = [port.commands for _ in backend.evaluate_each(workload, faults)]
    runs = np.diff(commands) // COMMANDS
    # The fault that was down was run again at once, so that nothing but those before it had to be.
    assert runs.tolist() == ([1, 1, 0, 1] if mode == "dead" else [1, 1, 1, 1])


class Lopsided(FlakyBackend):
    """A device that is wrong in one image, which is none of those of a short golden run.

    Parameters
    ----------
    wrong : callable
        Takes the fault, and says whether this run over all images is wrong.
    """

    def __init__(self, wrong: Callable[[Fault | None], bool]) -> None:
        super().__init__()
        self._wrong = wrong

    def _plain(
        self, workload: Workload, faults: Sequence[Fault | None], progress: Callable[[int], None] | None
    ) -> Iterator[Evaluation]:
        whole = len(workload.images) > GOLDEN_IMAGES
        for fault, result in zip(faults, super()._plain(workload, faults, progress), strict=True):
            if whole and self._wrong(fault):
                rows = result.accumulators.copy()
                rows[5] = np.roll(rows[5], 1)
                yield replace(result, accumulators=rows)
            else:
                yield result


def test_golden_run_that_was_wrong_once_is_no_reference(
    workload: Workload, faults: list[Fault], undisturbed: list[Evaluation]
) -> None:
    """Not even in one image: it is a failure, recovered from, and run again."""
    first = iter([True])
    backend = Lopsided(lambda fault: fault is None and next(first, False))
    golden, *found = backend.evaluate(workload, [None, *faults])
    np.testing.assert_array_equal(golden.accumulators, Emulator().evaluate(workload, [None])[0].accumulators)
    assert [(each.end, each.rung, each.attempt) for each in golden.recoveries] == [("golden", "soft reset", 1)]
    check(found, undisturbed)


def test_golden_run_that_is_always_wrong_is_an_error(workload: Workload) -> None:
    """Also in one image that no short golden run shows; the runs are bounded."""
    backend = Lopsided(lambda fault: fault is None)
    with pytest.raises(RecoveryError, match="the golden run is not what the emulator computes"):
        backend.evaluate(workload, [None])
    assert backend.recoveries == {"soft reset": ATTEMPTS - 1}


def test_golden_run_behind_an_outcome_is_over_all_images(workload: Workload, faults: list[Fault]) -> None:
    """A device that cannot do the same work without the fault is broken; what it did is no outcome."""
    backend = Lopsided(lambda fault: fault is None)
    cursed = position(workload, backend, faults[0])
    backend.port(workload.config).curses[cursed] = (lambda: 130, Upset("hang"))
    with pytest.raises(RecoveryError, match="the golden run is not clean"):
        backend.evaluate(workload, faults[:1])


def test_errors_of_use_are_no_outcomes(workload: Workload) -> None:
    """They are told at once, before anything runs."""
    backend = FlakyBackend()
    before = backend.port(workload.config).commands
    with pytest.raises(FaultError, match="row must be between"):
        backend.evaluate(workload, [None, parse_fault("weight:r40:c0:b6:sa1")])
    assert backend.port(workload.config).commands == before
    assert not backend.recoveries


# --- campaigns ----------------------------------------------------------------------------------------------


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FlakyBackend]]:
    """Have campaigns on board rtl run on devices from this list."""
    given: list[FlakyBackend] = []
    opened = iter(given)

    def open_next(board: Board) -> Backend:
        return Emulator() if board.name == "emu" else next(opened)

    for module in (runner, batch):
        monkeypatch.setattr(module, "open_backend", open_next)
    yield given


def random_upsets(seed: int, count: int, commands: int) -> dict[int, Upset]:
    """Return upsets of all kinds at random commands."""
    rng = random.Random(seed)
    modes: list[Mode] = ["hang", "late", "overrun", "bus", "dead", "chain"]
    cures = ["soft reset", "soft reset", "reload", "power"]
    places = rng.sample(range(commands), count)
    return {place: Upset(rng.choice(modes), rng.choice(cures)) for place in places}  # type: ignore[arg-type]


def flaky_plan(directory: Path, count: int = 24) -> Plan:
    """Return the plan of a campaign on a board that fails."""
    listed = {**LISTED, "faults": count}
    return small_plan(directory, faults=listed, workload=SETTINGS, board="rtl")


def test_campaign_on_a_device_that_fails_has_the_outcomes_of_one_that_does_not(
    tmp_path: Path, devices: list[FlakyBackend]
) -> None:
    """Every recovery is in the store, with its fault, its session and how it was cured."""
    plan = flaky_plan(tmp_path)
    calm = run_campaign(small_plan(tmp_path, faults=LISTED, workload=SETTINGS), tmp_path / "calm")
    devices.append(FlakyBackend(random_upsets(1, 12, 25 * COMMANDS)))
    result = run_campaign(plan, tmp_path / "flaky")
    assert result.complete
    compared = compare(calm.store, result.store)
    assert compared.equal, compared.to_json()
    with ResultStore.open(result.store) as store:
        kept, rows = store.recoveries(), list(store.rows())
    assert {row.status for row in rows} <= {Status.OK, Status.SDC}
    assert len(devices[0].port(plan.prepared.workload.config).happened) >= 8
    assert len(kept) == sum(devices[0].recoveries.values()) > 0
    assert {each.recovery.rung for each in kept} <= {"soft reset", "reload", "power"}
    assert all(each.session == 1 and each.recovery.seconds > 0 and each.recovery.utc for each in kept)
    assert all(each.index is None or 0 <= each.index < len(rows) for each in kept)


def test_campaign_whose_first_golden_run_is_wrong_in_one_image_has_the_same_outcomes(
    tmp_path: Path, devices: list[FlakyBackend]
) -> None:
    """The runner takes its reference from the backend, which gives none that the emulator does not compute."""
    calm = run_campaign(small_plan(tmp_path, faults=LISTED, workload=SETTINGS), tmp_path / "calm")
    first = iter([True])
    devices.append(Lopsided(lambda fault: next(first, False)))
    result = run_campaign(flaky_plan(tmp_path), tmp_path / "flaky")
    assert compare(calm.store, result.store).equal
    with ResultStore.open(result.store) as store:
        assert [(each.index, each.recovery.end) for each in store.recoveries()] == [(None, "golden")]


def test_campaign_whose_device_dies_keeps_what_was_done_and_goes_on_with_another(
    tmp_path: Path, devices: list[FlakyBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the faults of the batch in which it died."""
    monkeypatch.setattr("axft_host.backends.on_device.PROOF_S", 0.0)
    calm = run_campaign(small_plan(tmp_path, faults=LISTED, workload=SETTINGS), tmp_path / "calm")
    devices.append(FlakyBackend({14 * COMMANDS: Upset("dead", "nothing")}))
    devices.append(FlakyBackend({0: Upset("hang"), 3 * COMMANDS: Upset("hang")}))
    with pytest.raises(BackendError, match=r"did not come back .* `axft-hw campaign resume .*/r` goes on"):
        run_campaign(flaky_plan(tmp_path), tmp_path / "r")
    with ResultStore.open(tmp_path / "r") as store:
        assert 0 < len(store) < LISTED["faults"]
        assert store.meta()["state"] == "interrupted"
    monkeypatch.setattr(runner, "_SAME", {key: what for key, what in runner._SAME.items() if key != "device"})
    assert resume_campaign(tmp_path / "r").complete
    assert compare(calm.store, tmp_path / "r").equal
    with ResultStore.open(tmp_path / "r") as store:
        kept = store.recoveries()
    assert [each.session for each in kept] == [2, 2]
    # The first one struck the golden run with which the session began.
    assert kept[0].index is None and kept[1].index is not None
