"""The first cell of a lab, and its checks.

A lab begins with ``lab = start("3", board=BOARD, written_for="0.1.0")``. If the package is too old for the lab, or the
board is not there, that says so and what to do about it, and stops the notebook without a traceback.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from axft_host.backends.base import Backend
from axft_host.backends.registry import Board, open_backend
from axft_host.campaign.versions import own_version
from axft_host.labs.answers import Unanswered, is_open
from axft_host.labs.tasks import Task, labs, tasks_of
from axft_host.labs.verdict import State, Verdict, notebook_shell, show
from axft_spec.config import find_preset
from axft_spec.errors import AxftError, unknown_name
from axft_spec.reference import run_tile

__all__ = ["Lab", "LabStop", "start"]

T = TypeVar("T")

#: The device that stands for the logical array on simulated hardware: quick to make, and of several tiles.
_SIMULATED = (8, 8)


#: What is said of an answer is cut at so many characters: it may repeat what the student's own code has raised.
_LONG = 400


class LabStop(Exception):  # noqa: N818  # it stops a notebook on purpose, and is no error of the package
    """Stops a notebook with a message alone: notebooks show what `_render_traceback_` returns."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(slots=True)
class Lab:
    """One run of a lab.

    Members
    -------
    number : str
    board : str
        ``emu``, ``rtl``, ``pynq`` or ``link:URL``, as ``--board`` takes it.
    physical : (int, int) or None
        Rows and columns of the device's array, where they are chosen here.
    backend : Backend
        What runs on it.
    states : dict of str to State
        How each task stands.
    """

    number: str
    board: str
    physical: tuple[int, int] | None
    backend: Backend
    states: dict[str, State] = field(default_factory=dict)

    @property
    def on_emulator(self) -> bool:
        """Whether this is the emulator: fast, and without a device."""
        return self.board == "emu"

    @property
    def where(self) -> dict[str, str]:
        """The board as keyword arguments of `axft` functions: `board`, and `physical` as in ``8x8`` if it is chosen."""
        if self.physical is None:
            return {"board": self.board}
        return {"board": self.board, "physical": "x".join(map(str, self.physical))}

    def pick(self, emulator: T, elsewhere: T) -> T:
        """Return a size for the emulator, or one for simulated hardware and boards, which are slower."""
        return emulator if self.on_emulator else elsewhere

    def check(self, task: str, answer: Any = ..., **given: Any) -> None:
        """Judge an answer and say what is wrong with it; never raises, whatever the answer is.

        Parameters
        ----------
        task : str
            Its number, as in ``3.2``.
        answer : object
            The student's.
        **given : object
            Values of this notebook that the answer is about.
        """
        tasks = tasks_of(self.number)
        found = tasks.get(task) if isinstance(task, str) else None
        if found is None:
            show(Verdict(str(task), State.WRONG, unknown_name("task", str(task), tasks)))
            return
        verdict = self._judge(found, answer, given)
        self.states[found.number] = verdict.state
        show(verdict)

    def _judge(self, task: Task, answer: Any, given: dict[str, Any]) -> Verdict:
        try:
            if is_open(answer):
                return Verdict(task.number, State.OPEN, f"not answered yet; {task.asks} is asked for")
            wrong = task.judge(answer, self, **given)
        except Unanswered as unanswered:
            return Verdict(task.number, State.OPEN, f"not answered yet; {unanswered}")
        except Exception as error:  # no answer may raise at a student
            wrong = f"this could not be read ({type(error).__name__}); {task.asks} is asked for"
        if wrong is None:
            return Verdict(task.number, State.RIGHT)
        line = " ".join(wrong.split())
        return Verdict(task.number, State.WRONG, line if len(line) <= _LONG else line[: _LONG - 1] + "…")

    def picture(self, figure: Any, alt: str) -> Any:
        """Return a figure of matplotlib as what a notebook shows once, with a text for those who do not see it.

        Parameters
        ----------
        figure : matplotlib.figure.Figure
        alt : str
            What it shows.
        """
        from axft_host.api.figures import Picture

        if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
            # Else the notebook shows it a second time, without its text.
            pyplot.close(figure)
        return Picture(figure, alt)

    def summary(self) -> None:
        """Say how all tasks stand."""
        states = {number: self.states.get(number, State.OPEN) for number in tasks_of(self.number)}
        left = [number for number, state in states.items() if state is not State.RIGHT]
        said = f"{len(states) - len(left)} of {len(states)} tasks are right"
        state = State.OPEN if left else State.RIGHT
        show(Verdict(f"lab {self.number}", state, f"{said}; left: {', '.join(left)}" if left else said))


