"""Random bytes, damaged conversations and nonsense in whole frames into an agent: it answers afterwards as before.

``python -m support.link_fuzz`` in the directory ``tests`` says so, and fails if it does not, or if its memory grows.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from axft_host.backends.link import LinkBackend
from axft_host.backends.registry import open_backend
from axft_host.link.client import LinkClient, LinkSettings
from axft_host.link.framing import NO_SESSION, VERSION, Frame, FrameDecoder
from axft_host.link.messages import Auth, Blob, Challenge, Fetch, Hello, Message, Ping, Submit, decode
from axft_host.link.transport import LinkAddress
from support.link_agent import AgentProcess, agent
from support.link_noise import equal
from support.small_campaign import small_plan

#: What the agent may grow by, in KiB, once it has run: the allocator keeps some of what it had.
SLACK_KIB = 8 * 1024


class Intruder:
    """Connections to an agent that say what they like."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self._port = port
        self.chance = chance
        self._socket: socket.socket | None = None
        self.session = NO_SESSION
        self.connections = 0
        self.sent_bytes = 0
        self.sent_frames = 0

    def send(self, data: bytes) -> None:
        """Send bytes, on a new connection if the agent has closed the one before; what it says is read, and dropped."""
        while data:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
                self.connections += 1
            try:
                self._socket.sendall(data)
                self.sent_bytes += len(data)
                self._socket.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while self._socket.recv(1 << 16):
                        pass
                self._socket.settimeout(10)
                return
            except OSError:
                self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def open_session(self) -> None:
        """Do a handshake."""
        self.close()
        self.send(b"\0")
        hello = Hello(protocol=VERSION, program="fuzz", client=bytes(16), nonce=self.chance.randbytes(16))
        challenge = self._ask(hello)
        assert isinstance(challenge, Challenge)
        self.session = challenge.session
        self._ask(Auth(proof=bytes(32)))

    def _ask(self, message: Message) -> Message:
        assert self._socket is not None
        frame = Frame(session=self.session, sequence=self.sent_frames, payload=message.encode())
        self._socket.sendall(frame.encode())
        decoder, frames = FrameDecoder(), list[Frame]()
        while not frames:
            frames = decoder.feed(self._socket.recv(4096))
        return decode(frames[0].payload)


def nonsense(chance: random.Random, session: bytes) -> bytes:
    """Return a frame with a good checksum and a message that means nothing, or something else."""
    name, job = chance.randbytes(32), chance.randbytes(8)
    big = chance.choice([0, 1, 1000, 1 << 20, 1 << 26, 1 << 40, (1 << 64) - 1])
    few = chance.randrange(1 << chance.choice([1, 8, 16]))
    message: Message = chance.choice(
        [
            Hello(
                protocol=chance.randrange(3), program="fuzz", client=chance.randbytes(16), nonce=chance.randbytes(16)
            ),
            Auth(proof=name),
            Blob(digest=name, size=big, offset=chance.choice([0, few, big]), body=chance.randbytes(few % 500)),
            Submit(job=job, task=name),
            Fetch(job=job, offset=big, acknowledged=few, credit=few, limit=few, wait_ms=few),
            Ping(),
        ]
    )
    payload = bytearray(message.encode())
    for _ in range(chance.choice([0, 0, 1, 3])):
        kind = chance.randrange(3)
        if kind == 0 and payload:
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        elif kind == 1:
            del payload[chance.randrange(len(payload) + 1) :]
        else:
            payload += chance.randbytes(chance.randrange(20))
    frame = Frame(
        session=chance.choice([session, session, session, NO_SESSION, chance.randbytes(8)]),
        sequence=chance.randrange(1 << 32),
        payload=bytes(payload),
        answer=chance.random() < 0.05,
        version=chance.choice([VERSION] * 20 + [0, 2, 255]),
        tag=chance.choice([b""] * 20 + [chance.randbytes(16)]),
    )
    return frame.encode()


def damaged(chance: random.Random, data: bytes) -> bytes:
    """Return what is left of some bytes."""
    out = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(out))
        kind = chance.randrange(4)
        if kind == 0:
            out[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del out[place]
        elif kind == 2:
            out[place:place] = chance.randbytes(chance.randrange(1, 5))
        else:
            struct.pack_into("<B", out, place, chance.choice([0, 255]))
    return bytes(out)


def onslaught(intruder: Intruder, size: int, frames: int) -> Iterator[str]:
    """Send it all; say what was sent, and let the caller look at the agent in between."""
    chance = intruder.chance
    sent = 0
    while sent < size // 2:
        intruder.send(chance.randbytes(4096))
        sent += 4096
    yield f"{sent:,} random bytes"
    intruder.open_session()
    sent = 0
    while sent < size - size // 2:
        pieces = b"".join(damaged(chance, nonsense(chance, intruder.session)) for _ in range(32))
        intruder.send(pieces)
        sent += len(pieces)
    yield f"{sent:,} bytes of damaged frames"
    intruder.open_session()
    for count in range(0, frames, 100):
        if count % 20_000 == 0:
            intruder.open_session()
        intruder.send(b"".join(nonsense(chance, intruder.session) for _ in range(100)))
    yield f"{frames:,} frames with good checksums and nonsense in them"
    intruder.close()


def run(serving: AgentProcess, place: Path, size: int, frames: int, seed: int) -> bool:
    """Attack an agent; return whether it is as it was."""
    plan = small_plan(place)
    workload, faults = plan.prepared.workload, list(plan.faults.faults)
    expected = open_backend("emu").evaluate(workload, faults)

    def answers() -> bool:
        client = LinkClient(LinkAddress.parse(serving.address), LinkSettings())
        try:
            return equal(LinkBackend(serving.address, client=client).evaluate(workload, faults), expected)
        finally:
            client.close()

    good = answers() and answers()
    before = serving.memory_kib()
    intruder = Intruder(serving.port, random.Random(seed))
    for what in onslaught(intruder, size, frames):
        print(f"{what}: {serving.memory_kib():,} KiB (before all: {before:,} KiB)", flush=True)
    start = time.monotonic()
    good = answers() and good
    after = serving.memory_kib()
    print(
        f"{intruder.sent_bytes:,} bytes on {intruder.connections} connections; then a job of {len(faults)} faults is "
        f"{'equal to emu' if good else 'DIFFERENT'} after {time.monotonic() - start:.1f} s; memory {before:,} KiB "
        f"before, {after:,} KiB after; the same process: {serving.process.poll() is None}"
    )
    return good and after - before < SLACK_KIB and serving.process.poll() is None


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=2_000_000)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        log = Path(made) / "agent.log"
        with agent("--board", "emu", "--listen", "127.0.0.1:0", log=log) as serving:
            good = run(serving, Path(made), options.bytes, options.frames, options.seed)
        if not good:
            print(log.read_text(encoding="utf-8")[-4000:])
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
