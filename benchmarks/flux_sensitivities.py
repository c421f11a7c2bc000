"""Derivatives of labelling in time: forward ones, beside differences of simulations that share their steps.

Synechocystis of FreeFlux's example with labelled carbon dioxide, random directions of net fluxes, exchange fluxes and
pools, each by its own size. What is exact is the derivative of the labelling that comes out at the steps taken, and of
the labelling itself: the same at a tolerance of 1e-9, whose error is beneath all that is printed.

    python benchmarks/flux_sensitivities.py

writes `benchmarks/results/flux_sensitivities.json`. CPU seconds of one thread, the best of some rounds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from molvis_files.writing import write_text
from molvis_flux.formats import read_study
from molvis_flux.labelling.backends.numba_kernels import lanes
from molvis_flux.labelling.instationary import InstationaryPlan, compile_instationary
from molvis_flux.model.network import Experiment, Tracer

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("MOLVIS_DATA") or ROOT.parent / "shared" / "data") / "flux"
RESULTS = ROOT / "benchmarks" / "results" / "flux_sensitivities.json"
TIMES = np.array([20.0, 60.0, 120.0, 300.0, 600.0])
Vectors = tuple[np.ndarray, np.ndarray, np.ndarray]


def differences(
    plan: InstationaryPlan, center: Vectors, moves: Vectors, tolerance: float, step: float = 1e-4
) -> np.ndarray:
    """Central differences: the two ends of each direction are in one block of lanes, which takes the same steps."""
    half, parts = lanes(np.float64) // 2, list[np.ndarray]()
    for first in range(0, moves[0].shape[1], half):
        far = [step * move[:, first : first + half].T for move in moves]
        ends = [np.concatenate([c + f, c - f]) for c, f in zip(center, far, strict=True)]
        up, down = np.split(plan.simulate(*ends, TIMES, tolerance=tolerance), 2)
        parts.append((up - down) / (2 * step))
    return np.moveaxis(np.concatenate(parts), 0, 2)


def best(run: Callable[[], Any], rounds: int = 15) -> float:
    """CPU seconds of the quickest round."""
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        spent.append(time.process_time() - began)
    return min(spent)


def main() -> None:
    """Compare them for 16, 30 and 60 directions."""
    numba.set_num_threads(1)
    study = read_study(DATA / "freeflux" / "synechocystis" / "synthetic_data")
    experiment = Experiment("half", {"CO2.ex": Tracer((("1", 0.5), ("0", 0.5)))}, study.experiments[0].data)
    plan = compile_instationary(study.network, [experiment])
    net, exchange = (
        np.array([study.fluxes.get((kind, r), 0.0) for r in plan.reactions]) for kind in ("net", "exchange")
    )
    center = (net, exchange, np.array([study.pools[name] for name in plan.pools]))
    # A net flux of 0 has one derivative towards either side, and an exchange flux may not become negative.
    scale = [np.abs(values) for values in center]
    out: dict[str, Any] = {"reactions": len(net), "pools": len(plan.pools), "states": plan.states, "times": 5}
    for count in (16, 30, 60):
        rng = np.random.default_rng(count)
        moves = tuple(rng.uniform(-1, 1, (len(s), count)) * s[:, None] for s in scale)
        exact = plan.tangents(*center, TIMES, *moves, tolerance=1e-9)[1]
        row: dict[str, Any] = {"greatest derivative": float(np.abs(exact).max())}
        for tolerance in (1e-3, 1e-4, 1e-6):
            forward = plan.tangents(*center, TIMES, *moves, tolerance=tolerance)[1]
            differed = differences(plan, center, moves, tolerance)
            row[f"tolerance {tolerance:g}"] = {
                "error, forward": float(np.abs(forward - exact).max()),
                "error, differences": float(np.abs(differed - exact).max()),
                "ms, forward": 1e3 * best(lambda t=tolerance, m=moves: plan.tangents(*center, TIMES, *m, tolerance=t)),
                "ms, differences": 1e3 * best(lambda t=tolerance, m=moves: differences(plan, center, m, t)),
            }
        row["differences from forward derivatives at a tolerance of 1e-9, by step"] = {
            f"{step:g}": float(np.abs(differences(plan, center, moves, 1e-9, step) - exact).max())
            for step in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
        }
        out[f"{count} directions"] = row
        print(count, json.dumps(row, indent=1), flush=True)
    write_text(RESULTS, json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
