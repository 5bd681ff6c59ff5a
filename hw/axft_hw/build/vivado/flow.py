"""The flow: sources, Vivado if there is one, and what it has left."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axft_hw.build.device import PART
from axft_hw.build.fit import Scaling, largest_array
from axft_hw.build.report import resources_report, tool_versions
from axft_hw.build.vivado.results import LOG_NAME, VivadoResults, read_results
from axft_hw.build.vivado.run import COMMAND, find_vivado, run_vivado
from axft_hw.build.vivado.sources import vivado_sources
from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig

__all__ = ["build_by_vivado"]

_FLOW = "vivado"
_NOT_VERIFIED = (
    "The script was written from the manuals of Vivado 2022.1 and tried on stand-ins for its commands; no Vivado had "
    "run it when this version was released.",
    "The bitstream was not read back, and has not been compared with the netlist that is simulated.",
)


def build_by_vivado(
    hardware: HardwareConfig,
    out_dir: Path,
    *,
    clock_mhz: float,
    work: Path | None,
    vivado_run: Path | None,
    progress: Callable[[str], None],
) -> tuple[dict[str, bytes], dict[str, Any], dict[str, str]]:
    """Return the files, the report, and the versions of the tools.

    Without Vivado on the PATH they are the sources, and a report that says how to run the script.

    Parameters
    ----------
    hardware : HardwareConfig
    out_dir : Path
        Where they will be; a run that fails leaves its log beside it.
    clock_mhz : float
        The frequency to aim at, in MHz.
    work : Path, optional
        A new directory for what Vivado leaves, which is kept.
    vivado_run : Path, optional
        Take the results of a run in this directory, and run nothing.
    progress : callable
        Takes a line for each step.

    Raises
    ------
    ConfigError
        If the results are of another design.
    BackendError
        If a tool fails, or the design does not fit.
    """
    start = time.monotonic()
    if vivado_run is not None:
        # First: what cannot be taken needs no sources.
        results = read_results(vivado_run, hardware, clock_mhz)
    progress("Verilog ...")
    sources = vivado_sources(hardware, clock_mhz)
    progress(f"Verilog: {time.monotonic() - start:.0f} s")
    program = find_vivado()
    if vivado_run is None and program is None:
        progress(
            f"no bitstream yet: {COMMAND[0]} is not on the PATH; run `{' '.join(COMMAND)}` in {out_dir} where there is "
            f"one, then let this command take what it leaves: --vivado-run {out_dir} and another --out"
        )
        return sources, _script_report(), tool_versions()
    if vivado_run is None:
        assert program is not None
        with _directory(work) as place:
            for name, content in sources.items():
                (place / name).write_bytes(content)
            results = _run(program, place, hardware, clock_mhz, None if work else out_dir, progress)
    report = _report(results, clock_mhz)
    return {**sources, **results.files}, report, {**tool_versions(), "vivado": results.version}


@contextmanager
def _directory(work: Path | None) -> Iterator[Path]:
    """Yield a new directory: the given one, which is kept, or a temporary one."""
    if work is not None:
        work.mkdir()
        yield work.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="axft-build-") as temporary:
        yield Path(temporary)


def _run(
    program: Path,
    place: Path,
    hardware: HardwareConfig,
    clock_mhz: float,
    log_beside: Path | None,
    progress: Callable[[str], None],
) -> VivadoResults:
    start = time.monotonic()
    try:
        run_vivado(program, place, progress)
    except BackendError as error:
        log = place / LOG_NAME if log_beside is None else _keep_log(place, log_beside)
        hint = "" if log is None else f"; its log is {log}"
        # Vivado says itself by how much, in the message of this rule.
        if "UTLZ" in str(error):
            best = largest_array(Scaling.of(hardware), hardware.array.rows, hardware.array.cols)
            advice = "no smaller array would" if best is None else f"about {best[0]}x{best[1]} would (an estimate)"
            raise BackendError(f"the design does not fit: {error}; {advice}{hint}") from None
        raise BackendError(f"{error}{hint}") from None
    progress(f"vivado: {time.monotonic() - start:.0f} s")
    return read_results(place, hardware, clock_mhz)


def _keep_log(place: Path, out_dir: Path) -> Path | None:
    """Keep the log of a run that has failed, beside where its result would have been; return where."""
    kept = out_dir.with_name(f"{out_dir.name}.{LOG_NAME}")
    try:
        shutil.copyfile(place / LOG_NAME, kept)
    except OSError:
        return None
    return kept


def _script_report() -> dict[str, Any]:
    """Return the report of a script that has not been run."""
    return {
        "flow": _FLOW,
        "part": PART,
        "resources": {},
        "timing": None,
        "run_with": list(COMMAND),
        "not_verified": ["Nothing was built: the script has not been run.", *_NOT_VERIFIED],
    }


def _report(results: VivadoResults, clock_mhz: float) -> dict[str, Any]:
    return resources_report(_FLOW, results.used) | {
        "timing": {
            "asked_mhz": clock_mhz,
            "estimated_mhz": round(results.fmax_mhz, 2),
            "met": results.met,
            "clock_divisors": list(results.divisors),
            "setup_slack_ns": results.setup_slack_ns,
            "hold_slack_ns": results.hold_slack_ns,
        },
        "not_verified": list(_NOT_VERIFIED),
    }
