"""What is made of each of many texts, such as the features of a SMILES: made once, and kept as long as it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from molvis_core.progress import Progress
from molvis_files.parallel import in_parallel

T = TypeVar("T")


class Kept(Generic[T]):
    """`make(key)` for each key, made once and kept; it travels to other processes without what it keeps.

    Args:
        make: a function that pickles.
        most: keys kept at a time; beyond, it begins anew.
        what: is done, for a warning: a process that *made fingerprints* died.
    """

    def __init__(self, make: Callable[[str], T], most: int, *, what: str = "made fingerprints") -> None:
        self._make, self._most, self._what = make, most, what
        self._values: dict[str, T] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": {}}

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __call__(self, key: str) -> T:
        """What is made of a key.

        Raises:
            Exception: what `make` raises; nothing is kept of such a key.
        """
        if key not in self._values:
            made = self._make(key)
            if len(self._values) >= self._most:
                self._values.clear()
            self._values[key] = made
        return self._values[key]

    def prepare(
        self,
        keys: Iterable[str],
        *,
        processes: int | None = None,
        few: int = 4000,
        chunk: int = 250,
        progress: Progress | None = None,
    ) -> None:
        """Make what is lacking of many keys by several processes, in this one where that is quicker or safer.

        Args:
            keys: those to come; of more than are kept at a time, the first.
            processes: how many; all processors by default.
            few: of fewer keys than these the work is done in this process: others take a second or more to start.
            chunk: keys that are sent to a process at a time.
            progress: called with the keys done and in all; once, where none is lacking.

        Raises:
            Exception: what `make` raises. What was made before stays kept.
        """
        asked = list(dict.fromkeys(keys))
        wanted = [key for key in asked if key not in self._values][: self._most]
        if len(self._values) + len(wanted) > self._most:
            self._values.clear()
        if progress and not wanted:
            progress(len(asked), len(asked))
        made = in_parallel(self._make, wanted, len(wanted), what=self._what, processes=processes, few=few, chunk=chunk)
        for done, (key, one) in enumerate(zip(wanted, made, strict=True), start=1):
            self._values[key] = one
            if progress and (done % chunk == 0 or done == len(wanted)):
                progress(done, len(wanted))
