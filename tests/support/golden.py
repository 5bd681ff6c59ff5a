"""Reads the golden vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_spec.config import ArrayConfig
from axft_spec.faults import Fault
from axft_spec.multipliers import find_multiplier

DIRECTORY = Path(__file__).parents[1] / "data" / "golden"


@dataclass(frozen=True)
class Vector:
    """One golden vector."""

    name: str
    config: ArrayConfig
    physical: tuple[int, int] | None
    activations: NDArray[np.int64]
    weights: NDArray[np.int64]
    fault: Fault | None
    layer: int
    gemm: int
    psums: NDArray[np.int64]
    activated: int
    states: list[Any] | None

    def __str__(self) -> str:
        return self.name


def vectors() -> list[Vector]:
    """Return all golden vectors."""
    found = []
    for path in sorted(DIRECTORY.glob("*.json")):
        for number, case in enumerate(json.loads(path.read_text())):
            config = ArrayConfig(
                rows=case["array"][0],
                cols=case["array"][1],
                width=case["width"],
                multiplier=find_multiplier(case["multiplier"]),
                operand_a=case["operand_a"],
            )
            found.append(
                Vector(
                    name=f"{path.stem}-{number}",
                    config=config,
                    physical=tuple(case["physical"]) if case["physical"] else None,
                    activations=np.array(case["activations"], dtype=np.int64),
                    weights=np.array(case["weights"], dtype=np.int64),
                    fault=Fault.from_json(case["fault"]) if case["fault"] else None,
                    layer=case["layer"],
                    gemm=case["gemm"],
                    psums=np.array(case["psums"], dtype=np.int64),
                    activated=case["activated"],
                    states=case["states"],
                )
            )
    return found
