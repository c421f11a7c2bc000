"""Spectra of pyOpenMS: by objects with its methods, and by its own where it is installed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from molvis_core.errors import ReadError
from molvis_core.records import PeakList
from molvis_msms.pyopenms import from_pyopenms


def stand_in(level: int = 2, polarity: int = 1, *, energy: float | None = 30.0) -> Any:
    precursor = SimpleNamespace(
        getMZ=lambda: 195.0877, getCharge=lambda: 1, metaValueExists=lambda _: energy is not None,
        getMetaValue=lambda _: energy,
    )  # fmt: skip
    return SimpleNamespace(
        get_peaks=lambda: (np.array([110.0713, 138.0662]), np.array([30, 100], dtype="f4")),
        getNativeID=lambda: "controllerType=0 controllerNumber=1 scan=17",
        getRT=lambda: 90.0,
        getMSLevel=lambda: level,
        getInstrumentSettings=lambda: SimpleNamespace(getPolarity=lambda: polarity),
        getPrecursors=lambda: [precursor] if level == 2 else [],
    )


def test_ion_time_and_scan_come_over() -> None:
    found = from_pyopenms(stand_in(), adduct="[M+H]+", source_file="run.mzML")
    assert isinstance(found.record, PeakList)
    assert found.record.mz.tolist() == [110.0713, 138.0662]
    assert (found.record.precursor_mz, found.record.charge, found.record.ionmode) == (195.0877, 1, "positive")
    assert (found.record.adduct, found.record.collision_energy) == ("[M+H]+", 30.0)
    assert (found.origin.scans, found.origin.rt_min, found.origin.source_file) == ("17", 1.5, "run.mzML")
    other = from_pyopenms(stand_in(polarity=2, energy=None))
    assert (other.record.ionmode, other.record.collision_energy, other.record.adduct) == ("negative", None, None)


def test_a_survey_spectrum_is_refused() -> None:
    with pytest.raises(ReadError, match="survey spectrum"):
        from_pyopenms(stand_in(level=1))


def test_spectra_of_pyopenms_itself_come_over() -> None:
    pyopenms = pytest.importorskip("pyopenms", reason="a peer: pip install pyopenms")
    spectrum, precursor = pyopenms.MSSpectrum(), pyopenms.Precursor()
    spectrum.set_peaks(([138.0662, 110.0713], [100.0, 30.0]))
    precursor.setMZ(195.0877)
    precursor.setCharge(1)
    precursor.setMetaValue("collision energy", 30.0)
    spectrum.setPrecursors([precursor])
    spectrum.setMSLevel(2)
    spectrum.setRT(90.0)
    spectrum.setNativeID("scan=17")
    settings = spectrum.getInstrumentSettings()
    settings.setPolarity(pyopenms.IonSource.Polarity.POSITIVE)
    spectrum.setInstrumentSettings(settings)
    found = from_pyopenms(spectrum)
    assert found.record.mz.tolist() == [110.0713, 138.0662]
    assert (found.record.precursor_mz, found.record.ionmode, found.record.collision_energy) == (
        195.0877,
        "positive",
        30.0,
    )
    assert (found.origin.scans, found.origin.rt_min) == ("17", 1.5)
