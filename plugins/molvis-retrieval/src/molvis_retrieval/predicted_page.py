"""Predicted spectra as one HTML page, measured ones below them where there are any. It loads nothing from elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from molvis_core.errors import ConfigError
from molvis_core.html import render_page
from molvis_core.records import Measurement, PeakList
from molvis_files.drawing import draw_structure
from molvis_files.spectrum_drawing import spectrum_style
from molvis_files.writing import write_text
from molvis_retrieval.drawing import draw_record
from molvis_retrieval.references import Reference, Spectrum

__all__ = ["render_predicted", "write_predicted"]


def write_predicted(path: Path, found: Sequence[Measurement], measured: Reference | None = None) -> None:
    """Write `render_predicted`, whole or not at all.

    Raises:
        ConfigError: there is nothing that can be drawn.
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    write_text(path, render_predicted(found, measured))


def render_predicted(
    found: Sequence[Measurement], measured: Reference | None = None, *, date: dt.datetime | None = None
) -> str:
    """Predicted records as a page.

    Args:
        found: records with their structures, as `molvis_retrieval.predicting.predict_records` returns them.
        measured: finds the measured spectrum of a structure that is drawn below the predicted one, upside down.
        date: to print; now, if none is given.

    Raises:
        ConfigError: there is nothing that can be drawn.
    """
    sections = []
    for one in found:
        below = None
        if measured is not None and one.structure is not None and isinstance(one.record, PeakList):
            below = measured(one.structure, one.record)
        picture = draw_record(one.record, modality=one.modality, reference=below, label=_label(below))
        if picture is not None:
            sections.append((one.name, draw_structure(one.structure.smiles) if one.structure else "", picture))
    if not sections:
        raise ConfigError("nothing that was predicted can be drawn: a page shows spectra and traces")
    template = resources.files("molvis_retrieval").joinpath("templates", "predicted.html")
    return render_page(
        template.read_text(encoding="utf-8"),
        title="Predicted spectra",
        spectrum_style=spectrum_style(),
        sections=sections,
        mirrored=measured is not None,
        date=(date or dt.datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M"),
    )


def _label(measured: Spectrum | None) -> str:
    """What is drawn below: its energy may be another than was predicted for."""
    energy = measured.collision_energy if isinstance(measured, PeakList) else None
    return "measured" if energy is None else f"measured at {energy:.3g} eV"
