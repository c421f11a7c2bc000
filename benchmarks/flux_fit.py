"""Flux fits on public data and on simulated data: sums of squares, CPU times, coverage of intervals.

Writes `benchmarks/results/flux_fit.json`. Times are CPU seconds of one core, compilation by Numba not counted.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from molvis_files.writing import write_text
from molvis_flux.fit.intervals import goodness, profile, ranges, slope_at
from molvis_flux.fit.levenberg_marquardt import minimise
from molvis_flux.fit.multistart import multistart
from molvis_flux.fit.problem import FluxProblem, flux_problem
from molvis_flux.formats import read_study
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Datum, Experiment, Fragment, Network, Study, Tracer
from molvis_flux.sampling.interior import starting_points
from molvis_flux.sampling.prior import sample
from molvis_flux.sampling.smc import posterior
from molvis_flux.space.flux_space import flux_space

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("MOLVIS_DATA") or ROOT.parent / "shared" / "data") / "flux"
RESULTS = ROOT / "benchmarks" / "results" / "flux_fit.json"


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returns, and its CPU seconds."""
    start = time.process_time()
    return run(), time.process_time() - start


def ecoli() -> dict[str, Any]:
    """mfapy's example 2 (Okahashi 2017), whose own fit ends at 449."""
    folder = DATA / "mfapy_samples"
    study = read_study(
        folder / "Example_2_Ecoli_model.txt",
        status=folder / "Example_2_Ecoli_status.csv",
        data=folder / "Example_2_Ecoli_mdv.txt",
        tracers={"SubsGlc": {"000000": 0.02, "100000": 0.7, "111111": 0.28}},
        merge_pairs=True,
    )
    problem, setup = timed(lambda: flux_problem(study))
    multistart(problem, starts=2, limit=2)
    found, seconds = timed(lambda: multistart(problem, starts=100, tolerance=1e-5))
    good = goodness(problem, float(found.ssr[0]), slope_at(problem, found.y[0]))
    return {
        "ssr": good.ssr, "mfapy_ssr": 449, "data": good.data, "parameters": problem.map.basis.shape[1],
        "seen": good.seen, "starts": 100, "converged": int(found.converged.sum()),
        "within_0.1_of_best": int((found.ssr < found.ssr[0] + 0.1).sum()), "setup_s": setup, "fits_s": seconds,
    }  # fmt: skip


def mouse() -> tuple[Study, list[float], dict[str, list[float]]]:
    """The whole-body mouse of the examples, with its published fits."""
    study = read_study(ROOT / "examples" / "mouse" / "mouse.toml")
    with (DATA / "multitissue" / "mouse" / "published_fits_mouse1.csv").open() as file:
        rows = list(csv.reader(file))
    fluxes = {row[0]: [float(x) for x in row[4:14]] for row in rows if row[0] in study.network.reactions}
    return study, [float(x) for x in rows[1][4:14]], fluxes


def whole_body() -> dict[str, Any]:
    """100 starts of mouse 1; published: 15.0 to 23.9 in ten fits, 24 to 196 s each by mfapy."""
    study, published, fluxes = mouse()
    problem, setup = timed(lambda: flux_problem(study))
    net = np.array([fluxes[name] for name in study.network.reactions]).T
    assert problem.labelling is not None
    assert problem.labelling.plan is not None
    simulated = problem.labelling.plan.simulate(net, None)
    predicted = np.concatenate([simulated[:, problem.columns[:, 0]], net[:, problem.targets]], axis=1)
    again = (((predicted - problem.measured) / problem.sd) ** 2).sum(axis=1)
    multistart(problem, starts=2, limit=2)
    found, seconds = timed(lambda: multistart(problem, starts=100, limit=40, tolerance=1e-4))
    return {
        "ssr": float(found.ssr[0]), "ssr_quartiles": np.quantile(found.ssr, [0.25, 0.5, 0.75]).tolist(),
        "starts": 100, "at_most_15": int((found.ssr <= 15).sum()), "setup_s": setup, "fits_s": seconds,
        "published_ssr": published, "published_fluxes_by_us": again.tolist(),
        "reactions": len(study.network.reactions), "parameters": problem.map.basis.shape[1],
    }  # fmt: skip


