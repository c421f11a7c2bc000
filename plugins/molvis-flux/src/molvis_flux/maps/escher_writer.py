"""Maps of Escher, written: of our own layout, or of a map that was read, which keeps its places.

King et al., PLoS Computational Biology 11 (2015) e1004321, doi:10.1371/journal.pcbi.1004321. The files are JSON after
the schema that Escher names in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from molvis_flux.maps.network_map import NetworkMap, Point, Pool, Track
from molvis_flux.model.network import Network

SCHEMA = "https://escher.github.io/escher/jsonschema/1-0-0#"
_WIDER, _TALLER = 4.2, 3.0
"""Maps of Escher have letters of about 30 units, ours of 10; and a reaction's name and flux stand in one line there."""
_APART = 12.0
_MARGIN = 40.0


@dataclass(slots=True)
class _Sheet:
    """The map while it is written; `wider` and `taller` than it stands in memory."""

    wider: float
    taller: float
    nodes: dict[str, dict[str, object]] = field(default_factory=dict)
    count: int = 0

    def key(self) -> str:
        self.count += 1
        return str(self.count)

    def marker(self, at: Point, kind: str = "multimarker") -> str:
        key = self.key()
        self.nodes[key] = {"node_type": kind, **self.point(at)}
        return key

    def point(self, at: Point) -> dict[str, float]:
        return {"x": self.x(at[0]), "y": self.y(at[1])}

    def label(self, at: Point) -> dict[str, float]:
        return {"label_x": self.x(at[0]), "label_y": self.y(at[1])}

    def x(self, value: float) -> float:
        return round(self.wider * value, 2)

    def y(self, value: float) -> float:
        return round(self.taller * value, 2)

    def segment(self, a: str, b: str, bends: Sequence[Point] | None) -> dict[str, object]:
        points = [None, None] if bends is None else [self.point(bend) for bend in bends]
        return {"from_node_id": a, "to_node_id": b, "b1": points[0], "b2": points[1]}


def escher_json(chart: NetworkMap, network: Network) -> list[dict[str, object]]:
    """A map as Escher reads it: a head and a map, ready for `json.dumps`.

    On a map of our own, reactions and metabolites have the network's names as `bigg_id`, and a reaction lists all of
    its metabolites; those that the map leaves out have no node. A map that was read keeps its places and names.
    """
    own = all(track.given is None for track in chart.tracks)
    sheet = _Sheet(_WIDER, _TALLER) if own else _Sheet(1.0, 1.0)
    keys: dict[str, str] = {}
    for pool in chart.pools:
        if pool.role == "open":
            continue
        keys[pool.key] = key = sheet.key()
        sheet.nodes[key] = _metabolite(sheet, pool, own)
    reactions = {
        sheet.key(): _laid_out(sheet, track, network, keys) if track.given is None else _as_read(sheet, track, keys)
        for track in chart.tracks
    }
    texts = {sheet.key(): {**sheet.point(at), "text": text} for at, text in chart.texts}
    head: dict[str, object] = {
        "map_name": (network.name if own else chart.name) or "network", "map_id": "",
        "map_description": "Laid out by molvis." if own else "Read and written by molvis.",
        "homepage": "https://escher.github.io", "schema": SCHEMA,
    }  # fmt: skip
    margin = _MARGIN if own else 0.0
    canvas = {
        **sheet.point((chart.corner[0] - margin, chart.corner[1] - margin)),
        "width": sheet.x(chart.size[0] + 2 * margin), "height": sheet.y(chart.size[1] + 2 * margin),
    }  # fmt: skip
    return [head, {"reactions": reactions, "nodes": sheet.nodes, "text_labels": texts, "canvas": canvas}]


def _metabolite(sheet: _Sheet, pool: Pool, own: bool) -> dict[str, object]:
    label = (pool.at[0] + 9, pool.at[1] + 3) if own or pool.label is None else pool.label
    return {
        "node_type": "metabolite", **sheet.point(pool.at), "bigg_id": pool.name, "name": pool.name,
        **sheet.label(label), "node_is_primary": pool.main,
    }  # fmt: skip


def _laid_out(sheet: _Sheet, track: Track, network: Network, keys: Mapping[str, str]) -> dict[str, object]:
    """A reaction: a marker in its middle, one on the way to each side, and from there to the metabolites."""
    reaction = network.reactions[track.reaction]
    segments: dict[str, dict[str, object]] = {}
    middle = track.limbs[0].curve[0]
    center = sheet.marker(middle, "midmarker")
    for side in (-1, 1):
        limbs = [limb for limb in track.limbs if limb.side == side]
        downwards = sum(limb.curve[3][1] - middle[1] for limb in limbs) >= 0
        fork = sheet.marker((middle[0], middle[1] + (_APART if downwards else -_APART) * 0.5))
        segments[sheet.key()] = sheet.segment(center, fork, None)
        for limb in limbs:
            if limb.pool not in keys:
                continue
            at, pieces = fork, [limb.curve[i : i + 4] for i in range(0, len(limb.curve) - 1, 3)]
            for i, piece in enumerate(pieces):
                end = keys[limb.pool] if i == len(pieces) - 1 else sheet.marker(piece[3])
                segments[sheet.key()] = sheet.segment(at, end, piece[1:3])
                at = end
    return {
        "name": track.reaction, "bigg_id": track.reaction, "reversibility": reaction.reversible,
        **sheet.label(track.label), "gene_reaction_rule": "", "genes": [],
        "metabolites": [
            {"bigg_id": name, "coefficient": value} for name, value in _stoichiometry(network, track.reaction).items()
        ],
        "segments": segments,
    }  # fmt: skip


def _as_read(sheet: _Sheet, track: Track, keys: Mapping[str, str]) -> dict[str, object]:
    """A reaction of a map of Escher, curve by curve; curves that meet have a marker there."""
    met = dict.fromkeys(limb.curve[i] for limb in track.limbs for i in ((0,) if limb.pool else (0, -1)))
    markers = {at: sheet.marker(at, "midmarker" if at == track.middle else "multimarker") for at in met}
    segments = {
        sheet.key(): sheet.segment(
            markers[limb.curve[0]], keys[limb.pool] if limb.pool else markers[limb.curve[-1]], limb.curve[1:3]
        )
        for limb in track.limbs
    }
    return {**(track.given or {}), **sheet.label(track.label), "segments": segments}


def _stoichiometry(network: Network, name: str) -> dict[str, float]:
    reaction, out = network.reactions[name], dict[str, float]()
    for sign, side in ((-1.0, reaction.substrates), (1.0, reaction.products)):
        for part in side:
            out[part.metabolite] = out.get(part.metabolite, 0.0) + sign * part.coefficient
    return out
