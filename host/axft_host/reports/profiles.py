"""The numbers of a report: rates by bit, site, kind, layer, row, column and PE, and the accuracy under every fault.

Nothing here depends on how it is shown. Overall rates are those of `axft_host.campaign.summary`; those of groups of
faults are estimated by `axft_host.reports.groups`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.outcome import Status
from axft_host.campaign.records import FaultRow, Golden, Provenance
from axft_host.campaign.statistics import CENSUS, Interval
from axft_host.campaign.store import ResultStore
from axft_host.campaign.summary import TARGETS, Summary, summarise
from axft_host.reports.groups import GroupRates, LeftOut
from axft_host.reports.space import CYCLE_PARTS, SpaceCounts
from axft_spec.errors import StoreError
from axft_spec.faults import Fault, FaultKind, Site
from axft_spec.flipflops import FlipFlopFault

__all__ = [
    "DIMENSIONS",
    "METRICS",
    "AccuracyBins",
    "FaultColumns",
    "Figures",
    "Group",
    "PeGrid",
    "label_of",
    "public_name",
    "read_figures",
]

#: What groups of faults can have in common, and what readers call it.
DIMENSIONS: dict[str, str] = {
    "site": "fault site",
    "kind": "fault kind",
    "bit": "bit",
    "layer": "layer of the window",
    "row": "PE row",
    "col": "PE column",
    "cycle": "cycles of the tile, in eighths",
}

#: What is measured of every fault, as a share of the images: the three outcomes, no result, and the right class.
METRICS = ("masked", "tolerable", "critical", "no_result", "correct")

#: Bins of the distribution of the accuracy under fault.
ACCURACY_BINS = 20

# Sites and kinds are stored as their places in these.
_SITES, _KINDS = tuple(Site), tuple(FaultKind)

# Cells with an interval that a page gets for its filters; with more, only those that fix two dimensions at most.
_MANY_CELLS = 600

Int64 = NDArray[np.int64]
Key = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The faults that have something in common.

    Members
    -------
    key : tuple of (str, int)
        What they have in common: names of `DIMENSIONS` with values; sites and kinds by their place in their enum.
    faults : int
        How many are done.
    population : int or None
        How many the fault space has; None if the list stands for itself.
    certain, activated : int
        How many of the done ones are masked with certainty; how many were activated.
    rates : dict of str to Interval
        By the names in `METRICS`, as shares of the images; empty if no fault is done, and some might have an effect.
    """

    key: Key
    faults: int
    population: int | None
    certain: int
    activated: int
    rates: dict[str, Interval]

    @property
    def value(self) -> int:
        """The value of the last dimension of the key."""
        return self.key[-1][1]

    @property
    def label(self) -> str:
        """What the value of the last dimension is called."""
        return label_of(*self.key[-1])

    def to_json(self) -> dict[str, Any]:
        """Return the members as plain JSON values; rates are null where no fault is done."""
        named = {name: label_of(name, value) if name in ("site", "kind") else value for name, value in self.key}
        return {
            **named,
            "faults": self.faults,
            "fault_space": self.population,
            "certain_masked": self.certain,
            "activated_faults": self.activated,
            **{public_name(name): self.rates[name].to_json() if self.rates else None for name in METRICS},
        }


def public_name(metric: str) -> str:
    """Return what documents call a metric."""
    return "faulty_accuracy" if metric == "correct" else metric


