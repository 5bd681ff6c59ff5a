"""Outcome pairs per second of a campaign against the faulty inferences per second of PyTorchFI, in the same run.

Both run the shipped LeNet-5 with its trained weights over the same images, on as many processors, in turns. PyTorchFI
(Mahmoud et al., "PyTorchFI: A Runtime Perturbation Tool for DNNs", DSN-W 2020) runs it in float32 and puts one bit of
one 8-bit weight to its other value, which is declared once per fault and then runs in batches; only the images whose
logits changed are counted, nothing is classified. The campaign runs it quantised, forces one weight line of a 28x28
array, which reaches many weights at once, classifies every pair and makes the rows of the store; it is the compiled
engine in worker processes, golden run included. One fault on one image is one pair, on both sides; so these are rates
of pairs, not of the same faults.

PyTorchFI runs as one process with all threads and as that many processes of one thread; the faster one by the clock
counts. Of ours, two rates: over the open faults of a drawn list, and over all faults of the space, of which those that
are masked with certainty cost nothing; how many they are is counted exactly. A ratio is that of one round, where the
two ran one after the other; medians of rounds.

    pip install '.[fast]' && pip install -r benchmarks/requirements-pytorchfi.txt
    python benchmarks/pytorchfi_ratio.py
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when numpy is imported; PyTorch is told its own number
os.environ["AXFT_ENGINE"] = "compiled"  # read by the worker processes

import numpy as np  # noqa: E402
from fast_campaigns import OpenFaults, make_workload  # noqa: E402

from axft_host.backends.base import Workload  # noqa: E402
from axft_host.backends.certain import CertainMasking  # noqa: E402
from axft_host.nn.graph import Conv, Dense, Flatten, FloatNetwork, MaxPool, Relu  # noqa: E402
from axft_host.nn.library import load_float_network  # noqa: E402
from axft_spec.faults import FaultSpace, draw_faults  # noqa: E402

#: Images that the float networks must agree on before anything is timed, and how far logits may differ.
_CHECKED, _TOLERANCE = 1_000, 1e-3


def to_torch(network: FloatNetwork) -> Any:
    """Return a network as PyTorch modules with the same weights."""
    import torch
    from torch import nn

    modules: list[Any] = []
    for op in network.ops:
        if isinstance(op, Conv):
            top, left, bottom, right = op.shape.pads
            assert (top, left) == (bottom, right)
            kernel, stride, dilation = op.shape.kernel, op.shape.strides, op.shape.dilations
            channels = op.shape.in_channels, op.shape.out_channels
            modules.append(nn.Conv2d(*channels, kernel, stride, (top, left), dilation, op.shape.groups))
        elif isinstance(op, Dense):
            modules.append(nn.Linear(op.weights.shape[1], op.weights.shape[0]))
        elif isinstance(op, MaxPool):
            assert not any(op.pads)
            modules.append(nn.MaxPool2d(op.kernel, op.strides))
        else:
            modules.append({Relu: nn.ReLU, Flatten: nn.Flatten}[type(op)]())
        if isinstance(op, (Conv, Dense)):
            with torch.no_grad():
                modules[-1].weight.copy_(torch.from_numpy(op.weights))
                modules[-1].bias.copy_(torch.from_numpy(op.bias))
    return nn.Sequential(*modules).eval()


def draw_weight_fault(layers: list[Any], rng: np.random.Generator) -> dict[str, list[Any]]:
    """Return one fault as PyTorchFI takes it: a bit of a weight rounded to 8 bits, stuck at its other value.

    Uniform over the weights of all layers and over the bits.
    """
    sizes = np.array([layer.weight.numel() for layer in layers])
    number = int(rng.choice(len(layers), p=sizes / sizes.sum()))
    weight = layers[number].weight.detach()
    place = [int(rng.integers(0, size)) for size in weight.shape]
    scale = float(weight.abs().max()) / 128
    integer = int(np.clip(np.rint(float(weight[tuple(place)]) / scale), -128, 127))
    faulty = ((integer ^ 1 << int(rng.integers(0, 8))) + 128) % 256 - 128
    # A dense layer has two dimensions; PyTorchFI asks for four.
    k, dim1, dim2, dim3 = [*place, None, None][:4]
    return {
        "layer_num": [number],
        "k": [k],
        "dim1": [dim1],
        "dim2": [dim2],
        "dim3": [dim3],
        "value": [faulty * scale],
    }


def peer(network: FloatNetwork, images: np.ndarray, batch: int, threads: int, link: Connection) -> None:
    """Be a process that runs PyTorchFI: take (seed, faults), answer with what was measured; None ends it."""
    import torch
    from pytorchfi.core import fault_injection

    torch.set_num_threads(threads)
    model = to_torch(network)
    layers = [module for module in model if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]
    pixels = torch.from_numpy(network.normalise(images, np.float32)).split(batch)
    injector = fault_injection(
        model, batch, input_shape=list(network.input_shape), layer_types=[torch.nn.Conv2d, torch.nn.Linear]
    )
    with torch.inference_mode():
        golden = [model(part) for part in pixels]
        ours = network.run(images[:_CHECKED])
        assert np.abs(torch.cat(golden).numpy()[: len(ours)] - ours).max() < _TOLERANCE
    link.send(torch.get_num_threads())
    while (order := link.recv()) is not None:
        rng = np.random.default_rng(order[0])
        faults = [draw_weight_fault(layers, rng) for _ in range(order[1])]
        changed, wall, used = 0, time.perf_counter(), time.process_time()
        for fault in faults:
            faulty = injector.declare_weight_fi(**fault)
            with torch.inference_mode():
                for part, clean in zip(pixels, golden, strict=True):
                    changed += int((faulty(part) != clean).any(dim=1).sum())
        wall, used = time.perf_counter() - wall, time.process_time() - used
        reached = 0
        for fault in faults:  # not timed: that exactly one weight is another, in the model that ran
            faulty = injector.declare_weight_fi(**fault)
            pairs = zip(faulty.parameters(), model.parameters(), strict=True)
            reached += sum(int((a != b).sum()) for a, b in pairs)
        assert reached == len(faults)
        link.send((wall, used, changed))


class Peers:
    """PyTorchFI on some processors: one process with as many threads, or as many processes of one.

    Parameters
    ----------
    network : FloatNetwork
    images : ndarray of uint8
    batch : int
        Images of one inference.
    processes, threads : int
    """

    def __init__(self, network: FloatNetwork, images: np.ndarray, batch: int, processes: int, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._images, self._round = len(images), 0
        self._links, self._processes = [], []
        for _ in range(processes):
            link, other = context.Pipe()
            process = context.Process(target=peer, args=(network, images, batch, threads, other), daemon=True)
            process.start()
            self._links.append(link)
            self._processes.append(process)
        for link in self._links:
            assert link.recv() == threads

    def run(self, faults: int) -> dict[str, float]:
        """Run new faults; return pairs per second by the clock, the same by processor time, and the share changed."""
        self._round += 1
        for number, link in enumerate(self._links):
            link.send(((self._round, number), faults // len(self._links)))
        results = [link.recv() for link in self._links]
        pairs = faults // len(self._links) * len(self._links) * self._images
        used = sum(result[1] for result in results)
        return {
            "clock": pairs / max(result[0] for result in results),
            "per_cpu_second": pairs / used,
            "changed": sum(result[2] for result in results) / pairs,
        }

    def close(self) -> None:
        """End the processes."""
        for link, process in zip(self._links, self._processes, strict=True):
            link.send(None)
            process.join()


class Campaign:
    """Open faults of a drawn list on one workload, in the worker processes of a campaign.

    Parameters
    ----------
    workload : Workload
    faults : int
        Length of the list.
    workers : int
    """

    def __init__(self, workload: Workload, faults: int, workers: int) -> None:
        space = FaultSpace(config=workload.config)
        count = CertainMasking(workload).count(space)
        assert count is not None
        self.certain = count / space.size
        self._opened = OpenFaults(workload, draw_faults(space, faults, 1), workers)

    def run(self) -> dict[str, float]:
        """Run the open faults; return pairs per second by the clock, and the same by processor time."""
        wall, used = self._opened.run()
        (golden_wall, golden_used), pairs = self._opened.golden_s, self._opened.pairs
        return {"clock": pairs / (wall + golden_wall), "per_cpu_second": pairs / (used + golden_used)}

    def close(self) -> None:
        """End the processes."""
        self._opened.close()


def compare(campaign: Campaign, peers: Peers, peer_faults: int, rounds: int) -> dict[str, float]:
    """Run both in turns; return medians of the rates and of the ratios of each round."""
    every = 1 / (1 - campaign.certain)
    columns: dict[str, list[float]] = {}
    for _ in range(rounds):
        theirs, ours = peers.run(peer_faults), campaign.run()
        row = {"peer_changed": theirs["changed"]}
        for clock in ("clock", "per_cpu_second"):
            ratio = ours[clock] / theirs[clock]
            row |= {f"peer_{clock}": theirs[clock], f"open_{clock}": ours[clock], f"all_{clock}": ours[clock] * every}
            row |= {f"open_ratio_{clock}": ratio, f"all_ratio_{clock}": ratio * every}
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return {"certain": campaign.certain} | {name: statistics.median(values) for name, values in columns.items()}


def best_layout(network: FloatNetwork, images: np.ndarray, options: argparse.Namespace) -> tuple[Peers, str]:
    """Return PyTorchFI in the faster of its two forms, and say what was found."""
    layouts = {(1, options.threads), (options.threads, 1)}
    found = {}
    for processes, threads in sorted(layouts):
        peers = Peers(network, images, options.batch, processes, threads)
        peers.run(options.threads)
        rates = [peers.run(options.peer_faults)["clock"] for _ in range(options.rounds)]
        found[processes, threads] = statistics.median(rates)
        peers.close()
    what = "; ".join(
        f"{processes} x {threads} threads {rate:,.0f} pairs/s" for (processes, threads), rate in found.items()
    )
    processes, threads = max(found, key=lambda layout: found[layout])
    peers = Peers(network, images, options.batch, processes, threads)
    peers.run(options.threads)
    return peers, what


def main() -> None:
    """Run what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=256, help="length of the drawn list of the campaign")
    parser.add_argument("--peer-faults", type=int, default=6, help="weight faults of PyTorchFI in a round")
    parser.add_argument("--batch", type=int, default=1_000, help="images of one inference of PyTorchFI")
    parser.add_argument("--threads", type=int, default=2, help="processors for each side")
    parser.add_argument("--configs", default="8P,34P,2R5,Baseline")
    parser.add_argument("--lowerings", default="im2col,toeplitz")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    network = load_float_network("lenet5")
    peers, layouts = best_layout(network, make_workload("8P", "im2col", options.images).images, options)
    if not options.json:
        print(f"PyTorchFI, layouts: {layouts}", flush=True)
    results = []
    for lowering in options.lowerings.split(","):
        for config in options.configs.split(","):
            campaign = Campaign(make_workload(config, lowering, options.images), options.faults, options.threads)
            row = {"lowering": lowering, "config": config} | compare(
                campaign, peers, options.peer_faults, options.rounds
            )
            campaign.close()
            results.append(row)
            if options.json:
                continue
            print(
                f"{lowering:>8} {config:>8}: PyTorchFI {row['peer_clock']:,.0f} pairs/s ({row['peer_changed']:.0%} of "
                f"them changed); ours, open faults {row['open_clock']:,.0f} = {row['open_ratio_clock']:.1f} x, all "
                f"{row['all_clock']:,.0f} = {row['all_ratio_clock']:.1f} x; by processor time "
                f"{row['open_ratio_per_cpu_second']:.1f} x and {row['all_ratio_per_cpu_second']:.1f} x",
                flush=True,
            )
    peers.close()
    if options.json:
        print(json.dumps({**vars(options), "layouts": layouts, "results": results}))


if __name__ == "__main__":
    main()
