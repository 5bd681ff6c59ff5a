"""The code blocks of the documentation, and what runs them; ``python -m support.doc_blocks`` in tests counts them.

A block is fenced and names its language. What stands in a comment right before it says how it is tested::

    <!-- test: skip REASON -->       it is not run, and REASON says why
    <!-- test: virtual -->           its `axft-hw` commands are run on the virtual board (tests/virtual)
    <!-- test: file NAME -->         it is the content of a file, which is written for the blocks behind it
    <!-- test: small -->             numbers of faults and images are cut down before it is run
    <!-- test: needs MODULE -->      it is run where a Python module is installed
    <!-- test: fails CODE -->        its last command ends with that exit code; 0|1 is one or the other
    <!-- test: as THIS THAT -->      it is run with THAT where the reader puts THIS, such as an address

A comment ``<!-- test: setup`` with commands in the lines below, up to ``-->``, is run where it stands, unseen.

``sh`` blocks are commands, one a line (a backslash goes on); ``console`` blocks are those behind ``$``, with what they
print below, where ``...`` stands for anything. ``python`` blocks of a page share their names. ``toml``, ``json`` and
``jsonl`` must be what they say. ``text`` is no code.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["LANGUAGES", "Block", "PageRun", "blocks_of", "commands_of", "count_blocks", "pages"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

#: Run, or checked; and no code at all.
LANGUAGES = ("sh", "console", "python", "toml", "json", "jsonl", "text")

#: Pages elsewhere that the site shows too.
ELSEWHERE = (
    "bitstreams/README.md",
    "fi_campaigns/README.md",
    "labs/README.md",
    "models/lenet5/README.md",
    "models/vgg/README.md",
)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*) *$")
_COMMENT = re.compile(r"^ *<!-- test: (?P<verb>[\w]+)(?: (?P<rest>.*?))? -->$")
_PROMPT = re.compile(r"^(?:PC|board)?[$#] +")
_SMALL = {"faults": 8, "images": 3}

#: Seconds after which a command is taken to hang; machines can be busy.
_PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page, or commands that a reader does not see."""

    page: Path
    line: int
    language: str
    text: str
    verbs: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_code(self) -> bool:
        """Whether it is to be run or checked."""
        return self.language != "text"

    @property
    def reason(self) -> str | None:
        """Why it is not run here, if it is not."""
        if "skip" in self.verbs:
            return self.verbs["skip"]
        if "virtual" in self.verbs:
            return "runs on the virtual board, in tests/virtual"
        needed = self.verbs.get("needs")
        if needed is not None and importlib.util.find_spec(needed) is None:
            return f"{needed} is not installed"
        return None

    @property
    def small(self) -> str:
        """Its text, with fewer faults and images if it says so."""
        text = self.text
        if "as" in self.verbs:
            text = text.replace(*self.verbs["as"].split())
        if "small" in self.verbs:
            for name, most in _SMALL.items():
                text = re.sub(rf"(--{name} )(\d+)", lambda m, most=most: m[1] + str(min(int(m[2]), most)), text)
                text = re.sub(rf"({name}=)(\d+)", lambda m, most=most: m[1] + str(min(int(m[2]), most)), text)
        return text


