"""Help of every command, and what it promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from axft_host.backends.registry import BOARDS
from axft_host.campaign.outcome import SCORES
from axft_host.campaign.plan import DEFAULT_FAULTS, DEFAULT_IMAGES, KINDS
from axft_host.campaign.versions import own_version
from axft_host.cli.main import cli
from axft_host.nn.datasets import DEFAULT_DATASET
from axft_host.nn.library import SHIPPED
from axft_host.nn.published import PUBLISHED
from axft_host.nn.quantise import ROUNDINGS
from axft_spec.config import OPERANDS, PRESETS
from axft_spec.faults import Site
from axft_spec.lowering import LOWERINGS
from support.command_line import invoke


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the name of every command, as on the command line."""
    context = click.Context(group)
    for name in group.list_commands(context):
        yield (*path, name)
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def help_of(*path: str) -> str:
    """Return a command's help on one line."""
    result = invoke(*path, "--help", terminal_width=200)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def test_all_commands_are_there() -> None:
    """Those that users are told of."""
    names = {" ".join(path) for path in commands()}
    assert names == {
        *("configs", "multipliers", "data", "data fetch", "data export", "compile", "infer", "faults", "inject"),
        *("diff", "export", "report", "generate", "build", "doctor", "board-report", "serve", "campaign"),
        *(f"campaign {name}" for name in ("check", "run", "resume", "status", "list", "compare")),
        *(f"campaign {name}" for name in ("export", "diff", "report")),
    }


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    """With a description, --json and --debug."""
    text = help_of(*path)
    assert text.startswith(f"Usage: axft-hw {' '.join(path)}")
    assert "--json" in text
    assert "--debug" in text


def test_no_help_shows_marks_of_its_layout() -> None:
    """Click takes the character U+0008 before a paragraph as a mark; in a raw string it is two other characters."""
    texts = {path: invoke(*path, "--help").stdout for path in [(), *commands()]}
    assert [path for path, text in texts.items() if "\\b" in text or "\b" in text] == []


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_option_has_help(path: tuple[str, ...]) -> None:
    """One sentence at least."""
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert [option.name for option in options if not (option.help or "").rstrip().endswith(".")] == []


def test_summaries_fit_on_one_line() -> None:
    """The list of commands cuts none of them off."""
    result = invoke("--help", terminal_width=80)
    assert "..." not in result.stdout.partition("Commands:")[2]


def test_exit_codes_are_documented() -> None:
    """All four."""
    text = help_of()
    for code in ("0 done", "1 diff", "2 bad input", "130 interrupted"):
        assert code in text


def test_version_is_printed() -> None:
    """And nothing else."""
    result = invoke("--version")
    assert result.stdout == f"axft-hw {own_version()}\n"


@pytest.mark.parametrize(
    ("path", "option", "names"),
    [
        ("inject", "--config", PRESETS),
        ("inject", "--board", BOARDS),
        ("inject", "--site", [site.value for site in Site]),
        ("inject", "--kind", KINDS),
        ("inject", "--score", SCORES),
        ("inject", "--lowering", LOWERINGS),
        ("inject", "--rounding", ROUNDINGS),
        ("inject", "--operand-a", OPERANDS),
        ("inject", "--data", [DEFAULT_DATASET]),
        ("inject", "--model", SHIPPED),
        ("inject", "--faults", [str(DEFAULT_FAULTS)]),
        ("inject", "--images", [str(DEFAULT_IMAGES)]),
        ("data fetch", "", PUBLISHED),
    ],
)
def test_help_names_what_is_allowed(path: str, option: str, names: list[str]) -> None:
    """The texts are written without importing what they describe, and must keep up with it."""
    text = help_of(*path.split())
    described = text.partition(f" {option} ")[2].partition(" --")[0] if option else text
    assert [name for name in names if name not in described] == []


def test_help_does_not_wait_for_heavy_imports() -> None:
    """Help of everything, without numpy and what needs it."""
    program = (
        "import sys\nfrom axft_host.cli.main import cli\n"
        "for line in ('--help', 'inject --help', 'data fetch --help'):\n"
        "    try: cli(line.split())\n    except SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'rich', 'onnx', 'axft_spec.config'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
