"""The ladder, and when a failure is an outcome."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from axft_host.device.recovery import (
    ATTEMPTS,
    CLIMBS,
    RUNGS,
    Failure,
    Recovery,
    RecoveryError,
    Rung,
    is_repeat,
    recover,
)
from axft_spec.errors import BackendError, ConfigError


class Ladder:
    """Rungs that say what was done."""

    def __init__(self, *names: str, raises: dict[str, Exception] | None = None) -> None:
        self.done: list[str] = []
        self._raises = raises or {}
        self.rungs = [Rung(name, self._act(name)) for name in names]

    def _act(self, name: str) -> Callable[[], None]:
        def act() -> None:
            self.done.append(name)
            if name in self._raises:
                raise self._raises[name]

        return act

    def clean_after(self, *done: str) -> Callable[[], bool]:
        """Return a golden run that is clean once these were done."""
        return lambda: self.done == list(done)


@pytest.mark.parametrize("helps", range(len(RUNGS)))
def test_ladder_is_climbed_to_the_first_rung_that_helps(helps: int) -> None:
    """From the mildest one, and no further."""
    ladder = Ladder(*RUNGS)
    recovery = recover(ladder.rungs, ladder.clean_after(*RUNGS[: helps + 1]), "it stood still", end="crash", attempt=2)
    assert (recovery.rung, recovery.cause, recovery.end, recovery.attempt) == (
        RUNGS[helps],
        "it stood still",
        "crash",
        2,
    )
    assert ladder.done == list(RUNGS[: helps + 1])
    assert recovery.seconds >= 0
    assert len(recovery.utc) == len("2026-01-01T00:00:00Z")


def test_rung_that_fails_is_not_the_end() -> None:
    """Neither is a golden run that does, nor a command that cannot be started."""
    ladder = Ladder("soft reset", "reload", "power", raises={"reload": FileNotFoundError(2, "no such command", "x")})

    def is_clean() -> bool:
        if ladder.done == ["soft reset"]:
            raise BackendError("the bus is silent")
        return True

    assert recover(ladder.rungs, is_clean, "cause").rung == "power"


def test_ladder_that_does_not_help_names_every_rung_and_why() -> None:
    """And how to go on; it was climbed twice, since bad luck can strike there too."""
    ladder = Ladder("soft reset", "power", raises={"power": BackendError("no such socket\nand more")})
    with pytest.raises(RecoveryError) as caught:
        recover(ladder.rungs, lambda: False, "no command ended")
    assert ladder.done == ["soft reset", "power"] * CLIMBS
    assert str(caught.value) == (
        "the device did not come back after a failure (no command ended); tried: soft reset (the golden run is not "
        "clean), power (no such socket), soft reset (the golden run is not clean), power (no such socket); look after "
        "the device, then resume: what is done is kept"
    )


@pytest.mark.parametrize("error", [ConfigError("no such array"), KeyboardInterrupt()])
def test_other_errors_end_the_recovery(error: BaseException) -> None:
    """A mistake of the user's, or their wish to stop, is no failure of the device."""

    def act() -> None:
        raise error

    with pytest.raises(type(error)):
        recover([Rung("soft reset", act)], lambda: True, "cause")


def failures(*ends_and_places: tuple[str, str]) -> list[Failure]:
    """Return failures in order."""
    return [Failure(end, place, "cause") for end, place in ends_and_places]


@pytest.mark.parametrize(
    ("history", "repeated"),
    [
        ([("hang", "a")], False),
        ([("hang", "a"), ("hang", "a")], True),
        ([("hang", "a"), ("hang", "b")], False),
        ([("hang", "a"), ("crash", "a")], False),
        ([("hang", "a"), ("hang", "b"), ("hang", "a")], True),
        ([("hang", "a"), ("hang", "b"), ("crash", "a")], False),
        ([("hang", ""), ("hang", "")], True),
    ],
)
def test_failure_repeats_in_the_same_way_at_the_same_place(history: list[tuple[str, str]], repeated: bool) -> None:
    """Twice is a repeat, whatever happened in between; elsewhere it is bad luck."""
    assert is_repeat(failures(*history)) is repeated


def test_what_always_fails_is_an_outcome_wherever_it_does() -> None:
    """After so many attempts, and not before."""
    always = failures(*(("hang", str(place)) for place in range(ATTEMPTS)))
    assert [is_repeat(always[:count]) for count in range(1, ATTEMPTS + 1)] == [False] * (ATTEMPTS - 1) + [True]


RECOVERY = Recovery("reload", 1.25, "the bus is silent", "crash", 2, "2026-01-02T03:04:05Z")


def test_recovery_travels_as_json() -> None:
    """Every member, and whole seconds as well."""
    assert Recovery.from_json(RECOVERY.to_json()) == RECOVERY
    assert Recovery.from_json({**RECOVERY.to_json(), "seconds": 2}).seconds == 2.0


@pytest.mark.parametrize(
    "change",
    [{"rung": 3}, {"seconds": "long"}, {"seconds": True}, {"attempt": 1.5}, {"cause": None}, {"unknown": 1}],
)
def test_recovery_of_another_form_is_refused(change: dict[str, object]) -> None:
    """It may come from the other end of a link."""
    with pytest.raises(BackendError, match=r"of a recovery must not be|a recovery must have the keys"):
        Recovery.from_json({**RECOVERY.to_json(), **change})
    with pytest.raises(BackendError, match="a recovery must have the keys"):
        Recovery.from_json({"rung": "reload"})
