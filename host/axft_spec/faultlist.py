"""The fault-list file: JSON lines that every backend reads.

The first line is a header; each further line is one fault, in order::

    {"axft_fault_list": 1, "space": {...} or null, "seed": 0 or null, "faults": 2401}
    {"kind": "stuck_at_1", "sites": [["weight", 3, 5, 6]], "window": null}

A list that was drawn names the space and the seed it was drawn from; one made by hand has null for both, and no
statement about faults outside the list follows from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from axft_spec.errors import AxftError, FaultError
from axft_spec.faults import Fault, FaultSpace, draw_faults

__all__ = ["FaultList", "draw_fault_list", "read_fault_list", "write_fault_list"]

_VERSION = 1


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


@dataclass(frozen=True, slots=True)
class FaultList:
    """Faults in order, and where they come from.

    Parameters
    ----------
    faults : tuple of Fault
    space : FaultSpace or None
        The space that they are a simple random sample of, without replacement; None if made by hand.
    seed : int or None
        Seed of the draw.
    """

    faults: tuple[Fault, ...]
    space: FaultSpace | None = None
    seed: int | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the faults in order, as the file holds them; the header does not count."""
        return hashlib.sha256("".join(_line(fault.to_json()) for fault in self.faults).encode()).hexdigest()


def draw_fault_list(space: FaultSpace, count: int, seed: int) -> FaultList:
    """Draw a list from a space; see :func:`axft_spec.faults.draw_faults`."""
    return FaultList(draw_faults(space, count, seed), space, seed)


def write_fault_list(path: Path, faults: FaultList) -> None:
    """Write a list to a new file.

    Raises
    ------
    FaultError
        If the file exists.
    """
    header = {
        "axft_fault_list": _VERSION,
        "space": None if faults.space is None else faults.space.to_json(),
        "seed": faults.seed,
        "faults": len(faults.faults),
    }
    try:
        with path.open("x", encoding="ascii", newline="\n") as file:
            file.write(_line(header))
            file.writelines(_line(fault.to_json()) for fault in faults.faults)
    except FileExistsError:
        raise FaultError(f"fault list {path} exists already; name a new file") from None
    except OSError as error:
        raise FaultError(f"fault list {path} cannot be written: {error.strerror}") from None


def read_fault_list(path: Path) -> FaultList:
    """Read a list.

    Raises
    ------
    FaultError
        If the file cannot be read, is no fault list, is of another version, or was cut short; the message names
        file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FaultError(f"fault list {path} cannot be read: {error}") from None
    number, faults = 1, []
    try:
        header = json.loads(lines[0]) if lines else None
        if not isinstance(header, dict) or header.get("axft_fault_list") != _VERSION:
            raise FaultError(f'the first line must be a header with "axft_fault_list": {_VERSION}')
        space = None if header.get("space") is None else FaultSpace.from_json(header["space"])
        for line in lines[1:]:
            number += 1
            faults.append(Fault.from_json(json.loads(line)))
    except (AxftError, ValueError, TypeError) as error:
        raise FaultError(f"fault list {path}, line {number}: {error}") from None
    if len(faults) != header.get("faults") or not faults:
        raise FaultError(f"fault list {path} must hold {header.get('faults')!r} faults, not {len(faults)}; it was cut")
    _check_drawn(path, faults, space)
    return FaultList(tuple(faults), space, header.get("seed"))


def _check_drawn(path: Path, faults: Iterable[Fault], space: FaultSpace | None) -> None:
    """Check that a list that claims a space holds different faults of that space."""
    if space is None:
        return
    seen: set[Fault] = set()
    for number, fault in enumerate(faults, start=2):
        single = len(fault.sites) == 1 and fault.sites[0].site in space.sites and fault.kind in space.kinds
        if fault in seen or not single or (fault.window is None) != (space.schedule is None):
            raise FaultError(f"fault list {path}, line {number}: {fault} is not a new fault of the space it names")
        seen.add(fault)
