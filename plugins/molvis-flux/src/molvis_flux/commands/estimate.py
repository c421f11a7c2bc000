"""`molvis flux estimate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_flux.fit.defaults import LEVEL


def estimate(
    model: Annotated[Path, typer.Argument(help="Folder that `molvis flux train` made.")],
    data: Annotated[Path, typer.Argument(help="A study of the same network with data; what is missing is left out.")],
    level: Annotated[float, typer.Option(help="Probability of the intervals.")] = LEVEL,
    method: Annotated[str, typer.Option(help="auto, importance, ensemble, sequential or neural.")] = "auto",
    draws: Annotated[int, typer.Option(min=100, help="From the posterior.")] = 2000,
    refine: Annotated[bool, typer.Option(help="Fit by least squares and test whether the data are explained.")] = True,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV of the posterior's draws.")] = None,
) -> None:
    """Estimate fluxes of a sample with a trained estimator.

    Ends with 1 where the network cannot explain the data.
    """
    existing(model, what="the folder of an estimator")
    existing(data, what="a study")
    from molvis_flux.formats import read_study
    from molvis_flux.neural.estimator import load_estimator
    from molvis_flux.neural.inference import estimate as run
    from molvis_flux.neural.inference import report
    from molvis_flux.sampling.prior import write_fluxes

    estimator = load_estimator(model)
    with output.progress("posterior") as show:
        found = run(
            estimator, read_study(data), level=level, method=method, draws=draws, refine=refine, seed=seed,
            progress=show,
        )  # fmt: skip
    if out is not None:
        write_fluxes(out, estimator.space, found.samples)
    lines = report(found)
    if not output.as_json(lines):
        columns = ("flux", "median", "low", "high", "least squares", "identifiability")
        output.print_table(columns, [
            (f.name, *(f"{x:.4g}" for x in (f.median, f.low, f.high)), None if f.best is None else f"{f.best:.4g}",
             f.identifiability or None) for f in lines.fluxes
        ])  # fmt: skip
        for note in lines.notes:
            output.note(note)
        output.note(f"{lines.method}, {lines.effective:.0f} effective draws" + (
            "" if lines.ssr is None else f"; sum of squares {lines.ssr:.4g}, p {lines.p:.3g}"))  # fmt: skip
    if found.problem:
        output.note(found.problem)
        raise typer.Exit(1)
