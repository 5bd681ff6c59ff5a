"""The hardware handoff file (.hwh) of a design for a Zynq-7000, written from the register map.

Vivado writes such a file for every block design, and `pynq.Overlay` wants it beside the bitstream: it says what the
processor finds at which address. This one has what pynq reads, and nothing else: the processing system with its fabric
clocks and the map of its port M_AXI_GP0, and the accelerator with its registers.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from axft_spec.hardware import HardwareConfig
from axft_spec.overlay import (
    ADDRESS_RANGE,
    BASE_ADDRESS,
    DEFAULT_CLOCK_MHZ,
    INSTANCE,
    INTERFACE,
    IO_PLL_MHZ,
    PORT,
    PROCESSOR,
    VLNV,
    clock_divisors,
)
from axft_spec.regmap import REGISTERS, REGMAP_HASH, Access, Field, Register

__all__ = ["hwh", "register_access", "with_clock"]

_BLOCK = "Reg"
_AXI = "xilinx.com:interface:aximm:1.0"
_CLOCKS = range(4)

# As IP-XACT (IEEE 1685) names them.
_ACCESS = {
    Access.R: "read-only",
    Access.RW: "read-write",
    Access.W: "write-only",
    Access.RW1C: "read-write",
}


def hwh(hardware: HardwareConfig, *, clock_mhz: float = DEFAULT_CLOCK_MHZ) -> str:
    """Return the text of the .hwh file of a device.

    Parameters
    ----------
    hardware : HardwareConfig
    clock_mhz : float
        What the fabric clock may be at most. The file has divisors for the fastest one that is not faster, in MHz.

    Raises
    ------
    ConfigError
        If the clock cannot be made.
    """
    system = ET.Element("EDKSYSTEM", EDWVERSION="1.2")
    ET.SubElement(system, "SYSTEMINFO", ARCH="zynq", DEVICE="7z020", NAME="axft", PACKAGE="clg400", SPEEDGRADE="-1")
    ET.SubElement(system, "EXTERNALPORTS")
    ET.SubElement(system, "EXTERNALINTERFACES")
    modules = ET.SubElement(system, "MODULES")
    _processing_system(modules, clock_mhz)
    _accelerator(modules, hardware)
    ET.indent(system, "  ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(system, encoding="unicode") + "\n"


def with_clock(text: str, clock_mhz: float) -> str:
    """Return a .hwh file, one of Vivado's too, with FCLK0 as a PYNQ-Z2 makes it; unchanged if it has that already.

    pynq sets the clock by the two divisors. Vivado computes them for a PLL whose frequency is not stated anywhere else.

    Parameters
    ----------
    text : str
        The file.
    clock_mhz : float
        What the fabric clock may be at most, in MHz.
    """
    root = ET.fromstring(text)
    first, second = clock_divisors(clock_mhz)
    actual_mhz = round(IO_PLL_MHZ / (first * second), 6)
    wanted: dict[str, float] = {
        "PCW_FPGA0_PERIPHERAL_FREQMHZ": actual_mhz,
        "PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ": actual_mhz,
        "PCW_FCLK0_PERIPHERAL_DIVISOR0": first,
        "PCW_FCLK0_PERIPHERAL_DIVISOR1": second,
    }
    found = {
        parameter.attrib["NAME"]: parameter
        for parameter in root.iterfind(".//MODULE[@MODTYPE='processing_system7']/PARAMETERS/PARAMETER")
        if parameter.get("NAME") in wanted
    }
    values = {name: float(parameter.get("VALUE", "nan")) for name, parameter in found.items()}
    mhz, *divisors = (values.get(name, math.nan) for name in wanted if "ACT" not in name)
    if math.isclose(mhz, actual_mhz, rel_tol=1e-6) and math.prod(divisors) == first * second:
        return text
    for name, parameter in found.items():
        parameter.set("VALUE", str(wanted[name]))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _module(modules: ET.Element, instance: str, vlnv: str) -> ET.Element:
    _, _, name, version = vlnv.split(":")
    kind = "PROCESSOR" if instance == PROCESSOR else "PERIPHERAL"
    return ET.SubElement(
        modules,
        "MODULE",
        FULLNAME=f"/{instance}",
        HWVERSION=version,
        INSTANCE=instance,
        IPTYPE=kind,
        IS_ENABLE="1",
        IS_PL="FALSE" if kind == "PROCESSOR" else "TRUE",
        MODCLASS=kind,
        MODTYPE=name,
        VLNV=vlnv,
    )


def _parameters(module: ET.Element, values: dict[str, object]) -> None:
    parameters = ET.SubElement(module, "PARAMETERS")
    for name, value in values.items():
        ET.SubElement(parameters, "PARAMETER", NAME=name, VALUE=str(value))


def _bus(module: ET.Element, name: str, kind: str) -> None:
    # The bus that both ends name.
    ET.SubElement(module, "PORTS")
    buses = ET.SubElement(module, "BUSINTERFACES")
    ET.SubElement(buses, "BUSINTERFACE", BUSNAME=PORT, DATAWIDTH="32", NAME=name, TYPE=kind, VLNV=_AXI)


def _bounds() -> tuple[str, str]:
    return f"0x{BASE_ADDRESS:08X}", f"0x{BASE_ADDRESS + ADDRESS_RANGE - 1:08X}"


def _processing_system(modules: ET.Element, clock_mhz: float) -> None:
    module = _module(modules, PROCESSOR, "xilinx.com:ip:processing_system7:5.5")
    divisors = clock_divisors(clock_mhz)
    actual_mhz = round(IO_PLL_MHZ / (divisors[0] * divisors[1]), 6)
    values: dict[str, object] = {}
    for clock in _CLOCKS:
        values[f"PCW_FPGA_FCLK{clock}_ENABLE"] = int(clock == 0)
        values[f"PCW_FPGA{clock}_PERIPHERAL_FREQMHZ"] = actual_mhz if clock == 0 else DEFAULT_CLOCK_MHZ
        values[f"PCW_FCLK{clock}_PERIPHERAL_CLKSRC"] = "IO PLL"
        for number, divisor in enumerate(divisors if clock == 0 else clock_divisors(DEFAULT_CLOCK_MHZ)):
            values[f"PCW_FCLK{clock}_PERIPHERAL_DIVISOR{number}"] = divisor
    # pynq 4 looks for the clock of another family, whatever the design has.
    values["PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ"] = actual_mhz
    _parameters(module, values)
    _bus(module, PORT, "MASTER")
    first, last = _bounds()
    ET.SubElement(
        ET.SubElement(module, "MEMORYMAP"),
        "MEMRANGE",
        ADDRESSBLOCK=_BLOCK,
        BASENAME="C_S_AXI_BASEADDR",
        BASEVALUE=first,
        HIGHNAME="C_S_AXI_HIGHADDR",
        HIGHVALUE=last,
        INSTANCE=INSTANCE,
        IS_DATA="TRUE",
        IS_INSTRUCTION="TRUE",
        MASTERBUSINTERFACE=PORT,
        MEMTYPE="REGISTER",
        SLAVEBUSINTERFACE=INTERFACE,
    )


def _accelerator(modules: ET.Element, hardware: HardwareConfig) -> None:
    module = _module(modules, INSTANCE, VLNV)
    first, last = _bounds()
    blocks = ET.SubElement(module, "ADDRESSBLOCKS")
    block = ET.SubElement(
        blocks, "ADDRESSBLOCK", ACCESS="", INTERFACE=INTERFACE, NAME=_BLOCK, RANGE=str(ADDRESS_RANGE), USAGE="register"
    )
    registers = ET.SubElement(block, "REGISTERS")
    for entry in REGISTERS:
        _register(registers, entry)
    _parameters(
        module,
        {
            "C_S_AXI_BASEADDR": first,
            "C_S_AXI_HIGHADDR": last,
            # Which file this is: the driver compares them with the manifest and with the device.
            "REGMAP_HASH": f"0x{REGMAP_HASH:08x}",
            "CONFIG_HASH": f"0x{hardware.config_hash:08x}",
        },
    )
    _bus(module, INTERFACE, "SLAVE")


def _properties(parent: ET.Element, values: dict[str, object]) -> None:
    for name, value in values.items():
        ET.SubElement(parent, "PROPERTY", NAME=name, VALUE=str(value))


def register_access(entry: Register | Field) -> str:
    """Return what the bus may do with a register or a field, as IP-XACT names it."""
    if isinstance(entry, Field):
        return _ACCESS[entry.access]
    kinds = {_ACCESS[field.access] for field in entry.fields}
    return kinds.pop() if len(kinds) == 1 else "read-write"


def _register(registers: ET.Element, entry: Register) -> None:
    element = ET.SubElement(registers, "REGISTER", NAME=entry.name)
    _properties(
        element,
        {
            "DESCRIPTION": entry.text,
            "ADDRESS_OFFSET": f"0x{entry.offset:x}",
            "SIZE": 32,
            "ACCESS": register_access(entry),
            "IS_ENABLED": "true",
        },
    )
    fields = ET.SubElement(element, "FIELDS")
    for field in entry.fields:
        _field(fields, field)


def _field(fields: ET.Element, field: Field) -> None:
    _properties(
        # Fields become attributes of pynq's registers, which have a `width` and an `address` of their own.
        ET.SubElement(fields, "FIELD", NAME=field.name.upper()),
        {
            "DESCRIPTION": field.text,
            "ADDRESS_OFFSET": f"0x{field.low:x}",
            "ACCESS": register_access(field),
            "BIT_OFFSET": field.low,
            "BIT_WIDTH": field.bits,
        },
    )
