"""Small results to report on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from axft_host.campaign.runner import run_campaign
from support.small_campaign import small_plan

#: Text that would be markup, end a script, or run, if it were taken as it is.
NASTY = '<img src=x onerror="window.hit=1">\'&</script><script>window.hit=2</script><!--'


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the result of 60 stuck-at faults out of 192 on a 4 x 3 array."""
    directory = tmp_path_factory.mktemp("drawn")
    return run_campaign(small_plan(directory), directory / "result").store.parent


@pytest.fixture(scope="session")
def exhaustive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the result of all 192 faults."""
    directory = tmp_path_factory.mktemp("exhaustive")
    return run_campaign(small_plan(directory, faults={"faults": 192}), directory / "result").store.parent


@pytest.fixture(scope="session")
def transient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the result of 150 flips that last one cycle."""
    directory = tmp_path_factory.mktemp("transient")
    plan = small_plan(directory, faults={"faults": 150, "transient": True, "site": "psum"})
    return run_campaign(plan, directory / "result").store.parent


@pytest.fixture(scope="session")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the result of a list made by hand: several sites, kinds, bits, PEs, and windows."""
    directory = tmp_path_factory.mktemp("listed")
    faults = [
        ("flip", [["psum", 0, 0, 20]], None),
        ("stuck_at_1", [["weight", 0, 1, 6], ["weight", 0, 1, 7]], None),
        ("stuck_at_1", [["weight", 0, 1, 6], ["weight", 2, 1, 6]], None),
        ("stuck_at_0", [["activation", 1, 0, 6], ["weight", 1, 0, 3]], None),
        ("flip", [["product", 0, 0, 14]], [0, 0, 0, 2, 3]),
        ("flip", [["psum", 0, 2, 23]], [1, 0, 0, 0, 23]),
    ]
    names = ("layer", "gemm", "tile", "first_cycle", "cycles")
    lines = [
        {
            "kind": kind,
            "sites": sites,
            "window": None if window is None else dict(zip(names, window, strict=True)),
        }
        for kind, sites, window in faults
    ]
    header = {"axft_fault_list": 1, "space": None, "seed": None, "faults": len(lines)}
    path = directory / "list.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *lines)))
    return run_campaign(small_plan(directory, faults={"fault_list": path}), directory / "result").store.parent


@pytest.fixture
def nasty(tmp_path: Path) -> Path:
    """Return a result whose names are all `NASTY`, as a file from elsewhere may have them."""
    result = run_campaign(small_plan(tmp_path), tmp_path / "result").store.parent
    names = ("config_name", "network_name", "dataset_name", "dataset_source", "backend", "lowering", "site", "score")
    with closing(sqlite3.connect(result / "campaign.sqlite")) as connection, connection:
        for name in (*names, "created_utc", "rounding", "state"):
            connection.execute("UPDATE meta SET value = ? WHERE key = ?", (json.dumps(NASTY), name))
        connection.execute("UPDATE meta SET value = ? WHERE key = 'versions'", (json.dumps({NASTY: NASTY}),))
        connection.execute("UPDATE meta SET value = ? WHERE key = 'network_notices'", (json.dumps([NASTY]),))
    return result
