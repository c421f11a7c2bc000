"""Manifest of molvis-nmr-shifts."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its readers and writer, encoder, predictor and scorer."""
    return [
        Component(
            kind="modality",
            name="nmr-shifts",
            target="molvis_nmr_shifts.modality:NMR_SHIFTS",
            summary="Lists of chemical shifts: 13C, 1H and others, and cross peaks of two axes.",
        ),
        Component(
            kind="encoder",
            name="shift-set",
            target="molvis_nmr_shifts.encoder:ShiftSet",
            summary="Waves of each shift of a list through a network, pooled by attention.",
        ),
        Component(
            kind="predictor",
            name="shift-predictor",
            target="molvis_nmr_shifts.predictor:ShiftPredictor",
            summary="13C and 1H shifts of structures, by a graph network.",
        ),
        Component(
            kind="scorer",
            name="shift-matching",
            target="molvis_nmr_shifts.scorer:ShiftMatching",
            summary="Likelihood of a list of shifts under the shifts predicted for the candidate.",
            modality="nmr-shifts",
        ),
        _reader(
            "nmr-experimental", "experimental:read_experimental",
            "Shifts in running text, as in the experimental section of a paper.", "experimental:is_experimental",
            ".txt", ".md",
        ),
        _reader(
            "nmr-shift-text", "table:read_shift_text", "Tables of shifts with a header, and plain lists of them.",
            "table:is_shift_text", ".txt", ".csv", ".tsv",
        ),
        _reader(
            "nmredata", "nmredata:read_nmredata", "NMReDATA: SDF files with shifts and their assignment.",
            "nmredata:is_nmredata", ".sdf", ".nmredata", cite="10.1002/mrc.4737",
        ),
        _reader(
            "nmr-peak-table", "jcamp:read_peak_table", "Tables of NMR peaks in JCAMP-DX files.", "jcamp:is_peak_table",
            ".jdx", ".dx", ".jcamp", cite="10.1366/0003702934067874",
        ),
        _reader(
            "nmrml-peaks", "nmrml:read_nmrml", "Peaks and multiplets of nmrML files.", "nmrml:is_nmrml_with_peaks",
            ".nmrml", cite="10.1021/acs.analchem.7b02795",
        ),
        _reader(
            "nmr-shift-parquet", "parquet:read_parquet", "Tables of shift lists as Parquet.", "parquet:is_shift_table",
            ".parquet",
        ),
        Component(
            kind="writer",
            name="nmredata",
            target="molvis_nmr_shifts.writers:write_nmredata",
            summary="NMReDATA: SDF files with shifts and their assignment.",
            modality="nmr-shifts",
            suffixes=(".sdf", ".nmredata"),
            cite="10.1002/mrc.4737",
        ),
    ]  # fmt: skip


def _reader(name: str, target: str, summary: str, recognises: str, *suffixes: str, cite: str = "") -> Component:
    return Component(
        kind="reader",
        name=name,
        target=f"molvis_nmr_shifts.readers.{target}",
        summary=summary,
        modality="nmr-shifts",
        suffixes=suffixes,
        recognises=f"molvis_nmr_shifts.readers.{recognises}",
        cite=cite,
    )
