"""The netlist that Amaranth emits: RTLIL text to modules, each class of equal modules parsed once.

Amaranth writes a copy of a module for every instance. Copies differ in their own name, in the order of their ports and
in the numbers of unnamed ports; here all three are made canonical before a module's text is compared, so that 784 equal
modules cost 784 hashes and one parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from axft_spec.errors import BackendError

__all__ = [
    "CELLS",
    "IGNORED",
    "Assign",
    "Cell",
    "Memory",
    "Module",
    "Netlist",
    "Process",
    "Spec",
    "Switch",
    "Wire",
    "read_netlist",
]

# A value: pieces from the least significant up, each (wire name, first bit, width) or (None, constant, width).
Spec = tuple[tuple["str | None", int, int], ...]


@dataclass(slots=True)
class Wire:
    """A wire of a module; `direction` is "input", "output" or "" and `init` a flip-flop's initial value."""

    width: int
    direction: str = ""
    init: int | None = None


@dataclass(slots=True)
class Cell:
    """A cell; `kind` starts with ``$``, or is the class of the module it is an instance of, as ``@12``."""

    kind: str
    name: str
    params: dict[str, int | str] = field(default_factory=dict)
    ports: dict[str, Spec] = field(default_factory=dict)


@dataclass(slots=True)
class Assign:
    """Inside a process: the bits named by `target`, all of one wire, take `value`."""

    target: Spec
    value: Spec


@dataclass(slots=True)
class Switch:
    """Inside a process: the first case of which a pattern matches is carried out; no pattern matches everything."""

    select: Spec
    cases: list[tuple[tuple[str, ...], list[Assign | Switch]]] = field(default_factory=list)


@dataclass(slots=True)
class Process:
    """A wire computed by assignments in order, the later ones covering the earlier ones."""

    body: list[Assign | Switch] = field(default_factory=list)


@dataclass(slots=True)
class Memory:
    """A memory of `depth` words."""

    width: int
    depth: int
    init: int = 0


@dataclass(slots=True)
class Module:
    """One class of modules: what all its instances have in common."""

    wires: dict[str, Wire] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    memories: dict[str, Memory] = field(default_factory=dict)
    connects: dict[str, Spec] = field(default_factory=dict)


@dataclass(slots=True)
class Netlist:
    """All classes of a design; `top` names the class of the outermost module."""

    modules: dict[str, Module]
    top: str
    instances: int


#: Kinds of cells that can be compiled. What only prints or checks has no influence on any signal, and is left out.
CELLS = frozenset(
    [
        "$not",
        "$neg",
        "$pos",
        "$and",
        "$or",
        "$xor",
        "$add",
        "$sub",
        "$mul",
        "$divfloor",
        "$modfloor",
        "$eq",
        "$ne",
        "$lt",
        "$le",
        "$gt",
        "$ge",
        "$shl",
        "$shr",
        "$sshr",
        "$shift",
        "$shiftx",
        "$reduce_or",
        "$reduce_bool",
        "$reduce_and",
        "$reduce_xor",
        "$mux",
        "$dff",
        "$memrd_v2",
        "$memwr_v2",
        "$meminit_v2",
    ]
)
IGNORED = frozenset({"$print", "$check", "$scopeinfo"})

_MODULE = re.compile(r"^module \\(\S+)\n(.*?)^end$", re.M | re.S)
_NOISE = re.compile(r"^\s*attribute \\(?!init )\S+ .*\n", re.M)
_WIRE = re.compile(
    r"(?:^\s*attribute \\init (?P<init>\S+)\n)?"
    r"^\s*wire width (?P<width>\d+)(?: (?P<dir>input|output|inout) \d+)?\s+(?:signed )?(?P<name>[\\$]\S+)\n",
    re.M,
)
_INSTANCE = re.compile(r"^(\s*)cell \\(\S+) ", re.M)
_ANONYMOUS = re.compile(r"\\port\$\d+\$\d+(?!\S)")


