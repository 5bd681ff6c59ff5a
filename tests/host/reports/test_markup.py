"""Text stays text, whatever is in it."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.reports.markup import element, embedded_json, join


class Reader(HTMLParser):
    """Python's own parser, keeping what it meets."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.text += data


def read(markup: str) -> Reader:
    """Return what a parser makes of markup."""
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


# Parsers turn carriage returns into line feeds, and have no null characters.
TEXT = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))


@given(TEXT, TEXT)
def test_any_text_comes_back_from_a_parser_as_it_was(text: str, value: str) -> None:
    """As content and as an attribute, without a further element."""
    reader = read(element("p", text, title=value))
    assert reader.tags == [("p", {"title": value})]
    assert reader.text == text


@given(TEXT)
def test_embedded_json_is_the_value_and_ends_no_script(text: str) -> None:
    """Nothing in it can be taken for a tag or a comment."""
    markup = embedded_json({text: [text, 1.5, None]})
    assert json.loads(markup) == {text: [text, 1.5, None]}
    assert not set("<>&") & set(markup)


def test_elements_nest_without_being_escaped_again() -> None:
    """Only plain text is escaped."""
    assert element("p", element("b", "<"), " & ", 3) == "<p><b>&lt;</b> &amp; 3</p>"
    assert join("<", None, element("br")) == "&lt;<br>"


def test_attributes_have_the_names_of_html() -> None:
    """Underscores become hyphens, True has no value, None and False are left out."""
    made = element("input", class_="a", aria_label="b", required=True, disabled=False, title=None, width=1.23456)
    assert made == '<input class="a" aria-label="b" required width="1.235">'


def test_embedded_json_refuses_what_json_has_not() -> None:
    """The script would not read it."""
    with pytest.raises(ValueError, match="JSON"):
        embedded_json(float("nan"))
