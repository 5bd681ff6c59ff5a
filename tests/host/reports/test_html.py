"""The page: complete in itself, escaped, and readable without its script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from axft_host.campaign.export import fault_table
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.summary import summarise
from axft_host.reports.html import report_page, write_page
from axft_host.reports.labels import result_labels
from axft_host.reports.profiles import read_figures
from axft_spec.errors import StoreError
from support.small_campaign import small_plan
from support.synthetic_store import synthetic_store

VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """A page as Python's own parser sees it; fails on elements that are not closed in order.

    Members
    -------
    elements : list of (str, dict)
        Names and attributes, in order.
    tables : list of (str, list of list of str)
        Captions with the texts of the cells.
    inside : dict of str to list of str
        Text directly inside of all elements of a name.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[tuple[str, list[list[str]]]] = []
        self.inside: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append(("", []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Close it."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep text."""
        if not self._open:
            return
        self.inside.setdefault(self._open[-1], []).append(data)
        if self._open[-1] == "caption":
            self.tables[-1] = (data, self.tables[-1][1])
        elif {"th", "td"} & set(self._open):
            self.tables[-1][1][-1][-1] += data

    def data(self) -> dict[str, Any]:
        """Return what the script works on."""
        texts = [text for text in self.inside["script"] if text.startswith("{")]
        value: dict[str, Any] = json.loads(texts[0])
        return value


def page_of(*results: Path) -> Page:
    """Return the page of some results."""
    figures = [read_figures(result) for result in results]
    return Page(report_page(list(zip(result_labels(figures), figures, strict=True))))


def test_page_refers_to_nothing_outside(drawn: Path) -> None:
    """No address, no file; links lead to places in the page."""
    page = page_of(drawn)
    links = [(tag, name, value) for tag, found in page.elements for name, value in found.items()]
    for tag, name, value in links:
        if name in ("src", "href", "action", "data", "poster", "srcset", "xlink:href"):
            assert str(value).startswith("#") or (tag, value) == ("link", "data:,")
    identifiers = {found["id"] for _, found in page.elements if "id" in found}
    assert {str(value)[1:] for tag, name, value in links if (tag, name) == ("a", "href")} <= identifiers
    assert "@import" not in page.inside["style"][0]
    assert not re.search(r"url\((?!#)", page.inside["style"][0])


def test_policy_allows_the_pages_own_script_and_style_alone(drawn: Path) -> None:
    """By their hashes; nothing can be loaded or sent, and no attribute holds code or style."""
    page = page_of(drawn)
    (policy,) = [str(a["content"]) for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    (script,) = [text for text in page.inside["script"] if not text.startswith("{")]
    for kind, text in (("script-src", script), ("style-src", page.inside["style"][0])):
        assert rules[kind] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert rules["img-src"] == "data:"
    names = {name for _, found in page.elements for name in found}
    assert not {name for name in names if name == "style" or name.startswith("on")}


def test_names_from_a_store_never_become_markup(nasty: Path, drawn: Path) -> None:
    """They are shown as they are, and the page has the elements that it has without them."""
    page, plain = page_of(nasty), page_of(drawn)
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert "img" not in {tag for tag, _ in page.elements}
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements} | {"ul", "li"}
    nasty_text = page.data()["results"][0]["label"]
    assert nasty_text.startswith("<img src=x onerror=")
    assert any(nasty_text in text for text in page.inside["caption"])
    assert nasty_text in page.inside["code"][0] or any(nasty_text in text for text in page.inside["code"])
    # Two of them, and a number that must be told apart.
    both = page_of(nasty, drawn)
    assert "img" not in {tag for tag, _ in both.elements}


def table(page: Page, beginning: str) -> list[list[str]]:
    """Return the cells of the table whose caption begins so."""
    (cells,) = [rows for caption, rows in page.tables if caption.startswith(beginning)]
    return cells


def test_tables_hold_the_figures_without_the_script(drawn: Path) -> None:
    """Outcomes as in the summary, bits and PEs as in the exported rows."""
    page, summary, rows = page_of(drawn), summarise(drawn), fault_table(drawn)
    outcomes = {row[0]: row[1:] for row in table(page, "Outcomes of")}
    low, high = 100 * summary.critical.low, 100 * summary.critical.high
    assert outcomes["critical"] == [f"{100 * summary.critical.rate:.2f}", f"{low:.2f} to {high:.2f}"]
    bits = {row[0]: row for row in table(page, "8P by bit")}
    for bit, chosen in rows.groupby("bit"):
        assert bits[str(bit)][1] == f"{len(chosen)} of 24"
        assert bits[str(bit)][4].split(" ")[0] == f"{100 * chosen['critical'].mean() / 12:.2f}"
    grid = table(page, "8P: critical % at every PE")
    assert [len(row) for row in grid] == [4] * 5
    for (row, col), chosen in rows.groupby(["row", "col"]):
        assert grid[row + 1][col + 1] == f"{100 * chosen['critical'].mean() / 12:.1f} ({len(chosen)})"


def test_tables_are_tables(drawn: Path, transient: Path) -> None:
    """Every one has a caption, and heads with a scope; every figure has a text alternative."""
    page = page_of(drawn, transient)
    assert all(caption for caption, _ in page.tables)
    assert {found.get("scope") for tag, found in page.elements if tag == "th"} == {"col", "row"}
    for tag, found in page.elements:
        if tag == "svg":
            assert found.get("aria-hidden") == "true" or (found["role"] == "img" and found["aria-label"])


def test_several_results_stand_side_by_side(tmp_path: Path) -> None:
    """With the figure of energy against critical rate, and a table of its numbers."""
    results = []
    for config in ("Baseline", "8P", "34P"):
        plan = small_plan(tmp_path, workload={"config": config}, faults={"faults": 20})
        results.append(run_campaign(plan, tmp_path / config).store.parent)
    page = page_of(*results)
    assert [row[0] for row in table(page, "Outcomes side by side")[1:]] == ["Baseline", "8P", "34P"]
    energy = {row[0]: row[1] for row in table(page, "Energy and critical rate")[1:]}
    assert energy == {"Baseline": "0.00", "8P": "50.00", "34P": "54.95"}
    (scatter,) = [found for tag, found in page.elements if found.get("class") == "scatter"]
    assert str(scatter["aria-label"]).startswith("Energy reduction against critical rate: Baseline 0.0 % and")


def test_data_of_the_script_are_the_exported_rows(listed: Path, transient: Path) -> None:
    """Columns that have one value are that value."""
    for path in (listed, transient):
        (result,) = page_of(path).data()["results"]
        rows = fault_table(path)

        def spread(column: list[int] | int, count: int) -> list[int]:
            return column if isinstance(column, list) else [column] * count

        for name in ("masked", "critical", "correct", "activated"):
            assert spread(result["columns"][name], len(rows)) == list(rows[name])
        assert spread(result["columns"]["layer"], len(rows)) == list(rows["layer"].fillna(-1))
        armed = result["armed"]
        first = range(len(rows)) if armed["fault"] is None else [armed["fault"].index(i) for i in range(len(rows))]
        assert [armed["pe"][i] for i in first] == list(rows["row"] * 3 + rows["col"])
        assert [spread(armed["bit"], len(armed["pe"]))[i] for i in first] == list(rows["bit"])


def test_ten_thousand_faults_stay_below_a_megabyte_and_a_half(tmp_path: Path) -> None:
    """The page is sent around by mail."""
    size = write_page([("8P", read_figures(synthetic_store(tmp_path)))], tmp_path / "page.html")
    assert size == (tmp_path / "page.html").stat().st_size
    assert size < 1_500_000


def test_page_does_not_overwrite(drawn: Path, tmp_path: Path) -> None:
    """What is there stays."""
    target = tmp_path / "page.html"
    target.write_text("mine")
    with pytest.raises(StoreError, match="exists and is not overwritten"):
        write_page([("8P", read_figures(drawn))], target)
    assert target.read_text() == "mine"


def test_same_result_gives_the_same_page(drawn: Path) -> None:
    """No date, no random part."""
    first, second = (report_page([("8P", read_figures(drawn))]) for _ in range(2))
    assert first == second
