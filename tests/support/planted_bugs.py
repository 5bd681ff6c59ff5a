"""Slaves that do one thing wrong: tests that cannot tell them from the right one are worth nothing."""

from __future__ import annotations

import inspect

from axft_hw.axi import slave as slave_module
from axft_hw.axi.slave import Axi3Slave

# Each takes one line of the slave and replaces it by one with a bug.
BUGS = {
    "RLAST one beat early": ("axi.rlast.eq(self.read_unanswered == 0)", "axi.rlast.eq(self.read_unanswered == 1)"),
    "RID not echoed": ("axi.rid.eq(axi.arid)", "axi.rid.eq(0)"),
    "BID not echoed": ("axi.bid.eq(axi.awid)", "axi.bid.eq(0)"),
    "BVALID falls before BREADY": ("m.If(axi.bvalid & axi.bready)", "m.If(axi.bvalid)"),
    "R changes under back-pressure": (
        "m.If(take | ~self.queue_valid[place])",
        "m.If(take | arrive | ~self.queue_valid[place])",
    ),
    "queue overflows under back-pressure": ("self.read_reserved != self.QUEUE_PLACES", "1"),
    "words lost when one comes and one goes": ("m.If(arrive & ~take)", "m.If(arrive)"),
    "WID not looked at": ("stray.eq(axi.wid != axi.bid)", "stray.eq(0)"),
    "WLAST not looked at": ("(stray | (axi.wlast != last))", "stray"),
    "WLAST believed": ("last.eq(self.write_left == 0)", "last.eq(axi.wlast)"),
    "no answer after a stray last beat": (
        "self.write_closing.eq(beat & last)",
        "self.write_closing.eq(beat & last & ~stray)",
    ),
    "error of the last beat lost": ("Mux(failed, Response.SLVERR", "Mux(self.write_failed, Response.SLVERR"),
    "forbidden burst reaches the memory": ("bus.read_valid.eq(ask & ~self.read_refused)", "bus.read_valid.eq(ask)"),
    "data sampled a cycle early": ("arrive.eq(self.read_pending[-1])", "arrive.eq(self.read_pending[-2])"),
}

DEEP_BUGS = {"queue overflows under back-pressure"}
"""Bugs that show only after more cycles than a model checker looks at in a few seconds."""


def planted(name: str, **widths: int) -> Axi3Slave:
    """Return a slave with a bug, made from the source of the one without; `widths` as of `Axi3Slave`."""
    right, wrong = BUGS[name]
    source = inspect.getsource(slave_module)
    assert source.count(right) == 1, f"{right!r} is no longer in the slave once"
    namespace: dict[str, object] = {"__name__": "axft_hw.axi.slave_with_a_bug"}
    exec(compile(source.replace(right, wrong), "slave_with_a_bug.py", "exec"), namespace)
    made: Axi3Slave = namespace["Axi3Slave"](**widths)  # type: ignore[operator]
    return made
