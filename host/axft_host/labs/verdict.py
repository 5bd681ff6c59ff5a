"""What a check says, as one line in a notebook or in a terminal."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from html import escape
from typing import Any

__all__ = ["State", "Verdict", "notebook_shell", "show"]


class State(str, Enum):
    """Of a task: right, wrong, or open (not answered yet)."""

    RIGHT = "right"
    WRONG = "wrong"
    OPEN = "open"


#: Mark, text colour and border colour. The colours have a contrast of 7 to white; the mark says the same without them.
_LOOKS = {
    State.RIGHT: ("✓", "#0b5a3c", "#12805c"),
    State.WRONG: ("✗", "#8a1c1c", "#c0392b"),
    State.OPEN: ("…", "#4a4a4a", "#8a8a8a"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.

    Parameters
    ----------
    task : str
        Its number, as in ``3.2``.
    state : State
    message : str
        For the student; may be empty if the answer is right.
    """

    task: str
    state: State
    message: str = ""

    @property
    def _head(self) -> str:
        return f"{_LOOKS[self.state][0]} {self.task} {self.state.value}"

    def __repr__(self) -> str:
        return f"{self._head}: {self.message}" if self.message else self._head

    def _repr_html_(self) -> str:
        _, text, border = _LOOKS[self.state]
        style = f"border-left:4px solid {border};padding:2px 10px;margin:4px 0;color:{text};background:#fff"
        rest = f": {escape(self.message)}" if self.message else ""
        return f'<div role="status" style="{style}"><b>{escape(self._head)}</b>{rest}</div>'


def notebook_shell() -> Any:
    """Return IPython's shell if this runs in one, else None."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def show(verdict: Verdict) -> None:
    """Show a verdict: as HTML in a notebook, as a line of text elsewhere."""
    if notebook_shell() is None:
        print(repr(verdict))
    else:
        sys.modules["IPython"].display.display(verdict)
