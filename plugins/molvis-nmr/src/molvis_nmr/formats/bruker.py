"""Bruker's folders: experiments with a fid and its processed spectra, as they are or in a ZIP file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError, RecordError
from molvis_core.records import Trace
from molvis_nmr.formats.sources import Folder, Found, SpectrumReader, is_zip, make_trace, stem
from molvis_nmr.processing import Fid


def is_bruker(path: Path) -> bool:
    """Whether a folder or a ZIP file holds a Bruker experiment, or a file lies in one."""
    try:
        inside = Folder(_home(path)[0])
    except ReadError:
        return False
    return any(name.rpartition("/")[2] in ("acqus", "procs", "1r") for name in inside.names)


def find_bruker(path: Path) -> Iterator[Found]:
    """Every 1D experiment of a folder, a ZIP file, or around a file such as `fid`, `pdata/1/1r` or `acqus`.

    Raises:
        ReadError: there is none, or the file is not one of an experiment's data.
    """
    home, only = _home(path)
    folder = Folder(home)
    roots = sorted({*folder.roots("acqus"), *(re.sub(r"pdata/[^/]+/$", "", r) for r in folder.roots("procs"))})
    if not roots:
        raise ReadError(path, "holds no Bruker experiment: no acqus and no pdata/1/procs in it")
    for root in roots:
        yield from _experiment(path, folder, root, only)


def _experiment(path: Path, folder: Folder, root: str, only: str) -> Iterator[Found]:
    """One experiment: its processed spectra, each with the fid, else the fid alone; `only` names one of its data."""
    fid, fault = _fid_or_fault(folder, root)
    processed = sorted(
        (name for name in folder.names if re.fullmatch(re.escape(root) + r"pdata/[^/]+/1r", name)),
        key=lambda name: (len(name), name),
    )
    if only == "fid" or (not processed and not only.startswith("pdata/")):
        if fid is None and fault is None:
            plane = re.compile(re.escape(root) + r"(ser|pdata/[^/]+/[23]r+)")
            two = next((name for name in folder.names if plane.fullmatch(name)), None)
            why = (
                "holds neither fid nor pdata/1/1r; a 1D experiment is needed"
                if two is None
                else f"holds {two_axes(two)}"
            )
            fault = ReadError(folder.where(root), why)
        record = root or folder.path.name
        yield Found(path, record.strip("/"), fid=fid, problem=fault, name=_title(folder, root))
        return
    for name in processed:
        if only.startswith("pdata/") and name != root + only:
            continue
        record = name.removesuffix("/1r")
        try:
            trace = _processed(folder, name)
        except ReadError as error:
            yield Found(path, record, fid=fid, problem=error)
        else:
            yield Found(path, record, trace=trace, fid=fid, name=_title(folder, root))


def two_axes(name: str) -> str:
    """What is said of a 2D experiment, whose data a file of this name is."""
    return (
        f"a 2D experiment ({name.rpartition('/')[2]}), and molvis reads spectra of one axis: pick its peaks with other "
        "software, and give their list to molvis identify --measured nmr-shifts=LIST"
    )


def _fid_or_fault(folder: Folder, root: str) -> tuple[Fid | None, ReadError | None]:
    """The fid of an experiment, if there is one, or why it cannot be read."""
    try:
        return _fid(folder, root), None
    except ReadError as error:
        return None, error


def _home(path: Path) -> tuple[Path, str]:
    """The folder or ZIP file, and which of an experiment's data a path within it names."""
    if (path / "1r").is_file():
        path = path / "1r"
    if path.is_dir() or is_zip(path):
        return path, ""
    if path.name == "1r" and path.parent.parent.name == "pdata":
        return path.parents[2], f"pdata/{path.parent.name}/1r"
    if path.name == "fid":
        return path.parent, "fid"
    raise ReadError(path, "is not the data of a Bruker experiment; give its folder, its fid or its pdata/1/1r")


def _title(folder: Folder, root: str) -> str | None:
    name = f"{root}pdata/1/title"
    lines = folder.text(name).split("\n") if name in folder else []
    return next((line.strip() for line in lines if line.strip()), None)


def _identifier(folder: Folder, root: str) -> str:
    home = folder.path
    # Experiments are numbered: the sample's name is that of the folder around them.
    above = home.absolute().parent.name if home.name.isdigit() else ""
    return "/".join(part for part in (above, stem(home) if is_zip(home) else home.name, root.strip("/")) if part)


# Parameters


