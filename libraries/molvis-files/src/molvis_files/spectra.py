"""Mass spectra as text: MSP libraries and MassBank records, taken apart into fields and peaks.

What the fields mean is the reader's business: that of tandem spectra or that of electron ionization.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ReadError
from molvis_core.records import Measurement, Structure
from molvis_files.opening import lines

__all__ = [
    "SpectrumText",
    "interpreted",
    "is_electron_ionization",
    "is_massbank",
    "known_structure",
    "massbank_records",
    "msp_records",
    "peak",
    "stated",
    "stated_structure",
]

_COUNT = re.compile(r"num\s*peaks\s*:", re.IGNORECASE)
_EMPTY = {"", "n/a", "na", "none", "null", "unknown", "-", "?"}
_EI_INSTRUMENT = re.compile(r"(^|[-\s])EI([-\s]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SpectrumText:
    """One record of a file.

    Attributes:
        fields: by lowercase name.
        peaks: m/z and intensity.
        line: where the record begins.
        number: of the record, counted from 1.
    """

    fields: Mapping[str, str]
    peaks: Sequence[tuple[float, float]]
    line: int
    number: int


def peak(text: str) -> tuple[float, float]:
    """m/z and intensity from `100.05 999`, `100.05:999` or `100.05,999`; what follows them is passed over.

    Raises:
        ValueError: no two numbers, or none that a peak can have.
    """
    parts = text.split()
    if len(parts) < 2:
        parts = [p for p in re.split(r"[,;:]", text.strip()) if p]
    if len(parts) < 2:
        raise ValueError(f"{text.strip()!r} is not a peak: write m/z and intensity")
    try:
        mz, height = (float(p.rstrip(",;:")) for p in parts[:2])
    except ValueError as error:
        raise ValueError(f"{text.strip()!r} is not a peak: {error}") from error
    if not (math.isfinite(mz) and mz > 0):
        raise ValueError(f"the m/z {mz} of {text.strip()!r} is not a positive number")
    if not (math.isfinite(height) and height >= 0):
        raise ValueError(f"the intensity {height} of {text.strip()!r} is negative or not finite")
    return mz, height


def interpreted(
    path: Path, records: Iterable[SpectrumText | ReadError], measurement: Callable[..., Measurement | ReadError]
) -> Iterator[Measurement | ReadError]:
    """Records as measurements; one that could not be taken apart is passed on as the error that it is.

    Args:
        path: the file, for messages.
        records: of the file.
        measurement: what the fields of a record mean: it is called with the path, fields and peaks, and with `line` and
            `number` by name.
    """
    for one in records:
        if isinstance(one, ReadError):
            yield one
        else:
            yield measurement(path, one.fields, one.peaks, line=one.line, number=one.number)


def msp_records(path: Path) -> Iterator[SpectrumText | ReadError]:
    """Records of an MSP library, as NIST, MoNA, RIKEN and MassBank write them.

    Raises:
        ReadError: the file cannot be read, or is empty.
    """
    number = 0
    for begin, block in _blocks(lines(path)):
        found = next((i for i, (_, line) in enumerate(block) if _COUNT.match(line)), None)
        number += 1
        if found is None:
            name = block[0][1].partition(":")[2].strip() or number
            yield ReadError(path, "no 'Num Peaks' line; the record is cut off or not MSP", line=begin, record=name)
            continue
        fields = _msp_fields(line for _, line in block[:found])
        yield _msp_record(path, fields, block[found], block[found + 1 :], begin, number)
    if number == 0:
        raise ReadError(path, "empty: no record in it")


def _blocks(numbered: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Records: separated by empty lines, or by a new `Name:` behind the peaks."""
    block: list[tuple[int, str]] = []
    counted = False
    for number, raw in numbered:
        line = raw.strip()
        starts = bool(re.match(r"name\s*:", line, re.IGNORECASE))
        # Without peaks before it, a name is a second one of the same compound.
        if block and (not line or (starts and counted)):
            yield block[0][0], block
            block, counted = [], False
        if line:
            block.append((number, line))
            counted = counted or bool(_COUNT.match(line))
    if block:
        yield block[0][0], block


