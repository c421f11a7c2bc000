"""Work on many SMILES by several processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from molvis_core.progress import Progress
from molvis_files.processes import end_with_parent

log = logging.getLogger("molvis")
T = TypeVar("T")
_FEW = 4000
_CHUNK = 250


def in_parallel(
    work: Callable[[str], T],
    items: Sequence[str],
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> list[T]:
    """`[work(item) for item in items]` by several processes; in this one where that is quicker or safer.

    Args:
        work: a function that pickles.
        items: what to work on.
        processes: how many; all processors by default.
        progress: called with the items done and in all.
    """
    count = processes or _processors()
    out: list[T] = []
    if count > 1 and len(items) >= _FEW and _may_spawn():
        # Spawned rather than forked: a fork of a process in which torch has started threads may hang.
        context = multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(count, mp_context=context, initializer=end_with_parent) as pool:
                _collect(out, pool.map(work, items, chunksize=_CHUNK), len(items), progress)
        except (BrokenProcessPool, BrokenPipeError):  # the second where it dies while work is handed to it
            log.warning("a process that made fingerprints died after %d of %d; going on with one", len(out), len(items))
    done = len(out)
    _collect(out, (work(item) for item in items[done:]), len(items), progress)
    return out


def _collect(out: list[T], made: Iterator[T], total: int, progress: Progress | None) -> None:
    for result in made:
        out.append(result)
        if progress and (len(out) % _CHUNK == 0 or len(out) == total):
            progress(len(out), total)


def _processors() -> int:
    # A container may be given fewer than the machine has; macOS does not report it.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _may_spawn() -> bool:
    """A spawned process runs the user's script again: without a guard, all of it. Workers have no children at all."""
    if multiprocessing.current_process().daemon:
        return False
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        return file is None or "__name__" in Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
