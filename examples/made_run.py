"""A made-up run of LC-MS/MS as mzML, a blank, and a small library: what the page on runs goes on from.

    python examples/made_run.py

Caffeine comes as [M+H]+ and [M+Na]+, theophylline and proline as [M+H]+; a contaminant is in the blank, too. What it
leaves in the working folder: run.mzML, blank.mzML, targets.csv and library.csv.
"""

from __future__ import annotations

import base64
import math
from pathlib import Path

import numpy as np

from molvis_core import structure
from molvis_core.chemistry.adducts import ion_mz

NEUTRON = 1.0033548
# name, SMILES, apex in s, fragments, ions with their heights; the last is in the blank as well
MOLECULES = [
    ("caffeine", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", 60, [(110.0713, 3), (138.0662, 9)], {"[M+H]+": 4e5, "[M+Na]+": 8e5}),
    ("theophylline", "Cn1c(=O)c2[nH]cnc2n(C)c1=O", 45, [(96.0556, 3), (124.0505, 9)], {"[M+H]+": 5e5}),
    ("proline", "OC(=O)C1CCCN1", 30, [(70.0651, 9)], {"[M+H]+": 9e5}),
    ("tributyl phosphate", "CCCCOP(=O)(OCCCC)OCCCC", 75, [(98.9842, 9)], {"[M+H]+": 3e5}),
]


def term(accession: str, value: object = "", unit: str = "") -> str:
    return f'<cvParam cvRef="MS" accession="{accession}" value="{value}" unitAccession="{unit}"/>'


def array(values: np.ndarray, kind: str) -> str:
    text = base64.b64encode(np.asarray(values, dtype="<f8").tobytes()).decode()
    kinds = term("MS:1000523") + term("MS:1000576") + term(kind)
    return f"<binaryDataArray>{kinds}<binary>{text}</binary></binaryDataArray>"


def scan(number: int, time: float, mz: np.ndarray, height: np.ndarray, precursor: float = 0.0) -> str:
    """An element `spectrum`: a survey scan, or the fragments of a precursor."""
    order = np.argsort(mz)
    window = term("MS:1000827", precursor) + term("MS:1000828", 0.5) + term("MS:1000829", 0.5)
    chosen = f"<selectedIonList><selectedIon>{term('MS:1000744', precursor)}</selectedIon></selectedIonList>"
    energy = f"<activation>{term('MS:1000045', 30)}</activation>"
    ion = f"<isolationWindow>{window}</isolationWindow>{chosen}{energy}"
    ion = f"<precursorList><precursor>{ion}</precursor></precursorList>"
    return (
        f'<spectrum id="scan={number}">{term("MS:1000511", 2 if precursor else 1)}{term("MS:1000127")}'
        f"{term('MS:1000130')}<scanList><scan>{term('MS:1000016', time, 'UO:0000010')}</scan></scanList>"
        f"{ion if precursor else ''}<binaryDataArrayList>{array(mz[order], 'MS:1000514')}"
        f"{array(height[order], 'MS:1000515')}</binaryDataArrayList></spectrum>\n"
    )


def main() -> None:
    for file, molecules in (("run.mzML", MOLECULES), ("blank.mzML", MOLECULES[-1:])):
        rng = np.random.default_rng(0)
        scans: list[tuple[float, np.ndarray, np.ndarray, float]] = []
        for time in np.arange(0.0, 90.0):
            mz, height = rng.uniform(60, 400, 50), rng.exponential(300, 50)
            for _, smiles, apex, _, ions in molecules:
                mass = structure(smiles).exact_mass
                for adduct, tall in ions.items():
                    shape = tall * math.exp(-0.5 * ((time - apex) / 3) ** 2) * np.array([1.0, mass * 5.5e-4])
                    there = shape > 50
                    mz = np.append(mz, ion_mz(mass, adduct) + NEUTRON * np.flatnonzero(there))
                    height = np.append(height, shape[there])
            scans.append((time, mz * (1 + 1e-6 * rng.standard_normal(len(mz))), height, 0.0))
        for _, smiles, apex, fragments, ions in molecules:
            for adduct in ions:
                mz, height = (np.array(column, dtype=float) for column in zip(*fragments, strict=True))
                scans.append((apex + 0.5, mz, 1e4 * height, ion_mz(structure(smiles).exact_mass, adduct)))
        scans.sort(key=lambda s: s[0])
        text = "".join(scan(number, *one) for number, one in enumerate(scans, start=1))
        head = f'<mzML xmlns="http://psi.hupo.org/ms/mzml"><run id="made"><spectrumList count="{len(scans)}">\n'
        Path(file).write_text(f"{head}{text}</spectrumList></run></mzML>\n", encoding="utf-8")
        print(f"{file}: {len(scans)} scans")
    rows = [f"{name},{smiles}" for name, smiles, *_ in MOLECULES]
    Path("library.csv").write_text("\n".join(["name,smiles", *rows]) + "\n", encoding="utf-8")
    targets = "name,formula,adduct,rt_min\ncaffeine,C8H10N4O2,[M+H]+,1.0\nsucrose,C12H22O11,[M+H]+,1.0\n"
    Path("targets.csv").write_text(targets, encoding="utf-8")


if __name__ == "__main__":
    main()
