"""Figures are drawn, say what they show, and ask politely for what they need."""

from __future__ import annotations

import base64
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import axft
from axft_spec.errors import ConfigError, StoreError

pytestmark = pytest.mark.usefixtures("matplotlib_there")


@pytest.fixture
def matplotlib_there() -> None:
    """Skip where figures cannot be drawn."""
    pytest.importorskip("matplotlib", reason="matplotlib, which draws figures, is not installed")


class Images(HTMLParser):
    """Elements of a page: the name and the attributes of each."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one."""
        self.found.append((tag, dict(attrs)))


def axes_of(picture: axft.figures.Picture) -> list:
    """Return the axes of a picture."""
    return picture.figure.axes


def test_rates_are_drawn_where_they_are(result: axft.Result) -> None:
    """One bar and one whisker per class, as long as the rate, as wide as the interval."""
    picture = axft.figures.outcomes({"mine": result})
    axes = axes_of(picture)[0]
    widths = [100 * rate for rate in result.rates["rate"]]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(widths)
    ends = [line.get_segments()[0][:, 0] for line in axes.collections]
    for (low, high), (_, row) in zip(ends, result.rates.iterrows(), strict=True):
        assert (low, high) == pytest.approx((100 * row["low"], 100 * row["high"]))
    assert f"critical {widths[2]:.1f} %" in picture.alt


def test_map_of_the_array_has_its_size(result: axft.Result) -> None:
    """And its metrics have names."""
    for metric in ("critical", "faulty_accuracy"):
        (image,) = axes_of(axft.figures.array(result, metric))[0].images
        assert image.get_array().shape == (4, 3)
    with pytest.raises(ConfigError, match="masked, tolerable"):
        axft.figures.array(result, "colour")


def test_every_figure_is_a_picture_that_a_notebook_shows(result: axft.Result, place: Path) -> None:
    """A PNG, its width and a text that stands for it; as an element of a page, too, which holds that text."""
    followed = axft.follow(
        axft.Config("8P", array="4x3"), "weight:r0:c0:b6:sa1", model="small.npz", data="small-data.npz", images=3
    )
    run = axft.trace(axft.Config("8P", array="4x3"), np.ones((4, 3), int), np.ones((3, 3), int), "psum:r0:c0:b3:sa1")
    pictures = [
        axft.figures.profile(result),
        axft.figures.profile(result, "row"),
        axft.figures.accuracy(result),
        axft.figures.energy([result, axft.inject(axft.Config("34P", array="4x3"), model="small.npz",
                                                 data="small-data.npz", faults=5, workers=1, progress=False)]),
        axft.figures.error_map("34P", 5),
        axft.figures.layers(followed, 2),
        axft.figures.operands(run, 2),
    ]  # fmt: skip
    for picture in pictures:
        data, metadata = picture._repr_mimebundle_()
        assert data["image/png"].startswith(b"\x89PNG")
        assert metadata["image/png"]["alt"] in data["text/plain"]
        page = Images()
        page.feed(data["text/html"])
        ((tag, shown),) = page.found
        assert tag == "img" and shown["alt"] == metadata["image/png"]["alt"]
        assert base64.b64decode(str(shown["src"]).removeprefix("data:image/png;base64,")) == data["image/png"]
    assert pictures[0].save("bits.svg").read_text().lstrip().startswith("<?xml")
    with pytest.raises(StoreError, match=r"bits\.svg exists"):
        pictures[0].save("bits.svg")
    with pytest.raises(StoreError, match=r"bits\.doc cannot be written"):
        pictures[0].save("bits.doc")


def test_what_is_not_there_is_named(result: axft.Result) -> None:
    """Dimensions, images, cycles, widths."""
    run = axft.trace(axft.Config("8P", array="2x2"), np.ones((2, 2), int), np.ones((2, 2), int))
    with pytest.raises(ConfigError, match="cycle must be between 0 and 3, not 4"):
        axft.figures.operands(run, 4)
    with pytest.raises(ConfigError, match="of transient faults"):
        axft.figures.profile(result, "layer")
    with pytest.raises(ConfigError, match="between 2 and 10, not 12"):
        axft.figures.error_map("34P", 12)


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a traceback of an import."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="pip install"):
        axft.figures.error_map("34P", 4)
