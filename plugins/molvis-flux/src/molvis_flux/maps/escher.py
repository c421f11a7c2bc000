"""Maps of Escher: read, so that fluxes are drawn on a map that somebody has, and written from a map of ours.

King et al., PLoS Computational Biology 11 (2015) e1004321, doi:10.1371/journal.pcbi.1004321. The files are JSON after
the schema that Escher names in them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core.errors import did_you_mean
from molvis_files.documents import load_json
from molvis_files.opening import read_text
from molvis_flux.errors import MapError
from molvis_flux.maps.network_map import Curve, Limb, NetworkMap, Point, Pool, Track
from molvis_flux.model.matching import direction, matches
from molvis_flux.model.network import Network

SCHEMA = "https://escher.github.io/escher/jsonschema/1-0-0#"
_WIDER, _TALLER = 4.2, 3.0
"""Maps of Escher have letters of about 30 units, ours of 10; and a reaction's name and flux stand in one line there."""
_LETTER = 30.0
_APART = 12.0


def read_escher(path: Path, network: Network, names: Mapping[str, str] | None = None) -> NetworkMap:
    """A map of Escher, with the reactions of a network found on it.

    A reaction is found by its name, then by its name without regard to case, to `R_` before it and to all but letters
    and digits, where one on the map is so called and no other. `foreign` and `missing` tell what was not found.

    Args:
        path: JSON of Escher.
        network: whose reactions are looked for.
        names: of reactions of the network, to what they are called on the map.

    Raises:
        MapError: it is no map of Escher, or a name does not exist.
    """
    given = _opened(path)
    by_name = _matched(given["reactions"], network, dict(names or {}), path)
    place = {key: (float(node["x"]), float(node["y"])) for key, node in given["nodes"].items()}
    pools = tuple(_pools(given["nodes"], place))
    tracks: list[Track] = []
    notes: list[str] = []
    for key, reaction in given["reactions"].items():
        name = by_name.get(key, "")
        limbs = tuple(_limbs(given["nodes"], place, reaction, f"{path}: reaction {reaction.get('bigg_id')!r}"))
        sign = 1
        if name:
            sign = _direction(network, name, reaction)
            if sign < 0:
                notes.append(
                    f"The map draws {name} the other way round than the network writes it; arrows follow the flux."
                )
        label = (float(reaction.get("label_x", 0.0)), float(reaction.get("label_y", 0.0)))
        tracks.append(Track(name, name or str(reaction["bigg_id"]), limbs, label, sign))
    found = {track.reaction for track in tracks}
    canvas = given["canvas"]
    texts = tuple(((float(t["x"]), float(t["y"])), str(t["text"])) for t in given.get("text_labels", {}).values())
    return NetworkMap(
        given["name"], pools, tuple(tracks), (float(canvas["x"]), float(canvas["y"])),
        (float(canvas["width"]), float(canvas["height"])), _LETTER, texts,
        missing=tuple(name for name in network.reactions if name not in found),
        foreign=tuple(track.shown for track in tracks if not track.reaction),
        notes=tuple(notes),
    )  # fmt: skip


def _opened(path: Path) -> dict[str, Any]:
    """The second part of the file, with the name from the first."""
    try:
        given = load_json(read_text(path))
    except json.JSONDecodeError as error:
        raise MapError(
            f"{path}: this is no JSON ({error}); save the map in Escher as JSON (Map, Save map JSON)"
        ) from None
    if not (isinstance(given, list) and len(given) == 2 and all(isinstance(part, dict) for part in given)):
        raise MapError(
            f"{path}: a map of Escher is a list of two objects, a head and a map, and this is another thing; save the "
            "map in Escher as JSON (Map, Save map JSON)"
        )
    for name in ("reactions", "nodes", "canvas"):
        if not isinstance(given[1].get(name), dict):
            raise MapError(f"{path}: this is no map of Escher: its second part has no object {name!r}")
    head, body = given
    _check(body, path)
    return {**body, "name": str(head.get("map_name", ""))}


