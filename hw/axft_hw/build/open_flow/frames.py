"""From features to frames: the step between nextpnr's FASM and prjxray's xc7frames2bit.

FASM is a text file with a line for each feature that is on (F4PGA, "FPGA Assembly (FASM)", specification): its name,
with ``[high:low] = value`` behind it where it has more than one bit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from axft_hw.build.open_flow.database import FRAME_WORDS, Bit, Database, feature_key
from axft_spec.errors import BackendError

__all__ = ["Frames", "assemble", "features_of_fasm", "frames_text"]

_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9_.]+)(?:\[(?P<high>\d+)(?::(?P<low>\d+))?\])?"
    r"(?:\s*=\s*(?:(?P<width>\d+)'(?P<base>[bhd]))?(?P<value>[0-9A-Fa-f_]+))?"
)
_BASES = {"b": 2, "h": 16, "d": 10, None: 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """A configuration memory, as far as it is not 0.

    Members
    -------
    ones : frozenset of Bit
    features : frozenset of str
        What was assembled: one for each bit of features of many, ``[5]`` at the end; those without bits as well.
    silent : frozenset of str
        Those of `features` that have no bits.
    """

    ones: frozenset[Bit]
    features: frozenset[str]
    silent: frozenset[str]


def features_of_fasm(lines: Iterable[str]) -> Iterator[str]:
    """Yield the names of the features that FASM switches on, one for each bit that is 1.

    Raises
    ------
    BackendError
        If a line is not FASM.
    """
    for number, line in enumerate(lines, start=1):
        text = re.sub(r"\{.*?\}", "", line.partition("#")[0]).strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise BackendError(f"line {number} of the FASM is none: {text[:80]!r}")
        name, high, low = match["name"], match["high"], match["low"]
        value = 1 if match["value"] is None else int(match["value"], _BASES[match["base"]])
        if high is None:
            if value:
                yield name
            continue
        first = int(high if low is None else low)
        if value >> (int(high) - first + 1):
            raise BackendError(f"line {number} of the FASM: value must fit into [{high}:{first}]: {text[:80]!r}")
        yield from (f"{name}[{first + bit}]" for bit in range(value.bit_length()) if value >> bit & 1)


def assemble(database: Database, lines: Iterable[str]) -> Frames:
    """Return the configuration memory of a design in FASM, with what every design of the part needs.

    Raises
    ------
    BackendError
        If a feature is unknown, or two features want different things of a bit.
    """
    ones: dict[Bit, str] = {}
    zeros: dict[Bit, str] = {}
    silent = set()
    features = frozenset((*features_of_fasm(lines), *features_of_fasm(database.required_features)))
    for feature in sorted(features):
        tile, _, name = feature.partition(".")
        tile_type = database.tile_type(tile)
        segment = database.segments(tile_type).get(feature_key(name))
        if segment is None:
            if name not in database.silent(tile_type):
                raise BackendError(f"feature {feature} is not in the database of {database.part}")
            silent.add(feature)
            continue
        block = database.blocks(tile).get(segment.block)
        if block is None:
            raise BackendError(f"feature {feature} is in a tile whose place in the memory is not known")
        for places, mine, other in ((segment.ones, ones, zeros), (segment.zeros, zeros, ones)):
            for frame, bit in places:
                place = block.bit(frame, bit)
                if place in other:
                    raise BackendError(f"features {feature} and {other[place]} contradict each other in {place}")
                mine.setdefault(place, feature)
    return Frames(ones=frozenset(ones), features=features, silent=frozenset(silent))


def frames_text(ones: Iterable[Bit]) -> str:
    """Return what xc7frames2bit takes: a line for each frame that is not 0, with its address and words."""
    frames: dict[int, list[int]] = {}
    for frame, word, bit in ones:
        frames.setdefault(frame, [0] * FRAME_WORDS)[word] |= 1 << bit
    return _text(frames)


def _text(frames: Mapping[int, list[int]]) -> str:
    return "".join(
        f"0x{address:08X} " + ",".join(f"0x{word:08X}" for word in words) + "\n"
        for address, words in sorted(frames.items())
    )
