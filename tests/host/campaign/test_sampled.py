"""Stratified samples and stopping rules in real campaigns: drawn, kept, gone on with, summarised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from axft_host.campaign.compare import compare
from axft_host.campaign.conduct import resume_runs, run_spec
from axft_host.campaign.outcome import Status
from axft_host.campaign.plan import Plan
from axft_host.campaign.records import FaultRow
from axft_host.campaign.runner import Progress, SilentProgress, resume_campaign, run_campaign
from axft_host.campaign.sampled import basis_of
from axft_host.campaign.spec import CampaignSpec, Run, read_spec
from axft_host.campaign.store import ResultStore
from axft_host.campaign.summary import summarise
from axft_spec.errors import AxftError
from support.small_campaign import small_plan, write_small

WORKLOAD = """
[workload]
configs = "8P"
array = "4x3"
model = "small.npz"
data = "small-data.npz"
images = 12
"""


class Quiet:
    """Watches, and remembers what ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def planned(self, run: Run, number: int, total: int, plan: Plan) -> None:
        """Remember."""
        self.ran.append(run.name)

    def resumed(self, run: Run, number: int, total: int) -> None:
        """Remember."""
        self.ran.append(f"{run.name} again")

    def progress(self) -> Progress:
        """Return one that tells nobody."""
        return SilentProgress()


def spec_of(directory: Path, text: str) -> CampaignSpec:
    """Write a specification for the small network, and read it."""
    if not (directory / "small.npz").exists():
        write_small(directory)
    (directory / "c.toml").write_text(WORKLOAD + text, encoding="utf-8")
    return read_spec(directory / "c.toml")


@pytest.fixture
def truth(tmp_path: Path) -> dict[str, float]:
    """Return the true rates, from every fault of the space."""
    spec_of(tmp_path, "")
    result = run_campaign(small_plan(tmp_path, faults={"census": True}), tmp_path / "census")
    summary = summarise(result.store)
    assert summary.faults == 192
    return {name: getattr(summary, name).rate for name in ("masked", "tolerable", "critical")}


def test_stratified_sample_estimates_the_whole_space(tmp_path: Path, truth: dict[str, float]) -> None:
    """Certainly masked faults are in no stratum, and none is drawn; intervals hold the truth."""
    spec = spec_of(tmp_path, '[sampling]\ndesign = "proportional"\nstrata = ["bit"]\nfaults = 60\n')
    result = run_spec(spec, "", tmp_path / "c", Quiet(), workers=1)
    with ResultStore.open(tmp_path / "c" / "8P-im2col") as store:
        about, rows = store.provenance(), list(store.rows())
    assert about.sampling is not None
    assert (about.sampling["design"], about.space_size, len(rows)) == ("proportional", 192, 60)
    assert not any(row.certain for row in rows)
    names = np.array(about.sampling["names"])[about.sampling["stratum"]]
    assert [f"bit={row.fault.sites[0].bit}" for row in rows] == names.tolist()
    assert about.space_certain == 192 - sum(about.sampling["sizes"]) > 0
    summary = summarise(result.directory / "8P-im2col")
    assert "stratified" in summary.interval_method
    for name, rate in truth.items():
        made = getattr(summary, name)
        assert made.low <= rate <= made.high
        assert made.rate == pytest.approx(rate, abs=0.12)


def test_neyman_follows_its_pilot_also_when_resumed(tmp_path: Path, truth: dict[str, float]) -> None:
    """The pilot's faults begin the list; a campaign that lost its second run draws the same one."""
    spec = spec_of(tmp_path, '[sampling]\ndesign = "neyman"\nstrata = ["bit"]\nfaults = 70\npilot = 30\n')
    run_spec(spec, "", tmp_path / "a", (watcher := Quiet()), workers=1)
    assert watcher.ran == ["8P-im2col-pilot", "8P-im2col"]
    run_spec(spec, "", tmp_path / "b", Quiet(), workers=2)
    for path in (tmp_path / "b" / "8P-im2col").iterdir():
        path.unlink()
    assert resume_runs(tmp_path / "b", (watcher := Quiet()), workers=1).complete
    assert watcher.ran == ["8P-im2col"]
    for name in ("8P-im2col-pilot", "8P-im2col"):
        assert compare(tmp_path / "a" / name, tmp_path / "b" / name).equal
    with (
        ResultStore.open(tmp_path / "a" / "8P-im2col-pilot") as pilot,
        ResultStore.open(tmp_path / "a" / "8P-im2col") as main,
    ):
        first, rows = list(pilot.rows()), list(main.rows())
        assert (len(first), len(rows)) == (30, 70)
        assert rows[:30] == first
        phases = (main.provenance().sampling or {})["phases"]
        assert [phase["first"] for phase in phases] == [0, 30]
    summary = summarise(tmp_path / "a" / "8P-im2col")
    for name, rate in truth.items():
        assert getattr(summary, name).low <= rate <= getattr(summary, name).high


