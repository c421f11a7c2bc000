"""A map within a page: with buttons to make it larger, a field to find a reaction, and what is told on hovering.

The script is `fluxmap` of `molvis_files.web`, which the page of the service loads, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from molvis_core.html import render_page
from molvis_files.web import FOLDER, inlined
from molvis_flux.maps.svg import KEYS

_FRAME = (
    '<div class="flux-map" data-colours="{colours}">\n'
    '<div class="view" tabindex="0" role="region" aria-label="{label}">{svg}</div>\n</div>'
)

_PAGE = """{% extends "page.html" %}
{% block style %}main { max-width: 1500px; }
{{ style|safe }}{% endblock %}
{% block body %}<header><h1>{{ title }}</h1><p class="soft">{{ subtitle }}</p></header>
<section>{{ map|safe }}{% for line in notes %}<p class="small soft">{{ line }}</p>{% endfor %}</section>
<footer><p>molvis {{ version }}</p></footer>
{{ script|safe }}{% endblock %}
"""


def framed(svg: str, *, colours: Sequence[str] = ("verdict", "certainty"), label: str = "Flux map") -> str:
    """HTML of a map, for a page that has `style()` among its rules and `script()` at its end.

    Args:
        svg: of `molvis_flux.maps.svg.draw`.
        colours: what it was drawn with.
        label: for those who cannot see it.
    """
    assert set(colours) <= set(KEYS)
    return _FRAME.format(svg=svg, colours=" ".join(colours), label=escape(label))


def style() -> str:
    """Rules of a page with maps."""
    return FOLDER.joinpath("fluxframe.css").read_text(encoding="utf-8")


def script() -> str:
    """What gives the maps of a page their tools; it loads nothing. Without it they stand still."""
    start = 'document.querySelectorAll(".flux-map").forEach(fluxMap);'
    return f'<script type="module">\n{inlined("elements", "fluxmap")}{start}\n</script>'


def map_page(
    svg: str,
    *,
    title: str,
    subtitle: str = "",
    notes: Sequence[str] = (),
    colours: Sequence[str] = ("verdict", "certainty"),
) -> str:
    """A page with one map, which loads nothing."""
    return render_page(
        _PAGE, title=title, subtitle=subtitle, notes=list(notes), map=framed(svg, colours=colours, label=title),
        style=style(), script=script(),
    )  # fmt: skip
