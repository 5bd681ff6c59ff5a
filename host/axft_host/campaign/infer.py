"""Accuracy of a network on the array, without faults."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from axft_host.backends.registry import Board, open_backend
from axft_host.campaign.outcome import top_class
from axft_host.campaign.workload import Prepared

__all__ = ["Inference", "infer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What a golden run over labelled images shows.

    Members
    -------
    accuracy : float
        Top-1 accuracy on the array, a fraction.
    float_accuracy : float or None
        That of the float network on the same images; None if only the compiled one is at hand.
    images : int
    seconds : float
        Of the run on the array alone.
    """

    accuracy: float
    float_accuracy: float | None
    images: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Images per second of the run on the array."""
        return self.images / self.seconds


def infer(prepared: Prepared, board: str | Board) -> Inference:
    """Run all images of a workload without a fault.

    Parameters
    ----------
    prepared : Prepared
    board : str or Board
        Name of a backend, or more.

    Raises
    ------
    BackendError
        If there is no such backend.
    """
    backend = open_backend(board)
    labels = prepared.dataset.labels
    start = time.perf_counter()
    accumulators = backend.evaluate(prepared.workload, [None])[0].accumulators
    seconds = time.perf_counter() - start
    float_accuracy = None
    if prepared.float_network is not None:
        logits = prepared.float_network.run(prepared.workload.images)
        float_accuracy = float(np.mean(logits.argmax(axis=-1) == labels))
    return Inference(
        accuracy=float(np.mean(top_class(accumulators) == labels)),
        float_accuracy=float_accuracy,
        images=len(labels),
        seconds=seconds,
    )
