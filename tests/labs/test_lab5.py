"""Lab 5: what is said of wrong answers, and that its figures are those of the package."""

from __future__ import annotations

import pytest

from axft_host.campaign.statistics import sample_size
from axft_host.campaign.toml_file import parse_toml, read_text
from axft_host.labs.lab5 import METHODS, difference, printed_table
from axft_spec.errors import ConfigError
from support.labs import LABS, lab_path, run_lab

GIVEN = {"5.7": {"table": "table"}, "5.8": {"differences": "differences"}, "5.10": {"result": "mine"}}


def said(task: str, answer: object) -> str:
    """Return what the check says, with what the notebook hands over."""
    run = run_lab("5")
    return run.say(task, answer, **{name: run.namespace[value] for name, value in GIVEN.get(task, {}).items()})


@pytest.mark.parametrize(
    ("task", "answer", "part"),
    [
        ("5.1", {"2TE", "2PT"}, "1 of the names given does not belong there. How far from 100"),
        ("5.1", set(), "1 of the others is missing"),
        ("5.1", {"8P", "Baseline"}, "most of the names given do not belong there, and 1 of the others is missing"),
        ("5.1", "2TE", "a set of names"),
        ("5.2", 0.81, "everything else"),
        ("5.2", 19, "in percent, and a fraction"),
        ("5.2", 45, "above 1, and a fraction is asked for: is it in percent?"),
        ("5.3", [7143, 9986], "Baseline: that is the size for the other number of bits"),
        ("5.3", [6946, 5440], "95 %"),
        ("5.3", 9986, "2 numbers are asked for: Baseline, the others"),
        ("5.3", [9986, ...], "the others is not answered yet"),
        ("5.4", 0.02, "percent are asked for"),
        ("5.4", 1, "2,401 faults do not give it"),
        ("5.5", [0, 0, 0, 100 / 12, 200 / 12, 25, 50], "a weight has 8, or 16"),
        ("5.5", [0, 0, 0, 0.125, 0.25, 0.375, 0.75], "fractions"),
        ("5.6", "34P", "above its bound"),
        ("5.7", "raw outputs", "moves it by 0.0 points"),
        ("5.7", "other sample", "another one by more"),
        ("5.7", ["im2col"], "in quotation marks"),
        ("5.7", "base", "compared with this one"),
        ("5.8", {"base"}, "Between which `low` and `high` is"),
        ("5.9", "abdf", "1 of the 6 statements needs another look. Think of which choices"),
        ("5.9", "ace", "most of the 6 statements need another look"),
        ("5.9", "ae", "most of the 6 statements need another look"),
        ("5.10", {**dict.fromkeys(METHODS, ...), list(METHODS)[-1]: 1}, "configuration is not stated: its name"),
        ("5.10", {"config": "34P"}, "missing: array"),
    ],
)
def test_wrong_answer_is_told_what_is_wrong(task: str, answer: object, part: str) -> None:
    """One line, which does not hold the answer."""
    line = said(task, answer)
    assert line.startswith(f"✗ {task} wrong: ") and part in line, line
    assert "could not be read" not in line


def test_methods_must_be_those_of_the_result() -> None:
    """Entries that are another campaign's are counted, and how they are written plays no part."""
    methods = dict(run_lab("5").namespace["methods"])
    assert said("5.10", methods | {"array": "28 X 28", "space": "12,544"}) == "✓ 5.10 right"
    assert said("5.10", methods) == "✓ 5.10 right"
    for array in ((28, 28), [28, 28], "28 * 28", "28 by 28", "28, 28"):
        assert said("5.10", methods | {"array": array}) == "✓ 5.10 right"
    for key, wrong in (
        ("kind", "flip"),
        ("duration", "transient"),
        ("lowering", "toeplitz"),
        ("unit", "pair"),
        ("space", 12_543),
        ("reach", "this PE"),
        ("array", (28, 29)),
        ("array", 784),
    ):
        line = said("5.10", methods | {key: wrong})
        assert "1 of the 17 entries is not what this result was run with" in line and str(wrong) not in line


def test_difference_is_that_of_the_faults() -> None:
    """The mean over faults, and an interval around it that is narrower than that of two samples would be."""
    results = run_lab("5").namespace["results"]
    a, b = results["34P", "base"], results["8P", "base"]
    made = difference(a, b)
    mean = (a.frame["critical"] - b.frame["critical"]).mean() / run_lab("5").namespace["IMAGES"]
    assert made["difference"] == pytest.approx(100 * mean)
    assert made["low"] < made["difference"] < made["high"]
    assert difference(b, a)["low"] == pytest.approx(-made["high"])
    with pytest.raises(ConfigError, match="seed of the draw"):
        difference(a, results["8P", "other sample"])


def test_all_readings_are_most_of_them() -> None:
    """Task 5.8: how many of all names do not belong there is how many readings are asked for."""
    readings = run_lab("5").namespace["differences"].index
    line = said("5.8", set(readings))
    assert "most of the names given do not belong there. Between" in line


@pytest.mark.parametrize(("name", "pairs"), [("table1", "195"), ("table1-full", "1,393")])
def test_size_of_the_whole_table_is_that_of_its_campaigns(name: str, pairs: str) -> None:
    """Before part 5: pairs of all drawn faults and images, counted by the specification."""
    text = " ".join(lab_path("5").read_text(encoding="utf-8").replace("\n#", " ").split())
    path = LABS.parent / "fi_campaigns" / f"{name}.toml"
    file = parse_toml(read_text(path), str(path))
    work, faults = file["workload"], 0
    for config in work["configs"]:
        space = 2 * 28 * 28 * (16 if config == "Baseline" else 8)
        stated = file["sampling"]["stated"]
        faults += file["sampling"]["printed"]["faults"]
        faults += sample_size(space, stated["margin"], stated["confidence"])
    assert f"{faults * len(work['lowerings']) * work['images'] / 1e6:,.0f}" == pairs
    assert f"`fi_campaigns/{name}.toml`" in text and f"{pairs} million pairs" in text
    assert f"{work['images']:,}" in text


def test_printed_table_is_the_published_one() -> None:
    """Two rows, digit by digit, from the study."""
    table = printed_table()
    assert table.loc["34P"].tolist()[2:] == [55, 98.24, 19, 74.16, 23.01, 2.83]
    assert table.loc["2TE"].tolist()[2:] == [55.6, 9.8, 19, 3.94, 27.5, 68.76]
