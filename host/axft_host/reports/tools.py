"""What this machine has for building and testing, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from axft_host.doctor.tools import Tool, capabilities
from axft_host.reports.tables import empty_table

__all__ = ["capabilities_table", "tools_table"]


def tools_table(tools: Sequence[Tool]) -> Table:
    """Return one row for each tool; below what is missing stands how to get it, once for those that come together."""
    table = empty_table("tool", "version", "where", left=("tool", "version", "where"), fold=("where",))
    told: set[tuple[str, str]] = set()
    for tool in tools:
        if tool.found:
            table.add_row(tool.name, tool.version or "found", tool.where)
            continue
        reason = tool.where, tool.how_to_get
        looked = tool.where if tool.wrong else f"looked in {tool.where}"
        table.add_row(tool.name, "MISSING", "the same" if reason in told else f"{looked}\n-> {tool.how_to_get}")
        told.add(reason)
    return table


def capabilities_table(tools: Sequence[Tool]) -> Table:
    """Return one row for everything that can be done, or lacks something."""
    table = empty_table("for", "", left=("for", ""), fold=("",))
    for what, lacking in capabilities(list(tools)).items():
        table.add_row(what, f"lacks {', '.join(lacking)}" if lacking else "ready")
    return table
