"""Simulations a CPU-second, against the number of elementary metabolite units, and how exact they are.

    NUMBA_NUM_THREADS=1 python benchmarks/flux_simulation.py [--data FOLDER] [--out benchmarks/results]

FOLDER holds the flux data. Of each network the fragments it names are simulated, for flux vectors drawn at random: the
arithmetic is the same for every flux. The best of five batches counts, in the CPU time of the process; compiling the
plan does not. The instationary run is the coarsest tolerance whose largest error is at most 2.5e-4, against the same
simulation with a tolerance of 1e-8.
"""

from __future__ import annotations

import argparse
import itertools
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
from molvis_flux.formats import read_study
from molvis_flux.labelling.instationary import compile_instationary
from molvis_flux.labelling.stationary import Plan, compile_plan
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import Experiment, Fragment, Network, Tracer

TIMES = np.array([5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0, 360.0])
LARGEST_ERROR = 2.5e-4
AIMS = {
    "E. coli, mfapy example 2": (340_000, 520_000),
    "central carbon, 20 tracers": (9_700, 36_000),
    "whole-body mouse": (42_000, 120_000),
}


def fed(network: Network, share: float = 0.5) -> Experiment:
    """Every carbon source of more than one atom half labelled throughout."""
    sources = [m for m in network.metabolites.values() if m.role == "source" and len(m.elements) > 1]
    mixture = {m.name: (("1" * len(m.elements), share), ("0" * len(m.elements), 1 - share)) for m in sources}
    return Experiment("half", {name: Tracer(isotopomers) for name, isotopomers in mixture.items()})


def whole(network: Network) -> Network:
    """With all atoms of each metabolite as a fragment, for a file that names none."""
    names = [name for name, m in network.metabolites.items() if m.elements and m.role != "source"]
    units = {name: tuple(range(len(network.metabolites[name].elements))) for name in names}
    return replace(network, fragments={name: Fragment(name, ((1.0, name, units[name]),)) for name in names})


