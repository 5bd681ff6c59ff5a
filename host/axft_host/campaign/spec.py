"""Campaign specifications: TOML files that say what to run, and the runs that follow from one.

Every list multiplies: a campaign has one run, with a result of its own, for each configuration, lowering, sample and
backend. ``fi_campaigns/README.md`` describes the keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from axft_host.backends.registry import check_board
from axft_host.campaign.designs import DESIGNS
from axft_host.campaign.options import DEFAULT_IMAGES, KINDS, RULES, CampaignOptions, FaultOptions, StoppingOptions
from axft_host.campaign.outcome import check_score
from axft_host.campaign.plan import default_kind
from axft_host.campaign.sequential import CLASSES, SPENDINGS
from axft_host.campaign.statistics import check_confidence, check_margin
from axft_host.campaign.toml_file import Reader, Table, parse_toml, read_text
from axft_host.campaign.workload import WorkloadOptions, compiled_model
from axft_host.nn.datasets import load_dataset
from axft_host.nn.quantise import check_rounding
from axft_spec.bitsets import PATTERNS
from axft_spec.config import OPERANDS, PRESETS, find_preset, parse_array
from axft_spec.errors import AxftError, ConfigError, check_int, unknown_name
from axft_spec.faults import Site
from axft_spec.flipflops import FLIP_FLOP_PREFIX
from axft_spec.lowering import check_lowering

__all__ = ["BackendSpec", "CampaignSpec", "Run", "SampleSpec", "read_spec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSpec:
    """How many faults are drawn.

    Parameters
    ----------
    name : str
        Goes into the names of runs; empty if there is one sample alone.
    faults, margin, census, design, strata, pilot
        As in `FaultOptions`.
    confidence : float
    seed : int
    """

    name: str = ""
    faults: int | None = None
    margin: float | None = None
    census: bool = False
    confidence: float = 0.95
    seed: int = 0
    design: str = "simple"
    strata: tuple[str, ...] = ()
    pilot: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpec:
    """Where faults run: the name of a backend, its array if that is not the logical one, and what a board loads."""

    name: str = "emu"
    physical: str | None = None
    bitstream: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a campaign: what it is called, and what to run.

    Members
    -------
    name : str
        Also that of its directory.
    sample : str
        Name of its sample; empty if there is one alone.
    options : CampaignOptions
    pilot : str or None
        Name of the run that has to be complete before this one can be planned.
    """

    name: str
    sample: str
    options: CampaignOptions
    pilot: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSpec:
    """A whole campaign, with every default filled in.

    Parameters
    ----------
    name, title : str
        Of the file; in its own words.
    configs : tuple of str or None
        Presets; None alone for what a compiled network has.
    lowerings : tuple of str
    workload : WorkloadOptions
        What all runs have in common.
    score : str
    faults : FaultOptions
        The fault space, without a sample.
    samples : tuple of SampleSpec
        One without a size if the faults are those of a file.
    backends : tuple of BackendSpec
    stopping : StoppingOptions or None
    source : Table or None
        The file, for messages.
    """

    name: str
    title: str
    configs: tuple[str | None, ...]
    lowerings: tuple[str, ...]
    workload: WorkloadOptions
    score: str
    faults: FaultOptions
    samples: tuple[SampleSpec, ...]
    backends: tuple[BackendSpec, ...]
    stopping: StoppingOptions | None = None
    source: Table | None = field(default=None, compare=False, repr=False)

    def with_images(self, images: int) -> CampaignSpec:
        """Return the same campaign with another number of images."""
        check_int("images", images, 1)
        return replace(self, workload=replace(self.workload, images=images))

    def with_data(self, data: str) -> CampaignSpec:
        """Return the same campaign on other images; a path is relative to the current directory, not to the file.

        Raises
        ------
        DataError
            If there are no such images.
        """
        located = _located(data, Path())
        load_dataset(located)  # later the file would be named, which does not have it
        return replace(self, workload=replace(self.workload, data=located))

    def runs(self, *, workers: int | None = None) -> list[Run]:
        """Return the runs, in the order in which they happen."""
        made = []
        for lowering in self.lowerings:
            for config in self.configs:
                for sample in self.samples:
                    for backend in self.backends:
                        parts = [config or "network", lowering, sample.name]
                        # The address of a link would be several directories.
                        parts += [re.sub(r"[^\w.]+", "-", backend.name)] if len(self.backends) > 1 else []
                        options = self._options(config, lowering, sample, backend, workers)
                        name, pilot = "-".join(filter(None, parts)), None
                        if sample.design == "neyman":
                            pilot = f"{name}-pilot"
                            # The pilot is run to its end: it is there to fix the sizes.
                            made.append(Run(name=pilot, sample=sample.name, options=replace(options, stopping=None)))
                        made.append(Run(name=name, sample=sample.name, options=options, pilot=pilot))
        return made

    def _options(
        self, config: str | None, lowering: str, sample: SampleSpec, backend: BackendSpec, workers: int | None
    ) -> CampaignOptions:
        faults = replace(self.faults, confidence=sample.confidence)
        if self.faults.fault_list is None:
            sizes = _plain(sample, "name", "design")
            faults = replace(faults, **sizes, design=_design(sample))
        return CampaignOptions(
            board=backend.name,
            physical=backend.physical,
            bitstream=backend.bitstream,
            workload=replace(self.workload, config=config, lowering=lowering),
            faults=faults,
            score=self.score,
            workers=workers,
            stopping=self.stopping,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the campaign in the form of its file, with every default filled in and absolute paths."""
        workload: dict[str, Any] = {
            name: getattr(self.workload, name) for name in _WORKLOAD if hasattr(self.workload, name)
        }
        workload |= {"configs": list(filter(None, self.configs)), "lowerings": list(self.lowerings)}
        workload |= {"score": self.score}
        faults: dict[str, Any] = {
            "sites": list(self.faults.sites) if self.faults.fault_list is None else None,
            "kind": self.faults.kind,
            "transient": self.faults.transient or None,
            "cycles": self.faults.cycles,
            "bits": self.faults.bits,
            "pattern": self.faults.pattern,
            "list": None if self.faults.fault_list is None else str(self.faults.fault_list),
        }
        samples = {sample.name: self._sample_json(sample) for sample in self.samples}
        return {
            "title": self.title,
            "workload": _without_none(workload),
            "faults": _without_none(faults),
            "sampling": samples[""] if list(samples) == [""] else samples,
            "backends": {backend.name: _without_none(_plain(backend, "name")) for backend in self.backends},
            **({} if self.stopping is None else {"stopping": _without_none(_plain(self.stopping))}),
        }

    def _sample_json(self, sample: SampleSpec) -> dict[str, Any]:
        if self.faults.fault_list is not None:
            # Nothing is drawn.
            return {"confidence": sample.confidence}
        return _without_none(_plain(sample, "name"))

    @classmethod
    def from_json(cls, value: Any, name: str, source: str) -> CampaignSpec:
        """Rebuild from `to_json`."""
        return _spec_of(Table(value, source, ""), name, Path())


def _plain(value: Any, *but: str) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value) if each.name not in but}


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: list(item) if isinstance(item, tuple) else item
        for key, item in value.items()
        if item is not None and item is not False and item != ()
    }


# --- readers of values: what a key may hold -----------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"it must be a text, not {value!r}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"it must be true or false, not {value!r}")
    return value


def _count(low: int) -> Reader:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"it must be a whole number, not {_shown(value)}")
        return check_int("it", value, low)

    return read


def _shown(value: Any) -> str:
    """Return a value as a TOML file has it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _half_width(value: Any) -> float:
    number = _number(value)
    try:
        return check_margin(number)
    except ConfigError as error:
        raise ConfigError(str(error).replace("margin", "half_width", 1)) from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"it must be a number, not {value!r}")
    return float(value)


