"""Scans of runs: levels, polarities, profiles, packed arrays, and what is wrong with them."""

from __future__ import annotations

import contextlib
import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lcms_samples import Eluting, array_element, made_run, numpress_linear, packed, run_text, scan_text, write_run

from molvis_core.errors import ReadError
from molvis_lcms.centroiding import centroid
from molvis_lcms.numpress import decode_linear, decode_pic, decode_slof
from molvis_lcms.records import Scan
from molvis_lcms.runs import Problems, read_scans

SURVEY = Scan(1, 6.0, np.array([100.0, 200.5]), np.array([5.0, 7.0], dtype="f4"), ionmode="positive")
FRAGMENTS = Scan(
    2, 6.5, np.array([85.0, 100.0]), np.array([3.0, 1.0], dtype="f4"), "negative", 200.5, (200.0, 201.0), -1, 35.0
)


def read(path: Path) -> tuple[list[Scan], list[str]]:
    problems = Problems(path)
    return list(problems.sound(read_scans(path))), problems.lines()


def write(tmp_path: Path, *elements: str) -> Path:
    path = tmp_path / "run.mzML"
    path.write_text(run_text(elements), encoding="utf-8")
    return path


def test_scans_of_both_levels_and_polarities_come_back_as_they_were_written(tmp_path: Path) -> None:
    (survey, msms), problems = read(write_run(tmp_path / "a.mzML", [SURVEY, FRAGMENTS]))
    assert problems == []
    assert (survey.level, survey.ionmode, survey.precursor_mz, survey.centroid) == (1, "positive", None, True)
    assert survey.time == pytest.approx(6.0)
    assert (msms.level, msms.ionmode, msms.precursor_mz, msms.charge) == (2, "negative", 200.5, -1)
    assert (msms.collision_energy, msms.isolation, msms.number) == (35.0, (200.0, 201.0), "2")
    np.testing.assert_allclose(msms.mz, FRAGMENTS.mz)
    np.testing.assert_allclose(msms.intensity, FRAGMENTS.intensity)


def test_times_in_minutes_and_in_seconds_are_the_same(tmp_path: Path) -> None:
    found, _ = read(write(tmp_path, scan_text(SURVEY, 1), scan_text(SURVEY, 2, minutes=False)))
    assert [s.time for s in found] == pytest.approx([6.0, 6.0])


