"""The driver: everything that is known about how to use an accelerator is in :class:`Accelerator`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from axft_host.device.passes import Chunk, Pass, chunks_of, pack_steps, plan_passes, unpack_tiles
from axft_host.device.port import Operation, Port, PortTimeoutError, Read, ReadBlock, Wait, Write, WriteBlock
from axft_spec.config import ArrayConfig
from axft_spec.errors import BackendError, ConfigError
from axft_spec.faults import Fault, FaultKind, FaultSite, Site, check_fault
from axft_spec.hardware import MAX_STEPS, HardwareConfig
from axft_spec.lowering import GemmShape
from axft_spec.multipliers import EXACT, PARTS, Multiplier
from axft_spec.numeric import signed_range
from axft_spec.regmap import (
    ID_VALUE,
    KIND_CODES,
    REGISTERS,
    REGMAP_HASH,
    VERSION,
    Access,
    ScanCommand,
    register,
    reset_values,
    window,
)
from axft_spec.scanmap import ScanMap

__all__ = ["Accelerator", "ArmingError", "DeviceEventError", "DeviceHangError", "DeviceTimeoutError"]

Int64 = NDArray[np.int64]
Words = NDArray[np.uint32]


class DeviceHangError(BackendError):
    """The device is alive, and its watchdog says that a command does not end."""


class DeviceEventError(BackendError):
    """The device is alive, and says that something was asked of it that it did not do."""


class DeviceTimeoutError(BackendError):
    """A deadline has passed, and the watchdog has said nothing."""


class ArmingError(BackendError):
    """What has come out of the scan chain is not what went in: nothing that runs now means anything."""


#: Operations that arm something, and what checks their results.
_Arming = tuple[list[Operation], Callable[[Sequence[int | Words]], None]]


@dataclass(frozen=True, slots=True)
class _Step:
    """One command: a chunk of one tile, or several whole tiles behind one another."""

    chunk: Chunk
    # Places in the list of (image, row start).
    tiles: range


class Accelerator:
    """One accelerator behind a port.

    On making it, the device is identified and reset. A device that has failed (`DeviceHangError`,
    `DeviceTimeoutError`, or any error of the port) must be `reset` before it is used again.

    Parameters
    ----------
    port : Port
    hardware : HardwareConfig or None
        What the device must be, from its manifest; None to take it from the capability registers.

    Attributes
    ----------
    port : Port
    hardware : HardwareConfig
    scan_map : ScanMap

    Raises
    ------
    BackendError
        If there is no accelerator, or it is not the one expected; the message says which register differs.
    """

    def __init__(self, port: Port, hardware: HardwareConfig | None = None) -> None:
        self.port = port
        self.hardware = self._identify(hardware)
        self.scan_map = ScanMap(self.hardware)
        array = self.hardware.array
        drain = array.rows * array.cols * self.hardware.psum_words
        tile = self.hardware.operand_steps + array.rows + array.cols + drain + 128
        #: Clock cycles that any one tile or chunk, or shift of the chain, can take, doubled.
        self.watchdog_limit = 2 * max(tile, self.hardware.scan_bits + 128)
        self._scan_deadline = 2 * self.hardware.scan_bits + 1024
        self._armed: tuple[int, ...] | None = None
        self._done = 0
        self.reset()

    # Identity

    def _identify(self, expected: HardwareConfig | None) -> HardwareConfig:
        """Read who the device is; check it against what this driver and the caller expect."""
        names = [entry.name for entry in REGISTERS if entry.offset < register("ARRAY").offset]
        identity = dict(zip(names, self.port.transact([Read(register(name).offset) for name in names]), strict=True))
        if identity["ID"] != ID_VALUE:
            raise BackendError(f"no accelerator here: register ID is 0x{identity['ID']:08x}, not 0x{ID_VALUE:08x}")
        if identity["REGMAP_HASH"] != REGMAP_HASH:
            major, minor, patch = VERSION
            fields = register("VERSION").unpack(int(identity["VERSION"]))
            raise BackendError(
                f"register map of the device is 0x{identity['REGMAP_HASH']:08x} (gateware {fields['major']}."
                f"{fields['minor']}.{fields['patch']}), not 0x{REGMAP_HASH:08x} (gateware {major}.{minor}.{patch}); "
                f"use the bitstream that was built with this version of axft-hw"
            )
        found = self._capabilities()
        if expected is None:
            return found
        for name, fields in reset_values(expected).items():
            offset = register(name).offset
            if register("ARRAY").offset <= offset <= register("QUEUE_DEPTH").offset:
                word = self.port.read32(offset)
                if word != register(name).pack(**fields):
                    raise BackendError(
                        f"the device is another one: register {name} holds {register(name).unpack(word)}, not "
                        f"{fields}; load the bitstream of this configuration"
                    )
        if identity["CONFIG_HASH"] != expected.config_hash:
            raise BackendError(
                f"configuration hash of the device is 0x{identity['CONFIG_HASH']:08x}, not "
                f"0x{expected.config_hash:08x}; load the bitstream of this configuration"
            )
        return expected

    def _capabilities(self) -> HardwareConfig:
        """Return the hardware that the capability registers describe."""
        array = register("ARRAY").unpack(self.port.read32(register("ARRAY").offset))
        cut = register("MULTIPLIER").unpack(self.port.read32(register("MULTIPLIER").offset))
        sites = register("SITES").unpack(self.port.read32(register("SITES").offset))
        steps = self.port.read32(register("OPERAND_STEPS").offset)
        parameters = cut["omit_a"], cut["omit_b"], cut["vbreak"]
        known = [EXACT, *(part.multiplier for part in PARTS.values())]
        same = [part for part in known if (part.omit_a, part.omit_b, part.vbreak) == parameters]
        multiplier = (
            same or [Multiplier(name="custom", omit_a=parameters[0], omit_b=parameters[1], vbreak=parameters[2])]
        )[0]
        try:
            return HardwareConfig(
                array=ArrayConfig(
                    rows=array["rows"],
                    cols=array["cols"],
                    width=array["width"],
                    multiplier=multiplier,
                    operand_a="activation" if cut["activation_is_a"] else "weight",
                ),
                sites=tuple(site for site in Site if sites[site.value]),
                operand_steps=steps,
                counter=bool(sites["counter"]),
            )
        except ConfigError as error:
            raise BackendError(f"capability registers of the device make no sense: {error}") from None

    def check_config(self, config: ArrayConfig) -> None:
        """Check that the device computes what a logical array computes, whatever the size of either.

        Raises
        ------
        BackendError
            Naming what differs.
        """
        mine = self.hardware.array
        cuts = [(each.omit_a, each.omit_b, each.vbreak) for each in (mine.multiplier, config.multiplier)]
        for what, here, wanted in (
            ("operand width", mine.width, config.width),
            ("multiplier (omit_a, omit_b, vbreak)", *cuts),
            ("operand A", mine.operand_a, config.operand_a),
        ):
            if here != wanted:
                raise BackendError(
                    f"{what} of the device is {here}, not {wanted}; load the bitstream of this configuration"
                )

    # State

    def reset(self) -> None:
        """Reset everything behind the bus side, and clear what the watchdog has said."""
        events, fault = register("EVENTS"), register("FAULT")
        self._armed = None
        self._transact(
            [
                Write(register("CONTROL").offset, register("CONTROL").pack(soft_reset=1)),
                Write(fault.offset, 0),
                Write(events.offset, sum(field.mask for field in events.fields)),
                Write(register("WATCHDOG_LIMIT").offset, self.watchdog_limit),
                self._wait_idle(),
            ]
        )
        self._done = self.port.read32(register("COMMANDS_DONE").offset)

    @property
    def commands(self) -> int:
        """Commands since the last reset, modulo 2^32: what COMMANDS_DONE holds when all have ended."""
        return self._done

    def _wait_idle(self) -> Wait:
        status = register("STATUS")
        mask = status.field("busy").mask | status.field("scan_busy").mask
        return Wait(status.offset, mask, 0, self._scan_deadline)

    def dump(self) -> str:
        """Return all registers, one a line, for an error message."""
        lines = []
        for entry in REGISTERS:
            fields = entry.unpack(self.port.read32(entry.offset))
            shown = [f"{field.name}={fields[field.name]:#x}" for field in entry.fields if field.access is not Access.W]
            if shown:
                lines.append(f"0x{entry.offset:03x} {entry.name}: {', '.join(shown)}")
        return "\n".join(lines)

    def _transact(self, operations: Sequence[Operation]) -> list[int | Words]:
        """Do operations; when a deadline passes, say what the device looks like."""
        try:
            return self.port.transact(operations)
        except PortTimeoutError as error:
            events = register("EVENTS").unpack(self.port.read32(register("EVENTS").offset))
            kind = DeviceHangError if events["hang"] else DeviceTimeoutError
            raise kind(f"{error}; registers of the device:\n{self.dump()}") from None

    # Arming

    def arm(self, fault: Fault | None) -> None:
        """Arm a fault of the physical array and prove it by shifting the chain out; None disarms.

        Raises
        ------
        FaultError
            If the hardware lacks a site or a PE.
        ArmingError
            If what comes out of the chain is not what went in.
        """
        operations, check = self._arming(fault)
        check(self._transact(operations))

    def shift(self, positions: Sequence[int]) -> list[int]:
        """Shift a pattern through the chain and out again; return the positions that were set.

        Whatever is armed afterwards does nothing until the next fault is armed.
        """
        command, buffer = register("SCAN_COMMAND").offset, window("SCAN").offset
        operations: list[Operation] = [
            *self._loading(positions),
            # What is read afterwards must have come out of the chain, and not be what was written.
            WriteBlock(buffer, ~self.scan_map.words(positions)),
            Write(command, ScanCommand.READ),
            self._wait_idle(),
            ReadBlock(buffer, self.hardware.scan_words),
            Read(register("EVENTS").offset),
        ]
        words, events = self._transact(operations)
        self._check_events(int(events))
        return self.scan_map.armed(np.asarray(words, dtype=np.uint32))

    def _loading(self, positions: Sequence[int]) -> list[Operation]:
        """Return the operations that shift in a pattern, with which nothing is done until a fault is armed."""
        self._armed = None
        return [
            Write(register("FAULT").offset, 0),
            WriteBlock(window("SCAN").offset, self.scan_map.words(positions)),
            Write(register("SCAN_COMMAND").offset, ScanCommand.LOAD),
            self._wait_idle(),
        ]

    def probe(self, positions: Sequence[int], observed: FaultSite) -> bool:
        """Return whether a bit is armed after shifting in a pattern, by what it does: it must flip in one step.

        What comes out of the chain is not looked at, and not shifted in again as for reading it: so this tells where a
        broken one still works.
        """
        array = self.hardware.array
        one = Pass(fault=None, own=(), rows=array.rows, cols=array.cols, col0=0, row_starts=(0,))
        kind = register("FAULT").pack(kind=KIND_CODES[FaultKind.FLIP])
        self._transact(self._loading(positions))
        arming: list[Operation] = [Write(register("FAULT").offset, kind)]
        operands = np.zeros((1, array.rows, 1), dtype=np.int64), np.zeros((1, array.cols), dtype=np.int64)
        _, activated = self._run(one, self._observing(observed), *operands, arming=(arming, lambda results: None))
        return bool(activated[0])

    def _arming(self, fault: Fault | None) -> _Arming:
        """Return the operations that arm a fault, and what checks their results."""
        control = register("FAULT")
        if fault is None:
            return [Write(control.offset, 0)], lambda results: None
        positions = tuple(self.scan_map.positions(fault.sites))
        operations: list[Operation] = [Write(control.offset, 0)]
        check: Callable[[Sequence[int | Words]], None] = lambda results: None  # noqa: E731
        if positions != self._armed:
            shift, check = self._shifting(positions)
            operations += shift
        if positions:
            mode = control.pack(kind=KIND_CODES[fault.kind], window=int(fault.window is not None))
            if fault.window is not None:
                operations += [
                    Write(register("WINDOW_FIRST").offset, fault.window.first_cycle),
                    Write(register("WINDOW_CYCLES").offset, fault.window.cycles),
                ]
            operations.append(Write(control.offset, mode))
        return operations, check

    def _shifting(self, positions: tuple[int, ...]) -> _Arming:
        """Return the operations that shift a pattern in and out again, and what checks their results."""
        command, buffer = register("SCAN_COMMAND").offset, window("SCAN").offset
        if len(positions) == 1:
            shift: list[Operation] = [
                Write(register("SCAN_POSITION").offset, positions[0]),
                Write(command, ScanCommand.ARM_ONE),
            ]
        else:
            shift = [WriteBlock(buffer, self.scan_map.words(positions)), Write(command, ScanCommand.LOAD)]
        read: list[Operation] = [Write(command, ScanCommand.READ), self._wait_idle()]
        if len(positions) <= 1:
            read += [Read(register("SCAN_ONES").offset), Read(register("SCAN_FIRST").offset)]
        else:
            # What is read afterwards must have come out of the chain, and not be what was written.
            read.insert(0, WriteBlock(buffer, ~self.scan_map.words(positions)))
            read.append(ReadBlock(buffer, self.hardware.scan_words))
        read.append(Read(register("EVENTS").offset))

        # What is armed is known only when it has been seen.
        self._armed = None

        def check(results: Sequence[int | Words]) -> None:
            self._check_events(int(results[-1]))
            if len(positions) <= 1:
                ones, first = int(results[0]), int(results[1])
                good = ones == len(positions) and (not positions or first == positions[0])
                found = f"{ones} armed bits" + (f", the first at {first}" if ones else "")
            else:
                armed = self.scan_map.armed(np.asarray(results[0], dtype=np.uint32))
                good, found = tuple(armed) == positions, f"positions {armed[:8]}{'...' if len(armed) > 8 else ''}"
            if not good:
                raise ArmingError(
                    f"scan chain: shifted in {len(positions)} armed bits at positions {list(positions[:8])}, shifted "
                    f"out {found}; run the self-test"
                )
            self._armed = positions

        return [*shift, self._wait_idle(), *read], check

    def _check_events(self, word: int) -> None:
        """Refuse to believe what was read if the device says that something went wrong on the way."""
        events = register("EVENTS")
        found = [field.text for field in events.fields if field.extract(word)]
        if found:
            kind = DeviceHangError if events.field("hang").extract(word) else DeviceEventError
            raise kind(f"the device reports: {'; '.join(found)}; registers of the device:\n{self.dump()}")

    def _observing(self, armed: FaultSite | None) -> Operation:
        """Return the write that has the activations of one bit counted, or none."""
        observe = register("OBSERVE")
        offset = None if armed is None else self.scan_map.pe_offset(armed)
        if armed is None or offset is None:
            return Write(observe.offset, 0)
        word = observe.pack(row=armed.row, col=armed.col, bit=offset, only_bit=1, on=1)
        return Write(observe.offset, word)

    # GEMM

    def gemm(
        self,
        config: ArrayConfig,
        activations: Int64,
        weights: Int64,
        fault: Fault | None = None,
        *,
        layer: int = 0,
        gemm: int = 0,
    ) -> tuple[Int64, Int64]:
        """Run one GEMM of the logical array for a batch of images.

        Parameters
        ----------
        config : ArrayConfig
            The logical array.
        activations : ndarray of int64, shape (images, m, k)
        weights : ndarray of int64, shape (k, n)
        fault : Fault or None
            Armed on the logical array.
        layer, gemm : int
            Where in the network this GEMM is; decides whether a window falls into it.

        Returns
        -------
        psums : ndarray of int64, shape (images, m, n)
        activated : ndarray of int64, shape (images,)

        Raises
        ------
        FaultError
            If the hardware lacks a site, or cannot represent the fault. Nothing has run.
        ConfigError
            If an operand does not fit.
        BackendError
            If the device is not the one for this configuration, or fails.
        """
        self.check_config(config)
        self._check_operands(activations, weights)
        images, m, k = activations.shape
        n = weights.shape[1]
        if fault is not None:
            check_fault(fault, config)
            self.hardware.check_sites([fault])
            if not self.hardware.counter:
                raise BackendError(
                    f"fault {fault}: this hardware does not count activations; generate it with the counter"
                )
        shape = GemmShape(m=m, k=k, n=n)
        psums = np.zeros((images, m, n), dtype=np.int64)
        activated = np.zeros(images, dtype=np.int64)
        for each in plan_passes(config, self.hardware, shape, fault, layer, gemm):
            counted = [site for site in each.own if self.scan_map.pe_offset(site) is not None]
            for number, observed in enumerate(counted or [None]):
                block, counts = self._run(each, self._observing(observed), activations, weights)
                activated += counts
                if number == 0:
                    for start, rows in block:
                        psums[:, start : start + each.rows, each.col0 : each.col0 + each.cols] = rows
        return psums, activated

    def _check_operands(self, activations: Int64, weights: Int64) -> None:
        shapes = activations.shape, weights.shape
        if activations.ndim != 3 or weights.ndim != 2 or activations.shape[2] != weights.shape[0]:
            raise ConfigError(f"operands must be (images, m, k) and (k, n), not {shapes[0]} and {shapes[1]}")
        images, m, k = activations.shape
        if 0 in (images, m, weights.shape[1]):
            raise ConfigError(f"operands must have an image, a row and a column, not {shapes[0]} and {shapes[1]}")
        if not 1 <= k <= MAX_STEPS:
            raise ConfigError(f"K must be between 1 and {MAX_STEPS} on this hardware, not {k}")
        low, high = signed_range(self.hardware.array.width)
        for name, operand in (("activations", activations), ("weights", weights)):
            if operand.size and not low <= operand.min() <= operand.max() <= high:
                raise ConfigError(f"{name} must be between {low} and {high}, not {operand.min()} to {operand.max()}")

    def _run(
        self, each: Pass, observing: Operation, activations: Int64, weights: Int64, arming: _Arming | None = None
    ) -> tuple[list[tuple[int, Int64]], Int64]:
        """Run one pass; return each row block's start and psums (images, rows, cols), and each image's activations."""
        hardware, images, k = self.hardware, activations.shape[0], weights.shape[0]
        packed_weights = pack_steps(
            weights[:, each.col0 : each.col0 + each.cols], hardware.array.width, hardware.weight_step_words
        )
        lanes = np.stack([activations[:, start : start + each.rows] for start in each.row_starts])
        packed = pack_steps(lanes.swapaxes(-1, -2), hardware.array.width, hardware.activation_step_words).reshape(
            -1, k, hardware.activation_step_words
        )
        steps = list(self._steps(each, k, len(packed)))
        operations, check = arming or self._arming(each.fault)
        armed_results = sum(isinstance(operation, Read | ReadBlock) for operation in operations)
        operations.append(observing)
        operations += self._streaming(each, steps, packed, packed_weights)
        operations.append(Read(register("EVENTS").offset))
        done = self._done
        try:
            self._done = (done + len(steps)) & 0xFFFFFFFF
            results = self._transact(operations)
        except BaseException:
            self._armed = None
            raise
        check(results[:armed_results])
        self._check_events(int(results[-1]))
        words = np.concatenate([np.asarray(block, dtype=np.uint32) for block in results[armed_results:-1]])
        psums, counts = unpack_tiles(words, each.rows, each.cols, hardware.psum_words)
        blocks = psums.reshape(len(each.row_starts), images, each.rows, each.cols)
        return list(zip(each.row_starts, blocks, strict=True)), counts.reshape(-1, images).sum(axis=0)

    def _steps(self, each: Pass, k: int, tiles: int) -> Iterator[_Step]:
        """Yield the commands of a pass: chunks of long tiles, or as many short tiles at a time as fit."""
        hardware = self.hardware
        chunks = list(chunks_of(k, hardware.half_steps))
        if len(chunks) > 1:
            yield from (_Step(chunk, range(tile, tile + 1)) for tile, chunk in product(range(tiles), chunks))
            return
        words = hardware.tile_words(each.rows, each.cols)
        together = min(hardware.half_steps // k, hardware.result_words // 2 // words)
        for first in range(0, tiles, together):
            yield _Step(chunks[0], range(first, min(first + together, tiles)))

    def _streaming(
        self, each: Pass, steps: Sequence[_Step], packed: Words, packed_weights: Words
    ) -> Iterator[Operation]:
        """Yield the operations that run commands: while one runs, the operands of the next are written.

        Commands use the halves of the buffers in turn. A command is started when the one before it is done, and not
        queued behind it: the count of those done is then what is waited for, and cannot run past it unseen while the
        processor does something else. The results of a command are read while the next one runs.
        """
        hardware = self.hardware
        half = hardware.half_steps
        resident = len(packed_weights) <= hardware.operand_steps
        start = register("TILE_START")
        if resident:
            yield WriteBlock(window("WEIGHTS").offset, packed_weights.ravel())
        waiting: list[Operation] = []
        reading: list[Operation] = []
        for number, step in enumerate(steps):
            side, chunk = number % 2, step.chunk
            span = slice(chunk.start, chunk.start + chunk.steps)
            place = window("ACTIVATIONS").offset + 4 * side * half * hardware.activation_step_words
            yield WriteBlock(place, packed[step.tiles.start : step.tiles.stop, span].ravel())
            weight_step = chunk.start if resident else side * half
            if not resident:
                place = window("WEIGHTS").offset + 4 * side * half * hardware.weight_step_words
                yield WriteBlock(place, packed_weights[span].ravel())
            result = side * hardware.result_words // 2
            command = (
                side * half,
                weight_step,
                chunk.steps,
                register("TILE_SHAPE").pack(rows=each.rows, cols=each.cols, repeat=len(step.tiles)),
                result,
                start.pack(first=int(chunk.first), last=int(chunk.last)),
            )
            yield from waiting
            yield WriteBlock(register("TILE_ACTIVATIONS").offset, np.array(command, dtype=np.uint32))
            yield from reading
            deadline = (len(step.tiles) + 2) * self.watchdog_limit
            count = (self._done + number + 1) & 0xFFFFFFFF
            waiting, reading = [Wait(register("COMMANDS_DONE").offset, 0xFFFFFFFF, count, deadline)], []
            if chunk.last:
                words = len(step.tiles) * hardware.tile_words(each.rows, each.cols)
                reading.append(ReadBlock(window("RESULTS").offset + 4 * result, words))
        yield from waiting
        yield from reading
