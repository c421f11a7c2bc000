"""Manifest of molvis-flux."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modalities, their readers and writers, fitters and commands."""
    return [
        Component(
            kind="modality",
            name="mid",
            target="molvis_flux.modality:MID",
            summary="Mass isotopomer distributions of fragments.",
        ),
        Component(
            kind="modality",
            name="flux-study",
            target="molvis_flux.modality:FLUX_STUDY",
            summary="Networks of reactions with their labelling experiments.",
        ),
        *_readers(),
        Component(
            kind="writer",
            name="flux-toml",
            target="molvis_flux.formats.writers:write_studies",
            summary="A network with its experiments, measured or simulated, in the TOML of molvis.",
            modality="flux-study",
            suffixes=(".toml",),
        ),
        Component(
            kind="writer",
            name="fluxml",
            target="molvis_flux.formats.fluxml_writer:write_studies",
            summary="A network with its experiments in FluxML, for 13CFLUX.",
            modality="flux-study",
            suffixes=(".fml",),
        ),
        Component(
            kind="writer",
            name="sbml",
            target="molvis_flux.formats.sbml_writer:write_studies",
            summary="A network in SBML, with its atom maps as a table beside it.",
            modality="flux-study",
            suffixes=(".xml", ".sbml"),
        ),
        Component(
            kind="fitter",
            name="flux-neural",
            target="molvis_flux.neural.fitter:NeuralFluxes",
            summary="Fluxes and their posterior by an estimator trained for the network.",
        ),
        Component(
            kind="fitter",
            name="flux-fit",
            target="molvis_flux.fit.fitter:FluxFit",
            summary="Fluxes by least squares from many starts, then draws from the posterior.",
        ),
        *_commands(),
    ]


def _commands() -> list[Component]:
    """What runs as `molvis flux ...`."""
    return [
        _command("fit", "fit:fit", "Fluxes from labelling data, with intervals and identifiability."),
        _command("map", "map:map_", "Draw a network with its fluxes."),
        _command("compare", "compare:compare", "Compare the fluxes of conditions, with errors."),
        _command("design", "design:design", "Choose the tracers and fragments that determine fluxes best."),
        _command("check", "check:check", "Find faults in a network and its data."),
        _command("import", "import_measurements:import_", "Join tables of measured isotopologues to a network."),
        _command("convert", "convert:convert", "Write a network in another format: TOML, FluxML or SBML."),
        _command("compose", "compose:compose", "Make one network of several tissues or strains."),
        _command("sample", "sample:sample", "Draw fluxes that a network allows."),
        _command("simulate", "simulate:simulate", "Simulate labelling at given fluxes."),
        _command("demo", "demo:demo", "Simulate and fit the network of Antoniewicz et al. 2007 (EMU)."),
        _command("train", "train:train", "Train a neural estimator for a network and its tracers."),
        _command("estimate", "estimate:estimate", "Fluxes of a sample by a trained estimator."),
        Component(
            kind="route",
            name="flux-fit",
            target="molvis_flux.routes:FIT",
            summary="Fluxes of a network from its labelling data, with intervals.",
        ),
    ]


def _command(name: str, target: str, summary: str) -> Component:
    return Component(kind="command", name=f"flux-{name}", target=f"molvis_flux.commands.{target}", summary=summary)


def _readers() -> list[Component]:
    """Of networks. TOML, which others may claim as well, stands back behind whoever recognises a file."""
    return [
        _reader("flux-toml", "native", "", "Networks and plans in the TOML of molvis.", ".toml", replaces=("native",)),
        _reader("fluxml", "fluxml", "is_fluxml", "FluxML, the format of 13CFLUX.", ".fml", ".xml",
                cite="10.3389/fmicb.2019.01022"),
        _reader("mfapy", "mfapy", "is_mfapy", "Models of mfapy.", ".txt", cite="10.1016/j.mec.2021.e00177"),
        _reader("freeflux", "freeflux", "is_freeflux", "Tables of FreeFlux.", ".tsv", ".xlsx", ".xlsm", ".csv",
                cite="10.1021/acssynbio.3c00265"),
        _reader("inca", "inca", "is_inca", "Models of INCA: MATLAB files, and INCAWrapper's tables and JSON.",
                ".csv", ".tsv", ".xlsx", ".json", ".mat", cite="10.1093/bioinformatics/btu015"),
        _reader("openflux", "openflux", "is_openflux", "Sheets of OpenFLUX.", ".txt", ".csv", ".tsv", ".tab", ".xlsx",
                ".xlsm", ".xls", cite="10.1186/1475-2859-8-25"),
        _reader("openmebius", "openmebius", "is_openmebius", "Workbooks of OpenMebius.", ".xlsx", ".xlsm", ".xls",
                ".csv", ".tsv", ".txt", ".tab", cite="10.1155/2014/627014"),
        _reader("sbml", "sbml", "is_sbml", "SBML, with atom maps from a table beside it.", ".xml", ".sbml",
                cite="10.15252/msb.20199110"),
    ]  # fmt: skip


def _reader(
    name: str,
    module: str,
    recognises: str,
    summary: str,
    *suffixes: str,
    cite: str = "",
    replaces: tuple[str, ...] = (),
) -> Component:
    return Component(
        kind="reader",
        name=name,
        target=f"molvis_flux.formats.{module}:studies",
        summary=summary,
        modality="flux-study",
        suffixes=suffixes,
        recognises=f"molvis_flux.formats.{module}:{recognises}" if recognises else "",
        cite=cite,
        replaces=replaces,
    )
