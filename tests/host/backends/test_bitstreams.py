"""Which bitstream is found for a configuration, and whether its files are whole."""

from __future__ import annotations

import lzma
import os
from pathlib import Path

import pytest

from axft_host.backends import bitstreams
from axft_host.backends.bitstreams import find_bitstream, open_bitstream
from axft_host.testing.virtual_bitstream import write_virtual_overlay
from axft_spec.config import find_preset
from axft_spec.errors import BackendError
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig

CONFIG = find_preset("34P").config


def write(directory: Path, preset: str = "34P", size: tuple[int, int] = (2, 2), **options: object) -> Path:
    """Write the files of a bitstream."""
    hardware = HardwareConfig(array=find_preset(preset).config.resized(*size), **options)  # type: ignore[arg-type]
    return write_virtual_overlay(directory, hardware, "<x/>", f"axft_{preset}")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory that is looked in first; a checkout's own is not looked in at all."""
    monkeypatch.setattr(bitstreams, "_checkout", ())
    monkeypatch.setenv("AXFT_BITSTREAMS", str(tmp_path / "named"))
    return tmp_path / "named"


def test_configuration_decides_and_then_size_and_sites(place: Path) -> None:
    """The device computes the same; then sites come before size, and as large as the logical array before larger."""
    write(place / "a", "8P", (28, 28))
    small, same = write(place / "b", size=(4, 4)), write(place / "c", size=(28, 28))
    large, psum = write(place / "d", size=(30, 30)), write(place / "e", size=(3, 3), sites=(Site.PSUM,))
    weight = (Site.WEIGHT,)
    assert find_bitstream(CONFIG, None, weight).path == same
    assert find_bitstream(CONFIG.resized(16, 16), None, weight).path == large
    assert find_bitstream(CONFIG, (4, 4), weight).path == small
    assert find_bitstream(CONFIG, (3, 3), weight).path == psum


def test_as_many_of_the_sites_as_there_are_come_first(place: Path) -> None:
    """Who serves a board does not know yet which ones the faults will need."""
    write(place / "a", size=(28, 28), sites=(Site.WEIGHT,))
    two = write(place / "b", size=(4, 4), sites=(Site.WEIGHT, Site.PSUM))
    assert find_bitstream(CONFIG, None, tuple(Site)).path == two


def test_named_directories_come_before_the_users_own(place: Path, user_dirs: Path) -> None:
    """As in PATH; a bitstream may lie in a named directory itself."""
    mine = write(user_dirs / "data" / "bitstreams" / "34P", size=(28, 28))
    assert find_bitstream(CONFIG, None, ()).path == mine
    named = write(place, size=(2, 2))
    assert find_bitstream(CONFIG, None, ()).path == named