def networks(data: Path) -> dict[str, tuple[Network, tuple[Experiment, ...]]]:
    """Networks with their experiments, by name."""
    toy = antoniewicz()
    found: dict[str, tuple[Network, tuple[Experiment, ...]]] = {"EMU paper": (toy.network, toy.experiments)}
    for name in ("Simple", "Glycolysis", "GlyPPP"):
        study = read_study(data / "mlflux" / f"{name}.xml")
        network = study.network if study.network.fragments else whole(study.network)
        found[f"ML-Flux {name}"] = (network, study.experiments[:1] or (fed(network),))
    samples = data / "mfapy_samples"
    glucose = {"SubsGlc": {"100000": 0.7, "111111": 0.3}}
    ecoli = read_study(
        samples / "Example_2_Ecoli_model.txt",
        data=samples / "Example_2_Ecoli_mdv.txt",
        tracers=glucose,
        merge_pairs=True,
    )
    found["E. coli, mfapy example 2"] = (ecoli.network, ecoli.experiments)
    for level in (1, 2):
        study = read_study(data / "fluxml_examples" / f"ecoli_model_level_{level}.fml", strict=False)
        found[f"E. coli, FluxML level {level}"] = (study.network, study.experiments[:1])
    other = read_study(
        data / "freeflux" / "ecoli" / "synthetic_data", tracers={"Glc.ex": {"100000": 0.5, "111111": 0.5}}
    )
    found["E. coli, FreeFlux"] = (other.network, other.experiments[:1])
    ccm = read_study(data / "mlflux" / "CCM_Model.txt").network
    reference = json.loads((data / "reference_values" / "mlflux_ccm_20tracers_mids.json").read_text())
    tracers = [{name: Tracer(((p, 1.0),)) for name, p in given.items()} for given in reference["tracers"]]
    experiments = tuple(Experiment(str(i), tracer) for i, tracer in enumerate(tracers))
    found["central carbon, 1 tracer"] = (ccm, experiments[:1])
    found["central carbon, 20 tracers"] = (ccm, experiments)
    mouse = read_study(data / "multitissue" / "mouse" / "whole_body_model.txt").network
    found["whole-body mouse"] = (mouse, (fed(mouse),))
    return found


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """CPU time of the quickest round."""
    best = np.inf
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def draw(network: Network, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Net and exchange fluxes, all positive."""
    rng = np.random.default_rng(0)
    reversible = np.array([r.reversible for r in network.reactions.values()])
    net = np.exp(rng.normal(0, 0.5, (n, len(reversible))))
    return net, np.exp(rng.normal(-1, 1, net.shape)) * reversible


def rates(plan: Plan, network: Network) -> dict[str, Any]:
    """Simulations a CPU-second, and what derivatives cost beside them."""
    net, exchange = draw(network, 64)
    once = seconds(lambda: plan.simulate(net, exchange)) / len(net)
    net, exchange = draw(network, int(np.clip(0.5 / once, 256, 65_536)) // 64 * 64)
    found: dict[str, Any] = {}
    for dtype in (np.float64, np.float32):
        given = net.astype(dtype), exchange.astype(dtype)
        plan.simulate(given[0][:64], given[1][:64], dtype=dtype)
        took = seconds(lambda dtype=dtype, given=given: plan.simulate(*given, dtype=dtype))
        found[np.dtype(dtype).name] = len(net) / took
    few = slice(0, 64)
    moves = np.random.default_rng(1).normal(size=(2, net.shape[1], 32))
    weights = np.ones((64, plan.size))
    plan.tangents(net[few], exchange[few], *moves)
    plan.gradient(net[few], exchange[few], weights)
    found["tangents32_us"] = 1e6 / 64 * seconds(lambda: plan.tangents(net[few], exchange[few], *moves))
    found["gradient_us"] = 1e6 / 64 * seconds(lambda: plan.gradient(net[few], exchange[few], weights))
    single = plan.simulate(net[few], exchange[few], dtype=np.float32)
    found["float32_error"] = float(np.abs(single - plan.simulate(net[few], exchange[few])).max())
    return found


def agreement(data: Path) -> dict[str, float]:
    """Largest differences from the computed references."""
    study = antoniewicz()
    plan = compile_plan(study.network, study.experiments)
    net, exchange = (np.array([[study.fluxes.get((k, r), 0.0) for r in plan.reactions]]) for k in ("net", "exchange"))
    published = np.array([0.0001, 0.8008, 0.1983, 0.0009])
    found = {
        "EMU paper, rounded to 4 digits": float(np.abs(plan.simulate(net, exchange)[0].round(4) - published).max())
    }
    network, experiments = networks(data)["central carbon, 20 tracers"]
    plan = compile_plan(network, experiments)
    (case,) = json.loads((data / "reference_values" / "mlflux_ccm_20tracers_mids.json").read_text())["cases"]
    mids = plan.simulate(np.array([[case["fluxes"][r] for r in plan.reactions]]))[0]
    found["central carbon"] = max(
        float(np.abs(mids[plan.slot(str(i), name.split("[")[0])] - mid).max())
        for name, wanted in case["mids"].items()
        for i, mid in enumerate(wanted)
    )
    reference = json.loads((data / "reference_values" / "dietary_wholebody_mfapy_mids_flux_sol3.json").read_text())
    mouse = read_study(data / "multitissue" / "mouse" / "whole_body_model.txt").network
    share = {"SubsGlcPeri": 0.75, "SubsGlcCn": 0.35, "SubsLacPeri": 0.75, "SubsLacCn": 0.6}
    tracers = {"SubsCO2": Tracer((("1", 0.01), ("0", 0.99)))}
    for name, m in mouse.metabolites.items():
        if m.role == "source" and name not in tracers:
            heavy, light, part = "1" * len(m.elements), "0" * len(m.elements), share.get(name, 0.0)
            tracers[name] = Tracer(((heavy, part), (light, 1 - part)), natural=True)
    # mfapy stops at three natural 13C in a molecule, which shows in the nine carbons of uridine.
    natural = {
        p: 0.9893 ** p.count("0") * 0.0107 ** p.count("1")
        for p in map("".join, itertools.product("01", repeat=9))
        if 0 < p.count("1") <= 3
    }
    tracers["SubsUridine"] = Tracer((*natural.items(), ("0" * 9, 1 - sum(natural.values()))))
    plan = compile_plan(mouse, [Experiment("mouse", tracers)])
    mids = plan.simulate(np.array([[reference["flux"][r] for r in plan.reactions]]))[0]
    found["whole-body mouse"] = max(
        float(np.abs(mids[plan.slot("mouse", name)] - mid).max()) for name, mid in reference["mdv"].items()
    )
    return found


def instationary(data: Path) -> dict[str, Any]:
    """Synechocystis at eight times: fluxes and pools of the example, each scattered by a fifth."""
    study = read_study(data / "freeflux" / "synechocystis" / "synthetic_data")
    experiment = Experiment("half", {"CO2.ex": Tracer((("1", 0.5), ("0", 0.5)))}, study.experiments[0].data)
    plan = compile_instationary(study.network, [experiment])
    rng, n = np.random.default_rng(0), 256
    net, exchange = (
        np.array([[study.fluxes.get((kind, r), 0.0) for r in plan.reactions]]) * np.ones((n, 1))
        for kind in ("net", "exchange")
    )
    scale = np.exp(rng.normal(0, 0.2, (n, 1)))
    net, exchange = net * scale, exchange * scale
    pools = np.array([[study.pools[name] for name in plan.pools]]) * np.exp(rng.normal(0, 0.2, (n, len(plan.pools))))
    exact = plan.simulate(net, exchange, pools, TIMES, tolerance=1e-8)
    found: dict[str, Any] = {"units": plan.units, "states": plan.states, "times": TIMES.tolist()}
    for dtype in (np.float64, np.float32):
        for tolerance in (2e-3, 1e-3, 7e-4, 5e-4, 3.5e-4, 2.5e-4, 1e-4):
            given = (net, exchange, pools, TIMES)
            error = float(np.abs(plan.simulate(*given, tolerance=tolerance, dtype=dtype) - exact).max())
            if error <= LARGEST_ERROR:
                break
        took = seconds(lambda t=tolerance, d=dtype, g=given: plan.simulate(*g, tolerance=t, dtype=d), rounds=3)
        found[np.dtype(dtype).name] = {"tolerance": tolerance, "largest_error": error, "simulations_s": n / took}
    return found


def picture(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Simulations a CPU-second against units."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5))
    for name, marker in (("float64", "o"), ("float32", "s")):
        points = sorted((row["units"] * row["experiments"], row[name], key) for key, row in rows.items())
        axes.loglog([x for x, _, _ in points], [y for _, y, _ in points], marker, label=name)
    # Names would run over each other; numbers do, too, unless neighbours are turned apart.
    for number, (x, y, _) in enumerate(points, 1):
        turn = (0, 8) if number % 2 else (8, -2)
        axes.annotate(str(number), (x, y), textcoords="offset points", xytext=turn, fontsize=8)
    names = "\n".join(f"{number}  {key}" for number, (_, _, key) in enumerate(points, 1))
    axes.text(0.02, 0.03, names, transform=axes.transAxes, fontsize=8, va="bottom")
    axes.set_xlabel("elementary metabolite units, times tracer experiments")
    axes.set_ylabel("simulations a CPU-second")
    axes.set_xlim(0.7, 2e4)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    here = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MOLVIS_DATA", here / ".." / "shared" / "data")) / "flux"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--out", type=Path, default=here / "benchmarks" / "results")
    options = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    for name, (network, experiments) in networks(options.data).items():
        began = time.process_time()
        plan = compile_plan(network, experiments)
        compiled = time.process_time() - began
        sizes = {"reactions": len(network.reactions), "units": plan.units, "experiments": len(experiments)}
        program = {"numbers": plan.size, "products": len(plan.program.left), "compile_s": compiled}
        rows[name] = {**sizes, **program, **rates(plan, network)}
        print(f"{name}: {rows[name]['float64']:,.0f} float64, {rows[name]['float32']:,.0f} float32", flush=True)
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d"),
        "stationary": rows,
        "prototype": {name: {"float64": a, "float32": b} for name, (a, b) in AIMS.items()},
        "instationary": {"Synechocystis, FreeFlux": instationary(options.data)},
        "largest_difference": agreement(options.data),
    }
    print(json.dumps({k: result[k] for k in ("instationary", "largest_difference")}, indent=1))
    write_text(options.out / "flux-simulation.json", json.dumps(result, indent=2) + "\n")
    picture(rows, options.out / "flux-simulation.png")


if __name__ == "__main__":
    main()
