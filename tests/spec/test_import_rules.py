"""What may be imported where: allow-lists, where the linters have lists of what is banned."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import axft_spec

HOST_ROOT = Path(axft_spec.__file__).parents[1]
ALLOWED = {
    "axft_spec": {"axft_spec", "numpy"},
    # What a board's image has, and the pure Python packages that go beside it.
    "axft_host": {"axft_spec", "axft_host", "numpy", "pandas", "click", "rich", "serial"},
    # Lazy: what says that something is missing must not need it.
    "axft": {"axft_spec"},
}


def imported_at_load(node: ast.AST) -> Iterator[str]:
    """Yield the top-level packages that running this code imports."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            if child.level == 0 and child.module:
                yield child.module.partition(".")[0]
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from imported_at_load(ast.Module(child.orelse, []))
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported_at_load(child)


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_modules_import_only_what_every_machine_has(package: str) -> None:
    """A board has neither onnx nor pooch, and must still import every module."""
    found = {
        (str(path.relative_to(HOST_ROOT)), name)
        for path in (HOST_ROOT / package).rglob("*.py")
        for name in imported_at_load(ast.parse(path.read_text(encoding="utf-8")))
        if name not in ALLOWED[package] and name not in sys.stdlib_module_names
    }
    assert found == set()


def test_rule_sees_imports_in_any_block() -> None:
    """The check of the check: nested imports count, those in functions and for type checkers do not."""
    code = """
import a.b, c
from d.e import f
try:
    import g
except ImportError:
    import h
if TYPE_CHECKING:
    import not_run
class K:
    import i
def f():
    import lazy
from . import sibling
"""
    assert sorted(imported_at_load(ast.parse(code))) == ["a", "c", "d", "g", "h", "i"]
