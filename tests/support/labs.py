"""Executes labs in this process as notebooks do: cell after cell in one namespace, what a cell ends with is shown."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import io
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from axft_host.campaign.blas import use_one_blas_thread

use_one_blas_thread()  # as in a notebook, where numpy is not loaded yet

import matplotlib  # noqa: E402

from axft_host.api.figures import Picture  # noqa: E402
from axft_host.labs import Lab  # noqa: E402

matplotlib.use("Agg", force=True)

LABS = Path(__file__).parents[2] / "labs"


def _load_make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("labs_make", LABS / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _load_make()


@dataclass
class LabRun:
    """A lab that has run: its namespace, what it printed, what its cells ended with, its figures as PNG."""

    namespace: dict[str, Any]
    printed: str
    shown: list[object] = field(default_factory=list)
    figures: list[bytes] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def lab(self) -> Lab:
        """Its session."""
        lab = self.namespace["lab"]
        assert isinstance(lab, Lab)
        return lab

    def say(self, task: str, answer: object, **given: object) -> str:
        """Return what is said of an answer to a task; how the lab's tasks stand is not changed."""
        lab = replace(self.lab, states={})
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            lab.check(task, answer, **given)
        return printed.getvalue().strip()


def lab_path(number: str) -> Path:
    """Return the file of a lab."""
    (path,) = LABS.glob(f"{int(number):02d}-*.py")
    return path


def run_source(source: str, namespace: dict[str, Any], name: str) -> object:
    """Execute one cell; return the value of its last line if that is an expression."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)
    return None if last is None else eval(compile(ast.Expression(last.value), name, "eval"), namespace)


@functools.cache
def run_lab(number: str, board: str | None = None) -> LabRun:
    """Execute a lab with its solutions; once, whoever asks."""
    import matplotlib.pyplot as plt

    path = lab_path(number)
    notebook = make.read_lab(path, board=board)
    make.solve(notebook, path)
    run = LabRun({"__name__": "__main__"}, "")
    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for place, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            value = run_source(cell.source, run.namespace, f"{path.name}, cell {place}")
            if value is not None:
                run.shown.append(value)
                for form in ("_repr_html_", "__repr__"):
                    getattr(value, form, str)()
                if isinstance(value, Picture):
                    run.figures.append(value.png())
            assert not plt.get_fignums(), f"{path.name}, cell {place}: a figure without lab.picture has no text"
    run.printed, run.seconds = printed.getvalue(), time.process_time() - began
    return run


if __name__ == "__main__":
    import sys

    number, directory = sys.argv[1], Path(sys.argv[2])
    done = run_lab(number, sys.argv[3] if len(sys.argv) > 3 else None)
    directory.mkdir(parents=True, exist_ok=True)
    for place, png in enumerate(done.figures):
        (directory / f"{int(number):02d}-{place}.png").write_bytes(png)
    print(done.printed)
    print(f"{done.seconds:.1f} s of CPU, {len(done.figures)} figures")
