"""Half-real mixtures whose amounts are known: measured spectra of single compounds, and simulated ones that disagree
with the library as measured ones do, in a tube with DSS, water, a rolling baseline, broad signals and compounds of no
library.

What is measured keeps its line shape, its impurities and its noise; each of its multiplets is moved by itself, and the
library has another entry of the same compound (another sample, another measurement) where there is one. The axis of a
sample is off by up to 40 ppb unless DSS is in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from nmr_mixture_split import COMPOUND_OF, WRITTEN, skeleton

from molvis_core.records import Trace
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.spins.simulation import render
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines

FIELDS = {
    "looked_at": (499.84, 499.84, 600.13), "set_aside": (499.84, 499.84, 400.13),
    "set_aside_since": (499.84, 400.13, 600.13), "set_aside_third": (499.84, 400.13, 600.13),
    "set_aside_fourth": (499.84, 400.13, 600.13), "set_aside_fifth": (499.84, 400.13, 600.13),
    "set_aside_sixth": (499.84, 400.13, 600.13), "set_aside_seventh": (499.84, 400.13, 600.13),
}  # fmt: skip
"""In MHz. What was set aside since has the compounds of those set aside first, in other mixtures, and at 600 MHz
phenylalanine's spectrum, which nothing had used. Those after it have the same compounds and fields in yet other
mixtures.
"""
PRESENT = {10: 5, 30: 8, 100: 12, 0: 12}
"""Compounds present by the size of the library; 0 is all of it."""


@dataclass(frozen=True)
class Sample:
    """A mixture with its truth.

    Attributes:
        trace: the spectrum.
        library: spin systems.
        amounts: area under one proton's signal, by the identifier of the library's entry.
        snr: highest point over the noise, likewise.
        measured: identifiers of those that are measured spectra.
    """

    trace: Trace
    library: list[SpinSystem]
    amounts: dict[str, float]
    snr: dict[str, float]
    measured: set[str] = field(default_factory=set)


@cache
def split() -> dict[str, Any]:
    return json.loads(WRITTEN.read_text(encoding="utf-8"))


@cache
def entries(folder: Path) -> dict[str, SpinSystem]:
    """Spin systems of BMRB's compounds that have a proton on carbon, by BMRB's number."""
    known = {}
    for s in read_systems(folder / "spin_systems.json"):
        if s.identifier.startswith("gissmo:bmse") and s.inchi and s.n_spins <= 24:
            known.setdefault(s.identifier.split(":")[1], replace(s, identifier=s.identifier.split(":")[1]))
    return known


@cache
def shelf(folder: Path) -> dict[str, SpinSystem]:
    """One entry of each compound, by skeleton: of those that were measured another one than theirs where there is
    one.
    """
    own = set(COMPOUND_OF.values())
    chosen: dict[str, SpinSystem] = {}
    for identifier, system in entries(folder).items():
        key = skeleton(system.inchi)
        if key not in chosen or chosen[key].identifier in own:
            chosen[key] = system
        assert identifier == system.identifier
    return {s.identifier: s for s in chosen.values()}


@cache
def spectra(folder: Path) -> dict[str, dict[str, Any]]:
    return {r["spectrum_id"]: r for r in pq.read_table(folder / "spectra.parquet").to_pylist()}


def disagreeing(system: SpinSystem, random: np.random.Generator) -> SpinSystem:
    """The compound as another sample has it: shifts, couplings, widths and intensities off as those of real ones
    are.
    """
    size = len(system)
    off = random.normal(0, 0.003) + 0.004 * np.clip(random.standard_t(3, size), -6, 6)
    noise = np.triu(random.normal(0, 0.08, (size, size)), 1)
    same = np.unique(np.round(system.shifts, 4), return_inverse=True)[1]
    off = off[same]  # protons that are equivalent stay so
    return replace(
        system,
        shifts=system.shifts + off,
        couplings=system.couplings + (noise + noise.T) * (np.abs(system.couplings) > 0.5),
        widths=0.6 * np.exp(random.normal(0, 0.15, size))[same],
        intensities=np.exp(random.normal(0, 0.04, size))[same],
    )


def drawn(system: SpinSystem, frequency: float, axis: np.ndarray) -> np.ndarray:
    """A spectrum in which one proton has the area 1; lines have a foot, as shimming leaves it."""
    found = lines(system, frequency, threshold=1e-5)
    ones = system.intensities
    y = 0.9 * render(found, system.widths, ones, axis * frequency) / np.pi
    moved = replace(found, position=found.position + 0.8)
    return y + 0.1 * render(moved, 2.0 * system.widths, ones, axis * frequency) / np.pi


def measured(row: dict[str, Any], system: SpinSystem, axis: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A measured spectrum on the axis: its multiplets alone, each moved by itself, one proton with the area 1."""
    own = row["ppm_start"] + row["ppm_step"] * np.arange(row["n"])
    frequency, y = row["field_MHz"], np.array(row["intensity"])
    if "MIPT" in row["spectrum_id"]:
        own = own + 0.066  # referenced otherwise
    reach = 0.03 + 15.0 / frequency
    total = np.zeros(len(axis))
    protons = area = 0.0
    runs: list[list[int]] = []
    for g in np.argsort(system.shifts).tolist():
        if runs and system.shifts[g] - system.shifts[runs[-1][-1]] < 2 * reach:
            runs[-1].append(g)
        else:
            runs.append([g])
    for run in runs:
        low, high = system.shifts[run].min() - reach, system.shifts[run].max() + reach
        inside = (own > low) & (own < high)
        if inside.sum() < 20 or (high > 4.6 and low < 4.95):
            continue
        x, height = own[inside], y[inside]
        edge = max(3, len(x) // 20)
        height = height - np.interp(x, [x[0], x[-1]], [np.median(height[:edge]), np.median(height[-edge:])])
        protons += system.multiplicity[run].sum()
        area += height.sum() * (x[1] - x[0]) * frequency
        x = x + 0.004 * np.clip(random.standard_t(3), -6, 6)
        total += np.interp(axis, x, height, left=0.0, right=0.0)
    return total * protons / area


def with_carbon_13(y: np.ndarray, axis: np.ndarray, frequency: float, random: np.random.Generator) -> np.ndarray:
    """A spectrum with the satellites of 13C, by couplings that are usual of a shift and 4 Hz off."""
    made = (1 - 0.0107) * y
    step = float(axis[1] - axis[0]) * frequency
    limits = [-np.inf, 0.4, 1.6, 3.0, 4.4, 6.0, 8.2, np.inf]
    for low, high, usual in zip(limits, limits[1:], (118, 126, 130, 144, 164, 162, 195), strict=False):
        part = np.where((axis >= low) & (axis < high), y, 0.0)
        lag = round(0.5 * random.normal(usual, 4.0) / step)
        made += 0.0107 / 2 * (np.roll(part, lag) + np.roll(part, -lag))
    return made


def broad(axis: np.ndarray, frequency: float, random: np.random.Generator) -> np.ndarray:
    """Macromolecules and lipids: signals 20 to 80 Hz wide, highest 1."""
    y = np.zeros(len(axis))
    for place in random.uniform(0.7, 4.4, 14):
        width = random.uniform(20, 80)
        y += random.uniform(0.2, 1) / (1 + ((axis - place) * frequency / width) ** 2)
    return y / y.max()


def sample(folder: Path, side: str, size: int, seed: int, strangers: int = 1) -> Sample:
    """A mixture of the compounds of one side, and a library of `size` entries that holds all but some of them.

    Args:
        folder: of the data.
        side: of the division, a key of `FIELDS`.
        size: of the library; 0 is all of it.
        seed: of what is drawn.
        strangers: how many of the compounds the library lacks.
    """
    random = np.random.default_rng([seed, size, list(FIELDS).index(side)])
    frequency = float(random.choice(FIELDS[side]))
    side = "set_aside" if side.startswith("set_aside") else side
    everything, divided = shelf(folder), split()
    pool = [e for e in everything if e in set(divided["compounds"][side])]
    by_key = {skeleton(s.inchi): i for i, s in everything.items()}
    own = {
        n: by_key[skeleton(entries(folder)[COMPOUND_OF[n]].inchi)]
        for n in divided["measured"][side]
        if abs(spectra(folder)[n]["field_MHz"] / frequency - 1) < 0.002
    }
    random.shuffle(names := list(own))
    chosen: dict[str, str] = {}
    for name in names:
        if own[name] not in chosen and len(chosen) < random.integers(2, 5):
            chosen[own[name]] = name
    rest = [e for e in pool if e not in own.values() and e != "bmse000795"]
    random.shuffle(rest)
    there = [*chosen, *rest][: PRESENT[size]]
    lacking = rest[PRESENT[size] : PRESENT[size] + strangers]
    points = round(10.5 * frequency / 0.2)
    axis = np.linspace(-0.6, 9.9, points)
    with_dss = random.random() < 0.7
    offset = random.uniform(-0.005, 0.005) if with_dss else random.uniform(-0.04, 0.04)
    low, high = 1.0, 20.0
    parts: dict[str, np.ndarray] = {}
    amounts: dict[str, float] = {}
    for e in [*there, *lacking]:
        amount = float(np.exp(random.uniform(np.log(low), np.log(high))))
        if e in chosen:
            shape = measured(spectra(folder)[chosen[e]], entries(folder)[COMPOUND_OF[chosen[e]]], axis - offset, random)
        else:
            system = disagreeing(everything[e], random)
            shape = drawn(replace(system, shifts=system.shifts + offset), frequency, axis)
        parts[e], amounts[e] = amount * shape, amount
    carbon = np.random.default_rng([seed, size, 13])
    parts = {e: with_carbon_13(p, axis, frequency, carbon) for e, p in parts.items()}
    y = np.sum(list(parts.values()), axis=0)
    if with_dss:
        dss = disagreeing(entries(folder)["bmse000795"], random)
        shape = drawn(replace(dss, shifts=dss.shifts - dss.shifts[0] + offset), frequency, axis)
        y = y + 5.0 * with_carbon_13(shape, axis, frequency, carbon)
    scale = float(np.median([p.max() for p in parts.values()]))
    water = random.uniform(5, 100) * scale * random.choice([-1, 1]) / (1 + ((axis - 4.77) * frequency / 5) ** 2)
    rolling = 0.02 * scale * np.cos(axis * random.uniform(0.5, 2) + random.uniform(0, 6))
    noise = scale / float(np.exp(random.uniform(np.log(60), np.log(600))))
    wide = random.choice([0.0, 0.1, 0.3]) * scale * broad(axis, frequency, random)
    y = y + water + rolling + wide + random.normal(0, noise, points)
    away = (axis < 4.6) | (axis > 4.95)
    snr = {e: float(np.where(away, p, 0).max() / noise) for e, p in parts.items() if e not in lacking}
    amounts = {e: a for e, a in amounts.items() if e not in lacking}
    return Sample(
        Trace(axis, y, frequency=frequency), _library(everything, there, lacking, rest, size, random), amounts, snr,
        {e for e in there if e in chosen},
    )  # fmt: skip


def _library(
    everything: dict[str, SpinSystem],
    there: Sequence[str],
    lacking: Sequence[str],
    rest: Sequence[str],
    size: int,
    random: np.random.Generator,
) -> list[SpinSystem]:
    """The entries of those present and of others; all of them for size 0."""
    others = [e for e in (rest if size else everything) if e not in there and e not in (*lacking, "bmse000795")]
    if size:
        others = list(random.permutation(others))[: size - len(there)]
    return [everything[e] for e in sorted([*there, *others])]
