"""What a result's faults are a sample of: how it is drawn from strata, written into a store, and read again."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Workload
from axft_host.backends.certain import CertainMasking
from axft_host.campaign.designs import Sample, draw_sample, with_main_draw
from axft_host.campaign.options import DEFAULT_FAULTS, FaultOptions, StoppingOptions
from axft_host.campaign.rates import Basis
from axft_host.campaign.records import Provenance
from axft_host.campaign.sequential import HalfWidthRule, LookRule
from axft_host.campaign.statistics import sample_size
from axft_host.campaign.stopping import AllFaults, StoppingRule
from axft_host.campaign.strata import strata_of
from axft_spec.errors import ConfigError, StoreError
from axft_spec.faultlist import FaultList
from axft_spec.faults import FaultSpace

__all__ = ["basis_of", "certain_of_space", "draw_stratified", "rule_of", "sampling_json", "stopping_json"]


#: Key of what `sampling_json` keeps of the space.
_CERTAIN = "certain_of_space"


def certain_of_space(about: Provenance) -> NDArray[np.bool_] | None:
    """Return which faults of its space a stratified sample has left out as certainly masked, shape (space.size,).

    None if there are none, or the store does not say.

    Raises
    ------
    StoreError
        If what the store says is damaged.
    """
    if about.sampling is None or about.space_size is None or _CERTAIN not in about.sampling:
        return None
    try:
        packed = zlib.decompress(base64.b64decode(about.sampling[_CERTAIN], validate=True))
        marks = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=about.space_size, bitorder="little")
    except (TypeError, ValueError, zlib.error) as error:
        raise StoreError(f"what the store says of its sample is damaged: {error}") from None
    return marks.astype(bool)


def draw_stratified(
    options: FaultOptions,
    space: FaultSpace,
    workload: Workload,
    pilot_shares: NDArray[np.float64] | None = None,
) -> tuple[FaultList, Sample]:
    """Draw faults from the strata of a space.

    Faults of a permanent space that are masked with certainty are in no stratum: rates count them exactly.

    Parameters
    ----------
    options : FaultOptions
        With a stratified design.
    space : FaultSpace
    workload : Workload
    pilot_shares : ndarray of float64, shape (pilot faults, classes), or None
        What came of the pilot of Neyman's design; None draws that pilot.

    Returns
    -------
    (FaultList, Sample)
        The list names no space: by itself it is no simple random sample.

    Raises
    ------
    ConfigError
        If strata cannot be made, or there are more of them than draws.
    """
    masking = CertainMasking(workload)
    certain = None if space.schedule is not None else masking.of(list(space))
    strata = strata_of(space, options.strata, certain=certain, used=masking.used)
    total = DEFAULT_FAULTS if options.faults is None else options.faults
    if options.margin is not None:
        total = sample_size(space.size, options.margin, options.confidence)
    total = min(total, sum(stratum.size for stratum in strata))
    pilot = None
    if options.design == "neyman":
        pilot = max(2 * len(strata), math.ceil(total / 10)) if options.pilot is None else options.pilot
    sample = draw_sample(strata, total, options.seed or 0, pilot=pilot)
    if pilot_shares is not None:
        sample = with_main_draw(sample, strata, pilot_shares)
    return FaultList(tuple(space[index] for index in sample.indices)), sample


def sampling_json(
    sample: Sample | None, certain: NDArray[np.bool_], space_certain: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """Return what a store keeps of a drawn list, so that its intervals can be computed from the store alone.

    Parameters
    ----------
    sample : Sample or None
        None for a simple random sample.
    certain : ndarray of bool, shape (listed faults,)
        Which are masked with certainty; kept as hex digits, the first fault in the lowest bit of the first byte.
    space_certain : ndarray of bool, shape (space.size,), or None
        The same for all faults of a permanent space that a stratified sample leaves them out of: so that the rates of
        groups can count them. Kept as base64 of what zlib makes of such bytes.
    """
    if sample is not None:
        value = sample.to_json()
        if space_certain is not None:
            packed = np.packbits(space_certain, bitorder="little").tobytes()
            value[_CERTAIN] = base64.b64encode(zlib.compress(packed, 9)).decode()
        return value
    return {"design": "simple", "certain": np.packbits(certain, bitorder="little").tobytes().hex()}


def basis_of(about: Provenance, certain: NDArray[np.bool_] | None = None) -> Basis | None:
    """Return what a result's list is a sample of; None if it stands for itself, or that is not known.

    Parameters
    ----------
    about : Provenance
    certain : ndarray of bool, shape (done faults,), or None
        Which of the faults that are done are masked with certainty. A store of version 1 does not say more; the
        others then count as open, which only decides how bold the bets are.

    Raises
    ------
    StoreError
        If what the store says is damaged.
    """
    if about.space_size is None:
        return None
    if about.sampling is None:
        if certain is None:
            return None
        listed = np.zeros(about.faults, dtype=bool)
        listed[: len(certain)] = certain
        return Basis.simple(about.space_size, listed, about.space_certain)
    try:
        if about.sampling["design"] != "simple":
            sample = {key: value for key, value in about.sampling.items() if key != _CERTAIN}
            return Basis.stratified(Sample.from_json(sample), about.space_certain or 0)
        packed = np.frombuffer(bytes.fromhex(about.sampling["certain"]), dtype=np.uint8)
        marks = np.unpackbits(packed, count=about.faults, bitorder="little").astype(bool)
        return Basis.simple(about.space_size, marks, about.space_certain)
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise StoreError(f"what the store says of its sample is damaged: {error}") from None


def stopping_json(options: StoppingOptions) -> dict[str, Any]:
    """Return a stopping rule as plain JSON values."""
    value: dict[str, Any] = {name: getattr(options, name) for name in options.__slots__}
    return {**value, "classes": list(options.classes)}


def rule_of(about: Provenance) -> StoppingRule:
    """Return the stopping rule of a campaign, which has been told of no fault yet.

    Raises
    ------
    ConfigError
        If the rule does not fit the list.
    """
    if about.stopping is None:
        return AllFaults()
    wanted = StoppingOptions(**{**about.stopping, "classes": tuple(about.stopping["classes"])})
    basis = basis_of(about)
    if basis is None:
        raise ConfigError("a stopping rule needs faults that were drawn from a space, not a list made by hand")
    if wanted.rule == "half-width":
        return HalfWidthRule(basis, wanted.half_width, wanted.classes, about.confidence, together=wanted.together)
    looks = sorted({math.ceil(about.faults * look / wanted.looks) for look in range(1, wanted.looks + 1)})
    return LookRule(
        basis,
        wanted.half_width,
        looks,
        wanted.classes,
        about.confidence,
        together=wanted.together,
        spending=wanted.spending,
    )
