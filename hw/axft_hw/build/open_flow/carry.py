"""Carry chains in the form that nextpnr packs without look-up tables of its own.

nextpnr's packer puts what drives a carry chain into the look-up tables beside the chain, both the sum bit's (S, at
the table's output O6) and the carry bit's (DI, at O5), if each is a table of at most five inputs that drives nothing
else and the two share at most five. Of what is not in this form it makes two tables that only pass a signal on, and
the real ones take places elsewhere (`XC7Packer::pack_carries` in nextpnr's source). yosys knows nothing of this, and
an array of adders nearly doubles. So, in yosys's netlist, before nextpnr:

* a table that drives other things too gets a copy for the chain alone;
* a DI that is a constant, or a signal that S's table has as an input, gets a table of its own over S's inputs;
* a table that after this drives S's table alone becomes part of it, if five inputs are enough;
* a lowest position that only takes a carry in becomes the chain's carry input;
* where the lowest sum bit is S itself, the chain and not S's table drives what else needs it;
* a chain is written as its single positions, MUXCY for the carry and XORCY for the sum, so that positions of the last
  CARRY4 that nothing uses do not exist.

None of this changes what the netlist computes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["fit_carry_chains"]

_SHARED_INPUTS = 5
_LUTS = {f"LUT{inputs}": inputs for inputs in range(1, 7)}


class _Netlist:
    """A module of yosys's JSON, with the drivers and the numbers of users of its bits."""

    def __init__(self, module: dict[str, Any]) -> None:
        self.cells: dict[str, Any] = module["cells"]
        self.driver: dict[int, tuple[str, str]] = {}
        self.users: Counter[int] = Counter()
        self._last = 1
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                for bit in bits:
                    if isinstance(bit, str):
                        continue
                    self._last = max(self._last, bit)
                    if cell["port_directions"][port] == "output":
                        self.driver[bit] = (name, port)
                    else:
                        self.users[bit] += 1
        for port in module["ports"].values():
            for bit in port["bits"]:
                if not isinstance(bit, str):
                    self._last = max(self._last, bit)
                    self.users[bit] += port["direction"] != "input"

    def new_bit(self) -> int:
        self._last += 1
        return self._last

    def lut(self, bit: int | str) -> dict[str, Any] | None:
        """Return the look-up table that drives a bit."""
        if isinstance(bit, str) or bit not in self.driver:
            return None
        cell: dict[str, Any] | None = self.cells.get(self.driver[bit][0])
        return cell if cell is not None and cell["type"] in _LUTS else None

    def used(self, bit: int | str) -> int:
        """Return the number of users of a bit."""
        return 0 if isinstance(bit, str) else self.users[bit]

    def add_lut(self, inputs: list[int | str], init: str, name: str) -> int:
        """Add a look-up table; return the bit that it drives."""
        output = self.new_bit()
        ports = {f"I{number}": [bit] for number, bit in enumerate(inputs)}
        self.cells[name] = {
            "hide_name": 1,
            "type": f"LUT{len(inputs)}",
            "parameters": {"INIT": init},
            "attributes": {},
            "port_directions": dict.fromkeys(ports, "input") | {"O": "output"},
            "connections": {**ports, "O": [output]},
        }
        self.driver[output] = (name, "O")
        self.users.update(bit for bit in inputs if not isinstance(bit, str))
        return output

    def let_go(self, bit: int | str) -> None:
        """Count one user of a bit less; remove a look-up table that has none left."""
        if isinstance(bit, str):
            return
        self.users[bit] -= 1
        lut = self.lut(bit)
        if lut is not None and not self.users[bit]:
            del self.cells[self.driver.pop(bit)[0]]
            for source in _inputs(lut):
                self.let_go(source)


def _inputs(lut: dict[str, Any]) -> list[int | str]:
    return [lut["connections"][f"I{number}"][0] for number in range(_LUTS[lut["type"]])]


def _signals(lut: dict[str, Any]) -> set[int]:
    return {bit for bit in _inputs(lut) if not isinstance(bit, str)}


@dataclass(slots=True)
class _Position:
    """One bit of a carry chain: the sum `o` is `s` ^ carry, the next carry `co` is carry if `s` else `di`."""

    name: str
    s: int | str
    di: int | str
    o: int | str
    co: int | str


