"""Tasks of lab 1: the array, cycle by cycle."""

from __future__ import annotations

from typing import Any

from axft_host.labs.answers import number
from axft_host.labs.session import Lab
from axft_host.labs.tasks import Tasks

task = Tasks("1")


@task("1.1", "a whole number of cycles")
def _(answer: Any, lab: Lab) -> str | None:
    return number(answer, 16)
