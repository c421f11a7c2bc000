"""Structures as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molvis_core.errors import ConfigError
from molvis_core.progress import StageProgress
from molvis_files.routes import Option, Request, Route

COLOURS = {
    "light": {
        "currentColor": "#000000", "--nitrogen": "#2447d0", "--oxygen": "#c8201a", "--sulfur": "#8a7500",
        "--halogen": "#1c7c1c", "--phosphorus": "#b85c00", "--iodine": "#7a1fb5",
    },
    "dark": {
        "currentColor": "#e8e8e8", "--nitrogen": "#8ea6ff", "--oxygen": "#ff8a80", "--sulfur": "#e6d25a",
        "--halogen": "#7fd67f", "--phosphorus": "#ffb066", "--iodine": "#d59bff",
    },
}  # fmt: skip
"""Of elements, by theme; `page` leaves them to the page that holds the SVG."""
_MOST = 1000
_ATOMS = 300
"""Drawn: the time grows with their square, and nobody would see any."""


def depict(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """A structure as an SVG.

    Raises:
        molvis_core.errors.StructureError: the SMILES cannot be read.
        ConfigError: it has too many atoms to be drawn.
    """
    from molvis_core.chemistry.structures import parse_smiles
    from molvis_files.drawing import draw_structure

    atoms = parse_smiles(request.options["smiles"]).GetNumAtoms()
    if atoms > _ATOMS:
        raise ConfigError(f"a structure of {atoms} atoms is not drawn; at most {_ATOMS} are")
    svg = str(draw_structure(request.options["smiles"]))
    for name, colour in COLOURS.get(request.options["theme"], {}).items():
        svg = svg.replace(name if name == "currentColor" else f"var({name})", colour)
    progress(1, 1)
    return {"svg": svg}


ROUTE = Route(
    run=depict,
    options=(
        Option("smiles", "The structure, as SMILES.", most=_MOST, required=True),
        Option("theme", "Colours: `page` leaves them to the page.", default="light", choices=("light", "dark", "page")),
    ),
    quick=True,
)
