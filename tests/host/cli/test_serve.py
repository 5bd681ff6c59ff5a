"""``axft-hw serve``: what it announces, how it stops, and what it refuses."""

from __future__ import annotations

import signal

import pytest

from support.command_line import invoke
from support.link_agent import PATIENCE_S, agent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_agent_says_where_it_is_and_stops_when_told(number: signal.Signals) -> None:
    """As a service does, and for somebody who tries it."""
    with agent("--board", "emu", "--listen", "127.0.0.1:0") as serving:
        assert serving.addresses == [f"socket://127.0.0.1:{serving.port}"]
        serving.process.send_signal(number)
        assert serving.process.wait(timeout=PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "'--board' is missing"),
        ("--board emu --listen 0.0.0.0:0", "needs a shared secret; allowed: --secret-file, or a loopback address"),
        ("--board emu --serial /dev/ttyNOWHERE", "link /dev/ttyNOWHERE cannot be opened"),
        ("--board link:/dev/ttyUSB0", "unknown board to serve 'link:/dev/ttyUSB0'"),
        ("--board emu --secret-file nowhere", "the secret file nowhere cannot be read"),
        ("--board rtl --physical 99x1", "rows of the array must be between 1 and 64, not 99"),
    ],
)
def test_bad_input_is_told_in_the_last_line(line: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exit code 2; nothing is served."""
    monkeypatch.delenv("AXFT_LINK_SECRET_FILE", raising=False)
    result = invoke("serve", *line.split())
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
