"""The page of the register map says what the code says."""

from __future__ import annotations

from pathlib import Path

from axft_spec.regmap import regmap_markdown

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "regmap.md"


def test_page_is_made_from_the_register_map() -> None:
    """After a change, `print(regmap_markdown(), end="")` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == regmap_markdown()