def central_carbon(n: int, seed: int) -> tuple[FluxProblem, np.ndarray, np.ndarray]:
    """ML-Flux's network with 31 metabolites and 3 tracers: a problem, noisy data of n flux vectors, and those."""
    study = read_study(DATA / "mlflux" / "CCM.xml", bounds=DATA / "mlflux" / "CCM_Constraints.xlsx")
    reference = json.loads((DATA / "reference_values" / "mlflux_ccm_20tracers_mids.json").read_text())
    fragments = {}
    for name in reference["cases"][0]["mids"]:
        metabolite, _, atoms = name.rstrip("]").partition("[")
        metabolite = "AcCoA_cyt" if metabolite == "AcCoAcyt" else metabolite
        fragments[name] = Fragment(name, ((1.0, metabolite, tuple(int(a) - 1 for a in atoms.split(","))),))
    network: Network = replace(study.network, fragments=fragments)
    fed = (("100000", "11111"), ("110000", "00000"), ("010000", "11111"))
    bare = [Experiment(f"{a} {b}", {"GLC_IN": Tracer(((a, 1.0),)), "Gln_IN": Tracer(((b, 1.0),))}) for a, b in fed]
    plan, space = compile_plan(network, bare, list(fragments)), flux_space(network)
    truth = sample(space, n, seed)
    mids = plan.simulate(*space.net_and_exchange(truth))
    noisy = mids + 0.01 * np.random.default_rng(seed).standard_normal(mids.shape)

    def data(name: str) -> tuple[Datum, ...]:
        found = [(fragment, noisy[0, plan.slot(name, fragment)]) for fragment in fragments]
        return tuple(Datum(f, "mid", tuple(v.tolist()), (0.01,) * len(v)) for f, v in found)

    problem = flux_problem(Study(network, tuple(replace(e, data=data(e.name)) for e in bare)))
    slots = [plan.slot(part.experiment, part.datum.target) for part in problem.parts]
    return problem, noisy[:, np.concatenate([np.arange(s.start, s.stop) for s in slots])], truth


def central_carbon_fits(n: int = 64) -> dict[str, Any]:
    """47 parameters, 3 tracers, 492 numbers with sd 0.01; starts at the middle of the space and near the truth."""
    problem, noisy, truth = central_carbon(n, 3)
    many = replace(problem, measured=noisy)
    out: dict[str, Any] = {"fits": n, "parameters": problem.map.basis.shape[1], "data": len(problem.sd)}
    middle = np.tile(problem.middle, (n, 1))
    near = 0.9 * problem.map.points(truth) + 0.1 * middle
    minimise(many, middle, limit=2)
    for name, start in (("middle", middle), ("near", near)):
        found, seconds = timed(lambda start=start: minimise(many, start, tolerance=1e-4))
        out[f"from_{name}"] = {
            "ms_a_fit": 1e3 * seconds / n, "ssr_mean": float(found.ssr.mean()),
            "ssr_median": float(np.median(found.ssr)), "steps": float(found.steps.mean()),
        }  # fmt: skip
    seen = []
    for lane in range(n):
        one = replace(problem, measured=noisy[lane])
        seen.append(goodness(one, 0.0, slope_at(one, found.y[lane])).seen)
    out["expected_ssr_of_all_parameters"] = len(problem.sd) - problem.map.basis.shape[1]
    out["expected_ssr_of_those_seen"] = float(len(problem.sd) - np.mean(seen))
    _, seconds = timed(lambda: [minimise(replace(problem, measured=d), near[i : i + 1], tolerance=1e-4)
                                for i, d in enumerate(noisy[:10])])  # fmt: skip
    out["single_from_near_ms"] = 1e2 * seconds
    return out


