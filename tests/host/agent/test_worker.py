"""The pipe between supervisor and worker."""

from __future__ import annotations

import os
import struct
import threading

import pytest

from axft_host.agent.worker import Inbox, _packed, _Voice


def test_message_that_is_cut_short_is_not_waited_for() -> None:
    """A worker may be stopped in the middle of one."""
    ours, theirs = os.pipe()
    inbox = Inbox(ours)
    assert not inbox.read()
    os.write(theirs, struct.pack("<Q", 5) + b"ab")
    assert inbox.read() and not inbox.read()
    assert list(inbox.messages()) == []
    os.write(theirs, b"cde" + struct.pack("<Q", 0))
    assert inbox.read()
    assert list(inbox.messages()) == [b"abcde", b""]
    os.close(theirs)
    with pytest.raises(EOFError):
        inbox.read()
    os.close(ours)


def test_large_message_comes_in_pieces() -> None:
    """Larger than the pipe holds, while the reader looks now and then."""
    from multiprocessing import Pipe

    ours, theirs = Pipe()
    inbox, body = Inbox(ours.fileno()), os.urandom(3 << 20)
    thread = threading.Thread(target=_Voice(theirs).say, args=("record", body), kwargs={"index": 3})
    thread.start()
    got: list[bytes] = []
    while not got:
        if inbox.read():
            got += inbox.messages()
    thread.join()
    assert got == [_packed("record", {"index": 3}, body)]
