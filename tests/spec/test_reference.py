"""The reference model against the golden vectors."""

from __future__ import annotations

import numpy as np
import pytest

from axft_spec import reference
from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError
from support.golden import Vector, vectors


@pytest.mark.parametrize("vector", vectors(), ids=str)
def test_gemm_meets_golden_vector(vector: Vector) -> None:
    """Partial sums and activations are those of the vector."""
    run = reference.gemm(
        vector.config, vector.activations, vector.weights, vector.fault, layer=vector.layer, gemm_index=vector.gemm
    )
    assert run.psums.tolist() == vector.psums.tolist()
    assert run.activated == vector.activated


@pytest.mark.parametrize("vector", [v for v in vectors() if v.states is not None], ids=str)
def test_run_tile_meets_golden_states(vector: Vector) -> None:
    """Every register in every cycle is that of the vector."""
    run = reference.run_tile(vector.config, vector.activations, vector.weights, vector.fault, trace=True)
    states = [[[list(pe) for pe in row] for row in cycle] for cycle in run.states]
    assert states == vector.states


@pytest.mark.parametrize("vector", [v for v in vectors() if v.physical is not None], ids=str)
def test_gemm_folded_meets_golden_vector_of_logical_array(vector: Vector) -> None:
    """A 5x3 array on a 2x2 one gives what the 5x3 array gives."""
    assert vector.physical is not None
    run = reference.gemm_folded(vector.config, vector.physical, vector.activations, vector.weights, vector.fault)
    assert run.psums.tolist() == vector.psums.tolist()
    assert run.activated == vector.activated


def test_run_tile_rejects_operand_out_of_range() -> None:
    """An operand of more bits than the array has is an error, not a wrapped number."""
    config = ArrayConfig(rows=1, cols=1)
    with pytest.raises(ConfigError, match="weights must be between -128 and 127, not 128 to 128"):
        reference.run_tile(config, np.array([[1]]), np.array([[128]]), None)


def test_run_tile_rejects_tile_larger_than_array() -> None:
    """A tile that does not fit is an error."""
    config = ArrayConfig(rows=1, cols=2)
    with pytest.raises(ConfigError, match="a tile must fit into 1 x 2, not 2 x 1"):
        reference.run_tile(config, np.zeros((2, 1), dtype=np.int64), np.zeros((1, 1), dtype=np.int64), None)
