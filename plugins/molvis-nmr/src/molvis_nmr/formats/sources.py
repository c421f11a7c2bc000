"""What all readers share: folders and ZIP files alike, what a file gave, and checks of it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ReadError, RecordError
from molvis_core.records import Measurement, Trace
from molvis_files.opening import DAMAGE, open_zip, read_bytes
from molvis_nmr.processing import Fid, process

UNEVEN = 0.1
"""Of a step: how far a point of an evenly spaced axis may lie off, as rounded numbers do."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """One spectrum of a file: processed, raw, or both.

    Attributes:
        path: the file or folder.
        record: what that calls it, such as `10/pdata/1`.
        trace: processed by the spectrometer's software or a person, where there is such.
        fid: raw, where there is such.
        problem: why there is neither.
        name, source, licence: as far as the file states them.
    """

    path: Path
    record: str
    trace: Trace | None = None
    fid: Fid | None = None
    problem: ReadError | None = None
    name: str | None = None
    source: str | None = None
    licence: str | None = None

    def spectrum(self, *, raw: bool = False) -> Trace:
        """The processed spectrum; else, or with `raw`, the fid processed by us.

        Raises:
            ReadError: the file has neither, or no fid.
        """
        if self.problem:
            raise self.problem
        if self.trace is not None and not raw:
            return self.trace
        try:
            return process(self.raw()).trace
        except RecordError as error:
            raise ReadError(self.path, str(error), record=self.record) from error

    def raw(self) -> Fid:
        """The fid.

        Raises:
            ReadError: there is none.
        """
        if self.problem:
            raise self.problem
        if self.fid is None:
            raise ReadError(self.path, "holds a processed spectrum and no fid", record=self.record)
        return self.fid


Items = Iterator[Measurement | ReadError]


def measurements(found: Iterator[Found]) -> Items:
    """What readers yield: a measurement for each spectrum, or why it is none."""
    for one in found:
        try:
            trace = one.spectrum()
        except ReadError as error:
            yield error
        else:
            yield Measurement(trace, None, "nmr", name=one.name, source=one.source, licence=one.licence)


@dataclass(frozen=True, slots=True)
class SpectrumReader:
    """A reader that also gives raw fids, and takes what a file leaves open. It is a component's target.

    A plugin may offer a plain function as a reader of the modality `nmr`; with this class its format has fids too, for
    `molvis nmr process`, and settings of the command line reach it.

    Attributes:
        find: a path to what is there, as an iterator of `Found`; takes the settings by keyword.
        settings: which of `entry`, `frequency` (MHz) and `resample` it takes.
    """

    find: Callable[..., Iterator[Found]]
    settings: tuple[str, ...] = ()

    def __call__(self, path: Path) -> Items:
        """Measurements, as every reader gives them: processed spectra, else fids processed by molvis.

        Raises:
            ReadError: the path cannot be read as this format.
        """
        return measurements(self.find(path))

    def found(self, path: Path, given: Mapping[str, Any]) -> Iterator[Found]:
        """What is there, with those of the settings that the format takes."""
        return self.find(path, **{key: given[key] for key in self.settings if given.get(key)})


class Folder:
    """A folder or a ZIP file of one, by the names of its files relative to it.

    Raises:
        ReadError: it is neither, or a damaged ZIP file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        if path.is_dir():
            # No deeper than an experiment can lie below what people name: its study, its sample.
            patterns = ("*", "*/*", "*/*/*", "*/*/*/*", "*/*/*/*/*")
            files = (file for pattern in patterns for file in path.glob(pattern) if file.is_file())
            self.names = sorted(file.relative_to(path).as_posix() for file in files)
            return
        self._zip = open_zip(path)
        inside = [name for name in self._zip.namelist() if name and not name.endswith("/")]
        # What macOS puts beside each file is none of the spectrometer's.
        self.names = sorted(name for name in inside if "__MACOSX" not in PurePosixPath(name).parts)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def where(self, name: str) -> str:
        """A file of it, for errors."""
        return f"{self.path}/{name}"

    def read(self, name: str) -> bytes:
        """What a file of it holds.

        Raises:
            ReadError: there is none, or it is damaged.
        """
        if name not in self.names:
            raise ReadError(self.where(name), "no such file, and it is needed; copy the whole folder")
        if self._zip is None:
            return read_bytes(self.path / name)
        try:
            return self._zip.read(name)
        except (*DAMAGE, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
            raise ReadError(self.where(name), f"cannot be unpacked: {error}; get the ZIP file whole") from error

    def text(self, name: str) -> str:
        """A file of text in UTF-8, or in Latin-1, which every byte is."""
        raw = self.read(name)
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def roots(self, ending: str) -> list[str]:
        """Folders below it that hold a file of this name, as prefixes: `` for itself, `10/` for a folder of it."""
        return [name.removesuffix(ending) for name in self.names if name == ending or name.endswith("/" + ending)]


def make_trace(
    path: object,
    x: Float[np.ndarray, " t"],
    y: np.ndarray,
    frequency: float | None,
    identifier: str,
    *,
    record: str | None = None,
    line: int | None = None,
) -> Trace:
    """A checked spectrum on an even axis.

    Args:
        path: that errors name.
        x: in ppm, up or down.
        y: along it.
        frequency: in MHz.
        identifier: of the spectrum.
        record: that errors name.
        line: that errors name.

    Raises:
        ReadError: no frequency, fewer than 16 points, an axis that is not even, complex or not finite numbers, or none
            but zeros.
    """

    def no(reason: str) -> ReadError:
        return ReadError(path, reason, line=line, record=record)

    if frequency is None:
        raise no("states no spectrometer frequency; give it in MHz, as frequency=600.13 or --frequency 600.13")
    if np.iscomplexobj(y):
        raise no("holds complex numbers where a phased real spectrum is meant; give the fid, or the real part alone")
    if len(x) != len(y):
        raise no(f"has {len(x)} points on the axis and {len(y)} of intensity; the numbers must agree")
    if len(x) < 16:
        raise no(f"must have at least 16 points, got {len(x)}")
    for what, values in (("axis", x), ("intensity", y)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise no(f"{what} must be finite numbers, got {values[bad[0]]} at point {bad[0] + 1}")
    if not np.any(y):
        raise no("every intensity is 0: there is no spectrum in it")
    even = np.linspace(x[0], x[-1], len(x))
    step = abs(float(even[1] - even[0]))
    off = np.abs(x - even)
    if not step or off.max() > UNEVEN * step:
        where = int(off.argmax())
        reason = (
            f"axis is not even: point {where + 1} is {x[where]:g} ppm in place of {even[where]:g}; export the whole "
            "spectrum, or give resample=True (--resample)"
        )
        raise no(reason)
    try:
        return Trace(even, y, frequency=frequency, identifier=identifier)
    except RecordError as error:
        raise no(str(error)) from error


def resampled(x: Float[np.ndarray, " t"], y: Float[np.ndarray, " t"]) -> tuple[np.ndarray, np.ndarray]:
    """Points on an even axis of the median step, linear in between; where several share a place, their mean."""
    places, index = np.unique(x, return_inverse=True)
    values = np.bincount(index, weights=y) / np.bincount(index)
    step = float(np.median(np.diff(places)))
    even = np.linspace(places[0], places[-1], round((places[-1] - places[0]) / step) + 1)
    return even, np.interp(even, places, values)


def is_zip(path: Path) -> bool:
    """Whether a path ends as a ZIP file's does."""
    return path.name.lower().removesuffix(".gz").endswith(".zip")


def stem(path: Path) -> str:
    """A file's name without its ending, a folder's without a trailing `.fid`."""
    name = path.name.removesuffix(".gz")
    return name.rpartition(".")[0] or name
