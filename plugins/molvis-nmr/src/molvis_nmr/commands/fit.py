"""`molvis nmr fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing

if TYPE_CHECKING:
    from molvis_nmr.fitting.spin_system import SpinSystemFit


def fit(
    spectra: Annotated[list[Path], typer.Argument(metavar="SPECTRUM...", help="Files or folders of one sample.")],
    start: Annotated[str | None, typer.Option(help="Spin system: GISSMO XML, JSON, TOML; FILE#ENTRY.")] = None,
    smiles: Annotated[str | None, typer.Option(help="A structure instead: shifts and couplings by rule.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for JSON, TOML, XML, picture, report.")
    ] = None,
    line_shape: Annotated[bool, typer.Option("--line-shape", help="Fit an instrument line shape, too.")] = False,
    exclude: Annotated[list[str] | None, typer.Option(help="Window in ppm that does not count: 4.7:4.9.")] = None,
    nucleus: Annotated[str, typer.Option(help="Observed nucleus.")] = "1H",
    phase: Annotated[bool, typer.Option("--phase", help="Fit phase errors.")] = False,
    baseline: Annotated[int | None, typer.Option(help="Degree of a polynomial under each multiplet.")] = None,
    given_couplings: Annotated[bool, typer.Option("--given-couplings", help="Fit no coupling that is 0.")] = False,
    starts: Annotated[int, typer.Option(help="Most starts to try where the first ends badly.")] = 24,
    seed: Annotated[int, typer.Option(help="Of the starts that are drawn.")] = 0,
    tie: Annotated[
        list[str] | None, typer.Option(help="Paths of one value: shift/H3,shift/H6. Else what symmetry makes equal.")
    ] = None,
    broadening: Annotated[str | None, typer.Option(help="Extra widths in Hz, from broad to 0: 4,1,0.")] = None,
    width: Annotated[float | None, typer.Option(help="Width to start from, half at half height, in Hz.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Window in ppm to fit alone: 6.5:8.0.")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Leave out water, solvent, reference and impurities.")] = False,
    solvent: Annotated[str | None, typer.Option(help="D2O, CDCl3, DMSO-d6, CD3OD, acetone-d6, CD3CN or C6D6.")] = None,
) -> None:
    """Fit a spin system to a spectrum, or to several spectra of one sample with one set of couplings."""
    existing(*spectra, what="a spectrum")
    existing(start, what="a spin system")
    from molvis_nmr.report.page import fit_summary, write_fit
    from molvis_nmr.workflows.fit import fit_files, read_numbers, read_window

    windows = [read_window(text) for text in exclude or []]
    ladder = read_numbers(broadening, "--broadening") if broadening is not None else None
    ties = [text.split(",") for text in tie] if tie else None
    alone = [read_window(text) for text in region or []]
    with output.progress("fitting") as show:
        found = fit_files(
            spectra, system=start, smiles=smiles, nucleus=nucleus, exclude=windows, phase=phase, baseline=baseline,
            line_shape=line_shape, couplings="given" if given_couplings else "all", starts=starts, seed=seed,
            progress=show, ties=ties, broadening=ladder, width=width, regions=alone, auto=auto, solvent=solvent,
        )  # fmt: skip
    if out is not None:
        settings = {"spectra": ", ".join(p.name for p in spectra), "start": start or smiles}
        left_out = [*windows, *((one.low, one.high) for one in found.excluded)]
        write_fit(out, found, title=found.system.name, excluded=left_out, settings=settings)
    if output.as_json(fit_summary(found)):
        return
    show_fit(found)
    if out is not None:
        output.note(f"the report to look at: {out / 'report.html'}")


def show_fit(found: SpinSystemFit) -> None:
    """Parameters with errors and flags, and how well they explain the spectrum."""
    variance = found.fit.covariance.diagonal()
    rows = [
        [
            name,
            f"{value:.5g}" if unit != "ppm" else f"{value:.5f}",
            f"{error**0.5:.2g}",
            unit,
            found.flags.get(name, ""),
        ]
        for name, value, error, unit in zip(found.fit.names, found.fit.values, variance, found.fit.units, strict=True)
    ]
    output.print_table(["parameter", "value", "error", "unit", "remark"], rows, title=found.system.name)
    figures = found.metrics
    output.note(
        f"IoU {figures['iou']:.3f}, ROI IoU {figures['roi_iou']:.3f}, R factor {100 * figures['r_factor']:.2f}%, "
        f"{100 * figures['unexplained']:.2f}% without noise"
    )
    for one in found.excluded:
        output.note(f"left out: {one}" + (", whose wing reaches the compound's own lines" if one.among else ""))
    for said in (found.advice, found.approximate):
        if said:
            output.note(said)
    if found.problem:
        output.note(f"not to be trusted: {found.problem}")
    if found.doubt:
        output.note(found.doubt)
    if found.alternatives:
        from molvis_nmr.report.page import solutions_table

        output.print_table(*solutions_table(found), title="other solutions as good or nearly so")
