"""Structures and formulas as markup whose colours the page chooses: see `molvis_core.html`."""

from __future__ import annotations

import functools
import re
from html import escape
from typing import Any

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import StructureError
from molvis_core.text import visible

_DRAWING = (240, 165)


def formula_html(formula: str) -> Any:
    """A formula as HTML: counts below the line, the charge above it."""
    from markupsafe import Markup

    parts = re.findall(r"\d+|[+-]+|[^\d+-]+", formula)
    tags = {True: "sub", False: "sup"}
    return Markup("").join(
        Markup("<{0}>{1}</{0}>").format(tags[p.isdigit()], p) if p.isdigit() or p[0] in "+-" else p for p in parts
    )


_COLOURS = {
    "#000000": "currentColor",
    "#0000FF": "var(--nitrogen)",
    "#FF0000": "var(--oxygen)",
    "#CCCC00": "var(--sulfur)",
    "#00CC00": "var(--halogen)",
    "#33CCCC": "var(--halogen)",
    "#FF7F00": "var(--phosphorus)",
    "#7F4C19": "var(--phosphorus)",
    "#A01EEF": "var(--iodine)",
}
"""RDKit's colours of elements, and how the page calls them, so that dark pages get lighter ones."""


@functools.lru_cache(maxsize=4096)
def draw_structure(smiles: str) -> str:
    """A structure as an SVG whose colours the page chooses; empty where RDKit refuses the SMILES."""
    from rdkit.Chem.Draw import rdMolDraw2D
    from rdkit.rdBase import BlockLogs

    try:
        mol = parse_smiles(smiles)
    except StructureError:
        return ""
    with BlockLogs():
        drawing = rdMolDraw2D.MolDraw2DSVG(*_DRAWING)
        options = drawing.drawOptions()
        options.clearBackground = False
        options.fixedBondLength = 22  # at most: small molecules are not blown up, large ones shrink to fit
        options.bondLineWidth = 1.3
        options.minFontSize = 9
        options.maxFontSize = 12
        options.padding = 0.02
        rdMolDraw2D.PrepareAndDrawMolecule(drawing, mol)
        drawing.FinishDrawing()
    svg = drawing.GetDrawingText()
    svg = svg[svg.index("<svg") :]
    body = re.sub(r"^<svg[^>]*>|</svg>\s*$|<!--.*?-->", "", svg, flags=re.DOTALL)
    body = re.sub(r" class='[^']*'", "", body)
    body = re.sub(r"fill='(#[0-9A-F]{6})'", r"style='fill:\1'", body)
    body = re.sub(r"#[0-9A-F]{6}", lambda m: _COLOURS.get(m.group(0), m.group(0)), body)
    # Attributes that repeat an SVG's defaults are half of the file.
    body = re.sub(r"(fill-rule:evenodd|(stroke|fill)-opacity:1|stroke-linecap:butt|stroke-linejoin:miter);", "", body)
    width, height = _DRAWING
    return (
        f'<svg class="structure" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(visible(smiles))}">{"".join(body.split(chr(10)))}</svg>'
    )
