"""``axft-hw serve`` of an emulator on which one fault is deadly, again and again or a few times.

``$AXFT_TEST_DEADLY`` is that fault; ``$AXFT_TEST_VICTIM`` what dies: ``worker``, or ``agent``, as if the processor
froze, or ``nobody``, which stands still for ever. ``$AXFT_TEST_DEATHS`` names a file that gets a line each time, and
``$AXFT_TEST_DEATHS_MOST`` says how often at most.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from axft_host.backends.base import Evaluation, Workload
from axft_host.backends.emulator import Emulator
from axft_spec.flipflops import AnyFault

_evaluate = Emulator.evaluate


def evaluate(
    self: Emulator,
    workload: Workload,
    faults: Sequence[AnyFault | None],
    progress: Callable[[int], None] | None = None,
) -> list[Evaluation]:
    """Die of the deadly fault."""
    deaths = Path(os.environ["AXFT_TEST_DEATHS"])
    if os.environ["AXFT_TEST_DEADLY"] in map(str, faults):
        happened = len(deaths.read_text(encoding="ascii").splitlines()) if deaths.is_file() else 0
        if happened < int(os.environ["AXFT_TEST_DEATHS_MOST"]):
            with deaths.open("a", encoding="ascii") as log:
                log.write(f"{len(faults)}\n")
            victim = os.environ["AXFT_TEST_VICTIM"]
            if victim != "nobody":
                os.kill(os.getppid() if victim == "agent" else os.getpid(), signal.SIGKILL)
            while True:
                time.sleep(1)
    return _evaluate(self, workload, faults, progress)


# Workers import this module afresh, as their main module.
Emulator.evaluate = evaluate  # type: ignore[method-assign]

if __name__ == "__main__":
    from axft_host.cli.main import cli

    cli(prog_name="deadly-agent")
