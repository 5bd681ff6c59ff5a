"""What one look at a device or a board has shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from time import perf_counter
from typing import Any

from axft_host.device.port import PortDeadError
from axft_spec.errors import AxftError, ConfigError

__all__ = ["HINTS", "Finding", "State", "hint_for", "timed"]


class State(str, Enum):
    """How a check has ended.

    Members
    -------
    PASS
        Looked at, and well.
    FAIL
        Looked at, and not as it must be.
    SKIPPED
        Not looked at, for a reason that the text gives; the board might be broken there.
    NOT_APPLICABLE
        This kind of board has nothing to look at.
    """

    PASS = "pass"
    FAIL = "FAIL"
    SKIPPED = "skipped"
    NOT_APPLICABLE = "not applicable"


#: What to do when a check fails, by its name or the first word of its name.
HINTS: Mapping[str, str] = {
    "board": "docs/guides/board-bring-up.md goes through it step by step",
    "identity": "load the bitstream of this configuration, made by this version of axft-hw; without an answer, see "
    "that the overlay is loaded and its base address is that of the .hwh",
    "clock": "set it again, and read it back (`Clocks.fclk0_mhz` in pynq); do not believe timings or a watchdog until "
    "it is right",
    "register": "load the bitstream again and repeat; if it stays, the design is too slow for its clock: lower it",
    "error": "do not run campaigns: an address that nobody answers freezes the processor; load the bitstream again, "
    "and build it anew if it stays",
    "buffer": "load the bitstream again and repeat; if the same bit stays wrong, lower the clock, then suspect the "
    "block RAM or the build",
    "scan": "do not believe any injection; load the bitstream again, lower the clock, and build it anew if it stays",
    "self-test": "the device failed in the middle of it: load the bitstream again, and lower the clock",
    "GEMM": "lower the clock and repeat: timing comes first; then compare with the emulator (`axft-hw diff`)",
    "fault": "do not believe injections at this site; lower the clock and repeat, then build the bitstream anew",
    "watchdog": "do not start campaigns without a watchdog: a hang would not be seen; load the bitstream again",
    "words": "see that nothing else uses the board, and repeat",
    "golden": "if the GEMM above passes, files differ: compare the digests of network and images, and the versions",
    "injection": "if the faults above pass, compare versions of axft-hw here and where the fault list was made",
}


def hint_for(name: str) -> str:
    """Return what to do when the check of a name fails."""
    return HINTS.get(name) or HINTS.get(name.split(maxsplit=1)[0], "repeat it; if it stays, send a board report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the table that ``axft-hw doctor`` prints.

    Parameters
    ----------
    name : str
        What was looked at; its first word is the subject.
    state : State
    text : str
        What was seen, or why it was not looked at; one line.
    hint : str
        What to do; empty if nothing needs doing.
    figures : mapping of str to float
        What was measured, with the unit in the name.
    seconds : float
        How long it took.
    """

    name: str
    state: State
    text: str
    hint: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "name": self.name,
            "state": self.state.value,
            "text": self.text,
            "hint": self.hint,
            "figures": dict(self.figures),
            "seconds": round(self.seconds, 6),
        }

    @classmethod
    def from_json(cls, value: Any) -> Finding:
        """Rebuild from `to_json`.

        Raises
        ------
        ConfigError
            If it is something else.
        """
        try:
            return cls(
                name=str(value["name"]),
                state=State(value["state"]),
                text=str(value["text"]),
                hint=str(value["hint"]),
                figures={str(name): float(figure) for name, figure in value["figures"].items()},
                seconds=float(value["seconds"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"a finding must be what `axft-hw doctor --json` prints, not {value!r}: {error}"
            ) from None

    @classmethod
    def passed(cls, name: str, text: str, **figures: float) -> Finding:
        """Return what a check that is well has seen."""
        return cls(name=name, state=State.PASS, text=text, figures=figures)

    @classmethod
    def failed(cls, name: str, text: str, hint: str = "") -> Finding:
        """Return what a check that is not well has seen; without a hint, the one that belongs to its name."""
        return cls(name=name, state=State.FAIL, text=_one_line(text), hint=hint or hint_for(name))

    @classmethod
    def skipped(cls, name: str, why: str, hint: str = "") -> Finding:
        """Return that something was not looked at."""
        return cls(name=name, state=State.SKIPPED, text=_one_line(why), hint=hint)

    @classmethod
    def not_applicable(cls, name: str, why: str) -> Finding:
        """Return that there is nothing to look at."""
        return cls(name=name, state=State.NOT_APPLICABLE, text=why)


def _one_line(text: str) -> str:
    """Return the first line of a message: behind it, a device's error has all its registers."""
    return (text.splitlines() or [""])[0].removesuffix("; registers of the device:")


def timed(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds, with its time; whatever it raises is a finding too.

    A device that fails in the middle must not end the examination with a traceback: the row says what happened.
    """
    start = perf_counter()
    findings = check()
    while True:
        try:
            finding = next(findings)
        except StopIteration:
            return
        except AxftError as error:
            # Whatever the check was about: this is what is wrong.
            hint = HINTS["error"] if isinstance(error, PortDeadError) else ""
            finding = Finding.failed(name, str(error), hint)
            yield replace(finding, seconds=perf_counter() - start)
            return
        except Exception as error:
            finding = Finding.failed(name, f"unexpected {type(error).__name__}: {error}", "send a board report")
            yield replace(finding, seconds=perf_counter() - start)
            return
        now = perf_counter()
        # One that was made elsewhere knows its own time.
        yield replace(finding, seconds=finding.seconds or now - start)
        start = now