def test_a_packed_run_reads_as_an_unpacked_one(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a.mzML", [SURVEY, FRAGMENTS])
    packed = tmp_path / "a.mzML.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [s.time for s in read(packed)[0]] == [s.time for s in read(path)[0]]


def test_a_cut_run_keeps_the_scans_before_the_cut_and_says_so_in_a_line(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a.mzML", [replace(SURVEY, time=float(k)) for k in range(10)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found, (line,) = read(path)
    assert 0 < len(found) < 10
    assert f"cut off or damaged after {len(found)} scans" in line


def test_what_is_wrong_with_scans_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    timeless = scan_text(SURVEY, 1).replace("MS:1000016", "MS:9999999")
    aimless = scan_text(FRAGMENTS, 2).replace("MS:1000744", "MS:9999999").replace("MS:1000827", "MS:9999998")
    third = scan_text(replace(FRAGMENTS, level=3), 3)
    broken = scan_text(SURVEY, 4, arrays="<binaryDataArray/>")
    short = scan_text(SURVEY, 5, arrays=array_element(SURVEY.mz, "MS:1000514"))
    found, problems = read(write(tmp_path, timeless, timeless, aimless, third, broken, short, scan_text(SURVEY, 7)))
    assert [len(s) for s in found] == [0, 2]  # a scan without arrays is an empty one
    assert [line.partition(": ")[2].partition(",")[0] for line in problems] == [
        "the scan states no time",
        "the MS/MS scan names no precursor",
        "a scan of level 3; survey scans and MS/MS are read",
        "the scan has unlike numbers of m/z values and intensities",
    ]
    assert "2 times (first at line" in problems[0]


def test_points_that_are_no_peaks_are_left_out_and_the_others_are_put_in_order(tmp_path: Path) -> None:
    mz = np.array([300.0, 100.0, np.nan, 200.0, -5.0, 250.0])
    heights = np.array([1.0, 2.0, 3.0, 0.0, 5.0, np.inf])
    arrays = array_element(mz, "MS:1000514") + array_element(heights, "MS:1000515")
    (scan,), _ = read(write(tmp_path, scan_text(SURVEY, 1, arrays=arrays)))
    assert scan.mz.tolist() == [100.0, 300.0]
    assert scan.intensity.tolist() == [2.0, 1.0]


def profile_of(mz: float, height: float, sd: float = 0.004, step: float = 0.0015) -> tuple[np.ndarray, np.ndarray]:
    points = np.arange(mz - 4 * sd, mz + 4 * sd, step)
    return points, height * np.exp(-0.5 * ((points - mz) / sd) ** 2)


def made_profile() -> Scan:
    parts = [profile_of(150.0501, 1e4), profile_of(150.0901, 4e5), profile_of(400.2003, 2e6)]
    mz, heights = (np.concatenate(x) for x in zip(*parts, strict=True))
    return replace(SURVEY, mz=mz, intensity=heights.astype("f4"), centroid=False)


@pytest.mark.parametrize("flag", ["MS:1000128", "MS:1000127"])
def test_a_profile_becomes_peaks_whatever_it_is_called(tmp_path: Path, flag: str) -> None:
    (scan,), _ = read(write(tmp_path, scan_text(made_profile(), 1).replace("MS:1000128", flag)))
    assert not scan.centroid
    np.testing.assert_allclose(scan.mz, [150.0501, 150.0901, 400.2003], atol=1e-5)
    np.testing.assert_allclose(scan.intensity, [1e4, 4e5, 2e6], rtol=0.01)


def test_peaks_that_are_called_a_profile_stay_peaks(tmp_path: Path) -> None:
    (scan,), _ = read(write(tmp_path, scan_text(FRAGMENTS, 1, profile=True)))
    assert scan.centroid
    assert len(scan) == len(FRAGMENTS)


def test_a_peak_beside_a_gap_has_the_place_of_its_highest_point() -> None:
    mz, heights = centroid(np.array([100.0, 100.001, 200.0, 200.001, 200.002]), np.array([5.0, 3.0, 1.0, 4.0, 1.0]))
    np.testing.assert_allclose(mz, [100.0, 200.001])
    assert heights[0] == 5.0


def test_arrays_of_each_kind_of_numpress_are_read(tmp_path: Path) -> None:
    mz = np.sort(np.random.default_rng(0).uniform(80, 900, 500))
    assert (np.diff(mz, 2) < 0).any()  # what is kept is how far the next is from a straight line, on either side
    linear = numpress_linear(mz)
    np.testing.assert_allclose(decode_linear(linear), mz, atol=1e-5)
    counts = [0, 1, 17, 4096, 3_000_000]
    assert decode_pic(packed(counts)).tolist() == counts
    heights = np.array([0.0, 1.0, 1e4, 3e6])
    slof = struct.pack(">d", 4000.0) + np.round(np.log(heights + 1) * 4000).astype("<u2").tobytes()
    np.testing.assert_allclose(decode_slof(slof), heights, rtol=3e-4)
    arrays = array_element(mz, "MS:1000514", "MS:1002312", linear)
    arrays += array_element(mz, "MS:1000515", "MS:1002314", struct.pack(">d", 4000.0) + b"\x10\x20" * 500)
    (scan,), _ = read(write(tmp_path, scan_text(SURVEY, 1, arrays=arrays)))
    np.testing.assert_allclose(scan.mz, mz, atol=1e-5)


@pytest.mark.parametrize("decode", [decode_linear, decode_pic, decode_slof])
def test_damaged_numpress_is_an_error_and_nothing_worse(decode) -> None:
    rng = np.random.default_rng(1)
    whole = struct.pack(">d", 1e5) + struct.pack("<II", 10**7, 10**7 + 5) + packed(list(range(50)))
    for _ in range(300):
        data = bytearray(whole[: rng.integers(0, len(whole))])
        if data:
            data[rng.integers(0, len(data))] = rng.integers(0, 256)
        with contextlib.suppress(ValueError):
            assert decode(bytes(data)).ndim == 1


def test_a_file_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    for text in ("", "no XML", "<mzML/>"):
        path = tmp_path / "a.mzML"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ReadError):
            list(read_scans(path))


def test_a_made_run_has_its_molecules_where_they_belong(tmp_path: Path) -> None:
    scans = made_run([Eluting(180.0634, 60.0, adducts={"[M+H]+": 1.0, "[M+Na]+": 0.4})])
    found, problems = read(write_run(tmp_path / "a.mzML", scans))
    assert problems == []
    apex = next(s for s in found if s.level == 1 and s.time == pytest.approx(60.0))
    for mz in (181.0707, 203.0526):
        assert np.abs(apex.mz - mz).min() < 0.001
    assert [s.collision_energy for s in found if s.level == 2] == [20.0, 40.0]
