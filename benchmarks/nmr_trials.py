"""Trials of NMR fits on systems that were set aside: crude starts and intervals.

    python benchmarks/nmr_trials.py split                      # writes the split; done once, before anything ran
    python benchmarks/nmr_trials.py split --part new           # sets further systems aside; done once, too
    python benchmarks/nmr_trials.py split --part later         # and once more
    python benchmarks/nmr_trials.py split --part last          # and once more
    python benchmarks/nmr_trials.py split --part final         # and once more
    python benchmarks/nmr_trials.py split --part beyond        # and once more, for starts alone
    python benchmarks/nmr_trials.py starts --part looked --seeds 3
    python benchmarks/nmr_trials.py coverage --part aside --seeds 1

Systems and measured spectra are those of the data folder (`MOLVIS_DATA`, `nmr/`). `benchmarks/nmr_trials_split.json`
says which were looked at while the fit was developed (`looked`), which were set aside and then measured once (`aside`),
and which were set aside after that: `new`, then `later`, `last`, `final` and `beyond`. By default few seeds run.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from molvis_core.records import Trace
from molvis_files.writing import write_text
from molvis_nmr.fitting.spin_system import SpinSystemFit, fit
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("MOLVIS_DATA", ROOT.parent / "shared" / "data")) / "nmr"
SPLIT = ROOT / "benchmarks" / "nmr_trials_split.json"
FIXED = ("mipt:Valine", "mipt:Glutamate", "mipt:Proline")
"""Systems of the starts trial whose figures were known before: they are among those looked at."""
DRAWN, ASIDE = 12, 5
"""Systems of the starts trial that are drawn, and how many of them are set aside."""
COVERED = 48
"""Systems of the trial of intervals; every third is set aside."""
FURTHER = {
    "new": (20261123, 5, 16), "later": (20261124, 5, 16), "last": (20261125, 10, 16), "final": (20261126, 10, 24),
    "beyond": (20261127, 10, 1),
}  # fmt: skip
"""Seed, and systems of either trial, that were set aside once those before had been measured."""


def library() -> dict[str, SpinSystem]:
    """All spin systems of the data folder by identifier."""
    return {s.identifier: s for s in read_systems(DATA / "spin_systems.json")}


def eligible(system: SpinSystem, least: int) -> bool:
    """Protons alone, few enough to be quick, coupled, and each shift of its own (others need ties)."""
    linked = (system.couplings != 0).any(axis=1)
    apart = np.diff(np.sort(system.shifts))
    return bool(
        set(system.nuclei) == {"1H"}
        and least <= len(system) <= 8
        and system.n_spins <= 12
        and linked.all()
        and apart.min(initial=1.0) > 0.002
        and system.shifts.max() - system.shifts.min() < 6
    )


def split() -> None:
    """Draw the systems of both trials, and which of them are set aside."""
    rng = np.random.default_rng(20261122)
    known, seen = library(), set[str]()
    pool: list[str] = []
    for identifier, system in known.items():
        key = system.inchi or system.name
        if key not in seen and eligible(system, 3) and identifier not in FIXED:
            seen.add(key)
            pool.append(identifier)
    for_starts = [i for i in pool if eligible(known[i], 4)]
    drawn = [str(i) for i in rng.choice(for_starts, DRAWN, replace=False)]
    rest = [i for i in pool if i not in drawn]
    covered = [str(i) for i in rng.choice(rest, COVERED, replace=False)]
    found = {
        "seed": 20261122,
        "starts": {"looked": [*FIXED, *drawn[ASIDE:]], "aside": drawn[:ASIDE]},
        "coverage": {
            "looked": [i for k, i in enumerate(covered) if k % 3],
            "aside": [i for k, i in enumerate(covered) if not k % 3],
        },
    }
    write_text(SPLIT, json.dumps(found, indent=1) + "\n")


def split_further(part: str) -> None:
    """Set systems aside that no part of the split has, nor another entry of the same compound.

    Those of the paper and of ANATOLIA are left out: their measured spectra are fitted elsewhere.
    """
    seed, begun, covered = FURTHER[part]
    rng = np.random.default_rng(seed)
    known, found = library(), json.loads(SPLIT.read_text())
    used = {i for kind in ("starts", "coverage") for some in found[kind].values() for i in some}
    seen = {known[i].inchi or known[i].name for i in used}
    pool: list[str] = []
    for identifier, system in known.items():
        key = system.inchi or system.name
        measured = identifier.split(":")[0] in ("mipt", "paper", "anatolia")
        if key not in seen and eligible(system, 3) and not measured:
            seen.add(key)
            pool.append(identifier)
    for_starts = [i for i in pool if eligible(known[i], 4)]
    found["starts"][part] = [str(i) for i in rng.choice(for_starts, begun, replace=False)]
    rest = [i for i in pool if i not in found["starts"][part]]
    found["coverage"][part] = [str(i) for i in rng.choice(rest, covered, replace=False)]
    write_text(SPLIT, json.dumps(found, indent=1) + "\n")


def perturbed(truth: SpinSystem, shift: float, coupling: float, rng: np.random.Generator) -> SpinSystem:
    """Shifts and couplings that are off by up to so much, evenly drawn."""
    change = np.triu(rng.uniform(-coupling, coupling, truth.couplings.shape), 1) * (truth.couplings != 0)
    return replace(
        truth,
        shifts=truth.shifts + rng.uniform(-shift, shift, len(truth)),
        couplings=truth.couplings + change + change.T,
        widths=np.ones(len(truth)),
        intensities=np.ones(len(truth)),
    )


def spectrum_of(
    truth: SpinSystem,
    field: float,
    ratio: float,
    rng: np.random.Generator,
    *,
    filled: bool = False,
    baseline: float = 0.0,
    shim: float = 0.0,
    step: float = 0.2,
) -> Trace:
    """A simulated measurement.

    Args:
        truth: the system.
        field: in MHz.
        ratio: highest point to standard deviation of the noise.
        rng: of the noise.
        filled: noise as in a spectrum that was filled up with as many zeros as it had points.
        baseline: height of a slow wave, relative to the noise.
        shim: share of each line that is 2 Hz aside.
        step: between points, in Hz.
    """
    axis = np.arange(truth.shifts.min() - 0.3, truth.shifts.max() + 0.3, step / field)
    clean = simulate(truth, field, axis=axis)
    y = (1 - shim) * clean.y + shim * np.interp(axis - 2 / field, axis, clean.y)
    noise = rng.normal(0, 1, len(axis))
    if filled:
        half = np.fft.rfft(noise)
        half[len(half) // 2 :] = 0
        noise = np.fft.irfft(half, len(axis)) * 2**0.5
    wave = baseline * np.sin(np.arange(len(axis)) * 2 * np.pi * step / 400 + rng.uniform(0, 6.28))
    return Trace(axis, y + (noise + wave) * y.max() / ratio, frequency=field, identifier=truth.name)


def distance(found: SpinSystem, truth: SpinSystem, field: float) -> float:
    """How far two systems are apart: the area between their spectra with lines 1 Hz wide, of the area of one.

    It does not see labels, nor signs of couplings that do not show.
    """
    axis = np.arange(truth.shifts.min() - 0.3, truth.shifts.max() + 0.3, 0.2 / field)
    both = [
        simulate(replace(s, widths=np.ones(len(s)), intensities=np.ones(len(s))), field, axis=axis).y
        for s in (found, truth)
    ]
    return float(np.abs(both[0] - both[1]).sum() / both[1].sum())


NEAR = 0.01
"""Spectra whose lines, of one width, differ by less than this share of their area are those of one solution."""


def right(found: SpinSystem, truth: SpinSystem, field: float) -> bool:
    """Whether the spectrum is right, and couplings are but for their signs to 0.5 Hz, groups being told by shifts."""
    if distance(found, truth, field) > NEAR:
        return False
    cost = np.abs(found.shifts[:, None] - truth.shifts) + 100.0 * (found.multiplicity[:, None] != truth.multiplicity)
    order = np.asarray(linear_sum_assignment(cost.T)[1])
    return bool(np.abs(np.abs(found.couplings[np.ix_(order, order)]) - np.abs(truth.couplings)).max() < 0.5)


FOOT = 0.2
"""Hz by which the mean of a line is off that has a tenth of it 2 Hz aside."""


def true_parameters(found: SpinSystem, truth: SpinSystem, field: float) -> bool:
    """Whether shifts are to `FOOT`, but for a common offset, and couplings but for their signs to 0.5 Hz."""
    cost = np.abs(found.shifts[:, None] - truth.shifts) + 100.0 * (found.multiplicity[:, None] != truth.multiplicity)
    order = np.asarray(linear_sum_assignment(cost.T)[1])
    off = found.shifts[order] - truth.shifts
    couplings = np.abs(np.abs(found.couplings[np.ix_(order, order)]) - np.abs(truth.couplings))
    return bool(np.abs(off - np.median(off)).max() * field < FOOT and couplings.max() < 0.5)


def without_flagged(found: SpinSystem, truth: SpinSystem, flags: Mapping[str, str]) -> SpinSystem:
    """With the truth's values in place of couplings whose flag says that they may be off (`flat`, `line-shape`)."""
    cost = np.abs(found.shifts[:, None] - truth.shifts) + 100.0 * (found.multiplicity[:, None] != truth.multiplicity)
    at = np.asarray(linear_sum_assignment(cost)[1])
    couplings = found.couplings.copy()
    for k, m in itertools.combinations(range(len(found)), 2):
        if flags.get(f"coupling/{found.names[k]}-{found.names[m]}") in ("flat", "line-shape"):
            couplings[k, m] = couplings[m, k] = truth.couplings[at[k], at[m]]
    return replace(found, couplings=couplings)


