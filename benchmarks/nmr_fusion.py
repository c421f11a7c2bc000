"""What lists of 13C and 1H shifts are worth beside an MS/MS spectrum: the figures of docs/nmr/shifts.md.

    python benchmarks/nmr_fusion.py TABLE --work WORK --data DATASET --library INDEX [--fold test]

TABLE and WORK are those of `nmr_shifts.py`, whose network and prices are used; DATASET holds MS/MS spectra of the same
folds, and INDEX is one of the shipped bundle. Asked for are the compounds of folds `val` and `test` that have an MS/MS
spectrum and a list, twins of training compounds left out: one spectrum and one list of each nucleus, among candidates
within 10 ppm. MS/MS counts as the shipped bundle weighs it, with reference spectra of the compound itself left out; one
weight of it and four of the lists' evidence are fitted to `val`, cross-fitted over five parts where `val` is reported.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nmr_shifts import bare, rows

from molvis_core.records import Structure
from molvis_nmr_shifts.matching.lines import NUCLEI, Prices
from molvis_nmr_shifts.prediction.model import ShiftModel
from molvis_nmr_shifts.scorer import ShiftMatching
from molvis_retrieval import load_bundle
from molvis_retrieval.calibration import conditional_logit
from molvis_retrieval.calibration.compounds import by_compound, usable_records
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.index import Index

PPM, PENALTY, PARTS = 10.0, 0.002, 5
COLUMNS = {"msms": slice(0, 1), "13C": slice(1, 3), "1H": slice(3, 5)}


@dataclass(frozen=True)
class Compound:
    """Evidence for the candidates of a compound: columns by what was measured, and the truth's place."""

    truth: int
    columns: dict[str, np.ndarray]


def compounds(options: argparse.Namespace, fold: str, matching: ShiftMatching) -> Iterator[Compound]:
    bundle, index, dataset = load_bundle("massbank"), Index.open(options.library), Dataset.open(options.data)
    weigh, rng = Weigher(bundle), np.random.default_rng(0)
    lists: dict[str, dict[str, Any]] = {}
    every = rows(options.table, fold)
    for one in every:
        if not one.twin and "." not in one.smiles:
            lists.setdefault(one.key, {}).setdefault(one.record.nucleus, bare(one.record))
    # Twins too are drawn from, so that the draw does not depend on what is left out.
    keys = {one.key for one in every}
    places = dataset.rows("msms", fold=fold, adducts=MAIN_ADDUCTS, min_peaks=2)
    spectra = [dataset.measurement("msms", int(r)) for r in places]
    known = [m for m in spectra if m.structure is not None and m.structure.inchikey14 in keys]
    for key, found in by_compound(known).items():
        records, masses = usable_records(weigh, ["msms"], found, 1, rng)
        if not masses or key not in lists:
            continue
        structures, vectors, truth = candidates(index, bundle, float(np.median(masses)), found["msms"][0].structure)
        if len(structures) < 2:
            continue
        cosine = bundle.embed("msms", records["msms"]) @ vectors.T
        scored = weigh.without([key]).score(
            {"msms": records["msms"]}, {"msms": cosine}, lambda some, all_=structures: [all_[i] for i in some]
        )
        columns = {"msms": scored.logits[:, None]}
        for place, nucleus in enumerate(NUCLEI):
            if (record := lists[key].get(nucleus)) is not None:
                columns[nucleus] = matching(record, structures)[:, 2 * place : 2 * place + 2]
        yield Compound(truth, columns)


def candidates(index: Index, bundle: Any, mass: float, own: Structure) -> tuple[list[Structure], np.ndarray, int]:
    """Structures within 10 ppm, the true one among them, their vectors, and its place."""
    places = index.library.within_ppm(mass, PPM)
    structures, vectors = list(index.library.structures(places)), index.take(places)
    truth = next((i for i, s in enumerate(structures) if s.inchikey14 == own.inchikey14), len(structures))
    if truth == len(structures):
        structures.append(own)
        vectors = np.concatenate([vectors, bundle.embed("structure", [own])])
    return structures, vectors, truth


