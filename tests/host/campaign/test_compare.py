"""Comparison of two results, pair by pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from axft_host.campaign.compare import SHOWN, compare
from axft_host.campaign.outcome import Outcome
from axft_host.campaign.records import FaultRow, Golden, Provenance
from axft_host.campaign.store import STORE_NAME, ResultStore
from axft_spec.errors import StoreError
from axft_spec.faults import Fault, parse_fault

FAULTS = [parse_fault(f"weight:r0:c0:b{bit}:sa1") for bit in range(3)]
CODES = np.array([[0, 0, 1, 2], [0, 0, 0, 0], [2, 2, 1, 0]], dtype=np.uint8)


def write(
    directory: Path,
    *,
    faults: list[Fault] = FAULTS,
    codes: np.ndarray = CODES,
    image_ids: tuple[int, ...] = (0, 1, 2, 3),
    activated: int = 9,
    listed: int = 3,
    **about: object,
) -> Path:
    """Write a store with these outcomes; return its directory."""
    directory.mkdir()
    values = {name: name for name in Provenance.__slots__} | {"faults": listed, "golden_accuracy": 1.0} | about
    labels = np.zeros(len(image_ids), dtype=np.int64)
    golden = Golden(image_ids=np.array(image_ids), labels=labels, predictions=labels)
    with ResultStore.create(directory / STORE_NAME, Provenance(**values), golden) as store:
        store.add(
            [
                FaultRow.of(index, fault, row, correct=0, activated=activated)
                for index, (fault, row) in enumerate(zip(faults, codes, strict=True))
            ]
        )
        store.finish(complete=True, seconds=1.0)
    return directory


def test_equal_results_are_equal(tmp_path: Path) -> None:
    """All pairs are counted."""
    result = compare(write(tmp_path / "a"), write(tmp_path / "b"))
    assert result.equal
    assert (result.faults, result.pairs, result.differing_pairs, result.first, result.settings) == (3, 12, 0, (), {})


def test_differing_pairs_are_named(tmp_path: Path) -> None:
    """By fault and by index in the data set, with both outcomes."""
    changed = CODES.copy()
    changed[1, 2], changed[2, 0] = Outcome.CRITICAL, Outcome.MASKED
    result = compare(
        write(tmp_path / "a", image_ids=(10, 11, 12, 13)),
        write(tmp_path / "b", codes=changed, image_ids=(10, 11, 12, 13)),
    )
    assert not result.equal
    assert (result.differing_pairs, result.differing_status) == (2, 1)
    assert [(pair.fault, pair.image, pair.a, pair.b) for pair in result.first] == [
        ("weight:r0:c0:b1:sa1", 12, "masked", "critical"),
        ("weight:r0:c0:b2:sa1", 10, "critical", "masked"),
    ]


def test_pairs_are_matched_by_fault_and_image_not_by_place(tmp_path: Path) -> None:
    """Other orders of the same faults and images are the same results."""
    shuffled = write(
        tmp_path / "b",
        faults=[FAULTS[2], FAULTS[0], FAULTS[1]],
        codes=CODES[[2, 0, 1]][:, ::-1],
        image_ids=(3, 2, 1, 0),
    )
    assert compare(write(tmp_path / "a"), shuffled).equal


def test_activation_counts_and_golden_runs_are_compared(tmp_path: Path) -> None:
    """Equal outcomes are not yet equal runs."""
    a = write(tmp_path / "a")
    result = compare(a, write(tmp_path / "b", activated=8))
    assert (result.equal, result.differing_pairs, result.differing_activated) == (False, 0, 3)
    result = compare(a, write(tmp_path / "c", golden_digest="another"))
    assert (result.equal, result.golden_equal, result.differing_pairs) == (False, False, 0)


def test_only_the_first_differences_are_named(tmp_path: Path) -> None:
    """But all are counted."""
    images = tuple(range(40))
    zeros, ones = np.zeros((3, 40), dtype=np.uint8), np.ones((3, 40), dtype=np.uint8)
    a = write(tmp_path / "a", codes=zeros, image_ids=images)
    result = compare(a, write(tmp_path / "b", codes=ones, image_ids=images))
    assert (result.differing_pairs, len(result.first)) == (120, SHOWN)


def test_other_settings_are_told_and_not_refused(tmp_path: Path) -> None:
    """To compare configurations or backends is what this is for."""
    result = compare(write(tmp_path / "a"), write(tmp_path / "b", backend="rtl"))
    assert result.equal
    assert result.settings == {"backend": ("backend", "rtl")}
    assert result.to_json()["settings"] == {"backend": ["backend", "rtl"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"dataset_digest": "0123456789abcdef"},
            r"only with the same images, not \d+ of digest dataset_dige \(.*\) and \d+ of digest 0123456789ab \(",
        ),
        ({"score": "raw"}, r"only with the same score, not score \(.*\) and raw \("),
        ({"image_ids": (0, 1, 2, 4)}, "only with the same images"),
        ({"listed": 5}, r"only when both are complete, not with 3 of 5 faults \("),
        (
            {"faults": [*FAULTS[:2], parse_fault("weight:r0:c0:b7:sa1")]},
            r"only with the same faults: 1 of 3 are only in .*, 1 of 3 only in .*; run both with the same --fault-list",
        ),
    ],
)
def test_results_about_different_things_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """With what differs in the message."""
    with pytest.raises(StoreError, match=message):
        compare(write(tmp_path / "a"), write(tmp_path / "b", **change))