def _one_of(what: str, allowed: Sequence[str]) -> Reader:
    def read(value: Any) -> str:
        if value not in allowed:
            raise ConfigError(unknown_name(what, str(value), allowed))
        return str(value)

    return read


def _checked(check: Reader) -> Reader:
    """Return a reader of a text that some other function refuses or not."""

    def read(value: Any) -> str:
        check(_text(value))
        return str(value)

    return read


def _list_of(read: Reader) -> Reader:
    """Return a reader of one or more different values; one may stand for itself."""

    def read_all(value: Any) -> tuple[Any, ...]:
        listed = tuple(map(read, value if isinstance(value, list) else [value]))
        if not listed or len(set(listed)) != len(listed):
            raise ConfigError(f"it must be one or more different values, not {value!r}")
        return listed

    return read_all


def _site(value: Any) -> str:
    if isinstance(value, str) and value.startswith(FLIP_FLOP_PREFIX):
        return value
    return str(_one_of("fault site", [*(site.value for site in Site), f"{FLIP_FLOP_PREFIX}NAME"])(value))


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(_number, value if isinstance(value, list) else [value]))


_WORKLOAD: dict[str, Reader] = {
    "configs": _list_of(lambda value: find_preset(_text(value)).name),
    "lowerings": _list_of(_checked(check_lowering)),
    "array": _checked(parse_array),
    "model": _text,
    "data": _text,
    "images": _count(1),
    "rounding": _checked(check_rounding),
    "compensate": _flag,
    "operand_a": _one_of("operand A", OPERANDS),
    "calibration": _text,
    "mean": _numbers,
    "std": _numbers,
    "score": _checked(check_score),
}
_FAULTS: dict[str, Reader] = {
    "sites": _list_of(_site),
    "kind": _one_of("fault kind", list(KINDS)),
    "transient": _flag,
    "cycles": _count(1),
    "bits": _count(1),
    "pattern": _one_of("pattern of bits", PATTERNS),
    "list": _text,
}
_SAMPLE: dict[str, Reader] = {
    "faults": _count(1),
    "margin": lambda value: check_margin(_number(value)),
    "census": _flag,
    "confidence": lambda value: check_confidence(_number(value)),
    "seed": _count(0),
    "design": _one_of("design", list(DESIGNS)),
    "strata": _list_of(_text),
    "pilot": _count(1),
}
_STOPPING: dict[str, Reader] = {
    "rule": _one_of("stopping rule", RULES),
    "half_width": _half_width,
    "classes": _list_of(_one_of("class of outcomes", list(CLASSES))),
    "together": _flag,
    "looks": _count(1),
    "spending": _one_of("spending of alpha", list(SPENDINGS)),
}
_BACKEND: dict[str, Reader] = {"physical": _checked(parse_array), "bitstream": _text}

