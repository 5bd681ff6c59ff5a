"""Every lab: runs with its solutions, asks all its tasks, becomes a small notebook, begins in the same way."""

from __future__ import annotations

import ast
import contextlib
import html
import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jupytext
import nbclient
import nbformat
import pytest

from axft_host.labs.tasks import labs, tasks_of
from support.labs import LABS, lab_path, make, run_lab


def first_cell(path: Path) -> str:
    """Return the source of a lab's first cell of code."""
    notebook = jupytext.read(path)
    return str(next(cell.source for cell in notebook.cells if cell.cell_type == "code"))


@pytest.fixture(params=labs())
def number(request: pytest.FixtureRequest) -> str:
    """Return the number of each lab."""
    return str(request.param)


def test_every_lab_has_a_file_a_solution_and_tasks() -> None:
    """Files, solutions and modules of tasks are those of the same labs."""
    files = [path.name for path in make.lab_files()]
    assert [str(int(name[:2])) for name in files] == labs()
    assert sorted(path.name for path in (LABS / "solutions").glob("*.py")) == files


def test_lab_with_its_solutions_passes_every_check(number: str) -> None:
    """Each task is asked in the notebook, and its solution is right."""
    run = run_lab(number)
    assert {task: state.value for task, state in run.lab.states.items()} == dict.fromkeys(tasks_of(number), "right")
    assert f"{len(tasks_of(number))} of {len(tasks_of(number))} tasks are right" in run.printed


@pytest.mark.parametrize("answer", [None, ..., "?", object(), [], {}, float("nan"), lambda: 1, b"", 1j, [[1], [2, 3]]])
def test_no_answer_raises(number: str, answer: object) -> None:
    """Whatever an answer is, the check says one line about it, and that it is not right."""
    run = run_lab(number)
    for task in tasks_of(number):
        said = run.say(task, answer)
        assert re.fullmatch(rf"[✗…] {re.escape(task)} (wrong|open): [^\n]+", said), said
        assert "Traceback" not in said


def test_notebook_is_small_and_holds_no_output(number: str, tmp_path: Path) -> None:
    """What students get is text: no outputs, no pictures."""
    make.main(["--out", str(tmp_path), "--lab", number])
    (made,) = tmp_path.glob("*.ipynb")
    assert made.stat().st_size < 80_000
    notebook = nbformat.read(made, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert sum(cell.cell_type == "markdown" for cell in notebook.cells) > 5


@pytest.mark.parametrize("options", [[], ["--solved"], ["--board", "rtl"]])
def test_notebook_is_paired_with_no_other_file(number: str, options: list[str], tmp_path: Path) -> None:
    """JupyterLab with jupytext refuses a notebook whose metadata list formats without that of notebooks."""
    make.main(["--out", str(tmp_path), "--lab", number, *options])
    (made,) = tmp_path.glob("*.ipynb")
    assert "jupytext" not in nbformat.read(made, as_version=4).metadata


def test_lab_does_not_tell_its_answers(number: str) -> None:
    """Blanks are blanks: every cell of a task holds three dots before its check."""
    notebook = make.read_lab(lab_path(number))
    cells = [cell for cell in notebook.cells if any(tag.startswith("task-") for tag in cell.metadata.get("tags", []))]
    assert cells
    for cell in cells:
        before, after = make._split(cell.source)
        assert "..." in before and "check(" in after, cell.source


def test_task_without_an_answer_is_open(number: str) -> None:
    """As the notebook has it, every task is open, and none is called wrong."""
    run = run_lab(number)
    lab = replace(run.lab, states={})
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in make.read_lab(lab_path(number)).cells:
            if make._task(cell) is not None:
                exec(cell.source, run.namespace | {"lab": lab, "check": lab.check})
    assert {task: state.value for task, state in lab.states.items()} == dict.fromkeys(tasks_of(number), "open")


def names(source: str, context: type[ast.expr_context]) -> set[str]:
    """Return the names that a cell sets, or uses."""
    tree = ast.parse(source)
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return found | defined if context is ast.Store else found


def test_lab_goes_on_without_answers(number: str) -> None:
    """A student who is stuck at a task can do the others: no cell but a task's uses an answer."""
    notebook = make.read_lab(lab_path(number))
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tasks = [make._task(cell) is not None for cell in cells]
    answers = {name for cell, task in zip(cells, tasks, strict=True) if task for name in names(cell.source, ast.Store)}
    for cell, task in zip(cells, tasks, strict=True):
        used = names(cell.source, ast.Load) - names(cell.source, ast.Store)
        assert task or not used & answers, cell.source


def test_first_cells_differ_in_the_number_alone(number: str) -> None:
    """What students meet first is the same everywhere."""
    with_number = 'start("{}"'
    own = first_cell(lab_path(number)).replace(with_number.format(number), with_number.format("N"))
    other = first_cell(lab_path(labs()[0])).replace(with_number.format(labs()[0]), with_number.format("N"))
    assert own.replace(f"Lab {number} ", "Lab N ") == other.replace(f"Lab {labs()[0]} ", "Lab N ")


def test_first_cell_without_the_package_says_what_to_do(number: str, tmp_path: Path) -> None:
    """A kernel that lacks the package: no traceback, but a command."""
    cell = tmp_path / "cell.py"
    cell.write_text(
        "import sys\nsys.modules['axft_host'] = None\n"
        f"try:\n    exec({first_cell(lab_path(number))!r})\n"
        "except Exception as error:\n    print('\\n'.join(error._render_traceback_()))\n"
    )
    done = subprocess.run([sys.executable, cell], capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout and sys.executable in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_lab_runs_in_a_kernel(tmp_path: Path) -> None:
    """Verdicts come as HTML, and a board that is not there as a message without a traceback."""
    notebook = make.read_lab(lab_path("1"))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells = [code[0], nbformat.v4.new_code_cell('check("1.1", "many")')]
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    (verdict,) = (output for output in notebook.cells[1].outputs if output.output_type == "display_data")
    assert "1.1 wrong" in verdict["data"]["text/html"]

    notebook = make.read_lab(lab_path("1"), board="pynq")
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"][:1]
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    (stop,) = (output for output in notebook.cells[0].outputs if output.output_type == "error")
    assert "cannot begin" in stop["traceback"][0] and 'BOARD = "emu"' in stop["traceback"][0]
    assert "File " not in "".join(stop["traceback"]) and "Traceback" not in "".join(stop["traceback"])


def test_executed_lab_has_a_text_for_every_figure_and_no_warnings(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In what viewers show first, HTML; and of the kernel's log, nothing."""
    make.main(["--out", str(tmp_path), "--lab", "1", "--solved", "--run"])
    assert "WARNING" not in capfd.readouterr().err
    (made,) = tmp_path.glob("*.ipynb")
    notebook = nbformat.read(made, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    for picture in pictures:
        assert f'alt="{html.escape(picture.metadata["image/png"]["alt"])}"' in picture.data["text/html"]
