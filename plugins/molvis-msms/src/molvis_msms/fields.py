"""What the formats share: lines of text, and fields by many names turned into one measurement, or a clear complaint."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from molvis_core.chemistry.adducts import ion_mz, parse_adduct, unknown_charge
from molvis_core.errors import AdductError, LeftOutError, ReadError, RecordError, StructureError
from molvis_core.records import Measurement, Origin, PeakList, Structure
from molvis_files.spectra import stated, stated_structure

_NAMES: dict[str, tuple[str, ...]] = {
    "name": ("name", "title", "compound_name", "compoundname", "compound", "ch$name"),
    "identifier": ("spectrumid", "spectrum_id", "accession", "db#", "dbid", "id", "usi", "scans", "feature_id"),
    "precursor_mz": (
        "pepmass", "precursor_mz", "precursormz", "precursor_m/z", "precursor", "ms$focused_ion:precursor_m/z",
    ),
    "adduct": ("adduct", "precursor_type", "precursortype", "ion", "ion_type", "ms$focused_ion:precursor_type"),
    "charge": ("charge", "precursor_charge"),
    "ionmode": ("ionmode", "ion_mode", "polarity", "ac$mass_spectrometry:ion_mode"),
    "collision_energy": (
        "collision_energy", "collisionenergy", "ce", "collision_energy_ev", "ac$mass_spectrometry:collision_energy",
    ),
    "instrument_type": ("instrument_type", "instrumenttype", "source_instrument", "instrument", "ac$instrument_type"),
    "ms_level": ("ms_level", "mslevel", "spectrum_type", "ac$mass_spectrometry:ms_type"),
    "feature_id": ("feature_id", "featureid", "feature"),
    "scans": ("scans", "scan", "scan_number", "scannumber", "scan_id"),
    "smiles": ("smiles", "ch$smiles", "computed_smiles"),
    "inchi": ("inchi", "ch$iupac", "computed_inchi"),
    "inchikey": ("inchikey", "inchi_key", "inchiaux", "ch$link:inchikey"),
    "licence": ("license", "licence", "copyright"),
    "contributor": ("contributor", "submituser", "data_collector"),
    "authors": ("authors", "author"),
    "source": ("source", "library", "library_membership"),
    "fold": ("fold",),
    "cluster": ("cluster",),
}  # fmt: skip
_TIMES = {
    "rtinseconds": "s", "retention_time": "s", "rt_in_seconds": "s", "rtinminutes": "min", "rt": "min",
    "retentiontime": "min", "ac$chromatography:retention_time": "min",
}  # fmt: skip
"""Fields of the retention time, and their unit where the text names none: matchms's are seconds, MSP's minutes."""
# One energy, or several: 20-40, 20,40,60, 20/40/60, 10 to 40. What stands before the first is no sign.
# Possessive, and never from the middle of a number: digits without end are looked through once.
_ENERGIES = r"(?<!\d)\d++(?:\.\d*+)?%?(?:\s*+(?:-|\u2013|/|,|to)\s*+\d++(?:\.\d*+)?%?)*"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def collision_energy(text: str, precursor_mz: float | None, instrument_type: str | None = None) -> float | None:
    """The energy in eV from what sources write: `35`, `35 eV`, `30(NCE)`, `HCD 45%`, `20-40 eV`. None where unclear.

    Of several energies, ramped or stepped, the middle is taken. Normalized energies become eV as NCE x m/z / 500, the
    convention of Orbitrap instruments. A number without a unit is normalized on a Fourier-transform instrument, and
    where the source calls it nominal.
    """
    # No energy takes more, and the time to look through digits without end grows with the cube of their number.
    text = text[:100]
    plain = re.search(rf"({_ENERGIES})\s*e?V\b", text, re.IGNORECASE)
    found = plain or re.search(_ENERGIES, text)
    if found is None or re.search(r"\bor\b|m/?z", text, re.IGNORECASE):
        return None
    value = float(np.mean([float(n) for n in re.findall(r"\d+\.?\d*", found.group())]))
    if plain:
        return value
    normalized = re.search(r"nce|%|normali|nominal", text, re.IGNORECASE) or "FT" in (instrument_type or "").upper()
    if normalized:
        return value * precursor_mz / 500 if precursor_mz else None
    return value


def ionmode(text: str) -> str | None:
    """`positive` or `negative` from `P`, `+`, `1`, `Positive`, ..."""
    low = text.strip().lower()
    if low in ("+", "p", "1", "1+", "esi+") or low.startswith("pos"):
        return "positive"
    if low in ("-", "n", "-1", "0", "1-", "esi-") or low.startswith("neg"):
        return "negative"
    return None


def retention_time(fields: Mapping[str, str]) -> float | None:
    """In minutes; None where it is not stated, or stated as what cannot be, such as -1."""
    for key, unit in _TIMES.items():
        found = re.match(rf"\s*P?T?({_NUMBER})\s*([A-Za-z]*)", fields.get(key, ""))
        if found is None:
            continue
        value, unit = float(found.group(1)), found.group(2).lower() or unit
        if value >= 0 and math.isfinite(value):
            # A microminute is nothing; the digits beyond are the division's.
            return round(value if unit.startswith("m") else value * 60 if unit.startswith("h") else value / 60, 6)
    return None


def parse_charge(text: str) -> int | None:
    """`1`, `+1`, `1+`, `2-` to a signed number; 0 and what cannot be read to None."""
    match = re.fullmatch(r"\s*([+-]?)([0-9]{1,3})([+-]?)\s*", text)
    if not match or match.group(2) == "0":
        return None
    return -int(match.group(2)) if "-" in (match.group(1), match.group(3)) else int(match.group(2))


def find(fields: Mapping[str, str], name: str) -> str | None:
    """The value of a field under any of its names; None where it is missing or states that it is unknown."""
    return stated(fields, _NAMES[name], minus=name == "ionmode")


def measurement(
    path: Path, fields: Mapping[str, str], peaks: Sequence[tuple[float, float]], *, line: int | None, number: int
) -> Measurement | ReadError:
    """One record of a file, or the reason why it cannot be read.

    Args:
        path: the file, for messages.
        fields: by lowercase name.
        peaks: m/z and intensity.
        line: where the record begins.
        number: of the record, counted from 1.
    """
    record = find(fields, "identifier") or find(fields, "name") or number
    level = _level(find(fields, "ms_level") or "")
    try:
        known = stated_structure(find(fields, "smiles"), find(fields, "inchi"), find(fields, "name"))
        if level == 1:
            reason = "a survey spectrum (MS1); molvis identifies MS/MS spectra, so leave it out"
            return LeftOutError(path, reason, line=line, record=record)
        ion = _ion(fields)
        spectrum = _spectrum(fields, peaks, ion, _precursor_mz(fields, known, ion.adduct), level)
    except (AdductError, RecordError, StructureError) as error:
        return ReadError(path, str(error), line=line, record=record)
    return Measurement(
        spectrum,
        known,
        "msms",
        fold=find(fields, "fold"),
        cluster=_whole(find(fields, "cluster")),
        name=find(fields, "name") or (known.name if known else None),
        source=find(fields, "source"),
        licence=find(fields, "licence"),
        contributor=find(fields, "contributor"),
        authors=find(fields, "authors"),
        origin=Origin(find(fields, "feature_id"), find(fields, "scans"), retention_time(fields)),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Ion:
    """What a record states of its ion; None where it does not."""

    adduct: str | None
    charge: int | None
    ionmode: str | None


def _ion(fields: Mapping[str, str]) -> _Ion:
    """The ion, from the adduct, or else from charge and ion mode.

    Raises:
        AdductError: the adduct cannot be read, or two of the three contradict each other.
    """
    adduct, mode = find(fields, "adduct"), ionmode(find(fields, "ionmode") or "")
    stated = find(fields, "charge") or ""
    if (left_open := unknown_charge(adduct or "")) is not None:
        # SIRIUS and MZmine write [M+?]+ for an ion whose adduct they do not know.
        adduct, stated = None, f"{left_open:+d}" if left_open else stated
    if adduct is not None:
        ion = parse_adduct(adduct)
        if mode is not None and mode != ion.ionmode:
            raise AdductError(f"adduct {adduct} is {ion.ionmode}, but the ion mode is {mode}; correct one of them")
        return _Ion(ion.name, ion.charge, ion.ionmode)
    return _charged(stated, mode)


def _charged(stated: str, mode: str | None) -> _Ion:
    """The ion, from charge and ion mode alone.

    Raises:
        AdductError: they contradict each other.
    """
    charge = parse_charge(stated)
    if charge is None:
        return _Ion(None, None, mode)
    sign = "positive" if charge > 0 else "negative"
    if mode is not None and mode != sign and set("+-") & set(stated):
        raise AdductError(f"charge {stated} contradicts the ion mode {mode}; correct one of them")
    return _Ion(None, -abs(charge) if mode == "negative" else charge, mode or sign)


def _precursor_mz(fields: Mapping[str, str], known: Structure | None, adduct: str | None) -> float:
    """As stated, or else calculated from structure and adduct.

    Raises:
        RecordError: it is not a number, or nothing gives it.
    """
    text = find(fields, "precursor_mz")
    if text is not None:
        found = re.match(_NUMBER, text)
        if not found:
            raise RecordError(f"the precursor m/z {text!r} is not a number")
        if stated := float(found.group()):
            return stated
    if known is not None and adduct is not None:
        return ion_mz(known.exact_mass, adduct)
    raise RecordError("no precursor m/z (PEPMASS, PrecursorMZ); add it, or the structure and the adduct")


def _spectrum(
    fields: Mapping[str, str], peaks: Sequence[tuple[float, float]], ion: _Ion, precursor_mz: float, level: int | None
) -> PeakList:
    """The peaks with their ion and how they were measured.

    Raises:
        RecordError: there are no peaks, all are 0, or one cannot be.
    """
    if not peaks:
        raise RecordError("no peaks; leave the record out, or check how it was exported")
    energy, instrument = find(fields, "collision_energy"), find(fields, "instrument_type")
    pairs = np.array(peaks, dtype=np.float64).reshape(-1, 2)
    # What is too large for 32 bits becomes infinite there, and is refused as such.
    with np.errstate(over="ignore"):
        heights = pairs[:, 1].astype(np.float32)
    spectrum = PeakList(
        mz=pairs[:, 0],
        intensity=heights,
        precursor_mz=precursor_mz,
        adduct=ion.adduct,
        charge=ion.charge,
        ionmode=ion.ionmode,
        collision_energy=collision_energy(energy, precursor_mz, instrument) if energy else None,
        instrument_type=instrument,
        ms_level=level,
        identifier=find(fields, "identifier"),
    )
    if not (spectrum.intensity > 0).any():
        raise RecordError("every peak has intensity 0")
    return spectrum


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?[0-9]{1,18}", text) else None


def _level(text: str) -> int | None:
    found = re.search(r"[1-9]", text)
    if found:
        return int(found.group())
    return 1 if text.strip().upper() == "MS" else None
