"""Structures and formulas as markup whose colours the page chooses: see `molvis_core.html`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
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
    return _as_svg(smiles, _drawn(smiles)[0])


def draw_with_halos(smiles: str, halos: Mapping[str, Sequence[int]]) -> str:
    """A structure with sets of its atoms behind it, each a group of the class `halo` and its own, which a page shows.

    Args:
        smiles: of the structure.
        halos: atoms by the class of their group.
    """
    body, places, bonds = _drawn(smiles)
    groups: list[str] = []
    for name, atoms in halos.items() if places else ():
        inside = set(atoms)
        ends = [(a, b) for a, b in bonds if a in inside and b in inside]
        alone = inside - {a for pair in ends for a in pair}
        lines = "".join(
            f"M{places[a][0]:.1f} {places[a][1]:.1f}L{places[b][0]:.1f} {places[b][1]:.1f}" for a, b in ends
        )
        # A line of no length with round ends is a disc.
        lines += "".join(f"M{places[a][0]:.1f} {places[a][1]:.1f}h.01" for a in sorted(alone) if a < len(places))
        groups.append(f'<g class="halo {escape(name)}"><path d="{lines}"/></g>')
    return _as_svg(smiles, "".join(groups) + body)


def _as_svg(smiles: str, body: str) -> str:
    width, height = _DRAWING
    return body and (
        f'<svg class="structure" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(visible(smiles))}">{body}</svg>'
    )


@functools.lru_cache(maxsize=1024)
def _drawn(smiles: str) -> tuple[str, tuple[tuple[float, float], ...], tuple[tuple[int, int], ...]]:
    """What is in the SVG of a structure, where its atoms are, and its bonds; nothing where RDKit refuses the SMILES."""
    from rdkit.Chem.Draw import rdMolDraw2D
    from rdkit.rdBase import BlockLogs

    try:
        mol = parse_smiles(smiles)
    except StructureError:
        return "", (), ()
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
        points = [drawing.GetDrawCoords(i) for i in range(mol.GetNumAtoms())]
    svg = drawing.GetDrawingText()
    svg = svg[svg.index("<svg") :]
    body = re.sub(r"^<svg[^>]*>|</svg>\s*$|<!--.*?-->", "", svg, flags=re.DOTALL)
    body = re.sub(r" class='[^']*'", "", body)
    body = re.sub(r"fill='(#[0-9A-F]{6})'", r"style='fill:\1'", body)
    body = re.sub(r"#[0-9A-F]{6}", lambda m: _COLOURS.get(m.group(0), m.group(0)), body)
    # Attributes that repeat an SVG's defaults are half of the file.
    body = re.sub(r"(fill-rule:evenodd|(stroke|fill)-opacity:1|stroke-linecap:butt|stroke-linejoin:miter);", "", body)
    places = tuple((float(p.x), float(p.y)) for p in points)
    bonds = tuple((b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds())
    return "".join(body.split("\n")), places, bonds
