"""How well the preset `ir` ranks, what each of its parts is worth, and whether its functional groups are calibrated.

    python benchmarks/ir_regression.py --bundle RUN/bundle --dataset DATASET [--fold val] [--library structures.parquet]
        [--sample 0] [--vectors FOLDER] [--processes 2] [--as-measured] [--out benchmarks/results]

DATASET holds infrared spectra with a fold to each compound. Every spectrum of a fold is ranked among all compounds of
the dataset, among those alone that nothing was learned from (training compounds are known to a model, so that it can
tell them from the truth), and with another compound's spectrum, where the truth must be where chance puts it. With
`--library`, its structures are further rivals, in an order by chance: so many of them, and half, a quarter and an
eighth of these, which tells how hit rates fall with size. Their vectors are kept in blocks under `--vectors`, so that a
run that was stopped goes on, and another fold or other spectra cost only the comparison.

Functional groups: expected calibration error over all groups that ten or more training compounds have, in ten bins of
equal width, and its interval over compounds.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from molvis_core.records import Structure
from molvis_ir.groups import GROUPS, has_groups
from molvis_retrieval import load_bundle
from molvis_retrieval.dataset import Dataset

KS = (1, 5, 20)
BLOCK = 2000


def interval(values: np.ndarray, owner: np.ndarray) -> list[float]:
    """Mean over compounds in per cent, with its 95% interval by bootstrap over compounds."""
    _, place, count = np.unique(owner, return_inverse=True, return_counts=True)
    each = 100 * np.bincount(place, values) / count
    drawn = each[np.random.default_rng(0).integers(0, len(each), (2000, len(each)))].mean(axis=1)
    return [round(float(v), 1) for v in (each.mean(), *np.quantile(drawn, [0.025, 0.975]))]


def hits(above: np.ndarray, owner: np.ndarray) -> dict[str, Any]:
    """Hit rates and mean reciprocal rank of truths that so many rivals rank before."""
    out: dict[str, Any] = {f"hit{k}": interval((above < k).astype(float), owner) for k in KS}
    out["mrr"] = interval(1 / (1 + above), owner)
    return out


def calibration(told: np.ndarray, present: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error in percentage points."""
    place = np.minimum((told * bins).astype(int), bins - 1).ravel()
    gap = np.bincount(place, (told - present).ravel(), minlength=bins)
    return float(100 * np.abs(gap).sum() / told.size)


