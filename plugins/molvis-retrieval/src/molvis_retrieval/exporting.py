"""Measurements of a dataset to a file, by whichever writer claims its ending."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from molvis_core import registry
from molvis_core.errors import DatasetError, did_you_mean
from molvis_core.progress import Progress
from molvis_core.records import Measurement
from molvis_retrieval.dataset import Dataset

__all__ = ["ExportReport", "export_file"]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written.

    Attributes:
        path: the file.
        modality: of the measurements.
        writer: that wrote them.
        measurements: how many.
    """

    path: Path
    modality: str
    writer: str
    measurements: int


def export_file(
    dataset: Dataset,
    out: Path | str,
    *,
    modality: str | None = None,
    fold: str | None = None,
    writer: str | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write measurements of one modality to one file.

    Args:
        dataset: where they come from.
        out: the file; it is replaced whole or not at all.
        modality: whose measurements; a dataset of one modality needs none.
        fold: only those of this fold.
        writer: its name, instead of one that claims the file's ending.
        progress: called with the number that is written and the number in all.

    Raises:
        DatasetError: the dataset has no such modality or fold, or several modalities and none is named.
        molvis_core.errors.ComponentError: there is no such writer, or none claims the ending.
        molvis_core.errors.WriteError: the file cannot be written.
    """
    chosen, path = _modality(dataset, modality), Path(out)
    name = writer or registry.for_suffix("writer", path, modality=chosen).name
    made_for = registry.component("writer", name).modality
    if made_for != chosen:
        raise DatasetError(f"{path}: the writer {name!r} writes {made_for}, and the measurements are {chosen}")
    rows = dataset.rows(chosen, fold=fold).tolist()

    def measurements() -> Iterator[Measurement]:
        for done, row in enumerate(rows, start=1):
            yield dataset.measurement(chosen, row)
            if progress:
                progress(done, len(rows))

    registry.load("writer", name)(path, measurements())
    return ExportReport(path, chosen, name, len(rows))


def _modality(dataset: Dataset, named: str | None) -> str:
    known = dataset.modalities
    if named is None and len(known) == 1:
        return known[0]
    if named is None:
        raise DatasetError(f"{dataset.path}: it holds {', '.join(known)}; name one of them with --modality")
    if named not in known:
        raise DatasetError(
            f"{dataset.path}: there is no modality {named!r}.{did_you_mean(named, known)} It holds {', '.join(known)}."
        )
    return named
