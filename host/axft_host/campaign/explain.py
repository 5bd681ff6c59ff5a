"""One fault, followed through the layers of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend, Workload
from axft_host.campaign.outcome import Outcome, classify, top_class, top_probability
from axft_host.nn.inference import apply_host_op, run_layer
from axft_host.nn.network import Conv, Dense, Network, Op
from axft_spec.faults import Fault

__all__ = ["Explanation", "FollowedLayer", "ImageStep", "LayerStep", "explain", "explained", "follow"]

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStep:
    """What a fault does in one multiplying layer and the host operations after it.

    Members
    -------
    layer : int
        Its number among the layers that multiply.
    name : str
    gemms : int
        Matrix multiplications per image.
    psums : int
        Partial sums that the array's PEs deliver for all images.
    activated : int
        Number of (armed bit, valid step) where the forced value differed, over all images.
    struck_psums : int
        Partial sums that the fault itself changed here: with it and without it, from the same operands.
    differing_psums : int
        Partial sums that are not those of the golden run, from changed operands too.
    values : int
        Values that leave for the next layer (or final accumulators), for all images.
    differing_values : int
        Those that are not the golden run's, after requantisation, ReLU and pooling.
    differing_images : int
        Images that have any.
    """

    layer: int
    name: str
    gemms: int
    psums: int
    activated: int
    struck_psums: int
    differing_psums: int
    values: int
    differing_values: int
    differing_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStep:
    """What came of one image.

    Members
    -------
    image : int
        Its index in the data set.
    label, golden_class, faulty_class : int
    golden_probability, faulty_probability : float
        The largest class probability without and with the fault.
    outcome : str
        ``masked``, ``tolerable`` or ``critical``, by the score that was asked for.
    """

    image: int
    label: int
    golden_class: int
    faulty_class: int
    golden_probability: float
    faulty_probability: float
    outcome: str

    @property
    def ratio(self) -> float:
        """Largest faulty over largest golden probability."""
        return self.faulty_probability / self.golden_probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One fault, layer by layer and image by image."""

    fault: Fault
    layers: tuple[LayerStep, ...]
    images: tuple[ImageStep, ...]

    @property
    def activated(self) -> int:
        """Number of (armed bit, valid step) where the forced value differed, over all images and layers."""
        return sum(layer.activated for layer in self.layers)

    def to_json(self) -> dict[str, object]:
        """Return everything as plain JSON values."""
        layers = [{name: getattr(layer, name) for name in LayerStep.__slots__} for layer in self.layers]
        images = [
            {**{name: getattr(image, name) for name in ImageStep.__slots__}, "ratio": image.ratio}
            for image in self.images
        ]
        return {"fault": str(self.fault), "activated": self.activated, "layers": layers, "per_image": images}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FollowedLayer:
    """The values of one multiplying layer, without and with a fault.

    Members
    -------
    step : LayerStep
        What the fault does there, counted.
    golden_sums, faulty_sums : ndarray of int64, shape (images, channels, height, width) or (images, n)
        Accumulators with their bias, as the host has them after drain.
    golden, faulty : ndarray of int64
        What leaves for the next layer, after requantisation, ReLU and pooling; the final accumulators of the last.
    """

    step: LayerStep
    golden_sums: Int64
    faulty_sums: Int64
    golden: Int64
    faulty: Int64


class _Counter:
    """Runs the GEMMs of one layer three times: golden, faulty, and without the fault on the faulty operands."""

    def __init__(self, backend: Backend, workload: Workload, fault: Fault, layer: int) -> None:
        self._backend, self._workload, self._fault, self._layer = backend, workload, fault, layer
        self._golden: list[Int64] = []
        self.psums = self.activated = self.struck = self.differing = 0

    def golden(self, gemm: int, activations: Int64, weights: Int64) -> Int64:
        """Multiply without the fault, and remember the partial sums."""
        psums = self._backend.gemm(self._workload.config, activations, weights).psums
        self._golden.append(psums)
        return psums

    def faulty(self, gemm: int, activations: Int64, weights: Int64) -> Int64:
        """Multiply with the fault, and count what it changes."""
        config = self._workload.config
        result = self._backend.gemm(config, activations, weights, self._fault, layer=self._layer, gemm=gemm)
        clean = self._backend.gemm(config, activations, weights).psums
        self.psums += result.psums.size
        self.activated += int(result.activated.sum())
        self.struck += int(np.count_nonzero(result.psums != clean))
        self.differing += int(np.count_nonzero(result.psums != self._golden[gemm]))
        return result.psums