def _chains(net: _Netlist) -> Iterator[tuple[int | str, list[_Position]]]:
    """Yield the carry chains, each as its carry input and its positions from the lowest; remove the CARRY4."""
    after: dict[int, str] = {}
    first = []
    for name, cell in net.cells.items():
        if cell["type"] != "CARRY4":
            continue
        source = cell["connections"]["CI"][0]
        if isinstance(source, int) and net.cells[net.driver[source][0]]["type"] == "CARRY4":
            after[source] = name
        else:
            first.append(name)
    for start in first:
        names = [start]
        while (top := net.cells[names[-1]]["connections"]["CO"][3]) in after:
            names.append(after[top])
            net.users[top] -= 1
        ports = net.cells[start]["connections"]
        # One of the two is 0 (Xilinx UG953, "CARRY4").
        carry_in = ports["CYINIT"][0] if ports["CI"][0] == "0" else ports["CI"][0]
        chain = []
        for name in names:
            ports = net.cells.pop(name)["connections"]
            chain += [
                _Position(f"{name}$bit{bit}", *(ports[port][bit] for port in ("S", "DI", "O", "CO")))
                for bit in range(4)
            ]
        yield carry_in, chain


def fit_carry_chains(module: dict[str, Any]) -> dict[str, int]:
    """Bring the carry chains of a flat netlist into the form that the packer takes.

    Parameters
    ----------
    module : dict
        A module of yosys's JSON form, mapped to cells of 7-series devices. It is changed.

    Returns
    -------
    dict of str to int
        How many positions fit, how many do not and take two sites ("too wide": S has six inputs; "too many inputs":
        S and DI together have more than five), how many were not needed, how many became carry inputs, and how many
        tables need no copy because the chain drives what they drove.
    """
    net = _Netlist(module)
    counts: Counter[str] = Counter()
    for first_carry, chain in list(_chains(net)):
        carry = first_carry
        for position in (dropped := _unused_above(net, chain)):
            net.let_go(position.s)
            net.let_go(position.di)
        counts["unused"] += len(dropped)
        if chain and carry == "0" and _only_carries(net, chain[0]):
            carry = chain.pop(0).di
            counts["carry inputs"] += 1
        if chain and carry == "0":
            counts["tables saved"] += _sum_of_first(net, chain[0])
        for number, position in enumerate(chain):
            counts[_fit(net, position)] += 1
            top = number + 1 == len(chain)
            _emit(net, position, carry, carries=not top or bool(net.used(position.co)))
            carry = position.co
    return dict(counts)


def _unused_above(net: _Netlist, chain: list[_Position]) -> list[_Position]:
    """Remove what is above the last position that anything uses; return it."""
    dropped = []
    while chain and not net.used(chain[-1].o) and not net.used(chain[-1].co):
        dropped.append(chain.pop())
    return dropped


def _only_carries(net: _Netlist, position: _Position) -> bool:
    """Return whether a position with no carry input is there for the next one's carry alone: it is then its DI."""
    return (
        position.s == "0"
        and not isinstance(position.di, str)
        and not net.used(position.o)
        and not net.used(position.co)
    )


def _sum_of_first(net: _Netlist, position: _Position) -> bool:
    """Let the sum of a position without carry input, which is S itself, drive what else S drives; return if so."""
    own = net.lut(position.s)
    if own is None or isinstance(position.s, str) or net.used(position.s) < 2 or net.used(position.o):
        return False
    if position.di == position.s or len(_signals(own)) > _SHARED_INPUTS:
        return False
    position.o = position.s
    position.s = own["connections"]["O"][0] = new = net.new_bit()
    net.driver[new] = net.driver.pop(position.o)
    net.users[new] = 1
    net.users[position.o] -= 1
    return True


def _emit(net: _Netlist, position: _Position, carry_in: int | str, *, carries: bool) -> None:
    """Add the cells of a position."""
    cells = {}
    if carries:
        cells["MUXCY"] = {"CI": carry_in, "DI": position.di, "S": position.s, "O": position.co}
    if net.used(position.o) or not carries:
        cells["XORCY"] = {"CI": carry_in, "LI": position.s, "O": position.o}
    if not carries:
        net.let_go(position.di)
    for kind, ports in cells.items():
        net.cells[f"{position.name}${kind}"] = {
            "hide_name": 1,
            "type": kind,
            "parameters": {},
            "attributes": {},
            "port_directions": {port: "output" if port == "O" else "input" for port in ports},
            "connections": {port: [bit] for port, bit in ports.items()},
        }


