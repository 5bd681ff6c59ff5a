"""Compiled models for Python: build one, keep several states of it, look at and change flip-flops.

Everything that runs for more than a few cycles belongs in a harness (see `axft_hw.sim.emit`): a call from Python costs
more than a cycle.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from axft_spec.errors import BackendError, ConfigError, unknown_name

from .compile import FLAGS, compile_c, load
from .emit import EMITTER_VERSION, EmittedModel, emit
from .layout import StateEntry
from .netlist import read_netlist

__all__ = ["CompiledModel", "Injection", "ModelState", "build_model", "build_text", "netlist_of"]

_OPERATIONS = {"flip": 0, "clear": 1, "set": 2}
_ALIGNMENT = 64


class _Entry(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("cycle", "until", "mask", "offset", "operation"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """A fault in one flip-flop or memory word.

    Attributes
    ----------
    name : str
        The flip-flop or memory, as the state directory has it.
    cycle : int
        First clock period, by the model's cycle counter, in which the state differs.
    until : int, optional
        First period in which it is no longer held; not used by flips. The default is the period after `cycle`.
    mask : int
        The bits.
    operation : {"flip", "clear", "set"}
        Invert once, or hold at 0 or 1.
    word : int
        Address, if it is a memory.
    """

    name: str
    cycle: int
    until: int | None = None
    mask: int
    operation: Literal["flip", "clear", "set"] = "flip"
    word: int = 0


def netlist_of(component: Any, *, name: str = "top", ports: Any = None) -> str:
    """Return the RTLIL text of an Amaranth component, hierarchy kept."""
    from amaranth.back import rtlil

    return rtlil.convert(component, name=name, ports=ports, emit_src=False)


def build_model(component: Any, *, name: str = "top", ports: Any = None, harness: str = "") -> CompiledModel:
    """Return the compiled model of an Amaranth component.

    Parameters
    ----------
    component : amaranth.lib.wiring.Component
        The design. It is elaborated here.
    name : str
        Name of the top module; it shows nowhere else.
    ports : optional
        As `amaranth.back.rtlil.convert` takes them, for elaboratables without a signature.
    harness : str
        C text compiled behind the model.

    Raises
    ------
    BackendError
        If the design has something that is not supported, or there is no working C compiler.
    """
    return build_text(netlist_of(component, name=name, ports=ports), harness=harness)


def build_text(text: str, *, harness: str = "", unroll: bool = False, flags: tuple[str, ...] = FLAGS) -> CompiledModel:
    """Return the compiled model of RTLIL text; parameters and errors as `build_model`."""
    emitted = emit(read_netlist(text), unroll=unroll)
    path = compile_c(emitted.text + "\n" + harness, flags=flags, salt=f"emitter {EMITTER_VERSION}")
    return CompiledModel(emitted, path)


class CompiledModel:
    """A loaded model.

    Attributes
    ----------
    library : ctypes.CDLL
        The library, for what a harness exports. Functions take the address of a state.
    path : pathlib.Path
        The library's file.
    directory : dict of str to StateEntry
        Every flip-flop, read-port register and memory by name.
    ports : dict of str to tuple of (int, int)
        Width and byte offset of every port, named ``in_<name>`` or ``out_<name>``.
    """

    def __init__(self, emitted: EmittedModel, path: Path) -> None:
        self.emitted = emitted
        self.path = path
        self.library = load(path)
        self.directory = {entry.name: entry for entry in emitted.layout.directory}
        self.ports = {name: (width, offset) for name, width, offset in emitted.layout.ports}
        library = self.library
        library.axft_export_size.restype = ctypes.c_size_t
        self.size = int(library.axft_export_size())
        for function in ("reset", "eval", "commit"):
            getattr(library, f"axft_export_{function}").argtypes = [ctypes.c_void_p]
            getattr(library, f"axft_export_{function}").restype = None
        library.axft_export_inject.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64]
        library.axft_export_inject.restype = None

    @property
    def flip_flops(self) -> dict[str, StateEntry]:
        """Every register of the design by name, those of memories' read ports too."""
        return {name: entry for name, entry in self.directory.items() if entry.kind != "memory"}

    def entry(self, name: str) -> StateEntry:
        """Return a line of the state directory.

        Raises
        ------
        ConfigError
            If there is no such flip-flop or memory; the message names near ones.
        """
        if name not in self.directory:
            near = [known for known in self.directory if known.rpartition(".")[2] == name.rpartition(".")[2]]
            few = near[:8] or list(self.directory)[:8]
            raise ConfigError(unknown_name("flip-flop", name, few) + f" and others: {len(self.directory)} in all")
        return self.directory[name]

    def new(self) -> ModelState:
        """Return a state of its own, freshly reset."""
        return ModelState(self)


