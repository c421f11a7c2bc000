"""What tandem MS, resolved MS and NMR see of a molecule, as sums of mass isotopomers of its units.

All of them ask how many atoms are labelled in each of several groups of atoms at once: in an ion and in what a
collision splits from it, in each element, or in a carbon and its neighbours. The joint distribution over groups follows
from the mass isotopomers of units: of one group whole, together with each subset of the other groups. Averaged over
subsets of a size, what such a subset holds of n labels among N atoms is hypergeometric, so that the averages are known
sums of the joint distribution, and the pseudo-inverse of those sums gives it back.

Channels, by the kind of a fragment, as FluxML has them (Beyß et al., Front. Microbiol. 10 (2019) 1022,
doi:10.3389/fmicb.2019.01022):

| kind | channel | share of the molecules in which |
| --- | --- | --- |
| `msms` | `2,1` | the ion before the collision is M+2, and the one after it M+1 |
| `ms-resolved` | `2,1` | two atoms of the first traced element are labelled, and one of the second |
| `1h-nmr` | `P2` | atom 2 is labelled: its fractional enrichment |
| `13c-nmr` | `S2` | atom 2 is labelled and its neighbours are not: a singlet |
| | `DL2`, `DR2` | so is the neighbour before it, or behind it, and not the other: a doublet |
| | `DD2`, `T2` | so are both: a doublet of doublets, or a triplet where both couplings are alike |
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from molvis_flux.errors import SimulationError
from molvis_flux.model.abundance import MASS_SHIFT
from molvis_flux.model.network import Fragment, Metabolite, Network

KINDS = ("ms", "msms", "ms-resolved", "1h-nmr", "13c-nmr")
"""Of fragments that are simulated."""
_MOST = 10
"""Atoms outside the largest group, of which all subsets are needed, at most."""
_PEAK = re.compile(r"(P|S|DL|DR|DD|T)(\d+)")

Atoms = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one part of a fragment is made of.

    Attributes:
        units: atoms of each unit, counted from 0.
        terms: of each channel: which unit, which of its mass isotopomers, and the weight of that.
    """

    units: tuple[Atoms, ...]
    terms: tuple[tuple[tuple[int, int, float], ...], ...]


def recipes(network: Network, fragment: Fragment) -> tuple[Recipe, ...]:
    """The recipe of each part of a fragment that is not measured by its mass isotopomers alone.

    Raises:
        SimulationError: a kind or a channel that is not known, or one that the molecule cannot have.
    """
    what = f"fragment {fragment.name!r}{f' ({fragment.where})' if fragment.where else ''}"
    if fragment.kind not in KINDS:
        raise SimulationError(f"{what} is measured by {fragment.kind!r}; one of {', '.join(KINDS)} is expected")
    if fragment.convolved:
        raise SimulationError(f"{what}: molecules that are joined are simulated for mass spectra (ms) only")
    if not fragment.channels:
        raise SimulationError(f"{what} is measured by {fragment.kind} and names no channels, such as {_like(fragment)}")
    try:
        return tuple(_recipe(network.metabolites[name], atoms, fragment) for _, name, atoms in fragment.parts)
    except ValueError as error:
        raise SimulationError(f"{what}: {error}") from error


def _like(fragment: Fragment) -> str:
    return {"1h-nmr": "P2", "13c-nmr": "S2"}.get(fragment.kind, "1,0")


def _recipe(metabolite: Metabolite, atoms: Atoms, fragment: Fragment) -> Recipe:
    units: dict[Atoms, int] = {}
    terms: list[tuple[tuple[int, int, float], ...]] = []
    for channel in fragment.channels:
        groups, shifts, wanted = _groups(metabolite, atoms, fragment, channel)
        found: dict[tuple[int, int], float] = {}
        for parts, weight in _weights(tuple(map(len, groups)), shifts, wanted):
            for picked, (mass, share) in itertools.product(_subsets(groups, parts), weight):
                unit = units.setdefault(picked, len(units))
                found[unit, mass] = found.get((unit, mass), 0.0) + share
        terms.append(tuple((unit, mass, share) for (unit, mass), share in found.items()))
    return Recipe(tuple(units), tuple(terms))


