"""Structures as parents: what a library and a dataset make of salts, solvates and ions, and what they count of it."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from molvis_core.chemistry.adducts import COMMON_ADDUCTS, ion_mz, parse_adduct
from molvis_core.errors import StructureError
from molvis_core.records import Measurement, Structure

REACH = 50e-6
"""Relative error up to which a precursor m/z is that of a structure and an adduct, whatever the instrument."""


@dataclass(slots=True)
class ParentCounts:
    """What was done to structures on their way in.

    Attributes:
        structures: that were looked at.
        neutralised: ions that were given their protons back, or lost those they had taken up.
        stripped: that lost counterions or solvents.
        mixtures: of several organic parts, none of which is a usual counterion or solvent: they stay as they are drawn.
        merged: that share their parent with a structure that was drawn in another form.
        duplicates: that were there already, in the same form.
        adducts: measurements whose adduct was written anew for the parent, such as `[M]+` as `[M+H]+` of a betaine.
        as_drawn: that keep the structure as it was drawn: the precursor is that of no usual ion of the parent.
    """

    structures: int = 0
    neutralised: int = 0
    stripped: int = 0
    mixtures: int = 0
    merged: int = 0
    duplicates: int = 0
    adducts: int = 0
    as_drawn: int = 0

    def add(self, changes: tuple[str, ...]) -> None:
        """Count one structure."""
        self.structures += 1
        self.neutralised += "neutralised" in changes
        self.stripped += "stripped" in changes
        self.mixtures += "mixture" in changes

    def __add__(self, other: ParentCounts) -> ParentCounts:
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return ParentCounts(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def nonzero(self) -> dict[str, int]:
        """The counts that are not 0, by name, without that of all structures."""
        return {name: count for name, count in dataclasses.asdict(self).items() if count and name != "structures"}

    @property
    def words(self) -> str:
        """The same for people; empty where nothing was done."""
        said = [_WORDS[name].format(count) for name, count in self.nonzero.items()]
        return f"parents of {self.structures:,} structures: {', '.join(said)}" if said else ""


_WORDS: Mapping[str, str] = {
    "neutralised": "{:,} neutralised",
    "stripped": "{:,} stripped of counterions or solvents",
    "mixtures": "{:,} mixtures kept as drawn",
    "merged": "{:,} merged with another form of their compound",
    "duplicates": "{:,} duplicates",
    "adducts": "{:,} adducts written anew",
    "as_drawn": "{:,} kept as drawn for their precursor",
}


def parent(structure: Structure) -> tuple[Structure, tuple[str, ...]]:
    """The parent of a structure and what was changed; a structure that RDKit refuses is its own."""
    from molvis_retrieval.parent_structures import is_plain

    return (structure, ()) if is_plain(structure.smiles) else _parent(structure)


@functools.lru_cache(maxsize=20_000)
def _parent(structure: Structure) -> tuple[Structure, tuple[str, ...]]:
    from molvis_retrieval.parent_structures import parent_of

    try:
        found = parent_of(structure)
    except StructureError:
        return structure, ()
    return found.structure, found.changes


@dataclass(slots=True)
class ParentsOfMeasurements:
    """Gives measurements the parents of their structures, and counts.

    Attributes:
        counts: of the measurements, each compound as drawn once.
    """

    counts: ParentCounts = field(default_factory=ParentCounts)
    _drawn: set[str] = field(default_factory=set)
    _parents: Counter[str] = field(default_factory=Counter)

    def __call__(self, item: Measurement) -> Measurement:
        """The measurement with the parent of its structure, and with the adduct that its ion is of the parent."""
        if item.structure is None:
            return item
        found, changes = parent(item.structure)
        fresh = item.structure.smiles not in self._drawn
        if fresh:
            self._drawn.add(item.structure.smiles)
            self.counts.add(changes)
        if found is item.structure:
            return item
        adduct = adduct_of_parent(item.record, item.structure, found)
        if adduct is None:
            self.counts.as_drawn += 1
            return item
        record = item.record
        if adduct and adduct != record.adduct:
            record = dataclasses.replace(record, adduct=adduct)
            self.counts.adducts += 1
        return dataclasses.replace(item, structure=found, record=record)


def adduct_of_parent(record: Any, drawn: Structure, found: Structure) -> str | None:
    """The adduct that the ion of a record is of the parent of the structure that it names; empty where it names no ion.

    None where the precursor fits the structure as it was drawn and no usual ion of the parent.
    """
    adduct, mz = getattr(record, "adduct", None), getattr(record, "precursor_mz", None)
    if adduct is None or mz is None:
        return adduct or ""
    if abs(found.exact_mass - drawn.exact_mass) <= REACH * found.exact_mass or _fits(mz, found, adduct):
        return adduct
    if not _fits(mz, drawn, adduct):
        return adduct  # it fits neither; what is wrong with the record is not the form of its structure
    charge = parse_adduct(adduct).charge
    fitting = [a for a in COMMON_ADDUCTS if parse_adduct(a).charge == charge and _fits(mz, found, a)]
    return min(fitting, key=lambda a: abs(ion_mz(found.exact_mass, a) - mz)) if fitting else None


def _fits(mz: float, structure: Structure, adduct: str) -> bool:
    return abs(ion_mz(structure.exact_mass, adduct) - mz) <= REACH * mz
