"""Campaigns of several runs, against the command line and a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import axft
from axft_host.campaign.spec import read_spec
from axft_spec.errors import ConfigError, StoreError
from support.command_line import invoke

TABLES = {
    "workload": {"configs": ["8P", "34P"], "array": "4x3", "model": "small.npz", "data": "small-data.npz", "images": 8},
    "faults": {"sites": ["weight", "activation"], "kind": "flip"},
    "sampling": {"faults": 40},
}
FILE = """
title = "two configurations"
[workload]
configs = ["8P", "34P"]
array = "4x3"
model = "small.npz"
data = "small-data.npz"
images = 8
[faults]
sites = ["weight", "activation"]
kind = "flip"
[sampling]
faults = 40
"""


@pytest.fixture
def campaign(place: Path) -> axft.Campaign:
    """Return a campaign that has run."""
    return axft.Campaign(title="two configurations", **TABLES).run(workers=1, progress=False)


def test_keywords_are_the_tables_of_a_file(place: Path) -> None:
    """The same specification but for its name; paths are found from here, as those of a file from the file."""
    (place / "two.toml").write_text(FILE, encoding="utf-8")
    assert axft.Campaign(title="two configurations", **TABLES).spec.to_json() == read_spec(place / "two.toml").to_json()
    assert axft.Campaign("two.toml").spec.name == "two"


def test_run_is_what_the_command_runs(campaign: axft.Campaign, place: Path) -> None:
    """The same pairs, rates and comparisons."""
    (place / "two.toml").write_text(FILE, encoding="utf-8")
    said = invoke("campaign", "run", "two.toml", "--workers", "1", "--out", "theirs")
    assert said.exit_code == 0, said.output
    differences = campaign.diff("theirs")
    assert list(differences) == list(campaign.results)
    assert all(one.equal and one.pairs for one in differences.values())
    theirs = json.loads(invoke("campaign", "compare", "theirs", "--json").stdout)["comparisons"]
    assert campaign.compare()["p_value"].tolist() == [one["p_value"] for one in theirs]
    here, there = (campaign.results[f"{theirs[0][key]}-im2col"] for key in ("config_a", "config_b"))
    assert not here.diff(there).equal
    two = here.compare(there)
    assert [two.difference, two.interval.low, two.p_value] == [
        theirs[0][key] for key in ("difference", "low", "p_value")
    ]
    assert here.compare(there, "masked").outcome == "masked"
    points = f"{100 * theirs[0]['difference']:+.2f}"
    interval = f"{100 * theirs[0]['low']:+.2f} to {100 * theirs[0]['high']:+.2f}"
    differ = f"{theirs[0]['differing_faults']} of {theirs[0]['faults']}"
    pair = f"{theirs[0]['config_a']} - {theirs[0]['config_b']}"
    assert repr(two).startswith(f"<Contrast {pair}, critical: {points} points (95% interval {interval}), p ")
    assert repr(two).endswith(f"; {differ} faults differ>")
    shown = two._repr_html_()
    assert replace(two, name_a="x", name_b="x")._repr_html_().count(f">{here.directory.name} - {there.directory.name}<")
    assert all(f">{text}</td>" in shown for text in (points, interval, differ))
    assert campaign.rates.index.get_level_values("run").unique().tolist() == ["8P-im2col", "34P-im2col"]


def test_opened_campaign_knows_its_runs(campaign: axft.Campaign) -> None:
    """Complete, and nothing runs again."""
    again = axft.Campaign.open(campaign.directory)
    assert again.complete
    before = campaign.status["created_utc"].tolist()
    assert again.resume(workers=1, progress=False).status["created_utc"].tolist() == before
    assert "34P-im2col" in again._repr_html_()


def test_run_that_is_missing_is_run(campaign: axft.Campaign) -> None:
    """And no other."""
    gone = campaign.directory / "34P-im2col"
    for path in gone.iterdir():
        path.unlink()
    gone.rmdir()
    assert campaign.status["state"].tolist() == ["complete", "waiting"]
    assert "waiting" in campaign._repr_html_()
    assert campaign.resume(workers=1, progress=False).complete


def test_check_forecasts_and_leaves_nothing(place: Path) -> None:
    """As many faults as asked for, of so many."""
    before = sorted(place.iterdir())
    table = axft.Campaign(**TABLES).check(workers=1)
    assert table["faults"].tolist() == [40, 40]
    assert sorted(place.iterdir()) == before


def test_wrong_words_are_named(place: Path) -> None:
    """The table, the key and what is allowed."""
    with pytest.raises(ConfigError, match="configs"):
        axft.Campaign(workload={"configs": ["7P"]})
    with pytest.raises(ConfigError, match="colour"):
        axft.Campaign(**{**TABLES, "faults": {"colour": "red"}})
    with pytest.raises(ConfigError, match="a file or keywords"):
        axft.Campaign("two.toml", workload={})
    with pytest.raises(ConfigError, match=r"^workload.configs: Config\(config='8P', .* allowed: names, such as '8P'; "):
        axft.Campaign(workload={"configs": [axft.Config("8P")]})
    with pytest.raises(ConfigError, match=r"^sampling.faults: \{1, 2\} cannot be .* allowed: a text, a number, "):
        axft.Campaign(**{**TABLES, "sampling": {"faults": {1, 2}}})
    assert axft.Campaign(**{**TABLES, "sampling": {"faults": np.int64(7)}}).spec.samples[0].faults == 7
    with pytest.raises(StoreError, match="has not run"):
        _ = axft.Campaign(**TABLES).directory
