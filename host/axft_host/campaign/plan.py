"""From options to a plan: everything a campaign needs, checked, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from axft_host.backends.registry import Board, open_backend
from axft_host.campaign.outcome import check_score
from axft_host.campaign.statistics import check_confidence, check_margin, sample_size
from axft_host.campaign.workload import Prepared, WorkloadOptions, prepare, prepare_network, resolve_config
from axft_spec.config import ArrayConfig, parse_array
from axft_spec.errors import ConfigError, FaultError, check_int, unknown_name
from axft_spec.faultlist import FaultList, draw_fault_list, read_fault_list
from axft_spec.faults import Fault, FaultKind, FaultSpace, Site, check_fault, parse_fault, site_bits
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
    "draw_for",
    "fault_space",
    "plan_campaign",
    "resolve_faults",
]

#: Faults and images of `inject` if nothing is said: up to a minute on two cores. 2,401 is the sample size of an
#: infinite population for a margin of 2% at 95%, and what the published study seems to have drawn.
DEFAULT_FAULTS = 2401
DEFAULT_IMAGES = 1000

#: Images of `inject --explain` if nothing is said: a table that fits on a screen.
EXPLAINED_IMAGES = 10

#: What `--kind` may name, and the kinds of the fault space that it means.
KINDS: dict[str, tuple[FaultKind, ...]] = {
    "stuck": (FaultKind.STUCK_AT_0, FaultKind.STUCK_AT_1),
    "flip": (FaultKind.FLIP,),
    "sa0": (FaultKind.STUCK_AT_0,),
    "sa1": (FaultKind.STUCK_AT_1,),
}

#: What results say of a list whose faults have more than one site or kind.
MIXED = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """Which faults, as a user states it; None stands for the default.

    Either `fault`, or `fault_list`, or a draw from a space by the others.

    Parameters
    ----------
    site : str or None
        Where in a PE; ``weight`` by default.
    kind : str or None
        ``stuck`` (both polarities, the default of permanent faults), ``flip`` (the default of transient ones),
        ``sa0`` or ``sa1``.
    transient : bool
        Whether each fault lasts one cycle of the schedule instead of for ever.
    faults : int or None
        How many to draw.
    margin : float or None
        Draw as many as this margin of error needs; excludes `faults`.
    confidence : float
        Confidence level of the margin and of all intervals.
    seed : int or None
        Seed of the draw; 0 by default.
    fault : str or None
        One fault in its text form.
    fault_list : Path or None
        A fault-list file.
    """

    site: str | None = None
    kind: str | None = None
    transient: bool = False
    faults: int | None = None
    margin: float | None = None
    confidence: float = 0.95
    seed: int | None = None
    fault: str | None = None
    fault_list: Path | None = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        draw = {
            "--site": self.site,
            "--kind": self.kind,
            "--transient": self.transient or None,
            "--faults": self.faults,
            "--margin": self.margin,
            "--seed": self.seed,
        }
        drawn = [name for name, value in draw.items() if value is not None]
        listed = [name for name, value in (("--fault", self.fault), ("--fault-list", self.fault_list)) if value]
        if len(listed) > 1 or (listed and drawn):
            given = ", ".join(listed + drawn)
            raise ConfigError(f"{listed[0]} says which faults to inject and must stand alone, not with others: {given}")
        if self.faults is not None and self.margin is not None:
            raise ConfigError(
                f"either --faults or --margin must be given, not both: --faults {self.faults} --margin {self.margin}"
            )
        if self.faults is not None:
            check_int("faults", self.faults, 1)
        if self.margin is not None:
            check_margin(self.margin)
        if self.seed is not None:
            check_int("seed", self.seed, 0)
        if self.site is not None and self.site not in [site.value for site in Site]:
            raise FaultError(unknown_name("fault site", self.site, [site.value for site in Site]))
        if self.kind is not None and self.kind not in KINDS:
            raise FaultError(unknown_name("fault kind", self.kind, KINDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOptions:
    """A whole campaign, as a user states it.

    Parameters
    ----------
    board : str
        Name of a backend.
    physical : str or None
        The device's array, as in ``16x16``; None if it is as large as the logical one.
    workload : WorkloadOptions
    faults : FaultOptions
    score : str
        What is compared: ``softmax`` or ``raw``.
    workers : int or None
        Number of processes; None for one per processor.
    """

    board: str = "emu"
    physical: str | None = None
    workload: WorkloadOptions
    faults: FaultOptions
    score: str = "softmax"
    workers: int | None = None


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
    """

    board: Board
    prepared: Prepared
    faults: FaultList
    score: str
    confidence: float
    workers: int | None

    @property
    def site(self) -> str:
        """The site of all faults, or ``mixed``."""
        return _common([site.site.value for fault in self.faults.faults for site in fault.sites])

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
            "transient": any(fault.window is not None for fault in self.faults.faults),
            "faults": len(self.faults.faults),
            "seed": self.faults.seed,
            "score": self.score,
            "confidence": self.confidence,
        }


