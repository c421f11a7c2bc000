"""Write made-up MS/MS spectra of real structures, to try molvis on without any data of your own.

A spectrum holds the protonated pieces that are left when one or two single bonds outside rings break. Real spectra have
far more to them: a model trained on these knows nothing about real ones.

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
from molvis_core.adducts import ion_mz
from molvis_core.library import Library

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
    parser.add_argument("--compounds", type=int, default=150, help="how many, from the demo's library")
    parser.add_argument(
        "--structures", type=Path, help="SMILES file to write, too: the compounds and others of their masses"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    # A library is sorted by mass: neighbours in it are what a search in a mass window has to tell apart.
    library = Library.read(molvis_core.load("example", "demo-library"))
    around = [s for s in library.structures(range(2000, 2000 + 4 * options.compounds)) if s.charge == 0]
    compounds = rng.sample(around, options.compounds)
    blocks = [spectrum(s, energy, rng) for s in compounds for energy in (20.0, 40.0)]
    if options.structures:
        options.structures.write_text("".join(f"{s.smiles}\n" for s in around), encoding="utf-8")
    options.out.write_text("\n".join(blocks), encoding="utf-8")
    print(f"wrote {len(blocks)} spectra to {options.out}")


if __name__ == "__main__":
    main()
