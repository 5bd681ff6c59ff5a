"""Compare two results, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from axft_host.campaign.directory import read_campaign_dir, result_dirs
from axft_host.campaign.outcome import Outcome
from axft_host.campaign.records import FaultRow, Provenance
from axft_host.campaign.store import ResultStore
from axft_spec.errors import StoreError
from axft_spec.flipflops import AnyFault

__all__ = ["SHOWN", "Comparison", "PairDifference", "compare", "compare_campaigns"]

#: How many differing pairs a comparison names.
SHOWN = 10

# What is compared of every fault.
_COMPARED = ("pairs", "activated", "status", "correct", "certain")

# What may differ between results that can still be compared, and is worth telling.
_TOLD = ("backend", "physical", "config_name", "config_digest", "lowering", "network_digest", "rounding", "compensated")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDifference:
    """One pair (image, fault) whose outcome differs; `image` is the index in the data set."""

    fault: str
    image: int
    a: str
    b: str

    def to_json(self) -> dict[str, object]:
        """Return the fields as plain JSON values."""
        return {"fault": self.fault, "image": self.image, "a": self.a, "b": self.b}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two results have in common, and where they differ.

    Members
    -------
    a, b : str
        The stores.
    faults, pairs : int
        How many were compared.
    differing_pairs : int
        Pairs whose outcomes differ.
    differing_activated : int
        Faults that were activated a different number of times.
    differing_status : int
        Faults whose status differs.
    differing_correct : int
        Faults under which another number of images is recognised.
    differing_certain : int
        Faults that are masked with certainty in one of the two alone.
    golden_equal : bool
        Whether the golden runs' final accumulators, labels and predictions are the same.
    first : tuple of PairDifference
        The first few differing pairs.
    settings : dict of str to (value, value)
        What the two were computed with, where it differs: backend, configuration, lowering and so on.
    """

    a: str
    b: str
    faults: int
    pairs: int
    differing_pairs: int
    differing_activated: int
    differing_status: int
    golden_equal: bool
    first: tuple[PairDifference, ...]
    settings: dict[str, tuple[object, object]]
    differing_correct: int = 0
    differing_certain: int = 0

    @property
    def equal(self) -> bool:
        """Whether nothing that was compared differs."""
        return self.golden_equal and not any(getattr(self, f"differing_{what}") for what in _COMPARED)

    def to_json(self) -> dict[str, object]:
        """Return the members as plain JSON values."""
        counts = ("faults", "pairs", *(f"differing_{what}" for what in _COMPARED), "golden_equal")
        return {
            "a": self.a,
            "b": self.b,
            "equal": self.equal,
            **{name: getattr(self, name) for name in counts},
            "first": [pair.to_json() for pair in self.first],
            "settings": {name: list(values) for name, values in self.settings.items()},
        }


def compare(a: Path, b: Path) -> Comparison:
    """Compare two results that have the same faults, images and score.

    Faults are matched by what they are and images by their index, not by their places in the lists.

    Raises
    ------
    StoreError
        If a store cannot be read, or the two say nothing about each other: other images, another score, other
        faults, or one that is not complete.
    """
    with ResultStore.open(a) as store_a, ResultStore.open(b) as store_b:
        about_a, about_b = store_a.provenance(), store_b.provenance()
        _check_same_question(store_a, store_b, about_a, about_b)
        rows_a, rows_b = ({row.fault: row for row in store.rows()} for store in (store_a, store_b))
        _check_same_faults(store_a, store_b, rows_a, rows_b)
        golden_a, golden_b = store_a.golden(), store_b.golden()
        order_a, order_b = np.argsort(golden_a.image_ids), np.argsort(golden_b.image_ids)
        image_ids = golden_a.image_ids[order_a]
        first: list[PairDifference] = []
        pairs = activated = status = correct = certain = 0
        for fault, row_a in rows_a.items():
            row_b = rows_b[fault]
            codes_a = row_a.outcomes(len(image_ids))[order_a]
            codes_b = row_b.outcomes(len(image_ids))[order_b]
            places = np.flatnonzero(codes_a != codes_b)
            pairs += len(places)
            activated += row_a.activated != row_b.activated
            status += row_a.status is not row_b.status
            correct += row_a.correct != row_b.correct
            certain += row_a.certain is not row_b.certain
            for place in places[: SHOWN - len(first)]:
                names = (Outcome(int(codes[place])).name.lower() for codes in (codes_a, codes_b))
                first.append(
                    PairDifference(fault=str(fault), image=int(image_ids[place]), a=next(names), b=next(names))
                )
        return Comparison(
            a=str(store_a.path),
            b=str(store_b.path),
            faults=len(rows_a),
            pairs=len(rows_a) * len(image_ids),
            differing_pairs=pairs,
            differing_activated=activated,
            differing_status=status,
            differing_correct=correct,
            differing_certain=certain,
            golden_equal=about_a.golden_digest == about_b.golden_digest
            and np.array_equal(golden_a.labels[order_a], golden_b.labels[order_b])
            and np.array_equal(golden_a.predictions[order_a], golden_b.predictions[order_b]),
            first=tuple(first),
            settings={
                name: (getattr(about_a, name), getattr(about_b, name))
                for name in _TOLD
                if getattr(about_a, name) != getattr(about_b, name)
            },
        )


