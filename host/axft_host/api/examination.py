"""A board looked at from its registers to a network."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from axft_host.api.keywords import by_keywords
from axft_host.doctor.examine import DoctorOptions, open_examination

__all__ = ["doctor"]


@by_keywords
def doctor(
    board: str = "emu",
    *,
    config: str | None = None,
    physical: str | None = None,
    bitstream: str | Path | None = None,
    images: int | None = None,
) -> pd.DataFrame:
    """Look at a board, as ``axft-hw doctor`` does, and return what was found: one row per check.

    Nothing else may use the board meanwhile.

    Parameters
    ----------
    board, physical, bitstream
        As for `open_backend`.
    config : str, optional
        Name of a preset; that of the bitstream by default.
    images : int, optional
        How many pictures the network runs on.

    Returns
    -------
    DataFrame
        Indexed by `name`: `state`, and what the finding says.

    Raises
    ------
    AxftError
        If a name is none. What is wrong with a board is a row.
    """
    examination = open_examination(
        DoctorOptions(
            board=board,
            config=config,
            physical=physical,
            bitstream=None if bitstream is None else Path(bitstream),
            images=images,
        )
    )
    for _ in examination.run():
        pass
    return pd.DataFrame([finding.to_json() for finding in examination.findings]).set_index("name")
