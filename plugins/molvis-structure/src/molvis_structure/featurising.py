"""What encoders of structures share: each structure is featurised once, and many by all processors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from torch import nn

from molvis_core.progress import Progress
from molvis_core.records import Structure
from molvis_structure.chemistry.parallel import in_parallel

T = TypeVar("T")


class Featurising(nn.Module, ABC, Generic[T]):
    """An encoder that keeps the features of each SMILES in `_kept`. Subclasses define how they are made.

    Attributes:
        most_kept: SMILES kept at a time; beyond, it begins anew.
    """

    most_kept = 200_000
    _kept: dict[str, T]

    @property
    @abstractmethod
    def _featurise_one(self) -> Callable[[str], T]:
        """What makes the features of a SMILES; it pickles."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_kept": {}}

    def featurise(
        self,
        structures: Sequence[Structure],
        *,
        processes: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Prepare features of many structures by several processes, for `collate` to look up.

        Args:
            structures: those to come.
            processes: how many; all processors by default.
            progress: called with the structures done and in all.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a SMILES.
        """
        wanted = [s for s in dict.fromkeys(s.smiles for s in structures) if s not in self._kept][: self.most_kept]
        if len(self._kept) + len(wanted) > self.most_kept:
            self._kept.clear()
        if progress and not wanted:
            progress(len(structures), len(structures))
        made = in_parallel(self._featurise_one, wanted, processes=processes, progress=progress)
        self._kept.update(zip(wanted, made, strict=True))

    def _features(self, smiles: str) -> T:
        if smiles not in self._kept:
            if len(self._kept) >= self.most_kept:
                self._kept.clear()
            self._kept[smiles] = self._featurise_one(smiles)
        return self._kept[smiles]
