"""Wires between a client and an agent that damage what they carry: a TCP relay, and a pair of pseudo-terminals."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import selectors
import socket
import threading
import tty
from collections.abc import Callable, Iterator


class Noise:
    """Corrupts, drops or doubles one byte in so many.

    Parameters
    ----------
    one_in : int
        0 for a clean wire.
    seed : int
    """

    def __init__(self, one_in: int, seed: int = 0) -> None:
        self._one_in = one_in
        self._random = random.Random(seed)
        self._gap = self._draw()
        self.hits = 0
        self.carried = 0

    def _draw(self) -> int:
        return int(self._random.expovariate(1 / self._one_in)) if self._one_in else 1 << 62

    def __call__(self, data: bytes) -> bytes:
        """Return what comes out of the wire."""
        self.carried += len(data)
        if self._gap >= len(data):
            self._gap -= len(data)
            return data
        out, place = bytearray(), 0
        while place + self._gap < len(data):
            hit = place + self._gap
            out += data[place:hit]
            out += self._random.choice([self._other(data[hit]), b"", data[hit : hit + 1] * 2])
            self.hits += 1
            place = hit + 1
            self._gap = self._draw()
        out += data[place:]
        self._gap -= len(data) - place
        return bytes(out)

    def _other(self, byte: int) -> bytes:
        return bytes([byte ^ self._random.randrange(1, 256)])


def _pump(pairs: list[tuple[int, int, Callable[[bytes], bytes]]], stop: threading.Event) -> None:
    """Carry bytes from one descriptor to another until told to stop, or one is closed."""
    selector = selectors.DefaultSelector()
    for source, sink, noise in pairs:
        selector.register(source, selectors.EVENT_READ, (sink, noise))
    while not stop.is_set():
        for key, _ in selector.select(0.1):
            sink, noise = key.data
            try:
                data = os.read(key.fd, 4096)
                if not data:
                    return
                rest = noise(data)
                while rest:
                    rest = rest[os.write(sink, rest) :]
            except OSError:
                return


@contextlib.contextmanager
def noisy_terminals(noise: Noise) -> Iterator[tuple[str, str]]:
    """Give the names of two serial ports that are connected with each other."""
    ends = [pty.openpty() for _ in range(2)]
    for master, slave in ends:
        tty.setraw(master)
        tty.setraw(slave)
    (first, _), (second, _) = ends
    stop = threading.Event()
    pump = threading.Thread(target=_pump, args=([(first, second, noise), (second, first, noise)], stop), daemon=True)
    pump.start()
    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    finally:
        stop.set()
        pump.join()
        for descriptor in (descriptor for end in ends for descriptor in end):
            os.close(descriptor)


@contextlib.contextmanager
def noisy_relay(port: int, noise: Noise) -> Iterator[int]:
    """Give a TCP port of 127.0.0.1 that leads to another one, for as many connections as come."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def relay() -> None:
        while not stop.is_set():
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
            except OSError:
                continue
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=carry, args=(near, far), daemon=True).start()

    def carry(near: socket.socket, far: socket.socket) -> None:
        with near, far:
            _pump([(near.fileno(), far.fileno(), noise), (far.fileno(), near.fileno(), noise)], stop)

    threading.Thread(target=relay, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
