"""Reference spectra for tests: small, made up, of compounds that there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.records import Measurement, PeakList
from molvis_msms.references.index import References

COMPOUNDS = {
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "theobromine": "Cn1cnc2c1c(=O)[nH]c(=O)n2C",
    "theophylline": "Cn1c(=O)c2[nH]cnc2n(C)c1=O",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "phenacetin": "CCOc1ccc(NC(C)=O)cc1",
}


def measurement(
    name: str, seed: int = 0, *, count: int = 12, adduct: str = "[M+H]+", smiles: str | None = "", fold: str = "train"
) -> Measurement:
    """A spectrum with peaks on a grid of 0.01 Da, so that those of several compounds agree now and then."""
    rng = np.random.default_rng([seed, *name.encode()])
    known = structure(COMPOUNDS[name] if smiles == "" else smiles, name=name) if smiles is not None else None
    precursor = ion_mz(known.exact_mass, adduct) if known else 200.0
    mz = 50 + rng.integers(0, 200, count) / 2 + rng.integers(0, 3, count) / 100
    spectrum = PeakList(
        mz, rng.uniform(0.01, 1.0, count), precursor, adduct, 1 if adduct.endswith("+") else -1,
        "positive" if adduct.endswith("+") else "negative", 20.0, "LC-ESI-QTOF", 2, f"{name}-{seed}",
    )  # fmt: skip
    return Measurement(
        spectrum, known, "msms", fold=fold, name=name, source="made up", licence="CC BY", contributor="nobody",
        authors="N. N.",
    )  # fmt: skip


def references(path: Path, copies: int = 4) -> References:
    """Several spectra of each compound, of both polarities."""
    adducts = ("[M+H]+", "[M-H]-")
    items = [measurement(name, seed, adduct=adducts[seed % 2]) for name in COMPOUNDS for seed in range(copies)]
    return References.of(items, path)
