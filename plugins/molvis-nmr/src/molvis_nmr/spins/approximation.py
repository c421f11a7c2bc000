"""How far a spectrum is off that was simulated in clusters.

Two figures: a bound on how far lines are moved by what clusters leave out, which may be far above the error; and what
the spectrum changes by where clusters have an eighth of the states, as an estimate. Errors fall as clusters grow, so
that this step before tells of more than what is left: of ten spectra of five systems small enough to be exact,
simulated in clusters of 128 and 256 states, it was above the true error in nine, by a factor of 1.2 to 90; in the other
both were below a ten-millionth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from molvis_nmr.spins.clusters import split
from molvis_nmr.spins.hamiltonian import components
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import merged, resonances

STATES = 4096
"""Beyond so many states coupled spins are simulated in clusters."""
WIDTH = 0.5
"""Hz: half width at half height that spectra are compared with."""


@dataclass(frozen=True, slots=True)
class Approximation:
    """That and how a spectrum is approximate.

    Attributes:
        spins: that are coupled to each other, in the largest part.
        clusters: they are simulated in.
        moved: bound in Hz on how far lines are off.
        apart: area between the spectrum and that of smaller clusters, of its own area, lines being 1 Hz wide.
    """

    spins: int
    clusters: int
    moved: float
    apart: float

    def __str__(self) -> str:
        return (
            f"approximate: {self.spins} coupled spins are too many to be diagonalized at once. In their "
            f"{self.clusters} overlapping clusters lines are off by {self.moved:.1g} Hz at most (a bound), and the "
            f"spectrum by some {100 * self.apart:.2g}% of its area or less (what clusters with an eighth of the states "
            f"change)"
        )


def approximation(
    system: SpinSystem, frequency: float, *, nucleus: str = "1H", states: int = STATES
) -> Approximation | None:
    """How far a spectrum is off; None where it is exact.

    Args:
        system: groups of spins.
        frequency: of 1H in the same field, in MHz.
        nucleus: whose spectrum.
        states: as for `molvis_nmr.spins.transitions.lines`.
    """
    whole, _ = merged(system)
    large = [
        members for members in components(whole.couplings != 0)
        if np.prod(whole.multiplicity[list(members)] + 1.0) > states
    ]  # fmt: skip
    if not large:
        return None
    hertz, sizes = resonances(whole, frequency), whole.multiplicity.tolist()
    made = [
        split(hertz, whole.couplings, sizes, whole.nuclei, members, nucleus, (states / 7) ** 3) for members in large
    ]
    even = replace(system, widths=np.full(len(system), WIDTH))
    best = simulate(even, frequency, nucleus=nucleus, states=states)
    less = simulate(even, frequency, nucleus=nucleus, states=states // 8, axis=best.x)
    return Approximation(
        spins=max(sum(sizes[k] for k in members) for members in large),
        clusters=sum(map(len, made)),
        moved=max(cluster.error for some in made for cluster in some),
        apart=float(np.abs(best.y - less.y).sum() / best.y.sum()),
    )
