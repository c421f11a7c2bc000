"""A map of a network by a layout of our own: pathways as columns, carriers left out."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from molvis_flux.maps.layered import Arrangement, Edge, Place, arrange
from molvis_flux.maps.network_map import Curve, Limb, NetworkMap, Point, Pool, Track
from molvis_flux.maps.sketch import Sketch, sketch
from molvis_flux.model.network import Network

LETTER = 6.1
"""Width of a letter of size 10, with some room: a browser's own font decides."""
BOLD = 6.8
HALF = 11.0
"""Half the height of a metabolite's box, and of a reaction's two lines of text."""
_CLOSE, _STEEP, _FAR = 15.0, 0.09, 46.0
_LINE = 9.0
_LONGEST = 14
NUMBERS = 7
"""Letters of a flux, or of its interval, that there is room for below a reaction's name."""
_BETWEEN = 34.0


def clipped(name: str) -> str:
    """A name as it stands on a map; the whole one is in the hover text."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def own_map(network: Network, fed: Iterable[str] = ()) -> NetworkMap:
    """Lay a network out. It does not depend on fluxes, so that maps of two conditions can be compared.

    Args:
        network: of any size; more than some hundred reactions are a large map.
        fed: sources that a tracer is given as: they stand at the top.
    """
    sketches, missing = sketch(network)
    parts = _joined(sketches)
    placed: list[_Drawing] = [_draw(network, part, list(fed)) for part in parts]
    placed.sort(key=lambda part: -part.width * part.height)
    pools: list[Pool] = []
    tracks: list[Track] = []
    size = _packed(placed, pools, tracks)
    order = {name: i for i, name in enumerate(network.reactions)}
    tracks.sort(key=lambda track: order[track.reaction])
    return NetworkMap(network.name, tuple(pools), tuple(tracks), (0.0, 0.0), size, missing=missing)


@dataclass(frozen=True, slots=True)
class _Drawing:
    pools: list[Pool]
    tracks: list[Track]
    width: float
    height: float


def _joined(sketches: Sequence[Sketch]) -> list[list[Sketch]]:
    """Those that share a metabolite, together."""
    left, parts = list(sketches), list[list[Sketch]]()
    while left:
        part, names = [left.pop(0)], set[str]()
        names |= _shared(part[0])
        while more := [one for one in left if _shared(one) & names]:
            for one in more:
                names |= _shared(one)
                part.append(one)
                left.remove(one)
        parts.append(part)
    return parts


def _shared(one: Sketch) -> set[str]:
    return {*one.substrates, *one.products} - one.apart


def _key(one: Sketch, name: str) -> str:
    return f"{name}\t{one.name}" if name in one.apart else name


@dataclass(slots=True)
class _Graph:
    """What is to be arranged: the network's metabolites and, as nodes between them, its reactions."""

    nodes: dict[str, tuple[float, float]]
    edges: list[Edge]
    ends: list[tuple[Sketch, str, int]]
    roles: dict[str, str]


def _graph(network: Network, part: Sequence[Sketch]) -> _Graph:
    graph = _Graph({}, [], [], {})
    met: Counter[tuple[str, int]] = Counter()
    for one in part:
        marker = f"\t{one.name}"
        graph.nodes[marker] = (_LINE, _LINE + LETTER * max(len(clipped(one.name)), NUMBERS))
        sides = [(-1, name) for name in one.substrates or ("",)] + [(1, name) for name in one.products or ("",)]
        for side, name in sides:
            key = _key(one, name) if name else f"{marker}\t{side}"
            graph.roles[key] = network.metabolites[name].role if name else "open"
            met[key, side] += 1
            # Wide enough for the heads of all its arrows, up to a limit.
            half = max(BOLD * len(clipped(name)) / 2 + 7, min(5.5 * met[key, side], 44.0)) if name else 5.0
            half = max(half, graph.nodes.get(key, (0.0, 0.0))[0])
            graph.nodes[key] = (half, half)
            heavy = 2.0 if name and name not in one.apart else 1.0
            graph.edges.append(Edge(*((key, marker) if side < 0 else (marker, key)), heavy))
            graph.ends.append((one, key, side))
    return graph


