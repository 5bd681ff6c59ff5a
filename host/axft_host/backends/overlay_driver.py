"""What a notebook gets: `pynq.Overlay("axft_34P.bit").axft_0` with methods of its own.

pynq loads this module by itself when an overlay is made, as the package registers it (entry point ``pynq.lib``). From a
source tree that is not installed, importing it is enough. Without pynq it can be imported, and binds nothing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from axft_host.backends.base import GemmResult
from axft_host.device.accelerator import Accelerator
from axft_host.device.mmio import MmioPort
from axft_host.device.self_test import Check, self_test
from axft_spec.errors import BackendError, ConfigError
from axft_spec.faults import Fault, parse_fault
from axft_spec.overlay import VLNV
from axft_spec.regmap import register

__all__ = ["OverlayMethods", "bind"]


class OverlayMethods:
    """The accelerator in an overlay.

    The device is identified and reset when it is first used. One process at a time uses it.

    Attributes
    ----------
    mmio : pynq.MMIO
        The mapped registers and buffers. What is read and written there by hand, the methods know nothing of.
    """

    mmio: Any
    _config_hash: int = 0
    _accelerator: Accelerator | None = None

    @property
    def accelerator(self) -> Accelerator:
        """The driver, for everything that has no method here. Its deadlines go by the clock at the time of asking.

        Raises
        ------
        BackendError
            If the device is not what this version of axft-hw drives, or another overlay has been loaded since.
        """
        from pynq import Clocks

        port = MmioPort(self.mmio.array, 1e6 * float(Clocks.fclk0_mhz))
        config_hash = register("CONFIG_HASH").offset
        if self._accelerator is None:
            self._accelerator = Accelerator(port)
            self._config_hash = port.read32(config_hash)
        known = self._accelerator.port
        assert isinstance(known, MmioPort)
        known.clock_hz = port.clock_hz
        found = port.read32(config_hash)
        if found != self._config_hash:
            raise BackendError(
                f"another overlay has been loaded: the device's configuration hash is 0x{found:08x}, not "
                f"0x{self._config_hash:08x} as when this one was first used; make the overlay again"
            )
        return self._accelerator

    def identify(self) -> dict[str, Any]:
        """Return who the device is, as plain values.

        Returns
        -------
        dict
            ``hardware`` (the configuration as JSON values), ``config_hash``, ``regmap_hash``, ``version`` and
            ``clock_mhz``.
        """
        accelerator = self.accelerator
        port = accelerator.port
        assert isinstance(port, MmioPort)
        version = register("VERSION").unpack(port.read32(register("VERSION").offset))
        return {
            "hardware": accelerator.hardware.to_json(),
            "config_hash": f"{port.read32(register('CONFIG_HASH').offset):08x}",
            "regmap_hash": f"{port.read32(register('REGMAP_HASH').offset):08x}",
            "version": f"{version['major']}.{version['minor']}.{version['patch']}",
            "clock_mhz": port.clock_hz / 1e6,
        }

    def self_test(self, seed: int = 0) -> list[Check]:
        """Test registers, buffers, scan chain, arithmetic and faults; the device is reset.

        Returns
        -------
        list of Check
            Each with a `name`, whether it has `passed`, and a `text`.

        Raises
        ------
        BackendError
            If the device stops answering.
        """
        return list(self_test(self.accelerator, seed))

    def reset(self) -> None:
        """Reset the device and disarm it. Needed after an error that says that the device has failed."""
        self.accelerator.reset()

    def gemm(self, activations: ArrayLike, weights: ArrayLike, fault: Fault | str | None = None) -> GemmResult:
        """Multiply matrices on the array, with a fault or without.

        Parameters
        ----------
        activations : array of int, shape (m, k) or (images, m, k)
        weights : array of int, shape (k, n)
            All of the array's width; m, k and n may be larger than the array.
        fault : Fault, str or None
            Armed on the array of the device, such as ``"weight:r3:c5:b6:sa1"``.

        Returns
        -------
        GemmResult
            `psums`, ndarray of int64, shape (m, n) or (images, m, n), and `activated`, shape () or (images,).

        Raises
        ------
        ConfigError
            If a shape or a value does not fit.
        FaultError
            If the hardware does not have the fault's place.
        BackendError
            If the device fails.
        """
        left, right = _integers("activations", activations), _integers("weights", weights)
        images = left[None] if left.ndim == 2 else left
        armed = parse_fault(fault) if isinstance(fault, str) else fault
        accelerator = self.accelerator
        psums, activated = accelerator.gemm(accelerator.hardware.array, images, right, armed)
        return GemmResult(psums, activated) if left.ndim == 3 else GemmResult(psums[0], activated[0])


def _integers(name: str, values: ArrayLike) -> Any:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise ConfigError(f"{name} must be integers, not {array.dtype}; quantise them first")
    return array.astype(np.int64)


def bind() -> type[Any]:
    """Bind the driver to the block of our overlays; return its class, a `pynq.DefaultIP`."""
    from pynq import DefaultIP

    class AxftTop(OverlayMethods, DefaultIP):  # type: ignore[misc]
        """The accelerator of axft-hw in an overlay; see `axft_host.backends.overlay_driver.OverlayMethods`."""

        # The name is pynq's.
        bindto = [VLNV]  # noqa: RUF012

    return AxftTop


with suppress(ImportError):
    bind()
