"""A network of two layers on images of 6 x 6, small enough for whole campaigns in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from axft_host.campaign.plan import CampaignOptions, FaultOptions, Plan, plan_campaign
from axft_host.campaign.workload import WorkloadOptions
from axft_host.nn.datasets import Dataset, export_npz
from axft_host.nn.float_ops import Conv, Dense, Flatten, MaxPool, Relu
from axft_host.nn.graph import FloatNetwork
from axft_spec.lowering import ConvShape

CLASSES = 3
IMAGES = 12


def small_dataset() -> Dataset:
    """Return 12 images whose brightest third of rows is their class."""
    rng = np.random.default_rng(5)
    labels = np.arange(IMAGES) % CLASSES
    images = rng.integers(0, 120, (IMAGES, 1, 6, 6))
    for image, label in zip(images, labels, strict=True):
        image[0, 2 * label : 2 * label + 2] += 100
    return Dataset(name="small", images=images.astype(np.uint8), labels=labels, source="made here")


def small_float_network() -> FloatNetwork:
    """Return a network that sums the rows of each third, through a noisy convolution."""
    rng = np.random.default_rng(6)
    shape = ConvShape(in_channels=1, height=6, width=6, out_channels=2, kernel=(3, 3), pads=(1, 1, 1, 1))
    pool = MaxPool(name="pool", kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1), out_size=(3, 3))
    dense = rng.normal(0, 0.15, (CLASSES, 2, 3, 3))
    for label in range(CLASSES):
        dense[label, :, label] += 0.6
    ops = (
        Conv(name="conv", shape=shape, weights=0.2 + rng.normal(0, 0.1, (2, 1, 3, 3)), bias=np.array([0.05, -0.05])),
        Relu(name="relu"),
        pool,
        Flatten(name="flatten"),
        Dense(name="dense", weights=dense.reshape(CLASSES, -1), bias=np.array([0.0, 0.1, -0.1])),
    )
    network = FloatNetwork(name="small", ops=ops, input_shape=(1, 6, 6), input_mean=(0.0,), input_std=(1.0,))
    images = np.random.default_rng(7).integers(0, 220, (20, 1, 6, 6)).astype(np.uint8)
    return network.calibrated(images, "random images")


def write_small(directory: Path) -> tuple[Path, Path]:
    """Write the network and the images; return the paths of both files."""
    model, data = directory / "small.npz", directory / "small-data.npz"
    small_float_network().save(model)
    export_npz(small_dataset(), data)
    return model, data


def small_plan(
    directory: Path,
    *,
    workload: dict[str, object] | None = None,
    faults: dict[str, object] | None = None,
    **options: object,
) -> Plan:
    """Return the plan of a campaign with the small network on a 4 x 3 array; files go into `directory`."""
    if not (directory / "small.npz").exists():
        write_small(directory)
    chosen = {
        "config": "8P",
        "array": "4x3",
        "model": str(directory / "small.npz"),
        "data": str(directory / "small-data.npz"),
        **(workload or {}),
    }
    return plan_campaign(
        CampaignOptions(
            workload=WorkloadOptions(**chosen),
            faults=FaultOptions(**({"faults": 60} if faults is None else faults)),
            **{"workers": 1, **options},
        )
    )
