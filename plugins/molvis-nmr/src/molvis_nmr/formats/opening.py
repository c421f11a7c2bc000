"""One door to every format of spectra."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from molvis_core.errors import ReadError, did_you_mean
from molvis_core.records import Trace
from molvis_nmr.formats import bruker, jcamp, nmrml, nmrpipe, text, varian
from molvis_nmr.formats.entries import split_entry
from molvis_nmr.formats.sources import Folder, Found, is_zip
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
            NMRPipe, two columns of text, or a table of spectra; told by content and ending.
            `table.parquet#ENTRY` is short for giving `entry`.
        entry: which of several, by what the file calls it: `10`, `10/pdata/1`, a title, a `spectrum_id`.
        raw: process the fid, even where there is a processed spectrum.
        frequency: of the observed nucleus in MHz, where text or JCAMP-DX does not state it.
        resample: a text file's points onto an even axis.

    Raises:
        ReadError: the file cannot be read, is no NMR spectrum, or holds several and `entry` does not say which.
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
    return list(_find(Path(path), None, frequency, resample))


def _one(path: Path | str, entry: str | None, *, frequency: float | None = None, resample: bool = False) -> Found:
    path, entry = split_entry(path, entry)
    found = list(_find(path, entry, frequency, resample))
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


def _find(path: Path, entry: str | None, frequency: float | None, resample: bool) -> Iterator[Found]:
    if not path.exists():
        raise ReadError(path, "no such file or folder")
    name = path.name.lower().removesuffix(".gz")
    if is_zip(path) and path.is_file():
        Folder(path)  # says what is wrong with a damaged one, which would be a Bruker's, a Varian's or neither's
    readers: tuple[tuple[bool, Callable[[], Iterator[Found]]], ...]
    if path.is_dir() or is_zip(path) or name in ("fid", "1r"):
        readers = (
            (bruker.is_bruker(path), lambda: bruker.find_bruker(path)),
            (varian.is_varian(path), lambda: varian.find_varian(path)),
        )
        wanted = "acqus or pdata/1/procs of Bruker, or procpar of Varian or Agilent"
        if not path.is_dir() and not is_zip(path):
            wanted += " beside it"
        if path.is_file() and name == "fid" and nmrpipe.is_nmrpipe(path):
            readers = ((True, lambda: nmrpipe.find_nmrpipe(path)),)
    else:
        readers = (
            (name.endswith(".parquet"), lambda: text.find_table(path, entry=entry)),
            (nmrpipe.is_nmrpipe(path), lambda: nmrpipe.find_nmrpipe(path)),
            (name.endswith(".nmrml"), lambda: nmrml.find_nmrml(path)),
            (name.endswith((".jdx", ".dx", ".jcamp")), lambda: jcamp.find_jcamp(path, frequency=frequency)),
            (
                name.endswith((".csv", ".txt", ".tsv", ".xy", ".dat", ".asc")),
                lambda: text.find_text(path, frequency=frequency, resample=resample),
            ),
        )
        wanted = "the data of an instrument, .jdx, .dx, .nmrML, NMRPipe's, .csv, .txt or .parquet"
    for fits, find in readers:
        if fits:
            return find()
    if path.parent.name.endswith(".fid") or (path.parent / "acqus").exists() or path.parent.parent.name == "pdata":
        raise ReadError(path, "is no spectrum but belongs to one; give its folder, or the fid or 1r in it")
    raise ReadError(path, f"is no NMR spectrum that molvis reads; wanted is {wanted}")
