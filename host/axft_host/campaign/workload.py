"""From options to a network on an array with its images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from axft_host.backends.base import Workload
from axft_host.nn.archive import read_archive
from axft_host.nn.datasets import Dataset, load_dataset
from axft_host.nn.graph import FloatNetwork
from axft_host.nn.images import fit_images
from axft_host.nn.library import DEFAULT_MODEL, load_network_file
from axft_host.nn.network import KIND as NETWORK_KIND
from axft_host.nn.network import Network
from axft_spec.config import PRESETS, ArrayConfig, find_preset, parse_array
from axft_spec.errors import ConfigError, DataError, ModelError, check_int
from axft_spec.lowering import check_lowering

__all__ = [
    "Prepared",
    "PreparedNetwork",
    "WorkloadOptions",
    "compiled_model",
    "prepare",
    "prepare_network",
    "resolve_config",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadOptions:
    """What to run, as a user states it; None stands for the default.

    Parameters
    ----------
    config : str or None
        Name of a preset; not needed with a compiled network, which has its own.
    array : str or None
        Logical array, as in ``28x28``.
    model : str or None
        Name of a shipped network, or path of an ONNX file or of a network file.
    data : str or None
        As in `axft_host.nn.datasets.load_dataset`.
    images : int or None
        How many of its first images; None for the default.
    lowering : str
    rounding : str or None
        How weights are rounded; None for the default, or for what a compiled network has.
    compensate : bool or None
        Whether the mean error is cancelled in the bias; None for no, or for what a compiled network has.
    operand_a : str or None
        Operand A of the multiplier.
    calibration : str or None
        Training images to measure ranges and mean errors on, as `data`.
    mean, std : tuple of float or None
        Normalisation of the pixels of an ONNX model, one value per channel.
    """

    config: str | None = None
    array: str | None = None
    model: str | None = None
    data: str | None = None
    images: int | None = None
    lowering: str = "im2col"
    rounding: str | None = None
    compensate: bool | None = None
    operand_a: str | None = None
    calibration: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedNetwork:
    """A compiled network and the configuration it runs on.

    Members
    -------
    config_name : str
        Name of the preset, or of the multiplier if there is none.
    config : ArrayConfig
    network : Network
    float_network : FloatNetwork or None
        What the network was compiled from, if it is at hand.
    calibration_digest : str or None
        Of the data set that its ranges were measured on here.
    """

    config_name: str
    config: ArrayConfig
    network: Network
    float_network: FloatNetwork | None
    calibration_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A workload with what is known about it.

    Members
    -------
    config_name : str
    workload : Workload
    dataset : Dataset
        The images of the workload and no others, with their labels.
    float_network : FloatNetwork or None
        What the network was compiled from, if it is at hand.
    notices : tuple of str
        What the user should know about the images.
    """

    config_name: str
    workload: Workload
    dataset: Dataset
    float_network: FloatNetwork | None
    notices: tuple[str, ...] = ()


def compiled_model(options: WorkloadOptions) -> Network | None:
    """Return the network that the options name if it is compiled already: it has its own arithmetic.

    Raises
    ------
    ModelError
        If its file does not exist or is damaged.
    """
    path = Path(options.model or "")
    if path.suffix in (".npz", ".onnx") and not path.exists():
        raise ModelError(f"{path} does not exist; allowed: an ONNX or .npz file, or a network by name, {DEFAULT_MODEL}")
    if path.suffix != ".npz":
        return None
    archive = read_archive(path)
    return Network.from_archive(archive, str(path)) if archive.kind == NETWORK_KIND else None


def resolve_config(options: WorkloadOptions) -> tuple[str, ArrayConfig]:
    """Return the name of a configuration and the configuration.

    Raises
    ------
    ConfigError
        If there is no such preset, or none is named and the network does not imply one.
    ModelError
        If a compiled network's file is damaged, or the network's file does not exist.
    """
    preset = None if options.config is None else find_preset(options.config)
    compiled = compiled_model(options)
    if preset is not None:
        name, config = preset.name, preset.config
    elif compiled is not None:
        name, config = compiled.config_name or compiled.multiplier.name, compiled.config
    else:
        raise ConfigError(f"no configuration given; allowed: {', '.join(PRESETS)}")
    operand_a = options.operand_a or (config.operand_a if compiled is None else compiled.operand_a)
    config = replace(config, operand_a=operand_a)
    if options.array is not None:
        config = config.resized(*parse_array(options.array))
    return name, config


def prepare_network(options: WorkloadOptions) -> PreparedNetwork:
    """Load or compile the network for the configuration, without images.

    Raises
    ------
    AxftError
        If an option cannot be met; the message names it.
    """
    check_lowering(options.lowering)
    if options.images is not None:
        check_int("images", options.images, 1)
    name, config = resolve_config(options)
    calibration = None if options.calibration is None else load_dataset(options.calibration)
    network, source = load_network_file(
        options.model or DEFAULT_MODEL,
        config,
        rounding=options.rounding,
        compensate=options.compensate,
        calibration=None if calibration is None else calibration.images,
        mean=options.mean,
        std=options.std,
    )
    return PreparedNetwork(
        config_name=name,
        config=config,
        network=network,
        float_network=source,
        calibration_digest=None if calibration is None else calibration.digest,
    )


def prepare(options: WorkloadOptions, *, default_images: int | None = None) -> Prepared:
    """Load or compile the network, load the images, and put them on the array.

    Parameters
    ----------
    options : WorkloadOptions
    default_images : int or None
        How many images if the options do not say; fewer if there are fewer. None for all.

    Raises
    ------
    AxftError
        If an option cannot be met; the message names it.
    """
    made = prepare_network(options)
    dataset = load_dataset(options.data)
    notices: tuple[str, ...] = ()
    if made.calibration_digest == dataset.digest:
        notices = (
            f"ranges were measured on the images that are evaluated ({dataset.name}), which flatters the accuracy; "
            f"give --calibration training images",
        )
    if options.images is not None:
        dataset = dataset.take(options.images)
    elif default_images is not None:
        dataset = dataset.take(min(default_images, len(dataset)))
    images = fit_images(dataset.images, made.network.input_shape)
    _check_labels(dataset, made.network.classes)
    workload = Workload(network=made.network, config=made.config, lowering=options.lowering, images=images)
    return Prepared(
        config_name=made.config_name,
        workload=workload,
        dataset=dataset,
        float_network=made.float_network,
        notices=notices,
    )


def _check_labels(dataset: Dataset, classes: int) -> None:
    """Refuse labels that are no class of the network: no image of theirs could ever be right."""
    largest = int(dataset.labels.max())
    if largest >= classes:
        raise DataError(
            f"{dataset.source}: labels must be between 0 and {classes - 1}, the {classes} classes of the network, "
            f"not {largest}"
        )
