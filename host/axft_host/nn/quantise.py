"""Post-training quantisation: a float network becomes integers for one configuration.

The rules are those of ``docs/reference/semantics.md``. Weights are scaled per tensor; activations are
unsigned after a ReLU, else signed, over ranges seen on training images. A network that is quantised already,
to 8 bits and symmetrically, keeps its integers and its scales at width 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.nn import graph, network
from axft_host.nn.graph import Compensation, FakeQuantise, FloatNetwork, FloatOp, Relu
from axft_host.nn.images import fit_images
from axft_host.nn.inference import apply_host_op
from axft_host.nn.network import Network
from axft_host.nn.prepared import PreparedLayer
from axft_spec.config import PRESETS, ArrayConfig
from axft_spec.errors import ConfigError, ModelError, unknown_name
from axft_spec.multipliers import EXACT
from axft_spec.numeric import choose_requantisation, quantise_pixels, quantise_signed, signed_range, unsigned_range

__all__ = ["ROUNDINGS", "check_rounding", "measure_corrections", "quantise"]

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Pixels = NDArray[np.uint8]

#: How weights are rounded: to what the multiplier keeps (the default), or as the published study does.
ROUNDINGS = ("multiplier", "paper")

_ASK_FOR_IMAGES = "give --calibration DATA (training images, never those the accuracy is measured on)"
#: Images per pass when errors are measured; bounds the memory that lowering takes.
_BATCH = 100


def check_rounding(rounding: str) -> str:
    """Return `rounding` if it is the name of one."""
    if rounding not in ROUNDINGS:
        raise ConfigError(unknown_name("rounding", rounding, ROUNDINGS))
    return rounding


def quantise(
    source: FloatNetwork,
    config: ArrayConfig,
    *,
    rounding: str = "multiplier",
    compensate: bool = False,
    calibration: Pixels | None = None,
) -> Network:
    """Compile a float network for a configuration.

    Parameters
    ----------
    source : FloatNetwork
    config : ArrayConfig
        The array's size does not matter.
    rounding : str
        ``multiplier``: weights to the nearest multiple of what the multiplier keeps; ``paper``: to the
        nearest integer, whatever the multiplier then ignores.
    compensate : bool
        Whether to cancel the mean error of each output channel in its bias.
    calibration : ndarray of uint8, shape (n, channels, height, width), or None
        Training images that ranges (and mean errors) are measured on, instead of those that came with the
        network.

    Returns
    -------
    Network

    Raises
    ------
    ModelError
        If ranges or corrections are needed that neither came with the network nor can be measured, or the
        network has a form that cannot be quantised.
    """
    check_rounding(rounding)
    if calibration is not None:
        source = source.calibrated(calibration, "images given")
    corrections: _Corrections | None = None
    if compensate:
        corrections = _known_corrections(source, config, rounding) if calibration is None else _measured
    return _Compiler(source, config, rounding, corrections, calibration if compensate else None).compile()


def measure_corrections(
    source: FloatNetwork, config: ArrayConfig, *, rounding: str = "multiplier", images: Pixels
) -> Compensation:
    """Measure what `compensate` subtracts from the biases, with the ranges that came with the network.

    Parameters
    ----------
    source : FloatNetwork
        Calibrated.
    config : ArrayConfig
    rounding : str
    images : ndarray of uint8, shape (n, channels, height, width)
        Training images.
    """
    check_rounding(rounding)
    compiler = _Compiler(source, config, rounding, _measured, images)
    compiler.compile()
    return Compensation(
        width=config.width,
        multiplier=config.multiplier,
        operand_a=config.operand_a,
        rounding=rounding,
        corrections=tuple(compiler.corrected),
    )


#: (layer, operation with its bias as quantised, operands of all images or None, config) -> correction.
_Corrections = Callable[[int, Any, Any, ArrayConfig], Int64]


def _known_corrections(source: FloatNetwork, config: ArrayConfig, rounding: str) -> _Corrections:
    if config.multiplier.exact:
        return lambda layer, op, values, config: np.zeros(op.outputs, dtype=np.int64)
    for table in source.compensations:
        if table.fits(config, rounding):
            return lambda layer, op, values, config: table.corrections[layer]
    raise ModelError(
        f"{source.name} came without corrections for multiplier {config.multiplier.name} (operand A: "
        f"{config.operand_a}, rounding: {rounding}); {_ASK_FOR_IMAGES}, or do not compensate"
    )


def _measured(layer: int, op: network.Conv | network.Dense, values: Int64, config: ArrayConfig) -> Int64:
    """Return each output channel's mean of psum minus exact psum, over images and positions, half to even."""
    total, count = np.zeros(op.outputs, dtype=np.int64), 0
    ours = PreparedLayer.prepare(op, config)
    exact = PreparedLayer.prepare(op, replace(config, multiplier=EXACT))
    for start in range(0, len(values), _BATCH):
        part = values[start : start + _BATCH]
        error = ours.accumulators(part) - exact.accumulators(part)
        error = np.moveaxis(error, 1, 0).reshape(op.outputs, -1)
        total += error.sum(axis=1)
        count += error.shape[1]
    return np.rint(total / max(count, 1)).astype(np.int64)


