"""Networks of features: what joins spectra that are alike, and how it tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from molvis_core.records import PeakList

__all__ = ["Link", "LinksSpectra"]


@runtime_checkable
class Link(Protocol):
    """Two spectra that are alike.

    Attributes:
        first, second: places of the spectra, the smaller first.
        similarity: between 0 and 1.
    """

    @property
    def first(self) -> int: ...  # noqa: D102
    @property
    def second(self) -> int: ...  # noqa: D102
    @property
    def similarity(self) -> float: ...  # noqa: D102


@runtime_checkable
class LinksSpectra(Protocol):
    """What a component of the kind `linker` is: spectra to the pairs of them that are alike."""

    def __call__(self, spectra: Sequence[PeakList], /) -> Sequence[Link]:
        """Each pair once; empty where none is alike."""
        ...