def _msp_fields(lines: Iterator[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        key = key.strip().lower().replace(" ", "_")
        if key in ("comments", "comment"):
            # NIST and MoNA hide further fields here: "SMILES=CCO" "author=..."
            for inner, quoted in re.findall(r'"([^"=]+)=([^"]*)"', value):
                fields.setdefault(inner.strip().lower().replace(" ", "_"), quoted)
        else:
            fields.setdefault(key, value.strip())
    return fields


def _msp_record(
    path: Path,
    fields: Mapping[str, str],
    count: tuple[int, str],
    rows: Sequence[tuple[int, str]],
    begin: int,
    number: int,
) -> SpectrumText | ReadError:
    name = fields.get("name") or number
    peaks: list[tuple[float, float]] = []
    for line_number, line in rows:
        # Annotations are quoted and may hold anything, numbers too.
        bare = re.sub(r'"[^"]*"', "", line)
        # Several peaks share a line where semicolons part them.
        for part in bare.split(";") if ";" in bare else [bare]:
            if part.strip():
                try:
                    peaks.append(peak(part))
                except ValueError as error:
                    return ReadError(path, str(error), line=line_number, record=name)
    wanted = re.match(r"[0-9]{1,9}", count[1].partition(":")[2].strip())
    if wanted and int(wanted.group()) != len(peaks):
        reason = f"Num Peaks is {wanted.group()}, but there are {len(peaks)} peaks; was the record cut off?"
        return ReadError(path, reason, line=count[0], record=name)
    return SpectrumText(fields, peaks, begin, number)


def massbank_records(path: Path) -> Iterator[SpectrumText | ReadError]:
    """MassBank records, one or several in a file, each ending with `//`.

    Fields of two parts, such as `AC$MASS_SPECTROMETRY: ION_MODE`, are called `ac$mass_spectrometry:ion_mode`.

    Raises:
        ReadError: the file cannot be read, or holds no record.
    """
    fields: dict[str, str] = {}
    peaks: list[tuple[float, float]] = []
    begin, number, in_peaks, bad = 0, 0, False, None
    for line_number, raw in lines(path):
        line = raw.rstrip()
        if not begin:
            if not line.upper().startswith("ACCESSION:"):
                continue
            fields, peaks, begin, number, in_peaks, bad = {}, [], line_number, number + 1, False, None
        if line == "//":
            yield bad or SpectrumText(fields, peaks, begin, number)
            begin = 0
        elif in_peaks and raw.startswith("  "):
            try:
                peaks.append(peak(line))
            except ValueError as error:
                bad = bad or ReadError(path, str(error), line=line_number, record=fields.get("accession"))
        else:
            key, _, value = line.partition(":")
            key, value = key.strip().lower(), value.strip()
            in_peaks = key == "pk$peak"
            if key in ("ac$mass_spectrometry", "ac$chromatography", "ms$focused_ion", "ch$link"):
                # AC$MASS_SPECTROMETRY: ION_MODE POSITIVE
                sub, _, value = value.partition(" ")
                key = f"{key}:{sub.lower()}"
            fields.setdefault(key, value)
    if number == 0:
        raise ReadError(path, "no 'ACCESSION:' in it; is it a MassBank record?")
    if begin:
        yield ReadError(path, "the record ends before '//': it is cut off", line=begin, record=fields.get("accession"))


def is_electron_ionization(instrument_type: str) -> bool:
    """Whether an instrument type, such as `GC-EI-TOF`, names electron ionization."""
    return bool(_EI_INSTRUMENT.search(instrument_type))


def is_massbank(path: Path, *, ei: bool = False) -> bool:
    """Whether a text file holds MassBank records, and whether the first is of electron ionization, or not.

    An accession stands among its first lines, and the type of the instrument further down.
    """
    begun = False
    try:
        for _, line in itertools.islice(lines(path), 300):
            key, _, value = line.partition(":")
            begun = begun or key.upper() == "ACCESSION"
            if begun and key.upper() == "AC$INSTRUMENT_TYPE":
                return is_electron_ionization(value.strip()) == ei
            if begun and line.rstrip() == "//":
                break
    except ReadError:
        return False
    return begun and not ei


def stated(fields: Mapping[str, str], names: Iterable[str], *, minus: bool = False) -> str | None:
    """The value of a field under the first of its names that has one; None where all are missing, or state no value.

    Args:
        fields: of a record, by lowercase name.
        names: of the field, in files of different programs.
        minus: whether a minus alone is a value, as it is of a polarity.
    """
    for name in names:
        value = (fields.get(name) or "").strip()
        if value.lower() not in _EMPTY or (minus and value == "-"):
            return value.strip('"')
    return None


def stated_structure(smiles: str | None, inchi: str | None, name: str | None) -> Structure | None:
    """The structure that a record states, by its SMILES or else by its InChI, with or without the prefix.

    Raises:
        StructureError: RDKit refuses it.
    """
    text = smiles
    if text is None and (text := inchi) is not None and re.match(r"1S?/", text):
        text = f"InChI={text}"
    return dataclasses.replace(known_structure(text), name=name) if text else None


@functools.lru_cache(maxsize=10_000)
def known_structure(text: str) -> Structure:
    """A structure from a SMILES or an InChI; libraries repeat each compound in many spectra.

    Raises:
        StructureError: RDKit refuses it.
    """
    return structure(text)
