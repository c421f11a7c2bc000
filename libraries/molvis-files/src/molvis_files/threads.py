"""Linear algebra on small matrices by one thread."""

from __future__ import annotations

from collections.abc import Generator
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


@lru_cache(maxsize=1)
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
