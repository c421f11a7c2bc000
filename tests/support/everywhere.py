"""A handful of fits and choices, as JSON: what has to be the same on every machine.

Run as `python -m everywhere`. `exact` holds names, keys, orders and draws; `near` what may differ by a millionth of its
size; both in the order of `facts`.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np


def fluxes() -> tuple[dict[str, object], dict[str, list[float]]]:
    """Free fluxes among equals, draws, starting points, a fit, and an order of tracers."""
    from molvis_core.records import Distribution
    from molvis_flux.fit.design import design
    from molvis_flux.fit.fitter import FluxFit
    from molvis_flux.fit.multistart import fit
    from molvis_flux.fit.problem import flux_problem
    from molvis_flux.model.examples import antoniewicz, network
    from molvis_flux.sampling.interior import starting_points
    from molvis_flux.sampling.prior import sample
    from molvis_flux.space.flux_space import flux_space

    # Four ways from B to D, a cycle, and another path: fluxes that would do equally well as free ones.
    ways = {f"w{i}": "B abc <-> D abc" if i % 2 else "B abc -> D abc" for i in range(4)}
    lines = {"in": "A abc -> B abc", **ways, "on": "D abc -> E abc", "back": "E abc -> D abc", "out": "D abc -> F abc"}
    lines |= {"aside": "A abc -> G abc", "gone": "G abc -> H abc"}
    made = network("ways", dict.fromkeys("ABDEFGH", 3), lines, sources="A", sinks="F H")
    reactions = {
        name: replace(r, net=(-10.0 if r.reversible else 0.0, 10.0), exchange=(0.0, 5.0))
        for name, r in made.reactions.items()
    }
    made = replace(made, reactions=reactions | {"in": replace(reactions["in"], net=(1.0, 1.0))})
    space = flux_space(made)
    study = antoniewicz()
    problem = flux_problem(study)
    found = fit(study, starts=4, intervals="covariance")
    fitter = FluxFit(study, samples=20, starts=2)
    records = [Distribution(np.array([0.0001, 0.8008, 0.1983, 0.0008]), np.full(4, 0.003), "F")]
    planned = design(study, draws=4)
    exact = {
        "free": ["/".join(space.parameters[i]) for i in space.free],
        "prior": list(fitter.prior(records)),
        "names": ["/".join(name) for name in found.names],
        "verdicts": [verdict.kind for verdict in found.verdicts],
        "tracers": [option.name for option in planned.tracers],
        "draws": sample(space, 5, seed=1).round(9).tolist(),
        "starts": starting_points(problem, 4, 0).round(9).tolist(),
    }
    return exact, {"fluxes": found.values.tolist(), "errors": np.sqrt(np.diag(found.covariance)).tolist()}


def spins() -> tuple[dict[str, object], dict[str, list[float]]]:
    """Lines of six spins that are alike but for their couplings, clusters of a chain, and a fit."""
    from molvis_nmr.fitting.spin_system import fit
    from molvis_nmr.spins.simulation import simulate
    from molvis_nmr.spins.system import SpinSystem
    from molvis_nmr.spins.transitions import distinct, lines

    ring = np.zeros((6, 6))
    for k in range(6):
        ring[k, (k + 1) % 6] = ring[(k + 1) % 6, k] = 9.5
        ring[k, (k + 2) % 6] = ring[(k + 2) % 6, k] = -0.5
    names = tuple(f"H{k}" for k in range(6))
    found = distinct(lines(SpinSystem(names, np.r_[3.3, np.full(5, 3.35)], ring), 400.0))
    truth = SpinSystem(("A", "B", "X"), np.array([1.2, 1.3, 2.4]), np.array([[0, 8, 3], [8, 0, 5], [3, 5, 0.0]]))
    start = replace(truth, shifts=truth.shifts + np.array([0.01, -0.01, 0.005]), couplings=truth.couplings * 1.1)
    fitted = fit(simulate(truth, 300.0, points=4096), start, starts=1, absolute=False, gaussian=False)
    weight = np.abs(found.weight)
    exact = {
        "lines": len(found.position),
        "strong": (weight > 0.01 * weight.max(axis=0)).sum(axis=0).tolist(),
        "names": list(fitted.fit.names),
        "flags": dict(fitted.flags),
    }
    return exact, {"positions": found.position.tolist(), "fitted": fitted.fit.values.tolist()}


def candidates() -> tuple[dict[str, object], dict[str, list[float]]]:
    """The order of candidates, some of which are the same vector at another place of the library."""
    from molvis_retrieval import metrics

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((500, 96)).astype(np.float32)[rng.integers(0, 60, 500)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = vectors[:8] @ vectors.T
    ranks = metrics.rank_of_truth(scores, np.arange(8) + 20).rank.tolist()
    return {"order": [metrics.in_order(row, 30).tolist() for row in scores], "ranks": ranks}, {}


def facts() -> dict[str, dict[str, object]]:
    """All of them."""
    exact: dict[str, object] = {}
    near: dict[str, object] = {}
    for some in (fluxes, spins, candidates):
        same, close = some()
        exact |= {f"{some.__name__}.{key}": value for key, value in same.items()}
        near |= {f"{some.__name__}.{key}": value for key, value in close.items()}
    return {"exact": exact, "near": near}


if __name__ == "__main__":
    print(json.dumps(facts()))
