"""Options that several commands have, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from axft_host.campaign.plan import FaultOptions
    from axft_host.campaign.workload import WorkloadOptions

    _ParamType = click.ParamType[Any]
else:
    # Older releases of click, such as a board's, cannot be subscripted.
    _ParamType = click.ParamType

__all__ = [
    "FLOAT",
    "FLOATS",
    "INT",
    "PATH",
    "all_of",
    "arithmetic_options",
    "bitstream_option",
    "board_option",
    "config_option",
    "fault_options",
    "fault_options_of",
    "json_option",
    "target_option",
    "workload_options",
    "workload_options_of",
]

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


class _Number(_ParamType):
    """A number, or several; what it may be is checked by those who use it."""

    def __init__(self, name: str, what: str, read: Callable[[str], object]) -> None:
        self.name = name
        self._what = what
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the text."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError:
            self.fail(f"{self._what}, not {value!r}", param, ctx)


INT = _Number("N", "it must be a whole number", int)
FLOAT = _Number("X", "it must be a number", float)
FLOATS = _Number(
    "X[,X...]",
    "it must be a number, or one for each channel separated by commas",
    lambda text: tuple(float(part) for part in text.split(",")),
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout instead of tables."
)

target_option = click.option(
    "--target",
    default="listed",
    metavar="[listed|population]",
    show_default=True,
    help="What the overall rates are about: the fault space on the images that ran, or on other images of their kind "
    "as well, with wider, approximate intervals.",
)

board_option = click.option(
    "--board",
    default="emu",
    metavar="B",
    show_default=True,
    help="Where to run: emu is the bit-true emulator; rtl the simulated hardware, compiled for this machine; pynq the "
    "PYNQ-Z2 that this runs on; link:URL a board elsewhere that serves, such as link:socket://HOST:PORT.",
)

bitstream_option = click.option(
    "--bitstream",
    metavar="FILE.bit",
    help="With --board pynq: what to load, with its .hwh beside it. If not given, the one for the configuration in the "
    "directories of $AXFT_BITSTREAMS, then in the user's data, then in the checkout's bitstreams.",
)

config_option = click.option(
    "--config",
    metavar="C",
    help="Operand width and multiplier: Baseline, 8P, 2PT, 2QH, 2R5, 34P or 2TE; see `axft-hw configs`. A compiled "
    "network has its own.",
)

_array_option = click.option(
    "--array", metavar="RxC", help="The logical array, rows x columns of PEs; 28x28 if not given."
)
_model_option = click.option(
    "--model",
    metavar="M",
    help="A shipped network (lenet5, the default), an ONNX file, or a file that `axft-hw compile` wrote.",
)
_data_option = click.option(
    "--data",
    metavar="D",
    help="Images: mnist-5k (the default), a name that `axft-hw data` lists, a directory of IDX files, or an .npz file; "
    "append :train for its training images.",
)
_lowering_option = click.option(
    "--lowering",
    default="im2col",
    metavar="[im2col|toeplitz]",
    show_default=True,
    help="How a convolution becomes matrix products: output pixels x output channels, or one image row against one "
    "shifted kernel row, as the published study's tool has it. Outcomes depend on it strongly.",
)
_rounding_option = click.option(
    "--rounding",
    metavar="[multiplier|paper]",
    help="Round weights to what the multiplier keeps of them (the default), or to integers as the published study.",
)
_compensate_option = click.option(
    "--compensate/--no-compensate",
    default=None,
    help="Cancel the multiplier's mean error in the biases, or do not (the default).",
)
_operand_a_option = click.option(
    "--operand-a",
    metavar="[weight|activation]",
    help="Which operand is A of the multiplier, if it treats them differently; weight if not given.",
)
_calibration_option = click.option(
    "--calibration",
    metavar="D",
    help="Training images to measure ranges and mean errors on, as for --data; never those you evaluate on. Needed if "
    "the model does not bring its ranges.",
)
_mean_option = click.option(
    "--mean", type=FLOATS, help="For an ONNX model: a pixel p enters as (p / 255 - mean) / std; one value per channel."
)
_std_option = click.option("--std", type=FLOATS, help="See --mean.")


def all_of(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds several options, in order."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


#: How a network becomes integers.
arithmetic_options = all_of(
    _rounding_option, _compensate_option, _operand_a_option, _calibration_option, _mean_option, _std_option
)

#: A network on an array; `workload_options_of` collects them. Commands add --images with their own default.
workload_options = all_of(
    config_option, _array_option, _model_option, _data_option, _lowering_option, arithmetic_options
)

#: Which faults to draw; `fault_options_of` collects them.
fault_options = all_of(
    click.option(
        "--site",
        metavar="S",
        help="Where in a PE: weight (the default) or activation, whose fault travels down the column or along the row; "
        "weight_operand or activation_operand, this multiplier's copy alone; product; psum. Several are separated by "
        "commas. Or, with --board rtl, flip-flops of the hardware by name or pattern, such as 'rtl:core.*'.",
    ),
    click.option(
        "--kind",
        metavar="[stuck|flip|sa0|sa1]",
        help="What happens to the bit: stuck at 0 and stuck at 1 (the default), inverted, stuck at 0, stuck at 1.",
    ),
    click.option(
        "--transient",
        is_flag=True,
        help="Let each fault last one clock cycle, drawn from the schedule, instead of for ever; --kind is flip then, "
        "unless given.",
    ),
    click.option(
        "--cycles", type=INT, help="How many clock cycles a --transient fault lasts, within one tile; 1 if not given."
    ),
    click.option("--bits", type=INT, help="How many bits of one PE each fault arms; 1 if not given."),
    click.option(
        "--pattern",
        metavar="[adjacent|word|pe]",
        help="How several --bits lie: next to each other in one value (the default), anywhere in it, or anywhere at "
        "the sites of one PE.",
    ),
    click.option(
        "--faults",
        type=INT,
        help="How many faults to draw, without replacement; 2401 if not given. All of the fault space is an exhaustive "
        "campaign, more is an error.",
    ),
    click.option(
        "--margin",
        type=FLOAT,
        help="Draw as many faults as this margin of error needs at the --confidence, such as 0.02; instead of "
        "--faults.",
    ),
    click.option(
        "--confidence",
        type=FLOAT,
        default=0.95,
        show_default=True,
        help="Confidence level of --margin and of the intervals, as a fraction.",
    ),
    click.option(
        "--seed", type=INT, help="Seed of the draw; 0 if not given. The same seed draws the same faults everywhere."
    ),
)


def workload_options_of(options: Mapping[str, Any]) -> WorkloadOptions:
    """Collect the values of `workload_options`, and of --images if there is one."""
    from axft_host.campaign.workload import WorkloadOptions

    return WorkloadOptions(**{name: options[name] for name in WorkloadOptions.__slots__ if name in options})


def fault_options_of(options: Mapping[str, Any]) -> FaultOptions:
    """Collect the values of `fault_options`, and of --fault and --fault-list if there are any."""
    from axft_host.campaign.plan import FaultOptions

    return FaultOptions(**{name: options[name] for name in FaultOptions.__slots__ if name in options})
