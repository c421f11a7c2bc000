"""Measurements of a dataset or of another file to a file, by whichever writer claims its ending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from molvis_core import registry
from molvis_core.errors import DatasetError, did_you_mean
from molvis_core.progress import Progress
from molvis_core.records import Measurement
from molvis_files.measurements import read_measurements
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
    source: Dataset | Path | str,
    out: Path | str,
    *,
    modality: str | None = None,
    fold: str | None = None,
    reader: str | None = None,
    writer: str | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write measurements of one modality to one file.

    What no dataset holds, such as a network with its labelling data or a spin system, is converted from file to file.

    Args:
        source: where they come from: a dataset, or a file that a reader claims, which is read as a whole.
        out: the file; it is replaced whole or not at all.
        modality: whose measurements; a dataset of one modality needs none.
        fold: only those of this fold of a dataset.
        reader: of the file, instead of one that claims its ending.
        writer: its name, instead of one that claims the ending of `out`.
        progress: called with the number that is written and the number in all.

    Raises:
        DatasetError: the source has no such modality or fold, or several modalities and none is named.
        molvis_core.errors.ReadError: the file or a record in it cannot be read.
        molvis_core.errors.ComponentError: there is no such reader or writer, or none claims the ending.
        molvis_core.errors.WriteError: the file cannot be written.
    """
    path = Path(out)
    if isinstance(source, Dataset):
        chosen = _modality(source.path, source.modalities, modality)
        name = _writer(path, chosen, writer)
        rows = source.rows(chosen, fold=fold).tolist()
        total, found = len(rows), (source.measurement(chosen, row) for row in rows)
    else:
        if fold is not None:
            raise DatasetError(f"{source}: a file has no folds; import it, split the dataset, and export that")
        read = read_measurements(source, modality=modality, reader=reader)
        chosen = _modality(Path(source), sorted({m.modality for m in read}), modality)
        name = _writer(path, chosen, writer)
        total, found = len(read), iter(read)

    def measurements() -> Iterator[Measurement]:
        for done, measurement in enumerate(found, start=1):
            yield measurement
            if progress:
                progress(done, total)

    registry.load("writer", name)(path, measurements())
    return ExportReport(path, chosen, name, total)


def _writer(out: Path, modality: str, named: str | None) -> str:
    name = named or registry.for_suffix("writer", out, modality=modality).name
    made_for = registry.component("writer", name).modality
    if made_for != modality:
        raise DatasetError(f"{out}: the writer {name!r} writes {made_for}, and the measurements are {modality}")
    return name


def _modality(path: Path, known: Sequence[str], named: str | None) -> str:
    if named is None and len(known) == 1:
        return known[0]
    if named is None:
        raise DatasetError(f"{path}: it holds {', '.join(known)}; name one of them with --modality")
    if named not in known:
        raise DatasetError(
            f"{path}: there is no modality {named!r}.{did_you_mean(named, known)} It holds {', '.join(known)}."
        )
    return named
