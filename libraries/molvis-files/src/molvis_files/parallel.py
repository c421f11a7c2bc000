"""Work on many items by several processes, in order."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Literal, TypeVar

from molvis_files import processes as own
from molvis_files.processes import end_with_parent, processors

log = logging.getLogger("molvis")
T = TypeVar("T")
R = TypeVar("R")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
Engine = Literal["local", "processes", "ray"]
"""Where work is done: here, in processes of this machine, or in those of Ray, which may be on others."""
_AHEAD = 3
"""Blocks that are handed out for each process, so that none waits for the next."""
_work: Callable[[Any], Any] | None = None
"""What a worker does; each is told once, when it starts."""


def in_parallel(
    work: Callable[[T], R],
    items: Iterable[T],
    count: int,
    *,
    what: str,
    processes: int | None = None,
    few: int = 1,
    chunk: int = 1,
    engine: Engine = "processes",
    address: str | None = None,
    gpus: float = 0,
) -> Iterator[R]:
    """`work(item)` for each item, in their order, by several processes; in this one where that is quicker or safer.

    Items are taken as they are needed, some for each process ahead. An error of `work` is raised here. What a process
    that dies leaves undone is done in this one.

    Args:
        work: a function, or an object that can be called, that pickles. Each process is sent it once, and computes in a
            single thread.
        items: what to work on.
        count: of these.
        what: is done, for a warning: a process that *made fingerprints* died.
        processes: how many; all processors by default.
        few: of fewer items than these the work is done in this process: others take a second or more to start.
        chunk: items that are sent to a process at a time.
        engine: `local` works in this process and `ray` in those of Ray, however few the items are. What a process of
            Ray that dies leaves undone another does.
        address: of a Ray cluster, such as `auto`; without one Ray is started on this machine.
        gpus: that each process of Ray is given.

    Raises:
        ConfigError: Ray is asked for and not installed, or no cluster answers.
    """
    if engine == "ray":
        from molvis_files.on_ray import on_ray

        return on_ray(work, items, what=what, processes=processes, address=address, gpus=gpus)
    most = 1 if engine == "local" else min(processes or processors(), -(-count // chunk))
    return _by_processes(work, _blocks(iter(items), chunk), count, what, most, few)


def _by_processes(
    work: Callable[[T], R], blocks: Iterator[list[T]], count: int, what: str, most: int, few: int
) -> Iterator[R]:
    """`work(item)` for each item of blocks, by so many processes."""
    if most < 2 or count < few or not may_spawn():
        yield from (work(item) for block in blocks for item in block)
        return
    done = 0
    # Spawned rather than forked: a fork of a process in which threads have started may hang.
    spawning = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(most, mp_context=spawning, initializer=_begin, initargs=(pickle.dumps(work),))
    sent: deque[list[T]] = deque()
    results: deque[Future[list[R]]] = deque()
    try:
        while True:
            for block in itertools.islice(blocks, _AHEAD * most - len(sent)):
                sent.append(block)  # first: a pool whose process has died refuses it, and it is still to be done
                results.append(pool.submit(_call, block))
            if not sent:
                return
            made = results[0].result()
            results.popleft()
            sent.popleft()
            yield from made
            done += len(made)
    except (BrokenProcessPool, BrokenPipeError):  # the second where it dies while work is handed to it
        log.warning("a process that %s died after %d of %d; going on with one", what, done, count)
    finally:
        pool.shutdown(cancel_futures=True)
    for block in itertools.chain(sent, blocks):
        yield from (work(item) for item in block)


def _blocks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while block := list(itertools.islice(items, size)):
        yield block


def may_spawn() -> bool:
    """Whether processes may be started here.

    A spawned process runs the user's script again: without a guard, all of it. Workers have no children at all.
    """
    if multiprocessing.current_process().daemon or own.is_worker:
        return False
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        return file is None or "__name__" in Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _begin(pickled: bytes) -> None:
    global _work  # noqa: PLW0603 - a worker's only state, set before its first item
    own.is_worker = True
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal interrupts all of them; the parent ends the others
    # Before the libraries that read them are imported, which unpickling does.
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    _work = pickle.loads(pickled)  # noqa: S301 - from the process that started this one


def _call(block: list[Any]) -> list[Any]:
    assert _work is not None
    return [_work(item) for item in block]
