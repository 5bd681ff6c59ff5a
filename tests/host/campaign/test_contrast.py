"""Configurations on the same faults: what can be compared, and the figures against the exported rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from axft_host.campaign.comparison import sign_flip_test
from axft_host.campaign.confidence import betting_interval
from axft_host.campaign.contrast import contrasts
from axft_host.campaign.export import fault_table
from axft_host.campaign.options import StoppingOptions
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.store import STORE_NAME
from axft_spec.errors import ConfigError
from support.small_campaign import small_plan

CLASSES = ["masked", "tolerable", "critical"]


def run(directory: Path, name: str, **options: object) -> Path:
    """Run a small campaign; return its directory."""
    return run_campaign(small_plan(directory, **options), directory / name).store.parent


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with results of one space."""
    directory = tmp_path_factory.mktemp("contrast")
    for config in ("8P", "34P", "2QH", "2TE"):
        run(directory, config, workload={"config": config})
    run(directory, "34P-longer", workload={"config": "34P"}, faults={"faults": 90})
    run(directory, "8P-longer", faults={"faults": 90})
    run(directory, "34P-toeplitz", workload={"config": "34P", "lowering": "toeplitz"})
    run(directory, "34P-seed", workload={"config": "34P"}, faults={"faults": 60, "seed": 5})
    run(directory, "34P-raw", workload={"config": "34P"}, score="raw")
    run(directory, "34P-images", workload={"config": "34P", "images": 5})
    run(directory, "34P-flip", workload={"config": "34P"}, faults={"faults": 60, "kind": "flip"})
    run(directory, "34P-list", workload={"config": "34P"}, faults={"fault": "weight:r0:c0:b6:sa1"})
    stratified = {"faults": 60, "design": "proportional", "strata": ("bit",)}
    run(directory, "34P-strata", workload={"config": "34P"}, faults=stratified)
    run(directory, "34P-stopped", workload={"config": "34P"}, stopping=StoppingOptions(half_width=0.4))
    run(directory, "Baseline", workload={"config": "Baseline"})
    return directory


def shares_of(result: Path, outcome: str) -> np.ndarray:
    """Return the share of the images in a class, from the exported rows."""
    table = fault_table(result)
    return (table[outcome] / table[CLASSES].sum(axis=1)).to_numpy()


@pytest.mark.parametrize("outcome", CLASSES)
def test_difference_is_that_of_the_means(place: Path, outcome: str) -> None:
    """Of two multipliers on the same faults; the interval is the betting one of 95%."""
    (one,), reasons = contrasts([place / "8P", place / "34P"], outcome)
    a, b = shares_of(place / "8P", outcome), shares_of(place / "34P", outcome)
    assert one.test.difference == pytest.approx(float(np.mean(a - b)))
    half = betting_interval((1 + a - b) / 2, 192, 60, 0.95)
    assert (one.interval.low, one.interval.high) == pytest.approx((2 * half.low - 1, 2 * half.high - 1))
    assert (one.name_a, one.name_b, one.outcome, one.confidence) == ("8P", "34P", outcome, 0.95)
    assert one.test.differing == np.count_nonzero(a != b) > 0
    assert reasons == []


def test_p_values_are_corrected_for_all_comparisons(place: Path) -> None:
    """Six of four configurations, by Holm: the smallest times six, the next times five or that, and so on."""
    paths = [place / name for name in ("8P", "34P", "2QH", "2TE")]
    found, _ = contrasts(paths, "masked")
    assert len(found) == 6
    plain = [
        sign_flip_test(shares_of(Path(one.a), "masked"), shares_of(Path(one.b), "masked")).p_value for one in found
    ]
    assert [one.test.p_value for one in found] == plain
    order = sorted(range(6), key=plain.__getitem__)
    expected, most = [0.0] * 6, 0.0
    for rank, number in enumerate(order):
        most = max(most, min(1.0, (6 - rank) * plain[number]))
        expected[number] = most
    assert [one.corrected for one in found] == pytest.approx(expected)
    assert min(plain) < 0.01 < max(plain)


def test_two_configurations_are_compared_once_on_most_faults(place: Path) -> None:
    """Of two results each, those that have 90 in common; no configuration meets itself."""
    (one,), reasons = contrasts([place / name for name in ("8P", "34P", "8P-longer", "34P-longer")])
    assert (Path(one.a).name, Path(one.b).name, one.test.faults) == ("8P-longer", "34P-longer", 90)
    assert reasons == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("34P-toeplitz", "only with the same lowering, not with im2col and toeplitz"),
        ("34P-raw", "only with the same score, not with softmax and raw"),
        ("34P-seed", "only with the same seed of the draw, not with 0 and 5"),
        ("34P-images", "only on the same images, not on 12 and 5"),
        ("34P-flip", "only on the same fault space, not on kinds"),
        ("34P-list", "only on faults drawn from a space, not on a list made by hand"),
        ("34P-strata", "on simple samples, not on the design 'proportional'"),
        ("34P-stopped", "at a number of faults that was set beforehand"),
        ("Baseline", "only on the same fault space, not on bits"),
    ],
)
def test_results_that_differ_otherwise_are_refused(place: Path, name: str, reason: str) -> None:
    """The message says in what; beside a comparison that can be made, it is a note."""
    with pytest.raises(ConfigError, match=f"^8P and {name}: configurations can be compared {reason}"):
        contrasts([place / "8P", place / name / STORE_NAME])
    found, reasons = contrasts([place / "8P", place / "2QH", place / name])
    assert len(found) == 1
    assert any(reason in each for each in reasons)


def test_results_of_one_configuration_have_nothing_to_compare(place: Path) -> None:
    """Nor has one result; an unknown class is said before anything is read."""
    with pytest.raises(ConfigError, match="results to compare must be of two configurations, not of one"):
        contrasts([place / "8P", place / "8P-longer"])
    with pytest.raises(ConfigError, match="results to compare must be two or more, not 1"):
        contrasts([place / "8P"])
    with pytest.raises(ConfigError, match=r"^unknown class of outcomes 'sdc'; allowed: masked, tolerable, critical"):
        contrasts([place / "8P", place / "34P"], "sdc")


def test_other_networks_are_no_configurations(place: Path, tmp_path: Path) -> None:
    """A difference between them says nothing about multipliers."""
    (tmp_path / "34P").mkdir()
    other = tmp_path / "34P" / "campaign.sqlite"
    other.write_bytes((place / "34P" / "campaign.sqlite").read_bytes())
    with sqlite3.connect(other) as connection:
        connection.execute("UPDATE meta SET value = '\"0000\"' WHERE key = 'network_source_digest'")
    connection.close()
    with pytest.raises(ConfigError, match="only with the same content of the network, not with"):
        contrasts([place / "8P", tmp_path / "34P"])
