"""nmrML: XML with the fid, the processed spectrum, or both.

Reference: D. Schober et al., Anal. Chem. 90 (2018) 649, doi:10.1021/acs.analchem.7b02795
"""

from __future__ import annotations

import base64
import logging
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from molvis_core.errors import ReadError, RecordError
from molvis_core.records import Trace
from molvis_files.opening import read_text, unpack_zlib
from molvis_files.xml import parse_xml
from molvis_nmr.formats.sources import Found, SpectrumReader, make_trace, stem
from molvis_nmr.processing import Fid

log = logging.getLogger("molvis")

WATER = 4.7
"""In ppm: where the carrier of a 1H spectrum in water is, as its signal is suppressed there."""


def find_nmrml(path: Path) -> Iterator[Found]:
    """The spectra of an nmrML file, each with the fid; or the fid alone.

    Raises:
        ReadError: the file cannot be read, is XML of another schema, or holds neither.
    """
    root = parse_xml(path, read_text(path))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != "nmrML":
        raise ReadError(path, f"holds <{root.tag}> in place of <nmrML>")
    if root.find(".//acquisitionMultiD") is not None:
        raise ReadError(path, "holds a multidimensional experiment; a 1D experiment is needed")
    traces = _processed(path, root)
    fid, fault = _fid_or_fault(path, root, next((t for t in traces.values() if isinstance(t, Trace)), None))
    name = next((e.get("name") for e in root.iterfind(".//chemicalCompound/identifierList/identifier")), None)
    for record, made in traces.items():
        if isinstance(made, Trace):
            yield Found(path, record, trace=made, fid=fid, name=name)
        else:
            yield Found(path, record, fid=fid, problem=made)
    if not traces:
        if fid is None and fault is None:
            fault = ReadError(path, "holds neither <fidData> nor <spectrum1D>")
        yield Found(path, stem(path), fid=fid, problem=fault, name=name)


def _processed(path: Path, root: Element) -> dict[str, Trace | ReadError]:
    """The processed spectra by the names of their records, or why one cannot be read."""
    traces: dict[str, Trace | ReadError] = {}
    for spectrum in root.iterfind(".//spectrum1D"):
        record = spectrum.get("id") or spectrum.get("name") or stem(path)
        try:
            traces[record] = _spectrum(path, root, spectrum, record)
        except ReadError as error:
            traces[record] = error
    return traces


def _fid_or_fault(path: Path, root: Element, beside: Trace | None) -> tuple[Fid | None, ReadError | None]:
    """The fid, if there is one, or why it cannot be read."""
    try:
        return _fid(path, root, beside), None
    except ReadError as error:
        return None, error
    except RecordError as error:
        return None, ReadError(path, str(error))


def _array(path: Path, element: Element) -> np.ndarray:
    """The numbers of an element, complex ones as pairs of columns."""
    where = f"<{element.tag}>"
    try:
        raw = base64.b64decode("".join((element.text or "").split()), validate=True)
        if element.get("compressed", "").lower() == "true":
            raw = unpack_zlib(raw)
    except (ValueError, zlib.error) as error:
        raise ReadError(path, f"{where} cannot be decoded: {error}; get the file whole") from error
    form = element.get("byteFormat", "").lower().rpartition(".")[2]
    kinds = {
        "complex128": "f8", "complex64": "f4", "complex64int": "i4", "complex32int": "i4", "float64": "f8",
        "double": "f8", "float32": "f4", "float": "f4", "integer": "i4", "integer32": "i4", "int32": "i4",
        "integer64": "i8", "long": "i8",
    }  # fmt: skip
    if form not in kinds:
        raise ReadError(path, f"{where} holds {element.get('byteFormat')!r}, which is not known: {', '.join(kinds)}")
    kind = kinds[form]
    if not raw or len(raw) % int(kind[1]):
        raise ReadError(path, f"{where} holds {len(raw)} bytes, which are no {form} numbers; get the file whole")
    both = [np.frombuffer(raw, order + kind).astype(np.float64) for order in "<>"]
    if kind[0] == "i":
        # The order of bytes is not stated; read the wrong way, small numbers are huge.
        return min(both, key=lambda values: float(np.abs(values).mean()))
    return both[0]


def _value(root: Element, tag: str) -> tuple[float, str] | None:
    """A number and its unit."""
    element = root.find(f".//DirectDimensionParameterSet/{tag}")
    try:
        return (float(element.get("value", "")), element.get("unitName", "")) if element is not None else None
    except ValueError:
        return None


def _megahertz(root: Element, tag: str) -> float | None:
    found = _value(root, tag)
    if found is None or found[1].lower() == "tesla":
        return None
    # What is called MHz may be Hz.
    value = found[0] * 1e-6 if found[1].lower() == "hertz" or found[0] > 1e5 else found[0]
    return value if value > 1 else None


