"""Everything that is looked at on a board, and what becomes of it when the board is not there or not right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from axft_host.backends.base import Evaluation, RunEnd
from axft_host.backends.emulator import Emulator
from axft_host.device.examination.finding import Finding, State
from axft_host.device.recovery import Recovery
from axft_host.doctor import examine as examine_module
from axft_host.doctor.examine import DoctorOptions, Examination, open_examination
from axft_host.doctor.known import KNOWN_IMAGES, known_text
from axft_host.doctor.pictures import MOST_PICTURES, pictures
from axft_host.doctor.trial import _KNOWN, known_digests, row_digests, trial_faults, trial_workload
from axft_spec.config import PRESETS, ArrayConfig, find_preset
from axft_spec.errors import AxftError, BackendError, ConfigError
from axft_spec.faults import Site

DEVICE_ROWS = {"identity", "clock", "registers", "buffers", "scan chain", "GEMM", "faults", "watchdog", "words"}
NETWORK_ROWS = {"golden network", "injection", "inferences per second"}


def states(examination: Examination) -> dict[str, State]:
    """Run an examination; return how each check has ended."""
    return {finding.name: finding.state for finding in examination.run()}


def test_emulator_has_a_network_and_no_device() -> None:
    """What does not apply says so, row by row."""
    examination = open_examination(DoctorOptions())
    found = states(examination)
    assert {name for name, state in found.items() if state is State.NOT_APPLICABLE} == DEVICE_ROWS
    assert {name for name, state in found.items() if state is State.PASS} == NETWORK_ROWS | {"board", "golden here"}
    assert not examination.failed
    assert examination.counts == {"pass": 5, "FAIL": 0, "skipped": 0, "not applicable": 9}


class Wrong(Emulator):
    """A board that computes, and is wrong in a way that the test plants."""

    name = "wrong"

    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.how = how

    def evaluate(self, workload: Any, faults: Any, progress: Any = None) -> list[Evaluation]:
        """See `Backend`."""
        results = []
        for fault in faults:
            (result,) = Emulator().evaluate(workload, [fault])
            accumulators, activated = result.accumulators.copy(), result.activated.copy()
            accumulators[-1, 3] += self.how.get("golden" if fault is None else "faulty", 0)
            activated[0] += 0 if fault is None else self.how.get("activated", 0)
            recoveries = (Recovery("reload", 1.5, "layer 1", "hang"),) if self.how.get("recovers") else ()
            end = self.how.get("end", RunEnd.COMPLETE) if fault is not None else RunEnd.COMPLETE
            results.append(Evaluation(accumulators, activated, end, recoveries))
        return results

    def device(self) -> dict[str, Any] | None:
        """See `Backend`."""
        return self.how.get("device")


def with_board(monkeypatch: pytest.MonkeyPatch, board: Any, **options: Any) -> Examination:
    """Return the examination of a board of the test's own."""
    monkeypatch.setattr(examine_module, "open_backend", lambda _: board)
    return open_examination(DoctorOptions(**options))


@pytest.mark.parametrize(
    ("how", "row", "text"),
    [
        ({"golden": 1}, "golden network", "1 of 2 images differ from the emulator (complete)"),
        ({"faulty": 1}, "injection", "; expected "),
        ({"activated": 1}, "injection", "; expected "),
        ({"end": RunEnd.HANG}, "injection", "(hang)"),
        ({"recovers": True}, "golden network", "right, but only after reload after hang (layer 1)"),
    ],
)
def test_wrong_network_on_a_board_is_found(
    monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], row: str, text: str
) -> None:
    """In the row that it belongs to, with a hint; and the examination fails."""
    examination = with_board(monkeypatch, Wrong(**how))
    assert states(examination)[row] is State.FAIL
    finding = next(each for each in examination.findings if each.name == row)
    assert text in finding.text
    assert finding.hint
    assert examination.failed


def test_injection_is_skipped_where_there_is_nothing_to_inject_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardware without fault sites is no failure."""
    examination = with_board(monkeypatch, Wrong(device={"hardware": {"sites": []}}))
    assert states(examination)["injection"] is State.SKIPPED
    assert not examination.failed


def test_injection_is_at_a_site_that_the_device_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one of those."""
    examination = with_board(monkeypatch, Wrong(device={"hardware": {"sites": ["psum", "product"]}}))
    assert states(examination)["injection"] is State.PASS
    assert next(each.text for each in examination.findings if each.name == "injection").startswith("product:")


class Remote(Wrong):
    """A board whose device is seen by somebody else."""

    def examine(self, config: ArrayConfig) -> Iterator[Finding]:
        """See `Backend`."""
        yield from self.how.get("findings", ())
        if "error" in self.how:
            raise self.how["error"]


