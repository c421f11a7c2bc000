"""Ranks of structures by 1H spectra that are simulated from predictions: the figures of docs/nmr/index.md.

    python benchmarks/nmr_rank.py looked --library STRUCTURES [--most 30]     # what weights were fitted on
    python benchmarks/nmr_rank.py aside --library STRUCTURES [--most 40]      # set aside
    python benchmarks/nmr_rank.py measured --library STRUCTURES               # measured spectra of the data folder

Compounds are those of the data folder (`MOLVIS_DATA`, `nmr/`), halves drawn by constitution with seed 7; shifts and
couplings come from a table that was learned without the compounds that are ranked. Candidates are 19 drawn structures
of the library within 10 ppm of the mass, where there are at least three, and the truth.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rdkit import Chem
from rdkit.Chem.Descriptors import ExactMolWt

from molvis_core.records import Trace
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.prediction import structure
from molvis_nmr.prediction.ranking import WEIGHTS, Ranked, rank
from molvis_nmr.spins.simulation import simulate

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("MOLVIS_DATA", ROOT.parent / "shared" / "data")) / "nmr"
OUT = ROOT / "benchmarks" / "results" / "nmr_rank.json"
AXIS = np.arange(-0.5, 11.5, 0.0005)
FEWEST, MOST = 3, 19
MEASURED = {
    "Alanine": "CC(N)C(=O)O", "Arginine": "NC(CCCNC(=N)N)C(=O)O", "Aspartate": "NC(CC(=O)O)C(=O)O",
    "Glutamate": "NC(CCC(=O)O)C(=O)O", "Glutamine": "NC(CCC(N)=O)C(=O)O", "Isoleucine": "CCC(C)C(N)C(=O)O",
    "Leucine": "CC(C)CC(N)C(=O)O", "Lysine": "NCCCCC(N)C(=O)O", "Methionine": "CSCCC(N)C(=O)O",
    "Phenylalanine": "NC(Cc1ccccc1)C(=O)O", "Proline": "OC(=O)C1CCCN1", "Serine": "NC(CO)C(=O)O",
    "Tyrosine": "NC(Cc1ccc(O)cc1)C(=O)O", "THFCOOH/300": "OC(=O)C1CCCO1", "ODCB/1": "Clc1ccccc1Cl",
    "2-ketobutyric acid": "CCC(=O)C(=O)O", "GABA": "NCCCC(=O)O",
}  # fmt: skip
"""Measured spectra of single compounds, by the end of their identifiers, of more than one signal."""


def tool() -> Any:
    """The script that learns the table."""
    path = ROOT / "plugins" / "molvis-nmr" / "tools" / "make_environments.py"
    spec = importlib.util.spec_from_file_location("make_environments", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assigned(learner: Any) -> list[tuple[str, Any]]:
    """Identifiers and molecules that the table learns from."""
    out = []
    for entry in json.loads((DATA / "spin_systems.json").read_text())["systems"]:
        if entry["inchi"] and entry["licence"].startswith(learner.LICENCE):
            try:
                out.append((entry["id"], learner.Assigned(entry)))
            except ValueError:
                continue
    return out


class Library:
    """Structures by mass."""

    def __init__(self, path: Path) -> None:
        table = pq.read_table(path, columns=["smiles", "inchikey14", "exact_mass"]).to_pandas()
        self.table = table.sort_values("exact_mass")
        self.masses = self.table.exact_mass.to_numpy()

    def near(self, mol: Chem.Mol) -> list[str]:
        """Drawn structures of a molecule's mass, but for itself; none where there are too few."""
        mass, key = ExactMolWt(mol), Chem.MolToInchiKey(mol)[:14]
        low, high = np.searchsorted(self.masses, [mass * (1 - 1e-5), mass * (1 + 1e-5)])
        found = self.table.iloc[low:high]
        found = found[found.inchikey14 != key]
        return found.smiles.sample(min(MOST, len(found)), random_state=1).tolist() if len(found) >= FEWEST else []


