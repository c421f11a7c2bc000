"""Mixtures whose amounts are known: what is found, missed and invented, and how often intervals hold the truth.

    python benchmarks/nmr_mixture_trials.py [--side looked_at] [--sizes 10 30 100 0] [--mixtures 5] [--out FILE]
    python benchmarks/nmr_mixture_trials.py --table FILE ...
    python benchmarks/nmr_mixture_trials.py --calibrate FILE ...

Mixtures are those of `nmr_mixture_samples.py`; sides are those of `nmr_mixture_split.json`. Beside `quantify` the same
spectra are taken apart by a plain non-negative least squares with a search over shifts (`peer`): each compound of the
library drawn with its multiplets where the whole compound correlates best with the spectrum within the same window,
all amounts at once, and present what has more than 2% of the largest amount.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from nmr_mixture_samples import FIELDS, Sample, sample
from scipy.optimize import nnls

from molvis_nmr.mixture import presence
from molvis_nmr.mixture import quantify as module
from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import Shared, State, signal_of
from molvis_nmr.mixture.library import library_compounds

LEAST = 0.65
"""Probability from which `quantify` reports a compound, and upper limits are of the others."""


def peer(given: Sample) -> dict[str, float]:
    """Amounts by plain non-negative least squares with a search over shifts."""
    trace = given.trace
    frequency = trace.frequency or 0.0
    step = float(trace.x[1] - trace.x[0]) * frequency
    axis = Axis(float(trace.x[0]) * frequency, step, len(trace))
    near_zero = np.abs(trace.x) < 0.05
    top = int(np.flatnonzero(near_zero)[trace.y[near_zero].argmax()])
    strong = trace.y[top] > 30 * np.median(np.abs(np.diff(trace.y)))
    offset = float(trace.x[top]) * frequency if strong else 0.0
    outside = (trace.x < 4.6) | (trace.x > 4.95)
    y = np.where(outside, trace.y - np.median(trace.y[outside]), 0.0)
    compounds = library_compounds(given.library, trace, 0.03, {})
    reach = round((0.03 if strong else 0.06) * frequency / step)
    columns: list[np.ndarray] = []
    for c in compounds:
        drawn = signal_of(c, State(1.0, np.full(len(c.multiplets), offset)), axis, Shared(0.7), 1e-4)
        lag = np.arange(-reach, reach + 1, 2)
        best = max(lag.tolist(), key=lambda k: float(np.roll(drawn, k) @ y))
        columns.append(np.where(outside, np.roll(drawn, best), 0.0))
    amounts = nnls(np.stack(columns, axis=1), y, maxiter=30 * len(columns))[0]
    return {c.identifier: float(a) for c, a in zip(compounds, amounts, strict=True) if a > 0.02 * amounts.max()}


def trial(folder: Path, side: str, size: int, seed: int, strangers: int = 1, beside: bool = True) -> dict[str, Any]:
    given = sample(folder, side, size, seed, strangers)
    begin = time.process_time()
    found = module.quantify(given.trace, given.library, least_probability=LEAST)
    spent = time.process_time() - begin
    begin = time.process_time()
    other = peer(given) if beside else {}
    rows = []
    for m in found.metabolites:
        truth = given.amounts.get(m.identifier)
        if truth is None and m.amount == 0:
            rows.append({"name": m.name, "limit": m.upper_limit, "truth": 0.0, "amount": 0.0})
            continue
        rows.append(
            {
                "name": m.name, "truth": truth or 0.0, "snr": given.snr.get(m.identifier, 0.0), "amount": m.amount,
                "error": m.error, "probability": m.probability, "limit": m.upper_limit, "tube": m.tube,
                "note": m.note, "measured": m.identifier in given.measured, "features": list(m.features),
            }
        )  # fmt: skip
    plain = [{"truth": t, "snr": given.snr[e], "amount": other.get(e, 0.0)} for e, t in given.amounts.items()]
    return {
        "side": side, "size": size, "seed": seed, "strangers": strangers, "cpu_s": spent, "rows": rows,
        "peer": {"cpu_s": time.process_time() - begin, "rows": plain, "false": len(set(other) - set(given.amounts))},
    }  # fmt: skip


def read(files: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for f in files for line in f.read_text(encoding="utf-8").splitlines()]


def is_present(row: dict[str, Any], least: float = LEAST, limit: float = 2.0) -> bool:
    return bool(row["amount"] > limit * row.get("error", np.inf) and row["probability"] > least)


def _smallest(trial: dict[str, Any]) -> float:
    """The smallest amount that was found in a mixture, beside which limits of what is absent are low or not."""
    return min((r["truth"] for r in trial["rows"] if r["truth"] > 0 and is_present(r)), default=0.0)


def figures(trials: list[dict[str, Any]], least: float = LEAST) -> dict[str, Any]:
    """What was found and invented, and how well."""
    rows = [r for t in trials for r in t["rows"]]
    there = [r for r in rows if r["truth"] > 0]
    strong = [r for r in there if r["snr"] > 10]
    shown = [r for r in rows if is_present(r, least)]
    right = [r for r in shown if r["truth"] > 0]
    relative = [abs(r["amount"] / r["truth"] - 1) for r in right]
    covered = [abs(r["amount"] - r["truth"]) < 1.645 * r["error"] for r in right]
    limits = [r["limit"] >= r["truth"] for r in rows if not is_present(r, least) and r["truth"] > 0]
    room = [r["limit"] / own for t in trials if (own := _smallest(t)) for r in t["rows"] if r["truth"] == 0]
    plain = [r for t in trials for r in t["peer"]["rows"]]
    hits = [r for r in plain if r["amount"] > 0]
    false = sum(t["peer"]["false"] for t in trials)
    return {
        "mixtures": len(trials), "present": len(strong), "found": int(sum(is_present(r, least) for r in strong)),
        "reported": len(shown), "false": len(shown) - len(right),
        "reported_tube": sum(bool(r["tube"]) for r in shown),
        "false_tube": sum(bool(r["tube"]) for r in shown if r["truth"] == 0),
        "reported_noted": sum(bool(r.get("note")) for r in shown),
        "false_noted": sum(bool(r.get("note")) for r in shown if r["truth"] == 0),
        "median_error": float(np.median(relative or [np.nan])),
        "covered90": float(np.mean(covered or [np.nan])), "missed_below_limit": [int(sum(limits)), len(limits)],
        "absent_limit": float(np.median(room or [np.nan])),
        "median_cpu_s": float(np.median([t["cpu_s"] for t in trials])),
        "longest_cpu_s": max(t["cpu_s"] for t in trials),
        "peer_found": sum(r["amount"] > 0 for r in plain if r["snr"] > 10), "peer_reported": len(hits) + false,
        "peer_false": false,
        "peer_median_error": float(np.median([abs(r["amount"] / r["truth"] - 1) for r in hits] or [np.nan])),
        "peer_median_cpu_s": float(np.median([t["peer"]["cpu_s"] for t in trials])),
    }  # fmt: skip


def calibrate(trials: list[dict[str, Any]]) -> None:
    """Logistic regression of presence on features, drawn towards what `presence.py` has; printed to be put there.

    What the size of a library counts stays as it is: the mixtures of one calibration have few sizes.
    """
    from scipy.optimize import minimize

    rows = [r for t in trials for r in t["rows"] if r.get("features")]
    x = np.array([r["features"] for r in rows]) - np.array(presence.CENTERS)
    x = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    y = np.array([r["truth"] > 0 for r in rows])
    before = np.array(presence.COEFFICIENTS)

    def loss(c: np.ndarray) -> float:
        odds = x[:, :-1] @ c + x[:, -1] * before[-1]
        return float(np.logaddexp(0, np.where(y, -odds, odds)).sum() + ((c - before[:-1]) ** 2).sum())

    best = np.append(minimize(loss, before[:-1]).x, before[-1])
    print("COEFFICIENTS =", tuple(round(float(c), 2) for c in best), f"# of {len(y)}, {int(y.sum())} there")
    odds = 1 / (1 + np.exp(-x @ best))
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01)):
        some = (odds >= low) & (odds < high)
        print(f"{low} to {high}: {some.sum()} of which there {y[some].mean() if some.any() else float('nan'):.2f}")
    scaled = np.array(
        [(r["amount"] - r["truth"]) / r["error"] for r in rows if r["truth"] > 0 and r["probability"] > 0.5]
    )
    print(
        "errors in standard deviations: 90% within", round(float(np.quantile(np.abs(scaled), 0.9)), 2), "wanted 1.645"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--side", default="looked_at", choices=tuple(FIELDS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 30, 100, 0])
    parser.add_argument("--mixtures", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--strangers", type=int, default=1, help="compounds of a mixture that its library lacks")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, nargs="+")
    parser.add_argument("--calibrate", type=Path, nargs="+")
    given = parser.parse_args()
    if given.calibrate:
        return calibrate(read(given.calibrate))
    if given.table:
        trials = read(given.table)
        for size in sorted({t["size"] for t in trials}, key=lambda s: s or 1000):
            print(size or "all", json.dumps(figures([t for t in trials if t["size"] == size])))
        return print("together", json.dumps(figures(trials)))
    for seed in range(given.first, given.first + given.mixtures):
        for size in given.sizes:
            done = trial(given.data / "nmr", given.side, size, seed, given.strangers, not given.no_peer)
            line = json.dumps(done)
            if given.out:
                with given.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            print(seed, size, json.dumps(figures([done])), flush=True)
    return None


if __name__ == "__main__":
    main()
