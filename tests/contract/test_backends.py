"""What every backend must do: meet the golden vectors, and the reference on random cases."""

from __future__ import annotations

import numpy as np
import pytest

from axft_host.backends.base import Backend, Workload
from axft_host.backends.emulator import Emulator
from axft_host.backends.registry import BOARDS, Board, open_backend
from axft_host.backends.rtl import open_accelerator
from axft_host.campaign.workload import WorkloadOptions, prepare
from axft_spec.config import ArrayConfig
from axft_spec.errors import FaultError
from axft_spec.faults import Fault, parse_fault
from support import rtl_cases
from support.golden import Vector, vectors
from support.random_cases import run_case

#: Random cases that run each time; `python -m support.random_cases` and `support.rtl_cases` run more.
EMULATOR_CASES = 400
RTL_DEVICES, RTL_CASES = 7, 20


@pytest.fixture(params=BOARDS, scope="module")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each backend that can be opened here."""
    return open_backend(request.param)


# By array, so that a backend that makes its device for one makes each once.
@pytest.mark.parametrize("vector", sorted(vectors(), key=lambda each: str(each.config)), ids=str)
def test_gemm_meets_golden_vector(backend: Backend, vector: Vector) -> None:
    """For every image of a batch alike."""
    batch = np.stack([vector.activations] * 2)
    result = backend.gemm(vector.config, batch, vector.weights, vector.fault, layer=vector.layer, gemm=vector.gemm)
    assert result.psums.tolist() == [vector.psums.tolist()] * 2
    assert result.activated.tolist() == [vector.activated] * 2


@pytest.mark.parametrize("vector", [each for each in vectors() if each.physical], ids=str)
def test_smaller_device_meets_golden_vector(vector: Vector) -> None:
    """Folded onto the physical array that the vector names."""
    device = open_backend(Board(name="rtl", physical=vector.physical))
    result = device.gemm(
        vector.config, vector.activations[None], vector.weights, vector.fault, layer=vector.layer, gemm=vector.gemm
    )
    assert result.psums[0].tolist() == vector.psums.tolist()
    assert result.activated.tolist() == [vector.activated]


def test_random_cases_equal_reference_on_the_emulator() -> None:
    """Arrays, widths, parts, sites, kinds, windows, sets of bits, lowerings, physical arrays."""
    cases = [run_case(Emulator(), 2026, number) for number in range(EMULATOR_CASES)]
    # The comparison means something only if faults landed, and some of them showed.
    assert sum(case.activated for case in cases) > EMULATOR_CASES // 3
    assert sum(not case.masked for case in cases) > EMULATOR_CASES // 4
    assert {case.kind for case in cases} == {"gemm", "im2col", "toeplitz"}


def test_random_cases_equal_reference_on_rtl() -> None:
    """The same, on devices that are not square, smaller or larger than the logical array, with shallow buffers."""
    cases = []
    for number, hardware in rtl_cases.devices(2026, RTL_DEVICES):
        device = open_accelerator(hardware)
        cases += [rtl_cases.run_case(device, np.random.default_rng([2026, number, case])) for case in range(RTL_CASES)]
    assert sum(case.activated for case in cases) > len(cases) // 3
    assert sum(not case.masked for case in cases) > len(cases) // 4
    assert {case.kind for case in cases} == {"flip", "stuck_at_0", "stuck_at_1"}
    assert {site for case in cases for site in case.sites} == {
        "weight", "activation", "weight_operand", "activation_operand", "product", "psum",
    }  # fmt: skip
    assert any(case.transient for case in cases) and any(case.folded for case in cases)


@pytest.mark.parametrize("lowering", ["im2col", "toeplitz"])
def test_network_under_faults_is_the_same_on_every_backend(lowering: str) -> None:
    """The shipped network, folded from 28x28 to 8x8: permanent faults, one window, a set of two bits."""
    workload: Workload = prepare(WorkloadOptions(config="34P", images=1, lowering=lowering)).workload
    faults: list[Fault | None] = [
        None,
        *map(
            parse_fault,
            (
                "weight:r1:c0:b6:flip",
                "psum:r9:c3:b20:sa1",
                "activation:r0:c2:b5:flip@l0:g0:t0:y3+9",
                "product:r2:c1:b9+product:r4:c5:b13:sa1",
            ),
        ),
    ]
    runs = [open_backend(Board(name=name, physical=(8, 8))).evaluate(workload, faults) for name in BOARDS]
    for fault, *results in zip(faults, *runs, strict=True):
        assert all((each.accumulators == results[0].accumulators).all() for each in results), fault
        assert all((each.activated == results[0].activated).all() for each in results), fault
        assert fault is None or results[0].activated.sum() > 0


def test_gemm_refuses_fault_outside_the_array(backend: Backend) -> None:
    """A PE that is not there is an error before anything runs."""
    operands = np.zeros((1, 2, 2), dtype=np.int64), np.zeros((2, 2), dtype=np.int64)
    with pytest.raises(FaultError, match=r"row must be between 0 and 1 .* not row 2"):
        backend.gemm(ArrayConfig(rows=2, cols=2), *operands, parse_fault("weight:r2:c0:b0:sa1"))
