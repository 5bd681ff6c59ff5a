"""The emulator: the array's exact integer results at matrix-multiplication speed.

A faulty run is computed as the difference from the golden run. Golden activations and accumulators of every layer
are kept for a block of images; a fault changes some accumulators of a layer (`patches`), and only images whose
activations then differ from the golden ones run through the next layer again. The others meet the fault in the
next layer with golden activations.

That is the way of every machine, in numpy. Where numba is installed, `compiled` does the same for single values instead
of images (``docs/concepts/fast-campaigns.md``); campaigns that are worth its start-up use it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.banks import Bank
from axft_host.backends.base import Backend, Evaluation, GemmResult, Workload, array_faults
from axft_host.backends.jit import available, unusable
from axft_host.backends.patches import LayerEffect, LayerInput, layer_effect
from axft_host.backends.planes import Floats, Planes
from axft_host.backends.stages import Stage, apply_effect, build_stages, first_values
from axft_host.backends.tables import UnsupportedError
from axft_host.nn.kernels import approximate_matmul
from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError, unknown_name
from axft_spec.faults import Fault, check_fault
from axft_spec.flipflops import AnyFault

if TYPE_CHECKING:
    from axft_host.backends.compiled import CompiledEngine

__all__ = ["Emulator"]

Int64 = NDArray[np.int64]

#: Images whose golden run is kept at a time, in columns of the arrays below.
_BLOCK = 256

#: Pairs of a batch of the compiled engine at most, and multiply-adds of the golden runs of as many: some seconds, after
#: which Ctrl-C is heard, and rows are kept.
_PAIRS_AT_ONCE, _WORK_AT_ONCE = 2_000_000, 10**12

#: Environment variable that asks for an engine.
ENGINE = "AXFT_ENGINE"
ENGINES = ("numpy", "compiled")

#: Pairs (fault, image) that take longer in numpy than the compiled engine takes to start.
_WORTH_PAIRS = 200_000

_logger = logging.getLogger(__name__)


def choose_engine(pairs: int) -> str:
    """Return which engine is to run a campaign.

    Parameters
    ----------
    pairs : int
        How many pairs (fault, image) there are to run.

    Returns
    -------
    str
        What the environment variable `ENGINE` says; else the compiled one, if there is numba, and enough to do.

    Raises
    ------
    ConfigError
        If there is no such engine.
    """
    name = os.environ.get(ENGINE)
    if name:
        if name not in ENGINES:
            raise ConfigError(unknown_name(f"engine ${ENGINE}", name, ENGINES))
        return name
    return "compiled" if available() and pairs >= _WORTH_PAIRS else "numpy"


def _pairs_at_once(workload: Workload) -> int:
    """Return how many pairs of a workload a batch of the compiled engine had best be."""
    work = sum(gemms * shape.m * shape.n * shape.k for gemms, shape in workload.network.gemms("im2col"))
    return min(_PAIRS_AT_ONCE, max(1, _WORK_AT_ONCE // max(1, work)))


@dataclass(slots=True)
class _Golden:
    """The golden run of one stage for a block of images.

    Members
    -------
    inputs : LayerInput
    accumulators : float array, shape (channels x positions, images)
        Without bias.
    outputs : ndarray of int64, shape (features, images)
        Input of the next stage, or the final accumulators.
    """

    inputs: LayerInput
    accumulators: Floats
    outputs: Int64


class Emulator(Backend):
    """The backend ``emu``; see the module for how it works.

    Latency is a matter of the machine; results are those of the reference, bit for bit.

    Parameters
    ----------
    engine : str or None
        Of `ENGINES`; None to do what the environment variable `ENGINE` says, and else numpy.
    shared : str or None
        What another process shares of the workload that this one is to evaluate; see `Backend.shared`.
    """

    name = "emu"
    skips_certain = True

    def __init__(self, *, engine: str | None = None, shared: str | None = None) -> None:
        self._wanted = self.engine = engine or choose_engine(0)
        # The stages of the workload used last, and its engine; None if it has none.
        self._workload: Workload | None = None
        self._stages: list[Stage] = []
        self._engine: CompiledEngine | None = None
        self._engine_workload: Workload | None = None
        self._share, self._shared = False, shared

    def prepare(self, workload: Workload, *, share: bool = False) -> None:
        """See :meth:`Backend.prepare`."""
        self._share = share
        if self._engine_of(workload) is None:
            self._stages_of(workload)

    @property
    def shared(self) -> str | None:
        """See :attr:`Backend.shared`."""
        return None if self._engine is None else self._engine.runs.name

    def close(self) -> None:
        """See :meth:`Backend.close`. Golden runs are no longer shared."""
        if self._engine is not None:
            self._engine.runs.close()
            self._engine, self._engine_workload = None, None

    def gemm(
        self,
        config: ArrayConfig,
        activations: Int64,
        weights: Int64,
        fault: Fault | None = None,
        *,
        layer: int = 0,
        gemm: int = 0,
    ) -> GemmResult:
        """See :meth:`Backend.gemm`."""
        images, m, k = activations.shape
        n = weights.shape[1]
        psums = approximate_matmul(activations, weights, config)
        activated = np.zeros(images, dtype=np.int64)
        if fault is not None:
            check_fault(fault, config)
            bank = Bank(
                index=np.arange(m * k).reshape(m, k),
                weights=weights[:, None, :],
                gemms=(gemm,),
                targets=np.arange(m * n).reshape(1, m, n),
                features=m * k,
            )
            planes = Planes(config)
            inputs = LayerInput.of(activations.reshape(images, -1).T, planes)
            accumulators = psums.reshape(images, -1).T.astype(np.float64)
            activated = apply_effect(accumulators, layer_effect([bank], layer, fault, config, planes), inputs)
            psums = accumulators.T.reshape(images, m, n).astype(np.int64)
        return GemmResult(psums, activated)

    def evaluate(
        self, workload: Workload, faults: Sequence[AnyFault | None], progress: Callable[[int], None] | None = None
    ) -> list[Evaluation]:
        """See :meth:`Backend.evaluate`. Faults are the inner loop: the golden run of a block of images is shared."""
        checked = self._checked(workload, faults)
        if (engine := self._engine_of(workload)) is not None:
            return engine.evaluate(checked, progress)
        stages = self._stages_of(workload)
        effects = [[] if fault is None else self._effects(stages, fault) for fault in checked]
        count = len(workload.images)
        classes = workload.network.classes
        results = [
            Evaluation(np.empty((count, classes), dtype=np.int64), np.zeros(count, dtype=np.int64)) for _ in faults
        ]
        for first in range(0, count, _BLOCK):
            block = slice(first, first + _BLOCK)
            golden = self._golden(workload, stages, block)
            for result, effect in zip(results, effects, strict=True):
                if effect:
                    final, result.activated[block] = _faulty_run(stages, golden, effect)
                else:
                    final = golden[-1].outputs
                result.accumulators[block] = final.T
                if progress is not None:
                    progress(final.shape[1])
        return results

    def evaluate_blocks(
        self, workload: Workload, faults: Sequence[AnyFault], progress: Callable[[int], None] | None = None
    ) -> Iterator[tuple[slice, Int64, Int64]] | None:
        """See :meth:`Backend.evaluate_blocks`. Only the compiled engine does it."""
        checked = self._checked(workload, faults)
        engine = self._engine_of(workload)
        return None if engine is None else engine.blocks([fault for fault in checked if fault is not None], progress)

    def _checked(self, workload: Workload, faults: Sequence[AnyFault | None]) -> list[Fault | None]:
        checked, schedule = array_faults(self.name, faults), workload.schedule
        for fault in checked:
            if fault is not None:
                check_fault(fault, workload.config, schedule)
        return checked

    def _engine_of(self, workload: Workload) -> CompiledEngine | None:
        """Return the compiled engine for a workload, or None if it has to be numpy."""
        if self._wanted == "compiled" and self._engine_workload is not workload:
            self._engine_workload = self._engine = None
            if (missing := unusable()) is not None:
                _logger.warning("the compiled engine %s; running in numpy", missing)
            else:
                # Importing it imports numba, which takes a second.
                from axft_host.backends.compiled import CompiledEngine

                try:
                    self._engine = CompiledEngine(workload, share=self._share, shared=self._shared)
                except UnsupportedError as reason:
                    _logger.info("network %s runs in numpy: it has %s", workload.network.name, reason)
            self._engine_workload = workload
            self.engine = "numpy" if self._engine is None else "compiled"
            self.pairs_at_once = None if self._engine is None else _pairs_at_once(workload)
        return self._engine

    def _stages_of(self, workload: Workload) -> list[Stage]:
        if self._workload is not workload:
            self._stages = build_stages(workload.network, workload.config, workload.lowering)
            self._workload = workload
        return self._stages

    @staticmethod
    def _effects(stages: list[Stage], fault: Fault) -> list[LayerEffect]:
        return [layer_effect(stage.banks, stage.number, fault, stage.config, stage.planes) for stage in stages]

    @staticmethod
    def _golden(workload: Workload, stages: list[Stage], block: slice) -> list[_Golden]:
        values: NDArray[np.int64] = first_values(
            workload.network, workload.network.quantise_images(workload.images[block])
        )
        runs = []
        for stage in stages:
            inputs = LayerInput.of(values, stage.planes)
            accumulators = stage.accumulate(inputs)
            values = stage.finish(accumulators)
            runs.append(_Golden(inputs, accumulators, values))
        return runs


def _faulty_run(stages: list[Stage], golden: list[_Golden], effects: list[LayerEffect]) -> tuple[Int64, Int64]:
    """Return final accumulators, shape (classes, images), and activations, shape (images,)."""
    images = golden[0].inputs.raw.shape[1]
    activated = np.zeros(images, dtype=np.int64)
    # The images whose values differ from the golden ones, in the order in which `values` holds them.
    moved = np.zeros(0, dtype=np.intp)
    values: Int64 = np.zeros((0, 0), dtype=np.int64)
    for stage, clean, effect in zip(stages, golden, effects, strict=True):
        same = np.setdiff1d(np.arange(images), moved, assume_unique=True)
        parts: list[tuple[NDArray[np.intp], Int64]] = []
        if moved.size:
            inputs = LayerInput.of(values, stage.planes)
            accumulators = stage.accumulate(inputs)
            activated[moved] += apply_effect(accumulators, effect, inputs)
            outputs = stage.finish(accumulators)
            changed = (outputs != _columns(clean.outputs, moved)).any(axis=0)
            parts.append((moved, outputs) if changed.all() else (moved[changed], outputs[:, changed]))
        if same.size:
            counts, *part = _from_golden(stage, clean, effect, same)
            activated[same] += counts
            parts.append((part[0], part[1]))
        if len(parts) > 1:
            parts = [part for part in parts if part[0].size] or parts[:1]
        moved, values = parts[0] if len(parts) == 1 else _joined(parts)
    final = golden[-1].outputs.copy()
    final[:, moved] = values
    return final, activated


def _columns(values: Int64, images: NDArray[np.intp]) -> Int64:
    """Return the columns of some images; no copy where these are all, in order."""
    if images.size == values.shape[1] and np.array_equal(images, np.arange(images.size)):
        return values
    return values[:, images]


def _joined(parts: list[tuple[NDArray[np.intp], Int64]]) -> tuple[NDArray[np.intp], Int64]:
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts], axis=1)


def _from_golden(
    stage: Stage, clean: _Golden, effect: LayerEffect, images: NDArray[np.intp]
) -> tuple[Int64, NDArray[np.intp], Int64]:
    """Run a stage under a fault for images whose input is golden; only the channels that it touches.

    Returns
    -------
    activated : ndarray of int64, shape (images,)
    changed : ndarray of int
        Those of `images` whose output is not golden.
    outputs : ndarray of int64, shape (features, changed images)
    """
    everything = images.size == clean.inputs.raw.shape[1]
    inputs = clean.inputs if everything else clean.inputs.take(images)
    none = images[:0], clean.outputs[:, :0]
    if not effect.patches:
        return apply_effect(np.zeros((0, images.size)), effect, inputs), *none
    channels = np.unique(effect.targets // stage.positions) if stage.by_channel else np.arange(stage.channels)
    rows = (channels[:, None] * stage.positions + np.arange(stage.positions)).ravel()
    accumulators = clean.accumulators[rows] if everything else clean.accumulators[np.ix_(rows, images)]
    activated = apply_effect(accumulators, effect, inputs, rows)
    outputs = stage.finish(accumulators, channels if channels.size < stage.channels else None)
    features = stage.features_of(channels, clean.outputs.shape[0])
    golden = clean.outputs[features] if everything else clean.outputs[np.ix_(features, images)]
    changed = np.flatnonzero((outputs != golden).any(axis=0))
    if not changed.size:
        return activated, *none
    if changed.size == clean.outputs.shape[1]:
        full = clean.outputs.copy()
        full[features] = outputs
    else:
        full = clean.outputs[:, images[changed]]
        full[features] = outputs[:, changed]
    return activated, images[changed], full
