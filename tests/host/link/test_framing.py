"""Frames: COBS against its definition, checksums, and streams that lose, change or double bytes."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.link.framing import MAX_PAYLOAD, NO_SESSION, Frame, FrameDecoder, cobs_decode, cobs_encode
from support.noisy_link import Noise

frames = st.builds(
    Frame,
    session=st.binary(min_size=8, max_size=8),
    sequence=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=600),
    answer=st.booleans(),
)


def slow_cobs(data: bytes) -> bytes:
    """Encode byte by byte, as the paper's figure 3 does it."""
    out, code_at, code = bytearray(1), 0, 1
    for byte in data:
        if byte:
            out.append(byte)
            code += 1
        if not byte or code == 255:
            out[code_at] = code
            code_at, code = len(out), 1
            out.append(0)
    out[code_at] = code
    return bytes(out)


@given(st.binary(max_size=1200) | st.binary(max_size=3).map(lambda piece: piece * 300))
def test_cobs_is_that_of_the_paper_and_comes_back(data: bytes) -> None:
    """Also for runs without zeros that are longer than a block."""
    assert cobs_encode(data) == slow_cobs(data)
    assert 0 not in cobs_encode(data)
    assert cobs_decode(cobs_encode(data)) == data


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (b"", "01"),
        (b"\0", "0101"),
        (b"\x11\x22\x00\x33", "0311220233"),
        (b"\x11\x00\x00\x00", "0211010101"),
    ],
)
def test_cobs_meets_published_examples(data: bytes, encoded: str) -> None:
    """Those that everybody's implementation is tried with."""
    assert cobs_encode(data).hex() == encoded


@given(st.binary(max_size=300))
def test_anything_can_be_decoded_or_is_nothing(data: bytes) -> None:
    """No input is an exception."""
    cobs_decode(data)
    Frame.decode(data)
    FrameDecoder().feed(data)


@given(frames)
def test_frame_comes_back(frame: Frame) -> None:
    """Between two zero bytes, with none in between."""
    encoded = frame.encode()
    assert encoded[0] == encoded[-1] == 0
    assert 0 not in encoded[1:-1]
    assert FrameDecoder().feed(encoded) == [frame]


@given(frames, st.binary(min_size=1, max_size=32))
def test_tag_is_half_of_an_hmac_and_of_one_key_alone(frame: Frame, key: bytes) -> None:
    """Over everything before it, flags included."""
    tagged = frame.tagged(key)
    (received,) = FrameDecoder().feed(tagged.encode())
    flags = (1 if frame.answer else 0) | 2
    said = bytes([1, flags]) + frame.session + frame.sequence.to_bytes(4, "little")
    said += len(frame.payload).to_bytes(2, "little") + frame.payload
    assert received.tag == hmac.new(key, said, hashlib.sha256).digest()[:16]
    assert received.is_from(key)
    assert not received.is_from(key + b"x")
    assert not frame.is_from(key)


@given(st.lists(frames, max_size=4), st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_pieces_of_any_length_give_the_same_frames(sent: list[Frame], cuts: list[int]) -> None:
    """A stream has no boundaries."""
    data, decoder, got = b"".join(frame.encode() for frame in sent), FrameDecoder(), []
    for number in range(len(data)):
        piece, data = data[: cuts[number % len(cuts)]], data[cuts[number % len(cuts)] :]
        got += decoder.feed(piece)
    assert got == sent


@given(st.binary(max_size=200), frames)
def test_frame_is_found_after_anything(before: bytes, frame: Frame) -> None:
    """The zero in front of it ends whatever came before."""
    assert FrameDecoder().feed(before + frame.encode())[-1] == frame


def test_damaged_stream_gives_only_frames_that_were_sent() -> None:
    """Of 2,000 frames with one byte in 100 damaged: some get through, none is changed."""
    sent = [Frame(session=NO_SESSION, sequence=number, payload=bytes([number % 251]) * 40) for number in range(2000)]
    noise, decoder = Noise(100, seed=1), FrameDecoder()
    got = [frame for each in sent for frame in decoder.feed(noise(each.encode()))]
    assert 500 < len(got) < 1500
    assert all(frame == sent[frame.sequence] for frame in got)
    assert decoder.damaged > 300


def test_endless_piece_is_not_kept() -> None:
    """Garbage without a zero takes no memory, and the next frame is found."""
    decoder, frame = FrameDecoder(), Frame(session=NO_SESSION, sequence=1, payload=b"x" * MAX_PAYLOAD)
    for _ in range(1000):
        assert decoder.feed(b"\x55" * 5000) == []
    assert decoder.garbage_bytes == 5_000_000
    assert len(decoder._piece) < 2 * MAX_PAYLOAD
    assert decoder.feed(frame.encode()) == [frame]
    assert decoder.garbage_bytes == 0


def test_frame_of_another_version_can_be_told() -> None:
    """So that the message can say what to do."""
    (frame,) = FrameDecoder().feed(Frame(session=NO_SESSION, sequence=1, payload=b"new", version=2).encode())
    assert frame.version == 2


def slow_crc(data: bytes) -> bytes:
    """Return the CRC-32 of IEEE 802.3, bit by bit, in little endian."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0xEDB88320 if state & 1 else 0)
    return (state ^ 0xFFFFFFFF).to_bytes(4, "little")


def test_documented_frame_is_what_is_sent() -> None:
    """The example of the reference page: a request with sequence number 7 and the payload 09, before a session."""
    raw = bytes([1, 0, *bytes(8), 7, 0, 0, 0, 1, 0, 9])
    assert slow_crc(b"123456789").hex() == "2639f4cb"
    encoded = Frame(session=NO_SESSION, sequence=7, payload=b"\x09").encode()
    assert encoded == b"\0" + slow_cobs(raw + slow_crc(raw)) + b"\0"
    assert encoded.hex() == "00020101010101010101010207010102010609e3d6f0f300"
