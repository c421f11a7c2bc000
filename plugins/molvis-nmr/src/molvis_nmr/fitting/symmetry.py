"""Symmetry of a spin system: which groups can change places, and which parameters are therefore one.

In an AA'BB' system, or an AA'XX' or A4B4 one, protons are alike chemically and not magnetically: each has couplings of
its own. A permutation of groups that leaves shifts and couplings as they are is a symmetry; parameters that a symmetry
maps on each other have one value.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from molvis_nmr.spins.system import SpinSystem

SAME_PPM = 1e-6
SAME_HZ = 1e-3
"""Shifts and couplings nearer than this are equal: ties come from a structure or from start values given as equal."""
MOST = 500
"""Symmetries that are looked for at most."""


def symmetries(system: SpinSystem) -> list[tuple[int, ...]]:
    """Permutations of the groups that leave shifts, sizes, nuclei and couplings as they are; the identity first."""
    size = len(system)
    alike = np.abs(system.shifts[:, None] - system.shifts) < SAME_PPM
    alike &= system.multiplicity[:, None] == system.multiplicity
    alike &= np.array([[a == b for b in system.nuclei] for a in system.nuclei])
    alike &= np.abs(system.intensities[:, None] - system.intensities) < SAME_PPM
    found: list[tuple[int, ...]] = []
    for image in _extended(system, alike, (), size):
        found.append(image)
        if len(found) == MOST:
            break
    return found


def _extended(system: SpinSystem, alike: np.ndarray, image: tuple[int, ...], size: int) -> Iterator[tuple[int, ...]]:
    """All ways to go on from where the first groups go."""
    k = len(image)
    if k == size:
        yield image
        return
    for target in np.flatnonzero(alike[k]).tolist():
        if target in image:
            continue
        if np.abs(system.couplings[k, :k] - system.couplings[target, list(image)]).max(initial=0.0) < SAME_HZ:
            yield from _extended(system, alike, (*image, target), size)


def ties_of(system: SpinSystem, spectra: int = 1) -> list[list[str]]:
    """Paths of shifts, widths and couplings that share one value by symmetry.

    Args:
        system: start values; what is to be tied must be equal in them.
        spectra: that are fitted together: shifts and widths are tied in each.
    """
    images = symmetries(system)
    if len(images) < 2:
        return []
    names = system.names
    marks = [f"@{s + 1}" for s in range(spectra)] if spectra > 1 else [""]
    groups = {frozenset(image[k] for image in images) for k in range(len(system))}
    found = [
        [f"{kind}/{names[k]}{mark}" for k in orbit]
        for orbit in sorted(sorted(o) for o in groups if len(o) > 1)
        for mark in marks
        for kind in ("shift", "width")
    ]
    return found + [[f"coupling/{names[k]}-{names[m]}" for k, m in orbit] for orbit in _pairs(system, images)]


def _pairs(system: SpinSystem, images: list[tuple[int, ...]]) -> list[list[list[int]]]:
    """Pairs of groups that symmetries map on each other, where there is more than one."""
    pairs = {
        frozenset(frozenset((image[k], image[m])) for image in images) for k in range(len(system)) for m in range(k)
    }
    return sorted(sorted(sorted(pair) for pair in o) for o in pairs if len(o) > 1)
