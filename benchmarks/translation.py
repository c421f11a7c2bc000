"""Translation between settings beside copying, interpolation and nearest analogues, and library search with it.

    python benchmarks/translation.py --dataset work/dataset --translation massbank [--fold test] [--only pairs search]

Pairs are two spectra of one ion with two peaks each: of one laboratory and instrument type at unlike energies, or one
of a QTOF and one of an Orbitrap, each direction by itself, up to `--pairs` of each compound. Figures are root cosine
and spectral entropy similarity (0.01 Da, greedy), means over compounds, with bootstrap intervals over compounds.
Formulas are not given to the translation but where that is said. The nearest analogue is the training spectrum at the
target's settings whose compound has the training spectrum most like the source (modified cosine). Interpolation takes
the two spectra that are nearest in energy from below and above: two measured spectra where the others have one.

Search: queries among all spectra of other compounds and those of their own compound that are 20 eV or more away,
within 10 ppm. Of fold `test`, which was looked at once, only the pairs were measured (`--only pairs`), after everything
was chosen on `val`. Writes benchmarks/results/translation.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molvis_core.records import Measurement, PeakList
from molvis_msms.references.index import References
from molvis_msms.references.search import Settings as SearchSettings
from molvis_msms.references.search import find as plain
from molvis_msms.references.similarity import Similarity, Tolerance
from molvis_msms.translation.run import find_translation
from molvis_msms.translation.search import translating
from molvis_msms.translation.settings import Settings
from molvis_msms.translation.translator import Request, Translator
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.metrics import bootstrap

RESULTS = Path(__file__).parent / "results" / "translation.json"
COSINE, ENTROPY = Similarity("cosine"), Similarity("entropy")
BINS = ((0.0, 5.0), (5.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, np.inf))
PARTS = ("pairs", "analogue", "round-trip", "interpolation", "search")
APART = 20.0
"""eV between a query and the references of its own compound."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A spectrum and one of the same ion at other settings."""

    source: Measurement
    target: Measurement

    @property
    def compound(self) -> str:
        """First block of the InChIKey."""
        assert self.source.structure is not None
        return self.source.structure.inchikey14

    @property
    def step(self) -> float:
        """eV from source to target."""
        return self.target.record.collision_energy - self.source.record.collision_energy

    def request(self, *, formula: bool) -> Request:
        """What the translation is asked, with or without the formula of the compound."""
        assert self.source.structure is not None
        known = self.source.structure.formula if formula else None
        return Request(self.source.record, Settings.of(self.target.record), known)


def ions(dataset: Dataset, fold: str) -> list[list[Measurement]]:
    """Spectra of each ion of a fold that have two peaks and an energy."""
    found: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    for row in dataset.rows("msms", fold=fold, min_peaks=2):
        one = dataset.measurement("msms", int(row))
        if one.structure and one.record.adduct and one.record.collision_energy and one.record.precursor_mz:
            found[one.structure.inchikey14, one.record.adduct].append(one)
    return list(found.values())


def run_of(one: Measurement) -> tuple[str | None, str | None]:
    return one.contributor, one.record.instrument_type


def beam(one: Measurement) -> str:
    """QTOF, or whatever has an Orbitrap."""
    return "QTOF" if Settings.of(one.record).instrument == "QTOF" else "Orbitrap"


def pairs_of(groups: Iterable[Sequence[Measurement]], most: int, rng: np.random.Generator) -> dict[str, list[Pair]]:
    """Pairs of one run at two energies, of two classes of instruments, and of one run at one energy."""
    found: dict[str, dict[str, list[Pair]]] = {n: defaultdict(list) for n in ("same", "other", "replicates")}
    for group in groups:
        for a in group:
            for b in group:
                if a is b:
                    continue
                pair = Pair(a, b)
                if run_of(a) == run_of(b):
                    found["same" if abs(pair.step) > 0.01 else "replicates"][pair.compound].append(pair)
                elif beam(a) != beam(b):
                    found["other"][pair.compound].append(pair)
    return {
        name: [some[i] for some in of.values() for i in rng.permutation(len(some))[:most].tolist()]
        for name, of in found.items()
    }


