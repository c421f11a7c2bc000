"""What is claimed of speed, counted alike: one vector a call and in batches, one fit, many starts, a genome-scale map.

    NUMBA_NUM_THREADS=1 python benchmarks/flux_claims.py [simulation] [fit] [starts] [genome] [--data FOLDER]

adds to `benchmarks/results/flux_claims.json`. All times are CPU seconds of one thread, the best of some rounds; what
Numba compiles at a first call is not counted, what a plan takes to compile is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from flux_fit import central_carbon
from flux_networks import random_study
from flux_simulation import draw, networks, seconds

from molvis_files.writing import write_text
from molvis_flux.fit.intervals import goodness, slope_at
from molvis_flux.fit.levenberg_marquardt import minimise
from molvis_flux.fit.multistart import multistart, result
from molvis_flux.fit.problem import flux_problem
from molvis_flux.formats import read_study
from molvis_flux.labelling.stationary import Plan, compile_plan
from molvis_flux.model.network import Network

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("MOLVIS_DATA") or ROOT.parent / "shared" / "data") / "flux"
RESULTS = ROOT / "benchmarks" / "results" / "flux_claims.json"


def rates(plan: Plan, network: Network, batch: int = 8192) -> dict[str, float]:
    """Simulations a CPU-second, in a batch and one vector a call."""
    net, exchange = draw(network, batch)
    out: dict[str, float] = {}
    for dtype in (np.float64, np.float32):
        a, b = net.astype(dtype), exchange.astype(dtype)
        rows = [(a[i : i + 1], b[i : i + 1]) for i in range(500)]

        def each(rows: Any = rows, dtype: Any = dtype) -> None:
            for one in rows:
                plan.simulate(*one, dtype=dtype)

        def together(a: Any = a, b: Any = b, dtype: Any = dtype) -> None:
            plan.simulate(a, b, dtype=dtype)

        each()
        together()
        name = np.dtype(dtype).name
        out[f"{name}, batch"] = batch / seconds(together, 9)
        out[f"{name}, one vector a call"] = len(rows) / seconds(each, 15)
    return out


def simulation(data: Path) -> dict[str, Any]:
    """E. coli's central metabolism, two models of it."""
    known = networks(data)
    names = [name for name in known if name.startswith("E. coli") and "FluxML" not in name]
    return {name: rates(compile_plan(*known[name]), known[name][0]) for name in names}


def fit(_: Path) -> dict[str, Any]:
    """47 parameters, 492 numbers: 64 vectors' data, each fitted from the middle of the space."""
    problem, noisy, _ = central_carbon(64, 3)
    many, middle = replace(problem, measured=noisy), np.tile(problem.middle, (64, 1))
    minimise(many, middle, limit=2)
    found = minimise(many, middle, tolerance=1e-4)
    took = seconds(lambda: minimise(many, middle, tolerance=1e-4), 5)
    return {"ms a fit": 1e3 * took / 64, "median ssr": float(np.median(found.ssr)), "steps": float(found.steps.mean())}


def starts(data: Path) -> dict[str, Any]:
    """mfapy's E. coli (Okahashi 2017), 300 starts with profile intervals, and with those to first order."""
    folder = data / "mfapy_samples"
    study = read_study(
        folder / "Example_2_Ecoli_model.txt", status=folder / "Example_2_Ecoli_status.csv",
        data=folder / "Example_2_Ecoli_mdv.txt", merge_pairs=True,
        tracers={"SubsGlc": {"000000": 0.02, "100000": 0.7, "111111": 0.28}},
    )  # fmt: skip
    began = time.process_time()
    problem = flux_problem(study)
    out: dict[str, Any] = {"setup s": time.process_time() - began}
    warm = multistart(problem, starts=2, limit=2)
    result(problem, warm, intervals="profile", samples=0)
    began = time.process_time()
    found = multistart(problem, starts=300)
    out["300 starts s"] = time.process_time() - began
    good = goodness(problem, float(found.ssr[0]), slope_at(problem, found.y[0]))
    out |= {"ssr": good.ssr, "within 0.1 of the best": int((found.ssr < found.ssr[0] + 0.1).sum())}
    for intervals in ("profile", "covariance"):
        began = time.process_time()
        result(problem, found, intervals=intervals, samples=0)
        out[f"{intervals} intervals s"] = time.process_time() - began
    return out


def genome(_: Path) -> dict[str, Any]:
    """A random network of more than 500 reactions: how long it takes to compile, how fast it is, and what memory."""
    study = random_study(4001, 300)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    plan = compile_plan(study.network, study.experiments)
    out: dict[str, Any] = {
        "reactions": len(study.network.reactions), "metabolites": len(study.network.metabolites),
        "fragments": len(study.network.fragments), "tracers": len(study.experiments), "units": plan.units,
        "products": len(plan.program.left), "compile s": time.process_time() - began,
    }  # fmt: skip
    out |= rates(plan, study.network, 1024)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return out | {"peak memory GB": peak / 2**20, "before GB": before / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"simulation": simulation, "fit": fit, "starts": starts, "genome": genome}
    parser.add_argument("parts", nargs="*", default=list(parts))
    parser.add_argument("--data", type=Path, default=DATA)
    given = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in given.parts:
        results[name] = parts[name](given.data)
        write_text(RESULTS, json.dumps(results, indent=1) + "\n")
        print(name, json.dumps(results[name], indent=1), flush=True)


if __name__ == "__main__":
    main()
