"""Reference spectra: speed of a search of a million, agreement and speed beside matchms, and what votes rank.

    python benchmarks/references.py [--data ../shared/data] [--peer PYTHON] [--only speed peers vote]

Speed: a million spectra, copies of open MassBank's with 5 ppm of noise on each m/z, searched on all processors by
spectra that are none of the copies. Peers: scores and CPU seconds beside matchms and MSEntropy, which the Python named
by `--peer` has in an environment of its own, on the same pairs. Votes: references of the training fold, queries of the
validation fold, candidates within 10 ppm in the structure library with the true structures; one query a spectrum, mean
over compounds, bootstrap over compounds. The decoy has the peaks of the compound nearest in mass that is more than
0.02 Da away, of the same polarity. Votes read nothing of the test fold. Writes benchmarks/results/references.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ReadError
from molvis_core.records import Measurement, PeakList, Structure
from molvis_msms.readers.parquet import read_parquet
from molvis_msms.references.folder import build
from molvis_msms.references.index import References
from molvis_msms.references.similarity import KINDS, Similarity
from molvis_msms.scorers.nearest_spectra import NearestSpectra
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS

RESULTS = Path(__file__).parent / "results" / "references.json"
PEER = Path(__file__).parent / "references_peer.py"
MILLION = 1_000_000
PER_COMPOUND = 6
DRAWS = 1000


def take(refs: References, rows: np.ndarray, noise: float = 0.0) -> References:
    """An index of some rows, perhaps several times, with noise on m/z in ppm."""
    lengths = np.diff(refs.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(refs.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
    mz = refs.mz[places]
    if noise:
        mz = mz * (1 + np.random.default_rng(0).normal(0, noise * 1e-6, len(mz)))
        for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            mz[start:stop].sort()
    return References(refs.table.take(rows), offsets, mz, refs.intensity[places])


def speed(refs: References) -> dict[str, Any]:
    """Seconds of searches of a million spectra."""
    rng = np.random.default_rng(1)
    kept = rng.permutation(len(refs))
    queries, copied = kept[:50], np.sort(kept[50:])
    million = take(refs, np.sort(rng.choice(copied, MILLION)), noise=5.0)
    found: dict[str, Any] = {"spectra": len(million), "peaks": len(million.mz), "queries": len(queries)}
    for kind in KINDS:
        compare = Similarity(kind)
        began = time.perf_counter()
        million.search(refs.spectrum(int(queries[0])), compare)
        built = time.perf_counter() - began
        seconds = []
        for row in queries:
            query = refs.spectrum(int(row))
            began = time.perf_counter()
            million.search(query, compare)
            seconds.append(time.perf_counter() - began)
        found[kind] = {
            "index": round(built, 2), "median": round(statistics.median(seconds), 3), "worst": round(max(seconds), 3),
        }  # fmt: skip
        print(kind, found[kind], flush=True)
        million._indexes.clear()
    return found


def peers(refs: References, python: str) -> dict[str, Any]:
    """Scores and seconds beside other programs, on the same pairs."""
    rng = np.random.default_rng(2)
    rows = rng.permutation(len(refs))
    queries = [r for r in rows[:400] if refs.spectrum(int(r)).ionmode == "positive" and len(refs.spectrum(int(r))) > 4][
        :60
    ]
    others = np.sort(rows[400:2400])
    found: dict[str, Any] = {"queries": len(queries), "references": len(others)}
    with tempfile.TemporaryDirectory() as folder:
        content = {
            name: [plain(refs.spectrum(int(r))) for r in some]
            for name, some in (("queries", queries), ("references", others))
        }
        (Path(folder) / "spectra.json").write_text(json.dumps(content))
        subprocess.run([python, str(PEER), folder], check=True)
        theirs = json.loads((Path(folder) / "found.json").read_text())
    for kind, peer in theirs.items():
        compare = Similarity(kind, power=peer["power"])
        refs.compare(refs.spectrum(int(queries[0])), compare, others[:10])
        began = time.process_time()
        scores = np.array([refs.compare(refs.spectrum(int(q)), compare, others).scores for q in queries])
        ours = time.process_time() - began
        gap = np.abs(scores - np.array(peer["scores"]))
        apart = separated(refs, queries)[:, None] & separated(refs, others)
        found[kind] = {
            "peer": peer["name"], "seconds": round(ours, 3), "peer_seconds": round(peer["seconds"], 3),
            "ratio": round(peer["seconds"] / ours, 1), "largest_difference": float(f"{gap.max():.2g}"),
            "differ": int((gap > 1e-5).sum()), "pairs": int(gap.size),
            "differ_where_no_peak_has_two_partners": int((gap[apart] > 1e-5).sum()), "such_pairs": int(apart.sum()),
        }  # fmt: skip
        print(kind, found[kind], flush=True)
    return found


def separated(refs: References, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Which spectra have no two peaks within twice the tolerance, so that none can be paired in two ways."""
    return np.array([bool((np.diff(refs.spectrum(int(row)).mz) > 0.0201).all()) for row in rows])


