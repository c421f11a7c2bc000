"""Lines of a spin system: where they are, how strong, and how both change with shifts and couplings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from molvis_core.errors import RecordError
from molvis_files.threads import one_thread
from molvis_nmr.spins.eigenstates import Flips, Solved, solve, tasks
from molvis_nmr.spins.hamiltonian import Step, larmor
from molvis_nmr.spins.system import SpinSystem

TOGETHER = 4e-3
"""Lines of a cluster nearer than this, in Hz, are made one where their center is."""


@dataclass(frozen=True, eq=False, slots=True)
class Lines:
    """Lines of one nucleus.

    Attributes:
        position: in Hz from 0 ppm of that nucleus.
        weight: intensity by the group whose magnetization it comes from: the signal of a line is `weight @ r`. The
            lines of a group add up to its number of spins.
        share: the parts that the groups have in the spin flip; rows add up to 1, and `share @ widths` is the width.
    """

    position: Float[np.ndarray, " l"]
    weight: Float[np.ndarray, "l g"]
    share: Float[np.ndarray, "l g"]

    def __len__(self) -> int:
        return len(self.position)


def resonances(system: SpinSystem, frequency: float) -> Float[np.ndarray, " g"]:
    """Larmor frequencies of the groups in Hz from 0 ppm of their nuclei."""
    return system.shifts * np.array([larmor(nucleus, frequency) for nucleus in system.nuclei])


def check_nucleus(system: SpinSystem, nucleus: str) -> None:
    """Raise `RecordError` where no group has the nucleus."""
    if nucleus not in system.nuclei:
        present = ", ".join(sorted(set(system.nuclei)))
        raise RecordError(f"the spin system {system.name!r} has no {nucleus}; it has {present}")


def merged(system: SpinSystem) -> tuple[SpinSystem, Int[np.ndarray, " g"]]:
    """The system with magnetically equivalent groups made one, and which of its groups each one became part of.

    Groups are taken as one that have the same nucleus, shift, width, intensity and couplings to all others.
    """
    into = np.arange(len(system))
    same = np.abs(system.shifts[:, None] - system.shifts) < 1e-12
    for values in (system.widths, system.intensities):
        same &= values[:, None] == values
    for k, m in np.argwhere(np.triu(same, 1)).tolist():
        if into[k] == k and into[m] == m and system.nuclei[k] == system.nuclei[m]:
            away = np.abs(system.couplings[k] - system.couplings[m])
            away[[k, m]] = 0
            if away.max() < 1e-12:
                into[m] = k
    kept, place = np.unique(into, return_inverse=True)
    if len(kept) == len(system):
        return system, place
    return replace(
        system,
        names=tuple(system.names[k] for k in kept),
        shifts=system.shifts[kept],
        couplings=system.couplings[np.ix_(kept, kept)],
        multiplicity=np.bincount(place, weights=system.multiplicity).astype(np.int64),
        nuclei=tuple(system.nuclei[k] for k in kept),
        widths=system.widths[kept],
        intensities=system.intensities[kept],
    ), place


def lines(
    system: SpinSystem, frequency: float, *, nucleus: str = "1H", threshold: float = 1e-6, states: int = 4096
) -> Lines:
    """All lines of one nucleus, with full strong coupling.

    Args:
        system: groups of spins.
        frequency: of 1H in the same field, in MHz.
        nucleus: whose lines.
        threshold: lines weaker than this share of a spin's squared flip are left out.
        states: coupled groups with more of them are simulated in overlapping clusters (see
            `molvis_nmr.spins.clusters`); what that may leave out goes to the log.

    Raises:
        RecordError: the system has no such nucleus, or a nucleus is not known.
    """
    check_nucleus(system, nucleus)
    whole, place = merged(system)
    size = len(whole)
    hertz = resonances(whole, frequency)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with one_thread():
        for task in tasks(whole, hertz, whole.couplings != 0, nucleus, states):
            solved = solve(task, hertz, whole.couplings)
            rows: list[tuple[np.ndarray, ...]] = []
            for step in solved.blocks.steps:
                flips = solved.flips(step)
                rows.append(gather(solved, step, flips, significant(flips, threshold)))
            found.append(spread_groups(_joined(rows, together=task.targets is not None), size))
    position, weight, share = (np.concatenate(column) for column in zip(*found, strict=True))
    if size < len(system):
        part = system.multiplicity / whole.multiplicity[place]
        weight, share = weight[:, place] * part, share[:, place] * part
    return Lines(position, weight, share)


def distinct(found: Lines, apart: float = 1e-6) -> Lines:
    """Lines in ascending order, those at one place as one: how equal levels share their intensity is for rounding.

    Args:
        found: as `lines` gives them.
        apart: what is nearer, in Hz, is at one place.
    """
    order = np.argsort(found.position, kind="stable")
    position, weight, share = found.position[order], found.weight[order], found.share[order]
    starts = np.append(0, np.flatnonzero(np.diff(position) > apart) + 1)
    height = np.maximum(np.abs(weight).sum(axis=1), 1e-300)
    total = np.add.reduceat(height, starts)
    return Lines(
        np.add.reduceat(position * height, starts) / total,
        np.add.reduceat(weight, starts),
        np.add.reduceat(share * height[:, None], starts) / total[:, None],
    )


def significant(flips: Flips, threshold: float) -> Int[np.ndarray, " l"]:
    """Transitions stronger than the threshold, as places in the flattened matrix of a step."""
    return np.flatnonzero(np.abs(flips.detected) * np.abs(flips.each).max(axis=0) > threshold)


def gather(
    solved: Solved, step: Step, flips: Flips, chosen: Int[np.ndarray, " l"]
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, "o l"], Float[np.ndarray, "s l"], Int[np.ndarray, " o"]]:
    """Positions, weights and shares, of the groups that have any, and which groups these are."""
    high, low = np.divmod(chosen, flips.detected.shape[1])
    some = flips.each.reshape(len(flips.groups), -1)[:, chosen]
    share = some[: flips.own] ** 2
    share /= share.sum(axis=0)
    some *= solved.task.part.factor * flips.detected.ravel()[chosen]
    return solved.levels[step.high][high] - solved.levels[step.low][low], some, share, flips.groups


def _joined(
    rows: Sequence[tuple[np.ndarray, ...]], *, together: bool
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, "o l"], Float[np.ndarray, "s l"], Int[np.ndarray, " o"]]:
    """The lines of one task; `together`, near ones as one."""
    position, weight, share = (np.concatenate(column, axis=-1) for column in list(zip(*rows, strict=True))[:3])
    groups = rows[0][3]
    if not together or len(position) == 0:
        return position, weight, share, groups
    order = np.argsort(position, kind="stable")
    position, weight, share = position[order], weight[:, order], share[:, order]
    starts = np.append(0, np.flatnonzero(np.diff(np.floor(position / TOGETHER))) + 1)
    height = np.abs(weight).sum(axis=0)
    total = np.add.reduceat(height, starts)
    return (
        np.add.reduceat(position * height, starts) / total,
        np.add.reduceat(weight, starts, axis=1),
        np.add.reduceat(share * height, starts, axis=1) / total,
        groups,
    )


def spread_groups(
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], size: int
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, "l g"], Float[np.ndarray, "l g"]]:
    """Weights and shares of all groups of the system, from those that have any."""
    position, some, part, groups = columns
    if len(part) == size and (np.diff(groups) > 0).all():
        return position, some.T, part.T
    weight, share = np.zeros((2, len(position), size))
    weight[:, groups] = some.T
    share[:, groups[: len(part)]] = part.T
    return position, weight, share