def figures(pairs: Sequence[Pair], made: Sequence[PeakList | None], *, bins: bool) -> dict[str, Any]:
    """Means over compounds with intervals: of all pairs, by step of energy, and up and down. None scores 0."""
    scores = np.array(
        [
            (COSINE(m, p.target.record).score, ENTROPY(m, p.target.record).score) if m is not None else (0.0, 0.0)
            for p, m in zip(pairs, made, strict=True)
        ]
    ).reshape(-1, 2)
    step, compound = np.array([p.step for p in pairs]), np.array([p.compound for p in pairs])
    parts = {"all": np.ones(len(pairs), dtype=bool)}
    if bins:
        parts |= {
            f"{low:g} to {high:g} eV" if np.isfinite(high) else f"over {low:g} eV": (abs(step) > low)
            & (abs(step) <= high)
            for low, high in BINS
        }
        parts |= {"up": step > 0, "down": step < 0}
    return {name: _estimate(scores[part], compound[part]) for name, part in parts.items() if part.any()}


def _estimate(scores: np.ndarray, compound: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {"pairs": len(scores), "compounds": len(np.unique(compound))}
    for name, values in (("cosine", scores[:, 0]), ("entropy", scores[:, 1])):
        one = bootstrap(values, compound)
        found[name] = [round(x, 3) for x in (one.value, one.low, one.high)]
    return found


def measure_pairs(translator: Translator, pairs: dict[str, list[Pair]]) -> dict[str, Any]:
    """Copies and translations, with and without the formula."""
    found: dict[str, Any] = {
        "replicates": {"copy": figures(pairs["replicates"], sources(pairs["replicates"]), bins=False)}
    }
    for name in ("same", "other"):
        some = pairs[name]
        methods: dict[str, Callable[[], Sequence[PeakList | None]]] = {
            "copy": lambda some=some: sources(some),
            "translation": lambda some=some: translator.translate([p.request(formula=False) for p in some]),
            "translation, formula known": lambda some=some: translator.translate(
                [p.request(formula=True) for p in some]
            ),
        }
        found[name] = {method: figures(some, make(), bins=True) for method, make in methods.items()}
        show(name, found[name])
    return found


def measure_analogues(pairs: dict[str, list[Pair]], analogue: Analogues) -> dict[str, Any]:
    """The nearest analogue at the target's settings, for two pairs of each compound."""
    found: dict[str, Any] = {}
    for name in ("same", "other"):
        few = first_of_each(pairs[name], 2)
        found[name] = figures(few, [analogue.at(p) for p in few], bins=True)
    show("nearest analogue", found)
    return {"nearest analogue": found}


def measure_round_trip(translator: Translator, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Translations back to the settings of the source, beside the source."""
    there = translator.translate([p.request(formula=False) for p in pairs])
    kept = [(p, made) for p, made in zip(pairs, there, strict=True) if len(made) > 1]
    back = translator.translate([Request(made, Settings.of(p.source.record)) for p, made in kept])
    found = {"translation": figures([Pair(p.target, p.source) for p, _ in kept], back, bins=True)}
    show("round trip", found)
    return {"round trip": found}


def sources(pairs: Sequence[Pair]) -> list[PeakList]:
    return [p.source.record for p in pairs]


def first_of_each(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """A few pairs of each compound, for what takes long."""
    seen: dict[str, int] = defaultdict(int)
    kept: list[Pair] = []
    for pair in pairs:
        seen[pair.compound] += 1
        if seen[pair.compound] <= count:
            kept.append(pair)
    return kept


@dataclass(frozen=True, eq=False)
class Analogues:
    """Spectra of the training fold to predict from."""

    references: References
    settings: list[Settings]

    @classmethod
    def of(cls, dataset: Dataset, folder: Path) -> Analogues:
        """Those of a dataset, by way of a folder that is written."""
        items = (dataset.measurement("msms", int(row)) for row in dataset.rows("msms", fold="train", min_peaks=2))
        made = References.of([m for m in items if m.structure and m.record.collision_energy], folder / "train")
        return cls(made, [Settings.of(made.spectrum(row)) for row in range(len(made))])

    def at(self, pair: Pair) -> PeakList | None:
        """The spectrum at the target's settings of the compound that is most like the source."""
        wanted = Settings.of(pair.target.record)
        found = self.references.search(pair.source.record, Similarity("hybrid"), top=100)
        for row in found.rows.tolist():
            mine = self.references.rows_of[self.references.compounds[row]]
            fit = [i for i in mine.tolist() if self._at(i, wanted, pair.source.record.adduct)]
            if fit:
                best = min(fit, key=lambda i: abs((self.settings[i].energy or 0) - (wanted.energy or 0)))
                return self.references.spectrum(best)
        return None

    def _at(self, row: int, wanted: Settings, adduct: str | None) -> bool:
        own = self.settings[row]
        near = own.energy and wanted.energy and abs(own.energy - wanted.energy) <= max(5.0, 0.1 * wanted.energy)
        same = self.references.table["adduct"][row].as_py() == adduct
        return bool(near) and own.instrument == wanted.instrument and same


def measure_interpolation(
    translator: Translator, groups: Iterable[Sequence[Measurement]], most: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Targets between two measured energies of a run: both spectra mixed, the nearer one copied, and translated."""
    triples: dict[str, list[tuple[Measurement, Measurement, Measurement]]] = defaultdict(list)
    for group in groups:
        for b in group:
            mine = [m for m in group if run_of(m) == run_of(b)]
            energy = b.record.collision_energy
            below = [m for m in mine if m.record.collision_energy < energy - 0.01]
            above = [m for m in mine if m.record.collision_energy > energy + 0.01]
            if below and above and b.structure:
                low = max(below, key=lambda m: m.record.collision_energy)
                high = min(above, key=lambda m: m.record.collision_energy)
                triples[b.structure.inchikey14].append((low, b, high))
    chosen = [some[i] for some in triples.values() for i in rng.permutation(len(some))[:most].tolist()]
    shares = [_share(low, b, high) for low, b, high in chosen]
    near = [Pair(low if share < 0.5 else high, b) for (low, b, high), share in zip(chosen, shares, strict=True)]
    asked = [[Pair(side, b).request(formula=False) for low, b, high in chosen for side in (low, high)]]
    made = translator.translate(asked[0])
    both = [mixed(made[2 * i], made[2 * i + 1], share) for i, share in enumerate(shares)]
    blend = [mixed(low.record, high.record, share) for (low, _, high), share in zip(chosen, shares, strict=True)]
    single = [made[2 * i + (share >= 0.5)] for i, share in enumerate(shares)]
    found = {
        "copy of the nearer": figures(near, sources(near), bins=False),
        "translation of the nearer": figures(near, single, bins=False),
        "interpolation": figures(near, blend, bins=False),
        "both translated, interpolated": figures(near, both, bins=False),
    }
    show("interpolation", found)
    return found


def _share(low: Measurement, middle: Measurement, high: Measurement) -> float:
    """Where an energy lies between two, along the logarithm."""
    a, b, c = (np.log(m.record.collision_energy) for m in (low, middle, high))
    return float((b - a) / (c - a))


def mixed(one: PeakList, other: PeakList, share: float) -> PeakList:
    """Two spectra of total intensity 1 added up, peaks within 0.01 Da as one."""
    mz = np.concatenate([one.mz, other.mz])
    parts = [
        np.asarray(s.intensity, dtype=float) / s.intensity.sum() * w for s, w in ((one, 1 - share), (other, share))
    ]
    order = np.argsort(mz, kind="stable")
    mz, height = mz[order], np.concatenate(parts)[order]
    group = np.cumsum(np.diff(mz, prepend=mz[0]) > 0.01)
    total = np.bincount(group, height)
    return PeakList(np.bincount(group, height * mz) / np.maximum(total, 1e-30), total, one.precursor_mz)


def measure_search(
    translator: Translator, dataset: Dataset, fold: str, most: int, rng: np.random.Generator, folder: Path
) -> dict[str, Any]:
    """How often the first hit is the query's compound, whose spectra near in energy are taken out."""
    everything = [dataset.measurement("msms", int(row)) for row in dataset.rows("msms", min_peaks=2)]
    refs = References.of([m for m in everything if m.structure and m.record.collision_energy], folder / "all")
    energies = np.array(refs.table["collision_energy"].to_pylist(), dtype=float)
    queries: dict[str, list[Measurement]] = defaultdict(list)
    for group in ions(dataset, fold):
        for one in group:
            if one.structure:
                queries[one.structure.inchikey14].append(one)
    chosen = [some[i] for some in queries.values() for i in rng.permutation(len(some))[:most].tolist()]
    settings = SearchSettings(COSINE, Tolerance(10, "ppm"), top=1000)
    ways = {"as measured": plain, "translated as well": translating(translator)}
    hits: dict[str, list[float]] = {name: [] for name in ways}
    keys: list[str] = []
    rivals: list[int] = []
    for query in chosen:
        assert query.structure is not None
        own, energy = query.structure.inchikey14, query.record.collision_energy
        near = refs.near(query.record.precursor_mz, Tolerance(10, "ppm"))
        near = near[refs.allowed(query.record.ionmode)[near]]
        mine = np.array([refs.compounds[i] == own for i in near.tolist()])
        usable = ~mine | (np.abs(energies[near] - energy) >= APART)
        others = {refs.compounds[i] for i in near[~mine].tolist()}
        if not (mine & usable).any() or not others:
            continue
        keys.append(own)
        rivals.append(len(others))
        allowed = set(near[usable].tolist())
        for name, way in ways.items():
            rows = [row for row in way(refs, query.record, settings).rows.tolist() if row in allowed]
            hits[name].append(float(bool(rows) and refs.compounds[rows[0]] == own))
    found: dict[str, Any] = {
        "queries": len(keys), "compounds": len(set(keys)), "rivals": float(np.mean(rivals)),
        "chance": round(bootstrap(1 / (1 + np.array(rivals)), keys).value, 3),
    }  # fmt: skip
    for name, values in hits.items():
        one = bootstrap(np.array(values), keys)
        found[name] = [round(x, 3) for x in (one.value, one.low, one.high)]
    gain = bootstrap(np.array(hits["translated as well"]) - np.array(hits["as measured"]), keys)
    found["gain"] = [round(x, 3) for x in (gain.value, gain.low, gain.high)]
    print("search", found, flush=True)
    return found


def show(name: str, found: dict[str, Any]) -> None:
    for method, parts in found.items():
        words = " | ".join(f"{part} {v['cosine'][0]:.3f}/{v['entropy'][0]:.3f}" for part, v in parts.items())
        print(f"{name}, {method}: {words}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--translation", default="massbank")
    parser.add_argument("--fold", default="test")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dataset, translator = Dataset.open(args.dataset), Translator.open(find_translation(args.translation))
    found: dict[str, Any] = {"fold": args.fold, "pairs of a compound": args.pairs, "trained on": dict(translator.about)}
    groups = ions(dataset, args.fold)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = pairs_of(groups, args.pairs, np.random.default_rng(0))
        if "pairs" in args.only:
            found |= measure_pairs(translator, pairs)
        if "analogue" in args.only:
            found |= measure_analogues(pairs, Analogues.of(dataset, folder))
        if "round-trip" in args.only:
            found |= measure_round_trip(translator, pairs["same"])
        if "interpolation" in args.only:
            found["interpolation"] = measure_interpolation(translator, groups, 6, np.random.default_rng(1))
        if "search" in args.only:
            found["search"] = measure_search(translator, dataset, args.fold, 6, np.random.default_rng(2), folder)
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
