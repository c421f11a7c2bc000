"""Spectra go to matchms and come back. Where matchms is absent, a stand-in with its attributes takes its place."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from molvis_core import structure
from molvis_core.errors import LeftOutError, PluginError, ReadError
from molvis_core.records import Measurement, Origin, PeakList
from molvis_msms.matchms import from_matchms, to_matchms

REAL = importlib.util.find_spec("matchms") is not None
CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
FULL = Measurement(
    PeakList(
        mz=[69.0447, 138.0662],
        intensity=[12.5, 100.0],
        precursor_mz=195.0877,
        adduct="[M+H]+",
        charge=1,
        ionmode="positive",
        collision_energy=35.0,
        instrument_type="LC-ESI-QTOF",
        ms_level=2,
        identifier="CCMSLIB1",
    ),
    structure(CAFFEINE, name="caffeine"),
    "msms",
    name="caffeine",
    origin=Origin("F7", "392-397", 1.5, "a.mgf"),
)


class StandIn:
    """What matchms.Spectrum is to us: peaks that are copied and metadata under harmonised names."""

    def __init__(self, mz: np.ndarray, intensities: np.ndarray, metadata: dict[str, Any]) -> None:
        self.peaks = SimpleNamespace(mz=mz, intensities=intensities)
        self.metadata = dict(metadata)

    def get(self, name: str) -> Any:
        return self.metadata.get(name)


@pytest.fixture(params=[pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="no matchms")), "stand-in"])
def spectrum(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class Spectrum of matchms, or what stands in for it."""
    if request.param == "real":
        return pytest.importorskip("matchms").Spectrum
    module = ModuleType("matchms")
    module.Spectrum = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "matchms", module)
    return StandIn


def test_a_spectrum_comes_back_from_matchms_as_it_went(spectrum: Any) -> None:
    there = to_matchms(FULL)
    assert isinstance(there, spectrum)
    assert there.get("retention_time") == 90.0
    assert (there.get("compound_name"), there.get("charge"), there.get("adduct")) == ("caffeine", 1, "[M+H]+")
    back = from_matchms(there)
    assert (back.structure, back.name, back.origin, back.modality) == (FULL.structure, "caffeine", FULL.origin, "msms")
    one, two = FULL.record, back.record
    assert isinstance(one, PeakList)
    assert isinstance(two, PeakList)
    np.testing.assert_array_equal(one.mz, two.mz)
    np.testing.assert_array_equal(one.intensity, two.intensity)
    for name in ("precursor_mz", "adduct", "charge", "ionmode", "collision_energy", "instrument_type", "ms_level"):
        assert getattr(one, name) == getattr(two, name), name
    assert two.identifier == "CCMSLIB1"


def test_what_nobody_knows_is_not_made_up_on_the_way(spectrum: Any) -> None:
    there = to_matchms(PeakList(mz=[60.5], intensity=[1.0], precursor_mz=301.5))
    assert {k for k, v in there.metadata.items() if v is not None} <= {"precursor_mz", "charge"}
    record = from_matchms(there).record
    assert isinstance(record, PeakList)
    assert (record.adduct, record.charge, record.ionmode, record.collision_energy) == (None, None, None, None)


def test_peaks_of_a_spectrum_of_matchms_may_change_without_ours(spectrum: Any) -> None:
    record = PeakList(mz=[60.5], intensity=[1.0], precursor_mz=301.5)
    there = to_matchms(record)
    there.peaks.intensities[0] = 9.0
    assert record.intensity.tolist() == [1.0]


def test_negative_ions_and_open_adducts_of_other_programs_are_understood(spectrum: Any) -> None:
    metadata = {"precursor_mz": 193.07, "charge": -1, "ionmode": "negative", "adduct": "[M+?]-"}
    record = from_matchms(spectrum(np.array([60.5]), np.array([1.0]), metadata)).record
    assert isinstance(record, PeakList)
    assert (record.adduct, record.charge, record.ionmode) == (None, -1, "negative")


def test_what_cannot_be_identified_is_refused(spectrum: Any) -> None:
    peaks = np.array([60.5]), np.array([1.0])
    with pytest.raises(ReadError, match="no precursor m/z"):
        from_matchms(spectrum(*peaks, {"compound_name": "x"}))
    with pytest.raises(LeftOutError, match="a survey spectrum"):
        from_matchms(spectrum(*peaks, {"precursor_mz": 193.07, "ms_level": "1"}))
    with pytest.raises(TypeError, match="got a Structure"):
        to_matchms(Measurement(structure("CCO"), None, "structure"))


def test_without_matchms_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matchms", None)
    with pytest.raises(PluginError, match=r"pip install 'molvis-msms\[matchms\]'"):
        to_matchms(FULL)
