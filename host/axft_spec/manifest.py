"""The manifest of a directory of generated hardware: what it is, what made it, and digests of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axft_spec.errors import AxftError, ConfigError
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import REGMAP_HASH

__all__ = ["MANIFEST_NAME", "FileRecord", "Manifest"]

#: Name of the file in its directory.
MANIFEST_NAME = "manifest.json"

_KIND = "axft-hw manifest"
_VERSION = 1
_KEYS = {"kind", "version", "name", "hardware", "config_hash", "regmap_hash", "gateware_version", "files", "tools"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """Size in bytes and SHA-256 (hex) of a file."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> FileRecord:
        """Return the record of a content."""
        return cls(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a directory of generated hardware holds.

    Parameters
    ----------
    name : str
        Name of the top module.
    hardware : HardwareConfig
        What was generated.
    regmap_hash : int
        The register map that it has: what REGMAP_HASH reads as.
    gateware_version : str
        What VERSION reads as, with dots.
    files : mapping of str to FileRecord
        The other files of the directory, by name.
    tools : mapping of str to str
        Versions of what made them.
    """

    name: str
    hardware: HardwareConfig
    regmap_hash: int = REGMAP_HASH
    gateware_version: str
    files: Mapping[str, FileRecord]
    tools: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "kind": _KIND,
            "version": _VERSION,
            "name": self.name,
            "hardware": self.hardware.to_json(),
            "config_hash": f"{self.hardware.config_hash:08x}",
            "regmap_hash": f"{self.regmap_hash:08x}",
            "gateware_version": self.gateware_version,
            "files": {
                name: {"size_bytes": record.size_bytes, "sha256": record.sha256}
                for name, record in sorted(self.files.items())
            },
            "tools": dict(sorted(self.tools.items())),
        }

    @classmethod
    def from_json(cls, value: Any) -> Manifest:
        """Rebuild from `to_json`; unknown or missing keys, and a config hash that is not its own, are an error."""
        if not isinstance(value, dict) or value.get("kind") != _KIND:
            raise ConfigError(f"a manifest must have the kind {_KIND!r}")
        if value.get("version") != _VERSION:
            raise ConfigError(f"version of the manifest must be {_VERSION}, not {value.get('version')!r}")
        if set(value) != _KEYS:
            raise ConfigError(f"a manifest must have the keys {sorted(_KEYS)}, not {sorted(value)}")
        hardware = HardwareConfig.from_json(value["hardware"])
        if value["config_hash"] != f"{hardware.config_hash:08x}":
            raise ConfigError(
                f"config_hash of the manifest must be {hardware.config_hash:08x}, the hash of its hardware, not "
                f"{value['config_hash']!r}"
            )
        return cls(
            name=value["name"],
            hardware=hardware,
            regmap_hash=int(value["regmap_hash"], 16),
            gateware_version=value["gateware_version"],
            files={name: FileRecord(**record) for name, record in value["files"].items()},
            tools=value["tools"],
        )

    def to_text(self) -> str:
        """Return the text of the file."""
        return json.dumps(self.to_json(), indent=2) + "\n"

    def save(self, directory: Path) -> None:
        """Write the manifest into its directory."""
        (directory / MANIFEST_NAME).write_text(self.to_text(), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Manifest:
        """Read the manifest of a directory.

        Raises
        ------
        ConfigError
            If there is none, or it is not one; the message names the file.
        """
        path = directory / MANIFEST_NAME
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be read: {error.strerror}; name a directory that `axft-hw generate` made"
            ) from None
        except AxftError as error:
            raise ConfigError(f"{path}: {error}") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(f"{path} is no manifest, or a damaged one: {error!r}; generate it again") from None

    def verify(self, directory: Path) -> None:
        """Check the files of a directory against their digests, and the register map against this version's.

        Raises
        ------
        ConfigError
            Naming the first file that is missing or differs, or the register map.
        """
        if self.regmap_hash != REGMAP_HASH:
            raise ConfigError(
                f"{directory / MANIFEST_NAME}: register map must be {REGMAP_HASH:08x}, that of this version, not "
                f"{self.regmap_hash:08x}; generate it again, or use axft-hw {self.tools.get('axft-hw', '(unknown)')}"
            )
        for name, record in self.files.items():
            path = directory / name
            try:
                found = FileRecord.of(path.read_bytes())
            except OSError as error:
                raise ConfigError(
                    f"{path} cannot be read: {error.strerror}; {MANIFEST_NAME} lists it: generate it again"
                ) from None
            if found != record:
                raise ConfigError(
                    f"{path} must have the SHA-256 {record.sha256[:16]}... of {MANIFEST_NAME}, not "
                    f"{found.sha256[:16]}...; it was changed: generate it again"
                )
