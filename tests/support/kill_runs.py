"""Kills campaigns at random moments, resumes them, and compares what they leave with one that was never interrupted.

``python -m support.kill_runs --kills 30`` in the directory ``tests`` says what happened, and fails if anything differs.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from axft_host.campaign.compare import compare
from axft_host.campaign.store import STORE_NAME, ResultStore
from axft_spec.errors import StoreError
from support.small_campaign import write_small

PROGRAM = [sys.executable, "-m", "axft_host.cli"]
INJECT = "inject --config 8P --array 4x3 --model small.npz --data small-data.npz --site psum --kind flip --transient"

#: Seconds after which something hangs; it may have to compile first, beside all other tests.
PATIENCE_S = 400


def start(place: Path, line: str) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own; in numpy, which is slow enough to be met at work."""
    environment = {**os.environ, "AXFT_ENGINE": "numpy"}
    with (place / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [*PROGRAM, *line.split()],
            cwd=place,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def rows_of(directory: Path) -> int:
    """Return how many faults a result has by now."""
    try:
        with ResultStore.open(directory) as store:
            return len(store)
    except StoreError:
        return 0


def content(directory: Path) -> list[tuple[object, ...]]:
    """Return every column of every fault, after a check of the file itself."""
    connection = sqlite3.connect(directory / STORE_NAME)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = connection.execute("SELECT * FROM faults ORDER BY idx").fetchall()
    connection.close()
    return rows


def workers_of(runner: int) -> list[int]:
    """Return the worker processes of a runner, from what Linux says of its children."""
    children = Path(f"/proc/{runner}/task/{runner}/children")
    try:
        found = [int(pid) for pid in children.read_text(encoding="ascii").split()]
        return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    except OSError:
        return []


@dataclass
class Log:
    """What happened: (what was killed, rows before, rows that were left) of every kill."""

    kills: list[tuple[str, int, int]] = field(default_factory=list)


def wait_for_rows(process: subprocess.Popen[bytes], directory: Path, rows: int) -> int:
    """Wait until a campaign has so many rows, or has ended; return how many it has."""
    deadline = time.monotonic() + PATIENCE_S
    while (done := rows_of(directory)) < rows and process.poll() is None:
        assert time.monotonic() < deadline, (directory.parent / "log.txt").read_text(encoding="utf-8")
        time.sleep(0.002)
    return done


def wait(process: subprocess.Popen[bytes], place: Path) -> None:
    """Wait for a command to succeed."""
    code = process.wait(timeout=PATIENCE_S)
    assert code == 0, (place / "log.txt").read_text(encoding="utf-8")


def killed_campaign(
    place: Path, name: str, faults: int, kinds: list[str], seed: int, log: Log, *, workers: int = 2
) -> Path:
    """Run a campaign that is killed once for each of `kinds`, at random moments, and resumed each time.

    Parameters
    ----------
    place : Path
        Where the small network is.
    name : str
        Of the result directory.
    faults : int
    kinds : list of str
        ``group`` or ``worker``.
    seed : int
        Of the moments.
    log : Log
    workers : int

    Returns
    -------
    Path
        The result directory, complete.
    """
    chance = random.Random(seed)
    directory = place / name
    line = f"{INJECT} --faults {faults} --workers {workers} --out {name}"
    moments = sorted(chance.uniform(0.02, 0.9) for _ in kinds)
    process = start(place, line)
    for kind, moment in zip(kinds, moments, strict=True):
        before = wait_for_rows(process, directory, max(1, int(moment * faults)))
        time.sleep(chance.uniform(0, 0.05))
        alive = workers_of(process.pid)
        if kind == "worker" and alive:
            os.kill(chance.choice(alive), signal.SIGKILL)
            log.kills.append((kind, before, rows_of(directory)))
            continue
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=PATIENCE_S)
        left = rows_of(directory)
        log.kills.append(("group", before, left))
        assert left >= before > 0
        with ResultStore.open(directory) as store:
            assert [row.index for row in store.rows()] == list(range(left))
        process = start(place, f"campaign resume {name} --workers {chance.choice([2, 3])}")
    wait(process, place)
    return directory


def uninterrupted(place: Path, faults: int) -> Path:
    """Run the same campaign on one process, to its end."""
    wait(start(place, f"{INJECT} --faults {faults} --workers 1 --out whole"), place)
    return place / "whole"


def check_equal(whole: Path, other: Path) -> None:
    """Check that two results are the same: by the comparison, and column by column."""
    assert compare(whole, other).equal
    assert content(whole) == content(other)
    with ResultStore.open(other) as store:
        meta = store.meta()
        assert meta["state"] == "complete"
        assert sum(session.faults for session in store.sessions()) == len(store)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--faults", type=int, default=6000)
    parser.add_argument("--per-campaign", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, log = random.Random(options.seed), Log()
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        write_small(place)
        whole = uninterrupted(place, options.faults)
        campaigns = 0
        while len(log.kills) < options.kills:
            count = min(options.per_campaign, options.kills - len(log.kills))
            kinds = [chance.choice(["group", "worker"]) for _ in range(count)]
            first = len(log.kills)
            result = killed_campaign(place, f"k{campaigns}", options.faults, kinds, chance.getrandbits(32), log)
            check_equal(whole, result)
            campaigns += 1
            for kind, before, left in log.kills[first:]:
                print(f"campaign {campaigns}: {kind} killed with {before} of {options.faults} rows, {left} are left")
            print(f"campaign {campaigns}: complete, no differing pair, all columns equal", flush=True)
    print(f"{len(log.kills)} kills in {campaigns} campaigns of {options.faults} faults: all equal")


if __name__ == "__main__":
    main()
