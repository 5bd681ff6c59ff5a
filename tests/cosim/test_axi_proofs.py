"""The promises of the AXI3 slave, proved; and bugs planted in it, found.

The master of these proofs speaks AXI3, with WID and LEN of 4 bits, and may do whatever its wires allow.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from axft_hw.axi.properties import SlaveProof
from axft_hw.axi.slave import Axi3Slave
from axft_hw.build.verilog import to_rtlil
from cosim.model_checker import Verdict, check
from support.planted_bugs import BUGS, DEEP_BUGS, planted

COVERS = 14


def verdict(slave: Axi3Slave, tmp_path: Path, *, mode: str, depth: int, invariants: bool) -> Verdict:
    """Check a slave."""
    proof = SlaveProof(slave, invariants=invariants)
    rtlil = to_rtlil(proof, "proof", proof.ports, emit_src=True)
    return check(rtlil, mode=mode, depth=depth, directory=tmp_path / mode)


def test_promises_hold_for_ever(tmp_path: Path) -> None:
    """By induction over 6 cycles, at the widths that are built: no length of run, and no master, breaks them."""
    found = verdict(Axi3Slave(), tmp_path, mode="prove", depth=6, invariants=True)
    assert found.status == "PASS", found.log[-3000:]
    assert "successful proof by k-induction" in found.log


def test_promises_hold_from_reset(tmp_path: Path) -> None:
    """Everything that can happen in 12 cycles; narrow widths save time."""
    small = Axi3Slave(address_bits=7, id_bits=2)
    found = verdict(small, tmp_path, mode="bmc", depth=12, invariants=True)
    assert found.status == "PASS", found.log[-3000:]


def test_promises_hold_without_a_look_inside(tmp_path: Path) -> None:
    """Nothing but the ports, for 8 cycles: what finds the planted bugs below finds none here."""
    small = Axi3Slave(address_bits=7, id_bits=2)
    found = verdict(small, tmp_path, mode="bmc", depth=8, invariants=False)
    assert found.status == "PASS", found.log[-3000:]


def test_promises_are_not_vacuous(tmp_path: Path) -> None:
    """Bursts of every type and of 16 beats end, with and without errors, with and without waiting."""
    found = verdict(Axi3Slave(), tmp_path, mode="cover", depth=26, invariants=False)
    assert (found.status, found.covered) == ("PASS", COVERS), found.log[-3000:]


@pytest.mark.parametrize("name", sorted(BUGS.keys() - DEEP_BUGS))
def test_planted_bug_is_found(name: str, tmp_path: Path) -> None:
    """By the promises alone, from reset; those that need longer runs are left to the simulator."""
    found = verdict(planted(name, address_bits=7, id_bits=2), tmp_path, mode="bmc", depth=10, invariants=False)
    assert found.status == "FAIL", found.log[-3000:]
    assert "properties.py" in found.log
