"""Stores with made-up outcomes: as large as a campaign gets, in a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from axft_host.campaign.outcome import Outcome
from axft_host.campaign.records import FaultRow, Golden
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.store import ResultStore
from axft_spec.config import PRESETS
from axft_spec.faults import FaultSpace, draw_faults
from support.small_campaign import small_plan


def synthetic_store(directory: Path, *, faults: int = 10_000, images: int = 100, config: str = "8P") -> Path:
    """Write a store of the preset's fault space, with outcomes that are worse at high bits; return its directory."""
    with ResultStore.open(run_campaign(small_plan(directory, faults={"faults": 1}), directory / "seed").store) as seed:
        about = seed.provenance()
    space = FaultSpace(config=PRESETS[config].config)
    rng = np.random.default_rng(11)
    labels = rng.integers(0, 10, images)
    golden = Golden(image_ids=np.arange(images), labels=labels, predictions=labels)
    about = replace(
        about,
        config_name=config,
        config=space.config.to_json(),
        fault_space=space.to_json(),
        space_size=space.size,
        space_certain=None,
        faults=faults,
        golden_accuracy=1.0,
    )
    drawn = draw_faults(space, faults, 0)
    worse = np.array([fault.sites[0].bit / (space.config.width + 1) for fault in drawn])[:, None]
    codes = np.where(rng.random((faults, images)) < worse, rng.integers(1, 3, (faults, images)), Outcome.MASKED)
    result = directory / f"synthetic-{config}"
    result.mkdir()
    with ResultStore.create(result / "campaign.sqlite", about, golden) as store:
        store.add(
            [
                FaultRow.of(
                    index,
                    fault,
                    outcomes.astype(np.uint8),
                    correct=images - int(np.count_nonzero(outcomes == Outcome.CRITICAL)),
                    activated=int(np.count_nonzero(outcomes)) * 100,
                )
                for index, (fault, outcomes) in enumerate(zip(drawn, codes, strict=True))
            ]
        )
        store.finish(complete=True, seconds=1.0)
    return result
