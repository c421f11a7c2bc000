"""What a map draws of a network: which reactions, and which of their metabolites."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from molvis_flux.model.network import Network, Participant, Reaction

SHARE = 0.25
"""What brings less of a reaction's atoms than this is left to its equation."""
_MOST, _FEW = 4, 10
"""Metabolites on a side of a reaction; and in a network that is small enough to be drawn with its pools of one atom."""
_CARRIERS = frozenset(
    {
        "adp", "amp", "atp", "cdp", "ctp", "gdp", "gtp", "udp", "utp", "co2", "coa", "fad", "fadh", "fadh2",
        "h", "h2", "h2o", "hco3", "nad", "nadh", "nadp", "nadph", "nh3", "nh4", "o2", "p", "pi", "ppi", "q8",
        "q8h2", "so4",
    }
)  # fmt: skip
_COMPARTMENT = re.compile(r"(?:_(?:[a-z]|ex|ext)|\.(?:[a-z]|ex|ext|in|out)|\[\w+\]|\(\w\))$")


@dataclass(frozen=True, slots=True)
class Sketch:
    """A reaction as it is drawn.

    Attributes:
        name: of the reaction.
        substrates, products: metabolites to draw; either is empty where atoms come from or go to the outside.
        apart: metabolites among them that get a place of their own beside the reaction, so that no arrow has to cross
            the map to them.
    """

    name: str
    substrates: tuple[str, ...]
    products: tuple[str, ...]
    apart: frozenset[str] = frozenset()


def sketch(network: Network) -> tuple[tuple[Sketch, ...], tuple[str, ...]]:
    """The reactions to draw, and the names of those that are not drawn.

    Of a reaction its main conversion stays: carriers go, that is pools without traced atoms or with one, pairs such as
    glutamate and oxoglutarate that only hand a group over, and what brings less than a quarter of the atoms (networks
    of up to ten metabolites keep the last, and pools of one atom). Where no atom is traced, pools with the names of
    cofactors go. Not drawn are reactions of carriers alone, and those of more than four metabolites on a side, such as
    growth.
    """
    degrees = Counter(p.metabolite for r in network.reactions.values() for p in (*r.substrates, *r.products))
    traced = any(metabolite.elements for metabolite in network.metabolites.values())
    found: list[Sketch] = []
    for reaction in network.reactions.values():
        sides = _by_atoms(network, reaction, degrees) if traced else _by_names(reaction)
        if sides is None or not any(sides) or max(map(len, sides)) > _MOST:
            continue
        substrates, products = (tuple(dict.fromkeys(side)) for side in sides)
        found.append(Sketch(reaction.name, substrates, tuple(name for name in products if name not in substrates)))
    drawn = {one.name for one in found}
    if len(network.metabolites) > _FEW:
        found = _with_first_uses(_with_leaves_apart(network, [_with_carriers_apart(network, one) for one in found]))
    return tuple(found), tuple(name for name in network.reactions if name not in drawn)


def is_carrier(name: str) -> bool:
    """Whether a metabolite has the name of a cofactor, in whatever compartment."""
    bare = _COMPARTMENT.sub("", name.lower())
    return re.sub(r"[^a-z0-9]", "", bare) in _CARRIERS


def _by_names(reaction: Reaction) -> tuple[list[str], list[str]]:
    sides = [[p.metabolite for p in side if not is_carrier(p.metabolite)] for side in _sides(reaction)]
    return sides[0], sides[1]


def _by_atoms(network: Network, reaction: Reaction, degrees: Counter[str]) -> tuple[list[str], list[str]] | None:
    """Both sides by the atoms that they hand over; None where nothing of it is to be drawn."""
    substrates, products = ([p for p in s if network.metabolites[p.metabolite].elements] for s in _sides(reaction))
    mapped = [p for p in substrates if p.atoms], [p for p in products if p.atoms]
    if any(mapped):
        substrates, products = min(_conversions(*mapped), key=lambda group: _commonness(group, degrees))
        if len(network.metabolites) > _FEW:
            substrates, products = _large(substrates), _large(products)
    elif not substrates and not products:
        return None
    return [p.metabolite for p in substrates], [p.metabolite for p in products]


