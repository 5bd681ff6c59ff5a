"""What the reports of all flows have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from axft_hw.build.device import PART, RESOURCES
from axft_hw.build.output import own_versions
from axft_hw.build.yosys import run_yosys, yosys_version

__all__ = ["resources_report", "tool_versions"]


def resources_report(flow: str, used: Mapping[str, float], **more: Any) -> dict[str, Any]:
    """Return the beginning of a report: the flow, the part and its resources, and a timing that is not known.

    Parameters
    ----------
    flow : str
    used : mapping of str to float
        By the names of `axft_hw.build.device.RESOURCES`.
    **more : object
        Further entries.
    """
    resources = {
        name: {"used": used[name], "available": available, "percent": round(100 * used[name] / available, 1)}
        for name, available in RESOURCES.items()
    }
    return {"flow": flow, "part": PART, "resources": resources, "timing": None, **more}


def tool_versions(creator: str | None = None) -> dict[str, str]:
    """Return the versions of what every flow uses.

    Parameters
    ----------
    creator : str or None
        What yosys says of itself in a netlist; None to ask it.

    Raises
    ------
    BackendError
        If there is no yosys, or it does not run.
    """
    text = creator if creator is not None else run_yosys("design -reset", {})[0]
    return {**own_versions(), "yosys": yosys_version(text)}
