"""Axes hold their values and have round ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.reports.scales import nice_axis, nice_top, percent

RATES = st.floats(0, 1)


@given(RATES)
def test_top_is_at_or_above_the_value(high: float) -> None:
    """With few ticks, the last of them at the top."""
    axis = nice_top(high)
    assert axis.high >= high * (1 - 1e-9)
    assert 3 <= len(axis.ticks()) <= 8
    assert axis.ticks()[-1] == pytest.approx(axis.high)


@given(st.lists(RATES, min_size=1))
def test_axis_lies_around_its_values(values: list[float]) -> None:
    """None of them on an end."""
    axis = nice_axis(values)
    assert all(0 < axis.place(value) < 1 for value in values)


@pytest.mark.parametrize(("high", "ticks"), [(0.234, ["0", "5", "10", "15", "20", "25"]), (0.9, ["0", "20", "40"])])
def test_ticks_are_round_percentages(high: float, ticks: list[str]) -> None:
    """With as many digits as they need."""
    axis = nice_top(high)
    assert [percent(tick, axis.digits) for tick in axis.ticks()][: len(ticks)] == ticks


def test_small_rates_get_digits() -> None:
    """A tenth of a percent is not 0."""
    axis = nice_top(0.001)
    assert percent(axis.high, axis.digits) == "0.10"


def test_percent_of_nothing_is_a_hyphen() -> None:
    """And no number."""
    assert percent(None) == percent(float("nan")) == "-"