def compare_campaigns(a: Path, b: Path) -> list[tuple[str, Comparison]]:
    """Compare the runs of two campaigns that have the same names.

    Returns
    -------
    list of (str, Comparison)
        Names of runs, in the order of `a`.

    Raises
    ------
    StoreError
        If one lacks a run of the other, or two runs cannot be compared.
    """
    runs_a, runs_b = ({path.name: path for path in result_dirs(directory)} for directory in (a, b))
    for mine, other, directory in ((runs_a, runs_b, b), (runs_b, runs_a, a)):
        lacking = [name for name in mine if name not in other]
        if lacking:
            waiting = lacking[0] in {run.name for run in read_campaign_dir(directory).runs()}
            hint = f"; `axft-hw campaign resume {directory}` goes on" if waiting else ""
            raise StoreError(f"campaigns can be compared only with the same runs: {directory} lacks {lacking[0]}{hint}")
    try:
        return [(name, compare(path, runs_b[name])) for name, path in runs_a.items()]
    except StoreError as error:
        said = str(error)
        for directory, runs in ((a, runs_a), (b, runs_b)):
            for path in runs.values():
                said = said.replace(f"campaign resume {path}`", f"campaign resume {directory}`")
        raise StoreError(said) from None


def _check_same_question(a: ResultStore, b: ResultStore, about_a: Provenance, about_b: Provenance) -> None:
    if about_a.dataset_digest != about_b.dataset_digest:
        raise StoreError(
            f"results can be compared only with the same images, not {_images(a, about_a)} and {_images(b, about_b)}"
        )
    if about_a.score != about_b.score:
        raise StoreError(
            f"results can be compared only with the same score, not {about_a.score} ({a.path}) and {about_b.score} "
            f"({b.path})"
        )
    for store, about in ((a, about_a), (b, about_b)):
        if len(store) != (store.meta().get("stopped_at") or about.faults):
            raise StoreError(
                f"results can be compared only when both are complete, not with {len(store)} of {about.faults} "
                f"faults ({store.path}); `axft-hw campaign resume {store.path.parent}` goes on"
            )
    if sorted(a.golden().image_ids) != sorted(b.golden().image_ids):
        raise StoreError(f"results can be compared only with the same images, not those of {a.path} and {b.path}")


def _images(store: ResultStore, about: Provenance) -> str:
    """Return how many images a result has, and which, as far as a person compares digests."""
    return f"{len(store.golden().labels):,} of digest {about.dataset_digest[:12]} ({store.path})"


def _check_same_faults(
    a: ResultStore, b: ResultStore, rows_a: dict[AnyFault, FaultRow], rows_b: dict[AnyFault, FaultRow]
) -> None:
    only_a, only_b = rows_a.keys() - rows_b.keys(), rows_b.keys() - rows_a.keys()
    if only_a or only_b:
        raise StoreError(
            f"results can be compared only with the same faults: {len(only_a)} of {len(rows_a)} are only in {a.path}, "
            f"{len(only_b)} of {len(rows_b)} only in {b.path}; run both with the same --fault-list"
        )
