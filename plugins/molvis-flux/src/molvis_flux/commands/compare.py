"""`molvis flux compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_core.errors import ConfigError
from molvis_files.arguments import existing


def compare(
    fits: Annotated[
        list[Path], typer.Argument(help="Folders of fits (molvis flux fit --out): first what to compare with.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for tables and maps of differences.")] = None,
    on: Annotated[Path | None, typer.Option(help="Map of Escher (JSON) to draw differences on.")] = None,
    kind: Annotated[str, typer.Option(help="net, or all: exchange fluxes, pools and shares, too.")] = "net",
) -> None:
    """Fluxes of conditions: differences and fold changes with intervals.

    The fits are of one network and of different data. Each end of a difference's interval is made from the ends of the
    two fits' intervals that it depends on.
    """
    existing(*fits, what="the folder of a fit")
    existing(on, what="a map of Escher")
    if len(fits) < 2:
        raise ConfigError("one fit compares with nothing: name two folders at least")
    if kind not in ("net", "all"):
        raise ConfigError(f"--kind must be net or all, got {kind!r}")
    from molvis_flux.fit.comparison import compare as run
    from molvis_flux.report import compared
    from molvis_flux.report.saved import read_fit

    before, *others = [(folder.name or str(folder), read_fit(folder)) for folder in fits]
    found = {name: run(before[1], after, () if kind == "all" else ("net",)) for name, after in others}
    if len(found) < len(others):
        raise ConfigError("two of the folders have one name; rename one, so that the results can be told apart")
    if out:
        compared.save(out, before[0], before[1], found, on)
    if output.as_json({"before": before[0], "level": before[1].level, "after": found}):
        return
    for name, changes in found.items():
        output.print_table(*compared.shown(changes, before[1].level), title=f"{name} beside {before[0]}")
    for name, fitted in (before, *others):
        if not fitted.accepted:
            output.note(f"warning: {name} does not explain its data; its intervals are too narrow")
    if out:
        output.note(f"maps and tables: {out}")
