"""How well the shipped bundle tells whether the truth is among the candidates: its own spectra, and noise.

    python benchmarks/presence.py --dataset work/dataset --index index

Fold `test`, which nothing was fitted or chosen on. Writes benchmarks/results/presence.json, whose tables `tables.py`
puts into docs/results.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.records import Measurement
from molvis_retrieval import load_bundle
from molvis_retrieval.calibration.presence import KINDS, PresenceCase, presence_cases
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS
from molvis_retrieval.index import Index
from molvis_retrieval.presence import UNLIKELY

ROOT = Path(__file__).parents[1]
SIZES = (("1", 1, 1), ("2 to 5", 2, 5), ("6 to 20", 6, 20), ("more than 20", 21, 10**9))
DRAWS = 1000
Figure = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Cases:
    """Cases as columns, with what the bundle says of each."""

    stated: np.ndarray
    present: np.ndarray
    kind: np.ndarray
    candidates: np.ndarray
    records: np.ndarray
    ccs_alone: np.ndarray
    share: np.ndarray
    compound: np.ndarray

    @classmethod
    def of(cls, cases: Sequence[PresenceCase], stated: np.ndarray) -> Cases:
        """Columns of cases."""
        return cls(
            stated,
            np.array([c.present for c in cases]),
            np.array([c.kind for c in cases]),
            np.array([c.candidates for c in cases]),
            np.array([c.records for c in cases]),
            np.array(["has.msms" not in c.features for c in cases]),
            np.array([c.share for c in cases]),
            np.array([c.compound for c in cases]),
        )

    def select(self, chosen: np.ndarray) -> Cases:
        """Some of them."""
        return Cases(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def estimate(self, figure: Figure, seed: int = 0) -> dict[str, float]:
        """A figure of weights of the cases, and its 95% interval over compounds drawn with replacement."""
        rng = np.random.default_rng(seed)
        names, owner = np.unique(self.compound, return_inverse=True)
        found: list[float] = []
        for _ in range(DRAWS):
            times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
            found.append(figure(self.share * times[owner]))
        low, high = np.nanquantile(found, [0.025, 0.975])
        return {"value": figure(self.share), "low": float(low), "high": float(high)}

    def seen(self) -> dict[str, Any]:
        """Stated and observed shares."""

        def share(weight: np.ndarray) -> float:
            return float(weight @ self.present / weight.sum()) if weight.sum() else float("nan")

        return {
            "cases": len(self.stated),
            "compounds": len(np.unique(self.compound)),
            "weight": float(self.share.sum()),
            "stated": float(self.share @ self.stated / self.share.sum()),
            "observed": self.estimate(share),
        }

    def area(self, kind: str) -> dict[str, float]:
        """How often a query with its truth is stated higher than one of a kind without, ties half."""
        negative = self.kind == kind
        order = np.argsort(self.stated, kind="stable")
        level = np.unique(self.stated[order], return_inverse=True)[1]

        def figure(weight: np.ndarray) -> float:
            down = np.bincount(level, (weight * negative)[order], level.max() + 1)
            up = np.bincount(level, (weight * self.present)[order], level.max() + 1)
            below = np.cumsum(down) - down / 2
            return float(up @ below / (up.sum() * down.sum()))

        return self.estimate(figure)


def measurements(dataset: Dataset, fold: str) -> list[Measurement]:
    """MS/MS spectra of a fold, and cross sections of the compounds that have some."""
    rows = {m: dataset.rows(m, fold=fold, adducts=MAIN_ADDUCTS, min_peaks=2) for m in ("msms", "ccs")}
    spectra = [dataset.measurement("msms", int(row)) for row in rows["msms"]]
    known = {s.structure.inchikey14 for s in spectra if s.structure}
    values = [dataset.measurement("ccs", int(row)) for row in rows["ccs"]]
    return spectra + [v for v in values if v.structure and v.structure.inchikey14 in known]


def figures(cases: Cases) -> dict[str, Any]:
    """Everything for the tables. Cross sections by themselves, which say next to nothing, only count in `all_kinds`."""
    spectra = cases.select(~cases.ccs_alone)
    real = spectra.select(np.isin(spectra.kind, ["present", "removed"]))
    several = {"one measurement": real.records == 1, "several": real.records > 1}
    bins = [(low, real.select((real.stated >= low) & (real.stated < low + 0.1))) for low in np.arange(10) / 10]
    reliability = [{"low": float(low), **some.seen()} for low, some in bins if len(some.stated)]
    gap = sum(abs(r["stated"] - r["observed"]["value"]) * r["weight"] for r in reliability)
    return {
        "compounds": len(np.unique(cases.compound)),
        "cases": len(cases.stated),
        "reliability": reliability,
        "calibration_error": gap / sum(r["weight"] for r in reliability),
        "by_candidates": {name: real.select(_sized(real, low, high)).seen() for name, low, high in SIZES},
        "by_records": {name: real.select(m).seen() for name, m in several.items()},
        "all_kinds": cases.seen(),
        "area": {kind: spectra.area(kind) for kind in KINDS[1:]},
        "area_by_records": {name: real.select(m).area("removed") for name, m in several.items()},
        "area_by_candidates": {name: real.select(_sized(real, lo, hi)).area("removed") for name, lo, hi in SIZES},
        "distribution": {kind: _distribution(spectra.select(spectra.kind == kind)) for kind in KINDS},
    }


def _sized(cases: Cases, low: int, high: int) -> np.ndarray:
    return (cases.candidates >= low) & (cases.candidates <= high)


def _distribution(cases: Cases) -> dict[str, dict[str, float]]:
    """What is stated: quantiles, how often below 0.25, how often at least 0.5; by the number of candidates."""
    out: dict[str, dict[str, float]] = {}
    for name, low, high in (("all", 1, 10**9), *SIZES):
        values = cases.stated[_sized(cases, low, high)]
        quantiles = dict(zip(("q05", "median", "q95"), np.quantile(values, [0.05, 0.5, 0.95]).tolist(), strict=True))
        shares = {"unlikely": float((values < UNLIKELY).mean()), "half": float((values >= 0.5).mean())}
        out[name] = {"cases": len(values), **quantiles, **shares}
    return out


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--fold", default="test")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "presence.json")
    options = parser.parse_args()
    bundle = load_bundle("massbank")
    spectra = measurements(Dataset.open(options.dataset), options.fold)

    def show(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            print(f"{done} of {total} compounds", flush=True)

    cases = presence_cases(bundle, spectra, Index.open(options.index), seed=1, progress=show)
    stated = np.array([bundle.calibration.presence.probability(c.features) for c in cases])
    found = {"bundle": bundle.name, "fold": options.fold, **figures(Cases.of(cases, stated))}
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
