"""The page on faults and fault lists: its examples are read by the code it describes."""

from __future__ import annotations

import re
from pathlib import Path

from axft_spec.faultlist import read_fault_list
from axft_spec.faults import parse_fault

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"


def test_examples_of_the_text_form_are_faults() -> None:
    """Each is read, and printed as the page has it."""
    examples = re.findall(r"^\| `([a-z_]+:r\d[^`]*)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(examples) == 3
    assert [str(parse_fault(text)) for text in examples] == examples


def test_example_of_a_list_is_a_fault_list(tmp_path: Path) -> None:
    """The lines of the page, as a file."""
    block = re.search(r"^```jsonl\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    path = tmp_path / "list.jsonl"
    path.write_text(block[1])
    assert [str(fault) for fault in read_fault_list(path).faults] == [
        "weight:r3:c5:b6:sa1",
        "psum:r2:c0:b11:flip@l0:g0:t1:y30+2",
    ]
