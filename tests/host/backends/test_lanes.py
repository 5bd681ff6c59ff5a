"""Vector operations with and without instructions of one processor: both ways give what numpy gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="compiled functions need numba")

import numba

from axft_host.backends import lanes


@pytest.fixture(params=[False, True], ids=["any processor", "this processor"])
def fresh_lanes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compile for any processor by saying that this one has no feature."""
    if not request.param:
        monkeypatch.setattr(lanes, "_has", lambda context, feature: False)
    return lanes


def test_pairs_are_multiplied_and_added(fresh_lanes: Any) -> None:
    """Extreme factors and elements among random ones."""
    add_pairs = lanes._add_pairs(32)

    @numba.njit
    def add(target: Any, source: Any, factors: Any) -> None:
        add_pairs(target, 3, source, (0, 40), (factors[0],))

    rng = np.random.default_rng(1)
    source = rng.integers(-(1 << 15), 1 << 15, 80).astype(np.int16)
    source[:2] = -(1 << 15), (1 << 15) - 1
    for first, second in ((-32767, 32767), (7, -1), (0, 255)):
        target = np.arange(40, dtype=np.int64)
        add(target, source, np.array([(first & 0xFFFF) | (second << 16)]))
        wide = source.astype(np.int64)
        expected = np.arange(40)
        expected[3:35] += first * wide[:32] + second * wide[40:72]
        assert target.tolist() == expected.tolist()


@pytest.mark.parametrize("count", [8, 16])
def test_bytes_choose_what_is_added(fresh_lanes: Any, count: int) -> None:
    """Numbers at the ends of a signed byte; several places at once; with a product, too."""
    add_bytes, add_both = lanes._add_each(count, lanes._multiply_bytes), lanes._add_scaled_bytes(count)

    @numba.njit
    def add(target: Any, flags: Any, terms: Any) -> None:
        add_bytes(target, 3, flags, (1, 20), (terms[0], terms[1]))

    @numba.njit
    def add_two(target: Any, values: Any, flags: Any, factor: Any, terms: Any) -> None:
        add_both(target, 3, (values, flags), 1, factor, terms[0])

    rng = np.random.default_rng(2)
    has = rng.integers(0, 2, (40, 4))
    flags = (has << np.arange(0, 32, 8)).sum(axis=1).astype(np.int32)
    values = rng.integers(-(1 << 15), 1 << 15, 40).astype(np.int16)
    for element in (np.int32, np.int64):
        for numbers in ([[127, -127, 1, 0], [-1, 31, -32, 5]], [[-127] * 4, [127] * 4]):
            terms = np.array([sum((number & 0xFF) << 8 * i for i, number in enumerate(four)) for four in numbers])
            expected, target = np.arange(40), np.arange(40, dtype=element)
            add(target, flags, terms)
            for four, place in zip(numbers, (1, 20), strict=True):
                expected[3 : 3 + count] += has[place : place + count] @ four
            assert target.tolist() == expected.tolist()
            expected, target = np.arange(40), np.arange(40, dtype=element)
            add_two(target, values, flags, -255, terms)
            expected[3 : 3 + count] += -255 * values[1 : 1 + count].astype(np.int64) + has[1 : 1 + count] @ numbers[0]
            assert target.tolist() == expected.tolist()


def test_flagged_elements_are_listed(fresh_lanes: Any) -> None:
    """Behind what the lists hold, in order; none and all of them, too."""
    list16 = lanes.list16

    @numba.njit
    def extend(places: Any, old: Any, new: Any, count: Any, fresh: Any, before: Any, flags: Any) -> Any:
        return list16((places, old, new), count, (100,), (7,), fresh, before, 2, flags)

    fresh, before = np.arange(16, dtype=np.int32) + 1000, np.arange(40, dtype=np.int16)
    for flags in (0, 0b1010_0000_0000_0110, 0xFFFF):
        places, old, new = (np.full(64, -5, dtype=np.int32) for _ in range(3))
        chosen = [lane for lane in range(16) if flags >> lane & 1]
        assert extend(places, old, new, 4, fresh, before, flags) == 4 + len(chosen)
        end = 4 + len(chosen)
        assert places[:end].tolist() == [-5] * 4 + [100 + 7 * lane for lane in chosen]
        assert old[4:end].tolist() == [2 + lane for lane in chosen]
        assert new[4:end].tolist() == [1000 + lane for lane in chosen]
