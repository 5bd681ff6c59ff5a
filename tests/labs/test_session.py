"""How a lab begins, and how it does not."""

from __future__ import annotations

import numpy as np
import pytest

from axft_host.backends.base import GemmResult
from axft_host.backends.emulator import Emulator
from axft_host.labs import session, start
from axft_host.labs.session import Lab, LabStop
from axft_host.labs.verdict import State
from axft_host.link.client import LinkSettings


def test_start_on_the_emulator_says_that_it_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and a session."""
    lab = start("1")
    assert lab.on_emulator and lab.where == {"board": "emu"} and lab.pick(100, 5) == 100
    assert capsys.readouterr().out.endswith("it multiplies as specified. Ready.\n")


@pytest.mark.parametrize(
    ("board", "said"),
    [
        ("emulator", "emu"),
        ("pynq", "pynq"),
        ("link:/dev/no-such-line", "axft-hw doctor --board link:/dev/no-such-line"),
        (3, "quotation marks"),
    ],
)
def test_start_without_the_board_says_what_to_do(board: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that ends the notebook, and names a way on."""
    # Where a link leads nowhere, patience is of no use.
    impatient = classmethod(lambda cls: LinkSettings(first_s=0.1))
    monkeypatch.setattr(LinkSettings, "from_environment", impatient)
    with pytest.raises(SystemExit) as stop:
        start("1", board=board)
    assert said in str(stop.value)


def test_start_in_a_notebook_stops_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What IPython asks for a traceback is the message alone."""
    monkeypatch.setattr(session, "notebook_shell", object)
    with pytest.raises(LabStop) as stop:
        start("1", board="nowhere")
    assert stop.value._render_traceback_() == [str(stop.value)]
    assert "unknown board 'nowhere'" in str(stop.value)


@pytest.mark.parametrize("installed", ["0.1.0", "0.9", "1.1.9"])
def test_start_of_a_newer_lab_asks_for_the_newer_package(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions are compared as numbers."""
    monkeypatch.setattr(session, "own_version", lambda: installed)
    with pytest.raises(SystemExit, match=f"written for axft-hw 1.1.10, and {installed} is installed"):
        start("1", written_for="1.1.10")


@pytest.mark.parametrize("installed", ["1.1.10", "1.2", "2.0.0rc1", "0+uninstalled"])
def test_start_accepts_a_newer_package(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer one, and a source tree, whose version nobody knows."""
    monkeypatch.setattr(session, "own_version", lambda: installed)
    start("1", written_for="1.1.10")


def test_start_refuses_a_board_that_multiplies_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    """One wrong bit is enough."""

    class Wrong(Emulator):
        def gemm(self, *args: object, **options: object) -> GemmResult:
            result = super().gemm(*args, **options)  # type: ignore[arg-type]
            result.psums[0, 2, 1] ^= 64
            return result

    monkeypatch.setattr(session, "open_backend", lambda board: Wrong())
    with pytest.raises(SystemExit, match="multiplies wrongly"):
        start("1")


def test_check_of_an_unknown_task_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo in a number is no traceback, and changes nothing."""
    lab = Lab("1", "emu", None, Emulator())
    lab.check("1.99", 3)
    assert "unknown task '1.99'" in capsys.readouterr().out
    lab.check(1.1, 3)  # type: ignore[arg-type]
    assert "unknown task" in capsys.readouterr().out
    assert lab.states == {}


def test_check_survives_answers_that_fight_back(capsys: pytest.CaptureFixture[str]) -> None:
    """An object whose every method raises is a wrong answer."""

    class Nasty:
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError("no")

        def __repr__(self) -> str:
            raise RuntimeError("no")

    lab = Lab("1", "emu", None, Emulator())
    for answer in (Nasty(), np.array([object()]), "x" * 10**6):
        lab.check("1.1", answer)
        assert len(capsys.readouterr().out) < 500
    assert lab.states["1.1"] is State.WRONG
    lab.summary()
    assert "left: 1.1" in capsys.readouterr().out
