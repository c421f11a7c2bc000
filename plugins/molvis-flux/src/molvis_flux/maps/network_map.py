"""A map as plain data: where metabolites stand, and the curves of reactions. Of our own layout or of an Escher file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Point = tuple[float, float]
Curve = tuple[Point, ...]
"""Cubic Bezier curves that follow each other: 1 + 3 n points."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A metabolite's place. It may have several on one map.

    Attributes:
        key: once on a map.
        name: of the metabolite, as it is shown.
        at: its middle.
        label: where its name begins, where it stands beside a dot; None where it stands in a box.
        role: `balanced`, `source` or `sink`, as in a network; `open` where atoms come from or go to the outside.
        main: whether the map shows it large.
        half: half the width of its box; 0 where it has none.
    """

    key: str
    name: str
    at: Point
    label: Point | None = None
    role: str = "balanced"
    main: bool = True
    half: float = 0.0


@dataclass(frozen=True, slots=True)
class Limb:
    """A part of a reaction's drawing.

    Attributes:
        curve: it ends at the pool, where there is one.
        side: -1 to a substrate, 1 to a product, 0 between them.
        pool: key of the pool that it ends at, or empty.
    """

    curve: Curve
    side: int
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    """A reaction's drawing.

    Attributes:
        reaction: name in the network; empty where the network has none that fits.
        shown: name on the map.
        limbs: its curves.
        label: where its name begins.
        sign: -1 where the map draws it the other way round than the network writes it.
        given: what a map of Escher says of it beside its drawing, as it stands there; None on a map of our own.
        middle: the marker in its middle on a map of Escher, where it has one.
    """

    reaction: str
    shown: str
    limbs: tuple[Limb, ...]
    label: Point
    sign: int = 1
    given: Mapping[str, object] | None = None
    middle: Point | None = None


@dataclass(frozen=True, slots=True)
class NetworkMap:
    """A map of a network.

    Attributes:
        name: for people.
        pools, tracks: what is on it.
        corner, size: of the drawing.
        unit: size of letters, to which all else is drawn.
        texts: further words, with their places.
        missing: reactions of the network that are not on it.
        foreign: reactions on it that the network does not have.
        notes: what a reader of the map should know, one sentence each.
    """

    name: str
    pools: tuple[Pool, ...]
    tracks: tuple[Track, ...]
    corner: Point
    size: Point
    unit: float = 10.0
    texts: tuple[tuple[Point, str], ...] = ()
    missing: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
