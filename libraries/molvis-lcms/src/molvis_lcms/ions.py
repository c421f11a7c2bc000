"""Which ion of its molecule a feature is: what its neighbours in mass say that leave the column with it.

A molecule comes as several ions. If a feature is the sodium adduct, the protonated molecule is probably 21.98 Da below
it, at the same time and with the same shape. Each hypothesis is weighed by how probable the peaks found at the places
of its partners are if it is true, and by how probable any peak is to be there by chance, which the survey scan's own
density tells. How often molecules form an ion at all comes from `molvis_core.chemistry.adducts`.

Idea of ion identity networks: R. Schmid et al., Nat. Commun. 12 (2021) 3832, doi:10.1038/s41467-021-23953-9
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from molvis_core.chemistry.adducts import ion_mz, likely_adducts, neutral_mass, parse_adduct
from molvis_core.errors import AdductError
from molvis_lcms.chromatograms import correlation, extract
from molvis_lcms.records import AdductHypothesis, Feature, Scan

__all__ = ["PARTNERS", "group_ions", "hypotheses"]

PARTNERS: dict[str, dict[str, float]] = {
    "positive": {
        "[M+H]+": 0.6, "[M+Na]+": 0.3, "[M+H-H2O]+": 0.3, "[M+NH4]+": 0.15, "[M+K]+": 0.15, "[2M+H]+": 0.1,
        "[2M+Na]+": 0.1, "[M+2H]2+": 0.05, "[M+H-NH3]+": 0.1, "[M+H-2H2O]+": 0.1, "[M+2Na-H]+": 0.05,
    },
    "negative": {
        "[M-H]-": 0.6, "[M+HCOO]-": 0.25, "[M+Cl]-": 0.15, "[2M-H]-": 0.15, "[M+CH3COO]-": 0.1, "[M-H-H2O]-": 0.2,
        "[M-H-CO2]-": 0.15, "[M+Na-2H]-": 0.1, "[M-2H]2-": 0.05,
    },
}  # fmt: skip
"""Ions of one molecule by polarity, and how often each is seen where another of them is: set by hand, for electrospray.
Only their order of magnitude matters beside the chance of a peak in the same place."""
_CORRELATED = 0.8
"""Pearson's correlation over the scans of the peak, from which a partner is one."""
_BY_CHANCE = 0.3
"""Share of peaks of a survey scan that correlate so by chance: they were there at the apex, and many rise and fall."""
_MOST = 6.0
"""Evidence of one partner, at most, in natural logarithms: 400 to 1."""
_NEAR = 5.0
"""m/z on either side of a place within which the peaks of a scan are counted for their density."""
_APEX = 2.0
"""Seconds by which apexes of one molecule's ions differ, at most; a quarter of the peak's length where that is more."""


def hypotheses(feature: Feature, scans: Sequence[Scan], apex: int, ppm: float) -> tuple[AdductHypothesis, ...]:
    """Which ions a feature may be, the likeliest first.

    Ions that molecules rarely form are among them only where a partner speaks for them.

    Args:
        feature: with m/z, ion mode and, where it is known, charge.
        scans: survey scans of its polarity over its peak; none where it has no peak.
        apex: place of the apex among them.
        ppm: tolerance of m/z.
    """
    if feature.ionmode not in PARTNERS:
        return ()
    try:
        likely = likely_adducts(feature.ionmode, feature.charge)
    except AdductError:
        likely = {}
    names = dict.fromkeys([*likely, *PARTNERS[feature.ionmode]])
    found: list[tuple[str, float, float, tuple[str, ...]]] = []
    for name in names:
        if feature.charge is not None and parse_adduct(name).charge != feature.charge:
            continue
        evidence, reasons = _evidence(feature, name, scans, apex, ppm)
        if name in likely or reasons:
            share = likely.get(name, min(likely.values(), default=0.01))
            found.append((name, share, evidence, reasons))
    if not found:
        return ()
    logs = np.array([math.log(share) + evidence for _, share, evidence, _ in found])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    out = [AdductHypothesis(n, e, float(w), reasons) for (n, _, e, reasons), w in zip(found, weights, strict=True)]
    return tuple(sorted(out, key=lambda h: -h.weight))


def _evidence(
    feature: Feature, name: str, scans: Sequence[Scan], apex: int, ppm: float
) -> tuple[float, tuple[str, ...]]:
    """The logarithm of the likelihood ratio for an ion, and the partners that speak for it."""
    if len(scans) < 3:
        return 0.0, ()
    try:
        mass = neutral_mass(feature.mz, name)
    except AdductError:
        return -_MOST, ()
    top = scans[apex]
    own = None
    total, reasons = 0.0, []
    for partner, often in PARTNERS[feature.ionmode or ""].items():
        mz = ion_mz(mass, partner)
        if partner == name or abs(mz - feature.mz) < 1.5 or mz < top.mz[:1].sum() or mz > top.mz[-1:].sum():
            continue  # itself and its isotopes; what the scan does not reach says nothing
        chance = _chance(top, mz, ppm)
        there = _has(top, mz, ppm)
        if there:
            own = extract(scans, feature.mz, ppm).intensity if own is None else own
            alike = correlation(own, extract(scans, mz, ppm).intensity)
            there = alike >= _CORRELATED
            if there:
                reasons.append(f"{partner} at {mz:.4f}, r {alike:.2f}")
        random = min(0.9, max(chance * _BY_CHANCE, 1e-4))
        seen = often + (1 - often) * random
        ratio = seen / random if there else (1 - seen) / (1 - random)
        total += min(_MOST, math.log(ratio))
    return total, tuple(reasons)


