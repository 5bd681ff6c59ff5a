"""Tasks of lab 5: a published table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from axft_host.api.results import Result
from axft_host.campaign.contrast import contrasts
from axft_host.campaign.statistics import sample_size
from axft_host.labs.answers import array, is_open, names, number, several, statements, text
from axft_host.labs.session import Lab
from axft_host.labs.tasks import Tasks
from axft_spec.config import PRESETS
from axft_spec.multipliers import PARTS

__all__ = ["CLASSES", "METHODS", "difference", "printed_table"]

task = Tasks("5")

CLASSES = ("masked", "tolerable", "critical")

#: How far a share that is printed with two digits may be from what was counted, in points.
_ROUNDING = 0.005

#: What somebody else needs to know to run a campaign again, and what is meant.
METHODS: Mapping[str, str] = {
    "configuration": "its name, such as 8P",
    "network": "the name of the network",
    "array": "rows x columns, such as 4x4",
    "lowering": "how a convolution became matrix products: im2col or toeplitz",
    "rounding": "who rounds the weights: multiplier or paper",
    "weight_is": "which operand of the multiplier the weight is: A or B",
    "site": "where the fault acts: weight, weight_operand, ...",
    "reach": "which PEs a fault acts on: this PE, or this PE and those below",
    "kind": "what is done to a bit: stuck (at 0, and at 1) or flip",
    "duration": "how long: permanent or transient",
    "compared": "which vector decides: softmax or raw",
    "unit": "what is drawn at random: fault, image or pair",
    "faults": "how many were drawn",
    "space": "out of how many",
    "images": "how many each of them met",
    "dataset": "their name",
    "seed": "of the draw",
}


def printed_table() -> pd.DataFrame:
    """Return the study's table as printed; in percent."""
    rows = {
        name: {
            "multiplier": preset.config.multiplier.name,
            "width": preset.config.width,
            "energy reduction": preset.paper.energy_reduction,
            "accuracy": preset.paper.accuracy,
            "injected": preset.paper.injected,
            **{outcome: getattr(preset.paper, outcome) for outcome in CLASSES},
        }
        for name, preset in PRESETS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def difference(a: Result, b: Result, outcome: str = "critical") -> dict[str, float]:
    """Return the rate of `a` less that of `b` on the same faults, with its interval; in points.

    Parameters
    ----------
    a, b : Result
        Of two configurations, on the same drawn faults and images.
    outcome : str

    Returns
    -------
    dict of str to float
        `difference`, `low`, `high`.

    Raises
    ------
    ConfigError
        If they cannot be compared; the message says why.
    """
    ((one,), _) = contrasts([a.directory, b.directory], outcome)
    ends = {"difference": one.test.difference, "low": one.interval.low, "high": one.interval.high}
    return {name: 100 * value for name, value in ends.items()}


def _ignored() -> list[float]:
    """Return how many of each configuration's faults are at bits of the weight that its multiplier ignores; percent."""
    return [100 * preset.config.omit_weight / preset.config.width for preset in PRESETS.values()]


@task("5.1", "a set of names of rows")
def _(answer: Any, lab: Lab) -> str | None:
    sums = {name: sum(getattr(preset.paper, outcome) for outcome in CLASSES) for name, preset in PRESETS.items()}
    expected = {name for name, total in sums.items() if abs(total - 100) > len(CLASSES) * _ROUNDING + 1e-9}
    return names(answer, expected, PRESETS, "How far from 100 can three shares be that are rounded to two digits?")


@task("5.2", "a fraction between 0 and 1")
def _(answer: Any, lab: Lab) -> str | None:
    power = {name: PARTS[name].power_mw for name in PRESETS if name in PARTS}
    x = np.array([1 - value / PARTS["2PP"].power_mw for value in power.values()])
    reduction = np.array([PRESETS[name].paper.energy_reduction or 0.0 for name in power]) / 100
    share = float(((2 * reduction - 1) * x).sum() / (x * x).sum())
    return number(
        answer,
        share,
        tolerance=0.006,
        hints=[(1 - share, "this is the share of everything else in the PE"), (share / 2, "halve the energy first")],
        otherwise="Solve the formula for s in each row; the rows should give nearly the same",
    )


@task("5.3", "two whole numbers")
def _(answer: Any, lab: Lab) -> str | None:
    spaces = [2 * PRESETS[name].config.width * 28 * 28 for name in ("Baseline", "8P")]
    expected = [sample_size(space, 0.01, 0.99) for space in spaces]
    hints = [
        [
            (sample_size(space, 0.01, 0.95), "this is for 95 %; the text says 99 %: t = 2.576"),
            (other, "that is the size for the other number of bits"),
        ]
        for space, other in zip(spaces, expected[::-1], strict=True)
    ]
    otherwise = "N = 2 x bits x PEs, e = 0.01, t = 2.576, p = 0.5"
    # By the way of rounding t and n, it may be a fault or two more or less.
    return several(answer, ("Baseline", "the others"), expected, hints, tolerance=2, otherwise=otherwise)


@task("5.4", "a number in percent")
def _(answer: Any, lab: Lab) -> str | None:
    hints = [(1.0, "that is the margin of the text; 2,401 faults do not give it")]
    return number(
        answer, 2.0, tolerance=0.01, hints=hints, otherwise="Solve n = t^2 p (1 - p) / e^2 for e", percent=True
    )


@task("5.5", "seven numbers in percent, in the order of the table")
def _(answer: Any, lab: Lab) -> str | None:
    expected = np.array(_ignored())
    parts = [preset.config.multiplier for preset in PRESETS.values()]
    hints = [
        (expected / 100, "these are fractions, and percent are asked for"),
        ([100 * part.omit_a / 12 for part in parts], "operands of the part have 12 bits; a weight has 8, or 16"),
        ([100 * part.omit_b / 8 for part in parts], "that is operand B; let the weight be operand A"),
    ]
    otherwise = "A fault at a bit below `omit_a` changes nothing; how many of the weight's bits are those?"
    return array(answer, expected, hints=hints, otherwise=otherwise)


@task("5.6", "the name of a row")
def _(answer: Any, lab: Lab) -> str | None:
    below = {
        name: preset.paper.masked < bound for (name, preset), bound in zip(PRESETS.items(), _ignored(), strict=True)
    }
    (expected,) = [name for name, impossible in below.items() if impossible]
    hints = {name: f"{name} prints a masked share that is above its bound" for name in PRESETS}
    return text(answer, expected, options=list(PRESETS), hints=hints)


@task("5.7", "the name of a reading")
def _(answer: Any, lab: Lab, table: Any) -> str | None:
    part = table[(table["config"] == "8P") & (table["outcome"] == "masked")].set_index("reading")
    moves = (part["rate"] - part.loc["base", "rate"]).abs().drop("base")
    most = part.loc[moves.idxmax(), "rate"]
    # What a sample of this size cannot tell from the one that moves it most is not held against anybody.
    best = part.index[(part["low"] <= most) & (part["high"] >= most)].intersection(moves.index[moves > 0])
    given = answer.strip() if isinstance(answer, str) else None
    if given in best:
        return None
    if given == "base":
        return "every other reading is compared with this one"
    if given in moves.index:
        return f"{given} moves it by {moves[given]:.1f} points; another one by more"
    return f"the name of a reading is asked for, in quotation marks: one of {', '.join(map(str, moves.index))}"


@task("5.8", "a set of names of readings")
def _(answer: Any, lab: Lab, differences: Any) -> str | None:
    claimed = PRESETS["34P"].paper.critical - PRESETS["8P"].paper.critical
    expected = set(differences.index[(differences["low"] <= claimed) & (differences["high"] >= claimed)])
    return names(answer, expected, differences.index, "Between which `low` and `high` is the printed difference?")


@task("5.9", "the letters of the statements that hold")
def _(answer: Any, lab: Lab) -> str | None:
    return statements(
        answer,
        {"a": False, "b": True, "c": False, "d": True, "e": False, "f": True},
        "which choices were tried, what the unit of the sample is, and what follows from a definition without any run",
    )


@task("5.10", "a dictionary with the keys of METHODS")
def _(answer: Any, lab: Lab, result: Result) -> str | None:
    if not isinstance(answer, Mapping) or set(answer) != set(METHODS):
        missing = sorted(set(METHODS) - set(answer)) if isinstance(answer, Mapping) else sorted(METHODS)
        said = f"missing: {', '.join(missing)}" if missing else "one of these is not among them"
        return f"a dictionary with the keys of METHODS is asked for; {said}"
    if left := [key for key, given in answer.items() if is_open(given)]:
        return f"{left[0]} is not stated: {METHODS[left[0]]}"
    wrong = sum(_written(key, answer[key]) != _written(key, value) for key, value in _facts(result).items())
    if not wrong:
        return None
    said = f"{wrong} of the {len(METHODS)} entries {'is' if wrong == 1 else 'are'} not what this result was run with"
    return f"{said}. Compare them with `mine.summary().provenance`, and how they are written with `METHODS`"


def _written(key: str, value: object) -> str | list[str]:
    """Return a value as text in which capitals, spaces and separators of thousands play no part.

    Of the array, its numbers alone: it may be given as a tuple, or with another sign between them.
    """
    if key == "array":
        return re.findall(r"\d+", str(value))
    return str(value).lower().replace(" ", "").replace(",", "")


def _facts(result: Result) -> dict[str, object]:
    """Return what `METHODS` asks for, as a result carries it."""
    about = result.summary().provenance
    config = about.config
    return {
        "configuration": about.config_name,
        "network": about.network_name,
        "array": f"{config['rows']}x{config['cols']}",
        "lowering": about.lowering,
        "rounding": about.rounding,
        "weight_is": "A" if config["operand_a"] == "weight" else "B",
        "site": about.site,
        "reach": "this PE and those below" if about.site == "weight" else "this PE",
        "kind": about.kind,
        "duration": "transient" if about.spec["transient"] else "permanent",
        "compared": about.score,
        "unit": "fault",
        "faults": about.faults,
        "space": about.space_size,
        "images": result.summary().images,
        "dataset": about.dataset_name,
        "seed": about.fault_seed,
    }
