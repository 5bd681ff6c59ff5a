"""The whole design after synthesis as a device: its netlist behind the driver, on the bus where the processor would be.

The netlist is what nextpnr gets. The processing system in it is opened: the AXI master of the compiled models drives
what its port M_AXI_GP0 would drive, and sees what that would see.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any, cast

from amaranth.lib import wiring

from axft_host.backends.rtl import RtlBackend, SimulatedPort
from axft_host.device.accelerator import Accelerator
from axft_hw.axi.signature import Axi3Signature
from axft_hw.sim.compile import compile_c, load
from axft_hw.sim.simulation import Simulation, harness
from axft_hw.top import ID_BITS
from axft_spec.config import ArrayConfig
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import ADDRESS_BITS
from support.gate_engine import GateEngine, engine_text
from support.netlists import device_netlist, fitted
from support.seven_series import Circuit, circuit_of

__all__ = ["NetlistBackend", "NetlistModel", "device_circuit", "netlist_accelerator"]

#: Clock cycles for which FCLKRESETN[0] is low after power-up.
_RESET_CYCLES = 16

# A model as the AXI master expects it: a structure with the pins of the bus, and functions that settle and clock it.
_MODEL = """
#define AXFT_FAST static inline
#define AXFT_EXPORT __attribute__((visibility("default")))
typedef struct {{ int32_t pin, bit, net; }} pin_net;
typedef struct {{
    uint64_t cycle;
    engine *circuit;
    const pin_net *in, *out;
    uint64_t ins, outs;
    uint64_t pins[{count}];
}} axft_model;
{names}
static void axft_model_eval(axft_model *m)
{{
    for (uint64_t k = 0; k < m->ins; k++)
        m->circuit->nets[m->in[k].net] = m->pins[m->in[k].pin] >> m->in[k].bit & 1;
    settle(m->circuit);
    for (uint64_t k = 0; k < m->outs; k++) {{
        uint64_t *pin = m->pins + m->out[k].pin, one = (uint64_t)1 << m->out[k].bit;
        *pin = m->circuit->nets[m->out[k].net] ? *pin | one : *pin & ~one;
    }}
}}
static void axft_model_commit(axft_model *m)
{{
    edge(m->circuit);
    m->cycle++;
}}
"""


class _PinNet(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int32) for name in ("pin", "bit", "net"))


def _pins() -> dict[str, int]:
    """Return the pins of the bus by the names of the master's structure, and the reset, each with its place."""
    members = Axi3Signature(address_bits=ADDRESS_BITS, id_bits=ID_BITS).members
    names = [f"{'out' if member.flow is wiring.In else 'in'}_axi__{name}" for name, member in members.items()]
    return {name: place for place, name in enumerate([*names, "resetn"])}


def _text() -> str:
    pins = _pins()
    names = "\n".join(f"#define {name} pins[{place}]" for name, place in pins.items())
    return engine_text(1) + _MODEL.format(count=len(pins), names=names) + harness()


class NetlistModel:
    """A netlist in place of a compiled model: what `Simulation` takes.

    Parameters
    ----------
    circuit : Circuit
        With the pins of the processing system as ports.

    Attributes
    ----------
    engine : GateEngine
        The circuit's state, of which there is one.
    """

    def __init__(self, circuit: Circuit) -> None:
        self.library = load(compile_c(_text()))
        self.engine = GateEngine(circuit, 1, self.library)
        pins = _pins()
        towards: dict[str, list[_PinNet]] = {"input": [], "output": []}
        for name, place in pins.items():
            port = "FCLKRESETN" if name == "resetn" else f"MAXIGP0{name.rpartition('__')[2].upper()}"
            direction, nets = circuit.ports[port]
            # The processing system has four resets, of which the design uses the first.
            towards[direction] += [
                _PinNet(place, bit, net) for bit, net in enumerate(nets[: 1 if port == "FCLKRESETN" else None])
            ]
        self._lists = {name: (_PinNet * len(nets))(*nets) for name, nets in towards.items()}

        class Model(ctypes.Structure):
            _fields_ = (
                ("cycle", ctypes.c_uint64),
                ("circuit", ctypes.c_void_p),
                ("input", ctypes.c_void_p),
                ("output", ctypes.c_void_p),
                ("inputs", ctypes.c_uint64),
                ("outputs", ctypes.c_uint64),
                ("pins", ctypes.c_uint64 * len(pins)),
            )

        self._state = Model()
        self._reset_pin = pins["resetn"]

    def new(self) -> Any:
        """Return the state of the device, fresh from power-up."""
        self.power_up()
        return SimpleNamespace(address=ctypes.addressof(self._state), reset=self.power_up, model=self)

    @property
    def cycle(self) -> int:
        """Clock cycles since power-up."""
        return int(self._state.cycle)

    def power_up(self) -> None:
        """Let it come up in reset, which lasts for some clock cycles."""
        self.engine.power_up()
        state, lists = self._state, self._lists
        ctypes.memset(ctypes.addressof(state), 0, ctypes.sizeof(state))
        state.circuit = self.engine.address
        state.input, state.inputs = ctypes.addressof(lists["input"]), len(lists["input"])
        state.output, state.outputs = ctypes.addressof(lists["output"]), len(lists["output"])
        self.library.axft_export_idle(ctypes.c_void_p(ctypes.addressof(state)), ctypes.c_uint64(_RESET_CYCLES))
        state.pins[self._reset_pin] = 1
        self.library.axft_export_idle(ctypes.c_void_p(ctypes.addressof(state)), ctypes.c_uint64(_RESET_CYCLES))


def device_circuit(hardware: HardwareConfig) -> Circuit:
    """Return the whole design as nextpnr gets it, with the processing system opened."""
    return circuit_of(fitted(device_netlist(hardware)), opened="PS7")


def netlist_accelerator(hardware: HardwareConfig, circuit: Circuit | None = None) -> tuple[Accelerator, NetlistModel]:
    """Return the driver of a device that is a netlist, and the netlist's model."""
    model = NetlistModel(circuit or device_circuit(hardware))
    return Accelerator(SimulatedPort(Simulation(hardware, cast(Any, model))), hardware), model


class NetlistBackend(RtlBackend):
    """The backend ``rtl`` with such a device."""

    name = "netlist"

    def __init__(self, accelerator: Accelerator) -> None:
        array = accelerator.hardware.array
        hardware = accelerator.hardware
        super().__init__(physical=(array.rows, array.cols), sites=hardware.sites, operand_steps=hardware.operand_steps)
        self.device = accelerator

    def accelerator(self, config: ArrayConfig) -> Accelerator:
        """Return the device."""
        return self.device
