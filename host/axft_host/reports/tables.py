"""Tables for the terminal, built from results; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from axft_host.campaign.compare import Comparison
from axft_host.campaign.explain import Explanation
from axft_host.campaign.infer import Inference
from axft_host.campaign.plan import Plan
from axft_host.campaign.statistics import Interval
from axft_host.campaign.summary import Summary
from axft_host.campaign.workload import Prepared
from axft_host.nn.datasets import DatasetInfo
from axft_spec.config import PRESETS, PaperRow, Preset
from axft_spec.faults import FaultSpace
from axft_spec.multipliers import ErrorFigures, Part

__all__ = [
    "configs_table",
    "datasets_table",
    "difference_table",
    "explanation_tables",
    "facts_table",
    "inference_facts",
    "multipliers_table",
    "outcome_table",
    "paper_notes",
    "plan_line",
    "summary_facts",
]

Facts = Sequence[tuple[str, str]]


def _table(*columns: str, left: Iterable[str] = (), title: str | None = None) -> Table:
    """Return an empty table whose columns are right-aligned unless named in `left`."""
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=column not in left)
    return table


def _percent(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}"


def facts_table(facts: Facts) -> Table:
    """Return a table of names and values, without a head."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts:
        table.add_row(name, value)
    return table


def configs_table(presets: Iterable[Preset]) -> Table:
    """Return the presets: what they are, what they save, how large their fault space is."""
    columns = ("configuration", "width", "multiplier", "array", "energy reduction %", "fault space")
    table = _table(*columns, left=("configuration", "multiplier"))
    for preset in presets:
        config = preset.config
        table.add_row(
            preset.name,
            str(config.width),
            config.multiplier.name,
            f"{config.rows}x{config.cols}",
            _percent(preset.energy_reduction),
            f"{FaultSpace(config=config).size:,}",
        )
    return table


def multipliers_table(rows: Iterable[tuple[Part, ErrorFigures]], width: int) -> Table:
    """Return parts of the multiplier family with the error figures computed for `width`-bit operands."""
    columns = ("part", "omit A", "omit B", "vbreak", "MAE", "WCE", "EP %", "power mW", "area um2", "delay ns")
    table = _table(*columns, left=("part",), title=f"operands of {width} bits")
    for part, errors in rows:
        multiplier = part.multiplier
        table.add_row(
            part.name,
            *map(str, (multiplier.omit_a, multiplier.omit_b, multiplier.vbreak)),
            f"{errors.mae:.2f}",
            str(errors.wce),
            _percent(errors.ep),
            f"{part.power_mw:.3f}",
            f"{part.area_um2:.1f}",
            f"{part.delay_ns:.2f}",
        )
    return table


def datasets_table(infos: Iterable[DatasetInfo]) -> Table:
    """Return the data sets that have a name, and whether they are there."""
    table = _table("name", "images", "shape", "what it is", left=("name", "what it is"))
    for info in infos:
        images = f"{info.images:,}" if info.available else "not here"
        table.add_row(info.name, images, "x".join(map(str, info.shape)) or "-", info.title)
    return table


def inference_facts(prepared: Prepared, board: str, result: Inference) -> Facts:
    """Return what an inference run shows, as names and values."""
    network, config = prepared.workload.network, prepared.workload.config
    return [
        (
            "configuration",
            f"{prepared.config_name} ({config.width} bits, multiplier {config.multiplier.name}) on {board}",
        ),
        ("network", _network(network.name, network.rounding, network.compensated)),
        ("images", f"{result.images:,} of {prepared.dataset.name}"),
        ("accuracy", f"{_percent(result.accuracy)} %"),
        (
            "float accuracy",
            "not known (a compiled network)"
            if result.float_accuracy is None
            else f"{_percent(result.float_accuracy)} %",
        ),
        ("speed", f"{result.images_per_second:,.0f} images/s ({result.seconds:.2f} s)"),
    ]


def _network(name: str, rounding: str, compensated: bool) -> str:
    return f"{name}, weights rounded: {rounding}, bias compensated: {'yes' if compensated else 'no'}"


def plan_line(plan: Plan) -> str:
    """Return what a campaign is about to do, in one line."""
    prepared, config = plan.prepared, plan.prepared.workload.config
    faults, space = plan.faults.faults, plan.faults.space
    count = f"{len(faults):,} faults" if len(faults) > 1 else f"fault {faults[0]}"
    if space is not None:
        kinds = " and ".join(kind.value.replace("_", " ") for kind in space.kinds)
        when = "permanent" if space.schedule is None else "one cycle each"
        count += f" of {space.size:,} (site {plan.site}, {kinds}, {when}; seed {plan.faults.seed})"
    return (
        f"{prepared.config_name} ({config.width} bits, multiplier {config.multiplier.name}) on {plan.board}, "
        f"{config.rows}x{config.cols} array, {prepared.workload.lowering}; "
        f"{prepared.workload.network.name}, {len(prepared.dataset):,} images of {prepared.dataset.name}; {count}"
    )


