"""Adduct, formula and structure with nothing given but m/z and MS/MS, and the false-discovery rate that is stated.

    python benchmarks/posterior.py --dataset work/dataset --index index-all --fold val [--compounds 100]

One spectrum of each compound, drawn by chance, of any adduct that is tried where none is named. The precursor's m/z is
that of the true ion off by N(0, 3 ppm). Every spectrum is asked for with its adduct, as `molvis identify` takes it, and
with its polarity alone. Then the structures of all compounds are taken out of the library, and all are asked for
again without their adducts. Each compound has an answer with its truth in the library and one without: half of them,
drawn by chance, are taken from the second, DRAWS times. Of the annotations with a q-value up to a stated rate, how many
are wrong? `recalibration` is the offset and slope of the joint probability's logit that fit both answers best, which is
what molvis_retrieval.false_discoveries holds where this fold is the validation fold.

Writes benchmarks/results/posterior-FOLD.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.chemistry.adducts import ADDUCT_SHARES, ion_mz, parse_adduct
from molvis_core.records import Measurement, Structure
from molvis_files.writing import write_text
from molvis_retrieval import Bundle, identify, load_bundle
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.queries import known_rows
from molvis_retrieval.false_discoveries import q_values
from molvis_retrieval.index import Index
from molvis_retrieval.library import Library
from molvis_retrieval.parents import parent
from molvis_retrieval.results import Identification

RESULTS = Path(__file__).parent / "results"
RATES = (0.05, 0.1, 0.2, 0.3)
DRAWS = 300
FAR = 20e-6


@dataclass(frozen=True)
class Query:
    """A spectrum whose compound is known.

    Attributes:
        measurement: with its adduct, and without its structure.
        adduct: of the ion.
        truth: the compound.
    """

    measurement: Measurement
    adduct: str
    truth: Structure

    @property
    def nameless(self) -> Measurement:
        """The same without its adduct."""
        return replace(self.measurement, record=replace(self.measurement.record, adduct=None))


class Some:
    """Vectors of some rows of an index."""

    def __init__(self, index: Index, rows: np.ndarray) -> None:
        self.vectors, self.rows, self.shape = index.vectors, rows, (len(rows), index.vectors.shape[1])
        self.size = self.shape[0] * self.shape[1]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.vectors[self.rows[rows]]


def draw(dataset: Dataset, fold: str, compounds: int | None, seed: int) -> list[Query]:
    """One spectrum of each compound, or of so many of them."""
    names = [name for shares in ADDUCT_SHARES.values() for name in shares]
    rows, keys = known_rows(dataset, "msms", dataset.rows("msms", fold=fold, adducts=names, min_peaks=2))
    rng = np.random.default_rng(seed)
    out: list[Query] = []
    for key in np.unique(keys):
        item = dataset.measurement("msms", int(rng.choice(rows[keys == key])))
        assert item.structure is not None
        adduct = parse_adduct(item.record.adduct).name
        mz = ion_mz(item.structure.exact_mass, adduct)
        if abs(mz - item.record.precursor_mz) > FAR * mz:  # the ion of a salt's cation, which is drawn with its anion
            mz = item.record.precursor_mz
        record = replace(item.record, adduct=adduct, precursor_mz=mz * (1 + rng.normal(0, 3e-6)))
        truth, _ = parent(item.structure)
        out.append(Query(replace(item, record=record, structure=None), adduct, truth))
    chosen = rng.permutation(len(out))[:compounds]
    return [out[k] for k in np.sort(chosen)]


def without(index: Index, compounds: Sequence[Structure]) -> Index:
    """The index without some compounds."""
    gone = np.concatenate([index.library.rows_of(one.inchikey14) for one in compounds])
    rows = np.setdiff1d(np.arange(len(index.library)), gone)
    return replace(index, library=Library(index.library.table.take(rows)), vectors=Some(index, rows))


def share(right: np.ndarray) -> dict[str, float]:
    """A share with its 95% interval (Wilson)."""
    n, p, z = len(right), float(np.mean(right)) if len(right) else 0.0, 1.959964
    if not n:
        return {"value": 0.0, "low": 0.0, "high": 1.0, "n": 0}
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return {"value": p, "low": (middle - half) / scale, "high": (middle + half) / scale, "n": n}


def first(found: Identification) -> str:
    """The compound that comes first; empty where none does."""
    return found.candidates[0].structure.inchikey14 if found.candidates else ""


def likeliest(found: dict[str, float]) -> str:
    """The likeliest adduct or formula; empty where there is none."""
    return max(found, key=lambda name: found[name], default="")


def calibration(stated: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Means, and the mean difference between what is stated and what is right over ten bins of equally many."""
    bins = np.array_split(np.argsort(stated, kind="stable"), 10)
    error = np.mean([abs(stated[b].mean() - right[b].mean()) for b in bins if len(b)])
    return {"stated": float(stated.mean()), "right": float(right.mean()), "error": float(error)}


