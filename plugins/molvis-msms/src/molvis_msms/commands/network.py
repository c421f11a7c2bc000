"""`molvis network`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing, writable


def network(
    spectra: Annotated[list[Path], typer.Argument(help="Spectra: MGF, MSP, mzML, ... Each becomes a node.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="GraphML file to write.")] = Path("network.graphml"),
    answers: Annotated[
        Path | None, typer.Option(help="Table of what they are, as molvis identify --csv or annotate writes it.")
    ] = None,
    similarity: Annotated[
        Literal["cosine", "entropy", "hybrid", "neutral-loss", "peaks-and-losses"],
        typer.Option(help="Measure by which spectra are compared; hybrid is the modified cosine."),
    ] = "hybrid",
    tolerance: Annotated[str, typer.Option(help="Tolerance of peaks: 0.01Da or 10ppm.")] = "0.01Da",
    min_score: Annotated[float, typer.Option(help="Least similarity of two spectra that are joined.")] = 0.7,
    min_peaks: Annotated[int, typer.Option(min=1, help="Least number of peaks that they have in common.")] = 6,
    top: Annotated[int, typer.Option(min=1, help="Each is among so many most similar spectra of the other.")] = 10,
    largest: Annotated[
        int, typer.Option(min=0, help="Spectra of a family at most: its weakest edges go. 0 for any.")
    ] = 100,
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
) -> None:
    """Join spectra that are alike into a molecular network.

    A spectrum that no candidate explains is told by its neighbours: each node has the answer of the neighbour that
    tells most of it beside its own. Cytoscape, Gephi and igraph read the file. Every pair of one polarity is compared.
    """
    existing(*spectra, what="a file of spectra")
    existing(answers, what="a table of answers")
    writable(out)
    from molvis_msms.network import Linking, link, read_answers, write_graphml
    from molvis_msms.references.search import read_spectra
    from molvis_msms.references.similarity import similarity as named

    linking = Linking(named(similarity, tolerance, 0.5, "greedy"), min_score, min_peaks, top, largest)
    known = read_answers(answers) if answers else {}
    items = [item for path in spectra for item in read_spectra(path, reader)]
    with output.progress("comparing spectra") as show:
        found = link(items, linking, answers=known, progress=show)
    write_graphml(out, found)
    told = found.summary | {"file": str(out)}
    if output.as_json(told):
        return
    output.print_table(["network", ""], [(k.replace("_", " "), v) for k, v in told.items()])
    for problem in found.problems[:5]:
        output.note(f"left out: {problem}")
    if known and not told["with_answer"]:
        output.note(f"no answer of {answers} is of one of the spectra: feature_id counts, or else the query's name")
