"""Least squares of spin systems by our Levenberg-Marquardt, by SciPy's and, where it is installed, by optimistix.

    python benchmarks/nmr_solvers.py [--out benchmarks/results] [--repeats 3] [--starts 6] [--systems Alanine ...]

All solve the same fits of measured amino acids (`MOLVIS_DATA`, `nmr/`) from the same starts by the same search, with
the same tolerance; what differs is who walks down at each broadening. SciPy and optimistix get residuals over the noise
of the point where a descent begins, rows for the prior, and the same analytic Jacobian (Kaufman's, with intensities
projected out). Runs alternate, so that a busy machine slows all alike; times are CPU seconds on one thread.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import functools
import importlib.util
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
from nmr_fit import DATA, ROOT, coupled, perturbed, relabelled, spectra, started, trace

from molvis_core.records import Trace
from molvis_files.writing import write_text
from molvis_nmr.fitting import search, variable_projection
from molvis_nmr.fitting.problem import Problem, Stage
from molvis_nmr.fitting.spin_system import SpinSystemFit, fit
from molvis_nmr.fitting.variable_projection import State, derive, evaluate
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.spins.simulation import simulate

Descend = Callable[..., tuple[State, bool]]
SYSTEMS = ("Alanine", "Serine", "Glutamate", "Glutamine", "Methionine", "Proline")


class LeastSquares:
    """One descent as residuals and their Jacobian, of the parameters that are searched."""

    def __init__(self, problem: Problem, theta: np.ndarray, stage: Stage) -> None:
        self.problem, self.stage, self.tie = problem, stage, problem.searched
        self.theta = theta
        first = evaluate(problem, theta, stage)
        self.first = evaluate(problem, theta, stage, first)
        self.factor = [(n / loss) ** 0.5 for n, loss in zip(stage.count, self.first.loss, strict=True)]
        values, vectors = np.linalg.eigh(problem.precision)
        self.root = (vectors * np.sqrt(np.maximum(values, 0))).T
        self.states: dict[bytes, State] = {}

    def state(self, move: np.ndarray) -> State:
        """What is computed at a point, once."""
        key = np.asarray(move).tobytes()
        if key not in self.states:
            theta = np.clip(self.theta + self.tie @ move, self.problem.low, self.problem.high)
            self.states = {key: evaluate(self.problem, theta, self.stage, self.first)}
        return self.states[key]

    def residual(self, move: np.ndarray) -> np.ndarray:
        """Of all spectra over their noise, and of the prior."""
        state, problem = self.state(move), self.problem
        off = np.where(problem.free, state.theta - problem.mean, 0.0)
        parts = [f * w**0.5 * r for f, w, r in zip(self.factor, state.weight, state.residual, strict=True)]
        return np.concatenate([*parts, self.root @ off])

    def jacobian(self, move: np.ndarray) -> np.ndarray:
        """Of `residual`, with intensities projected out."""
        state, problem, rows = self.state(move), self.problem, []
        for s, slopes in enumerate(derive(problem, state, self.stage)):
            root = state.weight[s][:, None] ** 0.5
            columns, weighted = root * state.columns[s], root * slopes
            gram = columns.T @ columns
            gram[np.diag_indices(len(gram))] += 1e-6 * np.diag(gram) + 1e-9 * np.trace(gram) / len(gram)
            projected = weighted - columns @ np.linalg.solve(gram, columns.T @ weighted)
            full = np.zeros((len(slopes), len(problem.names)))
            full[:, problem.own(s)] = -self.factor[s] * projected
            rows.append(full)
        return np.concatenate([*rows, self.root]) @ self.tie


def scipy_descend(
    method: str, problem: Problem, theta: np.ndarray, stage: Stage, *, most: int = 20, tolerance: float = 1e-3
) -> tuple[State, bool]:
    """`scipy.optimize.least_squares`; `trf` has the bounds of the parameters, `lm` (MINPACK) knows none."""
    asked, size = LeastSquares(problem, theta, stage), problem.searched.shape[1]
    bounds: Any = (-np.inf, np.inf)
    if method == "trf":
        free = problem.searched.argmax(axis=0)
        room = 1e-9
        bounds = (np.minimum(problem.low - theta, -room)[free], np.maximum(problem.high - theta, room)[free])
    found = scipy.optimize.least_squares(
        asked.residual, np.zeros(size), asked.jacobian, bounds=bounds, method=method, x_scale="jac",
        ftol=tolerance, xtol=1e-10, gtol=1e-10, max_nfev=4 * most,
    )  # fmt: skip
    return asked.state(found.x), bool(found.success)


def optimistix_descend(
    problem: Problem, theta: np.ndarray, stage: Stage, *, most: int = 20, tolerance: float = 1e-3
) -> tuple[State, bool]:
    """`optimistix.LevenbergMarquardt`; residuals and Jacobian are called back, since they are NumPy's."""
    import jax
    import jax.numpy as jnp
    import optimistix as optx

    jax.config.update("jax_enable_x64", True)
    asked, size = LeastSquares(problem, theta, stage), problem.searched.shape[1]
    rows = len(asked.residual(np.zeros(size)))

    def called(function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], y: Any) -> Any:
        kind = jax.ShapeDtypeStruct(shape, jnp.float64)
        return jax.pure_callback(lambda v: function(np.asarray(v)), kind, y, vmap_method="sequential")

    @jax.custom_jvp
    def residual(y: Any) -> Any:
        return called(asked.residual, (rows,), y)

    @residual.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (y,), (t,) = primals, tangents
        return residual(y), called(asked.jacobian, (rows, size), y) @ t

    solver = optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance)
    found = optx.least_squares(lambda y, _: residual(y), solver, jnp.zeros(size), max_steps=4 * most, throw=False)
    return asked.state(np.asarray(found.value)), bool(found.result == optx.RESULTS.successful)


