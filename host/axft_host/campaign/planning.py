"""Plans of the runs of a specification, whose errors name its file, line and key."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.options import CampaignOptions
from axft_host.campaign.plan import Plan, plan_campaign
from axft_host.campaign.spec import CampaignSpec, Run
from axft_spec.errors import AxftError, BackendError, DataError, FaultError, ModelError, outside_commands

__all__ = ["options_to_plan", "plan_all", "plan_run"]

# What a message is about, by its words; the first that fits.
_ABOUT: tuple[tuple[str, str, str], ...] = (
    (r"^images must", "workload", "images"),
    (r"^fault list|^a fault list must|^the fault list", "faults", "list"),
    (r"^number of faults|^faults must be between", "sampling", "faults"),
    (r"^faults of the pilot", "sampling", "pilot"),
    (r"\bstrata\b", "sampling", "strata"),
    (r"flip-flop", "faults", "sites"),
    (r"^bits of a fault", "faults", "bits"),
    (r"\bcalibration\b", "workload", "calibration"),
)
_ABOUT_TYPES: tuple[tuple[type[AxftError], str, str | None], ...] = (
    (ModelError, "workload", "model"),
    (DataError, "workload", "data"),
    (FaultError, "faults", None),
    (BackendError, "backends", None),
)

#: Options whose keys have other names.
_KEYS = {"site": "sites", "config": "configs", "fault-list": "list"}


def options_to_plan(run: Run) -> CampaignOptions:
    """Return the options of a run; where sizes wait for a pilot, proportional ones stand for them."""
    if run.pilot is None:
        return run.options
    return replace(run.options, faults=replace(run.options.faults, design="proportional", pilot=None))


def plan_run(spec: CampaignSpec, run: Run, *, pilot_shares: NDArray[np.float64] | None = None) -> Plan:
    """Plan a run of a specification.

    Parameters
    ----------
    spec : CampaignSpec
    run : Run
        Of it.
    pilot_shares : ndarray of float64, shape (pilot faults, classes), or None
        What came of its pilot; where there has been none, proportional sizes stand for those that follow from it.

    Raises
    ------
    AxftError
        As `plan_campaign`; the message names the file of the specification, the key where it is known, and the run.
    """
    options = options_to_plan(run) if pilot_shares is None else run.options
    try:
        return plan_campaign(options, pilot_shares=pilot_shares)
    except AxftError as error:
        raise _located(spec, run, error) from error


def plan_all(spec: CampaignSpec, runs: list[Run]) -> None:
    """Plan every run, and keep nothing: an error shows before anything has run.

    Raises
    ------
    AxftError
        As `plan_run`.
    """
    for run in runs:
        plan_run(spec, run)


def _located(spec: CampaignSpec, run: Run, error: AxftError) -> AxftError:
    message = f"run {run.name}: {outside_commands(str(error), _in_keys)}"
    if spec.source is None:
        return type(error)(message)
    named, key = _about(run, error)
    table = spec.source.table(named)
    if named == "sampling" and run.sample and run.sample in table:
        table = table.table(run.sample)
    if named == "sampling" and key == "faults" and "margin" in table:
        key = "margin"
    return type(error)(str(table.error(key if key is not None and key in table else None, message)))


def _about(run: Run, error: AxftError) -> tuple[str, str | None]:
    """Return the table, and if possible the key, that an error is about."""
    for pattern, table, key in _ABOUT:
        if re.search(pattern, str(error)):
            return table, key
    if isinstance(error, FaultError) and run.options.faults.fault_list is not None:
        return "faults", "list"
    return next(((table, name) for kind, table, name in _ABOUT_TYPES if isinstance(error, kind)), ("workload", None))


def _in_keys(text: str) -> str:
    """Return a message about options of the command line as one about keys of a specification."""
    text = re.sub(r"--board (\w+)", r"[backends.\1]", text)
    return re.sub(r"--([a-z][a-z-]*)", lambda match: _KEYS.get(match[1], match[1]).replace("-", "_"), text)
