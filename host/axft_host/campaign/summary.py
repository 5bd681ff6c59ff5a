"""What a result says: rates with intervals, accuracies, counts. Computed from the store alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.confidence import split_confidence
from axft_host.campaign.effective import clopper_pearson_interval, effective_count, wilson_interval
from axft_host.campaign.outcome import Outcome, Status
from axft_host.campaign.rates import CERTAIN, Basis, estimated_rate, rate_interval
from axft_host.campaign.records import FaultRow, Provenance
from axft_host.campaign.recovered import Recovered
from axft_host.campaign.sampled import basis_of, rule_of
from axft_host.campaign.schema import SCHEMA_VERSION
from axft_host.campaign.sequential import CLASSES
from axft_host.campaign.statistics import BOUNDS, CENSUS, Interval, listed_interval
from axft_host.campaign.stopping import fractions_of
from axft_host.campaign.store import ResultStore
from axft_host.campaign.twoway import TWO_WAY, population_interval
from axft_host.nn.library import load_float_network
from axft_spec.config import PRESETS, PaperRow
from axft_spec.errors import ConfigError, StoreError, unknown_name
from axft_spec.flipflops import FLIP_FLOP_PREFIX

__all__ = ["TARGETS", "Summary", "check_target", "json_without_outcomes", "published_row", "summarise"]

#: What rates are to be about: the fault space on the listed images, or on images that did not run as well.
TARGETS = ("listed", "population")

_OUTCOMES = {"masked": Outcome.MASKED, "tolerable": Outcome.TOLERABLE, "critical": Outcome.CRITICAL}

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
        Rates over the fault space, as fractions.
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
    interval_method : str
        Name of the method of the intervals, and whether they hold together.
    target : str
        One of `TARGETS`.
    for_comparison : dict of str to dict of str to Interval
        By class, the intervals ``wilson`` and ``clopper_pearson`` on effective counts; each on its own, and decisive
        for nothing. Empty for a list that stands for itself.
    recovered : Recovered or None
        How often the device had to be brought back; None if it never had.
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
    interval_method: str
    target: str
    for_comparison: dict[str, dict[str, Interval]]
    recovered: Recovered | None = None

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
                **{name: getattr(self, name).to_json() for name in CLASSES},
                **{status.value: rate for status, rate in self.status_rates.items()},
            },
            target=self.target,
            interval_method=self.interval_method,
            for_comparison={
                name: {method: made.to_json() for method, made in others.items()}
                for name, others in self.for_comparison.items()
            },
            certain_masked=self.certain_masked,
            activated=self.activated,
            activated_faults=self.activated_faults,
            state=self.state,
            seconds=self.seconds,
            pairs_per_second=self.pairs_per_second,
            store=self.store,
            **({} if self.recovered is None else {"recoveries": self.recovered.to_json()}),
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
        "engine": about.versions.get("engine"),
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


def json_without_outcomes(result: Path, target: str = TARGETS[0]) -> dict[str, Any]:
    """Return the document of a campaign that ended before its first faults were done.

    It has the keys of `Summary.to_json`; rates and what follows from them are null.

    Parameters
    ----------
    result : Path
        A store, or its directory.
    target : str
        What was asked for.

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
                **{name: dict.fromkeys(("rate", "low", "high")) for name in CLASSES},
                **{status.value: None for status in Status},
            },
            target=target,
            interval_method=None,
            for_comparison={},
            certain_masked=0,
            activated=0,
            activated_faults=0,
            state=meta["state"],
            seconds=meta["seconds"],
            pairs_per_second=None,
            store=str(store.path),
        )


def summarise(result: Path, target: str = TARGETS[0]) -> Summary:
    """Read a result and compute its figures.

    The intervals of the three classes hold together with the campaign's confidence (Bonferroni), unless a stopping rule
    has asked for something else.

    Parameters
    ----------
    result : Path
        A store, or its directory.
    target : str
        One of `TARGETS`.

    Raises
    ------
    StoreError
        If the store cannot be read, or no fault is done.
    ConfigError
        If the target is unknown, or cannot be had from this result.
    """
    with ResultStore.open(result) as store:
        about, meta, images = store.provenance(), store.meta(), len(store.golden().labels)
        rows, recoveries = list(store.rows()), store.recoveries()
        if not rows:
            raise StoreError(f"{store.path} holds no outcomes: the campaign ended before its first faults were done")
    check_target(target, drawn=about.space_size is not None, stops=about.stopping is not None, images=images)
    estimates = _Estimates(about, rows, images, target)
    masked, tolerable, critical = (estimates.interval(name) for name in CLASSES)
    return Summary(
        store=str(store.path),
        provenance=about,
        state=meta["state"],
        faults=len(rows),
        images=images,
        masked=masked,
        tolerable=tolerable,
        critical=critical,
        faulty_accuracy=estimates.accuracy(),
        status_rates={
            Status.OK: masked.rate,
            Status.SDC: tolerable.rate + critical.rate,
            Status.HANG: estimates.share_of_status(Status.HANG),
            Status.CRASH: estimates.share_of_status(Status.CRASH),
        },
        certain_masked=sum(row.certain for row in rows),
        activated=sum(row.activated for row in rows),
        activated_faults=sum(row.activated > 0 for row in rows),
        seconds=meta["seconds"],
        interval_method=estimates.method,
        target=target,
        for_comparison=estimates.for_comparison(),
        recovered=Recovered.of(recoveries, rows) if recoveries else None,
    )


