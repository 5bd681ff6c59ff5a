"""Uploaded blobs: parts in any order, a digest that must be right, and a limit."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from axft_host.agent import blobs
from axft_host.agent.blobs import BlobStore
from axft_host.link.payloads import MAX_BLOB, digest_of
from axft_spec.errors import BackendError


def blob(number: int, size: int) -> tuple[bytes, bytes]:
    """Return a digest and its bytes."""
    data = random.Random(number).randbytes(size)
    return digest_of(data), data


def upload(store: BlobStore, number: int, size: int) -> bytes:
    """Upload in one piece."""
    digest, data = blob(number, size)
    assert store.put(digest, size, 0, data) == []
    return digest


def files(cache: Path) -> list[Path]:
    """Return the files of blobs in a cache."""
    return list((cache / "axft-blobs").iterdir())


@pytest.mark.parametrize("seed", range(5))
def test_parts_come_in_any_order_and_more_than_once(tmp_path: Path, seed: int) -> None:
    """What is missing is said, until nothing is."""
    store, chance = BlobStore(tmp_path / "cache", 1 << 20), random.Random(seed)
    digest, data = blob(seed, 5000)
    there: set[int] = set()
    assert store.put(digest, 5000, 0, b"") == [(0, 5000)]
    while len(there) < 5000:
        start = chance.randrange(5000)
        stop = min(5000, start + chance.randrange(1, 900))
        missing = store.put(digest, 5000, start, data[start:stop])
        there |= set(range(start, stop))
        assert {place for first, last in missing for place in range(first, last)} == set(range(5000)) - there
    path = store.path(digest)
    assert path is not None and path.read_bytes() == data


def test_what_has_another_digest_is_not_kept(tmp_path: Path) -> None:
    """And can be sent again."""
    store = BlobStore(tmp_path, 1 << 20)
    digest, data = blob(1, 100)
    with pytest.raises(BackendError, match="has another digest; upload it again"):
        store.put(digest, 100, 0, data[::-1])
    assert store.path(digest) is None
    assert files(tmp_path) == []
    assert store.put(digest, 100, 0, data) == []


@pytest.mark.parametrize(("size", "offset", "length"), [(0, 0, 0), (MAX_BLOB + 1, 0, 0), (10, 8, 3), (10, 2**63, 1)])
def test_sizes_and_ranges_that_are_none_are_refused(tmp_path: Path, size: int, offset: int, length: int) -> None:
    """Nothing is made room for."""
    with pytest.raises(BackendError, match="a blob must have between 1 and"):
        BlobStore(tmp_path, 1 << 20).put(bytes(32), size, offset, bytes(length))


def test_blobs_used_longest_ago_go_first_and_those_in_use_stay(tmp_path: Path) -> None:
    """The limit is of all together."""
    store = BlobStore(tmp_path, 1000)
    first, second = upload(store, 1, 400), upload(store, 2, 400)
    for age, digest in enumerate((second, first)):
        os.utime(tmp_path / "axft-blobs" / digest.hex(), ns=(age, age))
    store.pinned = frozenset([second])
    third = upload(store, 3, 400)
    assert [store.path(digest) is not None for digest in (first, second, third)] == [False, True, True]


def test_blobs_of_an_earlier_run_are_there_and_parts_are_not(tmp_path: Path) -> None:
    """So that nothing is uploaded again after a restart."""
    store = BlobStore(tmp_path, 1 << 20)
    digest = upload(store, 1, 100)
    part, data = blob(2, 100)
    store.put(part, 100, 0, data[:50])
    again = BlobStore(tmp_path, 1 << 20)
    assert again.path(digest) is not None
    assert again.put(part, 100, 0, b"") == [(0, 100)]
    assert len(files(tmp_path)) == 1


def test_many_parts_take_bounded_room(tmp_path: Path) -> None:
    """Those begun longest ago are dropped."""
    store = BlobStore(tmp_path, 1 << 20)
    for number in range(50):
        store.put(number.to_bytes(32, "little"), MAX_BLOB, 0, b"x")
    assert len(files(tmp_path)) <= 8
    for place in range(0, 2000, 2):
        missing = store.put(bytes([49, *bytes(31)]), MAX_BLOB, place, b"x")
    assert len(missing) <= 65


@pytest.mark.parametrize("left", [b"", bytes(100), b"short"])
def test_file_of_an_earlier_run_that_a_power_cut_has_damaged_is_missing(tmp_path: Path, left: bytes) -> None:
    """It goes, is uploaded again, and then is there."""
    digest = upload(BlobStore(tmp_path, 1 << 20), 1, 100)
    (path,) = files(tmp_path)
    path.write_bytes(left)
    store = BlobStore(tmp_path, 1 << 20)
    assert store.lacking([digest]) == [digest]
    assert files(tmp_path) == []
    assert upload(store, 1, 100) == digest
    assert store.lacking([digest]) == []


def test_files_are_read_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those written here are not read at all; one that was dropped and comes again is."""
    digest = upload(BlobStore(tmp_path, 1 << 20), 1, 100)
    store, read = BlobStore(tmp_path, 150), list[Path]()
    inner = blobs._digest_of_file
    monkeypatch.setattr(blobs, "_digest_of_file", lambda path: read.append(path) or inner(path))
    for _ in range(3):
        assert store.path(digest) is not None
    assert len(read) == 1
    store.keep(blob(2, 120)[1])
    assert store.path(digest) is None
    assert store.path(blob(2, 120)[0]) is not None
    assert len(read) == 1
    (tmp_path / "axft-blobs" / digest.hex()).write_bytes(b"from elsewhere")
    assert store.path(digest) is None


def test_blob_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file first, then the directory."""
    synced = list[str]()
    monkeypatch.setattr(
        blobs.os, "fsync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink()))
    )
    store = BlobStore(tmp_path, 1 << 20)
    upload(store, 1, 100)
    store.keep(b"made here")
    assert [Path(each).suffix for each in synced] == [".new", "", ".new", ""]
    assert {synced[1], synced[3]} == {str(tmp_path / "axft-blobs")}


def test_files_of_others_in_the_cache_stay(tmp_path: Path) -> None:
    """Whatever they are called, and however small the limit."""
    strange = ["thesis.new", "z" * 64, "ab" * 32, "AB" * 32, f"{'ab' * 32}.new"]
    inside = ["thesis.new", "z" * 64, "AB" * 32]
    (tmp_path / "axft-blobs").mkdir()
    for path in [*(tmp_path / name for name in strange), *(tmp_path / "axft-blobs" / name for name in inside)]:
        path.write_bytes(b"mine" * 100)
    (tmp_path / "axft-blobs" / f"{'ab' * 32}.new").write_bytes(b"half")
    store = BlobStore(tmp_path, 100)
    upload(store, 1, 90)
    upload(store, 2, 90)
    assert {path.name for path in tmp_path.iterdir()} == {*strange, "axft-blobs"}
    assert {path.name for path in files(tmp_path)} == {*inside, blob(2, 90)[0].hex()}
