"""Tasks of lab 7: the board."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from axft_host.device.accelerator import Accelerator, DeviceHangError
from axft_host.device.recovery import Failure, is_repeat
from axft_host.labs.answers import names, number, require_result, statements
from axft_host.labs.devices import PATIENTS, gemm_is_right, operands, simulated, simulation_of, told
from axft_host.labs.session import Lab
from axft_host.labs.tasks import Tasks
from axft_spec.errors import ConfigError, unknown_name
from axft_spec.regmap import register

__all__ = ["AILMENTS", "ILLNESSES", "STEPS", "completes", "what_helps"]

task = Tasks("7")

#: What a patient may have; more than there are patients.
ILLNESSES = ("activation counter", "bus", "operand buffer", "partial sum of a PE", "scan chain", "watchdog")

#: Steps of the tile that runs under different limits of the watchdog.
STEPS = 12

#: For each patient, the row of the doctor's table in which to look again.
_ROWS = {
    "A": "the partial sums are right in every row; what of the row that fails is not?",
    "B": "which row fails, and which comes through although it needs the same bus and buffers?",
    "C": "everything computes and counts as it should; which event did not come?",
    "D": "what do the failing rows have in common, and does the text name a place?",
}

_REMEDIES = ("nothing", "soft reset", "reload")


def completes(device: Accelerator, limit: int) -> bool:
    """Return whether a tile of `STEPS` steps is done on a device whose watchdog has a limit, in clock cycles.

    The device is reset before and after, and has its own limit then.
    """
    config = device.hardware.array
    activations, weights = operands(config, STEPS)
    device.reset()
    device.port.write32(register("WATCHDOG_LIMIT").offset, int(limit))
    try:
        device.gemm(config, activations[None], weights)
    except DeviceHangError:
        return False
    finally:
        device.reset()
    return True


@dataclass(frozen=True, slots=True)
class _Ailment:
    """What befalls a device, and how."""

    text: str
    befall: Callable[[Any], None]


def _upset_sequencer(simulation: Any) -> None:
    # No state of that number: nothing leads out of it.
    simulation.state.poke("core.sequencer.fsm_state", 7)


def _upset_operand(simulation: Any) -> None:
    memory, word = "core.weight_buffer.memory", 3
    simulation.state.poke(memory, simulation.state.peek(memory, word) ^ 1, word)


def _damage_configuration(simulation: Any) -> None:
    simulation.hold("core.array.pe_1_3.psum", 4, "stuck_at_1", 0)


#: What may befall a device.
AILMENTS: Mapping[str, _Ailment] = {
    "a": _Ailment("a particle upsets the register that holds the state of the sequencer", _upset_sequencer),
    "b": _Ailment("a particle upsets a word of the buffer that holds the weights, between two tiles", _upset_operand),
    "c": _Ailment(
        "a particle upsets the memory that configures the fabric: a wire is now tied to 1", _damage_configuration
    ),
}


@told
def what_helps(name: str) -> str:
    """Have something befall a simulated device, and return the mildest remedy after which it multiplies right.

    Parameters
    ----------
    name : str
        One of `AILMENTS`.

    Returns
    -------
    str
        ``nothing``, ``soft reset`` or ``reload`` (the bitstream again, which configures the fabric anew).
    """
    if name not in AILMENTS:
        raise ConfigError(unknown_name("ailment", str(name), AILMENTS))
    device = simulated()
    simulation = simulation_of(device)
    gemm_is_right(device)  # it has worked before
    AILMENTS[name].befall(simulation)
    if gemm_is_right(device):
        return "nothing"
    device.reset()
    if gemm_is_right(device):
        return "soft reset"
    # As configuring does: every flip-flop as after power-up, and every wire where it belongs.
    simulation.state.reset()
    device.reset()
    return "reload" if gemm_is_right(device) else "none of them"


def _mapping(
    answer: object, keys: Sequence[str], values: Sequence[str], wrong: Callable[[str, str], str | None]
) -> str | None:
    """Judge a word for each key; `wrong` says what to tell about a word that is one of the values."""
    if not isinstance(answer, Mapping) or set(answer) != set(keys):
        return f"a dictionary with the keys {', '.join(keys)} is asked for, and a word for each"
    for key in keys:
        word = answer[key]
        if word is None or word is ...:
            return f"{key} has no answer yet"
        if word not in values:
            return f"{key} must be one of {', '.join(values)}, not {str(word)[:60]!r}"
        if (said := wrong(key, str(word))) is not None:
            return said
    return None


@task("7.1", "a dictionary: what each patient has")
def _(answer: Any, lab: Lab) -> str | None:
    def wrong(key: str, word: str) -> str | None:
        return None if word == PATIENTS[key].illness else f"patient {key}: {_ROWS[key]}"

    return _mapping(answer, tuple(PATIENTS), ILLNESSES, wrong)


@task("7.2", "the letters of the patients")
def _(answer: Any, lab: Lab) -> str | None:
    truths = {name.lower(): name != "D" for name in PATIENTS}
    hint = "which row of a patient is about arithmetic without faults, and how it ended"
    return statements(answer, truths, hint, noun="patients")


@task("7.3", "the letters of the statements that hold")
def _(answer: Any, lab: Lab) -> str | None:
    return statements(
        answer,
        {"a": True, "b": False, "c": False, "d": True, "e": False},
        (
            "what outcomes are made of, what the driver does before a run and while it waits, and how much of a "
            "device one test touches"
        ),
    )


@task("7.4", "a number in percent")
def _(answer: Any, lab: Lab, faults: int, images: int) -> str | None:
    hints = [
        (_bound(faults * images), "the pairs of one fault are not independent: how many faults were drawn?"),
        (100 * (1 - 0.025 ** (1 / faults)), "this is two-sided; there is no lower end to share the 5 % with"),
        (0.0, "that is the estimate; the largest share is asked for that is still compatible with what was seen"),
        (100 * 3 / faults, "the rule of three is a good approximation, and a little more than the exact bound"),
    ]
    return number(answer, _bound(faults), tolerance=0.01, hints=hints, percent=True)


def _bound(faults: int) -> float:
    """Return the upper bound at 95 % when none of so many differ, in percent."""
    return float(100 * (1 - 0.05 ** (1 / faults)))


@task("7.5", "a number in percent")
def _(answer: Any, lab: Lab, frame: Any) -> str | None:
    acted = int((frame["activated"] > 0).sum())
    hints = [
        (_bound(len(frame)), "this is the bound for all faults, again; how many of them were activated?"),
        (
            _bound(int((frame["certain"] == 0).sum())),
            "these are the faults that are not certain to be masked; not the same",
        ),
    ]
    return number(answer, _bound(acted), tolerance=0.01, hints=hints, percent=True)


@task("7.6", "a whole number of faults")
def _(answer: Any, lab: Lab) -> str | None:
    expected = math.ceil(math.log(0.05) / math.log(0.99))
    return number(
        answer, expected, hints=[(300, "the rule of three gives a little too many"), (298, "just not enough")]
    )


@task("7.7", "the name of a register")
def _(answer: Any, lab: Lab) -> str | None:
    if not isinstance(answer, str):
        return f"the name of a register is asked for, in quotation marks, not {type(answer).__name__}"
    hints = {
        "EVENTS": "EVENTS says that the watchdog has fired, not whether it was right to",
        "STATUS": "STATUS says that the device is idle; so is one that has given up. What says that work is finished?",
        "WATCHDOG_LIMIT": "the limit explains why the watchdog fired; what shows that the tile was done all the same?",
        "WATCHDOG_COUNT": "the count is 0 whenever nothing runs",
        "ARRAY_CYCLES": "the array has moved; whether it has come to the end is not to be seen there",
    }
    given = answer.strip().upper()
    if given == "COMMANDS_DONE":
        return None
    return hints.get(given) or f"{answer[:40]!r} does not say it; look for what counts finished work"


@task("7.8", "a whole number of clock cycles")
def _(answer: Any, lab: Lab, device: Accelerator) -> str | None:
    low, high = 0, device.watchdog_limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if completes(device, middle) else (middle, high)
    hints = [(low, "under that limit the tile is not done: it is the largest that is too small")]
    return number(answer, high, hints=hints)


@task("7.9", "a set of names of flip-flops")
def _(answer: Any, lab: Lab, frame: Any) -> str | None:
    expected = set(frame.loc[frame["status"] == "hang", "site"])
    return names(answer, expected, set(frame["site"]), "Look at `status` and `site` of the same row")


@task("7.10", "a function of a list of failures")
def _(answer: Any, lab: Lab) -> str | None:
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}: give its name, without parentheses"
    draw = random.Random(7)
    cases = [[("hang", "layer 0")], [("hang", "layer 0")] * 2, [("hang", "layer 0"), ("crash", "layer 0")]]
    cases += [
        [("hang", "layer 0"), ("hang", "layer 1")],
        [("hang", "layer 0"), ("hang", "layer 1"), ("hang", "layer 0")],
    ]
    cases += [[("hang", f"layer {layer}") for layer in range(4)]]
    for _ in range(60):
        ends, places = ("hang", "crash"), ("layer 0", "layer 1", "layer 2")
        cases.append([(draw.choice(ends), draw.choice(places)) for _ in range(draw.randint(1, 4))])
    for case in cases:
        # A sequence ends with the failure that decides it.
        failures = [Failure(end, place, "") for end, place in case]
        length = next((n for n in range(1, len(failures)) if is_repeat(failures[:n])), len(failures))
        seen, expected = case[:length], is_repeat(failures[:length])
        call = f"{getattr(answer, '__name__', 'function')}({seen})"
        try:
            given = answer(list(seen))
        except Exception as error:
            return f"{call} raised {type(error).__name__}: {error}"
        if (nothing := require_result(call, given)) is not None:
            return nothing
        if not isinstance(given, bool | np.bool_):
            return f"{call} must be True or False, not {str(given)[:40]}"
        if bool(given) != expected:
            why = "it has not happened before in the same way at the same place, and there are runs left"
            repeat = (
                "the last failure is like one before it" if len(seen) < 4 else "there is no run left, or it is a repeat"
            )
            return f"{call} is {given}; look again: {repeat if expected else why}"
    return None


@task("7.11", "a dictionary: the mildest remedy for each")
def _(answer: Any, lab: Lab) -> str | None:
    hints = {
        "a": "what does a reset do to a register, and who would bring it back otherwise?",
        "b": "what does the next tile do with what lies in the buffer?",
        "c": "can a reset, which loads registers, move a wire?",
    }

    def wrong(key: str, word: str) -> str | None:
        return None if word == what_helps(key) else f"{key}: {hints[key]}"

    return _mapping(answer, tuple(AILMENTS), _REMEDIES, wrong)


@task("7.12", "the letters of the statements that hold")
def _(answer: Any, lab: Lab) -> str | None:
    return statements(
        answer,
        {"a": True, "b": False, "c": True, "d": False, "e": False},
        (
            "what two devices must do alike in order to agree, what a chip has that a netlist lacks, and how a "
            "hang is defined"
        ),
    )
