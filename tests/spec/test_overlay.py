"""Where the accelerator is in a design for a Zynq-7000."""

from __future__ import annotations

import pytest

from axft_spec.errors import ConfigError
from axft_spec.overlay import clock_divisors


@pytest.mark.parametrize(
    ("clock_mhz", "divisors"),
    # The first three are what Vivado writes for a PYNQ-Z2.
    [(100.0, (10, 1)), (50.0, (20, 1)), (142.9, (7, 1)), (99.9, (11, 1)), (15.0, (67, 1)), (10.0, (50, 2))],
)
def test_clock_is_the_fastest_that_is_not_faster(clock_mhz: float, divisors: tuple[int, int]) -> None:
    """Of 1000 MHz, by two divisors of at most 63."""
    found = clock_divisors(clock_mhz)
    assert max(found) <= 63
    assert 1000 / (found[0] * found[1]) <= clock_mhz
    expected = divisors[0] * divisors[1]
    # 67 is a prime number above 63: the next product is 68.
    assert found[0] * found[1] == (68 if expected == 67 else expected)


@pytest.mark.parametrize("clock_mhz", [0.0, -1.0, 0.2, 251.0, float("nan")])
def test_clock_that_cannot_be_made_is_refused(clock_mhz: float) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigError, match=r"the fabric clock must be between 0\.252 and 250 MHz, not"):
        clock_divisors(clock_mhz)
