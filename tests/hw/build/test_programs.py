"""Programs that builds start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from axft_hw.build.programs import running
from axft_spec.errors import BackendError

_SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_interrupt_while_a_program_starts_ends_it(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """It comes before anybody knows of the program."""
    started: list[subprocess.Popen[str]] = []

    class Popen(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)
            os.kill(os.getpid(), number)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, interrupt)
    monkeypatch.setattr("axft_hw.build.programs.subprocess.Popen", Popen)
    try:
        with pytest.raises(KeyboardInterrupt), running(_SLEEP):
            raise AssertionError("the block is not entered")
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)
    (process,) = started
    assert process.returncode is not None


def test_program_ends_with_the_block() -> None:
    """By an error; and one that has ended is left as it is."""
    with pytest.raises(ValueError, match="mine"), running(_SLEEP) as process:
        raise ValueError("mine")
    assert process.returncode == -signal.SIGTERM
    with running([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE) as process:
        assert process.communicate()[0] == "1\n"
    assert process.returncode == 0


def test_program_that_is_not_there_is_told() -> None:
    """With the reason of the system."""
    with (
        pytest.raises(BackendError, match="nowhere/nothing cannot be started: No such file"),
        running(["nowhere/nothing"]),
    ):
        pass
