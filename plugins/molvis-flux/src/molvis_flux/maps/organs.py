"""Organs as boxes beside the blood, and what they take from it and give to it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from molvis_core.text import in_page
from molvis_files.web import FOLDER
from molvis_flux.fit.organs import Exchange
from molvis_flux.maps.flows import number
from molvis_flux.maps.layout import LETTER
from molvis_flux.maps.svg import THIN, WIDE

_ROW, _HEAD, _BOX, _ARROW, _BLOOD, _GAP = 34.0, 30.0, 130.0, 150.0, 70.0, 26.0
_NAMES = 88.0
OUTSIDE = "outside"


def draw_organs(organs: Sequence[str], found: Sequence[Exchange], *, level: float, title: str = "") -> str:
    """An SVG: blood in the middle, organs on both sides of it, an arrow for each pool that they exchange.

    Widths are net fluxes. Broken arrows have an interval that holds 0: their direction is not known.

    Args:
        organs: their names.
        found: what they exchange.
        level: of the intervals.
        title: for those who cannot see it.
    """
    largest = max((abs(one.value) for one in found), default=0.0) or 1.0
    boxes = [(organ or OUTSIDE, [one for one in found if one.organ == organ]) for organ in (*organs, "")]
    boxes = [(name, sorted(some, key=lambda one: -abs(one.value))) for name, some in boxes if some]
    sides: tuple[list[str], list[str]] = ([], [])
    heights = [0.0, 0.0]
    for name, some in sorted(boxes, key=lambda box: -len(box[1])):
        side = int(heights[1] < heights[0])
        sides[side].append(_box(name, some, side, heights[side], largest, level))
        heights[side] += _HEAD + _ROW * len(some) + _GAP
    height, width = max(*heights, 60.0), 2 * (_BOX + _ARROW) + _BLOOD
    x = _BOX + _ARROW
    blood = (
        f'<rect class="blood" x="{x:g}" y="0" width="{_BLOOD:g}" height="{height - _GAP:g}" rx="12"/>'
        f'<text class="heading middle" x="{x + _BLOOD / 2:g}" y="-8">blood</text>'
    )
    key = (
        f'<text class="note" x="0" y="{height + 4:g}">Widths: net flux, the largest {number(largest)}. '
        f"Broken: the {level:.0%} interval holds 0.</text>"
    )
    style = FOLDER.joinpath("fluxmap.css").read_text(encoding="utf-8")
    said = title or f"{len(boxes)} organs and what they exchange"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fluxmap by-verdict" role="group" aria-label="{_text(said)}" '
        f'viewBox="-12 -30 {width + 24:g} {height + 46:g}" width="{width + 24:g}" height="{height + 46:g}" '
        f'font-size="10" stroke-width="1"><style>{style}</style>\n{blood}\n'
        + "\n".join((*sides[0], *sides[1], key))
        + "\n</svg>\n"
    )


def _text(said: str) -> str:
    return escape(str(in_page(said)))


def _box(name: str, some: Sequence[Exchange], side: int, top: float, largest: float, level: float) -> str:
    """One organ: its box, a row for each pool, and the arrows of these to the blood."""
    x = 0.0 if side == 0 else _BOX + 2 * _ARROW + _BLOOD
    height = _HEAD + _ROW * len(some)
    parts = [
        f'<rect class="organ" x="{x:g}" y="{top:g}" width="{_BOX:g}" height="{height:g}" rx="10"/>',
        f'<text class="heading" x="{x + 10:g}" y="{top + 19:g}">{_text(name)}</text>',
    ]
    for i, one in enumerate(some):
        parts.append(_arrow(one, side, top + _HEAD + _ROW * (i + 0.5), largest, level))
    return "\n".join(parts)


def _arrow(one: Exchange, side: int, y: float, largest: float, level: float) -> str:
    inner, outer = (_BOX, _BOX + _ARROW) if side == 0 else (_BOX + 2 * _ARROW + _BLOOD, _BOX + _ARROW + _BLOOD)
    # What the outside gives flows out of its box; what an organ takes up flows into it.
    into_box = (one.value > 0) == bool(one.organ)
    start, end = (outer, inner) if into_box else (inner, outer)
    width = THIN + (WIDE - THIN) * abs(one.value) / largest
    way = 1.0 if end > start else -1.0
    back = end - way * (6 + 0.9 * width)
    half = 3 + 0.85 * width
    ends = (one.low, one.high) if one.value >= 0 else (-one.high, -one.low)
    reach = f"{number(ends[0])} to {number(ends[1])}"
    what = ("uptake" if one.value >= 0 else "release") if one.organ else ("gain" if one.value >= 0 else "loss")
    told = "\n".join([
        f"{one.organ or OUTSIDE}: {one.pool}", f"{what} {number(abs(one.value))}, {level:.0%} {reach}",
        "reactions: " + ", ".join(f"{'' if sign > 0 else '−'}{name}" for name, sign in one.reactions),
    ])  # fmt: skip
    label_x = min(inner, outer) + 10
    box_x = inner - 10 if side == 0 else inner + 10
    letters = int(_NAMES / LETTER) + 4
    shown = one.pool if len(one.pool) <= letters else one.pool[: letters - 1] + "…"
    return (
        f'<g class="flow {"identifiable" if one.known else "unseen"}" tabindex="0" data-name="{_text(one.pool)}">'
        f"<title>{_text(told)}</title>"
        f'<path class="reach" d="M{start:.1f} {y:.1f}H{end:.1f}" stroke-width="{width + 8:.2f}"/>'
        f'<path class="line" d="M{start:.1f} {y:.1f}H{back:.1f}" stroke-width="{width:.2f}"/>'
        f'<path class="head" d="M{end:.1f} {y:.1f}L{back:.1f} {y - half:.1f}V{y + half:.1f}Z"/></g>'
        f'<text class="name{" end" if side == 0 else ""}" x="{box_x:.1f}" y="{y + 3.5:.1f}">{_text(shown)}</text>'
        f'<text class="size" x="{label_x:.1f}" y="{y - width / 2 - 3:.1f}">{number(abs(one.value))}'
        f'<tspan class="note"> ({reach})</tspan></text>'
    )
