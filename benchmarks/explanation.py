"""Explanations of peaks: coverage, formulas, contrast, calibration, faithfulness and decoys, beside the older engine.

    python benchmarks/explanation.py [--data ../shared/data] [--fold val] [--per-compound 3] [--model FILE]
        [--forward FOLDER]

Spectra of open MassBank whose records annotate their peaks with formulas, a few of each compound of one fold. Coverage
and formulas: annotated peaks below the precursor. Contrast: the right structure against others within 10 ppm of its
mass in the structure library, on the same spectrum. Calibration: peaks of the spectrum as it is, and with as many peaks
of other compounds. Curated: records that name the structure of ions. Decoys: the peaks of the compound nearest in mass
that is more than 0.02 Da away, of the same polarity. Deletion: how far the log-probability of the truth among rivals
falls, and its lead over their mean, to the scorer `learned-fragments` of the bundle named by `--bundle`, when the peaks
that are credited are taken away, or others of about the same intensity (mean of five draws). Means over compounds;
bootstrap over compounds. Writes benchmarks/results/explanation.json. The shipped model read training and validation
compounds of the table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rdkit import Chem

from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.chemistry.formula import parse_formula
from molvis_core.errors import ReadError
from molvis_core.records import Measurement, PeakList, Structure
from molvis_fragmentation.explanation import explain as older
from molvis_msms.explanation.learning import with_foreign
from molvis_msms.explanation.model import FragmentModel, load_model
from molvis_msms.explanation.peaks import Explanation, Substructure, explain
from molvis_msms.forward.predictor import loaded
from molvis_msms.readers.parquet import read_parquet

RESULTS = Path(__file__).parent / "results" / "explanation.json"
DRAWS = 1000
RIVALS = 6
DELETIONS = 5  # random ones beside each of credited peaks
Row = tuple[str, float, float]
"""Compound, value and weight."""


def annotated(data: Path, fold: str) -> dict[str, dict[float, tuple[str, str | None]]]:
    """Formula and, where it is curated, structure of the ion at each annotated m/z, by the spectrum's identifier."""
    columns = ["identifier", "mzs", "formulas", "charges", "smiles_of_ion"]
    table = pq.read_table(data / "msms" / "msms_annotations.parquet", columns=columns, filters=[("fold", "=", fold)])
    out: dict[str, dict[float, tuple[str, str | None]]] = {}
    for row in table.to_pylist():
        smiles = row["smiles_of_ion"] or [None] * len(row["mzs"])
        found: dict[float, tuple[str, str | None]] = {
            float(mz): (formula, ion)
            for mz, formula, charge, ion in zip(row["mzs"], row["formulas"], row["charges"], smiles, strict=True)
            if formula and charge is not None and abs(charge) == 1
        }
        if found:
            out[row["identifier"]] = found
    return out


def spectra(data: Path, fold: str, wanted: Mapping[str, Any], per_compound: int) -> tuple[list[Measurement], ...]:
    """A few annotated spectra of each compound, those with curated ions, and all of the fold."""
    every = [
        item
        for item in read_parquet(data / "msms" / "massbank_open.parquet")
        if not isinstance(item, ReadError) and item.fold == fold and item.structure and "." not in item.structure.smiles
    ]
    by: dict[str, list[Measurement]] = {}
    for item in every:
        if item.record.identifier in wanted:
            by.setdefault(key_of(item), []).append(item)
    rng = np.random.default_rng(0)
    some = [group[i] for _, group in sorted(by.items()) for i in np.sort(rng.permutation(len(group))[:per_compound])]
    curated = [i for i in every if any(ion for _, ion in wanted.get(i.record.identifier or "", {}).values())]
    return some, curated, every


def truth_of(item: Measurement) -> Structure:
    assert item.structure is not None, f"{item.name} names no structure"
    return item.structure


def key_of(item: Measurement) -> str:
    return truth_of(item).inchikey14


def below_precursor(q: PeakList) -> np.ndarray:
    return q.mz < (q.precursor_mz or np.inf) - 0.5


