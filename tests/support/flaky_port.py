"""A port that fails when it is told to, in front of one that does not; and a backend that has such a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from axft_host.backends.on_device import DeviceBackend, pass_self_test
from axft_host.backends.rtl import open_accelerator
from axft_host.device.accelerator import Accelerator
from axft_host.device.port import (
    BusError,
    Operation,
    Port,
    PortDeadError,
    PortError,
    PortTimeoutError,
    Read,
    ReadBlock,
    Wait,
    Words,
    Write,
    WriteBlock,
)
from axft_host.device.recovery import Rung
from axft_spec.config import ArrayConfig
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import register, window

Mode = Literal["hang", "late", "overrun", "bus", "dead", "dirty", "chain"]
Cure = Literal["soft reset", "reload", "power", "nothing"]

_CURES: tuple[Cure, ...] = ("soft reset", "reload", "power", "nothing")


@dataclass(frozen=True)
class Upset:
    """Something that goes wrong.

    Members
    -------
    mode : str
        ``hang``: no command ends, and the watchdog says so. ``late``: it does not say so. ``overrun``: the device says
        that it has dropped something. ``bus``: error responses. ``dead``: no answer. ``dirty``: results are wrong.
        ``chain``: something else comes out of the scan chain than what went in.
    cure : str
        The mildest of the means that helps.
    """

    mode: Mode
    cure: Cure = "soft reset"


@dataclass
class FlakyPort(Port):
    """Passes everything on until something is to go wrong.

    Members
    -------
    inner : Port
    upsets : dict of int to Upset
        By the number of the command, over the life of the port, that they begin with.
    curses : dict of int to (callable, Upset)
        By the position of the armed bit: what tells the command, counted since it was shifted in, and what happens.
    commands : int
        How many commands were started.
    happened : list of int
        Commands at which something went wrong.
    ills : list of Upset
        What is wrong now. One that comes while another lasts is what shows; those that its cure does not cure show
        again behind it.
    """

    inner: Port
    upsets: dict[int, Upset] = field(default_factory=dict)
    curses: dict[int, tuple[Callable[[], int], Upset]] = field(default_factory=dict)
    commands: int = 0
    happened: list[int] = field(default_factory=list)
    ills: list[Upset] = field(default_factory=list)
    _since_armed: int = 0
    _armed: int | None = None
    _position: int | None = None

    @property
    def sick(self) -> Upset | None:
        """What shows of all that is wrong."""
        return self.ills[-1] if self.ills else None

    def read_block(self, offset: int, words: int) -> Words:
        """See `Port`."""
        return np.asarray(self.transact([ReadBlock(offset, words)])[0], dtype=np.uint32)

    def write_block(self, offset: int, data: Words) -> None:
        """See `Port`."""
        self.transact([WriteBlock(offset, data)])

    def wait32(self, offset: int, mask: int, value: int, deadline_cycles: int) -> None:
        """See `Port`."""
        self.transact([Wait(offset, mask, value, deadline_cycles)])

    def transact(self, operations: Sequence[Operation]) -> list[int | Words]:
        """See `Port`; operations before the failure are done."""
        results: list[int | Words] = []
        for index, operation in enumerate(operations):
            self._notice(operation)
            try:
                sick = self.sick
                results += self.inner.transact([operation]) if sick is None else self._sickly(operation, sick)
            except PortError as error:
                error.index = index
                raise
        return results

    def act(self, cure: Cure) -> None:
        """Do to the device what cures what is not worse."""
        self.ills = [upset for upset in self.ills if _CURES.index(upset.cure) > _CURES.index(cure)]

    def _fall_ill(self, upset: Upset) -> None:
        if upset in self.ills:
            self.ills.remove(upset)
        self.ills.append(upset)

    def _notice(self, operation: Operation) -> None:
        """Follow what is armed and which command comes, and fall ill if it is time."""
        if isinstance(operation, Write):
            if operation.offset == register("CONTROL").offset:
                self._armed = None
                self.act("soft reset")
            elif operation.offset == register("SCAN_POSITION").offset:
                self._position, self._since_armed = operation.value, 0
                _, cursed = self.curses.get(operation.value, (None, None))
                if cursed is not None and cursed.mode == "chain":
                    self._fall_ill(cursed)
            elif operation.offset == register("FAULT").offset:
                self._armed = self._position if operation.value else None
        if isinstance(operation, WriteBlock) and operation.offset == register("TILE_ACTIVATIONS").offset:
            upset = self.upsets.pop(self.commands, None)
            if self._armed in self.curses:
                command, cursed = self.curses[self._armed]
                if self._since_armed == command():
                    upset = cursed
            if upset is not None:
                self._fall_ill(upset)
                self.happened.append(self.commands)
            self.commands += 1
            self._since_armed += 1

    def _sickly(self, operation: Operation, sick: Upset) -> list[int | Words]:
        if sick.mode == "bus":
            raise BusError(f"the bus answered an access to 0x{operation.offset:05x} with an error response")
        if sick.mode == "dead":
            raise PortDeadError(f"the bus did not answer at 0x{operation.offset:05x}")
        if sick.mode in ("hang", "late"):
            if isinstance(operation, Wait) and operation.offset == register("COMMANDS_DONE").offset:
                done = self.inner.read32(operation.offset)
                raise PortTimeoutError(
                    operation.offset, operation.mask, operation.value, done, operation.deadline_cycles
                )
            if isinstance(operation, WriteBlock) and operation.offset == register("TILE_ACTIVATIONS").offset:
                return []
        results = self.inner.transact([operation])
        if isinstance(operation, Read) and operation.offset == register("EVENTS").offset:
            word = {"hang": "hang", "overrun": "overrun"}.get(sick.mode)
            return [int(results[0]) | (0 if word is None else register("EVENTS").field(word).mask)]
        if sick.mode == "chain" and isinstance(operation, Read) and operation.offset == register("SCAN_FIRST").offset:
            return [int(results[0]) ^ 1]
        results_window = range(window("RESULTS").offset, window("RESULTS").offset + window("RESULTS").size_bytes)
        if sick.mode == "dirty" and isinstance(operation, ReadBlock) and operation.offset in results_window:
            return [np.asarray(results[0], dtype=np.uint32) ^ np.uint32(0x10)]
        return results


class FlakyBackend(DeviceBackend):
    """A simulated device as large as the logical array, behind a port that fails.

    Parameters
    ----------
    upsets : dict of int to Upset
    rungs : iterable of str
        Which means there are, of ``soft reset``, ``reload`` and ``power``.
    """

    name = "rtl"

    def __init__(
        self,
        upsets: dict[int, Upset] | None = None,
        *,
        rungs: Iterable[str] = ("soft reset", "reload", "power"),
        **hardware: Any,
    ) -> None:
        super().__init__()
        self._upsets = dict(upsets or {})
        self._names = tuple(rungs)
        self._hardware = {"operand_steps": 16, **hardware}
        self._device: Accelerator | None = None
        #: What was done to the device, in order.
        self.acts: list[str] = []

    def accelerator(self, config: ArrayConfig) -> Accelerator:
        """See `DeviceBackend`."""
        if self._device is None:
            inner = open_accelerator(HardwareConfig(array=config, **self._hardware))
            self._device = Accelerator(FlakyPort(inner.port, self._upsets), inner.hardware)
        return self._device

    def port(self, config: ArrayConfig) -> FlakyPort:
        """Return the port of the device for an array."""
        port = self.accelerator(config).port
        assert isinstance(port, FlakyPort)
        return port

    def rungs(self, config: ArrayConfig) -> Sequence[Rung]:
        """See `DeviceBackend`."""

        def reset() -> None:
            self.acts.append("soft reset")
            self.accelerator(config).reset()

        def cure(name: Literal["reload", "power"]) -> Callable[[], None]:
            def act() -> None:
                self.acts.append(name)
                self.port(config).act(name)
                self.accelerator(config).reset()
                if name == "reload":
                    pass_self_test(self.accelerator(config))

            return act

        every = {"soft reset": reset, "reload": cure("reload"), "power": cure("power")}
        return [Rung(name, every[name]) for name in self._names]
