"""The directory that a build leaves: new, and there under its name only when it is complete."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from axft_spec.errors import ConfigError, exists_message
from axft_spec.manifest import Manifest

__all__ = ["own_versions", "write_directory"]


def write_directory(out_dir: Path, contents: Mapping[str, bytes], manifest: Manifest) -> None:
    """Write files and their manifest into a new directory: under another name first, which is then changed.

    Raises
    ------
    ConfigError
        If the directory has appeared meanwhile, or cannot be written.
    """
    unfinished = out_dir.parent / f".{out_dir.name}.{secrets.token_hex(4)}"
    try:
        unfinished.mkdir()
        for name, content in contents.items():
            (unfinished / name).write_bytes(content)
        manifest.save(unfinished)
        # Another process may have been faster: a directory with files in it is never replaced.
        unfinished.rename(out_dir)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, OSError) and out_dir.exists():
            raise ConfigError(exists_message(out_dir)) from None
        if isinstance(error, OSError):
            raise ConfigError(f"output {out_dir} cannot be written: {error.strerror}; name another one") from None
        raise


def own_versions() -> dict[str, str]:
    """Return the versions of this package and of the language that the gateware is written in."""
    versions = {}
    for package in ("axft-hw", "amaranth"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "0+uninstalled"
    return versions
