"""Tasks of lab 5: a published table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from axft_host.api.results import Result
from axft_host.campaign.comparison import difference_interval
from axft_host.campaign.statistics import sample_size
from axft_host.labs.answers import Unanswered, array, is_open, number, statements, text
from axft_host.labs.session import Lab
from axft_host.labs.tasks import Tasks
from axft_spec.config import PRESETS
from axft_spec.errors import ConfigError
from axft_spec.multipliers import PARTS

__all__ = ["CLASSES", "METHODS", "difference", "printed_table"]

task = Tasks("5")

CLASSES = ("masked", "tolerable", "critical")

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


def _shares(result: Result, outcome: str) -> Any:
    frame = result.frame
    return frame[outcome].to_numpy(float) / frame[list(CLASSES)].sum(axis=1).to_numpy(float)


def difference(a: Result, b: Result, outcome: str = "critical", confidence: float = 0.95) -> dict[str, float]:
    """Return the rate of `a` less that of `b` on the same faults, with its interval; in points.

    Parameters
    ----------
    a, b : Result
        Of the same drawn faults and images.
    outcome : str
    confidence : float

    Returns
    -------
    dict of str to float
        `difference`, `low`, `high`.

    Raises
    ------
    ConfigError
        If they are of other faults.
    """
    if list(a.frame["fault"]) != list(b.frame["fault"]):
        raise ConfigError("two results are compared on the same faults, and these have others")
    space = a.summary().provenance.space_size
    if space is None:
        raise ConfigError("these faults were listed by hand; an interval needs a draw")
    first, second = _shares(a, outcome), _shares(b, outcome)
    interval = difference_interval(first, second, space, len(first), confidence)
    return {
        "difference": 100 * float((first - second).mean()),
        "low": 100 * interval.low,
        "high": 100 * interval.high,
    }


def _ignored() -> list[float]:
    """Return how many of each configuration's faults are at bits of the weight that its multiplier ignores; percent."""
    return [100 * preset.config.omit_weight / preset.config.width for preset in PRESETS.values()]


@task("5.1", "a set of names of rows")
def _(answer: Any, lab: Lab) -> str | None:
    if isinstance(answer, str) or not isinstance(answer, set | frozenset | list | tuple | pd.Index):
        return f"a set of names of rows is asked for, such as {{'8P'}}, not {type(answer).__name__}"
    given = {str(name) for name in answer}
    if unknown := sorted(given - set(PRESETS)):
        return f"there is no row {unknown[0][:40]!r}"
    sums = {name: sum(getattr(preset.paper, outcome) for outcome in CLASSES) for name, preset in PRESETS.items()}
    expected = {name for name, total in sums.items() if abs(total - 100) > 0.0151}
    rounded = sorted(name for name in given - expected if abs(sums[name] - 100) > 1e-9)
    if rounded:
        return f"{rounded[0]} misses 100 by no more than the rounding of three printed shares explains"
    if extra := sorted(given - expected):
        return f"{extra[0]} does sum to 100"
    return "a row is missing whose sum cannot be explained by rounding" if expected - given else None


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
    spaces = (PRESETS["Baseline"].config.width * 2 * 28 * 28, PRESETS["8P"].config.width * 2 * 28 * 28)
    expected = [sample_size(space, 0.01, 0.99) for space in spaces]
    if array(answer, [sample_size(space, 0.01, 0.95) for space in spaces], tolerance=2) is None:
        return "this is for 95 %; the text says 99 %: t = 2.576"
    if array(answer, expected[::-1], tolerance=2) is None:
        return "the larger space comes first: 16 bits, then 8"
    return array(answer, expected, tolerance=2, otherwise="N = 2 x bits x PEs, e = 0.01, t = 2.576, p = 0.5")


@task("5.4", "a number in percent")
def _(answer: Any, lab: Lab) -> str | None:
    hints = [(1.0, "that is the margin of the text; 2,401 faults do not give it")]
    return number(
        answer, 2.0, tolerance=0.01, hints=hints, otherwise="Solve n = t^2 p (1 - p) / e^2 for e", percent=True
    )


