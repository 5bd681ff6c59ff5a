"""The program as a process: exit codes, Ctrl-C, pipes, tracebacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from axft_host.campaign.store import ResultStore
from axft_host.campaign.summary import summarise
from axft_spec.errors import AxftError
from support.command_line import invoke

PROGRAM = [sys.executable, "-m", "axft_host.cli"]
SMALL = "--config 8P --array 4x3 --model small.npz --data small-data.npz"

#: Enough faults for minutes: every psum bit in every cycle is in this space.
ENDLESS = f"inject {SMALL} --site psum --kind flip --transient --faults 30000 --out r"


def run(place: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end."""
    return subprocess.run([*PROGRAM, *line.split()], cwd=place, capture_output=True, text=True, check=False)


def faults_done(place: Path) -> int:
    """Return how many faults the result has by now."""
    try:
        with ResultStore.open(place / "r") as store:
            return len(store)
    except AxftError:
        return 0


def start_and_wait(place: Path, line: str) -> subprocess.Popen[str]:
    """Start a campaign in a process group of its own, and wait for its first faults."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*PROGRAM, *line.split()], cwd=place, text=True, start_new_session=True, **pipes)
    deadline = time.monotonic() + 400  # it may have to compile first, beside all other tests
    while not faults_done(place) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def test_exit_codes(place: Path) -> None:
    """0 for success, 1 for results that differ, 2 for bad input."""
    assert run(place, f"inject {SMALL} --faults 20 --workers 1 --out a").returncode == 0
    assert run(place, f"inject {SMALL} --faults 20 --workers 1 --lowering toeplitz --out b").returncode == 0
    assert run(place, "diff a a").returncode == 0
    assert run(place, "diff a b").returncode == 1
    bad = run(place, "inject --config 9P")
    assert bad.returncode == 2
    assert bad.stderr.splitlines()[-1].startswith("Error: unknown configuration '9P'")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are of POSIX systems")
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_keeps_what_is_done(place: Path, workers: int) -> None:
    """Ctrl-C goes to the whole group: exit code 130, a store that says so, and a summary of the faults done."""
    process = start_and_wait(place, f"{ENDLESS} --json --workers {workers}")
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    value = json.loads(stdout)
    done = faults_done(place)
    assert value["state"] == "interrupted"
    assert 0 < value["faults"] == done < value["faults_listed"] == 30000
    assert f"interrupted: {done:,} of 30,000 faults are done and kept in r/campaign.sqlite" in stderr
    assert "Traceback" not in stderr
    with ResultStore.open(place / "r") as store:
        assert [row.index for row in store.rows()] == list(range(done))


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are of POSIX systems")
def test_second_interrupt_says_where_the_faults_are_kept(place: Path) -> None:
    """It stops at once: nothing on stdout, and a store that opens."""
    process = start_and_wait(place, f"{ENDLESS} --json --workers 1")
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    if not stdout:  # otherwise the first one had ended the campaign before the second came
        last = stderr.splitlines()[-1]
        assert last == (
            "Error: interrupted: the faults that are done are kept in r/campaign.sqlite; "
            "`axft-hw campaign resume r` goes on"
        )
    assert faults_done(place) > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is of Linux")
@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_output_without_room_is_an_error_line(place: Path, form: str) -> None:
    """And no traceback, also if what is written fits in a buffer."""
    assert run(place, f"inject {SMALL} --faults 5 --workers 1 --out a").returncode == 0
    with Path("/dev/full").open("w", encoding="ascii") as full:
        command = [*PROGRAM, "export", "a", form]
        result = subprocess.run(command, cwd=place, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "Error: the output cannot be written: No space left on device\n")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are of POSIX systems")
def test_killed_campaign_keeps_what_was_committed(place: Path) -> None:
    """The store opens after kill -9, and its faults are in order."""
    process = start_and_wait(place, f"{ENDLESS} --workers 1")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    summary = summarise(place / "r")
    assert summary.state == "running"
    assert summary.faults > 0


def test_interrupt_outside_a_campaign_has_the_same_exit_code(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no traceback."""

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("axft_spec.multipliers.error_figures", interrupted)
    result = invoke("multipliers")
    assert (result.exit_code, result.stderr) == (130, "Error: interrupted\n")


def test_reader_that_goes_away_is_no_traceback(place: Path) -> None:
    """As with `axft-hw ... | head -1`."""
    command = f"{sys.executable} -m axft_host.cli data export small-data.npz --out x.npz --json | true"
    for line in (command, f"{sys.executable} -m axft_host.cli configs | head -n 1"):
        result = subprocess.run(["sh", "-c", line], cwd=place, capture_output=True, text=True, check=False)
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("line", ["--debug infer --config 9P", "infer --config 9P --debug"])
def test_traceback_is_shown_only_with_debug(place: Path, line: str) -> None:
    """The message is the last line all the same."""
    plain, debug = run(place, "infer --config 9P"), run(place, line)
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert plain.stderr.splitlines()[-1] == debug.stderr.splitlines()[-1]
    assert debug.returncode == 2


def test_one_blas_thread_unless_the_user_says_otherwise(place: Path) -> None:
    """The program limits them before numpy is loaded."""
    program = (
        "import atexit, os, sys\nfrom axft_host.cli.main import main\nassert 'numpy' not in sys.modules\n"
        "atexit.register(lambda: print(os.environ['OPENBLAS_NUM_THREADS']))\n"
        f"sys.argv = 'axft-hw inject {SMALL} --faults 2 --workers 1 --out r'.split()\nmain()"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout.splitlines()[-1] == "1", result.stderr
