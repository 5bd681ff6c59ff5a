"""Fault sites, fault kinds, faults, fault spaces, and how a fault list is drawn.

A :class:`Fault` is an armed set: one or more bits of one kind, permanent or inside one window of cycles. Every
backend reads the same fault-list file (JSON lines) and must produce the same outcomes from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from axft_spec.bitsets import check_pattern, count_sets, nth_set
from axft_spec.config import ArrayConfig
from axft_spec.errors import FaultError, check_int, unknown_name
from axft_spec.numeric import wrap
from axft_spec.schedule import Schedule, Window

__all__ = [
    "Fault",
    "FaultKind",
    "FaultSite",
    "FaultSpace",
    "Site",
    "check_fault",
    "draw_faults",
    "force",
    "ignored_bits",
    "parse_fault",
    "parse_kind",
    "site_bits",
]


class Site(str, Enum):
    """Where in a processing element (PE) a fault acts.

    Members
    -------
    WEIGHT
        Output of the north register: seen by this PE's multiplier and by the PE to the south.
    ACTIVATION
        Output of the west register: seen by this PE's multiplier and by the PE to the east.
    WEIGHT_OPERAND, ACTIVATION_OPERAND
        This multiplier's copy of the operand only.
    PRODUCT
        The product, before the addition.
    PSUM
        The value written back to the accumulator.
    """

    WEIGHT = "weight"
    ACTIVATION = "activation"
    WEIGHT_OPERAND = "weight_operand"
    ACTIVATION_OPERAND = "activation_operand"
    PRODUCT = "product"
    PSUM = "psum"


class FaultKind(str, Enum):
    """What happens to a bit. The short names are those of the text form of a fault."""

    FLIP = "flip"
    STUCK_AT_0 = "stuck_at_0"
    STUCK_AT_1 = "stuck_at_1"

    @property
    def short(self) -> str:
        """``flip``, ``sa0`` or ``sa1``."""
        return _SHORT[self]


_SHORT = {FaultKind.FLIP: "flip", FaultKind.STUCK_AT_0: "sa0", FaultKind.STUCK_AT_1: "sa1"}
_KINDS = {name: kind for kind, short in _SHORT.items() for name in (short, kind.value)}

_WEIGHT_SITES = (Site.WEIGHT, Site.WEIGHT_OPERAND)
_ACTIVATION_SITES = (Site.ACTIVATION, Site.ACTIVATION_OPERAND)


def value_bits(config: ArrayConfig, site: Site) -> int:
    """Return the width in bits of the value at a site."""
    if site is Site.PRODUCT:
        return config.product_bits
    return config.acc_bits if site is Site.PSUM else config.width


def site_bits(config: ArrayConfig, site: Site) -> range:
    """Return the bits of a site that faults can name.

    Operand bits that the multiplier ignores are among them; product and psum bits that are always 0 are not.
    """
    low = config.multiplier.zero_bits if site in (Site.PRODUCT, Site.PSUM) else 0
    return range(low, value_bits(config, site))


def ignored_bits(config: ArrayConfig, site: Site) -> int:
    """Return how many low bits of a site the multiplier ignores: faults there are certainly masked."""
    if site in _WEIGHT_SITES:
        return config.omit_weight
    return config.omit_activation if site in _ACTIVATION_SITES else 0


def force(value: Any, kind: FaultKind, mask: Any, bits: int) -> Any:
    """Apply a fault to two's complement values.

    Parameters
    ----------
    value : int or ndarray of int64
        Values of `bits` bits.
    kind : FaultKind
    mask : int or ndarray of int64
        The armed bits, as an unsigned pattern.
    bits : int
        Width of the values.

    Returns
    -------
    int or ndarray of int64
        The forced values, sign-extended from `bits` bits.
    """
    if kind is FaultKind.FLIP:
        forced = value ^ mask
    elif kind is FaultKind.STUCK_AT_1:
        forced = value | mask
    else:
        forced = value & ~mask
    return wrap(forced, bits)


@dataclass(frozen=True, slots=True, order=True)
class FaultSite:
    """One bit at one site of one PE of the logical array; bit 0 is the least significant."""

    site: Site
    row: int
    col: int
    bit: int

    def __str__(self) -> str:
        return f"{self.site.value}:r{self.row}:c{self.col}:b{self.bit}"


@dataclass(frozen=True, slots=True)
class Fault:
    """An armed set of bits: one kind, permanent (`window` is None) or inside one window, in every image.

    Parameters
    ----------
    kind : FaultKind
    sites : tuple of FaultSite
        At least one, no two equal; kept sorted, so that equal sets are equal faults.
    window : Window or None
        Cycles of one logical tile.
    """

    kind: FaultKind
    sites: tuple[FaultSite, ...]
    window: Window | None = None

    def __post_init__(self) -> None:
        ordered = tuple(sorted(set(self.sites)))
        if not ordered or len(ordered) != len(self.sites):
            raise FaultError(f"a fault must name one or more different bits, not {[str(s) for s in self.sites]}")
        object.__setattr__(self, "sites", ordered)

    def __str__(self) -> str:
        text = "+".join(str(site) for site in self.sites) + f":{self.kind.short}"
        return text if self.window is None else f"{text}@{self.window}"

    @property
    def transient(self) -> bool:
        """Whether it acts in a window alone."""
        return self.window is not None

    def masks(self, site: Site) -> dict[tuple[int, int], int]:
        """Return the armed pattern of each PE ``(row, col)`` that has armed bits at `site`."""
        masks: dict[tuple[int, int], int] = {}
        for armed in self.sites:
            if armed.site is site:
                masks[armed.row, armed.col] = masks.get((armed.row, armed.col), 0) | 1 << armed.bit
        return masks

    def to_json(self) -> dict[str, object]:
        """Return the fault as plain JSON values: one line of a fault list."""
        return {
            "kind": self.kind.value,
            "sites": [[site.site.value, site.row, site.col, site.bit] for site in self.sites],
            "window": None if self.window is None else self.window.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Fault:
        """Rebuild from `to_json`.

        Raises
        ------
        FaultError
            If keys are unknown or missing, or a value is of the wrong type.
        """
        if not isinstance(value, dict) or set(value) != {"kind", "sites", "window"}:
            raise FaultError(f"a fault must have the keys kind, sites, window, not {value!r}")
        window = None if value["window"] is None else Window.from_json(value["window"])
        if not isinstance(value["sites"], list):
            raise FaultError(f"sites of a fault must be a list, not {value['sites']!r}")
        return cls(parse_kind(value["kind"]), tuple(_site_from_json(site) for site in value["sites"]), window)


def parse_kind(name: object) -> FaultKind:
    """Return the fault kind of a name, long or short.

    Raises
    ------
    FaultError
        If there is none; the message lists them.
    """
    if isinstance(name, str) and name in _KINDS:
        return _KINDS[name]
    raise FaultError(unknown_name("fault kind", str(name), _KINDS))


def _site(name: object) -> Site:
    try:
        return Site(name)
    except ValueError:
        raise FaultError(unknown_name("fault site", str(name), [site.value for site in Site])) from None


def _site_from_json(value: object) -> FaultSite:
    numbers = value[1:] if isinstance(value, list) else []
    if len(numbers) != 3 or not all(type(number) is int and number >= 0 for number in numbers):
        raise FaultError(f"a fault site must be [site, row, col, bit] with numbers of 0 or more, not {value!r}")
    assert isinstance(value, list)
    return FaultSite(_site(value[0]), *numbers)


_SITE_TEXT = re.compile(r"([a-z_]+):r(\d+):c(\d+):b(\d+)")
_FORM = "SITE:rROW:cCOL:bBIT[+SITE:...]:KIND[@lLAYER:gGEMM:tTILE:yCYCLE+COUNT], such as weight:r3:c5:b6:sa1"


def parse_fault(text: str) -> Fault:
    """Read the text form of a fault, as ``str(fault)`` writes it.

    Raises
    ------
    FaultError
        If the text has another form; the message shows the form.
    """
    body, _, window = text.partition("@")
    names, _, kind = body.rpartition(":")
    sites = []
    for name in names.split("+"):
        match = _SITE_TEXT.fullmatch(name)
        if match is None:
            raise FaultError(f"a fault must have the form {_FORM}, not {text!r}")
        sites.append(FaultSite(_site(match[1]), int(match[2]), int(match[3]), int(match[4])))
    return Fault(parse_kind(kind), tuple(sites), Window.parse(window) if window else None)


def check_fault(fault: Fault, config: ArrayConfig, schedule: Schedule | None = None) -> None:
    """Check that a configuration (and, for a window, a schedule) has what a fault names.

    Raises
    ------
    FaultError
        If a PE lies outside the array, a bit is no site, or the window lies outside the schedule.
    """
    for armed in fault.sites:
        if armed.row >= config.rows or armed.col >= config.cols:
            raise FaultError(
                f"fault {fault}: row must be between 0 and {config.rows - 1} and column between 0 and "
                f"{config.cols - 1} in this array, not row {armed.row}, column {armed.col}"
            )
        bits = site_bits(config, armed.site)
        if armed.bit not in bits:
            raise FaultError(
                f"fault {fault}: bit of site {armed.site.value} must be between {bits.start} and {bits.stop - 1} "
                f"in this configuration, not {armed.bit}"
            )
    if fault.window is not None and schedule is not None:
        schedule.check_window(fault.window)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpace:
    """All faults of some sites and kinds with so many bits: permanent, or for some cycles of a schedule.

    Faults are numbered. From the fastest changing: kind (in the order given), set of bits (`axft_spec.bitsets`; with
    one bit per fault, the bit), column, row, site (in the order given), first cycle.

    Parameters
    ----------
    config : ArrayConfig
    sites : tuple of Site
    kinds : tuple of FaultKind
    schedule : Schedule or None
        None for permanent faults; else each fault lasts `cycles` cycles of one tile of this schedule.
    bits : int
        How many bits each fault arms.
    pattern : str
        How they lie: ``adjacent`` or anywhere (``word``) in the value at one site, or anywhere at the sites of one PE
        (``pe``).
    cycles : int
        How many cycles a transient fault lasts.
    """

    config: ArrayConfig
    sites: tuple[Site, ...] = (Site.WEIGHT,)
    kinds: tuple[FaultKind, ...] = (FaultKind.STUCK_AT_0, FaultKind.STUCK_AT_1)
    schedule: Schedule | None = None
    bits: int = 1
    pattern: str = "adjacent"
    cycles: int = 1

    def __post_init__(self) -> None:
        for what, given in (("sites", self.sites), ("kinds", self.kinds)):
            if not given or len(set(given)) != len(given):
                raise FaultError(f"{what} of a fault space must be one or more different ones, not {given!r}")
        check_pattern(self.pattern, self.bits)
        for places in self.groups():
            if len(places) < self.bits:
                where = f"site {places[0][0].value}" if self.pattern != "pe" else "the sites of a PE"
                raise FaultError(f"bits of a fault must be at most {len(places)}, those of {where}, not {self.bits}")
        check_int("cycles of a fault", self.cycles, 1)
        if self.schedule is None and self.cycles != 1:
            raise FaultError(f"a permanent fault has no number of cycles, not {self.cycles}")
        if self.schedule is not None and not self.schedule.starts(self.cycles):
            raise FaultError(f"cycles of a fault must be at most those of the longest tile, not {self.cycles}")

    def groups(self) -> tuple[tuple[tuple[Site, int], ...], ...]:
        """Return the places (site, bit) of a PE that a fault takes its bits from: one group per site, or one of all."""
        groups = [tuple((site, bit) for bit in site_bits(self.config, site)) for site in self.sites]
        return (sum(groups, ()),) if self.pattern == "pe" else tuple(groups)

    def _block(self, group: tuple[tuple[Site, int], ...]) -> int:
        """Return the number of faults of one group in one cycle."""
        sets = count_sets(len(group), self.bits, self.pattern)
        return len(self.kinds) * sets * self.config.cols * self.config.rows

    @property
    def size(self) -> int:
        """Number of faults: polarities x sets of bits x PEs, and x first cycles for transient ones."""
        starts = 1 if self.schedule is None else self.schedule.starts(self.cycles)
        return sum(map(self._block, self.groups())) * starts

    def __getitem__(self, index: int) -> Fault:
        """Return the fault of a number in ``[0, size)``."""
        if not 0 <= index < self.size:
            raise IndexError(f"fault number must be between 0 and {self.size - 1}, not {index}")
        groups = self.groups()
        cycle, rest = divmod(index, sum(map(self._block, groups)))
        group = groups[0]
        for candidate in groups:
            group = candidate
            if rest < self._block(group):
                break
            rest -= self._block(group)
        rest, kind = divmod(rest, len(self.kinds))
        rest, number = divmod(rest, count_sets(len(group), self.bits, self.pattern))
        row, col = divmod(rest, self.config.cols)
        places = (group[place] for place in nth_set(number, len(group), self.bits, self.pattern))
        window = None if self.schedule is None else self.schedule.locate(cycle, self.cycles)
        return Fault(self.kinds[kind], tuple(FaultSite(site, row, col, bit) for site, bit in places), window)

    def __iter__(self) -> Iterator[Fault]:
        """Yield all faults in the order of their numbers."""
        return (self[index] for index in range(self.size))

    def to_json(self) -> dict[str, object]:
        """Return what defines the space as plain JSON values."""
        several = {name: getattr(self, name) for name, usual in _SEVERAL.items() if getattr(self, name) != usual}
        return {
            "config": self.config.to_json(),
            "sites": [site.value for site in self.sites],
            "kinds": [kind.value for kind in self.kinds],
            "schedule": None if self.schedule is None else self.schedule.to_json(),
            **several,
            "size": self.size,
        }

    @classmethod
    def from_json(cls, value: Any) -> FaultSpace:
        """Rebuild from `to_json`; the recorded size must be the size of what is rebuilt."""
        keys = {"config", "sites", "kinds", "schedule", "size"}
        if not isinstance(value, dict) or set(value) - set(_SEVERAL) != keys:
            raise FaultError(f"a fault space must have the keys {sorted(keys)}, not {value!r}")
        space = cls(
            config=ArrayConfig.from_json(value["config"]),
            sites=tuple(map(_site, value["sites"])),
            kinds=tuple(map(parse_kind, value["kinds"])),
            schedule=None if value["schedule"] is None else Schedule.from_json(value["schedule"]),
            **{name: value[name] for name in _SEVERAL if name in value},
        )
        if space.size != value["size"]:
            raise FaultError(f"size of the fault space must be {space.size}, not {value['size']!r}")
        return space


# Written down only where they are not these: spaces of single bits and single cycles keep their form.
_SEVERAL: dict[str, Any] = {"bits": 1, "pattern": "adjacent", "cycles": 1}


class _RawDraws:
    """Uniform integers below a bound from raw PCG64 output, by rejection."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.PCG64(seed)

    def below(self, bound: int) -> int:
        """Return an integer in ``[0, bound)``, each equally likely."""
        limit = 2**64 - 2**64 % bound
        while True:
            raw = int(self._generator.random_raw())
            if raw < limit:
                return raw % bound


def draw_indices(size: int, count: int, seed: int) -> list[int]:
    """Return the first `count` entries of a seeded permutation of ``range(size)``.

    A Fisher-Yates shuffle that holds only the entries it has moved, driven by the raw 64-bit output of PCG64:
    the same on every machine and every numpy, and a longer draw begins with the shorter one.

    Raises
    ------
    FaultError
        If `count` is not between 1 and `size`.
    """
    if not 1 <= count <= size:
        raise FaultError(f"number of faults must be between 1 and {size} (the whole fault space), not {count}")
    draws = _RawDraws(seed)
    moved: dict[int, int] = {}
    indices = []
    for position in range(count):
        other = position + draws.below(size - position)
        indices.append(moved.get(other, other))
        moved[other] = moved.get(position, position)
    return indices


def draw_faults(space: FaultSpace, count: int, seed: int) -> tuple[Fault, ...]:
    """Draw `count` different faults from a space, each subset equally likely.

    Raises
    ------
    FaultError
        If `count` is not between 1 and the size of the space.
    """
    return tuple(space[index] for index in draw_indices(space.size, count, seed))