def _groups(
    metabolite: Metabolite, atoms: Atoms, fragment: Fragment, channel: str
) -> tuple[tuple[Atoms, ...], tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Groups of atoms, the mass that a label adds in each, and the counts of labels that a channel asks for."""
    if fragment.kind.endswith("nmr"):
        return _peak(metabolite, atoms, fragment.kind, channel)
    elements = dict.fromkeys(metabolite.elements)
    split = [tuple(i for i in atoms if metabolite.elements[i] == element) for element in elements]
    if fragment.kind == "ms-resolved":
        groups, wanted = split, [_pair(channel, len(split), f"traced elements: {', '.join(elements)}")]
    else:
        groups, wanted = _tandem(metabolite, split, {atoms[place] for place in fragment.daughter}, channel)
    # A count that a group cannot have is of no molecule: its share is 0.
    wanted = [count for count in wanted if all(n <= len(g) for n, g in zip(count, groups, strict=True))]
    return _whole_first(groups, _shifts(metabolite, groups), wanted)


def _tandem(
    metabolite: Metabolite, split: Sequence[Atoms], kept: set[int], channel: str
) -> tuple[list[Atoms], list[tuple[int, ...]]]:
    """Of each element the atoms that stay in the ion and those that leave it, and counts of labels of some masses."""
    before, after = _pair(channel, 2, "masses, before and after the collision")
    if not kept or not kept < {i for group in split for i in group}:
        raise ValueError("a collision splits some atoms from it and keeps others; name those kept as its daughter")
    stay = [tuple(i for i in group if i in kept) for group in split]
    groups = stay + [tuple(i for i in group if i not in kept) for group in split]
    each, half = _shifts(metabolite, groups), len(split)
    counts = itertools.product(*(range(len(group) + 1) for group in groups))
    return groups, [c for c in counts if (_mass(c, each), _mass(c[:half], each[:half])) == (before, after)]


def _shifts(metabolite: Metabolite, groups: Sequence[Atoms]) -> list[int]:
    """What a label adds to the mass in each group."""
    return [MASS_SHIFT.get(metabolite.elements[group[0]], 1) if group else 1 for group in groups]


def _peak(
    metabolite: Metabolite, atoms: Atoms, kind: str, channel: str
) -> tuple[tuple[Atoms, ...], tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The groups of a peak in NMR: single atoms."""
    match = _PEAK.fullmatch(channel)
    if match is None or (match[1] == "P") != (kind == "1h-nmr"):
        raise ValueError(f"channel {channel!r}; {'P2' if kind == '1h-nmr' else 'S2, DL2, DR2, DD2 or T2'} is expected")
    letter, at = match[1], int(match[2]) - 1
    if at not in atoms:
        raise ValueError(f"channel {channel!r}: {metabolite.name!r} has no measured atom {at + 1}")
    if letter == "P":
        return ((at,),), (1,), ((1,),)
    if metabolite.elements[at] != "C":
        raise ValueError(f"channel {channel!r}: atom {at + 1} of {metabolite.name!r} is no carbon")
    near = [i for i in (at - 1, at + 1) if 0 <= i < len(metabolite.elements) and metabolite.elements[i] == "C"]
    labelled = {"S": [], "DL": [at - 1], "DR": [at + 1]}.get(letter, [at - 1, at + 1])
    if missing := [i for i in labelled if i not in near]:
        raise ValueError(f"channel {channel!r}: atom {at + 1} of {metabolite.name!r} has no carbon at {missing[0] + 1}")
    groups = ((at,), *((i,) for i in near))
    return groups, (1,) * len(groups), ((1, *(int(i in labelled) for i in near)),)


def _mass(counts: Sequence[int], shifts: Sequence[int]) -> int:
    return sum(n * shift for n, shift in zip(counts, shifts, strict=False))


def _pair(channel: str, expected: int, what: str) -> tuple[int, ...]:
    """The numbers of a channel such as `2,1`."""
    try:
        found = tuple(int(part) for part in channel.split(","))
    except ValueError:
        found = (-1,)
    if min(found) < 0:
        raise ValueError(f"channel {channel!r}; numbers with a comma between, such as 2,1, are expected")
    if len(found) != expected:
        raise ValueError(f"channel {channel!r} has {len(found)} numbers; there are {expected} {what}")
    return found


def _whole_first(
    groups: Sequence[Atoms], shifts: Sequence[int], wanted: Sequence[tuple[int, ...]]
) -> tuple[tuple[Atoms, ...], tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Groups that have atoms, the largest first."""
    order = sorted((i for i, group in enumerate(groups) if group), key=lambda i: (-len(groups[i]), i))
    if (rest := sum(len(groups[i]) for i in order[1:])) > _MOST:
        raise ValueError(f"{rest} atoms outside its largest group; up to {_MOST} can be told apart")
    return (
        tuple(groups[i] for i in order), tuple(shifts[i] for i in order),
        tuple(tuple(count[i] for i in order) for count in wanted),
    )  # fmt: skip


def _subsets(groups: Sequence[Atoms], sizes: Sequence[int]) -> list[Atoms]:
    """The first group whole, with subsets of these sizes of the others."""
    picks = itertools.product(*(itertools.combinations(g, n) for g, n in zip(groups[1:], sizes, strict=True)))
    return [tuple(sorted(itertools.chain(groups[0], *some))) for some in picks]


@functools.cache
def _weights(
    sizes: tuple[int, ...], shifts: tuple[int, ...], wanted: tuple[tuple[int, ...], ...]
) -> tuple[tuple[tuple[int, ...], tuple[tuple[int, float], ...]], ...]:
    """By sizes of the subsets: which mass isotopomers of each such unit a channel adds up, and with which weights."""
    joint, rows, matrix = _sums(sizes, shifts)
    chosen = np.zeros(len(joint))
    for count in wanted:
        chosen[joint.index(count)] = 1
    weights = chosen @ np.linalg.pinv(matrix)
    out: dict[tuple[int, ...], list[tuple[int, float]]] = {}
    for (parts, mass), weight in zip(rows, weights.tolist(), strict=True):
        if abs(weight) > 1e-10:
            ways = math.prod(math.comb(n, k) for n, k in zip(sizes[1:], parts, strict=True))
            out.setdefault(parts, []).append((mass, weight / ways))
    return tuple((parts, tuple(terms)) for parts, terms in out.items())


@functools.cache
def _sums(
    sizes: tuple[int, ...], shifts: tuple[int, ...]
) -> tuple[list[tuple[int, ...]], list[tuple[tuple[int, ...], int]], Float[np.ndarray, "a j"]]:
    """Joint counts of labels, and how averages over units of one shape add them up: a row for each of their masses."""
    joint = list(itertools.product(*(range(n + 1) for n in sizes)))
    rows: list[tuple[tuple[int, ...], int]] = []
    matrix: list[np.ndarray] = []
    for parts in itertools.product(*(range(n + 1) for n in sizes[1:])):
        whole = (sizes[0], *parts)
        table = np.zeros((_mass(whole, shifts) + 1, len(joint)))
        for column, count in enumerate(joint):
            seen = np.zeros(1)
            seen[0] = 1.0
            for n, picked, labels, shift in zip(sizes, whole, count, shifts, strict=True):
                found = np.zeros(picked * shift + 1)
                found[::shift] = [
                    math.comb(labels, j) * math.comb(n - labels, picked - j) / math.comb(n, picked)
                    for j in range(picked + 1)
                ]  # fmt: skip
                seen = np.convolve(seen, found)
            table[:, column] = seen
        rows += [(parts, mass) for mass in range(len(table))]
        matrix += list(table)
    return joint, rows, np.array(matrix)
