"""The emulator's compiled engine: campaigns at the speed of their differences from the golden run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Evaluation, Workload
from axft_host.backends.faulty import LINE, fault_tables
from axft_host.backends.golden import BLOCK, GoldenRuns
from axft_host.backends.jit import announced
from axft_host.backends.lines import line_sums
from axft_host.backends.propagate import final_golden, make_golden, run_pairs
from axft_host.backends.state import SLACK, Golden, Scratch, make_scratch
from axft_host.backends.tables import Tables, build_tables, input_values
from axft_spec.faults import Fault

__all__ = ["CompiledEngine"]

Int64 = NDArray[np.int64]


class CompiledEngine:
    """Evaluates one workload.

    Parameters
    ----------
    workload : Workload
    share : bool
        Whether other processes are to use the golden run that this one makes.
    shared : str or None
        Name of the golden run of another process; see `GoldenRuns`.

    Raises
    ------
    UnsupportedError
        If the network has what this engine does not know.
    """

    def __init__(self, workload: Workload, *, share: bool = False, shared: str | None = None) -> None:
        self._workload = workload
        self._tables: Tables = build_tables(workload)
        self._scratch: Scratch = make_scratch(self._tables, BLOCK)
        self.runs = GoldenRuns(self._tables, len(workload.images), share=share, name=shared)
        self._final: Int64 | None = None
        with announced(f"{self._tables.bias.dtype} sums"):
            self._compile()

    def _compile(self) -> None:
        """Call each compiled function once, on nothing."""
        none, nobody = np.zeros(0, dtype=np.int64), fault_tables([])
        golden = Golden(*(np.zeros(SLACK, dtype=kind) for kind in (np.int16, self._tables.bias.dtype, np.int16)))
        make_golden(self._tables, golden, self._scratch, 0)
        line_sums(self._tables, golden, self._scratch, 0)
        out = none.reshape(0, self._workload.network.classes)
        final_golden(self._tables, golden, 0, out)
        run_pairs(self._tables, golden, self._scratch, nobody, none, none, out, none)

    def golden_accumulators(self) -> Int64:
        """Return the final accumulators without a fault, shape (images, classes); not to be written to."""
        if self._final is not None:
            return self._final
        out = np.zeros((len(self._workload.images), self._workload.network.classes), dtype=np.int64)
        for block in self._blocks():
            final_golden(self._tables, self._golden(block), len(out[block]), out[block])
        self._final = out
        return out

    def evaluate(
        self, faults: Sequence[Fault | None], progress: Callable[[int], None] | None = None
    ) -> list[Evaluation]:
        """See `Backend.evaluate`. The faults have been checked."""
        golden = self.golden_accumulators()
        results = [Evaluation(golden.copy(), np.zeros(len(golden), dtype=np.int64)) for _ in faults]
        armed = [index for index, fault in enumerate(faults) if fault is not None]
        for block, accumulators, activated in self.blocks([fault for fault in faults if fault is not None]):
            for place, index in enumerate(armed):
                results[index].accumulators[block] = accumulators[place]
                results[index].activated[block] = activated[place]
            if progress is not None:
                progress(len(golden[block]) * len(faults))
        return results

    def blocks(
        self, faults: Sequence[Fault], progress: Callable[[int], None] | None = None
    ) -> Iterator[tuple[slice, Int64, Int64]]:
        """See `Backend.evaluate_blocks`."""
        golden, tables = self.golden_accumulators(), fault_tables(faults)
        chosen, images = (each.ravel() for each in np.indices((len(faults), 0)))
        for block in self._blocks():
            here, count = self._golden(block), len(golden[block])
            out = np.broadcast_to(golden[block], (len(faults), *golden[block].shape)).copy()
            activated = np.zeros((len(faults), count), dtype=np.int64)
            if faults:
                if LINE in tables.mode:
                    line_sums(self._tables, here, self._scratch, count)
                if chosen.size != activated.size:
                    chosen, images = (each.ravel() for each in np.indices(activated.shape))
                run_pairs(
                    self._tables,
                    here,
                    self._scratch,
                    tables,
                    chosen,
                    images,
                    out.reshape(-1, golden.shape[1]),
                    activated.reshape(-1),
                )
            yield block, out, activated
            if progress is not None:
                progress(activated.size)

    def inject(self, faults: Any, images: Int64) -> tuple[Int64, Int64]:
        """Run faults (of `fault_tables`), each on one image; return final accumulators and activations."""
        golden = self.golden_accumulators()
        out, activated = golden[images], np.zeros(len(images), dtype=np.int64)
        order = np.argsort(images, kind="stable")
        cuts = np.searchsorted(images[order], [block.start for block in self._blocks()] + [len(golden)])
        for block, first, last in zip(self._blocks(), cuts, cuts[1:], strict=False):
            pairs = order[first:last]
            if pairs.size:
                here, got, counted = self._golden(block), golden[images[pairs]], activated[pairs]
                if LINE in faults.mode:
                    line_sums(self._tables, here, self._scratch, len(golden[block]))
                run_pairs(self._tables, here, self._scratch, faults, pairs, images[pairs] - block.start, got, counted)
                out[pairs], activated[pairs] = got, counted
        return out, activated

    def _blocks(self) -> list[slice]:
        return [slice(first, first + BLOCK) for first in range(0, len(self._workload.images), BLOCK)]

    def _golden(self, block: slice) -> Golden:
        number = block.start // BLOCK
        golden, made = self.runs.get(number)
        if made:
            return golden
        inputs = input_values(self._workload, block)
        size = len(inputs) * int(self._tables.sizes[0])
        golden.values[:size].reshape(len(inputs), -1)[:, : inputs.shape[1]] = inputs
        make_golden(self._tables, golden, self._scratch, len(inputs))
        self.runs.made(number)
        return golden
