"""Manifest of molvis-nmr."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modalities, their readers and writers, fitters and commands."""
    return [
        Component("modality", "nmr", "molvis_nmr.modality:NMR", summary="1D NMR spectra on a chemical shift axis."),
        Component(
            "modality",
            "spin-system",
            "molvis_nmr.modality:SPIN_SYSTEM",
            summary="Spin systems: what NMR spectra are simulated from.",
        ),
        *_SPECTRA,
        *_SPIN_SYSTEMS,
        *_WRITERS,
        *_FITTERS,
        *(
            Component("command", f"nmr-{name}", f"molvis_nmr.commands.{name}:{name}", summary=summary)
            for name, summary in _COMMANDS.items()
        ),
        Component("route", "nmr-fit", "molvis_nmr.routes:FIT", summary="Fit a spin system to spectra."),
        Component(
            "route", "nmr-mixture", "molvis_nmr.routes:MIXTURE", summary="Say what is in a mixture, and how much."
        ),
    ]


def _reader(
    name: str, target: str, summary: str, suffixes: str, recognises: str = "", *, modality: str = "nmr", cite: str = ""
) -> Component:
    return Component(
        kind="reader",
        name=name,
        target=f"molvis_nmr.formats.{target}",
        summary=summary,
        modality=modality,
        suffixes=tuple(suffixes.split()),
        recognises=f"molvis_nmr.formats.{recognises}" if recognises else "",
        cite=cite,
    )


_SPECTRA = (
    # A fid of NMRPipe may lie in the folder of the experiment that it was made from: it is asked first.
    _reader(
        "nmrpipe", "nmrpipe:read_nmrpipe", "NMRPipe's 1D fids and spectra.", ".fid .ft .ft1", "nmrpipe:is_nmrpipe",
        cite="10.1007/BF00197809",
    ),
    _reader("nmr-bruker", "bruker:read_bruker", "Bruker experiments in a ZIP file.", ".zip", "bruker:is_bruker"),
    _reader("nmr-varian", "varian:read_varian", "Varian and Agilent fids in a ZIP file.", ".zip", "varian:is_varian"),
    _reader(
        "nmr-jcamp", "jcamp:read_jcamp", "JCAMP-DX files of NMR spectra and fids.", ".jdx .dx .jcamp .jcm .txt",
        "jcamp:is_nmr_jcamp", cite="10.1366/0003702934067874",
    ),
    _reader("nmrml", "nmrml:read_nmrml", "nmrML files.", ".nmrml", cite="10.1021/acs.analchem.7b02795"),
    _reader(
        "nmr-text", "text:read_text_spectrum", "Two columns of text, ppm and intensity.",
        ".csv .tsv .txt .xy .dat .asc", "text:is_nmr_text",
    ),
    _reader("nmr-parquet", "text:read_table", "Tables of NMR spectra.", ".parquet", "text:is_nmr_table"),
)  # fmt: skip

_SPIN_SYSTEMS = (
    _reader(
        "gissmo", "spin_systems:read_gissmo", "GISSMO's XML of spin systems.", ".xml", "spin_systems:is_gissmo",
        modality="spin-system", cite="10.1021/acs.analchem.7b02884",
    ),
    _reader(
        "spin-system-json", "spin_systems:read_json", "Spin systems as JSON, one or a library.", ".json",
        "spin_systems:is_json", modality="spin-system",
    ),
    _reader(
        "spin-system-toml", "spin_systems:read_toml", "Spin systems as TOML, one or a library.", ".toml",
        "spin_systems:is_toml", modality="spin-system",
    ),
)  # fmt: skip

_WRITERS = (
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
        kind="writer",
        name="spin-system",
        target="molvis_nmr.formats.spin_systems:write_systems",
        summary="A spin system as GISSMO's XML, JSON or TOML.",
        modality="spin-system",
        suffixes=(".xml", ".json", ".toml"),
    ),
)

_FITTERS = (
    Component(
        kind="fitter",
        name="nmr-spin-system",
        target="molvis_nmr.workflows.fitter:NmrSpinSystem",
        summary="Shifts, couplings, widths and intensities with errors from spectra, by least squares.",
        cite="10.1002/mrc.4689",
    ),
    Component(
        kind="fitter",
        name="nmr-gradient",
        target="molvis_nmr.workflows.gradient_fitter:NmrGradient",
        summary="The same by gradient descent on the angle between spectra, for comparison.",
    ),
)

_COMMANDS = {
    "convert": "Write a spectrum or a spin system in another format.",
    "process": "Turn a raw fid into a phased, referenced spectrum.",
    "peaks": "Pick the lines of a decoupled spectrum, such as 13C.",
    "simulate": "Simulate the spectrum of a spin system or of a structure.",
    "rank": "Rank candidate structures by a measured 1H spectrum.",
    "fit": "Fit a spin system to one spectrum or several.",
    "quantify": "Which compounds of a library are in a mixture, and how much.",
    "demo": "Fit a simulated spectrum of L-proline.",
}
