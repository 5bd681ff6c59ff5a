"""What a store keeps: where a result comes from, its golden run, and a row for every fault."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.outcome import Outcome, Status, pack_outcomes, unpack_outcomes
from axft_host.campaign.schema import FAULT_COLUMNS
from axft_host.device.recovery import Recovery
from axft_spec.flipflops import FLIP_FLOP_PREFIX, AnyFault, FlipFlopFault, any_fault_from_json

__all__ = ["FaultRow", "Golden", "Provenance", "RecoveryRow", "Session", "row_checksum"]


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
    # Of stores since version 2: what was asked for, how faults were drawn, and when the campaign stops early.
    options: dict[str, Any] | None = None
    sampling: dict[str, Any] | None = None
    stopping: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One stretch of a campaign, from its start or resumption to its end, an interruption or a kill.

    Members
    -------
    started_utc : str
    ended_utc : str or None
        None while it runs, and if it was killed.
    first_fault : int
        Place in the list of the first fault that it was to run.
    faults : int
        How many it has committed.
    seconds : float
        What it took, until the last commit.
    workers : str
        Where the faults ran, such as ``2 processes``.
    host : str
        Name of the machine.
    versions : dict of str to str
        Of axft-hw, numpy and Python.
    device : dict or None
        Identity of the device.
    """

    started_utc: str
    ended_utc: str | None = None
    first_fault: int
    faults: int = 0
    seconds: float = 0.0
    workers: str
    host: str
    versions: dict[str, str]
    device: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRow:
    """How a device was brought back in a campaign.

    Members
    -------
    session : int
        Number of the session, from 1.
    index : int or None
        Place in the list of the fault that ran; None for the golden run that a session begins with.
    recovery : Recovery
    """

    session: int
    index: int | None
    recovery: Recovery


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


def row_checksum(columns: Sequence[Any]) -> str:
    """Return the checksum of a row: the first 16 hex digits of the SHA-256 of its columns as a JSON list.

    Parameters
    ----------
    columns : sequence
        The columns of the table `faults` but for the checksum; bytes count as hex digits.
    """
    plain = [column.hex() if isinstance(column, bytes) else column for column in columns]
    return hashlib.sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """What came of one fault of the list.

    Members
    -------
    index : int
        Its place in the list, from 0.
    fault : Fault or FlipFlopFault
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
    recoveries : tuple of Recovery
        What it took to bring the device back while this fault ran. They say how a result was come by, not what it is:
        rows that differ in nothing else are equal. A store gives them back by themselves.
    """

    index: int
    fault: AnyFault
    certain: bool
    activated: int
    status: Status
    masked: int
    tolerable: int
    critical: int
    correct: int
    packed: bytes
    recoveries: tuple[Recovery, ...] = field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        index: int,
        fault: AnyFault,
        outcomes: NDArray[np.uint8],
        *,
        correct: int,
        activated: int = 0,
        certain: bool = False,
        recoveries: tuple[Recovery, ...] = (),
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
            recoveries=recoveries,
        )

    @classmethod
    def masked_with_certainty(cls, index: int, fault: AnyFault, golden: Golden) -> FaultRow:
        """Build the row of a fault that changes nothing, whatever the image."""
        outcomes = np.full(len(golden.labels), Outcome.MASKED, dtype=np.uint8)
        return cls.of(index, fault, outcomes, correct=golden.correct, certain=True)

    @classmethod
    def without_result(
        cls, index: int, fault: AnyFault, status: Status, images: int, *, recoveries: tuple[Recovery, ...] = ()
    ) -> FaultRow:
        """Build the row of a fault under which the device hung or crashed: no image has an outcome."""
        return cls(
            index=index,
            fault=fault,
            certain=False,
            activated=0,
            status=status,
            masked=0,
            tolerable=0,
            critical=0,
            correct=0,
            packed=pack_outcomes(np.full(images, Outcome.NONE, dtype=np.uint8)),
            recoveries=recoveries,
        )

    def outcomes(self, images: int) -> NDArray[np.uint8]:
        """Return the codes of `Outcome`, shape (images,)."""
        return unpack_outcomes(self.packed, images)

    def to_sql(self) -> tuple[object, ...]:
        """Return the columns of the table `faults`, in order."""
        return (
            self.index,
            json.dumps(self.fault.to_json(), separators=(",", ":")),
            *_where(self.fault),
            self.fault.kind.value,
            *_when(self.fault),
            int(self.certain),
            self.activated,
            self.status.value,
            *(self.masked, self.tolerable, self.critical),
            self.correct,
            self.packed,
        )

    @classmethod
    def from_sql(cls, columns: Sequence[Any]) -> FaultRow:
        """Rebuild from the columns of the table `faults`.

        Raises
        ------
        ValueError
            If the columns contradict each other; the text says where.
        AxftError
            If the fault is none.
        """
        named = dict(zip(FAULT_COLUMNS, columns, strict=True))
        same = {name: named[name] for name in ("activated", "masked", "tolerable", "critical", "correct")}
        row = cls(
            index=named["idx"],
            fault=any_fault_from_json(json.loads(named["fault"])),
            certain=bool(named["certain"]),
            status=Status(named["status"]),
            packed=named["outcomes"],
            **same,
        )
        row._check(columns)
        return row

    def _check(self, columns: Sequence[Any]) -> None:
        """Hold the counts against the outcomes, and what is written twice against each other."""
        for name, given, made in zip(FAULT_COLUMNS, columns, self.to_sql(), strict=True):
            if given != made:
                raise ValueError(f"{name} is {given!r}, where its fault has {made!r}")
        images = self.masked + self.tolerable + self.critical
        if self.status in (Status.HANG, Status.CRASH):
            return
        if len(self.packed) != -(-images // 4):
            raise ValueError(f"masked, tolerable and critical add up to {images} images, its outcomes do not")
        counts = np.bincount(self.outcomes(images), minlength=4).tolist()
        if counts != [self.masked, self.tolerable, self.critical, 0]:
            raise ValueError(f"masked, tolerable and critical are {counts[:3]} in its outcomes")
        if (self.status is Status.OK) != (self.masked == images):
            raise ValueError(f"status is {self.status.value!r} with {self.masked} of {images} images masked")
        if self.certain and self.masked != images:
            raise ValueError("certain is 1, but some image was not masked")
        if not 0 <= self.correct <= images or self.activated < 0:
            raise ValueError(f"correct is {self.correct}, activated is {self.activated}")


def _where(fault: AnyFault) -> tuple[object, ...]:
    """Return site, row, col, bit and number of bits; a flip-flop has no row and no column."""
    if isinstance(fault, FlipFlopFault):
        return f"{FLIP_FLOP_PREFIX}{fault.name}", None, None, fault.bit, 1
    first = fault.sites[0]
    return first.site.value, first.row, first.col, first.bit, len(fault.sites)


def _when(fault: AnyFault) -> tuple[int | None, ...]:
    """Return layer, GEMM, tile, first cycle and cycles; of a flip-flop's fault the clock cycle of the run."""
    if isinstance(fault, FlipFlopFault):
        return None, None, None, fault.first_cycle, 1 if fault.transient else None
    window = fault.window
    if window is None:
        return (None,) * 5
    return window.layer, window.gemm, window.tile, window.first_cycle, window.cycles
