"""Fault injection into systolic arrays, for notebooks: the names of `axft_host.api`, loaded when they are used.

A package of its own, because a notebook says ``axft.inject`` more often than it says anything else, and the names
explain each other that way. Lazy, so that a first cell which only asks for the version is quick, and can tell what is
missing where something is.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from axft_spec.errors import AxftError

if TYPE_CHECKING:
    from axft_host.api import (
        Campaign,
        Config,
        FollowedFault,
        MultiplierErrors,
        Report,
        Result,
        TileOperands,
        Trace,
        configs,
        doctor,
        figures,
        follow,
        infer,
        inject,
        load_images,
        load_network,
        multiplier,
        multipliers,
        open_backend,
        open_result,
        report,
        resume,
        schedule,
        tile_operands,
        trace,
    )

    __version__: str

__all__ = [
    "AxftError",
    "Campaign",
    "Config",
    "FollowedFault",
    "MultiplierErrors",
    "Report",
    "Result",
    "TileOperands",
    "Trace",
    "__version__",
    "configs",
    "doctor",
    "figures",
    "follow",
    "infer",
    "inject",
    "load_images",
    "load_network",
    "multiplier",
    "multipliers",
    "open_backend",
    "open_result",
    "report",
    "resume",
    "schedule",
    "tile_operands",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from axft_host.campaign.versions import own_version

        return own_version()
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("axft_host.api"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
