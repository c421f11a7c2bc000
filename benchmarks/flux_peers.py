"""Stationary simulation by FreeFlux, 13CFLUX and mfapy, each in an environment of its own, beside ours.

    NUMBA_NUM_THREADS=1 python benchmarks/flux_peers.py [--data FOLDER] [--work FOLDER] [--out benchmarks/results]

An environment is made for each program under `--work` and kept. What does not install is skipped, and the table says
why. `--with mfapy=PATH_OR_URL` installs a program from elsewhere than the package index. Each program simulates a model
of its own examples, one flux vector after the other, for three CPU-seconds; ours simulates the same model, and the
largest difference of the labelling is reported. 13CFLUX simulates a thousand vectors in a call, too, but for
their sums of squares only. Models in other formats than the program's are not given to it.

What was changed to let them run: FreeFlux asks for versions of NumPy and SciPy of 2022, and gets later ones with the
names that these dropped; 13CFLUX is given no Ipopt, which simulating does not need, and a FluxML file without the
`schemaLocation` that its parser refuses.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SECONDS = 3.0
RECIPES = {
    "freeflux": (
        ["--no-deps", "freeflux"],
        ["numpy<2", "scipy<1.12", "pandas<2", "matplotlib<3.8", "pyomo<=6.5", "sympy", "openpyxl", "setuptools<65"],
    ),
    "x3cflux": (["--no-deps", "x3cflux"], ["numpy", "scipy", "joblib", "cvxpy", "hopsy>=1.6.1", "cobyqa>=1.1"]),
    "mfapy": (["mfapy"], []),
}
TITLES = {"freeflux": "FreeFlux", "x3cflux": "13CFLUX", "mfapy": "mfapy"}


def rate(simulate: Any) -> float:
    """Calls in a CPU-second."""
    simulate()
    calls, began = 0, time.process_time()
    while time.process_time() - began < SECONDS:
        simulate()
        calls += 1
    return calls / (time.process_time() - began)


def restore_old_names() -> None:
    """Give NumPy and SciPy the names that they dropped and FreeFlux uses, before it is imported."""
    import numpy as np
    import scipy.linalg

    for name, kind in (("float", float), ("int", int), ("bool", bool), ("object", object)):
        if name not in vars(np):
            setattr(np, name, kind)
    scipy.linalg.pinv2 = scipy.linalg.pinv


def freeflux(data: Path) -> dict[str, Any]:
    """FreeFlux: its E. coli example, at the fluxes it comes with."""
    restore_old_names()
    import numpy as np
    import openpyxl
    from freeflux import Model

    folder = data / "freeflux" / "ecoli" / "synthetic_data"
    cells = openpyxl.load_workbook(folder / "measured_MDVs.xlsx").active.iter_rows(min_row=2, values_only=True)
    targets: dict[str, list[str]] = {}
    for name in (row[0] for row in cells if row[0]):
        metabolite, atoms = name.rsplit("_", 1)
        targets.setdefault(metabolite, []).append(atoms)
    model = Model("ecoli")
    model.read_from_file(str(folder / "reactions.xlsx"))
    with model.simulator("ss") as simulator:
        simulator.set_target_EMUs(targets)
        simulator.set_labeling_strategy("Glc.ex", ["100000", "111111"], [0.5, 0.5], [1.0, 1.0])
        simulator.set_fluxes_from_file(str(folder / "fluxes.xlsx"))
        simulator.prepare(n_jobs=1)
        names = [f"{metabolite}_{atoms}" for metabolite, some in targets.items() for atoms in some]
        found = simulator.simulate()
        mids = {name: np.asarray(found.simulated_MDV(name).value, float).tolist() for name in names}
        return {"simulations_s": rate(simulator.simulate), "mids": mids}


def fluxml_simulator(program: Any, data: Path) -> Any:
    """13CFLUX's simulator of the E. coli network of FluxML's examples, without the `schemaLocation` that it refuses."""
    text = (data / "fluxml_examples" / "ecoli_model_level_1.fml").read_text()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ecoli.fml"
        path.write_text(re.sub(r"<fluxml[^>]*>", '<fluxml xmlns="http://www.13cflux.net/fluxml">', text, count=1))
        return program.create_simulator_from_fml(str(path))


def x3cflux(data: Path) -> dict[str, Any]:
    """13CFLUX: the E. coli network of FluxML's examples, at the free fluxes of the file."""
    import importlib.machinery
    import importlib.util
    import types

    import numpy as np

    if importlib.util.find_spec("cyipopt") is None:
        empty = types.ModuleType("cyipopt")
        empty.__spec__ = importlib.machinery.ModuleSpec("cyipopt", None)
        empty.Problem, empty.minimize_ipopt = object, None
        sys.modules["cyipopt"] = empty
    import x3cflux as program

    simulator = fluxml_simulator(program, data)
    free = simulator.initial_parameters
    mids, _ = simulator.compute_measurements(free)
    names = simulator.measurement_names
    names = names[0] if isinstance(names[0], (list, tuple)) else names
    named = {name: [float(x) for x in mid] for name, mid in zip(names, mids, strict=False)}
    many = np.repeat(np.asarray(free)[:, None], 1000, axis=1)
    return {
        "batch_s": 1000 * rate(lambda: simulator.compute_loss(many)),
        "simulations_s": rate(lambda: simulator.compute_measurements(free)),
        "jacobians_s": rate(lambda: simulator.compute_jacobian(free)),
        "free": len(free),
        "mids": named,
    }