def posterior(bundle: Bundle, queries: Sequence[Query], index: Index) -> tuple[dict[str, Any], list[Identification]]:
    """How often adduct, formula and structure are right, with the adduct and without it; and the answers without."""
    named = identify(bundle, [q.measurement for q in queries], index, top=1, formulas=False, processes=None)
    free = identify(bundle, [q.nameless for q in queries], index, top=1, processes=None)
    truths = np.array([q.truth.inchikey14 for q in queries])
    known, unknown = (np.array([first(one) for one in some]) == truths for some in (named, free))
    adduct = np.array([likeliest(dict(f.adducts)) == q.adduct for f, q in zip(free, queries, strict=True)])
    formula = [likeliest(dict(f.formulas)) == q.truth.formula.rstrip("+-") for f, q in zip(free, queries, strict=True)]
    rng = np.random.default_rng(0)
    drawn = [(unknown[c].mean() - known[c].mean()) for c in rng.integers(0, len(known), (2000, len(known)))]
    sure = {n: np.array([max(getattr(f, n).values(), default=0.0) for f in free]) for n in ("adducts", "formulas")}
    stated = np.array([f.candidates[0].probability if f.candidates else 0.0 for f in free])
    told = {
        "known": share(known),
        "unknown": share(unknown),
        "difference": [float(v) for v in np.percentile(drawn, [2.5, 50, 97.5])],
        "adduct": share(adduct),
        "formula": share(np.array(formula)),
        "structure_calibration": calibration(stated, unknown),
        "adduct_calibration": calibration(sure["adducts"], adduct),
        "formula_calibration": calibration(sure["formulas"], np.array(formula)),
    }
    return told, list(free)


def answers(found: Sequence[Identification], queries: Sequence[Query]) -> tuple[np.ndarray, np.ndarray]:
    """The joint probability of each first candidate, NaN where there is none, and whether it is right."""
    joint = [f.joint(f.candidates[0]) if f.candidates else None for f in found]
    right = [first(f) == q.truth.inchikey14 for f, q in zip(found, queries, strict=True)]
    return np.array([np.nan if p is None else p for p in joint], dtype=float), np.array(right)


def recalibration(joint: np.ndarray, right: np.ndarray) -> list[float]:
    """Offset and slope of the logit that fit best (maximum likelihood, Newton's method)."""
    p = np.clip(joint, 1e-9, 1 - 1e-9)
    x = np.stack([np.ones(len(p)), np.log(p / (1 - p))], axis=1)
    told = np.array([0.0, 1.0])
    for _ in range(50):
        stated = 1 / (1 + np.exp(-x @ told))
        told = told + np.linalg.solve((x * (stated * (1 - stated))[:, None]).T @ x, x.T @ (right - stated))
    return [float(v) for v in told]


def drawn_rates(joint: np.ndarray, right: np.ndarray, draws: np.ndarray) -> dict[str, dict[str, float]]:
    """What is wrong of what is believed, where each draw takes one of a compound's two answers.

    Args:
        joint: compounds x 2, with the truth in the library and without; NaN without a candidate.
        right: likewise.
        draws: draws x compounds, 1 where the truth is absent.
    """
    shares: dict[float, list[tuple[int, float]]] = {rate: [] for rate in RATES}
    rows = np.arange(joint.shape[0])
    for absent in draws:
        some = np.isfinite(joint[rows, absent])
        p, good = joint[rows, absent][some], right[rows, absent][some]
        rates = q_values(p)
        for rate in RATES:
            of = rates <= rate
            shares[rate].append((int(of.sum()), float(np.mean(~good[of])) if of.any() else np.nan))
    out = {}
    for rate, pairs in shares.items():
        wrong = np.array([w for _, w in pairs])
        low, high = np.nanpercentile(wrong, [2.5, 97.5])
        believed = float(np.mean([n for n, _ in pairs]))
        out[f"{rate:g}"] = {
            "believed": believed,
            "wrong": float(np.nanmean(wrong)),
            "low": float(low),
            "high": float(high),
        }
    return out


def discoveries(
    bundle: Bundle, queries: Sequence[Query], index: Index, present: Sequence[Identification], seed: int
) -> dict[str, Any]:
    """How many annotations up to a stated rate are wrong: of both answers of each compound, and with half absent."""
    nameless = [q.nameless for q in queries]
    absent = identify(bundle, nameless, without(index, [q.truth for q in queries]), top=1, processes=None)
    joint, right = (
        np.stack(pair, axis=1) for pair in zip(answers(present, queries), answers(absent, queries), strict=True)
    )
    rng = np.random.default_rng([seed, 1])
    half = np.arange(len(queries)) < len(queries) // 2
    draws = np.array([rng.permutation(half) for _ in range(DRAWS)]).astype(int)
    known = np.isfinite(joint)
    rates = q_values(joint[known])
    return {
        "both": {f"{rate:g}": share(~right[known][rates <= rate]) for rate in RATES},
        "half_absent": drawn_rates(joint, right, draws),
        "annotated": int(known.sum()),
        "right": int(right.sum()),
        "joint_calibration": calibration(joint[known], right[known]),
        "recalibration": recalibration(joint[known], right[known]),
    }


def arguments(about: str | None, seed: int) -> argparse.ArgumentParser:
    """What `opened` needs."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--fold", default="val")
    parser.add_argument("--compounds", type=int)
    parser.add_argument("--seed", type=int, default=seed)
    return parser


def opened(asked: argparse.Namespace) -> tuple[Bundle, Index, list[Query]]:
    """The shipped bundle, the library, and a query of each compound."""
    queries = draw(Dataset.open(asked.dataset), asked.fold, asked.compounds, asked.seed)
    return load_bundle("massbank"), Index.open(asked.index), queries


def main() -> None:
    """Ask and count."""
    parser = arguments(__doc__, seed=7)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    bundle, index, queries = opened(asked)
    told: dict[str, Any] = {"fold": asked.fold, "compounds": len(queries), "seed": asked.seed}
    told["posterior"], free = posterior(bundle, queries, index)
    told["false_discoveries"] = discoveries(bundle, queries, index, free, asked.seed)
    text = json.dumps(told, indent=2) + "\n"
    print(text)
    write_text(asked.out or RESULTS / f"posterior-{asked.fold}.json", text)


if __name__ == "__main__":
    main()
