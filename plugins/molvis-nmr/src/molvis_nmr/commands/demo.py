"""`molvis nmr demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("nmr-demo"),
    field: Annotated[float, typer.Option(help="1H frequency in MHz.")] = 500.0,
    snr: Annotated[float, typer.Option(help="Highest line in standard deviations of the noise.")] = 500.0,
    seed: Annotated[int, typer.Option(help="Of noise and start.")] = 0,
) -> None:
    """Fit L-proline, simulated from published parameters with noise, from a start that is off."""
    from molvis_nmr.commands.fit import show_fit
    from molvis_nmr.fitting.spin_system import fit
    from molvis_nmr.formats.spin_systems import write_system
    from molvis_nmr.formats.writers import write_spectrum
    from molvis_nmr.report.page import fit_summary, write_fit
    from molvis_nmr.workflows import demo as example
    from molvis_nmr.workflows.fit import differences

    spectrum, begin = example.spectrum(field, snr=snr, seed=seed), example.start(seed=seed + 1)
    out.mkdir(parents=True, exist_ok=True)
    write_spectrum(out / "spectrum.csv", spectrum)
    write_system(out / "start.json", begin)
    with output.progress("fitting") as show:
        found = fit(spectrum, begin, seed=seed, progress=show)
    write_fit(out, found, title=f"L-proline, {field:g} MHz, simulated")
    if output.as_json(fit_summary(found)):
        return
    show_fit(found)
    shift, coupling = differences(found.system, example.proline())
    output.note(f"largest errors: {1000 * shift:.3f} ppb, {coupling:.3f} Hz; the report: {out / 'report.html'}")
