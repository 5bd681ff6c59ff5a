"""Figures of a result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from axft_host.campaign.confidence import betting_interval
from axft_host.campaign.outcome import Status
from axft_host.campaign.records import FaultRow, Golden, Provenance
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.store import STORE_NAME, ResultStore
from axft_host.campaign.summary import json_without_outcomes, summarise
from axft_host.reports.tables import summary_facts
from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError, StoreError
from axft_spec.faults import parse_fault
from support.small_campaign import IMAGES, small_plan


def write(directory: Path, codes: list[list[int]], certain: int = 0, **about: object) -> Path:
    """Write a store: simulated faults with these outcomes, then certainly masked ones."""
    images = len(codes[0])
    labels = np.zeros(images, dtype=np.int64)
    golden = Golden(image_ids=labels, labels=labels, predictions=labels)
    directory.mkdir(exist_ok=True)
    faults = [parse_fault(f"weight:r{index}:c0:b6:sa1") for index in range(len(codes) + certain)]
    rows = [
        FaultRow.of(index, faults[index], np.array(row, dtype=np.uint8), correct=images - row.count(2), activated=index)
        for index, row in enumerate(codes)
    ]
    rows += [FaultRow.masked_with_certainty(index, faults[index], golden) for index in range(len(codes), len(faults))]
    values = {name: name for name in Provenance.__slots__} | {
        "faults": len(faults),
        "space_size": None,
        "space_certain": None,
        "golden_accuracy": 1.0,
        "confidence": 0.95,
        "physical": None,
        "config": ArrayConfig().to_json(),
        "spec": {"transient": False},
        "versions": {"python": "3"},
        "sampling": None,
        "stopping": None,
    }
    with ResultStore.create(directory / STORE_NAME, Provenance(**(values | about)), golden) as store:
        store.add(rows)
        store.finish(complete=True, seconds=2.0)
    return directory


def test_rates_of_listed_faults_are_their_means(tmp_path: Path) -> None:
    """OK is masked, SDC is the rest; nothing is estimated."""
    summary = summarise(write(tmp_path, [[0, 0, 0, 0], [0, 0, 1, 2], [2, 2, 2, 2]], certain=1))
    assert (summary.masked.rate, summary.tolerable.rate, summary.critical.rate) == (10 / 16, 1 / 16, 5 / 16)
    assert (summary.critical.low, summary.critical.high) == (5 / 16, 5 / 16)
    assert summary.interval_method == "census of the listed faults"
    assert summary.status_rates == {Status.OK: 10 / 16, Status.SDC: 6 / 16, Status.HANG: 0, Status.CRASH: 0}
    assert summary.faulty_accuracy == 11 / 16
    assert (summary.faults, summary.images, summary.pairs, summary.pairs_per_second) == (4, 4, 16, 8.0)
    assert (summary.certain_masked, summary.activated, summary.activated_faults) == (1, 3, 2)


def test_listed_faults_that_did_not_run_may_be_anything(tmp_path: Path) -> None:
    """Two of a list of five are done: no census, and no sample either."""
    summary = summarise(write(tmp_path, [[0, 0, 0, 0], [0, 0, 1, 2]], faults=5))
    assert summary.critical.rate == 1 / 8
    assert (summary.critical.low, summary.critical.high) == (0.25 / 5, 3.25 / 5)
    assert (summary.masked.low, summary.masked.high) == (1.5 / 5, 4.5 / 5)
    assert summary.interval_method == "bounds over the listed faults, those not run may be anything"


def test_first_faults_of_a_drawn_list_are_a_smaller_sample(tmp_path: Path) -> None:
    """Their rate and method are those of a list of this length; bets that were made for more faults are more timid."""
    codes = [[0, 0], [2, 2], [0, 2]]
    part = summarise(write(tmp_path / "part", codes, faults=60, space_size=400, space_certain=0))
    whole = summarise(write(tmp_path / "whole", codes, space_size=400, space_certain=0))
    assert (part.critical.rate, part.interval_method) == (whole.critical.rate, whole.interval_method)
    assert part.critical.low <= whole.critical.low < whole.critical.rate < whole.critical.high <= part.critical.high


def test_certain_faults_of_the_space_weigh_exactly(tmp_path: Path) -> None:
    """Three quarters of the space are masked for sure, whatever their share of the sample."""
    codes = [[2, 2], [0, 0]]
    summary = summarise(write(tmp_path, codes, certain=1, space_size=400, space_certain=300))
    assert summary.critical.rate == pytest.approx(0.25 / 2)
    assert summary.masked.rate == pytest.approx(0.75 + 0.25 / 2)
    assert summary.masked.low >= 0.75
    assert summary.critical.high <= 0.25
    assert summary.faulty_accuracy == pytest.approx(0.75 + 0.25 / 2)
    assert summary.interval_method == (
        "betting, without replacement, faults as units, certainly masked faults as an exact stratum; "
        "the classes together"
    )


def test_three_classes_hold_together(tmp_path: Path) -> None:
    """Bonferroni: each interval is one of 98.33%, made without the rest of this package's statistics."""
    codes = np.random.default_rng(3).integers(0, 3, (40, 6)).tolist()
    summary = summarise(write(tmp_path, codes, space_size=900, space_certain=0))
    for name, code in (("masked", 0), ("tolerable", 1), ("critical", 2)):
        shares = (np.array(codes) == code).mean(axis=1)
        assert getattr(summary, name) == pytest.approx(betting_interval(shares, 900, 40, 1 - 0.05 / 3))


