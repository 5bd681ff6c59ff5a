"""What an examination of a board has found, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from axft_host.device.examination.finding import Finding, State
from axft_host.doctor.examine import Examination
from axft_host.reports.tables import empty_table

__all__ = ["findings_table", "verdict"]


def findings_table(findings: Sequence[Finding]) -> Table:
    """Return one row for each check; what to do about a failure stands below what was seen."""
    table = empty_table(
        "check", "result", "time", "what was seen", left=("check", "result", "what was seen"), fold=("what was seen",)
    )
    for finding in findings:
        text = f"{finding.text}\n-> {finding.hint}" if finding.hint else finding.text
        table.add_row(finding.name, finding.state.value, f"{finding.seconds:.1f} s", text)
    return table


def verdict(examination: Examination) -> str:
    """Return what it all comes to, in one line."""
    counts = ", ".join(f"{count} {state}" for state, count in examination.counts.items() if count)
    failed = [finding.name for finding in examination.findings if finding.state is State.FAIL]
    end = f"begin with the first: {failed[0]}" if failed else "nothing is wrong with what was looked at"
    return f"{examination.board.name}, {examination.config_name}: {counts}; {end}"
