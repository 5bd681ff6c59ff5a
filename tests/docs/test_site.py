"""The site builds without a warning, fetches nothing, and says what the code says."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

import axft
import axft_host.api
from axft_host.cli.main import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site, built where nothing can be fetched; a warning is an error."""
    pytest.importorskip("material", reason="mkdocs-material, which builds the site, is not installed")
    made = tmp_path_factory.mktemp("site")
    # A proxy that nobody answers at: what would fetch something fails.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(made)],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    assert "WARNING" not in build.stderr
    return made


class Loads(HTMLParser):
    """Collects what a page loads by itself, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one."""
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video") and values.get("src"):
            self.loads.append(values["src"] or "")
        if tag == "link" and values.get("rel") not in ("canonical", "prev", "next") and values.get("href"):
            self.loads.append(values["href"] or "")
        if tag == "a" and values.get("href"):
            self.links.append(values["href"] or "")


def read(page: Path) -> Loads:
    """Return what a page loads and links to."""
    found = Loads()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures are the site's own, and lie there; so do files that styles name."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 35
    for page in pages:
        for load in read(page).loads:
            assert not re.match(r"(?:[a-z]+:)?//", load), f"{page} loads {load}"
            place = site / load[1:] if load.startswith("/") else page.parent / load
            assert place.resolve().is_file(), f"{page} loads {load}"
    for style in site.rglob("*.css"):
        for url in re.findall(r"url\(([^)]*)\)", style.read_text(encoding="utf-8")):
            assert url.strip("'\"").startswith("data:"), f"{style} loads {url}"


def test_links_inside_the_site_lead_somewhere(site: Path) -> None:
    """Also those of generated pages; and to a place on the page that is there."""
    ids: dict[Path, set[str]] = {}
    for page in site.rglob("*.html"):
        for link in read(page).links:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link) or page.name == "404.html":
                continue
            target = (page.parent / path).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{page.relative_to(site)} leads to {link}"
            if anchor and target.suffix == ".html":
                if target not in ids:
                    ids[target] = set(re.findall(r'\bid="?([^"\s>]+)', target.read_text(encoding="utf-8")))
                assert anchor in ids[target], f"{page.relative_to(site)} leads to {link}"


def test_comments_for_tests_are_not_on_the_site(site: Path) -> None:
    """They are nobody's business there."""
    for page in site.rglob("*.html"):
        assert "<!-- test:" not in page.read_text(encoding="utf-8"), page


def test_search_knows_the_pages(site: Path) -> None:
    """Of a word that one page alone explains."""
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert any("SCRATCH" in entry["text"] and "regmap" in entry["location"] for entry in index["docs"])


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command and group below a group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield (*path, name), found
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))


def text_of(page: Path) -> str:
    """Return the words of a page's article, one space between them."""
    body = page.read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
    plain = re.sub(r"<[^>]*>", "", body)
    for name, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        plain = plain.replace(name, char)
    return " ".join(plain.split())


def test_every_command_and_option_is_on_its_page(site: Path) -> None:
    """With its help, word for word."""
    page = text_of(site / "reference" / "commands.html")
    for path, command in commands(cli):
        assert f"axft-hw {' '.join(path)}" in page
        for param in command.params:
            if isinstance(param, click.Option) and param.help:
                assert max(param.opts, key=len) in page
                assert " ".join(param.help.replace("`", "").split()) in page, param.opts


def test_every_name_of_the_package_is_on_its_page(site: Path) -> None:
    """With its parameters."""
    page = text_of(site / "reference" / "python.html")
    for name in set(axft.__all__) - {"figures", "__version__"}:
        assert f"axft.{name}" in page
    for name in axft.figures.__all__:
        assert f"axft.figures.{name}" in page
    assert "fault_list" in page
    assert "Rates of the three classes with their intervals" in page


@pytest.mark.parametrize("module", [each.name for each in pkgutil.iter_modules(axft_host.api.__path__)])
def test_examples_in_docstrings_are_right(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are on the site."""
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(f"axft_host.api.{module}")).failed == 0