def read_netlist(text: str) -> Netlist:
    """Parse RTLIL.

    Parameters
    ----------
    text : str
        What ``amaranth.back.rtlil.convert`` returns.

    Raises
    ------
    BackendError
        If the text has a construct that this reader does not know.
    """
    found = [(match[1], match[2]) for match in _MODULE.finditer(text)]
    if not found:
        raise BackendError("the netlist has no module; give the text that amaranth.back.rtlil.convert returns")
    classes: dict[str, str] = {}  # module name -> class
    renamed: dict[str, dict[str, str]] = {}  # module name -> its unnamed ports -> canonical names
    by_text: dict[str, str] = {}
    modules: dict[str, Module] = {}
    for name, body in reversed(found):  # parents are written before their children
        canonical = _canonical(name, body, classes, renamed)
        kind = by_text.get(canonical)
        if kind is None:
            kind = by_text[canonical] = f"@{len(by_text)}"
            modules[kind] = _parse(canonical)
        classes[name] = kind
    return Netlist(modules=modules, top=classes[found[0][0]], instances=len(found))


def _canonical(name: str, body: str, classes: dict[str, str], renamed: dict[str, dict[str, str]]) -> str:
    """Return a module's text without what differs between equal modules; the wires, sorted, come first."""
    body = _NOISE.sub("", body)
    if renamed and "cell \\" in body:
        body = _rename_connections(body, renamed)
    wires = [
        f"wire {match['name']} {match['width']} {match['dir'] or '-'} {match['init'] or '-'}"
        for match in _WIRE.finditer(body)
    ]
    body = _WIRE.sub("", body)
    head = "\n".join(wires)
    if "\\port$" in body or "\\port$" in head:
        names: dict[str, str] = {}
        for match in _ANONYMOUS.finditer(body + head):
            names.setdefault(match[0], f"\\port${len(names)}")
        body = _ANONYMOUS.sub(lambda match: names[match[0]], body)
        wires = [_ANONYMOUS.sub(lambda match: names[match[0]], wire) for wire in wires]
        renamed[name] = names

    def instance(match: re.Match[str]) -> str:
        if match[2] not in classes:
            raise BackendError(f"module {name} instantiates {match[2]}, of which the netlist has no contents")
        return f"{match[1]}cell {classes[match[2]]} "

    body = _INSTANCE.sub(instance, body)
    return "\n".join(sorted(wires)) + "\n" + body


def _rename_connections(body: str, renamed: dict[str, dict[str, str]]) -> str:
    """Give the unnamed ports of instances the names they have in the canonical text of their modules."""
    lines = body.split("\n")
    names: dict[str, str] | None = None
    for index, line in enumerate(lines):
        words = line.split(None, 2)
        if not words:
            continue
        if words[0] == "cell":
            names = renamed.get(words[1][1:])
        elif names and words[0] == "connect" and words[1] in names:
            lines[index] = f"    connect {names[words[1]]} {words[2]}"
    return "\n".join(lines)


def _parse(text: str) -> Module:
    """Parse one module's canonical text."""
    module = Module()
    lines = (words for words in (line.split() for line in text.split("\n")) if words)
    for words in lines:
        head = words[0]
        if head == "wire":
            init = None if words[4] == "-" else _constant(words[4])[0]
            module.wires[words[1]] = Wire(int(words[2]), words[3].strip("-"), init)
        elif head == "cell":
            module.cells.append(_parse_cell(words, lines))
        elif head == "process":
            process = Process()
            _parse_body(process.body, lines, module)
            module.processes.append(process)
        elif head == "memory":
            module.memories[words[5]] = Memory(int(words[2]), int(words[4]))
        elif head == "connect":
            if len(words) < 3 or words[1] not in module.wires:
                raise BackendError(f"the netlist connects {' '.join(words[1:])}: only whole wires can be connected")
            module.connects[words[1]] = _spec(words[2:], module)
        else:
            raise BackendError(f"the netlist has {head!r}, which the compiled model does not support")
    for cell in module.cells:
        cell.ports = {name: _spec(words, module) for name, words in cell.ports.items()}  # type: ignore[arg-type]
        if cell.kind == "$meminit_v2":
            memory = module.memories[str(cell.params["MEMID"])]
            memory.init = _value(cell.ports["DATA"])
    module.cells = [cell for cell in module.cells if cell.kind != "$meminit_v2"]
    return module


