"""NMReDATA: an SDF file whose data items hold shifts, couplings and their assignment.

Reference: M. Pupier et al., NMReDATA, a standard to report the NMR assignment and parameters of organic compounds,
Magn. Reson. Chem. 56 (2018) 703, doi:10.1002/mrc.4737
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rdkit.Chem.rdchem import Mol

from molvis_core.chemistry.structures import parse_molfile, structure_of
from molvis_core.errors import ReadError, RecordError, StructureError
from molvis_core.records import Measurement, ShiftList, Structure
from molvis_files.opening import lines, read_text
from molvis_nmr_shifts.readers.atoms import places_text, smiles_places
from molvis_nmr_shifts.readers.items import MODALITY, Items, attached, check, nucleus_of, solvent_of

_ITEM = re.compile(r">.*<\s*(?P<name>[^>]+?)\s*>")
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:[-–]\s*(\d+(?:\.\d+)?))?")
_NUMBERED = re.compile(r"(H?)\s*(\d+)", re.IGNORECASE)
_BOTH = {"1J": "HSQC", "NJ": "HMBC", "TJ": "TOCSY", "D": "NOESY"}


@dataclass(frozen=True, slots=True)
class _Labels:
    """What the labels of an assignment stand for.

    Attributes:
        atoms: places of atoms in the SMILES, by label.
        shifts: in ppm, by label.
        elements: atomic number of the first atom of each label; 1 for hydrogens.
    """

    atoms: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)
    elements: Mapping[str, int] = field(default_factory=dict)


def is_nmredata(path: Path) -> bool:
    """Whether an SDF file has data items of NMReDATA."""
    try:
        return "<NMREDATA_" in read_text(path)[:2_000_000]
    except ReadError:
        return False


def read_nmredata(path: Path) -> Items:
    """Every list of shifts of an NMReDATA file: of each molecule the 1D spectra, and the cross peaks of 2D ones.

    Atoms of a signal come from `NMREDATA_ASSIGNMENT`. Where a molecule has no spectrum, the assignment itself is the
    list, one for each nucleus.

    Raises:
        ReadError: the file cannot be read; a record that cannot is yielded as one.
    """
    block: list[str] = []
    start, number = 1, 0
    for line, text in lines(path, keep_ends=True):
        if text.strip() != "$$$$":
            block.append(text)
            continue
        number += 1
        yield from _molecule(path, block, start, number)
        block, start = [], line + 1
    if any(text.strip() for text in block):
        yield from _molecule(path, block, start, number + 1)


def _molecule(path: Path, block: Sequence[str], line: int, number: int) -> Items:
    text = "".join(block)
    if "M  END" not in text:
        yield ReadError(path, "the molecule is cut off: 'M  END' is missing", line=line, record=number)
        return
    items = _items(block)
    name = block[0].strip() or None
    try:
        mol = parse_molfile(text.partition("M  END")[0] + "M  END\n")
        known = structure_of(mol, name=name)
        places = smiles_places(mol)
        labels = _labels(items.get("NMREDATA_ASSIGNMENT", ""), mol, places)
        lists = list(_lists(items, labels))
    except (StructureError, RecordError, ValueError) as error:
        yield ReadError(path, str(error), line=line, record=name or number)
        return
    if not lists:
        yield ReadError(
            path,
            "no shifts in it: no NMREDATA_1D_, NMREDATA_2D_ or NMREDATA_ASSIGNMENT item",
            line=line,
            record=name or number,
        )
    for made in lists:
        try:
            yield _measurement(made, known, solvent_of(items.get("NMREDATA_SOLVENT")), items.get("NMREDATA_ID"), name)
        except RecordError as error:
            yield ReadError(path, str(error), line=line, record=name or number)


def _measurement(
    made: Mapping[str, object], known: Structure, solvent: str | None, identifier: str | None, name: str | None
) -> Measurement:
    made = {"identifier": name or identifier, **made}
    record = ShiftList(**made, solvent=solvent)  # ty: ignore[invalid-argument-type]
    return Measurement(check(record), known, MODALITY, name=name)


def _items(block: Sequence[str]) -> dict[str, str]:
    """The data items of a record, by name; a backslash at the end of a line is the format's line break."""
    out: dict[str, str] = {}
    name = ""
    for line in block:
        if (head := _ITEM.match(line)) is not None:
            name = head["name"].upper()
            out[name] = ""
        elif name:
            out[name] += line
    return {key: value.strip().rstrip("\\").strip() for key, value in out.items()}


def _rows(text: str) -> Iterator[str]:
    for row in re.split(r"\\?\s*\n|\\(?=\s*$)", text):
        row = row.split(";", 1)[0].strip().rstrip("\\").strip()
        if row:
            yield row


def _labels(text: str, mol: Mol, places: Mapping[int, int]) -> _Labels:
    """`Ha, 3.52, H2` and `C1, 128.4, 3, 5`: a label, its shift, and atoms of the drawing counted from 1."""
    atoms: dict[str, tuple[int, ...]] = {}
    shifts: dict[str, float] = {}
    elements: dict[str, int] = {}
    for row in _rows(text):
        label, *rest = (part.strip() for part in row.split(","))
        if not rest:
            continue
        where = _RANGE.fullmatch(rest[0])
        found = [(m[1].upper() == "H", int(m[2]) - 1) for part in rest[1:] if (m := _NUMBERED.fullmatch(part))]
        inside = [(implied, index) for implied, index in found if 0 <= index < mol.GetNumAtoms()]
        atoms[label] = tuple(places[index] for _, index in inside if index in places)
        if where is not None:
            shifts[label] = _middle(where)
        if inside:
            elements[label] = 1 if inside[0][0] else mol.GetAtomWithIdx(inside[0][1]).GetAtomicNum()
    return _Labels(atoms, shifts, elements)


