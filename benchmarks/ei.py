"""How well electron ionization spectra are identified: the figures of docs/ei.md.

    python benchmarks/ei.py ei.parquet [ei_noncommercial.parquet] --candidates BOTH... --work WORK --fold val

Trains the preset `ei` on the fold `train` of the tables, calibrates it on `val` among candidates of nearly its mass,
and ranks the compounds of a fold in the library of all compounds of `--candidates`. A bundle is trained once in WORK.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from molvis_core.errors import LeftOutError, ReadError
from molvis_core.records import Measurement
from molvis_ei.derivatives import Form, forms_of, readings
from molvis_ei.preparation import unit_spectrum, weighed
from molvis_ei.readers.parquet import read_parquet
from molvis_ei.scorers.candidates import best_of
from molvis_nn.loop import TrainingProgress
from molvis_retrieval import identify, load_bundle, train
from molvis_retrieval.bundle import Bundle, write_calibration
from molvis_retrieval.calibration.weights import calibrate
from molvis_retrieval.config import find_config
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.importing import import_files
from molvis_retrieval.index import Index, build_index
from molvis_retrieval.library import Library

NEAR = 20_000.0
"""Half width in ppm of the window that weights are fitted in: some hundred candidates, so that none is left out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--candidates", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fold", default="val")
    parser.add_argument(
        "--quick", action="store_true", help="Only what takes a minute: no scorers on the whole library."
    )
    parser.add_argument("--only", help="Rank spectra of this one of the candidates' tables alone.")
    parser.add_argument("--most", type=int, default=400, help="Spectra of each table that are ranked, drawn by seed 0.")
    parser.add_argument("--calibrated", type=int, default=250, help="Spectra of the validation fold to calibrate on.")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    bundle, index = prepared(options)
    out: dict[str, object] = {"bundle": [p.name for p in options.tables], "candidates": len(index.library)}
    for table in (t for t in options.candidates if options.only in (None, t.stem)):
        queries = drawn(spectra(table, options.fold), options.most)
        if queries:
            out[table.stem] = ranked(bundle, index, queries, quick=options.quick)
            print(json.dumps({table.stem: out[table.stem]}, indent=1), flush=True)
    (options.work / f"{options.fold}-{options.only or 'all'}.json").write_text(
        json.dumps(out, indent=1), encoding="utf-8"
    )


def prepared(options: argparse.Namespace) -> tuple[Bundle, Index]:
    """The bundle, trained and calibrated, and the index of all candidates."""
    began, data, run = time.monotonic(), options.work / "dataset", options.work / "run"
    if not data.exists():
        import_files(options.tables, data, modality="ei")
    everything = options.work / "everything"
    if not everything.exists():
        import_files(options.candidates, everything, modality="ei")

    def say(state: TrainingProgress) -> None:
        text = state.message or f"epoch {state.epoch}"
        print(f"{time.monotonic() - began:.0f} s {text}", flush=True)

    if not (run / "bundle").exists():
        result = train(find_config("ei", data=str(data)), run, progress=Sometimes(say))
        print(result.metrics, flush=True)
    bundle = load_bundle(run / "bundle")
    library = Library.from_dataset(Dataset.open(everything))
    index = build_index(bundle, library, options.work / f"index-{bundle.encoders_digest[:12]}")
    if not bundle.calibration.weights:
        known = drawn([one for table in options.tables for one in spectra(table, "val")], options.calibrated)
        found = calibrate(bundle, known, index, ppm=NEAR, fitted_on="fold val, candidates within 2% of the mass")
        bundle = write_calibration(bundle, found)
        print(f"{time.monotonic() - began:.0f} s calibrated: {found.weights}", flush=True)
    return bundle, index


class Sometimes:
    """Calls a function at most every 20 seconds."""

    def __init__(self, function: Callable[[TrainingProgress], None]) -> None:
        self.function, self.last = function, 0.0

    def __call__(self, state: TrainingProgress) -> None:
        """Perhaps call it."""
        if time.monotonic() - self.last > 20:
            self.last = time.monotonic()
            self.function(state)


def spectra(table: Path, fold: str) -> list[Measurement]:
    """Those of a fold whose structure is known."""
    items = (one for one in read_parquet(table) if not isinstance(one, (LeftOutError, ReadError)))
    return [one for one in items if one.fold == fold and one.structure is not None]


