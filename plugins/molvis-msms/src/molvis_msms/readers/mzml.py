"""mzML: the PSI's format of mass spectrometric runs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_msms.fields import measurement
from molvis_msms.readers.runs import decoded, is_profile, pairs, profile, read_run


def read_mzml(path: Path) -> Iterator[Measurement | ReadError]:
    """MS/MS scans of mzML files, one at a time. Scans of other levels are passed over; profile scans are refused.

    Arrays of 32 or 64 bits, plain or by zlib. Terms are recognised by their accession in the PSI-MS vocabulary. Of a
    file that is cut off the scans before the cut are kept.

    Raises:
        ReadError: the file cannot be read as mzML.

    Reference: L. Martens et al., mzML, a community standard for mass spectrometry data, Mol. Cell. Proteomics 10 (2011)
    R110.000133, doi:10.1074/mcp.R110.000133
    """
    groups: dict[str, Terms] = {}

    def keep(element: Any) -> None:
        groups[element.get("id", "")] = _terms(element, {})

    def scan(element: Any, number: int) -> Measurement | ReadError | None:
        terms = _terms(element, groups)
        if int(terms.get(_LEVEL, "2")) != 2:
            return None
        return _scan(path, element, terms, groups, number)

    yield from read_run(path, "mzML", "spectrum", scan, {"referenceableParamGroup": keep})


Terms = dict[str, str]
"""Values by accession."""
_LEVEL, _PROFILE, _NEGATIVE, _POSITIVE = "MS:1000511", "MS:1000128", "MS:1000129", "MS:1000130"
_SELECTED, _TARGET, _CHARGE = "MS:1000744", "MS:1000827", "MS:1000041"
_ENERGY, _NORMALIZED = "MS:1000045", "MS:1000138"
_TIME, _MINUTE = "MS:1000016", "UO:0000031"
_MZ, _INTENSITY, _ZLIB, _PLAIN = "MS:1000514", "MS:1000515", "MS:1000574", "MS:1000576"
_TYPES = {"MS:1000521": "<f4", "MS:1000523": "<f8", "MS:1000519": "<i4", "MS:1000522": "<i8"}


def _terms(element: Any, groups: Mapping[str, Terms]) -> Terms:
    """The terms of an element itself, and those it refers to."""
    found: Terms = {}
    for group in element.findall("{*}referenceableParamGroupRef"):
        found |= groups.get(group.get("ref", ""), {})
    return found | {term.get("accession", ""): term.get("value", "") for term in element.findall("{*}cvParam")}


def _scan(path: Path, scan: Any, terms: Terms, groups: Mapping[str, Terms], number: int) -> Measurement | ReadError:
    identifier, line = str(scan.get("id", number)), scan.sourceline
    ion = _ion_terms(scan, groups)
    # The isolation window's middle stands in where no peak was picked in it.
    selected = ion.get(_SELECTED) or ion.get(_TARGET)
    if selected is None:
        return ReadError(path, "the scan names no precursor", line=line, record=identifier)
    try:
        mz, intensity = _arrays(scan, groups)
    except (ValueError, zlib.error) as error:
        return ReadError(path, f"its peaks cannot be decoded: {error}", line=line, record=identifier)
    if len(mz) != len(intensity):
        reason = f"the scan has {len(mz)} m/z values and {len(intensity)} intensities"
        return ReadError(path, reason, line=line, record=identifier)
    if _PROFILE in terms and is_profile(mz):
        return profile(path, line, identifier)
    fields = {"id": identifier, "precursor_mz": selected, "ms_level": "2", **_fields(scan, identifier, terms, ion)}
    return measurement(path, fields, pairs(mz, intensity), line=line, number=number)


def _ion_terms(scan: Any, groups: Mapping[str, Terms]) -> Terms:
    """The terms of the precursor: where it was isolated, which ion it is, and how it was broken."""
    found: Terms = {}
    for place in ("isolationWindow", "selectedIonList/{*}selectedIon", "activation"):
        if (element := scan.find(f"{{*}}precursorList/{{*}}precursor/{{*}}{place}")) is not None:
            found |= _terms(element, groups)
    return found


def _fields(scan: Any, identifier: str, terms: Terms, ion: Terms) -> dict[str, str]:
    """Number, time, ion mode, charge and energy, as far as the scan states them."""
    fields: dict[str, str] = {}
    if scan_number := re.search(r"\b(?:scan|index|spectrum)=(\d+)", identifier):
        fields["scans"] = scan_number.group(1)
    time = scan.find(f"{{*}}scanList/{{*}}scan/{{*}}cvParam[@accession='{_TIME}']")
    if time is not None:
        fields["retention_time"] = f"{time.get('value')} {'min' if time.get('unitAccession') == _MINUTE else 's'}"
    if _NEGATIVE in terms or _POSITIVE in terms:
        fields["ionmode"] = "negative" if _NEGATIVE in terms else "positive"
    if _CHARGE in ion:
        fields["charge"] = ion[_CHARGE]
    if _ENERGY in ion:
        fields["collision_energy"] = f"{ion[_ENERGY]} eV"
    elif _NORMALIZED in ion:
        fields["collision_energy"] = f"{ion[_NORMALIZED]} NCE"
    return fields


def _arrays(scan: Any, groups: Mapping[str, Terms]) -> tuple[list[float], list[float]]:
    """m/z and intensities; empty where the scan has none.

    Raises:
        ValueError: they cannot be decoded.
        zlib.error: the compressed data are damaged.
    """
    arrays: dict[str, list[float]] = {}
    for element in scan.findall("{*}binaryDataArrayList/{*}binaryDataArray"):
        kinds = _terms(element, groups)
        for name in (_MZ, _INTENSITY):
            if name in kinds:
                arrays[name] = _array(element, kinds).tolist()
    return arrays.get(_MZ, []), arrays.get(_INTENSITY, [])


def _array(element: Any, kinds: Terms) -> np.ndarray:
    if _ZLIB not in kinds and _PLAIN not in kinds:
        raise ValueError("its compression is neither zlib nor none; convert it, for example with msconvert --zlib")
    kind = next((_TYPES[name] for name in _TYPES if name in kinds), None)
    if kind is None:
        raise ValueError("its numbers have neither 32 nor 64 bits")
    return decoded(element.findtext("{*}binary"), kind, _ZLIB in kinds)
