"""The backend ``link:URL``: a board at the other end of a link, where ``axft-hw serve`` runs another backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend, Evaluation, GemmResult, RunEnd, Workload
from axft_host.device.examination.finding import Finding
from axft_host.device.recovery import Recovery
from axft_host.link.client import AgentLostError, LinkClient, client_for
from axft_host.link.errors import LinkError
from axft_host.link.payloads import (
    Record,
    RecordKind,
    Result,
    digest_of,
    integers_from_bytes,
    integers_to_bytes,
    json_from_bytes,
    json_to_bytes,
    network_to_bytes,
    pixels_to_bytes,
)
from axft_spec import errors
from axft_spec.config import ArrayConfig
from axft_spec.errors import AxftError, BackendError
from axft_spec.faults import Fault
from axft_spec.flipflops import AnyFault

__all__ = ["PREFIX", "LinkBackend"]

Int64 = NDArray[np.int64]

#: What stands before the address in the name of such a board.
PREFIX = "link:"

#: Faults of one task at most.
_TASK_FAULTS = 4096
#: How many faults the agent may begin ahead of the results that are here.
_AHEAD = 256
#: How often a fault may have been in hand, alone, when the agent was lost: the second time that is its outcome.
_REPEAT = 2
#: How often in a row the agent may be lost without a result in between.
_LOSSES = 6

#: Errors that an agent can name. Any other is a `BackendError`.
_ERRORS = {name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, AxftError)}


@dataclass(slots=True, eq=False)
class _Uploaded:
    """A workload in the form in which it is uploaded, and its golden run once it is known."""

    workload: Workload
    network: bytes
    images: bytes
    golden: Int64 | None = None
    golden_blob: bytes = b""


@dataclass(slots=True, eq=False)
class _List:
    """How far a list of faults has come.

    Members
    -------
    results : dict of int to Result
        By place in the list; those already given to the caller are None.
    left : list of int
        Places without a result, in order.
    careful : int
        So many of them are run one by one, each granted by itself: it is then known which was in hand if the agent is
        lost.
    """

    results: dict[int, Result] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)
    careful: int = 0
    granted: bool = False
    ahead: int = 0
    losses: int = 0
    deaths: Counter[int] = field(default_factory=Counter)
    recoveries: dict[int, list[Recovery]] = field(default_factory=dict)
    pending: list[tuple[int, AgentLostError]] = field(default_factory=list)


class LinkBackend(Backend):
    """A board at the other end of a link; bit for bit what the board itself would give.

    Parameters
    ----------
    url : str
        Where: what `axft_host.link.transport.LinkAddress` reads.
    physical : (int, int) or None
        What the array there must be; None for whatever it is.
    client : LinkClient or None
        None for this process's client of that address.
    """

    def __init__(self, url: str, *, physical: tuple[int, int] | None = None, client: LinkClient | None = None) -> None:
        self.name = f"{PREFIX}{url}"
        self._client = client_for(url) if client is None else client
        self._physical = physical
        self._uploaded: _Uploaded | None = None
        self._device: dict[str, Any] | None = None

    @property
    def client(self) -> LinkClient:
        """The client that it uses."""
        return self._client

    def device(self) -> dict[str, Any] | None:
        """See :meth:`Backend.device`: the remote device, with the keys ``board`` and ``program`` of its agent."""
        return self._device

    def examine(self, config: ArrayConfig) -> Iterator[Finding]:
        """See :meth:`Backend.examine`; the board's end looks at its device, all at once."""
        for value in self.ask("examine", {"config": config.to_json()}):
            yield Finding.from_json(value)

    def close(self) -> None:
        """See :meth:`Backend.close`; ends the session, so that another client can have the board."""
        self._client.close()

    def ask(self, question: str, arguments: dict[str, Any] | None = None) -> Any:
        """Have the agent answer a question about its board, such as ``examine``, in plain JSON values.

        Raises
        ------
        AxftError
            If it does not know the question, or cannot answer it.
        """
        task = {
            "kind": "question",
            "parts": 1,
            "blobs": [],
            "name": question,
            "arguments": arguments or {},
            "physical": self._physical,
        }
        return json_from_bytes(self._one_value([], task))

    def gemm(
        self,
        config: ArrayConfig,
        activations: Int64,
        weights: Int64,
        fault: Fault | None = None,
        *,
        layer: int = 0,
        gemm: int = 0,
    ) -> GemmResult:
        """See :meth:`Backend.gemm`."""
        operands = [integers_to_bytes(activations), integers_to_bytes(weights)]
        task = {
            "kind": "gemm",
            "parts": 1,
            "blobs": [digest_of(each).hex() for each in operands],
            "shapes": [list(activations.shape), list(weights.shape)],
            "config": config.to_json(),
            "physical": self._physical,
            "fault": None if fault is None else fault.to_json(),
            "layer": layer,
            "gemm": gemm,
        }
        value = self._one_value(operands, task)
        images, m, n = activations.shape[0], activations.shape[1], weights.shape[1]
        psums, rest = integers_from_bytes(value, images * m * n)
        activated, _ = integers_from_bytes(rest, images)
        return GemmResult(psums.reshape(images, m, n), activated)

    def _one_value(self, blobs: Sequence[bytes], task: dict[str, Any]) -> bytes:
        """Have a job of one part done, again if the agent was lost meanwhile; return what it gives."""
        for attempt in range(_LOSSES):
            try:
                value = b""
                for record in self._client.run(blobs, json_to_bytes(task), credit=lambda ready: 1):
                    if record.kind is RecordKind.VALUE:
                        value = record.body
                    self._common(record)
                return value
            except AgentLostError as error:
                if attempt == _LOSSES - 1:
                    raise LinkError(f"{error}; {_LOSSES} times in a row") from None
        raise AssertionError("unreachable")

    def evaluate(
        self, workload: Workload, faults: Sequence[AnyFault | None], progress: Callable[[int], None] | None = None
    ) -> list[Evaluation]:
        """See :meth:`Backend.evaluate`. Network and images are uploaded once; the list is one request."""
        return list(self.evaluate_each(workload, faults, progress))

    def evaluate_each(
        self, workload: Workload, faults: Sequence[AnyFault | None], progress: Callable[[int], None] | None = None
    ) -> Iterator[Evaluation]:
        """See :meth:`Backend.evaluate_each`. Losing the link is no outcome; losing the agent twice with a fault is."""
        listed = _List(left=list(range(len(faults))))
        following = 0
        while listed.left or listed.pending:
            try:
                uploaded = self._prepare(workload)
                if uploaded.golden is None:
                    # By itself: what comes after a failure is compared with it.
                    for _ in self._run(uploaded, (), _List()):
                        pass
                for place in self._run(uploaded, faults, listed):
                    if progress is not None and place >= 0:
                        progress(len(workload.images))
                    while following in listed.results:
                        yield self._evaluation(listed, following)
                        following += 1
            except AgentLostError as error:
                self._lost(error, listed, workload)
        while following in listed.results:
            yield self._evaluation(listed, following)
            following += 1

    def _prepare(self, workload: Workload) -> _Uploaded:
        if self._uploaded is None or self._uploaded.workload is not workload:
            self._uploaded = _Uploaded(workload, network_to_bytes(workload.network), pixels_to_bytes(workload.images))
        return self._uploaded

    def _run(self, uploaded: _Uploaded, faults: Sequence[AnyFault | None], listed: _List) -> Iterator[int]:
        """Have what is left of a list run, in one job; yield the places whose results are here."""
        places = listed.left[:_TASK_FAULTS]
        workload, done = uploaded.workload, 0
        blobs = [uploaded.network, uploaded.images, *filter(None, [uploaded.golden_blob])]
        task = {
            "kind": "evaluate",
            "parts": len(places),
            "blobs": [digest_of(each).hex() for each in blobs],
            "network_digest": workload.network.digest,
            "shape": list(workload.images.shape),
            "config": workload.config.to_json(),
            "lowering": workload.lowering,
            "physical": self._physical,
            "faults": [None if (fault := faults[place]) is None else fault.to_json() for place in places],
        }

        def credit(ready: bool) -> int:
            if ready:
                self._is_clean(listed)
            if not listed.careful:
                listed.ahead = _AHEAD
                return done + _AHEAD
            listed.granted = ready
            return done + 1 if ready else 0

        listed.granted = False
        for record in self._client.run(blobs, json_to_bytes(task), credit=credit):
            self._common(record)
            if record.kind is RecordKind.GOLDEN:
                zeros = np.zeros((len(workload.images), workload.network.classes), dtype=np.int64)
                uploaded.golden, uploaded.golden_blob = Result.decode(record.body, zeros).accumulators, record.body
            elif record.kind is RecordKind.RECOVERY and record.index < len(places):
                recovery = Recovery.from_json(json_from_bytes(record.body))
                listed.recoveries.setdefault(places[record.index], []).append(recovery)
            elif record.kind is RecordKind.RESULT and record.index < len(places):
                place = places[record.index]
                if place not in listed.left or uploaded.golden is None:
                    continue
                listed.results[place] = Result.decode(record.body, uploaded.golden)
                listed.left.remove(place)
                listed.careful = max(0, listed.careful - 1)
                listed.granted, listed.losses, done = False, 0, done + 1
                yield place
        self._is_clean(listed)
        yield -1
        missing = [place for place in places if place in listed.left]
        if missing:
            raise LinkError(f"the agent has ended a job without the results of {len(missing)} faults")

    def _lost(self, error: AgentLostError, listed: _List, workload: Workload) -> None:
        """Say what the loss of the agent means for the faults that were, or may have been, in hand."""
        listed.losses += 1
        if listed.losses > _LOSSES:
            raise LinkError(f"{error}; {listed.losses} times in a row, without a result in between") from None
        if not listed.left:
            return
        first = listed.left[0]
        listed.pending.append((first, error))
        if listed.careful and listed.granted:
            listed.deaths[first] += 1
            if listed.deaths[first] >= _REPEAT:
                zeros = np.zeros((len(workload.images), workload.network.classes), dtype=np.int64)
                activated = np.zeros(len(workload.images), dtype=np.int64)
                listed.results[first] = Result(accumulators=zeros, activated=activated, end=RunEnd.CRASH.value)
                listed.left.remove(first)
        listed.careful = max(listed.careful, listed.ahead, 1)

    @staticmethod
    def _is_clean(listed: _List) -> None:
        """Count recoveries that a clean golden run has ended."""
        for place, lost in listed.pending:
            mine = listed.recoveries.setdefault(place, [])
            mine.append(Recovery(lost.rung, lost.elapsed_s, lost.cause, "crash", len(mine) + 1, lost.utc))
        listed.pending.clear()

    @staticmethod
    def _evaluation(listed: _List, place: int) -> Evaluation:
        result = listed.results.pop(place)
        recoveries = (*listed.recoveries.pop(place, ()), *result.recoveries)
        return Evaluation(result.accumulators, result.activated, RunEnd(result.end), recoveries)

    def _common(self, record: Record) -> None:
        """Take from a record what it may hold whatever the job is."""
        if record.kind is RecordKind.DEVICE:
            value = json_from_bytes(record.body)
            if not isinstance(value, dict):
                raise LinkError("the agent describes a device that is none")
            self.seconds_per_fault = value.pop("seconds_per_fault", None)
            self._device = value
        elif record.kind is RecordKind.ERROR:
            value = json_from_bytes(record.body)
            if not isinstance(value, dict):
                raise LinkError("the agent reports an error that is none")
            cls = _ERRORS.get(str(value.get("type")), BackendError)
            raise cls(f"at the other end of {self.name}: {value.get('message')}")
