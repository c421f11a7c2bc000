"""Simulation of NMR spectra: ours against nmrsim, the whole library of spin systems, and what clusters leave out.

    python benchmarks/nmr_simulation.py [--library spin_systems.json] [--largest 10] [--out benchmarks/results]

Times are CPU seconds on one thread, the shortest of several runs, ours and the peer's in turns. The peer's faster way
counts, sparse or dense, and its caches are warm. Without nmrsim (`pip install nmrsim "sparse<0.16"`) that part is left
out. Both give the lines of strongly coupled spins at 600 MHz; their spectra, broadened by 1 Hz, are compared.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from molvis_files.writing import write_text
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.spins.derivatives import lines_and_derivatives
from molvis_nmr.spins.simulation import render, simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, lines, merged

FREQUENCY = 600.0
WIDTH = 1.0
LARGE = ("Nonanal", "(5Z,8Z,11Z,14Z,17Z)-icosa-5,8,11,14,17-pentaenoic acid")


def cpu(function: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """The shortest CPU time of some runs in s, and the answer."""
    times: list[float] = []
    answer = None
    for _ in range(runs):
        start = time.process_time()
        answer = function()
        times.append(time.process_time() - start)
    return min(times), answer


def coupled(size: int) -> SpinSystem:
    """Spins within 0.5 ppm, all coupled to all."""
    draw = np.random.default_rng(size)
    couplings = np.zeros((size, size))
    for k, m in combinations(range(size), 2):
        couplings[k, m] = couplings[m, k] = draw.uniform(-2, 12)
    return SpinSystem(tuple(f"H{k}" for k in range(size)), draw.uniform(1, 1.5, size), couplings)


def spectrum(found: Lines, hertz: np.ndarray) -> np.ndarray:
    groups = found.weight.shape[1]
    return render(found, np.full(groups, WIDTH), np.ones(groups), hertz)


def distance(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """How far a spectrum is off another: over the area, and over the height."""
    off = np.abs(one - other)
    return {"area": float(off.sum() / other.sum()), "height": float(off.max() / other.max())}


def against_nmrsim(largest: int) -> dict[str, Any] | None:
    """Line lists of 5 to `largest` spins, ours and theirs."""
    try:
        from nmrsim import qm
    except ImportError:
        print("nmrsim is not installed: the comparison is left out")
        return None
    ways = {"sparse": qm.secondorder_sparse, "dense": qm.secondorder_dense}
    most = {"sparse": largest, "dense": 7}  # dense operators are far slower beyond, and want gigabytes
    rows = []
    for size in sorted({5, 7, 8, 10, largest}):
        system = coupled(size)
        hertz = system.shifts * FREQUENCY
        times: dict[str, float] = {}
        first: dict[str, float] = {}
        answer: Any = None
        lines(system, FREQUENCY)
        ours, found = cpu(lambda s=system: lines(s, FREQUENCY), 5)
        for name, way in ((name, way) for name, way in ways.items() if size <= most[name]):
            # The first call builds the operators, and nmrsim keeps them.
            warm, answer = cpu(lambda w=way, v=hertz, j=system.couplings: w(v, j, cutoff=1e-6), 1)
            first[name], again = warm, 5 if warm < 2 else 2
            times[name], answer = cpu(lambda w=way, v=hertz, j=system.couplings: w(v, j, cutoff=1e-6), again)
        ours = min(ours, cpu(lambda s=system: lines(s, FREQUENCY), 5)[0])
        peaks = np.array(answer)
        axis = np.arange(hertz.min() - 60, hertz.max() + 60, 0.2)
        theirs = spectrum(Lines(peaks[:, 0], peaks[:, 1:], np.ones((len(peaks), 1))), axis)
        row = {
            "spins": size,
            "lines": len(found),
            "ours_s": ours,
            **{f"nmrsim_{name}_s": seconds for name, seconds in times.items()},
            **{f"nmrsim_{name}_first_call_s": seconds for name, seconds in first.items()},
            "ratio": min(times.values()) / ours,
            "apart": distance(spectrum(found, axis), theirs),
        }
        print(row)
        rows.append(row)
    return {"nmrsim": version("nmrsim"), "line_lists": rows}


def own_speed() -> list[dict[str, Any]]:
    """Line lists, derivatives by everything, and spectra of 32,768 points."""
    rows = []
    axis = np.linspace(0, 10, 32768)
    for size in (3, 5, 7, 8, 9, 10, 11, 12):
        system = coupled(size)
        lines(system, FREQUENCY)
        runs = 5 if size < 11 else 2
        row: dict[str, Any] = {"spins": size, "lines_s": cpu(lambda s=system: lines(s, FREQUENCY), runs)[0]}
        if size <= 10:
            row["derivatives_s"] = cpu(lambda s=system: lines_and_derivatives(s, FREQUENCY), 3)[0]
            row["spectrum_s"] = cpu(lambda s=system: simulate(s, FREQUENCY, axis=axis), 3)[0]
        print(row)
        rows.append(row)
    return rows


def whole_library(systems: list[SpinSystem]) -> dict[str, Any]:
    """Line lists of all systems."""
    times: dict[str, float] = {}
    off = 0.0
    for system in systems:
        seconds, found = cpu(lambda s=system: lines(s, FREQUENCY), 1)
        times[system.identifier] = seconds
        if system.name not in LARGE:
            off = max(off, float(np.abs(found.weight.sum(axis=0) / system.multiplicity - 1).max()))
    slowest = sorted(times, key=lambda name: -times[name])[:5]
    result = {
        "systems": len(systems),
        "total_s": sum(times.values()),
        "exact": sum(s.name not in LARGE for s in systems),
        "in_clusters": sorted({s.name for s in systems if s.name in LARGE}),
        "slowest_s": {name: times[name] for name in slowest},
        "intensity_lost_by_threshold": off,
    }
    print(result)
    return result


def clusters(systems: list[SpinSystem]) -> list[dict[str, Any]]:
    """Spectra of clusters against exact ones, and against larger clusters where there are no exact ones."""
    by_name = {s.name: s for s in systems}
    nonanal = merged(by_name["Nonanal"])[0]
    rest = list(range(len(nonanal) - 2))  # without CHO and the CH2 beside it
    shorter = replace(
        nonanal, names=nonanal.names[:-2], shifts=nonanal.shifts[rest], couplings=nonanal.couplings[np.ix_(rest, rest)],
        multiplicity=nonanal.multiplicity[rest], nuclei=nonanal.nuclei[:-2], widths=nonanal.widths[rest],
        intensities=nonanal.intensities[rest], name="Nonanal without its last two groups",
    )  # fmt: skip
    cases = [(by_name[name], 400, 10**6) for name in ("Suberic-acid", "Palmitic-acid", "3-Methyladipic-acid")]
    cases += [(shorter, 2048, 10**6), (shorter, 4096, 10**6)]
    cases += [(by_name[name], 4096, 8192) for name in LARGE]
    rows = []
    for system, states, reference in cases:
        hertz = np.arange(system.shifts.min() * FREQUENCY - 60, system.shifts.max() * FREQUENCY + 60, 0.1)
        seconds, found = cpu(lambda s=system, n=states: lines(s, FREQUENCY, states=n), 1)
        whole = lines(system, FREQUENCY, states=reference)
        row = {
            "system": system.name, "states": states, "clusters_s": seconds,
            "against": "exact" if reference == 10**6 else f"clusters for {reference} states",
            "apart": distance(spectrum(found, hertz), spectrum(whole, hertz)),
        }  # fmt: skip
        print(row)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, default=Path("../shared/data/nmr/spin_systems.json"))
    parser.add_argument("--largest", type=int, default=10, help="spins of the largest system that nmrsim gets")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "machine": f"{_processor()}, {os.cpu_count()} cores, one thread used, Python {platform.python_version()}, "
        f"NumPy {np.__version__}",
        "date": datetime.now(UTC).date().isoformat(),
    }
    parts: dict[str, Callable[[], Any]] = {
        "against_nmrsim": lambda: against_nmrsim(arguments.largest),
        "own_speed": own_speed,
    }
    if arguments.library.exists():
        systems = read_systems(arguments.library)
        parts |= {"library_at_600_MHz": lambda: whole_library(systems), "clusters": lambda: clusters(systems)}
    else:
        print(f"no library at {arguments.library}: it is left out")
    for name, part in parts.items():
        content[name] = part()
        write_text(arguments.out / "nmr_simulation.json", json.dumps(content, indent=2) + "\n")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
