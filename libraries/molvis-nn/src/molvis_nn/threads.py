"""How many threads PyTorch and linear algebra compute with: as many as other processes leave processors.

Threads of one computation wait for each other after every operation, with the processor busy unless
`OMP_WAIT_POLICY=PASSIVE` was set before PyTorch was imported, as the command line does. Where another process has the
processor that one of them needs, most of the time goes into waiting. Those of the BLAS of NumPy and SciPy know no such
setting.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections.abc import Generator
from typing import Any

import psutil
import scipy.linalg  # noqa: F401 - loads its BLAS, for `_libraries`
import torch

from molvis_files.processes import processors
from molvis_files.threads import at_most, loaded

log = logging.getLogger("molvis")

_SHORTEST = 0.2


class OtherLoad:
    """What other processes take of the machine's processors, measured from when this was made."""

    def __init__(self) -> None:
        self._began, self._before = time.monotonic(), _seconds_of_others()

    def free(self) -> int:
        """How many processors the others have left on the mean, at least 1 and at most what this process may use."""
        time.sleep(max(0.0, _SHORTEST - (time.monotonic() - self._began)))
        elapsed = time.monotonic() - self._began
        taken = (_seconds_of_others() - self._before) / elapsed
        return max(1, min(processors(), round((psutil.cpu_count() or 1) - taken)))


def _seconds_of_others() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Time of guests is part of that of users.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    own = os.times()
    return sum(times) - idle - guests - sum(own[:4])


@contextlib.contextmanager
def computing(threads: int, load: OtherLoad | None = None) -> Generator[int]:
    """PyTorch with so many threads, and linear algebra with no more, for the length of a `with` block.

    Args:
        threads: 0 for as many as processors are free, unless `OMP_NUM_THREADS` says how many.
        load: of the others until now; measured for a fifth of a second where it is not given.
    """
    before = torch.get_num_threads()
    if threads:
        wanted = threads
    else:
        wanted = before if "OMP_NUM_THREADS" in os.environ else (load or OtherLoad()).free()
    if wanted != before:
        if not threads:
            log.info("computing with %d of %d threads", wanted, processors())
        torch.set_num_threads(wanted)
    try:
        with at_most(wanted, _libraries()):
            yield wanted
    finally:
        torch.set_num_threads(before)


@functools.cache
def _libraries() -> tuple[Any, ...]:
    """The libraries of linear algebra. To look for them takes longer than a small gradient."""
    return loaded()
