"""The `campaign` commands."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from axft_host.campaign.directory import SPEC_NAME
from axft_host.campaign.runner import FAULT_LIST_NAME
from axft_host.campaign.store import STORE_NAME
from support.kill_runs import rows_of, start

Run = Callable[..., Result]
RunJson = Callable[..., Any]

SPEC = """
title = "Two small runs"
[workload]
configs = ["8P", "34P"]
array = "4x3"
model = "small.npz"
data = "small-data.npz"
images = 12
[sampling]
faults = 100
"""


@pytest.fixture
def spec(place: Path) -> Path:
    """Return a specification of two runs with the small network."""
    path = place / "c.toml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def test_check_says_what_will_run(run: Run, run_json: RunJson, spec: Path, place: Path) -> None:
    """Sizes and strata exactly, the time from a measurement; nothing is written."""
    before = sorted(place.iterdir())
    value = run_json("campaign check c.toml --images 5 --workers 2")
    assert (value["title"], value["time_from"]) == ("Two small runs", "a calibration run on this machine")
    first, second = value["runs"]
    assert (first["name"], first["fault_space"], first["faults"], first["images"]) == ("8P-im2col", 192, 100, 5)
    assert first["strata"] == {"certainly masked": first["certain"], "open": 192 - first["certain"]}
    assert first["pairs"] == 5 * (100 - first["listed_certain"])
    assert second["certain"] > first["certain"] > 0
    assert 0 < first["seconds"] < 60
    assert first["measured_pairs"] > 0
    assert sorted(place.iterdir()) == before
    shown = run("campaign check c.toml").stdout
    assert "measured on this machine" in shown
    assert "8P-im2col" in shown


def test_campaign_has_a_result_for_every_run(run: Run, run_json: RunJson, spec: Path, place: Path) -> None:
    """Each is that of inject; with the resolved specification beside them."""
    value = run_json("campaign run c.toml --workers 1 --out c")
    assert value["complete"] is True
    assert [one["config"] for one in value["runs"]] == ["8P", "34P"]
    assert sorted(path.name for path in (place / "c").iterdir()) == sorted(["8P-im2col", "34P-im2col", SPEC_NAME])
    assert sorted(path.name for path in (place / "c" / "8P-im2col").iterdir()) == [STORE_NAME, FAULT_LIST_NAME]
    kept = json.loads((place / "c" / SPEC_NAME).read_text(encoding="utf-8"))
    assert kept["text"] == SPEC
    assert kept["spec"]["workload"]["model"] == str((place / "small.npz").resolve())
    options = "--config 8P --array 4x3 --model small.npz --data small-data.npz --images 12 --faults 100 --workers 1"
    direct = run_json(f"inject {options} --out r")
    assert direct["outcomes"] == value["runs"][0]["outcomes"]
    assert run_json("campaign diff r c/8P-im2col")["equal"] is True
    assert "8P-im2col" in run("campaign resume c").stdout


def test_two_campaigns_are_compared_run_by_run(run: Run, run_json: RunJson, spec: Path, place: Path) -> None:
    """A difference in one is a difference; so are other runs."""
    for name in ("a", "b"):
        run(f"campaign run c.toml --workers 1 --out {name}")
    value = run_json("campaign diff a b")
    assert value["equal"] is True
    assert [one["run"] for one in value["runs"]] == ["8P-im2col", "34P-im2col"]
    connection = sqlite3.connect(place / "b" / "34P-im2col" / STORE_NAME)
    connection.execute("UPDATE faults SET masked = masked - 1 WHERE idx = 5")
    connection.commit()
    connection.close()
    assert "row idx 5" in run("campaign diff a b", 2).stderr
    (place / "b" / "34P-im2col").rename(place / "elsewhere")
    assert "b lacks 34P-im2col" in run("campaign diff a b", 2).stderr


def test_campaign_that_lost_a_run_runs_it_again(run: Run, run_json: RunJson, spec: Path, place: Path) -> None:
    """What a kill has left of a run without a store goes; a file that is somebody's does not."""
    run("campaign run c.toml --workers 1 --out c")
    lost = place / "c" / "34P-im2col"
    (lost / STORE_NAME).rename(lost / f".{STORE_NAME}.new")
    (first, second) = run_json("campaign status c")["runs"]
    assert (first["state"], second["state"], second["faults"]) == ("complete", "waiting", None)
    assert "`axft-hw campaign resume c` goes on" in run("campaign status c").stdout
    assert run_json("campaign resume c --workers 1")["complete"] is True
    assert sorted(path.name for path in lost.iterdir()) == [STORE_NAME, FAULT_LIST_NAME]
    (lost / STORE_NAME).unlink()
    (lost / "mine.txt").write_text("mine", encoding="utf-8")
    assert "holds mine.txt, which is no part of a campaign" in run("campaign resume c", 2).stderr


