"""What a result says: rates with intervals, accuracies, counts. Computed from the store alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axft_host.campaign.outcome import Status
from axft_host.campaign.rates import rate_interval
from axft_host.campaign.records import FaultRow, Provenance
from axft_host.campaign.sampled import basis_of, is_stratified, rule_of
from axft_host.campaign.schema import SCHEMA_VERSION
from axft_host.campaign.statistics import BOUNDS, CENSUS, EXACT, Interval, Population, estimate
from axft_host.campaign.stopping import fractions_of
from axft_host.campaign.store import ResultStore
from axft_host.nn.library import load_float_network
from axft_spec.config import PRESETS, PaperRow
from axft_spec.errors import StoreError
from axft_spec.flipflops import FLIP_FLOP_PREFIX

__all__ = ["Summary", "json_without_outcomes", "published_row", "summarise"]

_CLASSES = ("masked", "tolerable", "critical")

#: The shipped network that stands for the published study's, and what data sets with its images are called.
_STUDIED_NETWORK = "lenet5"
_STUDIED_DATA = ("mnist", "mnist-5k")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one result.

    Members
    -------
    store : str
        Path of the store.
    provenance : Provenance
    state : str
        ``complete``, ``interrupted`` or ``running``.
    faults : int
        How many are done; fewer than listed if the campaign was interrupted.
    images : int
    masked, tolerable, critical : Interval
        Rates over the pairs, as fractions.
    faulty_accuracy : float
        Top-1 accuracy under fault, estimated like the rates.
    status_rates : dict of Status to float
        OK and SDC of pairs (OK is masked, SDC is tolerable or critical); hang and crash of faults.
    certain_masked : int
        Listed faults that are masked with certainty and were not simulated.
    activated : int
        Number of (armed bit, valid step) where the forced value differed, over all pairs.
    activated_faults : int
        Faults of which that number is not 0.
    seconds : float or None
        Golden run, faulty runs and classification; None while it runs.
    method : str or None
        Name of the method of the intervals, if it is not that of a simple sample of fixed size.
    """

    store: str
    provenance: Provenance
    state: str
    faults: int
    images: int
    masked: Interval
    tolerable: Interval
    critical: Interval
    faulty_accuracy: float
    status_rates: dict[Status, float]
    certain_masked: int
    activated: int
    activated_faults: int
    seconds: float | None
    method: str | None = None

    @property
    def pairs(self) -> int:
        """Number of (image, fault) pairs."""
        return self.faults * self.images

    @property
    def simulated_pairs(self) -> int:
        """Number of pairs that were simulated: those of the faults that are not masked with certainty."""
        return (self.faults - self.certain_masked) * self.images

    @property
    def pairs_per_second(self) -> float | None:
        """Pairs per second of the whole run, those of certainly masked faults included."""
        return self.pairs / self.seconds if self.seconds else None

    @property
    def interval_method(self) -> str:
        """Name of the method the intervals were computed by."""
        if self.method is not None:
            return self.method
        if self.provenance.space_size is not None:
            return EXACT
        return CENSUS if self.faults == self.provenance.faults else BOUNDS

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON values; ``docs/reference/cli.md`` names the keys."""
        return _document(
            self.provenance,
            faults=self.faults,
            images=self.images,
            pairs=self.pairs,
            simulated_pairs=self.simulated_pairs,
            faulty_accuracy=self.faulty_accuracy,
            outcomes={
                **{name: getattr(self, name).to_json() for name in _CLASSES},
                **{status.value: rate for status, rate in self.status_rates.items()},
            },
            interval_method=self.interval_method,
            certain_masked=self.certain_masked,
            activated=self.activated,
            activated_faults=self.activated_faults,
            state=self.state,
            seconds=self.seconds,
            pairs_per_second=self.pairs_per_second,
            store=self.store,
        )


def published_row(about: Provenance) -> PaperRow | None:
    """Return the row of the published study that a campaign can be held against, if there is one.

    That takes one of the study's configurations, the shipped LeNet-5, MNIST, and faults drawn from a space.
    """
    preset = PRESETS.get(about.config_name)
    if (
        preset is None
        or about.space_size is None
        or about.site.startswith(FLIP_FLOP_PREFIX)
        or about.network_name != _STUDIED_NETWORK
        or about.dataset_name.partition(":")[0].lower() not in _STUDIED_DATA
        or about.network_source_digest != load_float_network(_STUDIED_NETWORK).source_digest
    ):
        return None
    return preset.paper


def _document(about: Provenance, **figures: object) -> dict[str, Any]:
    """Return what is known before any fault has run, and the figures, under the keys of ``inject --json``."""
    config = about.config
    return {
        "config": about.config_name,
        "array": f"{config['rows']}x{config['cols']}",
        "physical": None if about.physical is None else "x".join(map(str, about.physical)),
        "board": about.backend,
        "model": about.network_name,
        "data": about.dataset_name,
        "operand_a": config["operand_a"],
        "rounding": about.rounding,
        "compensated": about.compensated,
        "lowering": about.lowering,
        "score": about.score,
        "site": about.site,
        "kind": about.kind,
        "transient": bool(about.spec["transient"]),
        "seed": about.fault_seed,
        "faults_listed": about.faults,
        "fault_space": about.space_size,
        "fault_space_certain_masked": about.space_certain,
        "fault_list_digest": about.fault_list_digest,
        "golden_accuracy": about.golden_accuracy,
        "confidence": about.confidence,
        "schema_version": SCHEMA_VERSION,
        **figures,
    }


def json_without_outcomes(result: Path) -> dict[str, Any]:
    """Return the document of a campaign that ended before its first faults were done.

    It has the keys of `Summary.to_json`; rates and what follows from them are null.

    Parameters
    ----------
    result : Path
        A store, or its directory.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with ResultStore.open(result) as store:
        meta, images = store.meta(), len(store.golden().labels)
        return _document(
            store.provenance(),
            faults=0,
            images=images,
            pairs=0,
            simulated_pairs=0,
            faulty_accuracy=None,
            outcomes={
                **{name: dict.fromkeys(("rate", "low", "high")) for name in _CLASSES},
                **{status.value: None for status in Status},
            },
            interval_method=None,
            certain_masked=0,
            activated=0,
            activated_faults=0,
            state=meta["state"],
            seconds=meta["seconds"],
            pairs_per_second=None,
            store=str(store.path),
        )


