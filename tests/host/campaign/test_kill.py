"""Campaigns that are killed at random moments; ``support.kill_runs`` does the same for longer."""

from __future__ import annotations

import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from axft_host.campaign.compare import compare
from axft_host.campaign.store import STORE_NAME
from axft_spec.errors import StoreError
from support.kill_runs import INJECT, Log, check_equal, killed_campaign, rows_of, start, uninterrupted, wait_for_rows
from support.small_campaign import write_small

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for workers in /proc")

#: So many, and kills in its first half (`SEED`), that each meets the campaign at work.
FAULTS, SEED = 20_000, 3


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the small network, and ``whole``, a campaign that nothing has interrupted."""
    directory = tmp_path_factory.mktemp("kill")
    write_small(directory)
    uninterrupted(directory, FAULTS)
    return directory


@pytest.mark.parametrize("kinds", [["group"], ["worker", "group"]], ids="+".join)
def test_killed_campaign_ends_as_if_it_had_not_been(place: Path, kinds: list[str]) -> None:
    """Kill -9 of the whole group or of one worker, resumed each time: nothing lost, nothing counted twice."""
    log = Log()
    result = killed_campaign(place, "-".join(kinds), FAULTS, kinds, SEED, log)
    assert len(log.kills) == len(kinds)
    assert all(0 < left < FAULTS for _, _, left in log.kills)
    check_equal(place / "whole", result)
    # The comparison can fail: a row that somebody has changed makes it.
    connection = sqlite3.connect(result / STORE_NAME)
    connection.execute(f"UPDATE faults SET correct = correct - 1 WHERE idx = {FAULTS // 2}")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=f"was changed after it was written, .* row idx {FAULTS // 2}"):
        compare(place / "whole", result)


def test_second_runner_is_refused_while_the_first_one_lives(place: Path) -> None:
    """At once, with a message; the lock dies with its holder."""
    first = start(place, f"{INJECT} --faults 42000 --workers 1 --out mine")
    try:
        wait_for_rows(first, place / "mine", 1)
        first.send_signal(signal.SIGSTOP)  # so that it cannot end before the others have asked
        second = start(place, "campaign resume mine --workers 1")
        assert second.wait(timeout=60) == 2
        said = (place / "log.txt").read_text(encoding="utf-8")
        assert "Error: another process is running the campaign in mine; wait for it or stop it" in said
        status = start(place, "campaign status mine --json")
        assert status.wait(timeout=60) == 0
        assert '"state": "running"' in (place / "log.txt").read_text(encoding="utf-8")
        assert first.poll() is None
    finally:
        first.kill()
        first.wait(timeout=60)
    assert 0 < rows_of(place / "mine") < 42000
    assert start(place, "campaign status mine --json").wait(timeout=60) == 0
    assert '"state": "killed"' in (place / "log.txt").read_text(encoding="utf-8")
