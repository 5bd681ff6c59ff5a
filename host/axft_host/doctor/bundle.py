"""The board report: one zip file with all that somebody needs who has not got the board."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from axft_host.backends.link import LinkBackend
from axft_host.backends.pynq import PynqBackend
from axft_host.device.examination.finding import Finding, State
from axft_host.doctor.environment import image_facts, processor_facts, sensor_readings, versions
from axft_host.doctor.examine import Examination
from axft_host.doctor.privacy import Scrubber
from axft_host.doctor.trial import Pair, known_digests, trial_faults
from axft_spec.errors import AxftError
from axft_spec.manifest import MANIFEST_NAME

__all__ = ["CONTENTS", "FAULTS", "IMAGES", "board_report", "examination_json", "report_name", "write_bundle"]

#: Pictures of the golden runs, and faults of the list, unless the user wants others.
IMAGES, FAULTS = 10, 20

#: What is in the bundle: file, and one line that says what it holds.
CONTENTS: Mapping[str, str] = {
    "README.txt": "what this is, what it holds, and how to send it",
    "doctor.txt": "what `axft-hw doctor` has found: one line for each check",
    "doctor.json": "the same, with everything that was measured (clock, words per second, inferences per second)",
    "versions.json": "versions of axft-hw, Python, its packages, pynq, kernel and system image; processor and memory",
    "sensors.json": "temperatures and voltages before and after, or why there are none",
    "clock.json": "the clock of the fabric, as it was set, read back and measured",
    "bitstream.json": "size and SHA-256 of the bitstream's files, and its manifest",
    "golden.json": "the shipped network on pictures that the package draws: final accumulators, expected ones beside",
    "faults.json": "injections from a list that is the same everywhere: outcomes, expected ones beside",
}

_PRIVATE = (
    "Names of the host, of users, directories and network addresses are taken out. There are no images, networks or "
    "results of yours in it, no list of files or processes, and no serial numbers."
)


def report_name(examination: Examination) -> str:
    """Return a file name for a bundle: board, configuration, and when."""
    when = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return f"board-report-{examination.options.board.partition(':')[0]}-{examination.config_name}-{when}.zip"


def board_report(
    examination: Examination, *, faults: int = FAULTS, root: Path = Path("/")
) -> Iterator[str | dict[str, Any]]:
    """Look at a board, run the trial, and yield what is being done; at last the parts, by name.

    Parameters
    ----------
    examination : Examination
        One that has not run.
    faults : int
        How many injections.
    root : Path
        Of the file system that sensors and versions are read from.

    Yields
    ------
    str
        A line of progress.
    dict
        The last one: JSON values by the names in `CONTENTS`, but for the texts.
    """
    sensors: dict[str, Any] = {"before": sensor_readings(root)}
    for finding in examination.run():
        yield f"{finding.state.value:<14} {finding.name}"
    golden, injections = None, None
    if examination.trial is not None:
        yield "golden runs"
        golden = _golden(examination)
        yield f"{faults} injections"
        injections = _injections(examination, faults)
    missing = {"why": "the board could not be opened"}
    sensors["after"] = sensor_readings(root)
    facts: dict[str, Any] = {"versions": versions(), "image": image_facts(root), "processor": processor_facts(root)}
    if isinstance(examination.backend, LinkBackend):
        facts["at the board"] = _at_the_board(examination.backend)
    yield {
        "doctor.json": examination_json(examination),
        "versions.json": facts,
        "sensors.json": sensors,
        "clock.json": _clock(examination.findings),
        "bitstream.json": _bitstream(examination),
        "golden.json": golden or missing,
        "faults.json": injections or missing,
    }


def _at_the_board(backend: LinkBackend) -> Any:
    """Return versions and sensors of the machine at the other end of a link, or why there are none."""
    try:
        return backend.ask("surroundings")
    except AxftError as error:
        return {"why": _first_line(error)}


def examination_json(examination: Examination) -> dict[str, Any]:
    """Return everything that was found, and on what, as plain JSON values."""
    board, backend = examination.board, examination.backend
    device = None if backend is None else backend.device()
    return {
        "board": board.name,
        "config": examination.config_name,
        "physical": None if board.physical is None else "{}x{}".format(*board.physical),
        "passed": not examination.failed,
        "counts": examination.counts,
        "findings": [finding.to_json() for finding in examination.findings],
        "device": device,
    }


def _golden(examination: Examination) -> dict[str, Any]:
    trial = examination.trial
    assert trial is not None
    workload = trial.workload
    facts: dict[str, Any] = {
        "network": workload.network.name,
        "network_digest": workload.network.digest,
        "lowering": workload.lowering,
        "array": f"{workload.config.rows}x{workload.config.cols}",
        "pictures": len(workload.images),
        "pictures_sha256": hashlib.sha256(workload.images.tobytes()).hexdigest(),
        "known_digests": known_digests(workload.config),
    }
    try:
        pair = trial.run(None)
    except AxftError as error:
        return {**facts, "error": _first_line(error)}
    return {**facts, **trial.shown(pair), "recoveries": list(trial.recoveries)}


def _injections(examination: Examination, count: int) -> dict[str, Any]:
    trial = examination.trial
    assert trial is not None
    sites = trial.sites()
    if not sites:
        return {"why": "this hardware has no fault sites"}
    runs: list[dict[str, Any]] = []
    pairs: list[Pair] = []
    for fault in trial_faults(trial.workload.config, count, sites):
        try:
            pairs.append(trial.run(fault))
        except AxftError as error:
            runs.append({"fault": str(fault), "equal": False, "error": _first_line(error)})
            continue
        shown = trial.shown(pairs[-1])
        if shown["equal"]:
            # Digests say it all.
            for side in ("board", "expected"):
                del shown[side]["accumulators"]
        runs.append(shown)
    return {
        "site": sites[0].value,
        "faults": len(runs),
        "equal": sum(run["equal"] for run in runs),
        "recoveries": list(trial.recoveries),
        "runs": runs,
    }


def _clock(findings: Sequence[Finding]) -> dict[str, Any]:
    found = next((finding for finding in findings if finding.name == "clock"), None)
    if found is None:
        return {"why": "not looked at"}
    return {"state": found.state.value, "text": found.text, **found.figures}


def _bitstream(examination: Examination) -> dict[str, Any]:
    """Return digests of the files of the bitstream in use, and its manifest; paths are left out."""
    backend, path = examination.backend, examination.board.bitstream
    device = None if backend is None else backend.device()
    if isinstance(backend, PynqBackend):
        # Found by itself, as for a campaign.
        with contextlib.suppress(AxftError):
            path = backend.files(examination.config).path
    if path is None or not path.is_file():
        return {"why": "no bitstream was loaded from a file of this machine", "device": device}
    files = []
    for each in sorted({path, path.with_suffix(".hwh"), path.parent / MANIFEST_NAME}):
        if each.is_file():
            content = each.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            files.append({"name": each.name, "size_bytes": len(content), "sha256": digest})
    manifest = None
    if (path.parent / MANIFEST_NAME).is_file():
        try:
            manifest = json.loads((path.parent / MANIFEST_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            manifest = {"error": _first_line(error)}
    return {"files": files, "manifest": manifest, "device": device}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def write_bundle(path: Path, parts: Mapping[str, Any], scrubber: Scrubber | None = None) -> None:
    """Write the parts, and the texts that go with them, into a new zip file.

    Parameters
    ----------
    path : Path
    parts : mapping of str to JSON value
        The last that `board_report` yields.
    scrubber : Scrubber or None
        What takes names out; None for this machine's and this user's.

    Raises
    ------
    FileExistsError
        If there is such a file.
    """
    scrubber = scrubber or Scrubber()
    texts = {
        name: json.dumps(scrubber.value(value), indent=1, ensure_ascii=True) + "\n" for name, value in parts.items()
    }
    texts["doctor.txt"] = scrubber.text(_doctor_text(parts["doctor.json"]))
    texts["README.txt"] = scrubber.text(_readme(parts))
    # Whole in memory first: a disk that is full leaves no half of an archive that looks like one.
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in CONTENTS:
            archive.writestr(name, texts[name])
    with path.open("xb") as file:
        file.write(content.getvalue())


def _doctor_text(document: Mapping[str, Any]) -> str:
    lines = [f"board {document['board']}, configuration {document['config']}", ""]
    for value in document["findings"]:
        finding = Finding.from_json(value)
        lines.append(f"{finding.state.value:<15}{finding.name:<25}{finding.seconds:7.1f} s  {finding.text}")
        if finding.hint:
            lines.append(f"{'':<15}{'':<25}{'':>9}  -> {finding.hint}")
    return "\n".join(lines) + "\n"


def _readme(parts: Mapping[str, Any]) -> str:
    """Return the text that explains the bundle."""
    document, faults = parts["doctor.json"], parts["faults.json"]
    failed = [value["name"] for value in document["findings"] if value["state"] == State.FAIL.value]
    lines = [
        "Report about a board with an axft-hw accelerator",
        "",
        f"board {document['board']}, configuration {document['config']}",
        f"checks that failed: {', '.join(failed) or 'none'}",
    ]
    if "equal" in faults:
        lines.append(f"{faults['equal']} of {faults['faults']} injections gave what the emulator gives")
    lines += ["", _PRIVATE, "Look through it before you send it: all of it is plain text.", ""]
    lines += [f"{name:<16} {text}" for name, text in CONTENTS.items()]
    lines += [
        "",
        "Send it with an issue of the project, and say which board it is, how it is powered and cooled, and what you",
        "did before.",
    ]
    return "\n".join(lines) + "\n"
