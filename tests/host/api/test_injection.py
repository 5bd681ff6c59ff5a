"""Campaigns from keywords, against the command line with the same words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import axft
from axft_host.campaign.runner import SilentProgress
from axft_spec.errors import AxftError, ConfigError, FaultError, StoreError
from axft_spec.faults import parse_fault
from support.command_line import invoke

SMALL = {"model": "small.npz", "data": "small-data.npz", "workers": 1, "progress": False}
WORDS = ["--array", "4x3", "--model", "small.npz", "--data", "small-data.npz", "--workers", "1"]
CONFIG = axft.Config("8P", array="4x3")


def command(*arguments: str) -> dict[str, object]:
    """Return what the command line prints."""
    said = invoke(*arguments, "--json")
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


def test_keywords_give_what_options_give(place: Path) -> None:
    """The same draw, the same rates, the same intervals."""
    result = axft.inject(
        axft.Config("34P", array="4x3", lowering="toeplitz"),
        **SMALL,
        site="psum",
        kind="flip",
        transient=True,
        faults=25,
        seed=3,
        images=6,
        score="raw",
        out="mine",
    )
    options = "--site psum --kind flip --transient --faults 25 --seed 3 --images 6 --score raw --lowering toeplitz"
    theirs = command("inject", "--config", "34P", *WORDS, *options.split(), "--out", "theirs")
    for name, row in result.rates.iterrows():
        assert row[["rate", "low", "high"]].to_dict() == theirs["outcomes"][name]
    compared = result.diff("theirs")
    assert (compared.pairs, compared.differing_pairs, compared.differing_activated) == (150, 0, 0)
    assert result.complete
    assert result.directory == Path("mine")


def test_list_of_faults_stands_for_itself(place: Path) -> None:
    """Texts and faults, in their order, and nothing left of the file they went through."""
    given = ["weight:r3:c0:b6:sa1", parse_fault("psum:r0:c1:b9:flip")]
    result = axft.inject(CONFIG, **SMALL, fault_list=given)
    assert result.frame["fault"].tolist() == ["weight:r3:c0:b6:sa1", "psum:r0:c1:b9:flip"]
    # It can be gone on with, although its list came from no file of the user's.
    assert axft.resume(result, progress=False).complete


def test_one_fault_is_one_row_and_its_pairs_are_its_letters(place: Path) -> None:
    """One row per image."""
    result = axft.inject(CONFIG, **SMALL, fault="psum:r0:c1:b14:flip", images=5)
    letters = result.frame["outcomes"].iloc[0]
    names = {"M": "masked", "T": "tolerable", "C": "critical"}
    assert result.pairs["outcome"].tolist() == [names[letter] for letter in letters]
    assert result.pairs["image"].tolist() == [0, 1, 2, 3, 4]


def test_interrupted_result_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a cell leaves a result that says so, and `resume` completes it."""
    import os
    import signal

    class Impatient(SilentProgress):
        """Presses Ctrl-C once."""

        def start(self, pairs: int) -> None:
            """Press it."""
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("axft_host.api.injection.make_progress", Impatient)
    words = {**SMALL, "progress": True}
    stopped = axft.inject(CONFIG, **words, faults=150)
    assert not stopped.complete
    assert "interrupted" in stopped._repr_html_() or "not done yet" in stopped._repr_html_()
    whole = axft.inject(CONFIG, **SMALL, faults=150)
    assert axft.resume(stopped, workers=1, progress=False).frame.equals(whole.frame)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"faults": 5, "margin": 0.1}, ConfigError, "either faults or margin"),
        ({"fault": "weight:r9:c0:b0:sa1"}, FaultError, "row must be between 0 and 3"),
        ({"fault_list": []}, FaultError, "must name one or more"),
        (
            {"fault_list": "weight:r0:c0:b1:sa1"},
            FaultError,
            r"no file; .* fault_list=\['weight:.*, as fault='",
        ),
        ({"board": "fpga"}, AxftError, "emu, rtl"),
        ({"out": "."}, StoreError, "exists"),
        ({"images": 0}, ConfigError, "images must be"),
    ],
)
def test_bad_words_say_what_is_allowed(place: Path, options: dict, kind: type[Exception], said: str) -> None:
    """As on the command line."""
    with pytest.raises(kind, match=said):
        axft.inject(CONFIG, **{**SMALL, **options})


def test_followed_fault_ends_as_in_its_campaign(place: Path) -> None:
    """Image by image, also when one image alone is followed."""
    fault = "weight:r0:c0:b6:sa1"
    outcomes = axft.inject(CONFIG, **SMALL, fault=fault).pairs["outcome"].tolist()
    words = {name: SMALL[name] for name in ("model", "data")}
    followed = axft.follow(CONFIG, fault, **words, images=12)
    assert followed.image_table["outcome"].tolist() == outcomes
    alone = axft.follow(CONFIG, fault, **words, image=7)
    assert alone.image_table.index.tolist() == [7]
    assert alone.image_table["outcome"].tolist() == outcomes[7:8]
    assert np.array_equal(alone.layers[0].faulty[0], followed.layers[0].faulty[7])
    assert f"{fault}: 1 {outcomes[7]}" in alone._repr_html_()
    assert repr(alone) == f"<FollowedFault {fault}: 1 {outcomes[7]}>"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"image": 1, "images": 3}, "^either image or images must be given, not both: image=1 images=3$"),
        ({"image": 12}, "^image must be between 0 and 11, not 12$"),
        ({"image": -1}, "^image must be between 0 and 11, not -1$"),
    ],
)
def test_image_that_is_not_there_is_told(place: Path, words: dict, said: str) -> None:
    """By its own name and number."""
    with pytest.raises(ConfigError, match=said):
        axft.follow(CONFIG, "weight:r0:c0:b6:sa1", model="small.npz", data="small-data.npz", **words)


def test_values_of_a_followed_fault_are_those_that_its_counts_count(place: Path) -> None:
    """What differs, differs in the arrays; what golden values lead to is the golden class."""
    words = {name: SMALL[name] for name in ("model", "data")}
    followed = axft.follow(CONFIG, "psum:r1:c1:b12:flip", **words, images=12)
    for layer, row in zip(followed.layers, followed.layer_table.itertuples(), strict=True):
        assert np.count_nonzero(layer.golden != layer.faulty) == row.differing_values
    assert followed.layers[-1].golden.argmax(axis=1).tolist() == followed.image_table["golden_class"].tolist()


def test_flip_flop_cannot_be_followed(place: Path) -> None:
    """It is in no layer."""
    with pytest.raises(FaultError, match="not one in a flip-flop"):
        axft.follow(CONFIG, "rtl:core.sequencer.steps_left:b0:flip@y3", board="rtl", model="small.npz",
                    data="small-data.npz")  # fmt: skip
