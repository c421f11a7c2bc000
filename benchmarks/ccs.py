"""Cross sections predicted for compounds never seen: ours, gradient boosting and the power law, in one run.

    python benchmarks/ccs.py --table TABLE.parquet [--fit FILE] [--laboratories] [--out benchmarks/results]

All are measured on fold `test`: [M+H]+, [M-H]- and [M+Na]+. Power law and gradient boosting (on the same features; it
wants scikit-learn) learn from every row of fold `train`, the predictor that comes with molvis-ccs from those that may
be passed on. With `--fit` that is trained anew and saved to FILE; with `--all-rows` another one learns from every row.

With `--laboratories`: by how much laboratories differ that measured the same ion; and how far predictions are off for
the values of a source whose laboratory and compounds taught nothing, as they are and corrected by 5 or 20 known
compounds of the source (calibrants, five draws), on folds `train` and `val`, which were looked at, and on `test`.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from molvis_ccs.evaluation import accuracy
from molvis_ccs.features import describe_all
from molvis_ccs.predictor.calibrants import offset
from molvis_ccs.predictor.ensemble import ADDUCTS, INSTRUMENTS, CcsEnsemble
from molvis_ccs.predictor.loading import SHIPPED, load
from molvis_ccs.readers.parquet import read_parquet
from molvis_ccs.training.fitting import fit
from molvis_ccs.training.ions import Ion, gather, redistributable, usable
from molvis_ccs.training.laboratories import LeftOut, left_out
from molvis_core.records import Measurement
from molvis_files.writing import write_text

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "molvis-ccs" / "tools"))
from make_weights import laboratory

MAIN = ("[M+H]+", "[M-H]-", "[M+Na]+")
CALIBRANTS = (0, 5, 20)
DRAWS = 5
FEWEST = 40
"""Compounds that a source must have."""


def measured(table: Path) -> list[Measurement]:
    """What can be read of the table, and the predictors can be measured by or learn from."""
    return [item for item in read_parquet(table) if isinstance(item, Measurement) and usable(item)]


class Test:
    """Fold `test`, as arrays."""

    def __init__(self, measurements: list[Measurement]) -> None:
        self.rows = [m for m in measurements if m.fold == "test" and m.record.adduct in MAIN]
        self.structures = [m.structure for m in self.rows if m.structure]
        self.adduct = np.array([m.record.adduct for m in self.rows])
        self.kind = np.array([m.record.instrument_type for m in self.rows])
        self.ccs = np.array([m.record.value for m in self.rows])
        self.compound = np.array([s.inchikey14 for s in self.structures])

    def compare(self, mean: np.ndarray, sd: np.ndarray | None) -> dict[str, Any]:
        """Accuracy over all, by adduct and by type of instrument."""
        groups = {"all": np.ones(len(self.rows), dtype=bool)}
        groups |= {a: self.adduct == a for a in MAIN} | {k: self.kind == k for k in INSTRUMENTS}
        return {
            name: asdict(
                accuracy(self.ccs[some], mean[some], sd[some] if sd is not None else None, self.compound[some].tolist())
            )
            for name, some in groups.items()
        }


def predict(model: CcsEnsemble, test: Test, *, instrument: bool = True) -> dict[str, Any]:
    kinds = test.kind.tolist() if instrument else None
    return test.compare(*model.predict(test.structures, test.adduct.tolist(), kinds))


def numbers(ions: list[Any], smiles: list[str], masses: list[float]) -> np.ndarray:
    """What gradient boosting sees: features of the structure, mass, adduct and instrument."""
    from molvis_core.chemistry.adducts import ion_mz

    unique = sorted(set(smiles))
    features = describe_all(unique)
    place = {s: i for i, s in enumerate(unique)}
    mz = [ion_mz(m, a) for m, (a, _) in zip(masses, ions, strict=True)]
    codes = [(ADDUCTS.index(a), INSTRUMENTS.index(k), x) for (a, k), x in zip(ions, mz, strict=True)]
    return np.concatenate([features[[place[s] for s in smiles]], np.array(codes, dtype=np.float32)], axis=1)


def power_laws(train: list[Ion]) -> dict[str, np.ndarray]:
    """Straight lines in logarithms, by adduct."""
    from molvis_core.chemistry.adducts import ion_mz

    laws: dict[str, np.ndarray] = {}
    for adduct in MAIN:
        own = [ion for ion in train if ion.adduct == adduct]
        mz = [ion_mz(ion.structure.exact_mass, adduct) for ion in own]
        laws[adduct] = np.polyfit(np.log(mz), np.log([ion.ccs for ion in own]), 1)
    return laws


def same_ions(rows: Sequence[Measurement]) -> dict[str, dict[str, float]]:
    """By how many percent a laboratory differs from the median of the others on the ions that both measured."""
    ions: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for m in rows:
        if m.structure:
            ions[m.structure.inchikey14, m.record.adduct][laboratory(m)].append(m.record.value)
    off: dict[str, list[float]] = defaultdict(list)
    for own in ions.values():
        for name, values in own.items() if len(own) > 1 else ():
            others = np.median([np.median(v) for other, v in own.items() if other != name])
            off[name].append(100 * float(np.log(np.median(values) / others)))
    found = {**off, "all": [value for values in off.values() for value in values]}
    return {
        name: {
            "ions": len(values),
            "offset": round(float(np.median(values)), 2),
            "median": round(float(np.median(np.abs(values))), 2),
            "over 3%": round(100 * float(np.mean(np.abs(values) > 3)), 1),
        }
        for name, values in sorted(found.items())
    }


def calibrated(values: Sequence[LeftOut]) -> dict[str, dict[str, float]]:
    """Errors for sources left out, by the number of their compounds that are known."""
    sources: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in values:
        if one.adduct in MAIN:
            sources[one.source][one.compound].append(float(np.log(one.measured / one.mean)))
    chosen = {name: own for name, own in sources.items() if len(own) >= FEWEST}
    rng = np.random.default_rng(0)
    out: dict[str, dict[str, float]] = {}
    for count in CALIBRANTS:
        errors: list[float] = []
        compounds = 0
        for own in chosen.values():
            for _ in range(DRAWS):
                drawn = rng.permutation(len(own))
                means = np.array([np.mean(own[[*own][i]]) for i in drawn[:count]])
                rest = [error for i in drawn[count:] for error in own[[*own][i]]]
                errors += (100 * np.abs(np.array(rest) - offset(means))).tolist()
            compounds += len(own) - count
        out[str(count)] = {
            "sources": len(chosen), "compounds": compounds, "median": round(float(np.median(errors)), 2),
            "mean": round(float(np.mean(errors)), 2),
        }  # fmt: skip
    return out


def laboratories(rows: Sequence[Measurement]) -> dict[str, Any]:
    """What `--laboratories` adds."""
    unseen = {m.structure.inchikey14 for m in rows if m.structure and m.fold == "test"}
    values = left_out(rows, laboratory, teaches=redistributable, note=print, members=1, epochs=14, batch=256)
    return {
        "same ions": same_ions(rows),
        "calibrants, train and val": calibrated([v for v in values if v.compound not in unseen]),
        "calibrants, test": calibrated([v for v in values if v.compound in unseen]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--fit", type=Path)
    parser.add_argument("--all-rows", action="store_true", help="also fit to the rows that may not be passed on")
    parser.add_argument("--laboratories", action="store_true", help="also laboratories left out")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    rows = measured(arguments.table)
    test = Test(rows)
    free = [m for m in rows if m.fold != "train" or redistributable(m)]
    train = [ion for ion in gather(rows) if ion.fold == "train" and ion.adduct in MAIN]
    results: dict[str, Any] = {}

    from molvis_core.chemistry.adducts import ion_mz

    masses = [s.exact_mass for s in test.structures]
    mz = np.array([ion_mz(m, a) for m, a in zip(masses, test.adduct, strict=True)])
    laws = power_laws(train)
    law = np.array([np.exp(np.polyval(laws[a], np.log(x))) for a, x in zip(test.adduct, mz, strict=True)])
    results["power law"] = test.compare(law, None)

    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError:
        print("scikit-learn is not installed: no gradient boosting")
    else:
        # It learns the same deviation from the trend as ours.
        x = numbers(
            [(i.adduct, i.instrument_type) for i in train],
            [i.structure.smiles for i in train],
            [i.structure.exact_mass for i in train],
        )
        trend = [np.polyval(laws[i.adduct], np.log(ion_mz(i.structure.exact_mass, i.adduct))) for i in train]
        boosting = HistGradientBoostingRegressor(
            loss="absolute_error", max_iter=400, learning_rate=0.08, max_features=0.2, random_state=0
        ).fit(x, np.log([i.ccs for i in train]) - np.array(trend))
        ions = list(zip(test.adduct.tolist(), test.kind.tolist(), strict=True))
        seen = numbers(ions, [s.smiles for s in test.structures], masses)
        results["gradient boosting"] = test.compare(law * np.exp(boosting.predict(seen)), None)

    def say(done: int, of: int) -> None:
        print(f"\r{done}/{of} epochs", end="", flush=True)

    if arguments.fit:
        fit(free, progress=say).save(arguments.fit)
    model = load(str(arguments.fit or SHIPPED))
    results["ours"] = predict(model, test)
    results["ours, instrument unknown"] = predict(model, test, instrument=False)
    if arguments.all_rows:
        results["ours, all rows"] = predict(fit(rows, progress=say), test)
    start = time.process_time()
    chosen = list({s.smiles: s for s in test.structures}.values())[:500]
    model.predict(chosen, "[M+H]+")
    speed = len(chosen) / (time.process_time() - start)

    print("\n| method | values | median error, % | by compound | 90% intervals hold |\n| --- | --- | --- | --- | --- |")
    for name, groups in results.items():
        for group, r in groups.items():
            low, high = r["median_interval"]
            held = "" if r["coverage"] is None else f"{r['coverage']:.1f}%"
            error = f"{r['median']:.2f} ({low:.2f}-{high:.2f})"
            print(f"| {name}, {group} | {r['values']} | {error} | {r['by_compound']:.2f} | {held} |")
    content = {
        "machine": platform.processor() or platform.machine(),
        "structures_per_cpu_second": speed,
        "results": results,
    }
    if arguments.laboratories:
        content["laboratories"] = laboratories(rows)
        print(json.dumps(content["laboratories"], indent=1))
    write_text(arguments.out / "ccs.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