def _fit(net: _Netlist, position: _Position) -> str:
    """Bring one position into the form; return what became of it."""
    s, di = position.s, position.di
    own = net.lut(s)
    if own is None:
        # A constant or a signal from elsewhere takes a table anyway, and DI's can be beside it.
        inputs: list[int | str] = ["1"] if isinstance(s, str) else [s]
        table = {"0": "00", "1": "11"}.get(str(s), "10")
    elif len(_signals(own)) > _SHARED_INPUTS:
        return "too wide"
    else:
        inputs, table = _inputs(own), own["parameters"]["INIT"]
    signals = {bit for bit in inputs if not isinstance(bit, str)}

    carry = net.lut(di)
    if carry is not None and len(signals | _signals(carry)) <= _SHARED_INPUTS:
        carry_inputs, carry_table = _inputs(carry), carry["parameters"]["INIT"]
    elif isinstance(di, str):
        carry, carry_inputs = None, [min(signals, default="1")]
        carry_table = "11" if di == "1" else "00"
    elif len(signals | {di}) <= _SHARED_INPUTS:
        carry, carry_inputs, carry_table = None, [di], "10"
    else:
        return "too many inputs"
    # A table of the position's own: a user of S counts once, though MUXCY and XORCY both see it.
    if own is None or net.used(s) > 1:
        position.s = _replaced(net, s, inputs, table, f"{position.name}S")
    if carry is None or net.used(di) > 1:
        position.di = _replaced(net, di, carry_inputs, carry_table, f"{position.name}DI")
    _absorb(net, position)
    return "fit"


def _absorb(net: _Netlist, position: _Position) -> None:
    """Make tables that drive nothing but the table of S a part of it, as long as it and DI's share five inputs."""
    own, carry = net.lut(position.s), net.lut(position.di)
    if own is None:
        return
    beside = _signals(carry) if carry is not None else set()
    for bit in sorted(_signals(own)):
        before = net.lut(bit)
        if before is None or net.used(bit) > 1:
            continue
        signals = (_signals(own) - {bit}) | _signals(before)
        if signals and len(signals | beside) <= _SHARED_INPUTS:
            own = _merge(net, own, before, bit, sorted(signals))


def _merge(net: _Netlist, own: dict[str, Any], before: dict[str, Any], bit: int, signals: list[int]) -> dict[str, Any]:
    """Turn a table into one over `signals`, without the input that the other one drives; remove that; return this."""
    table = ""
    for index in range(1 << len(signals)):
        values: dict[int | str, bool] = {signal: bool(index >> place & 1) for place, signal in enumerate(signals)}
        values[bit] = _value(before, values)
        table = "01"[_value(own, values)] + table
    for source in (*_inputs(before), *_inputs(own)):
        if not isinstance(source, str):
            net.users[source] -= 1
    del net.cells[net.driver.pop(bit)[0]]
    name = net.driver[own["connections"]["O"][0]][0]
    output = own["connections"]["O"]
    ports = {f"I{place}": [signal] for place, signal in enumerate(signals)}
    net.cells[name] = merged = own | {
        "type": f"LUT{len(signals)}",
        "parameters": {"INIT": table},
        "port_directions": dict.fromkeys(ports, "input") | {"O": "output"},
        "connections": {**ports, "O": output},
    }
    net.users.update(signals)
    return merged


def _value(lut: dict[str, Any], values: dict[int | str, bool]) -> bool:
    """Return a table's output for the values of its inputs."""
    index = sum(
        values[bit] << place if not isinstance(bit, str) else (bit == "1") << place
        for place, bit in enumerate(_inputs(lut))
    )
    return bool(lut["parameters"]["INIT"][-1 - index] == "1")


def _replaced(net: _Netlist, bit: int | str, inputs: list[int | str], table: str, name: str) -> int:
    """Return the output of a new table, which has the one user that the bit loses."""
    new = net.add_lut(inputs, table, name)
    net.users[new] += 1
    net.let_go(bit)
    return new
