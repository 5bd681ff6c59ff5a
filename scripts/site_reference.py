"""Reference pages made from the code: commands from click, Python from docstrings, decisions from their titles."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click

import axft
from axft_host.cli.main import cli

__all__ = ["commands_page", "decisions_page", "python_page"]

#: The names of `axft` in the order in which they are explained.
_CHAPTERS = {
    "What most notebooks need": (
        "Config", "load_network", "load_images", "infer", "inject", "Result", "resume", "open_result", "Campaign",
        "report", "Report", "open_backend", "doctor",
    ),
    "The array, faults and multipliers from inside": (
        "schedule", "tile_operands", "TileOperands", "trace", "Trace", "follow", "FollowedFault", "multiplier",
        "MultiplierErrors", "multipliers", "configs",
    ),
}  # fmt: skip
_UNDERLINE = re.compile(r"^-{3,}$")


# --- commands -----------------------------------------------------------------------------------------------


def commands_page() -> str:
    """Return the page about every command and its options."""
    parts = [
        "# Commands\n",
        "Made from the program itself: what `axft-hw COMMAND --help` says. What programs rely on besides (streams, "
        "keys of JSON documents) is in [Exit codes and JSON](cli.md).\n",
        _paragraphs(cli.help or ""),
        "## Exit codes\n",
        _exit_codes(cli.epilog or ""),
    ]
    for path, command in _walk(cli, ()):
        parts += [f"## axft-hw {' '.join(path)}\n", _command(path, command)]
    return "\n".join(parts)


def _walk(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _walk(command, (*path, name))


def _command(path: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(command, info_name=" ".join(("axft-hw", *path)))
    usage = " ".join([context.info_name or "", *command.collect_usage_pieces(context)])
    options = [param.get_help_record(context) for param in command.get_params(context)]
    rows = [f"| `{names}` | {_cell(text)} |" for names, text in filter(None, options)]
    inner = []
    if isinstance(command, click.Group):
        listed = command.list_commands(context)
        inner = ["Commands: " + ", ".join(f"[{name}](#{'-'.join(('axft-hw', *path, name))})" for name in listed), ""]
    return "\n".join(
        ["```text", usage, "```", "", _paragraphs(command.help or ""), *inner, "| option | |", "|---|---|", *rows, ""]
    )


def _cell(text: str) -> str:
    return _inline(text).replace("|", r"\|")


def _inline(text: str) -> str:
    """Return a text of help as Markdown: what looks like a tag or an emphasis is none."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([*_<\[])", r"\\\1", part) for part in parts)


def _paragraphs(text: str) -> str:
    return "\n\n".join(_inline(part) for part in inspect.cleandoc(text).split("\n\n")) + "\n"


def _exit_codes(epilog: str) -> str:
    rows = [match.groups() for match in re.finditer(r"^ +(\d+) +(.+)$", epilog, re.MULTILINE)]
    return "\n".join(["| code | meaning |", "|---|---|", *(f"| {code} | {text} |" for code, text in rows), ""])


# --- Python -------------------------------------------------------------------------------------------------


def python_page() -> str:
    """Return the page about the names of `axft`."""
    named = [name for names in _CHAPTERS.values() for name in names]
    left = set(axft.__all__) - {*named, "figures", "AxftError", "__version__"}
    assert not left, f"{left} must be entered into a chapter"
    parts = [
        "# Python\n",
        "Made from the docstrings. `import axft` gives these names; each is loaded when it is first used. "
        "[Notebooks](../guides/notebooks.md) shows them at work. What is wrong with a value is an `axft.AxftError`, "
        "whose message says what was given and what is allowed; `axft.__version__` is the version.\n",
    ]
    for title, names in _CHAPTERS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(f"axft.{name}", getattr(axft, name), 3) for name in names]
    parts += ["## Figures\n", _described(axft.figures)]
    parts += [_entry(f"axft.figures.{name}", getattr(axft.figures, name), 3) for name in axft.figures.__all__]
    return "\n".join(parts)


