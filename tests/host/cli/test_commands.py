"""What the commands print and leave."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from axft_host.campaign.plan import EXPLAINED_IMAGES
from axft_host.campaign.records import FaultRow
from axft_host.campaign.store import ResultStore
from axft_host.nn.network import Network
from axft_spec.config import PRESETS
from axft_spec.faultlist import read_fault_list
from axft_spec.multipliers import PARTS
from support.small_campaign import IMAGES

Run = Callable[..., Result]
RunJson = Callable[..., Any]

SMALL = "--config 8P --array 4x3 --model small.npz --data small-data.npz"
INJECT = f"inject {SMALL} --workers 1"


# --- configs, multipliers, data -----------------------------------------------------------------------------


def test_configs_are_the_published_rows(run: Run, run_json: RunJson) -> None:
    """With the energy reduction of the study within 0.1 point."""
    listed = run_json("configs")
    assert [config["name"] for config in listed] == list(PRESETS)
    for config in listed:
        keys = {"name", "width", "multiplier", "rows", "cols", "energy_reduction", "fault_space"}
        assert set(config) == keys
        published = PRESETS[config["name"]].paper.energy_reduction
        assert config["energy_reduction"] == pytest.approx((published or 0) / 100, abs=0.001)
    assert [config["fault_space"] for config in listed[:2]] == [25088, 12544]
    assert "25,088" in run("configs").stdout


def test_multipliers_list_the_family(run_json: RunJson) -> None:
    """With the keys that others rely on, at a small width to be quick."""
    listed = run_json("multipliers --width 6")
    assert [part["name"] for part in listed] == list(PARTS)
    keys = {"name", "width", "omit_a", "omit_b", "vbreak", "mae", "wce", "ep", "power_mw", "area_um2", "delay_ns"}
    assert all(set(part) == keys for part in listed)


def test_one_multiplier_meets_its_published_figures(run_json: RunJson, run: Run) -> None:
    """EvoApproxLib's for mul12s_2PT."""
    (part,) = run_json("multipliers mul12s_2PT")
    assert (part["mae"], part["wce"], part["ep"], part["power_mw"]) == (12.25, 49, 0.8125, 1.168)
    assert "12.25" in run("multipliers 2PT").stdout


def test_table_of_a_multiplier_is_every_product(run_json: RunJson, place: Path) -> None:
    """The digest is that of the array alone."""
    (part,) = run_json("multipliers 2PP --width 5 --table t.npy")
    operands = np.arange(-16, 16)
    table = np.load(place / "t.npy")
    assert (table == operands[:, None] * operands).all()
    assert table.dtype == np.dtype("<i4")
    assert part["table_sha256"] == hashlib.sha256(table.tobytes()).hexdigest()


def test_data_lists_what_is_there_and_what_is_not(run: Run, run_json: RunJson) -> None:
    """With what to do about it."""
    listed = {info["name"]: info for info in run_json("data")["datasets"]}
    assert {"mnist-5k", "mnist", "fashion-mnist:train"} <= set(listed)
    assert not listed["mnist"]["available"]
    assert "axft-hw data fetch mnist" in listed["mnist"]["problem"]
    result = run("data")
    assert "not here" in result.stdout
    (note,) = result.stderr.splitlines()
    assert "`axft-hw data fetch mnist`" in note


def test_exported_data_is_the_same_data(run_json: RunJson, place: Path) -> None:
    """The first images, under the digest of what was written."""
    facts = run_json("data export small-data.npz --images 5 --out few.npz")
    assert facts["images"] == 5
    assert run_json("data export few.npz --out again.npz")["digest"] == facts["digest"]


# --- compile, infer -----------------------------------------------------------------------------------------


def test_compiled_network_runs_as_the_model_does(run_json: RunJson, place: Path) -> None:
    """Its file needs no configuration any more."""
    facts = run_json("compile small.npz --config 34P --rounding paper --out small-34P.npz")
    assert facts["digest"] == Network.load(place / "small-34P.npz").digest
    assert (facts["config"], facts["rounding"], facts["layers"]) == ("34P", "paper", ["conv", "dense"])
    compiled = run_json("infer --model small-34P.npz --data small-data.npz --array 4x3")
    direct = run_json("infer --config 34P --rounding paper --model small.npz --data small-data.npz --array 4x3")
    assert (compiled["config"], compiled["accuracy"]) == (direct["config"], direct["accuracy"])
    assert (compiled["float_accuracy"], direct["float_accuracy"]) == (None, 1.0)


