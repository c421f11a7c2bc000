"""A map with fluxes as SVG that needs nothing else, light or dark with what shows it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from html import escape

from molvis_core.text import in_page
from molvis_files.web import FOLDER
from molvis_flux.maps.flows import Flow
from molvis_flux.maps.layout import HALF, LETTER, clipped
from molvis_flux.maps.network_map import Curve, NetworkMap, Point, Pool, Track

THIN, WIDE = 1.2, 11.0
"""Widths of arrows, for letters of size 10."""
KEYS = {
    "verdict": (("identifiable", "identifiable"), ("bounded", "bounded"), ("unseen", "not identifiable"),
                ("fixed", "fixed by the network")),
    "certainty": (("sure0", "within 5%"), ("sure1", "15%"), ("sure2", "50%"), ("sure3", "100%"), ("sure4", "more")),
    "change": (("more", "more"), ("less", "less"), ("turned", "turned round"), ("same", "not told apart"),
               ("unseen", "not comparable")),
}  # fmt: skip
_NONE = Flow(None, "", ("absent",), ())
_MOST_LINES = 4


def draw(
    chart: NetworkMap,
    flows: Mapping[str, Flow],
    *,
    colours: tuple[str, ...] = ("verdict", "certainty"),
    shown: str = "",
    title: str = "",
) -> str:
    """An SVG of a map. Reactions that have no flow are drawn thin.

    Args:
        chart: where everything stands.
        flows: by reaction.
        colours: which keys of colours there are, of `KEYS`; a page can change between them.
        shown: the key at first; the first where none is given.
        title: for those who cannot see it.
    """
    unit = chart.unit / 10.0
    largest = max((abs(f.value) for f in flows.values() if f.value is not None and f.counts), default=0.0)
    if not largest:
        largest = max((abs(f.value) for f in flows.values() if f.value is not None), default=0.0)
    parts = [_track(track, flows.get(track.reaction, _NONE), largest, unit, chart) for track in chart.tracks]
    boxes = [_pool(pool, unit) for pool in chart.pools]
    labels = [_label(track, flows.get(track.reaction, _NONE), unit) for track in chart.tracks]
    texts = [f'<text class="note" x="{x:.1f}" y="{y:.1f}">{_text(said)}</text>' for (x, y), said in chart.texts]
    width = max(chart.size[0], 520.0 * unit, *(_key_width(name, largest) * unit for name in colours))
    foot = list(_foot(chart, flows, width, unit))
    (left, top), margin = chart.corner, 12 * unit
    head = 26 * unit
    x0, y0 = left - margin, top - margin - head
    w, h = width + 2 * margin, chart.size[1] + 2 * margin + head + 15 * unit * len(foot)
    under = top + chart.size[1] + margin
    words = [
        f'<text class="note" x="{left:.1f}" y="{under + 15 * unit * (i + 0.5):.1f}">{_text(line)}</text>'
        for i, line in enumerate(foot)
    ]
    style = FOLDER.joinpath("fluxmap.css").read_text(encoding="utf-8")
    said = title or f"Map of {chart.name or 'a network'}: {len(chart.tracks)} reactions, {len(chart.pools)} metabolites"
    body = "\n".join([*_key(colours, largest, left, y0 + 0.6 * head, unit), *parts, *labels, *boxes, *texts, *words])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fluxmap by-{shown or colours[0]}" role="group" '
        f'aria-label="{_text(said)}" viewBox="{x0:.1f} {y0:.1f} {w:.1f} {h:.1f}" '
        f'width="{w / unit:.0f}" height="{h / unit:.0f}" font-size="{chart.unit:.3g}" stroke-width="{unit:.3g}">'
        f"<style>{style}</style>\n{body}\n</svg>\n"
    )


def _text(said: str) -> str:
    return escape(str(in_page(said)))


def _track(track: Track, flow: Flow, largest: float, unit: float, chart: NetworkMap) -> str:
    """A reaction: its arrows, and a broad invisible one to point at."""
    value = 0.0 if flow.value is None else flow.value * track.sign
    share = min(abs(value) / largest, 1.0) if largest else 0.0
    still = share < 1e-6
    width = (THIN + (WIDE - THIN) * share) * unit
    dots = {pool.key: pool for pool in chart.pools if pool.label is not None}
    lines: list[str] = []
    heads: list[str] = []
    for limb in track.limbs:
        curve = limb.curve
        if limb.side and not still and (value > 0) == (limb.side > 0):
            dot = dots.get(limb.pool)
            inset = 0.0 if dot is None else (6.0 if dot.main else 4.0) * unit
            curve, tip, back = _cut(curve, inset, min(6 * unit + 0.9 * width, 0.6 * _length(curve)))
            heads.append(_head(tip, back, 3 * unit + 0.85 * width))
        lines.append(_path(curve))
    d, styles = "".join(lines), " ".join(["flow", *flow.styles, *(["still"] if still else [])])
    told = "\n".join(flow.told) or f"{track.shown}\nnot a reaction of the network"
    name = _text(track.reaction or track.shown)
    return (
        f'<g class="{styles}" tabindex="0" data-name="{name}"><title>{_text(told)}</title>'
        f'<path class="reach" d="{d}" stroke-width="{width + 8 * unit:.2f}"/>'
        f'<path class="line" d="{d}" stroke-width="{width:.2f}"/>'
        + (f'<path class="head" d="{"".join(heads)}"/>' if heads else "")
        + "</g>"
    )


def _label(track: Track, flow: Flow, unit: float) -> str:
    x, y = track.label
    first, second = (y - 1.5 * unit, y + 9.5 * unit) if flow.text else (y + 3.5 * unit, 0.0)
    name = f'<text class="name" x="{x:.1f}" y="{first:.1f}">{_text(clipped(track.shown))}</text>'
    size = f'<text class="size" x="{x:.1f}" y="{second:.1f}">{_text(flow.text)}</text>' if flow.text else ""
    return name + size


def _pool(pool: Pool, unit: float) -> str:
    (x, y), name = pool.at, clipped(pool.name)
    if pool.role == "open":
        return ""
    styles = f"pool {pool.role}{'' if pool.main else ' apart'}"
    if pool.label is None:
        w = 2 * pool.half
        return (
            f'<g class="{styles}"><rect x="{x - w / 2:.1f}" y="{y - HALF:.1f}" width="{w:.1f}" height="{2 * HALF:g}" '
            f'rx="6"/><text x="{x:.1f}" y="{y + 3.6:.1f}">{_text(name)}</text></g>'
        )
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{(5.0 if pool.main else 3.2) * unit:.1f}"/>'
    words = f'<text class="beside" x="{pool.label[0]:.1f}" y="{pool.label[1]:.1f}">{_text(pool.name)}</text>'
    return f'<g class="{styles}">{dot}{words}</g>'


def _key(colours: tuple[str, ...], largest: float, left: float, y: float, unit: float) -> Iterator[str]:
    """What colours and widths mean."""
    for name in colours:
        x, parts = left, list[str]()
        for style, said in KEYS[name]:
            parts.append(
                f'<g class="flow {style}"><path class="line" d="M{x:.1f} {y:.1f}h{20 * unit:.1f}" '
                f'stroke-width="{5 * unit:.1f}"/></g><text class="note" x="{x + 25 * unit:.1f}" '
                f'y="{y + 3.5 * unit:.1f}">{said}</text>'
            )
            x += _room(said) * unit
        if largest:
            parts.append(
                f'<g class="flow scale"><path class="line" d="M{x + 6 * unit:.1f} {y:.1f}h{20 * unit:.1f}" '
                f'stroke-width="{WIDE * unit:.1f}"/></g><text class="note" x="{x + 36 * unit:.1f}" '
                f'y="{y + 3.5 * unit:.1f}">{_scale(largest)}</text>'
            )
        yield f'<g class="key {name}">{"".join(parts)}</g>'


def _key_width(name: str, largest: float) -> float:
    """Of a key of colours, for letters of size 10."""
    scale = 36 + LETTER * len(_scale(largest)) if largest else 0.0
    return sum(_room(said) for _, said in KEYS[name]) + scale


def _room(said: str) -> float:
    return LETTER * len(said) + 38


def _scale(largest: float) -> str:
    return f"a flux of {largest:.3g}"


def _foot(chart: NetworkMap, flows: Mapping[str, Flow], width: float, unit: float) -> Iterator[str]:
    """What is not on the map, in lines."""
    said: list[str] = []
    if chart.missing:
        each = [" ".join(filter(None, [n, flows[n].text if n in flows else ""])) for n in chart.missing]
        said.append(f"Not on the map: {'; '.join(each)}.")
    if chart.foreign:
        said.append(f"Not in the network: {', '.join(chart.foreign)}.")
    for text in said:
        yield from textwrap.wrap(
            text, max(int(width / (0.55 * 10 * unit)), 40), max_lines=_MOST_LINES, placeholder=" ..."
        )


def _path(curve: Curve) -> str:
    out = f"M{curve[0][0]:.1f} {curve[0][1]:.1f}"
    for i in range(1, len(curve), 3):
        out += "C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in curve[i : i + 3])
    return out


def _length(curve: Curve) -> float:
    return sum(math.dist(a, b) for a, b in zip(curve[:-1:3], curve[3::3], strict=False))


def _cut(curve: Curve, inset: float, head: float) -> tuple[Curve, Point, Point]:
    """A curve that ends where its arrow's head begins; the tip, and the middle of the head's back.

    Walks back along the curve from its end: `inset` to the tip, `head` further to the back.
    """
    end, points = curve[-1], list(curve)
    tip: Point | None = None if inset > 0 else end
    while len(points) >= 4:
        a, b, c, d = points[-4:]
        for step in range(24, -1, -1):
            t = step / 24
            here = _bezier((a, b, c, d), t)
            far = math.dist(here, end)
            if tip is None and far >= inset:
                tip = here
            if far >= inset + head:
                return (*points[:-4], *_upto((a, b, c, d), t)), tip or end, here
        if len(points) == 4:
            break
        del points[-3:]
    return curve[:1] + (curve[0],) * 3, tip or end, curve[0]


def _bezier(four: tuple[Point, Point, Point, Point], t: float) -> Point:
    a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
    return (
        a * four[0][0] + b * four[1][0] + c * four[2][0] + d * four[3][0],
        a * four[0][1] + b * four[1][1] + c * four[2][1] + d * four[3][1],
    )


def _upto(four: tuple[Point, Point, Point, Point], t: float) -> Curve:
    """The first part of a cubic, by de Casteljau's construction."""

    def between(p: Point, q: Point) -> Point:
        return p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])

    ab, bc, cd = between(four[0], four[1]), between(four[1], four[2]), between(four[2], four[3])
    abc, bcd = between(ab, bc), between(bc, cd)
    return four[0], ab, abc, between(abc, bcd)


def _head(tip: Point, back: Point, half: float) -> str:
    size = math.dist(tip, back) or 1.0
    ux, uy = (tip[0] - back[0]) / size, (tip[1] - back[1]) / size
    left = back[0] - uy * half, back[1] + ux * half
    right = back[0] + uy * half, back[1] - ux * half
    return f"M{tip[0]:.1f} {tip[1]:.1f}L{left[0]:.1f} {left[1]:.1f}L{right[0]:.1f} {right[1]:.1f}Z"
