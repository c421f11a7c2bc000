"""Manifest of molvis-ccs."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its readers, encoder, predictor and scorer."""
    return [
        Component(
            kind="modality",
            name="ccs",
            target="molvis_ccs.modality:CCS",
            summary="Collision cross sections of ions in a drift gas.",
        ),
        Component(
            kind="encoder",
            name="ccs",
            target="molvis_ccs.encoders:CcsEncoder",
            summary="Waves of the cross section, of m/z and of the deviation from the trend; a residual network.",
        ),
        Component(
            kind="predictor",
            name="ccs-ensemble",
            target="molvis_ccs.predictor.loading:load",
            summary="Cross sections of a structure's ions in N2 and how sure they are, by networks and a regression.",
            modality="ccs",
        ),
        Component(
            kind="scorer",
            name="ccs-likelihood",
            target="molvis_ccs.likelihood:CcsLikelihood",
            summary="Likelihood of the measured cross section under the one predicted for the candidate.",
            modality="ccs",
        ),
        Component(
            kind="reader",
            name="ccs-csv",
            target="molvis_ccs.readers.csv:read_csv",
            summary="Tables of cross sections as text: CCSbase, AllCCS, METLIN-CCS, CCS Compendium and the like.",
            modality="ccs",
            suffixes=(".csv", ".tsv", ".txt"),
            recognises="molvis_ccs.readers.csv:is_ccs_csv",
        ),
        Component(
            kind="reader",
            name="ccs-parquet",
            target="molvis_ccs.readers.parquet:read_parquet",
            summary="Tables of cross sections as Parquet.",
            modality="ccs",
            suffixes=(".parquet",),
            recognises="molvis_ccs.readers.parquet:is_ccs_table",
        ),
    ]
