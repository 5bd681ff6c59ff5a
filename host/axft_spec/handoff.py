"""What a .hwh file says about the accelerator, read without pynq: so that pynq's own view can be compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig
from axft_spec.overlay import ADDRESS_RANGE, DEFAULT_CLOCK_MHZ, PORT_RANGE, VLNV
from axft_spec.regmap import REGISTERS, REGMAP_HASH

__all__ = ["Handoff", "read_handoff"]

# M_AXI_GP1 follows (Zynq-7000 TRM, UG585, table 4-1): a design of one's own may use either.
_PORTS = range(PORT_RANGE.start, 0xC000_0000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """The accelerator in a design.

    Members
    -------
    instance : str
        Name of the block.
    vlnv : str
        Vendor, library, name, version.
    base, size : int
        First address and bytes.
    registers : mapping of str to int
        Byte offsets; empty if the file does not list any.
    parameters : mapping of str to str
        Of the block.
    clock_mhz : float
        What the fabric clock 0 is to be, in MHz.
    """

    instance: str
    vlnv: str
    base: int
    size: int
    registers: Mapping[str, int]
    parameters: Mapping[str, str]
    clock_mhz: float

    def check(self, path: Path, hardware: HardwareConfig | None) -> None:
        """Check, before anything is loaded, that the addresses are what the driver will use.

        A wrong one stops the processor.

        Raises
        ------
        BackendError
            Naming the file and what differs.
        """
        hashes = {"REGMAP_HASH": REGMAP_HASH} | ({} if hardware is None else {"CONFIG_HASH": hardware.config_hash})
        wrong = [
            f"{name} is {self.parameters[name]}, not 0x{value:08x}"
            for name, value in hashes.items()
            if name in self.parameters and self.parameters[name].lower() != f"0x{value:08x}"
        ]
        if self.base not in _PORTS or self.size != ADDRESS_RANGE:
            wrong.append(f"the accelerator has {self.size:,} bytes at 0x{self.base:08x}, not {ADDRESS_RANGE:,}")
        for entry in REGISTERS:
            place = self.registers.get(entry.name)
            if self.registers and place != entry.offset:
                there = "missing" if place is None else f"at 0x{place:x}"
                wrong.append(f"register {entry.name} is {there}, not at 0x{entry.offset:x}")
        if wrong:
            raise BackendError(
                f"{path} belongs to another bitstream or version: {wrong[0]}; use the file that was made with this one"
            )


def read_handoff(path: Path) -> Handoff:
    """Read what a .hwh file says about the accelerator.

    Raises
    ------
    BackendError
        If it cannot be read, or has no accelerator.
    """
    try:
        root = ET.parse(path).getroot()
        module = _accelerator(root)
        if module is None:
            found = [each.get("VLNV", "?") for each in root.iter("MODULE")]
            raise BackendError(
                f"{path} has no block {VLNV}, only {', '.join(found) or 'none'}; use the file of this bitstream"
            )
        instance = module.attrib["INSTANCE"]
        ranges = [each for each in root.iter("MEMRANGE") if each.get("INSTANCE") == instance]
        if not ranges:
            raise BackendError(f"{path} gives {instance} no address; use the file of this bitstream")
        base, last = int(ranges[0].attrib["BASEVALUE"], 16), int(ranges[0].attrib["HIGHVALUE"], 16)
        return Handoff(
            instance=instance,
            vlnv=module.attrib["VLNV"],
            base=base,
            size=last - base + 1,
            registers={each.attrib["NAME"]: _offset(each) for each in module.iter("REGISTER")},
            parameters=_parameters(module),
            clock_mhz=_clock_mhz(root),
        )
    except OSError as error:
        raise BackendError(f"{path} cannot be read: {error.strerror}") from None
    except (ET.ParseError, KeyError, ValueError) as error:
        raise BackendError(f"{path} is no .hwh file, or a damaged one ({error}); copy it again") from None


def _accelerator(root: ET.Element) -> ET.Element | None:
    block = VLNV.rpartition(":")[0]
    modules = [each for each in root.iter("MODULE") if each.get("VLNV", "").rpartition(":")[0] == block]
    return modules[0] if modules else None


def _parameters(module: ET.Element) -> dict[str, str]:
    return {each.attrib["NAME"]: each.attrib["VALUE"] for each in module.findall("./PARAMETERS/PARAMETER")}


def _offset(register: ET.Element) -> int:
    (offset,) = [each.attrib["VALUE"] for each in register.findall("PROPERTY[@NAME='ADDRESS_OFFSET']")]
    return int(offset, 0)


def _clock_mhz(root: ET.Element) -> float:
    for module in root.iter("MODULE"):
        if module.get("MODTYPE") == "processing_system7":
            return float(_parameters(module).get("PCW_FPGA0_PERIPHERAL_FREQMHZ", DEFAULT_CLOCK_MHZ))
    return DEFAULT_CLOCK_MHZ