def mfapy(data: Path) -> dict[str, Any]:
    """Mfapy: its E. coli example, at the fluxes of its status file made to balance by its own optimisation."""
    import mfapy as program

    samples = data / "mfapy_samples"
    reactions, reversible, metabolites, fragments = program.mfapyio.load_metabolic_model(
        str(samples / "Example_2_Ecoli_model.txt")
    )
    model = program.metabolicmodel.MetabolicModel(reactions, reversible, metabolites, fragments)
    model.load_states(str(samples / "Example_2_Ecoli_status.csv"), format="csv")
    model.update()
    sources = model.generate_carbon_source_templete()
    sources.set_each_isotopomer("SubsGlc", {"#100000": 0.7, "#111111": 0.3}, correction="no")
    _, state = model.generate_initial_states(10, 1)
    state = state[0] if isinstance(state, list) else state
    found = model.generate_mdv(state, sources)
    fluxes = {name: float(value["value"]) for name, value in state["reaction"].items()}
    mids = {f: [float(found.mdv[f][m]["ratio"]) for m in found.mdv[f]] for f in found.mdv}
    return {
        "simulations_s": rate(lambda: model.generate_mdv(state, sources)),
        "fluxes": fluxes,
        "mids": mids,
    }


def install(name: str, recipe: tuple[list[str], list[str]], work: Path, source: str | None) -> Path | str:
    """The Python of a program's environment, or why there is none."""
    folder = work / name
    python = folder / "bin" / "python"
    done = folder / "installed"
    if done.is_file():
        return python
    first, rest = recipe
    steps = [[sys.executable, "-m", "venv", str(folder)]]
    steps += [
        [str(python), "-m", "pip", "install", "-q", *some] for some in (rest, [source] if source else first) if some
    ]
    for step in steps:
        ran = subprocess.run(step, capture_output=True, text=True, check=False)
        if ran.returncode:
            return (ran.stderr or ran.stdout).strip().splitlines()[-1]
    done.touch()
    return python


