"""What there is to choose from, as plain rows: the configurations, and the multipliers with their errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from axft_spec.config import Preset
from axft_spec.faults import FaultSpace
from axft_spec.multipliers import ErrorFigures, Part

__all__ = ["configuration_rows", "multiplier_rows"]


def configuration_rows(presets: Iterable[Preset]) -> list[dict[str, Any]]:
    """Return one row per configuration, as plain JSON values: those of ``configs --json``."""
    return [
        {
            "name": preset.name,
            "width": preset.config.width,
            "multiplier": preset.config.multiplier.name,
            "rows": preset.config.rows,
            "cols": preset.config.cols,
            "energy_reduction": preset.energy_reduction,
            "fault_space": FaultSpace(config=preset.config).size,
        }
        for preset in presets
    ]


def multiplier_rows(parts: Iterable[tuple[Part, ErrorFigures]], width: int) -> list[dict[str, Any]]:
    """Return one row per part, as plain JSON values: those of ``multipliers --json``.

    Parameters
    ----------
    parts : iterable of (Part, ErrorFigures)
    width : int
        Of the operands that the errors are of, in bits.
    """
    return [
        {
            "name": part.name,
            "width": width,
            "omit_a": part.multiplier.omit_a,
            "omit_b": part.multiplier.omit_b,
            "vbreak": part.multiplier.vbreak,
            "mae": errors.mae,
            "wce": errors.wce,
            "ep": errors.ep,
            "power_mw": part.power_mw,
            "area_um2": part.area_um2,
            "delay_ns": part.delay_ns,
        }
        for part, errors in parts
    ]
