"""Spectral libraries as mzSpecLib text, with what each peak is.

Reference: HUPO-PSI, mzSpecLib 1.0, https://psidev.info/mzSpecLib
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from molvis_core.records import PeakList, Structure
from molvis_core.text import visible
from molvis_files.mzpaf import UNEXPLAINED

__all__ = ["LibrarySpectrum", "library_lines"]

_POLARITY = {"positive": "MS:1000130|positive scan", "negative": "MS:1000129|negative scan"}


@dataclass(frozen=True, eq=False, slots=True)
class LibrarySpectrum:
    """A spectrum of a library.

    Attributes:
        name: of the spectrum.
        record: its peaks and its ion.
        structure: that it is of, or that its peaks are explained by.
        peaks: what each peak is, as mzPAF writes it; empty where nothing was tried.
        merged: whether it was put together of several scans.
        time: at which it was measured, in s.
        file: that it was measured in.
        scan: number of its scan, where it is one.
        usi: universal spectrum identifier.
        others: further attributes: name and value.
    """

    name: str
    record: PeakList
    structure: Structure | None = None
    peaks: Sequence[str] = ()
    merged: bool = False
    time: float | None = None
    file: str | None = None
    scan: str | None = None
    usi: str | None = None
    others: Sequence[tuple[str, str]] = field(default=())


def library_lines(spectra: Iterable[LibrarySpectrum], name: str) -> Iterator[str]:
    """Lines of a library; the third column of each peak is its annotation."""
    yield "<mzSpecLib>"
    yield "MS:1003186|library format version=1.0"
    yield f"MS:1003188|library name={visible(name)}"
    for number, one in enumerate(spectra, start=1):
        yield from _spectrum(one, number)
        yield ""


def _spectrum(one: LibrarySpectrum, number: int) -> Iterator[str]:
    record = one.record
    yield f"<Spectrum={number}>"  # which is its key, too
    yield f"MS:1003061|library spectrum name={visible(one.name)}"
    kind = "MS:1003067|consensus spectrum" if one.merged else "MS:1003066|singleton spectrum"
    yield f"MS:1003065|spectrum aggregation type={kind}"
    yield "MS:1000511|ms level=2"
    if record.precursor_mz is not None:
        yield f"MS:1003208|experimental precursor monoisotopic m/z={record.precursor_mz:.6f}"
    if record.ionmode in _POLARITY:
        yield f"MS:1000465|scan polarity={_POLARITY[record.ionmode]}"
    if one.file:
        yield f"MS:1003203|constituent spectrum file={visible(one.file)}"
    if one.scan and one.scan.isdigit():
        yield f"MS:1003057|scan number={one.scan}"
    if one.usi:
        yield f"MS:1003063|universal spectrum identifier={visible(one.usi)}"
    group = 0
    for term, value, unit in _measured(one):
        group += 1
        yield f"[{group}]{term}={value:g}"
        yield f"[{group}]UO:0000000|unit={unit}"
    yield f"MS:1003059|number of peaks={len(record)}"
    for term, value in one.others:
        group += 1
        yield f"[{group}]MS:1003275|other attribute name={term}"
        yield f"[{group}]MS:1003276|other attribute value={visible(value)}"
    if one.structure is not None:
        yield from _analyte(one.structure, record)
    yield "<Peaks>"
    for place, (mz, height) in enumerate(zip(record.mz.tolist(), record.intensity.tolist(), strict=True)):
        told = f"\t{one.peaks[place] or UNEXPLAINED}" if one.peaks else ""
        yield f"{mz:.6f}\t{height:.6g}{told}"


def _measured(one: LibrarySpectrum) -> Iterator[tuple[str, float, str]]:
    """Numbers with units."""
    if one.record.collision_energy is not None:
        yield "MS:1000045|collision energy", one.record.collision_energy, "UO:0000266|electronvolt"
    if one.time is not None:
        yield "MS:1000894|retention time", one.time, "UO:0000010|second"


def _analyte(structure: Structure, record: PeakList) -> Iterator[str]:
    yield "<Analyte=1>"
    yield f"MS:1000224|molecular mass={structure.exact_mass:.6f}"
    yield f"MS:1000866|molecular formula={structure.formula}"
    yield f"MS:1000868|SMILES string={structure.smiles}"
    yield f"MS:1002894|InChIKey={structure.inchikey}"
    if record.adduct:
        yield f"MS:1002813|adduct ion formula={record.adduct}"
    if record.charge is not None:
        yield f"MS:1000041|charge state={abs(record.charge)}"