def ours(name: str, peer: dict[str, Any], data: Path) -> dict[str, Any]:
    """The same model, tracers and fluxes, simulated by molvis."""
    import numpy as np

    from molvis_flux.formats import read_study
    from molvis_flux.labelling.prediction import complete_fluxes
    from molvis_flux.labelling.stationary import compile_plan
    from molvis_flux.model.network import Experiment, Tracer

    mixture = {"freeflux": ("Glc.ex", 0.5), "mfapy": ("SubsGlc", 0.7)}
    if name == "freeflux":
        study = read_study(data / "freeflux" / "ecoli" / "synthetic_data")
    elif name == "x3cflux":
        path = data / "fluxml_examples" / "ecoli_model_level_1.fml"
        study = read_study(path, strict=False, convention="13cflux")
    else:
        study = read_study(data / "mfapy_samples" / "Example_2_Ecoli_model.txt")
    experiments = study.experiments[:1]
    if name in mixture:
        source, share = mixture[name]
        experiments = (
            Experiment("one", {source: Tracer((("100000", share), ("111111", 1 - share)), natural=name == "freeflux")}),
        )
    known = {("net", r): value for r, value in peer.get("fluxes", {}).items()} or study.fluxes
    net, exchange = complete_fluxes(study.network, known)
    fragments = [f for f in peer["mids"] if f in study.network.fragments]
    plan = compile_plan(study.network, experiments, fragments)
    found = plan.simulate(net, exchange)[0]
    compared = [
        float(np.abs(found[plan.slot(plan.layout[0].experiment, f)] - peer["mids"][f]).max())
        for f in fragments
        if len(found[plan.slot(plan.layout[0].experiment, f)]) == len(peer["mids"][f])
    ]
    many = np.repeat(net, 16_384, 0), np.repeat(exchange, 16_384, 0)
    result: dict[str, Any] = {"units": plan.units, "fragments": len(compared)}
    result["largest_difference"] = max(compared, default=None)
    for dtype in (np.float64, np.float32):
        given = [values.astype(dtype) for values in many]
        result[f"{np.dtype(dtype).name}_s"] = (
            len(net) * 16_384 * rate(lambda g=given, d=dtype: plan.simulate(*g, dtype=d))
        )
    moves = np.random.default_rng(0).normal(size=(2, len(plan.reactions), peer.get("free", 32)))
    some = [values[:256] for values in many]
    result["jacobians_s"] = 256 * rate(lambda: plan.tangents(*some, *moves))
    result["one_by_one_s"] = rate(lambda: plan.simulate(net, exchange))
    return result


def main() -> None:
    here = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MOLVIS_DATA", here / ".." / "shared" / "data")) / "flux"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--work", type=Path, default=Path("flux-peers"))
    parser.add_argument("--out", type=Path, default=here / "benchmarks" / "results")
    parser.add_argument("--with", dest="sources", action="append", default=[], metavar="NAME=PATH_OR_URL")
    parser.add_argument("--worker", choices=RECIPES)
    options = parser.parse_args()
    if options.worker:
        print("RESULT " + json.dumps(globals()[options.worker](options.data)))
        return
    from molvis_files.writing import write_text

    sources = dict(text.split("=", 1) for text in options.sources)
    rows: dict[str, Any] = {}
    for name, recipe in RECIPES.items():
        python = install(name, recipe, options.work.resolve(), sources.get(name))
        if isinstance(python, str):
            rows[TITLES[name]] = {"skipped": python}
            print(f"{TITLES[name]}: skipped, it does not install: {python}", flush=True)
            continue
        line = [str(python), str(Path(__file__).resolve()), "--worker", name, "--data", str(options.data.resolve())]
        alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        ran = subprocess.run(line, capture_output=True, text=True, check=False, env=alone)
        result = next((text for text in ran.stdout.splitlines() if text.startswith("RESULT ")), None)
        if result is None:
            reason = (ran.stderr or ran.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            rows[TITLES[name]] = {"skipped": reason[0]}
            print(f"{TITLES[name]}: skipped, it does not run: {reason[0]}", flush=True)
            continue
        peer = json.loads(result.removeprefix("RESULT "))
        mine = ours(name, peer, options.data)
        rows[TITLES[name]] = {**{k: v for k, v in peer.items() if k not in ("mids", "fluxes")}, "molvis": mine}
        print(f"{TITLES[name]}: {peer['simulations_s']:,.0f}; molvis {mine['float64_s']:,.0f}, {mine}", flush=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    found = {"machine": machine, "date": time.strftime("%Y-%m-%d"), "programs": rows}
    write_text(options.out / "flux-peers.json", json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