_PATHS = ("model", "data", "calibration")


# --- the file -----------------------------------------------------------------------------------------------


def read_spec(path: Path) -> CampaignSpec:
    """Read a campaign specification.

    Paths in it are relative to the file.

    Raises
    ------
    ConfigError
        If it cannot be read, has unknown keys, values that are not allowed, or an impossible combination; the message
        names file, line, key and what is allowed.
    """
    text = read_text(path)
    top = Table(parse_toml(text, str(path)), str(path), text)
    spec = _spec_of(top, path.stem, path.parent)
    _check_all_used(top, spec)
    return spec


def _check_all_used(top: Table, spec: CampaignSpec) -> None:
    """Refuse what somebody has written and nothing would come of; resolved specifications write all defaults down."""
    stopping = top.table("stopping")
    for key in ("looks", "spending"):
        if spec.stopping is not None and spec.stopping.rule != "looks" and key in stopping:
            raise stopping.error(key, f'it is of the rule looks, not of {spec.stopping.rule}; allowed: rule = "looks"')
    for backend in spec.backends:
        if backend.name == "emu" and backend.physical is not None:
            table = top.table("backends").table(backend.name)
            raise table.error(
                "physical", "the emulator has the logical array alone; allowed: without it, or [backends.rtl]"
            )


def _read(table: Table, readers: Mapping[str, Reader]) -> dict[str, Any]:
    table.only(*readers)
    return {key: table.get(key, readers[key]) for key in table}


def _spec_of(top: Table, name: str, base: Path) -> CampaignSpec:
    top.only("title", "workload", "faults", "sampling", "stopping", "backends")
    workload = _read(top.table("workload"), _WORKLOAD)
    for key in _PATHS:
        if key in workload:
            workload[key] = _located(workload[key], base)
    configs: tuple[str | None, ...] = workload.pop("configs", ())
    lowerings = workload.pop("lowerings", ("im2col",))
    score = workload.pop("score", "softmax")
    options = WorkloadOptions(**{"images": DEFAULT_IMAGES, **workload})
    faults = _faults_of(top.table("faults"), base)
    samples = _samples_of(top, faults)
    return CampaignSpec(
        name=name,
        title=top.get("title", _text, name),
        configs=configs or _own_config(top.table("workload"), options),
        lowerings=lowerings,
        workload=options,
        score=score,
        faults=faults,
        samples=samples,
        backends=_backends_of(top.table("backends"), base),
        stopping=_stopping_of(top, faults, samples),
        source=top,
    )


