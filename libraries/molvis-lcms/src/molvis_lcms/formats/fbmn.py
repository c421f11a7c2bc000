"""Feature lists for feature-based molecular networking: MGF with `FEATURE_ID`, and a table of areas.

MZmine, OpenMS, MS-DIAL, XCMS and Progenesis write them for GNPS; MZmine's export for SIRIUS is the same MGF with
isotopes as spectra of level 1.

Reference: L.-F. Nothias et al., Nat. Methods 17 (2020) 905, doi:10.1038/s41592-020-0933-6
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from molvis_core.errors import ReadError, RecordError
from molvis_core.records import PeakList
from molvis_core.text import in_cell
from molvis_files.mgf import mgf_records
from molvis_files.spectra import SpectrumText
from molvis_files.writing import write_text
from molvis_lcms.formats.cells import adduct_of, arrays_of, first, ion_of, number, seconds, spectrum_of, table_rows
from molvis_lcms.merging import merge_energies
from molvis_lcms.records import Feature, FeatureTable
from molvis_lcms.usi import is_usi

__all__ = ["quantities_beside", "read_mgf_features", "read_quantities", "write_mgf_features", "write_quantities"]

_PPM = 20.0
_AREA = re.compile(r"(.*?)(?:\.?\s*| filtered )Peak (area|height)", re.IGNORECASE)


def read_mgf_features(path: Path, quantities: Path | None = None) -> FeatureTable:
    """Features from an MGF file: spectra of one `FEATURE_ID` are one feature, which keeps it.

    A spectrum without `FEATURE_ID` is a feature by its `SCANS`, or else by its place. Spectra of level 1 are isotopes.

    Args:
        path: the MGF file.
        quantities: the table of areas; without it, that beside the file, see `quantities_beside`.

    Raises:
        ReadError: a file cannot be read.
    """
    found: dict[str, Feature] = {}
    notes: list[str] = []
    for item in mgf_records(path):
        if isinstance(item, ReadError):
            notes.append(str(item))
            continue
        try:
            one = _feature(item)
        except RecordError as error:
            notes.append(str(ReadError(path, str(error), line=item.line, record=item.number)))
            continue
        kept = found.get(one.identifier)
        found[one.identifier] = one if kept is None else _both(kept, one)
    features = [replace(f, merged=merge_energies(f.spectra, _PPM)) for f in found.values()]
    table = FeatureTable(tuple(features), (), tuple(notes))
    quantities = quantities or quantities_beside(path)
    return table if quantities is None else _with_areas(table, quantities)


def _feature(item: SpectrumText) -> Feature:
    fields = item.fields
    mz = number(first(fields, "pepmass", "precursor_mz"))
    if mz is None or mz <= 0:
        raise RecordError("no precursor m/z (PEPMASS); add it")
    identifier = first(fields, "feature_id", "scans") or str(item.number)
    time = number(fields.get("rtinseconds"))
    time = seconds(fields.get("rtinminutes")) if time is None else time
    ion = ion_of(first(fields, "adduct", "ion"), fields.get("charge"), first(fields, "ionmode", "polarity"))
    basic = Feature(
        identifier, mz, time, ionmode=ion.ionmode, charge=ion.charge, adduct=ion.adduct, name=first(fields, "name")
    )
    if (first(fields, "mslevel", "ms_level") or "2").strip() == "1":
        isotopes = arrays_of(item.peaks)
        return replace(basic, isotope_mz=isotopes[0], isotope_intensity=isotopes[1])
    spectrum = spectrum_of(item.peaks, mz, ion, number(fields.get("collision_energy")))
    scans = tuple(filter(None, [fields.get("scans")]))
    usis = tuple(u.strip() for u in [fields.get("usi", "")] if is_usi(u))
    return replace(basic, spectra=(spectrum,) if spectrum else (), scans=scans, usis=usis)


def _both(one: Feature, other: Feature) -> Feature:
    """What two spectra of one feature say of it together."""
    isotopes = one if len(one.isotope_mz) else other
    return replace(
        one,
        spectra=(*one.spectra, *other.spectra),
        isotope_mz=isotopes.isotope_mz,
        isotope_intensity=isotopes.isotope_intensity,
        adduct=one.adduct or other.adduct,
        scans=tuple(dict.fromkeys((*one.scans, *other.scans))),
        usis=tuple(dict.fromkeys((*one.usis, *other.usis))),
    )


def quantities_beside(path: Path) -> Path | None:
    """The table of areas that belongs to an MGF file: `NAME_quant.csv` beside it; None where there is none."""
    stem = path.name.removesuffix(".gz").removesuffix(".mgf")
    for name in (f"{stem}_quant.csv", f"{stem.removesuffix('_iimn_gnps')}_iimn_gnps_quant.csv"):
        if (path.parent / name).is_file():
            return path.parent / name
    return None


def read_quantities(path: Path) -> dict[str, tuple[Mapping[str, str], dict[str, float]]]:
    """Rows of a table of areas by their `row ID`: all cells by lowercase column, and the areas by file.

    Raises:
        ReadError: the file cannot be read, or has no column `row ID`.
    """
    found: dict[str, tuple[Mapping[str, str], dict[str, float]]] = {}
    for _, cells, exact in table_rows(path, "row id"):
        areas: dict[str, float] = {}
        for column, cell in exact.items():
            name = _AREA.fullmatch(column)
            if name and (value := number(cell)) is not None:
                areas[name.group(1).strip()] = value
        found[cells["row id"]] = cells, areas
    return found


def _with_areas(table: FeatureTable, path: Path) -> FeatureTable:
    rows = read_quantities(path)
    files: dict[str, None] = {}
    features: list[Feature] = []
    for one in table.features:
        cells, areas = rows.get(one.identifier, ({}, {}))
        files |= dict.fromkeys(areas)
        time = one.time if one.time is not None else seconds(cells.get("row retention time"))
        adduct = one.adduct or adduct_of(cells.get("best ion"))
        group = number(cells.get("annotation network number"))
        features.append(
            replace(one, areas=areas, time=time, adduct=adduct, group=int(group) if group is not None else one.group)
        )
    unknown = len(rows.keys() - {f.identifier for f in table.features})
    notes = table.notes
    if unknown:
        notes = (*notes, f"{path.name}: {unknown} of {len(rows)} rows have no MS/MS, and are left out")
    return FeatureTable(tuple(features), tuple(files), notes)


def write_mgf_features(path: Path, table: FeatureTable) -> None:
    """The MS/MS of features, merged over energies, in the layout of FBMN.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    write_text(path, "\n".join(_block(f, f.merged) for f in table.features if f.merged is not None))


