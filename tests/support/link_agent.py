"""Agents as processes of their own, for tests of the link."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

#: Seconds after which something hangs.
PATIENCE_S = 60

PROGRAM = (sys.executable, "-m", "axft_host.cli")


class AgentProcess:
    """``axft-hw serve`` as a process, which can be killed and started again.

    Parameters
    ----------
    arguments : sequence of str
    program : sequence of str
        What is run.
    environment : mapping of str to str, optional
        Added to that of this process.
    log : Path or None
        Where its stderr goes.
    """

    def __init__(
        self,
        *arguments: str,
        program: Sequence[str] = (*PROGRAM, "serve"),
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        if program != (*PROGRAM, "serve"):
            arguments = ("serve", *arguments)
        self._command = [*program, *arguments, "--json"]
        self._environment = {**os.environ, **(environment or {})}
        self._log = log
        self.addresses: list[str] = []
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        with contextlib.ExitStack() as stack:
            errors = subprocess.DEVNULL if self._log is None else stack.enter_context(self._log.open("a"))
            process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=errors, text=True, env=self._environment
            )
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line.rstrip() == "}":
                break
        if not text:
            raise AssertionError(f"the agent did not start: exit code {process.wait()}")
        self.addresses = json.loads(text)["addresses"]
        return process

    @property
    def address(self) -> str:
        """Where it can be reached."""
        return self.addresses[0]

    @property
    def port(self) -> int:
        """Its TCP port."""
        return int(self.address.rpartition(":")[2])

    def worker(self) -> int | None:
        """Return the process that touches the fabric, if there is one now."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(OSError):
            for pid in map(int, children.read_text(encoding="ascii").split()):
                with contextlib.suppress(OSError):
                    if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return pid
        return None

    def kill_worker(self) -> bool:
        """Kill it, if there is one."""
        pid = self.worker()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def kill(self) -> None:
        """Kill the supervisor."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again, at the same place."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.process = self._start()
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    @contextlib.contextmanager
    def kept_alive(self, when: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Start it again whenever it has ended, as systemd does; but only `when` that is allowed."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.1):
                if self.process.poll() is not None and when():
                    self.restart()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def memory_kib(self) -> int:
        """Return the resident memory of the supervisor in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))

    def close(self) -> None:
        """Stop it."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def agent(*arguments: str, **options: object) -> Iterator[AgentProcess]:
    """Run an agent."""
    running = AgentProcess(*arguments, **options)  # type: ignore[arg-type]
    try:
        yield running
    finally:
        running.close()
