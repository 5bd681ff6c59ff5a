"""The float network: what was imported, before quantisation; a linear chain that numpy alone can run.

It also carries what quantisation needs to know: the ranges of the activations and, for some multipliers, the
corrections of the biases.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.archive import (
    Archive,
    described_by,
    frozen,
    op_to_parts,
    ops_from_parts,
    ops_to_parts,
    read_archive,
    write_archive,
)
from axft_host.nn.float_kernels import float_kernel
from axft_host.nn.float_ops import (
    FLOAT_CLASSES,
    AveragePool,
    Conv,
    Dense,
    FakeQuantise,
    Flatten,
    FloatOp,
    MaxPool,
    Relu,
    float_shape,
)
from axft_host.nn.images import fit_images
from axft_host.nn.shapes import Shape
from axft_spec.config import ArrayConfig
from axft_spec.errors import ModelError
from axft_spec.multipliers import Multiplier

__all__ = [
    "KIND",
    "AveragePool",
    "Calibration",
    "Compensation",
    "Conv",
    "Dense",
    "FakeQuantise",
    "Flatten",
    "FloatNetwork",
    "FloatOp",
    "MaxPool",
    "Relu",
]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

#: What the file of a float network says it is.
KIND = "float network"

#: Images per pass: their patches stay in a processor's cache, their matrices are large enough for BLAS.
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Ranges of the activations.

    Parameters
    ----------
    source : str
        Which images they come from.
    maxima : tuple of float or None
        For every operation the largest magnitude of its output, where known.
    """

    source: str
    maxima: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compensation:
    """Corrections that cancel one multiplier's mean error in each output channel.

    Parameters
    ----------
    width : int
    multiplier : Multiplier
    operand_a : str
    rounding : str
        The four under which they hold.
    corrections : tuple of ndarray of int64, each of shape (outputs,)
        For every Conv and Dense: what to subtract from the bias, at accumulator scale.
    """

    width: int
    multiplier: Multiplier
    operand_a: str
    rounding: str
    corrections: tuple[Int64, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "corrections", tuple(frozen(part, np.int64) for part in self.corrections))

    def fits(self, config: ArrayConfig, rounding: str) -> bool:
        """Whether the corrections hold for the configuration; the multiplier's name does not matter."""
        own, other = replace(self.multiplier, name=""), replace(config.multiplier, name="")
        same = (self.width, self.operand_a, self.rounding) == (config.width, config.operand_a, rounding)
        return same and own == other


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatNetwork:
    """A network of floats.

    Parameters
    ----------
    name : str
    ops : tuple of operations
        Conv, Dense, Relu, MaxPool, AveragePool, Flatten, FakeQuantise, in order.
    input_shape : (int, int, int)
        Channels, height, width of an image.
    input_mean, input_std : tuple of float, one per channel
        A pixel p enters as ``(p / pixel_scale - mean) / std``.
    pixel_scale : float
    calibration : Calibration or None
    compensations : tuple of Compensation
    source_digest : str
        SHA-256 (hex) of the file the network was imported from.
    notices : tuple of str
        What the user should know about how it was imported.

    Raises
    ------
    ModelError
        If the parts do not fit together.
    """

    name: str
    ops: tuple[FloatOp, ...]
    input_shape: tuple[int, int, int]
    input_mean: tuple[float, ...]
    input_std: tuple[float, ...]
    pixel_scale: float = 255.0
    calibration: Calibration | None = None
    compensations: tuple[Compensation, ...] = ()
    source_digest: str = ""
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        channels = self.input_shape[0]
        if len(self.input_mean) != channels or len(self.input_std) != channels:
            raise ModelError(
                f"mean and std must have one value per channel ({channels}), "
                f"not {len(self.input_mean)} and {len(self.input_std)}"
            )
        numbers = (*self.input_mean, *self.input_std, self.pixel_scale)
        if not all(np.isfinite(numbers)) or min(*self.input_std, self.pixel_scale) <= 0:
            raise ModelError("mean must be finite; std and pixel scale must be positive")
        shape: Shape = self.input_shape
        for op in self.ops:
            shape = float_shape(op, shape)
        if len(shape) != 1:
            raise ModelError(f"the output must be one vector per image, not a value of shape {shape}")
        if not self.multiplying_layers:
            raise ModelError("a network must have at least one layer that multiplies (Conv, Gemm or MatMul)")
        if self.calibration is not None and len(self.calibration.maxima) != len(self.ops):
            given = len(self.calibration.maxima)
            raise ModelError(f"calibration must have one maximum per operation ({len(self.ops)}), not {given}")
        outputs = [(len(op.bias),) for op in self.multiplying_layers]
        for table in self.compensations:
            if [part.shape for part in table.corrections] != outputs:
                raise ModelError(f"corrections of the biases must have the shapes {outputs}")

    @property
    def multiplying_layers(self) -> tuple[Conv | Dense, ...]:
        """The Conv and Dense operations in order."""
        return tuple(op for op in self.ops if isinstance(op, (Conv, Dense)))

    def renormalised(self, mean: Sequence[float] | None, std: Sequence[float] | None) -> FloatNetwork:
        """Return the network with another input normalisation.

        Parameters
        ----------
        mean, std : sequence of float or None
            One value, or one per channel. Both None: the network itself; one of them: the other is 0 or 1.

        Returns
        -------
        FloatNetwork
            Without ranges and corrections if the normalisation is another one: they were measured with the old.
        """
        if mean is None and std is None:
            return self
        channels = self.input_shape[0]
        means, stds = (
            tuple(float(value) for value in given) * (channels if len(given) == 1 else 1)
            for given in ([0.0] if mean is None else mean, [1.0] if std is None else std)
        )
        if (means, stds) == (self.input_mean, self.input_std):
            return self
        return replace(self, input_mean=means, input_std=stds, calibration=None, compensations=())

    def input_values(self) -> Float64:
        """Return what every pixel value enters as, shape (channels, 256)."""
        mean, std = np.array(self.input_mean)[:, None], np.array(self.input_std)[:, None]
        return np.asarray((np.arange(256) / self.pixel_scale - mean) / std, dtype=np.float64)

    def normalise(self, images: NDArray[np.uint8], dtype: type[np.floating[Any]]) -> NDArray[Any]:
        """Return pixels as the network takes them, as float32 or float64; see `run`."""
        pixels = fit_images(images, self.input_shape)
        table = self.input_values().astype(dtype)
        values = np.empty(pixels.shape, dtype=dtype)
        for channel, row in enumerate(table):
            values[:, channel] = row[pixels[:, channel]]
        return values

    def run(self, images: NDArray[np.uint8]) -> Float32:
        """Run images through the network in float32.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, channels, height, width)

        Returns
        -------
        ndarray of float32, shape (n, classes)
            Logits.

        Raises
        ------
        DataError
            If the images have another type or shape than the network takes.
        """
        kernels = [float_kernel(op, np.float32) for op in self.ops]
        parts = []
        for start in range(0, max(len(images), 1), _BATCH):
            values = self.normalise(images[start : start + _BATCH], np.float32)
            for apply in kernels:
                values = apply(values)
            parts.append(values)
        return np.concatenate(parts)

    def calibrated(self, images: NDArray[np.uint8], source: str) -> FloatNetwork:
        """Return the network with the ranges that its activations have on `images`.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, channels, height, width)
            Training images, never those an accuracy is measured on.
        source : str
            Description of the images.
        """
        # In float64, then rounded to float32: BLAS adds in another order on every machine, and the ranges,
        # which decide every integer of the compiled network, should not show it.
        kernels = [float_kernel(op, np.float64) for op in self.ops]
        maxima = np.zeros(len(self.ops), dtype=np.float32)
        for start in range(0, len(images), _BATCH):
            values = self.normalise(images[start : start + _BATCH], np.float64)
            for index, apply in enumerate(kernels):
                values = apply(values)
                maxima[index] = max(maxima[index], np.float32(np.abs(values).max()))
        return replace(self, calibration=Calibration(source=source, maxima=tuple(maxima.tolist())))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a new file that numpy alone can load.

        Raises
        ------
        ModelError
            If the file exists or cannot be written.
        """
        ops, arrays = ops_to_parts(self.ops)
        compensations = []
        for index, table in enumerate(self.compensations):
            meta, _ = op_to_parts(replace(table, corrections=()), "")
            compensations.append(meta)
            arrays[f"compensation{index}"] = np.concatenate(table.corrections)
        calibration = None if self.calibration is None else op_to_parts(self.calibration, "")[0]
        names = ("name", "input_shape", "input_mean", "input_std", "pixel_scale", "source_digest", "notices")
        meta = {name: getattr(self, name) for name in names}
        meta |= {"ops": ops, "calibration": calibration, "compensations": compensations}
        write_archive(path, Archive(kind=KIND, meta=meta, arrays=arrays))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FloatNetwork:
        """Read a network that `save` wrote.

        Raises
        ------
        ModelError
            If the file is missing, damaged, of another version, or no float network.
        """
        return cls.from_archive(read_archive(path), str(path))

    @classmethod
    def from_archive(cls, archive: Archive, source: str) -> FloatNetwork:
        """Rebuild from the content of a file; `source` is its name in messages."""
        arrays = archive.arrays
        with described_by(archive, KIND, KIND, source) as meta:
            meta["ops"] = ops_from_parts(FLOAT_CLASSES, meta["ops"], arrays)
            ends = np.cumsum([len(op.bias) for op in meta["ops"] if isinstance(op, (Conv, Dense))])
            meta["compensations"] = tuple(
                Compensation(
                    width=table["width"],
                    multiplier=Multiplier.from_json(table["multiplier"]),
                    operand_a=table["operand_a"],
                    rounding=table["rounding"],
                    corrections=tuple(np.split(arrays[f"compensation{index}"], ends[:-1])),
                )
                for index, table in enumerate(meta["compensations"])
            )
            if (calibration := meta["calibration"]) is not None:
                maxima = tuple(calibration["maxima"])
                meta["calibration"] = Calibration(source=calibration["source"], maxima=maxima)
            for name in ("input_shape", "input_mean", "input_std", "notices"):
                meta[name] = tuple(meta[name])
            return cls(**meta)