def start(number: str, *, board: str = "emu", written_for: str = "0", config: str = "34P") -> Lab:
    """Begin a lab: check the package's version, open the board, and let it multiply once.

    Parameters
    ----------
    number : str
        Of the lab.
    board : str
        As ``--board`` takes it.
    written_for : str
        The version of this package that the notebook needs at least.
    config : str
        Name of the configuration that the board is tried with.

    Raises
    ------
    LabStop
        If the lab cannot begin; the message says what to do. Outside a notebook it is a `SystemExit`.
    """
    try:
        return _start(number, board, written_for, config)
    except AxftError as error:
        reason = f"Lab {number} cannot begin on board {board!r}: {error}\n{_advice(board)}"
    except LabStop as stop:
        reason = str(stop)
    raise LabStop(reason) if notebook_shell() is not None else SystemExit(reason)


def _start(number: str, board: str, written_for: str, preset: str) -> Lab:
    own = own_version()
    if _parts(own) < _parts(written_for) and not own.startswith("0+"):
        raise LabStop(
            f"Lab {number} was written for axft-hw {written_for}, and {own} is installed. Install the newer one with "
            f"the Python of this notebook, in the directory of its source:\n"
            f"    {sys.executable} -m pip install --upgrade .\nand start again (in Jupyter: Kernel, Restart)."
        )
    if number not in labs():
        raise LabStop(unknown_name("lab", str(number), labs()))
    if not isinstance(board, str):
        raise LabStop(f'BOARD must be a name in quotation marks, such as "emu", not {board!r}')
    physical = _SIMULATED if board == "rtl" else None
    backend = open_backend(Board(name=board, physical=physical))
    try:
        _try(backend, board, preset)
    except BaseException:
        backend.close()
        raise
    print(f"Lab {number}, axft-hw {own}, board {board}: it multiplies as specified. Ready.")
    return Lab(number, board, physical, backend)


def _parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]


def _try(backend: Backend, board: str, preset: str) -> None:
    """Multiply two small matrices, and compare with the reference model."""
    config = find_preset(preset).config
    draw = np.random.default_rng(1)
    activations, weights = draw.integers(0, 128, (4, 6)), draw.integers(-128, 128, (6, 3))
    psums = backend.gemm(config, activations[None], weights).psums[0]
    expected = run_tile(config.resized(4, 3), activations, weights, None).psums
    if not np.array_equal(psums, expected):
        raise LabStop(
            f"Board {board!r} answers, but multiplies wrongly: 4 x 6 times 6 x 3 is not as specified. Run\n"
            f"    axft-hw doctor --board {board}\nand tell your teacher what it says."
        )


def _advice(board: str) -> str:
    """Return what to do when a board cannot be opened."""
    if board == "emu":
        return "This is a defect of the installation: install the package again."
    where = {"rtl": "The simulated hardware needs a PC: the package with all it depends on, and a C compiler."}.get(
        board, f"Is the board on, and its agent running? `axft-hw doctor --board {board}` finds out what is wrong."
    )
    return f'{where}\nThe lab can be done without it: set BOARD = "emu" in this cell and run it again.'
