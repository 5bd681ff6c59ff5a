"""Make Jupyter notebooks of the labs.

    python labs/make.py --out notebooks             # for students
    python labs/make.py --out solved --solved       # with the teacher's answers in place
    python labs/make.py --out solved --solved --run # executed too: needs nbclient and ipykernel

The labs are Python files in jupytext's percent format, and so are their solutions: a cell of a solution takes the place
of the cell with the same tag, but for the calls of `check` at its end, which stay the lab's.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import jupytext
import nbformat

LABS = Path(__file__).parent

_BOARD = re.compile(r'^BOARD = "[^"]*"', re.MULTILINE)


def lab_files() -> list[Path]:
    """Return the labs in order."""
    return sorted(LABS.glob("[0-9][0-9]-*.py"))


def read_lab(path: Path, *, board: str | None = None) -> nbformat.NotebookNode:
    """Return a lab as a notebook, for a board if one is named."""
    notebook = jupytext.read(path)
    # It says that this is a percent file; of a notebook that said so, JupyterLab with jupytext would open neither.
    notebook.metadata.pop("jupytext", None)
    if board is not None:
        cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
        cell.source, count = _BOARD.subn(f'BOARD = "{board}"', cell.source)
        if count != 1:
            raise SystemExit(f"{path}: the first code cell must set BOARD once, not {count} times")
    return notebook


def _task(cell: nbformat.NotebookNode) -> str | None:
    tags = [tag for tag in cell.metadata.get("tags", []) if tag.startswith("task-")]
    return tags[0] if tags else None


def _split(source: str) -> tuple[str, str]:
    """Return what a cell holds before its first call of `check`, and the rest."""
    place = re.search(r"^check\(", source, re.MULTILINE)
    return (source, "") if place is None else (source[: place.start()], source[place.start() :])


def solve(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Put the answers of a lab's solution in place.

    Raises
    ------
    SystemExit
        If lab and solution do not have the same tasks.
    """
    solution = jupytext.read(LABS / "solutions" / path.name)
    answers = {_task(cell): cell for cell in solution.cells if cell.cell_type == "code"}
    tasks = [_task(cell) for cell in notebook.cells if _task(cell) is not None]
    if sorted(map(str, answers)) != sorted(map(str, tasks)):
        raise SystemExit(f"{path}: its tasks are {tasks}, and those of its solution {list(answers)}")
    for cell in notebook.cells:
        if (task := _task(cell)) is not None:
            cell.source = f"{answers[task].source.rstrip()}\n\n{_split(cell.source)[1]}".rstrip()


def main(arguments: list[str]) -> None:
    """Write the notebooks."""
    parser = argparse.ArgumentParser(description="Make Jupyter notebooks of the labs.")
    parser.add_argument("--out", type=Path, required=True, help="directory to write to; made if it does not exist")
    parser.add_argument("--solved", action="store_true", help="with the teacher's answers in place")
    parser.add_argument("--run", action="store_true", help="execute them, so that they hold their outputs")
    parser.add_argument("--board", help="set BOARD at the top of each to this")
    parser.add_argument("--lab", action="append", help="number of a lab; may be repeated; all by default")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for path in lab_files():
        if options.lab and path.name[:2].lstrip("0") not in options.lab:
            continue
        notebook = read_lab(path, board=options.board)
        if options.solved:
            solve(notebook, path)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        if options.run:
            import nbclient

            # Of the kernel's log, errors alone: it warns of every connection within one machine.
            quiet = ["--IPKernelApp.log_level=ERROR"]
            nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", extra_arguments=quiet).execute()
        target = options.out / f"{path.stem}.ipynb"
        nbformat.write(notebook, target)
        print(target)


if __name__ == "__main__":
    main(sys.argv[1:])
