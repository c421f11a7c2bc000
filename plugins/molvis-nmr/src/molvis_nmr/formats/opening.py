"""One door to every format of spectra: the readers of the modality `nmr`, found through the registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.errors import ComponentError, ReadError, did_you_mean
from molvis_core.records import Trace
from molvis_nmr.formats.bruker import two_axes
from molvis_nmr.formats.entries import split_entry
from molvis_nmr.formats.sources import Folder, Found, SpectrumReader, is_zip
from molvis_nmr.processing import Fid


def read_spectrum(
    path: Path | str,
    entry: str | None = None,
    *,
    raw: bool = False,
    frequency: float | None = None,
    resample: bool = False,
) -> Trace:
    """One spectrum from a file or a folder: as it was processed, else processed by us from the fid.

    Args:
        path: a folder or a ZIP file of Bruker, Varian or Agilent, a file `fid` or `1r` of one, JCAMP-DX, nmrML,
            NMRPipe, two columns of text, a table of spectra, or what another plugin reads; known by content and
            ending. `table.parquet#ENTRY` is short for giving `entry`.
        entry: which of several, by what the file calls it: `10`, `10/pdata/1`, a title, a `spectrum_id`.
        raw: process the fid, even where there is a processed spectrum.
        frequency: of the observed nucleus in MHz, where text or JCAMP-DX does not state it.
        resample: a text file's points onto an even axis.

    Raises:
        ReadError: the file cannot be read, is no NMR spectrum, or holds several and `entry` names none of them.
    """
    return _one(path, entry, frequency=frequency, resample=resample).spectrum(raw=raw)


def read_fid(path: Path | str, entry: str | None = None, *, frequency: float | None = None) -> Fid:
    """The raw fid of a file or a folder, to process it by `molvis_nmr.processing.process`. See `read_spectrum`.

    Raises:
        ReadError: the file cannot be read, or holds no fid.
    """
    return _one(path, entry, frequency=frequency).raw()


def read_spectra(path: Path | str, *, frequency: float | None = None, resample: bool = False) -> list[Found]:
    """Everything that a file or a folder holds, with the reasons why some of it is no spectrum. See `read_spectrum`.

    Raises:
        ReadError: the file cannot be read at all.
    """
    return list(_find(Path(path), {"frequency": frequency, "resample": resample}))


def _one(path: Path | str, entry: str | None, *, frequency: float | None = None, resample: bool = False) -> Found:
    path, entry = split_entry(path, entry)
    found = list(_find(path, {"entry": entry, "frequency": frequency, "resample": resample}))
    if entry is not None:
        named = [one for one in found if entry in (one.record, one.name)] or [
            one for one in found if one.record.startswith(f"{entry.strip('/')}/")
        ]
        if not named:
            records = [one.record for one in found]
            held = f"; it holds {', '.join(records[:5])}" if records else ""
            raise ReadError(path, f"no spectrum {entry!r} in it{held}.{did_you_mean(entry, records)}")
        found = named[:1]
    if len(found) > 1:
        # One experiment that was processed several times: the first is what people look at.
        first = found[0].record.partition("/pdata/")[0]
        if not all(one.record.startswith(f"{first}/pdata/") or one.record.startswith("pdata/") for one in found):
            some = ", ".join(one.record for one in found[:5]) + (" and others" if len(found) > 5 else "")
            raise ReadError(path, f"holds {len(found)} spectra: {some}. Say which, as {path.name}#{found[0].record}")
    if not found:
        raise ReadError(path, "holds no spectrum")
    return found[0]


def _find(path: Path, settings: Mapping[str, Any]) -> Iterator[Found]:
    """What the reader of a file or a folder gives: the one door, whoever wrote the reader."""
    if not path.exists():
        raise ReadError(path, "no such file or folder")
    if is_zip(path) and path.is_file():
        Folder(path)  # raises an error that describes the damage, which would be a Bruker's, a Varian's or neither's
    try:
        component = registry.reader_for(path, modality="nmr")
    except ComponentError as error:
        raise ReadError(path, _nothing(path)) from error
    if (path.is_dir() or is_zip(path) or _of_an_experiment(path)) and registry.recognises(component, path) is False:
        raise ReadError(path, _nothing(path))
    reader = registry.load("reader", component.name)
    return reader.found(path, settings) if isinstance(reader, SpectrumReader) else _from_items(path, reader(path))


def _from_items(path: Path, items: Iterable[Any]) -> Iterator[Found]:
    """The measurements of a reader that knows no fids."""
    for number, item in enumerate(items, start=1):
        if isinstance(item, ReadError):
            yield Found(path, str(item.record or number), problem=item)
        else:
            trace = item.record
            record = trace.identifier or item.name or str(number)
            yield Found(path, record, trace=trace, name=item.name, source=item.source, licence=item.licence)


def _of_an_experiment(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz") in ("fid", "1r")


def _nothing(path: Path) -> str:
    """Why a path is no spectrum."""
    kinds = "acqus or pdata/1/procs of Bruker, or procpar of Varian or Agilent"
    if path.is_dir() or is_zip(path):
        return f"holds no NMR spectrum that molvis reads: it has no {kinds}"
    if _of_an_experiment(path):
        return f"is not an NMR spectrum that molvis reads: there is no {kinds} beside it"
    if path.name in ("ser", "2rr") and path.is_file():
        return f"is {two_axes(path.name)}"
    if path.parent.name.endswith(".fid") or (path.parent / "acqus").exists() or path.parent.parent.name == "pdata":
        return "is no spectrum but belongs to one; give its folder, or the fid or 1r in it"
    endings = sorted({s for c in registry.components("reader") if c.modality == "nmr" for s in c.suffixes})
    return f"is not an NMR spectrum that molvis reads; it reads folders of spectrometers, and {', '.join(endings)}"
