"""An estimator for a network of one's own, from the first steps of its training on, beside the classical fit.

    python benchmarks/flux_estimate.py train [--network SEED] [--folder FOLDER]
    python benchmarks/flux_estimate.py cases --missing 0.5 [--cases 20] [--stage first|last]
    python benchmarks/flux_estimate.py fit --missing 0.5 [--cases 20]

The network is a random one of 60 reactions with three tracers of its substrate; with `--small` that of
`flux_coverage.py` with the same seed, with two tracers and all of its pools measured. `train` notes the CPU seconds
after which the first, the second and the last estimator could be used, and keeps the first. `cases` estimates fluxes
that were drawn anew, their data with noise of 0.01 and a share of the measurements missing; `fit` fits the same cases
from 20 starts, with profile intervals, as `molvis flux fit` does. Each goes on where an interrupted run ended.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flux_networks import random_study
from flux_neural import as_study

from molvis_files.writing import write_text
from molvis_flux.fit.intervals import covariance_intervals
from molvis_flux.fit.multistart import fit
from molvis_flux.model.network import Experiment, Study, Tracer
from molvis_flux.neural.calibration import held_out, widened, with_missing
from molvis_flux.neural.estimator import Data, Estimator, Settings, load_estimator
from molvis_flux.neural.inference import estimate
from molvis_flux.neural.posterior import neural_draws
from molvis_flux.neural.training import train

RESULTS = Path(__file__).parent / "results" / "flux_estimate.json"
NETWORK, METABOLITES, REACTIONS = 2110, 32, 60
LEVEL, SD = 0.9, 0.01


def network(seed: int) -> tuple[int, Study]:
    """The first random network from a seed on that has 60 reactions, and its seed; three tracers of its substrate."""
    while len((study := random_study(seed, METABOLITES)).network.reactions) != REACTIONS:
        seed += 1
    mixtures = {
        "first": (("100000", 1.0),), "first two": (("110000", 1.0),), "half of all": (("111111", 0.5), ("000000", 0.5)),
    }  # fmt: skip
    return seed, Study(study.network, tuple(Experiment(n, {"S": Tracer(m)}) for n, m in mixtures.items()))


def note(results: dict[str, Any], out: Path, seed: int, **found: Any) -> None:
    """Add to the file of results."""
    results.setdefault(f"random {seed}", {}).update(found)
    write_text(out, json.dumps(results, indent=1) + "\n")


def trained(seed: int, study: Study, folder: Path, results: dict[str, Any], out: Path) -> None:
    """Train, and note when there was what."""
    ready: dict[int, float] = {}

    def staged(early: Estimator, done: int) -> None:
        ready[done] = early.metrics["cpu_seconds"]
        print(f"{done} steps can be used after {ready[done]:.0f} CPU seconds", flush=True)
        if len(ready) == 1:
            shutil.copytree(folder / "last", folder / "first", dirs_exist_ok=True)

    def say(done: int, steps: int, loss: float) -> None:
        if done % 250 == 0:
            print(f"{done}/{steps} steps, loss {loss:.2f}", flush=True)

    done = train(study, folder / "last", settings=Settings(noise=(0.002, 0.03)), staged=staged, progress=say)
    ready[done.settings.steps] = done.metrics["cpu_seconds"]
    about = {
        "reactions": len(study.network.reactions),
        "free fluxes": len(done.space),
        "measurements": len(done.measurements),
    }
    note(results, out, seed, **about, **{"steps and CPU seconds": ready, "metrics": done.metrics})


def moving(estimator: Estimator) -> np.ndarray:
    """Fluxes that the network does not fix, those of one pathway once."""
    from molvis_core.ties import alike
    from molvis_flux.space.steady import leading_signs

    space = estimator.space
    rows = np.flatnonzero(np.ptp(space.ranges, axis=1) > 1e-9 * (1 + np.abs(space.ranges).max(axis=1)))
    unit = space.basis[rows] / np.linalg.norm(space.basis[rows], axis=1, keepdims=True)
    first, _ = alike(unit * leading_signs(unit)[:, None])
    return rows[np.sort(np.asarray(first))]


def judged(estimator: Estimator, truth: np.ndarray, values: np.ndarray, intervals: np.ndarray) -> dict[str, float]:
    """Of one case: share of fluxes held, and mean error and width as shares of the range."""
    rows, ranges = moving(estimator), estimator.space.ranges
    width, slack = np.ptp(ranges[rows], axis=1), 1e-6 * np.ptp(ranges[rows], axis=1)
    held = (intervals[rows, 0] - slack <= truth[rows]) & (truth[rows] <= intervals[rows, 1] + slack)
    return {
        "held": float(held.mean()), "error": float((np.abs(values - truth)[rows] / width).mean()),
        "width": float((np.ptp(intervals[rows], axis=1) / width).mean()),
    }  # fmt: skip


def estimated(estimator: Estimator, data: Data, truth: np.ndarray, i: int) -> dict[str, dict[str, float]]:
    """One case as `molvis flux estimate` answers it, also under its method's name, and by the neural network alone."""
    study, out = as_study(estimator, data), {}
    began = time.process_time()
    found = estimate(estimator, study, level=LEVEL, seed=i)
    out["estimate"] = judged(estimator, truth, found.values, found.intervals) | {"CPU s": time.process_time() - began}
    out[found.method] = out["estimate"]
    began = time.process_time()
    draws = estimator.space.values(neural_draws(estimator, estimator.posterior([data]), 400, i)[0])
    share = 1 - np.mean([data.there[m.start] for m in estimator.measurements])
    middle, intervals = widened(estimator, draws, float(share), LEVEL)
    out["neural"] = judged(estimator, truth, middle, intervals) | {"CPU s": time.process_time() - began}
    return out


