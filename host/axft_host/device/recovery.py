"""Bringing a device back that has failed, and deciding whose fault it was. See ``docs/reference/recovery.md``.

A ladder of means is climbed from the mildest one until a golden run is clean. What had failed is then run again: only
a failure that repeats is an outcome, any other was bad luck and its repetition counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any

from axft_spec.errors import BackendError

__all__ = ["ATTEMPTS", "CLIMBS", "RUNGS", "Failure", "Recovery", "RecoveryError", "Rung", "is_repeat", "recover"]

_log = logging.getLogger(__name__)

#: Names of the rungs of every ladder, the mildest first. A board has some of them.
RUNGS = ("soft reset", "reload", "worker", "reboot", "power")

#: How often a run may fail, each time in another way or at another place, before that is its outcome as well.
ATTEMPTS = 4

#: How often a ladder is climbed: bad luck can also strike while a device is brought back.
CLIMBS = 2


class RecoveryError(BackendError):
    """No means at hand has brought a device back."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A means to bring a device back.

    Members
    -------
    name : str
        One of `RUNGS`.
    act : callable
        Does it, and returns when the device can be tried. A `BackendError` or `OSError` means that it did not help.
    """

    name: str
    act: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a device was brought back after a run had failed.

    Members
    -------
    rung : str
        What helped.
    seconds : float
        From the failure until a golden run was clean.
    cause : str
        What the failure said, in one line.
    end : str
        How the run had failed: ``hang``, ``crash``, ``arming`` (what was to be armed was not) or ``golden`` (a golden
        run was not clean).
    attempt : int
        Which run of the fault it was, from 1.
    utc : str
        When it had failed, as ISO 8601 to the second.
    """

    rung: str
    seconds: float
    cause: str
    end: str = "hang"
    attempt: int = 1
    utc: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the members as plain JSON values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Recovery:
        """Build it from what `to_json` returns.

        Raises
        ------
        BackendError
            If a member is missing, unknown or of another type.
        """
        kinds: dict[str, type | tuple[type, ...]] = {"seconds": (int, float), "attempt": int}
        names = [field.name for field in fields(cls)]
        if not isinstance(value, dict) or sorted(value) != sorted(names):
            raise BackendError(f"a recovery must have the keys {', '.join(names)}, not {value!r}")
        for name in names:
            if isinstance(value[name], bool) or not isinstance(value[name], kinds.get(name, str)):
                raise BackendError(f"{name} of a recovery must not be {value[name]!r}")
        return cls(**{**value, "seconds": float(value["seconds"])})


@dataclass(frozen=True, slots=True)
class Failure:
    """How and where a run of a fault has failed.

    Members
    -------
    end : str
        As in `Recovery`.
    place : str
        What is the same if the failure repeats: layer, GEMM, command. Empty if it is not known.
    cause : str
        What it said, in one line.
    """

    end: str
    place: str
    cause: str


def is_repeat(failures: Sequence[Failure]) -> bool:
    """Return whether the last of the failures of a fault is its outcome.

    It is if an earlier one ended in the same way at the same place, or if there are `ATTEMPTS` of them. A device is
    deterministic, so that what a fault does to it happens again; what only happens to be there is elsewhere.
    """
    last = failures[-1]
    before = [(failure.end, failure.place) for failure in failures[:-1]]
    return (last.end, last.place) in before or len(failures) >= ATTEMPTS


def recover(
    rungs: Sequence[Rung], is_clean: Callable[[], bool], cause: str, *, end: str = "hang", attempt: int = 1
) -> Recovery:
    """Climb a ladder until a golden run is clean, `CLIMBS` times at most.

    Parameters
    ----------
    rungs : sequence of Rung
        The mildest first.
    is_clean : callable
        Makes a golden run, and says whether it is clean. A `BackendError` means that it is not.
    cause, end, attempt
        For the `Recovery`.

    Raises
    ------
    RecoveryError
        If the device is not back then; it names every rung, and what came of it.
    """
    utc = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    start = time.perf_counter()
    tried = []
    for rung in [*rungs] * CLIMBS:
        try:
            rung.act()
            if is_clean():
                return Recovery(rung.name, time.perf_counter() - start, cause, end, attempt, utc)
            reason = "the golden run is not clean"
        except (BackendError, OSError) as error:
            reason = first_line(error)
        _log.info("%s (%s); %s did not help: %s", end, cause, rung.name, reason)
        tried.append(f"{rung.name} ({reason})")
    raise RecoveryError(
        f"the device did not come back after a failure ({cause}); tried: {', '.join(tried) or 'nothing'}; look "
        f"after the device, then resume: what is done is kept"
    )


def first_line(error: BaseException) -> str:
    """Return what an error says, without the registers behind it."""
    return (str(error).splitlines() or [type(error).__name__])[0].removesuffix("; registers of the device:")
