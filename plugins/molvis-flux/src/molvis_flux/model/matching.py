"""Reactions of a network found among those of another program's, which may call them a little otherwise."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping

from molvis_flux.model.network import Reaction

_COMPARTMENT = re.compile(r"(?:_(?:[a-z]|ex|ext)|\.(?:[a-z]|ex|ext)|\[\w+\])$")


def plain(name: str) -> str:
    """A reaction's name without `R_` before it, in small letters, and of letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^r_", "", name.lower()))


def matches(ours: Iterable[str], others: Collection[str], names: Mapping[str, str]) -> dict[str, str]:
    """Of the others' names that stand for one of ours: theirs to ours.

    Args:
        ours: names.
        others: names.
        names: ours to theirs, where somebody knows.
    """
    free = [name for name in ours if name not in names]
    known = {**{name: name for name in free}, **{other: name for name, other in names.items()}}
    exact = {known[other] for other in others if other in known}
    loose: dict[str, list[str]] = {}
    for name in free:
        if name not in exact:
            loose.setdefault(plain(name), []).append(name)
    alike: dict[str, list[str]] = {}
    for other in others:
        alike.setdefault(plain(other), []).append(other)
    out: dict[str, str] = {}
    for other in others:
        near = loose.get(plain(other), [])
        if other in known:
            out[other] = known[other]
        elif len(near) == 1 and len(alike[plain(other)]) == 1:
            out[other] = near[0]
    return out


def direction(reaction: Reaction, others: Mapping[str, float]) -> int:
    """-1 where metabolites of the same name are on the other sides; those that are not found say nothing.

    Args:
        reaction: ours.
        others: coefficients of the other's metabolites, those of substrates negative.
    """
    sides = {_bare(name): value for name, value in others.items()}
    agree = 0.0
    for sign, side in ((-1.0, reaction.substrates), (1.0, reaction.products)):
        for part in side:
            other = sides.get(_bare(part.metabolite), 0.0)
            agree += math.copysign(1.0, sign * other) if other else 0.0
    return -1 if agree < 0 else 1


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _COMPARTMENT.sub("", re.sub(r"^m_", "", name.lower())))