def plain(one: PeakList) -> dict[str, Any]:
    return {"mz": one.mz.tolist(), "intensity": one.intensity.astype(float).tolist(), "precursor": one.precursor_mz}


@dataclass(frozen=True)
class Structures:
    """Candidates by mass."""

    mass: np.ndarray
    smiles: list[str]
    keys: list[str]

    def near(self, mass: float) -> list[Structure]:
        """Those within 10 ppm."""
        low, high = np.searchsorted(self.mass, [mass * (1 - 1e-5), mass * (1 + 1e-5)])
        return [Structure(self.smiles[i], self.keys[i], "", float(self.mass[i])) for i in range(int(low), int(high))]


def structures(data: Path, truths: Iterable[Structure]) -> Structures:
    table = pq.read_table(data / "structures.parquet", columns=["smiles", "inchikey14", "exact_mass"]).to_pydict()
    known = set(table["inchikey14"])
    extra = {t.inchikey14: t for t in truths if t.inchikey14 not in known}
    flat = {key: structure(t.smiles, stereo=False) for key, t in extra.items()}
    mass = np.array([*table["exact_mass"], *(one.exact_mass for one in flat.values())])
    order = np.argsort(mass, kind="stable")
    smiles, keys = [*table["smiles"], *(one.smiles for one in flat.values())], [*table["inchikey14"], *flat]
    return Structures(mass[order], [smiles[i] for i in order], [keys[i] for i in order])


def queries_of(table: Path) -> list[Measurement]:
    """Of the validation fold, a few of each compound."""
    by: dict[str, list[Measurement]] = {}
    for item in read_parquet(table):
        if isinstance(item, ReadError) or item.fold != "val" or item.structure is None:
            continue
        if item.record.adduct in MAIN_ADDUCTS and len(item.record) > 1:
            by.setdefault(item.structure.inchikey14, []).append(item)
    rng = np.random.default_rng(0)
    return [some[i] for some in by.values() for i in np.sort(rng.permutation(len(some))[:PER_COMPOUND])]


def truth_of(query: Measurement) -> Structure:
    if query.structure is None:
        raise ValueError(f"{query.name} names no structure")
    return query.structure


def decoy(query: Measurement, queries: Sequence[Measurement]) -> PeakList:
    """The query's ion with the peaks of another compound of near mass."""
    mass = truth_of(query).exact_mass
    others = [
        q for q in queries if q.record.ionmode == query.record.ionmode and abs(truth_of(q).exact_mass - mass) > 0.02
    ]
    near = min(others, key=lambda q: abs(truth_of(q).exact_mass - mass)).record
    return replace(query.record, mz=near.mz, intensity=near.intensity)


def hits(values: np.ndarray, truth: int, ks: Sequence[int] = (1, 5, 20)) -> list[float]:
    """Whether the truth is among the first k; ties as a random order would have them."""
    above, equal = int((values > values[truth] + 1e-9).sum()), int((np.abs(values - values[truth]) <= 1e-9).sum())
    return [min(1.0, max(0.0, (k - above) / equal)) for k in ks]


def mean_over_compounds(rows: Sequence[tuple[str, list[float]]]) -> dict[str, Any]:
    by: dict[str, list[list[float]]] = {}
    for key, values in rows:
        by.setdefault(key, []).append(values)
    table = np.array([np.mean(v, axis=0) for v in by.values()])
    rng = np.random.default_rng(0)
    draws = np.array([table[rng.integers(0, len(table), len(table))].mean(axis=0) for _ in range(DRAWS)])
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    found = zip((1, 5, 20), table.mean(axis=0), low, high, strict=True)
    shares = {f"hit{k}": [round(float(v), 4) for v in values] for k, *values in found}
    return {"compounds": len(table), "queries": len(rows), **shares}


def unknown_compounds(
    refs: References, queries: Sequence[Measurement], library: Structures
) -> tuple[dict[str, Any], float]:
    """Votes for compounds that no reference is of; and the weight of a vote that makes the truth most probable."""
    scorer = NearestSpectra()
    scorer._added = (refs,)
    rows: dict[str, list[tuple[str, list[float]]]] = {name: [] for name in ("vote", "decoy", "chance")}
    cases: list[tuple[np.ndarray, int]] = []
    for query in queries:
        key, candidates = truth_of(query).inchikey14, window(query, library)
        place = next((i for i, c in enumerate(candidates) if c.inchikey14 == key), None)
        if place is None:
            for some in rows.values():
                some.append((key, [0.0] * 3))
            continue
        vote = scorer(query.record, candidates)[:, 0]
        cases.append((vote, place))
        rows["vote"].append((key, hits(vote, place)))
        rows["decoy"].append((key, hits(scorer(decoy(query, queries), candidates)[:, 0], place)))
        rows["chance"].append((key, hits(np.zeros(len(candidates)), place)))
    weights = np.arange(1.0, 60.0)
    fits = [sum(float(np.logaddexp.reduce(w * v) - w * v[p]) for v, p in cases) for w in weights]
    return {name: mean_over_compounds(some) for name, some in rows.items()}, float(weights[int(np.argmin(fits))])


