"""Strangers' spectra: each of the largest contributors of a table left out of training, and its spectra ranked.

    python benchmarks/contributors.py --dataset work/dataset --structures structures.parquet --work work/contributors

For a contributor, the scorers learn from the training fold without its spectra and without the compounds that only it
measured; those are no candidates in training either. Its compounds of the training fold are then the queries: nothing
of this run, and no setting of a scorer, was ever chosen on them. Every part is kept in a folder of its own under
`--work`, so that an interrupted run goes on where it was; `--contributor NAME` runs one of them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.interfaces import Learns
from molvis_core.records import PeakList, RankedQuery, Structure
from molvis_files.writing import replacing, replacing_folder, write_text
from molvis_msms.forward.matching import beside
from molvis_msms.forward.remembered import Remembered
from molvis_msms.forward.settings import Setting
from molvis_msms.peak_fragments.cases import NOISE, Cases, case, join
from molvis_msms.peak_fragments.learning import _PIECE
from molvis_msms.scorers.learned_fragments import LearnedFragments
from molvis_msms.scorers.nearest_spectra import NearestSpectra
from molvis_msms.scorers.predicted_spectrum import PredictedSpectrum, informative
from molvis_retrieval import metrics
from molvis_retrieval.calibration import conditional_logit
from molvis_retrieval.config import DataConfig, WindowsConfig
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.queries import decoys, known_rows
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS
from molvis_retrieval.library import Library
from molvis_retrieval.parents import parent
from molvis_retrieval.training.windows import Windows

ROOT = Path(__file__).parents[1]
LARGEST = 6
PPM = 10.0
PIECE = 100
PENALTY = 0.002
ASKED = 300
"""Compounds of a contributor that are asked for at most, and half as many that weights are fitted to."""
PARTS = ("fragments", "predicted", "references")
COLUMNS = (
    "fragments.logit", "predicted.likelihood", "predicted.cosine", "references.nearest", "references.same-compound",
)  # fmt: skip
GROUPS = ("all", "new", "new, no twin", "others measured it too")
FIGURES = (*(f"{kind}.hit{k}" for kind in ("spectrum", "noise", "decoy", "random") for k in (1, 5, 20)), "noise costs")
METHODS = {"all": (0, 1, 2, 3), "fragments": (0,), "predicted": (1, 2)}
"""Columns whose weights are fitted. That of `same-compound` is a logit by itself: its weight is 1, as in a bundle."""


@dataclass(frozen=True)
class Others(Dataset):
    """A dataset of which the rows of one contributor are not found."""

    without: str = ""

    def rows(
        self, modality: str, *, fold: str | None = None, adducts: Sequence[str] = (), min_peaks: int = 0
    ) -> np.ndarray:
        """Rows of the others that fit."""
        found = super().rows(modality, fold=fold, adducts=adducts, min_peaks=min_peaks)
        mine = np.array(self.table(modality)["contributor"].to_pylist()) == self.without
        return found[~mine[found]]


@dataclass(frozen=True)
class Split:
    """What training is left with, and what is asked.

    Attributes:
        data: all spectra.
        library: all candidates, those of the dataset among them.
        contributor: left out.
    """

    data: Dataset
    library: Library
    contributor: str

    @cached_property
    def others(self) -> Others:
        """The spectra of the others."""
        return Others(self.data.path, self.data.metadata, self.contributor)

    @cached_property
    def own(self) -> frozenset[str]:
        """Compounds that only this contributor measured, as they were drawn and as their parents."""
        measured = parents_of(self.data)
        table = self.data.table("msms")
        pairs = set(zip(table["inchikey14"].to_pylist(), table["contributor"].to_pylist(), strict=True))
        theirs = {measured[key] for key, who in pairs if who != self.contributor}
        mine = {key for key, who in pairs if who == self.contributor and measured[key] not in theirs}
        return frozenset(mine | {measured[key] for key in mine})

    def queries(self) -> tuple[list[RankedQuery], list[RankedQuery]]:
        """What is learned from and validated with where candidates do not matter: the spectra of the others."""
        known = without(self.library, self.own)
        windows = Windows(self.others, known, DataConfig(path=""), WindowsConfig(4, 2, validation=2))
        return windows.training("msms"), windows.validation("msms")


def without(library: Library, compounds: Collection[str]) -> Library:
    """A library without some compounds, by the first blocks of their InChIKeys."""
    keys = [key.partition("-")[0] for key in library.table["inchikey"].to_pylist()]
    return Library(library.table.filter(np.array([key not in compounds for key in keys])).combine_chunks())


_PARENTS: dict[Path, dict[str, str]] = {}


def parents_of(data: Dataset) -> dict[str, str]:
    """First blocks of InChIKeys: of each compound of a dataset that of its parent."""
    if data.path not in _PARENTS:
        keys = data.table("msms")["inchikey14"].to_pylist()
        rows = {key: row for row, key in enumerate(keys)}
        _PARENTS[data.path] = {k: parent(data.structure("msms", row))[0].inchikey14 for k, row in rows.items()}
    return _PARENTS[data.path]


@dataclass(frozen=True)
class Scorers:
    """What is trained without a contributor: less than in the preset, to save time, and no `learned-fingerprint`."""

    fragments: LearnedFragments = field(default_factory=lambda: LearnedFragments(networks=1, epochs=3))
    predicted: PredictedSpectrum = field(default_factory=lambda: PredictedSpectrum(epochs=4))
    references: NearestSpectra = field(default_factory=NearestSpectra)

    def part(self, name: str) -> Learns:
        """One of `PARTS`."""
        return getattr(self, name)

    def columns(self, kinds: Sequence[PeakList], candidates: Sequence[Structure]) -> np.ndarray:
        """Evidence of `COLUMNS` for spectra of one ion, by spectrum and candidate; what is predicted is the same."""
        model = self.predicted.model
        assert model is not None
        out = np.zeros((len(kinds), len(candidates), len(COLUMNS)))
        made = list(Remembered(model, self.predicted.parts)(candidates, Setting.of(kinds[0])))
        for values, one in zip(out, kinds, strict=True):
            mz, share = informative(one)
            values[:, 0] = self.fragments(one, candidates)[:, 0]
            if len(mz):
                mass = one.precursor_mz or float(mz[-1])
                values[:, 1:3] = beside(mz, share, mass, made, self.predicted.tolerance).sums[:, :2]
            values[:, 3:] = self.references(one, candidates)[:, 1:3]
        return out


@dataclass(frozen=True)
class Prepared:
    """Queries for `learned-fragments` as arrays, made once for all contributors: that takes longest.

    Their rivals are none of the compounds that one of the contributors alone measured, and the foreign peaks that
    training mixes in are of spectra of nobody of them, so that leaving one out leaves nothing of it.

    Attributes:
        training, validation: queries, each with the contributor of its spectrum.
        cases: of both, by the name of the fold.
    """

    training: Sequence[RankedQuery]
    validation: Sequence[RankedQuery]
    contributors: dict[str, list[str]]
    cases: dict[str, list[Cases]]

    @classmethod
    def make(cls, data: Dataset, library: Library, names: Sequence[str], folder: Path) -> Prepared:
        """Prepare the queries of both folds, piece by piece."""
        own = frozenset().union(*(Split(data, library, name).own for name in names))
        windows = Windows(data, without(library, own), DataConfig(path=""), WindowsConfig(2, 12, validation=30))
        table = data.table("msms")
        owner = dict(zip(table["identifier"].to_pylist(), table["contributor"].to_pylist(), strict=True))
        queries = {"training": windows.training("msms"), "validation": windows.validation("msms")}
        who = {name: [owner[one.record.identifier] for one in some] for name, some in queries.items()}
        donors = [one for one, name in zip(queries["training"], who["training"], strict=True) if name not in names]
        cases: dict[str, list[Cases]] = {}
        for name, some in queries.items():
            cases[name] = []
            for start in range(0, len(some), _PIECE):
                file = folder / f"{name}-{start:05d}.npz"
                places = range(start, min(start + _PIECE, len(some)))
                cases[name] += _kept(file) or _prepared(file, some, places, donors if name == "training" else ())
                print(f"{name} queries: {places.stop} of {len(some)} prepared", flush=True)
        return cls(queries["training"], queries["validation"], who, cases)

    def without(self, name: str, folder: Path) -> tuple[list[RankedQuery], list[RankedQuery]]:
        """Queries of the others; their arrays are put where the scorer looks for what it has prepared already."""
        out: list[list[RankedQuery]] = []
        for fold, queries in (("training", self.training), ("validation", self.validation)):
            kept = [place for place, who in enumerate(self.contributors[fold]) if who != name]
            for number, start in enumerate(range(0, len(kept), _PIECE)):
                piece = join([self.cases[fold][place] for place in kept[start : start + _PIECE]])
                with replacing(folder / f"{fold}-{number:05d}.safetensors") as fresh:
                    save_file({f.name: getattr(piece, f.name) for f in fields(Cases)}, fresh)
            out.append([queries[place] for place in kept])
        return out[0], out[1]


def _kept(file: Path) -> list[Cases]:
    """A piece that was prepared before; nothing where it was not."""
    if not file.is_file():
        return []
    with np.load(file) as found:
        count = int(found["count"])
        return [Cases(**{f.name: found[f"{place}.{f.name}"] for f in fields(Cases)}) for place in range(count)]


def _prepared(
    file: Path, queries: Sequence[RankedQuery], places: Sequence[int], donors: Sequence[RankedQuery]
) -> list[Cases]:
    """Queries as arrays, with up to ten foreign peaks for training to mix in where there are donors of them."""
    made: list[Cases] = []
    for place in places:
        one, noise = queries[place], None
        if donors:
            rng = np.random.default_rng([11, place])
            other = donors[int(rng.integers(len(donors)))]
            mz = other.record.mz[other.record.mz < (one.record.precursor_mz or np.inf) - 0.5]
            mz = np.sort(rng.permutation(mz)[:NOISE]) if other.compound != one.compound else mz[:0]
            noise = mz, 10 ** rng.uniform(-2.5, -0.3, len(mz))
        made.append(case(one.record, one.candidates, one.truth, noise=noise))
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{i}.{f.name}": getattr(one, f.name) for i, one in enumerate(made) for f in fields(Cases)}
    with replacing(file) as fresh, fresh.open("wb") as stream:
        np.savez(stream, count=len(made), **arrays)
    return made


def train(split: Split, part: str, folder: Path, prepared: Prepared) -> None:
    """Train one scorer without the contributor, unless it has been."""
    if (folder / "learned").exists():
        return
    began, last = time.process_time(), [0.0]

    def say(done: int, total: int, what: str = "") -> None:
        if time.monotonic() - last[0] > 30:
            last[0] = time.monotonic()
            print(f"{split.contributor} {part}: {what} {done}/{total}", flush=True)

    scorer, state = Scorers().part(part), folder / "state"
    state.mkdir(parents=True, exist_ok=True)
    if part == "fragments":
        examples, validation = prepared.without(split.contributor, state)
    else:
        examples, validation = split.queries()
    figures = scorer.learn(examples, validation, seed=0, progress=say, checkpoint=state)
    with replacing_folder(folder / "learned") as fresh:
        scorer.save(fresh)
    cpu = time.process_time() - began
    print(f"{split.contributor} {part}: {len(examples)} queries, {cpu:.0f} CPU s, {dict(figures)}", flush=True)


def largest(data: Dataset, count: int = LARGEST) -> list[str]:
    """Contributors by the number of compounds that they measured."""
    table = data.table("msms")
    pairs = set(zip(table["contributor"].to_pylist(), table["inchikey14"].to_pylist(), strict=True))
    names = Counter(who for who, key in pairs if key)
    return [who for who, _ in sorted(names.items(), key=lambda one: (-one[1], one[0]))[:count]]


@dataclass(frozen=True)
class Queries:
    """Spectra with what they are ranked among, compounds one after the other.

    Attributes:
        rows: of the dataset.
        keys: compound of each.
        kinds: the spectra as measured and tampered with, by the kind.
    """

    rows: np.ndarray
    keys: np.ndarray
    kinds: dict[str, list[Any]]


def chosen_rows(data: Dataset, rows: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One row of each of so many compounds at random, and the compounds; fewer are the first of more."""
    rows, keys = known_rows(data, "msms", rows)
    rng = np.random.default_rng(seed)
    places = [int(rng.choice(np.flatnonzero(keys == key))) for key in np.unique(keys)]
    chosen = rng.permutation(places)[:count]
    return rows[chosen], keys[chosen]


