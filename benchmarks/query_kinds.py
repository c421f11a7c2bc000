"""How the shipped bundle ranks two kinds of queries that an evaluation does not tell apart.

    python benchmarks/query_kinds.py --dataset work/dataset --index index [--fold test]

*Crowded*: spectra with more than a hundred candidates within 10 ppm. *Known*: spectra of compounds of which another
contributor's spectra are among the references. For each contributor, an index of the fold's spectra of all others is
added to what the bundle holds, which has learned from none of these compounds; beside it without that index. Decoys
have the peaks of the compound of the fold that is nearest in mass. Hit rates are means over compounds, with 95%
bootstrap intervals. Writes benchmarks/results/query_kinds.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.chemistry.adducts import neutral_mass
from molvis_files.writing import write_text
from molvis_msms.references.index import References
from molvis_retrieval import Bundle, load_bundle, metrics
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.queries import Selected, embed_queries, known_rows, selected_records
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS
from molvis_retrieval.evaluation.windows import Ranked, WindowRanking
from molvis_retrieval.index import Index

RESULTS = Path(__file__).parent / "results" / "query_kinds.json"
PPM = 10.0
MANY = 100
PER_COMPOUND = 6
"""Spectra of a compound that are asked for, of each contributor."""


@dataclass(frozen=True)
class Fold:
    """The queries of a fold, as measured and as decoys.

    Attributes:
        measured, decoys: the same queries, with their own peaks and with another compound's.
        candidates: structures of the library within 10 ppm of each.
        contributor, ionmode: of each.
    """

    measured: Selected
    decoys: Selected
    candidates: np.ndarray
    contributor: np.ndarray
    ionmode: np.ndarray

    @classmethod
    def read(cls, dataset: Dataset, index: Index, fold: str) -> Fold:
        """Every query of a fold that an evaluation asks for."""
        rows, keys = known_rows(dataset, "msms", dataset.rows("msms", fold=fold, adducts=MAIN_ADDUCTS, min_peaks=2))
        measured = selected_records(dataset, "msms", rows, keys, np.random.default_rng(0))
        tampered = selected_records(dataset, "msms", rows, keys, np.random.default_rng(0), decoy=True)
        masses = [neutral_mass(one.precursor_mz, one.adduct) for one in measured.records]
        near = np.array([len(index.library.within_ppm(mass, PPM)) for mass in masses])
        table = dataset.table("msms").take(rows)
        who, mode = (np.array(table[name].to_pylist()) for name in ("contributor", "ionmode"))
        return cls(measured, tampered, near, who, mode)

    def known_elsewhere(self) -> np.ndarray:
        """Which queries are of a compound that another contributor measured in the same ion mode."""
        by: dict[tuple[str, str], set[str]] = {}
        for key, mode, who in zip(self.measured.keys, self.ionmode, self.contributor, strict=True):
            by.setdefault((key, mode), set()).add(who)
        return np.array([len(by[key, mode]) > 1 for key, mode in zip(self.measured.keys, self.ionmode, strict=True)])


def some_of(selected: Selected, places: np.ndarray) -> Selected:
    """Some of the queries."""
    records = [selected.records[place] for place in places.tolist()]
    return replace(selected, rows=selected.rows[places], keys=selected.keys[places], records=records)


def ranked(bundle: Bundle, index: Index, queries: Selected) -> dict[str, Ranked]:
    """Ranks of the truths within the mass window, by embedding and reranked."""
    asked = embed_queries(queries, bundle, index, None, quiet)
    return WindowRanking(bundle, index, asked, PPM, True, quiet).among("mass")


def quiet(done: int, total: int, what: str = "") -> None:
    """Progress that nobody reads: a contributor takes seconds."""


def figures(found: Sequence[tuple[np.ndarray, Ranked]]) -> dict[str, Any]:
    """Hit rates of queries that were ranked in several goes."""
    keys = np.concatenate([some for some, _ in found])
    rank, tied, count = (
        np.concatenate([getattr(one, name) for _, one in found]) for name in ("rank", "tied", "count")
    )  # fmt: skip
    estimates = {name: asdict(value) for name, value in metrics.retrieval(rank, keys, tied=tied).items()}
    chance = {f"hit{k}": asdict(metrics.bootstrap(metrics.chance(count, k), keys)) for k in metrics.CUTOFFS}
    return {
        "spectra": len(keys), "compounds": len(np.unique(keys)), "median_candidates": float(np.median(count)),
        "estimates": estimates, "chance": chance,
    }  # fmt: skip


def crowded(bundle: Bundle, index: Index, fold: Fold) -> dict[str, Any]:
    """Queries of more than a hundred candidates."""
    places = np.flatnonzero(fold.candidates > MANY)
    out: dict[str, Any] = {}
    for name, queries in (("spectrum", fold.measured), ("decoy", fold.decoys)):
        some = some_of(queries, places)
        out |= {f"{name}, {method}": figures([(some.keys, one)]) for method, one in ranked(bundle, index, some).items()}
    return out


def known(bundle: Bundle, index: Index, fold: Fold) -> dict[str, Any]:
    """Queries of compounds that others measured, with the others' spectra as references and without."""
    rng = np.random.default_rng(1)
    every = fold.known_elsewhere()
    found: dict[str, list[tuple[np.ndarray, Ranked]]] = {}
    for who in np.unique(fold.contributor[every]).tolist():
        mine = np.flatnonzero(every & (fold.contributor == who))
        keys = fold.measured.keys[mine]
        places = np.concatenate([rng.permutation(mine[keys == key])[:PER_COMPOUND] for key in np.unique(keys)])
        others = fold.measured.rows[fold.contributor != who]
        with tempfile.TemporaryDirectory() as folder:
            References.of([fold.measured.dataset.measurement("msms", int(r)) for r in others], Path(folder) / "others")
            more = bundle.with_references(Path(folder) / "others")
            for name, one, queries in (
                ("references", more, fold.measured), ("none", bundle, fold.measured), ("decoy", more, fold.decoys),
            ):  # fmt: skip
                some = some_of(queries, places)
                found.setdefault(name, []).append((some.keys, ranked(one, index, some)["reranked"]))
        print(f"{who}: {len(places)} spectra ranked", flush=True)
    return {name: figures(some) for name, some in found.items()}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--bundle", default="massbank")
    parser.add_argument("--fold", default="test")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    bundle, index = load_bundle(options.bundle), Index.open(options.index)
    fold = Fold.read(Dataset.open(options.dataset), index, options.fold)
    found = {"bundle": bundle.name, "fold": options.fold}
    found |= {"crowded": crowded(bundle, index, fold), "known": known(bundle, index, fold)}
    write_text(options.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
