"""What the guides tell people to do on a board, done on the virtual one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from axft_host.backends.bitstreams import find_bitstream
from axft_spec.config import find_preset
from support.command_line import invoke
from support.doc_blocks import DOCS, Block, blocks_of, commands_of
from support.virtual_board import virtual_board


def board_blocks(page: str) -> list[Block]:
    """Return the blocks of a guide that a board and a PC of the virtual kind can run, in order."""
    return [block for block in blocks_of(DOCS / "guides" / page) if block.is_code and "skip" not in block.verbs]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, which is empty; speeds are not what is tested."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("axft_host.doctor.trial._SPEED_S", 0.01)
    monkeypatch.setattr("axft_host.device.examination.speed.PATH_S", 0.01)
    return tmp_path


@pytest.mark.parametrize("page", ["board-bring-up.md", "pynq.md"])
def test_commands_of_a_guide_run_on_the_virtual_board(page: str, place: Path) -> None:
    """Every `axft-hw` command, of the PC and of the board, in order; all end well."""
    blocks = [block for block in board_blocks(page) if block.language in ("sh", "console")]
    assert any("virtual" in block.verbs for block in blocks)
    with virtual_board(("34P",), (8, 8)):
        for block in blocks:
            for command, _ in commands_of(block):
                words = shlex.split(command, comments=True)
                assert words[0] == "axft-hw", f"{block}: {command}"
                done = invoke(*words[1:])
                assert done.exit_code == 0, f"{block}: {command}\n{done.output}"


def test_notebook_of_the_guide_runs_on_the_virtual_board(place: Path) -> None:
    """Line by line, with the bitstream where the guide has it."""
    (block,) = [block for block in board_blocks("pynq.md") if block.language == "python"]
    with virtual_board(("34P",), (8, 8)):
        found = find_bitstream(find_preset("34P").config.resized(8, 8), None, ()).path
        (place / "bitstreams").mkdir()
        (place / "bitstreams" / "34P-28x28").symlink_to(found.parent)
        code = block.text.replace("axft.bit", found.name)
        exec(compile(code, str(block), "exec"), {"__name__": "__page__"})