class Parameters:
    """Parameters of `acqus` or `procs`, whatever its encoding.

    Raises:
        ReadError: of a parameter that is missing or no number, naming the file.
    """

    def __init__(self, where: str, text: str) -> None:
        self.where = where
        pattern = re.compile(r"^##\$?([^=\s]+)=[ \t]*([^\r\n]*)", re.MULTILINE)
        self.values: Mapping[str, str] = {key: value.strip() for key, value in pattern.findall(text)}

    def number(self, name: str, default: float | None = None) -> float:
        """A parameter's value."""
        text = self.values.get(name)
        try:
            value = float(text) if text is not None else _known(default)
            if not math.isfinite(value):
                raise ValueError
            return value
        except (TypeError, ValueError) as error:
            found = "nothing" if text is None else repr(text)
            raise ReadError(self.where, f"##${name}= must be a number, got {found}. Get the file whole.") from error

    def word(self, name: str, default: str = "") -> str:
        """A parameter's text, without its angle brackets."""
        return self.values.get(name, default).strip("<> ") or default


def _known(default: float | None) -> float:
    if default is None:
        raise TypeError
    return default


def group_delay(values: Parameters) -> float:
    """By how many points the digital filter delays the beginning.

    Newer software states it as GRPDLY; before that it follows from the filter's version and the decimation.
    """
    if values.number("DIGMOD", 1) == 0:
        return 0.0  # analog
    stated = values.number("GRPDLY", -1)
    if stated >= 0:
        return stated
    from nmrglue.fileio.bruker import bruker_dsp_table

    version, decimation = round(values.number("DSPFVS", 0)), values.number("DECIM", 1)
    if decimation <= 1:
        return 0.0
    known = bruker_dsp_table.get(version, {})
    delay = known.get(round(decimation))
    if delay is None:
        reason = f"the delay of its digital filter (DSPFVS= {version}, DECIM= {decimation:g}) is not known"
        raise ReadError(values.where, f"{reason}; process the fid with Bruker's software and give pdata/1/1r")
    return float(delay)


def _numbers(raw: bytes, kind: float, big: float) -> np.ndarray:
    return np.frombuffer(raw, (">" if big else "<") + ("f8" if kind == 2 else "i4")).astype(np.float64)


# Data


def _fid(folder: Folder, root: str) -> Fid | None:
    name = f"{root}fid"
    if name not in folder:
        return None
    where = folder.where(name)
    values = Parameters(folder.where(f"{root}acqus"), folder.text(f"{root}acqus"))
    if values.number("AQ_mod", 3) not in (1, 3):
        how = {0: "one channel", 2: "alternating channels"}.get(round(values.number("AQ_mod")), "an unknown way")
        raise ReadError(where, f"was acquired in {how} (AQ_mod); give the processed spectrum, pdata/1/1r")
    raw, kind = folder.read(name), values.number("DTYPA", 0)
    size = 8 if kind == 2 else 4
    expected = round(values.number("TD"))
    if expected < 0 or len(raw) < expected * size:
        found = len(raw) // size
        raise ReadError(where, f"holds {found} of {expected} numbers (TD in acqus): it is cut off; get it whole")
    numbers = _numbers(raw[: expected // 2 * 2 * size], kind, values.number("BYTORDA", 0))
    zero = values.number("BF1", values.number("SFO1"))
    procs = f"{root}pdata/1/procs"
    if procs in folder:
        # What a person set to be 0 ppm.
        zero = Parameters(folder.where(procs), folder.text(procs)).number("SF", zero) or zero
    try:
        return Fid(
            numbers[0::2] + 1j * numbers[1::2],
            values.number("SW_h"),
            zero,
            (values.number("SFO1") - zero) / zero * 1e6,
            group_delay(values),
            values.word("NUC1", "1H"),
            _identifier(folder, root),
        )
    except RecordError as error:
        raise ReadError(where, str(error)) from error
    except ArithmeticError as error:
        raise ReadError(where, f"its frequencies cannot be: {error}; get its parameters whole") from error


def _processed(folder: Folder, name: str) -> Trace:
    where = folder.where(name)
    procs = name.removesuffix("1r") + "procs"
    values = Parameters(folder.where(procs), folder.text(procs))
    raw, kind = folder.read(name), values.number("DTYPP", 0)
    expected, size = round(values.number("SI")), 8 if kind == 2 else 4
    if expected < 0 or len(raw) < expected * size:
        raise ReadError(
            where, f"holds {len(raw) // size} of {expected} points (SI in procs): it is cut off; get it whole"
        )
    with np.errstate(all="ignore"):  # a scale beyond all numbers leaves none that is finite, which is said below
        y = _numbers(raw[: expected * size], kind, values.number("BYTORDP", 0)) * np.exp2(values.number("NC_proc", 0))
    frequency, width = values.number("SF"), values.number("SW_p")
    if frequency <= 0 or width <= 0:
        raise ReadError(values.where, f"SF and SW_p must be positive, got {frequency:g} MHz and {width:g} Hz")
    x = values.number("OFFSET") - np.arange(expected) * width / frequency / expected
    return make_trace(where, x, y, frequency, _identifier(folder, name.removesuffix("/1r")))


read_bruker = SpectrumReader(find_bruker)
"""Bruker experiments of a folder or a ZIP file: processed spectra, else the fid, processed by molvis."""