def label_of(dimension: str, value: int) -> str:
    """Return what the value of a dimension is called."""
    if dimension == "site":
        return _SITES[value].value
    if dimension == "kind":
        return _KINDS[value].value
    if dimension == "cycle":
        return f"{value + 1}/{CYCLE_PARTS}"
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaultColumns:
    """The faults that are done, as columns of int64 in the order of the list.

    Members
    -------
    index, kind, certain, activated : ndarray, shape (faults,)
        `kind` is a place in `FaultKind`, `certain` 0 or 1.
    layer, gemm, tile, first_cycle, cycles : ndarray, shape (faults,)
        The window; -1 if the fault is permanent.
    masked, tolerable, critical, no_result, correct : ndarray, shape (faults,)
        Numbers of images.
    armed, site, row, col, bit : ndarray, shape (armed bits,)
        One entry for every armed bit: the fault's place in the other columns, and where the bit is.
    """

    index: Int64
    kind: Int64
    certain: Int64
    activated: Int64
    layer: Int64
    gemm: Int64
    tile: Int64
    first_cycle: Int64
    cycles: Int64
    masked: Int64
    tolerable: Int64
    critical: Int64
    no_result: Int64
    correct: Int64
    armed: Int64
    site: Int64
    row: Int64
    col: Int64
    bit: Int64

    @classmethod
    def of(cls, rows: Sequence[FaultRow], images: int) -> FaultColumns:
        """Collect the rows of a store."""
        for row in rows:
            if isinstance(row.fault, FlipFlopFault):
                raise StoreError(
                    f"a report shows the array's fault sites, and fault {row.fault} is in a flip-flop; allowed for "
                    f"this campaign: `axft-hw export`"
                )
        per_fault = [
            (
                row.index,
                _KINDS.index(row.fault.kind),
                int(row.certain),
                row.activated,
                *_window(row),
                *(row.masked, row.tolerable, row.critical),
                images - row.masked - row.tolerable - row.critical,
                row.correct,
            )
            for row in rows
        ]
        per_bit = [
            (place, _SITES.index(armed.site), armed.row, armed.col, armed.bit)
            for place, row in enumerate(rows)
            for armed in _array_fault(row).sites
        ]
        names = list(cls.__slots__)
        columns = [
            *np.array(per_fault, dtype=np.int64).reshape(len(per_fault), -1).T,
            *np.array(per_bit, dtype=np.int64).reshape(len(per_bit), -1).T,
        ]
        return cls(**dict(zip(names, columns, strict=True)))

    def __len__(self) -> int:
        """Return the number of faults."""
        return len(self.index)


def _array_fault(row: FaultRow) -> Fault:
    assert isinstance(row.fault, Fault), "the others were refused"
    return row.fault


