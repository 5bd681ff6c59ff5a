"""A plain model of a block RAM: memory as a list of bits, each access as a list of places, by the formulas of UG473.

It shares nothing with the model in ``gate_engine.c`` but the manual, and serves to check it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["PlainRam", "random_ram"]

Rng = np.random.Generator
Parameters = dict[str, Any]

_MODES = ("READ_FIRST", "WRITE_FIRST", "NO_CHANGE")
_PORT_PINS = {
    "A": {
        "en": "ENARDEN",
        "addr": "ADDRARDADDR",
        "ce": "REGCEAREGCE",
        "rst": "RSTRAMARSTRAM",
        "rstreg": "RSTREGARSTREG",
    },
    "B": {"en": "ENBWREN", "addr": "ADDRBWRADDR", "ce": "REGCEB", "rst": "RSTRAMB", "rstreg": "RSTREGB"},
}


def random_ram(rng: Rng) -> tuple[str, Parameters]:
    """Draw a cell and its attributes."""
    large = bool(rng.integers(2))
    unit = 36 if large else 18
    parameters: Parameters = {}
    if rng.random() < 0.4:
        mode = str(rng.choice(_MODES[:2]))
        parameters |= {"RAM_MODE": "SDP", "READ_WIDTH_A": 2 * unit, "WRITE_WIDTH_B": 2 * unit}
        parameters |= {"WRITE_MODE_A": mode, "WRITE_MODE_B": mode}
        parameters |= {f"DO{port}_REG": int(large) for port in "AB"}
    else:
        widths = [width for width in (1, 2, 4, 9, 18, 36) if width <= unit]
        for port in "AB":
            parameters |= {f"{side}_WIDTH_{port}": int(rng.choice(widths)) for side in ("READ", "WRITE")}
            parameters[f"WRITE_MODE_{port}"] = str(rng.choice(_MODES))
            parameters[f"DO{port}_REG"] = int(rng.integers(2))
            parameters[f"RSTREG_PRIORITY_{port}"] = str(rng.choice(["RSTREG", "REGCE"]))
    for name in ("INIT_A", "INIT_B", "SRVAL_A", "SRVAL_B"):
        parameters[name] = "".join(map(str, rng.integers(0, 2, unit)))
    for row in (0, 1, 127 if large else 63):
        parameters[f"INIT_{row:02X}"] = "".join(map(str, rng.integers(0, 2, 256)))
    parameters["INITP_00"] = "".join(map(str, rng.integers(0, 2, 256)))
    return ("RAMB36E1" if large else "RAMB18E1"), parameters


class PlainRam:
    """A block RAM; `parameters` as those of the cell, numbers as numbers."""

    def __init__(self, kind: str, parameters: Parameters) -> None:
        self._given = parameters
        self._unit = 36 if kind == "RAMB36E1" else 18
        self._simple = parameters.get("RAM_MODE") == "SDP"
        self._address_bits = 15 if self._unit == 36 else 14
        size = 1 << self._address_bits
        self._bits = [0] * size
        self._parity = [0] * (size // 8)
        for row in range(size // 256):
            text = parameters.get(f"INIT_{row:02X}", "")
            for place, digit in enumerate(reversed(text)):
                self._bits[256 * row + place] = int(digit)
        for place, digit in enumerate(reversed(parameters["INITP_00"])):
            self._parity[place] = int(digit)
        self._latch = {port: self._value("INIT", port) for port in "AB"}
        self._register = dict(self._latch)

    def _width(self, side: str, port: str) -> int:
        return int(self._given.get(f"{side}_WIDTH_{port}", 0))

    def _value(self, name: str, port: str) -> list[int]:
        """Return INIT or SRVAL of a port: data, then parity."""
        width = self._width("READ", port)
        if self._simple and port == "A":
            half = self._unit // 9 * 8
            low, high = (self._given[f"{name}_{each}"][::-1] for each in "AB")
            return [int(digit) for digit in (*low[:half], *high[:half], *low[half:], *high[half:])]
        return [int(digit) for digit in self._given[f"{name}_{port}"][::-1][:width]]

    def _places(self, width: int, address: int) -> list[tuple[str, int]]:
        """Return the bits of an access: from ADDR x width on ("Address Bus"), parity likewise."""
        if width == 0:
            return []
        data = width if width < 9 else width // 9 * 8
        word = (address & (1 << self._address_bits) - 1) // data
        places = [("data", word * data + bit) for bit in range(data)]
        return places + [("parity", word * (width // 9) + bit) for bit in range(width - data)]

    def _get(self, places: list[tuple[str, int]]) -> list[int]:
        return [(self._bits if kind == "data" else self._parity)[place] for kind, place in places]

    def _written(self, port: str, pins: dict[str, int]) -> dict[tuple[str, int], int]:
        """Return what a port writes."""
        width = self._width("WRITE", port)
        names = _PORT_PINS[port]
        if not width or not pins.get(names["en"], 0):
            return {}
        data, parity = pins[f"DI{port}DI"], pins[f"DIP{port}DIP"]
        if self._simple:
            half = self._unit // 9
            data, parity = pins["DIADI"] | pins["DIBDI"] << 8 * half, pins["DIPADIP"] | pins["DIPBDIP"] << half
        enables = pins["WEA" if port == "A" else "WEBWE"]
        found = {}
        places = self._places(width, pins[names["addr"]])
        count = max(1, width // 9)
        for number, place in enumerate(places):
            lane = 0 if width < 9 else (number // 8 if place[0] == "data" else number - 8 * count)
            if enables >> lane & 1:
                found[place] = (data >> number if place[0] == "data" else parity >> lane) & 1
        return found

    def _conflict(self, pins: dict[str, int]) -> bool:
        written = {port: self._written(port, pins) for port in "AB"}
        if any(written["A"][place] != written["B"][place] for place in written["A"].keys() & written["B"].keys()):
            return True
        for port, other in (("A", "B"), ("B", "A")):
            seen = self._places(self._width("READ", port), pins[_PORT_PINS[port]["addr"]])
            quiet = self._given.get(f"WRITE_MODE_{port}") == "NO_CHANGE" and written[port]
            looks = pins[_PORT_PINS[port]["en"]] and not quiet and self._given[f"WRITE_MODE_{other}"] != "READ_FIRST"
            if looks and set(seen) & written[other].keys():
                return True
        return False

    def random_pins(self, rng: Rng) -> dict[str, int]:
        """Draw inputs, on few addresses; what the manual leaves open does not happen."""
        lanes = self._unit // 9
        pins = {name: int(rng.integers(1 << 8 * lanes)) for name in ("DIADI", "DIBDI")}
        pins |= {name: int(rng.integers(1 << lanes)) for name in ("DIPADIP", "DIPBDIP")}
        pins |= {"WEA": int(rng.integers(1 << lanes)), "WEBWE": int(rng.integers(1 << 2 * lanes))}
        if rng.random() < 0.3:
            pins |= {"WEA": 0, "WEBWE": 0}
        for names in _PORT_PINS.values():
            top = int(rng.choice([0, 1, 127])) << 8
            pins[names["addr"]] = (top | int(rng.integers(128))) & (1 << self._address_bits) - 1
            pins[names["en"]] = int(rng.random() < 0.8)
            for name in ("rst", "rstreg"):
                pins[names[name]] = int(rng.random() < 0.15)
            pins[names["ce"]] = int(rng.random() < 0.6)
        if self._conflict(pins):
            pins["ENBWREN"] = 0
        return pins

    def edge(self, pins: dict[str, int]) -> dict[str, int]:
        """Do one clock edge; return the outputs after it."""
        written = {port: self._written(port, pins) for port in "AB"}
        seen = {port: self._places(self._width("READ", port), pins[_PORT_PINS[port]["addr"]]) for port in "AB"}
        before = {port: self._get(seen[port]) for port in "AB"}
        for port in "AB":
            for (kind, place), bit in written[port].items():
                (self._bits if kind == "data" else self._parity)[place] = bit
        for port in "AB":
            names, mode = _PORT_PINS[port], self._given[f"WRITE_MODE_{port}"]
            load, reset = pins[names["ce"]], pins[names["rstreg"]]
            first = self._given.get(f"RSTREG_PRIORITY_{port}", "RSTREG") == "RSTREG"
            if reset and (first or load):
                self._register[port] = self._value("SRVAL", port)
            elif load:
                self._register[port] = self._latch[port]
            if not pins[names["en"]]:
                continue
            if pins[names["rst"]]:
                self._latch[port] = self._value("SRVAL", port)
            elif written[port] and mode == "WRITE_FIRST":
                # Only what this port itself has written is new; the rest is as it was.
                old = dict(zip(seen[port], before[port], strict=True))
                self._latch[port] = [written[port].get(place, old[place]) for place in seen[port]]
            elif not (written[port] and mode == "NO_CHANGE"):
                self._latch[port] = before[port]
        return self.outputs()

    def outputs(self) -> dict[str, int]:
        """Return what the output pins show; those that no port uses show 0."""
        found = dict.fromkeys(("DOADO", "DOBDO", "DOPADOP", "DOPBDOP"), 0)
        for port in "AB":
            width = self._width("READ", port)
            value = (self._register if self._given.get(f"DO{port}_REG") else self._latch)[port]
            data = width if width < 9 else width // 9 * 8
            whole = sum(bit << place for place, bit in enumerate(value[:data]))
            parity = sum(bit << place for place, bit in enumerate(value[data:]))
            if self._simple and port == "A":
                half = self._unit // 9
                found["DOADO"], found["DOBDO"] = whole & (1 << 8 * half) - 1, whole >> 8 * half
                found["DOPADOP"], found["DOPBDOP"] = parity & (1 << half) - 1, parity >> half
            elif not self._simple:
                found[f"DO{port}DO"], found[f"DOP{port}DOP"] = whole, parity
        return found