def window(query: Measurement, library: Structures) -> list[Structure]:
    return library.near(neutral_mass(query.record.precursor_mz, query.record.adduct))


def measured_compounds(
    refs: References, queries: Sequence[Measurement], library: Structures, weight: float
) -> dict[str, Any]:
    """The same for compounds of which another laboratory's spectra are among the references.

    `search` ranks by the best reference of a candidate alone, candidates without any last.
    """
    by = refs.table["contributor"].to_pylist()
    rows: dict[str, list[tuple[str, list[float]]]] = {name: [] for name in ("search", "vote", "scorer")}
    for laboratory in sorted({q.contributor or "" for q in queries}):
        fewer = take(refs, np.array([i for i, name in enumerate(by) if name != laboratory]))
        scorer = NearestSpectra()
        scorer._added, scorer._support = (fewer,), learned_support(fewer)
        for query in (q for q in queries if q.contributor == laboratory):
            key, candidates = truth_of(query).inchikey14, window(query, library)
            place = next((i for i, c in enumerate(candidates) if c.inchikey14 == key), None)
            own = fewer.rows_of.get(key, [])
            if place is None or not len(own) or not fewer.allowed(query.record.ionmode)[own].any():
                continue
            values = scorer(query.record, candidates)
            best = scorer._best(query.record, [c.inchikey14 for c in candidates])
            rows["search"].append((key, hits(np.array([-1.0 if b is None else b.score for b in best]), place)))
            rows["vote"].append((key, hits(values[:, 0], place)))
            rows["scorer"].append((key, hits(weight * values[:, 0] + values[:, 2], place)))
    return {name: mean_over_compounds(some) for name, some in rows.items()}


SUPPORTS: dict[int, tuple[float, ...]] = {}


def learned_support(refs: References) -> tuple[float, ...]:
    """What `learn` makes of every tenth reference."""
    from molvis_msms.scorers.nearest_spectra import fit_support

    if not SUPPORTS:
        scorer = NearestSpectra()
        cases = [case for row in range(0, len(refs), 10) for case in scorer._cases(refs, row)]
        SUPPORTS[0] = fit_support(np.array(cases).reshape(-1, 3))
        print("support", SUPPORTS[0], flush=True)
    return SUPPORTS[0]


def votes(table: Path, data: Path, folder: Path) -> dict[str, Any]:
    build([table], folder / "train", fold="train")
    refs = References.open(folder / "train")
    queries = queries_of(table)
    library = structures(data, (q.structure for q in queries if q.structure))
    found, weight = unknown_compounds(refs, queries, library)
    print(json.dumps(found, indent=1), weight, flush=True)
    build([table], folder / "val", fold="val")
    both = joined(refs, References.open(folder / "val"))
    return {
        "references": len(refs), "reference_compounds": len(refs.rows_of), "unknown_compounds": found,
        "weight_of_votes": weight, "measured_by_another_laboratory": measured_compounds(both, queries, library, weight),
        "support": list(SUPPORTS[0]),
    }  # fmt: skip


def joined(one: References, other: References) -> References:
    import pyarrow as pa

    return References(
        pa.concat_tables([one.table, other.table]).combine_chunks(),
        np.concatenate([one.offsets, other.offsets[1:] + one.offsets[-1]]),
        np.concatenate([one.mz, other.mz]),
        np.concatenate([one.intensity, other.intensity]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peer", help="Python of an environment that has matchms and ms_entropy")
    parser.add_argument("--only", nargs="*", default=["speed", "peers", "vote"])
    given = parser.parse_args()
    table = given.data / "msms" / "massbank_open.parquet"
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["machine"] = {"processor": platform.processor() or platform.machine(), "python": sys.version.split()[0]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if {"speed", "peers"} & set(given.only):
            report = build([table], folder / "open")
            found["open_massbank"] = {"spectra": report.spectra, "compounds": report.compounds, "bytes": report.size}
            refs = References.open(folder / "open")
            if "speed" in given.only:
                found["speed"] = speed(refs)
            if "peers" in given.only and given.peer:
                found["peers"] = peers(refs, given.peer)
        if "vote" in given.only:
            found["vote"] = votes(table, given.data, folder)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
