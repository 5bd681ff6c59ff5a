"""Options as a store keeps them: enough to go on with its campaign, from any directory."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from axft_host.campaign.plan import CampaignOptions, FaultOptions
from axft_host.campaign.workload import WorkloadOptions
from axft_spec.errors import StoreError

__all__ = ["options_from_json", "options_to_json"]

#: Of the faults, the list itself is kept; these say the rest.
_KEPT = ("board", "physical", "score")
_PATHS = ("model", "data", "calibration")


def _anywhere(value: str | None) -> str | None:
    """Return what an option names, in a form that does not depend on the current directory; names stay as they are."""
    if value is None:
        return None
    for suffix in ("", ":train", ":test"):
        path = Path(value.removesuffix(suffix))
        # A plain word is a name before it is a path, as where options are read.
        named = path.suffix == "" and len(path.parts) == 1 and not value.startswith(".")
        if value.endswith(suffix) and path.exists() and (not named or path.is_dir()):
            return str(path.resolve()) + suffix
    return value


def options_to_json(options: CampaignOptions, *, images: int) -> dict[str, Any]:
    """Return what a campaign was asked for as plain JSON values; paths are absolute.

    Parameters
    ----------
    options : CampaignOptions
    images : int
        How many ran, whatever the default is one day.
    """
    workload = {field.name: getattr(options.workload, field.name) for field in fields(WorkloadOptions)}
    for name in _PATHS:
        workload[name] = _anywhere(workload[name])
    for name in ("mean", "std"):
        workload[name] = None if workload[name] is None else list(workload[name])
    workload["images"] = images
    kept = {name: getattr(options, name) for name in _KEPT}
    faults = {field.name: getattr(options.faults, field.name) for field in fields(FaultOptions)}
    faults["strata"] = list(options.faults.strata)
    faults["fault_list"] = None if options.faults.fault_list is None else _anywhere(str(options.faults.fault_list))
    bitstream = None if options.bitstream is None else str(Path(options.bitstream).resolve())
    return {
        **kept,
        "bitstream": bitstream,
        "confidence": options.faults.confidence,
        "workload": workload,
        "faults": faults,
    }


def options_from_json(value: dict[str, Any], fault_list: Path, *, workers: int | None) -> CampaignOptions:
    """Rebuild the options of a campaign whose faults are in a file.

    Raises
    ------
    StoreError
        If they are not what this program writes.
    """
    try:
        workload = dict(value["workload"])
        for name in ("mean", "std"):
            workload[name] = None if workload[name] is None else tuple(workload[name])
        return CampaignOptions(
            workload=WorkloadOptions(**workload),
            faults=FaultOptions(fault_list=fault_list, confidence=value["confidence"]),
            workers=workers,
            # Older results have none.
            bitstream=value.get("bitstream"),
            **{name: value[name] for name in _KEPT},
        )
    except (KeyError, TypeError) as error:
        raise StoreError(f"the options beside {fault_list} were not written by this program: {error}") from None
