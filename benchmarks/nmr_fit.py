"""Fits of spin systems: the tables of the paper, ANATOLIA's examples, wrong starts, and how often errors are right.

    python benchmarks/nmr_fit.py [--parts table4 proline ...] [--out benchmarks/results]

Spectra and start values are those of the data folder (`MOLVIS_DATA`, `nmr/`); settings are the same for all spectra.
Times are CPU seconds on one thread. What a part measured replaces what the file of results held of that part.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from molvis_core.fitting import Fixed
from molvis_core.records import Trace
from molvis_files.writing import write_text
from molvis_nmr.fitting import agreement as metrics
from molvis_nmr.fitting.agreement import r_factor
from molvis_nmr.fitting.gradient import fit_gradient
from molvis_nmr.fitting.spin_system import SpinSystemFit, fit
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("MOLVIS_DATA", ROOT.parent / "shared" / "data")) / "nmr"

# Table 4: IoU of GISSMO's parameters and of the paper (all free); what to reach, parametric and with a line shape.
TABLE_4 = {
    "Alanine": (0.935, 0.936, 0.962, 0.974),
    "Arginine": (0.908, 0.955, 0.958, 0.969),
    "Asparagine": (0.789, 0.947, 0.958, 0.981),
    "Aspartate": (0.949, 0.958, 0.962, 0.962),
    "Glutamate": (0.891, 0.943, 0.969, 0.979),
    "Glutamine": (0.919, 0.930, 0.951, 0.956),
    "Glycine": (0.819, 0.821, 0.845, 0.934),
    "Histidine": (0.513, 0.870, 0.929, 0.959),
    "Isoleucine": (0.863, 0.913, 0.923, 0.972),
    "Leucine": (0.768, 0.854, 0.898, 0.922),
    "Lysine": (0.884, 0.929, 0.942, 0.956),
    "Methionine": (0.748, 0.935, 0.953, 0.973),
    "Phenylalanine": (0.822, 0.935, 0.947, 0.962),
    "Proline": (0.844, 0.955, 0.968, 0.984),
    "Serine": (0.880, 0.922, 0.928, 0.972),
    "Threonine": (0.738, 0.872, 0.920, 0.972),
    "Tyrosine": (0.858, 0.933, 0.963, 0.970),
    "Valine": (0.855, 0.949, 0.959, 0.977),
}
# Table 1, proline: the paper's IoU, all free.
TABLE_1 = {"gissmo_exp:Proline": 0.925, "mipt:Proline-Varian-MIPT-499.8MHz": 0.909}
THF_REGIONS = ((4.316, 4.484), (3.792, 4.031), (2.154, 2.367), (1.815, 2.082))  # ppm: those that ANATOLIA was given


def spectra() -> dict[str, dict[str, Any]]:
    """The measured spectra by identifier."""
    return {row["spectrum_id"]: row for row in pq.read_table(DATA / "spectra.parquet").to_pylist()}


def trace(row: dict[str, Any]) -> Trace:
    """A row of the table as a spectrum."""
    axis = row["ppm_start"] + row["ppm_step"] * np.arange(row["n"])
    return Trace(axis, np.array(row["intensity"]), frequency=row["field_MHz"], identifier=row["spectrum_id"])


def timed(function: Callable[[], SpinSystemFit]) -> tuple[float, SpinSystemFit]:
    """CPU seconds, and the fit."""
    start = time.process_time()
    found = function()
    return time.process_time() - start, found


def figures(found: SpinSystemFit, seconds: float) -> dict[str, Any]:
    """What is written down of every fit."""
    kept = ("iou", "roi_iou", "r_factor", "mse", "mae", "rmsd", "held_out_iou")
    return {
        **{name: round(value, 6) for name, value in found.metrics.items() if name in kept},
        "seconds": round(seconds, 2),
        "starts": found.starts,
        "problem": found.problem,
    }


def parameters(found: SpinSystemFit) -> dict[str, list[float]]:
    """Parameters with their errors."""
    errors = np.sqrt(np.maximum(np.diag(found.fit.covariance), 0))
    return {
        name: [float(f"{value:.7g}"), float(f"{error:.2g}")]
        for name, value, error in zip(found.fit.names, found.fit.values, errors, strict=True)
    }


def started(system: SpinSystem) -> SpinSystem:
    """A start as GISSMO gives it, with lines 2 Hz wide at half height."""
    return replace(system, widths=np.ones(len(system)))


def table4() -> dict[str, Any]:
    """Every available amino acid, parametric and with an instrument line shape."""
    rows, library = spectra(), {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}
    found: dict[str, Any] = {}
    for name, (gissmo, paper, parametric, shaped) in TABLE_4.items():
        row = rows.get(f"gissmo_exp:{name}")
        if row is None:
            continue
        measured, system = trace(row), started(library[row["spin_system_id"]])
        before = metrics.iou(simulate(system, row["field_MHz"], axis=measured.x).y, measured.y)
        seconds, one = timed(lambda m=measured, s=system: fit(m, s, line_shape=True))
        both = figures(one, seconds)
        plain = {k: round(v, 6) for k, v in (one.parametric or {}).items()}
        found[name] = {
            "paper": {"gissmo": gissmo, "all_free": paper},
            "reach": {"parametric": parametric, "line_shape": shaped},
            "gissmo": round(before, 4),
            "parametric": {k: plain[k] for k in both if k in plain},
            "line_shape": both,
            "flags": one.flags,
            "parameters": parameters(one),
        }
        print(f"{name:14} {plain['iou']:.4f} ({parametric}) {both['iou']:.4f} ({shaped}) {seconds:.2f} s", flush=True)
    means = {
        f"mean_{kind}_{figure}": round(float(np.mean([row[kind][figure] for row in found.values()])), 4)
        for kind in ("parametric", "line_shape")
        for figure in ("iou", "roi_iou")
    }
    reached = {
        kind: [n for n, row in found.items() if row[kind]["iou"] >= row["reach"][kind] - 5e-4]
        for kind in ("parametric", "line_shape")
    }
    seconds = round(sum(row["line_shape"]["seconds"] for row in found.values()), 2)
    return {"rows": found, **means, "seconds": seconds, "reached": reached}


def proline() -> dict[str, Any]:
    """Tables 1 and 3: proline in the spectra available, each by itself, with one set of couplings, and by mode."""
    rows, library = spectra(), {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}
    start = started(library["mipt:Proline"])
    measured = {name: trace(rows[name]) for name in TABLE_1}
    found: dict[str, Any] = {"full": {}, "shared_couplings": {}, "modes": {}}
    fits: dict[str, SpinSystemFit] = {}
    for name, one in measured.items():
        seconds, fits[name] = timed(lambda one=one: fit(one, start))
        found["full"][name] = {"paper": TABLE_1[name], **figures(fits[name], seconds)}
    seconds, joint = timed(lambda: fit(list(measured.values()), start))
    found["shared_couplings"] = {
        "seconds": round(seconds, 2),
        "problem": joint.problem,
        "each": {n: {k: round(v, 6) for k, v in e.items()} for n, e in zip(measured, joint.each, strict=True)},
        "parameters": parameters(joint),
    }
    couplings = [f.system.couplings for f in fits.values()]
    average = replace(start, couplings=np.mean(couplings, axis=0))
    names = start.names
    held = {
        f"coupling/{names[k]}-{names[m]}": Fixed(float(average.couplings[k, m]))
        for k, m in itertools.combinations(range(len(start)), 2)
    }
    found["average_couplings"] = {}
    for name, one in measured.items():
        seconds, mean = timed(lambda one=one: fit(one, average, prior=held))
        found["average_couplings"][name] = figures(mean, seconds)
    given = {
        name: Fixed(float(start.couplings[k, m]))
        for name, (k, m) in zip(held, itertools.combinations(range(len(start)), 2), strict=True)
    }
    alike = {f"intensity/{n}": Fixed(1.0) for n in names}
    modes = {"all free": {}, "J fixed": given, "J and r fixed": {**given, **alike}, "r fixed": alike}
    for mode, prior in modes.items():
        seconds, one = timed(lambda prior=prior: fit(measured["gissmo_exp:Proline"], start, prior=prior, starts=1))
        found["modes"][mode] = figures(one, seconds)
    return found


def perturbed(truth: SpinSystem, shift: float, coupling: float, rng: np.random.Generator) -> SpinSystem:
    """Shifts and couplings that are off by up to so much, evenly drawn."""
    change = np.triu(rng.uniform(-coupling, coupling, truth.couplings.shape), 1) * (truth.couplings != 0)
    return replace(
        truth,
        shifts=truth.shifts + rng.uniform(-shift, shift, len(truth)),
        couplings=truth.couplings + change + change.T,
        widths=np.ones(len(truth)),
    )


def relabelled(found: SpinSystem, truth: SpinSystem) -> tuple[float, float]:
    """Largest errors of shifts (Hz at 500 MHz) and of couplings but for their sign; groups by their shifts."""
    order, right = np.argsort(found.shifts), np.argsort(truth.shifts)
    shifts = np.abs(found.shifts[order] - truth.shifts[right]).max() * 500
    couplings = np.abs(found.couplings[np.ix_(order, order)]) - np.abs(truth.couplings[np.ix_(right, right)])
    return float(shifts), float(np.abs(couplings).max())


def starts() -> dict[str, Any]:
    """Proline, synthetic at a signal-to-noise ratio of 1000, from starts that are off."""
    library = {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}
    truth = replace(library["mipt:Proline"], widths=np.full(7, 0.9))
    axis = np.arange(1.7, 4.4, 0.0004)
    clean = simulate(truth, 500.0, axis=axis)
    found: dict[str, Any] = {}
    for name, count, shift, coupling in (("0.02 ppm, 2 Hz", 8, 0.02, 2.0), ("0.05 ppm, 3 Hz", 20, 0.05, 3.0)):
        each: list[dict[str, Any]] = []
        for seed in range(count):
            rng = np.random.default_rng(seed)
            noisy = Trace(axis, clean.y + rng.normal(0, clean.y.max() / 1000, len(axis)), frequency=500.0)
            start = perturbed(truth, shift, coupling, rng)
            seconds, one = timed(lambda n=noisy, s=start, seed=seed: fit(n, s, seed=seed))
            off = relabelled(one.system, truth)
            good = bool(off[0] < 0.05 and off[1] < 0.3)
            each.append(
                {"converged": good, "shift_error_Hz": off[0], "coupling_error_Hz": off[1], **figures(one, seconds)}
            )
            print(name, seed, good, f"{seconds:.2f} s", flush=True)
        right = [e for e in each if e["converged"]]
        found[name] = {
            "converged": len(right),
            "of": count,
            "median_seconds": float(np.median([e["seconds"] for e in each])),
            "median_largest_shift_error_Hz": float(np.median([e["shift_error_Hz"] for e in right] or [np.nan])),
            "median_largest_coupling_error_Hz": float(np.median([e["coupling_error_Hz"] for e in right] or [np.nan])),
            "each": each,
        }
    return found


def coupled(names: Sequence[str], hertz: Sequence[float], couplings: Sequence[float], width: float) -> SpinSystem:
    """A spin system of ANATOLIA's start values, at 300.13 MHz."""
    matrix = np.zeros((len(names), len(names)))
    matrix[np.triu_indices(len(names), 1)] = couplings
    return SpinSystem(tuple(names), np.array(hertz) / 300.13, matrix + matrix.T, widths=np.full(len(names), width))


