"""The complete truth table of a multiplier, as a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from axft_spec.errors import ConfigError, exists_message
from axft_spec.multipliers import Multiplier, truth_table

__all__ = ["write_truth_table"]


def write_truth_table(multiplier: Multiplier, width: int, path: Path) -> str:
    """Write every product of two operands as a new ``.npy`` file.

    Parameters
    ----------
    multiplier : Multiplier
    width : int
        Operand width in bits.
    path : Path
        The file: little-endian int32, shape (2**width, 2**width), operand A from the most negative along axis 0,
        B along axis 1.

    Returns
    -------
    str
        SHA-256 (hex) of the array's bytes, without the head of the file.

    Raises
    ------
    ConfigError
        If the width is out of range, or the file exists (it stays as it is) or cannot be written.
    """
    if path.exists():
        raise ConfigError(exists_message(path))
    table = truth_table(multiplier, width)
    try:
        with path.open("xb") as file:
            np.save(file, table, allow_pickle=False)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    return hashlib.sha256(table.tobytes()).hexdigest()
