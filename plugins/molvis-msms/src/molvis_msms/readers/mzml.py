"""mzML: the PSI's format of mass spectrometric runs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_lcms import mzml
from molvis_lcms.elements import is_profile, read_run
from molvis_lcms.mzml import Terms
from molvis_lcms.runs import scan_number
from molvis_msms.fields import measurement
from molvis_msms.readers.runs import pairs, profile


def read_mzml(path: Path) -> Iterator[Measurement | ReadError]:
    """MS/MS scans of mzML files, one at a time. Scans of other levels are passed over; profile scans are refused.

    Arrays of 32 or 64 bits, plain, by zlib or by MS-Numpress. Terms are recognised by their accession in the PSI-MS
    vocabulary. Of a file that is cut off the scans before the cut are kept.

    Raises:
        ReadError: the file cannot be read as mzML.

    Reference: L. Martens et al., mzML, a community standard for mass spectrometry data, Mol. Cell. Proteomics 10 (2011)
    R110.000133, doi:10.1074/mcp.R110.000133
    """
    groups: dict[str, Terms] = {}

    def keep(element: Any) -> None:
        groups[element.get("id", "")] = mzml.terms(element, {})

    def scan(element: Any, number: int) -> Measurement | ReadError | None:
        terms = mzml.terms(element, groups)
        if int(terms.get(mzml.LEVEL, "2")) != 2:
            return None
        return _scan(path, element, terms, groups, number)

    yield from read_run(path, "mzML", "spectrum", scan, {"referenceableParamGroup": keep})


def _scan(path: Path, scan: Any, terms: Terms, groups: Mapping[str, Terms], number: int) -> Measurement | ReadError:
    identifier, line = str(scan.get("id", number)), scan.sourceline
    ion = mzml.ion_terms(scan, groups)
    # The isolation window's middle stands in where no peak was picked in it.
    selected = ion.get(mzml.SELECTED) or ion.get(mzml.TARGET)
    if selected is None:
        return ReadError(path, "the scan names no precursor", line=line, record=identifier)
    try:
        mz, intensity = mzml.arrays(scan, groups)
    except (ValueError, zlib.error) as error:
        return ReadError(path, f"its peaks cannot be decoded: {error}", line=line, record=identifier)
    if len(mz) != len(intensity):
        reason = f"the scan has {len(mz)} m/z values and {len(intensity)} intensities"
        return ReadError(path, reason, line=line, record=identifier)
    if mzml.PROFILE in terms and is_profile(mz):
        return profile(path, line, identifier)
    fields = {"id": identifier, "precursor_mz": selected, "ms_level": "2", **_fields(scan, identifier, terms, ion)}
    return measurement(path, fields, pairs(mz.tolist(), intensity.tolist()), line=line, number=number)


def _fields(scan: Any, identifier: str, terms: Terms, ion: Terms) -> dict[str, str]:
    """Number, time, ion mode, charge and energy, as far as the scan states them."""
    fields: dict[str, str] = {}
    if (number := scan_number(identifier)) != identifier:
        fields["scans"] = number
    time = scan.find(f"{{*}}scanList/{{*}}scan/{{*}}cvParam[@accession='{mzml.TIME}']")
    if time is not None:
        fields["retention_time"] = f"{time.get('value')} {'min' if time.get('unitAccession') == mzml.MINUTE else 's'}"
    if mzml.NEGATIVE in terms or mzml.POSITIVE in terms:
        fields["ionmode"] = "negative" if mzml.NEGATIVE in terms else "positive"
    if mzml.CHARGE in ion:
        fields["charge"] = ion[mzml.CHARGE]
    if mzml.ENERGY in ion:
        fields["collision_energy"] = f"{ion[mzml.ENERGY]} eV"
    elif mzml.NORMALIZED in ion:
        fields["collision_energy"] = f"{ion[mzml.NORMALIZED]} NCE"
    return fields
