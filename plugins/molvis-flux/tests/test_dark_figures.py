"""Figures turn dark with the page around them, and stay as they are on paper."""

from __future__ import annotations

import re

from matplotlib.figure import Figure

from molvis_flux.report.dark import for_dark_pages
from molvis_flux.report.figures import _svg

PICTURE = (
    '<?xml version="1.0"?>\n<svg width="10">\n<path style="fill: #ffffff"/><path style="stroke: #000000"/>'
    '<path style="fill: #1f6f8b; stroke: #808080"/></svg>'
)


def rules(svg: str) -> dict[tuple[str, str], str]:
    found = re.findall(r'\[style\*="(fill|stroke): (#\w+)"\]\{\1:(#\w+)!important\}', svg)
    return {(name, before): after for name, before, after in found}


def brightness(colour: str) -> int:
    return sum(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def test_paper_becomes_dark_ink_light_and_a_colour_lighter() -> None:
    turned = rules(for_dark_pages(PICTURE))
    assert set(turned) == {("fill", "#ffffff"), ("stroke", "#000000"), ("fill", "#1f6f8b"), ("stroke", "#808080")}
    paper, ink = turned["fill", "#ffffff"], turned["stroke", "#000000"]
    assert brightness(paper) < 130 < 600 < brightness(ink)
    assert brightness(paper) < brightness(turned["stroke", "#808080"]) < brightness(ink)
    blue = turned["fill", "#1f6f8b"]
    assert brightness(blue) > brightness("#1f6f8b")
    assert int(blue[5:], 16) > int(blue[3:5], 16) > int(blue[1:3], 16), "its hue stays"


def test_the_rules_hold_within_this_figure_on_a_dark_screen_only() -> None:
    svg = for_dark_pages(PICTURE)
    assert svg.count("<style>") == 1
    assert "@media screen and (prefers-color-scheme: dark){" in svg
    assert svg.count("svg.turns") == 1 + len(rules(svg))
    assert (
        svg.replace(svg[svg.index("<style>") : svg.index("</style>") + 8], "").replace('class="turns" ', "") == PICTURE
    )


def test_every_colour_of_a_figure_has_its_rule() -> None:
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().bar([1, 2], [1, 2], color="#c9d7dd", edgecolor="#b3432b")
    svg = _svg(figure)
    drawn = set(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", svg[svg.index("</style>") :]))
    assert ("fill", "#c9d7dd") in drawn
    assert drawn <= set(rules(svg))
