"""Tiers, the profile of property tests, and data that only some machines have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before numpy is imported, which reads them once: pytest-xdist and the campaigns under test already start a process for
# each processor, and a BLAS that starts as many threads in each of them only makes them wait for each other.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

TESTS = Path(__file__).parent
TIERS = ("spec", "host", "hw", "contract", "labs", "docs", "virtual", "cosim")  # cheapest first: the order they run in

# The same cases on every run, and no limit per case: a busy machine is no failure.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test with its tier, which is the directory it is in, and run the cheap tiers first."""
    tiers = {item: item.path.relative_to(TESTS).parts[0] for item in items}
    for item, tier in tiers.items():
        if tier not in TIERS:
            raise pytest.UsageError(f"{item.path} is in none of the tiers {', '.join(TIERS)}")
        item.add_marker(tier)
    items.sort(key=lambda item: TIERS.index(tiers[item]))


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """Directory of the four official MNIST files, where a machine has them."""
    path = Path(os.environ.get("AXFT_MNIST", TESTS.parents[1] / "shared" / "data" / "mnist"))
    if not (path / "t10k-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"the official MNIST files are not in {path}; set AXFT_MNIST to their directory")
    return path
