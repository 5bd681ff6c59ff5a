"""Which bitstream a board loads for a configuration, where such files are looked for, and whether they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from axft_host.backends.compressed import COMPRESSED_SUFFIX, unpacked
from axft_host.paths import user_data_dir
from axft_spec.config import ArrayConfig
from axft_spec.errors import AxftError, BackendError
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import MANIFEST_NAME, FileRecord, Manifest
from axft_spec.regmap import REGMAP_HASH

__all__ = ["BITSTREAMS_VARIABLE", "BitstreamFiles", "bitstream_directories", "find_bitstream", "open_bitstream"]

#: Directories of bitstreams, separated as in PATH; what is in them comes before all others.
BITSTREAMS_VARIABLE = "AXFT_BITSTREAMS"

# Of a source tree; an installed package is in none.
_source = Path(__file__).resolve().parents[2]
_checkout = (_source.parent / "bitstreams",) if _source.name == "host" else ()


@dataclass(frozen=True, slots=True)
class BitstreamFiles:
    """A bitstream, and what is known about it.

    Members
    -------
    path : Path
        The .bit file.
    manifest : Manifest or None
        None if there is none beside it: then the device has to say itself what it is.
    """

    path: Path
    manifest: Manifest | None

    @property
    def hwh(self) -> Path:
        """The .hwh file, which pynq wants under the same name."""
        return self.path.with_suffix(".hwh")

    @property
    def hardware(self) -> HardwareConfig | None:
        """What the manifest says that it is."""
        return None if self.manifest is None else self.manifest.hardware

    def check_config(self, config: ArrayConfig, physical: tuple[int, int] | None) -> None:
        """Check that the manifest is that of a configuration.

        Raises
        ------
        BackendError
            If it is of another one.
        """
        hardware = self.hardware
        if hardware is None:
            return
        if not _computes(hardware, config):
            raise BackendError(
                f"bitstream {self.path} is {_title(hardware)}, not {_arithmetic(config)}; name one of this "
                f"configuration"
            )
        size = hardware.array.rows, hardware.array.cols
        if physical is not None and physical != size:
            raise BackendError(
                f"bitstream {self.path} has an array of {size[0]}x{size[1]}, not {physical[0]}x{physical[1]}; leave "
                f"out --physical, or name another one"
            )

    def verify(self) -> None:
        """Check that both files are there, and are those of the manifest.

        Raises
        ------
        BackendError
            Naming the file that is missing or differs, or the register map.
        """
        if not self.hwh.is_file():
            raise BackendError(
                f"{self.hwh} is missing: it says at which address the accelerator is, and must lie beside the "
                f"bitstream under the same name; `axft-hw generate` writes one (axft_top.hwh)"
            )
        manifest = self.manifest
        if manifest is None:
            return
        if manifest.regmap_hash != REGMAP_HASH:
            raise BackendError(
                f"bitstream {self.path} has register map {manifest.regmap_hash:08x}, this version of axft-hw knows "
                f"{REGMAP_HASH:08x}; use axft-hw {manifest.tools.get('axft-hw', '(unknown)')}, or build it again"
            )
        for path in (self.path, self.hwh):
            record = manifest.files.get(path.name)
            if record is None:
                raise BackendError(
                    f"{path.parent / MANIFEST_NAME} does not list {path.name}: it is about other files; put each "
                    f"bitstream into a directory of its own"
                )
            if FileRecord.of(_content(path)) != record:
                raise BackendError(
                    f"{path} is not the file that {MANIFEST_NAME} beside it lists: it was changed, or copied in part; "
                    f"copy the whole directory again"
                )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BackendError(f"{path} cannot be read: {error.strerror}") from None


def _cuts(array: ArrayConfig) -> tuple[object, ...]:
    part = array.multiplier
    return array.width, part.omit_a, part.omit_b, part.vbreak, array.operand_a


def _computes(hardware: HardwareConfig, config: ArrayConfig) -> bool:
    return _cuts(hardware.array) == _cuts(config)


def _arithmetic(config: ArrayConfig) -> str:
    return f"width {config.width}, multiplier {config.multiplier.name}, operand A {config.operand_a}"


def _title(hardware: HardwareConfig) -> str:
    return f"{_arithmetic(hardware.array)} ({hardware.array.rows}x{hardware.array.cols})"


def bitstream_directories() -> list[Path]:
    """Return where bitstreams are looked for: ``$AXFT_BITSTREAMS``, the user's data, the checkout."""
    named = [Path(part).expanduser() for part in os.environ.get(BITSTREAMS_VARIABLE, "").split(os.pathsep) if part]
    return [*named, user_data_dir() / "bitstreams", *_checkout]


