"""Fits by FreeFlux and 13CFLUX, each in an environment of its own, beside ours on the same data.

    NUMBA_NUM_THREADS=1 python benchmarks/flux_peers_fits.py [--data FOLDER] [--work FOLDER] [--out benchmarks/results]

FreeFlux fits its synthetic E. coli (70 reactions) by SLSQP from starts that it draws, 13CFLUX the E. coli of FluxML
(119 reactions) by Ipopt from around the file's fluxes; ours fits the same data from 20 starts. Sums of squares and CPU
seconds of one thread are written. Environments are those of `flux_peers.py`; Ipopt's Python package is built from the
package index, which needs Ipopt's library on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from flux_peers import RECIPES, TITLES, fluxml_simulator, install, restore_old_names

TRACER = {"100000": 0.754, "111111": 0.246}
"""Of FreeFlux's synthetic data, whose tables do not name them: what labels as they do at the fluxes they come with."""
STARTS = {"freeflux": 6, "x3cflux": 10}


def freeflux(data: Path) -> dict[str, Any]:
    """FreeFlux: prepared once, then from random starts."""
    restore_old_names()
    import numpy as np
    from freeflux import Model

    folder = data / "freeflux" / "ecoli" / "synthetic_data"
    model = Model("ecoli")
    model.read_from_file(str(folder / "reactions.xlsx"))
    with model.fitter("ss") as fitter:
        fitter.set_labeling_strategy("Glc.ex", list(TRACER), list(TRACER.values()), [1.0, 1.0])
        fitter.set_flux_bounds("all", bounds=[-100, 100])
        fitter.set_measured_MDVs_from_file(str(folder / "measured_MDVs.xlsx"))
        fitter.set_measured_fluxes_from_file(str(folder / "measured_fluxes.xlsx"))
        began = time.process_time()
        fitter.prepare(n_jobs=1)
        out: dict[str, Any] = {"prepare_s": time.process_time() - began, "ssr": [], "fit_s": [], "success": []}
        for seed in range(STARTS["freeflux"]):
            np.random.seed(seed)  # noqa: NPY002 - the program draws from it
            began = time.process_time()
            found = fitter.solve(max_iters=400, show_progress=False)
            out["fit_s"].append(time.process_time() - began)
            out["ssr"].append(float(found.opt_objective))
            out["success"].append(bool(found.optimization_successful))
        return out


def x3cflux(data: Path) -> dict[str, Any]:
    """13CFLUX: from its file's parameters times 0.5 to 1.5, made feasible; Ipopt as it is set by default."""
    import numpy as np
    import x3cflux as program

    simulator = fluxml_simulator(program, data)
    rows, bound = simulator.parameter_space.inequality_system.matrix, simulator.parameter_space.inequality_system.bound
    given, rng = np.asarray(simulator.initial_parameters), np.random.default_rng(0)
    out: dict[str, Any] = {"free": len(given), "ssr": [], "fit_s": []}
    for _ in range(STARTS["x3cflux"]):
        point = given * rng.uniform(0.5, 1.5, len(given))
        start = program.compute_closest_interior_point(point, rows, bound)
        began = time.process_time()
        try:
            ssr = float(program.run_optimization(simulator, start, print_level=0)[1])
        except program.IpoptError as error:
            ssr = str(error)
        out["fit_s"].append(time.process_time() - began)
        out["ssr"].append(ssr)
    return out


def ours(name: str, data: Path) -> dict[str, Any]:
    """The same data by molvis, from 20 starts."""
    from dataclasses import replace

    import numpy as np

    from molvis_flux.fit.multistart import multistart
    from molvis_flux.fit.problem import flux_problem
    from molvis_flux.formats import read_study

    if name == "freeflux":
        study = read_study(data / "freeflux" / "ecoli" / "synthetic_data", tracers={"Glc.ex": TRACER})
        # FreeFlux gives what is not labelled its natural abundance.
        (one,) = study.experiments
        natural = {source: replace(tracer, natural=True) for source, tracer in one.tracers.items()}
        study = replace(study, experiments=(replace(one, tracers=natural),))
    else:
        path = data / "fluxml_examples" / "ecoli_model_level_1.fml"
        study = read_study(path, strict=False, convention="13cflux")
    began = time.process_time()
    problem = flux_problem(study)
    prepared = time.process_time() - began
    multistart(problem, starts=2, limit=2)
    began = time.process_time()
    found = multistart(problem)
    took = time.process_time() - began
    return {
        "prepare_s": prepared, "20 starts s": took, "free": len(problem.middle), "data": len(problem.sd),
        "ssr": np.round(found.ssr, 4).tolist(), "converged": int(found.converged.sum()),
    }  # fmt: skip


def main() -> None:
    here = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MOLVIS_DATA", here / ".." / "shared" / "data")) / "flux"
    parser.add_argument("programs", nargs="*", default=list(STARTS))
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--work", type=Path, default=Path("flux-peers"))
    parser.add_argument("--out", type=Path, default=here / "benchmarks" / "results")
    parser.add_argument("--worker", choices=list(STARTS))
    options = parser.parse_args()
    if options.worker:
        print("RESULT " + json.dumps(globals()[options.worker](options.data)))
        return
    from molvis_files.writing import write_text

    rows: dict[str, Any] = {}
    for name in options.programs:
        rows[TITLES[name]] = row = {"molvis": ours(name, options.data)}
        python = install(name, RECIPES[name], options.work.resolve(), None)
        if isinstance(python, str):
            row["skipped"] = python
        else:
            if name == "x3cflux":
                subprocess.run([str(python), "-m", "pip", "install", "-q", "cyipopt"], check=False)
            line = [str(python), str(Path(__file__).resolve()), "--worker", name, "--data", str(options.data.resolve())]
            alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            ran = subprocess.run(line, capture_output=True, text=True, check=False, env=alone)
            result = next((text for text in ran.stdout.splitlines() if text.startswith("RESULT ")), None)
            if result is None:
                row["skipped"] = (ran.stderr or ran.stdout).strip().splitlines()[-1]
            else:
                row |= json.loads(result.removeprefix("RESULT "))
        print(TITLES[name], json.dumps(row), flush=True)
    write_text(options.out / "flux-peers-fits.json", json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
