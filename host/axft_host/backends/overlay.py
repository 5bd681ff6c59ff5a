"""Loading a bitstream by pynq, and everything that is looked at before the accelerator in it is believed."""

from __future__ import annotations

import errno
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from axft_host.backends.bitstreams import BitstreamFiles
from axft_host.device.accelerator import Accelerator
from axft_host.device.mmio import MmioPort
from axft_spec.errors import AxftError, BackendError
from axft_spec.handoff import Handoff, read_handoff
from axft_spec.manifest import FileRecord

__all__ = ["CLAIM_WAIT_S", "CLOCK_TOLERANCE", "LoadedOverlay", "check_pynq", "load_overlay", "release"]

#: How far the fabric clock may be from what was asked for, as a fraction: pynq itself warns from here on.
CLOCK_TOLERANCE = 0.01

_ELSEWHERE = "on a PC use --board emu or rtl, or --board link:URL for a board that serves"
#: Held until the last user of this process lets go, or it ends: the fabric is used by one process.
_claims: list[IO[str]] = []

#: Seconds that a board is waited for which another process has: it may just be ending, held up by the kernel.
CLAIM_WAIT_S = 5.0
_CLAIM_POLL_S = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class LoadedOverlay:
    """An accelerator that was loaded and identified.

    Members
    -------
    files : BitstreamFiles
    overlay : pynq.Overlay
    accelerator : Accelerator
    clock_mhz : float
        Of the fabric, as read back, in MHz.
    """

    files: BitstreamFiles
    overlay: Any
    accelerator: Accelerator
    clock_mhz: float

    @property
    def loaded(self) -> bool:
        """Whether nothing else has been loaded since."""
        return bool(self.overlay.is_loaded())

    def facts(self) -> dict[str, Any]:
        """Return where it came from, as plain JSON values."""
        import pynq

        return {
            "bitstream": self.files.path.name,
            "bitstream_sha256": FileRecord.of(self.files.path.read_bytes()).sha256,
            "clock_mhz": self.clock_mhz,
            "pynq": pynq.__version__,
            "pynq_device": str(self.overlay.device.name),
        }


def check_pynq() -> None:
    """Check that pynq is installed here.

    Raises
    ------
    BackendError
        If it is not; the message says where it comes from.
    """
    found = find_spec("pynq")
    # A directory of that name, such as one's notebooks, is no package.
    if found is not None and found.origin is not None:
        return
    if platform.machine() == "armv7l":
        raise BackendError(
            "board 'pynq' needs the Python package pynq, which this environment does not have; it comes with the "
            "board's image (3.0.1 or 3.1): install axft-hw into the image's own environment, /usr/local/share/pynq-venv"
        )
    raise BackendError(
        f"board 'pynq' needs the Python package pynq of a PYNQ-Z2's image (3.0.1 or 3.1), and runs on the board "
        f"itself; {_ELSEWHERE}"
    )


def _active_device() -> Any:
    """Return pynq's device."""
    from pynq.pl_server.device import Device

    with warnings.catch_warnings():
        # It warns, and then raises as well.
        warnings.simplefilter("ignore", UserWarning)
        try:
            return Device.active_device
        except RuntimeError:
            pass
    if platform.machine() != "armv7l":
        raise BackendError(f"pynq finds no board here, this machine is a {platform.machine()}; {_ELSEWHERE}")
    raise BackendError(
        "pynq finds no device; run as root in the image's environment: `sudo -i`, then `source "
        "/etc/profile.d/pynq_venv.sh` and `source /etc/profile.d/xrt_setup.sh`"
    )


@contextmanager
def _pynq_doing(what: str) -> Iterator[None]:
    """Turn what pynq raises into errors that say what to do."""
    try:
        yield
    except AxftError:
        raise
    except Exception as error:
        # pynq raises bare OSErrors, RuntimeErrors and KeyErrors, and those of the libraries below it.
        denied = isinstance(error, PermissionError) or "Root permissions" in str(error)
        if denied:
            raise BackendError(
                f"{what} needs root, which maps memory and writes to the FPGA manager; run `sudo -i` and the image's "
                f"environment (`source /etc/profile.d/pynq_venv.sh`), or serve the board from a systemd unit"
            ) from error
        raise BackendError(f"pynq failed at {what}: {type(error).__name__}: {error}") from error


def _lock_path() -> Path:
    place = Path("/run/lock")
    return (place if place.is_dir() else Path(tempfile.gettempdir())) / "axft-hw-pynq.lock"


