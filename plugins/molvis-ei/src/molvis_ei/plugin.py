"""Manifest of molvis-ei."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its readers, encoder and predictor, and its scorers."""
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
        Component(
            kind="predictor",
            name="ei-spectrum",
            target="molvis_ei.predictor:EiSpectrumPredictor",
            summary="Electron ionization spectra of structures and of their derivatives.",
            cite="10.1021/acscentsci.9b00085",
        ),
        _scorer(
            "ei-forward", "forward:EiForward", "Similarity to the spectrum that a network predicts for the candidate.",
            cite="10.1021/acscentsci.9b00085",
        ),
        _scorer(
            "ei-fragments", "fragments:EiFragments",
            "Shares of the intensity that parts of the candidate explain at unit masses.",
        ),
        _scorer(
            "ei-neighbours", "neighbours:EiNeighbours",
            "Known spectra of the candidate, and votes of the known spectra that are most like the query.",
            cite="10.1016/1044-0305(94)87009-8",
        ),
        _scorer(
            "retention-index", "retention:RetentionIndex",
            "Likelihood of the retention index under the one predicted for the candidate.",
        ),
        _reader("ei-msp", "msp:read_msp", "MSP libraries of EI spectra.", "msp:is_ei_msp", ".msp"),
        _reader("ei-massbank", "massbank:read_massbank", "MassBank records of EI.", "massbank:is_ei_massbank", ".txt"),
        _reader(
            "ei-jcamp", "jcamp:read_jcamp", "Mass spectra in JCAMP-DX files.", "jcamp:is_mass_spectrum",
            ".jdx", ".dx", ".jcamp", ".jcm", ".txt", cite="10.1366/0003702944027840",
        ),
        _reader(
            "ei-parquet", "parquet:read_parquet", "Tables of EI spectra.", "parquet:is_ei_table", ".parquet"
        ),
    ]  # fmt: skip


def _scorer(name: str, target: str, summary: str, cite: str = "") -> Component:
    return Component("scorer", name, f"molvis_ei.scorers.{target}", summary, modality="ei", cite=cite)


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
