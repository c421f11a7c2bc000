"""Runs of instruments as mzXML, and what becomes of runs that are cut off."""

from __future__ import annotations

import gzip
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msms_samples import HEIGHT, MZ, mzxml_scan, mzxml_text

from molvis_core.errors import LeftOutError, ReadError
from molvis_core.records import Measurement, Origin, PeakList
from molvis_core.testing import ReaderContract
from molvis_lcms.elements import is_profile
from molvis_msms.readers.mzml import read_mzml
from molvis_msms.readers.mzxml import read_mzxml


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="latin-1")
    return path


def read(reader: Callable[[Path], Iterator[Any]], path: Path) -> tuple[list[Measurement], list[ReadError]]:
    items = list(reader(path))
    return [i for i in items if isinstance(i, Measurement)], [i for i in items if isinstance(i, ReadError)]


class TestMzxml(ReaderContract):
    @pytest.fixture
    def read(self) -> Any:
        return read_mzxml

    @pytest.fixture
    def modality(self) -> str:
        return "msms"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write(
            tmp_path / "good.mzXML",
            mzxml_text(mzxml_scan(1, level=1, inside=mzxml_scan(2) + mzxml_scan(3)), mzxml_scan(4)),
        )

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write(tmp_path / "bad.mzXML", mzxml_text(mzxml_scan(1, centroided="0")))


@pytest.mark.parametrize("kind", [">f4", ">f8"])
@pytest.mark.parametrize("packed", [False, True])
def test_mzxml_scans_within_scans_come_with_their_ion_energy_and_time(tmp_path: Path, kind: str, packed: bool) -> None:
    inner = mzxml_scan(2, kind=kind, packed=packed) + mzxml_scan(
        3, kind=kind, packed=packed, inside=mzxml_scan(4, level=3)
    )
    path = write(
        tmp_path / "a.mzXML", mzxml_text(mzxml_scan(1, level=1, inside=inner), mzxml_scan(5, kind=kind, packed=packed))
    )
    found, problems = read(read_mzxml, path)
    assert not problems
    assert [m.origin for m in found] == [Origin(scans=n, rt_min=1.508333) for n in ("2", "3", "5")]
    for item in found:
        spectrum = item.record
        assert isinstance(spectrum, PeakList)
        np.testing.assert_allclose(spectrum.mz, MZ, rtol=1e-7)
        np.testing.assert_allclose(spectrum.intensity, HEIGHT)
        assert (spectrum.precursor_mz, spectrum.charge, spectrum.ionmode) == (193.0731, -1, "negative")
        assert spectrum.collision_energy == 35.0


def test_the_old_name_of_the_order_of_pairs_is_understood(tmp_path: Path) -> None:
    text = mzxml_text(mzxml_scan(1).replace("contentType", "pairOrder").replace(' compressionType="none"', ""))
    (found,), _ = read(read_mzxml, write(tmp_path / "a.mzXML", text))
    assert isinstance(found.record, PeakList)
    assert len(found.record) == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (mzxml_scan(1, peaksCount="3"), "peaksCount is 3, but there are 2 peaks"),
        (mzxml_scan(1, byteOrder="little"), "byte order 'little'"),
        (mzxml_scan(1, precision="16"), "precision='16'"),
        (mzxml_scan(1, compressionType="zlib"), "cannot be decoded"),
        (mzxml_scan(1).replace("193.0731", ""), "names no precursor"),
        (mzxml_scan(1).replace("193.0731", "x"), "is not a number"),
        (mzxml_scan(1, centroided="0"), "a profile scan"),
    ],
)
def test_a_bad_mzxml_scan_is_told_and_the_next_is_read(tmp_path: Path, bad: str, reason: str) -> None:
    found, (error,) = read(read_mzxml, write(tmp_path / "a.mzXML", mzxml_text(bad, mzxml_scan(2))))
    assert [m.origin.scans for m in found] == ["2"]
    assert reason in error.reason
    assert (error.record, error.line) == ("scan=1", 3)


def test_what_the_file_says_of_all_its_scans_holds_for_each(tmp_path: Path) -> None:
    dense = mzxml_scan(1, centroided="0").replace(' centroided="0"', "")
    text = mzxml_text(dense, mzxml_scan(2, centroided="1"), mzxml_scan(3), processing='centroided="0"')
    found, (error,) = read(read_mzxml, write(tmp_path / "a.mzXML", text))
    assert [m.origin.scans for m in found] == ["2", "3"]  # the third is said to be a profile, and is none
    assert "profile" in error.reason