SOLVERS: dict[str, Descend] = {
    "ours": variable_projection.descend,
    "scipy trf": functools.partial(scipy_descend, "trf"),
    "scipy lm": functools.partial(scipy_descend, "lm"),
}
if importlib.util.find_spec("optimistix"):
    SOLVERS["optimistix"] = optimistix_descend


@contextmanager
def walking(descend: Descend) -> Iterator[None]:
    """Let the search go downhill by another solver."""
    search.descend = descend
    try:
        yield
    finally:
        search.descend = variable_projection.descend


def timed(function: Callable[[], SpinSystemFit]) -> tuple[float, SpinSystemFit]:
    """CPU seconds, and the fit."""
    start = time.process_time()
    found = function()
    return time.process_time() - start, found


def from_far(count: int) -> dict[str, Any]:
    """Proline, simulated at a signal-to-noise ratio of 1000, from starts off by 0.05 ppm and 3 Hz: how many arrive."""
    library = {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}
    truth = replace(library["mipt:Proline"], widths=np.full(7, 0.9))
    axis = np.arange(1.7, 4.4, 0.0004)
    clean = simulate(truth, 500.0, axis=axis)
    solvers = {label: solver for label, solver in SOLVERS.items() if label != "optimistix"}
    seconds: dict[str, list[float]] = {label: [] for label in solvers}
    arrived = dict.fromkeys(solvers, 0)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        noisy = Trace(axis, clean.y + rng.normal(0, clean.y.max() / 1000, len(axis)), frequency=500.0)
        start = perturbed(truth, 0.05, 3.0, rng)
        for label, solver in solvers.items():
            with walking(solver):
                took, one = timed(lambda n=noisy, s=start, seed=seed: fit(n, s, seed=seed, absolute=False))
            shift, coupling = relabelled(one.system, truth)
            arrived[label] += bool(shift < 0.05 and coupling < 0.3)
            seconds[label].append(took)
        print("from far", seed, arrived, {k: round(v[-1], 2) for k, v in seconds.items()}, flush=True)
    return {
        label: {"arrived": arrived[label], "of": count, "median_seconds": round(float(np.median(seconds[label])), 2)}
        for label in solvers
    }


def main() -> None:
    """Fit every system by every solver in turn, and write medians and ratios."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    asked.add_argument("--repeats", type=int, default=3)
    asked.add_argument("--starts", type=int, default=6)
    asked.add_argument("--systems", nargs="+", default=list(SYSTEMS))
    options = asked.parse_args()
    rows, library = spectra(), {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}
    warm = coupled(["H1", "H2"], [300.0, 330.0], [7.0], 1.0)
    for solver in SOLVERS.values():  # what is compiled or imported first
        with walking(solver):
            fit(simulate(warm, 300.13, axis=np.arange(0.8, 1.3, 0.001)), warm, absolute=False)
    found: dict[str, Any] = {}
    for name in options.systems:
        row = rows[f"gissmo_exp:{name}"]
        measured, system = trace(row), started(library[row["spin_system_id"]])
        seconds: dict[str, list[float]] = {solver: [] for solver in SOLVERS}
        fits: dict[str, SpinSystemFit] = {}
        for repeat in range(options.repeats):
            for label, solver in SOLVERS.items():
                if repeat and label == "optimistix":  # compiled anew for every descent, and slower by far: once will do
                    continue
                with walking(solver):
                    took, fits[label] = timed(lambda m=measured, s=system: fit(m, s, absolute=False))
                seconds[label].append(took)
        found[name] = {
            label: {
                "seconds": round(float(np.median(seconds[label])), 3),
                "ratio": round(
                    float(np.median([a / b for a, b in zip(seconds[label], seconds["ours"], strict=False)])), 2
                ),
                "r_factor": round(fits[label].metrics["r_factor"], 5),
            }
            for label in SOLVERS
        }
        print(name, *(f"{k}: {v['seconds']} s, x{v['ratio']}, R {v['r_factor']}" for k, v in found[name].items()),
              sep="\n  ", flush=True)  # fmt: skip
    summary = {
        label: {
            "median_ratio": round(float(np.median([row[label]["ratio"] for row in found.values()])), 2),
            "total_ratio": round(
                sum(r[label]["seconds"] for r in found.values()) / sum(r["ours"]["seconds"] for r in found.values()), 2
            ),
            "as_accurate": sum(r[label]["r_factor"] <= 1.02 * r["ours"]["r_factor"] for r in found.values()),
        }
        for label in SOLVERS
    }
    print(json.dumps(summary, indent=1))
    packages = ("numpy", "scipy", *(["optimistix", "jax"] if "optimistix" in SOLVERS else []))
    result = {
        "systems": found,
        "summary": summary,
        "from_far": from_far(options.starts),
        "measured": {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()} {platform.system()}, one thread",
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
    }
    write_text(options.out / "nmr_solvers.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
