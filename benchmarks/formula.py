"""How often the true formula comes first: `molvis_formula.ranking.formulas` on MassBank's open spectra.

    python benchmarks/formula.py --fold test            # looked at once
    python benchmarks/formula.py --fold val --out build/formula.json

One spectrum of each compound, drawn by chance, of high resolution. The precursor's m/z, which MassBank often states
as computed, is that of the true ion off by N(0, 3 ppm); the tolerance is 10 ppm, elements and rules are the defaults. A
compound whose formula is not among those listed counts as missed. Conditions:

- `fragments`: the spectrum and the adduct.
- `isotopes`: the same, and a simulated isotope pattern: five peaks of the true ion, intensities off by 8% of each and
  by 0.3% of the largest, distances by 1.5 ppm, peaks under 0.8% of the largest lost.
- `isotopes alone`, `mass alone`: without the spectrum.
- `noise`: the spectrum with peaks of other compounds among its own, one in five and one more, of 0.5 to 20% of the
  largest peak, and its masses off by N(0, 1.5 ppm) together and N(0, 1 ppm) each.
- `decoy`: the peaks of another compound: what is right then is right without the spectrum.
- `adduct unknown`: only the polarity is given; formula and adduct must both be right.
- `known`: as `fragments`, with the formulas of a library of 402,502 structures made likelier.

With `--peer`, the Python of an environment that has TidyMS, that program ranks formulas by the same simulated
isotope patterns: of compounds of C, H, N, O, P and S alone, (de)protonated, under 500 Da, which both programs are told.

`noise`, `decoy` and `adduct unknown` are tried on a part of the compounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from molvis_core.chemistry.adducts import parse_adduct
from molvis_core.chemistry.formula import ELECTRON_MASS, parse_formula
from molvis_core.records import PeakList
from molvis_formula.elements import MASSES, UNIT, counts_of, hill
from molvis_formula.ions import ion_atoms
from molvis_formula.isotopes import isotope_patterns
from molvis_formula.ranking import KNOWN_WEIGHT, FormulaCandidate, FormulaSettings, formulas

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("MOLVIS_DATA", ROOT.parent / "shared" / "data"))
RANGES = ((0, 200), (200, 300), (300, 400), (400, 600), (600, 2000))
PART = 150
"""Compounds on which the slow conditions are tried."""
FEW = ("noise", "decoy", "adduct unknown")


@dataclass(frozen=True, eq=False)
class Query:
    """An ion whose formula is known.

    Attributes:
        formula: of the molecule, in Hill's order; empty where it has an element that formulas are not made of.
        counts: its atoms.
        mass: in Da.
        spectrum: with the precursor's m/z and adduct.
    """

    formula: str
    counts: np.ndarray | None
    mass: float
    spectrum: PeakList


def draw(fold: str, seed: int) -> list[Query]:
    """One spectrum of each compound of a fold."""
    rng = np.random.default_rng(seed)
    table = pd.read_parquet(DATA / "msms" / "massbank_open.parquet")
    table = table[table.is_high_res & table.precursor_ok & (table.fold == fold)]
    found: list[Query] = []
    for _, rows in table.groupby("inchikey14", sort=True):
        row = rows.iloc[int(rng.integers(len(rows)))]
        adduct = parse_adduct(row.adduct)
        try:
            counts = counts_of(parse_formula(row.formula.rstrip("+-")))
        except KeyError:
            counts = None
        mz = row.precursor_mz
        if counts is not None:
            ion = ion_atoms(adduct)
            atoms = float(counts @ MASSES / UNIT * adduct.molecules + ion.mass / UNIT)
            mz = (atoms - adduct.charge * ELECTRON_MASS) / abs(adduct.charge)
        mz *= 1 + rng.normal(0, 3e-6)
        spectrum = PeakList(np.array(row.mzs), np.array(row.intensities), mz, adduct.name, ionmode=adduct.ionmode)
        found.append(Query("" if counts is None else hill(counts), counts, float(row.exact_mass), spectrum))
    return found


def pattern(query: Query, rng: np.random.Generator) -> PeakList | None:
    """An isotope pattern as an instrument may show it."""
    if query.counts is None:
        return None
    mz, ion = query.spectrum.precursor_mz or 0.0, ion_atoms(query.spectrum.adduct or "")
    share, distance = (a[0] for a in isotope_patterns(query.counts[None], ion))
    height = share * (1 + rng.normal(0, 0.08, len(share))) + rng.normal(0, 0.003, len(share)) * share.max()
    where = mz + distance + rng.normal(0, 1.5e-6, len(share)) * mz * (distance > 0)
    seen = height > 0.008 * height.max()
    return PeakList(where[seen], height[seen])


def noisy(query: Query, others: list[Query], rng: np.random.Generator) -> PeakList:
    """A spectrum with peaks of others among its own."""
    own = query.spectrum
    number = int(rng.poisson(1 + 0.2 * len(own)))
    pool = np.concatenate([others[int(i)].spectrum.mz for i in rng.integers(len(others), size=20)])
    pool = pool[pool < (own.precursor_mz or 0.0) + 1]
    added = rng.choice(pool, number) if len(pool) else np.zeros(0)
    mz = own.mz * (1 + rng.normal(0, 1.5e-6) + rng.normal(0, 1e-6, len(own)))
    height = 10 ** rng.uniform(-2.3, -0.7, len(added)) * own.intensity.max()
    return replace(own, mz=np.concatenate([mz, added]), intensity=np.concatenate([own.intensity, height]))


def answers(name: str, queries: list[Query], seed: int) -> Iterator[tuple[Query, list[FormulaCandidate]]]:
    """What is found for each query under a condition."""
    rng = np.random.default_rng([seed, len(name)])
    few = np.random.default_rng(seed).permutation(len(queries))[:PART] if name in FEW else range(len(queries))
    for place in few:
        query = queries[int(place)]
        own = query.spectrum
        spectrum, isotopes, adduct = own, None, own.adduct
        if name.startswith("isotopes"):
            isotopes = pattern(query, rng)
        if name in ("isotopes alone", "mass alone"):
            spectrum = replace(own, mz=np.zeros(0), intensity=np.zeros(0))
        if name == "noise":
            spectrum = noisy(query, queries, rng)
        if name == "decoy":
            other = queries[(int(place) + 1 + int(rng.integers(len(queries) - 1))) % len(queries)].spectrum
            spectrum = replace(own, mz=other.mz, intensity=other.intensity)
        if name == "adduct unknown":
            spectrum, adduct = replace(own, adduct=None), None
        yield query, formulas(spectrum, adduct=adduct, isotope_pattern=isotopes)


def share(right: np.ndarray) -> dict[str, float]:
    """A share with its 95% interval (Wilson)."""
    n, p, z = len(right), float(np.mean(right)) if len(right) else 0.0, 1.959964
    if not n:
        return {"value": 0.0, "low": 0.0, "high": 1.0, "n": 0}
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + s * half) / (1 + z * z / n) for s in (-1, 1))
    return {"value": p, "low": float(low), "high": float(high), "n": n}


def calibration(probability: np.ndarray, right: np.ndarray) -> float:
    """Mean difference between probability and share of right answers, over ten bins of equally many queries."""
    bins = np.array_split(np.argsort(probability, kind="stable"), 10)
    return float(sum(abs(probability[b].mean() - right[b].mean()) * len(b) for b in bins if len(b)) / len(right))


def summary(rows: list[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """Figures of one condition."""
    rank = np.array([row["rank"] for row in rows])
    first, probability = rank == 1, np.array([row["probability"] for row in rows])
    mass, adduct = np.array([row["mass"] for row in rows]), np.array([row["adduct"] for row in rows])
    return {
        "first": share(first),
        "three": share((rank > 0) & (rank <= 3)),
        "listed": share(rank > 0),
        "median_candidates": float(np.median([row["listed"] for row in rows])),
        "mean_probability": float(probability.mean()),
        "calibration_error": calibration(probability, first),
        "mass": {f"{low}-{high}": share(first[(mass >= low) & (mass < high)]) for low, high in RANGES},
        "adduct": {name: share(first[adduct == name]) for name in sorted(set(adduct)) if (adduct == name).sum() >= 10},
        "cpu_seconds": round(seconds / len(rows), 3),
    }


def row_of(query: Query, found: list[FormulaCandidate], weight: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Where the truth stands; with `weight`, after a prior on the formulas."""
    probability = np.array([c.probability for c in found])
    if weight is not None and len(found):
        probability = probability * np.exp([weight.get(c.formula, 0.0) for c in found])
        probability /= probability.sum()
    order = np.argsort(-probability, kind="stable")
    truth = (query.formula, query.spectrum.adduct)
    place = [i for i, k in enumerate(order.tolist(), start=1) if (found[k].formula, found[k].adduct) == truth]
    return {
        "rank": place[0] if place else 0,
        "probability": float(probability.max(initial=0.0)),
        "listed": len(found),
        "mass": query.mass,
        "adduct": query.spectrum.adduct,
    }


