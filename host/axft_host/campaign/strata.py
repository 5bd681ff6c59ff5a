"""The strata of a fault space: its faults by layer, bit, site, kind or place in the array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import ConfigError, unknown_name
from axft_spec.faults import Fault, FaultSpace

__all__ = ["KEYS", "Stratum", "strata_of"]

Ints = NDArray[np.int64]

#: What strata can be made by; ``pe:RxC`` are blocks of so many rows and columns of PEs.
KEYS = ("layer", "bit", "site", "kind", "row", "col", "pe:RxC", "use")

#: Strata are found by looking at every fault of one cycle.
_MOST_PER_CYCLE = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stratum:
    """Faults of a space that share some properties.

    Parameters
    ----------
    name : str
        Such as ``layer=0,bit=3``.
    cycles : range
        First cycles, as the space numbers them; one for permanent faults.
    offsets : ndarray of int64, shape (faults of one cycle,)
        Numbers of its faults within one cycle.
    per_cycle : int
        Number of the space's faults within one cycle.
    """

    name: str
    cycles: range
    offsets: Ints
    per_cycle: int

    @property
    def size(self) -> int:
        """Number of faults."""
        return len(self.cycles) * len(self.offsets)

    def __getitem__(self, index: int) -> int:
        """Return the number in the space of the stratum's fault `index`."""
        cycle, offset = divmod(index, len(self.offsets))
        return self.cycles[cycle] * self.per_cycle + int(self.offsets[offset])


def _blocks(rows: int, cols: int, fault: Fault) -> str:
    return f"{fault.sites[0].row // rows}x{fault.sites[0].col // cols}"


def _used(used: NDArray[np.bool_], fault: Fault) -> str:
    return "yes" if used[fault.sites[0].row, fault.sites[0].col] else "no"


def _reader(key: str, used: NDArray[np.bool_] | None) -> Callable[[Fault], object]:
    """Return what tells a fault's stratum by one key."""
    name, _, size = key.partition(":")
    rows, _, cols = size.partition("x")
    if name == "pe" and rows.isdigit() and cols.isdigit() and int(rows) * int(cols) > 0:
        return partial(_blocks, int(rows), int(cols))
    if key == "use":
        if used is None:
            raise ConfigError("strata by use need to know which PEs are in use; leave `use` out")
        return partial(_used, used)
    readers: dict[str, Callable[[Fault], object]] = {
        # A fault of several bits is where its highest bit is.
        "bit": lambda fault: max(site.bit for site in fault.sites),
        "site": lambda fault: "+".join(sorted({site.site.value for site in fault.sites})),
        "kind": lambda fault: fault.kind.short,
        "row": lambda fault: fault.sites[0].row,
        "col": lambda fault: fault.sites[0].col,
    }
    if key not in readers:
        raise ConfigError(unknown_name("key of strata", key, KEYS))
    return readers[key]


def strata_of(
    space: FaultSpace,
    by: Sequence[str],
    *,
    certain: NDArray[np.bool_] | None = None,
    used: NDArray[np.bool_] | None = None,
) -> tuple[Stratum, ...]:
    """Cut a fault space into strata.

    Parameters
    ----------
    space : FaultSpace
    by : sequence of str
        Some of `KEYS`; every combination of their values that has faults is a stratum. None for one stratum.
    certain : ndarray of bool, shape (space.size,), or None
        Faults of a permanent space that are masked with certainty: they are in no stratum.
    used : ndarray of bool, shape (rows, cols), or None
        PEs that make an output; for the key ``use``.

    Returns
    -------
    tuple of Stratum
        In the order in which their first faults come in the space. Together they hold every fault once.

    Raises
    ------
    ConfigError
        If a key is unknown, or a permanent space is to be cut by layer.
    """
    starts = 1 if space.schedule is None else space.schedule.starts(space.cycles)
    per_cycle = space.size // starts
    if per_cycle > _MOST_PER_CYCLE:
        raise ConfigError(f"strata can be made of at most {_MOST_PER_CYCLE} faults per cycle, not {per_cycle}")
    if len(set(by)) != len(by):
        raise ConfigError(f"keys of strata must be different ones, not {list(by)}")
    if certain is not None and (space.schedule is not None or len(certain) != space.size):
        raise ConfigError("only faults of a permanent space can be left out of strata, and all must be told of")
    keys = [key for key in by if key != "layer"]
    readers = [_reader(key, used) for key in keys]
    groups: dict[str, list[int]] = {}
    for offset in range(per_cycle):
        if certain is not None and certain[offset]:
            continue
        fault = space[offset]
        name = ",".join(f"{key.partition(':')[0]}={read(fault)}" for key, read in zip(keys, readers, strict=True))
        groups.setdefault(name, []).append(offset)
    layers = _layers(space, starts, per_cycle) if "layer" in by else {"": range(starts)}
    return tuple(
        Stratum(
            name=",".join(filter(None, (layer, name))) or "all",
            cycles=cycles,
            offsets=np.array(offsets, dtype=np.int64),
            per_cycle=per_cycle,
        )
        for layer, cycles in layers.items()
        for name, offsets in groups.items()
    )


def _layers(space: FaultSpace, starts: int, per_cycle: int) -> dict[str, range]:
    """Return the cycles of each layer; they follow each other."""
    if space.schedule is None:
        raise ConfigError("permanent faults act in all layers; strata by layer are for faults with a window")

    def layer_of(cycle: int) -> int:
        window = space[cycle * per_cycle].window
        assert window is not None
        return window.layer

    layers, first = {}, 0
    while first < starts:
        number = layer_of(first)
        low, high = first, starts
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if layer_of(middle) == number else (low, middle)
        layers[f"layer={number}"] = range(first, high)
        first = high
    return layers