def _common(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else MIXED


def fault_space(options: FaultOptions, config: ArrayConfig, schedule: Schedule | None = None) -> FaultSpace:
    """Return the fault space that the options describe.

    Parameters
    ----------
    options : FaultOptions
    config : ArrayConfig
    schedule : Schedule or None
        Needed for transient faults alone.
    """
    kind = options.kind or ("flip" if options.transient else "stuck")
    return FaultSpace(
        config=config,
        sites=(Site(options.site or Site.WEIGHT.value),),
        kinds=KINDS[kind],
        schedule=schedule if options.transient else None,
    )


def draw_for(workload: WorkloadOptions, options: FaultOptions) -> FaultList:
    """Draw a fault list for later: no images are needed, and a network only for transient faults.

    Raises
    ------
    AxftError
        If an option cannot be met; the message names it.
    """
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
        listed = FaultList((parse_fault(options.fault),))
    elif options.fault_list is not None:
        listed = read_fault_list(options.fault_list)
        listed = replace(listed, space=_space_here(options.fault_list, listed.space, config, schedule))
    else:
        space = fault_space(options, config, schedule)
        if options.margin is not None:
            count = sample_size(space.size, options.margin, options.confidence)
        else:
            count = min(DEFAULT_FAULTS, space.size) if options.faults is None else options.faults
        return draw_fault_list(space, count, options.seed or 0)
    seen: set[Fault] = set()
    for fault in listed.faults:
        check_fault(fault, config, schedule)
        if fault in seen:
            raise FaultError(f"a fault list must name every fault once, not twice: {fault}")
        seen.add(fault)
    return listed


def _space_here(
    path: Path, space: FaultSpace | None, config: ArrayConfig, schedule: Schedule | None
) -> FaultSpace | None:
    """Return a list's space for the configuration that runs, if its faults are the same ones there.

    The multiplier and the operand order may be others: a sample of one space is then a sample of the other.
    """
    if space is None:
        return None
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


def check_representable(faults: Iterable[Fault], schedule: Schedule, physical: tuple[int, int]) -> None:
    """Check that a device with a smaller array can represent every fault in every sub-tile.

    Parameters
    ----------
    faults : iterable of Fault
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
        if len(fault.sites) == 1:
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


def _sites_of(faults: Iterable[Fault]) -> tuple[Site, ...]:
    """Return the sites that some faults name, in the order of `Site`."""
    named = {armed.site for fault in faults for armed in fault.sites}
    return tuple(site for site in Site if site in named)


def plan_campaign(options: CampaignOptions, *, default_images: int = DEFAULT_IMAGES) -> Plan:
    """Resolve the options of a campaign.

    Parameters
    ----------
    options : CampaignOptions
    default_images : int
        How many images if the options do not say; fewer if there are fewer.

    Raises
    ------
    AxftError
        If an option cannot be met; the message names it. Nothing has run and nothing was written.
    """
    open_backend(options.board)
    check_score(options.score)
    if options.workers is not None:
        check_int("workers", options.workers, 1)
    physical = None if options.physical is None else parse_array(options.physical)
    prepared = prepare(options.workload, default_images=default_images)
    config, schedule = prepared.workload.config, prepared.workload.schedule
    faults = resolve_faults(options.faults, config, schedule)
    if physical is not None:
        check_representable(faults.faults, schedule, physical)
    return Plan(
        board=Board(name=options.board, physical=physical, sites=_sites_of(faults.faults)),
        prepared=prepared,
        faults=faults,
        score=options.score,
        confidence=options.faults.confidence,
        workers=options.workers,
    )
