"""What blobs and records hold: packed small, unpacked the same, and bounded whatever comes."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.device.recovery import Recovery
from axft_host.link.errors import LinkError
from axft_host.link.payloads import (
    MAX_TASK,
    Record,
    RecordKind,
    Result,
    integers_from_bytes,
    integers_to_bytes,
    json_from_bytes,
    json_to_bytes,
    network_from_file,
    network_to_bytes,
    no_result,
    pixels_from_bytes,
    pixels_to_bytes,
    read_records,
)
from axft_host.nn.library import load_network_file
from axft_spec.config import find_preset
from axft_spec.errors import ModelError

RECOVERY = Recovery("worker", 1.5, "the worker process has ended (signal 9)", "crash", 1, "2026-01-01T00:00:00Z")

integers = st.lists(st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)), max_size=20)


@given(integers, st.binary(max_size=5))
def test_integers_come_back_with_what_follows(values: list[int], rest: bytes) -> None:
    """Of any size; what follows is left alone."""
    packed = integers_to_bytes(np.array(values, dtype=np.int64))
    got, left = integers_from_bytes(packed + rest, len(values))
    assert got.tolist() == values
    assert left == rest


@pytest.mark.parametrize(
    ("values", "size"),
    [([0, 0], 1), ([127, -128], 3), ([128, 0], 5), ([2**31, 0], 17), ([-(2**31), 2**31 - 1], 9), ([], 1)],
)
def test_integers_take_no_more_than_they_need(values: list[int], size: int) -> None:
    """One byte for the width, and as many bytes each as the largest needs."""
    assert len(integers_to_bytes(np.array(values, dtype=np.int64))) == size


def test_documented_integers_are_what_is_sent() -> None:
    """The example of the reference page."""
    assert integers_to_bytes(np.array([1, -2, 300])).hex() == "020100feff2c01"


@given(st.binary(max_size=40), st.integers(0, 20))
def test_any_bytes_are_integers_or_an_error(data: bytes, count: int) -> None:
    """Never another exception."""
    try:
        integers_from_bytes(data, count)
    except LinkError:
        return


@given(st.data())
def test_result_comes_back(data: st.DataObject) -> None:
    """Relative to any golden run."""
    images, classes = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    golden = rng.integers(-(2**39), 2**39, (images, classes))
    moved = rng.random(images) < data.draw(st.sampled_from([0.0, 0.3, 1.0]))
    accumulators = golden + moved[:, None] * rng.integers(-5, 5, (images, classes))
    activated = rng.integers(0, 2, images) * rng.integers(0, 70_000, images)
    recoveries = (RECOVERY,) * data.draw(st.integers(0, 2))
    result = Result(accumulators=accumulators, activated=activated, recoveries=recoveries)
    again = Result.decode(result.encode(golden), golden)
    assert again.accumulators.tolist() == accumulators.tolist()
    assert again.activated.tolist() == activated.tolist()
    assert (again.end, again.recoveries) == ("complete", recoveries)


def test_run_like_the_golden_one_takes_three_bytes() -> None:
    """Most faults on a slow line are of this sort."""
    golden = np.arange(10_000).reshape(1000, 10)
    assert len(Result(accumulators=golden, activated=np.zeros(1000, dtype=np.int64)).encode(golden)) == 3


@pytest.mark.parametrize("end", ["hang", "crash"])
def test_run_without_result_holds_zeros(end: str) -> None:
    """As an `Evaluation` does; the golden run says the shape."""
    golden = np.ones((4, 3), dtype=np.int64)
    result = Result.decode(no_result(end), golden)
    assert (result.end, result.accumulators.any(), result.activated.any()) == (end, False, False)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_result_or_an_error(data: bytes) -> None:
    """Damage is never taken for a result of another shape."""
    try:
        result = Result.decode(data, np.zeros((3, 2), dtype=np.int64))
    except LinkError:
        return
    assert result.accumulators.shape == (3, 2)


def test_records_are_read_as_far_as_they_are_whole() -> None:
    """The rest is read when it has come."""
    records = [Record(RecordKind.RESULT, 5, b"abc"), Record(RecordKind.END, 0, b"")]
    data = b"".join(record.encode() for record in records)
    for length in range(len(data) + 1):
        got, taken = read_records(data[:length])
        assert got == records[: len(got)]
        assert taken == sum(len(record.encode()) for record in got)
    assert len(got) == 2


def test_every_changed_byte_of_a_record_is_noticed() -> None:
    """The digest covers length and kind too; a length that is larger waits for more."""
    data = Record(RecordKind.RESULT, 5, b"abcdef").encode()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x10
        try:
            got, _ = read_records(changed + bytes(1 << 13))
        except LinkError:
            continue
        assert got == []


def test_packed_json_is_bounded() -> None:
    """A small blob cannot fill the memory."""
    assert json_from_bytes(json_to_bytes({"a": [1, None, "x"]})) == {"a": [1, None, "x"]}
    with pytest.raises(LinkError, match=f"at most {MAX_TASK} bytes"):
        json_from_bytes(zlib.compress(bytes(MAX_TASK + 1)))
    with pytest.raises(LinkError, match="is no JSON"):
        json_from_bytes(zlib.compress(b"[" * 100_000))
    with pytest.raises(LinkError, match="cannot be unpacked"):
        json_from_bytes(b"abc")


def test_pixels_come_back_and_have_the_size_that_was_said() -> None:
    """No more, no less."""
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 6, 5), dtype=np.uint8)
    assert (pixels_from_bytes(pixels_to_bytes(images), images.shape) == images).all()
    with pytest.raises(LinkError, match=r"images of shape \(3, 1, 6, 6\) must have 108 bytes"):
        pixels_from_bytes(pixels_to_bytes(images), (3, 1, 6, 6))
    with pytest.raises(LinkError):
        pixels_from_bytes(zlib.compress(bytes(1 << 20)), (2, 2))


def test_network_comes_back_and_a_bomb_does_not(tmp_path: Path) -> None:
    """The zip container says how large it becomes before anything is unpacked."""
    network, _ = load_network_file("lenet5", find_preset("34P").config)
    path = tmp_path / "network"
    path.write_bytes(network_to_bytes(network))
    assert network_from_file(path).digest == network.digest
    np.savez_compressed(tmp_path / "bomb.npz", zeros=np.zeros(300 << 20, dtype=np.uint8))
    with pytest.raises(LinkError, match="a network must take at most 256 MiB, not 300 MiB"):
        network_from_file(tmp_path / "bomb.npz")
    path.write_bytes(b"no network")
    with pytest.raises(ModelError, match="is not a network file"):
        network_from_file(path)


def test_same_network_is_the_same_blob() -> None:
    """Or it would be uploaded again and again."""
    network, _ = load_network_file("lenet5", find_preset("8P").config)
    assert network_to_bytes(network) == network_to_bytes(network)


@pytest.mark.parametrize("shape", [(-1, 1), (-2, -2), (0, -1)])
def test_images_of_negative_size_are_refused(shape: tuple[int, ...]) -> None:
    """Before anything is unpacked: no limit would hold it."""
    with pytest.raises(LinkError, match="images cannot have the shape"):
        pixels_from_bytes(zlib.compress(bytes(100)), shape)


@pytest.mark.parametrize("said", [5, None, True, "x", [1], [{"rung": 1}], {"a": 1}], ids=str)
def test_recoveries_of_a_result_that_are_none_are_told(said: object) -> None:
    """Whatever JSON they are."""
    packed = json_to_bytes(said)
    with pytest.raises(LinkError, match="the recoveries of a result are none"):
        Result.decode(b"\0" + len(packed).to_bytes(2, "little") + packed, np.zeros((1, 2), dtype=np.int64))
