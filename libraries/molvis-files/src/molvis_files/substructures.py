"""Parts of structures that plugins tell each other of: where classes are, and what peaks are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from molvis_core import registry
from molvis_core.interfaces import PeakExplanation
from molvis_core.records import Structure

__all__ = ["LocatesClasses", "Occurrence", "Substructure", "locating_classifiers", "occurrences"]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where a class is in a structure.

    Attributes:
        name, group: of the class.
        atoms: that make it up, by their places in the structure's SMILES.
    """

    name: str
    group: str
    atoms: tuple[int, ...]


@runtime_checkable
class LocatesClasses(Protocol):
    """A classifier that also names the atoms, so that a part of a structure is told by the classes that it holds."""

    def locate(self, structure: Structure) -> Sequence[Occurrence]:
        """Every place where a class is; a class without one place is left out."""
        ...


@runtime_checkable
class Substructure(PeakExplanation, Protocol):
    """An explanation of a peak with atoms and a probability, so that a report can show where it is.

    Attributes:
        atoms: by their places in the structure's SMILES.
        probability: that the peak is this.
        classes: that it holds.
    """

    @property
    def atoms(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def probability(self) -> float: ...  # noqa: D102
    @property
    def classes(self) -> Sequence[Occurrence]: ...  # noqa: D102


def locating_classifiers() -> list[LocatesClasses]:
    """Every classifier that a plugin offers and that names the atoms of a class."""
    made = [registry.build("classifier", c.name) for c in registry.components("classifier")]
    return [one for one in made if isinstance(one, LocatesClasses)]


def occurrences(structure: Structure, locating: Sequence[LocatesClasses]) -> list[Occurrence]:
    """Where the classes of all classifiers are in a structure.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the structure.
    """
    return [one for classifier in locating for one in classifier.locate(structure)]