def _located(value: str, base: Path) -> str:
    """Return a path in a file as an absolute one, if there is such a file or it can be nothing else; else a name."""
    split = next((ending for ending in (":train", ":test") if value.endswith(ending)), "")
    path = base / value.removesuffix(split)
    is_path = path.suffix != "" or len(Path(value).parts) > 1
    return str(path.resolve()) + split if is_path or path.exists() else value


def _own_config(table: Table, options: WorkloadOptions) -> tuple[None]:
    """Accept that no configuration is named, if the network is a compiled one."""
    try:
        compiled = compiled_model(options)
    except AxftError as error:
        raise table.error("model", str(error)) from None
    if compiled is None:
        raise table.error(
            "configs",
            f"it is missing; allowed: one or more of {', '.join(PRESETS)}; or a compiled model",
        )
    return (None,)


def _faults_of(table: Table, base: Path) -> FaultOptions:
    values = _read(table, _FAULTS)
    listed = values.pop("list", None)
    if listed is not None:
        if values:
            raise table.error(
                "list", f"it says which faults to inject and must stand alone, without {', '.join(values)}"
            )
        return FaultOptions(fault_list=(base / listed).resolve())
    # The defaults are written down: they are part of what the campaign was.
    sites = values.pop("sites", (Site.WEIGHT.value,))
    flip_flops = [site for site in sites if site.startswith(FLIP_FLOP_PREFIX)]
    if flip_flops and len(sites) > 1:
        raise table.error(
            "sites", f'flip-flops must stand alone, as one pattern; allowed: "{flip_flops[0]}" without others'
        )
    if not flip_flops:
        values.setdefault("kind", default_kind(transient=values.get("transient", False)))
    try:
        return FaultOptions(site=",".join(sites), **values)
    except AxftError as error:
        raise table.error(None, str(error).replace("--", "")) from None


def _samples_of(top: Table, faults: FaultOptions) -> tuple[SampleSpec, ...]:
    table = top.table("sampling")
    named = [key for key in table if key not in _SAMPLE]
    if not named or not all(isinstance(table.get(key, lambda value: value), Mapping) for key in named):
        return (_sample(table, "", faults),)
    for key in table:
        if key in _SAMPLE:
            raise table.error(key, f"it must be in one of the samples {', '.join(named)}, not beside them")
        if not key.replace("_", "").replace("-", "").isalnum():
            raise table.error(key, "the name of a sample must have letters, digits, - and _ alone")
    return tuple(_sample(table.table(key), key, faults) for key in named)


def _sample(table: Table, name: str, faults: FaultOptions) -> SampleSpec:
    values = _read(table, _SAMPLE)
    sizes = [key for key in ("faults", "margin", "census") if values.get(key)]
    if len(sizes) > 1:
        raise table.error(sizes[1], f"the size of a sample must be said once, not by {' and '.join(sizes)}")
    if faults.fault_list is not None and set(values) - {"confidence"}:
        wrong = next(key for key in values if key != "confidence")
        raise table.error(wrong, "the faults are those of [faults] list; allowed: confidence")
    sample = SampleSpec(name=name, **values)
    try:
        # The combination is one of options of the draw.
        replace(faults, design=_design(sample), strata=sample.strata, pilot=sample.pilot, census=sample.census)
    except AxftError as error:
        raise table.error("design" if "design" in table else None, str(error)) from None
    return sample


def _design(sample: SampleSpec) -> str | None:
    return None if sample.design == "simple" else sample.design


def _stopping_of(top: Table, faults: FaultOptions, samples: Sequence[SampleSpec]) -> StoppingOptions | None:
    if "stopping" not in top:
        return None
    table = top.table("stopping")
    values = _read(table, _STOPPING)
    if "half_width" not in values:
        raise table.error(None, "half_width is missing: half the width that intervals are to reach, such as 0.01")
    if faults.fault_list is not None:
        raise table.error(None, "a stopping rule needs faults that are drawn from a space, not those of a file")
    if values.get("rule") == "looks" and any(sample.design != "simple" for sample in samples):
        raise table.error("rule", "looks set in advance are for simple samples; allowed for this design: half-width")
    return StoppingOptions(**values)


def _backends_of(table: Table, base: Path) -> tuple[BackendSpec, ...]:
    made = []
    for name in list(table) or ["emu"]:
        try:
            check_board(name)
        except AxftError as error:
            raise table.error(name, str(error)) from None
        values = _read(table.table(name), _BACKEND)
        if "bitstream" in values:
            values["bitstream"] = str(base / values["bitstream"])
        made.append(BackendSpec(name=name, **values))
    return tuple(made)
