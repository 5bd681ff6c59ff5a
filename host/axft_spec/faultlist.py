"""The fault-list file: JSON lines that every backend reads.

The first line is a header; each further line is one fault, in order::

    {"axft_fault_list": 1, "space": {...} or null, "seed": 0 or null, "faults": 2401}
    {"kind": "stuck_at_1", "sites": [["weight", 3, 5, 6]], "window": null}

A list that was drawn names the space and the seed it was drawn from, and must be that draw, or the beginning of a
longer one. One made by hand has null for both, and no statement about faults outside the list follows from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axft_spec.errors import AxftError, FaultError, check_int, exists_message
from axft_spec.faults import FaultSpace, draw_indices
from axft_spec.flipflops import AnyFault, FlipFlopSpace, any_fault_from_json

__all__ = ["FaultList", "draw_fault_list", "read_fault_list", "write_fault_list"]

_VERSION = 1

_ALLOWED = "allowed: a fault-list file, as `axft-hw faults --out` writes it"


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


@dataclass(frozen=True, slots=True)
class FaultList:
    """Faults in order, and where they come from.

    Parameters
    ----------
    faults : tuple of Fault or FlipFlopFault
    space : FaultSpace, FlipFlopSpace or None
        The space that they are a simple random sample of, without replacement; None if made by hand.
    seed : int or None
        Seed of the draw.
    """

    faults: tuple[AnyFault, ...]
    space: FaultSpace | FlipFlopSpace | None = None
    seed: int | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the faults in order, as the file holds them; the header does not count."""
        return hashlib.sha256("".join(_line(fault.to_json()) for fault in self.faults).encode()).hexdigest()


def draw_fault_list(space: FaultSpace | FlipFlopSpace, count: int, seed: int) -> FaultList:
    """Draw a list from a space; see :func:`axft_spec.faults.draw_indices`."""
    return FaultList(tuple(space[index] for index in draw_indices(space.size, count, seed)), space, seed)


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
        raise FaultError(exists_message(path)) from None
    except OSError as error:
        raise FaultError(f"fault list {path} cannot be written: {error.strerror}") from None


def read_fault_list(path: Path) -> FaultList:
    """Read a list.

    Raises
    ------
    FaultError
        If the file cannot be read, is no fault list, is of another version, was cut short, or names a space and a
        seed whose draw holds other faults; the message names file and line.
    """
    lines = _lines(path)
    number, faults = 1, []
    try:
        header = json.loads(lines[0]) if lines else None
        if not isinstance(header, dict) or header.get("axft_fault_list") != _VERSION:
            raise FaultError(f'the first line must be a header with "axft_fault_list": {_VERSION}')
        space, seed = _origin(header)
        for line in lines[1:]:
            number += 1
            faults.append(any_fault_from_json(json.loads(line)))
    except json.JSONDecodeError:
        raise FaultError(f"fault list {path}, line {number}: damaged, or not JSON; {_ALLOWED}") from None
    except (AxftError, ValueError, TypeError) as error:
        raise FaultError(f"fault list {path}, line {number}: {error}") from None
    if len(faults) != header.get("faults") or not faults:
        raise FaultError(f"fault list {path} must hold {header.get('faults')!r} faults, not {len(faults)}; it was cut")
    if space is not None and seed is not None:
        _check_drawn(path, faults, space, seed)
    return FaultList(tuple(faults), space, seed)


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file, or say in plain words why it has none."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        wrong = "it does not exist"
    except IsADirectoryError:
        wrong = "it is no file"
    except UnicodeDecodeError:
        wrong = "it is not text"
    except OSError as error:
        wrong = str(error.strerror)
    raise FaultError(f"fault list {path} cannot be read: {wrong}; {_ALLOWED}")


def _origin(header: dict[str, Any]) -> tuple[FaultSpace | FlipFlopSpace | None, int | None]:
    """Return the space and the seed that a header names: both, or neither."""
    space, seed = header.get("space"), header.get("seed")
    if space is not None:
        kind = FlipFlopSpace if isinstance(space, dict) and "flip_flops" in space else FaultSpace
        return kind.from_json(space), check_int("seed", seed, 0)
    if seed is not None:
        raise FaultError(f"seed must be null in a list without a space, not {seed!r}")
    return None, None


def _check_drawn(path: Path, faults: Sequence[AnyFault], space: FaultSpace | FlipFlopSpace, seed: int) -> None:
    """Check that a list is what its header says: only then is it a random sample of the space."""
    advice = "to run the list as one made by hand, set space and seed of its header to null"
    if len(faults) > space.size:
        raise FaultError(
            f"fault list {path}, line 1: a draw from a space of {space.size} faults must hold at most as many, "
            f"not {len(faults)}; {advice}"
        )
    redrawn = draw_fault_list(space, len(faults), seed).faults
    for number, (fault, drawn) in enumerate(zip(faults, redrawn, strict=True), start=2):
        if fault != drawn:
            raise FaultError(
                f"fault list {path}, line {number}: the draw that the header names has {drawn} here, not {fault}; "
                f"{advice}"
            )
