"""Two columns of text. Lines above the numbers may state `# name: ...` and `# smiles: ...`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from molvis_core import Trace, structure
from molvis_core.errors import MolvisError, ReadError
from molvis_core.records import Measurement
from molvis_files.opening import read_text


def read_text_columns(path: Path) -> Iterator[Measurement | ReadError]:
    """One trace: wavenumber in cm^-1 and absorbance. A bad record is yielded as the error that explains it.

    Raises:
        ReadError: the file cannot be read, or a line of it is not a pair of numbers.
    """
    head: dict[str, str] = {}
    rows: list[tuple[float, float]] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.startswith("#"):
            key, _, value = line.lstrip("# ").partition(":")
            head[key.strip().lower()] = value.strip()
        elif line.strip():
            try:
                x, y = (float(cell) for cell in line.replace(",", " ").split())
            except ValueError:
                raise ReadError(path, f"{line[:40]!r} is not a pair of numbers", line=number) from None
            rows.append((x, y))
    if len(rows) < 2:
        raise ReadError(path, "it has fewer than two lines of numbers")
    name = head.get("name") or path.name.partition(".")[0]
    try:
        record = Trace(*np.array(rows).T, identifier=name)
        known = structure(head["smiles"], name=name) if "smiles" in head else None
    except MolvisError as error:
        yield ReadError(path, str(error), record=name)
        return
    yield Measurement(record, known, modality="template", name=name)
