"""mzSpecLib text libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ReadError
from molvis_core.records import Measurement, PeakList
from molvis_files.mzspeclib import LibrarySpectrum, library_lines
from molvis_msms.readers.mzspeclib import read_mzspeclib

HEAD = "<mzSpecLib>\nMS:1003186|library format version=1.0\n"
CAFFEINE = structure("Cn1c(=O)c2c(ncn2C)n(C)c1=O")


def put(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.mzSpecLib.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    record = PeakList([110.0713, 138.0662], [30, 100], 195.0877, "[M+H]+", 1, "positive", 30.0)
    one = LibrarySpectrum(
        "one", record, CAFFEINE, ["?", "f{C6H8N3O}/-0.1ppm"], merged=True, time=90.0, usi="mzspec:MSV1:run:scan:17",
        others=[("feature_id", "F7"), ("license", "CC0")],
    )  # fmt: skip
    lines = library_lines([one, LibrarySpectrum("two", record, scan="17")], "library")
    first, second = read_mzspeclib(put(tmp_path, "\n".join(lines)))
    assert isinstance(first, Measurement)
    assert isinstance(second, Measurement)
    assert first.record.mz.tolist() == record.mz.tolist()
    assert first.record.intensity.tolist() == record.intensity.tolist()
    kept = ("precursor_mz", "adduct", "charge", "ionmode", "collision_energy")
    assert [getattr(first.record, name) for name in kept] == [getattr(record, name) for name in kept]
    assert first.record.identifier == "mzspec:MSV1:run:scan:17"
    assert first.structure is not None
    assert first.structure.inchikey == CAFFEINE.inchikey
    assert (first.name, first.licence, first.origin.feature_id, first.origin.rt_min) == ("one", "CC0", "F7", 1.5)
    assert (second.structure, second.origin.scans) == (None, "17")


def test_minutes_normalized_energies_and_second_analytes_are_understood(tmp_path: Path) -> None:
    text = HEAD + (
        "<Spectrum=1>\nMS:1000744|selected ion m/z=250\nMS:1000465|scan polarity=MS:1000129|negative scan\n"
        "[1]MS:1000894|retention time=2\n[1]UO:0000000|unit=UO:0000031|minute\n"
        "<Analyte=1>\nMS:1000868|SMILES formula=CCO\n<Analyte=2>\nMS:1000868|SMILES string=CCC\n"
        "<Interpretation=1>\nMS:1002894|InChIKey=x\n<Peaks>\n50\t1\n"
    )
    (found,) = read_mzspeclib(put(tmp_path, text))
    assert isinstance(found, Measurement)
    assert found.structure is not None
    assert (found.structure.smiles, found.origin.rt_min, found.record.ionmode) == ("CCO", 2.0, "negative")


def test_a_bad_peak_is_told_and_a_strange_file_refused(tmp_path: Path) -> None:
    first = "<Spectrum=1>\nMS:1003061|library spectrum name=bad\n<Peaks>\n50\tx\n"
    text = HEAD + first + "<Spectrum=2>\nMS:1000744|selected ion m/z=99\n<Peaks>\n50 1\n"
    bad, good = read_mzspeclib(put(tmp_path, text))
    assert isinstance(bad, ReadError)
    assert "record bad" in str(bad)
    assert isinstance(good, Measurement)
    for wrong in ("", "BEGIN IONS\n"):
        with pytest.raises(ReadError, match="mzSpecLib text library"):
            list(read_mzspeclib(put(tmp_path, wrong)))
