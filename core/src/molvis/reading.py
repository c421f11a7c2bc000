"""Queries from a file, whichever installed reader claims it."""

from __future__ import annotations

from pathlib import Path

from molvis import registry
from molvis.dataset import Measurement
from molvis.errors import ReadError
from molvis.identification import Identification


def read_queries(
    path: Path | str, *, modality: str = "msms", reader: str | None = None
) -> tuple[list[Measurement], list[Identification]]:
    """Measurements to identify, and an identification with its problem for each record that cannot be read.

    Args:
        path: the file.
        modality: take only readers of this one.
        reader: name of the reader, instead of choosing one by the file's ending.

    Raises:
        ReadError: the file cannot be read at all.
        molvis.errors.ComponentError: no reader claims it.
    """
    path = Path(path)
    if not path.is_file():
        raise ReadError(path, "no such file")
    name = reader or registry.for_suffix("reader", path, modality=modality).name
    good: list[Measurement] = []
    bad: list[Identification] = []
    for number, item in enumerate(registry.load("reader", name)(path), start=1):
        if isinstance(item, ReadError):
            bad.append(Identification(str(item.record or f"record {number}"), str(item), spectra=0))
        else:
            good.append(item)
    return good, bad
