"""What an array is and how a network becomes integers on it, in the words of the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from axft_host.api.keywords import by_keywords, made_by_keywords
from axft_host.campaign.workload import WorkloadOptions, resolve_config
from axft_host.nn.quantise import check_rounding
from axft_spec.config import PRESETS, ArrayConfig, PaperRow, Preset
from axft_spec.lowering import check_lowering

__all__ = ["Config", "as_config"]

PathOrName = str | os.PathLike[str]


@made_by_keywords
@dataclass(frozen=True, slots=True)
class Config:
    """A configuration on an array: ``Config("34P", array="8x8")``.

    Parameters
    ----------
    config : str or None
        Name of a preset, as of ``--config``: Baseline, 8P, 2PT, 2QH, 2R5, 34P or 2TE. None for what a compiled network
        has, which is named by the `model` of a call.
    array : str
        The logical array, rows x columns of PEs, as of ``--array``.
    lowering : str
        ``im2col`` or ``toeplitz``: how a convolution becomes matrix products.
    rounding : str or None
        ``multiplier`` (the default) or ``paper``: how weights are rounded.
    compensate : bool or None
        Whether the multiplier's mean error is cancelled in the biases; not, by default.
    operand_a : str or None
        Which operand is A of the multiplier: ``weight`` (the default) or ``activation``.

    Raises
    ------
    ConfigError
        If a value is not allowed; the message says what is.
    """

    config: str | None
    array: str = field(default="28x28", kw_only=True)
    lowering: str = field(default="im2col", kw_only=True)
    rounding: str | None = field(default=None, kw_only=True)
    compensate: bool | None = field(default=None, kw_only=True)
    operand_a: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_lowering(self.lowering)
        if self.rounding is not None:
            check_rounding(self.rounding)
        if self.config is not None:
            name, _ = resolve_config(self.options())
            object.__setattr__(self, "config", name)

    @property
    def array_config(self) -> ArrayConfig:
        """The logical array with its operands and its multiplier.

        Raises
        ------
        ConfigError
            If no preset is named.
        """
        return resolve_config(self.options())[1]

    @property
    def preset(self) -> Preset | None:
        """The preset, if one is named."""
        return None if self.config is None else PRESETS[self.config]

    @property
    def paper(self) -> PaperRow | None:
        """The row of the published study's table, if a preset is named; in percent."""
        return None if self.preset is None else self.preset.paper

    @property
    def energy_reduction(self) -> float | None:
        """Energy saved against the 16-bit baseline, a fraction, by a fit to the study's column."""
        return None if self.preset is None else self.preset.energy_reduction

    @by_keywords
    def options(
        self,
        *,
        model: PathOrName | None = None,
        data: PathOrName | None = None,
        images: int | None = None,
        calibration: PathOrName | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> WorkloadOptions:
        """Return this configuration with a network and images, as the command line has them.

        Parameters
        ----------
        model : str or path, optional
            A shipped network (``lenet5``, the default), an ONNX file, or what ``axft-hw compile`` wrote.
        data : str or path, optional
            ``mnist-5k`` (the default), another name of ``axft-hw data``, a directory of IDX files, an ``.npz`` file.
        images : int, optional
            How many of the first images.
        calibration : str or path, optional
            Training images to measure ranges on, as `data`.
        mean, std : sequence of float, optional
            For an ONNX model: a pixel p enters as (p / 255 - mean) / std, one value per channel.
        """
        return WorkloadOptions(
            config=self.config,
            array=self.array,
            lowering=self.lowering,
            rounding=self.rounding,
            compensate=self.compensate,
            operand_a=self.operand_a,
            model=_text(model),
            data=_text(data),
            images=images,
            calibration=_text(calibration),
            mean=None if mean is None else tuple(mean),
            std=None if std is None else tuple(std),
        )


def _text(value: PathOrName | None) -> str | None:
    return None if value is None else os.fspath(value)


def as_config(config: Config | str | None) -> Config:
    """Return a configuration that is one, or the one of a name."""
    return config if isinstance(config, Config) else Config(config)