def open_bitstream(path: Path) -> BitstreamFiles:
    """Return a bitstream that was named, with the manifest beside it if there is one; one named .bit.xz is unpacked.

    Raises
    ------
    BackendError
        If there is no such file, or it or the manifest is damaged.
    """
    if path.name.endswith(f".bit{COMPRESSED_SUFFIX}"):
        path = path.with_suffix("")
    path = unpacked(path)
    if path.suffix != ".bit" or not path.is_file():
        what = "is no .bit file" if path.exists() else "does not exist"
        raise BackendError(f"bitstream {path} {what}; name a .bit file that has its .hwh beside it")
    path = path.resolve()
    if not (path.parent / MANIFEST_NAME).exists():
        return BitstreamFiles(path, None)
    try:
        return BitstreamFiles(path, Manifest.load(path.parent))
    except AxftError as error:
        raise BackendError(f"bitstream {path}: {error}") from None


def _bitstreams_in(directory: Path, damaged: list[str]) -> Iterator[BitstreamFiles]:
    """Yield the bitstreams of a directory and of those in it, by name."""
    if not directory.is_dir():
        return
    for place in (directory, *sorted(each for each in directory.iterdir() if each.is_dir())):
        if not (place / MANIFEST_NAME).is_file():
            continue
        try:
            manifest = Manifest.load(place)
        except AxftError as error:
            damaged.append(str(error))
            continue
        for name in sorted(manifest.files):
            if name.endswith(".bit"):
                yield BitstreamFiles((place / name).resolve(), manifest)


def find_bitstream(config: ArrayConfig, physical: tuple[int, int] | None, sites: Sequence[Site]) -> BitstreamFiles:
    """Return the bitstream for a configuration.

    Of the first directory that has any, the one with most of the sites that are needed, then one with an array as large
    as the logical one, then the largest.

    Parameters
    ----------
    config : ArrayConfig
        The logical array.
    physical : (int, int) or None
        Rows and columns that the device must have; None for any.
    sites : sequence of Site
        Fault sites that it should have.

    Raises
    ------
    BackendError
        If there is none, and the message says what there is, and where; or if it is compressed and damaged.
    """
    others: list[str] = []

    def rank(files: BitstreamFiles) -> tuple[int, bool, bool, int]:
        assert files.hardware is not None
        array = files.hardware.array
        size = array.rows, array.cols
        return (
            len(set(sites) & set(files.hardware.sites)),
            files.hardware.counter,
            size == (config.rows, config.cols),
            array.rows * array.cols,
        )

    directories = bitstream_directories()
    for directory in directories:
        found = []
        for files in _bitstreams_in(directory, others):
            hardware = files.hardware
            assert hardware is not None
            size = hardware.array.rows, hardware.array.cols
            if _computes(hardware, config) and physical in (None, size):
                found.append(files)
            else:
                others.append(f"{files.path.parent.name} ({_title(hardware)})")
        if found:
            best = max(found, key=rank)
            return BitstreamFiles(unpacked(best.path), best.manifest)
    wanted = "" if physical is None else f" with an array of {physical[0]}x{physical[1]}"
    raise BackendError(
        f"no bitstream for {_arithmetic(config)}{wanted} in {', '.join(map(str, directories))}; found there: "
        f"{'; '.join(others) or 'none'}; name a file with --bitstream, or directories in ${BITSTREAMS_VARIABLE}"
    )
