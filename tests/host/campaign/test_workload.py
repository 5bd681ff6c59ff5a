"""From options to a network on an array with its images; and inference with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from axft_host.campaign.infer import infer
from axft_host.campaign.workload import WorkloadOptions, prepare, prepare_network, resolve_config
from axft_host.nn.datasets import Dataset, export_npz
from axft_spec.errors import AxftError, ConfigError, DataError, ModelError
from support.small_campaign import IMAGES, small_dataset, small_float_network, write_small


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Return the options that name the small network and its images."""
    model, data = write_small(tmp_path)
    return {"model": str(model), "data": str(data)}


def compiled(files: dict[str, str], path: Path, **options: object) -> str:
    """Compile the small network to a file."""
    prepare_network(WorkloadOptions(**{"config": "34P", **files, **options})).network.save(path)
    return str(path)


def test_array_is_28x28_unless_given() -> None:
    """And the preset's name is spelled as it is declared."""
    name, config = resolve_config(WorkloadOptions(config="34p"))
    assert (name, config.rows, config.cols, config.multiplier.name) == ("34P", 28, 28, "34P")
    _, config = resolve_config(WorkloadOptions(config="34P", array="5x7", operand_a="activation"))
    assert (config.rows, config.cols, config.operand_a) == (5, 7, "activation")


def test_prepared_workload_has_the_first_images(files: dict[str, str]) -> None:
    """And no others, with their labels."""
    prepared = prepare(WorkloadOptions(config="8P", images=5, **files), default_images=3)
    assert len(prepared.workload.images) == len(prepared.dataset) == 5
    assert np.array_equal(prepared.dataset.labels, small_dataset().labels[:5])


@pytest.mark.parametrize(("default", "expected"), [(None, IMAGES), (4, 4), (500, IMAGES)])
def test_default_number_of_images_is_not_more_than_there_are(
    files: dict[str, str], default: int | None, expected: int
) -> None:
    """Only a number that was asked for can be too large."""
    assert len(prepare(WorkloadOptions(config="8P", **files), default_images=default).dataset) == expected


def test_compiled_network_brings_its_configuration(files: dict[str, str], tmp_path: Path) -> None:
    """Name, multiplier and operand order; nothing has to be said twice."""
    model = compiled(files, tmp_path / "c.npz", operand_a="activation", rounding="paper")
    prepared = prepare(WorkloadOptions(model=model, data=files["data"]))
    assert prepared.config_name == "34P"
    assert prepared.workload.config.operand_a == "activation"
    assert prepared.workload.network.rounding == "paper"
    assert prepared.float_network is None
    assert prepare(WorkloadOptions(config="34P", model=model, data=files["data"])).config_name == "34P"


def test_calibration_images_set_the_ranges(files: dict[str, str]) -> None:
    """Other images, another network."""
    plain = prepare_network(WorkloadOptions(config="8P", **files)).network
    other = prepare_network(WorkloadOptions(config="8P", calibration=files["data"], **files)).network
    assert plain.digest != other.digest


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ConfigError, "^no configuration given; allowed: Baseline, 8P, .*, 2TE$"),
        ({"config": "9P"}, ConfigError, "unknown configuration '9P'.*; allowed: Baseline, 8P"),
        ({"config": "8P", "model": "lenet6"}, ModelError, "unknown model 'lenet6'.*allowed: lenet5"),
        ({"config": "8P", "model": "no.npz"}, ModelError, "no.npz does not exist"),
        ({"config": "8P", "data": "no-such"}, DataError, "unknown data set 'no-such'"),
        ({"config": "8P", "rounding": "up"}, ConfigError, "unknown rounding 'up'"),
        ({"config": "8P", "operand_a": "bias"}, ConfigError, "unknown operand A 'bias'"),
        ({"config": "34P", "compensate": True}, ModelError, "--calibration"),
        ({"config": "8P", "calibration": "no-such"}, DataError, "unknown data set 'no-such'"),
    ],
)
def test_options_that_cannot_be_met_are_refused(
    files: dict[str, str], options: dict[str, object], error: type[AxftError], message: str
) -> None:
    """The message names what was given and what is allowed."""
    with pytest.raises(error, match=message):
        prepare(WorkloadOptions(**(files | options)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": "8P"}, "compiled for multiplier 34P, not exact"),
        ({"rounding": "paper"}, "compiled for rounding multiplier, not paper"),
        ({"compensate": True}, "compiled for compensation"),
        ({"operand_a": "activation"}, "compiled for operand A weight, not activation"),
        ({"calibration": "DATA"}, "compiled already; calibration data would have no effect"),
        ({"mean": (0.1,)}, "compiled already; mean and std would have no effect"),
    ],
)
def test_compiled_network_cannot_follow_other_options(
    files: dict[str, str], tmp_path: Path, options: dict[str, object], message: str
) -> None:
    """It would have to be compiled again."""
    model = compiled(files, tmp_path / "c.npz")
    if "calibration" in options:
        options = {"calibration": files["data"]}
    with pytest.raises(ModelError, match=message):
        prepare(WorkloadOptions(model=model, data=files["data"], **options))


def test_images_of_the_wrong_shape_are_refused(files: dict[str, str], tmp_path: Path) -> None:
    """With both shapes in the message."""
    images = np.zeros((2, 1, 5, 6), dtype=np.uint8)
    export_npz(Dataset(name="x", images=images, labels=np.zeros(2, dtype=np.int64), source="here"), tmp_path / "x.npz")
    with pytest.raises(DataError, match=r"must have the shape \(1, 6, 6\) .* not \(1, 5, 6\)"):
        prepare(WorkloadOptions(config="8P", model=files["model"], data=str(tmp_path / "x.npz")))


def test_inference_reports_both_accuracies(files: dict[str, str]) -> None:
    """That of the float network is computed from its own logits."""
    prepared = prepare(WorkloadOptions(config="8P", **files))
    result = infer(prepared, "emu")
    logits = small_float_network().run(small_dataset().images)
    assert result.float_accuracy == np.mean(logits.argmax(axis=1) == small_dataset().labels)
    assert result.accuracy == 1.0
    assert (result.images, result.images_per_second) == (IMAGES, IMAGES / result.seconds)


def test_inference_with_a_compiled_network_has_no_float_accuracy(files: dict[str, str], tmp_path: Path) -> None:
    """The float network is not at hand."""
    model = compiled(files, tmp_path / "c.npz")
    result = infer(prepare(WorkloadOptions(model=model, data=files["data"])), "emu")
    assert result.float_accuracy is None
