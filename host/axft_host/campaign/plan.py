"""From options to a plan: everything a campaign needs, checked, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Workload
from axft_host.backends.registry import Board, open_backend
from axft_host.backends.rtl import RtlBackend
from axft_host.campaign.designs import Sample
from axft_host.campaign.options import (
    DEFAULT_FAULTS,
    DEFAULT_IMAGES,
    EXPLAINED_IMAGES,
    KINDS,
    CampaignOptions,
    FaultOptions,
)
from axft_host.campaign.outcome import check_score
from axft_host.campaign.sampled import draw_stratified
from axft_host.campaign.statistics import sample_size
from axft_host.campaign.workers import default_workers
from axft_host.campaign.workload import Prepared, WorkloadOptions, prepare, prepare_network, resolve_config
from axft_spec.bitsets import PATTERNS
from axft_spec.config import ArrayConfig
from axft_spec.errors import BackendError, ConfigError, FaultError, check_int
from axft_spec.faultlist import FaultList, draw_fault_list, read_fault_list
from axft_spec.faults import Fault, FaultKind, FaultSpace, Site, check_fault, site_bits
from axft_spec.flipflops import (
    FLIP_FLOP_PREFIX,
    AnyFault,
    FlipFlop,
    FlipFlopFault,
    FlipFlopSpace,
    check_flip_flop,
    match_flip_flops,
    parse_any_fault,
)
from axft_spec.folding import fold
from axft_spec.lowering import check_lowering
from axft_spec.schedule import Schedule, tiles

__all__ = [
    "DEFAULT_FAULTS",
    "DEFAULT_IMAGES",
    "EXPLAINED_IMAGES",
    "KINDS",
    "CampaignOptions",
    "FaultOptions",
    "Plan",
    "check_representable",
    "default_kind",
    "draw_for",
    "fault_space",
    "plan_campaign",
    "resolve_faults",
]

#: What results say of a list whose faults have more than one site or kind.
MIXED = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """A campaign that is ready to run: options resolved, files read, faults drawn and checked.

    Members
    -------
    board : Board
    prepared : Prepared
    faults : FaultList
    score : str
    confidence : float
    workers : int or None
    options : CampaignOptions
        What it was made from.
    sample, sample_space : Sample and FaultSpace, or None
        How a list was drawn from strata, and of which space; its `faults` name none.
    """

    board: Board
    prepared: Prepared
    faults: FaultList
    score: str
    confidence: float
    workers: int | None
    options: CampaignOptions
    sample: Sample | None = None
    sample_space: FaultSpace | None = None

    @property
    def processes(self) -> int:
        """How many processes may run it: one where there is one device."""
        return 1 if self.board.single else self.workers or default_workers()

    @property
    def site(self) -> str:
        """The site of all faults, or ``mixed``."""
        if isinstance(self.faults.space, FlipFlopSpace):
            return self.options.faults.site or f"{FLIP_FLOP_PREFIX}*"
        return _common([site for fault in self.faults.faults for site in _names(fault)])

    @property
    def kind(self) -> str:
        """The kind of all faults as on the command line (``stuck`` for both polarities), or ``mixed``."""
        kinds = {fault.kind for fault in self.faults.faults}
        if self.faults.space is not None:
            kinds = set(self.faults.space.kinds)
        return next((name for name, members in KINDS.items() if kinds == set(members)), MIXED)

    def spec(self) -> dict[str, object]:
        """Return the resolved options as plain JSON values: what a result records of its making."""
        network, config = self.prepared.workload.network, self.prepared.workload.config
        return {
            "board": self.board.name,
            "physical": None if self.board.physical is None else "x".join(map(str, self.board.physical)),
            "config": self.prepared.config_name,
            "array": f"{config.rows}x{config.cols}",
            "operand_a": config.operand_a,
            "model": network.name,
            "rounding": network.rounding,
            "compensated": network.compensated,
            "lowering": self.prepared.workload.lowering,
            "data": self.prepared.dataset.name,
            "images": len(self.prepared.dataset),
            "site": self.site,
            "kind": self.kind,
            "transient": any(fault.transient for fault in self.faults.faults),
            "faults": len(self.faults.faults),
            "seed": self.faults.seed,
            "score": self.score,
            "confidence": self.confidence,
        }


def _names(fault: AnyFault) -> list[str]:
    """Return the sites of a fault, by name."""
    if isinstance(fault, FlipFlopFault):
        return [f"{FLIP_FLOP_PREFIX}{fault.name}"]
    return [armed.site.value for armed in fault.sites]


def _common(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else MIXED


def default_kind(*, transient: bool) -> str:
    """Return what happens to the bits if nobody says: a particle flips them, a defect holds them."""
    return "flip" if transient else "stuck"


def fault_space(options: FaultOptions, config: ArrayConfig, schedule: Schedule | None = None) -> FaultSpace:
    """Return the fault space that the options describe.

    Parameters
    ----------
    options : FaultOptions
    config : ArrayConfig
    schedule : Schedule or None
        Needed for transient faults alone.
    """
    kind = options.kind or default_kind(transient=options.transient)
    return FaultSpace(
        config=config,
        sites=tuple(map(Site, options.sites)),
        kinds=KINDS[kind],
        schedule=schedule if options.transient else None,
        bits=options.bits or 1,
        pattern=options.pattern or PATTERNS[0],
        cycles=options.cycles or 1,
    )


def draw_for(workload: WorkloadOptions, options: FaultOptions) -> FaultList:
    """Draw a fault list for later: no images are needed, and a network only for transient faults.

    Raises
    ------
    AxftError
        If an option cannot be met; the message names it.
    """
    if options.flip_flops is not None:
        raise ConfigError(
            f"site {options.site}: faults in flip-flops are drawn from the cycles of a run on the device; allowed: "
            f"`axft-hw inject --board rtl --site {options.site}`, whose result holds the list"
        )
    if not options.transient:
        check_lowering(workload.lowering)
        _, config = resolve_config(workload)
        return resolve_faults(options, config, None)
    made = prepare_network(workload)
    schedule = Schedule.of(made.network.gemms(workload.lowering), made.config.rows, made.config.cols)
    return resolve_faults(options, made.config, schedule)


def resolve_faults(options: FaultOptions, config: ArrayConfig, schedule: Schedule | None) -> FaultList:
    """Return the faults that the options name, checked against the configuration and the schedule.

    Raises
    ------
    FaultError
        If a fault does not exist there, a list cannot be read or was drawn from another space, or more faults are
        asked for than there are.
    """
    if options.fault is not None:
        listed = FaultList((parse_any_fault(options.fault),))
    elif options.fault_list is not None:
        listed = read_fault_list(options.fault_list)
        listed = replace(listed, space=_space_here(options.fault_list, listed.space, config, schedule))
    else:
        return draw(options, fault_space(options, config, schedule))
    seen: set[AnyFault] = set()
    for fault in listed.faults:
        if isinstance(fault, Fault):
            check_fault(fault, config, schedule)
        if fault in seen:
            raise FaultError(f"a fault list must name every fault once, not twice: {fault}")
        seen.add(fault)
    return listed


def draw(options: FaultOptions, space: FaultSpace | FlipFlopSpace) -> FaultList:
    """Draw as many faults from a space as the options say.

    Raises
    ------
    FaultError
        If more are asked for than there are.
    """
    if options.census:
        count = space.size
    elif options.margin is not None:
        count = sample_size(space.size, options.margin, options.confidence)
    else:
        count = min(DEFAULT_FAULTS, space.size) if options.faults is None else options.faults
    return draw_fault_list(space, count, options.seed or 0)


def _draw_flip_flops(options: FaultOptions, pattern: str, board: Board, workload: Workload) -> FaultList:
    """Draw faults in flip-flops: which there are, and how many cycles a run has, the device must say."""
    backend = _rtl_backend(board)
    flip_flops = match_flip_flops(backend.flip_flops(workload.config), pattern)
    return draw(options, _flip_flop_space(backend, workload, flip_flops, KINDS[options.kind or "flip"]))


def _rtl_backend(board: Board) -> RtlBackend:
    backend = open_backend(board)
    if not isinstance(backend, RtlBackend):
        raise BackendError(
            f"flip-flops by name are those of simulated hardware; allowed: --board rtl, not {board.name!r}"
        )
    return backend


def _flip_flop_space(
    backend: RtlBackend, workload: Workload, flip_flops: tuple[FlipFlop, ...], kinds: tuple[FaultKind, ...]
) -> FlipFlopSpace:
    return FlipFlopSpace(
        flip_flops=flip_flops,
        kinds=kinds,
        cycles=backend.golden_cycles(workload),
        device=backend.accelerator(workload.config).hardware.digest(),
    )


def _check_flip_flops(faults: FaultList, board: Board, workload: Workload) -> None:
    """Check the faults of a list that are in flip-flops, and that a list which was drawn was drawn for this run."""
    mine = [fault for fault in faults.faults if isinstance(fault, FlipFlopFault)]
    if not mine:
        return
    backend = _rtl_backend(board)
    widths, cycles = backend.flip_flops(workload.config), backend.golden_cycles(workload)
    for fault in mine:
        check_flip_flop(fault, widths, cycles)
    space = faults.space
    if isinstance(space, FlipFlopSpace):
        here = _flip_flop_space(backend, workload, space.flip_flops, space.kinds)
        known = all(widths.get(each.name) == each.bits for each in space.flip_flops)
        if space != here or not known:
            raise FaultError(
                f"the fault list was drawn for {space.cycles} clock cycles of the device {space.device[:8]}, and this "
                f"run has {cycles} of {here.device[:8]}: it is no sample of what can go wrong here; draw one with "
                f"--site rtl:NAME"
            )


def _space_here(
    path: Path, space: FaultSpace | FlipFlopSpace | None, config: ArrayConfig, schedule: Schedule | None
) -> FaultSpace | FlipFlopSpace | None:
    """Return a list's space for the configuration that runs, if its faults are the same ones there.

    The multiplier and the operand order may be others: a sample of one space is then a sample of the other.
    """
    if space is None or isinstance(space, FlipFlopSpace):
        # Flip-flops belong to a device, not to the array: the backend checks every one.
        return space
    here = replace(space, config=config, schedule=None if space.schedule is None else schedule)
    drawn = space.config
    same = (drawn.rows, drawn.cols) == (config.rows, config.cols) and space.schedule == here.schedule
    for site in space.sites:
        same = same and site_bits(drawn, site) == site_bits(config, site)
    if not same:
        raise FaultError(
            f"fault list {path} was drawn for a {drawn.rows}x{drawn.cols} array of width {drawn.width} with multiplier "
            f"{drawn.multiplier.name}{' and another schedule' if space.schedule != here.schedule else ''}, where other "
            f"faults exist than on a {config.rows}x{config.cols} array of width {config.width} with multiplier "
            f"{config.multiplier.name}; draw one with `axft-hw faults`"
        )
    return here


def check_representable(faults: Iterable[AnyFault], schedule: Schedule, physical: tuple[int, int]) -> None:
    """Check that a device with a smaller array can represent every fault in every sub-tile.

    Parameters
    ----------
    faults : iterable of Fault or FlipFlopFault
    schedule : Schedule
        Of the logical array.
    physical : (int, int)
        Rows and columns of the device's array.

    Raises
    ------
    FaultError
        Naming the first fault that it cannot.
    """
    for fault in faults:
        if isinstance(fault, FlipFlopFault) or len(fault.sites) == 1:
            # One bit needs one window, and shares its line with no other.
            continue
        for number, layer in enumerate(schedule.layers):
            shapes: set[tuple[int, int]] = set()
            for tile in tiles(layer.shape, schedule.rows, schedule.cols):
                window = fault.window
                meant = window is None or (window.layer, window.tile) == (number, tile.index)
                if meant and (tile.rows, tile.cols) not in shapes:
                    shapes.add((tile.rows, tile.cols))
                    list(fold(fault, tile, layer.shape.k, *physical))


def _sites_of(faults: Iterable[AnyFault]) -> tuple[Site, ...]:
    """Return the sites that some faults name, in the order of `Site`; all of them if one is in a flip-flop."""
    if any(isinstance(fault, FlipFlopFault) for fault in faults):
        return tuple(Site)
    named = {armed.site for fault in faults if isinstance(fault, Fault) for armed in fault.sites}
    return tuple(site for site in Site if site in named)


def plan_campaign(
    options: CampaignOptions,
    *,
    default_images: int = DEFAULT_IMAGES,
    pilot_shares: NDArray[np.float64] | None = None,
) -> Plan:
    """Resolve the options of a campaign.

    Parameters
    ----------
    options : CampaignOptions
    default_images : int
        How many images if the options do not say; fewer if there are fewer.
    pilot_shares : ndarray of float64, shape (pilot faults, classes), or None
        What came of the pilot of Neyman's design; None plans that pilot.

    Raises
    ------
    AxftError
        If an option cannot be met; the message names it. Nothing has run and nothing was written.
    """
    anything = Board.parse(options.board, options.physical, options.bitstream)
    open_backend(anything)
    check_score(options.score)
    if options.workers is not None:
        check_int("workers", options.workers, 1)
    prepared = prepare(options.workload, default_images=default_images)
    config, schedule = prepared.workload.config, prepared.workload.schedule
    pattern = options.faults.flip_flops
    sample, space = None, None
    if options.faults.stratified:
        space = fault_space(options.faults, config, schedule)
        faults, sample = draw_stratified(options.faults, space, prepared.workload, pilot_shares)
    elif pattern is None:
        faults = resolve_faults(options.faults, config, schedule)
    else:
        faults = _draw_flip_flops(options.faults, pattern, anything, prepared.workload)
    if anything.physical is not None:
        check_representable(faults.faults, schedule, anything.physical)
    board = replace(anything, sites=_sites_of(faults.faults))
    _check_flip_flops(faults, board, prepared.workload)
    return Plan(
        board=board,
        prepared=prepared,
        faults=faults,
        score=options.score,
        confidence=options.faults.confidence,
        workers=options.workers,
        options=options,
        sample=sample,
        sample_space=space,
    )
