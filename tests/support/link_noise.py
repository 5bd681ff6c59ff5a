"""The same faults over TCP and over a serial line, clean and with one byte in 1,000 damaged: equal, and how fast.

``python -m support.link_noise`` in the directory ``tests`` says so, and fails if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from axft_host.backends.base import Evaluation, Workload
from axft_host.backends.link import LinkBackend
from axft_host.backends.registry import Board, open_backend
from axft_host.campaign.plan import CampaignOptions, FaultOptions, plan_campaign
from axft_host.campaign.workload import WorkloadOptions
from axft_host.link.client import LinkClient, LinkSettings
from axft_host.link.transport import LinkAddress
from axft_spec.flipflops import AnyFault
from support.link_agent import agent
from support.noisy_link import Noise, noisy_relay, noisy_terminals
from support.small_campaign import small_plan

#: Which wires there are.
WIRES = ("tcp", "terminals")


@contextlib.contextmanager
def linked(wire: str, board: str, noise: Noise, *arguments: str) -> Iterator[LinkBackend]:
    """Give a backend at the near end of a wire, with an agent at the far end."""
    with contextlib.ExitStack() as stack:
        if wire == "tcp":
            serving = stack.enter_context(agent("--board", board, "--listen", "127.0.0.1:0", *arguments))
            url = f"socket://127.0.0.1:{stack.enter_context(noisy_relay(serving.port, noise))}"
        else:
            far, url = stack.enter_context(noisy_terminals(noise))
            stack.enter_context(agent("--board", board, "--serial", far, *arguments))
        client = LinkClient(LinkAddress.parse(url), LinkSettings())
        stack.callback(client.close)
        yield LinkBackend(url, client=client)


def equal(first: list[Evaluation], second: list[Evaluation]) -> bool:
    """Return whether two runs of a list gave the same."""
    return len(first) == len(second) and all(
        (a.accumulators == b.accumulators).all() and (a.activated == b.activated).all() and a.end is b.end
        for a, b in zip(first, second, strict=True)
    )


@dataclass(frozen=True)
class Pace:
    """How a run went."""

    seconds: float
    faults: int
    noise: Noise
    retries: int
    equal: bool


def run(wire: str, board: str, one_in: int, workload: Workload, faults: list[AnyFault | None], batch: int) -> Pace:
    """Run a list in batches over a wire, after the upload, and compare it with the same without a wire."""
    noise = Noise(one_in, seed=7)
    expected = open_backend(Board(name="emu")).evaluate(workload, faults)
    with linked(wire, board, noise) as backend:
        backend.evaluate(workload, [])
        start = time.perf_counter()
        got = [
            each
            for first in range(0, len(faults), batch)
            for each in backend.evaluate(workload, faults[first : first + batch])
        ]
        seconds = time.perf_counter() - start
        return Pace(seconds, len(faults), noise, backend.client.statistics.retries, equal(got, expected))


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="emu")
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--one-in", type=int, default=1000)
    parser.add_argument("--small", action="store_true", help="a small network on a 4 x 3 array")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        if options.small:
            plan = small_plan(Path(made), faults={"faults": options.faults})
        else:
            chosen = WorkloadOptions(config="34P", images=options.images)
            plan = plan_campaign(CampaignOptions(workload=chosen, faults=FaultOptions(faults=options.faults)))
        workload, faults = plan.prepared.workload, list(plan.faults.faults)
        good = True
        for wire in WIRES:
            for one_in in (0, options.one_in):
                pace = run(wire, options.board, one_in, workload, faults, options.batch)
                good = good and pace.equal
                print(
                    f"{wire}, {f'1 in {one_in:,} bytes damaged' if one_in else 'clean'}: {pace.faults} faults x "
                    f"{len(workload.images)} images in {pace.seconds:.2f} s, "
                    f"{pace.faults * len(workload.images) / pace.seconds:,.0f} injections/s, "
                    f"{pace.faults / pace.seconds:,.1f} faults/s; {pace.noise.carried:,} bytes, "
                    f"{pace.noise.hits:,} of them damaged, {pace.retries} requests again: "
                    f"{'equal to emu' if pace.equal else 'DIFFERENT'}",
                    flush=True,
                )
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
