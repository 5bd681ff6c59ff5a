"""What a store keeps: where a result comes from, its golden run, and a row for every fault."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.outcome import Outcome, Status, pack_outcomes, unpack_outcomes
from axft_host.campaign.schema import FAULT_COLUMNS
from axft_spec.faults import Fault

__all__ = ["FaultRow", "Golden", "Provenance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """All that the outcomes of a campaign depend on, and what they were computed with.

    Every member is a row of the table `meta`, as JSON; ``docs/reference/store.md`` says what each one holds.
    """

    created_utc: str
    spec: dict[str, Any]
    fault_list_digest: str
    fault_space: dict[str, Any] | None
    fault_seed: int | None
    faults: int
    space_size: int | None
    space_certain: int | None
    site: str
    kind: str
    config_name: str
    config: dict[str, Any]
    config_digest: str
    lowering: str
    score: str
    rounding: str
    compensated: bool
    network_name: str
    network_digest: str
    network_source_digest: str
    network_notices: list[str]
    dataset_name: str
    dataset_digest: str
    dataset_source: str
    golden_accuracy: float
    golden_digest: str
    backend: str
    physical: list[int] | None
    device: dict[str, Any] | None
    regmap_digest: str | None
    confidence: float
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """The golden run: one entry per image.

    Members
    -------
    image_ids : ndarray of int64, shape (images,)
        Index of each image in its data set.
    labels, predictions : ndarray of int64, shape (images,)
    """

    image_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]

    @property
    def correct(self) -> int:
        """Number of images whose top-1 class is their label."""
        return int(np.count_nonzero(self.predictions == self.labels))

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, a fraction."""
        return self.correct / len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """What came of one fault of the list.

    Members
    -------
    index : int
        Its place in the list, from 0.
    fault : Fault
    certain : bool
        Whether it is masked with certainty, and was not simulated.
    activated : int
        Number of (armed bit, valid step) where the forced value differed, over all images.
    status : Status
    masked, tolerable, critical : int
        Number of images.
    correct : int
        Number of images whose top-1 class under the fault is their label.
    packed : bytes
        Outcome of every image; see `axft_host.campaign.outcome.pack_outcomes`.
    """

    index: int
    fault: Fault
    certain: bool
    activated: int
    status: Status
    masked: int
    tolerable: int
    critical: int
    correct: int
    packed: bytes

    @classmethod
    def of(
        cls,
        index: int,
        fault: Fault,
        outcomes: NDArray[np.uint8],
        *,
        correct: int,
        activated: int = 0,
        certain: bool = False,
    ) -> FaultRow:
        """Build the row of a fault that ran to its end from the outcome of each image."""
        masked, tolerable, critical = np.bincount(outcomes, minlength=3)[:3].tolist()
        return cls(
            index=index,
            fault=fault,
            certain=certain,
            activated=activated,
            status=Status.OK if masked == len(outcomes) else Status.SDC,
            masked=masked,
            tolerable=tolerable,
            critical=critical,
            correct=correct,
            packed=pack_outcomes(outcomes),
        )

    @classmethod
    def masked_with_certainty(cls, index: int, fault: Fault, golden: Golden) -> FaultRow:
        """Build the row of a fault that changes nothing, whatever the image."""
        outcomes = np.full(len(golden.labels), Outcome.MASKED, dtype=np.uint8)
        return cls.of(index, fault, outcomes, correct=golden.correct, certain=True)

    def outcomes(self, images: int) -> NDArray[np.uint8]:
        """Return the codes of `Outcome`, shape (images,)."""
        return unpack_outcomes(self.packed, images)

    def to_sql(self) -> tuple[object, ...]:
        """Return the columns of the table `faults`, in order."""
        first, window = self.fault.sites[0], self.fault.window
        when: tuple[int | None, ...] = (None,) * 5
        if window is not None:
            when = (window.layer, window.gemm, window.tile, window.first_cycle, window.cycles)
        return (
            self.index,
            json.dumps(self.fault.to_json(), separators=(",", ":")),
            *(first.site.value, first.row, first.col, first.bit),
            len(self.fault.sites),
            self.fault.kind.value,
            *when,
            int(self.certain),
            self.activated,
            self.status.value,
            *(self.masked, self.tolerable, self.critical),
            self.correct,
            self.packed,
        )

    @classmethod
    def from_sql(cls, columns: Sequence[Any]) -> FaultRow:
        """Rebuild from the columns of the table `faults`."""
        named = dict(zip(FAULT_COLUMNS, columns, strict=True))
        same = {name: named[name] for name in ("activated", "masked", "tolerable", "critical", "correct")}
        return cls(
            index=named["idx"],
            fault=Fault.from_json(json.loads(named["fault"])),
            certain=bool(named["certain"]),
            status=Status(named["status"]),
            packed=named["outcomes"],
            **same,
        )
