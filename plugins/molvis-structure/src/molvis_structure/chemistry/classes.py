"""Classes that a structure belongs to: functional groups, rings, natural products, lipids, drugs, pollutants.

An unknown whose structure is in no library still belongs to classes, and its candidates agree on them far more often
than on the structure. The table, `classes.toml`, defines each class by patterns; it is no complete ontology, and a
structure may be in many classes or in none.
"""

from __future__ import annotations

import functools
import importlib.resources
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool
from rdkit import Chem
from rdkit.Chem.rdchem import Mol

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ConfigError
from molvis_core.records import Structure
from molvis_files.substructures import Occurrence


@dataclass(frozen=True, slots=True)
class StructuralClass:
    """A class as the table defines it.

    Attributes:
        name: such as `flavonoid`.
        group: such as `natural product`.
        smarts: patterns that a structure of the class holds, all of them.
        without: patterns that none holds.
        any: classes of which a structure must be in one.
        all: classes of which a structure must be in each.
        examples: SMILES of structures in the class.
        others: SMILES of structures that are not.
    """

    name: str
    group: str
    smarts: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@functools.lru_cache(maxsize=1)
def table() -> tuple[StructuralClass, ...]:
    """All classes, in an order in which those that others are made of come first."""
    text = importlib.resources.files("molvis_structure.chemistry").joinpath("classes.toml").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = tomllib.loads(text)["class"]
    return tuple(
        StructuralClass(
            entry["name"], entry["group"], **{key: tuple(v) for key, v in entry.items() if isinstance(v, list)}
        )
        for entry in entries
    )


class StructuralClasses:
    """Which of the classes each structure belongs to.

    Args:
        groups: of classes to look for; without any, all of them.
    """

    def __init__(self, groups: Sequence[str] = ()) -> None:
        known = list(dict.fromkeys(one.group for one in table()))
        odd = [name for name in groups if name not in known]
        if odd:
            raise ConfigError(f"structural-classes: there is no group {odd[0]!r}; there are {', '.join(known)}")
        self._kept = [i for i, one in enumerate(table()) if not groups or one.group in groups]
        self.names = tuple(table()[i].name for i in self._kept)
        self.groups = tuple(table()[i].group for i in self._kept)

    def __call__(self, structures: Sequence[Structure]) -> Bool[np.ndarray, "m k"]:
        """One row for each structure.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        found = np.zeros((len(structures), len(table())), dtype=bool)
        for row, structure in zip(found, structures, strict=True):
            row[list(_members(structure.smiles))] = True
        return found[:, self._kept]

    def locate(self, structure: Structure) -> list[Occurrence]:
        """Where each class is: the atoms of its first pattern, or those of the classes that it is made of.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses the structure.
        """
        found = _places(structure.smiles)
        return [
            Occurrence(table()[i].name, table()[i].group, atoms)
            for i in self._kept
            for atoms in found.get(table()[i].name, ())
        ]


@functools.lru_cache(maxsize=16384)
def _members(smiles: str) -> tuple[int, ...]:
    """Places in the table of the classes that a structure is in."""
    mol = parse_smiles(smiles)
    inside: dict[str, bool] = {}
    for one in table():
        inside[one.name] = _belongs(mol, one, inside)
    return tuple(i for i, one in enumerate(table()) if inside[one.name])


def _belongs(mol: Mol, one: StructuralClass, inside: Mapping[str, bool]) -> bool:
    if one.any or one.all:
        return any(inside[name] for name in one.any or one.all[:1]) and all(inside[name] for name in one.all)
    return all(mol.HasSubstructMatch(_pattern(s)) for s in one.smarts) and not any(
        mol.HasSubstructMatch(_pattern(s)) for s in one.without
    )


@functools.lru_cache(maxsize=1024)
def _places(smiles: str) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Atoms of each place of each class that a structure is in."""
    mol = parse_smiles(smiles)
    inside = {table()[i].name for i in _members(smiles)}
    found: dict[str, tuple[tuple[int, ...], ...]] = {}
    for one in table():
        if one.name not in inside:
            continue
        parts = [atoms for name in one.any or one.all for atoms in found.get(name, ())]
        if one.all:  # of all of these at once: one place that spans them
            parts = [tuple(sorted({a for name in one.all for atoms in found.get(name, ())[:1] for a in atoms}))]
        elif one.smarts:
            parts = [tuple(sorted(hit)) for hit in mol.GetSubstructMatches(_pattern(one.smarts[0]), maxMatches=_PLACES)]
        if places := tuple(dict.fromkeys(p for p in parts if p)):
            found[one.name] = places
    return found


_PLACES = 200
"""Of one class in a structure that are looked for."""


@functools.lru_cache(maxsize=1024)
def _pattern(smarts: str) -> Mol:
    pattern = Chem.MolFromSmarts(smarts)
    if pattern is None:
        raise ConfigError(f"classes.toml: RDKit refuses the pattern {smarts!r}")
    return pattern
