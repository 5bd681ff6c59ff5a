"""The tasks of the labs: what each asks for, and how an answer to it is judged."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Judge", "Task", "Tasks", "labs", "tasks_of"]

#: Judges an answer: ``judge(answer, lab, **given)`` returns None if it is right, else what is wrong with it. `given` is
#: what the notebook hands over beside the answer: values of its own run that the answer is about.
Judge = Callable[..., "str | None"]


@dataclass(frozen=True, slots=True)
class Task:
    """One task: its number, what it asks for in a few words, and who judges it."""

    number: str
    asks: str
    judge: Judge


@dataclass(slots=True)
class Tasks:
    """The tasks of one lab, in order. Called with a number and what is asked for, it registers a judge."""

    lab: str
    tasks: dict[str, Task] = field(default_factory=dict)

    def __call__(self, number: str, asks: str) -> Callable[[Judge], Judge]:
        """Return a decorator that registers the judge of a task."""

        def register(judge: Judge) -> Judge:
            if number in self.tasks or number.partition(".")[0] != self.lab:
                raise ValueError(f"task {number} of lab {self.lab} must be new and of this lab")
            self.tasks[number] = Task(number, asks, judge)
            return judge

        return register


def labs() -> list[str]:
    """Return the numbers of the labs that there are: each has a module here, such as ``lab3``."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(one.name[len("lab") :] for one in modules if one.name.startswith("lab"))


def tasks_of(lab: str) -> dict[str, Task]:
    """Return the tasks of a lab by their numbers."""
    module: Any = importlib.import_module(f"axft_host.labs.lab{lab}")
    tasks: dict[str, Task] = module.task.tasks
    return tasks
