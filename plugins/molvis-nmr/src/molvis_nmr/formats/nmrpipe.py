"""NMRPipe's 1D files, fids and spectra; nmrglue knows the names in their header.

Reference: F. Delaglio et al., J. Biomol. NMR 6 (1995) 277, doi:10.1007/BF00197809
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import ReadError, RecordError
from molvis_files.opening import read_bytes
from molvis_nmr.formats.sources import Found, SpectrumReader, make_trace, stem
from molvis_nmr.processing import Fid

_HEADER = 2048
_MARK = 2.345
_NUMBERS = (
    "FDDIMCOUNT", "FDSIZE", "FDF2QUADFLAG", "FDF2SW", "FDF2OBS", "FDF2FTFLAG", "FDF2ORIG", "FDF2AQSIGN", "FDF2CAR",
    "FDDMXVAL", "FDDMXFLAG",
)  # fmt: skip


def is_nmrpipe(path: Path) -> bool:
    """Whether a file begins as NMRPipe's do: with 2.345 as its third number."""
    try:
        return path.is_file() and _order(read_bytes(path)) is not None
    except ReadError:
        return False


def _order(raw: bytes) -> str | None:
    """Of its bytes, `<` or `>`; None of another file."""
    return next((o for o in "<>" if len(raw) >= 12 and abs(np.frombuffer(raw[:12], f"{o}f4")[2] - _MARK) < 1e-3), None)


def find_nmrpipe(path: Path) -> Iterator[Found]:
    """The one spectrum or fid of a file.

    Raises:
        ReadError: the file cannot be read, is damaged, or none of NMRPipe's.
    """
    raw = read_bytes(path)
    order = _order(raw)
    if order is None:
        raise ReadError(path, "does not begin as NMRPipe's files do; is it one?")
    if len(raw) <= _HEADER:
        raise ReadError(path, f"holds {len(raw)} bytes, a header without points: it is cut off; get it whole")
    from nmrglue.fileio import pipe

    try:
        header = pipe.fdata2dic(np.frombuffer(raw[:_HEADER], f"{order}f4").astype(np.float32))
    except (ValueError, IndexError) as error:
        raise ReadError(path, f"its header cannot be read: {error}; get it whole") from error
    if bad := [key for key in _NUMBERS if not np.isfinite(header[key])]:
        raise ReadError(path, f"{bad[0]} of its header must be a number, got {header[bad[0]]}. Get it whole")
    data = np.frombuffer(raw[_HEADER : len(raw) // 4 * 4], f"{order}f4").astype(np.float64)
    if header["FDDIMCOUNT"] != 1:
        raise ReadError(path, f"holds data of {header['FDDIMCOUNT']:g} dimensions; a 1D experiment is needed")
    count, parts = int(header["FDSIZE"]), 2 if header["FDF2QUADFLAG"] == 0 else 1
    if len(data) < count * parts or count < 1:
        reason = f"holds {len(data)} of {count * parts} numbers (FDSIZE): it is cut off; get it whole"
        raise ReadError(path, reason)
    # Real parts first, then imaginary ones.
    points = data[:count] + 1j * data[count : 2 * count] if parts == 2 else data[:count]
    try:
        yield _found(path, header, points)
    except (ReadError, RecordError) as error:
        yield Found(path, stem(path), problem=error if isinstance(error, ReadError) else ReadError(path, str(error)))


def _found(path: Path, header: dict[str, Any], data: np.ndarray) -> Found:
    width, observed = float(header["FDF2SW"]), float(header["FDF2OBS"])
    if width <= 0 or observed <= 0:
        reason = f"states a sweep width of {width:g} Hz at {observed:g} MHz; both must be positive"
        raise ReadError(path, f"{reason}. Set FDF2SW and FDF2OBS")
    nucleus = str(header.get("FDF2LABEL", "1H")).strip("\x00 ") or "1H"
    nucleus = {"H1": "1H", "1H": "1H", "HN": "1H", "H": "1H", "C13": "13C", "13C": "13C"}.get(nucleus.upper(), nucleus)
    if header["FDF2FTFLAG"] == 1:
        # The last point lies ORIG Hz above zero, the first a step less than the sweep width above that.
        x = (float(header["FDF2ORIG"]) + width * np.arange(len(data) - 1, -1, -1) / len(data)) / observed
        return Found(
            path, stem(path), trace=make_trace(path, x, np.real(data), observed, stem(path), record=stem(path))
        )
    if not np.iscomplexobj(data):
        raise ReadError(path, "holds a real fid; it must be in quadrature")
    # NMRPipe turns a transform round, so that what turns forward is on the left, as Bruker's fids have it.
    points = data.astype(np.complex128)
    sign = int(header["FDF2AQSIGN"])
    if sign in (1, 2, 17, 18):
        points[1::2] *= -1
    if sign >= 16:
        points = points.conj()
    delay = float(header["FDDMXVAL"]) if header["FDDMXFLAG"] >= 0 else 0.0
    return Found(
        path, stem(path), fid=Fid(points, width, observed, float(header["FDF2CAR"]), delay, nucleus, stem(path))
    )


read_nmrpipe = SpectrumReader(find_nmrpipe)
"""The spectrum of an NMRPipe file; a fid is processed by molvis."""