@dataclass(slots=True)
class _Step:
    """A multiplying or averaging operation, and the simpler ones up to the next."""

    index: int
    op: graph.Conv | graph.Dense | graph.AveragePool
    tail: list[tuple[int, FloatOp]] = field(default_factory=list)

    @property
    def ends_exactly(self) -> bool:
        """Whether, as the last step, its accumulators can be the output: nothing but order is left to do."""
        if isinstance(self.op, graph.AveragePool):
            return True
        return not any(isinstance(op, graph.MaxPool) for _, op in self.tail)


def _steps(ops: tuple[FloatOp, ...]) -> tuple[list[FloatOp], list[_Step]]:
    """Return the operations before the first step, and the steps."""
    head: list[FloatOp] = []
    steps: list[_Step] = []
    for index, op in enumerate(ops):
        if isinstance(op, (graph.Conv, graph.Dense, graph.AveragePool)):
            steps.append(_Step(index, op))
        elif steps:
            steps[-1].tail.append((index, op))
        else:
            head.append(op)
    return head, steps


def _clips_at_zero(op: FloatOp) -> bool:
    """Whether an operation makes negative values 0; quantisers have often taken in a ReLU."""
    return isinstance(op, Relu) or (isinstance(op, FakeQuantise) and op.low == op.zero_point)


