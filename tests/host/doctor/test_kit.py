"""What comes with the package for a board: units for systemd, and the guide that uses them."""

from __future__ import annotations

import re
import shlex
from configparser import RawConfigParser
from importlib import resources
from pathlib import Path

import click
import pytest

from axft_host.cli.main import cli

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "guides" / "board-bring-up.md"
UNITS = resources.files("axft_host.agent").joinpath("systemd")


def unit(name: str) -> RawConfigParser:
    """Read a file of systemd's format; of a key that is there twice the last value is kept."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNITS.joinpath(name).read_text(encoding="utf-8"))
    return parser


def check_line(words: list[str]) -> None:
    """Check that a command line names a command and options that there are."""
    command: click.Command = cli
    context = click.Context(cli)
    rest = words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0])
        assert found is not None, words
        command, rest = found, rest[1:]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    used = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert used <= known, words


def test_unit_starts_the_agent_with_options_that_there_are() -> None:
    """In the image's environment, with what pynq needs to find a device."""
    service = unit("axft-hw.service")["Service"]
    words = shlex.split(service["ExecStart"])
    assert words[0] == "/usr/local/share/pynq-venv/bin/axft-hw"
    assert words[-1] == "$AXFT_SERVE_OPTIONS"
    assert "Environment=XILINX_XRT=/usr\n" in UNITS.joinpath("axft-hw.service").read_text(encoding="utf-8")
    assert service["Restart"] == "always"
    check_line(words[:-1])


@pytest.mark.parametrize("name", ["axft-hw.service", "axft-hw.default"])
def test_options_of_the_units_are_those_of_serve(name: str) -> None:
    """Also where they are commented out."""
    text = UNITS.joinpath(name).read_text(encoding="utf-8")
    found = re.findall(r"(?m)AXFT_SERVE_OPTIONS=(-.*|\".*\")$", text)
    assert found
    for options in found:
        check_line(["axft-hw", "serve", *shlex.split(options.strip('"'))])


def test_serial_unit_takes_the_login_away() -> None:
    """Two readers of one port would share its bytes."""
    assert unit("axft-hw-serial.conf")["Unit"]["Conflicts"] == "serial-getty@ttyPS0.service"


def test_serial_unit_replaces_the_whole_command() -> None:
    """What the network's options are in /etc/default counts more than any variable that a drop-in sets."""
    text = UNITS.joinpath("axft-hw-serial.conf").read_text(encoding="utf-8")
    reset, command = re.findall(r"(?m)^ExecStart=(.*)$", text)
    assert reset == ""
    assert "AXFT_SERVE_OPTIONS" not in command
    words = shlex.split(command)
    assert words[0] == shlex.split(unit("axft-hw.service")["Service"]["ExecStart"])[0]
    check_line(words)


@pytest.mark.skipif(not GUIDE.exists(), reason="installed without its documentation")
def test_commands_of_the_guide_are_those_that_there_are() -> None:
    """Every line that somebody is told to type."""
    blocks = re.findall(r"(?s)```[a-z]*\n(.*?)```", GUIDE.read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    parts = [part.strip() for line in lines for part in re.sub(r"^(PC\$|board#)|\s#\s.*", "", line).split("&&")]
    checked = [shlex.split(part) for part in parts if part.startswith("axft-hw ")]
    assert len(checked) >= 8
    for words in checked:
        check_line(words)


@pytest.mark.skipif(not GUIDE.exists(), reason="installed without its documentation")
@pytest.mark.parametrize("page", ["guides/board-bring-up.md", "hardware-status.md", "concepts/board-performance.md"])
def test_links_lead_to_pages(page: str) -> None:
    """Relative ones, to files that there are."""
    path = ROOT / "docs" / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
