"""A device looked at from its registers up: what `axft-hw doctor` shows of everything behind the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from axft_host.device.accelerator import Accelerator
from axft_host.device.examination.buffers import result_buffer, writable_buffers
from axft_host.device.examination.finding import Finding, State, timed
from axft_host.device.examination.registers import error_answers, identity, register_bits, register_values
from axft_host.device.examination.speed import clock, words_per_second
from axft_host.device.examination.watchdog import watchdog
from axft_host.device.self_test import self_test

__all__ = ["Finding", "State", "examine"]

#: Rows of the self-test that are looked at more closely here.
_CLOSER = ("registers", "buffer ")


def examine(accelerator: Accelerator, *, fresh: bool = False, seed: int = 0) -> Iterator[Finding]:
    """Yield what is found on a device, check by check; none of them raises.

    Parameters
    ----------
    accelerator : Accelerator
        Nothing may run on it. It is reset; what its buffers and registers held is lost.
    fresh : bool
        Whether nobody else has used the device since it was configured, so that registers hold their reset values.
    seed : int
        Of patterns and operands.
    """
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "identity": lambda: identity(accelerator),
        # Before anything else runs: registers hold their reset values only until they are used.
        "register values": lambda: register_values(accelerator, fresh=fresh),
        "clock": lambda: clock(accelerator),
        "register bits": lambda: register_bits(accelerator),
        "error answers": lambda: error_answers(accelerator),
        "buffer": lambda: writable_buffers(accelerator, seed),
        "buffer results": lambda: result_buffer(accelerator, seed),
        "self-test": lambda: _self_test(accelerator, seed),
        "watchdog": lambda: watchdog(accelerator, seed),
        "words": lambda: words_per_second(accelerator),
    }
    answers = True
    for name, check in checks.items():
        if not answers:
            yield Finding.skipped(name, "the device does not answer any more")
            continue
        yield from timed(name, check)
        answers = _answers(accelerator)


def _answers(accelerator: Accelerator) -> bool:
    """Bring the device back into order for the next check; return whether that can be done."""
    try:
        accelerator.reset()
    except Exception:
        return False
    return True


def _self_test(accelerator: Accelerator, seed: int) -> Iterator[Finding]:
    for check in self_test(accelerator, seed):
        if not check.name.startswith(_CLOSER):
            name = "GEMM" if check.name == "golden GEMM" else check.name
            yield Finding.passed(name, check.text) if check.passed else Finding.failed(name, check.text)
