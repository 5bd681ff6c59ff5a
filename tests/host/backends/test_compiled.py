"""The compiled engine: random networks against the reference, the shipped one against the plain path."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the compiled engine needs numba")

from axft_host.backends import compiled, golden
from axft_host.backends.base import Workload
from axft_host.backends.compiled import CompiledEngine
from axft_host.backends.emulator import Emulator, choose_engine
from axft_host.backends.faulty import fault_tables
from axft_host.nn.datasets import load_dataset
from axft_host.nn.library import load_float_network
from axft_host.nn.quantise import quantise
from axft_spec.config import PRESETS, find_preset
from axft_spec.errors import ConfigError
from axft_spec.faults import FaultKind, FaultSpace, Site, draw_faults, parse_fault
from axft_spec.lowering import LOWERINGS
from axft_spec.multipliers import Multiplier
from support.engine_cases import run_cases
from support.random_cases import network_case


def shipped_workload(config: str, lowering: str, images: int) -> Workload:
    """Return the shipped LeNet-5 on the first images of the embedded set."""
    preset = find_preset(config)
    network = quantise(load_float_network("lenet5"), preset.config)
    images_of = load_dataset(None).take(images).images
    return Workload(network=network, config=preset.config, lowering=lowering, images=images_of)


def test_random_networks_equal_reference() -> None:
    """Strides, dilations, groups, paddings, poolings, wraps, all parts and operand orders, any armed set."""
    backend = Emulator(engine="compiled")
    cases = [network_case(np.random.default_rng([3, number]), backend) for number in range(150)]
    assert sum(not case.masked for case in cases) > 20


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("config", PRESETS)
def test_shipped_network_equals_plain_path(config: str, lowering: str) -> None:
    """Random faults of all sites, kinds and windows: final accumulators and activations of every image."""
    counts = run_cases(np.random.default_rng(5), config, lowering, 40)
    assert counts["different"] == 0
    assert counts["changed"] > 0


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize(("omit_a", "omit_b", "vbreak"), [(0, 0, 7), (3, 0, 7), (0, 2, 7), (2, 0, 7)])
def test_multipliers_that_no_preset_has_equal_plain_path(omit_a: int, omit_b: int, vbreak: int, lowering: str) -> None:
    """A vertical break that takes something beside more than four bits of a weight, as none of the library does."""
    part = Multiplier(name="own", omit_a=omit_a, omit_b=omit_b, vbreak=vbreak)
    array = replace(find_preset("8P").config, multiplier=part)
    network = quantise(load_float_network("lenet5"), array)
    images = load_dataset(None).take(2).images
    workload = Workload(network=network, config=array, lowering=lowering, images=images)
    space = FaultSpace(config=array, sites=(Site.WEIGHT, Site.PRODUCT), kinds=tuple(FaultKind))
    faults = draw_faults(space, 12, 4)
    fast = Emulator(engine="compiled").evaluate(workload, faults)
    changed = 0
    for fault, one, other in zip(faults, fast, Emulator(engine="numpy").evaluate(workload, faults), strict=True):
        assert one.accumulators.tolist() == other.accumulators.tolist(), str(fault)
        changed += not np.array_equal(one.accumulators, fast[0].accumulators)
    assert changed > 3


@pytest.mark.parametrize("config", ["Baseline", "2R5"])
def test_every_bit_of_a_weight_line_equals_plain_path(config: str) -> None:
    """Below and above the vertical break, sign bit included, at PEs that reach many layers and few."""
    workload = shipped_workload(config, "toeplitz", 2)
    faults = [
        parse_fault(f"{site}:r{row}:c{col}:b{bit}:{kind}")
        for site, row, col in (("weight", 0, 3), ("weight", 9, 9), ("weight_operand", 5, 12))
        for bit in range(workload.config.width)
        for kind in ("flip", "sa0", "sa1")
    ]
    fast = Emulator(engine="compiled").evaluate(workload, faults)
    for fault, one, other in zip(faults, fast, Emulator(engine="numpy").evaluate(workload, faults), strict=True):
        assert one.accumulators.tolist() == other.accumulators.tolist(), str(fault)
        assert one.activated.tolist() == other.activated.tolist(), str(fault)


@pytest.mark.parametrize("keep", [0, 1 << 30])
def test_blocks_and_kept_golden_runs_do_not_matter(monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    """7 images at a time, their golden runs kept or made anew, give what numpy gives for 30."""
    for module in (compiled, golden):
        monkeypatch.setattr(module, "BLOCK", 7)
    monkeypatch.setattr(golden, "KEEP_BYTES", keep)
    workload = shipped_workload("8P", "im2col", 30)
    faults = [None, *draw_faults(FaultSpace(config=workload.config), 12, 5), None]
    engine = Emulator(engine="compiled")
    plain = Emulator(engine="numpy").evaluate(workload, faults)
    for _ in range(2):
        for one, other in zip(engine.evaluate(workload, faults), plain, strict=True):
            assert np.array_equal(one.accumulators, other.accumulators)
            assert np.array_equal(one.activated, other.activated)


def test_results_belong_to_the_caller() -> None:
    """What is done to one result does not show in another, nor in the next call."""
    workload = shipped_workload("8P", "im2col", 3)
    engine = Emulator(engine="compiled")
    masked = parse_fault("weight:r27:c27:b0:sa0")
    one, two = engine.evaluate(workload, [None, masked])
    assert np.array_equal(one.accumulators, two.accumulators)
    one.accumulators[:] = 0
    assert two.accumulators.any()
    assert np.array_equal(engine.evaluate(workload, [None])[0].accumulators, two.accumulators)


def test_inject_equals_evaluate() -> None:
    """Each fault on one image gives what it gives among all."""
    workload = shipped_workload("34P", "im2col", 40)
    spaces = [
        FaultSpace(config=workload.config, sites=(site,), kinds=tuple(FaultKind), schedule=schedule)
        for site in Site
        for schedule in (None, workload.schedule)
    ]
    faults = [fault for space in spaces for fault in draw_faults(space, 4, 2)]
    images = np.random.default_rng(1).integers(0, 40, len(faults))
    accumulators, activated = CompiledEngine(workload).inject(fault_tables(faults), images)
    every = Emulator(engine="numpy").evaluate(workload, faults)
    for place, image in enumerate(images):
        assert np.array_equal(accumulators[place], every[place].accumulators[image]), str(faults[place])
        assert activated[place] == every[place].activated[image], str(faults[place])


def test_machine_without_numba_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The results are those of numpy; the log names what is missing, and the backend what ran."""
    monkeypatch.setattr("axft_host.backends.jit.version", lambda name: "0.1.2")
    workload = shipped_workload("8P", "im2col", 2)
    faults = [parse_fault("weight:r0:c0:b6:sa1")]
    with caplog.at_level(logging.WARNING):
        backend = Emulator(engine="compiled")
        (result,) = backend.evaluate(workload, faults)
    wanted = "needs numba from 0.68 to below 0.70 (`pip install '.[fast]'` in the directory of axft-hw's source)"
    assert f"{wanted}, not 0.1.2; running in" in caplog.text
    assert (backend.engine, backend.pairs_at_once) == ("numpy", None)
    (other,) = Emulator(engine="numpy").evaluate(workload, faults)
    assert np.array_equal(result.accumulators, other.accumulators)


