"""Faults in flip-flops of the simulated hardware: hang, crash, recovery, and independence of what ran before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from axft_host.backends.base import RunEnd, Workload
from axft_host.backends.rtl import RtlBackend
from axft_host.campaign.options import CampaignOptions, FaultOptions
from axft_host.campaign.outcome import Status
from axft_host.campaign.plan import plan_campaign
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.store import ResultStore
from axft_host.campaign.workload import WorkloadOptions, prepare
from axft_spec.errors import AxftError, FaultError
from axft_spec.faults import FaultKind, draw_indices, parse_fault
from axft_spec.flipflops import FlipFlopFault, FlipFlopSpace, match_flip_flops

NETWORK = WorkloadOptions(config="34P", images=1, array="2x2")


@pytest.fixture(scope="module")
def workload() -> Workload:
    """One image on a small array."""
    return prepare(NETWORK).workload


@pytest.fixture(scope="module")
def backend() -> RtlBackend:
    """Return a backend that every test may leave as it likes: each fault starts from power-up."""
    return RtlBackend()


def fault(text: str) -> FlipFlopFault:
    """Return a fault from its text."""
    return FlipFlopFault.parse(text)


def test_every_pe_has_its_registers_by_name(backend: RtlBackend, workload: Workload) -> None:
    """With the widths that 34P leaves; nothing in a name is a serial number."""
    widths = backend.flip_flops(workload.config)
    assert {widths[f"core.array.pe_{row}_{col}.psum"] for row in (0, 1) for col in (0, 1)} == {18}
    assert widths["bus.csr.scratch"] == 32
    assert not [name for name in widths if "$" in name]


def test_stuck_state_machine_hangs_and_the_device_comes_back(backend: RtlBackend, workload: Workload) -> None:
    """The watchdog says so; a golden run is clean afterwards."""
    golden, hung, again = backend.evaluate(workload, [None, fault("rtl:core.sequencer.fsm_state:b0:sa0"), None])
    assert hung.end is RunEnd.HANG and not hung.accumulators.any() and not hung.activated.any()
    assert again.end is RunEnd.COMPLETE
    assert np.array_equal(golden.accumulators, again.accumulators)
    assert sum(backend.recoveries.values()) >= 1


def test_broken_bus_is_a_crash(backend: RtlBackend, workload: Workload) -> None:
    """The slave does not answer what was asked."""
    (result,) = backend.evaluate(workload, [fault("rtl:axi.axi__bid:b0:sa0")])
    assert result.end is RunEnd.CRASH


def test_what_a_fault_does_depends_on_nothing_before_it(backend: RtlBackend, workload: Workload) -> None:
    """The same faults in the other order, and after faults that leave bits armed."""
    flip_flops = match_flip_flops(backend.flip_flops(workload.config), "*")
    cycles = backend.golden_cycles(workload)
    space = FlipFlopSpace(flip_flops=flip_flops, kinds=tuple(FaultKind), cycles=cycles, device="")
    faults = [space[index] for index in draw_indices(space.size, 24, 5)]
    faults += [fault("rtl:core.array.pe_0_0.armed:b3:flip"), fault("rtl:bus.csr.fault_kind:b0:sa1")]
    forwards = backend.evaluate(workload, faults)
    backend.evaluate(workload, [parse_fault("weight:r0:c0:b6:sa1")])
    backwards = backend.evaluate(workload, faults[::-1])[::-1]
    for each, one, other in zip(faults, forwards, backwards, strict=True):
        assert one.end is other.end, each
        assert np.array_equal(one.accumulators, other.accumulators), each


def test_nothing_runs_if_one_fault_is_refused(backend: RtlBackend, workload: Workload) -> None:
    """The clock stands still."""
    backend.evaluate(workload, [None])
    before = backend.accelerator(workload.config).port.simulation.cycle  # type: ignore[attr-defined]
    with pytest.raises(FaultError, match="no flip-flop is called 'nope'"):
        backend.evaluate(workload, [None, fault("rtl:nope:b0:flip")])
    assert backend.accelerator(workload.config).port.simulation.cycle == before  # type: ignore[attr-defined]


def options(board: str = "rtl", **faults: object) -> CampaignOptions:
    """Return a campaign."""
    return CampaignOptions(board=board, workload=NETWORK, faults=FaultOptions(**faults), workers=1)  # type: ignore[arg-type]


def test_campaign_counts_hangs_and_keeps_names(tmp_path: Path) -> None:
    """Rows of faults that have no result, in a store that reads back what was written."""
    plan = plan_campaign(options(site="rtl:core.sequencer.fsm_state", kind="stuck", faults=6))
    result = run_campaign(plan, tmp_path / "out")
    with ResultStore.open(result.store) as store:
        rows = list(store.rows())
    assert [row.fault for row in rows] == list(plan.faults.faults)
    assert {row.status for row in rows} >= {Status.HANG}
    assert all(row.masked + row.tolerable + row.critical == (row.status in (Status.OK, Status.SDC)) for row in rows)
    relist = plan_campaign(options(fault_list=tmp_path / "out" / "faults.jsonl"))
    assert relist.faults.faults == plan.faults.faults


@pytest.mark.parametrize(
    ("faults", "board", "message"),
    [
        ({"site": "rtl:*"}, "emu", "are those of simulated hardware; allowed: --board rtl, not 'emu'"),
        ({"site": "rtl:core.nothing"}, "rtl", "no flip-flop is called 'core.nothing'"),
        ({"site": "rtl:*", "kind": "melt"}, "rtl", "unknown fault kind 'melt'"),
        ({"site": "rtl:*", "transient": True}, "rtl", "a fault in a flip-flop has one bit, and its cycle is drawn"),
        ({"fault": "rtl:bus.csr.scratch:b0:flip@y99999999"}, "rtl", "cycle must be between 0 and"),
        ({"fault": "rtl:bus.csr.scratch:b32:flip"}, "rtl", "bit must be between 0 and 31, not 32"),
        ({"fault": "rtl:bus.csr.scratch:b0:flip"}, "emu", "allowed: --board rtl, not 'emu'"),
    ],
)
def test_campaign_that_cannot_be_is_refused_before_it_begins(
    faults: dict[str, object], board: str, message: str
) -> None:
    """With what was given and what is allowed."""
    with pytest.raises(AxftError) as caught:
        plan_campaign(options(board, **faults))
    assert message in str(caught.value)


def test_list_that_was_drawn_for_another_run_is_refused(tmp_path: Path) -> None:
    """Its faults would be no sample of this one."""
    plan = plan_campaign(options(site="rtl:core.queue.*", faults=3))
    run_campaign(plan, tmp_path / "out")
    with pytest.raises(FaultError, match="it is no sample of what can go wrong here"):
        plan_campaign(
            CampaignOptions(
                board="rtl",
                physical="1x2",
                workload=NETWORK,
                faults=FaultOptions(fault_list=tmp_path / "out" / "faults.jsonl"),
                workers=1,
            )
        )
