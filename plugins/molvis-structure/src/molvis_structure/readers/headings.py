"""Which column of a table is which: headings as people and databases write them, and tables without any."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ReadError, StructureError

STRUCTURE = (
    "smiles", "canonicalsmiles", "isomericsmiles", "isosmiles", "absolutesmiles", "structure", "inchi", "standardinchi",
)  # fmt: skip
NAME = (
    "name", "title", "compoundname", "compound", "preferredname", "commonname", "chemicalname", "cmpdname",
    "metabolitename", "genericname", "structurenametraditional", "iupacname", "structurenameiupac", "id", "identifier",
    "compoundid", "cid", "dtxsid", "cas",
)  # fmt: skip
SOURCE = ("sources", "source", "database")
IDENTITY = ("inchikey", "inchikey14", "formula", "exactmass", "charge")
_ALSO = {
    "inchikey": ("standardinchikey", "stdinchikey", "structureinchikey"),
    "formula": ("molecularformula", "structuremolecularformula"),
    "exactmass": ("monoisotopicmass", "monoisomass", "exactmolecularweight", "structureexactmass"),
}
"""Other headings of the same columns, as PubChemLite, COCONUT, LOTUS and NORMAN SusDat have them."""
DELIMITERS = "\t,;|"
"""Of tables: commas, tabs, and the semicolons of spreadsheets where the comma is decimal."""


def plain(heading: str) -> str:
    """A heading without case, spaces and signs: `Canonical SMILES` and `canonical_smiles` are the same."""
    return re.sub(r"[^a-z0-9]", "", heading.lower())


def recognised(headings: Sequence[str]) -> list[str]:
    """Headings as `plain` has them; the columns of structures and of what identifies them under the names used here."""
    found = [plain(h) for h in headings]
    for name, others in _ALSO.items():
        if name not in found and (other := next((o for o in others if o in found), None)):
            found[found.index(other)] = name
    if any(h in STRUCTURE for h in found):
        return found
    # SMILES (QSAR-ready), SMILES_std, InChI string: whatever else is in the heading.
    for kind in ("smiles", "inchi"):
        for place, heading in enumerate(found):
            if kind in heading and "key" not in heading and not headings[place].startswith("InChI="):
                return [*found[:place], kind, *found[place + 1 :]]
    return found


def has_structures(headings: Iterable[str]) -> bool:
    """Whether one of the recognised headings is of structures."""
    return any(h in STRUCTURE for h in headings)


def refused(path: Path, headings: Sequence[str]) -> ReadError:
    """The error of a table without a column of structures; it lists the headings."""
    found = ", ".join(headings[:20]) or "none"
    more = f" and {len(headings) - 20} more" if len(headings) > 20 else ""
    return ReadError(path, f"no column of structures: found {found}{more}; call it 'smiles' or 'inchi'", line=1)


def without_headings(rows: Sequence[Sequence[str]]) -> list[str] | None:
    """Headings for a table that has none: one column holds structures, the next other one names.

    Args:
        rows: the first few, as they are.
    """
    for place in range(min(map(len, rows), default=0)):
        # A heading such as NO or CN is a molecule too, but then the rows below it are not, or it is the only column.
        if all(is_structure(row[place]) for row in rows):
            others = [i for i in range(len(rows[0])) if i != place]
            names = {place: "smiles"} | ({others[0]: "name"} if others else {})
            return [names.get(i, f"column{i + 1}") for i in range(len(rows[0]))]
    return None


def is_structure(text: str) -> bool:
    """Whether a cell is a SMILES or an InChI."""
    text = text.strip()
    if not text or text.startswith("InChI="):
        return bool(text)
    try:
        parse_smiles(text)
    except StructureError:
        return False
    return True


def delimiter_of(line: str, default: str = ",") -> str:
    """What parts the columns of a table, by its first line: whatever gives a heading of structures, or most columns."""
    for sign in DELIMITERS:
        if sign in line and has_structures(recognised(cells(line, sign))):
            return sign
    counts = {sign: line.count(sign) for sign in DELIMITERS}
    most = max(DELIMITERS, key=lambda sign: counts[sign])
    return most if counts[most] and not counts[default] else default


def cells(line: str, delimiter: str) -> list[str]:
    """The cells of one line, without quotes."""
    return [cell.strip().strip('"') for cell in line.strip("\r\n").split(delimiter)]
