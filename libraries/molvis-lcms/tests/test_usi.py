"""Universal spectrum identifiers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molvis_core.errors import ConfigError
from molvis_core.records import PeakList
from molvis_lcms.formats.documents import read_json_features, write_json_features
from molvis_lcms.formats.fbmn import read_mgf_features, write_mgf_features
from molvis_lcms.records import Feature, FeatureTable
from molvis_lcms.usi import is_usi, scan_usi, with_usis

SPECTRUM = PeakList(np.array([50.0, 60.0]), np.array([1.0, 2.0], dtype="f4"), 195.0877)
FEATURE = Feature("1", 195.0877, 60.0, scans=("17", "21"), spectra=(SPECTRUM,), merged=SPECTRUM)


def test_scans_of_a_public_data_set_have_addresses() -> None:
    alone = with_usis(FeatureTable((FEATURE,), ("sub/QC 04.mzML.gz", "blank.mzML")), "MSV000084951").features[0]
    assert alone.usis == ("mzspec:MSV000084951:QC 04:scan:17", "mzspec:MSV000084951:QC 04:scan:21")
    several = replace(FEATURE, scans=("a.mzML:17", "b.mzXML:9", "b.mzXML:x"))
    assert with_usis(FeatureTable((several,)), "MTBLS2207").features[0].usis == (
        "mzspec:MTBLS2207:a:scan:17",
        "mzspec:MTBLS2207:b:scan:9",
    )
    assert scan_usi("ST001234", "run", "1") == "mzspec:ST001234:run:scan:1"
    assert with_usis(FeatureTable((FEATURE,)), "ST001234").features[0].usis == ()  # of no known file


@pytest.mark.parametrize("text", ["", "msv1", "MSV", "MSV1:x", "a b", "MSV000084951\n"])
def test_what_is_no_accession_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as MSV000084951"):
        with_usis(FeatureTable((FEATURE,)), text)


def test_lists_keep_addresses(tmp_path: Path) -> None:
    table = FeatureTable((replace(FEATURE, usis=("mzspec:MSV000084951:run:scan:17",)),))
    write_json_features(tmp_path / "f.json", table)
    write_mgf_features(tmp_path / "f.mgf", table)
    for found in (read_json_features(tmp_path / "f.json"), read_mgf_features(tmp_path / "f.mgf")):
        assert found.features[0].usis == ("mzspec:MSV000084951:run:scan:17",)
    assert not is_usi("mzspec:nothing")
    assert is_usi("mzspec:GNPS:GNPS-LIBRARY:accession:CCMSLIB00005436077")
