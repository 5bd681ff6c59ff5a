import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from axft_spec.config import find_preset
from axft_spec.errors import ConfigError
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import FileRecord, Manifest

HARDWARE = HardwareConfig(array=find_preset("2QH").config.resized(3, 4))


def made(directory: Path) -> Manifest:
    """Make a directory with one file and its manifest."""
    (directory / "a.txt").write_bytes(b"abc")
    manifest = Manifest(
        name="axft_top",
        hardware=HARDWARE,
        gateware_version="1.0.0",
        files={"a.txt": FileRecord.of(b"abc")},
        tools={"axft-hw": "9.9"},
    )
    manifest.save(directory)
    return manifest


def changed(directory: Path, **values: Any) -> None:
    """Change entries of a saved manifest; None removes one."""
    path = directory / "manifest.json"
    value = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: entry for key, entry in value.items() if entry is not None}))


def test_manifest_survives_saving_and_its_files_verify(tmp_path: Path) -> None:
    """What was saved is what is loaded; the digest is that of the bytes (FIPS 180-4, example "abc")."""
    manifest = made(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert manifest.files["a.txt"].sha256.startswith("ba7816bf 8f01cfea".replace(" ", ""))
    manifest.verify(tmp_path)


def test_changed_and_missing_files_are_named(tmp_path: Path) -> None:
    """Which, and what to do."""
    manifest = made(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"abd")
    with pytest.raises(ConfigError, match=r"a\.txt must have the SHA-256 ba7816bf8f01cfea\.\.\. .*generate it again"):
        manifest.verify(tmp_path)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(ConfigError, match=r"a\.txt cannot be read: .*manifest\.json lists it"):
        manifest.verify(tmp_path)


def test_other_register_map_says_which_version_can_use_it(tmp_path: Path) -> None:
    """The driver of this version cannot."""
    manifest = replace(made(tmp_path), regmap_hash=0x12345678)
    with pytest.raises(
        ConfigError, match=r"register map must be [0-9a-f]{8}, that of this version, not 12345678.*9\.9"
    ):
        manifest.verify(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "something"}, "a manifest must have the kind 'axft-hw manifest'"),
        ({"version": 2}, "version of the manifest must be 1, not 2"),
        ({"extra": 1}, "a manifest must have the keys"),
        ({"tools": None}, "a manifest must have the keys"),
        ({"config_hash": "00000000"}, "config_hash of the manifest must be [0-9a-f]{8}, .* not '00000000'"),
        ({"hardware": {}}, "hardware configuration must have the keys"),
        ({"regmap_hash": "x"}, "is no manifest, or a damaged one"),
        ({"files": {"a.txt": {}}}, "is no manifest, or a damaged one"),
    ],
)
def test_what_is_no_manifest_is_refused(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    """The message names the file."""
    made(tmp_path)
    changed(tmp_path, **values)
    with pytest.raises(ConfigError, match=rf"manifest\.json.*{message}"):
        Manifest.load(tmp_path)


def test_missing_and_unreadable_manifests_are_named(tmp_path: Path) -> None:
    """A directory without one, and a file that is no JSON."""
    with pytest.raises(ConfigError, match=r"manifest\.json cannot be read: .*axft-hw generate"):
        Manifest.load(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ConfigError, match="is no manifest, or a damaged one"):
        Manifest.load(tmp_path)
