"""Two configurations on the same faults, as a notebook shows them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from axft_host.api.show import facts_html, table_html
from axft_host.campaign.contrast import Contrast, name_of
from axft_host.reports.campaigns import p_text

__all__ = ["ShownContrast", "as_shown"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ShownContrast(Contrast):
    """A `Contrast` that is one line as a text and a table under a cell."""

    @property
    def _pair(self) -> str:
        """The configurations; of two that have one name, on arrays of two sizes, say, the directories."""
        if self.name_a != self.name_b:
            return f"{self.name_a} - {self.name_b}"
        return f"{name_of(Path(self.a))} - {name_of(Path(self.b))}"

    @property
    def _points(self) -> tuple[str, str, str]:
        """The difference and the ends of its interval, in points."""
        low, high = self.interval.low, self.interval.high
        return f"{100 * self.difference:+.2f}", f"{100 * low:+.2f}", f"{100 * high:+.2f}"

    def __repr__(self) -> str:
        difference, low, high = self._points
        return (
            f"<Contrast {self._pair}, {self.outcome}: {difference} points "
            f"({100 * self.confidence:g}% interval {low} to {high}), p {p_text(self.p_value)}; "
            f"{self.test.differing:,} of {self.test.faults:,} faults differ>"
        )

    def _repr_html_(self) -> str:
        difference, low, high = self._points
        heads = ["A - B", "points", f"{100 * self.confidence:g}% interval", "p"]
        row = [self._pair, difference, f"{low} to {high}", p_text(self.p_value)]
        facts = [
            ("faults that differ", f"{self.test.differing:,} of {self.test.faults:,}"),
            ("interval", "of the mean difference, for the whole fault space"),
            ("p", "of the hypothesis that no fault tells the two apart; it may be small where the interval holds 0"),
        ]
        title = f"{self.outcome}: mean difference over the same faults, {self.lowering}"
        return table_html(heads, [row], caption=title) + facts_html(facts)


def as_shown(contrast: Contrast) -> ShownContrast:
    """Return a contrast as one that shows itself."""
    return ShownContrast(**{one.name: getattr(contrast, one.name) for one in fields(contrast)})
