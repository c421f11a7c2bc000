"""Spin systems too large to be diagonalized at once, as overlapping clusters.

Each group's lines come from a cluster of the groups that matter to it. In a cluster, couplings that are weak against
the difference in frequency lose their flip-flop, which splits the blocks further; what that does to levels (to second
order in J) and to intensities (to first order in J over the difference) is put back. Clusters grow as far as their cost
allows; where they hold a whole system and every coupling, the result is exact.

Reference: Castillo, Patiny and Wist, J. Magn. Reson. 209 (2011) 123, doi:10.1016/j.jmr.2010.12.008
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np
from jaxtyping import Bool, Float

from molvis_nmr.spins.hamiltonian import components

WEAKEST = 0.1
"""Couplings that mix states by more than this are never taken as weak."""
SMALLEST = 1e-4
"""Effects below this, in Hz, are left out."""
TRIED = 16
"""Limits of weakness that are tried, up to that one."""


@dataclass(frozen=True, eq=False, slots=True)
class Cluster:
    """Groups that are simulated together.

    Attributes:
        groups: of the system.
        labels: of each; flip-flops are kept between groups of the same label.
        targets: the groups whose magnetization is detected; all of one label.
        error: what was left out, as a bound on its effect in Hz.
    """

    groups: tuple[int, ...]
    labels: tuple[str, ...]
    targets: tuple[int, ...]
    error: float


def cost(doubles: Sequence[int], labels: Sequence[str]) -> float:
    """Sum of the cubes of the sizes of blocks, for spins `doubles` / 2."""
    alike: dict[str, list[int]] = {}
    for double, label in zip(doubles, labels, strict=True):
        alike.setdefault(label, []).append(double)
    return prod(_cubes(tuple(sorted(some))) for some in alike.values())


@lru_cache(maxsize=4096)
def _cubes(doubles: tuple[int, ...]) -> float:
    sizes = np.ones(1)
    for double in doubles:
        sizes = np.convolve(sizes, np.ones(double + 1))
    return float((sizes**3).sum())


def mixing(
    hertz: Float[np.ndarray, " g"], couplings: Float[np.ndarray, "g g"], nuclei: Sequence[str]
) -> Float[np.ndarray, "g g"]:
    """How far each coupling mixes the states of its two groups: sin of the angle, 0 between different nuclei."""
    same = np.array([[a == b for b in nuclei] for a in nuclei])
    gap = hertz[:, None] - hertz[None, :]
    scale = np.hypot(couplings, gap)
    return np.where(same & (scale > 0), np.abs(couplings) / np.where(scale > 0, scale, 1), 0)


def influence(mixed: Float[np.ndarray, "g g"], couplings: Float[np.ndarray, "g g"]) -> Float[np.ndarray, "g g"]:
    """What each group (columns) may do to another's lines (rows), in Hz, by its couplings to what mixes with it."""
    reach = mixed.copy()
    np.fill_diagonal(reach, 1)
    for k in range(len(reach)):
        reach = np.maximum(reach, reach[:, k, None] * reach[None, k, :])
    strength = np.abs(couplings)
    effect = (reach[:, :, None] * strength).max(axis=1)
    return np.maximum(effect, (effect[:, :, None] * reach).max(axis=1))


def split(
    hertz: Float[np.ndarray, " g"],
    couplings: Float[np.ndarray, "g g"],
    multiplicity: Sequence[int],
    nuclei: Sequence[str],
    members: Sequence[int],
    observed: str,
    budget: float,
) -> list[Cluster]:
    """Clusters for the lines of one nucleus, each costing no more than `budget`.

    Args:
        hertz: frequencies of the system's groups.
        couplings: of the system, in Hz.
        multiplicity: of its groups.
        nuclei: of its groups.
        members: groups of the component.
        observed: nucleus.
        budget: sum of the cubes of the sizes of blocks.
    """
    mixed = mixing(hertz, couplings, nuclei)
    effect = influence(mixed, couplings)
    inner = mixed[np.ix_(members, members)]
    # What counts as weak is the same for all clusters: each coupling's share of intensity is counted once.
    limits = np.unique(inner[inner < WEAKEST])
    limits = limits[np.linspace(0, len(limits) - 1, min(len(limits), TRIED)).astype(int)]
    targets = [k for k in members if nuclei[k] == observed]
    best: list[Cluster] = []
    least = np.inf
    for limit in limits.tolist():
        strong = mixed > limit
        found = [_largest(k, strong, mixed, effect, couplings, multiplicity, nuclei, members, budget) for k in targets]
        total = sum(cluster.error for cluster in found)
        if total < least:
            best, least = found, total
    return _shared(best, mixed, effect, couplings, members)


