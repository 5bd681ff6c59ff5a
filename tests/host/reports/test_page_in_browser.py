"""The page in a real browser: quiet, offline, fast, and its figures follow mouse, keyboard and filters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from axft_host.campaign.export import fault_table
from axft_host.reports.html import write_page
from axft_host.reports.labels import result_labels
from axft_host.reports.profiles import read_figures
from support.chromium import Browser, find_chromium, texts
from support.synthetic_store import synthetic_store

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here; set AXFT_CHROMIUM to its path")

CELL = "#heat [role=gridcell]"


def page_of(directory: Path, *results: Path) -> Path:
    """Write the page of some results."""
    figures = [read_figures(result) for result in results]
    target = directory / "page.html"
    write_page(list(zip(result_labels(figures), figures, strict=True)), target)
    return target


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Return the page of 10,000 faults on 28 x 28 PEs, and their exported rows."""
    directory = tmp_path_factory.mktemp("large")
    result = synthetic_store(directory)
    return page_of(directory, result), fault_table(result)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a running browser."""
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def browser(program: Browser) -> Iterator[Browser]:
    """Return the browser with a desktop window; after the test, the page has neither complained nor asked for more."""
    program.view(1280, 900)
    yield program
    assert program.complaints == []
    assert [request for request in program.requests if not request.startswith("file:")] == []
    assert len(program.requests) == 1


def pick(browser: Browser, name: str, value: str) -> None:
    """Choose in one of the selects."""
    browser.run(
        f"(() => {{ const e = document.getElementById('pick-{name}'); e.value = '{value}';"
        "e.dispatchEvent(new Event('change')); })()"
    )


def labels(browser: Browser) -> list[str]:
    """Return what every PE is called, row by row."""
    found: list[str] = browser.run(f"[...document.querySelectorAll('{CELL}')].map((e) => e.getAttribute('aria-label'))")
    return found


def check_labels(told: list[str], rows: pd.DataFrame, of: str = "") -> None:
    """Hold what PEs are called against the critical rates of exported rows, each of 100 images."""
    groups = rows.groupby(["row", "col"])["critical"].agg(["mean", "count"])
    for pe, text in enumerate(told):
        place = divmod(pe, 28)
        beginning = f"row {place[0]}, column {place[1]}: "
        if place in groups.index:
            mean, count = groups.loc[place]
            found = re.fullmatch(rf"critical rate ([\d.]+) %, (\d+){of} faults?", text.removeprefix(beginning))
            assert found is not None
            assert float(found[1]) == pytest.approx(mean, abs=0.0051)
            assert int(found[2]) == count
        else:
            assert text == f"{beginning}no sampled fault"
    assert len(told) == 784


def test_page_of_ten_thousand_faults_opens_in_two_seconds(browser: Browser, large: tuple[Path, pd.DataFrame]) -> None:
    """Until it is drawn; the best of three, as the machine may be busy."""
    assert min(browser.open(large[0]) for _ in range(3)) < 2


def test_array_shows_the_exported_rows(browser: Browser, large: tuple[Path, pd.DataFrame]) -> None:
    """All PEs, then those faults alone that a filter leaves."""
    page, rows = large
    browser.open(page)
    check_labels(labels(browser), rows, " of 16")
    pick(browser, "bit", "6")
    pick(browser, "kind", "2")
    left = rows[(rows["bit"] == 6) & (rows["kind"] == "stuck_at_1")]
    check_labels(labels(browser), left)
    assert texts(browser, "#filtered") == [f"{len(left)} of 10,000 faults shown"]
    none = browser.run(f"document.querySelectorAll('{CELL}.none').length")
    assert none == 784 - len(left.groupby(["row", "col"])) > 0


def test_pe_without_a_fault_does_not_look_like_one_of_zero(browser: Browser, large: tuple[Path, pd.DataFrame]) -> None:
    """It is hatched and holds no number; the other one has a plain colour and a 0."""
    browser.open(large[0])
    pick(browser, "bit", "0")
    pick(browser, "kind", "1")
    look = (
        "(e) => { const s = getComputedStyle(e);"
        "return [s.backgroundImage.startsWith('repeating-linear-gradient'), getComputedStyle(e, '::after').content]; }"
    )
    assert browser.run(f"({look})(document.querySelector('{CELL}.none'))") == [True, '""']
    zero = f"[...document.querySelectorAll('{CELL}')].find((e) => e.ariaLabel.includes('rate 0.00 %'))"
    assert browser.run(f"({look})({zero})") == [False, '"0"']


def test_profiles_follow_the_filters_with_their_intervals(browser: Browser, large: tuple[Path, pd.DataFrame]) -> None:
    """The table below the bits holds the figures of Python for one polarity."""
    page, rows = large
    browser.open(page)
    pick(browser, "kind", "1")
    figures = read_figures(page.parent / "synthetic-8P")
    cells = texts(browser, "#profiles [data-of=bit] tbody td")
    for bit in range(8):
        group = figures.group(kind=1, bit=bit)
        rate = group.rates["critical"]
        interval = f"{100 * rate.low:.2f} to {100 * rate.high:.2f}"
        assert cells[3 * bit] == f"{group.faults} of 784"
        assert float(cells[3 * bit + 1]) == pytest.approx(100 * rate.rate, abs=0.0051)
        assert [float(part) for part in cells[3 * bit + 2].split(" to ")] == pytest.approx(
            [float(part) for part in interval.split(" to ")], abs=0.0101
        )
    # Rows have no intervals under a filter, and say so.
    assert any("no intervals are computed" in text for text in texts(browser, "#profiles figcaption"))
    means = texts(browser, "#profiles [data-of=row] tbody td")
    left = rows[(rows["kind"] == "stuck_at_0") & (rows["row"] == 3)]
    assert means[9:12] == [str(len(left)), f"{left['critical'].mean():.2f}", "-"]


def test_mouse_shows_and_selects_a_pe(browser: Browser, large: tuple[Path, pd.DataFrame]) -> None:
    """Hovering tells its figures, a click lists its faults, the worst one first."""
    page, rows = large
    browser.open(page)
    browser.point(f"{CELL}[data-pe='61']", click=False)
    assert texts(browser, "#tip")[0].startswith("PE row 2, column 5critical rate")
    assert browser.run("document.getElementById('tip').hidden") is False
    browser.point(f"{CELL}[data-pe='61']", click=True)
    here = rows[(rows["row"] == 2) & (rows["col"] == 5)]
    assert set(texts(browser, "#pe tbody th")) == set(here["fault"])
    shown = [float(text) for text in texts(browser, "#pe tbody td:nth-child(3)")]
    assert shown == sorted(here["critical"].astype(float), reverse=True)
    assert browser.run(f"document.querySelector('{CELL}[data-pe=\"61\"]').ariaSelected") == "true"


def test_keyboard_moves_and_selects(browser: Browser, large: tuple[Path, pd.DataFrame]) -> None:
    """One stop for the tabulator, arrows within, Enter to select, Escape to take the hint away."""
    browser.open(large[0])
    assert browser.run(f"document.querySelectorAll('{CELL}[tabindex=\"0\"]').length") == 1
    browser.run(f"document.querySelector('{CELL}[tabindex=\"0\"]').focus()")
    browser.press("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp")
    # The last step would leave the array, and does nothing.
    assert browser.run("document.activeElement.dataset.pe") == "1"
    browser.press("Enter")
    assert texts(browser, "#pe strong") == ["PE row 0, column 1"]
    assert browser.run(f"document.querySelectorAll('{CELL}[tabindex=\"0\"]').length") == 1
    browser.press("Escape")
    assert browser.run("document.getElementById('tip').hidden") is True
    # The other way, by its place.
    browser.run("document.getElementById('pick-row').value = 27; document.getElementById('choose').requestSubmit()")
    assert texts(browser, "#pe strong") == ["PE row 27, column 1"]


def test_results_can_be_changed(browser: Browser, drawn: Path, transient: Path, listed: Path, tmp_path: Path) -> None:
    """Filters that a result has no values for go away, and the array is drawn anew."""
    browser.open(page_of(tmp_path, drawn, transient, listed))
    assert browser.run("document.getElementById('label-layer').hidden") is True
    pick(browser, "metric", "drop")
    pick(browser, "result", "1")
    assert browser.run("document.getElementById('label-layer').hidden") is False
    assert browser.run("document.getElementById('label-kind').hidden") is True
    assert len(labels(browser)) == 12
    pick(browser, "layer", "1")
    count = sum(fault_table(transient)["layer"] == 1)
    assert texts(browser, "#filtered") == [f"{count} of 150 faults shown"]
    pick(browser, "result", "2")
    browser.run("document.getElementById('reset').click()")
    assert texts(browser, "#filtered") == ["6 of 6 faults shown"]
    # A fault of two PEs is a fault of both.
    browser.point(f"{CELL}[data-pe='7']", click=True)
    assert texts(browser, "#pe tbody th") == ["weight:r0:c1:b6+weight:r2:c1:b6:sa1"]


def test_names_from_a_store_do_not_run(browser: Browser, nasty: Path, drawn: Path, tmp_path: Path) -> None:
    """Neither from the tables nor from what the script draws."""
    browser.open(page_of(tmp_path, nasty, drawn))
    pick(browser, "result", "1")
    pick(browser, "result", "0")
    browser.run("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    assert browser.run("typeof window.hit") == "undefined"
    assert browser.run("document.images.length") == 0
    assert texts(browser, "#pick-result option")[0].startswith("<img src=x onerror=")


def test_page_without_scripts_has_open_tables(browser: Browser, drawn: Path, tmp_path: Path) -> None:
    """And not the parts that a script would fill."""
    browser.view(1280, 900, scripts=False)
    page = page_of(tmp_path, drawn)
    # Nothing can be asked of a page without scripts but what it looks like to assistive programs.
    browser.open(page, drawn=False)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    names = {node.get("name", {}).get("value") for node in nodes if not node.get("ignored")}
    browser.view(1280, 900)
    assert "8P by bit" in names
    assert "8P: critical % at every PE (faults that ran there), rows by columns" in names
    assert "Reset filters" not in names


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_page_fits_its_window(browser: Browser, large: tuple[Path, pd.DataFrame], width: int, dark: bool) -> None:
    """Wide parts scroll on their own; text has the colour of the scheme."""
    browser.view(width, 800, dark=dark)
    browser.open(large[0])
    browser.run("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    ground = browser.run("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")


def test_provenance_can_be_copied(browser: Browser, drawn: Path, tmp_path: Path) -> None:
    """Where the clipboard is out of reach, the text is there to be copied."""
    browser.open(page_of(tmp_path, drawn))
    browser.run("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    browser.run("document.querySelector('#provenance details').open = true")
    browser.point("button.copy", click=True)
    browser.run("new Promise((done) => setTimeout(done, 50))")
    copied = browser.run("JSON.parse(document.querySelector('textarea').value).fault_list_digest")
    assert copied == read_figures(drawn).about.fault_list_digest


def test_page_can_reach_nothing(program: Browser, drawn: Path, tmp_path: Path) -> None:
    """Its policy refuses what a script might try."""
    program.open(page_of(tmp_path, drawn))
    assert program.run("fetch('data:,x').then(() => 'reached', () => 'refused')") == "refused"
    assert (
        program.run(
            "new Promise((done) => { const i = new Image(); i.onerror = () => done('refused');"
            "i.onload = () => done('reached'); i.src = 'file:///usr/share/pixmaps/x.png'; })"
        )
        == "refused"
    )
