"""Work on many items by processes of Ray, on this machine or on many, in order.

Each process is sent the work once; items and results should be small, such as numbers of files that all can reach.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from molvis_core.errors import ConfigError, MolvisError
from molvis_files import processes as own_process

__all__ = ["on_ray"]

T = TypeVar("T")
R = TypeVar("R")
_EACH = 2
"""Items that a process holds: one that it works on, and the next."""
_AHEAD = 4
"""Items for each process that may be under way or done before their turn."""


def on_ray(
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    what: str,
    processes: int | None = None,
    address: str | None = None,
    gpus: float = 0,
) -> Iterator[R]:
    """`work(item)` for each item, in their order, by processes of Ray.

    Args:
        work: a function, or an object that can be called, that pickles.
        items: what to work on; they are taken as they are needed.
        what: is done, for an error.
        processes: how many; one for each processor that Ray has by default.
        address: of a cluster; `auto` for the one that this machine belongs to. Without it Ray is started here, and
            stopped in the end.
        gpus: that each process is given.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers.
        MolvisError: the cluster was lost.
    """
    ray, started = _connected(address, processes)
    actors: list[Any] = []
    try:
        count = processes or max(1, int(ray.cluster_resources().get("CPU", 1)))
        # A process that dies is started again, and what it had is done again.
        kind = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=-1, max_task_retries=-1)(_Worker)
        shared = ray.put(work)
        actors += [kind.remote(shared) for _ in range(count)]
        yield from _in_order(ray, actors, iter(items))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise MolvisError(f"Ray, which {what}, was lost: {error}. What is done is kept; run it again.") from error
    finally:
        for actor in actors:
            ray.kill(actor)
        if started:
            ray.shutdown()


def _connected(address: str | None, processes: int | None) -> tuple[Any, bool]:
    """Ray, and whether it was started here."""
    # Ray tells its makers what it is used for unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(f"the engine ray needs Ray: pip install 'molvis-files[ray]' ({error})") from error
    if ray.is_initialized():
        return ray, False
    own: dict[str, Any] = {"num_cpus": processes or own_process.processors(), "include_dashboard": False}
    try:
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if address else own)
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"no Ray at address {address!r}: {error}") from error
    return ray, True


def _in_order(ray: Any, actors: list[Any], items: Iterator[Any]) -> Iterator[Any]:
    """Results in the order of the items, handed to whichever process has least to do."""
    busy = dict.fromkeys(range(len(actors)), 0)
    under_way: dict[Any, tuple[int, int]] = {}
    done: dict[int, Any] = {}
    sent = given = 0
    ended = False
    while True:
        while not ended and sent - given < _AHEAD * len(actors) and min(busy.values()) < _EACH:
            try:
                item = next(items)
            except StopIteration:
                ended = True
                break
            actor = min(busy, key=lambda number: busy[number])
            under_way[actors[actor].work.remote(item)] = (sent, actor)
            busy[actor] += 1
            sent += 1
        if given in done:
            yield done.pop(given)
            given += 1
            continue
        if not under_way:
            return
        (ready,), _ = ray.wait(list(under_way), num_returns=1)
        number, actor = under_way.pop(ready)
        busy[actor] -= 1
        done[number] = ray.get(ready)


class _Worker:
    """A process of Ray that works on items."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        own_process.is_worker = True  # so that the work starts no processes of its own
        self._work = work

    def work(self, item: Any) -> Any:
        return self._work(item)