def _draw(network: Network, part: Sequence[Sketch], fed: Sequence[str]) -> _Drawing:
    """One connected part, from its own corner."""
    graph = _graph(network, part)
    nodes, ends = graph.nodes, graph.ends
    sources = [name for name in nodes if graph.roles.get(name) == "source"]
    found = arrange(nodes, graph.edges, sorted(sources, key=lambda name: name not in fed))
    middles = _middles(found)
    at = {name: (x, middles[row]) for name, (x, row) in found.places.items()}
    limbs: dict[str, list[Limb]] = defaultdict(list)
    ports = _ports(nodes, ends, found)
    for i, (one, key, side) in enumerate(ends):
        limbs[one.name].append(Limb(_curve(found.ways[i][::side], middles, ports[i]), side, key))
    pools = [
        Pool(key, key.partition("\t")[0], at[key], None, role, "\t" not in key, nodes[key][0] - 1)
        for key, role in graph.roles.items()
    ]
    tracks = []
    for one in part:
        x, y = at[f"\t{one.name}"]
        tracks.append(Track(one.name, one.name, tuple(limbs[one.name]), (x + _LINE, y)))
    bends = [x for way in found.ways for x, _ in way]
    left = min(*(x - nodes[name][0] for name, (x, _) in found.places.items()), min(bends) - 8)
    right = max(*(x + nodes[name][1] for name, (x, _) in found.places.items()), max(bends) + 8)
    moved = _moved(pools, tracks, -left, HALF + 4 - min(middles))
    return _Drawing(*moved, right - left, max(middles) - min(middles) + 2 * HALF + 8)


def _middles(found: Arrangement) -> list[float]:
    """Where the rows are: further apart where an edge between them goes far to the side."""
    rows = 1 + max(row for _, row in found.places.values())
    far = [0.0] * rows
    for way in found.ways:
        for (x1, row1), (x2, row2) in itertools.pairwise(way):
            far[min(row1, row2)] = max(far[min(row1, row2)], abs(x1 - x2))
    middles = [0.0]
    for row in range(1, rows):
        middles.append(middles[-1] + 2 * HALF + min(_CLOSE + _STEEP * far[row - 1], _FAR))
    return middles


def _ports(
    nodes: Mapping[str, tuple[float, float]], ends: Sequence[tuple[Sketch, str, int]], found: Arrangement
) -> list[float]:
    """How far beside the middle of its metabolite's box each edge ends, so that they do not cover each other."""
    sides: dict[tuple[str, bool], list[tuple[float, int]]] = defaultdict(list)
    for i, (_, key, side) in enumerate(ends):
        way = found.ways[i] if side > 0 else found.ways[i][::-1]
        (x, row) = way[-2]
        sides[key, row < way[-1][1]].append((x, i))
    out = [0.0] * len(ends)
    for (key, _), some in sides.items():
        some.sort()
        middle = found.places[key][0]
        straight = min(range(len(some)), key=lambda j: (abs(some[j][0] - middle), j))
        room = nodes[key][0] - 4.0
        step = min(11.0, room / max(straight, len(some) - 1 - straight, 1))
        for j, (_, i) in enumerate(some):
            out[i] = (j - straight) * step
    return out


def _curve(way: Sequence[Place], middles: Sequence[float], port: float) -> Curve:
    """From the reaction to the metabolite: upright within each row, and to the side between rows."""
    x, row = way[0]
    points: list[Point] = [(x, middles[row])]
    for k, (x2, row2) in enumerate(way[1:], 1):
        x1, row1 = way[k - 1]
        last = k == len(way) - 1
        x2 += port if last else 0.0
        down = 1.0 if row2 > row1 else -1.0
        leave, arrive = middles[row1] + down * HALF, middles[row2] - down * HALF
        _straight(points, (x1, leave))
        half = (leave + arrive) / 2
        points += [(x1, half), (x2, half), (x2, arrive)]
        if not last:
            _straight(points, (x2, middles[row2]))
    return tuple(points)


def _straight(points: list[Point], end: Point) -> None:
    (x, y) = points[-1]
    if len(points) > 3 and all(point[0] == end[0] for point in points[-4:]):
        # One straight piece instead of one for each row.
        (x, y) = points[-4]
        del points[-3:]
    points += [(x + (end[0] - x) / 3, y + (end[1] - y) / 3), (x + 2 * (end[0] - x) / 3, y + 2 * (end[1] - y) / 3), end]


def _moved(pools: Iterable[Pool], tracks: Iterable[Track], x: float, y: float) -> tuple[list[Pool], list[Track]]:
    def there(point: Point) -> Point:
        return point[0] + x, point[1] + y

    return (
        [replace(p, at=there(p.at)) for p in pools],
        [
            Track(
                t.reaction, t.shown,
                tuple(Limb(tuple(map(there, limb.curve)), limb.side, limb.pool) for limb in t.limbs),
                there(t.label), t.sign,
            )
            for t in tracks
        ],
    )  # fmt: skip


def _packed(parts: Sequence[_Drawing], pools: list[Pool], tracks: list[Track]) -> Point:
    """Small parts below each other, in columns beside the large one."""
    tall = max((part.height for part in parts), default=0.0)
    x, y, column, width = 0.0, 0.0, 0.0, 0.0
    for part in parts:
        if y and y + part.height > tall:
            x, y, column = x + column + _BETWEEN, 0.0, 0.0
        some = _moved(part.pools, part.tracks, x, y)
        pools += some[0]
        tracks += some[1]
        y += part.height + _BETWEEN / 2
        column = max(column, part.width)
        width = max(width, x + part.width)
    return width, tall