def named(mz: float, known: Mapping[float, tuple[str, str | None]]) -> tuple[str, str | None] | None:
    """The annotation of a peak."""
    near = min(known, key=lambda other: abs(other - mz), default=None)
    return known[near] if near is not None and abs(near - mz) < 0.003 else None


def same(formula: str, isotope: str, stated: str) -> bool:
    """Whether a formula is the stated one."""
    if isotope:
        stated_heavy = f"[{isotope}]" in stated or f"[{isotope[:2]}]" in stated
        return stated_heavy and total(stated.replace("[13C]", "C").replace("[13]C", "C")) == total(formula)
    return "[" not in stated and total(stated) == total(formula)


def total(formula: str) -> dict[str, int]:
    try:
        return parse_formula(formula.rstrip("+-"))
    except ValueError:
        return {}


def mean(rows: Sequence[Row]) -> list[float]:
    """Mean weighed by peaks or by their intensity, with a 95% interval from a bootstrap over compounds."""
    keys = sorted({key for key, _, _ in rows})
    place = {key: i for i, key in enumerate(keys)}
    top, bottom = np.zeros(len(keys)), np.zeros(len(keys))
    for key, value, weight in rows:
        top[place[key]] += value * weight
        bottom[place[key]] += weight
    rng = np.random.default_rng(0)
    draws = [
        top[chosen].sum() / max(bottom[chosen].sum(), 1e-12)
        for chosen in (rng.integers(0, len(keys), len(keys)) for _ in range(DRAWS))
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return [round(float(v), 4) for v in (top.sum() / max(bottom.sum(), 1e-12), low, high)]


Explain = Callable[[PeakList, Structure], Explanation]


def per_compound_mean(rows: Sequence[tuple[str, float]]) -> list[float]:
    """Mean over compounds, each counting once."""
    by: dict[str, list[float]] = {}
    for key, value in rows:
        by.setdefault(key, []).append(value)
    return mean([(key, float(np.mean(values)), 1.0) for key, values in by.items()])


def coverage(items: Sequence[Measurement], known: Mapping[str, Any], run: Explain) -> dict[str, Any]:
    """Annotated peaks below the precursor: covered, and of the right formula where covered."""
    rows: dict[str, list[Row]] = {name: [] for name in ("covered", "covered_intensity", "formula", "probable_formula")}
    rows |= {name: [] for name in ("older_covered", "older_covered_intensity", "older_formula", "any_formula")}
    inside: dict[str, list[tuple[str, float]]] = {
        "explained_intensity": [], "explained_expected": [], "older_explained_intensity": []
    }  # fmt: skip
    for item in items:
        q, truth, key = item.record, truth_of(item), key_of(item)
        found, before = run(q, truth), {e.peak: e for e in older(q, truth)}
        height = q.intensity / q.intensity.sum()
        below = below_precursor(q)
        if below.any():
            has = np.array([bool(some) for some in found.peaks])
            share = height[below] / height[below].sum()
            inside["explained_intensity"].append((key, float(share @ has[below])))
            inside["explained_expected"].append((key, float(found.explained or 0.0)))
            inside["older_explained_intensity"].append(
                (key, float(share @ np.isin(np.flatnonzero(below), list(before))))
            )
        for peak in np.flatnonzero(below).tolist():
            stated = named(float(q.mz[peak]), known[q.identifier or ""])
            if stated is None:
                continue
            some, weight = found.peaks[peak], float(height[peak])
            rows["covered"].append((key, bool(some), 1.0))
            rows["covered_intensity"].append((key, bool(some), weight))
            rows["older_covered"].append((key, peak in before, 1.0))
            rows["older_covered_intensity"].append((key, peak in before, weight))
            if some:
                right = [same(s.formula, s.isotope, stated[0]) for s in some]
                rows["formula"].append((key, right[0], 1.0))
                rows["any_formula"].append((key, any(right), 1.0))
                if found.unexplained[peak] < 0.5:
                    rows["probable_formula"].append((key, right[0], 1.0))
            if peak in before:
                rows["older_formula"].append((key, same(before[peak].formula, "", stated[0]), 1.0))
    counts = {"peaks": len(rows["covered"]), "spectra": len(items), "compounds": len({key_of(i) for i in items})}
    over = {name: per_compound_mean(some) for name, some in inside.items()}
    return {name: mean(some) for name, some in rows.items()} | over | counts


def curated(items: Sequence[Measurement], known: Mapping[str, Any], run: Explain) -> dict[str, Any]:
    """Peaks whose ion a curator drew: whether its skeleton of heavy atoms is that of a substructure that is listed."""
    rows: dict[str, list[Row]] = {name: [] for name in ("covered", "first", "among_three", "by_chance")}
    for item in items:
        found = run(item.record, truth_of(item))
        for peak, some in enumerate(found.peaks):
            stated = named(float(item.record.mz[peak]), known[item.record.identifier or ""])
            if stated is None or stated[1] is None or not below_precursor(item.record)[peak]:
                continue
            wanted = skeleton(Chem.MolFromSmiles(stated[1]))
            right = [skeleton(part_of(truth_of(item), s)) == wanted for s in some]
            rows["covered"].append((key_of(item), bool(some), 1.0))
            if some:
                rows["first"].append((key_of(item), right[0], 1.0))
                rows["among_three"].append((key_of(item), any(right), 1.0))
                rows["by_chance"].append((key_of(item), float(np.mean(right)), 1.0))
    counts = {"peaks": len(rows["first"]), "spectra": len(items)}
    return {name: mean(some) for name, some in rows.items()} | counts if rows["first"] else {}


def part_of(structure: Structure, one: Substructure) -> Chem.Mol:
    mol = Chem.RWMol(Chem.MolFromSmiles(structure.smiles))
    for atom in sorted(set(range(mol.GetNumAtoms())) - set(one.atoms), reverse=True):
        mol.RemoveAtom(atom)
    return mol


def skeleton(mol: Chem.Mol | None) -> str:
    """Heavy atoms and which are bonded: hydrogens, charges and orders are drawn as one likes."""
    if mol is None:
        return ""
    plain = Chem.RWMol()
    heavy = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    for i in heavy:
        atom = Chem.Atom(mol.GetAtomWithIdx(i).GetAtomicNum())
        atom.SetNoImplicit(True)
        plain.AddAtom(atom)
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if all(e in heavy for e in ends):
            plain.AddBond(heavy.index(ends[0]), heavy.index(ends[1]), Chem.BondType.SINGLE)
    return Chem.MolToSmiles(plain)


def calibration(
    items: Sequence[Measurement], every: Sequence[Measurement], known: Mapping[str, Any], run: Explain, foreign: float
) -> dict[str, Any]:
    """Probabilities of the most probable formula of each peak, against how often it is the annotated one."""
    rng = np.random.default_rng(1)
    pairs: list[tuple[str, float, float]] = []
    none: list[tuple[str, float, float]] = []
    modes: dict[str | None, list[Measurement]] = {
        m: [i for i in every if i.record.ionmode == m] for m in ("positive", "negative")
    }
    for item in items:
        pool = modes[item.record.ionmode]
        others = [pool[int(i)] for i in rng.integers(0, len(pool), 6)]
        records = [o.record for o in others if key_of(o) != key_of(item)]
        q, strange = with_foreign(item.record, records, round(foreign * len(item.record)), rng)
        found = run(q, truth_of(item))
        for peak, some in enumerate(found.peaks):
            if not below_precursor(q)[peak]:
                continue
            stated = None if strange[peak] else named(float(q.mz[peak]), known[q.identifier or ""])
            if stated is None and not strange[peak]:
                continue  # its own record does not say what it is
            if some:
                first = max(some, key=lambda s: s.formula_probability)
                right = stated is not None and same(first.formula, first.isotope, stated[0])
                pairs.append((key_of(item), first.formula_probability, float(right)))
            fits = stated is not None and any(same(s.formula, s.isotope, stated[0]) for s in some)
            none.append((key_of(item), float(found.unexplained[peak]), float(not fits)))
    return {
        "peaks": len(pairs), "ece": ece(pairs), "reliability": reliability(pairs),
        "ece_unexplained": ece(none), "reliability_unexplained": reliability(none),
        "auc_unexplained": auc_of(none) if foreign else None,
    }  # fmt: skip


def bins(pairs: Sequence[Row], count: int = 10) -> list[list[Row]]:
    out: list[list[Row]] = [[] for _ in range(count)]
    for row in pairs:
        out[min(int(row[1] * count), count - 1)].append(row)
    return out


def ece(pairs: Sequence[Row]) -> list[float]:
    """Mean over ten bins of the gap between probability and frequency, by the peaks of each; 95% over compounds."""
    by: dict[str, list[Row]] = {}
    for row in pairs:
        by.setdefault(row[0], []).append(row)
    # For each compound and bin: peaks, sum of probabilities, sum of right ones.
    table = np.array(
        [[[len(b), sum(r[1] for r in b), sum(r[2] for r in b)] for b in bins(rows)] for rows in by.values()]
    )
    rng = np.random.default_rng(0)

    def gap(chosen: np.ndarray) -> float:
        counts = table[chosen].sum(axis=0)
        return float(np.abs(counts[:, 1] - counts[:, 2]).sum() / counts[:, 0].sum())

    every = np.arange(len(table))
    low, high = np.percentile([gap(rng.integers(0, len(table), len(table))) for _ in range(DRAWS)], [2.5, 97.5])
    return [round(v, 4) for v in (gap(every), float(low), float(high))]


def reliability(pairs: Sequence[Row]) -> list[list[float]]:
    """Peaks, mean probability and frequency of each bin."""
    return [
        [len(b), round(float(np.mean([r[1] for r in b])), 3), round(float(np.mean([r[2] for r in b])), 3)] if b
        else [0, 0.0, 0.0]
        for b in bins(pairs)
    ]  # fmt: skip


def auc_of(rows: Sequence[Row]) -> float:
    from scipy.stats import rankdata

    values, labels = np.array([r[1] for r in rows]), np.array([r[2] for r in rows]) > 0.5
    ranks = rankdata(values)
    n = int(labels.sum())
    return round(float((ranks[labels].sum() - n * (n + 1) / 2) / max(n * (len(rows) - n), 1)), 4)


class Library:
    """Structures by mass."""

    def __init__(self, data: Path) -> None:
        table = pq.read_table(data / "structures.parquet", columns=["smiles", "inchikey14", "exact_mass"])
        mass = table["exact_mass"].to_numpy()
        order = np.argsort(mass, kind="stable")
        self.mass, self.smiles, self.keys = mass[order], table["smiles"].take(order), table["inchikey14"].take(order)

    def rivals(self, item: Measurement, rng: np.random.Generator) -> list[Structure]:
        """Some within 10 ppm of the compound's mass as it was measured, the compound itself left out."""
        mass = neutral_mass(item.record.precursor_mz or 0.0, item.record.adduct or "")
        low, high = np.searchsorted(self.mass, [mass * (1 - 1e-5), mass * (1 + 1e-5)])
        found = [int(i) for i in rng.permutation(np.arange(low, high))[: 3 * RIVALS]]
        some = [
            Structure(self.smiles[i].as_py(), self.keys[i].as_py(), "", float(self.mass[i]))
            for i in found
            if self.keys[i].as_py() != key_of(item) and "." not in self.smiles[i].as_py()
        ]
        return some[:RIVALS]


def contrast(items: Sequence[Measurement], library: Library, run: Explain, most: int) -> dict[str, Any]:
    """How often the right structure scores above a wrong one of equal mass on the same spectrum."""
    rng = np.random.default_rng(2)
    rows: dict[str, list[tuple[str, float]]] = {
        name: [] for name in ("evidence", "expected_intensity", "older_intensity", "older_cost")
    }
    seen: set[str] = set()
    for item in items:
        if key_of(item) in seen or len(seen) == most:
            continue
        seen.add(key_of(item))
        rivals = library.rivals(item, rng)
        if not rivals or not below_precursor(item.record).any():
            continue
        scores = np.array([contrast_scores(item.record, s, run) for s in [truth_of(item), *rivals]])
        wins = (scores[0] > scores[1:] + 1e-9).mean(axis=0) + 0.5 * (np.abs(scores[0] - scores[1:]) <= 1e-9).mean(
            axis=0
        )
        for name, value in zip(rows, wins.tolist(), strict=True):
            rows[name].append((key_of(item), value))
    return {name: per_compound_mean(some) for name, some in rows.items()} | {"compounds": len(seen)}


def contrast_scores(q: PeakList, structure: Structure, run: Explain) -> list[float]:
    """Evidence of the peaks, their explained intensity, and both as the older engine has them."""
    found, before = run(q, structure), older(q, structure)
    below = below_precursor(q)
    root = np.sqrt(q.intensity.astype(np.float64)) * below
    root = root / max(root.sum(), 1e-12)
    cost = sum(float(root[e.peak]) / (1 + e.cost) for e in before)
    return [
        float(root @ found.evidence), float(root @ (1 - found.unexplained)), float(sum(root[e.peak] for e in before)),
        cost,
    ]  # fmt: skip


def decoys(items: Sequence[Measurement], every: Sequence[Measurement], run: Explain) -> dict[str, Any]:
    """Share of the peaks below the precursor that are explained, of a spectrum and of another compound's."""
    names = ("true", "decoy", "true_any", "decoy_any", "older_true", "older_decoy")
    rows: dict[str, list[Row]] = {name: [] for name in names}
    mass = np.array([truth_of(i).exact_mass for i in every])
    mode = np.array([i.record.ionmode or "" for i in every])
    for item in items:
        truth = truth_of(item)
        gap = np.abs(mass - truth.exact_mass)
        near = int(np.argmin(np.where((gap > 0.02) & (mode == item.record.ionmode), gap, np.inf)))
        other = every[near].record
        for name, q in (("true", item.record), ("decoy", replace(item.record, mz=other.mz, intensity=other.intensity))):
            found = run(q, truth)
            before = {e.peak for e in older(q, truth)}
            for peak in np.flatnonzero(below_precursor(q)).tolist():
                rows[name].append((key_of(item), float(found.unexplained[peak] < 0.5), 1.0))
                rows[f"{name}_any"].append((key_of(item), float(bool(found.peaks[peak])), 1.0))
                rows[f"older_{name}"].append((key_of(item), float(peak in before), 1.0))
    return {name: mean(some) for name, some in rows.items()}


def deletion(items: Sequence[Measurement], library: Library, scorer: Any, run: Explain, most: int) -> dict[str, Any]:
    """Falls of the truth's log-probability among rivals, and of its lead, when a third of the intensity goes."""
    rng = np.random.default_rng(3)
    rows: dict[str, list[tuple[str, float]]] = {}
    seen = set()
    for item in items:
        q = item.record
        below = np.flatnonzero(below_precursor(q))
        rivals = library.rivals(item, rng)
        if key_of(item) in seen or len(seen) == most or len(below) < 6 or len(rivals) < 2:
            continue
        seen.add(key_of(item))
        candidates = [truth_of(item), *rivals]
        height, before = q.intensity.astype(np.float64), scorer(q, candidates)[:, 0]

        def falls(
            peaks: np.ndarray, q: PeakList = q, before: np.ndarray = before, some: Any = candidates
        ) -> np.ndarray:
            left = np.setdiff1d(np.arange(len(q)), peaks)
            after = scorer(replace(q, mz=q.mz[left], intensity=q.intensity[left]), some)[:, 0]
            return np.array([log_probability(before) - log_probability(after), lead(before) - lead(after)])

        # Credited first: the peaks that speak most for the truth; random ones in orders of their own.
        speaks = (run(q, truth_of(item)).evidence * np.sqrt(height))[below]
        credited = take(below[np.argsort(-speaks, kind="stable")], height, height[below].sum() / 3)
        target = height[credited].sum()
        others = [take(rng.permutation(below), height, target) for _ in range(DELETIONS)]
        one, another = falls(credited), np.mean([falls(peaks) for peaks in others], axis=0)
        for name, value in {"credited": one, "random": another, "difference": one - another}.items():
            rows.setdefault(name, []).append((key_of(item), float(value[0])))
            rows.setdefault(f"{name}_lead", []).append((key_of(item), float(value[1])))
    return {name: per_compound_mean(some) for name, some in rows.items()} | {"compounds": len(seen)}


def take(order: np.ndarray, height: np.ndarray, budget: float) -> np.ndarray:
    """Peaks in an order whose intensity comes closest to a sum; one at least."""
    sums = np.cumsum(height[order])
    return order[: int(np.argmin(np.abs(sums - budget))) + 1]


def log_probability(logits: np.ndarray) -> float:
    """Of the first."""
    return float(logits[0] - np.logaddexp.reduce(logits))


def lead(logits: np.ndarray) -> float:
    """Of the first over the mean of the others; it does not level off where the first is far ahead."""
    return float(logits[0] - logits[1:].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--fold", default="val")
    parser.add_argument("--per-compound", type=int, default=3)
    parser.add_argument("--compounds", type=int, default=150, help="of contrast and deletion, which take longest")
    parser.add_argument("--model", type=Path, help="weights of a model; the shipped one, if none is named")
    parser.add_argument("--forward", default="", help="folder of a forward model; the shipped one, if none is named")
    parser.add_argument("--bundle", default="massbank", help="bundle, or folder of weights, of the judge of deletions")
    parser.add_argument(
        "--only", nargs="*", default=["coverage", "curated", "calibration", "contrast", "decoys", "deletion"]
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    model: FragmentModel | None = load_model(given.model) if given.model else None
    forward = loaded(given.forward)
    known = annotated(given.data, given.fold)
    items, drawn, every = spectra(given.data, given.fold, known, given.per_compound)

    def run(q: PeakList, structure: Structure) -> Explanation:
        return explain(q, structure, model=model, forward=forward)

    found: dict[str, Any] = {"fold": given.fold, "spectra": len(items)}
    parts: dict[str, Callable[[], Any]] = {
        "coverage": lambda: coverage(items, known, run),
        "curated": lambda: curated(drawn, known, run),
        "calibration": lambda: {
            name: calibration(items, every, known, run, share)
            for name, share in (("as_it_is", 0.0), ("half_foreign", 1.0))
        },
        "contrast": lambda: contrast(items, Library(given.data), run, given.compounds),
        "decoys": lambda: decoys(items, every, run),
        "deletion": lambda: deletion(items, Library(given.data), scorer_of(given.bundle), run, given.compounds),
    }
    for name in given.only:
        began = time.process_time()
        found[name] = parts[name]()
        print(name, round(time.process_time() - began), "CPU seconds", json.dumps(found[name]), flush=True)
        given.out.write_text(json.dumps(found, indent=1) + "\n")


def scorer_of(bundle: str) -> Any:
    from molvis_msms.scorers.learned_fragments import LearnedFragments

    if (Path(bundle) / "networks.safetensors").is_file():
        scorer = LearnedFragments()
        scorer.load(Path(bundle))
        return scorer
    from molvis_retrieval import load_bundle

    for one in load_bundle(bundle).scorers.values():
        if isinstance(one, LearnedFragments):
            return one
    raise SystemExit(f"{bundle} has no scorer learned-fragments: name a bundle, or weights, by --bundle")


if __name__ == "__main__":
    main()
