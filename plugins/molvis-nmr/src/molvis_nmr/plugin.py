"""Manifest of molvis-nmr."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its readers, fitters and commands."""
    return [
        Component(
            kind="modality",
            name="nmr",
            target="molvis_nmr.modality:NMR",
            summary="1D NMR spectra on a chemical shift axis.",
        ),
        _reader("nmr-bruker", "bruker:read_bruker", "Bruker experiments in a ZIP file.", ".zip", "bruker:is_bruker"),
        _reader(
            "nmr-varian", "varian:read_varian", "Varian and Agilent fids in a ZIP file.", ".zip", "varian:is_varian"
        ),
        Component(
            kind="reader",
            name="nmr-jcamp",
            target="molvis_nmr.formats.jcamp:read_jcamp",
            summary="JCAMP-DX files of NMR spectra and fids.",
            modality="nmr",
            suffixes=(".jdx", ".dx", ".jcamp"),
            recognises="molvis_nmr.formats.jcamp:is_nmr_jcamp",
            cite="10.1366/0003702934067874",
        ),
        _reader("nmrml", "nmrml:read_nmrml", "nmrML files.", ".nmrml", cite="10.1021/acs.analchem.7b02795"),
        _reader(
            "nmrpipe",
            "nmrpipe:read_nmrpipe",
            "NMRPipe's 1D fids and spectra.",
            ".fid",
            "nmrpipe:is_nmrpipe",
            ".ft",
            ".ft1",
            cite="10.1007/BF00197809",
        ),
        _reader(
            "nmr-text",
            "text:read_text_spectrum",
            "Two columns of text, ppm and intensity.",
            ".csv",
            "text:is_nmr_text",
            ".tsv",
            ".txt",
            ".xy",
            ".dat",
            ".asc",
        ),
        _reader("nmr-parquet", "text:read_table", "Tables of NMR spectra.", ".parquet", "text:is_nmr_table"),
        Component(
            kind="writer",
            name="nmr-jcamp",
            target="molvis_nmr.formats.writers:write_jcamp",
            summary="JCAMP-DX files of NMR spectra.",
            modality="nmr",
            suffixes=(".jdx", ".dx", ".jcamp"),
        ),
        Component(
            kind="writer",
            name="nmr-text",
            target="molvis_nmr.formats.writers:write_text_spectrum",
            summary="Two columns of text, ppm and intensity.",
            modality="nmr",
            suffixes=(".csv", ".tsv", ".txt"),
        ),
        Component(
            kind="command",
            name="nmr-convert",
            target="molvis_nmr.commands.convert:convert",
            summary="Write a spectrum or a spin system in another format.",
        ),
        Component(
            kind="command",
            name="nmr-process",
            target="molvis_nmr.commands.process:process",
            summary="Turn a raw fid into a phased, referenced spectrum.",
        ),
        Component(
            kind="command",
            name="nmr-simulate",
            target="molvis_nmr.commands.simulate:simulate",
            summary="Simulate the spectrum of a spin system or of a structure.",
        ),
        Component(
            kind="command",
            name="nmr-fit",
            target="molvis_nmr.commands.fit:fit",
            summary="Fit a spin system to one spectrum or several.",
        ),
        Component(
            kind="command",
            name="nmr-quantify",
            target="molvis_nmr.commands.quantify:quantify",
            summary="Which compounds of a library are in a mixture, and how much.",
        ),
        Component(
            kind="command",
            name="nmr-demo",
            target="molvis_nmr.commands.demo:demo",
            summary="Fit a simulated spectrum of L-proline.",
        ),
        Component(
            kind="fitter",
            name="nmr-spin-system",
            target="molvis_nmr.fitting.fitter:NmrSpinSystem",
            summary="Shifts, couplings, widths and intensities with errors from spectra, by least squares.",
            cite="10.1002/mrc.4689",
        ),
        Component(
            kind="fitter",
            name="nmr-gradient",
            target="molvis_nmr.fitting.gradient:NmrGradient",
            summary="The same by gradient descent on the angle between spectra, for comparison.",
        ),
    ]


def _reader(
    name: str, target: str, summary: str, suffix: str, recognises: str = "", *suffixes: str, cite: str = ""
) -> Component:
    return Component(
        kind="reader",
        name=name,
        target=f"molvis_nmr.formats.{target}",
        summary=summary,
        modality="nmr",
        suffixes=(suffix, *suffixes),
        recognises=f"molvis_nmr.formats.{recognises}" if recognises else "",
        cite=cite,
    )
