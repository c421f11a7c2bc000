"""Manifest of molvis-nmr-library."""

from __future__ import annotations

from molvis_core import Component, hookimpl

_PRESETS = {
    "metabolites": "All metabolites of the library.",
    "urine": "Metabolites that are common in urine.",
    "serum": "Metabolites that are common in serum and plasma.",
    "medium": "What media of cell cultures hold, and what cells give off.",
    "amino-acids": "The amino acids of proteins and some beside them.",
}


@hookimpl
def molvis_components() -> list[Component]:
    """The library and its presets."""
    return [
        Component(
            kind="spin-library",
            name=name,
            target=f"molvis_nmr_library:{name.upper().replace('-', '_')}",
            summary=summary,
            cite="10.1021/acs.analchem.7b02884",
        )
        for name, summary in _PRESETS.items()
    ]