def drawn(items: Sequence[Measurement], most: int) -> list[Measurement]:
    """At most so many, drawn by seed 0."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(items))[:most])
    return [items[i] for i in chosen]


def ranked(bundle: Bundle, index: Index, queries: Sequence[Measurement], *, quick: bool) -> dict[str, object]:
    """Shares of the compounds that are first and among the first ten, with 95% intervals, by method."""
    silent = [replace(one, record=replace(one.record, retention_index=None)) for one in queries]
    unstated = [replace(one, record=replace(one.record, derivative=None)) for one in queries]

    def found(some: Sequence[Measurement], **how: object) -> list[float]:
        return [place(one.truth_rank) for one in identify(bundle, some, index, **how)]

    ranks = {
        "embedding alone": found(silent, candidates="all", rerank=False),
        "of one formula": found(queries, candidates="formula"),
        "of one formula, derivative not stated": found(unstated, candidates="formula"),
        "of one formula, without retention index": found(silent, candidates="formula"),
        "of one formula, embedding alone": found(silent, candidates="formula", rerank=False),
        "of one formula, decoy": found(decoys(silent), candidates="formula"),
    }
    if not quick:
        ranks |= {
            "all evidence": found(queries, candidates="all"),
            "all evidence, derivative not stated": found(unstated, candidates="all"),
            "without retention index": found(silent, candidates="all"),
            "forward network alone": forward_alone(bundle, index, silent),
            "votes of nearest spectra alone": votes_alone(bundle, index, silent),
            "decoy: peaks of the compound nearest in mass": found(decoys(silent), candidates="all"),
            "within 10 ppm": within(bundle, index, queries),
        }
    owners = [one.structure.inchikey14 for one in queries if one.structure]
    with_index = [one.record.retention_index is not None for one in queries]
    formulas = [len(index.library.of_formula(one.structure.formula)) for one in queries if one.structure]
    return {
        "spectra": len(queries), "compounds": len(set(owners)), "with a retention index": sum(with_index),
        "chance": {"hit1": 100 / len(index.library), "hit10": 1000 / len(index.library)},
        "chance of one formula": 100 * float(np.mean([1 / max(n, 1) for n in formulas])),
        "methods": {name: figures(some, owners) for name, some in ranks.items()},
        "methods, spectra with a retention index": {
            name: figures(
                [r for r, w in zip(ranks[name], with_index, strict=True) if w],
                [o for o, w in zip(owners, with_index, strict=True) if w],
            )
            for name in ranks
        } if any(with_index) else {},
    }  # fmt: skip


def place(rank: float | None) -> float:
    return float("inf") if rank is None else float(rank)


def within(bundle: Bundle, index: Index, queries: Sequence[Measurement]) -> list[float]:
    """Ranks among candidates of the truth's mass."""
    out: list[float] = []
    for one in queries:
        assert one.structure is not None
        (found,) = identify(bundle, [one], index, candidates="mass", mass=one.structure.exact_mass)
        out.append(place(found.truth_rank))
    return out


def decoys(queries: Sequence[Measurement]) -> list[Measurement]:
    """Each with the peaks of another compound's spectrum, the one nearest in mass that is more than 0.02 Da apart."""
    mass = np.array([one.structure.exact_mass for one in queries if one.structure])
    out: list[Measurement] = []
    for i, one in enumerate(queries):
        off = np.abs(mass - mass[i])
        other = queries[int(np.argmin(np.where(off > 0.02, off, np.inf)))].record
        out.append(replace(one, record=replace(one.record, mz=other.mz, intensity=other.intensity)))
    return out


def forward_alone(bundle: Bundle, index: Index, queries: Sequence[Measurement]) -> list[float]:
    """Ranks by the cosine with the predicted spectrum, among all candidates."""
    scorer = bundle.scorers["forward"]
    structures = index.library.structures(np.arange(len(index.library)))
    out = np.zeros(len(queries))
    last: object = None
    rows = np.zeros((0, 0))
    forms: list[tuple[Form, ...]] = []
    # Those of one derivative one after another: the predictions for a library are made once for them.
    for i in sorted(range(len(queries)), key=lambda i: str(queries[i].record.derivative)):
        unit = unit_spectrum(queries[i].record)
        possible = readings(queries[i].record, unit)
        if possible != last:
            last, forms = possible, [forms_of(one.smiles, possible) for one in structures]
            rows = scorer.predict([form for some in forms for form in some])
        scores = best_of((rows @ weighed(unit)).astype(np.float64), forms, 0.0)
        out[i] = rank_of(scores, index, queries[i])
    return out.tolist()


def votes_alone(bundle: Bundle, index: Index, queries: Sequence[Measurement]) -> list[float]:
    """Ranks by what the nearest training spectra vote, among all candidates."""
    scorer = bundle.scorers["references"]
    structures = index.library.structures(np.arange(len(index.library)))
    return [rank_of(scorer(one.record, structures)[:, 0], index, one) for one in queries]


def rank_of(scores: np.ndarray, index: Index, one: Measurement) -> float:
    """The mean rank of the truth among those that tie with it."""
    assert one.structure is not None
    truth = index.library.rows_of(one.structure.inchikey14)
    if not len(truth):
        return float("inf")
    mine = scores[truth].max()
    return float((scores > mine).sum() + ((scores == mine).sum() + 1) / 2)


def figures(ranks: Sequence[float], owners: Sequence[str]) -> dict[str, object]:
    """Means over compounds, in percent, with 95% intervals by bootstrap over compounds."""
    _, place = np.unique(owners, return_inverse=True)
    out: dict[str, object] = {}
    for name, first in (("hit1", 1.5), ("hit10", 10.5)):
        hits = np.bincount(place, np.array(ranks) < first) / np.bincount(place)
        drawn = np.random.default_rng(1).integers(len(hits), size=(2000, len(hits)))
        low, high = np.percentile(hits[drawn].mean(axis=1), [2.5, 97.5])
        out[name] = f"{100 * hits.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"
    return out


if __name__ == "__main__":
    main()
