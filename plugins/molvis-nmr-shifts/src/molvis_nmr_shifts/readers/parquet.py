"""Tables of shift lists as Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ReadError, RecordError, StructureError
from molvis_core.records import Measurement, ShiftList, Structure
from molvis_files.parquet import Kind, parquet_columns, read_batches, whole_number
from molvis_files.spectra import known_structure
from molvis_nmr_shifts.readers.atoms import places_text, smiles_places
from molvis_nmr_shifts.readers.items import MODALITY, Items, attached, check, nucleus_of, solvent_of

SURE = 0.9
"""An assignment that is less probable is left out."""
_KINDS: dict[str, Kind] = {
    "identifier": "label", "smiles": "text", "name": "text", "nucleus": "text", "solvent": "text", "shifts": "numbers",
    "atoms": "groups", "assignment_p": "numbers", "multiplicity": "texts", "n_nuclei": "numbers", "fold": "text",
    "cluster": "number", "source": "text", "licence": "text", "contributor": "text", "authors": "text",
}  # fmt: skip
_NEED = ("smiles", "nucleus", "shifts")


def is_shift_table(path: Path) -> bool:
    """Whether a Parquet table has the columns of shift lists."""
    return set(_NEED) <= parquet_columns(path)


def read_parquet(path: Path) -> Items:
    """Tables of shift lists: one row a spectrum, signals as lists, read in batches.

    Columns: `smiles`, `nucleus` and `shifts`; `identifier`, `name`, `solvent`, `multiplicity`, `n_nuclei` (of 1H the
    number of protons of each signal), `fold`, `cluster`, `source`, `licence`, `contributor` and `authors` where it has
    them; `atoms`, of each signal places from 0 in `smiles`, of which those count whose `assignment_p` is at least 0.9,
    or that have none.

    Raises:
        ReadError: the file is not Parquet, is damaged, or lacks a column.
    """
    number = 0
    for batch in read_batches(path, _KINDS, need=_NEED):
        for row in batch.to_pylist():
            number += 1
            record = row.get("identifier") or number
            try:
                yield _measurement(row, str(record))
            except (RecordError, StructureError, TypeError, ValueError) as error:
                yield ReadError(path, str(error), line=number, record=record)


def _measurement(row: Mapping[str, Any], identifier: str) -> Measurement:
    nucleus = nucleus_of(row["nucleus"] or "")
    if nucleus is None:
        raise RecordError(f"nucleus {row['nucleus']!r} is none; write it like 13C")
    shifts = row["shifts"]
    if shifts is None:
        raise RecordError("no shifts")
    known = known_structure(row["smiles"]) if row["smiles"] else None
    record = check(
        ShiftList(
            shifts,
            nucleus,
            row["n_nuclei"] if nucleus == "1H" and row.get("n_nuclei") else None,
            multiplicity=attached([m or "" for m in row.get("multiplicity") or ()]),
            atoms=_atoms(row, known) if known else (),
            solvent=solvent_of(row.get("solvent")),
            identifier=identifier,
        )
    )
    origin: dict[str, Any] = {k: row.get(k) for k in ("fold", "name", "source", "licence", "contributor", "authors")}
    return Measurement(record, known, MODALITY, cluster=whole_number(row, "cluster"), **origin)


def _atoms(row: Mapping[str, Any], known: Structure) -> tuple[str, ...]:
    """Of each signal the places of its atoms in the structure's SMILES, where they are sure enough."""
    groups: Sequence[Sequence[int] | None] = row.get("atoms") or ()
    if not any(groups):
        return ()
    sure = row.get("assignment_p") or [1.0] * len(groups)
    places: Mapping[int, int] | None = (
        None if row["smiles"] == known.smiles else smiles_places(parse_smiles(row["smiles"]))
    )
    texts: list[str] = []
    for group, p in zip(groups, sure, strict=True):
        mine = list(group or ()) if p is None or p >= SURE else []
        texts.append(places_text(mine if places is None else [places[a] for a in mine if a in places]))
    return tuple(texts) if any(texts) else ()
