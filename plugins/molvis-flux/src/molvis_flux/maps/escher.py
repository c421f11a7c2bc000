"""Maps of Escher, read, so that fluxes are drawn on a map that somebody has. `escher_writer` writes them.

King et al., PLoS Computational Biology 11 (2015) e1004321, doi:10.1371/journal.pcbi.1004321. The files are JSON after
the schema that Escher names in them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from molvis_core.errors import did_you_mean
from molvis_files.documents import load_json
from molvis_files.opening import read_text
from molvis_flux.errors import MapError
from molvis_flux.maps.network_map import Curve, Limb, NetworkMap, Point, Pool, Track
from molvis_flux.model.matching import direction, matches
from molvis_flux.model.network import Network

_LETTER = 30.0
"""Size of letters on maps of Escher."""


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
        kept = {what: value for what, value in reaction.items() if what not in ("segments", "label_x", "label_y")}
        middle = _middle(given["nodes"], place, reaction)
        tracks.append(Track(name, name or str(reaction["bigg_id"]), limbs, label, sign, kept, middle))
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


def _middle(
    nodes: Mapping[str, Mapping[str, Any]], place: Mapping[str, Point], reaction: Mapping[str, Any]
) -> Point | None:
    ends = (str(segment[end]) for segment in reaction["segments"].values() for end in ("from_node_id", "to_node_id"))
    return next((place[key] for key in ends if nodes[key].get("node_type") == "midmarker"), None)


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
