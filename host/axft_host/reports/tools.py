"""What this machine has for building and testing, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from axft_host.doctor.tools import Tool, capabilities
from axft_host.reports.tables import empty_table

__all__ = ["capabilities_table", "tools_table"]


def tools_table(tools: Sequence[Tool]) -> Table:
    """Return one row for each tool; below what is missing stands how to get it."""
    table = empty_table("tool", "version", "where", left=("tool", "version", "where"), fold=("where",))
    for tool in tools:
        where = tool.where if tool.found else f"looked in {tool.where}\n-> {tool.how_to_get}"
        table.add_row(tool.name, (tool.version or "found") if tool.found else "MISSING", where)
    return table


def capabilities_table(tools: Sequence[Tool]) -> Table:
    """Return one row for everything that can be done, or lacks something."""
    table = empty_table("for", "", left=("for", ""), fold=("",))
    for what, lacking in capabilities(list(tools)).items():
        table.add_row(what, f"lacks {', '.join(lacking)}" if lacking else "ready")
    return table
