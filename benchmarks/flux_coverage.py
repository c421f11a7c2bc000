"""How often intervals hold the true flux, on networks from elsewhere and on random ones.

Truths are drawn from what a network allows (net fluxes uniform, exchange fluxes uniform in their logarithm), data are
simulated with normal errors, and each is fitted as a user would: several starts, then intervals by three methods. What
is counted are values that the network does not fix; those of one pathway, which are multiples of each other, once.

They are told apart by what the data can determine, before data are drawn: from the derivatives at the true fluxes a
flux has an interval to first order, and both, one or none of its ends are within what the network allows. Where an end
is not, a profile ends with the range, which always holds the truth. The verdicts, which depend on the data, are counted
beside it, and how often an end that the data set is passed by the truth: 5% where it is exact.

    python benchmarks/flux_coverage.py random-0 --truths 200

adds to `benchmarks/results/flux_coverage.json`, and goes on where an interrupted run ended.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from flux_networks import random_study

from molvis_core.ties import alike
from molvis_files.writing import write_text
from molvis_flux.fit.information import information, normal_reach
from molvis_flux.fit.intervals import covariance_intervals, ranges, slope_at
from molvis_flux.fit.multistart import multistart, result
from molvis_flux.fit.problem import FluxProblem, flux_problem
from molvis_flux.formats import read_study
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Datum, Experiment, Study, Tracer
from molvis_flux.sampling.prior import sample
from molvis_flux.sampling.smc import posterior
from molvis_flux.space.flux_space import flux_space
from molvis_flux.space.steady import leading_signs

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("MOLVIS_DATA") or ROOT.parent / "shared" / "data") / "flux"
RESULTS = ROOT / "benchmarks" / "results" / "flux_coverage.json"
LEVEL, SD = 0.9, 0.01
RATE_SD = 1.0
"""Of the outflows of the networks that are measured in full; 100 flows in."""


def toy() -> Study:
    """mfapy's toy of the citric acid cycle, with its eight fragments."""
    folder = DATA / "mfapy_samples"
    study = read_study(folder / "Explanation_1_13CMFA_toymodel_model.txt",
                       status=folder / "Explanation_1_13CMFA_toymodel_status.csv")  # fmt: skip
    sources = {m.name: len(m.elements) for m in study.network.metabolites.values() if m.role == "source"}
    name, atoms = next(iter(sources.items()))
    return Study(study.network, (Experiment("first atom", {name: Tracer((("1" + "0" * (atoms - 1), 1.0),))}),))


NETWORKS: dict[str, Callable[[], Study]] = {
    "toy": toy,
    **{f"random-{seed}": (lambda seed=seed: random_study(seed)) for seed in range(100)},
    **{f"measured-{seed}": (lambda seed=seed: random_study(seed, measured=1.0)) for seed in range(100)},
}


def _leaves(study: Study, reaction: str) -> bool:
    """Whether a reaction carries something out of the network."""
    return any(
        study.network.metabolites[p.metabolite].role == "sink" for p in study.network.reactions[reaction].products
    )


def simulated(study: Study, n: int, seed: int, rate_sd: float = 0.0) -> tuple[FluxProblem, np.ndarray, np.ndarray]:
    """A problem, noisy data of n flux vectors drawn from the network, and those.

    Outflows are measured too where their standard deviation is given.
    """
    names, space = list(study.network.fragments), flux_space(study.network)
    bare = [replace(e, data=()) for e in study.experiments]
    plan = compile_plan(study.network, bare, names)
    truth = sample(space, n, seed)
    mids = plan.simulate(*space.net_and_exchange(truth))
    rng = np.random.default_rng([seed, 1])
    noisy = mids + SD * rng.standard_normal(mids.shape)
    rates = [("net", name) for name in study.network.reactions if rate_sd and _leaves(study, name)]
    outflow = truth[:, [space.index[rate] for rate in rates]]
    outflow = outflow + rate_sd * rng.standard_normal(outflow.shape)

    def data(name: str) -> tuple[Datum, ...]:
        found = [(fragment, noisy[0, plan.slot(name, fragment)]) for fragment in names]
        return tuple(Datum(f, "mid", tuple(v.tolist()), (SD,) * len(v)) for f, v in found)

    first = tuple(Datum(r, "net", (float(x),), (rate_sd,)) for (_, r), x in zip(rates, outflow[0], strict=True))
    measured = [replace(e, data=data(e.name) + (first if e is bare[0] else ())) for e in bare]
    problem = flux_problem(replace(study, experiments=tuple(measured)), space=space)
    slots = [plan.slot(p.experiment, p.datum.target) for p in problem.parts if p.datum.kind == "mid"]
    labelled = noisy[:, np.concatenate([np.arange(s.start, s.stop) for s in slots])]
    return problem, np.concatenate([labelled, outflow], axis=1), truth


def ends_by_data(problem: FluxProblem, truth: np.ndarray) -> np.ndarray:
    """How many ends of each value's interval the data can set, to first order at the truth."""
    y = problem.map.points(truth[None])
    told = information(problem, truth, slope_at(problem, y[0]))
    out = np.zeros(len(truth), int)
    for i, ((low, high), sd) in enumerate(zip(ranges(problem), told.sd, strict=True)):
        low, here, high = problem.map.bend(i, np.array([low, truth[i], high]))
        reach = normal_reach(LEVEL) * sd
        out[i] = int(here - reach > low) + int(here + reach < high)
    return out


