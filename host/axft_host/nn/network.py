"""The compiled network: integers only, a linear chain of operations, and the one file it is saved to.

Values between operations are int64 arrays: maps of shape (images, channels, height, width) or vectors of
shape (images, n). Conv and Dense run on the array; everything else is the host's, outside the fault domain.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Union

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.archive import (
    Archive,
    FrozenArrays,
    described_by,
    frozen,
    ops_from_parts,
    ops_to_parts,
    read_archive,
    write_archive,
)
from axft_host.nn.images import fit_images
from axft_host.nn.shapes import Shape, conv_output, dense_output, flat_output, max_pool_output, pool_output
from axft_spec.config import ArrayConfig
from axft_spec.errors import ModelError
from axft_spec.lowering import ConvShape, GemmShape, conv_gemms, dense_gemms
from axft_spec.multipliers import Multiplier
from axft_spec.numeric import REQUANT_BITS, signed_range

__all__ = [
    "KIND",
    "LARGEST_BIAS",
    "AveragePool",
    "Clip",
    "Conv",
    "Dense",
    "Flatten",
    "MaxPool",
    "Network",
    "Op",
    "Requantise",
    "output_shape",
    "value_shapes",
]

Int64 = NDArray[np.int64]

#: What the file of a compiled network says it is.
KIND = "network"


#: Largest magnitude of a bias; one beyond it means that the weights are as good as zero.
LARGEST_BIAS = 2**50

#: The last shift with which half of what is shifted out is still an int64.
_LARGEST_SHIFT = 62

_WEIGHTS = {"weights": np.int64, "bias": np.int64}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv(FrozenArrays):
    """A two-dimensional convolution on the array; yields accumulators with their bias.

    Parameters
    ----------
    name : str
    shape : ConvShape
    weights : ndarray of int64, shape (out_channels, group_inputs, kernel rows, kernel columns)
    bias : ndarray of int64, shape (out_channels,)
        At accumulator scale, added on the host.
    """

    _arrays: ClassVar[Mapping[str, type[np.generic]]] = _WEIGHTS

    name: str
    shape: ConvShape
    weights: Int64
    bias: Int64

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.shape.out_channels

    def gemms(self, lowering: str) -> tuple[int, GemmShape]:
        """Return how many GEMMs this becomes, and the shape they all have."""
        return conv_gemms(self.shape, lowering)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense(FrozenArrays):
    """A matrix times a vector on the array; yields accumulators with their bias.

    Parameters
    ----------
    name : str
    weights : ndarray of int64, shape (outputs, inputs)
    bias : ndarray of int64, shape (outputs,)
        At accumulator scale, added on the host.
    """

    _arrays: ClassVar[Mapping[str, type[np.generic]]] = _WEIGHTS

    name: str
    weights: Int64
    bias: Int64

    @property
    def outputs(self) -> int:
        """Elements of the output vector."""
        return int(self.weights.shape[0])

    def gemms(self, lowering: str) -> tuple[int, GemmShape]:
        """Return how many GEMMs this becomes (one), and its shape; the same in every lowering."""
        return dense_gemms(self.weights.shape[1], self.weights.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool:
    """The largest value of each window; padding never wins.

    Parameters
    ----------
    name : str
    kernel, strides, dilations, out_size : (int, int)
        Along rows and columns.
    pads : (int, int, int, int)
        Top, left, bottom, right.
    """

    name: str
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    out_size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePool:
    """The sum of each window; the Requantise that follows includes the divisor. Padding counts as 0.

    Parameters
    ----------
    name : str
    kernel, strides, out_size : (int, int)
        Along rows and columns.
    pads : (int, int, int, int)
        Top, left, bottom, right.
    """

    name: str
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    out_size: tuple[int, int]

    @property
    def dilations(self) -> tuple[int, int]:
        """Always 1, 1."""
        return 1, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten:
    """A map of shape (channels, height, width) read row-major as a vector; a vector stays as it is."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Requantise(FrozenArrays):
    """Accumulators or sums to operands: ``clip((acc * M + 2**(shift-1)) >> shift, low, high)``.

    Parameters
    ----------
    name : str
    multipliers : ndarray of int64
        M, at least 0 and below ``2**REQUANT_BITS[acc_bits]`` of `axft_spec.numeric`. On a map of shape (channels,
        height, width): one for all, one per channel, shape (channels, 1, 1), or one per position, shape (channels,
        height, width), or (1, height, width) for the same in all channels. On a vector of shape (n,): one for all,
        or shape (n,). One for all has as many axes as the value, or none.
    shift : int
        From 1 to 62.
    low, high : int
        Inclusive limits; a fused ReLU is ``low = 0``.
    """

    _arrays: ClassVar[Mapping[str, type[np.generic]]] = {"multipliers": np.int64}

    name: str
    multipliers: Int64
    shift: int
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Negative values become 0: a ReLU that no Requantise could take in."""

    name: str


Op = Union[Conv, Dense, MaxPool, AveragePool, Flatten, Requantise, Clip]  # noqa: UP007  # a value, on Python 3.10 too

_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls for cls in (Conv, Dense, MaxPool, AveragePool, Flatten, Requantise, Clip)
}


def output_shape(op: Op, shape: Shape) -> Shape:
    """Return the shape of an operation's output for one image: (channels, height, width) or (n,).

    Raises
    ------
    ModelError
        If the operation cannot take a value of `shape`.
    """
    if isinstance(op, Conv):
        return conv_output(op.name, op.shape, op.weights.shape, shape)
    if isinstance(op, Dense):
        return dense_output(op.name, op.weights.shape, shape)
    if isinstance(op, MaxPool):
        return max_pool_output(op.name, op, shape)
    if isinstance(op, AveragePool):
        return pool_output(op.name, op, shape)
    if isinstance(op, Flatten):
        return flat_output(shape)
    return shape


def value_shapes(network: Network) -> Iterator[tuple[Op, Shape, Shape]]:
    """Yield every operation with the shapes of its input and of its output for one image."""
    shape: Shape = network.input_shape
    for op in network.ops:
        result = output_shape(op, shape)
        yield op, shape, result
        shape = result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A quantised network, ready for the array.

    Parameters
    ----------
    name : str
    ops : tuple of operations
        Conv, Dense, MaxPool, AveragePool, Flatten, Requantise, Clip, in order. The output of the last one is
        the vector of final accumulators.
    width : int
        Operand width in bits, 8 or 16.
    multiplier : Multiplier
    operand_a : str
        Which operand is A of the multiplier: ``weight`` or ``activation``.
    rounding : str
        How the weights were rounded: ``multiplier`` or ``paper``.
    compensated : bool
        Whether the biases cancel the multiplier's mean error.
    config_name : str or None
        The preset with these operands and this multiplier, if there is one.
    input_shape : (int, int, int)
        Channels, height, width of an image.
    input_table : ndarray of int64, shape (channels, 256)
        Operand of every pixel value.
    score_scale : float
        A final accumulator times this is a logit.
    source_digest : str
        SHA-256 (hex) of the file the network was compiled from.
    notices : tuple of str
        What the user should know about how it was compiled.

    Raises
    ------
    ModelError
        If the parts do not fit together.
    """

    name: str
    ops: tuple[Op, ...]
    width: int
    multiplier: Multiplier
    operand_a: str = "weight"
    rounding: str
    compensated: bool
    config_name: str | None
    input_shape: tuple[int, int, int]
    input_table: Int64
    score_scale: float
    source_digest: str
    notices: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_table", frozen(self.input_table, np.int64))
        _check(self)

    def __repr__(self) -> str:
        # The weights would fill pages.
        size = "x".join(map(str, self.input_shape))
        return (
            f"<Network {self.name!r} for {self.config_name or self.multiplier}: input {size}, "
            f"{len(self.multiplying_layers)} layers that multiply, {self.width} bits, digest {self.digest[:12]}>"
        )

    @property
    def config(self) -> ArrayConfig:
        """The arithmetic this network was compiled for; the array's size in it has no meaning here."""
        return ArrayConfig(width=self.width, multiplier=self.multiplier, operand_a=self.operand_a)

    @property
    def multiplying_layers(self) -> tuple[Conv | Dense, ...]:
        """The Conv and Dense operations in order: layer 0, layer 1, and so on."""
        return tuple(op for op in self.ops if isinstance(op, (Conv, Dense)))

    @property
    def classes(self) -> int:
        """Number of final accumulators."""
        *_, (_, _, shape) = value_shapes(self)
        return shape[0]

    def gemms(self, lowering: str) -> tuple[tuple[int, GemmShape], ...]:
        """Return, for every multiplying layer, how many GEMMs it becomes and the shape they have."""
        return tuple(layer.gemms(lowering) for layer in self.multiplying_layers)

    def quantise_images(self, images: NDArray[np.uint8]) -> Int64:
        """Map pixels to operands.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, channels, height, width)

        Returns
        -------
        ndarray of int64, same shape

        Raises
        ------
        DataError
            If the images have another type or shape than the network takes.
        """
        pixels = fit_images(images, self.input_shape)
        operands = np.empty(pixels.shape, dtype=np.int64)
        for channel, table in enumerate(self.input_table):
            operands[:, channel] = table[pixels[:, channel]]
        return operands

    def scores(self, accumulators: Int64) -> NDArray[np.float64]:
        """Return logits for final accumulators, same shape."""
        return np.asarray(accumulators, dtype=np.float64) * self.score_scale

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that the network is, whatever file it lies in."""
        return self._archive().digest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a new file that numpy alone can load.

        Raises
        ------
        ModelError
            If the file exists or cannot be written.
        """
        write_archive(path, self._archive())

    def _archive(self) -> Archive:
        ops, arrays = ops_to_parts(self.ops)
        arrays["input_table"] = self.input_table
        names = ("name", "width", "operand_a", "rounding", "compensated", "config_name")
        values = {name: getattr(self, name) for name in (*names, "score_scale", "source_digest")}
        values |= {"input_shape": list(self.input_shape), "notices": list(self.notices)}
        return Archive(kind=KIND, meta={**values, "multiplier": self.multiplier.to_json(), "ops": ops}, arrays=arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """Read a network that `save` wrote.

        Raises
        ------
        ModelError
            If the file is missing, damaged, of another version, or no compiled network.
        """
        return cls.from_archive(read_archive(path), str(path))

    @classmethod
    def from_archive(cls, archive: Archive, source: str) -> Network:
        """Rebuild from the content of a file; `source` is its name in messages."""
        with described_by(archive, KIND, f"compiled {KIND}", source) as meta:
            meta["multiplier"] = Multiplier.from_json(meta["multiplier"])
            meta["ops"] = ops_from_parts(_CLASSES, meta["ops"], archive.arrays)
            meta["input_shape"] = tuple(meta["input_shape"])
            meta["notices"] = tuple(meta["notices"])
            return cls(**meta, input_table=archive.arrays["input_table"])


def _check(network: Network) -> None:
    """Refuse a network whose parts do not fit together."""
    low, high = signed_range(network.config.width)
    channels, height, columns = network.input_shape
    if min(channels, height, columns) < 1 or network.input_table.shape != (channels, 256):
        shape = network.input_table.shape
        raise ModelError(f"input of {network.input_shape} needs a table of {(channels, 256)}, not {shape}")
    _check_range("the input table", network.input_table, low, high)
    operands, shape = True, tuple(network.input_shape)
    for op, before, after in value_shapes(network):
        shape = after
        if isinstance(op, (Conv, Dense)):
            if not operands:
                raise ModelError(f"{op.name}: its input must be requantised before it")
            if op.bias.shape != (op.outputs,):
                raise ModelError(f"{op.name}: bias must have the shape {(op.outputs,)}, not {op.bias.shape}")
            _check_range(f"{op.name}: weights", op.weights, low, high)
            _check_range(f"{op.name}: bias", op.bias, -LARGEST_BIAS, LARGEST_BIAS)
            operands = False
        elif isinstance(op, AveragePool):
            operands = False
        elif isinstance(op, Requantise):
            _check_requantise(op, before, network.config)
            operands = True
    if len(shape) != 1:
        raise ModelError(f"the output must be a vector, not a value of shape {shape}")
    if not network.multiplying_layers:
        raise ModelError("a network must have at least one layer that multiplies (Conv or Dense)")
    if not (math.isfinite(network.score_scale) and network.score_scale > 0):
        raise ModelError(f"score_scale must be finite and positive, not {network.score_scale}")


def _check_requantise(op: Requantise, shape: Shape, config: ArrayConfig) -> None:
    one = (1,) * len(shape)
    # Stated one by one: numpy would also broadcast along the last axes of a map, which are its rows and columns.
    allowed = [(), one, shape] if len(shape) == 1 else [(), one, (shape[0], 1, 1), (1, *shape[1:]), shape]
    given = op.multipliers.shape
    if given not in allowed:
        choices = ", ".join(map(str, dict.fromkeys(allowed)))
        raise ModelError(
            f"{op.name}: multipliers of shape {given} do not fit a value of shape {shape}; allowed: {choices}"
        )
    _check_range(f"{op.name}: multipliers", op.multipliers, 0, (1 << REQUANT_BITS[config.acc_bits]) - 1)
    if not 1 <= op.shift <= _LARGEST_SHIFT:
        raise ModelError(f"{op.name}: shift must lie between 1 and {_LARGEST_SHIFT}, not {op.shift}")
    low, high = signed_range(config.width)
    if not low <= op.low <= op.high <= high:
        raise ModelError(
            f"{op.name}: limits must lie between {low} and {high}, the lower one first, not {op.low} and {op.high}"
        )


def _check_range(what: str, values: Int64, low: int, high: int) -> None:
    if values.size and not (low <= int(values.min()) and int(values.max()) <= high):
        raise ModelError(f"{what} must lie between {low} and {high}, not {values.min()} to {values.max()}")