@pytest.mark.parametrize("packed", [False, True])
def test_a_run_that_is_cut_off_keeps_the_scans_before_the_cut(tmp_path: Path, packed: bool) -> None:
    rng = np.random.default_rng(0)
    whole = mzxml_text(
        mzxml_scan(1, level=1), *(mzxml_scan(n) + f"<!-- {rng.bytes(3000).hex()} -->" for n in range(2, 40))
    )
    data = whole.encode()[: whole.index('num="20"') + 30]
    path = tmp_path / "a.mzXML"
    path.write_bytes(gzip.compress(whole.encode())[: len(gzip.compress(data))] if packed else data)
    found, (error,) = read(read_mzxml, path)
    assert [m.origin.scans for m in found] == [str(n) for n in range(2, len(found) + 2)]
    assert len(found) > 10 if packed else len(found) == 18
    assert f"after {len(found) + 1} scans; the {len(found)} MS/MS scans among them are kept" in error.reason
    assert isinstance(error, LeftOutError)


def test_queries_of_a_run_come_without_complaints_and_what_is_left_out_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("molvis_retrieval", reason="molvis-retrieval is not installed")
    from molvis_retrieval.queries import read_queries

    text = mzxml_text(*(mzxml_scan(n, centroided="0") for n in range(5)), mzxml_scan(6))
    with caplog.at_level(logging.WARNING, logger="molvis"):
        queries, problems = read_queries(write(tmp_path / "a.mzXML", text[: text.index("</msRun>")]))
    assert (len(queries), problems) == (1, [])
    assert queries[0].origin.source_file == "a.mzXML"
    profile, cut = (r.getMessage() for r in caplog.records)
    assert profile.startswith("a.mzXML: a profile scan")
    assert profile.endswith("(5 times)")
    assert cut.startswith("a.mzXML: cut off or damaged after 6 scans")


def side_lobes(rng: np.random.Generator) -> np.ndarray:
    """Picked peaks of a Fourier transform, each with a side lobe."""
    peaks = np.sort(rng.uniform(50, 500, 20))
    return np.sort(np.concatenate([peaks, peaks + 0.012]))


def test_a_profile_has_several_points_to_a_peak_and_picked_peaks_have_not() -> None:
    rng = np.random.default_rng(0)
    orbitrap = np.concatenate([m + np.arange(-4, 5) * m * 1e-5 for m in np.sort(rng.uniform(50, 500, 20))])
    assert is_profile(np.sort(orbitrap).tolist())
    assert is_profile(np.arange(50, 300, 0.1).tolist())
    assert not is_profile(side_lobes(rng).tolist())
    assert not is_profile(np.sort(rng.uniform(50, 500, 100)).tolist())


@pytest.mark.parametrize(("reader", "text"), [(read_mzxml, mzxml_text()), (read_mzxml, "num,msLevel\n")])
def test_a_file_that_is_no_run_is_refused(tmp_path: Path, reader: Any, text: str) -> None:
    with pytest.raises(ReadError, match="mzXML|XML"):
        list(reader(write(tmp_path / "a.mzXML", text)))


def test_a_run_without_a_single_ms_ms_scan_says_so(tmp_path: Path) -> None:
    found, (error,) = read(
        read_mzxml, write(tmp_path / "a.mzXML", mzxml_text(mzxml_scan(1, level=1), mzxml_scan(2, level=1)))
    )
    assert not found
    assert error.reason == "none of its 2 scans is an MS/MS scan"


def test_survey_spectra_of_sirius_mgf_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("molvis_retrieval", reason="molvis-retrieval is not installed")
    from molvis_retrieval.queries import read_queries

    blocks = [
        f"BEGIN IONS\nFEATURE_ID={n}\nPEPMASS=195.0877\nRTINSECONDS=90\nSPECTYPE=CORRELATED MS\nMSLEVEL=1\n"
        f"CHARGE=1+\n195.0877 100\n196.091 9\nEND IONS\n"
        f"BEGIN IONS\nFEATURE_ID={n}\nPEPMASS=195.0877\nRTINSECONDS=90\nMSLEVEL=2\nCHARGE=1+\n138.066 100\nEND IONS\n"
        for n in range(3)
    ]
    path = write(tmp_path / "sirius.mgf", "".join(blocks))
    with caplog.at_level(logging.WARNING, logger="molvis"):
        queries, problems = read_queries(path)
    assert [q.origin for q in queries] == [Origin(str(n), None, 1.5, "sirius.mgf") for n in range(3)]
    assert not problems
    (record,) = caplog.records
    assert record.getMessage().startswith("sirius.mgf: a survey spectrum (MS1)")
    assert record.getMessage().endswith("(3 times)")


def test_a_run_as_an_instrument_wrote_it_keeps_its_good_scans_when_it_is_cut(tmp_path: Path) -> None:
    beside = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
    file = Path(os.environ.get("MOLVIS_DATA", beside)) / "mzml" / "171103_PMA_TK_QC_04-4to5min.mzML"
    if not file.is_file():
        pytest.skip("the runs of mzmine's tests are absent: set MOLVIS_DATA")
    whole = file.read_bytes()
    path = tmp_path / "cut.mzML"
    path.write_bytes(whole[: int(0.7 * len(whole))])
    found, (error,) = read(read_mzml, path)
    assert len(found) == 273  # of 381
    assert "after 363 scans; the 273 MS/MS scans among them are kept" in error.reason
