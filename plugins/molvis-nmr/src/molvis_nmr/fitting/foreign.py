"""Signals of a spectrum that are not the compound's: water, solvent, reference, impurities.

Where a solvent and its water come is known for each solvent; the data say whether they are there, and how far their
wings reach. Impurities are what no line of the fitted system comes near. A signal that lies among the compound's own
lines cannot be left out: that is said, and what to do.

Reference: H. E. Gottlieb, V. Kotlyar and A. Nudelman, J. Org. Chem. 62 (1997) 7512, doi:10.1021/jo971176v (shifts of
residual solvents, of their water, and water's by temperature); G. R. Fulmer et al., Organometallics 29 (2010) 2176,
doi:10.1021/om100106e
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import ConfigError, did_you_mean
from molvis_core.records import Trace
from molvis_nmr.fitting.agreement import region
from molvis_nmr.fitting.noise import noise_level

SOLVENTS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "D2O": (("water", 4.55, 5.05),),
    "CDCl3": (("solvent", 7.22, 7.30), ("water", 1.48, 1.64)),
    "DMSO-d6": (("solvent", 2.45, 2.55), ("water", 3.25, 3.45)),
    "CD3OD": (("solvent", 3.26, 3.37), ("water", 4.75, 5.00)),
    "acetone-d6": (("solvent", 2.00, 2.11), ("water", 2.75, 2.95)),
    "CD3CN": (("solvent", 1.90, 1.99), ("water", 2.08, 2.22)),
    "C6D6": (("solvent", 7.10, 7.22), ("water", 0.35, 0.48)),
}
"""Where the residual solvent and its water are, in ppm; water's window allows for 5 to 45 degrees in D2O."""
REFERENCE = (-0.08, 0.08)
"""ppm: DSS, TSP and TMS are at 0 by definition, or a little beside where the axis is not referenced."""
DSS = (0.63, 1.76, 2.91)
"""ppm of the other protons of DSS."""
SEEN = 6.0
"""Standard deviations of the noise from which on a signal is one."""
OWN = 12.0
"""Hz around a line of the system that are the system's own."""
WIDEST = 0.5
"""ppm that a wing is followed to each side."""
WING = 0.01
"""Share of the compound's highest point below which a wing does no harm."""
FOREIGN = 0.1
"""Where the model is lower than this share of its highest point, a signal of the residual is none of the system."""
SLOW = 40.0
"""Hz over which a residual is slow."""
NOTABLE = 0.02
"""Signals lower than this share of the system's highest point are left alone."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """A window that does not count, and why.

    Attributes:
        low, high: in ppm.
        kind: `water`, `solvent`, `reference` or `impurity`.
        among: whether it reaches among the compound's own lines, so that its wing is still there beside it.
    """

    low: float
    high: float
    kind: str
    among: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.low:.3f}:{self.high:.3f}"


def solvent_named(name: str) -> str:
    """The solvent of `SOLVENTS` that is meant, upper and lower case being one.

    Raises:
        ConfigError: it is not known.
    """
    aliases = {
        "water": "D2O",
        "h2o": "D2O",
        "meod": "CD3OD",
        "methanol-d4": "CD3OD",
        "dmso": "DMSO-d6",
        "acetone": "acetone-d6",
    }
    known = {one.lower(): one for one in SOLVENTS} | aliases
    if name.lower() not in known:
        raise ConfigError(
            f"no solvent named {name!r} is known.{did_you_mean(name, list(SOLVENTS))} Known: {', '.join(SOLVENTS)}; "
            f"leave others out with --exclude"
        )
    return known[name.lower()]


def foreign(
    trace: Trace, lines: Float[np.ndarray, " l"], *, solvent: str | None = None, uncertain: float = 0.05
) -> list[Excluded]:
    """Water, solvent and reference of a spectrum, each as far as its wing reaches or the compound's lines begin.

    Args:
        trace: a spectrum with its frequency.
        lines: where the compound's lines are expected, in ppm.
        solvent: a name of `SOLVENTS`; without one, water at 4.55 to 5.05 ppm and a reference at 0 are looked for.
        uncertain: ppm by which the expected lines may be off.
    """
    if not len(trace) or trace.frequency is None:
        return []
    solvent = solvent or "D2O"
    signal = np.abs(trace.y - _ground(trace))
    noise = noise_level(np.asarray(trace.y)) or float(signal.max()) * 1e-6
    own = _near(trace, lines, OWN / trace.frequency + uncertain)
    highest = float(signal[own].max(initial=0.0)) or float(signal.max())
    limit = max(4 * noise, WING * highest)

    def there(kind: str, low: float, high: float, share: float, *, apart: bool = False) -> list[Excluded]:
        one = _around(trace, signal, own, (low, high), limit, kind)
        top = signal[_inside(trace, low, high)].max(initial=0.0)
        return [] if one is None or top <= max(SEEN * noise, share * highest) or (apart and one.among) else [one]

    found = [one for place in SOLVENTS[solvent] for one in there(*place, NOTABLE)]
    reference = there("reference", *REFERENCE, NOTABLE)
    if reference and solvent == "D2O":
        for at in DSS:
            reference += there("reference", at - 0.03, at + 0.03, 0.5 * NOTABLE, apart=True)
    return sorted([*found, *reference], key=lambda one: one.low)


def impurities(
    trace: Trace, model: Float[np.ndarray, " t"], kept: Bool[np.ndarray, " t"], lines: Float[np.ndarray, " l"]
) -> list[Excluded]:
    """Signals among what was fitted that the model has no part in.

    Args:
        trace: the spectrum, with its frequency.
        model: the fitted spectrum with its baseline.
        kept: the points that were fitted.
        lines: of the fitted system, in ppm.
    """
    if not kept.any() or trace.frequency is None:
        return []
    # What changes slowly is a wing or a baseline, not a signal.
    from scipy.ndimage import median_filter

    step = float(trace.x[-1] - trace.x[0]) / max(len(trace) - 1, 1)
    rest = trace.y - model
    rest = rest - median_filter(rest, max(int(SLOW / trace.frequency / step), 3), mode="nearest")
    alone, rest = np.abs(rest), np.where(kept, rest, 0.0)
    noise = noise_level(np.asarray(trace.y))
    top = float(np.abs(model[kept]).max()) or 1.0
    limit = max(SEEN * noise, NOTABLE * top)
    own = _near(trace, lines, 5.0 / trace.frequency)
    inside = np.flatnonzero((rest > limit) & ~own & (model - np.median(model) < FOREIGN * top))
    if not len(inside):
        return []
    runs = np.split(inside, np.flatnonzero(np.diff(trace.x[inside]) * trace.frequency > 8.0) + 1)
    found: list[Excluded] = []
    for run in runs:
        window = (float(trace.x[run[0]]), float(trace.x[run[-1]]))
        one = _around(trace, alone, own, window, max(3 * noise, 0.25 * NOTABLE * top), "impurity")
        if one is not None:
            found.append(one)
    return found


def _around(
    trace: Trace, signal: Float[np.ndarray, " t"], own: Bool[np.ndarray, " t"], place: tuple[float, float],
    limit: float, kind: str,
) -> Excluded | None:  # fmt: skip
    """The highest point of a window, and to both sides until the signal is below the limit or the lines begin."""
    inside = np.flatnonzero(_inside(trace, *place) & ~own)
    if not len(inside):
        return None
    step = float(trace.x[-1] - trace.x[0]) / max(len(trace) - 1, 1)
    top = int(inside[signal[inside].argmax()])
    # A wing has crossed the limit where it stays below it for 4 Hz, so that no minimum of noise ends it.
    calm = max(int(4.0 / (trace.frequency or 1.0) / step), 3)
    most = int(WIDEST / step)
    ends: list[int] = []
    among = False
    for way in (-1, 1):
        at, below = top, 0
        for _ in range(most):
            following = at + way
            if not 0 <= following < len(trace) or own[following]:
                among |= 0 <= following < len(trace)
                break
            at = following
            below = below + 1 if signal[at] < limit else 0
            if below >= calm:
                break
        ends.append(at)
    return Excluded(float(trace.x[ends[0]]), float(trace.x[ends[1]]), kind, among)


def _ground(trace: Trace) -> float:
    """The level without signal: most points of a spectrum have none."""
    return float(np.median(trace.y))


def _inside(trace: Trace, low: float, high: float) -> Bool[np.ndarray, " t"]:
    return np.asarray((trace.x >= low) & (trace.x <= high))


def _near(trace: Trace, lines: Float[np.ndarray, " l"], reach: float) -> Bool[np.ndarray, " t"]:
    return region(np.asarray(trace.x), lines, np.ones(len(lines)), reach=reach)


def advice(found: Sequence[Excluded]) -> str:
    """What to say of signals that were found and not left out; empty where there are none."""
    if not found:
        return ""
    options = " ".join(f"--exclude {one.low:.2f}:{one.high:.2f}" for one in found)
    kinds = ", ".join(dict.fromkeys(one.kind for one in found))
    return f"{kinds} may count among what was fitted: leave out by {options}, or by --auto"
