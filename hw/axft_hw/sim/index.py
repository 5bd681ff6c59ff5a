"""Which library a device was compiled to: so that a known one need not be elaborated again.

Elaborating a large array takes longer than compiling it. An entry is found under a digest of everything that the model
depends on: the configuration, the sources of the gateware and of the specification, Amaranth, the compiler and the
processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import axft_hw
import axft_spec
from axft_hw.sim.compile import FLAGS, cache_directory, compiler_identity
from axft_hw.sim.emit import EmittedModel
from axft_hw.sim.layout import Field, Layout, StateEntry
from axft_hw.sim.model import CompiledModel
from axft_spec.hardware import HardwareConfig

__all__ = ["recall", "remember"]


@lru_cache
def _sources() -> str:
    """Return the digest of all source files that a netlist comes from."""
    digest = hashlib.sha256()
    for package in (axft_spec, axft_hw):
        root = Path(str(package.__file__)).parent
        for path in sorted([*root.rglob("*.py"), *root.rglob("*.c")]):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _place(hardware: HardwareConfig) -> Path:
    parts = (hardware.digest(), _sources(), version("amaranth"), compiler_identity(), *FLAGS)
    return cache_directory() / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}.json"


def remember(hardware: HardwareConfig, model: CompiledModel) -> None:
    """Note the library of a device. A cache that cannot be written is no error: the next one elaborates again."""
    emitted = model.emitted
    body = {"library": model.path.name, "layout": asdict(emitted.layout), "clock": emitted.clock}
    text = json.dumps(body, separators=(",", ":"))
    place = _place(hardware)
    try:
        handle, name = tempfile.mkstemp(dir=place.parent, prefix="index-")
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(hashlib.sha256(text.encode()).hexdigest() + "\n" + text)
        Path(name).replace(place)
    except OSError:
        return


def recall(hardware: HardwareConfig) -> CompiledModel | None:
    """Return the model of a device if its library is there and whole, as is what was noted about it."""
    place = _place(hardware)
    try:
        digest, _, text = place.read_text(encoding="ascii").partition("\n")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            return None
        body = json.loads(text)
        library = place.parent / body["library"]
        if hashlib.sha256(library.read_bytes()).hexdigest()[:32] != library.stem.partition("-")[2]:
            return None
    except (OSError, UnicodeDecodeError):
        return None
    return CompiledModel(
        EmittedModel(text="", layout=_layout(body["layout"]), clock=body["clock"], classes=()), library
    )


def _layout(value: dict[str, Any]) -> Layout:
    return Layout(
        fields=tuple(Field(**field) for field in value["fields"]),
        size=value["size"],
        directory=tuple(StateEntry(**entry) for entry in value["directory"]),
        ports=tuple((name, width, offset) for name, width, offset in value["ports"]),
    )