def verdict(one: SpinSystemFit, best: SpinSystemFit, truth: SpinSystem, field: float) -> str:
    """`found`, `reported` (as another solution), `unsure` (the fit, or the flag of what is off, says so) or `silent`.

    `best` is what a fit that starts from the truth finds. Where a line shape is not the model's, that one may take up
    couplings that are not there, fit worse, and be farther from the truth than what is judged: what has the truth's own
    parameters is found, too.
    """
    if right(one.system, best.system, field) or true_parameters(one.system, truth, field):
        return "found"
    if any(
        right(without_flagged(other.system, best.system, one.flags), best.system, field) for other in one.alternatives
    ):
        return "reported"
    if one.problem or one.doubt or right(without_flagged(one.system, best.system, one.flags), best.system, field):
        return "unsure"
    return "silent"


def starts(part: str, seeds: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """Fits from starts that are off by up to 0.05 ppm and 3 Hz; S/N 50 to 1000, widths 0.5 to 1.2 Hz.

    Every other spectrum has a line shape that the model has not: a tenth of each line is 2 Hz aside, as by a bad shim.
    """
    known, found = library(), dict[str, Any]()
    for number, name in enumerate(json.loads(SPLIT.read_text())["starts"][part]):
        if only and not any(o in name for o in only):
            continue
        verdicts: list[str] = []
        begin, tried = time.process_time(), 0
        doubts = sound = 0
        for seed in range(seeds):
            rng = np.random.default_rng((number, seed))
            truth = replace(
                known[name],
                widths=rng.uniform(0.5, 1.2) * np.exp(rng.normal(0, 0.1, len(known[name]))),
                intensities=np.ones(len(known[name])),
            )
            field = (400.0, 500.0, 600.0)[number % 3]
            ratio = float(np.exp(rng.uniform(np.log(50), np.log(1000))))
            measured = spectrum_of(truth, field, ratio, rng, shim=0.1 * (seed % 2))
            clock = time.process_time()
            one = fit(measured, perturbed(truth, 0.05, 3.0, rng), seed=seed)
            best = fit(measured, truth, starts=1)
            verdicts.append(verdict(one, best, truth, field))
            doubts += bool(one.problem or getattr(one, "doubt", ""))
            sound += verdicts[-1] == "found" and bool(one.problem or getattr(one, "doubt", ""))
            tried += one.starts
            print(
                f"{name} {seed} {verdicts[-1]} R {one.metrics['r_factor']:.3f} starts {one.starts} "
                f"distance {distance(one.system, best.system, field):.3f} {time.process_time() - clock:.1f} s "
                f"{one.problem or getattr(one, 'doubt', '')}",
                flush=True,
            )
        counts = {v: verdicts.count(v) for v in ("found", "reported", "unsure", "silent")}
        found[name] = {
            "of": seeds, **counts, "doubted": doubts, "found_doubted": sound, "starts": tried,
            "seconds": round((time.process_time() - begin) / seeds, 2),
        }  # fmt: skip
        print(name, found[name], flush=True)
    total = {
        v: sum(row[v] for row in found.values()) for v in ("of", "found", "reported", "unsure", "silent", "doubted")
    }
    print(total)
    return {"rows": found, **total}


def right_values(one: SpinSystemFit, truth: SpinSystem) -> dict[str, float]:
    """The truth by path; groups whose names the fit says could change places are told by their shifts."""
    open_ = [k for k, n in enumerate(truth.names) if one.flags.get(f"shift/{n}") == "relabelling"]
    order = np.arange(len(truth))
    cost = np.abs(one.system.shifts[open_][:, None] - truth.shifts[open_])
    cost = cost + 100.0 * (truth.multiplicity[open_][:, None] != truth.multiplicity[open_])
    order[open_] = np.array(open_, dtype=int)[np.asarray(linear_sum_assignment(cost)[1], dtype=int)]
    truth = replace(
        truth,
        shifts=truth.shifts[order],
        couplings=truth.couplings[np.ix_(order, order)],
        widths=truth.widths[order],
        intensities=truth.intensities[order],
    )
    r = truth.intensities / truth.intensities.mean()
    right = {f"shift/{n}": float(v) for n, v in zip(truth.names, truth.shifts, strict=True)}
    right |= {f"width/{n}": float(v) for n, v in zip(truth.names, truth.widths, strict=True)}
    right |= {f"intensity/{n}": float(v) for n, v in zip(truth.names, r, strict=True)}
    for k, m in itertools.combinations(range(len(truth)), 2):
        right[f"coupling/{truth.names[k]}-{truth.names[m]}"] = float(truth.couplings[k, m])
    return {name: right[name] for name in one.fit.names if name in right}


def coverage(part: str, seeds: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """How often 90% intervals hold the truth: S/N 30 to 300, with defaults, from starts off by 0.01 ppm and 1 Hz.

    Half of the spectra are filled up with zeros, half have a slow baseline as high as the noise; widths and intensities
    vary by 10% and 5%.
    """
    known = library()
    hits: dict[str, list[bool]] = {}
    rows: dict[str, Any] = {}
    alarms = spent = 0
    for number, name in enumerate(json.loads(SPLIT.read_text())["coverage"][part]):
        if only and not any(o in name for o in only):
            continue
        mine: dict[str, list[bool]] = {}
        for seed in range(seeds):
            rng = np.random.default_rng((1000 + number, seed))
            size = len(known[name])
            truth = replace(
                known[name],
                widths=rng.uniform(0.5, 1.2) * np.exp(rng.normal(0, 0.1, size)),
                intensities=np.exp(rng.normal(0, 0.05, size)),
            )
            field = (400.0, 500.0, 600.0)[number % 3]
            ratio = float(np.exp(rng.uniform(np.log(30), np.log(300))))
            measured = spectrum_of(truth, field, ratio, rng, filled=number % 2 == 0, baseline=float(number % 4 > 1))
            one = fit(measured, replace(perturbed(truth, 0.01, 1.0, rng)), seed=seed)
            alarms += bool(one.problem or getattr(one, "doubt", ""))
            spent += one.starts
            right = right_values(one, truth)
            for path, (low, high) in zip(one.fit.names, one.fit.interval(0.9), strict=True):
                if path not in right:
                    continue
                flag, kind = one.flags.get(path, ""), path.split("/")[0]
                value = right[path]
                good = bool(low <= value <= high)
                if flag == "sign-ambiguous":
                    good = good or bool(low <= -value <= high)
                mine.setdefault(kind + ("" if flag in ("", "sign-ambiguous") else " " + flag), []).append(good)
        for kind, some in mine.items():
            hits.setdefault(kind, []).extend(some)
        rows[name] = {kind: [int(sum(some)), len(some)] for kind, some in mine.items()}
        print(f"{name} S/N {ratio:.0f} starts {one.starts} {rows[name]} {one.problem}", flush=True)
    every = [h for kind, some in hits.items() for h in some]
    plain = [h for kind, some in hits.items() if " " not in kind for h in some]
    found = {
        "systems": len(rows), "intervals": len(every), "all": round(float(np.mean(every)), 4),
        "without_flagged": round(float(np.mean(plain)), 4), "unflagged_intervals": len(plain),
        "by_kind": {kind: [round(float(np.mean(some)), 4), len(some)] for kind, some in sorted(hits.items())},
        "alarms": alarms, "starts": spent,
    }  # fmt: skip
    print(json.dumps(found, indent=1))
    return {**found, "rows": rows}


def main() -> None:
    """Run one trial, and write what it measured."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("trial", choices=["split", "starts", "coverage"])
    asked.add_argument("--part", choices=["looked", "aside", *FURTHER], default="looked")
    asked.add_argument("--seeds", type=int, default=2)
    asked.add_argument("--only", nargs="+", default=[])
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "nmr_trials.json")
    asked.add_argument("--write", action="store_true", help="Put what was measured into the file of results.")
    asked.add_argument("--again", action="store_true", help="Put it beside what was measured when nothing was known.")
    options = asked.parse_args()
    if options.trial == "split":
        if options.part in FURTHER:
            split_further(options.part)
        else:
            split()
        return
    begin = time.process_time()
    trial = {"starts": starts, "coverage": coverage}[options.trial]
    measured = trial(options.part, options.seeds, options.only)
    measured["seeds"] = options.seeds
    measured["measured"] = {
        "date": datetime.now(UTC).date().isoformat(), "cpu_seconds": round(time.process_time() - begin, 1)
    }  # fmt: skip
    print(f"{measured['measured']['cpu_seconds']} s")
    if options.write:
        results = json.loads(options.out.read_text()) if options.out.exists() else {}
        results.setdefault(options.trial + ("_again" if options.again else ""), {})[options.part] = measured
        write_text(options.out, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
