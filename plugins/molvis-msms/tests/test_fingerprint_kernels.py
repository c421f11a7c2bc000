"""Path fingerprints by a compiled loop are RDKit's, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit.Chem import rdFingerprintGenerator

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.records import Structure
from molvis_msms.fingerprint.bits import CIRCLES, LENGTH, fingerprints, paths_of

RDKIT = rdFingerprintGenerator.GetRDKitFPGenerator(minPath=1, maxPath=5, fpSize=LENGTH - CIRCLES, numBitsPerFeature=1)
MOLECULES = (
    "C",
    "CC",
    "[H][H]",
    "[2H]C([2H])([2H])O",
    "CC(C)(C)C",
    "C1CC1",
    "C1CC2CCC1CC2",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "c1ccc2c(c1)cccc2",
    "c1ccc2cccc-2cc1",
    "C1=CC2=CC=CC=CC2=C1",
    "O=C1c2ccccc2C(=O)c2ccccc21",
    "C#N",
    "[O-][N+](=O)c1ccc(Br)cc1I",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "C[Si](C)(C)O[P](=O)(O)OS(=O)(=O)C(F)(F)F",
    "[Na+].[Cl-].CC(=O)O",
    "C12C3C4C1C5C2C3C45",
    "c1ccc2[se]ccc2c1",
)
UNUSUAL = ("*CC*", "CC~CC", "[NH3]->[Cu+2]<-[NH3]", "C[Cr]$[Cr]C")


@pytest.mark.parametrize("smiles", MOLECULES)
def test_every_bit_is_as_rdkit_sets_it(smiles: str) -> None:
    mol = parse_smiles(smiles)
    np.testing.assert_array_equal(paths_of(mol), RDKIT.GetFingerprintAsNumPy(mol))


@pytest.mark.parametrize("smiles", [*MOLECULES[:3], *UNUSUAL])
def test_bonds_of_other_kinds_are_left_to_rdkit(smiles: str) -> None:
    row = fingerprints([Structure(smiles, "AAAAAAAAAAAAAA-BBBBBBBBBB-N", "C", 12.0)])[0]
    np.testing.assert_array_equal(row[CIRCLES:], RDKIT.GetFingerprintAsNumPy(parse_smiles(smiles)).astype(bool))