def fitted(estimator: Estimator, data: Data, truth: np.ndarray, i: int) -> dict[str, dict[str, float]]:
    """One case by the classical fit: profile intervals, and those to first order."""
    study, count = as_study(estimator, data), len(estimator.space.parameters)
    began = time.process_time()
    found = fit(study, level=LEVEL, seed=i)
    spent = time.process_time() - began
    first = covariance_intervals(found.least_squares, found.y[0], LEVEL)
    values = found.values[:count]
    best = {"SSR over numbers": found.ssr / data.there.sum(), "CPU s": spent}
    return {
        "profile": judged(estimator, truth, values, found.intervals[:count]) | best,
        "first order": judged(estimator, truth, values, first[:count]),
    }


def summary(lanes: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over cases, with 95% intervals from resampled cases of the share held."""
    rng, out = np.random.default_rng(0), {}
    for method in dict.fromkeys(name for lane in lanes for name in lane):
        those = [lane[method] for lane in lanes if method in lane]
        table = {key: np.array([one[key] for one in those]) for key in those[0]}
        picks = rng.integers(0, len(table["held"]), (2000, len(table["held"])))
        out[method] = {name: float(column.mean()) for name, column in table.items()}
        out[method]["held, 95%"] = np.quantile(table["held"][picks].mean(axis=1), [0.025, 0.975]).tolist()
        out[method]["error, 95%"] = np.quantile(table["error"][picks].mean(axis=1), [0.025, 0.975]).tolist()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "cases", "fit"))
    parser.add_argument("--network", type=int, default=NETWORK, help="seed from which on a network of 60 is sought")
    parser.add_argument("--small", action="store_true", help="the network of flux_coverage.py with that seed")
    parser.add_argument("--folder", type=Path, default=Path("flux-models") / "own")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--missing", type=float, default=0.0)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--stage", choices=("first", "last"), default="last")
    parser.add_argument("--seconds", type=float, default=500.0, help="no further case begins after so long")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seed, study = (given.network, random_study(given.network, measured=1.0)) if given.small else network(given.network)
    results: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    if given.what == "train":
        trained(seed, study, given.folder, results, given.out)
        return
    estimator = load_estimator(given.folder / given.stage)
    name = f"{given.what} {given.stage} {given.missing:g}" if given.what == "cases" else f"fit {given.missing:g}"
    lanes = results.get(f"random {seed}", {}).get(name, {}).get("lanes", [])
    values, clean = held_out(estimator, given.cases, 20_000)
    one = estimated if given.what == "cases" else fitted
    began = time.monotonic()
    for i in range(len(lanes), given.cases):
        if time.monotonic() - began > given.seconds:
            break
        data = with_missing(estimator, clean[i], given.missing, np.random.default_rng([seed, i]), sd=SD)
        lanes.append(one(estimator, data, values[i], i))
        results = json.loads(given.out.read_text()) if given.out.is_file() else {}  # another run may have added to it
        note(results, given.out, seed, **{name: {"cases": len(lanes), **summary(lanes), "lanes": lanes}})
    print(name, json.dumps(summary(lanes), indent=1))


if __name__ == "__main__":
    main()
