"""Fits of sharp, strongly coupled, symmetric spin systems, from their SMILES alone and from crude starts.

    python benchmarks/nmr_sharp.py [--only styrene ...] [--write]

o-Dichlorobenzene and THF-2-carboxylic acid at 300 MHz are ANATOLIA's measured examples (data folder, `nmr/`); R factors
of its version 1.2 on them are 12.04% and 43% (from the same crude start). The others are simulated with lines 0.2 to
0.3 Hz wide, a tenth of each line being 0.3 Hz aside, S/N 500; THF-2-carboxylic acid at 600 MHz with the parameters that
ANATOLIA refined at 300 MHz, o-dichlorobenzene at 600 MHz, styrene, naphthalene and azobenzene with shifts and couplings
of the size that such rings have, which are not those of the start values. Beside each is the R factor of a fit that
starts from the truth: the aim is at most 1.5 times that, or ANATOLIA's where it has one.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from nmr_fit import DATA, THF_REGIONS, coupled, inside, spectra, trace

from molvis_core.records import Trace
from molvis_files.writing import write_text
from molvis_nmr.fitting.automatic import fit_automatically
from molvis_nmr.fitting.spin_system import fit
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.prediction.structure import from_smiles
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.workflows.fit import outside

OUT = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "nmr_sharp.json"
SMILES = {
    "styrene": "C=Cc1ccccc1", "naphthalene": "c1ccc2ccccc2c1", "azobenzene": "c1ccccc1N=Nc1ccccc1",
    "o-dichlorobenzene": "Clc1ccccc1Cl", "THF-2-carboxylic acid": "OC(=O)C1CCCO1",
}  # fmt: skip
ANATOLIA = {("o-dichlorobenzene", 300): 0.1204, ("THF-2-carboxylic acid", 300): 0.43}
SHIFTS: dict[str, Mapping[str, float]] = {
    "styrene": {"H1a": 5.24, "H1b": 5.75, "H2": 6.72, "H4": 7.41, "H8": 7.41, "H5": 7.33, "H7": 7.33, "H6": 7.26},
    "naphthalene": dict.fromkeys(("H1", "H2", "H6", "H7"), 7.477) | dict.fromkeys(("H3", "H5", "H8", "H10"), 7.844),
    "azobenzene": dict.fromkeys(("H1", "H5", "H10", "H14"), 7.92)
    | dict.fromkeys(("H2", "H4", "H11", "H13"), 7.52) | {"H3": 7.47, "H12": 7.47},
    "o-dichlorobenzene": dict.fromkeys(("H3", "H6"), 7.45) | dict.fromkeys(("H4", "H5"), 7.20),
}  # fmt: skip
PHENYL = (7.8, 1.2, 0.6, 1.9, 7.4, 1.3)
"""In Hz: ortho-meta, ortho-para, ortho-meta', ortho-ortho', meta-para, meta-meta'."""


def _phenyl(ortho: str, meta: str, para: str, other: str, last: str) -> dict[tuple[str, str], float]:
    """Couplings of a ring of which five protons are named in their order around it."""
    om, op, om2, oo, mp, mm = PHENYL
    return {
        (ortho, meta): om, (last, other): om, (ortho, para): op, (last, para): op, (ortho, other): om2,
        (last, meta): om2, (ortho, last): oo, (meta, para): mp, (other, para): mp, (meta, other): mm,
    }  # fmt: skip


def _naphthalene(one: str, two: str, three: str, four: str) -> dict[tuple[str, str], float]:
    return {
        (one, two): 8.28, (three, four): 8.28, (one, three): 1.24, (two, four): 1.24, (one, four): 0.74,
        (two, three): 6.85,
    }  # fmt: skip


COUPLINGS: dict[str, Mapping[tuple[str, str], float]] = {
    "styrene": {("H1a", "H1b"): 0.9, ("H1a", "H2"): 10.9, ("H1b", "H2"): 17.6} | _phenyl("H4", "H5", "H6", "H7", "H8"),
    "naphthalene": _naphthalene("H10", "H1", "H2", "H3") | _naphthalene("H5", "H6", "H7", "H8"),
    "azobenzene": _phenyl("H1", "H2", "H3", "H4", "H5") | _phenyl("H10", "H11", "H12", "H13", "H14"),
    "o-dichlorobenzene": {
        ("H3", "H4"): 8.06,
        ("H5", "H6"): 8.06,
        ("H3", "H5"): 1.54,
        ("H4", "H6"): 1.54,
        ("H3", "H6"): 0.33,
        ("H4", "H5"): 7.47,
    },
}


