"""Wrong answers to lab 3, and what is said of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

import numpy as np
import pytest

import axft
from support.labs import run_lab

RIGHT = {"A": "ignored bit", "B": "idle PE", "C in conv1": "zero activation", "C in conv2": "rounded away"}


@pytest.mark.parametrize(
    ("task", "answer", "said"),
    [
        ("3.1", [74, 296], "zeros_at_bit_6: those have a 1"),
        ("3.1", [76, 76], "activations: once per tile"),
        ("3.1", [76, 7600], "one output pixel of each tile"),
        ("3.1", [75, 300], "zeros_at_bit_6: 75 is not right. Think of where bit 6 is"),
        ("3.1", [76, 300], "activations: 300 is not right. Think of the tiles"),
        ("3.1", 304, "2 numbers are asked for"),
        ("3.2", "ignored bit", "a dict with the keys"),
        ("3.2", {**RIGHT, "B": "ignored bit"}, "B: that is not it: which layer has an output in row 20"),
        ("3.2", {**RIGHT, "C in conv1": "rounded away"}, "what must the other factor be?"),
        ("3.2", {**RIGHT, "C in conv2": "luck"}, "the answer must be one of ignored bit, idle PE"),
        ("3.2", {**RIGHT, "C in conv2": None}, "C in conv2 is not answered yet"),
        ("3.5", lambda golden, faulty, scale: None, "equal sums: outcome(...) returned nothing"),
        ("3.5", lambda golden, faulty, scale: "critical", "equal sums: critical is not right"),
        ("3.5", lambda golden, faulty, scale: "Masked", "one small sum that differs: masked is not right"),
        ("3.5", lambda golden, faulty: "masked", "raised TypeError"),
        ("3.5", "masked", "a function is asked for"),
        ("3.1", [..., ...], "… 3.1 open: not answered yet; a list of two"),
        ("3.1", [76, ...], "✗ 3.1 wrong: activations is not answered yet"),
        ("3.2", dict.fromkeys(RIGHT, ...), "… 3.2 open: not answered yet"),
        ("3.5", lambda golden, faulty, scale: ..., "… 3.5 open: not answered yet; equal sums: outcome(...) returned"),
        ("3.6", {"shares": ..., "rate": ...}, "… 3.6 open: not answered yet"),
        ("3.7", "abce", "1 of the 6 statements needs another look. Think of the runs of this lab"),
        ("3.7", "acdef", "2 of the 6 statements need another look"),
        ("3.7", {"a", "z"}, "there is none with the letter 'z'"),
    ],
)
def test_wrong_answer_is_told_what_is_wrong(task: str, answer: object, said: str) -> None:
    """What to think of, and not the answer."""
    assert said in run_lab("3").say(task, answer)


def test_a_verdict_by_classes_alone_is_told() -> None:
    """Task 3.5: the ratio decides, too, and a tie goes to the lower class."""

    def by_class(golden: np.ndarray, faulty: np.ndarray, scale: float) -> str:
        if (golden == faulty).all():
            return "masked"
        return "tolerable" if golden.argmax() == faulty.argmax() else "critical"

    said = run_lab("3").say("3.5", by_class)
    assert "the same class with half of its sum: tolerable is not right; whatever `scale` is, your verdict" in said
    # What it was called with can be tried again.
    *sums, scale = re.fullmatch(r".*golden = (\[.*?\]), faulty = (\[.*?\]), scale = (\S+)", said).groups()
    golden, faulty = (np.array(ast.literal_eval(one)) for one in sums)
    assert faulty.max() == golden.max() // 2 and golden.argmax() == faulty.argmax()
    assert float(scale) == pytest.approx(run_lab("3").namespace["network"].score_scale, rel=1e-3)
    assert "critical" not in said


def test_a_verdict_that_uses_its_scale_is_not_asked_about_it() -> None:
    """Task 3.5: nor is one that is wrong where the scale does not matter."""

    def absolute(golden: np.ndarray, faulty: np.ndarray, scale: float) -> str:
        if (golden == faulty).all():
            return "masked"
        after, before = (float(probabilities(sums, scale).max()) for sums in (faulty, golden))
        return "tolerable" if golden.argmax() == faulty.argmax() and after >= before - 0.05 else "critical"

    for answer in (absolute, lambda golden, faulty, scale: "critical"):
        said = run_lab("3").say("3.5", answer)
        assert "is not right; it was called with golden = [" in said


def probabilities(sums: np.ndarray, scale: float) -> np.ndarray:
    """Return the softmax of sums times a scale."""
    powers = np.exp(scale * (sums - sums.max()))
    return powers / powers.sum()


def last_class(sums: np.ndarray) -> int:
    """Return the class with the largest sum, the highest index on ties."""
    return int(len(sums) - 1 - sums[::-1].argmax())


@pytest.mark.parametrize(
    ("near", "chosen", "said"),
    [
        (lambda after, before: after >= 0.95 * before, np.argmax, "✓ 3.5 right"),
        (lambda after, before: after >= before - 0.05, np.argmax, "falling from 0.50 to 0.46: tolerable is not right"),
        (lambda after, before: 0.95 <= after / before <= 1 / 0.95, np.argmax, "from 0.5 to 0.9: critical is not right"),
        (lambda after, before: after >= 0.95 * before, last_class, "tolerable is not right"),
    ],
)
def test_verdict_needs_the_ratio_one_sided_and_the_lowest_index(
    near: Callable[[float, float], bool], chosen: Callable[[np.ndarray], int], said: str
) -> None:
    """Task 3.5: neither a difference, nor a ratio in both directions, nor the last class of a tie."""

    def verdict(golden: np.ndarray, faulty: np.ndarray, scale: float) -> str:
        if (golden == faulty).all():
            return "masked"
        after, before = (float(probabilities(sums, scale).max()) for sums in (faulty, golden))
        return "tolerable" if chosen(golden) == chosen(faulty) and near(after, before) else "critical"

    assert said in run_lab("3").say("3.5", verdict)


def test_tie_without_the_fault_goes_to_the_lower_class() -> None:
    """Task 3.5: a verdict that takes the higher one of a golden tie alone, and knows it in no other case."""

    def verdict(golden: np.ndarray, faulty: np.ndarray, scale: float) -> str:
        if (golden == faulty).all():
            return "masked"
        after, before = (float(probabilities(sums, scale).max()) for sums in (faulty, golden))
        same = last_class(golden) == faulty.argmax()
        return "tolerable" if same and after >= 0.95 * before else "critical"

    said = run_lab("3").say("3.5", verdict)
    assert "a tie without the fault, which the fault ends: tolerable is not right" in said


def test_answers_about_the_notebooks_runs() -> None:
    """Tasks 3.3, 3.4 and 3.6 are judged by what ran."""
    run = run_lab("3")
    path, signs, result = (run.namespace[name] for name in ("bit_3", "signs", "result"))
    lost = 1 - run.namespace["share_that_survives"]
    assert "above 1, and a fraction is asked for" in run.say("3.3", 50, path=path)
    assert "that is the share that is lost" in run.say("3.3", lost, path=path)
    assert "with a 1 in the sign bit" in run.say("3.4", [128, 128, 1.0], signs=signs)
    others = 1 - run.namespace["zeros_sa1"]
    assert "zeros_sa1: that is the share that is not 0" in run.say("3.4", [128, -128, others], signs=signs)
    counts = run.namespace["counts"]["critical"]
    assert "divide by the number of images" in run.say("3.6", {"shares": counts, "rate": 0.4}, result=result)
    assert "critical_rate is not answered yet" in run.say("3.6", {"shares": counts, "rate": ...}, result=result)
    assert "a dict with the keys shares and rate" in run.say("3.6", 0.4, result=result)


def test_signs_are_in_conv2_alone_and_do_what_the_text_says() -> None:
    """Part 3: no other layer activates them; how many of 100 images each is critical for, and another PE's."""
    for path in run_lab("3").namespace["signs"].values():
        activated = path.layer_table.set_index("name")["activated"]
        assert activated["conv2"] > 2500 and activated.drop("conv2").sum() == 0
    critical = {}
    for text in ("r1:c15:b7:sa0", "r1:c15:b7:sa1", "r1:c15:b6:sa1", "r0:c9:b7:sa0", "r0:c9:b7:sa1"):
        table = axft.follow("34P", f"weight:{text}", images=100).image_table
        critical[text] = table[table["outcome"] == "critical"]
        if text == "r0:c9:b7:sa0":
            assert (table["faulty_class"] == 9).all()
    assert [len(rows) for rows in critical.values()] == [67, 12, 28, 90, 13]
    assert (critical["r0:c9:b7:sa1"]["golden_class"] == 9).sum() == 10


def test_rows_above_the_fault_get_the_right_weight() -> None:
    """Part 3: before pooling, what never differs is in row 0 of the tiles of 28 output pixels."""
    layer = run_lab("3").namespace["signs"]["sa0"].layers[1]
    same = (layer.golden_sums == layer.faulty_sums)[:, 15].reshape(len(layer.golden_sums), 100).all(axis=0)
    assert np.flatnonzero(same).tolist() == [0, 28, 56, 84]


def test_lab_runs_on_simulated_hardware() -> None:
    """The same notebook, on the gateware: every check passes, and the same faults end in the same way."""
    simulated = run_lab("3", "rtl")
    assert not simulated.lab.on_emulator
    assert {state.value for state in simulated.lab.states.values()} == {"right"}
    assert simulated.namespace["tables"].keys() == run_lab("3").namespace["tables"].keys()
    for name, table in simulated.namespace["tables"].items():
        assert table.equals(run_lab("3").namespace["tables"][name])
