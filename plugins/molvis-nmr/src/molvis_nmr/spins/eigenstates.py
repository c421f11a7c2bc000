"""Eigenstates of a spin system, block by block, and the operator of detection between them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from molvis_nmr.spins.clusters import split
from molvis_nmr.spins.hamiltonian import Blocks, Part, Step, blocks, components, parts
from molvis_nmr.spins.system import SpinSystem

log = logging.getLogger("molvis")


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """A part to diagonalize, and whose magnetization to detect.

    Attributes:
        part: with the labels of a cluster in place of nuclei, where it is of a cluster.
        observed: nucleus or label.
        weak: J over the difference in frequency where a coupling has lost its flip-flop, "g g" of the system.
        targets: groups to detect; None for all.
    """

    part: Part
    observed: str
    weak: Float[np.ndarray, "g g"] | None = None
    targets: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Flips:
    """I+ between the eigenstates of two blocks; rows are those of the higher one.

    Attributes:
        groups: the groups of the system it is given for.
        each: of each of them. The first ones flip themselves, those that follow only lend intensity.
        detected: of what is detected, together.
        own: how many flip themselves.
    """

    groups: Int[np.ndarray, " o"]
    each: Float[np.ndarray, "o n m"]
    detected: Float[np.ndarray, "n m"]
    own: int


@dataclass(frozen=True, eq=False, slots=True)
class Solved:
    """A diagonalized part."""

    task: Task
    blocks: Blocks
    pair_index: Int[np.ndarray, "p 2"]
    levels: list[Float[np.ndarray, " _"]]
    vectors: list[Float[np.ndarray, "_ _"]]

    def flips(self, step: Step) -> Flips:
        """I+ from one block to the next."""
        at = np.array(self.task.part.groups)
        seen = self.blocks.seen
        high = self.vectors[step.high][step.rows].transpose(0, 2, 1)
        low = self.vectors[step.low][step.columns]
        weak, targets = self.task.weak, self.task.targets
        if weak is None or targets is None:
            each = high @ (low if step.ones else low * step.amplitude[:, :, None])
            return Flips(at[seen], each, each.sum(axis=0), len(seen))
        # Where a weak coupling is turned away, I+ becomes I+ (1 - J / difference Iz of the other), and what is started
        # at the other appears here with the same factor: the roofs of multiplets. Second order keeps their sum.
        others = np.delete(np.arange(len(at)), seen)
        iz = self.blocks.iz[self.blocks.starts[step.low] :][step.columns]
        own, iz = np.take_along_axis(iz, seen[:, None, None], axis=2), iz[:, :, others]
        ratio = weak[at[seen]][:, None, at[others]]
        spin = np.array(self.task.part.doubles)[others] / 2
        second = (ratio**2 * (spin * (spin + 1) - iz**2 - iz + 2 * (own + 1) * iz)).sum(axis=2) / 4
        each = high @ (low * (step.amplitude * (1 - second))[:, :, None])
        lent = step.amplitude[:, :, None] * iz * -ratio
        lending = np.flatnonzero(np.abs(weak[np.ix_(at[seen], at[others])]).max(axis=0, initial=0) > 1e-5)
        chosen = [i for i, k in enumerate(at[seen].tolist()) if k in targets]
        detected = each[chosen].sum(axis=0)
        roof = lent[chosen].sum(axis=2)
        detected += (high[chosen] @ (low[chosen] * roof[:, :, None])).sum(axis=0)
        extra = [(high @ (low * lent[:, :, i, None])).sum(axis=0) for i in lending]
        groups = np.append(at[seen], at[others[lending]])
        return Flips(groups, np.concatenate([each, *(e[None] for e in extra)]), detected, len(seen))


def solve(task: Task, frequencies: Float[np.ndarray, " g"], couplings: Float[np.ndarray, "g g"]) -> Solved:
    """Levels and states of a part, from the frequencies and couplings of the system in Hz."""
    part = task.part
    operators = blocks(part.doubles, part.nuclei, task.observed)
    at = np.array(part.groups)
    index = at[operators.pairs]
    j = couplings[index[:, 0], index[:, 1]]
    further = flipping = 0.0
    if task.weak is not None:
        labels = np.array(part.nuclei)
        apart = labels[:, None] != labels
        weak, strength = task.weak[np.ix_(at, at)] * apart, couplings[np.ix_(at, at)] * apart
        spin = np.array(part.doubles) / 2
        rest = spin * (spin + 1) - operators.iz**2
        first, second = operators.pairs.T
        turned = operators.iz[:, first] * rest[:, second] - operators.iz[:, second] * rest[:, first]
        further = turned @ (strength * weak / 2)[first, second]
        # A third group that both of a pair are coupled to weakly makes them flip, one way or the other with its Iz.
        lent = strength[:, first] * weak[:, second] + strength[:, second] * weak[:, first]
        flipping = np.zeros(len(operators.flip_row))
        for k in np.flatnonzero(np.abs(lent).max(axis=1, initial=0) > 0):
            flipping += operators.iz[operators.flip_row, k] * lent[k, operators.flip_pair] / 2
    found = [np.linalg.eigh(h) for h in operators.hamiltonian(frequencies[at], j, further, flipping)]
    return Solved(task, operators, index, [e for e, _ in found], [v for _, v in found])


def tasks(
    system: SpinSystem, hertz: Float[np.ndarray, " g"], linked: Bool[np.ndarray, "g g"], nucleus: str, states: int
) -> Iterator[Task]:
    """What to diagonalize: whole components where they are small enough, clusters where they are not."""
    multiplicity = system.multiplicity.tolist()
    for members in components(linked):
        at = np.array(members)
        if np.prod(system.multiplicity[at] + 1.0) <= states:
            yield from (
                Task(part, nucleus)
                for part in _placed(at, system.multiplicity[at], [system.nuclei[k] for k in members], linked, nucleus)
            )
            continue
        clusters = split(hertz, system.couplings, multiplicity, system.nuclei, members, nucleus, (states / 7) ** 3)
        log.info(
            "%s: %d spins of %d groups are simulated in %d clusters; what is left out moves lines by %.1g Hz at most",
            system.name, sum(multiplicity[k] for k in members), len(members), len(clusters),
            max(cluster.error for cluster in clusters),
        )  # fmt: skip
        gap = hertz[:, None] - hertz[None, :]
        ratio = np.where(gap != 0, system.couplings / np.where(gap != 0, gap, 1), 0)
        same = np.array([[a == b for b in system.nuclei] for a in system.nuclei])
        for cluster in clusters:
            label = cluster.labels[cluster.groups.index(cluster.targets[0])]
            inside = np.array(cluster.groups)
            for part in _placed(inside, system.multiplicity[inside], cluster.labels, linked, label):
                if set(part.groups) & set(cluster.targets):
                    yield Task(part, label, ratio * same, cluster.targets)


def _placed(
    at: Int[np.ndarray, " k"],
    multiplicity: Int[np.ndarray, " k"],
    nuclei: Sequence[str],
    linked: Bool[np.ndarray, "g g"],
    observed: str,
) -> Iterator[Part]:
    for part in parts(multiplicity.tolist(), nuclei, linked[np.ix_(at, at)], observed):
        yield replace(part, groups=tuple(at[list(part.groups)].tolist()))
