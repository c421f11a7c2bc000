"""What a function that takes long calls, so that its caller can show how far it is.

A function that only counts takes a `Progress`; one that does several things in turn names them to a `StageProgress`.
What `molvis_core.output.progress` yields serves as both.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "StageProgress"]


class Progress(Protocol):
    """Called with the number that is done and the number in all, which is 0 while it is not known."""

    def __call__(self, done: int, total: int, /) -> None: ...  # noqa: D102


class StageProgress(Protocol):
    """Called with the number that is done, the number in all (0 while it is not known), and what is being done.

    Whatever takes these three also serves as a `Progress`: `what` has a default.
    """

    def __call__(self, done: int, total: int, what: str = "", /) -> None: ...  # noqa: D102