def test_golden_run_of_another_process_is_used() -> None:
    """An engine that is told of it makes none, and gives the same; when its owner closes it, it is gone."""
    workload = shipped_workload("8P", "im2col", 40)
    faults = draw_faults(FaultSpace(config=workload.config), 8, 5)
    owner = Emulator(engine="compiled")
    owner.prepare(workload, share=True)
    assert owner.shared is None  # it is not made yet
    expected = owner.evaluate(workload, faults)
    if owner.shared is None:
        pytest.skip("no shared memory on this machine")
    other = CompiledEngine(workload, shared=owner.shared)
    assert all(other.runs.get(block)[1] for block in range(2))
    for one, two in zip(expected, other.evaluate(faults), strict=True):
        assert np.array_equal(one.accumulators, two.accumulators)
    name = owner.shared
    owner.close()
    assert owner.shared is None
    assert not Path(name).exists()
    for one, two in zip(expected, other.evaluate(faults), strict=True):
        assert np.array_equal(one.accumulators, two.accumulators)
    late = CompiledEngine(workload, shared=name)
    assert not late.runs.get(0)[1]
    for one, two in zip(expected, late.evaluate(faults), strict=True):
        assert np.array_equal(one.accumulators, two.accumulators)


def test_numba_that_cannot_be_imported_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one that does not know this numpy: it is installed, in a version that was tried, and raises."""
    monkeypatch.setitem(sys.modules, "numba", None)
    workload, faults = shipped_workload("8P", "im2col", 1), [parse_fault("weight:r0:c0:b6:sa1")]
    with caplog.at_level(logging.WARNING):
        backend = Emulator(engine="compiled")
        backend.evaluate(workload, faults)
    assert "needs numba, which cannot be imported: " in caplog.text
    assert backend.engine == "numpy"


@pytest.mark.parametrize("share", [False, True])
def test_interrupted_golden_run_is_made_again(monkeypatch: pytest.MonkeyPatch, share: bool) -> None:
    """Ctrl-C before or after it was computed leaves a backend that gives the same as a new one."""
    workload = shipped_workload("8P", "im2col", 3)
    faults = [None, parse_fault("weight:r0:c0:b6:sa1")]
    expected = Emulator(engine="compiled").evaluate(workload, faults)
    backend, make = Emulator(engine="compiled"), compiled.make_golden
    backend.prepare(workload, share=share)
    for before in (True, False):

        def interrupted(*arguments: Any, before: bool = before) -> None:
            if not before:
                make(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(compiled, "make_golden", interrupted)
            backend.evaluate(workload, faults)
    for one, two in zip(backend.evaluate(workload, faults), expected, strict=True):
        assert np.array_equal(one.accumulators, two.accumulators)
        assert np.array_equal(one.activated, two.activated)


@pytest.mark.parametrize(
    ("pairs", "numba", "engine"), [(10, True, "numpy"), (10**6, True, "compiled"), (10**6, False, "numpy")]
)
def test_campaigns_that_are_worth_it_use_the_compiled_engine(
    monkeypatch: pytest.MonkeyPatch, pairs: int, numba: bool, engine: str
) -> None:
    """Where there is numba, and enough to do."""
    monkeypatch.delenv("AXFT_ENGINE", raising=False)
    monkeypatch.setattr("axft_host.backends.emulator.available", lambda: numba)
    assert choose_engine(pairs) == engine


def test_environment_says_which_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numpy unless asked for the other; an unknown name is an error."""
    workload, faults = shipped_workload("8P", "im2col", 1), [parse_fault("weight:r0:c0:b6:sa1")]
    for name, used in (("", False), ("numpy", False), ("compiled", True)):
        monkeypatch.setenv("AXFT_ENGINE", name)
        backend = Emulator()
        backend.evaluate(workload, faults)
        assert (backend._engine is not None) is used
    monkeypatch.setenv("AXFT_ENGINE", "fast")
    with pytest.raises(ConfigError, match=r"^unknown engine \$AXFT_ENGINE 'fast'; allowed: numpy, compiled"):
        Emulator()
