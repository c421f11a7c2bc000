"""Mixtures: what `quantify` finds in measured ones, and in simulated ones whose truth is known.

    python benchmarks/nmr_mixture.py [--data ../shared/data] [--mixtures 20] [--seed 0]

Measured: four amino acids and glucose, and glucose alone, of the National Research Council of Canada (CC BY-SA 4.0).
Simulated: five of ten compounds in amounts from 1 to 10; multiplets moved by 3 ppb and answering by 3% more or less
(standard deviations), a baseline, white noise. CPU seconds are those of one thread. Writes
benchmarks/results/nmr_mixture.json.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from molvis_core.output import to_plain
from molvis_core.records import Trace
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.mixture.quantify import quantify
from molvis_nmr.report.mixture import quantification_summary
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem

RESULTS = Path(__file__).parent / "results" / "nmr_mixture.json"
AMINO_ACIDS = ("bmse000042", "bmse000041", "bmse000867", "bmse000038")  # Leu, Ile, Ser, Gln
OTHERS = ("bmse000028", "bmse000047", "bmse000208", "bmse000048", "bmse000030")  # Ala, Pro, lactate, Val, Asp
GLUCOSE = "bmse000015"  # both anomers in one entry: the first seven spins are beta


def part(system: SpinSystem, members: list[int], name: str) -> SpinSystem:
    return SpinSystem(
        names=tuple(system.names[i] for i in members),
        shifts=system.shifts[members],
        couplings=system.couplings[np.ix_(members, members)],
        multiplicity=system.multiplicity[members],
        name=name,
    )


def library(folder: Path) -> list[SpinSystem]:
    found = {
        s.identifier.split(":")[1]: s for s in read_systems(folder / "spin_systems.json") if "gissmo" in s.identifier
    }
    glucose = found[GLUCOSE]
    anomers = [part(glucose, list(range(7)), "beta-D-glucose"), part(glucose, list(range(7, 14)), "alpha-D-glucose")]
    return [*(found[i] for i in AMINO_ACIDS), *anomers, *(found[i] for i in OTHERS if i in found)]


def measured(folder: Path) -> dict[str, Any]:
    rows = {r["spectrum_id"]: r for r in pq.read_table(folder / "spectra.parquet").to_pylist()}
    done: dict[str, Any] = {}
    for name, entries in (
        ("nrc:amino_acid_mixture_2022", 6),
        ("nrc:amino_acid_mixture_2022", 11),
        ("nrc:glucose_2018", 11),
    ):
        row = rows[name]
        x = row["ppm_start"] + row["ppm_step"] * np.arange(row["n"])
        trace = Trace(x, np.array(row["intensity"]), frequency=row["field_MHz"], identifier=name)
        begin = time.process_time()
        found = quantify(trace, library(folder)[:entries])
        done[f"{name}, library of {entries}"] = {
            "cpu_s": time.process_time() - begin, **quantification_summary(found)
        }  # fmt: skip
    return done


def standard(axis: np.ndarray) -> np.ndarray:
    """The nine protons of DSS at 0 ppm, those beside 29Si as a doublet."""
    total = np.zeros(len(axis))
    for hertz, share in ((0.0, 0.9532), (-3.3, 0.0234), (3.3, 0.0234)):
        one = SpinSystem(("CH3",), np.array([hertz / 600]), np.zeros((1, 1)), np.array([9]), widths=np.array([0.5]))
        total += share * simulate(one, 600.0, axis=axis).y
    return total


def simulated(folder: Path, mixtures: int, seed: int) -> dict[str, Any]:
    compounds = library(folder)[:10]
    rows: list[dict[str, Any]] = []
    missed = false = 0
    for number in range(mixtures):
        random = np.random.default_rng([seed, number])
        there = random.choice(len(compounds), 5, replace=False)
        amounts = np.exp(random.uniform(0, np.log(10), 5))
        axis = np.linspace(-0.3, 6.0, 6300 * 3)
        y = 3.0 * standard(axis)
        for i, amount in zip(there, amounts, strict=True):
            one = compounds[i]
            moved = replace(
                one,
                shifts=one.shifts + random.normal(0, 0.003, len(one)),
                widths=0.5 * np.exp(random.normal(0, 0.1, len(one))),
                intensities=1 + random.normal(0, 0.03, len(one)),
            )
            y = y + amount * simulate(moved, 600.0, axis=axis).y
        y = y + 0.02 * np.cos(axis) + random.normal(0, 0.03, len(axis))
        begin = time.process_time()
        found = {m.name: m for m in quantify(Trace(axis, y, frequency=600.0), compounds).metabolites}
        spent = time.process_time() - begin
        for i, amount in zip(there, amounts, strict=True):
            m = found[compounds[i].name]
            missed += not m.present
            # A line of intensity 1 has the area pi; one proton's signal is a line of 1.
            rows.append({"name": m.name, "truth": amount * np.pi, "amount": m.amount, "error": m.error, "cpu_s": spent})
        names = {compounds[i].name for i in there}
        false += sum(m.present for m in found.values() if m.name not in names)
    off = np.array([(r["amount"] - r["truth"]) / r["error"] for r in rows])
    relative = np.array([abs(r["amount"] / r["truth"] - 1) for r in rows])
    return {
        "mixtures": mixtures,
        "compounds": len(rows),
        "covered90": float((np.abs(off) < 1.6449).mean()),
        "missed": missed,
        "false": false,
        "absent": mixtures * 5,
        "median_relative_error": float(np.median(relative)),
        "median_cpu_s": float(np.median([r["cpu_s"] for r in rows])),
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside)
    parser.add_argument("--mixtures", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = given.data / "nmr"
    done = {"measured": measured(folder), "simulated": simulated(folder, given.mixtures, given.seed)}
    RESULTS.write_text(json.dumps(to_plain(done), indent=1) + "\n", encoding="utf-8")
    told = done["simulated"]
    print({k: v for k, v in told.items() if k != "rows"})
    for name, row in done["measured"].items():
        present = [m["name"] for m in row["metabolites"] if m["present"]]
        print(f"{name}: ROI IoU {row['roi_iou']:.3f}, {row['cpu_s']:.1f} s, present: {', '.join(present)}")


if __name__ == "__main__":
    main()
