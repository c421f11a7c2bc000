"""What encoders of structures share: each structure is featurised once, and many by all processors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from torch import nn

from molvis_core.progress import Progress
from molvis_core.records import Structure
from molvis_files.kept import Kept

T = TypeVar("T")


class Featurising(nn.Module, Generic[T]):
    """An encoder that keeps the features of each SMILES in `_kept`, which subclasses make.

    Attributes:
        most_kept: SMILES kept at a time.
    """

    most_kept = 200_000
    _kept: Kept[T]

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
        self._kept.prepare((s.smiles for s in structures), processes=processes, progress=progress)
