"""A map within a page: with buttons to make it larger, a field to find a reaction, and what is told on hovering."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources

from molvis_core.html import render_page
from molvis_flux.maps.svg import KEYS

_TOOLS = """<div class="flux-map">
<div class="tools" hidden>
<button type="button" data-zoom="1.25" aria-label="larger">+</button>
<button type="button" data-zoom="0.8" aria-label="smaller">&minus;</button>
<button type="button" data-zoom="0">whole width</button>
{colours}<label>find <input type="search" size="12"></label>
<span class="soft small">Point at an arrow, or reach it with Tab. Drag to move; Ctrl and the wheel zoom.</span>
</div>
<div class="view" tabindex="0" role="region" aria-label="{label}">{svg}</div>
<div class="tip" role="status" hidden></div>
</div>"""

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
    options = "".join(f"<option>{name}</option>" for name in colours)
    choice = f"<label>colour <select>{options}</select></label>\n" if len(colours) > 1 else ""
    return _TOOLS.format(svg=svg, colours=choice, label=escape(label))


def style() -> str:
    """Rules of a page with maps."""
    return _template("map_frame.css")


def script() -> str:
    """What makes the maps of a page move; it loads nothing."""
    return f"<script>\n{_template('map.js')}</script>"


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


def _template(name: str) -> str:
    return resources.files("molvis_flux").joinpath("templates", name).read_text(encoding="utf-8")