def strangers(split: Split) -> Queries:
    """The contributor's spectra of compounds of the training fold; noise and decoys are of its own other spectra."""
    every = split.data.rows("msms", fold="train", adducts=MAIN_ADDUCTS, min_peaks=2)
    mine = np.setdiff1d(every, split.others.rows("msms", fold="train", adducts=MAIN_ADDUCTS, min_peaks=2))
    rows, keys = chosen_rows(split.data, mine, ASKED, 0)
    records = [split.data.record("msms", int(row)) for row in rows]
    masses = split.data.table("msms")["exact_mass"].take(rows).to_numpy()
    rng = np.random.default_rng(2)
    noise = [with_noise(records, keys, place, rng) for place in range(len(records))]
    return Queries(rows, keys, {"spectrum": records, "noise": noise, "decoy": decoys(records, keys, masses, rng)})


def validating(split: Split) -> Queries:
    """What the weights are fitted to: spectra of validation compounds, none of the contributor's."""
    rows = split.others.rows("msms", fold="val", adducts=MAIN_ADDUCTS, min_peaks=2)
    rows, keys = chosen_rows(split.data, rows, ASKED // 2, 1)
    return Queries(rows, keys, {"spectrum": [split.data.record("msms", int(row)) for row in rows]})


def with_noise(records: Sequence[PeakList], keys: np.ndarray, place: int, rng: np.random.Generator) -> PeakList:
    """A spectrum with as many peaks again, m/z from spectra of other compounds, heights of .3 to 50% of its highest."""
    one = records[place]
    others = [i for i, other in enumerate(records) if keys[i] != keys[place] and other.ionmode == one.ionmode]
    below = (one.precursor_mz or np.inf) - 0.5
    foreign: list[float] = []
    for other in rng.permutation(others).tolist():
        foreign += [m for m in records[other].mz.tolist() if m < below]
        if len(foreign) >= 4 * len(one):
            break
    mz = rng.permutation(foreign)[: len(one)]
    height = one.intensity.max() * 10 ** rng.uniform(-2.5, -0.3, len(mz))
    order = np.argsort(np.r_[one.mz, mz], kind="stable")
    both = np.r_[one.mz, mz][order], np.r_[one.intensity, height][order].astype(one.intensity.dtype)
    return replace(one, mz=both[0], intensity=both[1])


def scored(split: Split, queries: Queries, trained: Scorers, folder: Path) -> list[np.ndarray]:
    """Evidence for the candidates of each query, the truth last; in pieces that an interruption does not undo."""
    folder.mkdir(parents=True, exist_ok=True)
    out: list[np.ndarray] = []
    for start in range(0, len(queries.rows), PIECE):
        file = folder / f"{start:05d}.npz"
        places = range(start, min(start + PIECE, len(queries.rows)))
        if not file.is_file():
            made = {}
            for place in places:
                kinds = [records[place] for records in queries.kinds.values()]
                candidates = window(split, kinds[0], int(queries.rows[place]), str(queries.keys[place]))
                made[str(place)] = trained.columns(kinds, candidates).astype(np.float32)
            with replacing(file) as fresh, fresh.open("wb") as stream:
                np.savez_compressed(stream, **made)
            print(f"{split.contributor} {folder.name}: {places.stop} of {len(queries.rows)} ranked", flush=True)
        with np.load(file) as pieces:
            out += [pieces[str(place)].astype(np.float64) for place in places]
    return out


def window(split: Split, record: PeakList, row: int, key: str) -> list[Structure]:
    """The library's structures within 10 ppm of what was measured, and the truth last."""
    truth, _ = parent(split.data.structure("msms", row))
    assert record.precursor_mz is not None
    assert record.adduct is not None
    rows = split.library.within_ppm(neutral_mass(record.precursor_mz, record.adduct), PPM)
    return [*split.library.structures(np.setdiff1d(rows, split.library.rows_of(key))), truth]


def weights_of(values: Sequence[np.ndarray], columns: Sequence[int]) -> np.ndarray:
    """Weights of some columns, by maximum likelihood; those of likeness to references are not below 0."""
    cases = [(one[0][:, columns], one.shape[1] - 1, 1.0) for one in values if one.shape[1] > 1]
    at_least = [place for place, column in enumerate(columns) if COLUMNS[column] == "references.nearest"]
    weights = np.zeros(len(COLUMNS))
    weights[list(columns)] = conditional_logit.fit_bounded(cases, PENALTY, at_least)[0]
    if at_least:
        weights[COLUMNS.index("references.same-compound")] = 1.0
    return weights


def groups(split: Split, queries: Queries) -> dict[str, np.ndarray]:
    """Which queries are of compounds that the models never met, of those without a twin they met, and of the rest."""
    table = split.data.table("msms")
    met = split.others.rows("msms", fold="train", min_peaks=1)
    known = set(table["cluster"].take(met).to_pylist())
    new = np.isin(queries.keys, list(split.own))
    twin = np.array([cluster in known for cluster in table["cluster"].take(queries.rows).to_pylist()])
    every = np.ones(len(new), dtype=bool)
    return dict(zip(GROUPS, (every, new, new & ~twin, ~new), strict=True))


def measured(split: Split, queries: Queries, values: Sequence[np.ndarray], weights: np.ndarray) -> dict[str, Any]:
    """Hit rates of the groups, from the spectra as measured and tampered with; means over compounds."""
    count = np.array([one.shape[1] for one in values])
    hits: dict[str, np.ndarray] = {}
    for number, kind in enumerate(queries.kinds):
        placed = [metrics.rank_of_truth((one[number] @ weights)[None], np.array([one.shape[1] - 1])) for one in values]
        rank, tied = np.array([p.rank[0] for p in placed]), np.array([p.tied[0] for p in placed])
        hits |= {f"{kind}.hit{k}": metrics.hits(rank, k, tied) for k in metrics.CUTOFFS}
    hits |= {f"random.hit{k}": metrics.chance(count, k) for k in metrics.CUTOFFS}
    hits["noise costs"] = hits["spectrum.hit1"] - hits["noise.hit1"]
    found: dict[str, Any] = {}
    for name, chosen in groups(split, queries).items():
        keys = queries.keys[chosen]
        found[name] = {"spectra": len(keys), "compounds": len(np.unique(keys))}
        if len(keys):
            found[name]["median_candidates"] = float(np.median(count[chosen]))
            found[name] |= {figure: asdict(metrics.bootstrap(v[chosen], keys)) for figure, v in hits.items()}
    return found


def mean_of(each: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of a figure over contributors, each counting once, its interval, and the lowest and highest.

    Each contributor's compounds are drawn by themselves: the squares of the half widths of their intervals add up.
    """
    values = np.array([[one["value"], one["low"], one["high"]] for one in each])
    mean, below, above = values[:, 0].mean(), values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]
    low, high = mean - np.sqrt((below**2).sum()) / len(each), mean + np.sqrt((above**2).sum()) / len(each)
    ends = {"lowest": values[:, 0].min(), "highest": values[:, 0].max()}
    return {name: float(v) for name, v in {"value": mean, "low": low, "high": high, **ends}.items()}


def means(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over contributors of each figure of each group, by the method; of those that have such compounds."""
    out: dict[str, Any] = {}
    for method in METHODS:
        for group in GROUPS:
            some = [one["figures"][method][group] for one in found if one["figures"][method][group]["compounds"]]
            if some:
                row = {figure: mean_of([one[figure] for one in some]) for figure in FIGURES}
                out.setdefault(method, {})[group] = {"contributors": len(some), **row}
    return out


def left_out(split: Split, folder: Path, prepared: Prepared) -> dict[str, Any]:
    """Train without a contributor what has not been trained, and rank its spectra."""
    for part in PARTS:
        train(split, part, folder / part, prepared)
    trained = Scorers()
    for part in PARTS:
        trained.part(part).load(folder / part / "learned")
    fitting = scored(split, validating(split), trained, folder / "validation")
    queries = strangers(split)
    values = scored(split, queries, trained, folder / "queries")
    fitted = {method: weights_of(fitting, columns) for method, columns in METHODS.items()}
    rows = split.others.rows("msms", fold="train", min_peaks=1)
    return {
        "trained_on": {"compounds": len(np.unique(known_rows(split.data, "msms", rows)[1])), "spectra": len(rows)},
        "fitted_on": len(fitting),
        "weights": {m: dict(zip(COLUMNS, np.round(w, 4).tolist(), strict=True)) for m, w in fitted.items()},
        "figures": {method: measured(split, queries, values, weights) for method, weights in fitted.items()},
    }


def main() -> None:
    """Run what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--structures", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--contributor", help="this one alone")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "contributors.json")
    options = parser.parse_args()
    data = Dataset.open(options.dataset)
    library = Library.read(options.structures).merge(Library.from_dataset(data))
    names = largest(data)
    prepared = Prepared.make(data, library, names, options.work / "prepared")
    found: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    each = found.setdefault("contributors", {})
    for name in [options.contributor] if options.contributor else names:
        each[name] = left_out(Split(data, library, name), options.work / name, prepared)
        found["mean"] = means(list(each.values()))
        write_text(options.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
