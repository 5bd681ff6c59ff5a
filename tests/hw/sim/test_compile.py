"""The compiler and the cache of compiled models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from axft_hw.sim import compile as compiling
from axft_hw.sim.compile import compile_c, find_compiler
from axft_spec.errors import BackendError

TEXT = '__attribute__((visibility("default"))) int answer(void) { return 42; }\n'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache."""
    monkeypatch.setenv("AXFT_CACHE", str(tmp_path / "models"))
    return tmp_path / "models"


def test_second_build_comes_from_the_cache(cache: Path) -> None:
    """Same text, same file, not written again; other text, other file."""
    first = compile_c(TEXT)
    stamp = first.stat().st_mtime_ns
    assert compile_c(TEXT) == first
    assert first.stat().st_mtime_ns == stamp
    assert compile_c(TEXT.replace("42", "43")) != first
    assert compile_c(TEXT, salt="other") != first
    assert sorted(path.suffix for path in cache.iterdir()) == [".so", ".so", ".so"]


def test_damaged_file_is_built_again(cache: Path) -> None:
    """A file whose content is not what its name says is never loaded."""
    first = compile_c(TEXT)
    content = first.read_bytes()
    first.write_bytes(content[:100])
    again = compile_c(TEXT)
    assert compiling._digest(again) == again.stem.partition("-")[2]
    assert compiling.load(again).answer() == 42


#: What each of several processes does: both texts, the second one first in every other process.
_BUILDER = """
import sys
from axft_hw.sim.compile import compile_c
texts = sys.argv[2:]
for text in texts if int(sys.argv[1]) % 2 else texts[::-1]:
    print(compile_c(text))
"""


def test_concurrent_builders_agree(cache: Path) -> None:
    """Four processes at a time want the same two files."""
    texts = [f"{TEXT}/* {number} */" for number in range(2)]
    builders = [
        subprocess.Popen([sys.executable, "-c", _BUILDER, str(number), *texts], stdout=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    printed = [builder.communicate(timeout=120)[0].split() for builder in builders]
    assert [builder.returncode for builder in builders] == [0] * 4
    paths = {path for lines in printed for path in lines}
    assert all(len(lines) == 2 for lines in printed)
    assert all(compiling._digest(Path(path)) == Path(path).stem.partition("-")[2] for path in paths)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_missing_compiler_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither $CC nor cc, gcc, clang or ziglang."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"looked for \$CC, cc, gcc, clang and .* `pip install ziglang`, or install"):
        find_compiler()
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(BackendError, match=r"\$CC names the C compiler 'no-such-compiler -O2', which is not there"):
        find_compiler()


def test_compiler_of_the_package_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without compilers, but with ziglang."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda name: object())
    assert find_compiler()[1:] == ("-m", "ziglang", "cc")


def test_failing_compiler_shows_its_first_error_and_the_log(cache: Path) -> None:
    """And leaves nothing but the log."""
    with pytest.raises(BackendError, match=r"failed: model\.c:2:.*error: .*; all it said is in (.*\.log)$") as caught:
        compile_c(TEXT + "int broken(void) { return nothing; }\n")
    log = Path(str(caught.value).rpartition(" ")[2])
    assert "nothing" in log.read_text()
    assert [path.name for path in cache.iterdir()] == [log.name]
