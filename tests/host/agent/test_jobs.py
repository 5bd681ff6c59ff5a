"""Jobs: their output, and what is known of their tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from axft_host.agent.jobs import Job, Needs
from axft_host.link.errors import LinkError
from axft_host.link.messages import State
from axft_host.link.payloads import RecordKind, json_to_bytes, read_records


def job() -> Job:
    """Return a job of three parts."""
    return Job(name=b"12345678", task=bytes(32), needs=Needs(3, ()))


def test_output_is_read_at_any_offset_until_it_is_acknowledged() -> None:
    """What is acknowledged takes no memory any more; offsets go on."""
    mine = job()
    mine.write(b"0123456789")
    assert (mine.read(2, 3), mine.read(8, 99), mine.read(10, 5), mine.size) == (b"234", b"89", b"", 10)
    mine.acknowledge(6)
    mine.acknowledge(4)
    mine.write(b"ab")
    assert (mine.read(6, 99), mine.read(3, 2), mine.size) == (b"6789ab", b"", 12)
    mine.acknowledge(99)
    assert mine.read(6, 99) == b"6789ab"


def test_failed_job_ends_with_its_error() -> None:
    """In one record."""
    mine = job()
    mine.fail("FaultError", "no such row")
    (record,), _ = read_records(mine.read(0, 9999))
    assert (record.kind, mine.state) == (RecordKind.ERROR, State.OVER)


def test_task_says_how_many_parts_and_which_blobs(tmp_path: Path) -> None:
    """The supervisor needs no more of it."""
    path = tmp_path / "task"
    path.write_bytes(json_to_bytes({"parts": 5, "blobs": ["ab" * 32], "faults": []}))
    assert Needs.of(path) == Needs(5, (b"\xab" * 32,))


@pytest.mark.parametrize(
    "task",
    [[], {}, {"parts": -1, "blobs": []}, {"parts": 1, "blobs": ["xy"]}, {"parts": 1, "blobs": ["ab"]},
     {"parts": True, "blobs": []}, {"parts": 1, "blobs": [7]}, {"parts": 1, "blobs": ["ab" * 32] * 9}],
    ids=str,
)  # fmt: skip
def test_what_is_no_task_is_refused(tmp_path: Path, task: object) -> None:
    """Whatever JSON it is."""
    path = tmp_path / "task"
    path.write_bytes(json_to_bytes(task))
    with pytest.raises(LinkError, match="a task"):
        Needs.of(path)
