"""The neural flux estimator on the two networks of ML-Flux: errors, coverage of intervals, and CPU seconds.

    python benchmarks/flux_neural.py [simple] [central-carbon] [--data FOLDER] [--models FOLDER] [--out FILE]

`simple`: the 500 published cases of the Simple network, their noise drawn anew, against the published network's errors
and against the posterior summed over a fine grid of the two free fluxes, which no estimator can beat on average.
`central-carbon`: held-out fluxes of the central carbon network, 3 tracers and 31 metabolites. Estimators are trained
first where the folder of models does not have them. CPU seconds are of one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molvis_core.errors import BundleError
from molvis_files.writing import write_text
from molvis_flux.formats import read_study
from molvis_flux.formats.tables import rows as table_rows
from molvis_flux.model.network import Experiment, Fragment, Network, Study, Tracer
from molvis_flux.neural.calibration import held_out, widened, with_missing
from molvis_flux.neural.estimator import Data, Estimator, Settings, load_estimator
from molvis_flux.neural.posterior import neural_draws, weigh
from molvis_flux.neural.training import train
from molvis_flux.sampling.importance import quantiles

SD = 0.01
"""Of the noise, as in the published comparison."""

AIMS = {"full": 0.0046, "1 of 6 tracers": 0.012, "50% missing": 0.006, "75% missing": 0.010}
PUBLISHED = {"full": 0.0185, "1 of 6 tracers": 0.019, "50% missing": 0.103, "75% missing": 0.122}
TRACERS = ("100", "010", "110", "001", "101", "011")


def whole(network: Network, names: list[str]) -> dict[str, Fragment]:
    """A fragment of each of some metabolites, with all its atoms."""
    made = {}
    for name in names:
        elements = network.metabolites[name].elements
        made[name] = Fragment(name, ((1.0, name, tuple(range(len(elements)))),), elements)
    return made


def simple(data: Path) -> Study:
    """The Simple network; its exchange flux lies between 1e-3 and 1, as it does in the published cases."""
    network = read_study(data / "mlflux" / "Simple.xml").network
    reactions = network.reactions | {"v2": dataclasses.replace(network.reactions["v2"], exchange=(1e-3, 1.0))}
    fragments = whole(network, ["molB", "molC", "molD", "molE", "molF"])
    network = dataclasses.replace(network, reactions=reactions, fragments=fragments)
    return Study(network, tuple(Experiment(t, {"molA": Tracer(((t, 1.0),))}) for t in TRACERS))


def central_carbon(data: Path) -> Study:
    """The central carbon network with the published bounds; exchange fluxes up to 10 times the uptake of glucose."""
    network = read_study(data / "mlflux" / "CCM.xml").network
    reactions = dict(network.reactions)
    for row in table_rows(data / "mlflux" / "CCM_Constraints.xlsx"):
        name, low, high = row.cells[:3]
        old = reactions[name.strip("'")]
        exchange = (old.exchange[0], min(old.exchange[1], 10.0))
        reactions[old.name] = dataclasses.replace(old, net=(float(low), float(high)), exchange=exchange)
    balanced = [name for name, metabolite in network.metabolites.items() if metabolite.role == "balanced"]
    network = dataclasses.replace(network, reactions=reactions, fragments=whole(network, balanced))
    tracers = {
        "1,2-glc": {"GLC_IN": Tracer((("110000", 1.0),))}, "U-glc": {"GLC_IN": Tracer((("111111", 1.0),))},
        "U-gln": {"Gln_IN": Tracer((("11111", 1.0),))},
    }  # fmt: skip
    return Study(network, tuple(Experiment(name, fed) for name, fed in tracers.items()))


def trained(folder: Path, study: Study, settings: Settings) -> Estimator:
    """An estimator, trained where it is not there yet."""
    try:
        found = load_estimator(folder)
        if found.settings == settings:
            return found
    except BundleError:
        pass

    def say(done: int, steps: int, loss: float) -> None:
        if done % 500 == 0:
            print(f"{folder.name}: {done}/{steps} steps, loss {loss:.2f}", flush=True)

    return train(study, folder, settings=settings, progress=say)


class Grid:
    """The posterior of Ex_E in the Simple network, summed over a grid of both free fluxes."""

    def __init__(self, estimator: Estimator) -> None:
        self.split, exchange = np.linspace(0.0005, 2.9995, 1500), np.logspace(-3, 0, 120)
        a, b = np.meshgrid(self.split, exchange, indexing="ij")
        self.mids = estimator.simulate(np.stack([a.ravel(), b.ravel()], axis=1)).astype(np.float32)

    def medians(self, data: list[Data]) -> np.ndarray:
        """Of each sample."""
        out = []
        squares = self.mids**2
        for first in range(0, len(data), 50):
            some = data[first : first + 50]
            there = np.stack([d.there for d in some]).astype(np.float32)
            values = np.stack([d.values for d in some]).astype(np.float32)
            log_p = (self.mids @ values.T - 0.5 * squares @ there.T) / SD**2
            weight = np.exp(log_p - log_p.max(axis=0))
            mass = weight.reshape(len(self.split), -1, len(some)).sum(axis=1)
            edges = np.cumsum(mass, axis=0) / mass.sum(axis=0)
            out += [np.interp(0.5, edges[:, i], self.split) for i in range(len(some))]
        return np.array(out)


def simple_results(estimator: Estimator, data: Path, repeats: int) -> dict[str, Any]:
    """Errors of Ex_E and coverage, by what is missing."""
    cases = json.loads((data / "reference_values" / "mlflux_simple_test500.json").read_text())
    truth, exchange = np.array(cases["true_Ex_E"]), 10 ** np.array(cases["true_log10_v2_xch"])
    clean = estimator.simulate(np.stack([truth, exchange], axis=1))
    given = np.array(cases["inputs_120"]).reshape(-1, 5, 6, 4)
    parts, space, grid = estimator.measurements, estimator.space, Grid(estimator)
    mets = list(dict.fromkeys(part.target for part in parts))
    agreement = max(
        np.abs(clean[:, p.start : p.stop]
               - given[:, mets.index(p.target), TRACERS.index(p.experiment), : p.stop - p.start]).max()
        for p in parts
    )  # fmt: skip
    ex_e, back = space.index["net", "EX_molE"], space.index["exchange", "v2"]
    owner = np.array([TRACERS.index(part.experiment) for part in parts])
    width = np.array([part.stop - part.start for part in parts])
    published = np.median(np.abs(np.array(cases["mlflux_ann_pred_freefluxes"])[:, 0] - truth))
    out: dict[str, Any] = {"largest difference to the given MIDs": float(agreement),
                           "published network, given inputs without noise": float(published)}  # fmt: skip
    conditions: list[tuple[str, Any]] = [("full", 0.0), ("1 of 6 tracers", None)]
    conditions += [(f"{share:.0%} missing", share) for share in (0.25, 0.5, 0.75, 0.9)]
    conditions += [(f"tracer {t} alone", t) for t in TRACERS]
    for name, what in conditions:
        rng = np.random.default_rng([11, len(name), *name.encode()])
        errors, quick, bound, holds, holds_back, held_quick, worth = [], [], [], [], [], [], []
        start, spent = 0.0, 0.0
        for _ in range(1 if isinstance(what, str) else repeats):
            samples: list[Data] = []
            for row in clean:
                keep = np.zeros(len(parts), dtype=bool)
                if isinstance(what, float):
                    keep[rng.permutation(len(parts))[: round(len(parts) * (1 - what))]] = True
                else:
                    keep = owner == (rng.integers(6) if what is None else TRACERS.index(what))
                there = np.repeat(keep, width)
                noisy = row + SD * rng.standard_normal(len(row))
                samples.append(Data(np.where(there, noisy, 0), np.where(there, SD, 1), there))
            for i, sample in enumerate(samples):
                start = time.process_time()
                posterior = estimator.posterior([sample])
                found = weigh(estimator, sample, posterior, seed=i)
                low, middle, high = quantiles(space.values(found.points), found.weight, (0.05, 0.5, 0.95))
                spent += time.process_time() - start
                errors.append(abs(middle[ex_e] - truth[i]))
                holds.append(low[ex_e] <= truth[i] <= high[ex_e])
                holds_back.append(low[back] <= exchange[i] <= high[back])
                worth.append(found.effective)
                draws = space.values(neural_draws(estimator, posterior, 400, i)[0])
                share = 1 - np.mean([sample.there[p.start] for p in parts])
                guess, interval = widened(estimator, draws, float(share), 0.9)
                quick.append(abs(guess[ex_e] - truth[i]))
                held_quick.append(interval[ex_e, 0] <= truth[i] <= interval[ex_e, 1])
            if not isinstance(what, str):
                bound += np.abs(grid.medians(samples) - truth).tolist()
        out[name] = {
            "cases": len(errors), "median error of Ex_E": float(np.median(errors)),
            "the same of the posterior on a grid": float(np.median(bound)) if bound else None,
            "the same of the neural posterior alone": float(np.median(quick)),
            "published network": PUBLISHED.get(name), "aim": AIMS.get(name),
            "90% intervals of Ex_E hold": float(np.mean(holds)),
            "90% intervals of the exchange flux hold": float(np.mean(holds_back)),
            "calibrated neural intervals of Ex_E hold": float(np.mean(held_quick)),
            "least effective draws": float(np.min(worth)), "CPU seconds a case": spent / len(errors),
        }  # fmt: skip
        print(name, json.dumps(out[name]), flush=True)
    return out


def central_results(estimator: Estimator, cases: int) -> dict[str, Any]:
    """Coverage of all free-to-move fluxes, sums of squares and CPU seconds, by the share that is missing."""
    from molvis_flux.fit.problem import flux_problem
    from molvis_flux.neural.inference import least_squares
    from molvis_flux.neural.posterior import ensemble_draws

    space = estimator.space
    values, clean = held_out(estimator, cases, 1)
    width = space.ranges[:, 1] - space.ranges[:, 0]
    moving = width > 1e-9
    width = np.where(moving, width, 1.0)
    out: dict[str, Any] = {"free fluxes": len(space), "numbers measured": int(estimator.measurements[-1].stop)}
    for missing in (0.0, 0.25, 0.5, 0.75, 0.9):
        rng = np.random.default_rng([5, round(100 * missing)])
        rows: dict[str, list[float]] = {}

        def note(name: str, value: float, rows: dict[str, list[float]] = rows) -> None:
            rows.setdefault(name, []).append(float(value))

        for i in range(cases):
            sample = with_missing(estimator, clean[i], missing, rng, sd=SD)
            truth = values[i]
            start = time.process_time()
            posterior = estimator.posterior([sample])
            draws = space.values(neural_draws(estimator, posterior, 400, i)[0])
            middle, interval = widened(estimator, draws, missing, 0.9)
            note("CPU seconds, neural", time.process_time() - start)
            held = (interval[:, 0] - 1e-9 <= truth) & (truth <= interval[:, 1] + 1e-9)
            note("calibrated neural intervals hold", held[moving].mean())
            note("error of the neural median, share of the range", (np.abs(middle - truth) / width)[moving].mean())
            note("width of the neural intervals, share of the range", (np.ptp(interval, axis=1) / width)[moving].mean())
            start = time.process_time()
            drawn = ensemble_draws(estimator, sample, posterior, seed=i)
            found = space.values(drawn.points)
            low, middle, high = np.quantile(found, [0.05, 0.5, 0.95], axis=0)
            note("CPU seconds, posterior", time.process_time() - start)
            fair = widened(estimator, found, missing, 0.9, ensemble=True)[1]
            held = (fair[:, 0] - 1e-9 <= truth) & (truth <= fair[:, 1] + 1e-9)
            note("calibrated 90% intervals of the posterior hold", held[moving].mean())
            note("width of the posterior's calibrated intervals, share of the range",
                 (np.ptp(fair, axis=1) / width)[moving].mean())  # fmt: skip
            note("90% intervals of the posterior hold", ((low <= truth) & (truth <= high))[moving].mean())
            note("error of the posterior's median, share of the range", (np.abs(middle - truth) / width)[moving].mean())
            note("width of the posterior's intervals, share of the range", ((high - low) / width)[moving].mean())
            note("effective draws", drawn.effective)
            study = as_study(estimator, sample)
            problem = flux_problem(study, space=space)
            start = time.process_time()
            ended = least_squares(problem, draws[:2])
            note("CPU seconds, least squares from 2 neural draws", time.process_time() - start)
            note("sum of squares over the numbers measured", ended.ssr[0] / sample.there.sum())
            note("error of least squares, share of the range",
                 (np.abs(problem.map.values(ended.y[:1])[0] - truth) / width)[moving].mean())  # fmt: skip
        out[f"{missing:.0%} missing"] = {"cases": cases} | {name: float(np.mean(row)) for name, row in rows.items()}
        print(missing, json.dumps(out[f"{missing:.0%} missing"]), flush=True)
    return out


def as_study(estimator: Estimator, sample: Data) -> Study:
    """A sample as the data of a study."""
    from molvis_flux.model.network import Datum

    experiments = []
    for experiment in estimator.study.experiments:
        data = tuple(
            Datum(p.target, "mid", tuple(sample.values[p.start : p.stop]), tuple(sample.sd[p.start : p.stop]))
            for p in estimator.measurements
            if p.experiment == experiment.name and sample.there[p.start]
        )
        experiments.append(dataclasses.replace(experiment, data=data))
    # An experiment without data would be simulated whole.
    return dataclasses.replace(estimator.study, experiments=tuple(e for e in experiments if e.data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["simple", "central-carbon"])
    default = os.environ.get("MOLVIS_DATA", str(Path(__file__).parents[2] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default) / "flux")
    parser.add_argument("--models", type=Path, default=Path("flux-models"))
    parser.add_argument("--repeats", type=int, default=2, help="draws of noise for each of the 500 cases")
    parser.add_argument("--cases", type=int, default=40, help="of the central carbon network, at each share missing")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/flux_neural.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    content: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    content["machine"] = platform.processor() or platform.machine()
    for part, make, settings in (
        ("simple", simple, Settings(noise=(0.002, 0.05), steps=4000)),
        ("central-carbon", central_carbon,
         Settings(noise=(0.002, 0.03), steps=4000, batch=256, simulations=100_000, width=256)),
    ):  # fmt: skip
        if part not in arguments.parts:
            continue
        estimator = trained(arguments.models / part, make(arguments.data), settings)
        measure = (
            simple_results(estimator, arguments.data, arguments.repeats)
            if part == "simple"
            else central_results(estimator, arguments.cases)
        )
        content[part] = {"training": estimator.metrics} | measure
        write_text(arguments.out, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
