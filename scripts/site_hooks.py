"""Hooks of the documentation site: pages made from the code, pages and files from elsewhere in the repository.

MkDocs calls the functions by their names (https://www.mkdocs.org/user-guide/configuration/#hooks).
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for _source in ("scripts", "host", "hw"):
    if str(ROOT / _source) not in sys.path:
        sys.path.insert(0, str(ROOT / _source))

from site_reference import commands_page, decisions_page, python_page  # noqa: E402  # found above

from axft_spec.regmap import regmap_markdown  # noqa: E402

#: Pages that lie elsewhere, because people look for them there, and what the site calls them.
ELSEWHERE = {
    "bitstreams/README.md": "reference/bitstreams.md",
    "fi_campaigns/README.md": "reference/campaign-files.md",
    "labs/README.md": "labs.md",
    "models/lenet5/README.md": "concepts/lenet5.md",
    "models/vgg/README.md": "concepts/vgg.md",
}

#: Where files of the repository that pages point to are put.
SOURCE = "source"

_TEST = re.compile(r"^ *<!-- test: .*?-->\n", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)(\[[^\]]*\]\()([^)\s#]+)(#[^)\s]*)?(\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made, those from elsewhere, and the files that pages point to."""
    from mkdocs.structure.files import File

    def add(path: str, content: str) -> None:
        files.append(File.generated(config, path, content=content))

    add("reference/commands.md", commands_page())
    add("reference/python.md", python_page())
    add("extending/decisions.md", decisions_page(ROOT / "docs" / "decisions"))
    for path, name in ELSEWHERE.items():
        add(name, _moved((ROOT / path).read_text(encoding="utf-8"), path, name))
    wanted: set[str] = set()
    for page in [*(ROOT / "docs").rglob("*.md"), *(ROOT / path for path in ELSEWHERE)]:
        wanted |= set(_outside(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix()))
    for path in sorted(wanted):
        files.append(File.generated(config, f"{SOURCE}/{path}", content=(ROOT / path).read_bytes()))
    assert regmap_markdown() == (ROOT / "docs" / "reference" / "regmap.md").read_text(encoding="utf-8")
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Take comments for tests out, and lead links to other parts of the repository to where these are on the site."""
    path = page.file.src_uri
    if path not in ELSEWHERE.values():
        markdown = _moved(markdown, f"docs/{path}", path)
    return _TEST.sub("", markdown)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Have the empty heads of tables without a title for a column be no heads."""
    return html.replace("<th></th>", "<td></td>")


def _target(link: str, page: str) -> str | None:
    """Return the path in the repository that a link of a page means; None if it is elsewhere."""
    if re.match(r"[a-z]+:", link):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    return None if path.startswith("..") else path


def _outside(text: str, page: str) -> list[str]:
    """Return the files of the repository, other than pages of the site, that a page points to."""
    found = []
    for match in _LINK.finditer(text):
        path = _target(match[2], page)
        if path is not None and not path.startswith("docs/") and path not in ELSEWHERE and (ROOT / path).is_file():
            found.append(path)
    return found


def _moved(text: str, page: str, name: str) -> str:
    """Return the text of a page whose links are right at another place.

    Parameters
    ----------
    text : str
    page : str
        Its path in the repository.
    name : str
        Its path on the site.
    """

    def replaced(match: re.Match[str]) -> str:
        path = _target(match[2], page)
        if path is None:
            return match[0]
        if path in ELSEWHERE:
            path = ELSEWHERE[path]
        elif path.startswith("docs/"):
            path = path.removeprefix("docs/")
        elif (ROOT / path).is_file():
            path = f"{SOURCE}/{path}"
        else:
            # A link to nothing stays one, and fails the build.
            return match[0]
        link = posixpath.relpath(path, posixpath.dirname(name) or ".")
        return f"{match[1]}{link}{match[3] or ''}{match[4]}"

    return _LINK.sub(replaced, text)