def _check(body: Mapping[str, Any], path: Path) -> None:
    """What the drawing relies on."""
    nodes = body["nodes"]
    _numbers(body["canvas"], ("x", "y", "width", "height"), f"{path}: the canvas")
    for key, node in nodes.items():
        _numbers(node, ("x", "y"), f"{path}: node {key}")
    for key, text in (body.get("text_labels") or {}).items():
        _numbers(text, ("x", "y"), f"{path}: text {key}")
    for key, reaction in body["reactions"].items():
        where = f"{path}: reaction {key}"
        _numbers(reaction, ("label_x", "label_y"), where)
        if not isinstance(reaction.get("bigg_id"), str):
            raise _wrong(where, "has no 'bigg_id'")
        metabolites = reaction.get("metabolites", [])
        if not all(isinstance(m, dict) and _is_number(m.get("coefficient")) and "bigg_id" in m for m in metabolites):
            raise _wrong(where, "has a metabolite without 'bigg_id' or 'coefficient'")
        if not isinstance(reaction.get("segments"), dict):
            raise _wrong(where, "has no 'segments'")
        for name, segment in reaction["segments"].items():
            _check_segment(segment, nodes, f"{path}: segment {name} of reaction {key}")


def _check_segment(segment: object, nodes: Mapping[str, Any], where: str) -> None:
    for end, bend in (("from_node_id", "b1"), ("to_node_id", "b2")):
        if not isinstance(segment, dict) or str(segment.get(end)) not in nodes:
            raise _wrong(where, f"has a {end!r} that is no node")
        if segment.get(bend) is not None:
            _numbers(segment[bend], ("x", "y"), f"{where}: its {bend}")


def _numbers(thing: object, keys: Iterable[str], where: str) -> None:
    for key in keys:
        if not _is_number(thing.get(key) if isinstance(thing, dict) else None):
            raise _wrong(where, f"has no number {key!r}")


def _wrong(where: str, what: str) -> MapError:
    return MapError(f"{where} {what}; save the map anew in Escher")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _matched(
    reactions: Mapping[str, Mapping[str, Any]], network: Network, names: Mapping[str, str], path: Path
) -> dict[str, str]:
    """Of each reaction on the map, by its key, the network's, where there is one."""
    shown = {key: str(reaction["bigg_id"]) for key, reaction in reactions.items()}
    for ours, theirs in names.items():
        if ours not in network.reactions:
            raise MapError(f"the network has no reaction {ours!r}.{did_you_mean(ours, network.reactions)}")
        if theirs not in shown.values():
            raise MapError(f"{path}: the map has no reaction {theirs!r}.{did_you_mean(theirs, shown.values())}")
    # A map may show one reaction several times.
    found = matches(network.reactions, dict.fromkeys(shown.values()), names)
    return {key: found[name] for key, name in shown.items() if name in found}


def _direction(network: Network, name: str, drawn: Mapping[str, Any]) -> int:
    sides = {str(m["bigg_id"]): float(m["coefficient"]) for m in drawn.get("metabolites", [])}
    return direction(network.reactions[name], sides)


def _pools(nodes: Mapping[str, Mapping[str, Any]], place: Mapping[str, Point]) -> Iterable[Pool]:
    for key, node in nodes.items():
        if node.get("node_type") == "metabolite":
            name, at = str(node.get("bigg_id", "")), place[key]
            label = (float(node.get("label_x", at[0] + 10)), float(node.get("label_y", at[1] - 10)))
            yield Pool(key, name, at, label, main=bool(node.get("node_is_primary", True)))


def _limbs(
    nodes: Mapping[str, Mapping[str, Any]], place: Mapping[str, Point], reaction: Mapping[str, Any], where: str
) -> Iterable[Limb]:
    """Segments, those at a metabolite turned so that they end there."""
    sides = {str(m["bigg_id"]): float(m["coefficient"]) for m in reaction.get("metabolites", [])}
    for segment in reaction["segments"].values():
        a, b = str(segment["from_node_id"]), str(segment["to_node_id"])
        bends = [segment.get("b1"), segment.get("b2")]
        start, end = place[a], place[b]
        thirds = [(start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])) for t in (1 / 3, 2 / 3)]
        middle = [
            third if bend is None else (float(bend["x"]), float(bend["y"]))
            for bend, third in zip(bends, thirds, strict=True)
        ]
        curve: Curve = (start, *middle, end)
        outer = [key for key in (a, b) if nodes[key].get("node_type") == "metabolite"]
        if not outer:
            yield Limb(curve, 0)
            continue
        if len(outer) == 2:
            raise MapError(f"{where} goes from metabolite to metabolite without a marker between; save the map anew")
        coefficient = sides.get(str(nodes[outer[0]].get("bigg_id")), 0.0)
        side = 0 if not coefficient else int(math.copysign(1, coefficient))
        yield Limb(curve if outer[0] == b else curve[::-1], side, outer[0])


