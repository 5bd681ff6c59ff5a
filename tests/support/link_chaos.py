"""A campaign over the link while processes are killed and the board hangs: complete, and equal to one without a link.

``python -m support.link_chaos`` in the directory ``tests`` says what happened, and fails if anything is lost, counted
twice, or different.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from axft_host.backends import link as link_backend
from axft_host.campaign.compare import compare
from axft_host.campaign.runner import SilentProgress, run_campaign
from axft_host.campaign.store import STORE_NAME, ResultStore
from axft_host.link.client import LinkClient, LinkSettings
from axft_host.link.transport import LinkAddress
from support.link_agent import PATIENCE_S, AgentProcess, agent
from support.noisy_link import Noise, noisy_relay
from support.small_campaign import IMAGES, small_plan

#: Faults between two kills, at least: no fault is in hand at two of them.
APART = 8


@dataclass
class Killer(SilentProgress):
    """Kills processes when so many faults are done; systemd, to the supervisor."""

    serving: AgentProcess
    moments: dict[int, str]
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    done: int = 0
    threads: list[threading.Thread] = field(default_factory=list)

    def advance(self, pairs: int) -> None:
        """See `Progress`."""
        self.done += pairs // IMAGES
        for moment in [moment for moment in sorted(self.moments) if moment <= self.done]:
            thread = threading.Thread(target=self.kill, args=(self.moments.pop(moment),))
            thread.start()
            self.threads.append(thread)

    def kill(self, what: str) -> None:
        """Kill a process a moment later."""
        time.sleep(self.chance.uniform(0, 0.05))
        if what == "supervisor":
            self.serving.kill()
            time.sleep(0.3)
            self.serving.restart()
        else:
            deadline = time.monotonic() + PATIENCE_S
            while not self.serving.kill_worker():
                assert time.monotonic() < deadline, "no worker to kill"
                time.sleep(0.01)
        self.killed[what] += 1


def columns(store: Path) -> list[tuple[object, ...]]:
    """Return every column of every fault."""
    connection = sqlite3.connect(store)
    rows = connection.execute("SELECT * FROM faults ORDER BY idx").fetchall()
    connection.close()
    return rows


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--workers", type=int, default=10, help="how often the worker is killed")
    parser.add_argument("--supervisors", type=int, default=3)
    parser.add_argument("--hangs", type=int, default=10)
    parser.add_argument("--one-in", type=int, default=0, help="also damage one in so many bytes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    kinds = ["worker"] * options.workers + ["supervisor"] * options.supervisors
    chance.shuffle(kinds)
    step = (options.faults - 2 * APART) // max(1, len(kinds))
    assert step > APART, "too few faults for so many kills"
    moments = {APART + number * step + chance.randrange(step - APART): kind for number, kind in enumerate(kinds)}
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        hangs = place / "hangs.txt"
        with agent(
            "--board", "rtl", "--listen", f"127.0.0.1:{options.seed % 1000 + 28000}", "--cache",
            str(place / "cache"),
            program=(sys.executable, "-m", "support.hanging_agent"),
            environment={"AXFT_TEST_HANGS": str(hangs), "AXFT_TEST_HANGS_MOST": str(options.hangs)},
            log=place / "agent.log",
        ) as serving, noisy_relay(serving.port, Noise(options.one_in, options.seed)) as port:  # fmt: skip
            url = f"socket://127.0.0.1:{port if options.one_in else serving.port}"
            client = LinkClient(LinkAddress.parse(url), LinkSettings())
            link_backend.client_for = lambda text: client
            killer = Killer(serving, moments, chance)
            start = time.perf_counter()
            faults = {"faults": options.faults, "site": "psum", "kind": "flip", "transient": True}
            plan = small_plan(place, faults=faults, board=f"link:{url}", workers=None)
            result = run_campaign(plan, place / "linked", killer)
            seconds = time.perf_counter() - start
            for thread in killer.threads:
                thread.join()
        whole = run_campaign(small_plan(place, faults=faults, board="rtl"), place / "whole", SilentProgress())
        happened = len(hangs.read_text(encoding="ascii").splitlines()) if hangs.is_file() else 0
        with ResultStore.open(result.store) as store:
            recoveries = Counter((row.recovery.rung, row.recovery.end) for row in store.recoveries())
            complete = store.meta()["state"] == "complete" and [row.index for row in store.rows()] == list(
                range(options.faults)
            )
        same = compare(whole.store.parent, result.store.parent).equal and columns(whole.store) == columns(
            place / "linked" / STORE_NAME
        )
        log = (place / "agent.log").read_text(encoding="utf-8")
        print(log, file=sys.stderr)
        # A board that was brought back before its worker was killed has a line, and no result to be stored with; one
        # that hung again in the golden run after a reset was brought back once from both.
        lines = ("device back after", "did not help", "board back after")
        logged = sum(map(log.count, lines)) + client.statistics.sessions - 1
    kinds_of_recovery = ", ".join(f"{end} {rung} {count}" for (rung, end), count in sorted(recoveries.items()))
    print(
        f"{options.faults} faults over the link in {seconds:.1f} s: worker killed {killer.killed['worker']} times, "
        f"supervisor {killer.killed['supervisor']} times, {happened} hangs; "
        f"{logged} failures logged with what became of them; {sum(recoveries.values())} recoveries stored "
        f"({kinds_of_recovery}); "
        f"{client.statistics.sessions} sessions, {client.statistics.retries} requests again; "
        f"{'complete' if complete else 'INCOMPLETE'}, {'all columns equal' if same else 'DIFFERENT'}"
    )
    everything = killer.killed.total() + happened
    raise SystemExit(0 if complete and same and not moments and logged == everything else 1)


if __name__ == "__main__":
    main()