def test_inference_has_the_promised_keys(run_json: RunJson, run: Run) -> None:
    """And its table the same figures."""
    value = run_json(f"infer {SMALL} --images 6")
    promised = "config board model images accuracy float_accuracy compensated seconds images_per_second"
    assert set(promised.split()) <= set(value)
    assert (value["config"], value["board"], value["model"], value["images"]) == ("8P", "emu", "small", 6)
    assert value["accuracy"] == 1.0
    assert "100.00 %" in run(f"infer {SMALL}").stdout


def test_compensation_is_an_option(run: Run, run_json: RunJson) -> None:
    """Measured on calibration images, with a note if they are those evaluated; off unless asked for."""
    calibrated = "infer --config 34P --array 4x3 --model small.npz --data small-data.npz --calibration small-data.npz"
    note = "ranges were measured on the images that are evaluated (small-data)"
    assert note in run(calibrated).stderr
    assert note not in run(f"infer {SMALL}").stderr
    assert run_json(calibrated)["compensated"] is False
    assert run_json(f"{calibrated} --compensate")["compensated"] is True
    assert run_json(f"{calibrated} --no-compensate")["compensated"] is False


# --- faults, inject -----------------------------------------------------------------------------------------


def test_fault_list_is_drawn_and_injected(run_json: RunJson, place: Path) -> None:
    """The outcomes are those of the same draw inside inject."""
    drawn = run_json("faults --config 8P --array 4x3 --faults 30 --seed 5 --out f.jsonl")
    assert (drawn["faults"], drawn["fault_space"], drawn["seed"]) == (30, 192, 5)
    assert read_fault_list(place / "f.jsonl").digest == drawn["digest"]
    listed = run_json(f"{INJECT} --fault-list f.jsonl --out listed")
    direct = run_json(f"{INJECT} --faults 30 --seed 5 --out direct")
    assert listed["fault_list_digest"] == direct["fault_list_digest"] == drawn["digest"]
    assert listed["outcomes"] == direct["outcomes"]
    assert run_json("diff listed direct")["equal"] is True


def test_transient_faults_are_drawn_from_the_schedule(run_json: RunJson, place: Path) -> None:
    """One cycle each, flips."""
    drawn = run_json(f"faults {SMALL} --transient --faults 12 --out f.jsonl")
    assert (drawn["transient"], drawn["kinds"]) == (True, ["flip"])
    windows = [fault.window for fault in read_fault_list(place / "f.jsonl").faults]
    assert all(window is not None and window.cycles == 1 for window in windows)
    value = run_json(f"{INJECT} --fault-list f.jsonl --out r")
    assert (value["transient"], value["fault_space"]) == (True, drawn["fault_space"])