def pages() -> list[Path]:
    """Return all pages of the site that people have written."""
    return sorted(DOCS.rglob("*.md")) + [ROOT / name for name in ELSEWHERE]


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in order.

    Raises
    ------
    ValueError
        If a block names no language, does not end, or a comment says what is not known.
    """
    lines = page.read_text(encoding="utf-8").split("\n")
    return list(_blocks(page, lines))


def _blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    place, verbs = 0, {}
    while place < len(lines):
        line = lines[place]
        if line.strip() == "<!-- test: setup":
            end = lines.index("-->", place)
            yield Block(page=page, line=place + 1, language="setup", text="\n".join(lines[place + 1 : end]))
            place = end + 1
            continue
        if (comment := _COMMENT.match(line)) is not None:
            if comment["verb"] not in ("skip", "virtual", "file", "small", "needs", "fails", "as"):
                raise ValueError(f"{page}:{place + 1}: {line.strip()} says what is not known")
            verbs[comment["verb"]] = comment["rest"] or ""
            place += 1
            continue
        if (fence := _FENCE.match(line)) is not None:
            end = next((n for n in range(place + 1, len(lines)) if lines[n] == f"{fence['indent']}```"), None)
            if end is None or fence["language"] not in LANGUAGES:
                raise ValueError(f"{page}:{place + 1}: a block must end, and be one of {', '.join(LANGUAGES)}")
            text = textwrap.dedent("\n".join(lines[place + 1 : end]))
            yield Block(page=page, line=place + 1, language=fence["language"], text=text, verbs=verbs)
            place, verbs = end + 1, {}
            continue
        if line.strip():
            if verbs:
                raise ValueError(f"{page}:{place + 1}: a comment about a block must stand right before it")
            if line.startswith("    ") and not lines[place - 1].strip() and not _in_list(lines, place):
                raise ValueError(f"{page}:{place + 1}: code must be fenced, and name its language")
        place += 1


def _in_list(lines: list[str], place: int) -> bool:
    """Return whether an indented line belongs to a list, whose first line is above it."""
    above = next((line for line in reversed(lines[:place]) if line.strip() and not line.startswith("  ")), "")
    return re.match(r"([-*]|\d+\.) ", above) is not None


def commands_of(block: Block) -> list[tuple[str, list[str]]]:
    """Return the commands of a block, each with the lines that it is to print."""
    found: list[tuple[str, list[str]]] = []
    whole = True
    for line in block.small.split("\n"):
        if not whole:
            found[-1] = (f"{found[-1][0]}\n{line.removeprefix('> ')}", [])
        elif block.language == "console":
            prompt = _PROMPT.match(line)
            if prompt is None:
                found[-1][1].append(line)
                continue
            found.append((line[prompt.end() :], []))
        elif line.strip() and not line.startswith("#"):
            found.append((line, []))
        else:
            continue
        whole = not line.endswith("\\")
    return found


_SERVER = """
import sys, traceback
def main():
    names = {"__name__": "__page__"}
    for line in sys.stdin:
        source, answer = line.split()
        code = 0
        try:
            with open(source, encoding="utf-8") as file:
                exec(compile(file.read(), source, "exec"), names)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        with open(answer, "w", encoding="utf-8") as file:
            file.write(f"{code}\\n")
if __name__ == "__main__":
    main()
