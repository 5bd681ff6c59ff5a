"""The `campaign` commands."""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from axft_host.campaign.cluster import quiet_dask
from axft_host.campaign.directory import SPEC_NAME
from axft_host.campaign.runner import FAULT_LIST_NAME, SilentProgress
from axft_host.campaign.store import STORE_NAME, ResultStore
from support.kill_runs import PROGRAM, rows_of, start

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
    assert re.search(r"\d pairs to simulate, about ", shown)
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
    again = run("campaign resume c").stdout
    assert "8P-im2col" in again
    assert "faults     0 run now, 200 kept from before" in again
    shutil.rmtree(place / "c" / "8P-im2col")
    assert "faults     100 run now, 100 kept from before" in run("campaign resume c --workers 1").stdout


def test_images_of_the_command_line_are_those_of_every_run(
    run: Run, run_json: RunJson, spec: Path, place: Path
) -> None:
    """They are recorded as those of inject, and a resumed campaign has them still; the specification is not asked."""
    spec.write_text(SPEC.replace("small-data.npz", "mnist-not-fetched.npz"), encoding="utf-8")
    assert "mnist-not-fetched.npz" in run("campaign run c.toml --out lacks", 2).stderr
    assert "nothing.npz" in run("campaign run c.toml --data nothing.npz --out lacks", 2).stderr.splitlines()[-1]
    assert not (place / "lacks").exists()
    assert run_json("campaign check c.toml --data small-data.npz")["runs"][0]["images"] == 12
    value = run_json("campaign run c.toml --data small-data.npz --workers 1 --out d")
    run("inject --config 8P --array 4x3 --model small.npz --data small-data.npz --images 12 --faults 100 --out r")
    assert run_json("campaign diff r d/8P-im2col")["equal"] is True
    for result in ("r", "d/8P-im2col"):
        with ResultStore.open(place / result) as store:
            about = store.provenance()
        assert about.options is not None
        assert about.options["workload"]["data"] == str((place / "small-data.npz").resolve())
    for path in (place / "d" / "34P-im2col").iterdir():
        path.unlink()
    resumed = run_json("campaign resume d --workers 1")
    assert [one["outcomes"] for one in resumed["runs"]] == [one["outcomes"] for one in value["runs"]]


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
    deadline = time.monotonic() + 180
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


def edited(place: Path, old: str, new: str) -> None:
    """Change the resolved specification of the campaign c."""
    path = place / "c" / SPEC_NAME
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("sampling", ["", "[sampling]\nconfidence = 0.9\n"])
def test_campaign_of_a_listed_fault_list_runs(
    run: Run, run_json: RunJson, spec: Path, place: Path, sampling: str
) -> None:
    """What it writes down can be read back: it is complete, and can be looked at and resumed."""
    run("faults --config 8P --array 4x3 --faults 30 --out f.jsonl")
    text = SPEC.partition("[sampling]")[0]
    spec.write_text(f'{text}[faults]\nlist = "f.jsonl"\n{sampling}', encoding="utf-8")
    value = run_json("campaign run c.toml --workers 1 --out c")
    assert value["complete"] is True
    assert [(one["faults"], one["confidence"]) for one in value["runs"]] == [(30, 0.9 if sampling else 0.95)] * 2
    assert run_json("campaign resume c")["complete"] is True
    assert [one["state"] for one in run_json("campaign status c")["runs"]] == ["complete", "complete"]


def test_store_of_another_plan_is_refused(run: Run, run_json: RunJson, spec: Path, place: Path) -> None:
    """By everything that looks at the campaign, with the run and what differs; its runs can be looked at one by one."""
    run("campaign run c.toml --workers 1 --out c")
    edited(place, '"images": 12', '"images": 10')
    told = "run 34P-im2col: its store c/34P-im2col/campaign.sqlite is of another plan: images is 12 there, 10 in the"
    assert told in run("campaign status c", 2).stderr.splitlines()[-1]
    for line in ("campaign resume c", "campaign report c", "campaign diff c c", "campaign compare c"):
        assert "is of another plan: images is 12 there" in run(line, 2).stderr.splitlines()[-1]
    (listed,) = run_json("campaign list .")
    assert {one["state"] for one in listed["runs"]} == {"unreadable"}
    run("campaign report c/8P-im2col")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"seed": 0', '"seed": 1', "seed is 0 there, 1 in the campaign"),
        ('"faults": 100', '"faults": 101', "faults is 100 there, 101 in the campaign"),
        (
            '"sampling": {',
            '"stopping": {"half_width": 0.1}, "sampling": {',
            "a stopping rule is False there, True in the campaign",
        ),
        ('"score": "softmax"', '"score": "raw"', "score is 'softmax' there, 'raw' in the campaign"),
        ('"weight"', '"psum"', "site is 'weight' there, 'psum' in the campaign"),
    ],
)
def test_what_differs_from_the_plan_is_named(run: Run, spec: Path, place: Path, old: str, new: str, told: str) -> None:
    """Whatever it is."""
    run("campaign run c.toml --workers 1 --out c")
    edited(place, old, new)
    assert told in run("campaign resume c", 2).stderr.splitlines()[-1]