def one_vector(problem: FluxProblem, measured: np.ndarray, truth: np.ndarray, seed: int, draws: int) -> dict[str, Any]:
    """Whether each method's interval holds each flux, with the flux's verdict."""
    one = replace(problem, measured=measured)
    found = multistart(one, starts=8, seed=seed, tolerance=1e-6)
    fitted = result(one, found, level=LEVEL, intervals="none", samples=0)
    reach = fitted.ranges
    rows = np.flatnonzero(reach[:, 1] - reach[:, 0] > 1e-6 * (1 + np.abs(reach).max(axis=1)))
    unit = one.map.directions[rows] / np.linalg.norm(one.map.directions[rows], axis=1, keepdims=True)
    first, _ = alike(unit * leading_signs(unit)[:, None])
    rows = rows[np.sort(np.asarray(first))]
    judged = result(one, found, level=LEVEL, samples=0)
    drawn = posterior(one, found.y[0], n=draws, seed=seed).samples
    said = np.array([(v.low, v.high) for v in judged.verdicts])
    unseen = np.array([v.kind == "not identifiable" for v in judged.verdicts])
    credible = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0).T
    said[unseen] = credible[unseen]
    limits = {
        "profile": judged.intervals, "posterior": credible, "said": said,
        "covariance": covariance_intervals(one, found.y[0], LEVEL),
    }  # fmt: skip
    slack = 1e-6 * (reach[:, 1] - reach[:, 0])
    out: dict[str, Any] = {
        name: ((truth >= low - slack) & (truth <= high + slack))[rows].tolist()
        for name, (low, high) in ((name, edges.T) for name, edges in limits.items())
    }
    out["verdict"] = [judged.verdicts[row].kind for row in rows]
    out["ends"] = ends_by_data(one, truth)[rows].tolist()
    low, high = judged.intervals[rows].T
    passed = (truth[rows] < low - slack[rows], truth[rows] > high + slack[rows])
    sources = [(judged.verdicts[row].low_from, judged.verdicts[row].high_from) for row in rows]
    out["passed"] = [
        bool(beyond[n]) for n, by in enumerate(sources) for beyond, who in zip(passed, by, strict=True) if who == "data"
    ]
    out["kind"] = [judged.verdicts[row].name[0] for row in rows]
    out["ssr"], out["freedom"] = judged.ssr, judged.goodness.freedom
    return out


def summary(lanes: list[dict[str, Any]]) -> dict[str, Any]:
    """Coverage by method, over all and by verdict; errors from resampled vectors, whose fluxes are related."""
    rng = np.random.default_rng(0)
    out: dict[str, Any] = {"vectors": len(lanes), "values": sum(len(lane["verdict"]) for lane in lanes)}
    for method in ("profile", "covariance", "posterior", "said"):
        hits = np.array([sum(lane[method]) for lane in lanes])
        counts = np.array([len(lane[method]) for lane in lanes])
        picks = rng.integers(0, len(lanes), (1000, len(lanes)))
        shares = hits[picks].sum(axis=1) / counts[picks].sum(axis=1)
        verdicts = {
            kind: [h for lane in lanes for h, v in zip(lane[method], lane["verdict"], strict=True) if v == kind]
            for kind in ("identifiable", "bounded", "not identifiable")
        }
        verdicts |= {
            f"{count} ends by data": [
                h for lane in lanes for h, n in zip(lane[method], lane["ends"], strict=True) if n == count
            ]
            for count in (2, 1, 0)
        }
        out[method] = {
            "coverage": float(hits.sum() / counts.sum()), "interval": np.quantile(shares, [0.025, 0.975]).tolist(),
            **{kind: [float(np.mean(held)), len(held)] for kind, held in verdicts.items() if held},
        }  # fmt: skip
    passed = [p for lane in lanes for p in lane["passed"]]
    if passed:
        out["ends set by the data that the truth passes"] = [float(np.mean(passed)), len(passed)]
    return out


def main() -> None:
    """Go on with one network's vectors, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--truths", type=int, default=200)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    lanes_file = given.out.with_name(f"{given.out.stem}-{given.network}.partial.json")
    lanes = json.loads(lanes_file.read_text()) if lanes_file.exists() else []
    study = NETWORKS[given.network]()
    problem, noisy, truth = simulated(study, given.truths, 77, RATE_SD if given.network.startswith("measured") else 0.0)
    started = time.process_time()
    for lane in range(len(lanes), given.truths):
        full = np.zeros(len(problem.map.names))
        full[: truth.shape[1]] = truth[lane]
        lanes.append(one_vector(problem, noisy[lane], full, lane, given.draws))
        if lane % 10 == 9 or lane == given.truths - 1:
            write_text(lanes_file, json.dumps(lanes))
            spent = (time.process_time() - started) / (lane + 1)
            print(lane + 1, f"{spent:.2f} s each", json.dumps(summary(lanes)), flush=True)
    results = json.loads(given.out.read_text()) if given.out.exists() else {}
    results[given.network] = {
        "reactions": len(study.network.reactions), "parameters": problem.map.basis.shape[1], "level": LEVEL, "sd": SD,
        **summary(lanes),
    }  # fmt: skip
    write_text(given.out, json.dumps(results, indent=2) + "\n")
    lanes_file.unlink()


if __name__ == "__main__":
    main()
