"""MNIST and Fashion-MNIST: where they are published, what they must contain, and fetching them on request.

Copies in circulation are compressed in different ways, so the checksums are those of the uncompressed files.
MNIST's were taken from the official files; Fashion-MNIST's from Debian's package dataset-fashion-mnist, whose
compressed data, put back under the original gzip headers, has the MD5 sums that the data set's README states.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axft_host.nn.idx import open_plain_or_gzip
from axft_host.paths import user_data_dir
from axft_spec.errors import DataError, how_to_install, unknown_name

__all__ = ["PUBLISHED", "PublishedDataset", "check_fetched", "fetch_dataset", "fetched_dir"]

_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedDataset:
    """A data set of four IDX files that anybody can download.

    Attributes
    ----------
    title : str
        What it is, for people.
    base_url : str
        Where the files are published, each as ``NAME.gz``.
    sha256 : mapping of str to str
        SHA-256 of each uncompressed file, by its name.
    """

    title: str
    base_url: str
    sha256: Mapping[str, str]


PUBLISHED: Mapping[str, PublishedDataset] = {
    "mnist": PublishedDataset(
        title="MNIST, handwritten digits",
        # The copy that PyTorch's own data set uses; the authors' site no longer serves the files.
        base_url="https://ossci-datasets.s3.amazonaws.com/mnist",
        sha256={
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        },
    ),
    "fashion-mnist": PublishedDataset(
        title="Fashion-MNIST, articles of clothing",
        base_url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        sha256={
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        },
    ),
}


def fetched_dir(name: str) -> Path:
    """Return the directory where the files of a published data set lie once they are fetched.

    Raises
    ------
    DataError
        If no data set of this name is published, or the user has no data directory.
    """
    _published(name)
    try:
        return user_data_dir() / "datasets" / name
    except RuntimeError as error:
        raise DataError(f"no directory for data sets ({error}); set AXFT_DATA to one") from error


def check_fetched(name: str, prefix: str) -> Path:
    """Return the directory of a fetched data set, after checking the files of one split.

    Parameters
    ----------
    name : str
        A name in `PUBLISHED`.
    prefix : str
        How the names of the split's files begin: ``t10k`` or ``train``.

    Raises
    ------
    DataError
        If a file is missing, or does not have the published checksum.
    """
    directory = fetched_dir(name)
    for file_name, expected in _published(name).sha256.items():
        if not file_name.startswith(prefix):
            continue
        path = directory / file_name
        if not path.is_file():
            raise DataError(
                f"{name} is not on this machine (no {path}): run `axft-hw data fetch {name}`, "
                f"or name a directory that has its files"
            )
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            raise DataError(
                f"{path}: the SHA-256 must be {expected}, not {found}: run `axft-hw data fetch {name}` again"
            )
    return directory


def fetch_dataset(name: str, base_url: str | None = None) -> Path:
    """Download a published data set into the user's data directory, or what is missing of it.

    A file takes its place there only if its uncompressed content has the known SHA-256.

    Parameters
    ----------
    name : str
        A name in `PUBLISHED`.
    base_url : str, optional
        Where to find the four ``.gz`` files instead of the usual place.

    Returns
    -------
    Path
        The directory of the files.

    Raises
    ------
    DataError
        If the name is unknown, pooch is not installed, a download fails, or its content is not the published
        one.
    """
    published = _published(name)
    directory = fetched_dir(name)
    try:
        import pooch
    except ImportError as error:
        raise DataError(f"fetching data needs the package pooch; {how_to_install()} brings it") from error

    for file_name, sha256 in published.sha256.items():
        url = f"{(base_url or published.base_url).rstrip('/')}/{file_name}.gz"
        try:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}",
                fname=file_name,
                path=directory,
                downloader=_download_and_unzip,
            )
        except (OSError, ValueError, EOFError, zlib.error) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{name} could not be fetched from {url}: {reason}") from error
    return directory


def _published(name: str) -> PublishedDataset:
    if name not in PUBLISHED:
        raise DataError(unknown_name("data set", name, PUBLISHED))
    return PUBLISHED[name]


def _download_and_unzip(url: str, output_file: Any, pooch_object: Any) -> None:
    """Be a downloader for pooch that leaves the file uncompressed, so that pooch checks the content."""
    import pooch

    with tempfile.TemporaryDirectory() as directory:
        download = Path(directory, "download")
        pooch.HTTPDownloader(timeout=_TIMEOUT_S)(url, str(download), pooch_object)
        with open_plain_or_gzip(download) as source, Path(output_file).open("wb") as target:
            shutil.copyfileobj(source, target)
