"""Messages: what was sent comes back, and nothing else is taken for a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.link import messages
from axft_host.link.framing import MAX_PAYLOAD
from axft_host.link.messages import MAX_BODY, Blob, BlobState, Fetch, JobState, Message, MessageError, Refused, decode

EXAMPLES = [
    Blob(digest=b"\1" * 32, size=2**40, offset=7, body=b"abc"),
    BlobState(digest=b"\2" * 32, missing=((0, 5), (9, 2**33))),
    Fetch(job=b"12345678", offset=1, acknowledged=2, credit=3, limit=4, wait_ms=5),
    JobState(job=b"12345678", state=3, begun=4, size=5, offset=6, missing=(b"\3" * 32,), body=b"\0\1"),
    Refused(reason="version", text="häßlich"),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda each: type(each).__name__)
def test_message_comes_back(message: Message) -> None:
    """Of every kind of field."""
    assert decode(message.encode()) == message


def test_documented_message_is_what_is_sent() -> None:
    """The example of the reference page."""
    fetch = Fetch(job=b"ABCDEFGH", offset=1, acknowledged=2, credit=3, limit=4, wait_ms=5)
    assert fetch.encode().hex() == (
        "0d" + b"ABCDEFGH".hex() + "0100000000000000" + "0200000000000000" + "03000000" + "0400" + "0500"
    )


@given(st.binary(max_size=300))
def test_anything_is_a_message_or_an_error(payload: bytes) -> None:
    """Never another exception."""
    try:
        message = decode(payload)
    except MessageError:
        return
    assert decode(message.encode()) == message


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda each: type(each).__name__)
def test_message_cut_short_or_made_longer_is_none(message: Message) -> None:
    """Unless it ends with a body, which may have any length."""
    encoded = message.encode()
    ends_with_body = hasattr(message, "body")
    for length in range(len(encoded) - len(getattr(message, "body", b""))):
        with pytest.raises(MessageError):
            decode(encoded[:length])
    if not ends_with_body:
        with pytest.raises(MessageError, match="something follows its end"):
            decode(encoded + b"x")


@pytest.mark.parametrize("payload", [b"", b"\0", b"\xff", b"\x63abc"])
def test_unknown_type_is_refused(payload: bytes) -> None:
    """An empty payload too."""
    with pytest.raises(MessageError, match="unknown type"):
        decode(payload)


def test_every_type_has_a_code_of_its_own_and_room_for_a_body() -> None:
    """A frame holds the largest of them."""
    assert sorted(messages._TYPES) == list(range(1, 15))
    largest = JobState(job=bytes(8), state=0, begun=0, size=0, offset=0, missing=(), body=bytes(MAX_BODY))
    assert len(largest.encode()) <= MAX_PAYLOAD
    assert len(Blob(digest=bytes(32), size=0, offset=0, body=bytes(MAX_BODY)).encode()) <= MAX_PAYLOAD
    assert len(BlobState(digest=bytes(32), missing=((0, 1),) * 99).encode()) <= MAX_PAYLOAD
    assert len(Refused(reason="x", text="ä" * 9999).encode()) <= MAX_PAYLOAD