def test_list_names_campaigns_and_results(run: Run, run_json: RunJson, spec: Path, place: Path) -> None:
    """Those directly in a directory, and nothing else."""
    run("campaign run c.toml --workers 1 --out all/c")
    run("inject --config 8P --array 4x3 --model small.npz --data small-data.npz --faults 5 --workers 1 --out all/r")
    (place / "all" / "other").mkdir()
    listed = run_json("campaign list all")
    assert [(Path(one["directory"]).name, len(one["runs"])) for one in listed] == [("c", 2), ("r", 1)]
    assert "complete" in run("campaign list all").stdout
    assert "cannot be read" in run("campaign list nowhere", 2).stderr


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are of POSIX systems")
def test_interrupted_campaign_says_how_to_go_on(run_json: RunJson, spec: Path, place: Path) -> None:
    """Exit code 130; afterwards it is the same as one that was not interrupted."""
    faults = '[faults]\nsites = "psum"\nkind = "flip"\ntransient = true\n[sampling]\nfaults = 8000\n'
    text = SPEC.replace('["8P", "34P"]', '"8P"').replace("[sampling]\nfaults = 100\n", faults)
    spec.write_text(text, encoding="utf-8")
    process = start(place, "campaign run c.toml --workers 1 --out c")
    deadline = time.monotonic() + 60
    while not rows_of(place / "c" / "8P-im2col"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    said = (place / "log.txt").read_text(encoding="utf-8")
    assert "interrupted; `axft-hw campaign resume c` goes on" in said
    (state,) = run_json("campaign status c")["runs"]
    assert (state["state"], state["listed"], state["sessions"]) == ("interrupted", 8000, 1)
    assert 0 < state["faults"] < 8000
    assert run_json("campaign resume c --workers 2")["complete"] is True


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("campaign run c.toml --out .", "output . exists and is not overwritten"),
        ("campaign run c.toml --workers 0", "workers must be at least 1, not 0"),
        ("campaign run c.toml --workers 2 --dask tcp://h:1", "--dask has the workers of its scheduler"),
        ("campaign run none.toml", "none.toml cannot be read"),
        ("campaign check c.toml --images 0", "images must be at least 1, not 0"),
        ("campaign resume .", "no result store at ."),
        ("campaign status nowhere", "no result store at nowhere"),
        ("campaign export .", "export needs a format; allowed: --csv, --parquet, --json"),
        ("campaign rum", "unknown command 'rum' (did you mean run"),
    ],
)
def test_bad_input_is_one_line(run: Run, spec: Path, line: str, message: str) -> None:
    """With exit code 2."""
    assert message in run(line, 2).stderr.splitlines()[-1]


def test_configurations_of_a_campaign_are_compared(run: Run, run_json: RunJson, spec: Path) -> None:
    """Both runs met the same faults; the one result that is left has no peer."""
    run(f"campaign run {spec} --out c")
    (one,) = run_json("campaign compare c --outcome masked")["comparisons"]
    assert (one["config_a"], one["config_b"], one["outcome"], one["faults"]) == ("34P", "8P", "masked", 100)
    assert one["low"] < one["difference"] < one["high"]
    assert one["p_value"] == one["p_value_corrected"]
    assert "Holm, over 1 comparison;" in run("campaign compare c").stdout
    failed = run("campaign compare c/8P-im2col", code=2)
    assert failed.stderr.strip().splitlines()[-1].endswith("results to compare must be two or more, not 1")


def test_target_population_widens_the_intervals(run: Run, run_json: RunJson, spec: Path) -> None:
    """In reports, and in what inject prints; another target is an error."""
    run(f"campaign run {spec} --out c")
    listed, wider = (run_json(f"report c/8P-im2col {more}")["results"][0] for more in ("", "--target population"))
    assert (listed["target"], wider["target"]) == ("listed", "population")
    assert wider["outcomes"]["critical"]["rate"] == pytest.approx(listed["outcomes"]["critical"]["rate"])
    ends = [[one["outcomes"]["critical"][end] for one in (listed, wider)] for end in ("low", "high")]
    assert ends[0][1] <= ends[0][0] and ends[1][0] <= ends[1][1]
    failed = run("report c/8P-im2col --target all", code=2)
    assert failed.stderr.strip().splitlines()[-1].endswith("unknown target 'all'; allowed: listed, population")
