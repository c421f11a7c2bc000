"""Many unknowns, ranked by several processes or several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from molvis_files.parallel import in_parallel
from molvis_retrieval.evidence import Embedded
from molvis_retrieval.scope import Search

if TYPE_CHECKING:
    from molvis_retrieval.identification import Ranker
    from molvis_retrieval.results import Identification

_FEW = 128
"""Unknowns from which on other processes rank some: each takes seconds to start."""
_CHUNK = 8


def each(
    ranker: Ranker, good: Sequence[int], groups: Sequence[list[Embedded]], search: Search, processes: int | None
) -> Iterator[tuple[int, Identification]]:
    """Identifications of the unknowns of these numbers, in the order in which they are made."""

    def everywhere(number: int) -> bool:
        return search.scope(groups[number][0].unknown) == "all"

    # By mass: neighbours have candidates in common, and what is computed of a candidate is kept for a while.
    near = sorted((n for n in good if not everywhere(n)), key=lambda n: (groups[n][0].unknown.mass or 0.0, n))
    made = in_parallel(
        ranker.one,
        (groups[n] for n in near),
        len(near),
        what="ranked candidates",
        processes=processes,
        few=_FEW,
        chunk=_CHUNK,
    )
    yield from zip(near, made, strict=True)
    for together in _batches([n for n in good if everywhere(n)], groups):
        yield from zip(together, ranker.identify([groups[n] for n in together]), strict=True)


def _batches(numbers: Sequence[int], groups: Sequence[Sequence[Embedded]], most: int = 32) -> Iterator[list[int]]:
    """Unknowns in groups of at most so many records, or of one."""
    batch: list[int] = []
    held = 0
    for number in numbers:
        count = len(groups[number][0].unknown.records)
        if batch and held + count > most:
            yield batch
            batch, held = [], 0
        batch.append(number)
        held += count
    if batch:
        yield batch
