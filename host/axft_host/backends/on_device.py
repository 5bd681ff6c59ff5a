"""What every backend has in common whose array is behind the driver: how failures are survived and measured."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend, Evaluation, GemmResult, RunEnd, Workload, array_faults
from axft_host.backends.emulator import Emulator
from axft_host.device.accelerator import (
    Accelerator,
    ArmingError,
    DeviceEventError,
    DeviceHangError,
    DeviceTimeoutError,
)
from axft_host.device.examination import Finding, examine
from axft_host.device.port import BusError, PortDeadError, PortError, PortTimeoutError
from axft_host.device.recovery import ATTEMPTS, Failure, Recovery, Rung, first_line, is_repeat, recover
from axft_host.device.self_test import self_test
from axft_spec.config import ArrayConfig
from axft_spec.errors import BackendError
from axft_spec.faults import Fault, FaultKind, check_fault
from axft_spec.flipflops import AnyFault
from axft_spec.regmap import REGMAP_HASH

__all__ = ["GOLDEN_IMAGES", "PROOF_S", "DeviceBackend", "end_of", "pass_self_test"]

_log = logging.getLogger(__name__)

Int64 = NDArray[np.int64]

#: Images of a golden run after a recovery, or between faults; spread evenly over those of the campaign.
GOLDEN_IMAGES = 8

#: Seconds of faults behind which there is a golden run.
PROOF_S = 2.0

_HANGS = (DeviceHangError, DeviceTimeoutError, DeviceEventError, PortTimeoutError)
_CRASHES = (BusError, PortDeadError)

#: Devices whose registers may hold something else than after they were opened.
_used_before: WeakSet[Accelerator] = WeakSet()


def end_of(error: BaseException) -> str | None:
    """Return how a run has ended that raised an error: ``hang``, ``crash`` or ``arming``; None for any other error."""
    if isinstance(error, _HANGS):
        return RunEnd.HANG.value
    if isinstance(error, _CRASHES):
        return RunEnd.CRASH.value
    return "arming" if isinstance(error, ArmingError) else None


def pass_self_test(accelerator: Accelerator) -> None:
    """Run the self-test: what a device has to do after its bitstream was loaded again.

    Raises
    ------
    BackendError
        If a check fails; it names the first.
    """
    _used_before.add(accelerator)
    for check in self_test(accelerator):
        if not check.passed:
            raise BackendError(f"self-test: {check.name}: {check.text}")


class DeviceBackend(Backend):
    """A backend whose array is behind an `Accelerator`.

    A run that hangs or crashes is made again, on a device that was brought back and has shown it by a golden run. Only
    if it fails again is that its outcome (see ``docs/reference/recovery.md``); the golden run behind it is then over
    all images, so that the failure is the fault's and not the device's. What came to its end counts when a golden run
    behind it is clean.

    Attributes
    ----------
    recoveries : Counter of str
        How often which rung brought the device back.
    """

    #: Whether opening a device configures it, so that its registers hold what they hold after power-up.
    configures_when_opened = False

    #: Whether the device can go wrong without saying so, so that golden runs have to show that it does not.
    proves = True

    def __init__(self) -> None:
        self.recoveries: Counter[str] = Counter()
        self._used: Accelerator | None = None
        # Where the run in hand is, and how many commands were done before it.
        self._place = ""
        self._first = 0
        # Of the workload used last: some images of it, what their golden run must give, and what that of all images
        # must give once it was asked for. Both are the emulator's: what the device said is never the reference.
        self._workload: Workload | None = None
        self._sample: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._expected: Int64 = np.zeros((0, 0), dtype=np.int64)
        self._golden: Int64 | None = None

    @abstractmethod
    def accelerator(self, config: ArrayConfig) -> Accelerator:
        """Return the device for a logical array; it is opened when first asked for, and kept for the next time.

        Raises
        ------
        BackendError
            If it cannot be opened. Errors for which `end_of` returns something begin a recovery.
        """

    def _use(self, config: ArrayConfig) -> Accelerator:
        """Return the device for a logical array, and remember that it is used."""
        self._used = accelerator = self.accelerator(config)
        _used_before.add(accelerator)
        return accelerator

    def rungs(self, config: ArrayConfig) -> Sequence[Rung]:
        """Return the means to bring the device for a logical array back, the mildest first."""
        return [Rung("soft reset", lambda: self.accelerator(config).reset())]

    def examine(self, config: ArrayConfig) -> Iterator[Finding]:
        """See :meth:`Backend.examine`."""
        # Backends of a process may share a device that one of them has opened.
        fresh = self.configures_when_opened and self.accelerator(config) not in _used_before
        accelerator = self._use(config)
        yield from examine(accelerator, fresh=fresh)

    def device(self) -> dict[str, Any] | None:
        """See :meth:`Backend.device`."""
        if self._used is None:
            return None
        hardware = self._used.hardware
        return {
            "hardware": hardware.to_json(),
            "config_hash": f"{hardware.config_hash:08x}",
            "regmap_hash": f"{REGMAP_HASH:08x}",
        }

    def gemm(
        self,
        config: ArrayConfig,
        activations: Int64,
        weights: Int64,
        fault: Fault | None = None,
        *,
        layer: int = 0,
        gemm: int = 0,
    ) -> GemmResult:
        """See :meth:`Backend.gemm`. What fails here is not run again."""
        self._place = f"layer {layer}, GEMM {gemm}"
        accelerator = self._use(config)
        return GemmResult(*accelerator.gemm(config, activations, weights, fault, layer=layer, gemm=gemm))

    def evaluate(
        self, workload: Workload, faults: Sequence[AnyFault | None], progress: Callable[[int], None] | None = None
    ) -> list[Evaluation]:
        """See :meth:`Backend.evaluate`.

        Raises
        ------
        RecoveryError
            If the device cannot be brought back. Evaluations before it are lost; `evaluate_each` keeps them.
        """
        return list(self.evaluate_each(workload, faults, progress))

    def evaluate_each(
        self, workload: Workload, faults: Sequence[AnyFault | None], progress: Callable[[int], None] | None = None
    ) -> Iterator[Evaluation]:
        """See :meth:`Backend.evaluate_each`. What a golden run has not shown to be right yet comes when it has."""
        self.check_faults(workload, faults)
        settled = self._proved(workload, faults) if self.proves else (self.settle(workload, fault) for fault in faults)
        for result in settled:
            if progress is not None:
                progress(len(workload.images))
            yield result

    def _proved(self, workload: Workload, faults: Sequence[AnyFault | None]) -> Iterator[Evaluation]:
        """Yield results behind which a golden run was clean, without a failure in between; run the others again."""
        done: dict[int, Evaluation] = {}
        waiting, suspects, unproved = deque(range(len(faults))), set[int](), list[int]()
        shown = rounds = 0
        while shown < len(faults):
            began = time.perf_counter()
            while waiting and (not unproved or time.perf_counter() - began < PROOF_S):
                index = waiting.popleft()
                result = self.settle(workload, faults[index])
                before = done[index].recoveries if index in done else ()
                done[index] = replace(result, recoveries=before + result.recoveries)
                if result.recoveries:
                    # What has brought the device down may have been at work before; with the failure it is gone.
                    waiting.extendleft(reversed(unproved))
                    suspects.update(unproved)
                    unproved = [index]
                    break
                unproved.append(index)
                if index in suspects:
                    # One at a time, so that this comes to an end however often the device fails.
                    break
            recovery = self._prove(workload)
            if recovery is None:
                unproved, rounds = [], 0
                while shown in done and shown not in waiting:
                    yield done.pop(shown)
                    shown += 1
                continue
            rounds += 1
            if rounds >= ATTEMPTS:
                raise BackendError(
                    f"the golden run behind fault {faults[unproved[0]]} was not clean {rounds} times in a row; "
                    f"`axft-hw doctor` examines the device; what is done is kept"
                )
            first = done[unproved[0]]
            done[unproved[0]] = replace(first, recoveries=(*first.recoveries, recovery))
            waiting.extendleft(reversed(unproved))
            suspects.update(unproved)
            unproved = []

    def _prove(self, workload: Workload) -> Recovery | None:
        """Make a golden run over some images; if it is not clean, bring the device back, and return how."""
        try:
            if self._is_clean(workload, whole=False):
                return None
            failure = Failure("golden", "", "a golden run behind faults is not what the emulator computes")
        except BackendError as error:
            failure = self._failure(error)
        return self._recover(workload, failure, 1, whole=False)

    def check_faults(self, workload: Workload, faults: Sequence[AnyFault | None]) -> None:
        """Refuse faults that this device cannot do, before anything runs.

        Raises
        ------
        FaultError
            Naming the first.
        """
        for fault in array_faults(self.name, faults):
            if fault is not None:
                check_fault(fault, workload.config, workload.schedule)
                self._opened(workload).hardware.check_sites([fault])

    def settle(self, workload: Workload, fault: AnyFault | None) -> Evaluation:
        """Run one fault over all images, as often as it takes to say what came of it."""
        (armed,) = array_faults(self.name, [fault])
        failures: list[Failure] = []
        recoveries: list[Recovery] = []
        while True:
            try:
                result = self._attempt(workload, armed)
            except BackendError as error:
                failures.append(self._failure(error))
            else:
                if armed is not None or self._is_golden(workload, result.accumulators):
                    return replace(result, recoveries=tuple(recoveries))
                failures.append(Failure("golden", "", "the golden run is not what the emulator computes"))
            last = failures[-1]
            may_be_outcome = armed is not None and last.end in (RunEnd.HANG.value, RunEnd.CRASH.value)
            decided = is_repeat(failures) if may_be_outcome else len(failures) >= ATTEMPTS
            recoveries.append(self._recover(workload, last, len(failures), whole=decided))
            if not decided:
                continue
            if not may_be_outcome:
                what = "the golden run" if armed is None else f"fault {armed}"
                raise BackendError(
                    f"{what} failed {len(failures)} times, which is no outcome: {last.cause}; `axft-hw doctor` "
                    f"examines the device; what is done is kept"
                )
            return self._without_result(workload, RunEnd(last.end), recoveries)

    @staticmethod
    def _without_result(workload: Workload, end: RunEnd, recoveries: Sequence[Recovery]) -> Evaluation:
        images = len(workload.images)
        zeros = np.zeros((images, workload.network.classes), dtype=np.int64), np.zeros(images, dtype=np.int64)
        return Evaluation(*zeros, end, tuple(recoveries))

    def _attempt(self, workload: Workload, fault: Fault | None) -> Evaluation:
        """Run one fault over all images.

        There is no reset before it: it would also heal, unseen, what has gone wrong under the fault before.
        """
        self._place = "opening"
        accelerator = self._use(workload.config)
        self._first = accelerator.commands
        start = time.perf_counter()
        (result,) = self._plain(workload, [fault], None)
        self.seconds_per_fault = time.perf_counter() - start
        return result

    def _opened(self, workload: Workload) -> Accelerator:
        """Return the device, also if it has to be brought back for that."""
        self._place = "opening"
        try:
            return self._use(workload.config)
        except BackendError as error:
            self._recover(workload, self._failure(error), 1, whole=False)
            return self._use(workload.config)

    def _failure(self, error: BackendError) -> Failure:
        """Return what failed; raise the error again if it is no failure of a device."""
        end = end_of(error)
        if end is None:
            raise error
        # What the host had asked for until then: the same in a repetition, whatever ran before.
        place = self._place
        if self._used is not None:
            place += f", command {(self._used.commands - self._first) & 0xFFFFFFFF}"
        cause = error if isinstance(error, PortError) else error.__context__
        if isinstance(cause, PortError) and cause.index is not None:
            place += f", operation {cause.index}"
        return Failure(end, place, f"{place}: {first_line(error)}")

    def _recover(self, workload: Workload, failure: Failure, attempt: int, *, whole: bool) -> Recovery:
        """Bring the device back, until a golden run over some images, or over all, is clean."""
        recovery = recover(
            self.rungs(workload.config),
            lambda: self._is_clean(workload, whole=whole),
            failure.cause,
            end=failure.end,
            attempt=attempt,
        )
        self.recoveries[recovery.rung] += 1
        _log.warning(
            "%s (%s); device back after %s, %.1f s", recovery.end, recovery.cause, recovery.rung, recovery.seconds
        )
        return recovery

    def _is_clean(self, workload: Workload, *, whole: bool) -> bool:
        """Make a golden run, and compare it with what the emulator computes.

        Before it, bits are shifted through the scan chain, which takes no part in a golden run and must work as well.
        """
        self._know(workload)
        accelerator = self.accelerator(workload.config)
        if accelerator.scan_map:
            ends = sorted({0, len(accelerator.scan_map) - 1})
            if accelerator.shift(ends) != ends:
                raise ArmingError("scan chain: what comes out is not what went in")
            # This also has the driver forget what was armed before, so that it does arm.
            accelerator.arm(Fault(FaultKind.FLIP, (accelerator.scan_map.site_at(ends[-1]),)))
        part = workload if whole else replace(workload, images=workload.images[self._sample])
        (result,) = self._plain(part, [None], None)
        if whole:
            return self._is_golden(workload, result.accumulators)
        return np.array_equal(result.accumulators, self._expected)

    def _is_golden(self, workload: Workload, accumulators: Int64) -> bool:
        """Return whether final accumulators of all images are what the emulator computes."""
        self._know(workload)
        if self._golden is None:
            self._golden = Emulator().evaluate(workload, [None])[0].accumulators
        return np.array_equal(accumulators, self._golden)

    def _know(self, workload: Workload) -> None:
        if self._workload is workload:
            return
        images = len(workload.images)
        self._sample = np.unique(np.linspace(0, images - 1, min(images, GOLDEN_IMAGES)).astype(np.intp))
        some = replace(workload, images=workload.images[self._sample])
        self._expected = Emulator().evaluate(some, [None])[0].accumulators
        self._workload, self._golden = workload, None
