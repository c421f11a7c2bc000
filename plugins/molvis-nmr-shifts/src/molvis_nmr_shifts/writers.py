"""NMReDATA files: molecules with their lists of shifts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.rdBase import BlockLogs

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import WriteError
from molvis_core.records import Measurement, ShiftList, Structure
from molvis_files.writing import write_text

_VERSION = "1.1"
_KINDS = {"HSQC": "1J", "HMBC": "NJ", "TOCSY": "TJ", "NOESY": "D", "COSY": "NJ"}


def write_nmredata(path: Path, measurements: Iterable[Measurement]) -> None:
    """Write lists of shifts, those of one compound that follow each other as one molecule.

    Signals get labels of their own (`s1`, `s2`, ...), which `NMREDATA_ASSIGNMENT` resolves where their atoms are known.
    Atoms are numbered as they stand in the structure's SMILES.

    Raises:
        WriteError: a measurement is of no structure, or its record is no list of shifts.
    """
    parts: list[str] = []
    for key, group in itertools.groupby(measurements, key=_key):
        if key is None:
            raise WriteError(path, "NMReDATA is about structures, and a list of shifts has none; give its SMILES")
        found = list(group)
        structure = found[0].structure
        assert structure is not None
        parts.append(_molecule(path, structure, found))
    write_text(path, "".join(parts))


def _key(measurement: Measurement) -> tuple[str, str | None, str | None] | None:
    if measurement.structure is None:
        return None
    solvent = measurement.record.solvent if isinstance(measurement.record, ShiftList) else None
    return measurement.structure.smiles, solvent, measurement.name


def _molecule(path: Path, structure: Structure, group: Sequence[Measurement]) -> str:
    with BlockLogs():
        mol = parse_smiles(structure.smiles)
        rdDepictor.Compute2DCoords(mol)
        block = Chem.MolToMolBlock(mol)
    title = (group[0].name or group[0].record.identifier or structure.name or "").replace("\n", " ")
    block = f"{title}\n{block.split(chr(10), 1)[1]}"
    items = [("NMREDATA_VERSION", [_VERSION]), ("NMREDATA_LEVEL", ["0"])]
    if group[0].record.solvent:
        items.append(("NMREDATA_SOLVENT", [group[0].record.solvent]))
    assigned: list[str] = []
    spectra: list[tuple[str, list[str]]] = []
    seen: dict[str, int] = {}
    for one in group:
        if not isinstance(one.record, ShiftList):
            raise WriteError(path, f"NMReDATA holds lists of shifts, not a {type(one.record).__name__}")
        name = _name(one.record)
        seen[name] = seen.get(name, 0) + 1
        rows = _rows(one.record, len(assigned), assigned)
        spectra.append((name if seen[name] == 1 else f"{name}#{seen[name]}", rows))
    if assigned:
        items.append(("NMREDATA_ASSIGNMENT", assigned))
    text = "".join(f"\n>  <{name}>\n" + "".join(f"{row}\\\n" for row in rows) for name, rows in [*items, *spectra])
    return f"{block}{text}\n$$$$\n"


def _name(record: ShiftList) -> str:
    if record.partners is None:
        return f"NMREDATA_1D_{record.nucleus}"
    other = record.nucleus if record.experiment in ("COSY", "TOCSY", "NOESY") else "1H"
    return f"NMREDATA_2D_{record.nucleus}_{_KINDS.get(record.experiment or '', 'NJ')}_{other}"


def _rows(record: ShiftList, number: int, assigned: list[str]) -> list[str]:
    """The rows of a spectrum; labels are added to the assignment."""
    rows = [f"CorType={record.experiment}"] if record.partners is not None and record.experiment else []
    if record.identifier:
        rows.append(f"Identifier={record.identifier}".replace("\n", " "))
    for place, shift in enumerate(record.shifts.tolist()):
        if record.partners is not None:
            rows.append(f"{shift!r}/{float(record.partners[place])!r}")
            continue
        row = repr(shift)
        if record.multiplicity and record.multiplicity[place]:
            row += f", S={record.multiplicity[place]}"
        if record.intensity is not None:
            row += f", N={float(record.intensity[place]):g}"
        atoms = record.atoms[place] if record.atoms else ""
        if atoms:
            number += 1
            hydrogen = "H" if record.nucleus == "1H" else ""
            numbers = ", ".join(f"{hydrogen}{int(a) + 1}" for a in atoms.split(","))
            assigned.append(f"s{number}, {shift!r}, {numbers}")
            row += f", L=s{number}"
        rows.append(row)
    return rows
