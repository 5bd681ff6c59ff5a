"""Fetching published data sets, from a server on this machine."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from axft_host.nn.datasets import list_datasets, load_dataset
from axft_host.nn.published import PUBLISHED, PublishedDataset, fetch_dataset, fetched_dir
from axft_spec.errors import DataError

FILES = {
    "t10k-images-idx3-ubyte": b"\0\0\x08\x03" + bytes([0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]) + bytes([1, 2, 3, 4]),
    "t10k-labels-idx1-ubyte": b"\0\0\x08\x01" + bytes([0, 0, 0, 2]) + bytes([7, 9]),
    "train-images-idx3-ubyte": b"\0\0\x08\x03" + bytes([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2]) + bytes([5, 6]),
    "train-labels-idx1-ubyte": b"\0\0\x08\x01" + bytes([0, 0, 0, 1]) + bytes([3]),
}


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line per request, and counts the requests."""

    requests = 0

    def do_GET(self) -> None:
        """Count, then serve."""
        type(self).requests += 1
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """Directory of files and the address of a server of it."""
    directory = tmp_path / "served"
    directory.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(QuietHandler, "requests", 0)
    handler = functools.partial(QuietHandler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield directory, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def tiny(served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """Put a data set of three images in the place of MNIST, served whole."""
    directory, url = served
    for name, content in FILES.items():
        (directory / f"{name}.gz").write_bytes(gzip.compress(content))
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    entry = PublishedDataset(title="Tiny", base_url=url, sha256=sums)
    monkeypatch.setitem(PUBLISHED, "mnist", entry)
    return served


def test_fetched_data_set_loads_by_its_name(tiny: tuple[Path, str]) -> None:
    """Both splits, from the usual address."""
    with pytest.raises(DataError, match="run `axft-hw data fetch mnist`"):
        load_dataset("mnist")
    fetch_dataset("mnist")
    test, train = load_dataset("mnist"), load_dataset("mnist:train")
    assert (test.name, test.images.ravel().tolist(), test.labels.tolist()) == ("mnist", [1, 2, 3, 4], [7, 9])
    assert (train.name, train.images.ravel().tolist(), train.labels.tolist()) == ("mnist:train", [5, 6], [3])
    assert [info.images for info in list_datasets() if info.name in ("mnist", "mnist:train")] == [2, 1]


def test_second_fetch_downloads_only_what_is_missing_or_damaged(tiny: tuple[Path, str]) -> None:
    """A file is not downloaded again while its content is right."""
    directory = fetch_dataset("mnist")
    assert QuietHandler.requests == 4
    fetch_dataset("mnist")
    assert QuietHandler.requests == 4
    (directory / "t10k-labels-idx1-ubyte").unlink()
    (directory / "train-labels-idx1-ubyte").write_bytes(b"damaged")
    fetch_dataset("mnist")
    assert QuietHandler.requests == 6
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == FILES


def test_other_address_serves_files_compressed_in_another_way(tiny: tuple[Path, str], tmp_path: Path) -> None:
    """What counts is the content, not how it was compressed."""
    directory, url = tiny
    (directory / "mirror").mkdir()
    for name, content in FILES.items():
        (directory / "mirror" / f"{name}.gz").write_bytes(gzip.compress(content, compresslevel=1, mtime=1))
        (directory / f"{name}.gz").unlink()
    fetch_dataset("mnist", f"{url}mirror")
    assert len(load_dataset("mnist")) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(gzip.compress(FILES["t10k-labels-idx1-ubyte"][:-1] + b"\x08"), "hash", id="changed"),
        pytest.param(gzip.compress(FILES["t10k-labels-idx1-ubyte"])[:-5], "end-of-stream", id="truncated"),
        pytest.param(b"<html>not found</html>", "hash", id="html"),
        pytest.param(None, "404", id="missing"),
    ],
)
def test_wrong_download_is_rejected_and_not_kept(tiny: tuple[Path, str], content: bytes | None, message: str) -> None:
    """Changed, truncated, something else, or missing: the message names the address."""
    path = tiny[0] / "t10k-labels-idx1-ubyte.gz"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^mnist could not be fetched from \S+/{path.name}: .*{message}") as error:
        fetch_dataset("mnist")
    assert "\n" not in str(error.value)
    assert [kept.name for kept in fetched_dir("mnist").iterdir()] == ["t10k-images-idx3-ubyte"]


def test_unreachable_server_is_an_error_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on the discard port."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DataError, match=r"could not be fetched from http://127\.0\.0\.1:9/t10k-images"):
        fetch_dataset("fashion-mnist", "http://127.0.0.1:9")


def test_damaged_copy_is_rejected_when_loaded(tiny: tuple[Path, str]) -> None:
    """The name stands for the published content, bit for bit."""
    path = fetch_dataset("mnist") / "t10k-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\0")
    with pytest.raises(DataError, match=r"SHA-256 must be \w{64}, not \w{64}: run `axft-hw data fetch mnist` again"):
        load_dataset("mnist")


def test_unknown_name_lists_what_can_be_fetched() -> None:
    """The embedded data set needs no fetching, so it is not among them."""
    with pytest.raises(DataError, match=r"'fashion' .*allowed: mnist, fashion-mnist$"):
        fetch_dataset("fashion")


def test_checksums_are_those_of_the_official_files(served: tuple[Path, str], mnist_dir: Path) -> None:
    """The official files are accepted, and have the published number of images."""
    directory, url = served
    for name in PUBLISHED["mnist"].sha256:
        shutil.copy(mnist_dir / f"{name}.gz", directory)
    fetch_dataset("mnist", url)
    assert np.bincount(load_dataset("mnist").labels).sum() == 10_000
    assert len(load_dataset("mnist:train")) == 60_000
