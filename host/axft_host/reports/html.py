"""The page: one HTML file with everything in it, readable offline and without scripts.

Text from a result never becomes markup: Python escapes it (`axft_host.reports.markup`), the script only sets text, and
the page's own policy lets nothing run or load but the one script and the one style sheet, named by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from axft_host.campaign.statistics import Interval
from axft_host.campaign.summary import Summary, published_row
from axft_host.campaign.versions import own_version
from axft_host.reports.charts import (
    EnergyPoint,
    accuracy_histogram,
    energy_chart,
    hatch_pattern,
    legend,
    outcome_bar,
)
from axft_host.reports.labels import energy_reduction
from axft_host.reports.markup import Markup, element, embedded_json, join
from axft_host.reports.page_data import page_data
from axft_host.reports.profiles import DIMENSIONS, Figures
from axft_host.reports.scales import percent
from axft_host.reports.tables import paper_notes, summary_facts
from axft_spec.errors import StoreError, exists_message

__all__ = ["report_page", "write_page"]

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("data.js", "array.js", "profiles.js", "controls.js")
_CLASSES = ("masked", "tolerable", "critical")
_METRIC_NAMES = {
    "masked": "masked %",
    "tolerable": "tolerable %",
    "critical": "critical %",
    "no_result": "no result %",
    "correct": "accuracy %",
}


def write_page(results: Sequence[tuple[str, Figures]], target: Path) -> int:
    """Write the page to a new file; return its size in bytes.

    Raises
    ------
    StoreError
        If the file exists (it stays as it is) or cannot be written.
    """
    page = report_page(results).encode()
    try:
        with target.open("xb") as file:
            file.write(page)
    except FileExistsError:
        raise StoreError(exists_message(target)) from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from None
    return len(page)


def report_page(results: Sequence[tuple[str, Figures]]) -> str:
    """Return the page for one or more results, each with what it is called."""
    style = Markup((_PAGE / "report.css").read_text(encoding="utf-8"))
    parts = ((_PAGE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    script = Markup('"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n")
    labels = ", ".join(label for label, _ in results)
    sections = [
        ("outcomes", "Outcomes", _outcomes(results)),
        ("energy", "Energy against critical rate", _energy(results)),
        ("explore", "Where faults hurt", _explorer(results)),
        ("accuracy", "Accuracy under fault", _accuracy(results)),
        ("numbers", "All numbers", _numbers(results)),
        ("method", "How to read this", _method(results)),
        ("provenance", "Where it comes from", _provenance(results)),
    ]
    shown = [(name, title, body) for name, title, body in sections if body is not None]
    links = [
        element("li", element("a", title, href=f"#{name}"), class_="needs-script" if name == "explore" else None)
        for name, title, _ in shown
    ]
    body = join(
        element("a", "Skip to the results", href="#main", class_="skip"),
        hatch_pattern(),
        element(
            "header",
            element("h1", "Fault-injection report"),
            element("p", _lead(results), class_="lead"),
            element("nav", element("ul", *links), aria_label="Sections"),
        ),
        element(
            "main",
            *(
                element(
                    "section",
                    element("h2", title, id=f"{name}-title"),
                    content,
                    id=name,
                    class_="needs-script" if name == "explore" else None,
                    aria_labelledby=f"{name}-title",
                )
                for name, title, content in shown
            ),
            id="main",
        ),
        element("footer", element("p", f"Made by axft-hw {own_version()}. This page loads nothing and sends nothing.")),
        element(
            "script",
            embedded_json({"results": [page_data(figures, label) for label, figures in results]}),
            type="application/json",
            id="data",
        ),
        element("script", script),
    )
    head = join(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Fault-injection report: {labels}"),
        # Without one, browsers ask a server for it.
        element("link", rel="icon", href="data:,"),
        element("style", style),
    )
    return f"<!doctype html>\n{element('html', element('head', head), element('body', body), lang='en')}\n"


def _policy(style: str, script: str) -> str:
    """Return a policy that forbids every load and every script but those in the page."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {source(script)}; style-src {source(style)}; img-src data:; "
        f"base-uri 'none'; form-action 'none'"
    )


def _lead(results: Sequence[tuple[str, Figures]]) -> str:
    parts = []
    for label, figures in results if len(results) == 1 else ():
        about = figures.about
        rows, cols = figures.shape
        parts = [
            f"{label} on {about.backend}: {about.network_name}, {figures.images:,} images of {about.dataset_name}, "
            f"{rows}x{cols} array, {about.lowering}, {figures.summary.faults:,} faults",
            f", {figures.summary.state}" if figures.summary.state != "complete" else "",
        ]
    return "".join(parts) or f"{len(results)} results, {sum(len(f.columns) for _, f in results):,} faults in all"