def test_runs_that_were_renamed_are_named(run: Run, run_json: RunJson, spec: Path, place: Path) -> None:
    """And a store that stands under another run's name is not taken for it."""
    run("campaign run c.toml --workers 1 --out c")
    (place / "c" / "34P-im2col").rename(place / "c" / "mine")
    value = run_json("campaign status c")
    assert (value["orphans"], [one["state"] for one in value["runs"]]) == (["mine"], ["complete", "waiting"])
    assert "no runs of this campaign, and left alone: mine in c" in run("campaign status c").stderr
    (place / "c" / "8P-im2col").rename(place / "c" / "34P-im2col")
    assert "config is '8P' there, '34P' in the campaign" in run("campaign resume c", 2).stderr.splitlines()[-1]


def test_store_that_cannot_be_read_hides_nothing(run: Run, run_json: RunJson, spec: Path, place: Path) -> None:
    """It has a row of its own, with the reason."""
    for name in ("a", "b"):
        run(f"campaign run c.toml --workers 1 --out all/{name}")
    connection = sqlite3.connect(place / "all" / "a" / "8P-im2col" / STORE_NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    (place / "all" / "b" / SPEC_NAME).write_text("{", encoding="utf-8")
    first, second = run_json("campaign list all")
    assert [one["state"] for one in first["runs"]] == ["unreadable", "complete"]
    assert "schema version 99" in first["runs"][0]["problem"]
    assert "is damaged" in second["runs"][0]["problem"]
    shown = run("campaign list all")
    assert ("unreadable" in shown.stdout, "schema version 99" in shown.stderr) == (True, True)
    failed = run("campaign status all/a", 2)
    assert ("34P-im2col" in failed.stdout, "schema version 99" in failed.stderr.splitlines()[-1]) == (True, True)
    assert "holds some: give one of a, b in it" in run("campaign status all", 2).stderr


def test_check_tells_of_stopping_rules_and_of_what_is_drawn_of_each_stratum(
    run: Run, run_json: RunJson, spec: Path
) -> None:
    """Sizes and time are upper bounds then; those behind a pilot follow from it."""
    more = 'design = "neyman"\nstrata = "bit"\npilot = 30\n[stopping]\nhalf_width = 0.1\n'
    spec.write_text(SPEC.replace('["8P", "34P"]', '"8P"') + more, encoding="utf-8")
    pilot, main = run_json("campaign check c.toml")["runs"]
    assert (pilot["allocation_from"], main["allocation_from"]) == ("pilot", "after pilot")
    assert (sum(pilot["allocation"].values()), sum(main["allocation"].values())) == (30, 100)
    assert (pilot["stopping"], main["stopping"]["half_width"]) == (None, 0.1)
    said = " ".join(run("campaign check c.toml").stdout.split())
    assert "bit=7 (9 of 12); how many are drawn of each follows from the pilot" in said
    assert "8P-im2col stops early by the rule half-width, at a half width of 0.1 for critical" in said
    assert "upper bounds" in said


def test_what_came_of_a_stopping_rule_is_said(run: Run, run_json: RunJson, spec: Path) -> None:
    """Where it stopped, or that its target was not reached; and what the intervals are."""
    rule = "[stopping]\nhalf_width = 0.001\n"
    spec.write_text(SPEC.replace('["8P", "34P"]', '"8P"') + rule, encoding="utf-8")
    said = run("campaign run c.toml --workers 1 --out c").stdout
    assert "8P-im2col: target of its stopping rule not reached, though all 100 listed faults ran" in said
    assert "intervals  95 %, betting" in said
    assert "target listed" in said
    assert "complete (target not reached)" in run("campaign status c").stdout
    assert run_json("campaign status c")["runs"][0]["target_reached"] is False
    spec.write_text(spec.read_text(encoding="utf-8").replace("0.001", "0.2"), encoding="utf-8")
    said = run("campaign run c.toml --workers 1 --out d").stdout
    (state,) = run_json("campaign status d")["runs"]
    assert (state["target_reached"], state["stopped_at"] < 100) == (True, True)
    assert f"8P-im2col: its stopping rule found {state['stopped_at']} of 100 listed faults enough" in said
    assert f"{state['stopped_at']} of" in said


def test_export_and_diff_of_campaigns_say_what_to_do(run: Run, spec: Path, place: Path) -> None:
    """Which runs there are to export, and that a campaign is to be resumed before it is compared."""
    for name in ("a", "b"):
        run(f"campaign run c.toml --workers 1 --out {name}")
    assert "allowed: a/8P-im2col or a/34P-im2col" in run("campaign export a --csv", 2).stderr
    (place / "b" / "34P-im2col" / STORE_NAME).unlink()
    assert "b lacks 34P-im2col; `axft-hw campaign resume b` goes on" in run("campaign diff a b", 2).stderr
    connection = sqlite3.connect(place / "b" / "8P-im2col" / STORE_NAME)
    connection.execute("DELETE FROM faults WHERE idx > 50")
    connection.commit()
    connection.close()
    (place / "a" / "34P-im2col" / STORE_NAME).unlink()
    assert "`axft-hw campaign resume b` goes on" in run("campaign diff a b", 2).stderr.splitlines()[-1]


def test_second_interrupt_names_the_campaign(run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not one of its runs."""

    class Impatient(SilentProgress):
        """Presses Ctrl-C twice."""

        def advance(self, pairs: int) -> None:
            """Press it."""
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("axft_host.cli.campaign_run.make_progress", Impatient)
    last = run("campaign run c.toml --workers 1 --out c", 130).stderr.splitlines()[-1]
    assert last == (
        "Error: interrupted: the faults that are done are kept in c/8P-im2col/campaign.sqlite; "
        "`axft-hw campaign resume c` goes on"
    )


@pytest.mark.parametrize("limit", [2_000, 40_000])
def test_campaign_without_room_says_how_it_goes_on(run_json: RunJson, spec: Path, place: Path, limit: int) -> None:
    """With exit code 1; it does, when there is room."""
    line = "campaign run c.toml --workers 1 --out c"
    ran = subprocess.run(
        [*PROGRAM, *line.split()], cwd=place, capture_output=True, text=True,
        check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert ran.stderr.splitlines()[-1].endswith("`axft-hw campaign resume c` goes on")
    assert run_json("campaign resume c --workers 1")["complete"] is True


def test_scheduler_that_does_not_answer_leaves_nothing(run: Run, spec: Path, place: Path, monkeypatch: Any) -> None:
    """The last line says so; it can be run again."""
    pytest.importorskip("distributed", reason="distributed is of the extra `cluster`")
    monkeypatch.setattr("axft_host.campaign.cluster._ANSWER_S", 0.5)
    for address in ("tcp://127.0.0.1:1", "nowhere"):
        last = run(f"campaign run c.toml --out c --dask {address}", 2).stderr.splitlines()[-1]
        assert last.startswith(f"Error: no Dask scheduler answers at {address} (")
        assert "resume" not in last
        assert not (place / "c").exists()


def test_log_of_dask_is_kept_from_stderr() -> None:
    """Whatever levels it sets when it is imported: its tracebacks are no messages for users."""
    pytest.importorskip("distributed", reason="distributed is of the extra `cluster`")
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "distributed.batched")]
    before = [(logger, logger.level) for logger in [*loggers, *map(logging.getLogger, logging.root.manager.loggerDict)]]
    try:
        quiet_dask()
        assert not any(logger.isEnabledFor(logging.CRITICAL) for logger in loggers)
    finally:
        for logger, level in before:
            logger.setLevel(level)


def test_damaged_run_is_not_said_to_go_on(run: Run, spec: Path, place: Path) -> None:
    """Unlike one that lacks room or workers."""
    run("campaign run c.toml --workers 1 --out c")
    connection = sqlite3.connect(place / "c" / "34P-im2col" / STORE_NAME)
    connection.execute("UPDATE faults SET activated = activated + 1 WHERE idx = 3")
    connection.execute("UPDATE meta SET value = '\"interrupted\"' WHERE key = 'state'")
    connection.commit()
    connection.close()
    last = run("campaign resume c --workers 1", 2).stderr.splitlines()[-1]
    assert ("row idx 3" in last, "goes on" in last) == (True, False)
