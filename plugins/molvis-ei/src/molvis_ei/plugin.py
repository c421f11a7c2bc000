"""Manifest of molvis-ei."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its readers and its encoder."""
    return [
        Component(
            kind="modality",
            name="ei",
            target="molvis_ei.modality:EI",
            summary="Electron ionization mass spectra, with the retention index of gas chromatography.",
        ),
        Component(
            kind="encoder",
            name="ei-unit",
            target="molvis_ei.encoder:EiUnit",
            summary="Heights at unit masses through a residual network.",
        ),
        _reader("ei-msp", "msp:read_msp", "MSP libraries of EI spectra.", "msp:is_ei_msp", ".msp"),
        _reader("ei-massbank", "massbank:read_massbank", "MassBank records of EI.", "massbank:is_ei_massbank", ".txt"),
        _reader(
            "ei-jcamp", "jcamp:read_jcamp", "Mass spectra in JCAMP-DX files.", "jcamp:is_mass_spectrum",
            ".jdx", ".dx", ".jcamp", cite="10.1366/0003702944027840",
        ),
        _reader(
            "ei-parquet", "parquet:read_parquet", "Tables of EI spectra.", "parquet:is_ei_table", ".parquet"
        ),
    ]  # fmt: skip


def _reader(name: str, target: str, summary: str, recognises: str, *suffixes: str, cite: str = "") -> Component:
    return Component(
        kind="reader",
        name=name,
        target=f"molvis_ei.readers.{target}",
        summary=summary,
        modality="ei",
        suffixes=suffixes,
        recognises=f"molvis_ei.readers.{recognises}",
        cite=cite,
    )
