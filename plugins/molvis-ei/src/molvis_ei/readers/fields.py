"""What the formats share: fields by many names turned into one measurement, or a clear complaint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import ReadError, RecordError, StructureError
from molvis_core.records import EiSpectrum, Measurement, Origin, Structure
from molvis_files.spectra import stated, stated_structure

Items = Iterator[Measurement | ReadError]
"""What a reader yields: measurements, and records that cannot be read as a `ReadError` with its line and reason."""

_NAMES: dict[str, tuple[str, ...]] = {
    "name": ("name", "ch$name", "title", "compound_name"),
    "identifier": ("accession", "db#", "spectrumid", "id", "nist#"),
    "energy": ("ionization_energy", "electron_energy", "ac$mass_spectrometry:ionization_energy"),
    "retention_index": (
        "retention_index", "retentionindex", "ri", "ac$chromatography:kovats_rti",
        "ac$chromatography:retention_index", "kovats_retention_index",
    ),
    "column": ("column", "gc_column", "column_name", "columntype", "ac$chromatography:column_name"),
    "derivative": (
        "derivative", "derivatization", "derivative_type", "ms$focused_ion:derivative_form",
        "ms$focused_ion:derivative_type",
    ),
    "instrument_type": ("instrument_type", "instrumenttype", "ac$instrument_type", "instrument"),
    "smiles": ("smiles", "ch$smiles"),
    "inchi": ("inchi", "ch$iupac"),
    "licence": ("license", "licence", "copyright"),
    "contributor": ("contributor", "submituser"),
    "authors": ("authors", "author"),
    "source": ("source", "library"),
    "fold": ("fold",),
}  # fmt: skip
_NUMBER = r"(\d+\.?\d*|\.\d+)"
# NIST writes the index of each kind of column with its deviation and the number of measurements.
_NIST_INDEX = re.compile(rf"(SemiStdNP|StdNP|StdPolar)=\s*{_NUMBER}")
_NIST_COLUMNS = {"SemiStdNP": "semi-standard non-polar", "StdNP": "standard non-polar", "StdPolar": "standard polar"}
# `Glucose, 5TMS derivative`, `L-Alanine; GC-EI-TOF; MS; 2 TMS; BP:116`, `ribose 1MEOX 4TMS`.
_IN_TITLE = re.compile(r"(?<![\w-])(\d+|n)?\s*-?(TMS|TBDMS|MeOX)\b", re.IGNORECASE)


def find(fields: Mapping[str, str], name: str) -> str | None:
    """The value of a field under any of its names; None where it is missing or states that it is unknown."""
    return stated(fields, _NAMES[name])


def measurement(
    path: Path,
    fields: Mapping[str, str],
    peaks: Sequence[tuple[float, float]],
    *,
    line: int | None,
    number: int,
    known: Structure | None = None,
) -> Measurement | ReadError:
    """One record of a file, or the reason why it cannot be read.

    Args:
        path: the file, for messages.
        fields: by lowercase name.
        peaks: m/z and intensity.
        line: where the record begins.
        number: of the record, counted from 1.
        known: the structure, where it was read already.
    """
    record = find(fields, "identifier") or find(fields, "name") or number
    try:
        known = known or stated_structure(find(fields, "smiles"), find(fields, "inchi"), find(fields, "name"))
        spectrum = _spectrum(fields, peaks)
    except (RecordError, StructureError) as error:
        return ReadError(path, str(error), line=line, record=record)
    return Measurement(
        spectrum,
        known,
        "ei",
        fold=find(fields, "fold"),
        name=find(fields, "name") or (known.name if known else None),
        source=find(fields, "source"),
        licence=find(fields, "licence"),
        contributor=find(fields, "contributor"),
        authors=find(fields, "authors"),
        origin=Origin(),
    )


def _spectrum(fields: Mapping[str, str], peaks: Sequence[tuple[float, float]]) -> EiSpectrum:
    """The peaks with what is known of how they were measured.

    Raises:
        RecordError: there are no peaks, all are 0, or one cannot be.
    """
    index, column = retention_index(fields)
    return spectrum_of(
        peaks,
        energy=_number(find(fields, "energy")),
        retention_index=index,
        column=column,
        derivative=derivative(fields),
        instrument_type=find(fields, "instrument_type"),
        identifier=find(fields, "identifier"),
    )


def spectrum_of(peaks: Sequence[tuple[float, float]], **known: Any) -> EiSpectrum:
    """A spectrum, where the peaks are one.

    Raises:
        RecordError: there are no peaks, all are 0, or one cannot be.
    """
    if not len(peaks):
        raise RecordError("no peaks; leave the record out, or check how it was exported")
    pairs = np.array(peaks, dtype=np.float64).reshape(-1, 2)
    # What is too large for 32 bits becomes infinite there, and is refused as such.
    with np.errstate(over="ignore"):
        heights = pairs[:, 1].astype(np.float32)
    spectrum = EiSpectrum(pairs[:, 0], heights, **known)
    if not (spectrum.intensity > 0).any():
        raise RecordError("every peak has intensity 0")
    return spectrum


def retention_index(fields: Mapping[str, str]) -> tuple[float | None, str | None]:
    """The retention index and its column; of NIST's several that of the semi-standard non-polar column."""
    text, column = find(fields, "retention_index"), find(fields, "column")
    if text is None:
        return None, column
    nist = {kind: float(value) for kind, value in _NIST_INDEX.findall(text)}
    for kind, name in _NIST_COLUMNS.items():
        if nist.get(kind):
            return nist[kind], column or name
    return _number(text), column


def derivative(fields: Mapping[str, str]) -> str | None:
    """The derivative in one form, `3 TMS; 1 MeOX`, from its own field or from the name; None where none is stated."""
    texts = [find(fields, "derivative"), fields.get("record_title"), find(fields, "name")]
    return next((found for text in texts if text and (found := one_form(text))), None)


def one_form(text: str) -> str | None:
    """`5TMS, MEOX` as `5 TMS; MeOX`; None where the text names no derivative that is known here."""
    groups: dict[str, str] = {}
    for number, kind in _IN_TITLE.findall(text):
        name = "MeOX" if kind.upper() == "MEOX" else kind.upper()
        groups.setdefault(name, f"{number} {name}".strip())
    return "; ".join(groups.values()) or None


def _number(text: str | None) -> float | None:
    """The first number of a text where it is positive."""
    found = re.search(_NUMBER, text[:100]) if text else None
    value = float(found.group()) if found else 0.0
    return value if 0 < value < np.inf else None