def _shared(
    clusters: Sequence[Cluster],
    mixed: Float[np.ndarray, "g g"],
    effect: Float[np.ndarray, "g g"],
    couplings: Float[np.ndarray, "g g"],
    members: Sequence[int],
) -> list[Cluster]:
    """The clusters, fewer where what was made for a neighbour does for a group too."""
    found: list[Cluster] = []
    for cluster in clusters:
        (target,) = cluster.targets
        for i, other in enumerate(found):
            if target in other.groups and _label(other, target) == _label(other, other.targets[0]):
                error = _error(target, other.groups, other.labels, mixed, effect, couplings, members)
                if error <= 1.1 * cluster.error:
                    found[i] = replace(other, targets=(*other.targets, target), error=max(error, other.error))
                    break
        else:
            found.append(cluster)
    return found


def _label(cluster: Cluster, group: int) -> str:
    return cluster.labels[cluster.groups.index(group)]


def _error(
    target: int,
    groups: Sequence[int],
    labels: Sequence[str],
    mixed: Float[np.ndarray, "g g"],
    effect: Float[np.ndarray, "g g"],
    couplings: Float[np.ndarray, "g g"],
    members: Sequence[int],
) -> float:
    missing = float(effect[target, [k for k in members if k not in groups]].sum())
    at = np.array(groups)
    apart = np.array([[a != b for b in labels] for a in labels])
    # What second order leaves of a coupling is J (J / difference)^2, as far as the target feels its two ends.
    felt = np.minimum(effect[target, at], 1)
    felt[at == target] = 1
    third = np.abs(couplings[np.ix_(at, at)]) * mixed[np.ix_(at, at)] ** 2 * np.maximum(felt[:, None], felt[None, :])
    return missing + float(np.triu(third * apart).sum())


def _largest(
    target: int,
    strong: Bool[np.ndarray, "g g"],
    mixed: Float[np.ndarray, "g g"],
    effect: Float[np.ndarray, "g g"],
    couplings: Float[np.ndarray, "g g"],
    multiplicity: Sequence[int],
    nuclei: Sequence[str],
    members: Sequence[int],
    budget: float,
) -> Cluster:
    """The cluster of one group, of as many of the groups that matter to it as the budget allows."""
    others = sorted((k for k in members if k != target), key=lambda k: -effect[target, k])

    def labels(count: int) -> list[str]:
        groups = [target, *others[:count]]
        given = [""] * len(groups)
        for number, piece in enumerate(components(strong[np.ix_(groups, groups)])):
            for i in piece:
                given[i] = f"{nuclei[groups[i]]}/{number}"
        return given

    low, high = 0, len(others)
    while low < high:
        middle = (low + high + 1) // 2
        if cost([multiplicity[k] for k in (target, *others[:middle])], labels(middle)) <= budget:
            low = middle
        else:
            high = middle - 1

    def error(count: int) -> float:
        return _error(target, (target, *others[:count]), labels(count), mixed, effect, couplings, members)

    # Groups at the far end that do less than what is left out anyway only cost time.
    bound = 1.1 * error(low) + SMALLEST
    while low and error(low - 1) <= bound:
        low -= 1
    return Cluster((target, *others[:low]), tuple(labels(low)), (target,), error(low))