def values(one: Compound, kinds: Sequence[str]) -> np.ndarray:
    out = np.zeros((len(one.columns["msms"]), 5))
    for kind in kinds:
        if kind in one.columns:
            out[:, COLUMNS[kind]] = one.columns[kind]
    return out


def fitted(some: Sequence[Compound]) -> np.ndarray:
    """Weights of the columns; of each compound all that was measured, each alone, and MS/MS with each list."""
    cases = []
    for one in some:
        lists = [kind for kind in one.columns if kind != "msms"]
        subsets = [("msms",), ("msms", *NUCLEI), *((n,) for n in lists), *(("msms", n) for n in lists)]
        cases += [(values(one, kinds), one.truth, 1 / len(subsets)) for kinds in subsets]
    return conditional_logit.fit_bounded(cases, PENALTY, [0])[0]


def judged(one: Compound, kinds: Sequence[str], weights: np.ndarray) -> tuple[float, float, float]:
    """Log-loss of the truth, whether it is first, and whether it is among the first five."""
    logits = values(one, kinds) @ weights
    above, ties = (logits > logits[one.truth]).sum(), (logits == logits[one.truth]).sum()
    loss = float(np.logaddexp.reduce(logits) - logits[one.truth])
    return loss, float(1 / ties if not above else 0.0), float(above + (ties + 1) / 2 <= 5.5)


def report(pairs: Sequence[tuple[Compound, np.ndarray]], lists: Sequence[str]) -> dict[str, Any]:
    """Figures of the compounds that have these lists, with 95% intervals over compounds drawn again."""
    mine = [(one, weights) for one, weights in pairs if set(lists) <= set(one.columns)]
    drawn = np.random.default_rng(3).integers(len(mine), size=(2000, len(mine)))

    def interval(some: np.ndarray) -> str:
        low, high = np.quantile(some[drawn].mean(axis=1), [0.025, 0.975])
        return f"{some.mean():.3f} ({low:.3f} to {high:.3f})"

    subsets = [("msms",), *((n,) for n in lists), ("msms", *lists)]
    found = {kinds: np.array([judged(one, kinds, w) for one, w in mine]) for kinds in subsets}
    better = min(subsets[:-1], key=lambda kinds: found[kinds][:, 0].mean())
    names = ("log-loss", "hit@1", "hit@5")
    return {
        "compounds": len(mine), "candidates, median": float(np.median([len(one.columns["msms"]) for one, _ in mine])),
        **{" + ".join(k): {n: interval(v[:, i]) for i, n in enumerate(names)} for k, v in found.items()},
        "better alone": " + ".join(better),
        "difference to it": {n: interval(found[subsets[-1]][:, i] - found[better][:, i]) for i, n in enumerate(names)},
        "errors, together and better alone": [float((1 - found[k][:, 1]).sum()) for k in (subsets[-1], better)],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--fold", choices=("val", "test"), default="val")
    options = parser.parse_args()
    matching = ShiftMatching()
    matching.take(ShiftModel.load(options.work))
    for nucleus in NUCLEI:
        stated = (options.work / f"prices-{nucleus}.json").read_text(encoding="utf-8")
        matching.prices[nucleus] = Prices(**json.loads(stated))
    val = list(compounds(options, "val", matching))
    pairs = []
    if options.fold == "val":
        part = np.random.default_rng(2).permutation(len(val)) % PARTS
        for number in range(PARTS):
            weights = fitted([one for one, own in zip(val, part, strict=True) if own != number])
            pairs += [(one, weights) for one, own in zip(val, part, strict=True) if own == number]
    else:
        weights = fitted(val)
        pairs = [(one, weights) for one in compounds(options, "test", matching)]
    out = {" + ".join(lists): report(pairs, lists) for lists in (["13C"], ["1H"], ["13C", "1H"])}
    (options.work / f"fusion-{options.fold}.json").write_text(json.dumps(out, indent=1), encoding="utf-8")
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
