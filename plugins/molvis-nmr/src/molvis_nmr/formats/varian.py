"""Varian's and Agilent's folders: a fid with its procpar, as they are or in a ZIP file."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError, RecordError
from molvis_nmr.formats.sources import Folder, Found, SpectrumReader, is_zip
from molvis_nmr.processing import Fid


def is_varian(path: Path) -> bool:
    """Whether a folder or a ZIP file holds Varian's fid and procpar, or a fid lies beside a procpar."""
    try:
        return bool(Folder(_home(path)).roots("procpar"))
    except ReadError:
        return False


def find_varian(path: Path) -> Iterator[Found]:
    """Every fid of a folder, a ZIP file, or a file `fid` of a folder.

    Raises:
        ReadError: there is none, or the file is another one.
    """
    home = _home(path)
    folder = Folder(home)
    roots = folder.roots("procpar")
    if not roots:
        raise ReadError(path, "holds no procpar: no fid of Varian or Agilent")
    for root in roots:
        record = root.strip("/") or home.name
        try:
            yield Found(path, record, fid=_fid(folder, root), name=_comment(folder, root))
        except ReadError as error:
            yield Found(path, record, problem=error)


def _home(path: Path) -> Path:
    if path.is_dir() or is_zip(path):
        return path
    if path.name == "fid":
        return path.parent
    raise ReadError(path, "is not the data of a Varian or Agilent experiment; give its folder or its fid")


def _comment(folder: Folder, root: str) -> str | None:
    name = f"{root}text"
    return (folder.text(name).strip().split("\n")[0].strip() or None) if name in folder else None


def _fid(folder: Folder, root: str) -> Fid:
    where = folder.where(f"{root}fid")
    raw = folder.read(f"{root}fid")
    points = _points(where, raw)
    procpar = folder.where(f"{root}procpar")
    values = _parameters(folder.text(f"{root}procpar"))

    def number(name: str, default: float | None = None) -> float:
        text = values.get(name)
        if text is None and default is not None:
            return default
        try:
            return float(text or "")
        except ValueError as error:
            found = "nothing" if text is None else repr(text)
            raise ReadError(procpar, f"{name} must be a number, got {found}. Get the file whole.") from error

    transmitter, width = number("sfrq"), number("sw")
    # The left end of the axis is rfl - rfp below the right one in Hz: zero is where people put the reference.
    zero = number("reffrq", 0) or transmitter - (width / 2 - (number("rfl", width / 2) - number("rfp", 0))) * 1e-6
    number_of, letters = re.fullmatch(r"([A-Za-z]*)(\d*)", values.get("tn", "H1")), "1H"
    if number_of and number_of.group(2):
        letters = number_of.group(2) + number_of.group(1)
    try:
        return Fid(
            points,
            width,
            zero,
            (transmitter - zero) / zero * 1e6,
            0.0,
            letters,
            "/".join(part for part in (folder.path.name.removesuffix(".zip").removesuffix(".fid"), root[:-1]) if part),
        )
    except RecordError as error:
        raise ReadError(where, str(error)) from error
    except ArithmeticError as error:
        raise ReadError(where, f"its frequencies cannot be: {error}; get its parameters whole") from error


def _points(where: str, raw: bytes) -> np.ndarray:
    """The complex points of a fid: a file header of 32 bytes, then 28 bytes before each block, big-endian."""
    if len(raw) < 60:
        raise ReadError(where, f"holds {len(raw)} bytes: it is cut off, or no fid of Varian or Agilent; get it whole")
    blocks, traces, count, size, _, _, _, status, _ = struct.unpack(">6i2hi", raw[:32])
    if blocks * traces != 1:
        raise ReadError(where, f"holds {blocks} x {traces} fids; a 1D experiment is needed")
    if size not in (2, 4) or count < 32 or count % 2:
        raise ReadError(where, f"states {count} numbers of {size} bytes; this is no fid of Varian or Agilent")
    data = raw[60 : 60 + count * size]
    if len(data) < count * size:
        raise ReadError(where, f"holds {len(data) // size} of {count} numbers: it is cut off; get it whole")
    kind = ">f4" if status & 0x8 else f">i{size}"
    numbers = np.frombuffer(data, kind).astype(np.float64)
    # Its detection turns the other way round than that of the others.
    return numbers[0::2] - 1j * numbers[1::2]


def _parameters(text: str) -> dict[str, str]:
    """First values of procpar: a line with the name and what kind it is, then one that begins with how many."""
    lines = text.splitlines()
    values: dict[str, str] = {}
    for head, line in itertools.pairwise(lines):
        if re.match(r"[A-Za-z_]\w*( -?[\d.e+-]+){8,}", head) and (found := re.match(r'\d+ ("[^"]*"|\S+)', line)):
            values.setdefault(head.split()[0], found.group(1).strip('"'))
    return values


read_varian = SpectrumReader(find_varian)
"""Fids of a Varian or Agilent folder or a ZIP file of it, processed by molvis."""