def inside(found: SpinSystemFit, measured: Trace, regions: Sequence[tuple[float, float]]) -> float:
    """R factor within regions in ppm."""
    mask = np.zeros(len(measured), dtype=bool)
    for low, high in regions:
        mask |= (measured.x >= low) & (measured.x <= high)
    return r_factor(found.simulated[0].y[mask], measured.y[mask])


def anatolia() -> dict[str, Any]:
    """THF-2-carboxylic acid from ANATOLIA's crude start and from 20 random ones around it; o-dichlorobenzene."""
    rows = spectra()
    thf = trace(rows["anatolia:THFCOOH/300"])
    # doi:10.1002/mrc.4689, example THFCOOH/300: start values by hand
    crude = coupled(
        ["H2", "H5c", "H5t", "H3t", "H3c", "H4t", "H4c"],
        [1321.0, 1185.0, 1160.0, 680.0, 597.0, 585.0, 578.0],
        [0, 0, 7.6, 6.1, 0, -0.5, -8.0, -0.5, 0, 6.1, 7.6, 0, -0.5, 7.6, 6.1, -12.0, 8.7, 6.1, 6.1, 8.7, -12.0],
        0.2,
    )
    seconds, one = timed(lambda: fit(thf, crude, absolute=False))
    found: dict[str, Any] = {
        "thf": {
            "r_factor_regions": inside(one, thf, THF_REGIONS),
            **figures(one, seconds),
            "parameters": parameters(one),
        }
    }
    each: list[dict[str, Any]] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        start = replace(perturbed(crude, 0.02, 1.5, rng), widths=crude.widths)
        seconds, one = timed(lambda s=start, seed=seed: fit(thf, s, absolute=False, seed=seed))
        each.append({"r_factor_regions": inside(one, thf, THF_REGIONS), **figures(one, seconds)})
        print("thf", seed, f"{each[-1]['r_factor_regions']:.4f} {seconds:.2f} s", flush=True)
    good = [e for e in each if e["r_factor_regions"] <= 0.048]
    found["thf_random_starts"] = {
        "off_by": "0.02 ppm, 1.5 Hz around the crude start",
        "converged": len(good),
        "of": len(each),
        "median_seconds": float(np.median([e["seconds"] for e in each])),
        "each": each,
    }
    dichlorobenzene = trace(rows["anatolia:ODCB/1"])
    start = coupled(["H3", "H6", "H4", "H5"], [2258.0, 2258.0, 2195.0, 2195.0], [0.5, 7.5, 2.5, 2.5, 7.5, 7.5], 0.1)
    ties = [
        ["shift/H3", "shift/H6"], ["shift/H4", "shift/H5"], ["width/H3", "width/H6", "width/H4", "width/H5"],
        ["coupling/H3-H4", "coupling/H6-H5"], ["coupling/H3-H5", "coupling/H6-H4"],
    ]  # fmt: skip
    variants: dict[str, dict[str, Any]] = {
        "odcb": {},
        "odcb_phase": {"phase": True},
        "odcb_line_shape": {"line_shape": True},
    }
    for name, more in variants.items():
        seconds, one = timed(lambda more=more: fit(dichlorobenzene, start, ties=ties, absolute=False, **more))
        regions = {"r_factor_regions": inside(one, dichlorobenzene, ((7.2, 7.62),))}
        found[name] = {**regions, **figures(one, seconds), "parameters": parameters(one)}
    return found


