"""Bands of a spectrum, and which functional groups have bands there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molvis_core.errors import ConfigError
from molvis_core.records import Trace
from molvis_ir.baselines import Baseline, baseline


@dataclass(frozen=True, slots=True)
class GroupRange:
    """Where a group has a band.

    Attributes:
        low, high: ends in cm^-1.
        vibration: what vibrates.
        strong: whether the band is among the strongest of a spectrum that has the group.
    """

    low: float
    high: float
    vibration: str
    strong: bool = False


# Common to the correlation charts of N. B. Colthup, L. H. Daly and S. E. Wiberley, Introduction to Infrared and Raman
# Spectroscopy, 3rd ed., 1990, ISBN 978-0-12-182554-6, and G. Socrates, Infrared and Raman Characteristic Group
# Frequencies, 3rd ed., 2001, ISBN 978-0-471-85298-8; free hydroxyl as in the gas and in dilute solution.
GROUPS: tuple[GroupRange, ...] = (
    GroupRange(3580, 3700, "O-H stretch, free"),
    GroupRange(3200, 3550, "O-H stretch, hydrogen-bonded alcohol or phenol", strong=True),
    GroupRange(2500, 3300, "O-H stretch, carboxylic acid dimer (broad)"),
    GroupRange(3300, 3500, "N-H stretch, amine or amide"),
    GroupRange(3260, 3340, "C-H stretch, terminal alkyne"),
    GroupRange(3000, 3100, "C-H stretch, aromatic or alkene"),
    GroupRange(2840, 3000, "C-H stretch, alkyl", strong=True),
    GroupRange(2690, 2860, "C-H stretch, aldehyde (two bands)"),
    GroupRange(2550, 2600, "S-H stretch, thiol"),
    GroupRange(2200, 2270, "C≡N stretch, nitrile"),
    GroupRange(2240, 2285, "N=C=O stretch, isocyanate", strong=True),
    GroupRange(2100, 2260, "C≡C stretch, alkyne"),
    GroupRange(2000, 2140, "N=C=S stretch, isothiocyanate", strong=True),
    GroupRange(1800, 1870, "C=O stretch, anhydride (upper of two)", strong=True),
    GroupRange(1770, 1815, "C=O stretch, acyl chloride", strong=True),
    GroupRange(1735, 1765, "C=O stretch, ester, or acid in the gas", strong=True),
    GroupRange(1720, 1740, "C=O stretch, aldehyde", strong=True),
    GroupRange(1705, 1725, "C=O stretch, ketone", strong=True),
    GroupRange(1690, 1720, "C=O stretch, carboxylic acid dimer", strong=True),
    GroupRange(1630, 1695, "C=O stretch, amide", strong=True),
    GroupRange(1620, 1680, "C=C stretch, alkene"),
    GroupRange(1580, 1650, "N-H bend, primary amine"),
    GroupRange(1510, 1570, "NO2 stretch, antisymmetric, nitro", strong=True),
    GroupRange(1450, 1620, "ring stretch, aromatic"),
    GroupRange(1440, 1480, "CH2 and CH3 bend"),
    GroupRange(1365, 1390, "CH3 bend, symmetric"),
    GroupRange(1325, 1385, "NO2 stretch, symmetric, nitro", strong=True),
    GroupRange(1300, 1350, "SO2 stretch, antisymmetric, sulfone", strong=True),
    GroupRange(1140, 1160, "SO2 stretch, symmetric, sulfone", strong=True),
    GroupRange(1030, 1070, "S=O stretch, sulfoxide", strong=True),
    GroupRange(1160, 1320, "C-O stretch, ester or acid", strong=True),
    GroupRange(1000, 1260, "C-O stretch, alcohol or ether", strong=True),
    GroupRange(1000, 1400, "C-F stretch", strong=True),
    GroupRange(1150, 1300, "P=O stretch", strong=True),
    GroupRange(960, 980, "C-H bend out of plane, trans alkene", strong=True),
    GroupRange(885, 995, "C-H bend out of plane, vinyl or vinylidene", strong=True),
    GroupRange(735, 770, "C-H bend out of plane, ortho-substituted or monosubstituted ring", strong=True),
    GroupRange(690, 710, "ring bend out of plane, mono- or meta-substituted ring"),
    GroupRange(800, 860, "C-H bend out of plane, para-substituted ring", strong=True),
    GroupRange(600, 800, "C-Cl stretch"),
    GroupRange(515, 650, "C-Br stretch"),
)


@dataclass(frozen=True, slots=True)
class Peak:
    """A band.

    Attributes:
        wavenumber: of its highest point in cm^-1, between points by a parabola.
        height: above the baseline, in parts of the highest band.
        width: at half of its prominence, in cm^-1.
        groups: what has bands there; those that would be strong are left out of weak bands.
    """

    wavenumber: float
    height: float
    width: float
    groups: tuple[str, ...]


def pick_peaks(trace: Trace, *, prominence: float = 0.03, below: Baseline = "asls", step: float = 2.0) -> list[Peak]:
    """Bands of a spectrum by descending wavenumber, with what may absorb there.

    The assignments are the ranges of correlation charts and no more: several groups share a range, and a group is
    likely only where all of its bands are there.

    Args:
        trace: absorbance over wavenumber.
        prominence: how far a band stands out of its surroundings at least, in parts of the highest one.
        below: how the baseline is found that is taken away first.
        step: of the grid that peaks are sought on, in cm^-1.

    Raises:
        ConfigError: the prominence is not between 0 and 1, or the step is not positive.
    """
    from scipy.signal import find_peaks, peak_widths

    if not 0 < prominence < 1 or step <= 0:
        raise ConfigError(
            f"prominence must be above 0 and below 1 and step positive, got {prominence:g} and {step:g} cm^-1"
        )
    x = np.arange(trace.x[0], trace.x[-1], step)
    if len(x) < 5:
        return []
    y = np.interp(x, trace.x, trace.y)
    y = y - baseline(y, step, below)
    if not y.max() > 0:
        return []
    y = y / y.max()
    places, _ = find_peaks(y, prominence=prominence)
    widths = peak_widths(y, places, rel_height=0.5)[0] * step
    found = []
    for place, width in zip(places.tolist(), widths.tolist(), strict=True):
        left, top, right = y[place - 1 : place + 2]
        bent = left - 2 * top + right
        at = x[place] + (0.5 * (left - right) / bent * step if bent < 0 else 0.0)
        weak = top < 0.1
        groups = tuple(g.vibration for g in GROUPS if g.low <= at <= g.high and not (g.strong and weak))
        found.append(Peak(float(at), float(top), float(width), groups))
    return found[::-1]
