"""Figures that turn dark with the page around them: rules for a reader who prefers that, within the SVG itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from colorsys import hls_to_rgb, rgb_to_hls

__all__ = ["for_dark_pages"]

_PAPER, _INK = (0x1C, 0x20, 0x27), (0xE6, 0xE9, 0xEE)
"""White and black become these, which are those of molvis' pages."""
_GREY = 0.1
_BRIGHT = 0.62


def for_dark_pages(svg: str) -> str:
    """A figure of matplotlib with other colours on a dark screen, and as it is on paper and in programs that draw.

    Greys keep their order between ink and paper, and colours their hue. The rules ask what the reader prefers
    (`prefers-color-scheme`), which a browser also tells an SVG that a page shows as an image.
    """
    rules = [f"svg.turns{{fill:{_hex(_INK)}}}"]
    for name, colour in sorted(set(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", svg))):
        rules.append(f'svg.turns [style*="{name}: {colour}"]{{{name}:{_turned(colour)}!important}}')
    style = f"<style>@media screen and (prefers-color-scheme: dark){{{''.join(rules)}}}</style>"
    return re.sub(r"(<svg )([^>]*>)", lambda found: f'{found[1]}class="turns" {found[2]}{style}', svg, count=1)


def _turned(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, light, _ = rgb_to_hls(red, green, blue)
    if max(red, green, blue) - min(red, green, blue) > _GREY:
        return _hex(round(255 * x) for x in hls_to_rgb(hue, max(light, _BRIGHT), 0.6))
    return _hex(round(ink + light * (paper - ink)) for ink, paper in zip(_INK, _PAPER, strict=True))


def _hex(channels: Iterable[int]) -> str:
    return "#" + "".join(f"{x:02x}" for x in channels)
