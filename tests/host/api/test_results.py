"""What a result shows, against its report and its store."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

import axft
from axft_spec.errors import ConfigError, StoreError
from support.command_line import invoke


class Balanced(HTMLParser):
    """Checks that every element that opens also closes, and collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Open."""
        if tag != "input":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect."""
        self.text += data + " "


def text_of(html: str) -> str:
    """Return the text of well-formed HTML."""
    parser = Balanced()
    parser.feed(html)
    assert not parser.open
    return parser.text


def test_profile_is_that_of_the_report(result: axft.Result) -> None:
    """Group by group, the numbers of ``report --json``."""
    said = invoke("report", str(result.directory), "--json")
    theirs = json.loads(said.stdout)["results"][0]["profiles"]["bit"]
    mine = result.profile("bit")
    assert mine["faults"].tolist() == [group["faults"] for group in theirs]
    for name in ("masked", "critical"):
        assert mine[f"{name}_high"].tolist() == [group[name]["high"] for group in theirs]


def test_shown_result_has_its_rates(result: axft.Result) -> None:
    """With intervals, and where it is."""
    text = text_of(result._repr_html_())
    assert f"{100 * result.rates.loc['critical', 'rate']:.2f}" in text
    assert "30 faults on 12 images each" in text
    assert str(result.directory) in text


def test_report_is_the_page_that_the_command_writes(result: axft.Result, place: Path) -> None:
    """Byte by byte, in the notebook and in the file."""
    made = axft.report(result, html="mine.html")
    assert invoke("report", str(result.directory), "--html", "theirs.html").exit_code == 0
    assert (place / "mine.html").read_text() == (place / "theirs.html").read_text() == made.page
    assert made.files == (Path("mine.html"),)
    assert text_of(made._repr_html_()) == ""
    with pytest.raises(ConfigError, match=r"mine\.html exists"):
        axft.report(result, html="mine.html")
    with pytest.raises(ConfigError, match="one result or more"):
        axft.report()


def test_unknown_dimension_and_missing_results_say_what_is_there(result: axft.Result) -> None:
    """And what is allowed."""
    with pytest.raises(ConfigError, match="site, kind, bit"):
        result.profile("colour")
    with pytest.raises(StoreError, match="nothing-here"):
        axft.open_result("nothing-here")
    assert axft.open_result(result.directory).rates.equals(result.rates)
