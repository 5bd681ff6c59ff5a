"""Whether a store is that of a run: its recorded options against those of the campaign that it lies under."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

from axft_host.campaign.recorded import options_to_json
from axft_host.campaign.records import Provenance
from axft_host.campaign.sampled import stopping_json
from axft_host.campaign.spec import Run
from axft_host.campaign.store import ResultStore
from axft_spec.errors import StoreError

__all__ = ["check_store_of", "differences"]

#: Options that may be paths: what was relative when it was written down is compared by its name.
_PATHS = ("model", "data", "calibration", "fault_list")


def differences(run: Run, about: Provenance) -> list[str]:
    """Return where a store's options are not those of a run, in words; none of a store that does not keep them."""
    if about.options is None:
        return []
    options = run.options
    wanted = _flat(options_to_json(options, images=options.workload.images or 0))
    found = _flat(about.options)
    wanted |= _flat_rule(None if options.stopping is None else stopping_json(options.stopping))
    found |= _flat_rule(about.stopping)
    if options.faults.design == "neyman":
        wanted |= {"phases of the draw": 1 if run.pilot is None else 2}
        found |= {"phases of the draw": len((about.sampling or {}).get("phases", ()))}
    return [
        f"{name} is {found[name]!r} there, {wanted[name]!r} in the campaign"
        for name in wanted
        if name in found and not _same(name, wanted[name], found[name])
    ]


def _flat(options: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in options.items() if name not in ("workload", "faults")}
    return {**plain, **options["workload"], **options.get("faults", {})}


def _flat_rule(stopping: dict[str, Any] | None) -> dict[str, Any]:
    rule = {f"stopping {name}": value for name, value in (stopping or {}).items()}
    return {**rule, "a stopping rule": stopping is not None}


def _same(name: str, wanted: Any, found: Any) -> bool:
    if wanted == found or name not in _PATHS or wanted is None or found is None:
        return bool(wanted == found)
    return not PurePath(wanted).is_absolute() and PurePath(wanted).name == PurePath(found).name


def check_store_of(run: Run, place: Path) -> None:
    """Check that the store in a directory is that of a run.

    Raises
    ------
    StoreError
        If it cannot be read, or was made by another plan; the message names the run and what differs.
    """
    with ResultStore.open(place) as store:
        differing = differences(run, store.provenance())
        if differing:
            raise StoreError(
                f"run {run.name}: its store {store.path} is of another plan: {'; '.join(differing)}; bring back the "
                f"campaign.json or the directory that belong together"
            )
