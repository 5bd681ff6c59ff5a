"""Versions of what results are computed with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["own_version", "tool_versions"]


def own_version() -> str:
    """Return the version of axft-hw."""
    try:
        return version("axft-hw")
    except PackageNotFoundError:
        # Run from a source tree that is on the path, but not installed.
        return "0+uninstalled"


def tool_versions(engine: str | None = None) -> dict[str, str]:
    """Return the versions of what outcomes are computed with.

    Parameters
    ----------
    engine : str or None
        The emulator's engine, which is named, too.
    """
    import numpy as np

    versions = {"axft-hw": own_version(), "numpy": np.__version__, "python": platform.python_version()}
    if engine is not None:
        versions["engine"] = engine if engine == "numpy" else f"{engine} (numba {version('numba')})"
    return versions
