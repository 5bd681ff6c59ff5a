"""Tables for the terminal, built from results; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.table import Table

from axft_host.campaign.compare import Comparison
from axft_host.campaign.explain import Explanation
from axft_host.campaign.infer import Inference
from axft_host.campaign.plan import Plan
from axft_host.campaign.statistics import Interval
from axft_host.campaign.summary import Summary, published_row
from axft_host.campaign.workload import Prepared
from axft_host.nn.datasets import DatasetInfo
from axft_spec.config import ArrayConfig, Preset
from axft_spec.faults import FaultSpace
from axft_spec.flipflops import FlipFlopSpace
from axft_spec.multipliers import ErrorFigures, Part

__all__ = [
    "configs_table",
    "datasets_table",
    "difference_table",
    "empty_table",
    "explanation_tables",
    "facts_table",
    "inference_facts",
    "least_width",
    "multipliers_table",
    "other_intervals_table",
    "outcome_table",
    "paper_notes",
    "percent",
    "plan_line",
    "summary_facts",
]

Facts = Sequence[tuple[str, str]]


#: Width that a column of text keeps when it has to share a line with many numbers.
_TEXT_WIDTH = 8


def empty_table(
    *columns: str, left: Iterable[str] = (), fold: Iterable[str] = (), title: str | None = None, dense: bool = False
) -> Table:
    """Return an empty table whose columns are right-aligned unless named in `left`.

    Those named in `fold` go on in another line where they do not fit; no other column may lose a character. In a
    `dense` one less space stands between columns.
    """
    table = Table(title=title, title_justify="left", caption_justify="left", show_edge=False, pad_edge=False)
    if dense:
        table.padding = (0, 0, 0, 1)
    for column in columns:
        folds = column in fold
        table.add_column(
            column,
            justify="left" if column in left else "right",
            overflow="fold",
            no_wrap=not folds,
            min_width=_TEXT_WIDTH if folds else None,
        )
    return table


def least_width(table: Table) -> int:
    """Return the smallest width, in characters, at which a table shows all that is in it."""
    _, right, _, left = table.padding
    gap = left + right + (table.box is not None)
    width = gap * (len(table.columns) - 1)
    for column in table.columns:
        texts = [str(column.header), *map(str, column.cells)] if column.no_wrap else []
        width += max([column.min_width or 1, *(cell_len(line) for text in texts for line in text.split("\n"))])
    return width


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(value: float | None, digits: int = 2) -> str:
    """Return a fraction as a number of percent; a dash for None."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def facts_table(facts: Facts) -> Table:
    """Return a table of names and values, without a head."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, value)
    return table


def configs_table(presets: Iterable[Preset]) -> Table:
    """Return the presets: what they are, what they save, how large their fault space is."""
    columns = ("configuration", "width", "multiplier", "array", "energy reduction %", "fault space")
    table = empty_table(*columns, left=("configuration", "multiplier"))
    for preset in presets:
        config = preset.config
        table.add_row(
            preset.name,
            str(config.width),
            config.multiplier.name,
            f"{config.rows}x{config.cols}",
            percent(preset.energy_reduction),
            f"{FaultSpace(config=config).size:,}",
        )
    return table


def multipliers_table(rows: Iterable[tuple[Part, ErrorFigures]], width: int) -> Table:
    """Return parts of the multiplier family with the error figures computed for `width`-bit operands."""
    columns = ("part", "omit\nA", "omit\nB", "vbreak", "MAE", "WCE", "EP %", "power\nmW", "area\num2", "delay\nns")
    table = empty_table(*columns, left=("part",), dense=True, title=f"operands of {width} bits")
    for part, errors in rows:
        multiplier = part.multiplier
        table.add_row(
            part.name,
            *map(str, (multiplier.omit_a, multiplier.omit_b, multiplier.vbreak)),
            f"{errors.mae:.2f}",
            str(errors.wce),
            percent(errors.ep),
            f"{part.power_mw:.3f}",
            f"{part.area_um2:.1f}",
            f"{part.delay_ns:.2f}",
        )
    return table


def datasets_table(infos: Iterable[DatasetInfo]) -> Table:
    """Return the data sets that have a name, and whether they are there."""
    table = empty_table("name", "images", "shape", "what it is", left=("name", "what it is"), fold=("what it is",))
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
        ("network", _network(network.name, config, network.rounding, network.compensated)),
        ("images", f"{result.images:,} of {prepared.dataset.name}"),
        ("accuracy", f"{percent(result.accuracy)} %"),
        (
            "float accuracy",
            "not known (a compiled network)"
            if result.float_accuracy is None
            else f"{percent(result.float_accuracy)} %",
        ),
        ("speed", f"{result.images_per_second:,.0f} images/s ({result.seconds:.2f} s)"),
    ]


def _network(name: str, config: ArrayConfig, rounding: str, compensated: bool) -> str:
    told = [name]
    if config.omit_weight:
        told.append(f"weights {'floored by' if rounding == 'paper' else 'rounded for'} the multiplier")
    if not config.multiplier.exact:
        told.append(f"mean error {'' if compensated else 'not '}compensated in the bias")
    return ", ".join(told)


def plan_line(plan: Plan) -> str:
    """Return what a campaign is about to do, in one line."""
    prepared, config = plan.prepared, plan.prepared.workload.config
    faults, space = plan.faults.faults, plan.faults.space
    images = _count(len(prepared.dataset), "image")
    count = f"{len(faults):,} faults" if len(faults) > 1 else f"fault {faults[0]}"
    if space is not None:
        kinds = " and ".join(kind.value.replace("_", " ") for kind in space.kinds)
        if isinstance(space, FlipFlopSpace):
            when = f"{_count(space.bits, 'bit')} of {_count(len(space.flip_flops), 'flip-flop')}, in a drawn cycle"
        else:
            when = "permanent" if space.schedule is None else f"{_count(space.cycles, 'cycle')} each"
            if space.bits > 1:
                when = f"{space.bits} bits ({space.pattern}), {when}"
        count += f" of {space.size:,} (site {plan.site}, {kinds}, {when}; seed {plan.faults.seed})"
    return (
        f"{prepared.config_name} ({config.width} bits, multiplier {config.multiplier.name}) on {plan.board.name}, "
        f"{config.rows}x{config.cols} array, {prepared.workload.lowering}; "
        f"{prepared.workload.network.name}, {images} of {prepared.dataset.name}; {count}"
    )


def outcome_table(summary: Summary) -> Table:
    """Return outcome rates with their intervals, beside the row of the published study if there is one to compare."""
    paper = published_row(summary.provenance)
    level = f"{100 * summary.provenance.confidence:g}% interval"
    table = empty_table("outcome", "%", level, *([] if paper is None else ["paper %"]), left=("outcome",))
    for name in ("masked", "tolerable", "critical"):
        rate: Interval = getattr(summary, name)
        interval = f"{percent(rate.low)} - {percent(rate.high)}"
        beside = [] if paper is None else [f"{getattr(paper, name):.2f}"]
        table.add_row(name, percent(rate.rate), interval, *beside)
    table.add_section()
    for status, share in summary.status_rates.items():
        table.add_row(status.value if status.value in ("hang", "crash") else status.name, percent(share))
    return table


def other_intervals_table(summary: Summary) -> Table:
    """Return intervals by other methods, which are shown for comparison and decide nothing."""
    table = empty_table("outcome", "Wilson", "Clopper-Pearson", left=("outcome",))
    table.title = "other intervals on effective counts, each on its own, for comparison"
    for name, methods in summary.for_comparison.items():
        table.add_row(name, *(f"{percent(made.low)} - {percent(made.high)}" for made in methods.values()))
    return table


def summary_facts(summary: Summary) -> Facts:
    """Return what stands around the outcome table, as names and values."""
    about = summary.provenance
    drawn = f"{summary.faults:,}"
    if summary.faults < about.faults:
        drawn += f" of the {about.faults:,} listed"
    if about.space_size is not None:
        drawn += f" of {about.space_size:,}" if summary.faults == about.faults else f", from {about.space_size:,}"
    are, were = ("is", "was") if summary.certain_masked == 1 else ("are", "were")
    # A device has to show that they are masked; the emulator knows.
    then = f"and {were} not simulated" if about.backend == "emu" else f"and {were} run all the same"
    certain = f"{summary.certain_masked:,} of these faults {are} masked with certainty {then}"
    if about.space_certain:
        certain += f"; {about.space_certain:,} of the whole space"
    speed = "-" if summary.seconds is None else f"{summary.seconds:.1f} s, {summary.pairs_per_second or 0:,.0f} pairs/s"
    return [
        ("faults", f"{drawn}, on {_count(summary.images, 'image')} each: {_count(summary.pairs, 'pair')}"),
        ("certain", certain),
        ("activated", f"{_count(summary.activated_faults, 'fault')}, {_count(summary.activated, 'time')}"),
        ("accuracy", f"{percent(about.golden_accuracy)} % golden, {percent(summary.faulty_accuracy)} % under fault"),
        ("intervals", summary.interval_method),
        *([] if summary.recovered is None else [("recoveries", str(summary.recovered))]),
        ("time", speed),
    ]


def paper_notes(summary: Summary) -> list[str]:
    """Return where this campaign differs from the published study whose row stands beside it."""
    about = summary.provenance
    if published_row(about) is None:
        return []
    config = ArrayConfig.from_json(about.config)
    differs = []
    if (config.rows, config.cols) != (28, 28):
        differs.append(f"the array is {config.rows}x{config.cols}, that of the study is 28x28 (--array 28x28)")
    if config.operand_a != "weight":
        differs.append("operand A is the activation, in the study taken to be the weight (--operand-a weight)")
    if config.omit_weight and about.rounding != "paper":
        differs.append(
            "weights are rounded to what the multiplier keeps, the study lets it floor them (--rounding paper)"
        )
    if about.compensated:
        differs.append("the multiplier's mean error is compensated, the study does not (--no-compensate)")
    if about.lowering != "toeplitz":
        differs.append(f"the lowering is {about.lowering}, that of the study's tool is toeplitz (--lowering toeplitz)")
    if about.score != "softmax":
        differs.append("outcomes compare raw outputs, those of the study class probabilities (--score softmax)")
    if about.site != "weight":
        differs.append(f"the fault site is {about.site}, that of the study's tool is the weight (--site weight)")
    if about.kind in ("sa0", "sa1"):
        differs.append(
            f"values are stuck at {about.kind[-1]} alone, in the study at 0 and at 1: one polarity only (--kind stuck)"
        )
    elif about.kind != "stuck":
        differs.append("bits are flipped, in the study's tool they are stuck at 0 and at 1 (--kind stuck)")
    if about.spec["transient"]:
        differs.append("each fault lasts one cycle, those of the study's tool are permanent (without --transient)")
    return [f"not as in the paper: {text}" for text in differs]


def difference_table(comparison: Comparison) -> Table:
    """Return the first pairs whose outcomes differ."""
    table = empty_table("fault", "image", "A", "B", left=("fault", "A", "B"), fold=("fault",))
    for pair in comparison.first:
        table.add_row(pair.fault, str(pair.image), pair.a, pair.b)
    return table


def explanation_tables(explanation: Explanation) -> tuple[Table, Table]:
    """Return one fault layer by layer, and image by image."""
    total = len(explanation.images)
    columns = (
        "layer",
        "GEMMs",
        "activated",
        "psums",
        "psums\nstruck",
        "psums\ndiffer",
        "values",
        "values\ndiffer",
        "images\ndiffer",
    )
    title = f"{explanation.fault}, {'one image' if total == 1 else f'all {total:,} images'}"
    layers = empty_table(*columns, left=("layer",), fold=("layer",), title=title, dense=True)
    layers.caption = (
        "activated: how often the fault changed a bit. psums struck: partial sums that the fault itself changed in "
        "this layer. psums differ: those that are not the golden run's, from changed activations too. values: what "
        "leaves for the next layer. values differ: those that are not the golden run's."
    )
    for step in explanation.layers:
        layers.add_row(
            f"{step.layer} {step.name}",
            str(step.gemms),
            f"{step.activated:,}",
            f"{step.psums:,}",
            f"{step.struck_psums:,}",
            f"{step.differing_psums:,}",
            f"{step.values:,}",
            f"{step.differing_values:,}",
            f"{step.differing_images:,}",
        )
    heads = (
        "image",
        "label",
        "golden\nclass",
        "golden\nprob.",
        "faulty\nclass",
        "faulty\nprob.",
        "ratio",
        "outcome",
    )
    images = empty_table(*heads, left=("outcome",))
    images.caption = "prob.: the largest class probability. ratio: faulty over golden."
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