def _entry(name: str, item: Any, level: int) -> str:
    heads = "#" * level
    parts = [f"{heads} {name}\n", "```text", _signature(name, item), "```\n", _described(item)]
    if inspect.isclass(item):
        parts += [_member(name.rpartition(".")[2], key, value) for key, value in _members(item)]
    return "\n".join(parts)


def _members(item: type) -> list[tuple[str, Any]]:
    """Return the public methods and properties that a class has of its own, in the order they are written in."""
    return [
        (key, value)
        for key, value in vars(item).items()
        if not key.startswith("_")
        and (inspect.isfunction(value) or hasattr(value, "func") or isinstance(value, (property, classmethod)))
    ]


def _member(owner: str, key: str, value: Any) -> str:
    function = getattr(value, "fget", None) or getattr(value, "func", None) or getattr(value, "__func__", value)
    callable_ = not (isinstance(value, property) or hasattr(value, "func"))
    title = _signature(f"{owner}.{key}", function, drop_first=True) if callable_ else f"{owner}.{key}"
    return "\n".join(["```text", title, "```\n", _described(function)])


def _signature(name: str, item: Any, *, drop_first: bool = False) -> str:
    signature = inspect.signature(item)
    params = list(signature.parameters.values())
    if drop_first:
        params = params[1:]
    shown = [str(param.replace(annotation=inspect.Parameter.empty)) for param in params]
    stars = [n for n, param in enumerate(params) if param.kind is inspect.Parameter.KEYWORD_ONLY]
    if stars and not any(param.kind is inspect.Parameter.VAR_POSITIONAL for param in params):
        shown.insert(stars[0], "*")
    one = f"{name}({', '.join(shown)})"
    return one if len(one) <= 100 else f"{name}(\n    " + ",\n    ".join(shown) + ",\n)"


def _described(item: Any) -> str:
    """Return a docstring as Markdown: its text, and its sections as lists of definitions."""
    text = inspect.getdoc(item) or ""
    if isinstance(item, ModuleType):
        return _text(text) + "\n"
    lines = text.split("\n")
    starts = [n - 1 for n, line in enumerate(lines) if n and _UNDERLINE.match(line) and lines[n - 1].strip()]
    ends = [*starts, len(lines)]
    parts = [_text("\n".join(lines[: ends[0]]))]
    for place, start in enumerate(starts):
        parts.append(_section(lines[start], lines[start + 2 : ends[place + 1]]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, lines: list[str]) -> str:
    if title == "Examples":
        return "\n".join(["**Examples**", "", "```pycon", *"\n".join(lines).strip().split("\n"), "```"])
    entries: list[tuple[str, list[str]]] = []
    for line in lines:
        if line and not line.startswith(" "):
            entries.append((line, []))
        elif line.strip() and entries:
            entries[-1][1].append(line.strip())
    if not entries:
        return ""
    return "\n".join([f"**{title}**", "", *(f"- {_entry_line(head, body)}" for head, body in entries)])


def _entry_line(head: str, body: list[str]) -> str:
    names, _, kind = head.partition(" : ")
    told = f"`{names}`" + (f" ({_text(kind)})" if kind else "")
    return told + (f": {_text(' '.join(body))}" if body else "")


def _text(text: str) -> str:
    # Docstrings have double backquotes for what is typed.
    return re.sub(r"``([^`]+)``", r"`\1`", text).strip()


# --- decisions ----------------------------------------------------------------------------------------------


def decisions_page(directory: Path) -> str:
    """Return the list of the decisions that had a cost."""
    rows = []
    for path in sorted(directory.glob("*.md")):
        title = path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ").strip()
        rows.append(f"- [{title}](../decisions/{path.name})")
    text = "Why some things are as they are, where another way had advantages of its own."
    return "\n".join(["# Decisions\n", f"{text}\n", *rows, ""])
