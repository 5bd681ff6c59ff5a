"""Make a VGG for images of 3 x 32 x 32 pixels, as ONNX, with images to calibrate and to evaluate it on.

Needs the extra ``training`` (PyTorch)::

    python models/vgg/make.py --out OUT_DIR
    python models/vgg/make.py --out OUT_DIR --channels 16 --data MNIST_DIR --epochs 3

The first has random weights and random images: it measures speed and memory, and its outcomes mean nothing. The second
is trained on MNIST, padded to 32 x 32 and the same in all three channels. Both write ``vgg.onnx`` and ``images.npz``,
which as ``images.npz:train`` has the images to calibrate on. ``README.md`` beside this file says more.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from axft_host.nn.datasets import load_dataset

#: Configuration A of Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
#: (2015), table 1: channels of each convolution over those of the first one, and 0 for a pooling.
LAYERS = (1, 0, 2, 0, 4, 4, 0, 8, 8, 0, 8, 8, 0)
CLASSES = 10
#: Pixels enter as (p / 255 - MEAN) / STD.
MEAN, STD = 0.5, 0.25
CALIBRATION_IMAGES = 1_000
EVALUATION_IMAGES = 2_000
BATCH = 100
PEAK_RATE = 2e-3

Pixels = NDArray[np.uint8]


class Vgg(nn.Module):
    """VGG with eight convolutions, batch normalisation and one dense layer, as is usual for images of this size.

    Parameters
    ----------
    channels : int
        Of the first convolution; 64 is VGG-11.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for factor in LAYERS:
            if factor:
                outputs = factor * channels
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
                inputs = outputs
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, CLASSES)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n, 10)."""
        return self.classifier(torch.flatten(self.features(images), 1))


def normalised(images: Pixels) -> Tensor:
    """Return pixels as the network takes them, float32."""
    return (torch.from_numpy(images).float() / 255 - MEAN) / STD


def random_images(count: int, rng: np.random.Generator) -> Pixels:
    """Return images of random colours in blocks of 4 x 4 pixels, so that they differ after pooling, too."""
    blocks = rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    return np.repeat(np.repeat(blocks, 4, axis=2), 4, axis=3)


def padded(images: Pixels) -> Pixels:
    """Return MNIST images, shape (n, 1, 28, 28), as (n, 3, 32, 32)."""
    return np.repeat(np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))), 3, axis=1)


def settle(model: Vgg, images: Pixels) -> None:
    """Set the statistics of batch normalisation to those of some images."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the average of all batches
    with torch.no_grad():
        for part in normalised(images).split(BATCH):
            model(part)


def classes_of(model: Vgg, images: Pixels) -> NDArray[np.int64]:
    """Return the class of each image."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part).argmax(dim=1) for part in normalised(images).split(BATCH)]).numpy()


def fit(model: Vgg, images: Pixels, labels: NDArray[np.int64], epochs: int) -> None:
    """Fit to labelled images: Adam, the rate rising and falling once."""
    values, targets = normalised(images), torch.from_numpy(np.array(labels))
    steps = epochs * (len(values) // BATCH)
    optimiser = torch.optim.Adam(model.parameters(), lr=PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps)
    model.train()
    for epoch in range(epochs):
        for chosen in torch.randperm(len(values))[: len(values) // BATCH * BATCH].split(BATCH):
            optimiser.zero_grad()
            loss = F.cross_entropy(model(values[chosen]), targets[chosen])
            loss.backward()
            optimiser.step()
            schedule.step()
        click.echo(f"epoch {epoch + 1}: loss of its last batch {float(loss):.4f}")


def export(model: Vgg, path: Path) -> None:
    """Write ONNX, any number of images, batch normalisation as it is, with the scaling of the pixels."""
    model.eval()
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, 32, 32),),
        str(path),
        dynamo=False,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "n"}, "logits": {0: "n"}},
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
    )
    made = onnx.load(path)
    scaling = {"mean": [MEAN] * 3, "std": [STD] * 3, "pixel_scale": 255}
    onnx.helper.set_model_props(made, {"axft.input": json.dumps(scaling)})
    onnx.save(made, path)


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Output directory.")
@click.option("--channels", type=click.IntRange(1), default=64, show_default=True, help="Of the first convolution.")
@click.option("--data", type=click.Path(path_type=Path), help="Directory of the MNIST IDX files; random otherwise.")
@click.option("--epochs", type=click.IntRange(1), default=3, show_default=True)
@click.option("--train-images", type=click.IntRange(BATCH), default=20_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(out: Path, channels: int, data: Path | None, epochs: int, train_images: int, seed: int) -> None:
    """Write the network and its images."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Vgg(channels)
    if data is None:
        calibration, images = (random_images(count, rng) for count in (CALIBRATION_IMAGES, EVALUATION_IMAGES))
        settle(model, calibration)
        # There is nothing to be right about: the labels are what the float network says.
        known, labels = classes_of(model, calibration), classes_of(model, images)
    else:
        training, test = load_dataset(f"{data}:train"), load_dataset(str(data))
        fit(model, padded(training.images[:train_images]), training.labels[:train_images], epochs)
        calibration, known = padded(training.images[:CALIBRATION_IMAGES]), training.labels[:CALIBRATION_IMAGES]
        images, labels = padded(test.images), test.labels
        click.echo(f"accuracy on {len(labels):,} test images: {np.mean(classes_of(model, images) == labels):.2%}")
    out.mkdir(parents=True, exist_ok=True)
    export(model, out / "vgg.onnx")
    np.savez_compressed(out / "images.npz", x_train=calibration, y_train=known, x_test=images, y_test=labels)
    click.echo(f"{out}: vgg.onnx, images.npz")


if __name__ == "__main__":
    main()
