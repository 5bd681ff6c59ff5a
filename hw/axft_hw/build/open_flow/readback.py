"""From a bitstream back to features: what is in the file, against what should be.

The bits come from prjxray's own `bitread`; which features they are is found here from the database, tile by tile, in
the other direction than `assemble` goes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from axft_hw.build.open_flow.database import Bit, Database, Segment, feature_key
from axft_hw.build.open_flow.frames import Frames

__all__ = ["Comparison", "bits_of_bitread", "compare", "decode"]

_LINE = re.compile(r"bit_([0-9a-f]{8})_(\d{3})_(\d{2})")

# The error-correcting code of a frame: the low bits of its middle word (Xilinx UG470, "Configuration Memory Frames").
_CODE_WORD, _CODE_BITS = 50, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A bitstream against the features that it was made from.

    Members
    -------
    bits : int
        Bits that are 1 in the bitstream, without the frames' error-correcting codes.
    features : int
        Features with bits that were compared.
    silent : int
        Features that have no bits.
    by_kind : dict of str to int
        The compared features by type of tile.
    missing_bits, extra_bits : tuple of Bit
        Differences of the bits.
    missing, extra : tuple of str
        Differences of the features: not found, and found but not asked for.
    unexplained : tuple of Bit
        Bits that belong to no feature that was found.
    """

    bits: int
    features: int
    silent: int
    by_kind: dict[str, int]
    missing_bits: tuple[Bit, ...]
    extra_bits: tuple[Bit, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    unexplained: tuple[Bit, ...]

    @property
    def differences(self) -> int:
        """How many there are in all."""
        kinds = (self.missing_bits, self.extra_bits, self.missing, self.extra, self.unexplained)
        return sum(map(len, kinds))


def bits_of_bitread(text: str) -> frozenset[Bit]:
    """Return the bits that ``bitread -y`` lists, without the frames' error-correcting codes."""
    found = (Bit(int(frame, 16), int(word), int(bit)) for frame, word, bit in _LINE.findall(text))
    return frozenset(bit for bit in found if bit.word != _CODE_WORD or bit.bit >= _CODE_BITS)


def decode(database: Database, ones: Iterable[Bit]) -> tuple[frozenset[str], frozenset[Bit]]:
    """Return the features that some bits are, and the bits that belong to none.

    A feature is found if all its bits that should be 1 are, and none that should be 0 is; of two features found in
    one tile of which one's ones are among the other's, only the larger is.
    """
    ones = frozenset(ones)
    left = set(ones)
    by_frame: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for frame, word, bit in ones:
        by_frame[frame].add((word, bit))
    found: set[str] = set()
    starts: dict[str, dict[tuple[str, int, int], list[tuple[str, Segment]]]] = {}
    for tile in database.tiles:
        here: dict[tuple[str, int, int], Bit] = {}
        for kind, block in database.blocks(tile).items():
            for frame in range(block.frames):
                for word, bit in by_frame.get(block.base + frame, ()):
                    if block.offset <= word < block.offset + block.words:
                        place = (kind, frame, (word - block.offset) * 32 + bit)
                        here[place] = Bit(block.base + frame, word, bit)
        if not here:
            continue
        tile_type = database.tile_type(tile)
        if tile_type not in starts:
            starts[tile_type] = _by_first_one(database, tile_type)
        matching = [
            (name, segment)
            for place in here
            for name, segment in starts[tile_type].get(place, ())
            if all((segment.block, *one) in here for one in segment.ones)
            and not any((segment.block, *zero) in here for zero in segment.zeros)
        ]
        for name, segment in _largest(matching):
            found.add(f"{tile}.{name}")
            left.difference_update(here[segment.block, frame, bit] for frame, bit in segment.ones)
    return frozenset(found), frozenset(left)


def _by_first_one(database: Database, tile_type: str) -> dict[tuple[str, int, int], list[tuple[str, Segment]]]:
    """Return the features of a type of tiles by their first bit that is 1."""
    index: dict[tuple[str, int, int], list[tuple[str, Segment]]] = defaultdict(list)
    for (name, number), segment in database.segments(tile_type).items():
        if segment.ones:
            full = name if number is None else f"{name}[{number}]"
            frame, bit = segment.ones[0]
            index[segment.block, frame, bit].append((full, segment))
    return index


def _largest(matching: list[tuple[str, Segment]]) -> list[tuple[str, Segment]]:
    """Return the features whose ones are not all among those of another one."""
    users: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    sets = [frozenset((segment.block, *one) for one in segment.ones) for _, segment in matching]
    for number, places in enumerate(sets):
        for place in places:
            users[place].append(number)
    return [
        pair
        for number, pair in enumerate(matching)
        if not any(sets[number] < sets[other] for other in users[next(iter(sets[number]))])
    ]


def compare(database: Database, frames: Frames, ones: frozenset[Bit]) -> Comparison:
    """Compare what a bitstream holds with what it was made from.

    Parameters
    ----------
    database : Database
    frames : Frames
        What it should hold.
    ones : frozenset of Bit
        What it holds.
    """
    found, left = decode(database, ones)
    # Features that only clear bits leave nothing to find.
    wanted = {
        feature: segment
        for feature in frames.features - frames.silent
        if (segment := _segment(database, feature)) is not None and segment.ones
    }
    by_kind: dict[str, int] = defaultdict(int)
    for feature in wanted:
        by_kind[database.tile_type(feature.partition(".")[0])] += 1
    code = {bit for bit in frames.ones if bit.word == _CODE_WORD and bit.bit < _CODE_BITS}
    return Comparison(
        bits=len(ones),
        features=len(wanted),
        silent=len(frames.silent),
        by_kind=dict(sorted(by_kind.items())),
        missing_bits=tuple(sorted(frames.ones - ones - code)),
        extra_bits=tuple(sorted(ones - frames.ones)),
        missing=tuple(sorted(wanted.keys() - found)),
        extra=tuple(sorted(found - wanted.keys())),
        unexplained=tuple(sorted(left)),
    )


def _segment(database: Database, feature: str) -> Segment | None:
    tile, _, name = feature.partition(".")
    return database.segments(database.tile_type(tile)).get(feature_key(name))