def truth_of(name: str, start: SpinSystem, rng: np.random.Generator) -> SpinSystem:
    """What a spectrum is simulated with, in the groups of its start values."""
    couplings = np.zeros((len(start), len(start)))
    for (a, b), value in COUPLINGS[name].items():
        k, m = start.names.index(a), start.names.index(b)
        couplings[k, m] = couplings[m, k] = value
    shifts = np.array([SHIFTS[name][group] for group in start.names])
    return replace(start, shifts=shifts, couplings=couplings, widths=np.full(len(start), rng.uniform(0.1, 0.15)))


def simulated(truth: SpinSystem, field: float, rng: np.random.Generator) -> Trace:
    """A spectrum with sharp lines that are not quite Lorentzians, and a ppm without signal on both sides."""
    axis = np.arange(truth.shifts.min() - 0.6, truth.shifts.max() + 0.6, 0.03 / field)
    clean = simulate(truth, field, axis=axis)
    y = 0.9 * clean.y + 0.1 * np.interp(axis - 0.3 / field, axis, clean.y)
    return Trace(axis, y + rng.normal(0, y.max() / 500, len(axis)), frequency=field, identifier=truth.name)


def crude_thf() -> SpinSystem:
    """ANATOLIA's start by hand (doi:10.1002/mrc.4689, example THFCOOH/300)."""
    return coupled(
        ["H2", "H5c", "H5t", "H3t", "H3c", "H4t", "H4c"],
        [1321.0, 1185.0, 1160.0, 680.0, 597.0, 585.0, 578.0],
        [0, 0, 7.6, 6.1, 0, -0.5, -8.0, -0.5, 0, 6.1, 7.6, 0, -0.5, 7.6, 6.1, -12.0, 8.7, 6.1, 6.1, 8.7, -12.0],
        0.2,
    )


def cases() -> list[tuple[str, int, str, Trace, SpinSystem, SpinSystem | None]]:
    """Compound, field, kind of start, spectrum, start values, and the truth where it is known."""
    found: list[tuple[str, int, str, Trace, SpinSystem, SpinSystem | None]] = []
    refined = {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}["anatolia:thfcooh300"]
    for number, (name, smiles) in enumerate(SMILES.items()):
        for field in (300, 600):
            rng = np.random.default_rng((number, field))
            start = from_smiles(smiles)
            if name == "o-dichlorobenzene" and field == 300:
                found.append((name, field, "SMILES", trace(spectra()["anatolia:ODCB/1"]), start, None))
            elif name in SHIFTS:
                truth = truth_of(name, start, rng)
                found.append((name, field, "SMILES", simulated(truth, field, rng), start, truth))
            else:
                truth = replace(refined, widths=np.full(len(refined), 0.12))
                measured = trace(spectra()["anatolia:THFCOOH/300"]) if field == 300 else simulated(truth, field, rng)
                known = truth if field == 600 else None
                found.append((name, field, "crude", measured, crude_thf(), known))
                found.append((name, field, "SMILES", measured, start, known))
    return found


def run(only: list[str]) -> dict[str, Any]:
    """Every case: R within the regions that ANATOLIA was given where there are some, else near the lines."""
    rows: list[dict[str, Any]] = []
    for name, field, kind, measured, start, truth in cases():
        if only and not any(o in name for o in only):
            continue
        clock = time.process_time()
        if kind == "SMILES":
            known = outside(THF_REGIONS) if truth is None and name.startswith("THF") else []
            one = fit_automatically([measured], start, uncertain=0.25, exclude=known)
        else:
            one = fit(measured, start, absolute=False)
        seconds = time.process_time() - clock
        regions = {"THF-2-carboxylic acid": THF_REGIONS, "o-dichlorobenzene": ((7.2, 7.62),)}.get(name)
        r = inside(one, measured, regions) if regions and truth is None else one.metrics["r_factor"]
        best = ANATOLIA.get((name, field))
        if truth is not None:
            best = fit(measured, truth, starts=1).metrics["r_factor"]
        rows.append({
            "compound": name, "field": field, "start": kind, "measured": truth is None, "r_factor": round(r, 5),
            "beside": None if best is None else round(best, 5), "rmsd": round(one.metrics["rmsd"], 6),
            "seconds": round(seconds, 1), "starts": one.starts, "problem": one.problem, "doubt": bool(one.doubt),
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    return {"rows": rows}


def main() -> None:
    """Run the cases asked for, and write what they measured."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", nargs="+", default=[])
    asked.add_argument("--write", action="store_true", help="Put what was measured into the file of results.")
    options = asked.parse_args()
    begin = time.process_time()
    found = run(options.only)
    if options.write:
        known = json.loads(OUT.read_text())["rows"] if OUT.exists() else []
        new = {(row["compound"], row["field"], row["start"]) for row in found["rows"]}
        found["rows"] = [r for r in known if (r["compound"], r["field"], r["start"]) not in new] + found["rows"]
        found["measured"] = {
            "date": datetime.now(UTC).date().isoformat(), "cpu_seconds": round(time.process_time() - begin, 1)
        }  # fmt: skip
        write_text(OUT, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
