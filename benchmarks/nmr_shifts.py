"""How well shifts are predicted, and structures found by them: the figures of docs/nmr/shifts.md.

    python benchmarks/nmr_shifts.py train TABLE --work WORK [--epochs 24] [--until 19:00]
    python benchmarks/nmr_shifts.py errors TABLE --work WORK --fold val
    python benchmarks/nmr_shifts.py ranks TABLE --work WORK --library STRUCTURES --fold val [--most 200]
    python benchmarks/nmr_shifts.py whole TABLE --work WORK --library STRUCTURES --fold val [--size 20000]

TABLE is nmr_shifts.parquet, whose licence is unverified: the network stays in WORK. `train` learns from the fold
`train`; it goes on where it was interrupted, and with --until it takes as many epochs, of as many compounds, as there
is time for. `errors` looks at signals whose atoms the source knows. `ranks` looks at one list of each compound, among
structures within 10 ppm of its mass, `whole` at a drawn part of the library without a mass, or at all of it where
`--size` is as large.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import StructureError
from molvis_core.records import ShiftList
from molvis_nmr_shifts.library import PredictedLibrary, write_library
from molvis_nmr_shifts.matching.fitting import fit_among, fit_prices
from molvis_nmr_shifts.matching.lines import USUAL, Lines, Prices, likelihoods, lines_of
from molvis_nmr_shifts.prediction.environments import EnvironmentTable
from molvis_nmr_shifts.prediction.graphs import graph_of, solvent_place
from molvis_nmr_shifts.prediction.learning import NORMAL_QUANTILE, Course, learn, signal_shift
from molvis_nmr_shifts.prediction.lessons import Lesson, lessons_of
from molvis_nmr_shifts.prediction.model import ShiftModel
from molvis_nmr_shifts.prediction.network import ShiftNetwork
from molvis_nmr_shifts.readers.items import solvent_of

SETTINGS = {"width": 128, "layers": 5}
PPM = 10.0
TWIN = 0.6
COLUMNS = (
    "smiles", "inchikey14", "exact_mass", "nucleus", "solvent", "shifts", "atoms", "assignment", "assignment_p",
    "multiplicity", "n_nuclei", "fold", "train_twin_tanimoto",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One list of the table."""

    record: ShiftList
    smiles: str
    key: str
    mass: float
    known: bool
    twin: bool


def rows(table: Path, fold: str, *, sure: float = 0.9) -> list[Row]:
    """Lists of 13C and 1H. The table's SMILES are those that RDKit writes, so that its atoms need no new order."""
    found = pq.read_table(
        table, columns=list(COLUMNS), filters=[("fold", "==", fold), ("nucleus", "in", ["13C", "1H"])]
    )
    out: list[Row] = []
    for row in found.to_pylist():
        groups, chances = row["atoms"] or [], row["assignment_p"] or []
        kept = [g if p is not None and p >= sure else [] for g, p in zip(groups, chances, strict=True)]
        proton = row["nucleus"] == "1H"
        record = ShiftList(
            np.array(row["shifts"]), row["nucleus"], np.array(row["n_nuclei"], float) if proton else None,
            multiplicity=() if proton else tuple(m or "" for m in row["multiplicity"]),
            atoms=tuple(",".join(map(str, g)) for g in kept) if any(kept) else (), solvent=solvent_of(row["solvent"]),
        )  # fmt: skip
        known, twin = row["assignment"] == "source", row["train_twin_tanimoto"] >= TWIN
        out.append(Row(record, row["smiles"], row["inchikey14"], row["exact_mass"], known, twin))
    return out


def lessons(some: Sequence[Row]) -> list[Lesson]:
    return lessons_of((one.record, one.smiles) for one in some)


