"""What the text formats share: fields by many names, turned into one measurement with clear complaints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from molvis.adducts import ion_mz, parse_adduct
from molvis.dataset import Measurement
from molvis.errors import AdductError, ReadError, RecordError, StructureError
from molvis.identity import structure
from molvis.records import PeakList, Structure

_NAMES: dict[str, tuple[str, ...]] = {
    "name": ("name", "title", "compound_name", "compoundname", "compound", "ch$name"),
    "identifier": ("spectrumid", "spectrum_id", "accession", "db#", "dbid", "scans", "id", "feature_id"),
    "precursor_mz": ("pepmass", "precursor_mz", "precursormz", "precursor_m/z", "precursor", "ms$focused_ion:precursor_m/z"),
    "adduct": ("adduct", "precursor_type", "precursortype", "ion", "ion_type", "ms$focused_ion:precursor_type"),
    "charge": ("charge", "precursor_charge"),
    "ionmode": ("ionmode", "ion_mode", "polarity", "ac$mass_spectrometry:ion_mode"),
    "collision_energy": ("collision_energy", "collisionenergy", "ce", "collision_energy_ev", "ac$mass_spectrometry:collision_energy"),
    "instrument_type": ("instrument_type", "instrumenttype", "source_instrument", "instrument", "ac$instrument_type"),
    "ms_level": ("ms_level", "mslevel", "spectrum_type", "ac$mass_spectrometry:ms_type"),
    "smiles": ("smiles", "ch$smiles", "computed_smiles"),
    "inchi": ("inchi", "ch$iupac", "computed_inchi"),
    "inchikey": ("inchikey", "inchi_key", "inchiaux", "ch$link:inchikey"),
    "licence": ("license", "licence", "copyright"),
    "contributor": ("contributor", "submituser", "data_collector"),
    "authors": ("authors", "author"),
    "source": ("source", "library", "library_membership"),
    "fold": ("fold",),
}  # fmt: skip
_EMPTY = {"", "n/a", "na", "none", "null", "unknown", "-", "?"}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def collision_energy(text: str, precursor_mz: float | None) -> float | None:
    """eV from what sources write: `35`, `35 eV`, `30(NCE)`, `HCD 45%`, `20-40 eV` (the middle). None where unclear.

    Normalized energies are turned into eV as NCE x m/z / 500, the convention of Orbitrap instruments.
    """
    numbers = [float(n) for n in re.findall(r"\d+\.?\d*", text)]
    if not numbers:
        return None
    value = float(np.mean(numbers[:2])) if re.search(r"\d\s*(-|to)\s*\d|ramp", text, re.IGNORECASE) else numbers[0]
    if re.search(r"nce|%|normali", text, re.IGNORECASE):
        return value * precursor_mz / 500 if precursor_mz else None
    return value


def ionmode(text: str) -> str | None:
    """`positive` or `negative` from `P`, `+`, `1`, `Positive`, ..."""
    low = text.strip().lower()
    if low in ("+", "p", "pos", "1", "1+", "positive", "positive ionization"):
        return "positive"
    if low in ("-", "n", "neg", "-1", "0", "1-", "negative", "negative ionization"):
        return "negative"
    return None


def parse_charge(text: str) -> int | None:
    """`1`, `+1`, `1+`, `2-` to a signed number; 0 and what cannot be read to None."""
    match = re.fullmatch(r"\s*([+-]?)(\d+)([+-]?)\s*", text)
    if not match or match.group(2) == "0":
        return None
    return -int(match.group(2)) if "-" in (match.group(1), match.group(3)) else int(match.group(2))


def find(fields: Mapping[str, str], name: str) -> str | None:
    """The value of a field under any of its names; None where it is missing or says that it is unknown."""
    for key in _NAMES[name]:
        if (value := fields.get(key)) is not None and value.strip().lower() not in _EMPTY:
            return value.strip().strip('"')
    return None


def measurement(
    path: Path, fields: Mapping[str, str], peaks: Sequence[tuple[float, float]], *, line: int | None, number: int
) -> Measurement | ReadError:
    """One record of a file, or the reason why it is none.

    Args:
        path: the file, for messages.
        fields: by lowercase name.
        peaks: m/z and intensity.
        line: where the record begins.
        number: of the record, counted from 1.
    """
    identifier = find(fields, "identifier")
    record = identifier or find(fields, "name") or number

    def refuse(reason: str) -> ReadError:
        return ReadError(path, reason, line=line, record=record)

    try:
        known = _structure(fields)
    except StructureError as error:
        return refuse(str(error))
    adduct, mode = find(fields, "adduct"), ionmode(find(fields, "ionmode") or "")
    charge = parse_charge(find(fields, "charge") or "")
    if adduct is not None:
        try:
            ion = parse_adduct(adduct)
        except AdductError as error:
            return refuse(str(error))
        if mode is not None and mode != ion.ionmode:
            return refuse(f"adduct {adduct} is {ion.ionmode}, but the ion mode is {mode}; correct one of them")
        adduct, charge, mode = ion.name, ion.charge, ion.ionmode
    elif mode is None and charge is not None:
        mode = "positive" if charge > 0 else "negative"
    text = find(fields, "precursor_mz")
    precursor: float | None = None
    if text is not None:
        found = re.match(_NUMBER, text)
        if not found:
            return refuse(f"the precursor m/z {text!r} is not a number")
        precursor = float(found.group()) or None
    if precursor is None and known is not None and adduct is not None:
        precursor = ion_mz(known.exact_mass, adduct)
    if precursor is None:
        return refuse("no precursor m/z (PEPMASS, PrecursorMZ); add it, or the structure and the adduct")
    if not peaks:
        return refuse("no peaks; leave the record out, or check how it was exported")
    energy = find(fields, "collision_energy")
    level = re.search(r"[1-9]", find(fields, "ms_level") or "")
    try:
        spectrum = PeakList(
            mz=np.array([p[0] for p in peaks], dtype=np.float64),
            intensity=np.array([p[1] for p in peaks], dtype=np.float64),
            precursor_mz=precursor,
            adduct=adduct,
            charge=charge,
            ionmode=mode,
            collision_energy=collision_energy(energy, precursor) if energy else None,
            instrument_type=find(fields, "instrument_type"),
            ms_level=int(level.group()) if level else None,
            identifier=identifier,
        )
    except RecordError as error:
        return refuse(str(error))
    if not (spectrum.intensity > 0).any():
        return refuse("every peak has intensity 0")
    return Measurement(
        spectrum,
        known,
        "msms",
        fold=find(fields, "fold"),
        name=find(fields, "name") or (known.name if known else None),
        source=find(fields, "source"),
        licence=find(fields, "licence"),
        contributor=find(fields, "contributor"),
        authors=find(fields, "authors"),
    )


def _structure(fields: Mapping[str, str]) -> Structure | None:
    text = find(fields, "smiles") or find(fields, "inchi")
    return structure(text, name=find(fields, "name")) if text else None
