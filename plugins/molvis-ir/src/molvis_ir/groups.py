"""Functional groups that infrared spectra tell of, as SMARTS."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from molvis_core.chemistry.structures import parse_smiles

GROUPS: dict[str, str] = {
    "alcohol": "[CX4][OX2H]",
    "phenol": "c[OX2H]",
    "carboxylic acid": "[CX3](=O)[OX2H]",
    "ester": "[CX3;!R](=O)[OX2H0;!R][#6;!$(C=[O,S,N])]",
    "lactone": "[CX3;R](=O)[OX2;R][#6;!$(C=[O,S,N])]",
    "anhydride": "[CX3](=O)[OX2][CX3](=O)",
    "aldehyde": "[CX3H1](=O)[#6,#1]",
    "ketone": "[#6][CX3](=O)[#6]",
    "amide": "[CX3](=O)[NX3]",
    "acid chloride": "[CX3](=O)Cl",
    "carbonate or carbamate": "[OX2][CX3](=O)[OX2,NX3]",
    "ether": "[#6;!$(C=[O,S,N])][OX2][#6;!$(C=[O,S,N])]",
    "epoxide": "C1OC1",
    "primary amine": "[NX3H2;!$(N[C,S]=[O,S,N])][#6]",
    "secondary amine": "[NX3H1;!$(N[C,S]=[O,S,N])]([#6])[#6]",
    "tertiary amine": "[NX3H0;!$(N[C,S]=[O,S,N]);!$(N=O)]([#6])([#6])[#6]",
    "nitrile": "[CX2]#[NX1]",
    "nitro": "[$([NX3](=O)=O),$([NX3+](=O)[O-])]",
    "isocyanate or isothiocyanate": "N=C=[O,S]",
    "thiol": "[#6][SX2H]",
    "sulfide": "[#6][SX2][#6]",
    "sulfoxide": "[#6][$([SX3]=O),$([SX3+][O-])][#6]",
    "sulfonyl": "[SX4](=O)(=O)",
    "phosphoryl": "P=O",
    "silyl": "[Si]",
    "C-F": "[#6]F",
    "C-Cl": "[#6]Cl",
    "C-Br": "[#6]Br",
    "C-I": "[#6]I",
    "terminal alkyne": "[CX2H]#C",
    "internal alkyne": "[CX2H0]#[CX2H0]",
    "alkene": "[CX3]=[CX3]",
    "benzene ring": "c1ccccc1",
    "aromatic heterocycle": "[a;!#6]",
    "methyl": "[CX4H3]",
    "methylene": "[CX4H2]",
    "cyclohexane ring": "C1CCCCC1",
    "tert-butyl": "[CX4]([CH3])([CH3])[CH3]",
    "oxime": "[CX3]=N[OX2H]",
    "imine": "[CX3]=[NX2;!$(N[O,N])]",
}
"""Name and SMARTS of each group; a name is for people, and stays when its SMARTS is improved."""


@functools.cache
def _patterns() -> list[Any]:
    from rdkit import Chem

    return [Chem.MolFromSmarts(smarts) for smarts in GROUPS.values()]


def has_groups(smiles: Sequence[str]) -> Bool[np.ndarray, "n g"]:
    """Which of `GROUPS` each molecule has.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses a SMILES.
    """
    rows = [[parse_smiles(one).HasSubstructMatch(pattern) for pattern in _patterns()] for one in smiles]
    return np.array(rows, dtype=bool).reshape(len(smiles), len(GROUPS))
