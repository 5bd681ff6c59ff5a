"""Configurations on the same faults: what can be compared, and the figures against plain means of the stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from axft_host.campaign.contrast import contrasts
from axft_host.campaign.export import fault_table
from axft_host.campaign.runner import run_campaign
from axft_spec.errors import ConfigError
from support.small_campaign import small_plan


def run(directory: Path, name: str, **options: object) -> Path:
    """Run a small campaign; return its directory."""
    return run_campaign(small_plan(directory, **options), directory / name).store.parent


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with results of one space, that differ in what the weights lose."""
    place = tmp_path_factory.mktemp("contrast")
    run(place, "one")
    run(place, "same")
    run(place, "longer", faults={"faults": 90})
    run(place, "toeplitz", workload={"lowering": "toeplitz"})
    run(place, "other-seed", faults={"faults": 60, "seed": 5})
    return place


def test_result_does_not_differ_from_itself(directory: Path) -> None:
    """No fault differs; the p-value is one."""
    (one,) = contrasts([directory / "one", directory / "same"])
    assert (one.test.faults, one.test.differing, one.test.p_value, one.test.difference) == (60, 0, 1.0, 0.0)
    assert one.interval.low <= 0 <= one.interval.high


def test_longer_list_is_compared_on_what_both_have(directory: Path) -> None:
    """Its first faults are those of the shorter one."""
    (one,) = contrasts([directory / "one", directory / "longer"])
    assert (one.test.faults, one.test.differing) == (60, 0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("toeplitz", "only with the same lowering, not with im2col and toeplitz"),
        ("other-seed", "only with the same seed of the draw, not with 0 and 5"),
    ],
)
def test_results_that_differ_otherwise_are_refused(directory: Path, name: str, reason: str) -> None:
    """The message says in what."""
    with pytest.raises(ConfigError, match=f"^one and {name}: configurations can be compared {reason}"):
        contrasts([directory / "one", directory / name])


def test_one_result_is_not_enough(directory: Path) -> None:
    """Two are."""
    with pytest.raises(ConfigError, match="results to compare must be two or more, not 1"):
        contrasts([directory / "one"])


def test_every_two_that_can_be_compared_are(directory: Path) -> None:
    """Three of the five have a peer; p-values are corrected for the three comparisons."""
    found = contrasts([directory / name for name in ("longer", "one", "other-seed", "same", "toeplitz")], "masked")
    assert [(Path(one.a).name, Path(one.b).name) for one in found] == [
        ("longer", "one"), ("longer", "same"), ("one", "same"),
    ]  # fmt: skip
    assert all(one.corrected == 1 for one in found)


def test_difference_is_that_of_the_means(directory: Path) -> None:
    """Of two multipliers on the same faults, from the exported rows."""
    a = run(directory.parent / directory.name, "exact", workload={"config": "8P"})
    b = run(directory.parent / directory.name, "cut", workload={"config": "34P"})
    for outcome in ("masked", "critical"):
        (one,) = contrasts([a, b], outcome)
        tables = [fault_table(path) for path in (a, b)]
        shares = [
            table[outcome].to_numpy() / table[["masked", "tolerable", "critical"]].sum(axis=1) for table in tables
        ]
        assert one.test.difference == pytest.approx(float(np.mean(shares[0] - shares[1])))
        assert one.interval.low < one.test.difference < one.interval.high
        assert (one.name_a, one.name_b, one.outcome) == ("8P", "34P", outcome)
        assert one.test.differing == np.count_nonzero(shares[0] != shares[1]) > 0
