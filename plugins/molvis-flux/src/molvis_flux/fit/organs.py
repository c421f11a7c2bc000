"""What the organs of a whole body exchange through the blood: net fluxes over every border, with their errors."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from molvis_flux.errors import MapError
from molvis_flux.fit.estimates import Estimates
from molvis_flux.fit.information import normal_reach
from molvis_flux.model.network import Network, Participant, Reaction

_SHARE = 0.05
"""A name that stands in fewer of the metabolites' names than this is no organ's."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one organ takes up of one pool, or what the outside gives to it.

    Attributes:
        organ: its name; empty for the outside.
        pool: of the blood.
        reactions: over that border, each with 1 where it runs into the organ and -1 where it runs out of it.
        value: net uptake; negative is release. For the outside: what comes from there into the blood.
        low, high: interval, of the level of the fit's intervals: that of the one reaction, or, of several, of a normal
            distribution with their covariance.
        known: whether the interval holds not 0.
    """

    organ: str
    pool: str
    reactions: tuple[tuple[str, int], ...]
    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether the direction is known: the interval does not hold 0."""
        return not self.low <= 0 <= self.high


def organs_of(network: Network) -> tuple[str, ...]:
    """Names of organs that stand before or after those of metabolites and within those of reactions.

    `liver.Pyr` and `liver.ldh`, as `compose` makes them, or `Pyrliver` and `ldh_liver`.
    """
    named = [dict.fromkeys(re.split(r"[._]", name)) for name in network.reactions]
    words = Counter(word for some in named for word in some if len(word) > 2)
    most = _SHARE * len(network.metabolites)
    found: list[str] = []
    for word, count in words.items():
        own = sum(_is_of(name, word) for name in network.metabolites)
        inner = count >= max(_SHARE * len(network.reactions), 2)
        if inner and own >= max(most, 2) and not any(_is_of(word, other) for other in found):
            found.append(word)
    return tuple(found)


def _is_of(name: str, organ: str) -> bool:
    # What stands behind a point is a metabolite's own name: `liver.Glc`.
    return name.startswith(f"{organ}.") or (name.endswith(organ) and not name.endswith(f".{organ}"))


def exchanges(found: Estimates, organs: Sequence[str] = ()) -> tuple[tuple[str, ...], tuple[Exchange, ...]]:
    """Organs, and what flows between them and the blood; then what flows between the blood and the outside.

    Blood is whatever is in no organ and balanced. A reaction over the border of one organ with one pool of the blood
    counts; carriers without traced atoms do not.

    Args:
        found: of a fit.
        organs: names that stand before or after those of metabolites; found by `organs_of` where none are given.

    Raises:
        MapError: there are no organs.
    """
    network = found.study.network
    names = tuple(organs) or organs_of(network)
    for organ in names:
        if not any(_is_of(name, organ) for name in network.metabolites):
            raise MapError(f"no metabolite's name begins with '{organ}.' or ends in {organ!r}")
    if not names:
        raise MapError(
            "no organs in the network: names of metabolites begin with 'liver.' or end in 'liver'; say which organs "
            "there are"
        )
    borders: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for name, reaction in network.reactions.items():
        for organ, pool, sign in _crossed(network, reaction, names):
            borders[organ, pool][name] = sign
    places = {verdict.name: i for i, verdict in enumerate(found.verdicts)}
    out = [_exchange(found, places, organ, pool, some) for (organ, pool), some in borders.items()]
    return names, tuple(out)


@dataclass(frozen=True, slots=True)
class _Side:
    """Where one side of a reaction is: pools of the blood, organs, and whether it is also in neither."""

    blood: list[str]
    organs: list[str]
    outside: bool


def _side(network: Network, some: Sequence[Participant], organs: Sequence[str]) -> _Side:
    traced = [p.metabolite for p in some if network.metabolites[p.metabolite].elements]
    inside = [organ for organ in organs if any(_is_of(name, organ) for name in traced)]
    free = [name for name in traced if not any(_is_of(name, organ) for organ in organs)]
    blood = [name for name in free if network.metabolites[name].role == "balanced"]
    return _Side(blood, inside, len(free) > len(blood) or not some)


def _crossed(network: Network, reaction: Reaction, organs: Sequence[str]) -> list[tuple[str, str, int]]:
    """Borders that a reaction crosses: organ, pool of the blood, and 1 where it runs into the organ (or the blood)."""
    taken, made = _side(network, reaction.substrates, organs), _side(network, reaction.products, organs)
    out = [(organ, pool, 1) for pool in taken.blood for organ in made.organs]
    out += [(organ, pool, -1) for pool in made.blood for organ in taken.organs]
    if not taken.organs and not made.organs:
        out += [("", pool, 1) for pool in made.blood if taken.outside]
        out += [("", pool, -1) for pool in taken.blood if made.outside]
    return out


def _exchange(
    found: Estimates, places: dict[tuple[str, str], int], organ: str, pool: str, reactions: dict[str, int]
) -> Exchange:
    rows = [places["net", name] for name in reactions]
    signs = np.array(list(reactions.values()), float)
    middle = np.array([_middle(found, row) for row in rows])
    value = float(signs @ middle)
    if len(rows) == 1:
        verdict = found.verdicts[rows[0]]
        low, high = sorted((signs[0] * verdict.low, signs[0] * verdict.high))
    else:
        spread = float(np.sqrt(max(signs @ found.covariance[np.ix_(rows, rows)] @ signs, 0.0)))
        low, high = value - normal_reach(found.level) * spread, value + normal_reach(found.level) * spread
    each = tuple((name, int(sign)) for name, sign in reactions.items())
    return Exchange(organ, pool, each, value, float(low), float(high))


def _middle(found: Estimates, row: int) -> float:
    verdict = found.verdicts[row]
    if verdict.value is not None:
        return verdict.value
    return (verdict.low + verdict.high) / 2 if verdict.mean is None else verdict.mean
