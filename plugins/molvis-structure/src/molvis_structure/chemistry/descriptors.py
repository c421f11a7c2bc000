"""What the `fingerprint` encoder looks at: fingerprints, element counts, descriptors. Without PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors
from rdkit.Chem.rdchem import Mol

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ConfigError, did_you_mean
from molvis_structure.chemistry.fingerprints import packed_of

ELEMENTS = ("C", "H", "N", "O", "S", "P", "F", "Cl", "Br", "I", "Na", "Si", "B", "Se")

_DESCRIBE: Mapping[str, Callable[[Mol], float]] = {
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic rings": rdMolDescriptors.CalcNumAromaticRings,
    "rotatable bonds": rdMolDescriptors.CalcNumRotatableBonds,
    "donors": rdMolDescriptors.CalcNumHBD,
    "acceptors": rdMolDescriptors.CalcNumHBA,
    # Tens, so that the logarithm of all of them is of one size.
    "sp3 share": lambda mol: 10 * rdMolDescriptors.CalcFractionCSP3(mol),
    "polar area": lambda mol: rdMolDescriptors.CalcTPSA(mol) / 10,
    "charge": lambda mol: abs(Chem.GetFormalCharge(mol)),
}
# Spelt out, as the default of an argument: configurations are filled without importing RDKit.
DESCRIPTORS = (
    "rings", "aromatic rings", "rotatable bonds", "donors", "acceptors", "sp3 share", "polar area", "charge",
)  # fmt: skip


def check_descriptors(names: Sequence[str]) -> None:
    """Check the names of descriptors.

    Raises:
        ConfigError: a descriptor that does not exist.
    """
    for name in names:
        if name not in _DESCRIBE:
            raise ConfigError(
                f"no descriptor {name!r}.{did_you_mean(name, DESCRIPTORS)} It is one of {', '.join(DESCRIPTORS)}."
            )


def features(
    smiles: str, kinds: Sequence[str], bits: int, descriptors: Sequence[str] = DESCRIPTORS
) -> tuple[np.ndarray, np.ndarray]:
    """Packed fingerprints, and logarithms of element counts and descriptors, of one molecule.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    mol = parse_smiles(smiles)
    numbers = np.zeros(len(ELEMENTS) + len(descriptors), dtype=np.float32)
    for atom in mol.GetAtoms():
        if (symbol := atom.GetSymbol()) in ELEMENTS:
            numbers[ELEMENTS.index(symbol)] += 1
        numbers[1] += atom.GetTotalNumHs()
    numbers[len(ELEMENTS) :] = [_DESCRIBE[name](mol) for name in descriptors]
    return packed_of(mol, kinds, bits), np.log1p(numbers)