def _parse_cell(words: list[str], lines: Iterator[list[str]]) -> Cell:
    cell = Cell(kind=words[1], name=words[2].removeprefix("\\"))
    if cell.kind[0] != "@" and cell.kind not in CELLS and cell.kind not in IGNORED:
        raise BackendError(f"cell {cell.name} is a {cell.kind}, which the compiled model does not support")
    for inner in lines:
        if inner[0] == "end":
            return cell
        if inner[0] == "parameter":
            if inner[1] in ("signed", "real"):
                inner.pop(1)
            cell.params[inner[1].removeprefix("\\")] = _parameter(" ".join(inner[2:]))
        elif inner[0] == "connect":
            cell.ports[inner[1].removeprefix("\\") if cell.kind[0] == "$" else inner[1]] = inner[2:]  # type: ignore[assignment]
        else:
            raise BackendError(f"cell {cell.name} has {inner[0]!r}, which the compiled model does not support")
    raise BackendError(f"cell {cell.name} of the netlist does not end; the text is cut off")


def _parse_body(body: list[Assign | Switch], lines: Iterator[list[str]], module: Module) -> list[str]:
    """Parse assignments and switches up to the line that closes them, and return that line."""
    for words in lines:
        if words[0] == "assign":
            target, value = _two_specs(words[1:], module)
            body.append(Assign(target, value))
        elif words[0] == "switch":
            switch = Switch(_spec(words[1:], module))
            closing = next(lines)
            while closing[0] == "case":
                patterns = tuple(pattern.rstrip(",").split("'")[1] for pattern in closing[1:])
                inner: list[Assign | Switch] = []
                closing = _parse_body(inner, lines, module)
                switch.cases.append((patterns, inner))
            body.append(switch)
        elif words[0] in ("end", "case"):
            return words
        else:
            raise BackendError(f"a process has {words[0]!r}, which the compiled model does not support")
    raise BackendError("a process of the netlist does not end; the text is cut off")


def _two_specs(words: list[str], module: Module) -> tuple[Spec, Spec]:
    split = 2 if words[1][0] == "[" else 1
    if words[0] == "{":
        split = words.index("}") + 1
    return _spec(words[:split], module), _spec(words[split:], module)


def _spec(words: list[str], module: Module) -> Spec:
    """Parse a signal: a wire, some bits of one, a constant, or a list of these in braces, most significant first."""
    pieces: list[tuple[str | None, int, int]] = []
    for word in words:
        if word in "{}":
            continue
        if word[0] == "[":
            name = pieces.pop()[0]
            high, _, low = word[1:-1].partition(":")
            first = int(low or high)
            pieces.append((name, first, int(high) - first + 1))
        elif word[0] in "\\$":
            wire = module.wires.get(word)
            if wire is None:
                raise BackendError(f"the netlist uses the wire {word} and does not declare it")
            pieces.append((word, 0, wire.width))
        else:
            value, width = _constant(word)
            pieces.append((None, value, width))
    return tuple(piece for piece in reversed(pieces) if piece[2])


def _constant(word: str) -> tuple[int, int]:
    width, _, bits = word.partition("'")
    if not bits:
        return (int(width), 32) if "'" not in word else (0, 0)
    # What is undefined in the netlist (a read port before its first read) is zero in Amaranth's simulator.
    return int(re.sub("[xz-]", "0", bits), 2), int(width)


def _parameter(word: str) -> int | str:
    if word[0] == '"':
        return word[1:-1].replace("\\\\", "\\")
    return _constant(word)[0]


def _value(spec: Spec) -> int:
    value, position = 0, 0
    for _, constant, width in spec:
        value |= constant << position
        position += width
    return value
