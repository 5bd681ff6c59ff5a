"""The doctor at a PC, for a board at the other end of a link: the device is looked at over there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytest.importorskip("amaranth", reason="Amaranth is not installed")

from axft_host.device.examination.finding import State
from axft_host.doctor.bundle import board_report
from axft_host.doctor.examine import DoctorOptions, open_examination
from axft_host.link.client import LinkSettings


@pytest.fixture
def url() -> Iterator[str]:
    """Serve simulated hardware on a port of this machine; return its address."""
    line = [sys.executable, "-m", "axft_host.cli", "serve", "--board", "rtl", "--physical", "4x4"]
    with subprocess.Popen([*line, "--listen", "127.0.0.1:0", "--json"], stdout=subprocess.PIPE, text=True) as agent:
        try:
            assert agent.stdout is not None
            text = ""
            while not text.endswith("}\n"):
                text += agent.stdout.readline()
            yield json.loads(text)["addresses"][0]
        finally:
            agent.terminate()


def test_device_at_the_far_end_is_seen(url: str) -> None:
    """All rows of the device, the network beside them, and what the far end runs on in the report."""
    examination = open_examination(DoctorOptions(board=f"link:{url}", images=1))
    *_, parts = board_report(examination, faults=2)
    assert isinstance(parts, dict)
    found = {finding.name: finding for finding in examination.findings}
    assert {name for name, finding in found.items() if finding.state is not State.PASS} == {"clock"}
    assert {"identity", "register bits", "buffer scan", "scan chain", "watchdog", "words block read"} <= set(found)
    # The far end's own time: that of the link is in the first row.
    assert found["words block read"].seconds > 0.05
    assert parts["versions.json"]["at the board"]["versions"] == parts["versions.json"]["versions"]
    assert "sensors" in parts["versions.json"]["at the board"]
    assert parts["faults.json"]["equal"] == 2


def test_link_without_an_agent_is_a_failure_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: one failure says so, and the rest is skipped."""
    monkeypatch.setattr(LinkSettings, "from_environment", lambda: LinkSettings(first_s=0.2, patience_s=0.2))
    examination = open_examination(DoctorOptions(board="link:socket://127.0.0.1:9"))
    states = {finding.name: finding.state for finding in examination.run()}
    failed = [name for name, state in states.items() if state is State.FAIL]
    assert len(failed) == 1
    assert set(states.values()) <= {State.FAIL, State.PASS, State.SKIPPED}
