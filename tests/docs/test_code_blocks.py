"""Every command and code block of the documentation does what it says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from support.doc_blocks import ROOT, Block, PageRun, blocks_of, commands_of, count_blocks, pages

ALL = {page: blocks_of(page) for page in pages()}

#: Blocks that nothing runs, by page: each has its reason beside it. A new one has to be entered here.
NOT_RUN = {
    "bitstreams/README.md": 1,
    "docs/concepts/board-performance.md": 1,
    "docs/concepts/independent-check.md": 1,
    "docs/extending/fault-site.md": 1,
    "docs/guides/board-bring-up.md": 8,
    "docs/guides/building-bitstreams.md": 4,
    "docs/guides/cluster.md": 2,
    "docs/guides/link.md": 3,
    "docs/guides/own-array.md": 1,
    "docs/guides/pynq.md": 1,
    "docs/tutorial.md": 1,
    "labs/README.md": 2,
    "models/lenet5/README.md": 1,
    "models/vgg/README.md": 1,
}


def name_of(page: Path) -> str:
    """Return what a page is called here."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page, blocks in ALL.items() if any(b.is_code for b in blocks)], ids=name_of)
def test_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """In order, in one directory, as a reader would."""
    run = PageRun(tmp_path)
    try:
        for block in ALL[page]:
            if block.reason is None:
                run.run(block)
    finally:
        run.close()


def test_what_is_not_run_is_counted_and_has_a_reason() -> None:
    """So that no block drops out unseen."""
    skipped = [(page, block) for page, blocks in ALL.items() for block in blocks if "skip" in block.verbs]
    assert all(len(block.verbs["skip"].split()) > 2 for _, block in skipped)
    assert Counter(name_of(page) for page, _ in skipped) == NOT_RUN
    counts, left = count_blocks()
    assert [block for _, block in skipped] == left
    total, *parts = counts.values()
    assert sum(parts) == total
    # One that is run elsewhere is run there: tests/virtual has the list of these pages.
    virtual = {name_of(page) for page, blocks in ALL.items() for block in blocks if "virtual" in block.verbs}
    assert virtual <= {"docs/guides/board-bring-up.md", "docs/guides/pynq.md"}


def block(text: str, language: str = "console", **verbs: str) -> Block:
    """Return a block of no page."""
    return Block(page=ROOT / "README.md", line=1, language=language, text=text, verbs=verbs)


def test_runner_notices_what_is_wrong(tmp_path: Path) -> None:
    """Exit codes, outputs, Python, files of another kind."""
    run = PageRun(tmp_path)
    try:
        run.run(block("$ export A=1; echo one\none"))
        run.run(block("$ echo $A two\n1 ...o"))
        run.run(block("echo 'a' > made\ntest -f made", "sh"))
        run.run(block("false", "sh", fails="1"))
        run.run(block("false", "sh", fails="0|1"))
        run.run(block("$ echo HOST:1\nhere:1", **{"as": "HOST here"}))
        run.run(block("x = 1", "python"))
        run.run(block("assert x == 1", "python"))
        run.run(block("[a]\nb = 1", "toml", file="made.toml"))
        for wrong in (
            block("$ echo one\ntwo"),
            block("false\ntrue", "sh"),
            block("true", "sh", fails="1"),
            block("axft-hw inject --config 7P", "sh"),
            block("y", "python"),
        ):
            with pytest.raises(AssertionError):
                run.run(wrong)
        with pytest.raises(ValueError, match="Expecting"):
            run.run(block("{", "json"))
    finally:
        run.close()


def test_small_cuts_numbers_down() -> None:
    """In options and in keywords."""
    assert "--faults 8 --images 3" in block("$ x --faults 2401 --images 1000", small="").small
    assert block("inject(faults=500, images=2)", "python", small="").small == "inject(faults=8, images=2)"
    assert commands_of(block("board# a \\\n   b\nPC$ c\nout")) == [("a \\\n   b", []), ("c", ["out"])]


@pytest.mark.parametrize(
    "text", ["```\nx\n```", "```sh\nx", "text\n\n    code", "<!-- test: skip x y z -->\ntext", "<!-- test: hope -->\n"]
)
def test_page_with_code_that_cannot_be_told_is_refused(text: str, tmp_path: Path) -> None:
    """No language, no end, no fence, a comment about nothing."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"must|not known"):
        blocks_of(page)