@task("5.5", "seven numbers in percent, in the order of the table")
def _(answer: Any, lab: Lab) -> str | None:
    expected = _ignored()
    if array(answer, [value / 100 for value in expected]) is None:
        return "these are fractions, and percent are asked for"
    parts = [preset.config.multiplier for preset in PRESETS.values()]
    if array(answer, [100 * part.omit_a / 12 for part in parts]) is None:
        return "operands of the part have 12 bits, but a weight has 8, and faults are in those"
    otherwise = "A fault at a bit below `omit_a` changes nothing; how many of the weight's bits are those?"
    return array(answer, expected, otherwise=otherwise)


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
    part = table[(table["config"] == "8P") & (table["outcome"] == "masked")].set_index("reading")["rate"]
    moves = (part - part["base"]).abs().drop("base").sort_values(ascending=False)
    # What two samples of this size cannot tell apart is not held against anybody.
    best = [str(name) for name in moves.index if moves[name] >= moves.iloc[0] - 2]
    given = answer.strip() if isinstance(answer, str) else answer
    if given in best:
        return None
    if given == "base":
        return "every other reading is compared with this one"
    if isinstance(given, str) and given in moves.index:
        return f"{given} moves it by {moves[given]:.1f} points; another one by more"
    return f"the name of a reading is asked for, in quotation marks: one of {', '.join(map(str, moves.index))}"


@task("5.8", "a set of names of readings")
def _(answer: Any, lab: Lab, differences: Any) -> str | None:
    claimed = PRESETS["34P"].paper.critical - PRESETS["8P"].paper.critical
    expected = set(differences.index[(differences["low"] <= claimed) & (differences["high"] >= claimed)])
    if isinstance(answer, str) or not isinstance(answer, set | frozenset | list | tuple | pd.Index):
        return f"a set of names is asked for (that of no names is set()), not {type(answer).__name__}"
    if isinstance(answer, list | tuple) and not answer and expected:
        return "there is at least one"
    given = {str(name) for name in answer}
    if unknown := sorted(given - set(differences.index)):
        return f"there is no reading {unknown[0][:40]!r}"
    if extra := sorted(given - expected):
        row = differences.loc[extra[0]]
        return f"{extra[0]}: is the printed difference between {row['low']:.1f} and {row['high']:.1f} points?"
    return f"{len(expected - given)} more: in whose interval is it?" if given != expected else None


@task("5.9", "the letters of the statements that hold")
def _(answer: Any, lab: Lab) -> str | None:
    return statements(
        answer,
        {"a": False, "b": True, "c": False, "d": True, "e": False, "f": True},
        "which choices were tried, what the unit of the sample is, and what follows from a definition without any run",
    )


_Same = Callable[[Any, Any], bool]


@task("5.10", "a dictionary with the keys of METHODS")
def _(answer: Any, lab: Lab, result: Result) -> str | None:
    if not isinstance(answer, Mapping) or set(answer) != set(METHODS):
        missing = sorted(set(METHODS) - set(answer)) if isinstance(answer, Mapping) else sorted(METHODS)
        said = f"missing: {', '.join(missing)}" if missing else "one of these is not among them"
        return f"a dictionary with the keys of METHODS is asked for; {said}"
    if is_open([given for key, given in answer.items() if key != "configuration"]):
        # The notebook states the configuration, as an example.
        raise Unanswered("the configuration alone is stated")
    for key, value in _facts(result).items():
        given = answer[key]
        if given is None or given is ...:
            return f"{key} is not stated: {METHODS[key]}"
        if str(given).strip().lower().replace(" ", "").replace(",", "") != str(value).lower().replace(" ", ""):
            return f"{key}: {str(given)[:60]!r} is not what this result was run with ({METHODS[key]})"
    return None


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