def _table(caption: str, heads: Iterable[object], rows: Iterable[Sequence[object]], *, class_: str = "") -> Markup:
    """Return a table whose first column names the rows, in a box that scrolls on narrow screens."""
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    table = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body), class_=class_ or None
    )
    return element("div", table, class_="scroll", tabindex=0, role="group", aria_label=caption)


def _details(summary: str, *content: Markup) -> Markup:
    """Return content that the script folds away; without one it is open."""
    return element("details", element("summary", summary), *content, open=True)


def _with_interval(interval: Interval | None) -> Markup:
    """Return a rate in percent, with its interval if that has a width."""
    if interval is None:
        return join("no fault")
    if not interval.known or interval.low == interval.high:
        return join(percent(interval.rate))
    bounds = f"{percent(interval.low)} to {percent(interval.high)}"
    return join(percent(interval.rate), " ", element("span", bounds, class_="interval"))


def _level(figures: Figures) -> str:
    return f"{100 * figures.about.confidence:g}% interval"


# --- outcomes and energy ------------------------------------------------------------------------------------


def _outcomes(results: Sequence[tuple[str, Figures]]) -> Markup:
    bars = [
        element("li", element("span", label, class_="bar-name"), outcome_bar(figures.summary))
        for label, figures in results
    ]
    figure = element("figure", element("ul", *bars, class_="bars"), legend(*((f"of-{c}", c) for c in _CLASSES)))
    tables = _outcomes_of_one(*results[0]) if len(results) == 1 else _outcomes_side_by_side(results)
    notes = [
        element("li", note if len(results) == 1 else f"{label}: {note}")
        for label, figures in results
        for note in (*_state_notes(figures), *paper_notes(figures.summary))
    ]
    return join(figure, tables, element("ul", *notes, class_="notes") if notes else None)


def _state_notes(figures: Figures) -> list[str]:
    summary = figures.summary
    if summary.faults == summary.provenance.faults:
        return []
    return [f"{summary.state}: {summary.faults:,} of {summary.provenance.faults:,} listed faults are done"]


def _outcomes_of_one(label: str, figures: Figures) -> Markup:
    summary, paper = figures.summary, published_row(figures.about)
    rows: list[list[object]] = []
    for name in _CLASSES:
        rate: Interval = getattr(summary, name)
        beside = [] if paper is None else [f"{getattr(paper, name):.2f}"]
        rows.append([name, percent(rate.rate), f"{percent(rate.low)} to {percent(rate.high)}", *beside])
    for status, share in summary.status_rates.items():
        name = status.value if status.value in ("hang", "crash") else status.name
        rows.append([name, percent(share), "", *([] if paper is None else [""])])
    heads = ["outcome", "%", _level(figures), *([] if paper is None else ["paper %"])]
    facts = [join(element("dt", name), element("dd", value)) for name, value in summary_facts(summary)]
    shown = _table(f"Outcomes of {label}", heads, rows), element("dl", *facts, class_="facts")
    return join(element("div", *shown, class_="columns"), _other_intervals(label, summary))


def _other_intervals(label: str, summary: Summary) -> Markup | None:
    """Return intervals that are shown for comparison, folded away."""
    if not summary.for_comparison:
        return None
    rows: list[list[object]] = [
        [name, *(f"{percent(made.low)} to {percent(made.high)}" for made in methods.values())]
        for name, methods in summary.for_comparison.items()
    ]
    caption = f"Other intervals of {label}, on effective counts, each on its own"
    table = _table(caption, ["outcome", "Wilson", "Clopper-Pearson"], rows)
    return _details("Other intervals, for comparison", table)


def _outcomes_side_by_side(results: Sequence[tuple[str, Figures]]) -> Markup:
    papers = [published_row(figures.about) for _, figures in results]
    with_paper = any(paper is not None for paper in papers)
    heads: list[object] = ["result", "faults", "images", "golden accuracy %", "accuracy under fault %"]
    for name in _CLASSES:
        heads += [f"{name} %", f"paper {name} %"] if with_paper else [f"{name} %"]
    missing = any("no_result" in figures.shown_metrics for _, figures in results)
    heads += ["hang %", "crash %"] if missing else []
    rows: list[list[object]] = []
    for (label, figures), paper in zip(results, papers, strict=True):
        summary = figures.summary
        accuracies = (figures.about.golden_accuracy, summary.faulty_accuracy)
        row: list[object] = [label, f"{summary.faults:,}", f"{summary.images:,}", *map(percent, accuracies)]
        for name in _CLASSES:
            row.append(_with_interval(getattr(summary, name)))
            if with_paper:
                row.append("-" if paper is None else f"{getattr(paper, name):.2f}")
        lost = [percent(share) for status, share in summary.status_rates.items() if status.value in ("hang", "crash")]
        rows.append(row + (lost if missing else []))
    levels = " and ".join(sorted({_level(figures) for _, figures in results}))
    return _table(f"Outcomes side by side; small: {levels}", heads, rows)


