"""A Zynq-7000 that is not there, for the real pynq: its `Device`, with simulated hardware as the fabric.

pynq itself is not changed: `Overlay`, the parser and converter of bitstreams, the parser and cache of the metadata,
`DefaultIP` and `bindto`, `MMIO`, `Clocks` and the way through `EmbeddedDevice` are its own. What is replaced is what
lies below: /dev/mem, the FPGA manager's files, XRT, which no PC has, and the places where pynq keeps its state. The
fabric is a `Port` that the caller makes; this module knows no gateware. There is no memory to allocate: the accelerator
does not use any.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

from axft_host.device.port import Port
from axft_host.testing.virtual_bitstream import read_payload
from axft_host.testing.virtual_fabric import ClockRegisters, FabricWords, Mishaps, fabric_offset_words
from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig
from axft_spec.overlay import ADDRESS_RANGE, PORT_RANGE

__all__ = ["Mishaps", "PortFactory", "virtual_zynq"]

#: Makes the port of what a bitstream names. Called at each download, as a configuration starts from power-up.
PortFactory = Callable[[HardwareConfig], Port]

#: The processor's system level control registers (Zynq-7000 TRM, UG585, table 4-1).
_SLCR = range(0xF800_0000, 0xF800_1000)

#: Name of the machine, as Linux on a Zynq-7000 says.
_ARCHITECTURE = "armv7l"


@contextmanager
def virtual_zynq(make_port: PortFactory, *, mishaps: Mishaps | None = None, state: Path | None = None) -> Iterator[Any]:
    """Make a virtual Zynq the active device of pynq, for as long as the context lasts.

    Parameters
    ----------
    make_port : callable
        Takes the `HardwareConfig` that a virtual bitstream names; returns the port of a device fresh from power-up.
    mishaps : Mishaps or None
        What goes wrong.
    state : Path or None
        Directory for the firmware and for what pynq keeps about the bitstream that is loaded; one that lives as long as
        the context, if None.

    Yields
    ------
    pynq.pl_server.device.Device
        With the attributes `mishaps`, `port` (of the fabric; None before a download) and `downloads` (how many).

    Raises
    ------
    BackendError
        If pynq is not installed.
    """
    if find_spec("pynq") is None:
        raise BackendError(
            "a virtual Zynq runs the real pynq, which is not installed; `pip install 'pynq==3.1.2' 'pycparser<3' "
            "'numpy<2'` into an environment of its own"
        )
    with ExitStack() as stack:
        if state is None:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="axft-virtual-zynq-")))
        state.mkdir(parents=True, exist_ok=True)
        device = _device_class()(make_port, mishaps or Mishaps(), state)
        _replace_ground(stack, device, state)
        yield device


def _replace_ground(stack: ExitStack, device: Any, state: Path) -> None:
    """Replace what pynq stands on by what a PC has, until the context ends."""
    import pynq.ps
    from pynq.pl_server import embedded_device, global_state
    from pynq.pl_server.device import Device

    def patch(target: object, name: str, value: object) -> None:
        stack.enter_context(mock.patch.object(target, name, value, create=True))

    patch(Device, "_active_device", device)
    # 3.0.1 asks what machine this is, later ones ask the device.
    patch(pynq.ps, "CPU_ARCH", _ARCHITECTURE)
    patch(pynq.ps.Clocks, "device", device)
    stack.callback(_forget_clocks)
    _forget_clocks()
    # What is remembered of the bitstream that is loaded lies beside pynq's own code otherwise.
    patch(global_state, "STATE_DIR", str(state))
    patch(embedded_device, "__file__", str(state / "embedded_device.py"))
    # They look at files of the FPGA manager that are at a fixed place.
    for module in (global_state, embedded_device):
        patch(module, "initial_global_state_file_boot_check", lambda device_tag="": None)
    # XRT's tool; the accelerator has no memory for it to describe.
    patch(embedded_device, "_create_xclbin", lambda mem_dict: embedded_device.DEFAULT_XCLBIN)


def _forget_clocks() -> None:
    from pynq.ps import Clocks

    if hasattr(Clocks, "_real_instance"):
        del Clocks._real_instance


@lru_cache(maxsize=1)
def _device_class() -> type[Any]:
    """Return the class of the device; pynq is imported here, and only here."""
    from pynq.pl_server.device import Device
    from pynq.pl_server.embedded_device import EmbeddedDevice

    class VirtualZynq(EmbeddedDevice):  # type: ignore[misc]
        """The device of pynq, down to the files of the FPGA manager and the mapping of memory."""

        #: Nobody has to wait for a board that is one's own.
        virtual = True

        def __init__(self, make_port: PortFactory, mishaps: Mishaps, state: Path) -> None:
            # Not EmbeddedDevice's own: it opens XRT.
            Device.__init__(self, "virtual_zynq")
            self.capabilities = {"REGISTER_RW": False, "MEMORY_MAPPED": True, "CALLABLE": False}
            self.arch = _ARCHITECTURE
            self.mishaps = mishaps
            self.port: Port | None = None
            self.downloads = 0
            self._make_port = make_port
            self._clocks = ClockRegisters.make(mishaps)
            self._firmware = state / "firmware"
            self._firmware.mkdir(exist_ok=True)
            # The names are EmbeddedDevice's.
            self.BS_FPGA_MAN = str(state / "fpga_manager_firmware")
            self.BS_FPGA_MAN_FLAGS = str(state / "fpga_manager_flags")

        @property
        def name(self) -> str:
            """What stands where a board has the name of its shell."""
            return "virtual Zynq"

        def mmap(self, base_addr: int, length: int) -> Any:
            """Return the words at an address."""
            if not self.mishaps.root:
                raise OSError("Root permissions required.")
            if base_addr in PORT_RANGE and length <= ADDRESS_RANGE:
                first = fabric_offset_words(base_addr, PORT_RANGE.start)
                return FabricWords(lambda: self.port, self.mishaps, first, length // 4)
            if base_addr in _SLCR:
                start = (base_addr - _SLCR.start) // 4
                return self._clocks[start : start + length // 4]
            raise BackendError(
                f"a virtual Zynq has nothing at 0x{base_addr:08x}; the fabric is at 0x{PORT_RANGE.start:08x}"
            )

        def allocate(self, shape: Any, dtype: Any, **kwargs: Any) -> Any:
            """Refuse: nothing in this fabric could reach a buffer."""
            raise BackendError("a virtual Zynq has no memory to allocate: the accelerator has no bus master")

        def download(self, bitstream: Any, parser: Any = None) -> None:
            """Write the converted bitstream where the FPGA manager looks for it; pynq does the rest."""
            if not self.mishaps.root:
                raise PermissionError(13, "Permission denied", "/lib/firmware")
            bitstream.binfile_name = Path(bitstream.bitfile_name).stem + ".bin"
            bitstream.firmware_path = self._firmware / bitstream.binfile_name
            bitstream.firmware_path.write_bytes(parser.bin_data)
            super().download(bitstream, parser)

        def _xrt_download(self, data: bytes) -> None:
            """Be the FPGA manager, which acts when its file is written: pynq comes here right behind that."""
            self.port = None
            name = Path(self.BS_FPGA_MAN).read_text(encoding="utf-8")
            self.port = self._make_port(read_payload((self._firmware / name).read_bytes()))
            self.downloads += 1

    return VirtualZynq
