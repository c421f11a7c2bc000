"""How many threads linear algebra takes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@contextmanager
def one_thread() -> Generator[None]:
    """Within it, or within a function that it decorates, linear algebra keeps to one thread.

    On matrices as small as those of spin systems and fluxes several threads are slower: they wait for each other with
    the processor busy, and where another program has a core, for that.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


def loaded() -> tuple[Any, ...]:
    """The libraries of linear algebra that are loaded now. NumPy and SciPy each bring one of their own."""
    from threadpoolctl import ThreadpoolController

    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


@contextmanager
def at_most(threads: int, libraries: Sequence[Any]) -> Generator[None]:
    """Linear algebra by so many threads at most.

    Args:
        threads: a library that has fewer keeps to them.
        libraries: of `loaded`.
    """
    before = [(one, one.num_threads) for one in libraries]
    for one, had in before:
        one.set_num_threads(min(had, threads))
    try:
        yield
    finally:
        for one, had in before:
            one.set_num_threads(had)


@lru_cache(maxsize=1)
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