def test_several_directories_are_separated_as_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not exist is no error."""
    monkeypatch.setenv("AXFT_BITSTREAMS", os.pathsep.join(map(str, (tmp_path / "no", tmp_path / "b"))))
    found = write(tmp_path / "b" / "x")
    assert find_bitstream(CONFIG, None, ()).path == found


def test_what_is_not_found_is_told_with_what_is_there(place: Path) -> None:
    """Where it was looked for, what was found, what else to do."""
    write(place / "mine", "8P", (4, 5))
    with pytest.raises(BackendError) as caught:
        find_bitstream(CONFIG, (8, 8), ())
    message = str(caught.value)
    assert message.startswith("no bitstream for width 8, multiplier 34P, operand A weight with an array of 8x8 in ")
    assert str(place) in message
    assert (
        "found there: mine (width 8, multiplier exact, operand A weight (4x5)); name a file with --bitstream" in message
    )


def test_damaged_manifest_is_told_and_others_are_found(place: Path) -> None:
    """It is no reason to stop while another one fits."""
    (place / "bad").mkdir(parents=True)
    (place / "bad" / "manifest.json").write_text("{")
    with pytest.raises(BackendError, match=r"bad/manifest\.json is no manifest, or a damaged one"):
        find_bitstream(CONFIG, None, ())
    good = write(place / "good")
    assert find_bitstream(CONFIG, None, ()).path == good


def test_netlists_without_a_bitstream_are_passed_over(place: Path) -> None:
    """What `axft-hw generate` leaves cannot be loaded."""
    bit = write(place / "only")
    manifest = bit.parent / "manifest.json"
    manifest.write_text(manifest.read_text().replace("axft_34P.bit", "axft_34P.v"))
    with pytest.raises(BackendError, match="no bitstream for"):
        find_bitstream(CONFIG, None, ())


def test_named_file_must_be_one(tmp_path: Path) -> None:
    """A .bit file that is there."""
    with pytest.raises(BackendError, match=r"x\.bit does not exist; name a \.bit file"):
        open_bitstream(tmp_path / "x.bit")
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(BackendError, match=r"x\.bin is no \.bit file"):
        open_bitstream(tmp_path / "x.bin")


def test_named_file_of_another_configuration_is_refused(tmp_path: Path) -> None:
    """Before it is loaded; without a manifest, the device will say what it is."""
    files = open_bitstream(write(tmp_path / "a", "8P"))
    files.check_config(find_preset("8P").config, (2, 2))
    with pytest.raises(BackendError, match=r"is width 8, multiplier exact, .* not width 8, multiplier 34P"):
        files.check_config(CONFIG, None)
    with pytest.raises(BackendError, match=r"has an array of 2x2, not 8x8; leave out --physical"):
        files.check_config(find_preset("8P").config, (8, 8))
    (files.path.parent / "manifest.json").unlink()
    open_bitstream(files.path).check_config(CONFIG, None)


def test_files_are_those_of_the_manifest(tmp_path: Path) -> None:
    """Changed, renamed, or missing."""
    bit = write(tmp_path / "a")
    open_bitstream(bit).verify()
    content = bit.read_bytes()
    bit.write_bytes(content[:-4])
    with pytest.raises(BackendError, match=r"axft_34P\.bit is not the file that manifest\.json beside it lists"):
        open_bitstream(bit).verify()
    bit.write_bytes(content)
    hwh = bit.with_suffix(".hwh")
    hwh.write_text("<y/>")
    with pytest.raises(BackendError, match=r"axft_34P\.hwh is not the file"):
        open_bitstream(bit).verify()
    hwh.unlink()
    with pytest.raises(BackendError, match=r"axft_34P\.hwh is missing: .* under the same name"):
        open_bitstream(bit).verify()
    other = bit.with_name("other.bit")
    other.write_bytes(content)
    other.with_suffix(".hwh").write_text("<x/>")
    with pytest.raises(BackendError, match=r"does not list other\.bit"):
        open_bitstream(other).verify()


def test_register_map_of_another_version_is_refused(tmp_path: Path) -> None:
    """Before it is loaded."""
    bit = write(tmp_path / "a")
    manifest = bit.parent / "manifest.json"
    text = manifest.read_text()
    start = text.index('"regmap_hash": "') + len('"regmap_hash": "')
    manifest.write_text(text[:start] + "01234567" + text[start + 8 :])
    with pytest.raises(BackendError, match="has register map 01234567, this version of axft-hw knows"):
        open_bitstream(bit).verify()


def compress(bit: Path) -> bytes:
    """Leave a bitstream only in its compressed form; return its content."""
    content = bit.read_bytes()
    bit.with_name(bit.name + ".xz").write_bytes(lzma.compress(content))
    bit.unlink()
    return content


def test_compressed_bitstream_is_unpacked_into_the_cache(place: Path, user_dirs: Path) -> None:
    """Found or named, with what belongs beside it; once, and the directory it lies in stays as it is."""
    bit = write(place / "a", size=(4, 4))
    content = compress(bit)
    before = sorted(bit.parent.iterdir())
    found = find_bitstream(CONFIG, None, ())
    found.verify()
    assert found.path.read_bytes() == content
    assert user_dirs / "cache" in found.path.parents
    assert found.hwh.read_bytes() == bit.with_suffix(".hwh").read_bytes()
    assert sorted(bit.parent.iterdir()) == before
    made = found.path.stat().st_mtime_ns
    for named in (bit, bit.with_name(bit.name + ".xz")):
        files = open_bitstream(named)
        files.verify()
        assert files.path == found.path.resolve()
        assert files.manifest == found.manifest
    assert found.path.stat().st_mtime_ns == made


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_damaged_compressed_bitstream_is_refused(place: Path, damage: str) -> None:
    """Copied in part, or something else."""
    bit = write(place / "a")
    compress(bit)
    packed = bit.with_name(bit.name + ".xz")
    packed.write_bytes(packed.read_bytes()[:-9] if damage == "cut" else b"no archive")
    with pytest.raises(BackendError, match=r"axft_34P\.bit\.xz is damaged, or no bitstream"):
        find_bitstream(CONFIG, None, ())


def test_compressed_bitstream_of_another_content_than_the_manifests_is_refused(place: Path) -> None:
    """What is loaded is checked after it is unpacked."""
    bit = write(place / "a")
    compress(bit)
    bit.with_name(bit.name + ".xz").write_bytes(lzma.compress(b"another"))
    with pytest.raises(BackendError, match=r"is not the file that manifest\.json beside it lists"):
        find_bitstream(CONFIG, None, ()).verify()
