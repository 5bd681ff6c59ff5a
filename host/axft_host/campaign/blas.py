"""One BLAS thread per process. This is decided when numpy is loaded, so that this module must not import it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_blas_thread", "use_one_blas_thread"]

#: What the usual BLAS libraries read when they are loaded.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def use_one_blas_thread() -> None:
    """Have numpy, if it is not loaded yet, use one thread, unless the user has said otherwise.

    The matrices of a fault's run are small: threads that wait for each other take several times as long.
    """
    for name in _VARIABLES:
        os.environ.setdefault(name, "1")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Have the processes that are started inside use one thread each: the processes are the parallelism."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