def test_no_critical_fault_in_60_leaves_at_least_6_percent(tmp_path: Path) -> None:
    """40 images under each do not make it 0.15%; with Clopper and Pearson, each on its own, it is 5.96%."""
    summary = summarise(write(tmp_path, [[0] * 40] * 60, space_size=12544, space_certain=0))
    assert 0.06 < summary.critical.high < 0.11
    assert summary.for_comparison["critical"]["clopper_pearson"].high == pytest.approx(0.0596, abs=1e-4)
    assert summary.for_comparison["critical"]["wilson"].high == pytest.approx(0.0602, abs=1e-4)


def test_target_population_is_about_other_images_too(tmp_path: Path) -> None:
    """One image of ten is critical under every fault: certain for these images, and not for others."""
    codes = [[2, *[0] * 9]] * 30
    place = write(tmp_path, codes, space_size=12544, space_certain=0)
    listed, wider = summarise(place), summarise(place, "population")
    assert (listed.target, wider.target) == ("listed", "population")
    assert (wider.critical.rate, listed.critical.rate) == pytest.approx((0.1, 0.1))
    assert wider.critical.high > 0.4
    assert wider.interval_method.startswith("two-way (fault x image) variance")
    with pytest.raises(ConfigError, match=r"^target population needs faults that were drawn from a space"):
        summarise(write(tmp_path / "hand", codes), "population")
    with pytest.raises(ConfigError, match=r"^unknown target 'all'; allowed: listed, population"):
        summarise(place, "all")


def test_exhaustive_campaign_has_no_interval(tmp_path: Path) -> None:
    """All 192 faults of the small array; the three classes are all there is."""
    result = run_campaign(small_plan(tmp_path, faults={"faults": 192}), tmp_path / "result")
    summary = summarise(result.store)
    for interval in (summary.masked, summary.tolerable, summary.critical):
        assert interval.low == interval.rate == interval.high
        assert interval.rate > 0
    assert summary.masked.rate + summary.tolerable.rate + summary.critical.rate == pytest.approx(1)
    assert summary.certain_masked == summary.provenance.space_certain


