"""Work on many SMILES by several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from molvis_core.progress import Progress
from molvis_files import parallel

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
    out: list[T] = []
    made = parallel.in_parallel(
        work, items, len(items), what="made fingerprints", processes=processes, few=_FEW, chunk=_CHUNK
    )
    for result in made:
        out.append(result)
        if progress and (len(out) % _CHUNK == 0 or len(out) == len(items)):
            progress(len(out), len(items))
    return out