def queries(part: str, most: int, library: Library, molecules: list[tuple[str, Any]]) -> list[tuple[str, str, Any]]:
    """Constitution, truth, candidates and spectrum of each compound of a part."""
    systems = {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}
    if part == "measured":
        return measured(library)
    keys = sorted({m.key for _, m in molecules})
    drawn = np.random.default_rng(7).permutation(len(keys))
    mine = [keys[i] for place, i in enumerate(drawn) if place % 2 == (part == "aside")]
    first = {}
    for identifier, molecule in molecules:
        first.setdefault(molecule.key, identifier)
    out: list[tuple[str, str, Any]] = []
    for key in mine:
        system = systems[first[key]]
        if set(system.nuclei) != {"1H"} or not 3 <= system.n_spins <= 14 or len(system) < 2:
            continue
        mol = Chem.MolFromInchi(system.inchi)
        if not (some := library.near(mol)):
            continue
        size = len(system)
        plain = replace(system, widths=np.full(size, 0.7), intensities=np.ones(size))
        y = simulate(plain, 600.0, axis=AXIS).y
        y = y + np.random.default_rng(len(out)).normal(0, y.max() / 300, len(y))
        out.append((key, Chem.MolToSmiles(mol), (some, Trace(AXIS, y, frequency=600.0))))
        if len(out) == most:
            break
    return out


def measured(library: Library) -> list[tuple[str, str, Any]]:
    """Measured spectra of single compounds."""
    out: list[tuple[str, str, Any]] = []
    for row in pq.read_table(DATA / "spectra.parquet").to_pylist():
        mol = Chem.MolFromSmiles(MEASURED.get(row["spectrum_id"].partition(":")[2], ""))
        if not (some := library.near(mol)):
            continue
        x = row["ppm_start"] + row["ppm_step"] * np.arange(row["n"])
        order = np.argsort(x)
        trace = Trace(
            x[order], np.array(row["intensity"], float)[order], frequency=row["field_MHz"],
            identifier=row["spectrum_id"],
        )  # fmt: skip
        out.append((Chem.MolToSmiles(mol, isomericSmiles=False), Chem.MolToSmiles(mol), (some, trace)))
    return out


def place(scores: list[float]) -> float:
    """Of the first among all; the mean of its places where it ties."""
    found = np.array(scores)
    return float((found > found[0]).sum() + ((found == found[0]).sum() + 1) / 2)


def interval(hits: int, n: int) -> str:
    z, p = 1.644854, hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return f"{100 * p:.1f} ({100 * (middle - half):.1f}-{100 * (middle + half):.1f})"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("part", choices=["looked", "aside", "measured"])
    asked.add_argument("--library", type=Path, required=True)
    asked.add_argument("--most", type=int, default=40)
    options = asked.parse_args()
    learner = tool()
    molecules = assigned(learner)
    some = queries(options.part, options.most, Library(options.library), molecules)
    held = {key for key, _, _ in some}
    table = learner.learn([m for _, m in molecules if m.key not in held])
    structure.learned = lambda: table
    ways = {
        "all three": lambda r: r.probability, "moved signal alone": lambda r: -r.moved,
        "splittings alone": lambda r: -r.splittings, "overlap alone": lambda r: r.overlap,
        "moved signal and overlap": lambda r: WEIGHTS[2] * r.overlap - WEIGHTS[0] * r.moved,
    }  # fmt: skip
    places: dict[str, list[float]] = {name: [] for name in ways}
    losses, chance, taken, sizes = [], [], [], []
    for _, truth, (others, spectrum) in some:
        began = time.process_time()
        found = rank(spectrum, [truth, *others])
        taken.append(time.process_time() - began)
        rows: list[Ranked] = sorted(found, key=lambda r: r.smiles != truth)
        for name, of in ways.items():
            places[name].append(place([-math.inf if r.problem else of(r) for r in rows]))
        losses.append(-math.log(max(rows[0].probability, 1e-12)))
        chance.append(math.log(len(rows)))
        sizes.append(len(rows))
        print(spectrum.identifier or truth, places["all three"][-1], f"{rows[0].probability:.3f}", flush=True)
    n = len(some)
    out = {
        "compounds": n, "candidates, mean": float(np.mean(sizes)), "log-loss": float(np.mean(losses)),
        "log-loss of chance": float(np.mean(chance)), "cpu seconds, mean and most": [float(np.mean(taken)), max(taken)],
        **{
            name: {f"first {k}": interval(sum(p < k + 0.5 for p in values), n) for k in (1, 5)}
            for name, values in places.items()
        },
    }  # fmt: skip
    print(json.dumps(out, indent=1))
    known = json.loads(OUT.read_text()) if OUT.exists() else {}
    OUT.write_text(json.dumps({**known, options.part: out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
