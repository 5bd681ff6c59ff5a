"""What every backend must do: meet the golden vectors, and the reference on random cases."""

from __future__ import annotations

import numpy as np
import pytest

from axft_host.backends.base import Backend
from axft_host.backends.registry import BOARDS, open_backend
from axft_spec.config import ArrayConfig
from axft_spec.errors import FaultError
from axft_spec.faults import parse_fault
from support.golden import Vector, vectors
from support.random_cases import run_case

#: Cases of the random comparison that run each time; `python -m support.random_cases` runs more.
CASES = 400


@pytest.fixture(params=BOARDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each backend that can be opened here."""
    return open_backend(request.param)


@pytest.mark.parametrize("vector", vectors(), ids=str)
def test_gemm_meets_golden_vector(backend: Backend, vector: Vector) -> None:
    """For every image of a batch alike."""
    batch = np.stack([vector.activations] * 2)
    result = backend.gemm(vector.config, batch, vector.weights, vector.fault, layer=vector.layer, gemm=vector.gemm)
    assert result.psums.tolist() == [vector.psums.tolist()] * 2
    assert result.activated.tolist() == [vector.activated] * 2


def test_random_cases_equal_reference(backend: Backend) -> None:
    """Arrays, widths, parts, sites, kinds, windows, sets of bits, lowerings, physical arrays."""
    cases = [run_case(backend, 2026, number) for number in range(CASES)]
    # The comparison means something only if faults landed, and some of them showed.
    assert sum(case.activated for case in cases) > CASES // 3
    assert sum(not case.masked for case in cases) > CASES // 4
    assert {case.kind for case in cases} == {"gemm", "im2col", "toeplitz"}


def test_gemm_refuses_fault_outside_the_array(backend: Backend) -> None:
    """A PE that is not there is an error before anything runs."""
    operands = np.zeros((1, 2, 2), dtype=np.int64), np.zeros((2, 2), dtype=np.int64)
    with pytest.raises(FaultError, match=r"row must be between 0 and 1 .* not row 2"):
        backend.gemm(ArrayConfig(rows=2, cols=2), *operands, parse_fault("weight:r2:c0:b0:sa1"))
