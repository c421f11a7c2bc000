"""Make the lists of candidates that the score of molvis-formula learns from.

    python tools/prepare_training.py MASSBANK.parquet OUT.npz --fold train --spectra 2

Each list belongs to a spectrum, or to the spectra of some energies of an ion taken together, of MassBank's open part.
The precursor is off by N(0, 3 ppm); half of the spectra get noise: peaks of other compounds, and errors of their
masses.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from molvis_core.chemistry.formula import parse_formula
from molvis_core.records import PeakList
from molvis_formula.decomposition import FormulaError, formulas_within, masses_of, neutral_window
from molvis_formula.elements import counts_of
from molvis_formula.evidence import explain_peaks
from molvis_formula.features import candidate_features, peak_features
from molvis_formula.ions import ion_atoms
from molvis_formula.ranking import deviations
from molvis_formula.score import load_score

PPM = 10.0
EXPLAINED, RANDOM, KEPT = 600, 100, 64


def queries(table: pd.DataFrame, spectra: int, seed: int, merged: float) -> list[pd.DataFrame]:
    """One to a few spectra of each compound, some of them with the other energies of the same ion."""
    rng = np.random.default_rng(seed)
    found: list[pd.DataFrame] = []
    for _, compound in table.groupby("inchikey14", sort=True):
        rows = compound.iloc[rng.permutation(len(compound))]
        first = rows.drop_duplicates("adduct")
        rest = rows.drop(first.index)
        for index in pd.concat([first, rest]).index[:spectra]:
            row = rows.loc[[index]]
            if rng.random() < merged:
                same = (rows.adduct == row.adduct.iloc[0]) & (rows.instrument == row.instrument.iloc[0])
                row = pd.concat([row, rows[same].drop(index)]).iloc[:6]
            found.append(row)
    return found


def together(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Peaks of several spectra as one, those of one m/z added up."""
    mz = np.concatenate([np.asarray(r) for r in rows.mzs])
    height = np.concatenate([np.asarray(r) / np.max(r) for r in rows.intensities])
    order = np.argsort(mz, kind="stable")
    mz, height = mz[order], height[order]
    if len(rows) == 1 or len(mz) < 2:
        return mz, height
    group = np.concatenate([[0], np.cumsum(np.diff(mz) > np.maximum(8e-6 * mz[1:], 0.0008))])
    total = np.bincount(group, height)
    return np.bincount(group, mz * height) / total, total / total.max()


def with_noise(
    mz: np.ndarray, height: np.ndarray, others: np.ndarray, precursor: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Peaks of other spectra among those of one, and masses less exact."""
    mz = mz * (1 + rng.normal(0, 1.5e-6) + rng.normal(0, 1e-6, len(mz)))
    below = others[others < precursor + 1]
    number = rng.poisson(1 + 0.2 * len(mz)) if len(below) else 0
    added = rng.choice(below, number) * (1 + rng.normal(0, 30e-6, number)) if number else np.zeros(0)
    return np.concatenate([mz, added]), np.concatenate([height, 10 ** rng.uniform(-2.3, -0.7, number)])


def main() -> None:  # noqa: PLR0915 - a script from top to bottom
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("massbank", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fold", default="train")
    parser.add_argument("--spectra", type=int, default=2)
    parser.add_argument("--merged", type=float, default=0.3)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--score", type=Path, help="an earlier score, to find the formulas that it takes for the truth")
    arguments = parser.parse_args()
    if arguments.fold == "test":
        parser.error("the test fold is for benchmarks/formula.py")
    table = pd.read_parquet(arguments.massbank)
    table = table[table.is_high_res & table.precursor_ok & (table.fold == arguments.fold)]
    rng = np.random.default_rng(arguments.seed + 1)
    some = table.sample(min(len(table), 3000), random_state=0)
    others = np.concatenate([np.asarray(m) for m in some.mzs])
    score = load_score(arguments.score) if arguments.score else None
    place, parts = (int(n) for n in arguments.part.split("/"))
    asked = queries(table, arguments.spectra, arguments.seed, arguments.merged)[place::parts]
    rows: dict[str, list[np.ndarray]] = {"candidate": [], "peak": [], "counts": [], "number": []}
    lost = began = time.time()
    lost = 0
    for number, query in enumerate(asked):
        one = query.iloc[0]
        try:
            truth = counts_of(parse_formula(one.formula.rstrip("+-")))
            ion = ion_atoms(one.adduct)
        except (KeyError, ValueError):
            continue
        mz = one.precursor_mz * (1 + rng.normal(0, 3e-6))
        peaks = together(query)
        if rng.random() < arguments.noise:
            peaks = with_noise(*peaks, others, mz, rng)
        try:
            counts = formulas_within(neutral_window(mz, one.adduct, PPM), any_shell=ion.bare)
        except FormulaError:  # more than can be listed; `molvis formula` says the same
            lost += 1
            continue
        place = np.flatnonzero((counts == truth).all(axis=1))
        if not len(place):
            lost += 1
            continue
        z = deviations(counts, mz, ion, PPM)
        prior = -0.5 * z**2 - 0.8 * (counts[:, 4:] > 0).sum(axis=1)
        if score:
            prior = score.prior(candidate_features(counts, z, ion))
        prior[place] = np.inf
        order = np.argsort(-prior, kind="stable")
        rest = order[EXPLAINED:]
        chosen = np.concatenate([order[:EXPLAINED], rng.choice(rest, min(len(rest), RANDOM), replace=False)])
        counts, z, prior = counts[chosen], z[chosen], prior[chosen]
        found = explain_peaks(PeakList(*peaks), counts, ion, PPM)
        features = candidate_features(counts, z, ion), peak_features(found, ion, masses_of(counts))
        surprise = np.minimum(-np.log(-np.expm1(-found.chance) + 1e-4), 6) - 2.25 * found.error**2
        ranking = ((0.2 + np.sqrt(found.share)) * np.where(found.found, surprise, -1.5)).sum(axis=1) + prior
        if score:
            ranking = prior + score.joint(*features)
        order = np.argsort(-ranking, kind="stable")  # the truth first: its prior is infinite
        rest = order[KEPT * 2 // 3 :]
        kept = np.concatenate([order[: KEPT * 2 // 3], rng.choice(rest, min(len(rest), KEPT // 3), replace=False)])
        peak = features[1][kept]
        rows["candidate"].append(features[0][kept].astype(np.float32))
        rows["peak"].append(peak.astype(np.float16).reshape(-1, peak.shape[-1]))
        rows["counts"].append(counts[kept])
        rows["number"].append(np.array([len(kept), peak.shape[1], len(chosen)]))
        if number % 200 == 199:
            print(
                f"{number + 1} of {len(asked)} after {time.time() - began:.0f} s, {lost} without the truth", flush=True
            )
    np.savez(
        arguments.out,
        **{name: np.concatenate(v) if name != "number" else np.stack(v) for name, v in rows.items()},
        lost=lost,
    )


if __name__ == "__main__":
    main()
