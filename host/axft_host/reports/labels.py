"""What results are called beside each other, and what is known of their energy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from axft_host.campaign.directory import is_campaign_dir, result_dirs
from axft_host.campaign.store import STORE_NAME, ResultStore, store_path
from axft_host.campaign.summary import TARGETS
from axft_host.reports.profiles import Figures, read_figures
from axft_spec.config import PRESETS

__all__ = ["energy_reduction", "find_results", "read_labelled", "result_labels"]


def find_results(given: Sequence[Path]) -> list[Path]:
    """Return the results that paths name, in order and each once.

    Parameters
    ----------
    given : sequence of Path
        Stores, their directories, or directories of such directories: these stand for all results right inside, but
        for those whose first faults are not done yet if there are others.
    """
    found: dict[Path, Path] = {}
    for path in given:
        if is_campaign_dir(path):
            # Its runs alone, and only if they are what it says.
            inside = sorted(run / STORE_NAME for run in result_dirs(path))
        else:
            inside = [] if (path / STORE_NAME).exists() or not path.is_dir() else sorted(path.glob(f"*/{STORE_NAME}"))
        begun = [store.parent for store in inside if _has_faults(store)]
        for result in begun or [store.parent for store in inside] or [path]:
            found.setdefault(store_path(result).resolve(), result)
    return list(found.values())


def _has_faults(store: Path) -> bool:
    with ResultStore.open(store) as opened:
        return len(opened) > 0


def result_labels(figures: Sequence[Figures]) -> list[str]:
    """Return a name for every result, no two equal.

    The configuration, and as much of what else differs as is needed: lowering, faults, array and so on; the directory
    if nothing of that does.
    """
    labels = [one.about.config_name for one in figures]
    details = [
        [one.about.lowering for one in figures],
        [f"{one.about.site} {one.about.kind}" for one in figures],
        ["transient" if one.transient else "permanent" for one in figures],
        ["x".join(map(str, one.shape)) for one in figures],
        [one.about.network_name for one in figures],
        [f"weights as {one.about.rounding}" for one in figures],
        [f"{one.about.score} score" for one in figures],
        [one.about.backend for one in figures],
        [f"{one.summary.faults} faults" for one in figures],
        [_directory(one) for one in figures],
    ]
    for detail in details:
        count = Counter(labels)
        # A detail that tells no two of the equal names apart says nothing.
        told = {label: {d for other, d in zip(labels, detail, strict=True) if other == label} for label in count}
        labels = [
            f"{label}, {what}" if len(told[label]) > 1 else label for label, what in zip(labels, detail, strict=True)
        ]
    count = Counter(labels)
    return [label if count[label] == 1 else f"{label} ({place})" for place, label in enumerate(labels, 1)]


def read_labelled(given: Sequence[Path], target: str = TARGETS[0]) -> list[tuple[str, Figures]]:
    """Read the results that paths name; return the figures of each with what it is called beside the others.

    Parameters
    ----------
    given : sequence of Path
        As for `find_results`.
    target : str
        What the overall rates are about, as for `axft_host.campaign.summary.summarise`.

    Raises
    ------
    StoreError
        If one cannot be read, or has no outcomes yet.
    """
    figures = [read_figures(path, target) for path in find_results(given)]
    return list(zip(result_labels(figures), figures, strict=True))


def _directory(figures: Figures) -> str:
    return Path(figures.summary.store).resolve().parent.name


def energy_reduction(figures: Figures) -> float | None:
    """Return the energy that a result's preset saves against the 16-bit baseline, a fraction; None without a preset."""
    preset = PRESETS.get(figures.about.config_name)
    return None if preset is None else preset.energy_reduction
