"""What a worker does for a client: evaluate faults, run one GEMM, or answer a question. Nothing else can be asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend, Evaluation, Workload
from axft_host.backends.on_device import GOLDEN_IMAGES
from axft_host.backends.registry import Board, open_backend
from axft_host.device.recovery import RecoveryError
from axft_host.link.client import own_program
from axft_host.link.errors import LinkError
from axft_host.link.payloads import (
    Record,
    RecordKind,
    Result,
    integers_from_bytes,
    integers_to_bytes,
    json_from_bytes,
    json_to_bytes,
    network_from_file,
    pixels_from_bytes,
)
from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError
from axft_spec.faults import Fault
from axft_spec.flipflops import AnyFault, any_fault_from_json

__all__ = ["Question", "Workshop"]

_log = logging.getLogger(__name__)

Int64 = NDArray[np.int64]

#: Answers a question about a backend, given arguments as JSON values; returns JSON values.
Question = Callable[[Backend, Mapping[str, Any]], Any]

#: Most elements of an operand or of a result of a GEMM.
_MAX_ELEMENTS = 1 << 24


@dataclass(slots=True, eq=False)
class _Loaded:
    """The workload used last, what it was made of, and its golden run: as an evaluation if it was just made."""

    made_of: tuple[Any, ...]
    workload: Workload
    golden: Int64 = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    evaluation: Evaluation | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Workshop:
    """Does tasks on one board, one after another.

    Parameters
    ----------
    board : Board
    questions : mapping of str to Question
    """

    board: Board
    questions: Mapping[str, Question] = field(default_factory=dict)
    _backend: Backend | None = None
    _physical: tuple[int, int] | None = None
    _loaded: _Loaded | None = None
    _task: dict[str, Any] = field(default_factory=dict)
    _blobs: list[Path] = field(default_factory=list)
    _faults: list[AnyFault | None] = field(default_factory=list)

    def load(self, task: Path, blobs: list[Path], *, check: bool) -> Iterator[Record]:
        """Get ready for a task; yield what the client should know before its parts.

        Parameters
        ----------
        task : Path
        blobs : list of Path
            Those that it names.
        check : bool
            Whether a golden run must be made: the worker is new, or the board has failed.

        Raises
        ------
        RecoveryError
            If the golden run is not clean.
        AxftError
            If the task cannot be done, and why.
        """
        self._task, self._blobs = json_from_bytes(task.read_bytes()), blobs
        with _understood():
            kind = self._task["kind"]
        if kind == "evaluate":
            yield from self._load_evaluation(check=check)
        elif kind not in ("gemm", "question"):
            raise LinkError(f"unknown kind of task {kind!r}; allowed: evaluate, gemm, question")

    def run(self, parts: list[int], progress: Callable[[int], None]) -> Iterator[Record]:
        """Do parts of the task that was loaded; yield a record for each, as early as there is one."""
        kind = self._task["kind"]
        if kind == "evaluate":
            yield from self._evaluate(parts, progress)
        else:
            yield Record(RecordKind.VALUE, 0, self._gemm() if kind == "gemm" else self._answer())
            yield self._identity()

    def _load_evaluation(self, *, check: bool) -> Iterator[Record]:
        with _understood():
            task = self._task
            self._faults = [None if each is None else any_fault_from_json(each) for each in task["faults"]]
            physical = _pair(task["physical"])
        backend = self._opened(physical)
        with _understood():
            names = [path.name for path in self._blobs[:2]]
            # The golden run is what results tell the difference to: no part of the workload.
            made_of = (names, task["shape"], task["config"], task["lowering"], task["network_digest"])
            new = self._loaded is None or self._loaded.made_of != made_of
            if new:
                self._loaded = _Loaded(made_of, self._workload())
            assert self._loaded is not None
            loaded, given = self._loaded, self._given_golden(self._loaded.workload)
        if given is None:
            yield self._make_golden(backend, loaded)
        else:
            loaded.golden = given
            if check or new:
                self._check(backend, loaded)
        yield self._identity()

    def _workload(self) -> Workload:
        task = self._task
        network = network_from_file(self._blobs[0])
        if network.digest != task["network_digest"]:
            raise LinkError("the network that was uploaded is not what the task names")
        return Workload(
            network=network,
            config=ArrayConfig.from_json(task["config"]),
            lowering=task["lowering"],
            images=pixels_from_bytes(self._blobs[1].read_bytes(), tuple(map(int, task["shape"]))),
        )

    @staticmethod
    def _make_golden(backend: Backend, loaded: _Loaded) -> Record:
        """Make the golden run of all images, and keep it for whoever asks for it next.

        Every result will be told as the difference to it. A device's is what the emulator computes, or there is none.
        """
        (evaluation,) = backend.evaluate(loaded.workload, [None])
        loaded.golden, loaded.evaluation = evaluation.accumulators, evaluation
        result = Result(accumulators=evaluation.accumulators, activated=evaluation.activated)
        return Record(RecordKind.GOLDEN, 0, result.encode(np.zeros_like(evaluation.accumulators)))

    def _given_golden(self, workload: Workload) -> Int64 | None:
        if len(self._blobs) < 3:
            return None
        zeros = np.zeros((len(workload.images), workload.network.classes), dtype=np.int64)
        return Result.decode(self._blobs[2].read_bytes(), zeros).accumulators

    @staticmethod
    def _check(backend: Backend, loaded: _Loaded) -> None:
        """Make a golden run of some images."""
        images = len(loaded.workload.images)
        sample = np.unique(np.linspace(0, images - 1, min(images, GOLDEN_IMAGES)).astype(np.intp))
        if not sample.size:
            return
        some = replace(loaded.workload, images=loaded.workload.images[sample])
        (evaluation,) = backend.evaluate(some, [None])
        if not np.array_equal(evaluation.accumulators, loaded.golden[sample]):
            raise RecoveryError("the golden run is not what it was before")

    def _opened(self, wanted: tuple[int, int] | None) -> Backend:
        board = self.board
        if wanted is not None and board.physical is not None and wanted != board.physical:
            raise ConfigError(
                f"the array there is {board.physical[0]}x{board.physical[1]}, as `axft-hw serve` was told, not "
                f"{wanted[0]}x{wanted[1]}"
            )
        if self._backend is None or (board.physical is None and wanted != self._physical):
            self._backend = open_backend(board if wanted is None else replace(board, physical=wanted))
            self._physical, self._loaded = wanted, None
        return self._backend

    def _evaluate(self, parts: list[int], progress: Callable[[int], None]) -> Iterator[Record]:
        assert self._loaded is not None and self._backend is not None
        loaded = self._loaded
        faults = [self._faults[part] for part in parts]
        ready, loaded.evaluation = loaded.evaluation, None
        runs = iter([ready]) if faults == [None] and ready is not None else None
        for part, each in zip(
            parts, runs or self._backend.evaluate_each(loaded.workload, faults, progress), strict=True
        ):
            result = Result(
                accumulators=each.accumulators,
                activated=each.activated,
                end=each.end.value,
                recoveries=each.recoveries,
            )
            yield Record(RecordKind.RESULT, part, result.encode(loaded.golden))

    def _gemm(self) -> bytes:
        task = self._task
        with _understood():
            shapes = [tuple(map(int, shape)) for shape in task["shapes"]]
            (images, m, k), (depth, n) = shapes
            if min(images, m, k, n) < 0 or k != depth or max(images * m * k, k * n, images * m * n) > _MAX_ELEMENTS:
                raise LinkError(
                    f"operands and result of a GEMM must fit together, with at most {_MAX_ELEMENTS} elements"
                )
            activations, weights = (
                integers_from_bytes(path.read_bytes(), int(np.prod(shape)))[0].reshape(shape)
                for path, shape in zip(self._blobs, shapes, strict=True)
            )
            config, physical = ArrayConfig.from_json(task["config"]), _pair(task["physical"])
            fault = None if task["fault"] is None else Fault.from_json(task["fault"])
            layer, gemm = int(task["layer"]), int(task["gemm"])
        done = self._opened(physical).gemm(config, activations, weights, fault, layer=layer, gemm=gemm)
        return integers_to_bytes(done.psums) + integers_to_bytes(done.activated)

    def _answer(self) -> bytes:
        with _understood():
            name, arguments = str(self._task["name"]), dict(self._task["arguments"])
            physical = _pair(self._task["physical"])
        if name not in self.questions:
            raise LinkError(f"the agent does not know the question {name!r}; allowed: {', '.join(self.questions)}")
        return json_to_bytes(self.questions[name](self._opened(physical), arguments))

    def _identity(self) -> Record:
        assert self._backend is not None
        about = {
            "regmap_hash": None,
            **(self._backend.device() or {}),
            "board": self.board.name,
            "program": own_program(),
            "seconds_per_fault": self._backend.seconds_per_fault,
        }
        return Record(RecordKind.DEVICE, 0, json_to_bytes(about))


def _pair(value: Any) -> tuple[int, int] | None:
    return None if value is None else (int(value[0]), int(value[1]))


@contextmanager
def _understood() -> Iterator[None]:
    """Turn what a task that is none makes fail, while it is read, into an error that says so."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise LinkError(f"the task cannot be understood: {type(error).__name__}: {error}") from None
    except MemoryError:
        raise LinkError("the task needs more memory than there is") from None
