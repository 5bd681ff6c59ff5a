"""``axft-hw build``."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from axft_host.cli.group import Command
from axft_host.cli.hardware import hardware_of, hardware_options, required_config_option
from axft_host.cli.options import INT, PATH, json_option
from axft_host.cli.output import print_json, print_notes, print_tables

__all__ = ["command"]


@click.command("build", cls=Command, short_help="Build a bitstream, or estimate what one takes.")
@required_config_option
@click.option(
    "--physical", required=True, metavar="RxC", help="The array that is built, rows x columns of PEs, up to 64x64."
)
@click.option(
    "--flow",
    default="open",
    show_default=True,
    metavar="[open|vivado|estimate]",
    help="open: a bitstream for the PYNQ-Z2, by yosys and nextpnr. vivado: the same by Vivado, or a script for it. "
    "estimate: what the design takes, by yosys.",
)
@hardware_options
@click.option(
    "--clock",
    "clock_mhz",
    type=float,
    default=50.0,
    show_default=True,
    metavar="MHZ",
    help="The frequency to aim at. The .hwh file sets the board to it, or to what was reached if that is less.",
)
@click.option("--seed", type=INT, default=1, show_default=True, help="Of placing and routing by nextpnr.")
@click.option("--allow-timing-failure", is_flag=True, help="Exit with 0 even if the design is slower than asked for.")
@click.option("--work", type=PATH, metavar="DIR", help="Keep the files between the steps in this new directory.")
@click.option(
    "--vivado-run",
    type=PATH,
    metavar="DIR",
    help="For the flow vivado: take what its script has left in this directory, where it was run before.",
)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The new directory.")
@json_option
def command(
    config: str,
    physical: str,
    flow: str,
    clock_mhz: float,
    seed: int,
    allow_timing_failure: bool,
    work: Path | None,
    vivado_run: Path | None,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Build an accelerator for the PYNQ-Z2.

    DIR gets the bitstream (axft.bit, and axft.bin for Linux's driver), axft.hwh for pynq, reports, the register map
    and the map of the scan chain, report.json (resources, timing, what was verified and what was not) and
    manifest.json. The same inputs and tools give the same bitstream. A design that is slower than asked for is
    written too, and the exit code is 2. Nothing else is ever written under DIR's name, whatever interrupts a build.

    The open flow needs tools that scripts/install_open_flow.py installs; `axft-hw doctor --tools` lists what is here.
    Without Vivado on the PATH, DIR gets the script for it and the Verilog, the last line says how to go on, and the
    exit code is 0.

    \b
    Try:
      axft-hw build --config 34P --physical 28x28 --flow estimate --out build/estimate
      axft-hw build --config 34P --physical 8x8 --out build/34P-8x8
      axft-hw build --config 34P --physical 8x8 --flow vivado --out build/34P-8x8-vivado
    """  # noqa: D301 -- click knows the character, not the escape
    from axft_spec.errors import BackendError, how_to_install

    name, hardware = hardware_of(config, physical, **options)
    array = hardware.array
    try:
        from axft_hw.build.flows import BuildOptions, build
    except ImportError as error:
        raise BackendError(
            f"build needs {error.name}, which is not installed; on a PC {how_to_install()} brings it"
        ) from None

    start = time.monotonic()
    wanted = BuildOptions(flow=flow, clock_mhz=clock_mhz, seed=seed, work=work, vivado_run=vivado_run)
    with _ended_as_by_ctrl_c():
        built = build(hardware, out, wanted, lambda line: print_notes([line]))
    seconds = time.monotonic() - start
    if as_json:
        print_json(
            {
                "config": name,
                "physical": f"{array.rows}x{array.cols}",
                "directory": str(out),
                "manifest": built.manifest.to_json(),
                "report": built.report,
                "seconds": seconds,
            }
        )
    else:
        from axft_host.reports.tables import facts_table

        print_tables(facts_table(_facts(f"{name}, {array.rows}x{array.cols} PEs", out, built.report, seconds)))
    if built.timing_met is False and not allow_timing_failure:
        timing = built.report["timing"]
        if timing.get("hold_slack_ns", 0) < 0:
            raise BackendError(
                f"the design misses hold by {-timing['hold_slack_ns']} ns, which no slower clock mends; it is in "
                f"{out}, see timing.rpt there; allow it with --allow-timing-failure"
            )
        raise BackendError(
            f"the design reaches {timing['estimated_mhz']} MHz of the {timing['asked_mhz']:g} MHz that --clock asks "
            f"for; it is written to {out}, and its .hwh has a clock that it reaches; ask for less, or allow it with "
            f"--allow-timing-failure"
        )


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """Let a lost terminal and `kill` end the build as Ctrl-C does: with the tools that it has started."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt(f"by {signal.Signals(number).name}")

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    except KeyboardInterrupt:
        # Amaranth would complain, behind the last line, of what it has not finished.
        warnings.simplefilter("ignore")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _facts(what: str, out: Path, report: dict[str, Any], seconds: float) -> list[tuple[str, str]]:
    shown = [("configuration", what), ("part", report["part"])]
    for name, use in report["resources"].items():
        shown.append((name, f"{use['used']:,g} of {use['available']:,} ({use['percent']} %)"))
    if (timing := report["timing"]) is not None:
        verdict = "met" if timing["met"] else "not met"
        shown.append(("timing", f"{timing['estimated_mhz']} MHz, {timing['asked_mhz']:g} asked for: {verdict}"))
    if (read_back := report.get("read_back")) is not None:
        shown.append(("read back", f"{read_back['bits']:,} bits, {read_back['features']:,} features, no differences"))
    if "run_with" in report:
        shown.append(("bitstream", f"not made: run `{' '.join(report['run_with'])}` in the directory"))
    return [*shown, ("directory", str(out)), ("time", f"{seconds:.0f} s")]
