"""Routes: fits of fluxes as an operation of `molvis serve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molvis_core.progress import StageProgress
from molvis_files.routes import Option, Request, Route, Upload
from molvis_flux.fit.defaults import LEVEL, STARTS

__all__ = ["FIT", "fit"]


def fit(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """Fluxes of a network with intervals and pictures, in the files that `molvis flux fit` writes.

    Raises:
        molvis_core.errors.MolvisError: the network cannot be read, or cannot be fitted.
    """
    from molvis_core.output import to_plain
    from molvis_flux.fit.multistart import fit as run
    from molvis_flux.fit.parsimonious import parsimonious
    from molvis_flux.formats import read_study
    from molvis_flux.report import figures, tables

    options = request.options
    study = read_study(request.files["network"][0])
    found = run(
        study, starts=options["starts"], seed=options["seed"], level=options["level"], intervals=options["intervals"],
        samples=options["samples"] or None, progress=progress,
    )  # fmt: skip
    lean = parsimonious(found, level=options["level"]) if options["parsimonious"] else None
    tables.save(found, request.folder / "fit")
    plain = to_plain(tables.plain(found) | ({"parsimonious": lean} if lean else {}))
    return {**plain, "pictures": figures.figures(found)}


FIT = Route(
    run=fit,
    files=(Upload("network", "Network with experiments: TOML, FluxML, mfapy, FreeFlux or INCA.", least=1),),
    options=(
        Option("starts", "Points to start from.", "integer", default=STARTS, least=1, most=1000),
        Option(
            "intervals",
            "How intervals are found.",
            default="profile",
            choices=("profile", "covariance", "monte-carlo", "posterior", "none"),
        ),
        Option("level", "Probability of the intervals.", "number", default=LEVEL, least=0.01, most=0.9999),
        Option(
            "samples",
            "Draws from the posterior; 0: only where some flux is not identifiable.",
            "integer",
            default=0,
            least=0,
            most=100_000,
        ),
        Option("parsimonious", "Also the fluxes of least total flux that the data allow.", "flag", default=False),
        Option("seed", "Of the starts and the draws.", "integer", default=0, least=0, most=2**31 - 1),
    ),
)
