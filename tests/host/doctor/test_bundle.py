"""The bundle about a board: what is in it, and what is not."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from axft_host.backends.emulator import Emulator
from axft_host.doctor import examine as examine_module
from axft_host.doctor.bundle import CONTENTS, board_report, report_name, write_bundle
from axft_host.doctor.examine import DoctorOptions, open_examination
from axft_host.doctor.privacy import Scrubber
from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import FileRecord, Manifest

KNOWN_34P = ["abbf54aff42fa3f6", "b7a6323d3dbe5ff5"]


def parts_of(options: DoctorOptions, *, faults: int = 3, root: Path = Path("/")) -> dict[str, Any]:
    """Make a report, and return its parts."""
    steps = list(board_report(open_examination(options), faults=faults, root=root))
    assert all(isinstance(step, str) for step in steps[:-1])
    assert isinstance(steps[-1], dict)
    return steps[-1]


def bundle_of(tmp_path: Path, options: DoctorOptions, scrubber: Scrubber | None = None) -> dict[str, str]:
    """Write a bundle, and return its files."""
    path = tmp_path / "report.zip"
    write_bundle(path, parts_of(options), scrubber)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode("ascii") for name in archive.namelist()}


def test_bundle_holds_what_it_says(tmp_path: Path) -> None:
    """Every file that is announced, and no other; all of it text."""
    files = bundle_of(tmp_path, DoctorOptions(images=2))
    assert list(files) == list(CONTENTS)
    assert [name for name in CONTENTS if name not in files["README.txt"]] == []
    for name, text in files.items():
        if name.endswith(".json"):
            json.loads(text)


def test_expected_values_stand_beside(tmp_path: Path) -> None:
    """Golden runs have what this machine's emulator and what another machine computed, injections the emulator's."""
    files = bundle_of(tmp_path, DoctorOptions(images=2))
    golden = json.loads(files["golden.json"])
    assert golden["equal"] is True
    assert golden["board"]["digests"] == golden["expected"]["digests"] == golden["known_digests"][:2] == KNOWN_34P
    assert golden["board"]["accumulators"] == golden["expected"]["accumulators"]
    faults = json.loads(files["faults.json"])
    assert (faults["faults"], faults["equal"]) == (3, 3)
    first = faults["runs"][0]
    assert first["fault"] == "weight:r23:c11:b7:sa1"
    assert first["board"] == first["expected"]
    assert sum(first["board"]["activated"]) > 0
    assert set(first["board"]["outcomes"]) <= {"masked", "tolerable", "critical"}


def test_doctor_in_the_bundle_is_the_doctors(tmp_path: Path) -> None:
    """As text and as JSON."""
    files = bundle_of(tmp_path, DoctorOptions(images=1))
    document = json.loads(files["doctor.json"])
    assert document["passed"] is True
    for finding in document["findings"]:
        assert finding["text"] in files["doctor.txt"]


def test_nobody_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by an error of a board whose path and address hold all names."""

    class Talking(Emulator):
        def evaluate(self, *arguments: Any, **more: Any) -> Any:
            raise BackendError("ada@mueller-lab3: /home/ada/private/34P.bit on socket://10.1.2.3:99 cannot be read")

    monkeypatch.setattr(examine_module, "open_backend", lambda _: Talking())
    names = {"mueller-lab3": "<host>", "ada": "<user>", "/home/ada": "<home>"}
    board = "link:socket://mueller-lab3:27182"
    files = bundle_of(tmp_path, DoctorOptions(board=board, images=1), Scrubber(names))
    for text in files.values():
        for name in ("mueller", "ada", "private", "10.1.2.3", "27182"):
            assert not re.search(rf"\b{re.escape(name)}\b", text)
    assert "cannot be read" in files["doctor.txt"]
    assert json.loads(files["golden.json"])["error"].endswith("cannot be read")


def test_board_that_cannot_be_opened_has_a_report_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is when it is needed most."""

    def refuse(board: object) -> None:
        raise BackendError("no board here")

    monkeypatch.setattr(examine_module, "open_backend", refuse)
    files = bundle_of(tmp_path, DoctorOptions(board="pynq"))
    assert "checks that failed: board" in files["README.txt"]
    assert json.loads(files["golden.json"]) == {"why": "the board could not be opened"}
    assert json.loads(files["versions.json"])["versions"]["python"]


def test_bitstream_is_named_by_its_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of its files, as they are now, and its manifest; the directory is left out."""
    content = {"axft.bit": b"bits", "axft.hwh": b"<xml/>"}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    config = open_examination(DoctorOptions(config="8P")).config
    Manifest(
        name="axft",
        hardware=HardwareConfig(array=config),
        gateware_version="1.0.0",
        files={name: FileRecord.of(data) for name, data in content.items()},
        tools={},
    ).save(tmp_path)
    monkeypatch.setattr(examine_module, "open_backend", lambda _: Emulator())
    options = DoctorOptions(board="pynq", bitstream=tmp_path / "axft.bit", images=1)
    # The configuration is that of the manifest.
    assert open_examination(options).config_name == "8P"
    found = parts_of(options, faults=1)["bitstream.json"]
    assert [each["name"] for each in found["files"]] == ["axft.bit", "axft.hwh", "manifest.json"]
    # printf bits | sha256sum
    assert found["files"][0]["sha256"].startswith("e5e59d10f196504b")
    assert found["manifest"]["files"]["axft.bit"]["sha256"] == found["files"][0]["sha256"]
    assert str(tmp_path) not in json.dumps(found)


def test_sensors_are_read_before_and_after(tmp_path: Path) -> None:
    """From the file system of the board."""
    device = tmp_path / "sys/bus/iio/devices/iio:device0"
    device.mkdir(parents=True)
    for name, text in {
        "name": "xadc",
        "in_temp0_raw": "2605",
        "in_temp0_offset": "-2219",
        "in_temp0_scale": "123",
    }.items():
        (device / name).write_text(text)
    sensors = parts_of(DoctorOptions(images=1), faults=1, root=tmp_path)["sensors.json"]
    assert sensors["before"] == sensors["after"] == {"devices": {"xadc": {"temp0_celsius": 47.478}}}


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    """Whatever it is."""
    path = tmp_path / "report.zip"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_bundle(path, parts_of(DoctorOptions(images=1), faults=1))
    assert path.read_text() == "mine"


def test_file_is_named_after_board_and_time() -> None:
    """Not after the address of a link."""
    name = report_name(open_examination(DoctorOptions(board="link:socket://10.0.0.1:1", config="8P")))
    assert name.startswith("board-report-link-8P-2")
    assert name.endswith("Z.zip")