class ModelState:
    """One machine: the state structure of a model.

    Attributes
    ----------
    model : CompiledModel
        The model.
    address : int
        Of the ``axft_model``, for functions of a harness.
    """

    def __init__(self, model: CompiledModel) -> None:
        self.model = model
        self._room = ctypes.create_string_buffer(model.size + _ALIGNMENT)
        self.address = -(-ctypes.addressof(self._room) // _ALIGNMENT) * _ALIGNMENT
        self._table: Any = None
        self.reset()

    def reset(self) -> None:
        """Give everything its initial value; injections are gone."""
        self._table = None
        self.model.library.axft_export_reset(self.address)

    def eval(self) -> None:
        """Compute the outputs from inputs and state."""
        self.model.library.axft_export_eval(self.address)

    def commit(self) -> None:
        """Do the clock edge."""
        self.model.library.axft_export_commit(self.address)

    @property
    def cycle(self) -> int:
        """Clock edges since reset."""
        return int(ctypes.c_uint64.from_address(self.address).value)

    def peek(self, name: str, word: int = 0) -> int:
        """Return a flip-flop, a word of a memory, or a port (``in_x``, ``out_x``) as an unsigned integer."""
        width, offset = self._place(name, word)
        return int.from_bytes(ctypes.string_at(self.address + offset, _bytes(width)), "little")

    def poke(self, name: str, value: int, word: int = 0) -> None:
        """Change a flip-flop, a word of a memory, or an input.

        Raises
        ------
        ConfigError
            If the name is unknown, or the value needs more bits than there are.
        """
        width, offset = self._place(name, word)
        if not 0 <= value < 1 << width:
            raise ConfigError(f"{name} has {width} bits; the value must be between 0 and 2^{width} - 1, not {value}")
        ctypes.memmove(self.address + offset, value.to_bytes(_bytes(width), "little"), _bytes(width))

    def snapshot(self) -> bytes:
        """Return the whole state: registers, memories, ports and cycle counter, without injections."""
        return ctypes.string_at(self.address, self.model.emitted.layout.size)

    def restore(self, snapshot: bytes) -> None:
        """Return to a snapshot of this model; injections are gone.

        Raises
        ------
        BackendError
            If the snapshot is of another model.
        """
        size = self.model.emitted.layout.size
        if len(snapshot) != size:
            raise BackendError(f"the snapshot has {len(snapshot)} bytes and this model's state {size}: another model's")
        ctypes.memmove(self.address, snapshot, size)
        self.inject(())

    def inject(self, injections: Sequence[Injection]) -> None:
        """Install a table of faults in place of the present one; an empty one removes it.

        Raises
        ------
        ConfigError
            If a name is unknown, or bits or times are not allowed.
        """
        entries = []
        for each in injections:
            width, offset = self._place(each.name, each.word)
            if not 0 < each.mask < 1 << width:
                raise ConfigError(f"mask of {each.name} must be between 1 and 2^{width} - 1, not {each.mask}")
            if each.operation not in _OPERATIONS:
                raise ConfigError(unknown_name("operation", each.operation, _OPERATIONS))
            until = each.cycle + 1 if each.until is None else each.until
            if each.cycle < 0 or until <= each.cycle:
                raise ConfigError(
                    f"an injection must begin in cycle 0 or later and end after it, not {each.cycle}..{until}"
                )
            for part in range(0, width, 64):
                mask = each.mask >> part & (1 << 64) - 1
                if mask:
                    entries.append((each.cycle, until, mask, offset + part // 8, _OPERATIONS[each.operation]))
        entries.sort(key=lambda entry: entry[0])
        self._table = (_Entry * len(entries))(*(_Entry(*entry) for entry in entries))
        self.model.library.axft_export_inject(self.address, ctypes.addressof(self._table), len(entries))

    def _place(self, name: str, word: int) -> tuple[int, int]:
        if name in self.model.ports:
            return self.model.ports[name]
        entry = self.model.entry(name)
        if not 0 <= word < entry.depth:
            raise ConfigError(
                f"{name} has {entry.depth} words; the address must be between 0 and {entry.depth - 1}, not {word}"
            )
        return entry.width, entry.offset + word * entry.stride


def _bytes(width: int) -> int:
    """Return the bytes of a value's storage."""
    return 1 if width <= 8 else 2 if width <= 16 else 4 if width <= 32 else -(-width // 64) * 8