@pytest.mark.parametrize(
    ("design", "rule"),
    [("", "half-width"), ("", "looks"), ('design = "proportional"\nstrata = ["bit"]\n', "half-width")],
)
def test_rule_stops_the_same_campaign_at_the_same_fault(
    tmp_path: Path, truth: dict[str, float], rule: str, design: str
) -> None:
    """With any number of workers; the summary has the intervals that the rule looked at."""
    looks = "looks = 4\n" if rule == "looks" else ""
    spec = spec_of(tmp_path, f'[sampling]\nfaults = 88\n{design}[stopping]\nrule = "{rule}"\nhalf_width = 0.2\n{looks}')
    for name, workers in (("a", 1), ("b", 3)):
        assert run_spec(spec, "", tmp_path / name, Quiet(), workers=workers).complete
    a, b = (tmp_path / name / "8P-im2col" for name in "ab")
    assert compare(a, b).equal
    with ResultStore.open(a) as store:
        meta, done = store.meta(), len(store)
    assert meta["stopped_at"] == done < 88
    summary = summarise(a)
    assert summary.critical.high - summary.critical.low <= 0.4
    for name, rate in truth.items():
        assert getattr(summary, name).low <= rate <= getattr(summary, name).high
    assert resume_campaign(a).faults_done == done


def test_simple_sample_keeps_which_listed_faults_are_certain(tmp_path: Path) -> None:
    """Also of those that have not run: intervals need no network."""
    result = run_campaign(small_plan(tmp_path, faults={"faults": 60}), tmp_path / "r")
    with ResultStore.open(result.store) as store:
        basis = basis_of(store.provenance())
        certain = [row.certain for row in store.rows()]
    assert basis is not None
    assert (basis.stratum == -1).tolist() == certain
    listed = run_campaign(small_plan(tmp_path, faults={"fault": "weight:r0:c0:b1:sa1"}), tmp_path / "s")
    with ResultStore.open(listed.store) as store:
        assert basis_of(store.provenance()) is None


def test_hangs_of_a_stratified_device_run_add_up(tmp_path: Path) -> None:
    """All drawn faults hang: OK is the certain part of the space, hang is the rest."""
    spec = spec_of(tmp_path, '[sampling]\ndesign = "proportional"\nstrata = ["bit"]\nfaults = 60\n')
    run_spec(spec, "", tmp_path / "c", Quiet(), workers=1)
    (path,) = (tmp_path / "c").glob("*/campaign.sqlite")
    with ResultStore.open(path) as store:
        rows, about, golden = list(store.rows()), store.provenance(), store.golden()
    hung = [FaultRow.without_result(row.index, row.fault, Status.HANG, len(golden.labels)) for row in rows]
    (tmp_path / "hung").mkdir()
    with ResultStore.create(tmp_path / "hung" / "campaign.sqlite", about, golden) as store:
        store.add(hung)
        store.finish(complete=True, seconds=1.0)
    summary = summarise(tmp_path / "hung")
    assert about.space_certain is not None
    assert summary.status_rates[Status.HANG] == pytest.approx(1 - about.space_certain / 192)
    assert sum(summary.status_rates.values()) == pytest.approx(1)


def test_rule_looks_once_more_where_the_campaign_ends(tmp_path: Path) -> None:
    """49 faults done, looks after every 50: the interval is that of 49, and not [0, 1]."""
    spec = spec_of(tmp_path, "[sampling]\nfaults = 49\n[stopping]\nhalf_width = 0.001\n")
    run_spec(spec, "", tmp_path / "c", Quiet(), workers=1)
    summary = summarise(tmp_path / "c" / "8P-im2col")
    assert summary.critical.high - summary.critical.low < 0.5
    assert summary.interval_method.endswith("; each class on its own")


def test_looks_are_named_with_their_method(tmp_path: Path) -> None:
    """The classes of the rule have the exact interval, the others the betting one."""
    rule = '[stopping]\nrule = "looks"\nlooks = 3\nhalf_width = 0.001\nspending = "bonferroni"\n'
    run_spec(spec_of(tmp_path, "[sampling]\nfaults = 60\n" + rule), "", tmp_path / "c", Quiet(), workers=1)
    method = summarise(tmp_path / "c" / "8P-im2col").interval_method
    assert method.startswith("betting, without replacement")
    assert method.endswith("; of critical at looks set in advance: exact hypergeometric, alpha spent by bonferroni")


def test_rule_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    """Looks are for simple samples: said with the specification, before any run."""
    text = '[sampling]\ndesign = "proportional"\nstrata = ["bit"]\n[stopping]\nrule = "looks"\nhalf_width = 0.1\n'
    with pytest.raises(AxftError, match="looks set in advance are for simple samples"):
        spec_of(tmp_path, text)
