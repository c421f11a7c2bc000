"""Write made-up MS/MS spectra of amides and esters, to try molvis on without any data of your own.

The compounds are all combinations of some acids with some amines and alcohols, so that many are isomers of each other,
and what is learned of some applies to others. A spectrum holds the protonated pieces that are left when one or
two single bonds outside rings break. Real spectra have far more to them: a model trained on these knows nothing about
real ones.

    python examples/simulate_spectra.py spectra.mgf --structures structures.smi
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from rdkit import Chem
from rdkit.Chem.rdchem import Mol
from rdkit.Chem.rdMolDescriptors import CalcExactMolWt

import molvis_core
from molvis_core.chemistry.adducts import ion_mz

ACIDS = (
    "CC", "CCC", "CCCC", "CC(C)C", "CCCCC", "C1CCC1", "C1CCCC1", "C1CCCCC1", "COC", "COCC", "c1ccccc1", "c1ccccc1C",
    "c1ccccc1CC", "c1cc(C)ccc1", "c1cc(OC)ccc1", "c1cc(F)ccc1", "o1cccc1", "s1cccc1", "n1ccccc1", "c1ccccc1C=C",
)  # fmt: skip
PARTNERS = (
    "NCC", "NCCC", "NCCCC", "NC(C)C", "NC1CCCC1", "NC1CCCCC1", "NCCOC", "NCCCOC", "Nc1ccccc1", "NCc1ccccc1",
    "NCCc1ccccc1", "Nc1ccc(C)cc1", "Nc1ccc(OC)cc1", "NCc1ccco1", "N1CCCCC1", "N1CCOCC1", "OCC", "OCCC", "OCCCC",
    "OCC(C)C", "OCCOC", "OCc1ccccc1", "OCCc1ccccc1", "OC1CCCCC1",
)  # fmt: skip
BREAKABLE = Chem.MolFromSmarts("[!#1]-&!@[!#1]")


def pieces(mol: Mol, most: int = 40) -> Iterator[float]:
    """Masses in Da of the pieces, a hydrogen in place of each broken bond."""
    bonds = [mol.GetBondBetweenAtoms(*pair).GetIdx() for pair in mol.GetSubstructMatches(BREAKABLE)]
    cuts = [(bond,) for bond in bonds] + list(combinations(bonds, 2))
    for cut in cuts[:most]:
        broken = Chem.FragmentOnBonds(mol, cut, dummyLabels=[(0, 0)] * len(cut))
        for piece in Chem.GetMolFrags(broken, asMols=True, sanitizeFrags=False):
            # FragmentOnBonds marks each cut with a dummy atom, which weighs nothing: a hydrogen takes its place.
            cut_bonds = sum(atom.GetAtomicNum() == 0 for atom in piece.GetAtoms())
            piece.UpdatePropertyCache(strict=False)
            yield CalcExactMolWt(piece) + cut_bonds * 1.00782503


def spectrum(structure: molvis_core.Structure, energy: float, rng: random.Random) -> str:
    """One spectrum as a block of an MGF file."""
    precursor = ion_mz(structure.exact_mass, "[M+H]+")
    masses = sorted(
        {round(ion_mz(mass, "[M+H]+"), 4) for mass in pieces(Chem.MolFromSmiles(structure.smiles)) if mass > 30}
    )
    kept = [mz for mz in masses if rng.random() < 0.9]
    peaks = [(mz, rng.expovariate(1) * 100 * (precursor / mz) ** (energy / 40)) for mz in kept] or [(precursor, 100.0)]
    lines = [
        "BEGIN IONS",
        f"TITLE={structure.inchikey14} at {energy:g} eV",
        f"PEPMASS={precursor:.5f}",
        "CHARGE=1+",
        "ADDUCT=[M+H]+",
        "IONMODE=positive",
        f"COLLISION_ENERGY={energy:g} eV",
        f"SMILES={structure.smiles}",
        f"INCHIKEY={structure.inchikey}",
        *(f"{mz:.5f} {height:.2f}" for mz, height in peaks),
        "END IONS",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write made-up MS/MS spectra of real structures.")
    parser.add_argument("out", type=Path, help="MGF file to write")
    parser.add_argument("--compounds", type=int, default=320, help="how many of the 480 have spectra")
    parser.add_argument("--structures", type=Path, help="SMILES file to write, too: all 480")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    everything = [molvis_core.structure(f"{acid}C(=O){partner}") for acid in ACIDS for partner in PARTNERS]
    compounds = rng.sample(everything, options.compounds)
    blocks = [spectrum(s, energy, rng) for s in compounds for energy in (20.0, 40.0)]
    if options.structures:
        options.structures.write_text("".join(f"{s.smiles}\n" for s in everything), encoding="utf-8")
    options.out.write_text("\n".join(blocks), encoding="utf-8")
    print(f"wrote {len(blocks)} spectra to {options.out}")


if __name__ == "__main__":
    main()