"""


class PageRun:
    """Runs the blocks of one page, in order, in a directory of their own.

    Parameters
    ----------
    directory : Path
        Empty. What a checkout has stands in it, as links, so that commands work as in one.
    """

    def __init__(self, directory: Path) -> None:
        self.place = directory / "page"
        self._scratch = directory / "scratch"
        for made in (self.place, self._scratch, self._scratch / "bin"):
            made.mkdir()
        for name in ("benchmarks", "fi_campaigns", "hw", "host", "models", "scripts", "tests"):
            (self.place / name).symlink_to(ROOT / name)
        for name, call in (("axft-hw", "-m axft_host.cli"), ("python", ""), ("python3", "")):
            shim = self._scratch / "bin" / name
            shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n', encoding="utf-8")
            shim.chmod(0o755)
        source = [str(ROOT / "host"), str(ROOT / "hw")]
        self._environment = {
            **os.environ,
            "PATH": f"{self._scratch / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": os.pathsep.join(source),
            "AXFT_DATA": str(self._scratch / "data"),
            "HOME": str(self._scratch),
            "COLUMNS": "120",
        }
        # What was compiled before, ours and that of tools, need not be compiled again.
        self._environment.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        self._shell: subprocess.Popen[str] | None = None
        self._python: subprocess.Popen[str] | None = None
        self._count = 0

    def close(self) -> None:
        """End what still runs, also what runs in the background."""
        for process in (self._shell, self._python):
            if process is None:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait()
            assert process.stdin is not None
            process.stdin.close()

    def run(self, block: Block) -> None:
        """Run or check a block.

        Raises
        ------
        AssertionError
            If it does not do what it is to do; with what it has printed.
        """
        if "file" in block.verbs:
            (self.place / block.verbs["file"]).write_text(block.text + "\n", encoding="utf-8")
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "jsonl":
            for line in block.text.split("\n"):
                json.loads(line)
        elif block.language == "python":
            self._check(block, self._run_python(block.small), {0}, [])
        elif block.language in ("sh", "console", "setup"):
            commands = commands_of(block)
            for number, (command, expected) in enumerate(commands):
                last = number == len(commands) - 1
                codes = block.verbs.get("fails", "0").split("|") if last else ["0"]
                self._check(block, self._run_shell(command), set(map(int, codes)), expected, command)

    def _check(
        self, block: Block, done: tuple[int, str], codes: set[int], expected: list[str], command: str = "python"
    ) -> None:
        found, printed = done
        assert found in codes, f"{block}: {command} ended with {found}, not {codes}\n{printed}"
        if expected:
            pattern = ".*".join(map(re.escape, "\n".join(expected).strip().split("...")))
            plain = "\n".join(line.rstrip() for line in printed.split("\n"))
            assert re.search(pattern, plain, re.DOTALL), f"{block}: {command} printed\n{printed}"

    def _run_shell(self, command: str) -> tuple[int, str]:
        if self._shell is None:
            self._shell = self._start(["bash", "--norc"])
        name = self._scratch / str(self._next())
        # The braces keep what a command exports for those behind it.
        return self._ask(self._shell, f"{{\n{command}\n}} > {name}.out 2>&1\necho $? > {name}.code\n", name)

    def _run_python(self, code: str) -> tuple[int, str]:
        if self._python is None:
            server = self._scratch / "server.py"
            server.write_text(_SERVER, encoding="utf-8")
            self._python = self._start([sys.executable, str(server)])
        name = self._scratch / str(self._next())
        Path(f"{name}.py").write_text(code, encoding="utf-8")
        return self._ask(self._python, f"{name}.py {name}.code\n", name)

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        # Its own output goes to a file: nobody would read a pipe.
        with (self._scratch / f"{Path(command[0]).name}.log").open("w") as log:
            return subprocess.Popen(
                command,
                cwd=self.place,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def _ask(self, process: subprocess.Popen[str], line: str, name: Path) -> tuple[int, str]:
        assert process.stdin is not None
        process.stdin.write(line)
        process.stdin.flush()
        answer, deadline = Path(f"{name}.code"), time.monotonic() + _PATIENCE_S
        while not (answer.exists() and answer.read_text(encoding="utf-8").endswith("\n")):
            if process.poll() is not None or time.monotonic() > deadline:
                return -1, f"no answer; the process has {process.returncode}\n{self._printed(name)}"
            time.sleep(0.01)
        return int(answer.read_text(encoding="utf-8")), self._printed(name)

    def _printed(self, name: Path) -> str:
        """Return what a command has printed; of Python, all that the page has printed so far."""
        own = Path(f"{name}.out")
        path = own if own.exists() else self._scratch / f"{Path(sys.executable).name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def count_blocks() -> tuple[dict[str, int], list[Block]]:
    """Return how many blocks of code the pages have and what becomes of them, and those that nothing runs.

    Hidden setups and blocks of plain text are not counted.
    """
    shown = [block for page in pages() for block in blocks_of(page) if block.is_code and block.language != "setup"]
    left = [block for block in shown if "skip" in block.verbs]
    virtual = sum("virtual" in block.verbs for block in shown)
    read = sum(block.language in ("toml", "json", "jsonl") for block in shown)
    return {
        "blocks of code": len(shown),
        "commands and Python, run by tests/docs": len(shown) - len(left) - virtual - read,
        "data, read by tests/docs": read,
        "run on the virtual board, by tests/virtual": virtual,
        "not run": len(left),
    }, left


if __name__ == "__main__":
    counts, not_run = count_blocks()
    for what, count in counts.items():
        print(f"{count:4} {what}")
    for block in not_run:
        print(f"     {block}: {block.verbs['skip']}")
