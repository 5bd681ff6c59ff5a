"""Whole campaigns on a virtual board, from the command line."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from axft_host.campaign.store import ResultStore
from axft_spec.faults import Site
from support.command_line import invoke
from support.virtual_board import needs_pynq, virtual_board

needs_pynq()

CAMPAIGN = ["--faults", "50", "--images", "2", "--seed", "11"]


@pytest.mark.parametrize("config", ["34P", "8P"])
def test_outcomes_are_those_of_the_emulator(config: str, tmp_path: Path) -> None:
    """Fifty faults: no pair differs, and faults were activated. One process, whatever is asked for."""
    board = ["--board", "pynq", "--config", config, "--workers", "4"]
    with virtual_board([config], (8, 8), sites=(Site.WEIGHT,)):
        run = invoke("inject", *board, *CAMPAIGN, "--out", str(tmp_path / "b"), "--json")
    assert run.exit_code == 0, run.output
    emulated = invoke("inject", "--config", config, *CAMPAIGN, "--workers", "1", "--out", str(tmp_path / "e"))
    assert emulated.exit_code == 0, emulated.output
    diff = invoke("diff", str(tmp_path / "b"), str(tmp_path / "e"), "--json")
    assert diff.exit_code == 0, diff.output
    found = json.loads(diff.stdout)
    assert found["pairs"] == 100
    assert found["differing_pairs"] == 0
    assert json.loads(run.stdout)["activated_faults"] > 10
    with ResultStore.open(tmp_path / "b") as store:
        device, sessions = store.provenance().device, store.sessions()
    assert device is not None and device["pynq_device"] == "virtual Zynq"
    assert [each.workers for each in sessions] == ["this process"]


def test_bitstream_that_was_named_is_used_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the campaign is gone on with, from another directory."""
    with virtual_board(["34P"], (4, 4)):
        (bit,) = Path(os.environ["AXFT_BITSTREAMS"]).glob("*/*.bit")
        monkeypatch.delenv("AXFT_BITSTREAMS")
        monkeypatch.chdir(bit.parent)
        options = ["--config", "34P", "--faults", "3", "--images", "1"]
        run = invoke("inject", "--board", "pynq", "--bitstream", bit.name, *options, "--out", str(tmp_path / "r"))
        assert run.exit_code == 0, run.output
        monkeypatch.chdir(tmp_path)
        with sqlite3.connect(tmp_path / "r" / "campaign.sqlite") as store:
            store.execute("DELETE FROM faults WHERE idx = 2")
            store.execute("UPDATE meta SET value = '\"interrupted\"' WHERE key = 'state'")
        again = invoke("campaign", "resume", str(tmp_path / "r"))
        assert again.exit_code == 0, again.output
        with ResultStore.open(tmp_path / "r") as found:
            assert (len(found), len(found.sessions())) == (3, 2)
        accuracy = invoke(
            "infer", "--board", "pynq", "--bitstream", str(bit), "--config", "34P", "--images", "2", "--json"
        )
        assert json.loads(accuracy.stdout)["accuracy"] == 1.0
        monkeypatch.setenv("AXFT_BITSTREAMS", str(bit.parents[1]))


def test_specification_names_the_bitstream_from_its_own_directory(tmp_path: Path) -> None:
    """As every path in it."""
    with virtual_board(["34P"], (4, 4)):
        (bit,) = Path(os.environ["AXFT_BITSTREAMS"]).glob("*/*.bit")
        (tmp_path / "files").symlink_to(bit.parent)
        spec = tmp_path / "c.toml"
        spec.write_text(
            '[workload]\nconfigs = "34P"\nimages = 1\n[sampling]\nfaults = 3\n[backends.emu]\n[backends.pynq]\n'
            'bitstream = "files/axft_34P.bit"\n'
        )
        run = invoke("campaign", "run", str(spec), "--out", str(tmp_path / "out"), "--json")
    assert run.exit_code == 0, run.output
    documents: list[dict[str, Any]] = json.loads(run.stdout)["runs"]
    assert [each["board"] for each in documents] == ["emu", "pynq"]
    assert documents[0]["outcomes"] == documents[1]["outcomes"]


def test_no_bitstream_is_told_before_anything_is_written(tmp_path: Path) -> None:
    """With where it was looked for."""
    with virtual_board(["8P"], (4, 4)):
        run = invoke("inject", "--board", "pynq", "--config", "34P", *CAMPAIGN, "--out", str(tmp_path / "out"))
    assert run.exit_code == 2
    last = run.stderr.splitlines()[-1]
    assert "no bitstream for width 8, multiplier 34P" in last
    assert "found there: 8P (width 8, multiplier exact, operand A weight (4x4))" in last
    assert not (tmp_path / "out").exists()