def _energy(results: Sequence[tuple[str, Figures]]) -> Markup | None:
    points = []
    for label, figures in results:
        energy, paper = energy_reduction(figures), published_row(figures.about)
        if energy is not None:
            published = None if paper is None else paper.critical / 100
            points.append(EnergyPoint(label=label, energy=energy, critical=figures.summary.critical, paper=published))
    if len(points) < 2:
        return None
    with_paper = any(point.paper is not None for point in points)
    marks = [("of-point", "this report, with intervals"), *([("of-paper", "paper")] if with_paper else [])]
    rows = [
        [
            point.label,
            percent(point.energy),
            _with_interval(point.critical),
            *([] if not with_paper else ["-" if point.paper is None else percent(point.paper)]),
        ]
        for point in points
    ]
    heads = ["result", "energy reduction %", "critical %", *(["paper critical %"] if with_paper else [])]
    note = (
        "Energy is saved against the 16-bit baseline, by a formula that was fitted to the study's column; it counts "
        "the multiplier's power as 19% of a PE."
    )
    return join(
        element(
            "figure",
            element("div", energy_chart(points), class_="scroll", tabindex=0, role="group", aria_label="Figure"),
            legend(*marks),
            element("figcaption", note),
        ),
        _details("Numbers of this figure", _table("Energy and critical rate", heads, rows)),
    )


# --- what the script fills ----------------------------------------------------------------------------------


def _explorer(results: Sequence[tuple[str, Figures]]) -> Markup:
    """Return the places that the script fills; the same numbers are in tables further down."""

    def select(name: str, text: str) -> Markup:
        return element("label", element("span", text), element("select", id=f"pick-{name}"), id=f"label-{name}")

    def number(name: str, text: str) -> Markup:
        field = element("input", type="number", id=f"pick-{name}", min=0, value=0, inputmode="numeric")
        return element("label", element("span", text), field)

    controls = element(
        "form",
        select("result", "Result") if len(results) > 1 else None,
        select("metric", "Show"),
        *(select(name, title) for name, title in (("site", "Site"), ("kind", "Kind"), ("bit", "Bit"))),
        select("layer", "Layer"),
        element("button", "Reset filters", type="button", id="reset"),
        class_="controls",
        aria_label="What the figures below show",
    )
    choose = element(
        "form",
        number("row", "Row"),
        number("col", "Column"),
        element("button", "Select PE", type="submit"),
        class_="controls",
        id="choose",
        aria_label="Select a PE by its place",
    )
    heat = element(
        "figure",
        element("h3", "The array", id="heat-title"),
        element("div", id="heat", class_="scroll-plain"),
        element("div", id="heat-legend", class_="legend"),
        element(
            "figcaption",
            "One square per PE, rows from the top, columns from the left. Arrow keys move, Enter selects. A hatched "
            "PE had no fault in the sample, which is not the same as 0 %. Single PEs have few faults and no interval.",
        ),
    )
    panel = element(
        "div",
        element("h3", "Selected PE", id="pe-title"),
        choose,
        element("div", id="pe", aria_live="polite"),
        class_="panel",
    )
    return join(
        controls,
        element("p", id="filtered", role="status"),
        element("div", heat, panel, class_="columns wide"),
        element("div", id="profiles"),
        element("div", id="tip", hidden=True, aria_hidden="true"),
    )


# --- text for everybody -------------------------------------------------------------------------------------


def _accuracy(results: Sequence[tuple[str, Figures]]) -> Markup:
    parts = []
    for label, figures in results:
        bins = figures.accuracy_bins()
        if not sum(bins.faults):
            continue
        edges = zip(bins.edges, bins.edges[1:], bins.faults, strict=False)
        rows = [[f"{percent(low, 0)} to {percent(high, 0)}", f"{count:,}"] for low, high, count in edges if count]
        columns = figures.columns
        worst = [
            [
                figures.text(place),
                percent(columns.correct[place] / figures.images),
                percent(columns.critical[place] / figures.images),
                f"{columns.activated[place]:,}",
            ]
            for place in figures.worst()
        ]
        content = [
            element(
                "figure",
                accuracy_histogram(bins, figures.about.golden_accuracy),
                element("figcaption", "How many of the faults that ran left which top-1 accuracy; logarithmic counts."),
            ),
            _details("Numbers of this figure", _table(f"Faults by accuracy, {label}", ["accuracy %", "faults"], rows)),
        ]
        if worst:
            heads = ["fault", "accuracy %", "critical %", "activated"]
            title = "The faults that hurt accuracy most"
            content.append(_details(title, _table(f"{title}, {label}", heads, worst)))
        parts.append(element("article", element("h3", label) if len(results) > 1 else None, *content))
    return element("div", *parts, class_="pairs" if len(parts) > 1 else None)