def groups(encoder: Any, records: list[Any], smiles: list[str], fold: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Calibration of the functional groups, and how well each is told."""
    present = has_groups(smiles)
    often = present[fold == "train"].sum(axis=0) >= 10
    told = encoder.probabilities(records)[:, often]
    true = present[truth][:, often]
    rng = np.random.default_rng(0)
    drawn = [calibration(told[rows], true[rows]) for rows in rng.integers(0, len(told), (300, len(told)))]
    sure = told >= 0.9
    named = [name for name, kept in zip(GROUPS, often, strict=True) if kept]
    each = {
        name: {
            "compounds": int(true[:, i].sum()),
            "auc": round(_auc(told[:, i], true[:, i]), 3),
            "ece": round(calibration(told[:, i : i + 1], true[:, i : i + 1]), 2),
        }
        for i, name in enumerate(named)
    }
    return {
        "groups": len(named),
        "ece": [round(v, 2) for v in (calibration(told, true), *np.quantile(drawn, [0.025, 0.975]))],
        "over_0.9": {
            "stated": round(100 * float(told[sure].mean()), 1),
            "right": round(100 * float(true[sure].mean()), 1),
        },
        "share_found_over_0.5": round(100 * float((told[true] > 0.5).mean()), 1),
        "share_right_over_0.5": round(100 * float(true[told > 0.5].mean()), 1),
        "each": each,
    }


def _auc(told: np.ndarray, true: np.ndarray) -> float:
    if not true.any() or true.all():
        return float("nan")
    order = np.argsort(np.argsort(told, kind="stable"), kind="stable")
    yes = int(true.sum())
    return float((order[true].sum() - yes * (yes - 1) / 2) / (yes * (len(true) - yes)))


def _regression(bundle: Any) -> tuple[Any, int]:
    """The encoder `ir-regression` of a bundle, and where its vector begins in that of the bundle; none has none."""
    start = 0
    encoder = bundle.encoder("ir")
    for part in getattr(encoder, "parts", [encoder]):
        if hasattr(part, "probabilities"):
            return part, start
        start += part.dim
    return None, 0


def measure(bundle: Any, dataset: Dataset, fold: str, library: Rivals | None) -> dict[str, Any]:
    """All figures of a bundle on a fold."""
    table = dataset.table("ir")
    owners, folds = table["inchikey14"].to_pylist(), table["fold"].to_pylist()
    keys = list(dict.fromkeys(owners))
    first = {key: row for row, key in reversed(list(enumerate(owners)))}
    place = {key: i for i, key in enumerate(keys)}
    of = np.array([folds[first[key]] for key in keys])
    structures = [dataset.structure("ir", first[key]) for key in keys]
    rows = [i for i, one in enumerate(folds) if one == fold]
    truth = np.array([place[owners[i]] for i in rows])
    records = [dataset.record("ir", i) for i in rows]
    known, asked = bundle.embed_structures(structures), bundle.embed("ir", records)
    found: dict[str, Any] = {"fold": fold, "spectra": len(rows), "candidates": len(keys)}

    def above(scores: np.ndarray, owner: np.ndarray) -> np.ndarray:
        return (scores > scores[np.arange(len(owner)), owner][:, None]).sum(axis=1)

    scores = asked @ known.T
    found["all"] = hits(above(scores, truth), truth)
    unseen = np.flatnonzero(of != "train")
    own = scores[np.arange(len(truth)), truth][:, None]
    found["unseen"] = {"candidates": len(unseen), **hits((scores[:, unseen] > own).sum(axis=1), truth)}
    other = np.roll(np.arange(len(truth)), len(truth) // 2)
    ranks = above(scores[other], truth)
    found["decoy"] = {**hits(ranks, truth), "middle_rank_percent": round(100 * float(np.median(ranks)) / len(keys), 1)}
    encoder, start = _regression(bundle)
    if encoder:
        size, last = encoder.directions, start + encoder.dim
        cuts = {
            "with": slice(start, start + size),
            "without": slice(start + size, start + 2 * size),
            "forward alone": slice(start, start + 2 * size),
            "back alone": slice(start + 2 * size, last),
            "regression alone": slice(start, last),
            "networks alone": slice(0, start),
        }
        for name, part in cuts.items():
            if part.stop > part.start:
                found[name] = hits(above(asked[:, part] @ known[:, part].T, truth), truth)
        found["groups"] = groups(encoder, records, [s.smiles for s in structures], of, truth)
    if library:
        found["library"] = _among(library, set(keys), asked, above(scores, truth), own, truth)
    return found


@dataclass(frozen=True)
class Rivals:
    """Structures of a large library, in an order by chance, and how they are embedded.

    Attributes:
        bundle, library: folder and table.
        sample: how many are drawn; 0 for all.
        vectors: folder where they are kept.
        processes: that embed.
    """

    bundle: Path
    library: Path
    sample: int
    vectors: Path
    processes: int

    def drawn(self, never: set[str]) -> tuple[list[Structure], int]:
        """Those that are drawn, and how many there are, without these compounds."""
        columns = ["smiles", "inchikey14", "formula", "exact_mass", "charge"]
        table = pq.read_table(self.library, columns=columns).to_pylist()
        others = [row for row in table if row["inchikey14"] not in never]
        chosen = np.random.default_rng(0).permutation(len(others))[: self.sample or None]
        made = [
            Structure(r["smiles"], r["inchikey14"], r["formula"], r["exact_mass"], r["charge"])
            for r in (others[i] for i in chosen)
        ]
        return made, len(others)

    def blocks(self, structures: list[Structure]) -> Iterator[np.ndarray]:
        """Vectors of structures, a block after another."""
        self.vectors.mkdir(parents=True, exist_ok=True)
        weights = (self.bundle / "structure.safetensors").read_bytes()
        made_of = hashlib.blake2b(weights, digest_size=6).hexdigest()
        cut = [structures[start : start + BLOCK] for start in range(0, len(structures), BLOCK)]
        files = [self.vectors / f"{made_of}-{number}-{len(one)}.npy" for number, one in enumerate(cut)]
        tasks = [(self.bundle, one, file) for one, file in zip(cut, files, strict=True)]
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.processes, mp_context=spawned) as pool:
            for number, file in enumerate(pool.map(_embedded, tasks)):
                print(f"block {number + 1} of {len(files)}", flush=True)
                yield np.load(file)


@functools.cache
def _bundle(path: Path) -> Any:
    return load_bundle(path)


def _embedded(task: tuple[Path, list[Structure], Path]) -> Path:
    bundle, structures, file = task
    if not file.exists():
        found = _bundle(bundle).embed_structures(structures, batch_size=1000).astype(np.float32)
        part = file.with_suffix(".part.npy")
        np.save(part, found)
        part.replace(file)
    return file


def _among(
    rivals: Rivals, never: set[str], asked: np.ndarray, before: np.ndarray, own: np.ndarray, truth: np.ndarray
) -> dict[str, Any]:
    structures, every = rivals.drawn(never)
    sizes = {round(len(structures) / share) for share in (8, 4, 2, 1)}
    count, done, by_size = before.copy(), 0, {}
    for block in rivals.blocks(structures):
        above = asked @ block.T > own
        for size in sorted(sizes):
            if done < size <= done + len(block):
                part = count + above[:, : size - done].sum(axis=1)
                by_size[len(never) + size] = hits(part, truth)
        count, done = count + above.sum(axis=1), done + len(block)
    return {"structures": every, "drawn": len(structures), "by_candidates": by_size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--fold", default="val")
    parser.add_argument("--library", type=Path)
    parser.add_argument("--sample", type=int, default=0, help="So many structures of the library; 0 for all.")
    parser.add_argument("--vectors", type=Path, default=Path("ir-vectors"), help="Where those of the library are kept.")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--as-measured", action="store_true", help="Wavenumber scales are not put right.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    if options.as_measured:
        _regression(bundle)[0].robust = False
    rivals = None
    if options.library:
        rivals = Rivals(options.bundle, options.library, options.sample, options.vectors, options.processes)
    found = measure(bundle, Dataset.open(options.dataset), options.fold, rivals)
    print(json.dumps({key: value for key, value in found.items() if key != "groups"}, indent=1))
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "ir_regression.json"
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    known[options.fold + (", scales as measured" if options.as_measured else "")] = found
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
