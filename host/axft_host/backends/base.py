"""What every backend does: run a GEMM with a fault, and evaluate a network under faults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.device.examination.finding import Finding
from axft_host.device.recovery import Recovery
from axft_host.nn.inference import run_network
from axft_host.nn.network import Network
from axft_spec.config import ArrayConfig
from axft_spec.errors import FaultError, ModelError
from axft_spec.faults import Fault
from axft_spec.flipflops import AnyFault, FlipFlopFault
from axft_spec.lowering import check_lowering
from axft_spec.schedule import Schedule

__all__ = ["Backend", "Evaluation", "GemmResult", "RunEnd", "Workload", "array_faults"]

Int64 = NDArray[np.int64]


class RunEnd(str, Enum):
    """How the run of one fault over all images has ended.

    Members
    -------
    COMPLETE
        With a result for every image.
    HANG
        The device is alive, but there was no result inside the observation window.
    CRASH
        The device stopped answering.
    """

    COMPLETE = "complete"
    HANG = "hang"
    CRASH = "crash"


@dataclass(frozen=True, slots=True)
class GemmResult:
    """One GEMM over a batch of images.

    Members
    -------
    psums : ndarray of int64, shape (images, m, n)
    activated : ndarray of int64, shape (images,)
        Per image, the number of (armed bit, valid step) at the fault's own PEs where the forced value differs.
    """

    psums: Int64
    activated: Int64


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A network over a batch of images, under one fault or none.

    Members
    -------
    accumulators : ndarray of int64, shape (images, classes)
        The final accumulators.
    activated : ndarray of int64, shape (images,)
        As in :class:`GemmResult`, summed over the layers.
    end : RunEnd
        If not complete, the arrays hold zeros.
    recoveries : tuple of Recovery
        How the device was brought back while this fault was run, in order.
    """

    accumulators: Int64
    activated: Int64
    end: RunEnd = RunEnd.COMPLETE
    recoveries: tuple[Recovery, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workload:
    """A network on an array with its lowering and its images: all that an evaluation needs but the fault.

    Parameters
    ----------
    network : Network
    config : ArrayConfig
        The logical array; its operand width, multiplier and operand order are the network's.
    lowering : str
        ``im2col`` or ``toeplitz``.
    images : ndarray of uint8, shape (images, channels, height, width)
    """

    network: Network
    config: ArrayConfig
    lowering: str
    images: NDArray[np.uint8]

    def __post_init__(self) -> None:
        check_lowering(self.lowering)
        mine = (self.network.width, self.network.multiplier, self.network.operand_a)
        if mine != (self.config.width, self.config.multiplier, self.config.operand_a):
            raise ModelError(
                f"network {self.network.name} is compiled for width {mine[0]}, multiplier {mine[1].name}, operand A "
                f"{mine[2]}, not for width {self.config.width}, multiplier {self.config.multiplier.name}, operand A "
                f"{self.config.operand_a}; compile it again"
            )
        if self.images.ndim != 4 or self.images.shape[1:] != tuple(self.network.input_shape):
            raise ModelError(
                f"images for {self.network.name} must have the shape {tuple(self.network.input_shape)} "
                f"(channels, height, width), not {self.images.shape[1:]}"
            )

    @property
    def schedule(self) -> Schedule:
        """The scheduled cycles of one inference on the logical array."""
        return Schedule.of(self.network.gemms(self.lowering), self.config.rows, self.config.cols)


def array_faults(board: str, faults: Sequence[AnyFault | None]) -> list[Fault | None]:
    """Return faults that are all of the array.

    Raises
    ------
    FaultError
        If one is in a flip-flop: this board has none, or none that can be reached.
    """
    for fault in faults:
        if isinstance(fault, FlipFlopFault):
            raise FaultError(f"fault {fault}: board {board!r} has no flip-flops by name; allowed: board 'rtl'")
    return [fault for fault in faults if not isinstance(fault, FlipFlopFault)]


class Backend(ABC):
    """One way to execute the specification. All backends give the same results, bit for bit.

    A backend may be used by one thread at a time. It keeps no result: what it returns belongs to the caller.
    """

    #: Name on the command line.
    name: str

    #: Whether faults that are masked with certainty need not run: a device has to show that they are.
    skips_certain = False

    #: What the last fault over all images took, in seconds, where faults run one after another; None before the first,
    #: and where they share work.
    seconds_per_fault: float | None = None

    #: What computes, where a backend has several ways with equal results: the one used last.
    engine: str | None = None

    #: How many pairs one batch of faults had best be, where they share work; None for the usual.
    pairs_at_once: int | None = None

    def prepare(self, workload: Workload, *, share: bool = False) -> None:
        """Build what the first evaluation of a workload would build.

        Parameters
        ----------
        workload : Workload
        share : bool
            Whether other processes are to use the golden run, which this one has made when it is asked what it shares.
        """
        return

    @property
    def shared(self) -> str | None:
        """What other processes are told, so that they use the golden run of this one; None if they cannot."""
        return None

    def device(self) -> dict[str, Any] | None:
        """Return what identifies the device used last, as plain JSON values; None if there is none.

        Its key ``regmap_hash`` says which register map it has.
        """
        return None

    def examine(self, config: ArrayConfig) -> Iterator[Finding]:
        """Yield what is found on the device for a logical array, check by check, from its registers up.

        Nothing may run on it, and what it held is lost. A backend without a device finds nothing.

        Raises
        ------
        BackendError
            If the device cannot be opened. What is wrong with an opened one is a finding.
        """
        yield from ()

    def close(self) -> None:
        """Let go of the device, for others to use; what is asked of the backend afterwards opens it again."""
        return

    @abstractmethod
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
        """Run one GEMM for a batch of images on the logical array.

        Parameters
        ----------
        config : ArrayConfig
        activations : ndarray of int64, shape (images, m, k)
        weights : ndarray of int64, shape (k, n)
        fault : Fault or None
        layer, gemm : int
            Where in the network this GEMM is; decides whether a window falls into it.
        """

    def evaluate(
        self, workload: Workload, faults: Sequence[AnyFault | None], progress: Callable[[int], None] | None = None
    ) -> list[Evaluation]:
        """Run all images of a workload under each fault; None stands for the golden run.

        This is the plain path: every GEMM of every layer through :meth:`gemm`. Faster paths must equal it.

        Parameters
        ----------
        workload : Workload
        faults : sequence of Fault, FlipFlopFault or None
        progress : callable, optional
            Called with the number of (image, fault) pairs done since the last call.

        Returns
        -------
        list of Evaluation
            In the order of `faults`.

        Raises
        ------
        FaultError
            If this backend cannot do one of the faults. Nothing has run.
        """
        return list(self._plain(workload, array_faults(self.name, faults), progress))

    def evaluate_each(
        self, workload: Workload, faults: Sequence[AnyFault | None], progress: Callable[[int], None] | None = None
    ) -> Iterator[Evaluation]:
        """Yield what `evaluate` returns, as early as there is something: what was yielded no later error can take.

        Parameters and errors are those of `evaluate`.
        """
        yield from self.evaluate(workload, faults, progress)

    def evaluate_blocks(
        self, workload: Workload, faults: Sequence[AnyFault], progress: Callable[[int], None] | None = None
    ) -> Iterator[tuple[slice, Int64, Int64]] | None:
        """Run faults over a few images at a time, where that is the faster way; return None where it is not.

        Yields
        ------
        images : slice
        accumulators : ndarray of int64, shape (faults, images, classes)
        activated : ndarray of int64, shape (faults, images)
            As in `Evaluation`. Both are used again for the next images.

        Raises
        ------
        FaultError
            As `evaluate`.
        """
        return None

    def _plain(
        self, workload: Workload, faults: Sequence[Fault | None], progress: Callable[[int], None] | None
    ) -> Iterator[Evaluation]:
        images = workload.network.quantise_images(workload.images)
        for fault in faults:
            activated = np.zeros(len(images), dtype=np.int64)

            def run(
                layer: int,
                gemm: int,
                activations: Int64,
                weights: Int64,
                fault: Fault | None = fault,
                activated: Int64 = activated,
            ) -> Int64:
                result = self.gemm(workload.config, activations, weights, fault, layer=layer, gemm=gemm)
                activated += result.activated
                return result.psums

            accumulators = run_network(workload.network, images, run, lowering=workload.lowering)
            if progress is not None:
                progress(len(images))
            yield Evaluation(accumulators, activated)