def _claim(device: Any) -> None:
    """Make sure that no other process uses the fabric: what it armed would fall into the outcomes of this one."""
    if _claims or getattr(device, "virtual", False):
        return
    import fcntl

    path = _lock_path()
    try:
        # Kept open: the lock ends with the process, however that ends. The directory may be everybody's, who could
        # have root write to a file of their choice by a link of this name.
        handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644), "r+", encoding="utf-8")
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BackendError(f"{path} is a symbolic link, which axft-hw does not make; remove it") from None
        raise BackendError(f"{path} cannot be opened: {error.strerror}; run as root") from None
    deadline = time.monotonic() + CLAIM_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() < deadline:
                time.sleep(_CLAIM_POLL_S)
                continue
        owner = handle.read().strip() or "unknown"
        handle.close()
        raise BackendError(
            f"the board is in use by another process (number {owner}); end it, or stop the service: "
            f"`systemctl stop axft-hw`"
        )
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    _claims.append(handle)


def release() -> None:
    """Let other processes have the fabric; what was loaded here is then no longer known to be there."""
    if not _claims:
        return
    import fcntl

    while _claims:
        with _claims.pop() as handle:
            # Also for a child of this process that was given the descriptor.
            fcntl.flock(handle, fcntl.LOCK_UN)


def load_overlay(files: BitstreamFiles) -> LoadedOverlay:
    """Load a bitstream, set the fabric clock, and identify what answers.

    Raises
    ------
    BackendError
        If a file is missing or wrong, the board cannot be used, the clock does not read back, or the device is not the
        one of the manifest.
    """
    check_pynq()
    files.verify()
    handoff = read_handoff(files.hwh)
    handoff.check(files.hwh, files.hardware)
    with _pynq_doing("importing pynq"):
        from axft_host.backends import overlay_driver  # binds the driver

        del overlay_driver
    device = _active_device()
    _claim(device)
    overlay = _described(files, handoff)
    with _pynq_doing(f"loading {files.path.name}"):
        overlay.download()
    clock_mhz = _set_clock(handoff.clock_mhz)
    with _pynq_doing(f"mapping {handoff.instance}"):
        words = getattr(overlay, handoff.instance).mmio.array
    port = MmioPort(words, 1e6 * clock_mhz, simulated=getattr(device, "virtual", False))
    accelerator = Accelerator(port, files.hardware)
    return LoadedOverlay(files, overlay, accelerator, clock_mhz)


def _described(files: BitstreamFiles, handoff: Handoff) -> Any:
    """Return the overlay, not loaded yet, with the metadata that lies beside it.

    pynq keeps what it has parsed, and takes it again for a bitstream with the same SHA-1, whatever the .hwh says now.
    """
    for attempt in range(2):
        with _pynq_doing(f"reading {files.hwh.name}"):
            from pynq import Overlay
            from pynq.pl_server.global_state import clear_global_state

            if attempt:
                clear_global_state()
            overlay = Overlay(str(files.path), download=False)
            if _same(overlay.ip_dict.get(handoff.instance), handoff):
                return overlay
    raise BackendError(
        f"pynq sees another block than {files.hwh} describes: {overlay.ip_dict.get(handoff.instance)!r:.200}; delete "
        f"_current_metadata.pkl and global_pl_state*.json in the directory pynq/pl_server of the environment"
    )


def _same(block: Any, handoff: Handoff) -> bool:
    """Return whether pynq has the same view of the block as the file."""
    if block is None:
        return False
    registers = {name: entry["address_offset"] for name, entry in block.get("registers", {}).items()}
    parameters = {name: block["parameters"].get(name) for name in handoff.parameters}
    place = block.get("type"), block.get("phys_addr"), block.get("addr_range")
    return (
        place == (handoff.vlnv, handoff.base, handoff.size)
        and registers == dict(handoff.registers)
        and parameters == dict(handoff.parameters)
    )


def _set_clock(wanted_mhz: float) -> float:
    """Set fabric clock 0; return what it reads back as, in MHz."""
    with _pynq_doing("setting the fabric clock"):
        from pynq import Clocks

        Clocks.fclk0_mhz = wanted_mhz
        found_mhz = float(Clocks.fclk0_mhz)
    if not abs(found_mhz - wanted_mhz) <= CLOCK_TOLERANCE * wanted_mhz:
        raise BackendError(
            f"the fabric clock reads back as {found_mhz:g} MHz after it was set to {wanted_mhz:g} MHz; allowed: "
            f"{100 * CLOCK_TOLERANCE:g}% apart; restart the board"
        )
    return found_mhz
