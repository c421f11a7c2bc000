"""Learns shifts and couplings by environment from assigned spin systems, for molvis_nmr.prediction.structure.

    python plugins/molvis-nmr/tools/make_environments.py spin_systems.json [--check]

Only systems that may be passed on with attribution (CC BY-SA 4.0) and that state an InChI teach it. Their labels number
atoms as ALATIS does: heavy atoms in InChI's order, then the hydrogen of each in turn. `--check` predicts the shifts of
every molecule from a table that has not seen it, ten parts of the molecules held out in turn.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem.rdchem import Mol
from rdkit.rdBase import BlockLogs

from molvis_files.writing import write_text
from molvis_nmr.prediction.environments import (
    SPHERES,
    Environments,
    environment,
    hashed,
    hydrogen_owners,
    neutral,
    pair_keys,
    shift_features,
)

OUT = Path(__file__).parents[1] / "src/molvis_nmr/data/environments.json.gz"
LICENCE = "CC-BY-SA-4.0"
ATTRIBUTION = (
    "Learned from spin systems of GISSMO (H. Dashti et al., Anal. Chem. 89 (2017) 12201, "
    "doi:10.1021/acs.analchem.7b02884; BMRB, gissmo.bmrb.io) as passed on in PublicNMRData of "
    "AI4DBiological-Systems under CC BY-SA 4.0."
)
RIDGE = 3.0
RARE = 3


class Assigned:
    """A molecule with the shifts of the hydrogen on each carbon, and couplings between carbons."""

    def __init__(self, entry: dict) -> None:
        with BlockLogs():
            plain = Chem.MolFromInchi(entry["inchi"])
        self.key = Chem.MolToSmiles(plain, isomericSmiles=False)
        owners = hydrogen_owners(plain)
        labels = np.array(entry["spin_labels"]) - plain.GetNumAtoms() - 1
        if labels.min() < 0 or labels.max() >= len(owners):
            raise ValueError(f"{entry['id']}: labels do not number the hydrogen of {entry['inchi']}")
        self.mol: Mol = neutral(plain)
        groups = np.split(owners[labels], np.cumsum(entry["multiplicity"])[:-1])
        self.shifts: dict[int, list[float]] = defaultdict(list)
        for group, shift in zip(groups, entry["shifts_ppm"], strict=True):
            if -1 < shift < 14:  # others are placeholders
                for carbon in group.tolist():
                    self.shifts[carbon].append(shift)
        self.couplings: dict[tuple[int, int], list[float]] = defaultdict(list)
        known = {(i, j): value for i, j, value in entry["couplings_Hz"]}
        distances = Chem.GetDistanceMatrix(self.mol)
        for j, second in enumerate(groups):
            for i, first in enumerate(groups[:j]):
                a, b = int(first[0]), int(second[0])
                if len({*first.tolist()}) == len({*second.tolist()}) == 1 and distances[a, b] <= 3:
                    self.couplings[min(a, b), max(a, b)].append(known.get((i, j), 0.0))


def learn(molecules: list[Assigned]) -> Environments:
    """A table from molecules. Those of one constitution count once."""
    rows = [(m, carbon, float(np.mean(values))) for m in molecules for carbon, values in m.shifts.items()]
    features = [shift_features(m.mol, carbon) for m, carbon, _ in rows]
    often = Counter(name for row in features for name in row)
    column = {name: k for k, name in enumerate(sorted(n for n, count in often.items() if count >= RARE))}
    x = np.zeros((len(rows), len(column)))
    for k, row in enumerate(features):
        for name, count in row.items():
            if name in column:
                x[k, column[name]] = count
    y = np.array([shift for _, _, shift in rows])
    intercept = float(np.median(y))
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(len(column)), x.T @ (y - intercept))
    spheres: dict[str, dict[str, dict[str, list[float]]]] = {
        str(s): defaultdict(lambda: defaultdict(list)) for s in SPHERES
    }
    splits: dict[str, list[float]] = defaultdict(list)
    for m, carbon, shift in rows:
        around = environment(m.mol, carbon, max(SPHERES))
        for size in SPHERES:
            spheres[str(size)][around[size]][m.key].append(shift)
        if len(m.shifts[carbon]) == 2 and len(set(m.shifts[carbon])) == 2:
            for code in (around[1], ""):
                splits[code].append(abs(np.diff(m.shifts[carbon])[0]))
    pairs: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for m in molecules:
        for (a, b), values in m.couplings.items():
            close = a == b or Chem.GetDistanceMatrix(m.mol)[a, b] == 1
            # Nearer than this a coupling of 0 means that it was left out.
            for value in (v for v in values if v or not close):
                for key in pair_keys(m.mol, a, b):
                    pairs[key][m.key].append(value)

    def middle(found: dict[str, list[float]]) -> tuple[float, int]:
        return round(float(np.median([np.mean(v) for v in found.values()])), 3), len(found)

    return Environments(
        round(intercept, 3),
        {hashed(name): round(float(weights[k]), 3) for name, k in column.items() if abs(weights[k]) >= 0.0005},
        {size: {code: middle(found) for code, found in codes.items()} for size, codes in spheres.items()},
        {code: round(float(np.median(found)), 3) for code, found in splits.items()},
        {key: middle(found) for key, found in pairs.items()},
        LICENCE,
        ATTRIBUTION,
    )


def errors(table: Environments, molecules: list[Assigned]) -> list[float]:
    """Predicted minus assigned, in ppm, of the hydrogen of each carbon."""
    return [table.shift(m.mol, c) - float(np.mean(v)) for m in molecules for c, v in m.shifts.items()]


def check(molecules: list[Assigned], folds: int = 10) -> None:
    """Print the error of shifts of molecules that the table has not seen."""
    keys = sorted({m.key for m in molecules})
    part = dict(zip(keys, np.random.default_rng(0).integers(0, folds, len(keys)).tolist(), strict=True))
    held: list[float] = []
    for fold in range(folds):
        table = learn([m for m in molecules if part[m.key] != fold])
        held += errors(table, [m for m in molecules if part[m.key] == fold])
    for what, found in (("unseen molecules", held), ("its own molecules", errors(learn(molecules), molecules))):
        e = np.abs(found)
        print(f"{what}: {len(e)} carbons, median error {np.median(e):.3f} ppm, mean {e.mean():.3f}, "
              f"90% within {np.quantile(e, 0.9):.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    molecules: list[Assigned] = []
    for entry in json.loads(arguments.library.read_text())["systems"]:
        if not entry["inchi"] or not entry["licence"].startswith(LICENCE):
            continue
        try:
            molecules.append(Assigned(entry))
        except ValueError as error:
            print(f"left out: {error}")
    if arguments.check:
        check(molecules)
        return
    table = learn(molecules)
    write_text(OUT, json.dumps(asdict(table), separators=(",", ":")))
    print(f"{OUT}: {OUT.stat().st_size / 1024:.0f} kB from {len(molecules)} spin systems")


if __name__ == "__main__":
    main()
