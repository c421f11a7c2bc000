"""`molvis evaluate --candidate-lists`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvis_core import output
from molvis_files.arguments import existing, writable
from molvis_retrieval.commands.found import percent

if TYPE_CHECKING:
    from molvis_retrieval.evaluation.lists import ListEvaluation


def evaluate_lists(
    names: Sequence[str], data: Path, path: Path, table: Path | None, given: Mapping[str, object], **options: Any
) -> None:
    """Measure how often bundles rank the truth first in its compound's list of candidates.

    Args:
        names: of the bundles.
        data: folder of the dataset.
        path: file of lists.
        table: to write in the layout of MassSpecGym.
        given: values of options that lists do not go with.
        options: of `molvis_retrieval.evaluation.lists.evaluate_lists`.
    """
    existing(path, what="a file of candidate lists")
    writable(table)
    from molvis_core.errors import ConfigError
    from molvis_retrieval import load_bundle
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.evaluation.candidate_lists import CandidateLists
    from molvis_retrieval.evaluation.lists import evaluate_lists as measure
    from molvis_retrieval.evaluation.lists import write_table

    if refused := [name for name, value in given.items() if value]:
        raise ConfigError(f"--candidate-lists gives the candidates; leave out {', '.join(refused)}")
    lists, dataset = CandidateLists.read(path), Dataset.open(data)
    found: list[ListEvaluation] = []
    for name in names:
        with output.progress(f"evaluating {name}") as show:
            found.append(measure(load_bundle(name), dataset, lists, progress=show, **options))
    if table:
        write_table(table, found)
    if not output.as_json(found):
        show_lists(found)


def show_lists(found: Sequence[ListEvaluation]) -> None:
    """Retrieval side by side, then what was left out."""
    distances = any("mces1" in f.estimates for one in found for f in one.figures)
    rows = [
        (
            one.bundle,
            f.method,
            f.by,
            *(percent(f.estimates[k]) for k in ("hit1", "hit5", "hit20")),
            *([_distance(f.estimates)] if distances else []),
        )
        for one in found
        for f in one.figures
    ]
    first = found[0]
    title = (
        f"{first.spectra:,} spectra of {first.compounds:,} compounds, median of {first.median_candidates:g} candidates"
    )
    columns = ["bundle", "ranked", "by", "hit@1", "hit@5", "hit@20", *(["MCES@1"] if distances else [])]
    output.print_table(columns, rows, title=title)
    output.note(
        "by compound: each counts once, 95% intervals over compounds; by spectrum: the definition of MassSpecGym, each "
        "spectrum counts once, 99.9% intervals over spectra, too narrow where spectra are of the same compound"
    )
    if first.without_list:
        output.note(f"left out, of compounds without a list: {first.without_list:,} spectra")
    if first.without_truth:
        output.note(f"never found, since their compound is not in its list: {first.without_truth:,} spectra")
    if first.refused:
        output.note(f"{first.refused:,} SMILES of the file are no structures")
    for one in found:
        if one.left_out:
            output.note(f"{one.bundle}: not used among lists: {', '.join(one.left_out)}, which needs a whole library")


def _distance(estimates: dict[str, Any]) -> str | None:
    one = estimates.get("mces1")
    return None if one is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