class _Compiler:
    """One compilation: the operations so far, and what an integer stands for at this point."""

    def __init__(
        self,
        source: FloatNetwork,
        config: ArrayConfig,
        rounding: str,
        corrections: _Corrections | None,
        images: Pixels | None,
    ) -> None:
        self.source, self.config, self.rounding = source, config, rounding
        self.corrections, self.images = corrections, images
        self.corrected: list[Int64] = []
        self.ops: list[network.Op] = []
        self.scale = 1.0  # a value is its integer times this
        self.unsigned = False  # no value is negative
        self.values: Int64 | None = None  # of `images`, if errors are to be measured
        self.requantised: list[str] = []
        self.rounded: list[str] = []
        self.notices: list[str] = []

    def compile(self) -> Network:
        source, config = self.source, self.config
        head, steps = _steps(source.ops)
        table = self._input(head)
        for step in steps[:-1]:
            self._step(step, last=False)
        self._step(steps[-1], last=steps[-1].ends_exactly)
        self._sum_up()
        return Network(
            name=source.name,
            ops=tuple(self.ops),
            width=config.width,
            multiplier=config.multiplier,
            operand_a=config.operand_a,
            rounding=self.rounding,
            compensated=self.corrections is not None,
            config_name=_preset_name(config),
            input_shape=source.input_shape,
            input_table=table,
            score_scale=self.scale,
            source_digest=source.source_digest,
            notices=(*source.notices, *self.notices),
        )

    def _sum_up(self) -> None:
        """Turn what was noted about layers into one notice each."""
        if self.requantised:
            what = ", ".join(dict.fromkeys(self.requantised))
            self.notices.append(f"quantised anew, not as in the file: {what}")
        if self.rounded:
            step = 1 << self.config.omit_weight
            what = ", ".join(self.rounded)
            self.notices.append(f"the file's integer weights are rounded to multiples of {step}: {what}")

    def _emit(self, op: network.Op) -> None:
        self.ops.append(op)
        if self.values is None:
            return
        if isinstance(op, (network.Conv, network.Dense)):
            layer, values = PreparedLayer.prepare(op, self.config), self.values
            parts = [values[start : start + _BATCH] for start in range(0, len(values), _BATCH)]
            self.values = np.concatenate([layer.accumulators(part) for part in parts])
        else:
            self.values = apply_host_op(op, self.values)

    def _keeps(self, quantiser: FakeQuantise) -> bool:
        """Whether the file's integers are ours: 8 bits, symmetric."""
        range_ = (quantiser.zero_point, quantiser.low, quantiser.high)
        return self.config.width == 8 and range_ == (0, *signed_range(8))

    def _input(self, head: list[FloatOp]) -> Int64:
        """Return the table from pixels to operands and emit what comes before the first step."""
        source, width = self.source, self.config.width
        values = source.input_values()
        quantisers = [op for op in head if isinstance(op, FakeQuantise)]
        if quantisers and self._keeps(quantisers[-1]):
            # In float32, as the operator QuantizeLinear is defined.
            quotients = values.astype(np.float32) / np.float32(quantisers[-1].scale)
            table: Int64 = np.clip(np.rint(quotients), *signed_range(8)).astype(np.int64)
            self.scale, self.unsigned = quantisers[-1].scale, bool(values.min() >= 0)
        elif not any(source.input_mean) and len(set(source.input_std)) == 1:
            row = quantise_pixels(np.arange(256, dtype=np.uint8), width)
            table = np.tile(row, (source.input_shape[0], 1))
            self.scale, self.unsigned = float(values.max()) / unsigned_range(width)[1], True
        else:
            # Signed, so that 0, which padding is, stays 0.
            maximum = float(np.abs(values).max())
            table = quantise_signed(values, maximum, width)
            self.scale = maximum / (1 << (width - 1))
        if quantisers and not self._keeps(quantisers[-1]):
            self.requantised.append("input")
        if self.images is not None:
            pixels = fit_images(self.images, source.input_shape)
            self.values = np.stack([row[pixels[:, channel]] for channel, row in enumerate(table)], axis=1)
        for op in head:
            if _clips_at_zero(op) and not self.unsigned:
                self._emit(network.Clip(name=op.name))
                self.unsigned = True
            elif isinstance(op, (graph.MaxPool, graph.Flatten)):
                self._emit(op)
        return table

    def _step(self, step: _Step, *, last: bool) -> None:
        op = step.op
        if isinstance(op, graph.AveragePool):
            # One factor if all windows have the same divisor, else one per position.
            divisors = op.divisors if np.ptp(op.divisors) else op.divisors[:1, :1]
            scales, largest = self.scale / divisors[None], self._average(op)
        else:
            scales, largest = self._multiply(op, common_scale=last)
        if last:
            if scales.size != 1:
                raise ModelError(f"{op.name}: the last pooling must have the same divisor everywhere")
            self.scale = float(scales.reshape(-1)[0])
        else:
            self._requantise(step, scales, largest)
        for _, other in step.tail:
            if _clips_at_zero(other) and last:
                self._emit(network.Clip(name=other.name))
            elif isinstance(other, (graph.MaxPool, graph.Flatten)):
                self._emit(other)

    def _average(self, op: graph.AveragePool) -> int:
        """Emit the sums; return their largest possible magnitude."""
        self._emit(
            network.AveragePool(name=op.name, kernel=op.kernel, strides=op.strides, pads=op.pads, out_size=op.out_size)
        )
        return op.kernel[0] * op.kernel[1] << (self.config.width - 1)

    def _multiply(self, op: graph.Conv | graph.Dense, *, common_scale: bool) -> tuple[Float64, int]:
        """Emit a layer; return the scales of its accumulators and the largest possible magnitude of one."""
        weights, weight_scales = self._weights(op, common_scale)
        # (outputs,) or (1,), then shaped to broadcast against a map.
        scales = self.scale * weight_scales
        bias = np.rint(op.bias / scales)
        if not np.all(np.abs(bias) <= network.LARGEST_BIAS):
            raise ModelError(f"{op.name}: the bias is more than 2**50 times as large as a product")
        layer = self._layer(op, weights, bias.astype(np.int64))
        self._warn_of_wrapping(op.name, weights)
        if self.corrections is not None:
            correction = self.corrections(len(self.corrected), layer, self.values, self.config)
            self.corrected.append(correction)
            layer = replace(layer, bias=layer.bias - correction)
        self._emit(layer)
        # Toeplitz adds the wrapped psums of the input channels of a group.
        sums = op.shape.group_inputs if isinstance(op, graph.Conv) else 1
        largest = (sums << (self.config.acc_bits - 1)) + int(np.abs(layer.bias).max(initial=0))
        return (scales[:, None, None] if isinstance(op, graph.Conv) else scales), largest

    @staticmethod
    def _layer(op: graph.Conv | graph.Dense, weights: Int64, bias: Int64) -> network.Conv | network.Dense:
        if isinstance(op, graph.Conv):
            return network.Conv(name=op.name, shape=op.shape, weights=weights, bias=bias)
        return network.Dense(name=op.name, weights=weights, bias=bias)

    def _weights(self, op: graph.Conv | graph.Dense, common_scale: bool) -> tuple[Int64, Float64]:
        """Return integer weights and their scales, shape (outputs,) or (1,)."""
        width = self.config.width
        step = 1 << self.config.omit_weight if self.rounding == "multiplier" else 1
        own = op.weight_scales
        if own is not None and width == 8 and (not common_scale or np.ptp(own) == 0):
            columns = (len(own), *(1,) * (op.weights.ndim - 1))
            integers = op.weights / own.reshape(columns)
            if step > 1:
                self.rounded.append(op.name)
            # With a maximum of 2**(width-1) integers are quantised to themselves.
            weights = quantise_signed(np.rint(integers), 1 << (width - 1), width, step=step)
            return weights, own if np.ptp(own) else own[:1]
        if own is not None:
            self.requantised.append(op.name)
        maximum = float(np.abs(op.weights).max(initial=0)) or 1.0
        weights = quantise_signed(op.weights, maximum, width, step=step)
        return weights, np.array([maximum / (1 << (width - 1))])

    def _warn_of_wrapping(self, name: str, weights: Int64) -> None:
        rows = weights.reshape(len(weights), -1)
        if self.unsigned:
            reach = max(int(np.maximum(sign * rows, 0).sum(axis=1).max(initial=0)) for sign in (1, -1))
            reach *= unsigned_range(self.config.width)[1]
        else:
            reach = int(np.abs(rows).sum(axis=1).max(initial=0)) << (self.config.width - 1)
        if reach >= 1 << (self.config.acc_bits - 1):
            self.notices.append(f"{name}: partial sums may wrap at {self.config.acc_bits} bits")

    def _requantise(self, step: _Step, scales: Float64, largest: int) -> None:
        scale, low, high = self._output_range(step)
        # A range of zero: the layer is always 0, and so is the factor.
        factors = scales / scale if scale else np.zeros_like(scales)
        try:
            multipliers, shift = choose_requantisation(factors, self.config.acc_bits, largest)
        except ConfigError as error:
            raise ModelError(f"{step.op.name}: {error}") from error
        name = f"{step.op.name}.requantise"
        self._emit(network.Requantise(name=name, multipliers=multipliers, shift=shift, low=low, high=high))
        self.scale, self.unsigned = scale or 1.0, low == 0

    def _output_range(self, step: _Step) -> tuple[float, int, int]:
        """Return the scale of a step's output and its integer limits, a ReLU in its tail included."""
        quantisers = [op for _, op in step.tail if isinstance(op, FakeQuantise)]
        # Max pooling and flattening do not care whether negative values become 0 before or after them.
        relu = any(_clips_at_zero(op) for _, op in step.tail)
        relu = relu or (self.unsigned and isinstance(step.op, graph.AveragePool))
        width = self.config.width
        if len({op.scale for op in quantisers}) > 1:
            self.notices.append(f"{step.op.name}: of several roundings in a row the last one is kept")
        if quantisers and self._keeps(quantisers[-1]):
            return quantisers[-1].scale, 0 if relu else signed_range(width)[0], signed_range(width)[1]
        if quantisers:
            self.requantised.append(step.op.name)
        maximum = self._maximum(step, quantisers)
        if relu:
            return maximum / unsigned_range(width)[1], *unsigned_range(width)
        return maximum / (1 << (width - 1)), *signed_range(width)

    def _maximum(self, step: _Step, quantisers: list[FakeQuantise]) -> float:
        """Return the largest magnitude of a step's output."""
        ends = [index for index, op in step.tail if isinstance(op, (Relu, FakeQuantise))]
        index = ends[-1] if ends else step.index
        calibration = self.source.calibration
        if calibration is not None and (maximum := calibration.maxima[index]) is not None:
            return maximum
        if quantisers:
            op = quantisers[-1]
            return max(op.high - op.zero_point, op.zero_point - op.low) * op.scale
        raise ModelError(
            f"{self.source.name} came without the range of {self.source.ops[index].name}; {_ASK_FOR_IMAGES}"
        )


def _preset_name(config: ArrayConfig) -> str | None:
    """Return the preset with the same arithmetic, whatever its multiplier is called."""

    def arithmetic(value: ArrayConfig) -> ArrayConfig:
        return replace(value, rows=1, cols=1, multiplier=replace(value.multiplier, name=""))

    return next((name for name, p in PRESETS.items() if arithmetic(p.config) == arithmetic(config)), None)