def central_carbon_coverage(n: int = 6) -> dict[str, Any]:
    """Intervals of all fluxes of a few vectors from a random stream of their own; fluxes of one vector are related."""
    problem, noisy, truth = central_carbon(n, 1234)
    reach = ranges(problem)
    free = reach[:, 1] - reach[:, 0] > 1e-6
    profiled, drawn, seconds = [], [], [0.0, 0.0]
    for lane in range(n):
        one = replace(problem, measured=noisy[lane])
        start = np.concatenate([problem.middle[None], starting_points(problem, 7, lane)])
        found = minimise(one, start, tolerance=1e-6)
        best = int(np.argmin(found.ssr))
        found = type(found)(*(getattr(found, name)[[best]] for name in type(found).__slots__))
        bounds, spent = timed(lambda one=one, found=found: profile(one, found))
        seconds[0] += spent / n
        draws, spent = timed(lambda one=one, found=found: posterior(one, found.y[0], n=400).samples)
        seconds[1] += spent / n
        credible = np.quantile(draws, [0.05, 0.95], axis=0).T
        slack = 1e-6 * (reach[:, 1] - reach[:, 0])
        for kept, limits in ((profiled, bounds), (drawn, credible)):
            inside = (truth[lane] >= limits[:, 0] - slack) & (truth[lane] <= limits[:, 1] + slack)
            kept.append(float(inside[free].mean()))
    return {
        "vectors": n, "fluxes": int(free.sum()), "level": 0.9, "profile": float(np.mean(profiled)),
        "posterior": float(np.mean(drawn)), "posterior_sd_over_vectors": float(np.std(drawn)),
        "profile_s": seconds[0], "posterior_s": seconds[1],
    }  # fmt: skip


def small_network_coverage(n: int = 300) -> dict[str, Any]:
    """90% intervals of the EMU paper's network: profiles at one truth, posteriors over truths from the prior."""
    from molvis_flux.model.examples import antoniewicz

    study = antoniewicz()
    problem = flux_problem(study)
    middle = multistart(problem, starts=4).y[0]
    truth = problem.map.values(middle[None])[0]
    rng = np.random.default_rng(99)
    hits = np.zeros(len(truth))
    credible = np.zeros(len(truth))
    for _ in range(n):
        one = replace(
            problem, measured=problem.predict(middle[None])[0] + problem.sd * rng.standard_normal(len(problem.sd))
        )
        bounds = profile(one, multistart(one, starts=2))
        hits += (truth >= bounds[:, 0]) & (truth <= bounds[:, 1])
    space, drawn = problem.space, min(n, 100)
    narrow = {"v1": (90.0, 110.0), "v6": (60.0, 90.0)}
    reactions = {
        k: replace(r, net=narrow.get(k, r.net), exchange=(1.0, 300.0)) for k, r in study.network.reactions.items()
    }
    bounded = replace(study, network=replace(study.network, reactions=reactions))
    problem, space = flux_problem(bounded), flux_space(bounded.network)
    for lane, values in enumerate(sample(space, drawn, 5)):
        y = problem.map.points(values[None])
        one = replace(problem, measured=problem.predict(y)[0] + problem.sd * rng.standard_normal(len(problem.sd)))
        draws = posterior(one, multistart(one, starts=2).y[0], n=400, seed=lane).samples
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        credible += (values >= low) & (values <= high)
    names = ["/".join(name) for name in problem.map.names]
    return {
        "level": 0.9, "simulations": n, "profile": dict(zip(names, (hits / n).tolist(), strict=True)),
        "draws": drawn, "posterior": dict(zip(names, (credible / drawn).tolist(), strict=True)),
    }  # fmt: skip


def main() -> None:
    """Run all, and write after each what is known so far."""
    results: dict[str, Any] = {
        "machine": platform.machine(), "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
    }  # fmt: skip
    for run in (ecoli, whole_body, central_carbon_fits, small_network_coverage, central_carbon_coverage):
        results[run.__name__] = run()
        write_text(RESULTS, json.dumps(results, indent=2) + "\n")
        print(run.__name__, json.dumps(results[run.__name__], indent=2), flush=True)


if __name__ == "__main__":
    main()
