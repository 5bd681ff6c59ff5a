"""What Project X-Ray knows of a device: which bits of the configuration memory belong to which feature.

The files are those of prjxray-db, as Debian's package prjxray-database has them; its documentation calls the parts of
the device tiles, what can be switched on in them features, and the memory's smallest addressable parts frames. A frame
has 101 words of 32 bits (Xilinx UG470, "Configuration Memory Frames").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from axft_spec.errors import BackendError

__all__ = ["FRAME_WORDS", "Bit", "Block", "Database", "Segment", "feature_key"]

#: Words in a frame.
FRAME_WORDS = 101

# Contents of block RAMs are in a file of their own, and in frames of their own.
_CONTENT = "BLOCK_RAM"
_ROUTING = "CLB_IO_CLK"

_INDEX = re.compile(r"\[(\d+)\]$")


class Bit(NamedTuple):
    """A bit of the configuration memory: address of its frame, word in the frame, bit in the word."""

    frame: int
    word: int
    bit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The part of the memory that is a tile's."""

    base: int
    offset: int
    frames: int
    words: int

    def bit(self, frame: int, bit: int) -> Bit:
        """Return the bit at a frame and a bit counted from the block's first ones."""
        return Bit(self.base + frame, self.offset + bit // 32, bit % 32)


@dataclass(frozen=True, slots=True)
class Segment:
    """The bits of a feature, counted from the first ones of a tile's block: those that are 1, and those that are 0."""

    block: str
    ones: tuple[tuple[int, int], ...]
    zeros: tuple[tuple[int, int], ...]


def feature_key(name: str) -> tuple[str, int | None]:
    """Return a feature's name without its index, and the index: ``INIT[05]`` and ``INIT[5]`` are the same."""
    match = _INDEX.search(name)
    return (name[: match.start()], int(match[1])) if match else (name, None)


class Database:
    """The database of one part.

    Parameters
    ----------
    family_dir : Path
        Directory of the family: the one with ``segbits_*.db``.
    part : str
        Such as ``xc7z020clg400-1``.
    fabric : str
        The die that the part has, such as ``xc7z020``.

    Attributes
    ----------
    family_dir, part_dir : Path
    part, fabric : str

    Raises
    ------
    BackendError
        If a file is missing or is not what it should be.
    """

    def __init__(self, family_dir: Path, part: str, fabric: str) -> None:
        self.family_dir = family_dir
        self.part = part
        self.fabric = fabric
        self.part_dir = family_dir / part
        self._segments: dict[str, dict[tuple[str, int | None], Segment]] = {}
        self._silent: dict[str, frozenset[str]] = {}

    @property
    def part_file(self) -> Path:
        """The description of the part that prjxray's tools take."""
        return self.part_dir / "part.yaml"

    @cached_property
    def _grid(self) -> dict[str, Any]:
        value = json.loads(self._text(self.family_dir / self.fabric / "tilegrid.json"))
        if not isinstance(value, dict):
            raise BackendError(f"{self.family_dir}: tilegrid.json of {self.fabric} is no table of tiles")
        return value

    @cached_property
    def required_features(self) -> tuple[str, ...]:
        """Lines that every design of this part needs."""
        path = self.part_dir / "required_features.fasm"
        return tuple(self._text(path).splitlines()) if path.exists() else ()

    @property
    def tiles(self) -> tuple[str, ...]:
        """Names of all tiles."""
        return tuple(self._grid)

    def tile_type(self, tile: str) -> str:
        """Return the type of a tile.

        Raises
        ------
        BackendError
            If there is no such tile.
        """
        try:
            return str(self._grid[tile]["type"])
        except KeyError:
            raise BackendError(f"{self.fabric} has no tile {tile!r}; is the netlist one for this part?") from None

    def blocks(self, tile: str) -> dict[str, Block]:
        """Return a tile's parts of the memory, by kind; none for a tile that borrows those of its neighbour's type."""
        return {
            kind: Block(
                base=int(bits["baseaddr"], 16), offset=bits["offset"], frames=bits["frames"], words=bits["words"]
            )
            for kind, bits in self._grid[tile]["bits"].items()
            if "alias" not in bits
        }

    def segments(self, tile_type: str) -> dict[tuple[str, int | None], Segment]:
        """Return the bits of all features of a type of tiles, by `feature_key` of the name behind the tile's."""
        if tile_type not in self._segments:
            found: dict[tuple[str, int | None], Segment] = {}
            name = f"segbits_{tile_type.lower()}"
            for path, block in ((f"{name}.db", _ROUTING), (f"{name}.block_ram.db", _CONTENT)):
                file = self.family_dir / path
                for line in self._text(file).splitlines() if file.exists() else ():
                    feature, *bits = line.split()
                    found[feature_key(feature.partition(".")[2])] = _segment(block, bits)
            self._segments[tile_type] = found
        return self._segments[tile_type]

    def silent(self, tile_type: str) -> frozenset[str]:
        """Return the features of a type of tiles that have no bits: connections that are always made."""
        if tile_type not in self._silent:
            file = self.family_dir / f"ppips_{tile_type.lower()}.db"
            lines = self._text(file).splitlines() if file.exists() else []
            self._silent[tile_type] = frozenset(line.split()[0].partition(".")[2] for line in lines if line.strip())
        return self._silent[tile_type]

    def _text(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise BackendError(
                f"{path} cannot be read: {error.strerror}; install prjxray-database, see scripts/install_open_flow.py"
            ) from None


def _segment(block: str, bits: list[str]) -> Segment:
    places: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for text in bits:
        frame, bit = text.lstrip("!").split("_")
        places[not text.startswith("!")].append((int(frame), int(bit)))
    return Segment(block, tuple(places[True]), tuple(places[False]))
