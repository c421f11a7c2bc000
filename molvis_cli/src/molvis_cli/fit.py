"""`molvis fit`: any fitter on files of measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing, writable


def fit(
    fitter: Annotated[
        str, typer.Argument(autocompletion=names("fitter"), help="Name of a fitter; `molvis list fitter` lists them.")
    ],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Measurements of one sample.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Argument of the fitter: KEY=VALUE, or KEY=@FILE for what a file holds."),
    ] = None,
    prior: Annotated[Path | None, typer.Option(help="TOML with changes to the fitter's prior.")] = None,
    write_prior: Annotated[Path | None, typer.Option(help="Write the prior to this file, and do not fit.")] = None,
    level: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of everything drawn.")] = 0,
    modality: Annotated[
        str | None, typer.Option(autocompletion=names("modality"), help="Take only readers of this modality.")
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File for the result: .csv or .json.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report as an HTML page.")] = None,
) -> None:
    """Fit the parameters of a simulation to measurements, with any installed fitter.

    What is fixed, such as a network or the topology of spins, is an argument of the fitter: --set system=@file.xml.
    What is estimated is in the prior: write it with --write-prior, edit it, and hand it back with --prior.

    Exit code 1 where the fit reports a problem.
    """
    existing(*(files or []), what="a file of measurements")
    existing(prior, what="a prior")
    writable(write_prior, out, report)
    from molvis_core.interfaces import Reports
    from molvis_files import priors
    from molvis_files.fit_report import check_report_path, provenance, write_report
    from molvis_files.fitting import fit_summary, open_fitter, write_fit

    check_report_path(report)
    made, measurements = open_fitter(fitter, files or [], settings or [], modality=modality, reader=reader)
    records = [m.record for m in measurements]
    usual = made.prior(records)
    chosen = priors.read_prior(prior, usual) if prior else usual
    if write_prior:
        priors.write_prior(write_prior, chosen)
        if not output.as_json({"prior": write_prior, "parameters": chosen}):
            output.note(f"wrote the prior of {len(chosen)} parameters to {write_prior}; edit it, and fit with --prior")
        return
    if report and isinstance(made, Reports):
        found, sections = made.fit_with_report(records, chosen, seed=seed)
    else:
        found, sections = made.fit(records, chosen, seed=seed), ()
    summary = fit_summary(found, level)
    if out:
        write_fit(out, summary)
    if report:
        shown = {"files": ", ".join(f.name for f in files or []), "prior": prior.name if prior else "", "seed": seed}
        shown |= provenance(fitter, settings or [])
        write_report(report, found, measurements, chosen, title=fitter, level=level, sections=sections, settings=shown)
    if not output.as_json(summary):
        rows = [
            (p.name, f"{p.value:.6g}", f"{p.sd:.2g}", f"{p.low:.6g}", f"{p.high:.6g}", p.unit or None)
            for p in summary.parameters
        ]
        output.print_table(("parameter", "value", "sd", f"{level:.0%} from", "to", "unit"), rows, title=fitter)
        if report:
            output.note(f"the report to look at: {report}")
    if found.problem:
        output.warn(f"not to be trusted: {found.problem}")
        raise typer.Exit(1)
