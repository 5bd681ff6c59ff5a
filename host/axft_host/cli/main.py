"""The program ``axft-hw``."""

from __future__ import annotations

import logging
import sys

import click

from axft_host.campaign.blas import use_one_blas_thread
from axft_host.cli.group import LazyGroup

__all__ = ["cli", "main"]

_COMMANDS = (
    "configs",
    "multipliers",
    "data",
    "compile",
    "infer",
    "faults",
    "inject",
    "campaign",
    "diff",
    "export",
    "report",
    "generate",
    "build",
    "doctor",
    "board-report",
    "serve",
)

_EPILOG = """\b
Exit codes:
  0    done; diff: the results are equal
  1    diff: the results differ; doctor: a check has failed; others: an unexpected error, or no room for the output
  2    bad input: the last line says what was given and what is allowed
  130  interrupted by Ctrl-C; what was done is kept
"""


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from axft_host.campaign.versions import own_version

        click.echo(f"axft-hw {own_version()}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    lazy={name: f"axft_host.cli.{name.replace('-', '_')}:command" for name in _COMMANDS},
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Fault injection into systolic arrays with exact and approximate multipliers.

    Start with `axft-hw inject --config 34P`: LeNet-5 on MNIST on a 28 x 28 array with stuck-at faults, classified
    as masked, tolerable or critical. Every command has --json, which prints one JSON document on stdout.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s: %(message)s")


def main() -> None:
    """Run the program with the arguments of the process."""
    use_one_blas_thread()
    cli(prog_name="axft-hw")
