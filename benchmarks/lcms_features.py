"""Features of real runs: how many a peer finds too, repeatability, known compounds, and whether every run is answered.

    python benchmarks/lcms_features.py ../shared/data
    python benchmarks/lcms_features.py ../shared/data --pyopenms env/bin/python

Beside MZmine's expected list of two QC runs (a tool's result, not a truth) stands what pyOpenMS's feature finder for
metabolomics finds on the same files, where an interpreter that has it is named.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import time
from pathlib import Path

import numpy as np

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import formula_mass, parse_formula
from molvis_core.errors import MolvisError
from molvis_lcms.finding import Settings, Target, find_features, find_targets
from molvis_lcms.records import Feature
from molvis_lcms.workflow import features_of_runs

QC = ("171103_PMA_TK_QC_04-4to5min.mzML", "171103_PMA_TK_QC_05-4to5min.mzML")
PPM, MINUTES = 5.0, 0.1
PEER = """
import sys, pyopenms as o
run = o.MSExperiment(); o.MzMLFile().load(sys.argv[1], run); run.sortSpectra(True)
d = o.MassTraceDetection(); p = d.getDefaults()
p.setValue("mass_error_ppm", 10.0); p.setValue("noise_threshold_int", 1e4); d.setParameters(p)
parts = o.ElutionPeakDetection().detectPeaks(d.run(run))
f = o.FeatureFindingMetabo(); p = f.getDefaults()
p.setValue("remove_single_traces", "false"); p.setValue("isotope_filtering_model", "none"); f.setParameters(p)
found = o.FeatureMap(); f.run(parts, found)
for one in found: print(one.getMZ(), one.getRT(), one.getIntensity())
"""


def near(mz: float, minutes: float, found: list[tuple[float, float]]) -> bool:
    return any(abs(m / mz - 1) <= PPM * 1e-6 and abs(t - minutes) <= MINUTES for m, t in found)


def against_mzmine(data: Path, peer: str | None) -> None:
    with (data / "interop" / "mzmine_workshop_expected_results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in QC:
        key = f"datafile:{name}:"
        theirs = [r for r in rows if r[key + "feature_state"] == "DETECTED"]
        ours = find_features(data / "mzml" / name).features
        places = [(f.mz, (f.time or 0.0) / 60) for f in ours]
        with_msms = [r for r in theirs if r[key + "fragment_scans"]]

        def count(some: list[dict[str, str]], found: list[tuple[float, float]], key: str = key) -> int:
            return sum(near(float(r[key + "mz"]), float(r[key + "rt"]), found) for r in some)

        print(
            f"{name}: {len(ours)} features; of MZmine's {len(theirs)} {count(theirs, places)} are among them, of its "
            f"{len(with_msms)} with MS/MS {count(with_msms, places)} ({PPM:g} ppm, {MINUTES:g} min)"
        )
        ratios = [area_ratio(r, key, ours) for r in theirs]
        some = np.array([x for x in ratios if x])
        print(f"  area over MZmine's: median {np.median(some):.3f}, quartiles {np.percentile(some, [25, 75]).round(3)}")
        if peer:
            done = subprocess.run([peer, "-c", PEER, data / "mzml" / name], capture_output=True, text=True, check=True)
            lines = [line.split() for line in done.stdout.splitlines() if line[:1].isdigit()]
            found = [(float(a), float(b) / 60) for a, b, _ in lines]
            print(
                f"  pyOpenMS: {len(found)} features; of MZmine's {count(theirs, found)}, of those with MS/MS "
                f"{count(with_msms, found)}; of ours {sum(near(m, t, found) for m, t in places)}"
            )


def area_ratio(row: dict[str, str], key: str, ours: tuple[Feature, ...]) -> float:
    """Our area over theirs, which is in minutes; 0 where one is missing."""
    mz, minutes, area = (float(row[key + k] or 0) for k in ("mz", "rt", "area"))
    same = [f for f in ours if f.area and near(mz, minutes, [(f.mz, (f.time or 0.0) / 60)])]
    return same[0].area / 60 / area if same and area and same[0].area else 0.0


def repeatability(data: Path) -> None:
    table = features_of_runs([data / "mzml" / name for name in QC])
    areas = table.areas()
    both = areas[(areas > 0).all(axis=1)]
    variation = np.abs(both[:, 0] - both[:, 1]) / np.sqrt(2) / both.mean(axis=1)
    draws = np.random.default_rng(0).choice(variation, (2000, len(variation)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    print(
        f"replicates: {len(both)} of {len(table)} features have an area in both; variation "
        f"{np.median(variation):.3f} in the median ({low:.3f} to {high:.3f}), under 0.2: {np.mean(variation < 0.2):.3f}"
    )


def known(data: Path) -> None:
    folder = data / "mzml"
    with (folder / "FeatureFinderMetaboIdent_1_input.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    ions = [ion_mz(formula_mass(parse_formula(r["SumFormula"])), "[M+H]+") for r in rows]
    targets = [Target(mz, "positive", name=r["CompoundName"]) for mz, r in zip(ions, rows, strict=True)]
    found = find_targets(folder / "FeatureFinderMetaboIdent_1_input.mzML", targets, Settings(ppm=10)).features
    for one, mz, row in zip(found, ions, rows, strict=True):
        late = (one.time or float("nan")) - float(row["RetentionTime"])
        print(f"  {one.name}: {late:+.1f} s, {(one.mz / mz - 1) * 1e6:+.1f} ppm, {len(one.isotope_mz)} isotopes")
    for one in find_features(folder / "S30657.mzML").features:
        if abs(one.mz - 268.1040) < 0.003 and one.time and abs(one.time - 341) < 5:
            print(f"  S30657, adenosine: {one.mz:.4f} at {one.time:.1f} s, {len(one.scans)} MS/MS scans")


def every_run(data: Path) -> None:
    for path in sorted((data / "mzml").glob("*.mzML")):
        start = time.perf_counter()
        try:
            table = find_features(path)
            told = f"{len(table)} features; {' | '.join(n.partition(': ')[2] for n in table.notes) or 'nothing odd'}"
        except MolvisError as error:
            told = str(error)
        print(f"  {path.name}: {told} ({time.perf_counter() - start:.1f} s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with mzml/ and interop/")
    parser.add_argument("--pyopenms", help="a Python that has pyOpenMS, as a peer in the same run")
    asked = parser.parse_args()
    against_mzmine(asked.data, asked.pyopenms)
    repeatability(asked.data)
    print("known compounds:")
    known(asked.data)
    print("every run:")
    every_run(asked.data)


if __name__ == "__main__":
    main()