def test_sampled_intervals_hold_the_exhaustive_rates(tmp_path: Path) -> None:
    """For a sample of a third of the space."""
    whole = summarise(run_campaign(small_plan(tmp_path, faults={"faults": 192}), tmp_path / "whole").store)
    part = summarise(run_campaign(small_plan(tmp_path, faults={"faults": 64}), tmp_path / "part").store)
    for name in ("masked", "tolerable", "critical"):
        interval = getattr(part, name)
        assert interval.low < getattr(whole, name).rate < interval.high


def test_json_has_the_promised_keys(tmp_path: Path) -> None:
    """And rates as fractions."""
    summary = summarise(run_campaign(small_plan(tmp_path), tmp_path / "result").store)
    value = json.loads(json.dumps(summary.to_json()))
    promised = (
        "config board site kind lowering faults fault_space images pairs seed golden_accuracy faulty_accuracy "
        "outcomes array score rounding operand_a confidence interval_method certain_masked activated "
        "fault_list_digest schema_version seconds pairs_per_second store"
    )
    assert set(promised.split()) <= set(value)
    assert set(value["outcomes"]) == {"masked", "tolerable", "critical", "ok", "sdc", "hang", "crash"}
    assert set(value["outcomes"]["critical"]) == {"rate", "low", "high"}
    assert value["array"] == "4x3"
    assert (value["faults"], value["images"], value["pairs"]) == (60, IMAGES, 60 * IMAGES)
    assert value["outcomes"]["ok"] + value["outcomes"]["sdc"] == pytest.approx(1)


def test_result_without_outcomes_says_so(tmp_path: Path) -> None:
    """As a campaign leaves it that was interrupted at once."""
    labels = np.zeros(2, dtype=np.int64)
    values = {name: name for name in Provenance.__slots__}
    golden = Golden(image_ids=labels, labels=labels, predictions=labels)
    ResultStore.create(tmp_path / STORE_NAME, Provenance(**values), golden).close()
    with pytest.raises(StoreError, match="holds no outcomes"):
        summarise(tmp_path)


def keys(value: object) -> object:
    """Return the keys of nested objects."""
    return {name: keys(part) for name, part in value.items()} if isinstance(value, dict) else None


def test_document_without_outcomes_has_the_keys_of_any_other(tmp_path: Path) -> None:
    """With null for what is not known."""
    labels = np.zeros(2, dtype=np.int64)
    golden = Golden(image_ids=labels, labels=labels, predictions=labels)
    summary = summarise(write(tmp_path / "done", [[0, 0]]))
    with ResultStore.create(tmp_path / STORE_NAME, summary.provenance, golden) as store:
        store.finish(complete=False, seconds=0.5)
    value = json.loads(json.dumps(json_without_outcomes(tmp_path)))
    assert keys(value) == keys(summary.to_json())
    assert (value["state"], value["faults"], value["pairs"], value["faults_listed"]) == ("interrupted", 0, 0, 1)
    assert value["outcomes"]["critical"] == {"rate": None, "low": None, "high": None}
    assert (value["outcomes"]["ok"], value["faulty_accuracy"], value["interval_method"]) == (None, None, None)


def test_recoveries_are_told_only_if_there_were_any(tmp_path: Path) -> None:
    """How many, by what failed and what helped; and how many faults had a result all the same."""
    stores = Path(__file__).parents[2] / "data" / "stores"
    for version in ("v1", "v3"):
        shutil.copytree(stores / version, tmp_path / version)
    calm, flaky = summarise(tmp_path / "v1"), summarise(tmp_path / "v3")
    assert calm.recovered is None and "recoveries" not in calm.to_json()
    told = flaky.to_json()["recoveries"]
    assert told.pop("seconds") == pytest.approx(0.082, abs=0.001)
    assert told == {"count": 3, "retries": 3, "rungs": {"crash": {"reload": 1, "power": 1}, "hang": {"soft reset": 1}}}
    assert dict(summary_facts(flaky))["recoveries"] == (
        "3 in 0.1 s: 2 crash (reload 1, power 1); 1 hang (soft reset 1); 3 faults had a result when run again"
    )