def test_device_that_cannot_be_opened_has_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest would only say the same again."""

    class Closed(Wrong):
        def examine(self, config: ArrayConfig) -> Iterator[Finding]:
            raise BackendError("pynq finds no device; run as root")
            yield

    # Not an Emulator for the examination, which has no device.
    monkeypatch.setattr(examine_module, "Emulator", type("Nobody", (), {}))
    found = states(with_board(monkeypatch, Closed()))
    assert found.pop("board") is State.PASS
    assert found.pop("identity") is State.FAIL
    assert set(found.values()) == {State.SKIPPED}
    assert set(found) == DEVICE_ROWS - {"identity"} | NETWORK_ROWS


def test_failure_on_the_device_does_not_end_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are those of the device; the network still runs."""
    monkeypatch.setattr(examine_module, "Emulator", type("Nobody", (), {}))
    rows = [Finding.passed("identity", "it"), Finding.failed("watchdog", "does not fire")]
    found = states(with_board(monkeypatch, Remote(findings=rows)))
    assert found["watchdog"] is State.FAIL
    assert {found[name] for name in NETWORK_ROWS} == {State.PASS}


def test_board_with_nobody_who_looks_at_its_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not looked at is not the same as well."""
    monkeypatch.setattr(examine_module, "Emulator", type("Nobody", (), {}))
    found = states(with_board(monkeypatch, Remote()))
    assert {name for name, state in found.items() if state is State.SKIPPED} == DEVICE_ROWS


def test_board_that_cannot_be_opened_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the board has said, and everything else skipped."""

    def refuse(board: object) -> None:
        raise BackendError("no board here; plug it in")

    monkeypatch.setattr(examine_module, "open_backend", refuse)
    examination = open_examination(DoctorOptions(board="pynq"))
    found = states(examination)
    assert found.pop("board") is State.FAIL
    assert examination.findings[0].text == "no board here; plug it in"
    assert set(found.values()) == {State.SKIPPED}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"board": "fpga"}, "unknown board 'fpga'"),
        ({"config": "35P"}, "unknown configuration '35P'"),
        ({"physical": "8"}, "8"),
        ({"images": MOST_PICTURES + 1}, "images must be between 1 and 40, not 41"),
    ],
)
def test_bad_options_are_refused_before_anything_is_looked_at(options: dict[str, Any], message: str) -> None:
    """They are no findings about a board."""
    with pytest.raises(AxftError, match=message):
        open_examination(DoctorOptions(**options))


# The network's images and results


def test_pictures_are_ten_digits_at_four_places() -> None:
    """Whole, inside the frame, and all different; a longer list begins with a shorter one."""
    images = pictures(MOST_PICTURES)
    assert images.shape == (40, 1, 28, 28)
    assert images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 40
    assert (images[:, 0, [0, -1], :] == 0).all()
    assert (images[:, 0, :, [0, -1]] == 0).all()
    assert (images.max(axis=(1, 2, 3)) == 255).all()
    np.testing.assert_array_equal(pictures(3), images[:3])
    # The 8 has all segments; the others are parts of it.
    assert (images[8, 0] >= images[:10, 0]).all()
    with pytest.raises(ConfigError, match="images must be between 1 and 40, not 0"):
        pictures(0)


def test_shipped_network_reads_most_pictures() -> None:
    """They look enough like digits for faults to have something to spoil."""
    workload = trial_workload(find_preset("8P").config, 40)
    classes = Emulator().evaluate(workload, [None])[0].accumulators.argmax(axis=-1)
    assert int((classes == np.arange(40) % 10).sum()) >= 30


def test_known_results_are_the_emulators() -> None:
    """The file in the package is what its maker makes of it."""
    assert _KNOWN.read_text(encoding="utf-8") == known_text()
    for preset in PRESETS.values():
        assert len(known_digests(preset.config)) == KNOWN_IMAGES


def test_known_results_are_of_presets_alone() -> None:
    """Another array has none, and no row of its own then."""
    assert known_digests(find_preset("34P").config.resized(8, 8)) == []


def test_machine_that_computes_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own emulator is what the board is compared with, so that it must be right."""

    class Off(Emulator):
        def evaluate(self, workload: Any, faults: Any, progress: Any = None) -> list[Evaluation]:
            results = super().evaluate(workload, faults, progress)
            results[0].accumulators[1, 0] += 1
            return results

    monkeypatch.setattr("axft_host.doctor.trial.Emulator", Off)
    examination = open_examination(DoctorOptions(config="8P"))
    assert states(examination)["golden here"] is State.FAIL
    text = next(each.text for each in examination.findings if each.name == "golden here")
    assert text.startswith("image 1: this machine's emulator gives ")


def test_digests_are_of_each_row() -> None:
    """Little endian, whatever the machine."""
    rows = np.array([[1, 2], [1, 2], [3, 4]])
    first, second, third = row_digests(rows)
    assert first == second != third
    # printf '\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0' | sha256sum
    assert first == "0c730b69905c5ef7"


def test_fault_list_is_the_same_everywhere() -> None:
    """Drawn by the specification, from the sites that there are."""
    config = find_preset("34P").config
    faults = trial_faults(config, 20, (Site.WEIGHT,))
    assert str(faults[0]) == "weight:r23:c11:b7:sa1"
    assert len(set(map(str, faults))) == 20
    assert {fault.sites[0].site for fault in trial_faults(config, 5, (Site.PSUM, Site.WEIGHT))} == {Site.PSUM}
