"""Lab 7: what is said of wrong answers, what the patients have, and what helps."""

from __future__ import annotations

import pytest

from axft_host.labs import devices
from axft_host.labs.lab7 import AILMENTS, completes, what_helps
from support.labs import run_lab

SICK = {"A": "activation counter", "B": "scan chain", "C": "watchdog", "D": "partial sum of a PE"}


def said(task: str, answer: object) -> str:
    """Return what the check says, with what the notebook hands over."""
    names = run_lab("7").namespace
    given = {
        "7.4": {"faults": names["FAULTS"], "images": names["IMAGES"]},
        "7.5": {"frame": names["there"].frame},
        "7.8": {"device": names["device"]},
        "7.9": {"frame": names["wild"].frame},
    }
    return run_lab("7").say(task, answer, **given.get(task, {}))


def same_end(failures: list[tuple[str, str]]) -> bool:
    """Look at the way alone, and not at the place."""
    return failures[-1][0] in [end for end, _ in failures[:-1]]


@pytest.mark.parametrize(
    ("task", "answer", "part"),
    [
        ("7.1", SICK | {"A": "scan chain"}, "patient A: the partial sums are right"),
        ("7.1", SICK | {"D": "flu"}, "D must be one of"),
        ("7.1", {"A": "watchdog"}, "a dictionary with the keys A, B, C, D"),
        ("7.2", "abcd", "1 of the 4 patients needs another look. Think of which row"),
        ("7.3", "abd", "1 of the 5 statements needs another look. Think of what outcomes are made of"),
        ("7.4", 100 * (1 - 0.05 ** (1 / 120)), "not independent"),
        ("7.4", 0, "still compatible"),
        ("7.4", 7.5, "rule of three"),
        ("7.5", 100 * (1 - 0.05 ** (1 / 40)), "all faults, again"),
        ("7.6", 300, "too many"),
        ("7.7", "EVENTS", "not whether it was right"),
        ("7.7", "FOO", "counts finished work"),
        ("7.8", 20, "too small"),
        ("7.9", {"rtl:core.sequencer.enable"}, "no 'rtl:core.sequencer.enable' among the names"),
        ("7.9", set(), "missing. Look at `status`"),
        ("7.10", same_end, "look again"),
        ("7.10", lambda failures: failures[-1] in failures[:-1], "no run left"),
        ("7.10", lambda failures: 1, "must be True or False"),
        ("7.11", {"a": "reload", "b": "nothing", "c": "reload"}, "a: what does a reset do"),
        ("7.12", "abc", "1 of the 5 statements needs another look. Think of what two devices"),
    ],
)
def test_wrong_answer_is_told_what_is_wrong(task: str, answer: object, part: str) -> None:
    """One line, which does not hold the answer."""
    line = said(task, answer)
    assert line.startswith(f"✗ {task} wrong: ") and part in line, line
    assert "could not be read" not in line


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("A", ["fault weight"]),
        ("B", ["scan chain"]),
        ("C", ["watchdog"]),
        ("D", ["buffer results", "GEMM", "fault weight"]),
    ],
)
def test_patient_fails_in_the_rows_of_its_illness(name: str, rows: list[str]) -> None:
    """And passes in all others that were looked at."""
    found = run_lab("7").namespace["patients"][name]
    assert list(found.index[found["state"] == "FAIL"]) == rows


def test_remedies_are_what_the_lab_says() -> None:
    """One of each kind."""
    assert {name: what_helps(name) for name in AILMENTS} == {"a": "soft reset", "b": "nothing", "c": "reload"}


def test_completes_leaves_the_device_as_it_was() -> None:
    """Under a limit that is too small, and under one that is not."""
    device = devices.simulated()
    assert not completes(device, 4)
    assert completes(device, device.watchdog_limit)
    assert devices.gemm_is_right(device)
