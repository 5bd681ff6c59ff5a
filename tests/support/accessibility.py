"""Check pages with axe-core, by hand: ``python tests/support/accessibility.py axe.min.js PAGE...``.

axe-core is no dependency: ``npm install axe-core`` anywhere, and name its file. Prints what it finds with every table
open, at desktop and phone width, in light and dark; exits with 1 if it finds anything.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.chromium import Browser

_RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"
_FINDINGS = (
    f"axe.run({{runOnly: {_RULES}}}).then((result) => result.violations.map((found) =>"
    " `${found.impact}: ${found.id}, ${found.nodes.length} times, first ${found.nodes[0].html.slice(0, 200)}`))"
)


def main() -> int:
    """Check the pages of the command line."""
    axe, *pages = map(Path, sys.argv[1:])
    failed = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Browser(Path(profile)) as browser:
        for page in pages:
            for width, dark in ((1280, False), (1280, True), (390, False), (390, True)):
                browser.view(width, 900, dark=dark)
                browser.open(page)
                # The site's pages remember whether they were light or dark, whatever the system says next. Colours
                # that are on their way from one to the other are none of a page's.
                browser.run(
                    "document.head.append(Object.assign(document.createElement('style'), "
                    "{textContent: '* { transition: none !important; }'}))"
                )
                data, scheme = "document.body.dataset", "slate" if dark else "default"
                browser.run(f"if ({data}.mdColorScheme) {data}.mdColorScheme = '{scheme}'")
                browser.run("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
                browser.run("document.querySelector('#heat [role=gridcell]')?.click()")
                browser.run(f"{axe.read_text(encoding='utf-8')};0")
                found = browser.run(_FINDINGS)
                failed += len(found)
                print(page, width, "dark" if dark else "light", found or "no findings")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
