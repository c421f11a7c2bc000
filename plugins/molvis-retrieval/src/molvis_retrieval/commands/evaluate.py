"""`molvis evaluate`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molvis_core import output
from molvis_core.text import in_shell
from molvis_files.arguments import existing
from molvis_retrieval.commands.evaluate_lists import evaluate_lists
from molvis_retrieval.commands.found import percent
from molvis_retrieval.commands.options import Device, Ppm

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle
    from molvis_retrieval.evaluation.ranking import Evaluation
    from molvis_retrieval.evaluation.subsets import Combined
    from molvis_retrieval.index import Index


def evaluate(
    bundles: Annotated[
        list[str] | None, typer.Argument(metavar="BUNDLE", help="Folders or names; several, to compare them.")
    ] = None,
    *,
    data: Annotated[Path, typer.Argument(help="Dataset with the true structures.")],
    library: Annotated[
        list[Path] | None,
        typer.Option("--library", "-l", help="Structures, or an index made of some; one for each bundle, in order."),
    ] = None,
    candidate_lists: Annotated[
        Path | None,
        typer.Option(
            help="Instead of a library: a list of candidates for each compound, JSON as MassSpecGym's, or CSV."
        ),
    ] = None,
    mces: Annotated[
        bool, typer.Option("--mces", help="With lists: how far the first candidate is from the truth; takes long.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option(help="With lists: write a table in the layout of MassSpecGym's results.")
    ] = None,
    bundle: Annotated[
        list[str] | None, typer.Option("--bundle", "-b", help="A further bundle; several, to compare them.")
    ] = None,
    fold: Annotated[str, typer.Option(help="Fold of the dataset that is evaluated.")] = "test",
    ppm: Ppm = 10.0,
    min_peaks: Annotated[int, typer.Option(help="Leave out spectra with fewer peaks.")] = 2,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Candidates: mass, formula or all; several; all three by default."),
    ] = None,
    rerank: Annotated[bool, typer.Option(help="Use the bundle's scorers as well.")] = True,
    decoy: Annotated[
        bool, typer.Option("--decoy", help="Give each query the peaks of another compound near in mass.")
    ] = False,
    without: Annotated[list[str] | None, typer.Option(help="Leave out a scorer of the bundle; several.")] = None,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls",
            help="Also rank by mass with another compound's peaks, with none, and with precursors off by 3 ppm: takes "
            "four more rankings by mass, each as long as the first.",
        ),
    ] = False,
    precursor_error: Annotated[float, typer.Option(help="Put an error of so many ppm on each precursor.")] = 0.0,
    modality: Annotated[
        str, typer.Option(help="Modality of the queries, whose pairing with structures is evaluated.")
    ] = "msms",
    together: Annotated[
        list[str] | None,
        typer.Option(help="Modalities of one unknown, --together msms --together ir: each alone and all subsets."),
    ] = None,
    records: Annotated[int, typer.Option(help="With --together: measurements of each modality; 0 for all.")] = 1,
    groups: Annotated[bool, typer.Option("--groups", help="Show adducts, instruments and mass ranges.")] = False,
    device: Device = None,
) -> None:
    """Measure how often bundles rank the truth first, with 95% intervals."""
    existing(data, what="a dataset")
    existing(*(library or []), what="a file of structures or an index")
    common: dict[str, Any] = {
        "fold": fold, "min_peaks": min_peaks, "rerank": rerank, "decoy": decoy, "without": tuple(without or ()),
        "modality": modality, "device": device,
    }  # fmt: skip
    names = _named([*(bundles or []), *(bundle or [])], data)
    _check_lists(candidate_lists, {"--mces": mces, "--table": table})
    if candidate_lists is not None:
        given = {
            "--library": library, "--scope": scope, "--together": together, "--controls": controls,
            "--precursor-error": precursor_error, "--groups": groups,
        }  # fmt: skip
        evaluate_lists(names, data, candidate_lists, table, given, distances=mces, **common)
    elif together:
        options = {"fold": fold, "ppm": ppm, "min_peaks": min_peaks, "records": records}
        _measure_together(_opened(names, library), data, together, options)
    else:
        scopes = tuple(scope or ("mass", "formula", "all"))
        more = {"ppm": ppm, "scopes": scopes, "precursor_error": precursor_error, "controls": controls}
        _measure(_opened(names, library), data, {**common, **more}, groups=groups)


def _check_lists(lists: Path | None, given: dict[str, object]) -> None:
    """Refuse what is measured among lists of candidates alone, where there are none."""
    from molvis_core.errors import ConfigError

    if lists is None and (wrong := next((name for name, value in given.items() if value), None)):
        raise ConfigError(f"{wrong} is for lists of candidates: give --candidate-lists FILE, or leave it out")


def _named(names: list[str], data: Path) -> list[str]:
    """The bundles; none is an error."""
    from molvis_core.errors import ConfigError

    if not names:
        raise ConfigError(f"no bundle to evaluate: molvis evaluate BUNDLE {in_shell(data)} --library INDEX")
    return names


def _opened(names: Sequence[str], library: Sequence[Path] | None) -> list[tuple[str, Bundle, Index]]:
    """Bundles with the candidates of each."""
    from molvis_core.errors import ConfigError
    from molvis_retrieval import load_bundle
    from molvis_retrieval.commands.identify import open_library

    if not library:
        raise ConfigError("no candidates: give --library a file of structures or an index, or give --candidate-lists")
    libraries = _one_for_each(library, names)
    opened = [load_bundle(name) for name in names]
    return [(n, one, open_library(path, one)) for n, one, path in zip(names, opened, libraries, strict=True)]


def _measure(
    bundles: Sequence[tuple[str, Bundle, Index]], data: Path, options: dict[str, Any], *, groups: bool
) -> None:
    """Measure retrieval among a library, and show it."""
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.evaluation.ranking import evaluate as measure

    dataset = Dataset.open(data)
    found: list[Evaluation] = []
    for name, one, index in bundles:
        with output.progress(f"evaluating {name}") as show:
            found.append(measure(one, dataset, index, progress=show, **options))
    if not output.as_json(found):
        show_tables(found, groups=groups)


def _one_for_each(library: Sequence[Path], names: Sequence[str]) -> Sequence[Path]:
    """A library for each bundle: an index belongs to one, a file of structures is for all."""
    from molvis_core.errors import ConfigError

    if len(library) == 1 and library[0].is_file():
        return [*library] * len(names)
    if len(names) != len(library):
        raise ConfigError(f"{len(names)} bundles and {len(library)} indexes: give --library once for each bundle")
    return library


def _measure_together(
    bundles: Iterable[tuple[str, Bundle, Index]], data: Path, modalities: Sequence[str], options: dict[str, Any]
) -> None:
    """Measure retrieval by every subset of the modalities, and show it."""
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.evaluation.subsets import evaluate_combined

    dataset = Dataset.open(data)
    joint: list[Combined] = []
    for name, one, index in bundles:
        with output.progress(f"evaluating {name}") as show:
            joint.append(evaluate_combined(one, dataset, index, modalities, progress=show, **options))
    if not output.as_json(joint):
        show_combined(joint)


def show_combined(found: Sequence[Combined]) -> None:
    """Retrieval by each subset of the modalities, and how much of the error goes away when all are used."""
    rows = [
        (
            one.bundle,
            " + ".join(subset.modalities),
            one.compounds,
            one.median_candidates,
            *(percent(subset.estimates[k]) for k in ("hit1", "hit5", "hit20")),
            f"{subset.estimates['mrr'].value:.3f}",
        )
        for one in found
        for subset in one.subsets
    ]
    columns = ["bundle", "measured", "compounds", "candidates", "hit@1", "hit@5", "hit@20", "MRR"]
    output.print_table(columns, rows, title=f"Candidates within {found[0].ppm:g} ppm")
    for one in found:
        output.note(
            f"{one.bundle}: {' + '.join(one.modalities)} together take away {percent(one.error_reduction)} of "
            "the error (1 - hit@1) of the best alone"
        )


_CONSTANT = ("bundle", "group", "compounds")


def _without_constants(
    columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> tuple[list[str], list[tuple[object, ...]], list[str]]:
    """A table without the columns that have one value in every row, and these values."""
    left_out = {i for i, name in enumerate(columns) if name in _CONSTANT and len({row[i] for row in rows}) == 1}
    kept = [i for i in range(len(columns)) if i not in left_out]
    said = [f"{rows[0][i]} compounds" for i in left_out if columns[i] == "compounds"]
    return [columns[i] for i in kept], [tuple(row[i] for i in kept) for row in rows], said


def show_tables(found: Sequence[Evaluation], *, groups: bool = False) -> None:
    """Retrieval side by side, then what flatters."""
    columns = ["bundle", "scope", "ranked", "group", "compounds", "median", "hit@1", "hit@5", "hit@20", "MRR"]
    rows: list[tuple[object, ...]] = []
    for one in found:
        for f in one.figures:
            if f.group and not groups:
                continue
            shares = [percent(f.estimates[k]) for k in ("hit1", "hit5", "hit20")]
            mrr = f"{f.estimates['mrr'].value:.3f}"
            rows.append(
                (
                    one.bundle,
                    f.candidates,
                    f"{f.method}, {f.by}",
                    f.group or "all",
                    f.compounds,
                    f.median_candidates,
                    *shares,
                    mrr,
                )
            )
            if f.by == "compound" and f.method == "embedding" and not f.group:
                chance = [f"{100 * f.chance[k]:.1f}%" for k in ("hit1", "hit5", "hit20")]
                rows.append(
                    (one.bundle, f.candidates, "random", "all", f.compounds, f.median_candidates, *chance, None)
                )
    notes = [
        f"{one.bundle}: {one.spectra} spectra, {one.added} true structures added to {one.library:,}" for one in found
    ]
    columns, rows, same = _without_constants(columns, rows)
    output.print_table(columns, rows, title="; ".join([*notes, *same]))
    output.note(
        "scope: candidates of the same mass, of the same formula, or the whole library, which embeddings rank alone, "
        "since scorers are calibrated among candidates of one mass; median: of their number; MRR: mean of one over the "
        "rank of the truth; in brackets, 95% intervals"
    )
    pairs = [
        (
            one.bundle,
            *(f"{one.pairwise[k]:.4f}" for k in ("accuracy", "auroc", "auprc")),
            f"{one.first_hit_similarity:.3f}",
            f"{one.calibration_error:.3f}",
        )
        for one in found
        if one.pairwise
    ]
    print()
    columns = ["bundle", "pairwise accuracy", "AUROC", "AUPRC", "Tanimoto of first hit", "calibration error"]
    output.print_table(columns, pairs, title="Beside retrieval (pairwise figures flatter: one random rival each)")
    show_controls(found)
    for one in found[:1]:  # of the dataset, the same for all bundles
        for text, count in one.left_out.items():
            output.note(f"left out of fold {one.fold}, {text}: {count:,}")
    for one in found:
        for text, count in one.remarks.items():
            output.note(f"{one.bundle}: {text} ({count:,} of {one.spectra:,} queries)")


def show_controls(found: Sequence[Evaluation]) -> None:
    """What is left when queries are robbed of their evidence, beside what they reach with it."""
    from molvis_retrieval.evaluation.controls import KINDS

    rows = [
        (
            one.bundle,
            f"{c.kind}{f', {c.method}' if c.method else ''}",
            c.compounds,
            *(percent(c.estimates[k]) for k in ("hit1", "hit5", "hit20")),
            f"{c.estimates['mrr'].value:.3f}" if "mrr" in c.estimates else None,
        )
        for one in found
        for c in one.controls
    ]
    if not rows:
        return
    columns, rows, same = _without_constants(["bundle", "query", "compounds", "hit@1", "hit@5", "hit@20", "MRR"], rows)
    print()
    output.print_table(columns, rows, title="; ".join([f"Controls, within {found[0].ppm:g} ppm", *same]))
    shown = dict.fromkeys(c.kind for one in found for c in one.controls)
    output.note("; ".join(f"{kind}: {KINDS[kind]}" for kind in shown))