def _has(scan: Scan, mz: float, ppm: float) -> bool:
    low, high = np.searchsorted(scan.mz, (mz * (1 - ppm * 1e-6), mz * (1 + ppm * 1e-6)))
    return bool(low < high)


def _chance(scan: Scan, mz: float, ppm: float) -> float:
    """How probable it is that a scan has a peak at a place by chance: the share of m/z around it that peaks cover."""
    low, high = np.searchsorted(scan.mz, (mz - _NEAR, mz + _NEAR))
    return float(1 - math.exp(-(high - low) * 2 * mz * ppm * 1e-6 / (2 * _NEAR) * _CROWDED))


_CROWDED = 10.0
"""Peaks stand in the tenth of each unit of m/z in which compounds have their mass defects."""


def group_ions(features: Sequence[Feature], ppm: float) -> list[Feature]:
    """The same features, those that are ions of one molecule with a common number as their `group`.

    Two features are ions of one molecule where their apexes agree in time, a hypothesis of each leads to the same
    neutral mass, and each of the two is likelier than not for what stands beside the feature. The best pair is taken
    first, and what it decides holds for the next. Polarities are mixed: [M+H]+ and [M-H]- are of one molecule.
    """
    group: dict[int, int] = {}
    chosen: dict[int, str] = {}
    for _, i, j, a, b in sorted(_pairs(features, ppm), key=lambda p: (-p[0], p[1], p[2])):
        if chosen.get(i, a) == a and chosen.get(j, b) == b:
            chosen |= {i: a, j: b}
            # Whichever groups the two were in become one.
            old = {group[k] for k in (i, j) if k in group}
            number = min(old, default=len(group))
            group |= dict.fromkeys([i, j, *(k for k, g in group.items() if g in old)], number)
    order = {g: k for k, g in enumerate(dict.fromkeys(group[i] for i in sorted(group)), start=1)}
    return [
        replace(f, group=order[group[i]], adducts=_led_by(f.adducts, chosen[i])) if i in group else f
        for i, f in enumerate(features)
    ]


def _pairs(features: Sequence[Feature], ppm: float) -> Iterator[tuple[float, int, int, str, str]]:
    """Pairs of features that may be of one molecule: the logarithm of their weight, their places and their adducts."""
    timed = sorted((i for i, f in enumerate(features) if f.time is not None), key=lambda i: features[i].time or 0.0)
    masses = [_masses(f) for f in features]
    for place, i in enumerate(timed):
        for j in timed[place + 1 :]:
            if (features[j].time or 0.0) - (features[i].time or 0.0) > _apart(features[i]):
                break
            width = ppm * 1e-6 * max(features[i].mz, features[j].mz)
            alike = features[i].ionmode == features[j].ionmode
            if best := _pair(masses[i], masses[j], width, alike):
                yield best[0], i, j, best[1], best[2]


def _masses(feature: Feature) -> list[tuple[float, AdductHypothesis]]:
    """The neutral mass under each hypothesis that leaves one."""
    found: list[tuple[float, AdductHypothesis]] = []
    for one in feature.adducts:
        with contextlib.suppress(AdductError):
            found.append((neutral_mass(feature.mz, one.adduct), one))
    return found


def _apart(feature: Feature) -> float:
    length = (feature.end or 0.0) - (feature.start or 0.0)
    return max(_APEX, length / 4)


def _pair(
    one: Sequence[tuple[float, AdductHypothesis]],
    other: Sequence[tuple[float, AdductHypothesis]],
    width: float,
    alike: bool,
) -> tuple[float, str, str] | None:
    """The best hypotheses under which two features are of one molecule, with the logarithm of their weight.

    Of one polarity each has to have a partner that speaks for it.
    """
    best: tuple[float, str, str] | None = None
    for first, a in one:
        for second, b in other:
            if abs(first - second) > width or a.adduct == b.adduct or (alike and not (a.reasons and b.reasons)):
                continue
            weight = math.log(a.weight) + math.log(b.weight)
            if best is None or weight > best[0]:
                best = weight, a.adduct, b.adduct
    return best


def _led_by(found: tuple[AdductHypothesis, ...], adduct: str) -> tuple[AdductHypothesis, ...]:
    """The hypotheses, the one that the group decided for first; their weights stay what they are."""
    return tuple(sorted(found, key=lambda h: h.adduct != adduct))
