"""What each distortion of real infrared spectra costs a bundle.

    python benchmarks/ir_robustness.py --bundle RUN/bundle --dataset DATASET [--fold val] [--name robust]
        [--spectra 400] [--below none|rubberband|asls] [--out benchmarks/results]

DATASET holds infrared spectra as they should be, such as a collection of gas-phase spectra. The spectra of a fold are
distorted as instruments, accessories and operators do, and ranked among all compounds of the dataset. Beside each hit
rate stands what the distortion costs at 5, with a 95% interval by bootstrap over compounds of the paired differences.
The distortions here are other code than those of training (`molvis_ir.augmentation`), and act on whole spectra, before
they come onto the grid. `--below` takes a baseline away first, which a robust encoder does by itself.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.records import Trace
from molvis_ir.baselines import baseline
from molvis_ir.reflection import dispersion, reflectance, transmission_from_atr
from molvis_ir.units import taken_as
from molvis_retrieval import load_bundle, metrics
from molvis_retrieval.dataset import Dataset

Change = Callable[[Trace, np.random.Generator], Trace]
LOW, HIGH = 550.0, 3846.0


def _y(change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Change:
    """A change of the absorbance, given the place from 0 to 1 along the range. The highest band is 1 before it."""

    def changed(trace: Trace, _: np.random.Generator) -> Trace:
        place = (trace.x - trace.x[0]) / (trace.x[-1] - trace.x[0])
        return replace(trace, y=change(trace.y / trace.y.max(), place))

    return changed


def _range(*ranges: tuple[float, float]) -> Change:
    def cut(trace: Trace, _: np.random.Generator) -> Trace:
        kept = np.any([(trace.x >= low) & (trace.x <= high) for low, high in ranges], axis=0)
        return replace(trace, x=trace.x[kept], y=trace.y[kept])

    return cut


def _shift(by: float) -> Change:
    return lambda trace, _: replace(trace, x=trace.x + by)


def _stretch(share: float) -> Change:
    return lambda trace, _: replace(trace, x=2000 + (trace.x - 2000) * (1 + share))


def _noise(size: float) -> Change:
    return lambda trace, rng: replace(trace, y=trace.y / trace.y.max() + size * rng.normal(size=len(trace.y)))


def _resolution(width: float) -> Change:
    """Convolved with a Gaussian of this full width at half height."""

    def blurred(trace: Trace, _: np.random.Generator) -> Trace:
        step = (trace.x[-1] - trace.x[0]) / (len(trace.x) - 1)
        reach = round(2 * width / step)
        kernel = np.exp(-4 * np.log(2) * (np.arange(-reach, reach + 1) * step / width) ** 2)
        padded = np.pad(trace.y, reach, mode="edge")
        return replace(trace, y=np.convolve(padded, kernel / kernel.sum(), mode="valid"))

    return blurred


def _atr(trace: Trace, _: np.random.Generator) -> Trace:
    return replace(trace, y=trace.y * 1000 / trace.x)


def _atr_fresnel(trace: Trace, _: np.random.Generator) -> Trace:
    """A condensed phase on diamond: the highest absorption index is 0.3, and the refractive index follows."""
    k = np.clip(trace.y, 0, None) / trace.x
    k *= 0.3 / k.max()
    index = 1.5 + dispersion(trace.x, k) + 1j * k
    return replace(trace, y=-np.log10(reflectance(index, 2.4, np.pi / 4)))


def _corrected(change: Change, **options: Any) -> Change:
    def put_right(trace: Trace, rng: np.random.Generator) -> Trace:
        seen = change(trace, rng)
        return replace(seen, y=transmission_from_atr(seen.x, seen.y, **options))

    return put_right


def _as_transmittance(trace: Trace, _: np.random.Generator) -> Trace:
    """Transmittance that is stated to be absorbance, read as the readers do."""
    y = 10 ** (-trace.y / trace.y.max())
    return replace(trace, y=taken_as(trace.x, y, "ABSORBANCE")[0])


def _together(*changes: Change) -> Change:
    def all_of(trace: Trace, rng: np.random.Generator) -> Trace:
        for change in changes:
            trace = change(trace, rng)
        return trace

    return all_of


DISTORTIONS: dict[str, tuple[Change, float]] = {
    "as measured": (lambda trace, _: trace, 0),
    "resolution of 16 cm-1": (_resolution(16), 8),
    "noise of 1%": (_noise(0.01), 8),
    "offset of 20%": (_y(lambda y, _: y + 0.2), 8),
    "slope of 30%, rising": (_y(lambda y, u: y + 0.3 * u), 8),
    "slope of 30%, falling": (_y(lambda y, u: y + 0.3 * (1 - u)), 8),
    "curved baseline, bulging": (_y(lambda y, u: y + 0.3 * np.sin(np.pi * u)), 8),
    "curved baseline, sagging": (_y(lambda y, u: y + 0.3 * (2 * u - 1) ** 2), 8),
    "scattering, 4th power": (_y(lambda y, u: y + 0.5 * u**4), 8),
    "1000 to 3800 only": (_range((1000, 3800)), 8),
    "without 1800 to 2700": (_range((0, 1800), (2700, 9999)), 8),
    "lower third missing": (_range((LOW + (HIGH - LOW) / 3, 9999)), 15),
    "middle third missing": (_range((0, LOW + (HIGH - LOW) / 3), (HIGH - (HIGH - LOW) / 3, 9999)), 15),
    "upper third missing": (_range((0, HIGH - (HIGH - LOW) / 3)), 15),
    "600 to 1800 only": (_range((600, 1800)), 15),
    "shift of +10 cm-1": (_shift(10), 8),
    "shift of +20 cm-1": (_shift(20), 8),
    "shift of -20 cm-1": (_shift(-20), 8),
    "stretch of 0.5%": (_stretch(0.005), 8),
    "ATR, depth": (_atr, 8),
    "ATR, depth, corrected": (_corrected(_atr), 8),
    "ATR, Fresnel": (_atr_fresnel, 8),
    "ATR, Fresnel, depth corrected": (_corrected(_atr_fresnel), 8),
    "ATR, Fresnel corrected": (_corrected(_atr_fresnel, correction="fresnel"), 8),
    "ATR, 16 cm-1, shift of 10": (_together(_atr, _resolution(16), _shift(10)), 10),
    "ATR, 16 cm-1, shift of 20": (_together(_atr, _resolution(16), _shift(20)), 10),
    "transmittance stated as absorbance": (_as_transmittance, 8),
    "bands cut off at 70%": (_y(lambda y, _: np.minimum(y, 0.7)), 8),
}
"""What is done to a spectrum, and how many points of hit@5 it should cost at most."""


def measure(bundle: Any, dataset: Dataset, fold: str, below: str, spectra: int = 0, seed: int = 0) -> dict[str, Any]:
    """Hit rates under every distortion, of all spectra of a fold or of so many drawn from it."""
    table = dataset.table("ir")
    owners, folds = table["inchikey14"].to_pylist(), table["fold"].to_pylist()
    compounds = list(dict.fromkeys(owners))
    first = {key: row for row, key in reversed(list(enumerate(owners)))}
    structures = bundle.embed_structures([dataset.structure("ir", first[key]) for key in compounds])
    place = {key: i for i, key in enumerate(compounds)}
    rows = [i for i, one in enumerate(folds) if one == fold]
    if 0 < spectra < len(rows):
        rows = sorted(np.random.default_rng(seed).choice(rows, spectra, replace=False).tolist())
    truth = np.array([place[owners[i]] for i in rows])
    records = [dataset.record("ir", i) for i in rows]
    found: dict[str, Any] = {"fold": fold, "spectra": len(rows), "candidates": len(compounds), "below": below}
    plain = np.zeros(0)
    for name, (change, aim) in DISTORTIONS.items():
        rng = np.random.default_rng(seed)
        changed = [_based(change(record, rng), below) for record in records]
        scores = bundle.embed("ir", changed) @ structures.T
        ranks = metrics.rank_of_truth(scores.astype(np.float64), truth)
        at5 = metrics.hits(ranks.rank, 5, ranks.tied)
        plain = plain if len(plain) else at5
        cost = _interval(100 * (plain - at5), truth, rng)
        hits = [round(100 * float(_mean(metrics.hits(ranks.rank, k, ranks.tied), truth)), 1) for k in (1, 5, 20)]
        found[name] = {"hits": hits, "cost_at_5": cost, "aim": aim}
        rates = " ".join(f"{hit:5.1f}" for hit in hits)
        print(f"{name:36s} {rates}   costs {cost[0]:5.1f} ({cost[1]:.1f} to {cost[2]:.1f})", flush=True)
    return found


def _based(trace: Trace, below: str) -> Trace:
    if below == "none":
        return trace
    x = np.linspace(trace.x[0], trace.x[-1], max(5, round((trace.x[-1] - trace.x[0]) / 4)))
    low = baseline(np.interp(x, trace.x, trace.y), x[1] - x[0], below)  # type: ignore[arg-type]
    return replace(trace, y=trace.y - np.interp(trace.x, x, low))


def _mean(values: np.ndarray, owner: np.ndarray) -> float:
    """Over compounds, of the means over each one's spectra."""
    _, place, count = np.unique(owner, return_inverse=True, return_counts=True)
    return float(np.mean(np.bincount(place, values) / count))


def _interval(values: np.ndarray, owner: np.ndarray, rng: np.random.Generator) -> list[float]:
    _, place, count = np.unique(owner, return_inverse=True, return_counts=True)
    each = np.bincount(place, values) / count
    drawn = each[rng.integers(0, len(each), (2000, len(each)))].mean(axis=1)
    return [round(float(v), 1) for v in (each.mean(), *np.quantile(drawn, [0.025, 0.975]))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--fold", default="val")
    parser.add_argument("--name", default="")
    parser.add_argument("--spectra", type=int, default=0, help="So many of the fold, drawn; 0 for all.")
    parser.add_argument("--below", default="none", choices=("none", "rubberband", "asls"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    name = options.name or options.bundle.parent.name
    found = measure(
        load_bundle(options.bundle), Dataset.open(options.dataset), options.fold, options.below, options.spectra
    )
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "ir_robustness.json"
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    known[f"{name}, {options.below}, {options.fold}"] = found
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