def test_interrupted_before_the_first_fault_prints_a_document(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    """Exit code 130; nothing is known but what was to run."""

    def interrupted(*arguments: object) -> Iterator[list[FaultRow]]:
        signal.raise_signal(signal.SIGINT)
        yield from ()

    monkeypatch.setattr("axft_host.campaign.runner.run_batches_here", interrupted)
    result = run(f"{INJECT} --faults 20 --out r --json", 130)
    value = json.loads(result.stdout)
    assert (value["state"], value["faults"], value["faults_listed"]) == ("interrupted", 0, 20)
    assert value["outcomes"]["masked"]["rate"] is None
    assert "interrupted: 0 of 20 faults are done and kept in r/campaign.sqlite" in result.stderr


def test_inject_leaves_a_result_under_a_new_name(run_json: RunJson, place: Path) -> None:
    """Twice, the same outcomes in two places."""
    first, second = (run_json(f"{INJECT} --faults 20") for _ in range(2))
    assert first["store"] != second["store"]
    assert re.fullmatch(r"axft-results/\d{8}T\d{6}Z-8P-[0-9a-f]{6}/campaign\.sqlite", first["store"])
    assert first["outcomes"] == second["outcomes"]
    with ResultStore.open(place / first["store"]) as store:
        assert len(store) == 20


def test_inject_prints_outcomes_beside_the_papers(run: Run) -> None:
    """Of the shipped network, with what differs from the study, in the same place."""
    text = run("inject --config 34P --faults 12 --images 2 --workers 1 --out r").stdout
    rows = {line.split()[0]: line for line in text.splitlines() if "│" in line}
    assert set(rows) >= {"masked", "tolerable", "critical", "OK", "SDC", "hang", "crash"}
    assert [rows[name].split()[-1] for name in ("masked", "tolerable", "critical")] == ["74.16", "23.01", "2.83"]
    assert "95% interval" in text
    assert "not as in the paper: weights are rounded" in text
    assert "not as in the paper: the lowering is im2col" in text
    assert "12 of 12,544" in text
    assert text.splitlines()[-1].split() == ["result", "r/campaign.sqlite"]


def test_inject_as_in_the_paper_notes_nothing(run: Run) -> None:
    """Rounding does not matter to an exact multiplier."""
    text = run("inject --config 8P --lowering toeplitz --faults 4 --images 1 --workers 1 --out r").stdout
    assert "paper %" in text
    assert "not as in the paper" not in text


@pytest.mark.parametrize(
    "line",
    [f"{INJECT} --faults 10", "inject --config 8P --images 1 --workers 1 --fault weight:r0:c0:b6:sa1"],
)
def test_inject_of_something_else_says_nothing_of_the_paper(run: Run, line: str) -> None:
    """Another network, or a fault chosen by hand."""
    assert "paper" not in run(f"{line} --out r").stdout


def test_narrow_terminal_loses_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that are wider are left to the terminal, and the result's path is in one piece."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    name = "a-name-so-long-that-it-takes-more-than-one-line-of-a-narrow-terminal"
    assert f"{name}/campaign.sqlite" in run(f"{INJECT} --faults 5 --out {name}").stdout
    for words, line in (
        (["2PT", "12.25", "81.25", "1564.2", "2.30"], "multipliers 2PT"),
        (["0 conv", "activated", "outcome"], f"inject {SMALL} --fault weight:r0:c0:b6:sa1 --explain"),
    ):
        text = run(line).stdout
        assert [word for word in words if word not in text] == []
        assert "…" not in text


@pytest.mark.parametrize("kind", ["stuck", "flip", "sa0", "sa1"])
@pytest.mark.parametrize("site", ["weight", "activation", "weight_operand", "activation_operand", "product", "psum"])
def test_every_site_and_kind_can_be_injected(run_json: RunJson, site: str, kind: str) -> None:
    """And is what the result says."""
    value = run_json(f"{INJECT} --site {site} --kind {kind} --faults 10 --images 2 --out r")
    assert (value["site"], value["kind"], value["faults"], value["images"]) == (site, kind, 10, 2)


def test_simulated_pairs_leave_out_the_certainly_masked(run_json: RunJson, run: Run, place: Path) -> None:
    """Both rates are in the printed line."""
    value = run_json(f"{INJECT} --faults 100 --out r")
    with ResultStore.open(place / "r") as store:
        simulated = sum(not row.certain for row in store.rows())
    assert value["simulated_pairs"] == simulated * IMAGES
    assert value["pairs"] == 100 * IMAGES
    assert re.search(r"[\d,]+ pairs/s, [\d,]+ simulated/s", run(f"{INJECT} --faults 100 --out s").stdout)


def test_several_bits_and_sites_are_drawn_together(run_json: RunJson, place: Path) -> None:
    """Two bits anywhere at two sites of one PE: of 8 and 24 of them."""
    value = run_json(f"{INJECT} --site weight,psum --bits 2 --pattern pe --kind flip --faults 40 --out r")
    assert (value["site"], value["fault_space"]) == ("mixed", 32 * 31 // 2 * 12)
    faults = read_fault_list(place / "r" / "faults.jsonl").faults
    assert {len(fault.sites) for fault in faults} == {2}
    assert run_json(f"{INJECT} --fault-list r/faults.jsonl --out s")["outcomes"] == value["outcomes"]
    assert run_json("diff r s")["equal"] is True


def test_margin_and_confidence_decide_the_number_and_the_intervals(run_json: RunJson) -> None:
    """192 faults, 10%, 90%: n = 192 / (1 + 0.01 x 191 / (1.6449^2 / 4)) = 50.2."""
    value = run_json(f"{INJECT} --margin 0.1 --confidence 0.9 --out r")
    assert (value["faults"], value["confidence"]) == (51, 0.9)


def test_physical_array_gives_the_logical_outcomes(run_json: RunJson) -> None:
    """And is recorded."""
    value = run_json(f"{INJECT} --physical 2x2 --faults 20 --out a")
    assert value["physical"] == "2x2"
    assert value["outcomes"] == run_json(f"{INJECT} --physical 30x30 --faults 20 --out larger")["outcomes"]
    assert value["outcomes"] == run_json(f"{INJECT} --faults 20 --out b")["outcomes"]


def test_raw_score_is_an_option(run_json: RunJson) -> None:
    """Masked stays masked; the other two change places."""
    softmax, raw = (run_json(f"{INJECT} --faults 100 --score {score} --out {score}") for score in ("softmax", "raw"))
    assert raw["score"] == "raw"
    assert raw["outcomes"]["masked"] == softmax["outcomes"]["masked"]
    assert raw["outcomes"]["critical"] != softmax["outcomes"]["critical"]


def test_explain_follows_one_fault(run: Run, run_json: RunJson, place: Path) -> None:
    """And leaves nothing."""
    line = f"inject {SMALL} --fault weight:r0:c0:b6:sa1 --images 7 --explain"
    value = run_json(line)
    assert (value["config"], value["images"], len(value["per_image"])) == ("8P", 7, 7)
    assert value["array"] == "4x3"
    assert [layer["layer"] for layer in value["layers"]] == [0, 1]
    assert len(run_json(line.replace("--images 7", ""))["per_image"]) == EXPLAINED_IMAGES
    text = run(line).stdout
    assert "0 conv" in text
    assert text.count(value["per_image"][0]["outcome"]) >= 1
    assert {path.name for path in place.iterdir()} == {"small.npz", "small-data.npz"}


# --- diff, export -------------------------------------------------------------------------------------------


def test_diff_tells_what_differs(run: Run, run_json: RunJson) -> None:
    """Exit code 1, the settings, and pairs by name."""
    run(f"{INJECT} --faults 30 --out a")
    run(f"{INJECT} --faults 30 --lowering toeplitz --out b")
    value = run_json("diff a b", 1)
    assert value["equal"] is False
    assert value["pairs"] == 30 * IMAGES
    assert 0 < value["differing_pairs"] < value["pairs"]
    assert value["settings"] == {"lowering": ["im2col", "toeplitz"]}
    result = run("diff a b", 1)
    assert value["first"][0]["fault"] in result.stdout
    assert f"and {value['differing_pairs'] - len(value['first'])} more" in result.stdout
    assert "lowering: im2col in A, toeplitz in B" in result.stderr


def test_export_writes_csv(run: Run, run_json: RunJson, place: Path) -> None:
    """To stdout, or to a new file; as JSON, too."""
    run(f"{INJECT} --faults 9 --out r")
    lines = list(csv.DictReader(io.StringIO(run("export r --csv").stdout)))
    assert len(lines) == 9
    facts = run_json("export r --csv --out f.csv")
    assert (facts["rows"], facts["file"]) == (9, "f.csv")
    with (place / "f.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == lines
    rows = run_json("export r")["faults"]
    assert [row["fault"] for row in rows] == [line["fault"] for line in lines]


def test_json_is_alone_on_stdout(run: Run) -> None:
    """Notes and progress go to stderr."""
    for line in (f"{INJECT} --faults 5 --out r", f"infer {SMALL}", "configs", "data"):
        json.loads(run(f"{line} --json").stdout)


def test_document_names_every_key(run_json: RunJson, run: Run) -> None:
    """Of every document, at every depth."""
    text = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    run(f"{INJECT} --faults 9 --out a")
    run(f"{INJECT} --faults 9 --lowering toeplitz --out b")
    documents = [
        run_json("configs")[0],
        run_json("multipliers 2PP --width 4 --table t.npy")[0],
        run_json("data")["datasets"][0],
        run_json("data export small-data.npz --out x.npz"),
        run_json("compile small.npz --config 8P --out c.npz"),
        run_json(f"infer {SMALL}"),
        run_json("faults --config 8P --faults 3 --out f.jsonl"),
        run_json(f"{INJECT} --faults 9 --out c"),
        run_json(f"{INJECT} --faults 9 --out d")["outcomes"]["masked"],
        *(run_json(f"{INJECT} --fault weight:r0:c0:b6:sa1 --explain")[key][0] for key in ("layers", "per_image")),
        run_json("diff a b", 1),
        run_json("diff a b", 1)["first"][0],
        run_json("export a --csv --out a.csv"),
    ]
    assert [key for document in documents for key in document if f"`{key}`" not in text] == []
