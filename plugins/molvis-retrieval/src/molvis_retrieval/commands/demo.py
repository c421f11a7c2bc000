"""`molvis demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the index and the report.")] = Path(
        "demo-output"
    ),
) -> None:
    """Identify eleven real spectra of well-known compounds with the shipped bundle.

    Nothing is fetched: bundle, spectra and library come with molvis-models. The bundle has seen none of the compounds,
    and one of them is not in the library.
    """
    from molvis_core import registry
    from molvis_retrieval import load_bundle
    from molvis_retrieval.candidates import open_candidates
    from molvis_retrieval.commands.found import show_found
    from molvis_retrieval.identification import identify
    from molvis_retrieval.queries import read_queries
    from molvis_retrieval.report import write_report
    from molvis_retrieval.results import summary, to_json

    bundle = load_bundle("massbank")
    spectra = Path(registry.load("example", "demo-spectra"))
    absent = Path(registry.load("example", "demo-absent"))
    structures = Path(registry.load("example", "demo-library"))
    output.note(f"bundle    {bundle.name}: {', '.join(bundle.modalities)}")
    with output.progress("opening the library") as show:
        index = open_candidates(structures, bundle, keep=out, progress=show)
    output.note(f"library   {len(index.library):,} structures ({structures.name})")
    queries = [q for file in (spectra, absent) for q in read_queries(file)[0]]
    files = f"{spectra.name}, {absent.name}"
    output.note(
        f"spectra   {len(queries)} of compounds that the bundle has not seen ({files}); the library lacks the last"
    )
    found = identify(bundle, queries, index, classes=True)
    report = out / "report.html"
    write_report(
        report,
        found,
        bundle=bundle,
        index=index,
        settings={"candidates": "within 10 ppm", "file": f"{spectra.name}, {absent.name}"},
    )
    if output.as_json(to_json(found)):
        return
    for some in (found[:-1], found[-1:]):
        show_found(some)
    counts = summary(found)
    output.note(
        f"the true structure (*) came first for {counts['first']} of {counts['known']} spectra, among candidates "
        f"within 10 ppm of the mass; the report to look at: {report}"
    )
