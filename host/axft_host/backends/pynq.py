"""The backend ``pynq``: the array in the fabric of a PYNQ-Z2, used by a process on the board itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

from axft_host.backends.base import Workload
from axft_host.backends.bitstreams import BitstreamFiles, find_bitstream, open_bitstream
from axft_host.backends.on_device import DeviceBackend, pass_self_test
from axft_host.backends.overlay import LoadedOverlay, check_pynq, load_overlay, release
from axft_host.device.accelerator import Accelerator
from axft_host.device.mmio import MmioPort
from axft_host.device.recovery import Rung
from axft_spec.config import ArrayConfig
from axft_spec.errors import FaultError
from axft_spec.faults import Fault, Site
from axft_spec.flipflops import AnyFault

__all__ = ["MmioPort", "PynqBackend"]

#: Attribute of pynq's device with what was loaded last: a second backend of this process needs no download.
_LOADED = "axft_loaded"

#: Backends of this process that use the fabric.
_users: WeakSet[PynqBackend] = WeakSet()


class PynqBackend(DeviceBackend):
    """The array of a PYNQ-Z2, on the board.

    Nothing is loaded before the device is first used.

    Parameters
    ----------
    physical : (int, int) or None
        Rows and columns that the device's array must have; None for any.
    sites : tuple of Site
        Fault sites to look for in a bitstream, where there are several.
    bitstream : Path or None
        The .bit file; None to look for one of the right configuration.

    Raises
    ------
    BackendError
        If pynq is not installed, or there is no such file.
    """

    name = "pynq"
    configures_when_opened = True

    def __init__(
        self,
        *,
        physical: tuple[int, int] | None = None,
        sites: tuple[Site, ...] = tuple(Site),
        bitstream: Path | None = None,
    ) -> None:
        super().__init__()
        check_pynq()
        self._physical = physical
        self._sites = sites
        self._named = None if bitstream is None else open_bitstream(bitstream)
        self._files: dict[ArrayConfig, BitstreamFiles] = {}
        self._current: LoadedOverlay | None = None
        self._facts: dict[str, Any] = {}

    def files(self, config: ArrayConfig) -> BitstreamFiles:
        """Return the bitstream for a logical array.

        Raises
        ------
        BackendError
            If there is none, or the one that was named is of another configuration.
        """
        if config not in self._files:
            files = self._named or find_bitstream(config, self._physical, self._sites)
            files.check_config(config, self._physical)
            self._files[config] = files
        return self._files[config]

    def accelerator(self, config: ArrayConfig) -> Accelerator:
        """See `DeviceBackend`; another overlay is loaded where the one that is there does not fit."""
        files = self.files(config)
        current = self._current or _of_this_process()
        if current is None or current.files.path != files.path or not current.loaded:
            current = self._load(files)
        self._current = current
        _users.add(self)
        if not self._facts:
            self._facts = current.facts()
        return current.accelerator

    def check_faults(self, workload: Workload, faults: Sequence[AnyFault | None]) -> None:
        """See `DeviceBackend`; also says how to have another bitstream loaded, if this one lacks a site."""
        try:
            super().check_faults(workload, faults)
        except FaultError as error:
            lacking = self._used is not None and _sites_of(faults) - set(self._used.hardware.sites)
            if not lacking:
                raise
            raise FaultError(
                f"{error}; the bitstream here is {self.files(workload.config).path.name}: name one with the site by "
                f"`--board pynq --bitstream F`, for a board at a link where it is served: `axft-hw serve --board pynq "
                f"--bitstream F`"
            ) from None

    def close(self) -> None:
        """See :meth:`Backend.close`; another process can have the board when all backends of this one have let go."""
        self._current = None
        _users.discard(self)
        if not _users:
            _forget_loaded()
            release()

    def _load(self, files: BitstreamFiles) -> LoadedOverlay:
        self._current, self._facts = None, {}
        current = load_overlay(files)
        setattr(current.overlay.device, _LOADED, current)
        return current

    def rungs(self, config: ArrayConfig) -> Sequence[Rung]:
        """See `DeviceBackend`; configuring the fabric again resets all of it, as switching it on does."""
        return [*super().rungs(config), Rung("reload", lambda: self._reload(config))]

    def _reload(self, config: ArrayConfig) -> None:
        self._current = self._load(self.files(config))
        self._facts = self._current.facts()
        pass_self_test(self._current.accelerator)

    def device(self) -> dict[str, Any] | None:
        """See :meth:`Backend.device`; also the bitstream, the clock, and pynq's version."""
        known = super().device()
        return None if known is None else {**known, **self._facts}


def _of_this_process() -> LoadedOverlay | None:
    """Return what a backend of this process has loaded onto the active device."""
    from pynq.pl_server.device import Device

    device = getattr(Device, "_active_device", None)
    return getattr(device, _LOADED, None)


def _forget_loaded() -> None:
    """Have the next use load again: until then, another process may load and arm what it likes."""
    module = sys.modules.get("pynq.pl_server.device")
    device = None if module is None else getattr(module.Device, "_active_device", None)
    if device is not None:
        setattr(device, _LOADED, None)


def _sites_of(faults: Sequence[AnyFault | None]) -> set[Site]:
    return {armed.site for fault in faults if isinstance(fault, Fault) for armed in fault.sites}