@dataclass(slots=True)
class _Sheet:
    """The map while it is written."""

    nodes: dict[str, dict[str, object]]
    count: int = 0

    def key(self) -> str:
        self.count += 1
        return str(self.count)

    def marker(self, at: Point, kind: str = "multimarker") -> str:
        key = self.key()
        self.nodes[key] = {"node_type": kind, "x": _x(at[0]), "y": _y(at[1])}
        return key


def _x(value: float) -> float:
    return round(_WIDER * value, 2)


def _y(value: float) -> float:
    return round(_TALLER * value, 2)


def escher_json(chart: NetworkMap, network: Network) -> list[dict[str, object]]:
    """A map of our own as Escher reads it: a head and a map, ready for `json.dumps`.

    Reactions and metabolites have the network's names as `bigg_id`. A reaction lists all of its metabolites; those that
    the map leaves out have no node.
    """
    sheet = _Sheet({})
    keys: dict[str, str] = {}
    for pool in chart.pools:
        if pool.role == "open":
            continue
        keys[pool.key] = key = sheet.key()
        sheet.nodes[key] = {
            "node_type": "metabolite", "x": _x(pool.at[0]), "y": _y(pool.at[1]), "bigg_id": pool.name,
            "name": pool.name, "label_x": _x(pool.at[0] + 9), "label_y": _y(pool.at[1] + 3),
            "node_is_primary": pool.main,
        }  # fmt: skip
    reactions = {sheet.key(): _written(sheet, track, network, keys) for track in chart.tracks}
    head: dict[str, object] = {
        "map_name": network.name or "network", "map_id": "", "map_description": "Laid out by molvis.",
        "homepage": "https://escher.github.io", "schema": SCHEMA,
    }  # fmt: skip
    margin = 40.0
    canvas = {
        "x": _x(chart.corner[0] - margin), "y": _y(chart.corner[1] - margin),
        "width": _x(chart.size[0] + 2 * margin), "height": _y(chart.size[1] + 2 * margin),
    }  # fmt: skip
    return [head, {"reactions": reactions, "nodes": sheet.nodes, "text_labels": {}, "canvas": canvas}]


def _written(sheet: _Sheet, track: Track, network: Network, keys: Mapping[str, str]) -> dict[str, object]:
    """A reaction: a marker in its middle, one on the way to each side, and from there to the metabolites."""
    reaction = network.reactions[track.reaction]
    segments: dict[str, dict[str, object]] = {}

    def join(a: str, b: str, bends: Sequence[Point] | None) -> None:
        points = [None, None] if bends is None else [{"x": _x(x), "y": _y(y)} for x, y in bends]
        segments[sheet.key()] = {"from_node_id": a, "to_node_id": b, "b1": points[0], "b2": points[1]}

    middle = track.limbs[0].curve[0]
    center = sheet.marker(middle, "midmarker")
    for side in (-1, 1):
        limbs = [limb for limb in track.limbs if limb.side == side]
        downwards = sum(limb.curve[3][1] - middle[1] for limb in limbs) >= 0
        fork = sheet.marker((middle[0], middle[1] + (_APART if downwards else -_APART) * 0.5))
        join(center, fork, None)
        for limb in limbs:
            if limb.pool not in keys:
                continue
            at, pieces = fork, [limb.curve[i : i + 4] for i in range(0, len(limb.curve) - 1, 3)]
            for i, piece in enumerate(pieces):
                end = keys[limb.pool] if i == len(pieces) - 1 else sheet.marker(piece[3])
                join(at, end, piece[1:3])
                at = end
    return {
        "name": track.reaction, "bigg_id": track.reaction, "reversibility": reaction.reversible,
        "label_x": _x(track.label[0]), "label_y": _y(track.label[1]), "gene_reaction_rule": "", "genes": [],
        "metabolites": [
            {"bigg_id": name, "coefficient": value} for name, value in _stoichiometry(network, track.reaction).items()
        ],
        "segments": segments,
    }  # fmt: skip


def _stoichiometry(network: Network, name: str) -> dict[str, float]:
    reaction, out = network.reactions[name], dict[str, float]()
    for sign, side in ((-1.0, reaction.substrates), (1.0, reaction.products)):
        for part in side:
            out[part.metabolite] = out.get(part.metabolite, 0.0) + sign * part.coefficient
    return out
