"""The route `predict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from molvis_core import registry
from molvis_core.errors import ConfigError
from molvis_core.progress import StageProgress
from molvis_files.routes import Option, Request, Route

__all__ = ["ROUTE", "predict"]

_HEAVIEST = 3000
_SETTINGS = ("adduct", "energy", "instrument")


def predict(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """What a predictor says of structures: records such as spectra, or numbers with standard deviations.

    Raises:
        molvis_core.errors.MolvisError: a structure cannot be read, or the predictor does not take a setting.
    """
    from molvis_core.chemistry.structures import structure
    from molvis_core.interfaces import PredictsRecords
    from molvis_retrieval.predicting import build_predictor, predict_records, predict_structures, summary

    options = request.options
    given = [f"{key}={options[key]}" for key in _SETTINGS if options[key]]
    # Structures, and not texts: a text may be the name of a file of the server.
    structures = [structure(text) for text in options["structures"]]
    if large := [one for one in structures if one.exact_mass > _HEAVIEST]:
        raise ConfigError(
            f"a structure of {large[0].exact_mass:.0f} Da is too large; at most {_HEAVIEST} Da are predicted"
        )
    made = build_predictor(options["predictor"], given)
    if isinstance(made, PredictsRecords):
        found = predict_records(made, structures, progress=progress)
        return {"modality": made.predicts, "records": [summary(one) for one in found]}
    numbers = predict_structures(options["predictor"], structures, given, progress=progress)
    return {"modality": made.predicts, "values": [asdict(one) for one in numbers]}


ROUTE = Route(
    run=predict,
    options=(
        Option("structures", "SMILES.", "texts", most=100, required=True),
        Option(
            "predictor",
            "What predicts.",
            default="msms",
            choices=tuple(c.name for c in registry.components("predictor")),
        ),
        Option("adduct", "Of the ions, such as [M+H]+; several with commas.", most=200),
        Option("energy", "Of the collision in eV, such as 20; several with commas.", most=200),
        Option("instrument", "Type, such as LC-ESI-QTOF.", most=100),
    ),
    quick=True,
)