def summarise(result: Path) -> Summary:
    """Read a result and compute its figures.

    An interrupted campaign is summarised over the faults that are done: the first ones of a drawn list are a
    smaller random sample of the same space. Those of a list made by hand are not, so that its intervals hold
    whatever the faults that did not run would do.

    Parameters
    ----------
    result : Path
        A store, or its directory.

    Raises
    ------
    StoreError
        If the store cannot be read, or no fault is done.
    """
    with ResultStore.open(result) as store:
        about, meta, images = store.provenance(), store.meta(), len(store.golden().labels)
        rows = list(store.rows())
        if not rows:
            raise StoreError(f"{store.path} holds no outcomes: the campaign ended before its first faults were done")
        certain = np.array([row.certain for row in rows])
        population = Population(size=about.space_size, certain=about.space_certain, listed=about.faults)

        basis = basis_of(about) if about.stopping is not None or is_stratified(about) else None
        # What a rule has stopped by is what holds although it was looked at again and again.
        looked = {} if about.stopping is None else _intervals_of_rule(about, rows, images)

        def rate(name: str, certain_share: float) -> Interval:
            shares = np.array([getattr(row, name) for row in rows], dtype=np.float64) / images
            if name in looked:
                return looked[name]
            if basis is not None:
                return rate_interval(shares, basis, about.confidence, certain_share=certain_share)
            return estimate(shares, certain, population, about.confidence, certain_share=certain_share)

        masked, tolerable, critical = rate("masked", 1.0), rate("tolerable", 0.0), rate("critical", 0.0)
        return Summary(
            store=str(store.path),
            provenance=about,
            state=meta["state"],
            faults=len(rows),
            images=images,
            masked=masked,
            tolerable=tolerable,
            critical=critical,
            faulty_accuracy=rate("correct", about.golden_accuracy).rate,
            status_rates={
                Status.OK: masked.rate,
                Status.SDC: tolerable.rate + critical.rate,
                Status.HANG: _share(rows, Status.HANG),
                Status.CRASH: _share(rows, Status.CRASH),
            },
            certain_masked=int(np.count_nonzero(certain)),
            activated=sum(row.activated for row in rows),
            activated_faults=sum(row.activated > 0 for row in rows),
            seconds=meta["seconds"],
            method=None if basis is None else basis.method,
        )


def _intervals_of_rule(about: Provenance, rows: list[FaultRow], images: int) -> dict[str, Interval]:
    """Return the intervals of the classes that a stopping rule looks at, as of its last look."""
    rule = rule_of(about)
    for row in rows:
        rule.feed(row.index, fractions_of(row, images), certain=row.certain)
    return rule.intervals()


def _share(rows: list[FaultRow], status: Status) -> float:
    return sum(row.status is status for row in rows) / len(rows)
