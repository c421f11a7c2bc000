"""Peaks come out of a file as they went in, in the formats that have no writer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msms_samples import (
    MASSBANK,
    Read,
    mzml_text,
    mzxml_scan,
    mzxml_text,
    peak_lists,
    read_all,
    scan_element,
    table_file,
    write_file,
)  # fmt: skip

from molvis_core.records import Measurement
from molvis_msms.readers.massbank import read_massbank
from molvis_msms.readers.mzml import read_mzml
from molvis_msms.readers.mzxml import read_mzxml
from molvis_msms.readers.parquet import read_parquet

_RUNS = st.lists(
    st.tuples(st.floats(50, 2000, width=32), st.floats(0.125, 1e6, width=32)),
    min_size=1,
    max_size=20,
    unique_by=lambda p: p[0],
)


def _peaks_of(read: Read, path: Path) -> list[tuple[float, float]]:
    (found,), errors = read_all(read, path)
    assert not errors
    (spectrum,) = peak_lists([found])
    return list(zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True))


@given(peaks=_RUNS, packed=st.booleans())
@settings(max_examples=40, deadline=None)
def test_peaks_of_mzml_keep_every_bit(
    tmp_path_factory: pytest.TempPathFactory, peaks: list[tuple[float, float]], packed: bool
) -> None:
    path = tmp_path_factory.mktemp("mzml") / "a.mzML"
    mz, heights = ([p[i] for p in sorted(peaks)] for i in (0, 1))
    text = mzml_text(scan_element(1, packed=packed, mz=mz, heights=heights))
    assert _peaks_of(read_mzml, write_file(path, text)) == sorted(peaks)


@given(peaks=_RUNS, packed=st.booleans(), kind=st.sampled_from([">f4", ">f8"]))
@settings(max_examples=40, deadline=None)
def test_peaks_of_mzxml_keep_every_bit(
    tmp_path_factory: pytest.TempPathFactory, peaks: list[tuple[float, float]], packed: bool, kind: str
) -> None:
    path = tmp_path_factory.mktemp("mzxml") / "a.mzXML"
    text = mzxml_text(mzxml_scan(1, kind=kind, packed=packed, peaks=sorted(peaks), peaksCount=str(len(peaks))))
    assert _peaks_of(read_mzxml, write_file(path, text)) == sorted(peaks)


@given(peaks=_RUNS)
@settings(max_examples=20, deadline=None)
def test_peaks_of_a_parquet_table_keep_every_bit(
    tmp_path_factory: pytest.TempPathFactory, peaks: list[tuple[float, float]]
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    mz, heights = ([p[i] for p in sorted(peaks)] for i in (0, 1))
    table_file(path, mzs=[mz] * 3, intensities=[heights] * 3, is_high_res=[True, False, False])
    found = [item for item in read_parquet(path) if isinstance(item, Measurement)]
    (spectrum,) = peak_lists(found)
    assert list(zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True)) == sorted(peaks)


@given(peaks=_RUNS)
@settings(max_examples=20, deadline=None)
def test_peaks_of_a_massbank_record_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, peaks: list[tuple[float, float]]
) -> None:
    path = tmp_path_factory.mktemp("massbank") / "a.txt"
    rows = "".join(f"  {mz!r} {height!r} 999\n" for mz, height in sorted(peaks))
    text = MASSBANK.partition("PK$PEAK")[0].replace("PK$NUM_PEAK: 2", f"PK$NUM_PEAK: {len(peaks)}")
    assert _peaks_of(read_massbank, write_file(path, f"{text}PK$PEAK: m/z int. rel.int.\n{rows}//\n")) == sorted(peaks)
