"""What is written is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msms_samples import CAFFEINE, MGF, Read, peak_lists, read_all, write_file

from molvis_core import structure
from molvis_core.errors import WriteError
from molvis_core.records import Measurement, PeakList
from molvis_msms.readers.json import read_json
from molvis_msms.readers.mgf import read_mgf
from molvis_msms.readers.msp import read_msp
from molvis_msms.writers import write_json, write_mgf, write_msp

_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12).filter(
    lambda word: word.lower() not in {"n/a", "na", "none", "null", "unknown", "-", "?"} and '"' not in word
)
_PEAKS = st.lists(
    st.tuples(st.floats(1, 2000), st.floats(0.125, 1e6, width=32)), min_size=1, max_size=20, unique_by=lambda p: p[0]
)


@st.composite
def _measurements(draw: st.DrawFn) -> Measurement:
    peaks = sorted(draw(_PEAKS))
    adduct = draw(st.sampled_from([None, "[M+H]+", "[M-H]-", "[M+2H]2+", "[2M+Na]+"]))
    charge = {"[M+H]+": 1, "[M-H]-": -1, "[M+2H]2+": 2, "[2M+Na]+": 1}.get(adduct or "")
    mode = (
        ("positive" if charge > 0 else "negative") if charge else draw(st.sampled_from([None, "positive", "negative"]))
    )
    spectrum = PeakList(
        mz=np.array([p[0] for p in peaks]),
        intensity=np.array([p[1] for p in peaks]),
        precursor_mz=draw(st.floats(50, 2000)),
        adduct=adduct,
        charge=charge,
        ionmode=mode,
        collision_energy=draw(st.none() | st.floats(0.5, 200)),
        instrument_type=draw(st.sampled_from([None, "LC-ESI-QTOF", "LC-ESI-ITFT"])),
        ms_level=draw(st.sampled_from([None, 2, 3])),
        identifier=draw(st.none() | _WORDS),
    )
    known = draw(st.sampled_from([None, structure(CAFFEINE), structure("CCO")]))
    return Measurement(
        spectrum,
        known,
        "msms",
        fold=draw(st.sampled_from([None, "train"])),
        cluster=draw(st.none() | st.integers(0, 9)),
        name=draw(_WORDS),
        licence=draw(st.none() | _WORDS),
        authors=draw(st.none() | _WORDS),
    )


@pytest.mark.parametrize(
    ("suffix", "write", "read"),
    [
        (".mgf", write_mgf, read_mgf),
        (".msp", write_msp, read_msp),
        (".json", write_json, read_json),
        (".jsonl", write_json, read_json),
        (".mgf.gz", write_mgf, read_mgf),
    ],
)
@given(items=st.lists(_measurements(), min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, write: Any, read: Read, items: list[Measurement]
) -> None:
    path = tmp_path_factory.mktemp("round-trip") / f"a{suffix}"
    write(path, items)
    found, errors = read_all(read, path)
    assert not errors
    assert len(found) == len(items)
    for before, after in zip(items, found, strict=True):
        a, b = peak_lists([before])[0], peak_lists([after])[0]
        assert np.array_equal(a.mz, b.mz)
        assert np.array_equal(a.intensity, b.intensity)
        for name in ("precursor_mz", "adduct", "charge", "ionmode", "collision_energy", "instrument_type", "ms_level"):
            assert getattr(a, name) == getattr(b, name)
        assert a.identifier == b.identifier
        for name in ("fold", "cluster", "name", "licence", "authors"):
            assert getattr(before, name) == getattr(after, name)
        assert (before.structure and before.structure.inchikey) == (after.structure and after.structure.inchikey)


def test_a_line_break_in_a_name_does_not_break_the_file(tmp_path: Path) -> None:
    (item, _), _ = read_all(read_mgf, write_file(tmp_path / "a.mgf", MGF))
    broken = Measurement(item.record, item.structure, "msms", name="two\nlines")
    write_mgf(tmp_path / "b.mgf", [broken])
    assert [m.name for m in read_all(read_mgf, tmp_path / "b.mgf")[0]] == ["two lines"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot be written"):
        write_mgf(tmp_path / "missing" / "a.mgf", read_all(read_mgf, write_file(tmp_path / "a.mgf", MGF))[0])
    path = write_file(tmp_path / "old.mgf", "old")
    with pytest.raises(WriteError, match="only spectra can be written"):
        write_mgf(path, [Measurement(structure("CCO"), None, "structure")])
    assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mgf", "old.mgf"]