def _middle(found: re.Match[str]) -> float:
    return float(found[1]) if found[2] is None else (float(found[1]) + float(found[2])) / 2


def _lists(items: Mapping[str, str], labels: _Labels) -> Iterator[dict[str, object]]:
    count = 0
    for name, text in items.items():
        if name.startswith("NMREDATA_1D_") and (nucleus := nucleus_of(name.removeprefix("NMREDATA_1D_").split("#")[0])):
            made = _one_axis(text, nucleus, labels)
        elif name.startswith("NMREDATA_2D_"):
            made = _two_axes(name, text, labels)
        else:
            continue
        if made:
            count += 1
            stated = re.search(r"^Identifier=(.*?)\\?$", text, re.MULTILINE)
            yield {**made, "identifier": stated[1].strip()} if stated else made
    if not count:
        for nucleus, number in (("13C", 6), ("1H", 1), ("19F", 9), ("31P", 15), ("15N", 7)):
            mine = [label for label, element in labels.elements.items() if element == number and label in labels.shifts]
            if mine:
                yield {
                    "shifts": [labels.shifts[label] for label in mine], "nucleus": nucleus,
                    "atoms": tuple(places_text(labels.atoms[label]) for label in mine),
                }  # fmt: skip


def _one_axis(text: str, nucleus: str, labels: _Labels) -> dict[str, object] | None:
    """Rows such as `7.26, S=d, N=2, L=Ha, J=8.1`; those of settings, such as `Larmor=500.13`, are passed over."""
    shifts: list[float] = []
    kinds: list[str] = []
    counts: list[float | None] = []
    atoms: list[str] = []
    for row in _rows(text):
        first, *rest = (part.strip() for part in re.split(r",(?![^(]*\))", row))
        if (where := _RANGE.fullmatch(first)) is None:
            continue
        fields = {k.strip().upper(): v.strip() for k, sign, v in (part.partition("=") for part in rest) if sign}
        shifts.append(_middle(where))
        kinds.append(_kind(fields.get("S", ""), nucleus))
        counts.append(_count(fields.get("N") or fields.get("E")))
        mine = [label.strip() for label in re.split(r"[|,&]", fields.get("L", "").strip("()")) if label.strip()]
        atoms.append(places_text([a for label in mine for a in labels.atoms.get(label, ())]))
    if not shifts:
        return None
    return {
        "shifts": shifts, "nucleus": nucleus, "intensity": counts if all(counts) and nucleus == "1H" else None,
        "multiplicity": attached(kinds), "atoms": tuple(atoms) if any(atoms) else (),
    }  # fmt: skip


def _kind(text: str, nucleus: str) -> str:
    # Of decoupled 13C the multiplicity of a signal is that of the carbon; elsewhere it is as it was seen.
    return text.upper() if nucleus == "13C" and text.upper() in ("S", "D", "T", "Q") else text


def _count(text: str | None) -> float | None:
    found = re.match(r"\d+(?:\.\d+)?", text or "")
    return float(found[0]) if found and float(found[0]) > 0 else None


def _two_axes(name: str, text: str, labels: _Labels) -> dict[str, object] | None:
    """Cross peaks such as `Ha/C1`, of labels whose shifts the assignment gives, or `3.52/77.1`."""
    found = re.match(r"NMREDATA_2D_(\d+[A-Z][a-z]?)_([0-9A-Z]+)_(\d+[A-Z][a-z]?)", name, re.IGNORECASE)
    if found is None:
        return None
    first, kind, second = nucleus_of(found[1]) or "", found[2].upper(), nucleus_of(found[3]) or ""
    stated = re.search(r"CorType\s*=\s*([A-Za-z0-9-]+)", text, re.IGNORECASE)
    if not (pairs := _cross_peaks(text, labels)):
        return None
    usual = "COSY" if first == second == "1H" and kind in ("3J", "NJ") else _BOTH.get(kind)
    flipped = first == "1H" and second != "1H"
    return {
        "shifts": [p[1] if flipped else p[0] for p in pairs], "nucleus": second if flipped else first,
        "partners": [p[0] if flipped else p[1] for p in pairs], "experiment": stated[1].upper() if stated else usual,
    }  # fmt: skip


def _cross_peaks(text: str, labels: _Labels) -> list[tuple[float, float]]:
    """Shifts on both axes, of the rows where both are known."""
    pairs: list[tuple[float, float]] = []
    for row in _rows(text):
        sides = [_side(side.strip(), labels) for side in row.split(",")[0].split("/")]
        if len(sides) == 2 and sides[0] is not None and sides[1] is not None:
            pairs.append((sides[0], sides[1]))
    return pairs


def _side(text: str, labels: _Labels) -> float | None:
    if text in labels.shifts:
        return labels.shifts[text]
    found = _RANGE.fullmatch(text)
    return _middle(found) if found else None
