"""Molecules of the reference files: lone atoms, salts, graphs without a bond, charges, stereo, rings, rare elements."""

from __future__ import annotations

MOLECULES = (
    # Lone atoms, and graphs without a bond.
    "C", "O", "[Na+]", "[He]", "[H+]", "[Na+].[Cl-]", "[K+].[K+].[S-2]", "O.O.O",
    # Salts and separate pieces.
    "CCO.Cl", "CC(=O)[O-].[Na+]", "C[N+](C)(C)CCO.[Cl-]", "OC(=O)C(O)C(O)C(O)=O.CN1CCC[C@H]1c1cccnc1",
    # Small ones, each kind of bond and hybridization.
    "[H][H]", "CC", "C=C", "C#C", "C#N", "[C-]#[O+]", "O=C=O", "N#N", "[O-][N+]#N", "CN=[N+]=[N-]",
    # Double bonds with and without stereo.
    "F/C=C/F", "F/C=C\\F", "CC=CC", "C/C=C/C=C\\C", "CCCCCCCC/C=C\\CCCCCCCC(=O)O", "C/C(=N\\O)c1ccccc1", "CC=C=CC",
    # Charges beyond one, radicals, isotopes, five and six neighbours, and more than four hydrogens.
    "[Ca+2].[O-]S(=O)(=O)[O-]", "[CH3]", "C[N](C)[O]", "[2H]OC([2H])([2H])[2H]", "FP(F)(F)(F)F", "S(F)(F)(F)(F)(F)F",
    "[PH5]", "FI(F)(F)(F)F",
    # Elements without a place of their own, and a dative bond.
    "C[Si](C)(C)C", "OB(O)c1ccccc1", "[As](C)(C)C", "C[Hg]C", "[Se]1C=CC=C1", "N->[Pt](Cl)(Cl)<-N", "CC[Sn](Cl)(CC)CC",
    # Rings of many sizes, fused, bridged, spiro, aromatic with and without hydrogen on nitrogen.
    "C1CC1", "C1CCC1", "c1ccccc1", "n1ccccc1", "c1cc[nH]c1", "c1ccoc1", "c1ccsc1", "C1CC2CCC1C2", "C1CCC2(CC1)OCCO2",
    "c1ccc2c(c1)ccc1ccccc12", "C1CCCCCCCCCCCCC1", "C12C3C4C1C5C2C3C45",
    # Drugs, metabolites, dyes and others of everyday.
    "CC(=O)Nc1ccc(O)cc1", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", "NCC(=O)O",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O", "NS(=O)(=O)c1cc(C(O)=O)c(NCc2ccco2)cc1Cl",
    "O=[N+]([O-])c1ccc(Br)cc1I",
    "Nc1ncnc2c1ncn2[C@@H]1O[C@H](COP(=O)(O)OP(=O)(O)OP(=O)(O)O)[C@@H](O)[C@H]1O", "CSCC[C@H](N)C(=O)O",
    "CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)O", "CN(C)c1ccc(cc1)C(=C1C=CC(=[N+](C)C)C=C1)c1ccccc1",
    "C[C@H](CCCC(C)C)[C@H]1CC[C@@H]2[C@@]1(CC[C@H]1[C@H]2CC=C2[C@@]1(CC[C@@H](C2)O)C)C",
)  # fmt: skip
