"""mzXML: the older format of mass spectrometric runs, which many repositories still hold."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_core.text import is_count
from molvis_lcms.elements import decoded, is_profile, read_run
from molvis_msms.fields import measurement
from molvis_msms.readers.runs import pairs, profile


def read_mzxml(path: Path) -> Iterator[Measurement | ReadError]:
    """MS/MS scans of mzXML files, one at a time, within other scans or beside them. Profile scans are refused.

    Peaks are pairs of big-endian numbers of 32 or 64 bits, plain or by zlib. Of a file that is cut off the scans before
    the cut are kept.

    Raises:
        ReadError: the file cannot be read as mzXML.

    Reference: P. G. A. Pedrioli et al., A common open representation of mass spectrometry data and its application to
    proteomics research, Nat. Biotechnol. 22 (2004) 1459, doi:10.1038/nbt1031
    """
    whole_run = ""

    def processing(element: Any) -> None:
        nonlocal whole_run
        whole_run = element.get("centroided") or whole_run

    def scan(element: Any, number: int) -> Measurement | ReadError | None:
        if element.get("msLevel", "2").strip() != "2":
            return None
        return _scan(path, element, number, element.get("centroided") or whole_run)

    yield from read_run(path, "mzXML", "scan", scan, {"dataProcessing": processing})


def _scan(path: Path, scan: Any, number: int, centroided: str) -> Measurement | ReadError:
    line = scan.sourceline
    name = scan.get("num") or str(number)
    identifier = f"scan={name}"
    precursor = scan.find("{*}precursorMz")
    if precursor is None or not (precursor.text or "").strip():
        return ReadError(path, "the scan names no precursor", line=line, record=identifier)
    try:
        peaks = _peaks(scan)
    except (ValueError, zlib.error) as error:
        return ReadError(path, f"its peaks cannot be decoded: {error}", line=line, record=identifier)
    if centroided in ("0", "false") and is_profile([mz for mz, _ in peaks]):
        return profile(path, line, identifier)
    fields = {
        "id": identifier,
        "scans": name,
        "ms_level": "2",
        "precursor_mz": precursor.text.strip(),
        "rtinseconds": scan.get("retentionTime", ""),
        "ionmode": scan.get("polarity", ""),
        "charge": precursor.get("precursorCharge", ""),
    }
    if energy := scan.get("collisionEnergy"):
        fields["collision_energy"] = f"{energy} eV"
    return measurement(path, fields, peaks, line=line, number=number)


def _peaks(scan: Any) -> list[tuple[float, float]]:
    """Peaks of a scan.

    Raises:
        ValueError: they are in an order or a form that mzXML's versions do not have, or their number is another.
        zlib.error: the compressed data are damaged.
    """
    found: dict[str, list[float]] = {}
    for element in scan.findall("{*}peaks"):
        content = element.get("contentType") or element.get("pairOrder") or "m/z-int"
        values = _values(element)
        if content == "m/z-int":
            if len(values) % 2:
                raise ValueError(f"{len(values)} numbers are no pairs of m/z and intensity")
            found |= {"m/z": values[::2], "intensity": values[1::2]}
        else:
            found[content] = values
    if not {"m/z", "intensity"} <= found.keys() or len(found["m/z"]) != len(found["intensity"]):
        raise ValueError(f"a scan needs m/z and intensities of one length, got {', '.join(found) or 'neither'}")
    peaks = pairs(found["m/z"], found["intensity"])
    wanted = scan.get("peaksCount")
    if wanted and is_count(wanted) and int(wanted) != len(found["m/z"]) and peaks:
        raise ValueError(f"peaksCount is {wanted}, but there are {len(peaks)} peaks")
    return peaks


def _values(element: Any) -> list[float]:
    """The numbers of an element `peaks`.

    Raises:
        ValueError: they are packed in a way that mzXML's versions do not have.
        zlib.error: the compressed data are damaged.
    """
    packing = element.get("compressionType") or "none"
    if packing not in ("none", "zlib") or (element.get("byteOrder") or "network") != "network":
        raise ValueError(f"compression {packing!r}, byte order {element.get('byteOrder')!r}; convert it with msconvert")
    kind = {"32": ">f4", "64": ">f8"}.get(element.get("precision") or "32")
    if kind is None:
        raise ValueError(f"numbers must have 32 or 64 bits, got precision={element.get('precision')!r}")
    return decoded(element.text, kind, packing == "zlib").tolist()