def against(python: Path, queries: list[Query], seed: int, most: int = 120) -> dict[str, Any]:
    """TidyMS and molvis on the same isotope patterns, without fragments."""
    rng = np.random.default_rng(seed)
    plain = [
        query
        for query in queries
        if query.counts is not None and not query.counts[6:].any() and query.mass < 500
        and query.spectrum.adduct in ("[M+H]+", "[M-H]-")
    ]  # fmt: skip
    chosen = [plain[int(i)] for i in rng.permutation(len(plain))[:most]]
    patterns = [pattern(query, rng) for query in chosen]
    asked = []
    for query, peaks in zip(chosen, patterns, strict=True):
        assert peaks is not None
        mass = peaks.mz - parse_adduct(query.spectrum.adduct or "").shift
        height = peaks.intensity.astype(float)
        asked.append({"mass": mass.tolist(), "share": (height / height.sum()).tolist(), "ppm": 10.0})
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "queries.json", Path(folder) / "answers.json"
        source.write_text(json.dumps(asked), encoding="utf-8")
        subprocess.run([python, Path(__file__).with_name("formula_peer.py"), source, out], check=True)
        theirs = json.loads(out.read_text(encoding="utf-8"))
    began, ours = time.process_time(), []
    for query, peaks in zip(chosen, patterns, strict=True):
        own = query.spectrum
        empty = replace(own, mz=np.zeros(0), intensity=np.zeros(0))
        found = formulas(empty, isotope_pattern=peaks, settings=FormulaSettings(elements="CHNOPS"))
        ours.append(row_of(query, found)["rank"])
    seconds = time.process_time() - began
    their_ranks = []
    for query, answer in zip(chosen, theirs["answers"], strict=True):
        names = [hill(counts_of({e: n for e, n in row.items() if n})) for row in answer["formulas"]]
        their_ranks.append(names.index(query.formula) + 1 if query.formula in names else 0)
    mine, other = np.array(ours), np.array(their_ranks)
    return {
        "molvis": {"first": share(mine == 1), "three": share((mine > 0) & (mine < 4)), "cpu_seconds": seconds},
        "TidyMS": {
            "first": share(other == 1), "three": share((other > 0) & (other < 4)), "cpu_seconds": theirs["seconds"],
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fold", choices=("val", "test"), default="val")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=None, help="conditions; all by default")
    parser.add_argument("--peer", type=Path, help="Python of an environment with TidyMS: compare, and nothing else")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "formula.json")
    arguments = parser.parse_args()
    queries = draw(arguments.fold, arguments.seed)
    names = arguments.only or ["fragments", "isotopes", "isotopes alone", "mass alone", *FEW]
    done: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    if arguments.peer:
        done["peer"] = against(arguments.peer, queries, arguments.seed)
        arguments.out.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(done["peer"]))
        return
    library = set(pd.read_parquet(DATA / "structures.parquet", columns=["formula"]).formula)
    weight = dict.fromkeys(library, KNOWN_WEIGHT)
    for name in names:
        began, rows, known = time.process_time(), [], []
        for number, (query, found) in enumerate(answers(name, queries, arguments.seed), start=1):
            rows.append(row_of(query, found))
            known.append(row_of(query, found, weight))
            if number % 50 == 0:
                print(f"{name}: {number}, first {np.mean([r['rank'] == 1 for r in rows]):.3f}", flush=True)
        done.setdefault("conditions", {})[name] = summary(rows, time.process_time() - began)
        if name == "fragments":
            done["conditions"]["known"] = summary(known, time.process_time() - began)
            in_library = [query.formula in library for query in queries]
            done["in_library"] = share(np.array(in_library))
        done |= {"fold": arguments.fold, "compounds": len(queries), "seed": arguments.seed}
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps({k: done["conditions"][name][k] for k in ("first", "three")}), flush=True)


if __name__ == "__main__":
    main()