def coverage() -> dict[str, Any]:
    """How often 90% intervals hold the truth in simulation: white noise, and that of a zero-filled spectrum."""
    library = {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}
    found: dict[str, Any] = {}
    for name, compound, smooth, ratio in (
        ("serine, white noise, S/N 300", "mipt:Serine", False, 300),
        ("serine, zero-filled, S/N 300", "mipt:Serine", True, 300),
        ("glutamate, white noise, S/N 500", "mipt:Glutamate", False, 500),
    ):
        truth = replace(library[compound], widths=np.full(len(library[compound]), 0.8))
        reach = 0.15
        axis = np.arange(truth.shifts.min() - reach, truth.shifts.max() + reach, 0.0004)
        clean = simulate(truth, 500.0, axis=axis)
        hits: dict[str, list[bool]] = {}
        for seed in range(100):
            rng = np.random.default_rng(seed)
            noise = rng.normal(0, 1, len(axis))
            if smooth:  # every other point is interpolated, as by filling up with as many zeros as there are points
                half = np.fft.rfft(rng.normal(0, 1, len(axis)))
                half[len(half) // 2 :] = 0
                noise = np.fft.irfft(half, len(axis)) * 2**0.5
            measured = Trace(axis, clean.y + noise * clean.y.max() / ratio, frequency=500.0)
            one = fit(measured, truth, couplings="given", gaussian=False, starts=1)
            r = truth.intensities / truth.intensities.mean()
            right = {f"shift/{n}": v for n, v in zip(truth.names, truth.shifts, strict=True)}
            right |= {f"width/{n}": v for n, v in zip(truth.names, truth.widths, strict=True)}
            right |= {f"intensity/{n}": v for n, v in zip(truth.names, r, strict=True)}
            for k, m in itertools.combinations(range(len(truth)), 2):
                right[f"coupling/{truth.names[k]}-{truth.names[m]}"] = truth.couplings[k, m]
            for path, (low, high) in zip(one.fit.names, one.fit.interval(0.9), strict=True):
                hits.setdefault(path, []).append(bool(low <= right[path] <= high))
        kinds: dict[str, list[bool]] = {}
        for path, some in hits.items():
            kinds.setdefault(path.split("/")[0], []).extend(some)
        found[name] = {
            "all": round(float(np.mean([h for some in hits.values() for h in some])), 4),
            "by_kind": {kind: round(float(np.mean(some)), 4) for kind, some in kinds.items()},
            "fits": 100,
            "intervals": sum(len(some) for some in hits.values()),
        }
        print(name, found[name]["all"], found[name]["by_kind"], flush=True)
    return found


def paper() -> dict[str, Any]:
    """The paper's method, as built here, on a few spectra."""
    rows, library = spectra(), {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}
    found: dict[str, Any] = {}
    for name, epochs in (("Serine", 120), ("Aspartate", 120)):
        row = rows[f"gissmo_exp:{name}"]
        start = started(library[row["spin_system_id"]])
        measured = trace(row)
        seconds, one = timed(lambda m=measured, s=start, e=epochs: fit_gradient(m, s, epochs=e))
        ours, other = timed(lambda m=measured, s=start: fit(m, s))
        found[name] = {
            "paper": TABLE_4[name][1],
            "nmr-gradient": figures(one, seconds),
            "nmr-spin-system": figures(other, ours),
            "times_faster": round(seconds / ours, 1),
            "epochs": epochs,
        }
        print(name, found[name]["nmr-gradient"]["iou"], found[name]["nmr-spin-system"]["iou"], flush=True)
    return found


PARTS = {
    "table4": table4,
    "proline": proline,
    "starts": starts,
    "anatolia": anatolia,
    "coverage": coverage,
    "paper": paper,
}


def main() -> None:
    """Run the parts asked for, and write what they measured."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = asked.parse_args()
    path = options.out / "nmr_fit.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    warm = coupled(["H1", "H2"], [300.0, 330.0], [7.0], 1.0)
    fit(simulate(warm, 300.13, axis=np.arange(0.8, 1.3, 0.001)), warm, line_shape=True)  # what is compiled first
    assert len(lines(warm, 300.13))
    for name in options.parts:
        start = time.process_time()
        results[name] = PARTS[name]()
        results[name]["measured"] = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()} {platform.system()}, one thread",
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "cpu_seconds": round(time.process_time() - start, 1),
        }
        write_text(path, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