def check_target(target: str, *, drawn: bool, stops: bool, images: int) -> None:
    """Check that a campaign's rates can be about a target.

    Parameters
    ----------
    target : str
    drawn : bool
        Whether the faults were drawn from a space.
    stops : bool
        Whether there is a stopping rule.
    images : int

    Raises
    ------
    ConfigError
        If it is none of `TARGETS`, or cannot be had.
    """
    if target not in TARGETS:
        raise ConfigError(unknown_name("target", target, TARGETS))
    if target == TARGETS[0]:
        return
    if not drawn:
        raise ConfigError(
            "target population needs faults that were drawn from a space, not a list made by hand, which stands for "
            "itself alone; allowed: target listed"
        )
    if stops:
        raise ConfigError(
            "target population has no interval that holds under a stopping rule; allowed for this campaign: target "
            "listed"
        )
    if images < 2:
        raise ConfigError(f"target population needs 2 images or more, not {images}")


class _Estimates:
    """Rates with intervals, from the faults that are done."""

    def __init__(self, about: Provenance, rows: list[FaultRow], images: int, target: str) -> None:
        self._about, self._rows, self._images = about, rows, images
        self._basis = basis_of(about, np.array([row.certain for row in rows]))
        self._population = target == "population"
        # What a rule has stopped by is what holds although it was looked at again and again.
        self._looked: dict[str, Interval] = {}
        self._level, self._joint = split_confidence(about.confidence, len(CLASSES)), "; the classes together"
        if self._basis is None:
            self._joint = ""
        elif about.stopping is not None:
            together = about.stopping["together"]
            self._level = about.confidence
            self._joint = f"; {'its classes together' if together else 'each class on its own'}"
            rule = rule_of(about)
            for row in rows:
                rule.feed(row.index, fractions_of(row, images), certain=row.certain)
            self._looked = rule.intervals()
            if about.stopping["rule"] == "looks" and self._looked:
                names = " and ".join(self._looked)
                self._joint += (
                    f"; of {names} at looks set in advance: exact hypergeometric, alpha spent by "
                    f"{about.stopping['spending']}"
                )

    @property
    def method(self) -> str:
        if self._basis is None:
            return CENSUS if len(self._rows) == self._about.faults else BOUNDS
        if self._population:
            return TWO_WAY + self._joint
        return self._basis.method + self._joint

    def _shares(self, name: str) -> NDArray[np.float64]:
        return np.array([getattr(row, name) for row in self._rows], dtype=np.float64) / self._images

    def interval(self, name: str) -> Interval:
        shares = self._shares(name)
        if self._basis is None:
            return listed_interval(shares, self._about.faults)
        if name in self._looked:
            return self._looked[name]
        listed = rate_interval(shares, self._basis, self._level, certain_share=CLASSES[name])
        if not self._population or not sum(self._basis.sizes):
            return listed
        # More is unknown of all images than of those that ran; the approximation may not say otherwise.
        wider = self._over_images(name, self._basis)
        return Interval(wider.rate, min(listed.low, wider.low), max(listed.high, wider.high))

    def _over_images(self, name: str, basis: Basis) -> Interval:
        stratum = basis.stratum[: len(self._rows)]
        drawn = [row for row, number in zip(self._rows, stratum, strict=True) if number != CERTAIN]
        hits = np.array([row.outcomes(self._images) == _OUTCOMES[name] for row in drawn]).reshape(-1, self._images)
        return population_interval(
            hits,
            stratum[stratum != CERTAIN],
            basis.sizes,
            self._level,
            certain=basis.certain,
            certain_share=CLASSES[name],
        )

    def accuracy(self) -> float:
        return self._mean(self._shares("correct"), self._about.golden_accuracy)

    def share_of_status(self, status: Status) -> float:
        return self._mean(np.array([row.status is status for row in self._rows], dtype=np.float64), 0.0)

    def _mean(self, shares: NDArray[np.float64], certain_share: float) -> float:
        if self._basis is None:
            return float(shares.mean())
        return estimated_rate(shares, self._basis, certain_share=certain_share)

    def for_comparison(self) -> dict[str, dict[str, Interval]]:
        basis = self._basis
        if basis is None or not sum(basis.sizes):
            return {}
        stratum = basis.stratum[: len(self._rows)]
        drawn = stratum != CERTAIN
        if not drawn.any():
            return {}
        found = {}
        for name, share in CLASSES.items():
            counted = effective_count(self._shares(name)[drawn], stratum[drawn], basis.sizes)
            methods = {"wilson": wilson_interval, "clopper_pearson": clopper_pearson_interval}
            found[name] = {
                method: make(*counted, self._about.confidence).as_part(basis.open_weight, share)
                for method, make in methods.items()
            }
        return found
