"""`molvis flux demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model, tables and the report.")] = Path(
        "demo-flux"
    ),
) -> None:
    """Simulate and fit the network of Antoniewicz et al. 2007, which introduced elementary metabolite units.

    Nothing is fetched: network, tracer, fluxes and labelling are typed from doi:10.1016/j.ymben.2006.09.001. The model
    is left in the folder, as a file to begin one's own from.
    """
    from molvis_flux.fit.multistart import fit
    from molvis_flux.formats.writers import write_study
    from molvis_flux.labelling import prediction
    from molvis_flux.model.examples import antoniewicz
    from molvis_flux.report import tables

    study = antoniewicz()
    net, exchange = prediction.complete_fluxes(study.network, study.fluxes)
    (simulated,) = prediction.predict(study, net, exchange)
    measured = next(datum for datum in study.experiments[0].data if datum.kind == "mid")
    with output.progress("fitting") as advance:
        found = fit(study, starts=20, progress=advance)
    tables.save(found, out)
    write_study(out / "network.toml", study)
    if output.as_json(tables.plain(found)):
        return
    output.note(f"network   {study.network.name}: A labelled at its second carbon; model in {out / 'network.toml'}")
    rows = [
        (f"M+{i}", f"{a:.4f}", f"{b:.4f}")
        for i, (a, b) in enumerate(zip(measured.values, simulated.fractions[0], strict=True))
    ]
    output.print_table(("F", "published", "simulated"), rows)
    output.print_table(*tables.rounded(tables.fluxes(found)))
    output.note(f"{found.goodness.summary}; the report to look at: {out / 'report.html'}")
