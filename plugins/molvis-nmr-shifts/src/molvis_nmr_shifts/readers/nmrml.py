"""nmrML files that hold peaks: lists of picked peaks, and assigned multiplets.

Reference: D. Schober et al., Anal. Chem. 90 (2018) 649, doi:10.1021/acs.analchem.7b02795
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from molvis_core.errors import ReadError, RecordError, StructureError
from molvis_core.records import Measurement, ShiftList, Structure
from molvis_files.opening import read_text
from molvis_files.spectra import known_structure
from molvis_files.xml import parse_xml
from molvis_nmr_shifts.readers.items import MODALITY, Items, attached, check, nucleus_of, numbers, solvent_of


def is_nmrml_with_peaks(path: Path) -> bool:
    """Whether a file is nmrML and holds peaks or multiplets."""
    try:
        text = read_text(path)
    except ReadError:
        return False
    return "<nmrML" in text and ("<multiplet" in text or "<peakList" in text or "<peak " in text)


def read_nmrml(path: Path) -> Items:
    """The assigned multiplets of an nmrML file, or else its picked peaks, in ppm.

    The structure is the InChI or SMILES among the identifiers of its compound.

    Raises:
        ReadError: the file cannot be read, is XML of another schema, or holds no peaks.
    """
    root = parse_xml(path, read_text(path))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != "nmrML":
        raise ReadError(path, f"holds <{root.tag}> in place of <nmrML>")
    stated = next((e.get("name", "") for e in root.iter("acquisitionNucleus")), "")
    nucleus = nucleus_of(stated)
    if nucleus is None:
        raise ReadError(path, f"<acquisitionNucleus> is {stated or 'missing'}; its name must be one such as 1H")
    lists = list(_lists(root))
    if not lists:
        raise ReadError(path, "holds no <multiplet> and no <peak> with a center")
    solvent = solvent_of(next((e.get("name") or e.get("value") for e in root.iter("solvent")), None))
    for number, (centres, counts, kinds) in enumerate(lists, start=1):
        try:
            known = _structure(root)
            record = ShiftList(
                np.array(centres), nucleus, numbers(counts) if nucleus == "1H" else None,
                multiplicity=attached(kinds),
                solvent=solvent, identifier=f"{path.name.partition('.')[0]} {number}",
            )  # fmt: skip
            yield Measurement(check(record), known, MODALITY)
        except (RecordError, StructureError) as error:
            yield ReadError(path, str(error), record=number)


def _lists(root: Element) -> Iterator[tuple[list[float], list[float], list[str]]]:
    """Centres in ppm, protons and multiplicities, of each list of multiplets; of peaks where there is none."""
    found = [list(parent.iter("multiplet")) for parent in root.iter("atomAssignmentList")]
    if not any(found):
        found = [list(parent.iter("peak")) for parent in root.iter("peakList")]
    for some in found:
        rows = [(float(e.get("center", "")), e) for e in some if _is_number(e.get("center"))]
        if rows:
            yield [centre for centre, _ in rows], [_protons(e) for _, e in rows], [_kind(e) for _, e in rows]


def _protons(element: Element) -> float:
    """How many atoms a multiplet is of; 0 where it does not say."""
    atoms = element.find("atoms")
    return float(len((atoms.get("atomRefs") or "").split())) if atoms is not None else 0.0


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and abs(float(text)) < 1e6
    except ValueError:
        return False


def _kind(element: Element) -> str:
    """`d` from the name of a term, such as *doublet feature*."""
    term = element.find("multiplicity")
    name = (term.get("name") or "").lower() if term is not None else ""
    words = {
        "singlet": "s",
        "doublet of doublets": "dd",
        "doublet": "d",
        "triplet": "t",
        "quartet": "q",
        "multiplet": "m",
    }
    return next((short for word, short in words.items() if word in name), "")


def _structure(root: Element) -> Structure | None:
    for element in root.iterfind(".//chemicalCompound//identifier"):
        for text in (element.get("name"), element.get("value"), element.text):
            if text and (text.startswith("InChI=") or "smiles" in (element.get("accession") or "").lower()):
                return known_structure(text)
    return None
