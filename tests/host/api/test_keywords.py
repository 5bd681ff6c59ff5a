"""What is wrong is said in the words of Python: keywords and types, never options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import axft
from axft_host.api.keywords import by_keywords, check_type, in_keywords
from axft_spec.errors import AxftError, ConfigError

FAULT = "weight:r0:c0:b1:sa1"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("either --faults or --margin, not both: --faults 10 --margin 0.1", "either faults or margin, not both: "
         "faults=10 margin=0.1"),
        ("run both with the same --fault-list", "run both with the same fault_list"),
        ("allowed: --bitstream with --board pynq", "allowed: bitstream with board='pynq'"),
        ("use --board emu or rtl, or --board link:URL for", "use board='emu' or rtl, or board='link:URL' for"),
        ("has one bit: --site rtl:core.* alone", "has one bit: site='rtl:core.*' alone"),
        ("give --calibration DATA (training images)", "give calibration DATA (training images)"),
        ("as `axft-hw faults --out` writes it; --dask", "as `axft-hw faults --out` writes it; dask"),
        ("a dash - or two -- is none", "a dash - or two -- is none"),
        ("no result store at runs/34P--faults/2.--seed", "no result store at runs/34P--faults/2.--seed"),
    ],
)  # fmt: skip
def test_options_become_keywords(message: str, expected: str) -> None:
    """With their values, but not with the next word; commands in backticks stay."""
    assert in_keywords(message) == expected


@pytest.mark.parametrize(
    ("hint", "right", "wrong", "said"),
    [
        (
            int | None,
            [3, np.int64(3), None],
            [2.5, "3", True, np.ones(1, int)],
            "x must be a whole number or None, not ",
        ),
        (
            float,
            [0.5, 1, np.float64(0.1), np.float32(0.5), np.int8(2)],
            ["0.5", None, False],
            "x must be a number, not ",
        ),
        (str | Path | None, ["a", Path("a"), None], [3, b"a"], "x must be a text, a path or None, not "),
        (Sequence[float] | None, [[1.0], (1,), np.ones(2), None], ["1", 2.0], "x must be a sequence or None, not "),
        (axft.Config | str, ["34P", axft.Config("34P")], [None, 34], "x must be Config or a text, not "),
        (bool, [True], [1, "yes"], "x must be True or False, not "),
        (Any, [object()], [], ""),
    ],
)
def test_types_are_checked(hint: object, right: list[object], wrong: list[object], said: str) -> None:
    """A message names what is allowed; what is in a sequence is not looked at."""
    for value in right:
        made = check_type("x", value, hint)
        assert made is value or (made == value and type(made) in (int, float))
    for value in wrong:
        with pytest.raises(ConfigError) as caught:
            check_type("x", value, hint)
        assert str(caught.value) == f"{said}{value!r}"


def test_function_stays_what_it_is() -> None:
    """Its name, its documentation and its signature, for editors and the reference."""

    @by_keywords
    def f(*names: str, count: int = 1) -> str:
        """Say it."""
        return "".join(names) * count

    assert (f.__name__, f.__doc__) == ("f", "Say it.")
    assert f("a", "b", count=2) == "abab"
    with pytest.raises(ConfigError, match="names must be a text, not 3"):
        f("a", 3)  # type: ignore[arg-type]
    assert f("a", count=np.int64(2)) == "aa"
    with pytest.raises(ConfigError, match=r"^unknown keyword of f 'cuont' .did you mean count.*; allowed: count$"):
        f(cuont=3)  # type: ignore[call-arg]


def test_every_misfit_that_python_tells_is_told_in_a_sentence() -> None:
    """Whatever Python refuses: unknown names, too many values, one twice, one that lacks."""

    class Thing:
        @by_keywords
        def __init__(self, first: int, *, count: int = 1) -> None:
            self.first = first * count

        @classmethod
        @by_keywords
        def make(cls, first: int) -> object:
            return cls(first)

    for call, said in (
        (lambda: Thing(1, frist=2), "unknown keyword of Thing 'frist' (did you mean first?); allowed: first, count"),
        (lambda: Thing(1, 2), "Thing was given 2 arguments without a name; allowed: first, and by name count"),
        (lambda: Thing(1, first=2), "Thing was given first twice, the first time without its name; allowed: once"),
        (lambda: Thing(count=2), "Thing needs first; allowed: first, count"),
        (lambda: Thing.make(fist=2), "unknown keyword of Thing.make 'fist' (did you mean first?); allowed: first"),
        (lambda: Thing.make(1, 2), "Thing.make was given 2 arguments without a name; allowed: first, and by name no "
         "others"),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == said
    assert Thing(2, count=3).first == 6


def test_long_value_is_cut_and_a_network_is_a_line() -> None:
    """No message and no cell shows thousands of weights."""
    with pytest.raises(ConfigError) as caught:
        check_type("x", list(range(10_000)), str)
    assert str(caught.value).startswith("x must be a text, not [0, 1, 2") and len(str(caught.value)) < 300
    network = axft.load_network("34P")
    assert repr(network) == (
        "<Network 'lenet5' for 34P: input 1x28x28, 5 layers that multiply, 8 bits, digest "
        f"{network.digest[:12]}>"
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"config must be Config, a text or None, not <Network 'lenet5' for 34P: "):
        axft.inject(network)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: axft.inject("34P", faults=3, margin=0.1), "either faults or margin must be given, not both: faults=3"),
        (lambda: axft.inject("34P", fault=FAULT, fault_list=[FAULT]), "fault says which faults .*: fault, fault_list$"),
        (lambda: axft.inject("34P", cycles=3), "of transient faults alone: cycles=3"),
        (lambda: axft.inject("34P", bitstream="x.bit"), "allowed: bitstream with board='pynq'"),
        (lambda: axft.inject("34P", site=["weight"]), r"site must be a text or None, not \['weight'\]"),
        (lambda: axft.inject("34P", mean=0.1), "mean must be a sequence or None, not 0.1"),
        (lambda: axft.inject("34P", margin="x"), "margin must be a number or None, not 'x'"),
        (lambda: axft.inject("34P", site="rtl:core.*"), "allowed: board='rtl', not 'emu'"),
        (lambda: axft.inject(None), "no configuration given; allowed: Baseline"),
        (lambda: axft.load_network("34P", mean=[0.1]), "give calibration DATA"),
        (lambda: axft.open_backend(3), "board must be a text, not 3"),
        (lambda: axft.open_backend("emu", bitstream="x"), "allowed: bitstream with board='pynq'"),
        (lambda: axft.infer("34P", images=-1), "images must be at least 1, not -1"),
        (
            lambda: axft.inject("34P", lowering="toeplitz"),
            r"^inject has no keyword 'lowering': it is part of the configuration; allowed: "
            r"Config\('34P', lowering='toeplitz'\) as config$",
        ),
        (lambda: axft.infer(axft.Config("8P"), array="4x4"), r"allowed: Config\('8P', array='4x4'\) as config$"),
        (lambda: axft.inject(rounding="paper"), r"allowed: Config\(NAME, rounding='paper'\) as config$"),
        (lambda: axft.inject("34P", imagez=3), r"^unknown keyword of inject 'imagez' .did you mean images.*: config, "),
        (lambda: axft.Campaign(worklod={}), r"^unknown keyword of Campaign 'worklod' \(did you mean workload"),
        (lambda: axft.Config("34P", compensated=True), r"^unknown keyword of Config 'compensated' .did you mean "),
        (lambda: axft.Config("34P", "4x4"), "^Config was given 2 arguments without a name; allowed: config, and by "),
        (lambda: axft.Config(34), "config must be a text or None, not 34"),
        (lambda: axft.Config("34P", array=(4, 4)), r"array must be a text, not \(4, 4\)"),
        (lambda: axft.Config("34P", compensate="yes"), "compensate must be True or False or None, not 'yes'"),
        (lambda: axft.trace("34P", [[1.5]], [[1]]), r"activations must be whole numbers, not \[\[1.5\]\]"),
        (lambda: axft.trace("34P", [[1]], [["a"]]), r"weights must be rows of one length, of whole numbers, not "),
        (lambda: axft.trace("34P", [[1]], [[1]], fault=5), "fault must be a text, Fault or None, not 5"),
        (lambda: axft.multiplier(5), "name must be a text, not 5"),
        (lambda: axft.report(5), "results must be Result, Campaign, a text or a path, not 5"),
        (lambda: axft.open_result(5), "path must be a text or a path, not 5"),
        (lambda: axft.resume(5), "result must be Result, a text or a path, not 5"),
        (lambda: axft.doctor(images=100), "images must be between 1 and 40, not 100"),
        (lambda: axft.Campaign("x.toml", title="x"), "not both: x.toml and title"),
        (
            lambda: axft.Campaign(workload={"configs": ["34P"]}).run(dask="x", workers=2),
            "dask has the workers of its scheduler; allowed: without workers=2",
        ),
        (lambda: axft.figures.array("x"), "result must be Result, not 'x'"),
        (lambda: axft.figures.outcomes({}), "a figure needs one result or more, not none"),
        (lambda: axft.figures.outcomes(["x"]), "results must be Result, not 'x'"),
    ],
)
def test_wrong_arguments_are_named(place: Path, call: Callable[[], object], message: str) -> None:
    """By the keyword that was wrong."""
    with pytest.raises(AxftError, match=message) as caught:
        call()
    assert "--" not in str(caught.value)
