"""Options of a campaign, as a user states them, on the command line or in a specification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from axft_host.campaign.designs import DESIGNS
from axft_host.campaign.sequential import CLASSES, SPENDINGS
from axft_host.campaign.statistics import check_confidence, check_margin
from axft_host.campaign.workload import WorkloadOptions
from axft_spec.errors import ConfigError, FaultError, check_int, unknown_name
from axft_spec.faults import FaultKind, Site
from axft_spec.flipflops import FLIP_FLOP_PREFIX

__all__ = [
    "DEFAULT_FAULTS",
    "DEFAULT_IMAGES",
    "EXPLAINED_IMAGES",
    "KINDS",
    "RULES",
    "CampaignOptions",
    "FaultOptions",
    "StoppingOptions",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """Which faults, as a user states it; None stands for the default.

    Either `fault`, or `fault_list`, or a draw from a space by the others.

    Parameters
    ----------
    site : str or None
        Where in a PE; ``weight`` by default. Several are separated by commas. Or ``rtl:NAME``: flip-flops of the
        simulated gateware, by name or pattern; each fault then begins in one clock cycle of the run.
    kind : str or None
        ``stuck`` (both polarities, the default of permanent faults), ``flip`` (the default of transient ones),
        ``sa0`` or ``sa1``.
    transient : bool
        Whether each fault lasts one cycle of the schedule instead of for ever.
    cycles : int or None
        How many cycles a transient fault lasts; 1 by default.
    bits : int or None
        How many bits of one PE each fault arms; 1 by default.
    pattern : str or None
        How several bits lie: ``adjacent`` (the default), ``word`` or ``pe``; see `axft_spec.bitsets`.
    faults : int or None
        How many to draw.
    census : bool
        Draw every fault of the space; excludes `faults` and `margin`.
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
    design : str or None
        How the draw is made: ``simple`` (the default), ``proportional`` or ``neyman``; see `designs`.
    strata : tuple of str
        What the strata of the last two are made by; see `axft_host.campaign.strata`.
    pilot : int or None
        Faults of Neyman's pilot; a tenth of all by default.
    """

    site: str | None = None
    kind: str | None = None
    transient: bool = False
    cycles: int | None = None
    bits: int | None = None
    pattern: str | None = None
    faults: int | None = None
    census: bool = False
    margin: float | None = None
    confidence: float = 0.95
    seed: int | None = None
    fault: str | None = None
    fault_list: Path | None = None
    design: str | None = None
    strata: tuple[str, ...] = ()
    pilot: int | None = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        draw = {
            "--site": self.site,
            "--kind": self.kind,
            "--transient": self.transient or None,
            "--cycles": self.cycles,
            "--bits": self.bits,
            "--pattern": self.pattern,
            "--faults": self.faults,
            "a census": self.census or None,
            "--margin": self.margin,
            "--seed": self.seed,
            "a design": self.design,
        }
        drawn = [name for name, value in draw.items() if value is not None]
        listed = [name for name, value in (("--fault", self.fault), ("--fault-list", self.fault_list)) if value]
        if len(listed) > 1 or (listed and drawn):
            given = ", ".join(listed + drawn)
            raise ConfigError(f"{listed[0]} says which faults to inject and must stand alone, not with others: {given}")
        self._check_size()
        self._check_shape()
        self._check_design()

    def _check_design(self) -> None:
        if self.design is not None and self.design not in DESIGNS:
            raise ConfigError(unknown_name("design", self.design, DESIGNS))
        if self.stratified != bool(self.strata):
            raise ConfigError(
                f"strata are of the designs proportional and neyman, and these need some; not design "
                f"{self.design or 'simple'} with strata {list(self.strata)}"
            )
        if self.stratified and (self.census or self.flip_flops is not None):
            raise ConfigError("strata are sampled, of faults of the array; allowed: without a census or flip-flops")
        if self.pilot is not None and self.design != "neyman":
            raise ConfigError(f"a pilot is of the design neyman alone, not of {self.design or 'simple'}")

    def _check_size(self) -> None:
        if self.faults is not None and self.margin is not None:
            raise ConfigError(
                f"either --faults or --margin must be given, not both: --faults {self.faults} --margin {self.margin}"
            )
        if self.census and (self.faults is not None or self.margin is not None):
            raise ConfigError("a census draws every fault; allowed: either it, or a number of faults, or a margin")
        if self.faults is not None:
            check_int("faults", self.faults, 1)
        if self.margin is not None:
            check_margin(self.margin)
        if self.seed is not None:
            check_int("seed", self.seed, 0)

    def _check_shape(self) -> None:
        if self.bits is not None:
            check_int("bits", self.bits, 1)
        if self.pattern is not None and (self.bits or 1) == 1:
            raise ConfigError(f"a pattern needs several bits per fault, not one: --pattern {self.pattern}")
        if self.cycles is not None:
            check_int("cycles", self.cycles, 1)
            if not self.transient:
                raise ConfigError(f"a number of cycles is of transient faults alone: --cycles {self.cycles}")
        if self.kind is not None and self.kind not in KINDS:
            raise FaultError(unknown_name("fault kind", self.kind, KINDS))
        if self.flip_flops is not None:
            if self.transient or self.bits is not None:
                raise ConfigError(
                    f"a fault in a flip-flop has one bit, and its cycle is drawn: --site {self.site} alone"
                )
            return
        for site in self.sites:
            if site not in [known.value for known in Site]:
                raise FaultError(unknown_name("fault site", site, [*(known.value for known in Site), "rtl:NAME"]))

    @property
    def stratified(self) -> bool:
        """Whether faults are drawn from strata."""
        return self.design not in (None, "simple")

    @property
    def flip_flops(self) -> str | None:
        """The pattern of the flip-flops' names in a site such as ``rtl:core.*``; None if the site is the array's."""
        if self.site is None or not self.site.startswith(FLIP_FLOP_PREFIX):
            return None
        return self.site.removeprefix(FLIP_FLOP_PREFIX)

    @property
    def sites(self) -> tuple[str, ...]:
        """The names in `site`, or the default one."""
        return (Site.WEIGHT.value,) if self.site is None else tuple(self.site.split(","))


#: Names of the stopping rules.
RULES = ("half-width", "looks")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingOptions:
    """When a campaign has seen enough; see `axft_host.campaign.sequential`.

    Parameters
    ----------
    rule : str
        ``half-width``: by intervals that hold at any time. ``looks``: at looks set in advance, alpha spent among them.
    half_width : float
        Half the width that the interval of every class must reach.
    classes : tuple of str
    together : bool
        Whether the intervals are to hold together.
    looks : int
        How many, evenly spaced.
    spending : str
        How alpha is spent among them.
    """

    rule: str = "half-width"
    half_width: float
    classes: tuple[str, ...] = ("critical",)
    together: bool = False
    looks: int = 5
    spending: str = "obrien-fleming"

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(unknown_name("stopping rule", self.rule, RULES))
        if self.spending not in SPENDINGS:
            raise ConfigError(unknown_name("spending of alpha", self.spending, SPENDINGS))
        for name in self.classes:
            if name not in CLASSES:
                raise ConfigError(unknown_name("class of outcomes", name, CLASSES))
        check_margin(self.half_width)
        check_int("looks", self.looks, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOptions:
    """A whole campaign, as a user states it.

    Parameters
    ----------
    board : str
        Name of a backend.
    physical : str or None
        The device's array, as in ``16x16``; None if it is as large as the logical one.
    bitstream : str or None
        The .bit file that a board loads; None to look for one.
    workload : WorkloadOptions
    faults : FaultOptions
    score : str
        What is compared: ``softmax`` or ``raw``.
    workers : int or None
        Number of processes; None for one per processor.
    stopping : StoppingOptions or None
        None to run all faults.
    """

    board: str = "emu"
    physical: str | None = None
    bitstream: str | None = None
    workload: WorkloadOptions
    faults: FaultOptions
    score: str = "softmax"
    workers: int | None = None
    stopping: StoppingOptions | None = None