def _block(feature: Feature, spectrum: PeakList) -> str:
    size = feature.charge or 0
    fields = {
        "FEATURE_ID": feature.identifier,
        "PEPMASS": f"{feature.mz:.6f}",
        "SCANS": feature.identifier,
        "RTINSECONDS": f"{feature.time:.3f}" if feature.time is not None else None,
        "CHARGE": f"{abs(size)}{'-' if size < 0 else '+'}" if size else None,
        "IONMODE": feature.ionmode,
        "MSLEVEL": "2",
        "COLLISION_ENERGY": f"{spectrum.collision_energy:g}" if spectrum.collision_energy is not None else None,
        "ADDUCT": feature.adduct,
        "USI": feature.usis[0] if feature.usis else None,
    }
    head = "".join(f"{k}={v}\n" for k, v in fields.items() if v is not None)
    peaks = "".join(
        f"{m:.6f} {h:.6g}\n" for m, h in zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True)
    )
    return f"BEGIN IONS\n{head}{peaks}END IONS\n"


def write_quantities(path: Path, table: FeatureTable) -> None:
    """The table of areas that belongs to the MGF file: `row ID`, m/z, time in minutes, and `FILE Peak area`.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["row ID", "row m/z", "row retention time", "charge", "best ion", "annotation network number"]
    writer.writerow([*head, *(f"{name} Peak area" for name in table.files)])
    writer.writerows(_quantities(table))
    write_text(path, text.getvalue())


def _quantities(table: FeatureTable) -> Iterator[list[object]]:
    for one in table.features:
        likely = one.adduct or (one.adducts[0].adduct if one.adducts and one.adducts[0].reasons else "")
        minutes = f"{one.time / 60:.5f}" if one.time is not None else ""
        areas = [f"{one.areas[n]:.7g}" if n in one.areas else "" for n in table.files]
        yield [in_cell(one.identifier), f"{one.mz:.6f}", minutes, one.charge or "", likely, one.group or "", *areas]
