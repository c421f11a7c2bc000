"""Motifs: the commonest pieces of molecules, and atoms and bonds typed by them. Without PyTorch.

A molecule is broken at every acyclic bond that has an atom of a cycle at one of its ends; the pieces that come most
often are the motifs. K. Maziarz et al., Learning to Extend Molecular Scaffolds with Structural Motifs, ICLR 2022,
doi:10.48550/arXiv.2103.03864
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int16
from rdkit import Chem
from rdkit.Chem.rdchem import Atom, Mol

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ConfigError, ReadError, did_you_mean
from molvis_core.progress import Progress
from molvis_files.documents import load_toml, write_toml
from molvis_files.writing import write_text
from molvis_structure.chemistry.parallel import in_parallel

ATOMS = (
    "C", "N", "O", "S", "P", "F", "Cl", "Br", "I", "B", "Si", "Se", "As", "Na", "K",
    "N+", "O-", "N-", "C-", "C+", "O+", "S+", "S-", "P+", "B-", "Na+", "K+", "Cl-", "Br-", "I-",
)  # fmt: skip
"""Elements with their charge. Whatever else there is counts as `other`."""

_ATOM = {name: number for number, name in enumerate(ATOMS)}
_HYBRIDIZATIONS = {"SP": 0, "SP2": 1, "SP3": 2}
_ORDERS = {"SINGLE": 0, "DOUBLE": 1, "TRIPLE": 2, "AROMATIC": 3}
_LARGEST_RING = 8
RELATIONS = 2 * len(_ORDERS)
"""Kinds of bonds: single, double, triple, aromatic; first those outside of motifs, then those within one."""

FEATURES = {"element": len(ATOMS) + 1, "degree": 7, "hydrogens": 5, "hybridization": 4, "ring": _LARGEST_RING - 1}
"""What an atom is described by besides its type, and how many cases of each there are."""

FIRST_TYPE = 1 + sum(FEATURES.values())
"""Row of the first type in the table of atoms. Row 0 is kept for what is hidden, the cases of the features follow."""

_STARTS = np.cumsum([1, *FEATURES.values()]).astype(np.int16)

SHIPPED = ("common-128",)
"""Names of the vocabularies in this package. What is in one never changes: bundles refer to it by name."""

_BARE = re.compile(r"\[(Cl|Br|[BCNOPSFIbcnops])\]")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Motifs, the commonest first.

    Attributes:
        motifs: canonical SMILES without hydrogens, so that a piece is called the same however it was bound.
        counts: how often each came; empty where that is not known.
        structures: in how many structures that was; 0 where that is not known.
    """

    motifs: tuple[str, ...]
    counts: tuple[int, ...] = ()
    structures: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the motifs in their order."""
        return hashlib.sha256("\n".join(self.motifs).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Write it as TOML, whole or not at all.

        Raises:
            molvis_core.errors.WriteError: it cannot be written; what was there before is kept.
        """
        values = {"structures": self.structures, "digest": self.digest}
        write_text(path, write_toml({**values, "motifs": self.motifs, "counts": self.counts}))

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """A vocabulary from its file.

        Raises:
            ReadError: the file cannot be read, is no vocabulary, or was changed since it was written.
        """
        try:
            return cls._parse(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReadError(path, f"not a vocabulary of motifs: {error!r}") from error

    @classmethod
    def shipped(cls, name: str) -> Vocabulary:
        """One of those in `SHIPPED`.

        Raises:
            ConfigError: no vocabulary has this name.
        """
        if name not in SHIPPED:
            raise ConfigError(
                f"no vocabulary of motifs {name!r}.{did_you_mean(name, SHIPPED)} "
                f"Shipped: {', '.join(SHIPPED)}. Another one is given as a list of its motifs."
            )
        file = importlib.resources.files("molvis_structure") / "vocabularies" / f"{name}.toml"
        return cls._parse(file.read_text(encoding="utf-8"))

    @classmethod
    def _parse(cls, text: str) -> Vocabulary:
        raw = load_toml(text)
        found = cls(tuple(raw["motifs"]), tuple(raw["counts"]), raw["structures"])
        if found.digest != raw["digest"]:
            raise ValueError(f"its digest is {found.digest[:12]}, but {raw['digest'][:12]} is stated")
        return found


def extract(
    smiles: Sequence[str],
    count: int = 128,
    *,
    smallest: int = 2,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Vocabulary:
    """The commonest pieces of molecules.

    Args:
        smiles: the molecules.
        count: how many motifs to keep.
        smallest: atoms that a motif has at least; a lone atom holds no more than its element.
        processes: how many work; all processors by default.
        progress: called with the molecules done and in all.

    Raises:
        ConfigError: a number of motifs that is not positive.
        molvis_core.errors.StructureError: RDKit refuses a SMILES.
    """
    if count < 1 or smallest < 1:
        raise ConfigError(f"motifs: count and smallest must be positive whole numbers, got {count} and {smallest}")
    pieces: Counter[str] = Counter()
    for found in in_parallel(_names, smiles, processes=processes, progress=progress):
        pieces.update(name for name, size in found if size >= smallest)
    # Equally common ones in the order of the alphabet: the same molecules in any order give the same vocabulary.
    common = sorted(pieces.items(), key=lambda item: (-item[1], item[0]))[:count]
    return Vocabulary(tuple(name for name, _ in common), tuple(times for _, times in common), len(smiles))


def _names(smiles: str) -> list[tuple[str, int]]:
    return [(name, len(atoms)) for name, atoms in split(parse_smiles(smiles))]


def split(mol: Mol) -> list[tuple[str, tuple[int, ...]]]:
    """The pieces of a molecule: what each is called, and its atoms. Every atom is in one piece."""
    loose = Chem.RWMol(mol)
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        if not bond.IsInRing() and any(atom.IsInRing() for atom in ends):
            loose.RemoveBond(*(atom.GetIdx() for atom in ends))
    for atom in loose.GetAtoms():
        # Hydrogens show how a piece was bound, which must not change what it is called.
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(0)
        atom.SetNumRadicalElectrons(0)
    atoms: list[tuple[int, ...]] = []
    pieces = Chem.GetMolFrags(loose, asMols=True, sanitizeFrags=False, fragsMolAtomMapping=atoms)
    names = [_BARE.sub(r"\1", Chem.MolToSmiles(piece, isomericSmiles=False)) for piece in pieces]
    return list(zip(names, atoms, strict=True))


@dataclass(frozen=True, slots=True)
class TypedMolecule:
    """A molecule whose atoms and bonds are typed by motifs.

    Attributes:
        atoms: the cases of `FEATURES` and the type of each atom, as rows of one table.
        edges: from which atom to which; each bond in both directions.
        relation: kind of each edge, below `RELATIONS`.
        piece: which piece of the molecule an atom is in.
    """

    atoms: Int16[np.ndarray, "a f"]
    edges: Int16[np.ndarray, "2 b"]
    relation: Int16[np.ndarray, " b"]
    piece: Int16[np.ndarray, " a"]


def typed(smiles: str, place: Mapping[str, int]) -> TypedMolecule:
    """A molecule typed by motifs.

    Args:
        smiles: the molecule.
        place: number of each motif.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    mol = parse_smiles(smiles)
    count = mol.GetNumAtoms()
    piece, motif = np.zeros(count, np.int16), np.full(count, -1, np.int16)
    for number, (name, members) in enumerate(split(mol)):
        piece[list(members)] = number
        motif[list(members)] = place.get(name, -1)
    cases = np.array([_cases(atom) for atom in mol.GetAtoms()], np.int16)
    kind = np.where(motif >= 0, len(ATOMS) + 1 + motif, cases[:, 0])
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), _ORDERS.get(str(b.GetBondType()), 0)) for b in mol.GetBonds()]
    begin, end, order = np.array(bonds, np.int16).reshape(-1, 3).T
    within = (piece[begin] == piece[end]) & (motif[begin] >= 0)
    relation = order + len(_ORDERS) * within.astype(np.int16)
    return TypedMolecule(
        np.column_stack([cases, kind]) + _STARTS,
        np.stack([np.concatenate([begin, end]), np.concatenate([end, begin])]),
        np.concatenate([relation, relation]),
        piece,
    )


def _cases(atom: Atom) -> tuple[int, ...]:
    charge = atom.GetFormalCharge()
    # A charge of two or more goes with the other things that come rarely.
    symbol = f"{atom.GetSymbol()}{'+' if charge > 0 else '-' if charge < 0 else ''}" if abs(charge) < 2 else ""
    ring = atom.GetOwningMol().GetRingInfo().MinAtomRingSize(atom.GetIdx())
    return (
        _ATOM.get(symbol, len(ATOMS)),
        min(atom.GetDegree(), FEATURES["degree"] - 1),
        min(atom.GetTotalNumHs(), FEATURES["hydrogens"] - 1),
        _HYBRIDIZATIONS.get(str(atom.GetHybridization()), len(_HYBRIDIZATIONS)),
        max(0, min(ring, _LARGEST_RING) - 2),
    )
