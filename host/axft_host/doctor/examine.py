"""Everything that is looked at on a board, from opening it to inferences per second."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from axft_host.backends.base import Backend
from axft_host.backends.emulator import Emulator
from axft_host.backends.registry import BOARDS, PHYSICAL_BOARDS, Board, open_backend
from axft_host.device.examination.finding import HINTS, Finding, State, timed
from axft_host.doctor.pictures import MOST_PICTURES
from axft_host.doctor.trial import Trial, trial_workload
from axft_spec.config import PRESETS, ArrayConfig, find_preset
from axft_spec.errors import AxftError, ConfigError, check_int
from axft_spec.manifest import MANIFEST_NAME, Manifest

__all__ = ["DEFAULT_CONFIG", "DEFAULT_IMAGES", "DoctorOptions", "Examination", "open_examination"]

DEFAULT_CONFIG = "34P"

DEFAULT_IMAGES = 2

#: Rows of everything behind the driver, for a board of which nothing is seen there.
_DEVICE_ROWS = ("identity", "clock", "registers", "buffers", "scan chain", "GEMM", "faults", "watchdog", "words")

_NETWORK_ROWS = ("golden network", "injection", "inferences per second")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """What to look at, as a user states it; None stands for the default.

    Parameters
    ----------
    board : str
        What ``--board`` takes.
    config : str or None
        Name of a preset; None for that of the bitstream's manifest, or else `DEFAULT_CONFIG`.
    physical : str or None
        The device's array, as in ``8x8``.
    bitstream : Path or None
        The .bit file to load.
    images : int or None
        Pictures that the network runs on.
    """

    board: str = "emu"
    config: str | None = None
    physical: str | None = None
    bitstream: Path | None = None
    images: int | None = None


class Examination:
    """A board, and what is found on it.

    Parameters
    ----------
    options : DoctorOptions
    config_name : str
    config : ArrayConfig
        The logical array.
    board : Board

    Attributes
    ----------
    findings : list of Finding
        Those that `run` has yielded.
    backend : Backend or None
        The board, once it was opened.
    trial : Trial or None
        The network on the board, once the board was opened.
    """

    def __init__(self, options: DoctorOptions, config_name: str, config: ArrayConfig, board: Board) -> None:
        self.options = options
        self.config_name = config_name
        self.config = config
        self.board = board
        self.findings: list[Finding] = []
        self.backend: Backend | None = None
        self.trial: Trial | None = None

    @property
    def failed(self) -> bool:
        """Whether any check has failed."""
        return any(finding.state is State.FAIL for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """How many checks have ended in which way, by the state's name."""
        return {state.value: sum(finding.state is state for finding in self.findings) for state in State}

    def run(self) -> Iterator[Finding]:
        """Yield what is found, check by check; nothing raises but what the user interrupts."""
        for finding in self._looks():
            self.findings.append(finding)
            yield finding

    def _looks(self) -> Iterator[Finding]:
        yield from timed("board", self._open)
        backend = self.backend
        if backend is None:
            for name in (*_DEVICE_ROWS, *_NETWORK_ROWS):
                yield Finding.skipped(name, "the board cannot be opened")
            return
        opened = yield from self._device(backend)
        if not opened:
            for name in (*_DEVICE_ROWS[1:], *_NETWORK_ROWS):
                yield Finding.skipped(name, "the device cannot be opened")
            return
        yield from timed("golden here", self._prepare)
        trial = self.trial
        if trial is None:
            for name in _NETWORK_ROWS:
                yield Finding.skipped(name, "the network cannot be prepared on this machine")
            return
        checks = zip(_NETWORK_ROWS, (trial.check_golden, trial.check_injection, trial.check_speed), strict=True)
        for name, check in checks:
            yield from timed(name, check)

    def _open(self) -> Iterator[Finding]:
        self.backend = open_backend(self.board)
        yield Finding.passed("board", f"{_shown(self.board)}, configuration {self.config_name}")

    def _device(self, backend: Backend) -> Generator[Finding, None, bool]:
        """Look at everything behind the driver; return whether the device could be opened.

        A board without a driver, or with nobody at its far end who looks at it, has rows that say so.
        """
        if isinstance(backend, Emulator):
            for name in _DEVICE_ROWS:
                yield Finding.not_applicable(name, "the emulator has no device")
            return True
        rows = []
        for finding in timed(_DEVICE_ROWS[0], lambda: self._examined(backend)):
            rows.append(finding)
            yield finding
        if not rows:
            for name in _DEVICE_ROWS:
                yield Finding.skipped(name, "seen at the board alone: run `axft-hw doctor` there")
        # What is wrong with a device that could be opened is followed by other rows.
        return [finding.state for finding in rows] != [State.FAIL]

    def _examined(self, backend: Backend) -> Iterator[Finding]:
        """Yield what is found on the device; an error on opening it says itself what to do."""
        try:
            yield from backend.examine(self.config)
        except AxftError as error:
            yield Finding.failed(_DEVICE_ROWS[0], str(error), HINTS["board"])

    def _prepare(self) -> Iterator[Finding]:
        assert self.backend is not None
        images = DEFAULT_IMAGES if self.options.images is None else self.options.images
        self.trial = Trial(self.backend, trial_workload(self.config, images))
        yield from self.trial.check_machine()


def _shown(board: Board) -> str:
    physical = "" if board.physical is None else ", device {}x{}".format(*board.physical)
    return f"{board.name}{physical}"


def open_examination(options: DoctorOptions) -> Examination:
    """Return the examination that options state; the board is not touched yet.

    Raises
    ------
    AxftError
        If a name or a size is none.
    """
    if options.images is not None:
        check_int("images", options.images, 1, MOST_PICTURES)
    name = options.config or _bitstream_config(options.bitstream) or DEFAULT_CONFIG
    preset = find_preset(name)
    board = Board.parse(options.board, options.physical, options.bitstream)
    if _kind(options.board) not in {_kind(known) for known in (*BOARDS, *PHYSICAL_BOARDS)}:
        # Bad input, and no board that something is wrong with: this says what is allowed.
        open_backend(board)
    return Examination(options, preset.name, preset.config, board)


def _kind(board: str) -> str:
    return board.partition(":")[0]


def _bitstream_config(bitstream: Path | None) -> str | None:
    """Return the preset whose arithmetic a bitstream's manifest names; None if there is no manifest beside it."""
    if bitstream is None or not (bitstream.parent / MANIFEST_NAME).exists():
        return None
    try:
        array = Manifest.load(bitstream.parent).hardware.array
    except AxftError as error:
        raise ConfigError(f"{error}; or name the configuration with --config") from None
    same = (
        preset.name
        for preset in PRESETS.values()
        if preset.config == array.resized(preset.config.rows, preset.config.cols)
    )
    return next(same, None)