def _frequencies(path: Path, root: Element) -> tuple[float, float]:
    """In MHz: of the carrier, and of 0 ppm as far as it is stated."""
    carrier = _megahertz(root, "irradiationFrequency") or _megahertz(root, "effectiveExcitationField")
    if carrier is None:
        raise ReadError(path, "states no <irradiationFrequency>: the spectrometer's frequency in MHz is needed")
    zero = _megahertz(root, "effectiveExcitationField")
    return carrier, zero if zero is not None and abs(zero / carrier - 1) < 1e-3 else carrier


def _fid(path: Path, root: Element, beside: Trace | None) -> Fid | None:
    """The fid. Where nothing else gives the middle of its spectrum, a spectrum in the same file does."""
    element = root.find(".//fidData")
    if element is None or not (element.text or "").strip():
        return None
    carrier, zero = _frequencies(path, root)
    width = _value(root, "sweepWidth")
    if width is None or width[0] <= 0:
        raise ReadError(path, "states no <sweepWidth> in Hz, and the fid needs it")
    numbers = _array(path, element)
    nucleus = root.find(".//DirectDimensionParameterSet/acquisitionNucleus")
    what = nucleus.get("name", "hydrogen") if nucleus is not None else "hydrogen"
    known = {"hydrogen": "1H", "proton": "1H", "carbon": "13C", "fluorine": "19F", "phosphorus": "31P"}
    kind = next((value for key, value in known.items() if key in what.lower()), what)
    if zero == carrier:
        middle = WATER if kind == "1H" else 0.0
        if beside is not None:
            middle = 0.5 * float(beside.x[0] + beside.x[-1])
        else:
            log.warning("%s: where 0 ppm is is not stated; the middle is taken to be at %g ppm", path, middle)
        zero = carrier / (1 + middle * 1e-6)
    points = numbers[0::2][: len(numbers) // 2] + 1j * numbers[1::2]
    if "Varian" in _software(root):
        points = points.conj()  # as in its own files
    delay = root.find(".//groupDelay")
    stated = _number(delay.get("value")) if delay is not None else None
    if stated is None:
        stated = _rise(points) if "Bruker" in _software(root) else 0.0
    return Fid(points, width[0], zero, (carrier - zero) / zero * 1e6, stated, kind, stem(path))


def _software(root: Element) -> str:
    named = [e.get("name", "") for e in (*root.iterfind(".//sourceFile/cvParam"), *root.iterfind(".//software"))]
    return " ".join(named)


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _rise(points: np.ndarray) -> float:
    """Where a fid begins behind the silence of a digital filter: a step that was filtered is half as high there."""
    head = np.abs(points[:256])
    half = 0.5 * float(head.max())
    after = int(np.flatnonzero(head > half)[0])
    if after == 0:
        return 0.0
    below, above = (float(head[k]) for k in (after - 1, after))
    return after - 1 + (half - below) / (above - below)


def _spectrum(path: Path, root: Element, spectrum: Element, record: str) -> Trace:
    element = spectrum.find("spectrumDataArray")
    if element is None:
        raise ReadError(path, "has no <spectrumDataArray>", record=record)
    zero = _frequencies(path, root)[1]
    numbers = _array(path, element)
    axis = spectrum.find("xAxis")
    count = int(re.sub(r"[^0-9]", "", spectrum.get("numberOfDataPoints", ""))[:18] or 0)
    if element.get("byteFormat", "").lower().startswith("complex"):
        # As pairs of ppm and intensity; complex spectra do not go down evenly in their first column.
        x, y = numbers[0::2], numbers[1::2]
        if axis is not None:
            raise ReadError(path, "holds a complex spectrum; it must be phased and real", record=record)
    elif axis is None:
        raise ReadError(path, "has no <xAxis>, and the spectrum no axis without it", record=record)
    else:
        y, ends = numbers, [_number(axis.get(key)) for key in ("startValue", "endValue")]
        if None in ends:
            raise ReadError(path, "its <xAxis> states no startValue or endValue in ppm", record=record)
        first, last = (float(end or 0.0) for end in ends)
        width = _value(root, "sweepWidth")
        # Some state the end of the last step, some its beginning.
        step = (last - first) / len(y)
        open_end = width is not None and abs(abs(last - first) * zero - width[0]) < 0.5 * abs(step) * zero
        x = first + step * np.arange(len(y)) if open_end else np.linspace(first, last, len(y))
    if count and count != len(y):
        reason = f"states {count} points and holds {len(y)}: it is cut off; get the file whole"
        raise ReadError(path, reason, record=record)
    return make_trace(path, x, y, zero, stem(path), record=record)


read_nmrml = SpectrumReader(find_nmrml)
"""The spectrum of an nmrML file, else its fid, processed by molvis."""
