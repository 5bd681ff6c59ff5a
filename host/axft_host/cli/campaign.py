"""``axft-hw campaign``: the group."""

from __future__ import annotations

import click

from axft_host.cli.group import LazyGroup

__all__ = ["command"]

_HERE = ("check", "run", "resume", "status", "list")
_MOUNTED = ("export", "diff", "report")


@click.group(
    "campaign",
    cls=LazyGroup,
    lazy={
        **{name: f"axft_host.cli.campaign_{'run' if name in _HERE[:3] else 'show'}:{name}_command" for name in _HERE},
        "compare": "axft_host.cli.campaign_compare:command",
        **{name: f"axft_host.cli.{name}:command" for name in _MOUNTED},
    },
    short_help="Plan, run and resume campaigns.",
)
def command() -> None:
    """Run campaigns from a specification (TOML), resume them after any interruption, and look at their results.

    `axft-hw campaign check SPEC` says what a specification amounts to before anything runs. A campaign, and any result
    of `axft-hw inject`, can be resumed after Ctrl-C, a kill or a power cut: nothing runs twice. All have --json.
    """