def train(options: argparse.Namespace) -> None:
    """Train the network, and fit what an alignment costs."""
    until = seconds_until(options.until) if options.until else math.inf
    began = time.monotonic()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = ShiftNetwork(**SETTINGS)
    every = rows(options.table, "train")
    rng = np.random.default_rng(0)
    known = {one.smiles for one in every if one.known}
    others = sorted({one.smiles for one in every} - known)
    epochs, share = options.epochs, 1.0
    if until < math.inf:
        pace = pace_of(network, lessons(every[:300]))
        left = 0.75 * (until - (time.monotonic() - began)) / pace
        epochs = int(np.clip(left / (len(known) + len(others)), 4, options.epochs))
        share = float(np.clip((left / epochs - len(known)) / max(len(others), 1), 0.0, 1.0))
        print(
            f"{pace * 1000:.1f} ms a molecule: {epochs} epochs, {100 * share:.0f}% of the inferred compounds",
            flush=True,
        )
        torch.manual_seed(0)
        network = ShiftNetwork(**SETTINGS)
    drawn = known | {others[i] for i in rng.permutation(len(others))[: int(share * len(others))]}
    learning = lessons([one for one in every if one.smiles in drawn])
    held_out = lessons([one for one in rows(options.table, "val") if one.known])
    print(f"{len(learning)} lessons, {len(held_out)} held out, {time.monotonic() - began:.0f} s", flush=True)
    course = Course(epochs, max(2, epochs // 3), max(2, epochs // 3))
    kept = options.work / "checkpoint"
    kept.mkdir(exist_ok=True)
    figures = learn(
        network, learning, held_out, course, checkpoint=kept,
        progress=lambda done: print(f"epoch {done} of {epochs}, {time.monotonic() - began:.0f} s", flush=True),
    )  # fmt: skip
    ShiftModel.learned(network, SETTINGS, learning, held_out).save(options.work)
    note = {"epochs": epochs, "lessons": len(learning), "seconds": time.monotonic() - began, **figures}
    (options.work / "trained.json").write_text(json.dumps(note, indent=1), encoding="utf-8")
    print(note, flush=True)


def seconds_until(clock: str) -> float:
    hour, minute = (int(t) for t in clock.split(":"))
    now = dt.datetime.now()
    return (now.replace(hour=hour, minute=minute, second=0) - now).total_seconds()


def pace_of(network: ShiftNetwork, some: Sequence[Lesson]) -> float:
    """Wall seconds of training on one molecule."""
    began = time.monotonic()
    learn(network, [one for one in some if one.guessed], [], Course(1, 9, 9))
    return (time.monotonic() - began) / max(len(some), 1)


def errors(options: argparse.Namespace) -> None:
    """Errors of signals whose atoms the source knows: of the network, and of tables of environments."""
    model = ShiftModel.load(options.work)
    found = [one for one in rows(options.table, options.fold) if one.known]
    tables = EnvironmentTable.of(lessons(rows(options.table, "train")))
    out: dict[str, Any] = {}
    for nucleus in ("13C", "1H"):
        mine = [one for one in found if one.record.nucleus == nucleus]
        for name, some in (("strict", [one for one in mine if not one.twin]), ("all", mine)):
            out[f"{nucleus} {name}"] = accuracy(model, tables, some, nucleus)
            print(nucleus, name, json.dumps(out[f"{nucleus} {name}"]), flush=True)
    (options.work / f"errors-{options.fold}.json").write_text(json.dumps(out, indent=1), encoding="utf-8")


def accuracy(model: ShiftModel, tables: EnvironmentTable, some: Sequence[Row], nucleus: str) -> dict[str, Any]:
    """Mean absolute errors with intervals over compounds drawn again, and how many shifts lie in the 90% intervals."""
    by_compound: dict[str, list[tuple[float, float, float]]] = {}
    for one in some:
        (lesson,) = lessons([one])
        ((shifts, scales),) = model.predict([lesson.graph], lesson.solvent)
        usual = tables.predict(one.smiles)[nucleus][0]
        for signal in (s for s in lesson.signals if s.atoms):
            atoms = list(signal.atoms)
            off = abs(signal_shift(signal, shifts, lesson) - signal.shift)
            sd = float(scales[atoms, int(nucleus == "1H")].mean()) * model.spread[nucleus]
            table = float(np.nanmean(usual[atoms])) if np.isfinite(usual[atoms]).any() else math.nan
            by_compound.setdefault(one.key, []).append(
                (off, float(off <= NORMAL_QUANTILE * sd), abs(table - signal.shift))
            )
    groups = [np.array(values) for values in by_compound.values()]
    return {
        "signals": sum(map(len, groups)), "compounds": len(groups), "mae": interval(groups, 0),
        "median": float(np.median(np.concatenate(groups)[:, 0])), "coverage": interval(groups, 1),
        "tables": interval(groups, 2),
    }  # fmt: skip


def interval(groups: Sequence[np.ndarray], column: int) -> str:
    """A mean over signals with its 95% interval, compounds drawn again."""
    sums = np.array([np.nansum(g[:, column]) for g in groups])
    counts = np.array([np.isfinite(g[:, column]).sum() for g in groups])
    drawn = np.random.default_rng(1).integers(len(groups), size=(1000, len(groups)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    return f"{sums.sum() / counts.sum():.3f} ({low:.3f} to {high:.3f})"


@dataclass(frozen=True)
class Candidates:
    """Structures to rank among, by mass."""

    smiles: np.ndarray
    keys: np.ndarray
    masses: np.ndarray

    @classmethod
    def of(cls, library: Path, truths: Sequence[Row]) -> Candidates:
        """Those of a library and of the queries, each connectivity once: the last that has it."""
        table = pq.read_table(library, columns=["smiles", "inchikey14", "exact_mass"]).to_pandas()
        own = {one.key: (one.smiles, one.mass) for one in truths}
        table = table[~table.inchikey14.isin(list(own))].drop_duplicates("inchikey14")
        smiles = np.array([*table.smiles, *(s for s, _ in own.values())], dtype=object)
        keys = np.array([*table.inchikey14, *own], dtype=object)
        masses = np.array([*table.exact_mass, *(m for _, m in own.values())], dtype=float)
        order = np.argsort(masses, kind="stable")
        return cls(smiles[order], keys[order], masses[order])

    def near(self, mass: float) -> np.ndarray:
        """Places of those within 10 ppm of a mass."""
        low, high = np.searchsorted(self.masses, [mass * (1 - PPM * 1e-6), mass * (1 + PPM * 1e-6)])
        return np.arange(low, high)


class Lists:
    """Predicted lines of structures, kept."""

    def __init__(self, model: ShiftModel) -> None:
        self.model, self.kept = model, {}

    def __call__(self, smiles: Sequence[str], nucleus: str, solvent: int = 0) -> Lines:
        """Those of one nucleus, predicted where they are not known."""
        fresh = [s for s in dict.fromkeys(smiles) if (s, solvent) not in self.kept]
        graphs = []
        for text in fresh:
            try:
                graphs.append(graph_of(text))
            except StructureError:
                graphs.append(graph_of("C"))
        for text, graph, found in zip(fresh, graphs, self.model.predict(graphs, solvent), strict=True):
            self.kept[text, solvent] = {n: lines_of(graph, *found, n) for n in ("13C", "1H")}
        return Lines.joined([self.kept[text, solvent][nucleus] for text in smiles])


def queries(options: argparse.Namespace, fold: str, nucleus: str) -> list[Row]:
    """One list of each compound of a fold, drawn by seed 0; twins of training compounds are left out."""
    first: dict[str, Row] = {}
    for one in rows(options.table, fold):
        if one.record.nucleus == nucleus and not one.twin and "." not in one.smiles:
            first.setdefault(one.key, one)
    some = list(first.values())
    chosen = np.sort(np.random.default_rng(0).permutation(len(some))[: options.most])
    return [some[i] for i in chosen]


def bare(record: ShiftList) -> ShiftList:
    return replace(record, multiplicity=(), atoms=(), intensity=None)


def ranks(options: argparse.Namespace) -> None:
    """Ranks of the truth within 10 ppm of its mass, with controls; prices are fitted on `val`."""
    model = ShiftModel.load(options.work)
    lists = Lists(model)
    out: dict[str, Any] = {}
    for nucleus in options.nuclei:
        prices = fitted(options, lists, nucleus)
        some = queries(options, options.fold, nucleus)
        candidates = Candidates.of(options.library, [*rows(options.table, options.fold), *some])
        out[nucleus] = within(some, candidates, lists, prices, nucleus)
        print(nucleus, json.dumps(out[nucleus], indent=1), flush=True)
    (options.work / f"ranks-{options.fold}.json").write_text(json.dumps(out, indent=1), encoding="utf-8")


def fitted(options: argparse.Namespace, lists: Lists, nucleus: str) -> Prices:
    """Prices of a nucleus, fitted once on validation compounds that `ranks --fold val` leaves out."""
    file = options.work / f"prices-{nucleus}.json"
    if file.exists():
        return Prices(**json.loads(file.read_text(encoding="utf-8")))
    fitting = argparse.Namespace(**{**vars(options), "most": 10**9})
    every = queries(fitting, "val", nucleus)
    measured = {one.key for one in queries(options, "val", nucleus)}
    some = [one for one in every if one.key not in measured][: options.fit]
    candidates = Candidates.of(options.library, some)
    rng = np.random.default_rng(2)
    cases, known = [], []
    for one in some:
        places = candidates.near(one.mass)
        truth = places[candidates.keys[places] == one.key]
        others = rng.permutation(places[candidates.keys[places] != one.key])[:30]
        if len(truth) and len(others):
            mine = np.concatenate([truth[:1], others])
            solvent = solvent_place(one.record.solvent)
            record = one.record if nucleus == "13C" and len(known) % 2 == 0 else bare(one.record)
            cases.append((record, lists(candidates.smiles[mine].tolist(), nucleus, solvent), 0))
            known.append(mine)
    if nucleus == "13C":
        pool = np.unique(np.concatenate(known))
        taken = [np.searchsorted(pool, mine) for mine in known]
        prices = fit_among(cases, lists(candidates.smiles[pool].tolist(), nucleus), taken, USUAL[nucleus])
    else:
        prices = fit_prices(cases, USUAL[nucleus])
    file.write_text(json.dumps({k: getattr(prices, k) for k in prices.__slots__}), encoding="utf-8")
    print("prices", prices, "on", len(cases), flush=True)
    return prices


def within(some: Sequence[Row], candidates: Candidates, lists: Lists, prices: Prices, nucleus: str) -> dict[str, Any]:
    """Shares of queries whose truth is first and among the first five, by method."""
    places: dict[str, list[float]] = {}
    sizes: list[int] = []
    by_mass = sorted(some, key=lambda one: one.mass)
    for number, one in enumerate(by_mass):
        near = candidates.near(one.mass)
        truth = int(np.flatnonzero(candidates.keys[near] == one.key)[0])
        sizes.append(len(near))
        lines = lists(candidates.smiles[near].tolist(), nucleus, solvent_place(one.record.solvent))
        other = by_mass[number - 1 if number else 1]
        counts, mixed = np.diff(lines.starts), np.random.default_rng(number).permutation(len(near))
        scores = {
            "matching": likelihoods(bare(one.record), lines, prices),
            "with multiplicity": likelihoods(one.record, lines, prices),
            "decoy: the list of the compound nearest in mass": likelihoods(bare(other.record), lines, prices),
            "shuffled predictions": likelihoods(bare(one.record), lines, prices)[mixed],
            "number of lines alone": -np.abs(counts - len(one.record)).astype(float),
            "number of carbons alone": -np.abs(carbons(candidates.smiles[near]) - len(one.record)).astype(float),
            "random": np.zeros(len(near)),
        }  # fmt: skip
        for name, score in scores.items():
            mine = score[truth]
            places.setdefault(name, []).append(place_of(score, mine))
    return {
        "queries": len(some), "candidates": f"median {np.median(sizes):.0f}, mean {np.mean(sizes):.0f}",
        "alone": int(sum(size == 1 for size in sizes)),
        **{name: figures(values) for name, values in places.items()},
    }  # fmt: skip


def place_of(scores: np.ndarray, mine: float) -> float:
    """The place of a score among all; the mean of its places where it ties."""
    return float((scores > mine).sum() + ((scores == mine).sum() + 1) / 2)


def place_in(places: np.ndarray, scores: np.ndarray, keys: np.ndarray, key: str) -> float:
    """The place of a compound among the best of a library; infinite where it is none of them."""
    own = np.flatnonzero(keys[places] == key)
    return place_of(scores, scores[own].max()) if len(own) else math.inf


def carbons(smiles: Sequence[str]) -> np.ndarray:
    return np.array([sum(a.GetAtomicNum() == 6 for a in parse_smiles(s).GetAtoms()) for s in smiles])


def figures(values: Sequence[float]) -> str:
    """hit@1, @5 and @10 in percent with Wilson's 95% intervals; a truth that ties has the mean of its places."""
    out = []
    for k in (1, 5, 10):
        hits = float(np.mean(np.array(values) < k + 0.5))
        n, z = len(values), 1.959964
        middle = (hits + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(hits * (1 - hits) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        out.append(f"@{k} {100 * hits:.1f} ({100 * (middle - half):.1f} to {100 * (middle + half):.1f})")
    return ", ".join(out)


def whole(options: argparse.Namespace) -> None:
    """Ranks in a drawn part of the library, without a mass."""
    model = ShiftModel.load(options.work)
    some = queries(options, options.fold, "13C")
    candidates = Candidates.of(options.library, some)
    truths = {one.key for one in some}
    own = np.flatnonzero([key in truths for key in candidates.keys])
    drawn = np.random.default_rng(3).permutation(len(candidates.keys))[: options.size]
    rows_kept = np.union1d(own, drawn)
    folder = options.work / f"library-{options.fold}-{len(rows_kept)}"
    if not folder.exists():
        write_library(folder, candidates.smiles[rows_kept].tolist(), model, lambda n: print(n, flush=True))
    library = PredictedLibrary.open(folder, model)
    prices = fitted(options, Lists(model), "13C")
    keys = candidates.keys[rows_kept]
    values: list[float] = []
    stated: list[float] = []
    decoys: list[float] = []
    taken: list[float] = []
    for number, one in enumerate(some):
        began = time.process_time()
        values.append(place_in(*library.best(bare(one.record), prices), keys, one.key))
        taken.append(time.process_time() - began)
        stated.append(place_in(*library.best(one.record, prices), keys, one.key))
        if number % 4 == 0:
            other = library.best(bare(some[number - 1].record), prices)
            decoys.append(place_in(*other, keys, one.key))
    out = {
        "structures": len(keys),
        "queries": len(some),
        "matching": figures(values),
        "with multiplicity": figures(stated),
        "decoy: another compound's list": figures(decoys),
        "seconds": [float(np.median(taken)), float(np.mean(taken))],
    }
    print(json.dumps(out, indent=1), flush=True)
    (options.work / f"whole-{options.fold}.json").write_text(json.dumps(out, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "errors", "ranks", "whole"))
    parser.add_argument("table", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--fold", default="val")
    parser.add_argument("--nuclei", nargs="+", default=["13C"])
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--until", default="", help="HH:MM by which training is to end")
    parser.add_argument("--most", type=int, default=200, help="compounds that are ranked, drawn by seed 0")
    parser.add_argument("--fit", type=int, default=400, help="other validation compounds that prices are fitted on")
    parser.add_argument("--size", type=int, default=20_000, help="structures drawn for `whole`")
    options = parser.parse_args()
    {"train": train, "errors": errors, "ranks": ranks, "whole": whole}[options.what](options)


if __name__ == "__main__":
    main()