def follow(backend: Backend, workload: Workload, fault: Fault) -> Iterator[FollowedLayer]:
    """Yield the multiplying layers of a network, each with the golden and the faulty values of all images.

    Parameters
    ----------
    backend : Backend
    workload : Workload
    fault : Fault
    """
    network = workload.network
    golden = faulty = network.quantise_images(workload.images)
    head, segments = _segments(network)
    for host_op in head:
        # What comes before the first multiplying layer is the same in both runs.
        golden = faulty = apply_host_op(host_op, golden)
    for layer, (op, host_ops) in enumerate(segments):
        counter = _Counter(backend, workload, fault, layer)
        golden = golden_sums = run_layer(op, golden, counter.golden, workload.lowering)
        faulty = faulty_sums = run_layer(op, faulty, counter.faulty, workload.lowering)
        for host_op in host_ops:
            golden, faulty = apply_host_op(host_op, golden), apply_host_op(host_op, faulty)
        differs = (golden != faulty).reshape(len(golden), -1)
        step = LayerStep(
            layer=layer,
            name=op.name,
            gemms=op.gemms(workload.lowering)[0],
            psums=counter.psums,
            activated=counter.activated,
            struck_psums=counter.struck,
            differing_psums=counter.differing,
            values=golden.size,
            differing_values=int(np.count_nonzero(differs)),
            differing_images=int(np.count_nonzero(differs.any(axis=1))),
        )
        yield FollowedLayer(step=step, golden_sums=golden_sums, faulty_sums=faulty_sums, golden=golden, faulty=faulty)


def explained(
    layers: Sequence[FollowedLayer], workload: Workload, labels: Int64, fault: Fault, *, score: str
) -> Explanation:
    """Return what a fault that was followed has done, layer by layer and image by image.

    Parameters
    ----------
    layers : sequence of FollowedLayer
        All of them, in order.
    workload : Workload
    labels : ndarray of int64, shape (images,)
    fault : Fault
    score : str
        ``softmax`` or ``raw``; decides the outcomes.
    """
    last = layers[-1]
    return Explanation(
        fault=fault,
        layers=tuple(layer.step for layer in layers),
        images=_images(last.golden, last.faulty, labels, workload, score),
    )


def explain(backend: Backend, workload: Workload, labels: Int64, fault: Fault, *, score: str) -> Explanation:
    """Follow a fault through a network, next to the golden run, and count what it does.

    Parameters are those of `follow` and `explained`.
    """
    return explained(list(follow(backend, workload, fault)), workload, labels, fault, score=score)


def _segments(network: Network) -> tuple[list[Op], list[tuple[Conv | Dense, list[Op]]]]:
    """Return the host operations before the first multiplying layer, and each layer with those after it."""
    head: list[Op] = []
    segments: list[tuple[Conv | Dense, list[Op]]] = []
    for op in network.ops:
        if isinstance(op, (Conv, Dense)):
            segments.append((op, []))
        else:
            (segments[-1][1] if segments else head).append(op)
    return head, segments


def _images(golden: Int64, faulty: Int64, labels: Int64, workload: Workload, score: str) -> tuple[ImageStep, ...]:
    scale = workload.network.score_scale
    outcomes = classify(golden, faulty, score=score, score_scale=scale)
    before, after = top_probability(golden, scale), top_probability(faulty, scale)
    classes = zip(labels.tolist(), top_class(golden).tolist(), top_class(faulty).tolist(), strict=True)
    return tuple(
        ImageStep(
            image=index,
            label=label,
            golden_class=golden_class,
            faulty_class=faulty_class,
            golden_probability=float(before[index]),
            faulty_probability=float(after[index]),
            outcome=Outcome(int(outcomes[index])).name.lower(),
        )
        for index, (label, golden_class, faulty_class) in enumerate(classes)
    )