def _paper_row(summary: Summary) -> PaperRow | None:
    preset = PRESETS.get(summary.provenance.config_name)
    return None if preset is None else preset.paper


def outcome_table(summary: Summary) -> Table:
    """Return outcome rates with their intervals, beside the row of the published study if there is one."""
    paper = _paper_row(summary)
    level = f"{100 * summary.provenance.confidence:g}% interval"
    table = _table("outcome", "%", level, "paper %", left=("outcome",))
    for name in ("masked", "tolerable", "critical"):
        rate: Interval = getattr(summary, name)
        interval = f"{_percent(rate.low)} - {_percent(rate.high)}"
        table.add_row(name, _percent(rate.rate), interval, "-" if paper is None else f"{getattr(paper, name):.2f}")
    table.add_section()
    for status, share in summary.status_rates.items():
        table.add_row(status.value if status.value in ("hang", "crash") else status.name, _percent(share), "", "")
    return table


def summary_facts(summary: Summary) -> Facts:
    """Return what stands around the outcome table, as names and values."""
    about = summary.provenance
    drawn = f"{summary.faults:,}"
    if summary.faults < about.faults:
        drawn += f" of the {about.faults:,} listed"
    if about.space_size is not None:
        drawn += f" of {about.space_size:,}" if summary.faults == about.faults else f", from {about.space_size:,}"
    certain = f"{summary.certain_masked:,} of these faults are masked with certainty and were not simulated"
    if about.space_certain is not None:
        certain += f"; {about.space_certain:,} of the whole space"
    speed = "-" if summary.seconds is None else f"{summary.seconds:.1f} s, {summary.pairs_per_second or 0:,.0f} pairs/s"
    return [
        ("faults", f"{drawn}, on {summary.images:,} images each: {summary.pairs:,} pairs"),
        ("certain", certain),
        ("activated", f"{summary.activated_faults:,} faults, {summary.activated:,} times"),
        ("accuracy", f"{_percent(about.golden_accuracy)} % golden, {_percent(summary.faulty_accuracy)} % under fault"),
        ("intervals", summary.interval_method),
        ("time", speed),
        ("result", summary.store),
    ]


def paper_notes(summary: Summary) -> list[str]:
    """Return where this campaign differs from the published study whose row stands beside it."""
    if _paper_row(summary) is None:
        return []
    about = summary.provenance
    differs = []
    if about.rounding != "paper":
        differs.append(
            f"weights are rounded to what the multiplier keeps ({about.rounding}), the study lets it floor them "
            f"(--rounding paper)"
        )
    if about.compensated:
        differs.append("the multiplier's mean error is compensated, the study does not (--no-compensate)")
    if about.lowering != "toeplitz":
        differs.append(f"the lowering is {about.lowering}, that of the study's tool is toeplitz (--lowering toeplitz)")
    if (about.site, about.kind) != ("weight", "stuck") or about.spec["transient"]:
        differs.append("the study injects permanent stuck-at faults at the weight (--site weight --kind stuck)")
    return [f"not as in the paper: {text}" for text in differs]


def difference_table(comparison: Comparison) -> Table:
    """Return the first pairs whose outcomes differ."""
    table = _table("fault", "image", "A", "B", left=("fault", "A", "B"))
    for pair in comparison.first:
        table.add_row(pair.fault, str(pair.image), pair.a, pair.b)
    return table


def explanation_tables(explanation: Explanation) -> tuple[Table, Table]:
    """Return one fault layer by layer, and image by image."""
    columns = ("layer", "GEMMs", "activated", "psums struck", "psums differing", "values differing", "images differing")
    layers = _table(*columns, left=("layer",), title=f"{explanation.fault}, all images")
    total = len(explanation.images)
    for step in explanation.layers:
        layers.add_row(
            f"{step.layer} {step.name}",
            str(step.gemms),
            f"{step.activated:,}",
            f"{step.struck_psums:,} / {step.psums:,}",
            f"{step.differing_psums:,} / {step.psums:,}",
            f"{step.differing_values:,} / {step.values:,}",
            f"{step.differing_images} / {total}",
        )
    heads = ("image", "label", "golden class", "probability", "faulty class", "probability ", "ratio", "outcome")
    images = _table(*heads, left=("outcome",))
    for image in explanation.images:
        images.add_row(
            str(image.image),
            str(image.label),
            str(image.golden_class),
            f"{image.golden_probability:.4f}",
            str(image.faulty_class),
            f"{image.faulty_probability:.4f}",
            f"{image.ratio:.4f}",
            image.outcome,
        )
    return layers, images