def _window(row: FaultRow) -> tuple[int, int, int, int, int]:
    window = _array_fault(row).window
    if window is None:
        return (-1, -1, -1, -1, -1)
    return (window.layer, window.gemm, window.tile, window.first_cycle, window.cycles)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeGrid:
    """The array, PE by PE; a fault that arms bits of several PEs counts at each.

    Members
    -------
    faults : ndarray of int64, shape (rows, cols)
        How many are done.
    rates : dict of str to ndarray of float64, shape (rows, cols)
        Means over the faults that are done, by the names in `METRICS`, with the weights of a stratified sample and the
        faults that it has left out; NaN at a PE without a fault that is done.
    population : int or None
        How many faults the space has at every PE.
    """

    faults: Int64
    rates: dict[str, NDArray[np.float64]]
    population: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyBins:
    """How many faults left which top-1 accuracy: bins of equal width from 0 to 1, the last one with its upper end."""

    edges: tuple[float, ...]
    faults: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the members as plain JSON values."""
        return {"edges": list(self.edges), "faults": list(self.faults)}


class Figures:
    """All figures of one result.

    Members
    -------
    summary : Summary
    meta : dict of str to object
        All that the store records of its making, its sessions too.
    golden : Golden
    columns : FaultColumns
    left_out : LeftOut
        Faults that a stratified sample has counted instead of drawing them.
    """

    def __init__(self, summary: Summary, meta: Mapping[str, Any], golden: Golden, columns: FaultColumns) -> None:
        self.summary = summary
        self.meta = dict(meta)
        self.golden = golden
        self.columns = columns
        about = summary.provenance
        self._space = None if about.fault_space is None else SpaceCounts.of(about.fault_space)
        self._rates = GroupRates(about, columns.certain.astype(bool))
        self.left_out = LeftOut.of(about)

    @property
    def about(self) -> Provenance:
        """Where the result comes from."""
        return self.summary.provenance

    @property
    def images(self) -> int:
        """Number of images under every fault."""
        return self.summary.images

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the logical array."""
        return int(self.about.config["rows"]), int(self.about.config["cols"])

    @property
    def transient(self) -> bool:
        """Whether any fault lasts for a window only."""
        return bool((self.columns.layer >= 0).any())

    @property
    def shown_metrics(self) -> tuple[str, ...]:
        """The `METRICS`, without what no fault has."""
        missing = any(self.summary.status_rates[status] for status in (Status.HANG, Status.CRASH))
        return tuple(name for name in METRICS if missing or name != "no_result")

    @property
    def group_method(self) -> str:
        """Name of the method of the groups' intervals."""
        return self._rates.method

    @property
    def weights(self) -> NDArray[np.float64]:
        """How many faults of the space each fault that is done stands for, but for a common factor."""
        return self._rates.weights

    @property
    def has_intervals(self) -> bool:
        """Whether the groups' intervals have a width at all."""
        return self.group_method != CENSUS

    @cached_property
    def values(self) -> dict[str, tuple[int, ...]]:
        """The values of every dimension that the fault space, or a list made by hand, has any of."""
        if self._space is not None:
            return self._space.values()
        columns = self.columns
        rows, cols = self.shape
        found = {
            "site": columns.site,
            "kind": columns.kind,
            "bit": columns.bit,
            "layer": columns.layer[columns.layer >= 0],
        }
        values = {name: tuple(np.unique(column).tolist()) for name, column in found.items()}
        values.update(row=tuple(range(rows)), col=tuple(range(cols)))
        return {name: some for name, some in values.items() if some}

    @property
    def tile_cycles(self) -> tuple[int, ...] | None:
        """Number of cycles of a tile of every layer; None if the schedule is not known."""
        return None if self._space is None else self._space.tile_cycles

    def group(self, **fixed: int) -> Group:
        """Return the faults that have these values of the `DIMENSIONS`.

        A fault of several bits belongs to the group of each; where several dimensions of a bit are fixed, one of its
        bits must have all of them.
        """
        columns = self.columns
        chosen = np.ones(len(columns.armed), dtype=bool)
        for name, value in fixed.items():
            chosen &= self._column(name) == value
        places = np.unique(columns.armed[chosen])
        population = None if self._space is None else self._space.count(**fixed)
        # Of a group in which all is masked with certainty, everything is known.
        unknown = not len(places) and (population is None or self.left_out.count(fixed) < population)
        return Group(
            key=tuple(fixed.items()),
            faults=len(places),
            population=population,
            certain=int(columns.certain[places].sum()),
            activated=int(np.count_nonzero(columns.activated[places])),
            rates={} if unknown else {name: self._rate(name, places, population, fixed) for name in METRICS},
        )

    def _rate(self, metric: str, places: Int64, population: int | None, fixed: Mapping[str, int]) -> Interval:
        shares = getattr(self.columns, metric) / self.images
        certain_share = self.certain_share(metric)
        named = {name: label_of(name, value) for name, value in fixed.items()}
        certain = self.left_out.count(fixed)
        return self._rates.of(shares, places, population, named, certain=certain, certain_share=certain_share)

    def _column(self, name: str) -> Int64:
        """Return a dimension's value for every armed bit."""
        columns = self.columns
        if name in ("site", "row", "col", "bit"):
            return np.asarray(getattr(columns, name))
        if name == "cycle":
            return self._cycle_parts[columns.armed]
        return np.asarray(getattr(columns, name)[columns.armed])

    @cached_property
    def _cycle_parts(self) -> Int64:
        """The eighth of its tile's cycles that every fault begins in; -1 where that is not known."""
        columns = self.columns
        if self.tile_cycles is None or not self.transient:
            return np.full(len(columns), -1, dtype=np.int64)
        return np.asarray(columns.first_cycle * CYCLE_PARTS // np.array(self.tile_cycles)[columns.layer])

    def certain_share(self, metric: str) -> float:
        """Return the share of the images in a class, under every fault that is masked with certainty."""
        return {"masked": 1.0, "correct": self.about.golden_accuracy}.get(metric, 0.0)

    def profile(self, dimension: str, **fixed: int) -> list[Group]:
        """Return the groups along one of the `DIMENSIONS`, inside of what is fixed; none if it has no values."""
        return [self.group(**fixed, **{dimension: value}) for value in self.values.get(dimension, ())]

    def profiles(self) -> dict[str, list[Group]]:
        """Return the profile along every dimension that has values."""
        return {name: self.profile(name) for name in DIMENSIONS if name in self.values}

    def cells(self) -> list[Group]:
        """Return the groups behind the filters of a page.

        All combinations of site, kind, bit and layer if they are not too many, and else those that fix two of them;
        every row and every column on its own; the parts of the cycles, with and without a layer.
        """
        filters = [name for name in ("site", "kind", "bit", "layer") if name in self.values]
        combinations: list[dict[str, int]] = [
            {name: value for name, value in zip(filters, chosen, strict=True) if value is not None}
            for chosen in product(*((None, *self.values[name]) for name in filters))
        ]
        if len(combinations) > _MANY_CELLS:
            combinations = [fixed for fixed in combinations if len(fixed) <= 2]
        combinations += [{name: value} for name in ("row", "col") for value in self.values.get(name, ())]
        for part in self.values.get("cycle", ()):
            combinations.append({"cycle": part})
            combinations += [{"layer": layer, "cycle": part} for layer in self.values["layer"]]
        return [self.group(**fixed) for fixed in combinations]

    @cached_property
    def pes(self) -> PeGrid:
        """The array, PE by PE."""
        columns, (rows, cols) = self.columns, self.shape
        size = rows * cols
        # A fault that arms several bits of a PE is there once.
        places, pes = np.divmod(np.unique(columns.armed * size + columns.row * cols + columns.col), size)
        faults = np.bincount(pes, minlength=size)
        weights = self._rates.weights[places]
        certain = self.left_out.by_pe(rows, cols)
        shares = np.bincount(pes, weights=weights, minlength=size) + certain
        known = faults > 0
        if self._space is not None:
            known |= (certain > 0) & (certain == self._space.count(row=0, col=0))
        rates = {}
        for name in METRICS:
            drawn = weights * getattr(columns, name)[places] / self.images
            sums = np.bincount(pes, weights=drawn, minlength=size) + certain * self.certain_share(name)
            with np.errstate(invalid="ignore"):
                rates[name] = np.where(known, sums / shares, np.nan).reshape(rows, cols)
        return PeGrid(
            faults=faults.reshape(rows, cols),
            rates=rates,
            population=None if self._space is None else self._space.count(row=0, col=0),
        )

    @cached_property
    def accuracies(self) -> NDArray[np.float64]:
        """Top-1 accuracy under every fault that gave results, shape (faults,)."""
        return np.asarray(self.columns.correct[self.columns.no_result == 0] / self.images)

    def accuracy_bins(self) -> AccuracyBins:
        """Return the distribution of the accuracy under fault."""
        # In whole numbers: the division of 19 images by 20 must not fall below 0.95.
        correct = self.columns.correct[self.columns.no_result == 0]
        bins = np.minimum(correct * ACCURACY_BINS // self.images, ACCURACY_BINS - 1)
        faults = np.bincount(bins, minlength=ACCURACY_BINS)
        edges = tuple(number / ACCURACY_BINS for number in range(ACCURACY_BINS + 1))
        return AccuracyBins(edges=edges, faults=tuple(faults.tolist()))

    def worst(self, count: int = 10) -> list[int]:
        """Return the places of the faults that leave the fewest images right, the first of the list on ties."""
        order = np.lexsort((self.columns.index, -self.columns.critical, self.columns.correct))
        return [int(place) for place in order[:count] if self.columns.masked[place] < self.images]

    def text(self, place: int) -> str:
        """Return the text form of the fault at a place of the columns."""
        columns = self.columns
        bits = np.flatnonzero(columns.armed == place)
        sites = [f"{_SITES[columns.site[i]].value}:r{columns.row[i]}:c{columns.col[i]}:b{columns.bit[i]}" for i in bits]
        text = "+".join(sites) + f":{_KINDS[columns.kind[place]].short}"
        if columns.layer[place] < 0:
            return text
        window = (getattr(columns, name)[place] for name in ("layer", "gemm", "tile", "first_cycle", "cycles"))
        return text + "@l{}:g{}:t{}:y{}+{}".format(*window)


def read_figures(result: Path, target: str = TARGETS[0]) -> Figures:
    """Read a result and prepare its figures.

    Parameters
    ----------
    result : Path
        A store, or its directory.
    target : str
        What the overall rates are about, as for `summarise`; groups are always about the images that ran.

    Raises
    ------
    StoreError
        If the store cannot be read, or no fault is done.
    """
    summary = summarise(result, target)
    with ResultStore.open(result) as store:
        golden = store.golden()
        # Of a campaign that still runs, more may be done by now; all figures are of the same faults.
        rows = [row for row, _ in zip(store.rows(), range(summary.faults), strict=False)]
        meta = {**store.meta(), "sessions": [asdict(session) for session in store.sessions()]}
        return Figures(summary, meta, golden, FaultColumns.of(rows, len(golden.labels)))
