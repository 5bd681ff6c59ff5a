"""A board at the other end of a link: what the board gives, whatever the link does and whoever is killed."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from axft_host.backends.base import Evaluation, RunEnd, Workload
from axft_host.backends.link import LinkBackend
from axft_host.backends.registry import Board, open_backend
from axft_host.backends.rtl import RtlBackend
from axft_host.campaign.store import ResultStore
from axft_host.link.client import LinkClient, LinkSettings
from axft_host.link.errors import LinkError, LinkRefusedError
from axft_host.link.framing import VERSION, Frame, FrameDecoder
from axft_host.link.messages import Fetch, Hello, Refused, Submit, decode
from axft_host.link.payloads import Result, digest_of, json_to_bytes
from axft_host.link.session import Session
from axft_host.link.transport import LinkAddress
from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError, FaultError
from axft_spec.faults import FaultKind, parse_fault
from axft_spec.flipflops import AnyFault, FlipFlopFault
from support.command_line import invoke
from support.golden import vectors
from support.link_agent import AgentProcess, agent
from support.link_fuzz import run as run_fuzz
from support.link_noise import equal, linked
from support.noisy_link import Noise, noisy_relay
from support.small_campaign import small_plan, write_small

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def emulator() -> Iterator[AgentProcess]:
    """Return an agent that serves the emulator."""
    with agent("--board", "emu", "--listen", "127.0.0.1:0") as serving:
        yield serving


@pytest.fixture
def task(tmp_path: Path) -> tuple[Workload, list[AnyFault | None]]:
    """Return a workload and 60 faults, and none."""
    plan = small_plan(tmp_path)
    return plan.prepared.workload, [None, *plan.faults.faults]


def client_of(address: str, **settings: object) -> LinkClient:
    """Return a client of its own."""
    return LinkClient(LinkAddress.parse(address), LinkSettings(**{"first_s": 5.0, "silence_s": 2.0, **settings}))


def backend_of(serving: AgentProcess, **settings: object) -> LinkBackend:
    """Return a backend with a client of its own."""
    return LinkBackend(serving.address, client=client_of(serving.address, **settings))


def expected(workload: Workload, faults: list[AnyFault | None]) -> list[Evaluation]:
    """Return what no link gives."""
    return open_backend("emu").evaluate(workload, faults)


def test_gemm_meets_golden_vectors(emulator: AgentProcess) -> None:
    """Some of every sort."""
    backend = backend_of(emulator)
    for vector in vectors()[::7]:
        result = backend.gemm(
            vector.config, vector.activations[None], vector.weights, vector.fault, layer=vector.layer, gemm=vector.gemm
        )
        assert result.psums[0].tolist() == vector.psums.tolist()
        assert result.activated.tolist() == [vector.activated]
    backend.close()


@pytest.mark.parametrize("one_in", [0, 300])
@pytest.mark.parametrize("wire", ["tcp", "terminals"])
def test_list_gives_the_same_over_any_wire(
    wire: str, one_in: int, task: tuple[Workload, list[AnyFault | None]]
) -> None:
    """Clean, or with bytes corrupted, dropped and doubled."""
    workload, faults = task
    noise, counted = Noise(one_in, seed=3), list[int]()
    with linked(wire, "emu", noise) as backend:
        assert equal(backend.evaluate(workload, faults, counted.append), expected(workload, faults))
        assert equal(backend.evaluate(workload, faults[:5]), expected(workload, faults[:5]))
        assert backend.device() == {"board": "emu", "program": backend.device()["program"], "regmap_hash": None}
    assert sum(counted) == len(faults) * len(workload.images)
    assert noise.hits > 20 if one_in else noise.hits == 0


def test_faults_in_flip_flops_end_as_on_the_board(tmp_path: Path) -> None:
    """Where the board is simulated hardware; a hang there is a hang here."""
    workload = small_plan(tmp_path).prepared.workload
    here = RtlBackend()
    names = here.flip_flops(workload.config)
    cycles = here.golden_cycles(workload)
    faults = [
        FlipFlopFault(FaultKind.STUCK_AT_1, name, 0, cycles // 2) for name in sorted(names) if "sequencer" in name
    ][:6]
    with linked("tcp", "rtl", Noise(0)) as backend:
        there = backend.evaluate(workload, [None, *faults])
        assert backend.device()["hardware"] == here.device()["hardware"]
    local = here.evaluate(workload, [None, *faults])
    assert equal(there, local)
    assert {each.end for each in there} >= {RunEnd.COMPLETE, RunEnd.HANG}
    assert [len(each.recoveries) for each in there] == [len(each.recoveries) for each in local]


def test_errors_of_use_come_back_as_what_they_are(
    emulator: AgentProcess, task: tuple[Workload, list[AnyFault | None]]
) -> None:
    """And the agent goes on."""
    workload, faults = task
    backend = backend_of(emulator)
    with pytest.raises(FaultError, match=r"at the other end of link:socket.*row must be between 0 and 3"):
        backend.evaluate(workload, [parse_fault("weight:r9:c0:b0:sa1")])
    with pytest.raises(FaultError, match=r"row must be between 0 and 1"):
        zeros = np.zeros((1, 2, 2), dtype=np.int64)
        backend.gemm(ArrayConfig(rows=2, cols=2), zeros, zeros[0], parse_fault("weight:r2:c0:b0:sa1"))
    assert equal(backend.evaluate(workload, faults[:3]), expected(workload, faults[:3]))
    backend.close()


def test_second_client_is_told_that_the_board_is_busy(emulator: AgentProcess) -> None:
    """Until the first one has gone."""
    first, second = client_of(emulator.address), client_of(emulator.address)
    first.connect()
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.3):
            first.ping()

    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(LinkRefusedError, match="is busy: another client drives it"):
        second.connect()
    stop.set()
    thread.join()
    first.close()
    second.connect()
    second.close()


def test_client_that_was_killed_is_forgotten(emulator: AgentProcess) -> None:
    """Its connection is closed, and it cannot say goodbye."""
    first, second = client_of(emulator.address), client_of(emulator.address)
    first.connect()
    assert first._session is not None
    first._session.drop()
    second.connect()
    second.close()


def test_secret_is_wanted_proved_and_never_sent(tmp_path: Path, task: tuple[Workload, list[AnyFault | None]]) -> None:
    """With the right one all goes on as without; every frame of the session is tagged."""
    workload, faults = task
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    wire = bytearray()

    def listen(data: bytes) -> bytes:
        wire.extend(data)
        return data

    with (
        agent("--board", "emu", "--listen", "127.0.0.1:0", "--secret-file", str(path)) as serving,
        noisy_relay(serving.port, listen) as port,
    ):
        address = f"socket://127.0.0.1:{port}"
        for secret, message in ((None, "needs the secret"), (b"x" * 32, "the secret is wrong")):
            with pytest.raises(LinkRefusedError, match=message):
                client_of(address, secret=secret).connect()
        backend = LinkBackend(address, client=client_of(address, secret=SECRET))
        assert equal(backend.evaluate(workload, faults), expected(workload, faults))
        backend.close()
    assert SECRET not in wire
    frames = FrameDecoder().feed(bytes(wire).replace(b"\0\0", b"\0"))
    assert sum(bool(frame.tag) for frame in frames) > len(frames) // 2


def test_frame_of_another_version_is_answered_with_what_is_spoken(emulator: AgentProcess) -> None:
    """So that an older or newer program can say what is wrong."""
    hello = Hello(protocol=VERSION + 1, program="newer", client=bytes(16), nonce=bytes(16))
    for version in (VERSION, VERSION + 1):
        frame = Frame(session=bytes(8), sequence=5, payload=hello.encode(), version=version)
        with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
            connection.sendall(frame.encode())
            decoder, answers = FrameDecoder(), list[Frame]()
            while not answers:
                answers = decoder.feed(connection.recv(4096))
        refused = decode(answers[0].payload)
        assert isinstance(refused, Refused) and refused.reason == "version"
        assert f"speaks version {VERSION}" in refused.text


def test_repeated_submission_is_one_job(emulator: AgentProcess, tmp_path: Path) -> None:
    """The same name is the same job, on another connection too; an older submission that comes late starts nothing."""
    client = client_of(emulator.address)
    client.connect()
    task = json_to_bytes({"kind": "question", "parts": 1, "blobs": [], "name": "surroundings", "arguments": {},
                          "physical": None})  # fmt: skip
    other = json_to_bytes(
        {"kind": "question", "parts": 1, "blobs": [], "name": "no", "arguments": {}, "physical": None}
    )
    for each in (task, other):
        client.upload(each)
    session = client._session
    assert session is not None

    def output(session: Session, job: bytes) -> bytes:
        got = b""
        for _ in range(100):
            state = session.ask(
                Fetch(job=job, offset=len(got), acknowledged=0, credit=1, limit=3000, wait_ms=100), wait_s=0.1
            )
            got += state.body
            if state.state == 5 and len(got) == state.size:
                return got
        raise AssertionError("the job does not end")

    submit = Submit(job=b"job-0001", task=digest_of(task))
    session.ask(submit)
    first = output(session, b"job-0001")
    assert session.ask(submit).size == len(first)
    session.drop()
    client._session = None
    client.connect()
    again = client._session
    assert again is not None
    assert output(again, b"job-0001") == first
    again.ask(Submit(job=b"job-0002", task=digest_of(other)))
    assert output(again, b"job-0002") != first
    client.close()


def test_upload_goes_on_where_it_stopped(emulator: AgentProcess) -> None:
    """Also for another connection of the client; what is there is not sent again."""
    client = client_of(emulator.address)
    data = np.random.default_rng(int(time.time())).bytes(100_000)
    client.upload(data)
    sent = client.statistics.bytes_out
    assert sent > 100_000
    client.close()
    client.upload(data)
    assert client.statistics.bytes_out - sent < 1000
    client.close()


def test_fault_list_over_a_killed_worker_and_a_killed_supervisor(
    tmp_path: Path, task: tuple[Workload, list[AnyFault | None]]
) -> None:
    """Every result once, all as without a link, and each recovery with the fault that was in hand."""
    workload, faults = task
    with agent("--board", "emu", "--listen", "127.0.0.1:0", "--cache", str(tmp_path / "cache")) as made:
        listening = made.address.removeprefix("socket://")
    with agent("--board", "emu", "--listen", listening, "--cache", str(tmp_path / "cache")) as serving:
        backend = backend_of(serving, patience_s=60.0)
        with serving.kept_alive():
            results = []
            for number, each in enumerate(backend.evaluate_each(workload, faults * 10)):
                results.append(each)
                if number in (100, 300):
                    assert serving.kill_worker()
                if number == 200:
                    serving.process.kill()
        backend.close()
    assert equal(results, expected(workload, faults) * 10)
    recoveries = [recovery for each in results for recovery in each.recoveries]
    assert {recovery.rung for recovery in recoveries} == {"worker"}
    assert 1 <= len(recoveries) <= 3
    assert backend.client.statistics.sessions >= 2


@pytest.mark.parametrize(
    ("victim", "most", "deaths"), [("worker", 99, 3), ("agent", 99, 3), ("worker", 2, 2), ("agent", 2, 2)]
)
def test_only_a_death_that_repeats_is_an_outcome(
    victim: str, most: int, deaths: int, tmp_path: Path, task: tuple[Workload, list[AnyFault | None]]
) -> None:
    """Among others the fault is only under suspicion; alone, the second death, or standstill, of the same decides.

    Three deaths: one in company, two alone. If it dies twice and not again, its result counts.
    """
    workload, faults = task
    deadly = faults[40]
    log = tmp_path / "deaths"
    environment = {
        "AXFT_TEST_DEADLY": str(deadly),
        "AXFT_TEST_VICTIM": victim,
        "AXFT_TEST_DEATHS": str(log),
        "AXFT_TEST_DEATHS_MOST": str(most),
    }
    program = (sys.executable, "-m", "support.deadly_agent")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with agent(
        *("--board", "emu", "--listen", f"127.0.0.1:{port}", "--cache", str(tmp_path / "cache"), "--patience", "3"),
        program=program,
        environment={**environment, "PYTHONPATH": str(Path(__file__).parents[1])},
    ) as serving:
        backend = backend_of(serving, patience_s=60.0)
        with serving.kept_alive():
            results = backend.evaluate(workload, faults)
        backend.close()
    assert len(log.read_text(encoding="ascii").splitlines()) == deaths
    good = expected(workload, faults)
    ends = [each.end for each in results]
    outcome = RunEnd.COMPLETE if most == 2 else RunEnd.HANG if victim == "nobody" else RunEnd.CRASH
    assert ends == [outcome if fault == deadly else RunEnd.COMPLETE for fault in faults]
    clean = [place for place, end in enumerate(ends) if end is RunEnd.COMPLETE]
    assert equal([results[place] for place in clean], [good[place] for place in clean])
    assert sum(len(each.recoveries) for each in results) == deaths
    recoveries = [recovery for each in results for recovery in each.recoveries]
    assert {recovery.end for recovery in recoveries} == {"hang" if victim == "nobody" else "crash"}
    assert all(recovery.seconds > 0 for recovery in recoveries)


def test_board_that_does_not_come_back_by_itself_gets_its_power_switched(
    tmp_path: Path, task: tuple[Workload, list[AnyFault | None]]
) -> None:
    """By the command that the client was given; the result says that it helped."""
    workload, faults = task
    switch = tmp_path / "switched"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with agent("--board", "emu", "--listen", f"127.0.0.1:{port}") as serving:
        backend = backend_of(serving, patience_s=1.0, power_s=60.0, power_command=("touch", str(switch)))
        with serving.kept_alive(when=switch.exists):
            results = []
            for number, each in enumerate(backend.evaluate_each(workload, faults * 10)):
                results.append(each)
                if number == 100:
                    serving.process.kill()
        backend.close()
    assert equal(results, expected(workload, faults) * 10)
    assert [recovery.rung for each in results for recovery in each.recoveries] == ["power"]


def test_reboot_command_is_run_when_no_worker_is_clean(
    tmp_path: Path, task: tuple[Workload, list[AnyFault | None]]
) -> None:
    """Here it only leaves a trace."""
    workload, faults = task
    golden = expected(workload, [None])[0].accumulators
    trace = tmp_path / "rebooted"
    with agent("--board", "emu", "--listen", "127.0.0.1:0", "--reboot-command", f"touch {trace}") as serving:
        backend = backend_of(serving)
        backend.evaluate(workload, faults[:2])
        # What the campaign holds for its golden run is not what this board gives any more.
        uploaded = backend._uploaded
        assert uploaded is not None and uploaded.golden is not None
        other = Result(accumulators=golden + 1, activated=np.zeros(len(golden), dtype=np.int64))
        uploaded.golden, uploaded.golden_blob = golden + 1, other.encode(np.zeros_like(golden))
        assert serving.kill_worker()
        stream = backend.client.run(
            [uploaded.network, uploaded.images, uploaded.golden_blob],
            json_to_bytes({
                "kind": "evaluate", "parts": 1, "physical": None, "lowering": workload.lowering, "faults": [None],
                "blobs": [digest_of(each).hex() for each in (uploaded.network, uploaded.images, uploaded.golden_blob)],
                "network_digest": workload.network.digest, "shape": list(workload.images.shape),
                "config": workload.config.to_json(),
            }),
            credit=lambda ready: 1,
        )  # fmt: skip

        def read() -> None:
            with suppress(LinkError):  # the agent is not served any longer than this test
                list(stream)

        deadline = time.monotonic() + 60
        threading.Thread(target=read, daemon=True).start()
        while not trace.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_array_that_the_agent_was_told_cannot_be_asked_for_otherwise(
    tmp_path: Path, task: tuple[Workload, list[AnyFault | None]]
) -> None:
    """The campaign would say that it ran on another one."""
    with agent("--board", "rtl", "--physical", "2x2", "--listen", "127.0.0.1:0") as serving:
        client = client_of(serving.address)
        backend = LinkBackend(serving.address, physical=(4, 4), client=client)
        with pytest.raises(ConfigError, match="the array there is 2x2, as `axft-hw serve` was told, not 4x4"):
            backend.evaluate(*task)
        client.close()


def test_agent_answers_after_an_onslaught_and_has_not_grown(tmp_path: Path) -> None:
    """A small one; `python -m support.link_fuzz` has two million bytes and 100,000 frames."""
    with agent("--board", "emu", "--listen", "127.0.0.1:0") as serving:
        assert run_fuzz(serving, tmp_path, 100_000, 4_000, seed=5)


def test_campaign_over_the_link_is_that_of_the_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line, end to end; the store says which device it was."""
    write_small(tmp_path)
    monkeypatch.chdir(tmp_path)
    line = "inject --config 8P --array 4x3 --model small.npz --data small-data.npz --faults 30 --board"
    with agent("--board", "rtl", "--listen", "127.0.0.1:0") as serving:
        assert invoke(*f"{line} link:{serving.address} --out there".split()).exit_code == 0
    assert invoke(*f"{line} emu --out here".split()).exit_code == 0
    assert invoke("diff", "here", "there").exit_code == 0
    with ResultStore.open(tmp_path / "there") as store:
        about = store.provenance()
    assert about.backend == f"link:{serving.address}"
    assert about.device is not None and about.device["board"] == "rtl"
    assert about.device["hardware"]["array"]["rows"] == 4
    assert about.regmap_digest == about.device["regmap_hash"]


def test_physical_board_is_used_by_one_process() -> None:
    """A link is one board, whatever is served."""
    assert Board(name="link:/dev/ttyUSB0").single
