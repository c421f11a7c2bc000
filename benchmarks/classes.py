"""How often a class that is stated with a probability is the unknown's, with its truth in the library and without.

    python benchmarks/classes.py --dataset work/dataset --index index-all --fold val [--compounds 100]

One spectrum of each compound, drawn by chance, with its adduct, the precursor's m/z off by N(0, 3 ppm). All are asked
for in the library, and once more with the structures of all of them taken out. A class that is not stated (both of its
probabilities are under 5%) counts under neither. The error is the mean difference between what is stated and how often
it holds over the bands of the table, weighed by how many there are; its interval is of a bootstrap over compounds.

Writes the fold's part of benchmarks/results/classes.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from posterior import Query, arguments, opened, without

from molvis_files.writing import write_text
from molvis_retrieval import Bundle, identify
from molvis_retrieval.classes import installed_classifiers
from molvis_retrieval.index import Index

OUT = Path(__file__).parent / "results" / "classes.json"
BANDS = (0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 1.01)
DRAWS = 1000
SURE = 0.9


def stated(bundle: Bundle, queries: Sequence[Query], index: Index, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Of each query and class the probability given that the truth is a candidate, and the one that is told."""
    place = {name: column for column, name in enumerate(names)}
    given, told = np.zeros((2, len(queries), len(names)))
    asked = [query.measurement for query in queries]
    for row, found in enumerate(identify(bundle, asked, index, top=1, formulas=False, processes=None, classes=True)):
        for one in found.classes:
            given[row, place[one.name]], told[row, place[one.name]] = one.probability, one.told
    return given, told


def bands(probability: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """How many classes are stated in each band, how probable they are said to be, and how many hold."""
    out = []
    for low, high in pairwise(BANDS):
        some = (probability >= low) & (probability < high)
        if some.any():
            of = {"stated": float(probability[some].mean()), "right": float(truth[some].mean())}
            out.append({"low": low, "high": min(high, 1.0), "n": int(some.sum())} | of)
    return out


def error(probability: np.ndarray, truth: np.ndarray) -> float:
    """Mean difference between what is stated and what holds."""
    found = bands(probability, truth)
    return sum(b["n"] * abs(b["stated"] - b["right"]) for b in found) / max(1, sum(b["n"] for b in found))


def estimated(probability: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The error with its 95% interval; rows are compounds, or compounds twice, one answer after the other."""
    compounds = len(truth)
    rng = np.random.default_rng(0)
    answers = probability.reshape(-1, compounds, truth.shape[1])
    drawn = [
        error(answers[:, c], np.broadcast_to(truth[c], answers[:, c].shape))
        for c in rng.integers(0, compounds, (DRAWS, compounds))
    ]
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    return {"value": error(answers, np.broadcast_to(truth, answers.shape)), "low": low, "high": high}


def main() -> None:
    """Ask and count."""
    asked = arguments(__doc__, seed=11).parse_args()
    bundle, index, queries = opened(asked)
    truths = [query.truth for query in queries]
    classifiers = installed_classifiers()
    names = [name for one in classifiers for name in one.names]
    truth = np.concatenate([np.asarray(one(truths), dtype=bool) for one in classifiers], axis=1)
    present = stated(bundle, queries, index, names)
    absent = stated(bundle, queries, without(index, truths), names)
    told: dict[str, Any] = {"compounds": len(queries), "classes": len(names), "seed": asked.seed}
    for name, there, gone in zip(("given", "told"), present, absent, strict=True):
        both = np.concatenate([there, gone])
        told[name] = {
            "present": bands(there, truth),
            "absent": bands(gone, truth),
            "both": bands(both, np.concatenate([truth, truth])),
            "error": estimated(both, truth),
        }
    sure = absent[1] >= SURE
    told["absent_sure"] = {"compounds": float(sure.any(axis=1).mean()), "right": float(truth[sure].mean())}
    every = json.loads(OUT.read_text(encoding="utf-8")) if OUT.is_file() else {}
    every[asked.fold] = told
    text = json.dumps(every, indent=1) + "\n"
    print(text)
    write_text(OUT, text)


if __name__ == "__main__":
    main()