def _numbers(results: Sequence[tuple[str, Figures]]) -> Markup:
    return join(
        *(
            _details(
                label,
                element("p", f"Intervals: {_level(figures)}; {figures.group_method}."),
                *(
                    _group_table(label, figures, name)
                    for name, groups in figures.values.items()
                    if groups and name in DIMENSIONS
                ),
                _pe_table(label, figures),
            )
            for label, figures in results
        )
    )


def _group_table(label: str, figures: Figures, dimension: str) -> Markup:
    metrics = figures.shown_metrics
    rows = []
    for group in figures.profile(dimension):
        count = f"{group.faults:,}" if group.population is None else f"{group.faults:,} of {group.population:,}"
        rates = [_with_interval(group.rates.get(name)) for name in metrics]
        rows.append([group.label, count, *rates, f"{group.activated:,}"])
    heads = [DIMENSIONS[dimension], "faults", *(_METRIC_NAMES[name] for name in metrics), "activated faults"]
    return _table(f"{label} by {DIMENSIONS[dimension]}", heads, rows)


def _pe_table(label: str, figures: Figures) -> Markup:
    grid = figures.pes
    rows, cols = figures.shape
    cells = [
        [
            row,
            *(
                f"{percent(grid.rates['critical'][row, col], 1)} ({grid.faults[row, col]})"
                if not math.isnan(grid.rates["critical"][row, col])
                else "none"
                for col in range(cols)
            ),
        ]
        for row in range(rows)
    ]
    caption = f"{label}: critical % at every PE (faults that ran there), rows by columns"
    return _table(caption, ["row", *range(cols)], cells, class_="dense")


_ABOUT = {
    "listed": "the images that ran",
    "population": "endlessly many images, of which those that ran are a random sample; groups: the images that ran",
}


def _method(results: Sequence[tuple[str, Figures]]) -> Markup:
    overall = sorted({figures.summary.interval_method for _, figures in results})
    groups = sorted({figures.group_method for _, figures in results})
    terms = [
        ("masked", "The final accumulators under the fault are those of the golden run."),
        ("tolerable", "The same top-1 class, and at least 95% of its score."),
        ("critical", "Another class, or less than 95% of the score."),
        ("OK, SDC", "Masked; tolerable or critical: silent data corruption."),
        (
            "rates",
            "Over the whole fault space where the faults were drawn from one; else over the faults of the list. The "
            "fault is the unit: the images under one fault are not independent.",
        ),
        ("intervals of the outcome table", "; ".join(overall)),
        ("intervals of bits, sites, kinds, layers, rows, columns", "; ".join(groups)),
        (
            "rates are about",
            "; ".join(sorted({_ABOUT[figures.summary.target] for _, figures in results})),
        ),
        (
            "several groups at a time",
            "Every interval holds on its own at its level. Among many groups shown together some do not.",
        ),
        (
            "why groups do not add up to the outcome table",
            "The table enters faults that are masked with certainty by their exact number; groups are means of the "
            "faults that were drawn. A fault of several bits counts in the group of each.",
        ),
        (
            "accuracy under fault",
            "In the outcome table estimated for the fault space like the rates, in the histogram counted over the "
            "faults that ran.",
        ),
        ("paper", "The row of the published study as printed; the notes say where a campaign differs from it."),
    ]
    return element("dl", *(join(element("dt", term), element("dd", text)) for term, text in terms), class_="terms")


def _provenance(results: Sequence[tuple[str, Figures]]) -> Markup:
    parts = []
    for place, (label, figures) in enumerate(results):
        values = {"store": figures.summary.store, **figures.meta}
        rows = [[key, element("code", _told(value))] for key, value in values.items()]
        copy = element("button", "Copy as JSON", type="button", class_="copy needs-script", data_result=place)
        parts.append(_details(label, copy, _table(f"What the store records of {label}", ["key", "value"], rows)))
    return join(*parts, element("p", id="copied", role="status"))


def _told(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
