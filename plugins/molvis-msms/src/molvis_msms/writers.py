"""Writers of tandem mass spectra: what is written is read back. A path that ends in `.gz` is compressed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from molvis_core.errors import WriteError
from molvis_core.records import Measurement, PeakList
from molvis_files.writing import write_text


def write_mgf(path: Path, measurements: Iterable[Measurement]) -> None:
    """Mascot generic format.

    Raises:
        WriteError: the file cannot be written; the old one is kept.
    """
    blocks = []
    for item in measurements:
        fields = "".join(f"{key.upper()}={value}\n" for key, value in _fields(item).items())
        peaks = "".join(f"{mz!r} {height!r}\n" for mz, height in _peaks(item))
        blocks.append(f"BEGIN IONS\n{fields}{peaks}END IONS\n")
    write_text(path, "\n".join(blocks))


def write_msp(path: Path, measurements: Iterable[Measurement]) -> None:
    """MSP format.

    Raises:
        WriteError: the file cannot be written; the old one is kept.
    """
    blocks = []
    for number, item in enumerate(measurements, start=1):
        named = _fields(item)
        head = {"Name": named.pop("title", None) or f"spectrum {number}"}
        fields = "".join(f"{key}: {value}\n" for key, value in {**head, **named}.items())
        peaks = _peaks(item)
        rows = "".join(f"{mz!r} {height!r}\n" for mz, height in peaks)
        blocks.append(f"{fields}Num Peaks: {len(peaks)}\n{rows}")
    write_text(path, "\n".join(blocks))


def write_json(path: Path, measurements: Iterable[Measurement]) -> None:
    """A JSON list of objects; one object a line where the path ends in `.jsonl`.

    Raises:
        WriteError: the file cannot be written; the old one is kept.
    """
    objects = [{**_fields(m), "peaks": _peaks(m)} for m in measurements]
    if path.name.lower().removesuffix(".gz").endswith(".jsonl"):
        write_text(path, "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in objects))
    else:
        write_text(path, json.dumps(objects, indent=1, ensure_ascii=False))


def _spectrum(item: Measurement) -> PeakList:
    if not isinstance(item.record, PeakList):
        raise WriteError(f"only spectra can be written, got a {type(item.record).__name__}")
    return item.record


def _peaks(item: Measurement) -> list[tuple[float, float]]:
    spectrum = _spectrum(item)
    return list(zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True))


def _fields(item: Measurement) -> dict[str, Any]:
    spectrum = _spectrum(item)
    charge = spectrum.charge
    energy = spectrum.collision_energy
    found = {
        "title": item.name,
        "spectrumid": spectrum.identifier,
        "feature_id": item.origin.feature_id,
        "scans": item.origin.scans,
        "rtinseconds": None if item.origin.rt_min is None else round(60 * item.origin.rt_min, 6),
        "pepmass": spectrum.precursor_mz,
        "adduct": spectrum.adduct,
        "charge": None if charge is None else f"{abs(charge)}{'+' if charge > 0 else '-'}",
        "ionmode": spectrum.ionmode,
        "collision_energy": None if energy is None else f"{energy!r} eV",
        "instrument_type": spectrum.instrument_type,
        "ms_level": spectrum.ms_level,
        "smiles": item.structure.smiles if item.structure else None,
        "license": item.licence,
        "contributor": item.contributor,
        "authors": item.authors,
        "source": item.source,
        "fold": item.fold,
        "cluster": item.cluster,
    }
    # A line break inside a field would end it in the formats of lines.
    return {k: " ".join(v.split()) if isinstance(v, str) else v for k, v in found.items() if v is not None}
