"""Bad input: what was given and what is allowed in the last line, exit code 2, nothing written or overwritten."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from axft_host.nn.datasets import Dataset, export_npz
from axft_spec.config import ArrayConfig
from axft_spec.faultlist import FaultList, draw_fault_list, write_fault_list
from axft_spec.faults import FaultSpace, parse_fault
from support.command_line import invoke
from support.small_campaign import write_small

HAS_ONNX = importlib.util.find_spec("onnx") is not None

MODEL, DATA = "--model small.npz", "--data small-data.npz"
SMALL = f"--config 8P --array 4x3 {MODEL} {DATA}"
INJECT = f"inject {SMALL} --workers 1"
PRESETS = "Baseline, 8P, 2PT, 2QH, 2R5, 34P, 2TE"

#: Command line, what the last line must hold.
CASES = [
    # the command line itself
    ("injekt", "unknown command 'injekt' (did you mean inject?); allowed: configs, multipliers"),
    ("inject --configs 8P", "unknown option '--configs' (did you mean --config", "allowed:"),
    ("--jsn configs", "unknown option '--jsn'", "allowed: --debug, --version, --help"),
    ("data fech mnist", "unknown command 'fech' (did you mean fetch?); allowed: export, fetch"),
    ("diff onlyone", "'B' is missing", "allowed: axft-hw diff [OPTIONS] A B"),
    ("configs extra", "extra argument (extra)", "allowed: axft-hw configs [OPTIONS]"),
    ("faults --config 8P", "'--out' is missing: The new fault list", "allowed: axft-hw faults"),
    ("inject --config", "'--config' requires an argument", "allowed: axft-hw inject"),
    (f"{INJECT} --images seven", "'--images': it must be a whole number, not 'seven'"),
    (f"{INJECT} --margin wide", "'--margin': it must be a number, not 'wide'"),
    (f"infer {SMALL} --mean 0.1,x", "'--mean': it must be a number, or one for each channel", "not '0.1,x'"),
    # configuration, board, array
    (f"infer {MODEL} {DATA} --config 9P", "unknown configuration '9P'", f"allowed: {PRESETS}"),
    ("inject", f"no configuration given; allowed: {PRESETS}"),
    ("compile small.npz --out c.npz", f"no configuration given; allowed: {PRESETS}"),
    ("faults --config 34Q --out f.jsonl", "unknown configuration '34Q' (did you mean 34P", f"allowed: {PRESETS}"),
    (f"{INJECT} --board zynq", "unknown board 'zynq' (did you mean pynq?); allowed: emu, rtl, pynq, link:URL"),
    (f"{INJECT} --board pynq", "board 'pynq' needs the Python package pynq", "use --board emu or rtl"),
    (f"infer {SMALL} --board pynq", "board 'pynq' needs the Python package pynq", "use --board emu or rtl"),
    (f"{INJECT} --bitstream x.bit", "board 'emu' loads no bitstream; allowed: --bitstream with --board pynq"),
    (f"infer {SMALL} --board link:socket://127.0.0.1:1", "link socket://127.0.0.1:1 cannot be opened", "axft-hw serve"),
    (f"{INJECT} --array 0x3", "rows of the array must be between 1 and 64, not 0"),
    (f"{INJECT} --array 4x65", "columns of the array must be between 1 and 64, not 65"),
    (f"{INJECT} --array 28", "array must be ROWSxCOLS such as 28x28, each side between 1 and 64, not '28'"),
    (f"{INJECT} --physical 0x0", "rows of the array must be between 1 and 64, not 0"),
    (f"{INJECT} --operand-a bias", "unknown operand A 'bias'; allowed: weight, activation"),
    # numbers
    (f"{INJECT} --images 0", "images must be at least 1, not 0"),
    (f"{INJECT} --images -3", "images must be at least 1, not -3"),
    (f"infer {SMALL} --board rtl --physical 4", "array must be ROWSxCOLS such as 28x28", "'4'"),
    (f"infer {SMALL} --images 13", "images must be between 1 and 12, not 13"),
    (f"{INJECT} --faults 0", "faults must be at least 1, not 0"),
    (f"{INJECT} --faults -1", "faults must be at least 1, not -1"),
    (f"{INJECT} --faults 193", "number of faults must be between 1 and 192 (the whole fault space), not 193"),
    (f"{INJECT} --faults 5 --margin 0.1", "either --faults or --margin must be given, not both: --faults 5"),
    (f"{INJECT} --margin 5", "margin must be a fraction above 0 and below 0.5, not 5; write 0.05 for 5%"),
    (f"{INJECT} --confidence 95", "confidence must be a fraction above 0.5 and below 1, not 95; write 0.95 for 95%"),
    (f"{INJECT} --seed -1", "seed must be at least 0, not -1"),
    (f"{INJECT} --workers 0", "workers must be at least 1, not 0"),
    ("multipliers 2PT --width 0", "width must be between 2 and 13, not 0"),
    ("data export small-data.npz --images 0 --out x.npz", "images must be between 1 and 12, not 0"),
    (f"{INJECT} --bits 0", "bits must be at least 1, not 0"),
    (f"{INJECT} --bits 9", "bits of a fault must be at most 8, those of site weight, not 9"),
    (f"{INJECT} --pattern word", "a pattern needs several bits per fault, not one: --pattern word"),
    (f"{INJECT} --cycles 3", "a number of cycles is of transient faults alone: --cycles 3"),
    (f"{INJECT} --transient --cycles 9999", "cycles of a fault must be at most those of the longest tile, not 9999"),
    # choices
    (f"{INJECT} --bits 2 --pattern row", "unknown pattern of bits 'row'; allowed: adjacent, word, pe"),
    (f"{INJECT} --site weihgt", "unknown fault site 'weihgt' (did you mean weight", "allowed: weight, activation, "),
    (f"{INJECT} --kind bitflip", "unknown fault kind 'bitflip' (did you mean flip?); allowed: stuck, flip, sa0, sa1"),
    (f"{INJECT} --lowering winograd", "unknown lowering 'winograd'; allowed: im2col, toeplitz"),
    (f"{INJECT} --score logits", "unknown score 'logits'; allowed: softmax, raw"),
    (f"{INJECT} --rounding floor", "unknown rounding 'floor'; allowed: multiplier, paper"),
    ("multipliers 2PX", "unknown multiplier '2PX'", "allowed: 2PP, 2PQ,"),
    ("multipliers --table t.npy", "--table needs the NAME of one part; allowed: 2PP, 2PQ,"),
    (f"{INJECT} --explain", "--explain follows one fault", "allowed: with --fault, without --out"),
    ("export done", "export needs a format; allowed: --csv, --parquet, --json"),
    ("export done --parquet", "--parquet needs a file; give --out FILE"),
    ("export done --csv --parquet --out f", "export writes one format at a time; allowed: either --csv or --parquet"),
    ("export done --json --out f.json", "--out needs --csv or --parquet; --json without --out prints to stdout"),
    # faults and fault lists
    (f"{INJECT} --fault weight:r4:c0:b0:sa1", "row must be between 0 and 3", "not row 4, column 0"),
    (f"{INJECT} --fault weight:r0:c0:b8:sa1", "bit of site weight must be between 0 and 7", "not 8"),
    (f"{INJECT} --fault product:r0:c0:b16:sa1", "bit of site product must be between 0 and 15", "not 16"),
    (
        f"inject --config 34P --array 4x3 {MODEL} {DATA} --fault product:r0:c0:b2:sa1",
        "bit of site product must be between 6 and 15",
        "not 2",
    ),
    (f"{INJECT} --fault wire:r0:c0:b0:sa1", "unknown fault site 'wire'", "allowed: weight, activation"),
    (f"{INJECT} --fault weight-r0", "a fault must have the form SITE:rROW:cCOL:bBIT", "not 'weight-r0'"),
    (f"{INJECT} --fault weight:r0:c0:b0:flip@l9:g0:t0:y0+1", "layer must be between 0 and 1, not 9"),
    (f"{INJECT} --fault weight:r0:c0:b0:sa1 --seed 3", "--fault", "must stand alone, not with others: --fault, --seed"),
    (f"{INJECT} --fault-list no.jsonl", "no.jsonl cannot be read: it does not exist; allowed: a fault-list file, as `"),
    (f"{INJECT} --fault-list small.npz", "fault list small.npz cannot be read: it is not text; allowed: a fault-list"),
    (f"{INJECT} --fault-list notes.txt", "fault list notes.txt, line 1: damaged, or not JSON; allowed: a fault-list"),
    (f"{INJECT} --fault-list empty-dir", "fault list empty-dir cannot be read: it is no file; allowed: a fault-list"),
    (f"{INJECT} --fault-list cut.jsonl", "fault list cut.jsonl", "must hold 9 faults, not 5"),
    (f"{INJECT} --fault-list wide.jsonl", "row must be between 0 and 3", "not row 20"),
    (f"{INJECT} --fault-list drawn28.jsonl", "drawn for a 28x28 array", "draw one with `axft-hw faults`"),
    (f"{INJECT} --fault-list split.jsonl --physical 2x2", "use a physical array as large as the logical one"),
    # models
    (f"infer --config 8P --model lenet6 {DATA}", "unknown model 'lenet6' (did you mean lenet5?); allowed: lenet5"),
    (f"infer --config 8P --model no.onnx {DATA}", "no.onnx does not exist"),
    (f"infer --config 8P --model cut-model.npz {DATA}", "cut-model.npz is not a network file, or is damaged"),
    (f"infer --config 8P --model flipped.npz {DATA}", "flipped.npz", "damaged"),
    (f"infer --config 8P --model text.onnx {DATA}", "text.onnx is not an ONNX file, or is damaged"),
    (f"infer --config 8P --model notes.txt {DATA}", "a model file must end in .onnx or .npz", "'notes.txt'"),
    (f"infer --config 8P --model odd.onnx {DATA}", "odd.onnx", "wobble", "Sin", "Conv"),
    ("compile odd.onnx --config 8P --out c.npz", "odd.onnx", "wobble", "Sin", "Conv"),
    (f"infer --config 8P --model small-34P.npz {DATA}", "compiled for multiplier 34P, not exact"),
    (f"infer {SMALL} --calibration no-such", "unknown data set 'no-such'"),
    ("inject --model nope.npz", "nope.npz does not exist"),
    # data
    (f"infer --config 8P {MODEL} --data seven.npz", "seven.npz: labels must be between 0 and 2, the 3 class", "not 7"),
    (
        f"infer --config 8P {MODEL} --data nowhere",
        "unknown data set 'nowhere'; allowed: mnist-5k, mnist, ",
    ),
    (f"infer --config 8P {MODEL} --data mnist", "mnist is not on this machine", "axft-hw data fetch mnist"),
    (f"infer --config 8P {MODEL} --data wrong-shape.npz", "(1, 6, 6)", "not (1, 5, 6)"),
    (f"infer --config 8P {MODEL} --data floats.npz", "must be uint8", "not float64"),
    (f"infer --config 8P {MODEL} --data cut-data.npz", "cut-data.npz: not a whole .npz file"),
    (
        f"infer --config 8P {MODEL} --data notes.txt",
        "a directory of IDX files or a file that ends in .npz",
        "notes.txt",
    ),
    (f"infer --config 8P {MODEL} --data empty-dir", "there must be a file t10k-images-idx3-ubyte"),
    (f"infer --config 8P {MODEL} --data cut-idx", "t10k-images-idx3-ubyte"),
    ("data fetch cifar", "unknown data set 'cifar'; allowed: mnist, fashion-mnist"),
    # results
    ("diff done nowhere", "no result store at nowhere"),
    ("diff done notes.txt", "notes.txt is not a result store"),
    ("diff done other", "only with the same faults", "run both with the same --fault-list"),
    ("export notes.txt --csv", "notes.txt is not a result store"),
    # outputs that exist
    (f"{INJECT} --faults 5 --out done", "output done exists and is not overwritten; name one that does not exist"),
    (f"{INJECT} --faults 5 --out notes.txt", "output notes.txt exists and is not overwritten"),
    ("faults --config 8P --out notes.txt", "output notes.txt exists and is not overwritten"),
    ("compile small.npz --config 8P --out notes.txt", "output notes.txt exists and is not overwritten"),
    ("multipliers 2PP --width 4 --table notes.txt", "output notes.txt exists and is not overwritten"),
    ("data export small-data.npz --out small-data.npz", "small-data.npz exists and is not overwritten"),
    ("export done --csv --out notes.txt", "output notes.txt exists and is not overwritten"),
    # outputs in directories that are missing
    ("faults --config 8P --out no/f.jsonl", "output no/f.jsonl: the directory no does not exist"),
    ("compile small.npz --config 8P --out no/c.npz", "output no/c.npz: the directory no does not exist"),
    ("multipliers 2PP --width 4 --table no/t.npy", "output no/t.npy: the directory no does not exist"),
    ("data export small-data.npz --out no/d.npz", "output no/d.npz: the directory no does not exist"),
    ("export done --csv --out no/f.csv", "output no/f.csv: the directory no does not exist"),
]


def write_odd_onnx(path: Path) -> None:
    """Write an ONNX model with an operator that no array computes."""
    import onnx
    from onnx import helper

    value = {name: helper.make_tensor_value_info(name, 1, ["n", 1, 6, 6]) for name in ("x", "y")}
    graph = helper.make_graph([helper.make_node("Sin", ["x"], ["y"], name="wobble")], "odd", [value["x"]], [value["y"]])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with everything that the cases name."""
    place = tmp_path_factory.mktemp("prepared")
    write_small(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for line in (
            "compile small.npz --config 34P --out small-34P.npz",
            f"{INJECT} --faults 5 --out done",
            f"{INJECT} --faults 6 --out other",
        ):
            assert invoke(*line.split()).exit_code == 0
    if HAS_ONNX:
        write_odd_onnx(place / "odd.onnx")
    for name in ("notes.txt", "text.onnx"):
        (place / name).write_text("just a note\n")

    model, data = (place / "small.npz").read_bytes(), (place / "small-data.npz").read_bytes()
    (place / "cut-model.npz").write_bytes(model[: len(model) // 2])
    flipped = bytearray(model)
    flipped[len(model) // 3] ^= 0x10
    (place / "flipped.npz").write_bytes(flipped)
    (place / "cut-data.npz").write_bytes(data[: len(data) // 2])
    labels = np.zeros(2, dtype=np.int64)
    five_rows = Dataset(name="x", images=np.zeros((2, 1, 5, 6), dtype=np.uint8), labels=labels, source="made here")
    export_npz(five_rows, place / "wrong-shape.npz")
    np.savez(place / "seven.npz", images=np.zeros((2, 6, 6), dtype=np.uint8), labels=np.array([0, 7]))
    np.savez(place / "floats.npz", images=np.zeros((2, 6, 6)), labels=labels)
    (place / "empty-dir").mkdir()
    (place / "cut-idx").mkdir()
    (place / "cut-idx" / "t10k-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 9, 0, 0]))
    (place / "cut-idx" / "t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 0]))

    space = FaultSpace(config=ArrayConfig(rows=4, cols=3))
    write_fault_list(place / "nine.jsonl", draw_fault_list(space, 9, 0))
    lines = (place / "nine.jsonl").read_text().splitlines(keepends=True)
    (place / "cut.jsonl").write_text("".join(lines[:6]))
    write_fault_list(place / "drawn28.jsonl", draw_fault_list(FaultSpace(config=ArrayConfig()), 9, 0))
    for name, fault in (
        ("wide.jsonl", "weight:r20:c0:b0:sa1"),
        ("split.jsonl", "weight:r0:c0:b0+weight:r3:c1:b0:flip@l0:g0:t0:y4+2"),
    ):
        write_fault_list(place / name, FaultList((parse_fault(fault),)))
    return place


def digests(place: Path) -> dict[str, str]:
    """Return the SHA-256 of every file."""
    files = (path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("line", "fragments"), [(line, rest) for line, *rest in CASES], ids=[case[0] for case in CASES]
)
def test_bad_input_is_told_and_changes_nothing(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, line: str, fragments: list[str]
) -> None:
    """Every file stays as it was, and none is left behind."""
    if ".onnx" in line:
        pytest.importorskip("onnx", reason="reads an ONNX file")
    before = digests(prepared)
    monkeypatch.chdir(prepared)
    result = invoke(*line.split())
    assert result.exit_code == 2, result.output
    last = result.stderr.splitlines()[-1]
    assert [fragment for fragment in fragments if fragment not in last] == [], last
    assert result.stdout == ""
    assert digests(prepared) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file system in which nothing can be made")
@pytest.mark.parametrize("line", ["build --flow estimate", "generate"])
def test_output_that_cannot_be_made_is_refused_before_any_work(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The design is not even written down."""
    flows, generate = pytest.importorskip("axft_hw.build.flows"), pytest.importorskip("axft_hw.build.generate")
    monkeypatch.setattr(flows, "zynq_rtlil", None)
    monkeypatch.setattr(generate, "Top", None)
    result = invoke(*line.split(), "--config", "34P", "--physical", "2x2", "--out", "/proc/x")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: output /proc/x cannot be made in /proc: ")
    assert len(result.stderr.splitlines()) == 1