def _sides(reaction: Reaction) -> tuple[Sequence[Participant], Sequence[Participant]]:
    return reaction.substrates, reaction.products


Conversion = tuple[list[Participant], list[Participant]]


def _conversions(substrates: Sequence[Participant], products: Sequence[Participant]) -> Iterator[Conversion]:
    """Groups of participants that exchange atoms with each other and with no other."""
    left = [({*p.atoms}, side, p) for side, some in enumerate((substrates, products)) for p in some]
    while left:
        atoms, side, first = left.pop(0)
        group: Conversion = ([], [])
        group[side].append(first)
        while more := [item for item in left if item[0] & atoms]:
            for item in more:
                atoms |= item[0]
                group[item[1]].append(item[2])
                left.remove(item)
        yield group


def _commonness(group: Conversion, degrees: Counter[str]) -> tuple[int, int, int]:
    """Small for a conversion of pools that few other reactions have: the one that its reaction is there for."""
    whole = [p for side in group for p in side]
    large = max(len(p.atoms) for p in whole)
    return int(large < 2), min(degrees[p.metabolite] for p in whole if len(p.atoms) > 1 or large < 2), -large


def _large(side: list[Participant]) -> list[Participant]:
    """Those that bring a good part of the atoms. A pool of one atom stays where there is no other."""
    total = sum(len(p.atoms) for p in side)
    kept = [p for p in side if len(p.atoms) >= SHARE * total and len(p.atoms) > 1]
    return kept or sorted(side, key=lambda p: -len(p.atoms))[:1]


def _with_first_uses(sketches: Iterable[Sketch]) -> list[Sketch]:
    """A substrate that stands apart wherever it is used is joined to its first use, so that it is no dead end."""
    found = list(sketches)
    met = Counter(name for one in found for name in {*one.substrates, *one.products} - one.apart)
    for i, one in enumerate(found):
        joined = {name for name in one.substrates if name in one.apart and met[name] == 1}
        met.update(joined)
        found[i] = replace(one, apart=one.apart - joined)
    return found


def _with_carriers_apart(network: Network, one: Sketch) -> Sketch:
    """A pool of one atom beside larger ones stands for itself: an arrow to it would join all that make it."""
    sizes = {name: len(network.metabolites[name].elements) for name in (*one.substrates, *one.products)}
    small = {name for name, size in sizes.items() if size == 1}
    return replace(one, apart=frozenset(small)) if len(small) < len(sizes) else one


def _with_leaves_apart(network: Network, sketches: Sequence[Sketch]) -> Iterator[Sketch]:
    """Further substrates of a synthesis stand apart, where it leads nowhere else: amino acids and the like."""
    leaves = _leaves(sketches)
    for one in sketches:
        if one.name not in leaves or len(one.substrates) < 2:
            yield one
            continue
        sizes = Counter({p.metabolite: 0 for p in network.reactions[one.name].substrates})
        for p in network.reactions[one.name].substrates:
            sizes[p.metabolite] += max(len(p.atoms), 1)
        main = max(one.substrates, key=lambda name: sizes[name])
        yield replace(one, apart=one.apart | (set(one.substrates) - {main}))


def _leaves(sketches: Sequence[Sketch]) -> set[str]:
    """Reactions whose products no other uses, and what is left with none when these are taken away, and so on."""
    users: dict[str, set[str]] = defaultdict(set)
    for one in sketches:
        for name in (*one.substrates, *one.products):
            users[name].add(one.name)
    left, leaves = list(sketches), set[str]()
    while True:
        ends = [one for one in left if one.products and one.substrates and _unused(one, users)]
        if not ends:
            return leaves
        leaves |= {one.name for one in ends}
        left = [one for one in left if one.name not in leaves]
        for name in users:
            users[name] -= leaves


def _unused(one: Sketch, users: dict[str, set[str]]) -> bool:
    return all(users[name] <= {one.name} for name in one.products)
