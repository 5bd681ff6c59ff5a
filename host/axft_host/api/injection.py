"""One campaign from keywords, and one fault followed through the layers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axft_host.api.config import Config, PathOrName, as_config
from axft_host.api.keywords import by_keywords
from axft_host.api.results import Result
from axft_host.api.show import table_html
from axft_host.api.workloads import load_images
from axft_host.backends.registry import open_backend
from axft_host.campaign.explain import Explanation, FollowedLayer, explained
from axft_host.campaign.explain import follow as follow_layers
from axft_host.campaign.plan import CampaignOptions, FaultOptions, Plan, plan_campaign
from axft_host.campaign.progress import make_progress
from axft_host.campaign.runner import resume_campaign, run_campaign
from axft_spec.errors import ConfigError, FaultError, StoreError, check_int, exists_message
from axft_spec.faultlist import FaultList, write_fault_list
from axft_spec.faults import Fault
from axft_spec.flipflops import AnyFault, FlipFlopFault, parse_any_fault

__all__ = ["FollowedFault", "follow", "inject", "resume"]

Int64 = NDArray[np.int64]
Listed = str | Path | Iterable[str | AnyFault]

#: How many images a followed fault meets if nothing is said.
_FOLLOWED_IMAGES = 10


@by_keywords
def inject(
    config: Config | str | None,
    *,
    fault: str | AnyFault | None = None,
    fault_list: Listed | None = None,
    site: str | None = None,
    kind: str | None = None,
    transient: bool = False,
    cycles: int | None = None,
    bits: int | None = None,
    pattern: str | None = None,
    faults: int | None = None,
    census: bool = False,
    margin: float | None = None,
    confidence: float = 0.95,
    seed: int | None = None,
    model: PathOrName | None = None,
    data: PathOrName | None = None,
    images: int | None = None,
    calibration: PathOrName | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    board: str = "emu",
    physical: str | None = None,
    bitstream: str | Path | None = None,
    score: str = "softmax",
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Result:
    """Inject faults into a network on the array, and classify what becomes of each image, as ``axft-hw inject`` does.

    The keywords are that command's options, less those that a `Config` has; `census` and `progress` are of this
    function alone. Ctrl-C, or a notebook's stop button, finishes what is in hand; `resume` goes on. A script, unlike a
    notebook, needs ``if __name__ == "__main__":`` around it, as it starts processes.

    Parameters
    ----------
    config : Config, str or None
        A configuration or its name; None for what a compiled network has.
    fault : str or Fault, optional
        One fault, such as ``weight:r3:c5:b6:sa1``, instead of a draw.
    fault_list : path, or faults, optional
        A file that ``axft-hw faults`` wrote, or the faults themselves, instead of a draw.
    site, kind, transient, cycles, bits, pattern
        Which faults to draw from, as ``--site`` and so on; by default every bit of every PE's weight, stuck at 0 and 1.
    faults : int, optional
        How many; 2401 by default.
    census : bool
        All of them instead.
    margin : float, optional
        As many as this margin of error needs instead.
    confidence : float
    seed : int, optional
        The same one draws the same faults everywhere; 0 by default.
    model, data, calibration, mean, std
        As for `Config.options`.
    images : int, optional
        How many of the first images each fault meets; 1000 by default.
    board, physical, bitstream
        As for `open_backend`.
    score : str
        ``softmax`` or ``raw``.
    workers : int, optional
        Processes; one per processor by default.
    out : str or path, optional
        A new directory for the result; a fresh one under ``axft-results`` by default.
    progress : bool
        Whether to show how it gets on.

    Returns
    -------
    Result

    Raises
    ------
    AxftError
        If an option cannot be met; the message says what is allowed.

    Examples
    --------
    >>> result = inject("34P", faults=200, images=50)  # doctest: +SKIP
    >>> result.rates  # doctest: +SKIP
    """
    target = None if out is None else Path(out)
    if target is not None and target.exists():
        raise StoreError(exists_message(target))
    with _as_file(fault_list) as path:
        plan = plan_campaign(
            CampaignOptions(
                board=board,
                physical=physical,
                bitstream=None if bitstream is None else str(bitstream),
                workload=as_config(config).options(
                    model=model, data=data, images=images, calibration=calibration, mean=mean, std=std
                ),
                faults=FaultOptions(
                    fault=None if fault is None else str(fault),
                    fault_list=path,
                    site=site,
                    kind=kind,
                    transient=transient,
                    cycles=cycles,
                    bits=bits,
                    pattern=pattern,
                    faults=faults,
                    census=census,
                    margin=margin,
                    confidence=confidence,
                    seed=seed,
                ),
                score=score,
                workers=workers,
            )
        )
    return Result(run_campaign(plan, target, make_progress() if progress else None).store)


@by_keywords
def resume(result: Result | str | Path, *, workers: int | None = None, progress: bool = True) -> Result:
    """Run the faults of a result that are missing, and no others.

    Parameters
    ----------
    result : Result or path
    workers : int, optional
    progress : bool

    Raises
    ------
    StoreError
        If it cannot be gone on with; the message says why.
    """
    path = result.store if isinstance(result, Result) else Path(result)
    return Result(resume_campaign(path, make_progress() if progress else None, workers=workers).store)


@contextmanager
def _as_file(listed: Listed | None) -> Iterator[Path | None]:
    """Give the path of a fault list, which is written for the time being if it is none."""
    if isinstance(listed, str) and ":" in listed and not Path(listed).exists():
        raise FaultError(
            f"fault_list {listed!r} is no file; allowed: a file that `axft-hw faults --out` wrote, faults in a list, "
            f"such as fault_list=['weight:r3:c5:b6:sa1'], or one alone, as fault='weight:r3:c5:b6:sa1'"
        )
    if listed is None or isinstance(listed, (str, Path)):
        yield None if listed is None else Path(listed)
        return
    faults = tuple(parse_any_fault(one) if isinstance(one, str) else one for one in listed)
    if not faults:
        raise FaultError("a list of faults must name one or more, not none")
    with tempfile.TemporaryDirectory(prefix="axft-faults-") as directory:
        path = Path(directory) / "faults.jsonl"
        write_fault_list(path, FaultList(faults))
        yield path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FollowedFault:
    """One fault on its way through the layers, beside the run without it.

    Members
    -------
    fault : Fault
    images : ndarray of uint8, shape (images, channels, height, width)
    first_image : int
        Index of the first of them in the data.
    layers : tuple of FollowedLayer
        Those that multiply, with `golden` and `faulty`, the values that leave them, the sums before requantisation, and
        `step`, which counts.
    explanation : Explanation
        What ``inject --explain`` shows.
    """

    fault: Fault
    images: NDArray[np.uint8]
    first_image: int
    layers: tuple[FollowedLayer, ...]
    explanation: Explanation

    @property
    def layer_table(self) -> pd.DataFrame:
        """One row per layer: how often the fault was activated, and how many sums and values differ."""
        rows = [asdict(step) for step in self.explanation.layers]
        return pd.DataFrame(rows).set_index("layer")

    @property
    def image_table(self) -> pd.DataFrame:
        """One row per image: classes and largest probabilities without and with the fault, `ratio`, `outcome`."""
        images = self.explanation.images
        rows = [{**asdict(one), "image": one.image + self.first_image, "ratio": one.ratio} for one in images]
        return pd.DataFrame(rows).set_index("image")

    @property
    def _summary(self) -> str:
        found = self.image_table["outcome"].value_counts()
        return f"{self.fault}: {', '.join(f'{count} {name}' for name, count in found.items())}"

    def __repr__(self) -> str:
        # The arrays of its members would fill pages.
        return f"<FollowedFault {self._summary}>"

    def _repr_html_(self) -> str:
        layers = self.layer_table
        steps = [
            [f"{number} {row['name']}", *(f"{row[name]:,}" for name in _SHOWN)] for number, row in layers.iterrows()
        ]
        heads = ["layer", *(name.replace("_", " ") for name in _SHOWN)]
        return table_html(heads, steps, caption=self._summary)


_SHOWN = ("activated", "psums", "struck_psums", "differing_psums", "values", "differing_values", "differing_images")


@by_keywords
def follow(
    config: Config | str | None,
    fault: str | Fault,
    *,
    image: int | None = None,
    images: int | None = None,
    model: PathOrName | None = None,
    data: PathOrName | None = None,
    board: str = "emu",
    physical: str | None = None,
    bitstream: str | Path | None = None,
    score: str = "softmax",
) -> FollowedFault:
    """Follow one fault through the layers of a network, with all values on its way.

    Parameters
    ----------
    config : Config, str or None
    fault : str or Fault
        Such as ``weight:r3:c5:b6:sa1``.
    image : int, optional
        The index of one image, instead of the first `images`.
    images : int, optional
        How many of the first images; 10 by default.
    model, data
        As for `Config.options`.
    board, physical, bitstream
        As for `open_backend`.
    score : str
        ``softmax`` or ``raw``; decides the outcomes.

    Raises
    ------
    FaultError
        If the array has no such fault, or it is in a flip-flop.
    ConfigError
        If both `image` and `images` are given, or there is no such image.
    """
    if image is not None and images is not None:
        raise ConfigError(f"either image or images must be given, not both: image={image} images={images}")
    if image is not None:
        check_int("image", image, 0, len(load_images(data).labels) - 1)
    armed = parse_any_fault(str(fault))
    if isinstance(armed, FlipFlopFault):
        raise FaultError(f"a fault of the array can be followed through the layers, not one in a flip-flop: {armed}")
    plan = plan_campaign(
        CampaignOptions(
            board=board,
            physical=physical,
            bitstream=None if bitstream is None else str(bitstream),
            workload=as_config(config).options(model=model, data=data, images=images if image is None else image + 1),
            faults=FaultOptions(fault=str(armed)),
            score=score,
        ),
        default_images=_FOLLOWED_IMAGES,
    )
    return _followed(plan, armed, first=0 if image is None else image)


def _followed(plan: Plan, fault: Fault, *, first: int) -> FollowedFault:
    workload = replace(plan.prepared.workload, images=plan.prepared.workload.images[first:])
    labels = plan.prepared.dataset.labels[first:]
    backend = open_backend(plan.board)
    try:
        layers = tuple(follow_layers(backend, workload, fault))
    finally:
        backend.close()
    return FollowedFault(
        fault=fault,
        images=workload.images,
        first_image=first,
        layers=layers,
        explanation=explained(layers, workload, labels, fault, score=plan.score),
    )
