"""Files of spectrometers and of other programs, as far as the data folder has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from molvis_core.errors import ReadError
from molvis_nmr.formats.opening import read_fid, read_spectra, read_spectrum
from molvis_nmr.formats.spin_systems import read_system
from molvis_nmr.processing import process

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "nmr"
with_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no NMR data in {DATA}: set MOLVIS_DATA")

# Real files

RAW = DATA / "raw"


def _read_or_refused(path: Path) -> int | str:
    """How many spectra or spin systems a file holds, or why none."""
    try:
        return (
            1 if path.suffix == ".xml" and read_system(path) else len([f for f in read_spectra(path) if not f.problem])
        )
    except ReadError as error:
        return str(error)


@with_data
@pytest.mark.full
def test_every_raw_file_is_read_or_refused_with_a_reason():
    folders = {path.parent for path in RAW.rglob("fid")}
    found = {path: _read_or_refused(path) for path in (*folders, *(p for p in RAW.rglob("*") if p.is_file()))}
    for path, result in found.items():
        wanted = path in folders or path.name in ("fid", "1r") or path.suffix == ".zip"
        wanted = wanted or path.parent.name in ("gissmo_xml", "jcamp", "nmrml")
        assert (result == 1) == wanted, f"{path}: {result}"
        assert wanted or (str(path) in str(result) and len(str(result)) > len(str(path)) + 20)


VENDOR = {
    "bruker/NRC/amino_acid_mixture_2022": 0.998,
    "bruker/MTBLS1/ADG10003u_007/10": 0.998,
    "bruker/MTBLS1/ADG10003u_051/10": 0.998,
    "bruker/bmse000325_2-ketobutyrate/1H": 0.999,
    "bruker/MMBBI_10M12-CE01-1a/1": 0.998,
    "bruker/GABA_metabohub_1H": 0.999,
}


@with_data
@pytest.mark.parametrize("name", VENDOR)
def test_processed_fids_agree_with_the_vendor(name: str):
    theirs = read_spectrum(RAW / name)
    broadening = 1.0 if "bmse" in name else 0.3  # as theirs
    ours = process(read_fid(RAW / name), size=len(theirs), broadening=broadening, reference=None).trace
    where = (ours.x > 0.2) & (ours.x < 10) & ((ours.x < 4.4) | (ours.x > 5.2))  # the reference and water dwarf the rest
    assert np.abs(ours.x[1:] - theirs.x[:-1]).max() < 0.1 * np.diff(ours.x)[0]
    correlation = np.corrcoef(ours.y[where], np.interp(ours.x[where], theirs.x, theirs.y))[0, 1]
    assert correlation > VENDOR[name]


@with_data
def test_a_fid_and_a_spectrum_of_one_sample_in_other_formats_agree():
    spectrum = read_spectrum(RAW / "jcamp" / "aspirin_1h.dx")
    for name in ("bruker/aspirin-1h.zip", "jcamp/aspirin_1h.fid.dx"):
        ours = read_spectrum(RAW / name)
        where = (ours.x > 1) & (ours.x < 9)
        assert np.corrcoef(ours.y[where], np.interp(ours.x[where], spectrum.x, spectrum.y))[0, 1] > 0.999
    zipped = read_spectrum(RAW / "bruker" / "aspirin-1h-processed.zip")
    assert np.abs(zipped.x - spectrum.x).max() < 1e-4
    assert np.corrcoef(zipped.y, spectrum.y)[0, 1] > 0.9999


@with_data
def test_varian_agrees_with_what_others_made_of_the_same_fid():
    pytest.importorskip("pyarrow", reason="pyarrow is not installed, which Parquet needs")
    ours = read_spectrum(RAW / "varian" / "Proline-Varian-MIPT-499.8MHz.fid")
    theirs = read_spectrum(DATA / "spectra.parquet", "mipt:Proline-Varian-MIPT-499.8MHz")
    where = (ours.x > 1.8) & (ours.x < 4.2)
    assert np.corrcoef(ours.y[where], np.interp(ours.x[where], theirs.x, theirs.y))[0, 1] > 0.995
