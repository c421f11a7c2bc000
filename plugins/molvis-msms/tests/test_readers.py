from __future__ import annotations

import base64
import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvis_core import structure
from molvis_core.adducts import ion_mz
from molvis_core.dataset import Measurement
from molvis_core.errors import LeftOutError, ReadError, WriteError
from molvis_core.records import Origin, PeakList
from molvis_core.registry import for_suffix
from molvis_core.testing import ReaderContract
from molvis_msms.fields import collision_energy, ionmode, parse_charge, peak
from molvis_msms.readers.json import read_json
from molvis_msms.readers.massbank import is_massbank, read_massbank
from molvis_msms.readers.mgf import read_mgf
from molvis_msms.readers.msp import read_msp
from molvis_msms.readers.mzml import read_mzml
from molvis_msms.readers.parquet import is_massbank_table, read_parquet
from molvis_msms.writers import write_json, write_mgf, write_msp

CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
CAFFEINE_KEY = "RYYVLZVUVIJVGH-UHFFFAOYSA-N"  # PubChem, CID 2519
Read = Callable[[Path], Iterator[Measurement | ReadError]]

MGF = f"""# a comment
BEGIN IONS
TITLE=caffeine
PEPMASS=195.0877 1000
CHARGE=1+
ADDUCT=[M+H]+
IONMODE=Positive
COLLISION_ENERGY=35 eV
SMILES={CAFFEINE}
69.0447 12.5
138.0662 100 1+
END IONS

BEGIN IONS
title=an unknown
PepMass=301.5
60.5\t1.0
END IONS
"""

MSP = f"""NAME: caffeine
SYNON: guaranine
PRECURSORMZ: 195.0877
PRECURSORTYPE: [M+H]+
IONMODE: Positive
INSTRUMENTTYPE: LC-ESI-QTOF
COLLISIONENERGY: 30(NCE)
SMILES: {CAFFEINE}
Num Peaks: 3
69.0447\t12.5
110.0713 40 "C5H8N3+ 1.2ppm; 2 of 3"
138.0662\t100

Name: an unknown
Precursor_m/z: 301.5
Num peaks: 3
60.5 1.0; 61.5 2.0;
62.5 3.0
"""

MASSBANK = f"""ACCESSION: MSBNK-Test-TS000001
RECORD_TITLE: Caffeine; LC-ESI-QFT; MS2
AUTHORS: A. Tester
LICENSE: CC BY
CH$NAME: Caffeine
CH$NAME: 1,3,7-trimethylxanthine
CH$FORMULA: C8H10N4O2
CH$SMILES: {CAFFEINE}
AC$INSTRUMENT_TYPE: LC-ESI-QFT
AC$MASS_SPECTROMETRY: MS_TYPE MS2
AC$MASS_SPECTROMETRY: ION_MODE POSITIVE
AC$MASS_SPECTROMETRY: COLLISION_ENERGY 45 % (nominal)
MS$FOCUSED_ION: PRECURSOR_M/Z 195.0877
MS$FOCUSED_ION: PRECURSOR_TYPE [M+H]+
PK$ANNOTATION: m/z tentative_formula
  138.0662 C6H8N3O+
PK$NUM_PEAK: 2
PK$PEAK: m/z int. rel.int.
  110.0713 1200.5 40
  138.0662 3000 999
//
"""


def _array(values: list[float], accession: str, name: str, *, packed: bool) -> str:
    raw = np.array(values, dtype="<f4" if packed else "<f8").tobytes()
    data = base64.b64encode(zlib.compress(raw) if packed else raw).decode()
    bits = ("MS:1000521", "32-bit float") if packed else ("MS:1000523", "64-bit float")
    how = ("MS:1000574", "zlib compression") if packed else ("MS:1000576", "no compression")
    terms = "".join(f'<cvParam cvRef="MS" accession="{a}" name="{n}"/>' for a, n in (bits, how, (accession, name)))
    return f'<binaryDataArray encodedLength="{len(data)}">{terms}<binary>{data}</binary></binaryDataArray>'


def _scan(number: int, *, level: int = 2, kind: str = "centroid", packed: bool = False) -> str:
    shape = {"centroid": "MS:1000127", "profile": "MS:1000128"}[kind]
    precursor = (
        '<precursorList count="1"><precursor><selectedIonList count="1"><selectedIon>'
        '<cvParam cvRef="MS" accession="MS:1000744" name="selected ion m/z" value="195.0877" unitName="m/z"/>'
        '<cvParam cvRef="MS" accession="MS:1000041" name="charge state" value="1"/>'
        "</selectedIon></selectedIonList><activation>"
        '<cvParam cvRef="MS" accession="MS:1000045" name="collision energy" value="35.0" unitName="electronvolt"/>'
        "</activation></precursor></precursorList>"
    )
    mz = _array([69.0447, 69.0467 if kind == "profile" else 138.0662], "MS:1000514", "m/z array", packed=packed)
    heights = _array([10.0, 20.0], "MS:1000515", "intensity array", packed=packed)
    return (
        f'<spectrum index="{number - 1}" id="scan={number}" defaultArrayLength="2">'
        '<referenceableParamGroupRef ref="common"/>'
        f'<cvParam cvRef="MS" accession="MS:1000511" name="ms level" value="{level}"/>'
        f'<cvParam cvRef="MS" accession="{shape}" name="{kind} spectrum"/>'
        f"{precursor if level == 2 else ''}"
        f'<binaryDataArrayList count="2">{mz}{heights}</binaryDataArrayList></spectrum>\n'
    )


NEGATIVE = '<cvParam cvRef="MS" accession="MS:1000129" name="negative scan"/>'


def _mzml(*scans: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1.0">'
        f'<referenceableParamGroupList count="1"><referenceableParamGroup id="common">{NEGATIVE}'
        '</referenceableParamGroup></referenceableParamGroupList><run id="r">\n'
        f'<spectrumList count="{len(scans)}">\n{"".join(scans)}</spectrumList></run></mzML>'
    )


def _all(read: Read, path: Path) -> tuple[list[Measurement], list[ReadError]]:
    items = list(read(path))
    return [i for i in items if isinstance(i, Measurement)], [i for i in items if isinstance(i, ReadError)]


def _spectra(found: list[Measurement]) -> list[PeakList]:
    return [m.record for m in found if isinstance(m.record, PeakList)]


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _table(path: Path, **changed: Any) -> Path:
    columns = {
        "identifier": ["a", "b", "c"], "smiles": [CAFFEINE] * 3, "adduct": ["[M+H]+"] * 3, "ion_mode": ["positive"] * 3,
        "precursor_mz": [195.0877] * 3, "mzs": [[69.0, 138.0]] * 3, "intensities": [[0.1, 1.0]] * 3,
        "ce_ev": [20.0, None, 30.0], "is_high_res": [True, True, False], "precursor_ok": [True] * 3,
        "fold": ["train", "test", "val"], "cluster": [1, 2, 3], "licence": ["CC BY"] * 3, "authors": ["A. Tester"] * 3,
    } | changed  # fmt: skip
    pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), path)
    return path


class _Text(ReaderContract):
    @pytest.fixture
    def modality(self) -> str:
        return "msms"


class TestMgf(_Text):
    @pytest.fixture
    def read(self) -> Any:
        return read_mgf

    @pytest.fixture
    def write(self) -> Any:
        return write_mgf

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "good.mgf", MGF)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "bad.mgf", MGF.replace("12.5", "nan"))


class TestMsp(_Text):
    @pytest.fixture
    def read(self) -> Any:
        return read_msp

    @pytest.fixture
    def write(self) -> Any:
        return write_msp

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "good.msp", MSP)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "bad.msp", MSP.replace("Num Peaks: 3", "Num Peaks: 4"))


class TestMassbank(_Text):
    @pytest.fixture
    def read(self) -> Any:
        return read_massbank

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "good.txt", MASSBANK * 2)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "bad.txt", MASSBANK.replace("  138.0662 3000 999", "  138.0662 -3000 999"))


class TestMzml(_Text):
    @pytest.fixture
    def read(self) -> Any:
        return read_mzml

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "good.mzML", _mzml(_scan(1, level=1), _scan(2), _scan(3, level=3)))

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "bad.mzML", _mzml(_scan(1, kind="profile")))


class TestJson(_Text):
    @pytest.fixture
    def read(self) -> Any:
        return read_json

    @pytest.fixture(params=[".json", ".jsonl"])
    def suffix(self, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.fixture
    def write(self) -> Any:
        return write_json

    @pytest.fixture
    def good(self, tmp_path: Path, suffix: str) -> Path:
        records = [
            {"title": "one", "precursor_mz": 195.0877, "adduct": "[M+H]+", "peaks": [[69.0, 1], [138.0, 2]]},
            {"Compound_Name": "two", "Precursor_MZ": "301.5", "peaks_json": "[[60.5, 1.0]]"},
        ]
        lines = "\n".join(json.dumps(r) for r in records)
        return _write(tmp_path / f"good{suffix}", lines if suffix == ".jsonl" else json.dumps(records))

    @pytest.fixture
    def bad(self, tmp_path: Path, suffix: str) -> Path:
        return _write(tmp_path / f"bad{suffix}", '{"precursor_mz": 195.0, "peaks": [[69.0, NaN]]}')


class TestParquet(_Text):
    @pytest.fixture
    def read(self) -> Any:
        return read_parquet

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _table(tmp_path / "good.parquet")

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _table(tmp_path / "bad.parquet", intensities=[[0.1, float("nan")], [1.0, 1.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.mgf", "mgf"),
        ("A.MGF.GZ", "mgf"),
        ("a.msp", "msp"),
        ("a.txt", "massbank"),
        ("a.mzML", "mzml"),
        ("a.mzXML", "mzxml"),
        ("a.json", "msms-json"),
        ("a.jsonl.gz", "msms-json"),
        ("a.parquet", "massbank-parquet"),
    ],
)
def test_the_ending_of_a_file_names_its_reader(name: str, reader: str) -> None:
    assert for_suffix("reader", name, modality="msms").name == reader


def test_massbank_files_are_recognised_by_what_is_in_them(tmp_path: Path) -> None:
    record = _write(tmp_path / "a.txt", "\nACCESSION: X1\n")
    assert is_massbank(record)
    assert not is_massbank(_write(tmp_path / "b.txt", "4000 0.1\n3999 0.2\n"))
    assert not is_massbank(tmp_path / "missing.txt")
    assert not is_massbank_table(record)


def test_an_mgf_spectrum_comes_with_its_ion_and_its_compound(tmp_path: Path) -> None:
    (known, unknown), errors = _all(read_mgf, _write(tmp_path / "a.mgf", MGF))
    assert not errors
    spectrum = _spectra([known])[0]
    assert spectrum.mz.tolist() == [69.0447, 138.0662]
    assert spectrum.intensity.tolist() == [12.5, 100.0]
    assert (spectrum.precursor_mz, spectrum.adduct, spectrum.charge) == (195.0877, "[M+H]+", 1)
    assert (spectrum.ionmode, spectrum.collision_energy) == ("positive", 35.0)
    assert known.structure is not None
    assert (known.name, known.structure.inchikey, known.structure.name) == ("caffeine", CAFFEINE_KEY, "caffeine")
    assert unknown.structure is None
    assert (unknown.name, _spectra([unknown])[0].adduct) == ("an unknown", None)


def test_fields_before_the_first_mgf_spectrum_hold_where_it_states_none(tmp_path: Path) -> None:
    text = "CHARGE=2+\nIONMODE=Positive\n" + MGF
    first, second = _spectra(_all(read_mgf, _write(tmp_path / "a.mgf", text))[0])
    assert (first.charge, second.charge, second.ionmode) == (1, 2, "positive")


def test_an_msp_record_has_peaks_by_lines_and_by_semicolons(tmp_path: Path) -> None:
    found, errors = _all(read_msp, _write(tmp_path / "a.msp", MSP))
    assert not errors
    first, second = _spectra(found)
    assert first.mz.tolist() == [69.0447, 110.0713, 138.0662]
    assert first.collision_energy == pytest.approx(30 * 195.0877 / 500)
    assert first.instrument_type == "LC-ESI-QTOF"
    assert second.mz.tolist() == [60.5, 61.5, 62.5]
    assert second.intensity.tolist() == [1.0, 2.0, 3.0]


def test_msp_records_follow_each_other_without_an_empty_line_too(tmp_path: Path) -> None:
    found, errors = _all(read_msp, _write(tmp_path / "a.msp", MSP.replace("\n\n", "\n")))
    assert (len(found), errors) == (2, [])


def test_mona_hides_the_structure_in_the_comments(tmp_path: Path) -> None:
    text = (
        f'Name: caffeine\nPrecursor_type: [M+H]+\nComments: "SMILES={CAFFEINE}" "author=A. Tester" "cas=58-08-2"\n'
        "Num Peaks: 1\n138.0662 100\n"
    )
    (found,), errors = _all(read_msp, _write(tmp_path / "a.msp", text))
    assert not errors
    assert found.structure is not None
    assert (found.structure.inchikey, found.authors) == (CAFFEINE_KEY, "A. Tester")


def test_a_missing_precursor_is_computed_from_structure_and_adduct(tmp_path: Path) -> None:
    (found, _), _ = _all(read_mgf, _write(tmp_path / "a.mgf", MGF.replace("PEPMASS=195.0877 1000\n", "")))
    assert _spectra([found])[0].precursor_mz == pytest.approx(ion_mz(structure(CAFFEINE).exact_mass, "[M+H]+"))


def test_a_missing_precursor_that_nothing_tells_is_refused_with_what_to_add(tmp_path: Path) -> None:
    text = MGF.replace("PEPMASS=195.0877 1000\n", "").replace("ADDUCT=[M+H]+\n", "")
    found, (error,) = _all(read_mgf, _write(tmp_path / "a.mgf", text))
    assert len(found) == 1
    assert (error.line, error.record) == (2, "caffeine")
    assert "add it, or the structure and the adduct" in error.reason


def test_a_massbank_record_is_read_with_its_terms(tmp_path: Path) -> None:
    (first, second), errors = _all(read_massbank, _write(tmp_path / "a.txt", MASSBANK * 2))
    assert not errors
    assert (first.name, first.licence, first.authors) == ("Caffeine", "CC BY", "A. Tester")
    spectrum = _spectra([second])[0]
    assert spectrum.mz.tolist() == [110.0713, 138.0662]
    assert spectrum.intensity.tolist() == [1200.5, 3000.0]
    assert spectrum.collision_energy == pytest.approx(45 * 195.0877 / 500)
    assert (spectrum.identifier, spectrum.instrument_type, spectrum.ms_level) == (
        "MSBNK-Test-TS000001",
        "LC-ESI-QFT",
        2,
    )


def test_mzml_gives_centroided_scans_of_level_two_alone(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mzML", _mzml(_scan(1, level=1), _scan(2), _scan(3, kind="profile"), _scan(4, level=3)))
    (found,), (error,) = _all(read_mzml, path)
    spectrum = _spectra([found])[0]
    assert spectrum.mz.tolist() == [69.0447, 138.0662]
    assert (spectrum.identifier, spectrum.precursor_mz, spectrum.collision_energy) == ("scan=2", 195.0877, 35.0)
    assert (spectrum.ionmode, spectrum.charge) == ("negative", -1)
    assert (error.record, error.line) == ("scan=3", 6)
    assert "profile" in error.reason


def test_mzml_scans_that_are_wrongly_flagged_as_profiles_are_read(tmp_path: Path) -> None:
    text = _mzml(_scan(1).replace("MS:1000127", "MS:1000128"), _scan(2, kind="profile"))
    (found,), (error,) = _all(read_mzml, _write(tmp_path / "a.mzML", text))
    assert found.origin.scans == "1"
    assert error.record == "scan=2"


def test_mzml_that_is_cut_off_says_after_how_many_scans(tmp_path: Path) -> None:
    text = _mzml(_scan(1), _scan(2))
    path = _write(tmp_path / "a.mzML", text[: text.index('id="scan=2"') + 400])
    (_,), (error,) = _all(read_mzml, path)
    assert "cut off or damaged after 1 scans; the 1 MS/MS scans among them are kept" in error.reason
    assert error.line == 5


def test_mzml_without_charge_or_polarity_makes_none_up(tmp_path: Path) -> None:
    text = _mzml(_scan(1)).replace(NEGATIVE, "")
    text = text.replace('<cvParam cvRef="MS" accession="MS:1000041" name="charge state" value="1"/>', "")
    (spectrum,) = _spectra(_all(read_mzml, _write(tmp_path / "a.mzML", text))[0])
    assert (spectrum.charge, spectrum.ionmode) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("MS:1000744", "MS:9999999", "names no precursor"),
        ("MS:1000576", "MS:1002312", "neither zlib nor none"),  # MS-Numpress
        ("MS:1000576", "MS:1000574", "cannot be decoded"),
        ("MS:1000523", "MS:9999999", "32 or 64 bits"),
        ("MS:1000515", "MS:9999999", "2 m/z values and 0 intensities"),
        ("<binary>", "<binary>?", "cannot be decoded"),
        ('value="195.0877"', 'value="x"', "is not a number"),
    ],
)
def test_a_bad_mzml_scan_names_its_line_and_the_next_is_read(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = _write(tmp_path / "a.mzML", _mzml(_scan(1).replace(old, new), _scan(2)))
    found, (error,) = _all(read_mzml, path)
    assert len(found) == 1
    assert (error.line, error.record) == (4, "scan=1")
    assert reason in error.reason


def test_mzml_arrays_may_be_compressed_and_of_32_bits(tmp_path: Path) -> None:
    (spectrum,) = _spectra(_all(read_mzml, _write(tmp_path / "a.mzML", _mzml(_scan(1, packed=True))))[0])
    assert spectrum.mz.tolist() == pytest.approx([69.0447, 138.0662], rel=1e-7)


def test_an_mzml_file_that_declares_entities_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE mzML [<!ENTITY a "1111111111"><!ENTITY b "&a;&a;&a;&a;">]>'
    text = _mzml(_scan(1)).replace("<mzML", f"{bomb}<mzML").replace("<binary>", "<binary>&b;", 1)
    with pytest.raises(ReadError, match="declares entities"):
        list(read_mzml(_write(tmp_path / "a.mzML", text)))


def test_json_of_mona_keeps_its_compound_inside(tmp_path: Path) -> None:
    record = {
        "id": "MoNA-1",
        "compound": [{"names": [{"name": "caffeine"}], "metaData": [{"name": "SMILES", "value": CAFFEINE}]}],
        "metaData": [{"name": "precursor type", "value": "[M+H]+"}, {"name": "collision energy", "value": "HCD 45%"}],
        "spectrum": "69.0447:12.5 138.0662:100",
    }
    (found,), errors = _all(read_json, _write(tmp_path / "a.json", json.dumps(record)))
    assert not errors
    assert found.structure is not None
    assert (found.name, found.structure.inchikey) == ("caffeine", CAFFEINE_KEY)
    spectrum = _spectra([found])[0]
    assert spectrum.precursor_mz is not None
    assert spectrum.collision_energy == pytest.approx(45 * spectrum.precursor_mz / 500)


def test_json_may_keep_peaks_in_two_lists(tmp_path: Path) -> None:
    text = json.dumps([{"precursor_mz": 200.5, "mzs": [60.5, 61.5], "intensities": [1, 2]}])
    (spectrum,) = _spectra(_all(read_json, _write(tmp_path / "a.json", text))[0])
    assert spectrum.mz.tolist() == [60.5, 61.5]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("3", "a spectrum is an object"),
        ('"text"', "a spectrum is an object"),
        ('{"peaks": 3, "precursor_mz": 200}', "not pairs of numbers"),
        ('{"peaks": [[1]], "precursor_mz": 200}', "not pairs of numbers"),
        ('{"mzs": [1, 2], "intensities": [1], "precursor_mz": 200}', "not pairs of numbers"),
        ('{"peaks": [[60.5, 1e39]], "precursor_mz": 200}', "is inf"),
        ('{"compound": [3], "metaData": 5, "precursor_mz": 200}', "no peaks"),
        ('{"broken": ', "not JSON"),
    ],
)
def test_a_bad_line_of_json_is_refused_and_the_others_are_read(tmp_path: Path, record: str, reason: str) -> None:
    good = '{"precursor_mz": 200.5, "peaks": [[60.5, 1]]}'
    found, (error,) = _all(read_json, _write(tmp_path / "a.jsonl", f"{good}\n{record}\n{good}\n"))
    assert len(found) == 2
    assert error.line == 2
    assert reason in error.reason


def test_json_lines_under_the_name_of_whole_json_are_read(tmp_path: Path) -> None:
    line = '{"precursor_mz": 200.5, "peaks": [[60.5, 1]]}'
    found, errors = _all(read_json, _write(tmp_path / "a.json", f"{line}\n{line}\n"))
    assert (len(found), errors) == (2, [])


def test_json_that_is_damaged_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ReadError) as caught:
        list(read_json(_write(tmp_path / "a.json", '[{"precursor_mz": 200.5},\n{"peaks": [[}]')))
    assert caught.value.line == 2


def test_parquet_keeps_provenance_and_leaves_out_low_resolution(tmp_path: Path) -> None:
    found, errors = _all(read_parquet, _table(tmp_path / "a.parquet", precursor_ok=[True, True, False]))
    assert [(type(e), e.line, e.reason) for e in errors] == [(LeftOutError, 3, "of low resolution (is_high_res)")]
    assert [(m.fold, m.cluster, m.licence, m.authors) for m in found] == [
        ("train", 1, "CC BY", "A. Tester"),
        ("test", 2, "CC BY", "A. Tester"),
    ]
    assert [s.collision_energy for s in _spectra(found)] == [20.0, None]
    assert len(list(read_parquet(tmp_path / "a.parquet", quality=False))) == 3


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"adduct": ["[M+Q]+", "[M+H]+", "[M+H]+"]}, "adduct"),
        ({"smiles": ["C1CC", CAFFEINE, CAFFEINE]}, "RDKit refuses"),
        ({"ion_mode": ["negative", "positive", "positive"]}, "the ion mode is negative"),
        ({"precursor_mz": [float("nan"), 195.1, 195.1]}, "precursor_mz is nan"),
        ({"mzs": [None, [69.0, 138.0], [69.0, 138.0]]}, "no peaks"),
    ],
)
def test_a_bad_row_of_parquet_is_refused_with_its_number(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    found, (error, left_out) = _all(read_parquet, _table(tmp_path / "a.parquet", **changed))
    assert (len(found), type(left_out)) == (1, LeftOutError)
    assert (error.line, error.record) == (1, "a")
    assert reason in error.reason


@pytest.mark.parametrize(
    ("changed", "reason"), [({"mzs": None}, "no column mzs; it has"), ({"mzs": [1.0, 2.0, 3.0]}, "lists of numbers")]
)
def test_a_table_of_another_shape_is_refused_whole(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        list(read_parquet(_table(tmp_path / "a.parquet", **changed)))


def test_damaged_parquet_is_a_read_error(tmp_path: Path) -> None:
    path = _table(tmp_path / "a.parquet")
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 3] = bytes(len(data) // 3 - 4)
    path.write_bytes(data)
    with pytest.raises(ReadError, match="damaged"):
        list(read_parquet(path))


# Bad records in text: the line that is wrong, and the others read all the same.


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("69.0447 12.5", "69.0447 nan", 10, "negative or not finite"),
        ("69.0447 12.5", "69.0447 -1", 10, "negative or not finite"),
        ("69.0447 12.5", "-69.0447 1", 10, "not a positive number"),
        ("69.0447 12.5", "inf 1", 10, "not a positive number"),
        ("69.0447 12.5", "69,0447 1", 10, "not a peak"),
        ("69.0447 12.5", "69.0447", 10, "m/z and intensity are wanted"),
        ("138.0662 100 1+", "138.0662 1e39", 2, "intensity[1] is inf"),
        ("69.0447 12.5\n138.0662 100 1+\n", "", 2, "no peaks"),
        ("12.5\n138.0662 100 1+", "0\n138.0662 0", 2, "every peak has intensity 0"),
        ("[M+H]+", "[M+Q]+", 2, "'Q' is not an element"),
        ("[M+H]+", "gibberish", 2, "is not understood"),
        ("[M+H]+", "[M-H]-", 2, "but the ion mode is positive; correct one of them"),
        (CAFFEINE, "C1CC", 2, "RDKit refuses"),
        (CAFFEINE, "CN(C)(C)(C)C", 2, "valence"),
        ("PEPMASS=195.0877", "PEPMASS=about 195", 2, "is not a number"),
        ("PEPMASS=195.0877", "PEPMASS=-195", 2, "a positive number is wanted"),
        ("IONMODE=Positive", "MSLEVEL=1", 2, "MS1"),
    ],
)
def test_a_bad_mgf_record_names_its_line_and_the_next_is_read(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    assert old in MGF
    found, (error,) = _all(read_mgf, _write(tmp_path / "a.mgf", MGF.replace(old, new)))
    assert [m.name for m in found] == ["an unknown"]
    assert (error.line, error.record) == (line, "caffeine")
    assert reason in error.reason


def test_charge_that_contradicts_the_ion_mode_is_refused(tmp_path: Path) -> None:
    text = MGF.replace("ADDUCT=[M+H]+\n", "").replace("CHARGE=1+", "CHARGE=1-")
    _, (error,) = _all(read_mgf, _write(tmp_path / "a.mgf", text))
    assert "charge 1- contradicts the ion mode positive" in error.reason


def test_charge_without_a_sign_takes_that_of_the_ion_mode(tmp_path: Path) -> None:
    text = MGF.replace("ADDUCT=[M+H]+\n", "").replace("CHARGE=1+", "CHARGE=2").replace("Positive", "Negative")
    assert _spectra(_all(read_mgf, _write(tmp_path / "a.mgf", text))[0])[0].charge == -2


def test_mgf_that_is_cut_off_says_where_its_last_record_begins(tmp_path: Path) -> None:
    found, (error,) = _all(read_mgf, _write(tmp_path / "a.mgf", MGF.removesuffix("END IONS\n")))
    assert len(found) == 1
    assert (error.line, "cut off" in error.reason) == (14, True)


def test_an_mgf_record_that_never_ends_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    found, (error,) = _all(read_mgf, _write(tmp_path / "a.mgf", MGF.replace("END IONS\n", "", 1)))
    assert [m.name for m in found] == ["an unknown"]
    assert "BEGIN IONS of line 2 has no END IONS" in error.reason


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("69.0447\t12.5", "69.0447\t-12.5", 10, "negative"),
        ("Num Peaks: 3", "Num Peaks: 5", 9, "says 5, found 3"),
        ("Num Peaks: 3\n", "", 1, "no 'Num Peaks' line"),
        ("[M+H]+", "[M-H]-", 1, "correct one of them"),
        (CAFFEINE, "nonsense", 1, "RDKit refuses"),
    ],
)
def test_a_bad_msp_record_names_its_line_and_the_next_is_read(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    found, (error,) = _all(read_msp, _write(tmp_path / "a.msp", MSP.replace(old, new)))
    assert [m.name for m in found] == ["an unknown"]
    assert error.line == line
    assert reason in error.reason


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("  110.0713 1200.5 40", "  110.0713 nan 40", 19, "not finite"),
        ("POSITIVE", "NEGATIVE", 1, "correct one of them"),
        ("MS_TYPE MS2", "MS_TYPE MS", 1, "MS1"),
    ],
)
def test_a_bad_massbank_record_names_its_line_and_the_next_is_read(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    found, (error,) = _all(read_massbank, _write(tmp_path / "a.txt", MASSBANK.replace(old, new) + MASSBANK))
    assert len(found) == 1
    assert (error.line, error.record) == (line, "MSBNK-Test-TS000001")
    assert reason in error.reason


def test_a_massbank_record_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    found, (error,) = _all(read_massbank, _write(tmp_path / "a.txt", MASSBANK + MASSBANK.removesuffix("//\n")))
    assert len(found) == 1
    assert "cut off" in error.reason


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (read_mgf, "nothing of the kind\n", "is it an MGF file?"),
        (read_msp, "\n\n", "empty"),
        (read_massbank, "nothing of the kind\n", "is it a MassBank record?"),
        (read_mzml, _mzml(), "no scan in it"),
        (read_json, "{", "not JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused_whole(tmp_path: Path, read: Read, text: str, reason: str) -> None:
    with pytest.raises(ReadError, match=reason.replace("?", r"\?")):
        list(read(_write(tmp_path / "a", text)))


# Encodings


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_any_line_ends_and_encodings_are_read(tmp_path: Path, end: str, encoding: str) -> None:
    path = tmp_path / "a.mgf"
    path.write_bytes(MGF.replace("TITLE=caffeine", "TITLE=Ångström").replace("\n", end).encode(encoding))
    found, errors = _all(read_mgf, path)
    assert not errors
    assert [m.name for m in found] == ["Ångström", "an unknown"]


def test_two_encodings_in_one_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mgf"
    text = MGF.replace("TITLE=caffeine", "TITLE=Ångström").encode()
    path.write_bytes(text + MGF.replace("TITLE=caffeine", "TITLE=Ångström").encode("latin-1"))
    assert [m.name for m in _all(read_mgf, path)[0]][::2] == ["Ångström", "Ångström"]


@pytest.mark.parametrize("read", [read_mgf, read_msp, read_massbank, read_mzml, read_json, read_parquet])
def test_compressed_data_that_are_cut_off_are_a_read_error(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.gz"
    noise = np.random.default_rng(0).integers(33, 120, 5000, dtype=np.uint8).tobytes()
    path.write_bytes(gzip.compress(noise)[:1000])
    with pytest.raises(ReadError):
        list(read(path))


@pytest.mark.parametrize("read", [read_mgf, read_msp, read_massbank, read_mzml, read_json, read_parquet])
def test_compressed_data_that_are_damaged_are_a_read_error(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.gz"
    data = bytearray(gzip.compress(MGF.encode() * 50))
    data[20:60] = bytes(range(40))
    path.write_bytes(data)
    with pytest.raises(ReadError):
        list(read(path))


# Fields


@pytest.mark.parametrize(
    ("text", "instrument", "wanted"),
    [
        ("35", None, 35.0),
        ("35 eV", "LC-ESI-ITFT", 35.0),
        ("35eV", None, 35.0),
        ("-35 V", None, 35.0),
        ("HCD 45%", None, 45 * 0.4),
        ("30(NCE)", None, 30 * 0.4),
        ("35 % (nominal)", None, 35 * 0.4),
        ("15 (nominal)", None, 15 * 0.4),
        ("35", "LC-ESI-ITFT", 35 * 0.4),
        ("35", "LC-ESI-QTOF", 35.0),
        ("NCE=35% 54eV", None, 54.0),
        ("20-40 eV", None, 30.0),
        ("Ramp 21.1-31.6 eV", None, 26.35),
        ("25,60,100% (stepped)", None, (25 + 60 + 100) / 3 * 0.4),
        ("HCD (NCE 20-30-40%)", None, 30 * 0.4),
        ("15, 30, 45, 60, 70 or 90 (nominal)", None, None),
        ("scaled 80 (m/z=200) to 110 (m/z=120)", None, None),
        ("low", None, None),
    ],
)
def test_collision_energies_become_electronvolts(text: str, instrument: str | None, wanted: float | None) -> None:
    found = collision_energy(text, 200.0, instrument)
    assert found == (None if wanted is None else pytest.approx(wanted))


def test_a_normalized_energy_without_a_precursor_is_unknown() -> None:
    assert collision_energy("30 NCE", None) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Positive", "positive"),
        ("P", "positive"),
        ("-", "negative"),
        ("neg", "negative"),
        ("0", "negative"),
        ("x", None),
    ],
)
def test_ion_modes_are_understood_as_sources_write_them(text: str, wanted: str | None) -> None:
    assert ionmode(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"), [("1", 1), ("+2", 2), ("2+", 2), ("1-", -1), ("0", None), ("2+ and 3+", None)]
)
def test_charges_are_understood_as_sources_write_them(text: str, wanted: int | None) -> None:
    assert parse_charge(text) == wanted


@pytest.mark.parametrize("text", ["100.5 999", "100.5\t999 C4H4", "100.5:999", "100.5,999", "100.5, 999", "100.5; 999"])
def test_peaks_are_parted_in_many_ways(text: str) -> None:
    assert peak(text) == (100.5, 999.0)


@pytest.mark.parametrize("missing", ["N/A", "unknown", "", "null"])
def test_fields_that_say_unknown_are_unknown(tmp_path: Path, missing: str) -> None:
    text = MGF.replace(f"SMILES={CAFFEINE}", f"SMILES={missing}").replace("ADDUCT=[M+H]+", f"ADDUCT={missing}")
    found, errors = _all(read_mgf, _write(tmp_path / "a.mgf", text))
    assert not errors
    assert found[0].structure is None
    assert _spectra(found)[0].adduct is None


def test_an_inchi_names_the_structure_with_or_without_its_prefix(tmp_path: Path) -> None:
    inchi = "1S/C8H10N4O2/c1-10-4-9-6-5(10)7(13)12(3)8(14)11(6)2/h4H,1-3H3"
    for number, prefix in enumerate(("InChI=", "")):
        text = MGF.replace(f"SMILES={CAFFEINE}", f"INCHI={prefix}{inchi}")
        found, errors = _all(read_mgf, _write(tmp_path / f"{number}.mgf", text))
        assert not errors
        assert found[0].structure is not None
        assert found[0].structure.inchikey == CAFFEINE_KEY


# Round trips

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
    found, errors = _all(read, path)
    assert not errors
    assert len(found) == len(items)
    for before, after in zip(items, found, strict=True):
        a, b = _spectra([before])[0], _spectra([after])[0]
        assert np.array_equal(a.mz, b.mz)
        assert np.array_equal(a.intensity, b.intensity)
        for name in ("precursor_mz", "adduct", "charge", "ionmode", "collision_energy", "instrument_type", "ms_level"):
            assert getattr(a, name) == getattr(b, name)
        assert a.identifier == b.identifier
        for name in ("fold", "cluster", "name", "licence", "authors"):
            assert getattr(before, name) == getattr(after, name)
        assert (before.structure and before.structure.inchikey) == (after.structure and after.structure.inchikey)


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("read", [read_mgf, read_msp, read_massbank, read_json])
def test_any_bytes_give_measurements_or_read_errors(
    tmp_path_factory: pytest.TempPathFactory, read: Read, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "a"
    path.write_bytes(data)
    try:
        kinds = {type(item) for item in read(path)}
    except ReadError:
        kinds = {ReadError}
    assert kinds <= {Measurement, ReadError}


def test_a_line_break_in_a_name_does_not_break_the_file(tmp_path: Path) -> None:
    (item, _), _ = _all(read_mgf, _write(tmp_path / "a.mgf", MGF))
    broken = Measurement(item.record, item.structure, "msms", name="two\nlines")
    write_mgf(tmp_path / "b.mgf", [broken])
    assert [m.name for m in _all(read_mgf, tmp_path / "b.mgf")[0]] == ["two lines"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot be written"):
        write_mgf(tmp_path / "missing" / "a.mgf", _all(read_mgf, _write(tmp_path / "a.mgf", MGF))[0])
    path = _write(tmp_path / "old.mgf", "old")
    with pytest.raises(WriteError, match="a spectrum is wanted"):
        write_mgf(path, [Measurement(structure("CCO"), None, "structure")])
    assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mgf", "old.mgf"]


# Real data


@pytest.fixture
def massbank() -> Path:
    beside = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
    path = Path(os.environ.get("MOLVIS_DATA", beside)) / "msms" / "massbank_open.parquet"
    if not path.is_file():
        pytest.skip("the data of MassBank are absent: set MOLVIS_DATA")
    return path


def test_every_high_resolution_row_of_massbank_is_read_or_refused_for_a_reason(massbank: Path) -> None:
    table = pq.read_table(massbank, columns=["is_high_res", "precursor_ok"])
    wanted = (table["is_high_res"].to_numpy() & table["precursor_ok"].to_numpy()).sum()
    rows = (item for item in read_parquet(massbank) if not isinstance(item, LeftOutError))
    found = [item for _, item in zip(range(3000), rows, strict=False)]
    assert wanted > len(found) == 3000
    good = [item for item in found if isinstance(item, Measurement)]
    assert len(good) > 0.99 * len(found)
    assert all(m.structure and m.fold and m.cluster is not None and m.licence for m in good)


@pytest.mark.full
def test_energies_as_stated_agree_with_the_tables_of_massbank(massbank: Path) -> None:
    names = ["collision_energy", "ce_ev", "precursor_mz", "instrument_type"]
    rows = [r for r in pq.read_table(massbank, columns=names).slice(0, 20_000).to_pylist() if r["collision_energy"]]
    agree = 0
    for row in rows:
        found = collision_energy(row["collision_energy"], row["precursor_mz"], row["instrument_type"])
        wanted = row["ce_ev"]
        agree += found == wanted if found is None or wanted is None else abs(found - wanted) < 0.01 * wanted + 0.01
    assert agree > 0.999 * len(rows)


@pytest.mark.parametrize(
    ("lines", "origin"),
    [
        ("FEATURE_ID=17\nSCANS=392-397\nRTINSECONDS=115.83", Origin("17", "392-397", 1.9305)),
        ("RETENTION_TIME=120.0", Origin(rt_min=2.0)),
        ("RTINSECONDS=PT90.5S", Origin(rt_min=1.508333)),
        ("RT=1.9112366", Origin(rt_min=1.911237)),
        ("RETENTIONTIME=-1", Origin()),
        ("TITLE=none", Origin()),
    ],
    ids=["mzmine", "matchms", "duration", "minutes", "unknown", "none"],
)
def test_feature_scans_and_retention_time_are_kept(tmp_path: Path, lines: str, origin: Origin) -> None:
    text = f"BEGIN IONS\n{lines}\nPEPMASS=195.0877\nCHARGE=1+\n110.07 5\nEND IONS\n"
    (found,), problems = _all(read_mgf, _write(tmp_path / "a.mgf", text))
    assert not problems
    assert found.origin == origin
    write_mgf(tmp_path / "b.mgf", [found])
    (again,), _ = _all(read_mgf, tmp_path / "b.mgf")
    assert again.origin.rt_min == pytest.approx(origin.rt_min)
    assert (again.origin.feature_id, again.origin.scans) == (origin.feature_id, origin.scans)


@pytest.mark.parametrize(("unit", "minutes"), [("UO:0000031", 4.5), ("UO:0000010", 4.5 / 60)])
def test_mzml_scans_keep_their_number_and_their_time_in_minutes(tmp_path: Path, unit: str, minutes: float) -> None:
    start = f'<scan><cvParam accession="MS:1000016" value="4.5" unitAccession="{unit}"/></scan>'
    scan = _scan(381).replace("<precursorList", f"<scanList>{start}</scanList><precursorList")
    (found,), _ = _all(read_mzml, _write(tmp_path / "a.mzML", _mzml(scan)))
    assert found.origin.scans == "381"
    assert found.origin.rt_min == pytest.approx(minutes)


@pytest.mark.parametrize(("lines", "mode"), [("ADDUCT=[M+?]+", "positive"), ("ADDUCT=[M + ?]-", "negative")])
def test_an_adduct_that_is_left_open_tells_polarity_and_charge(tmp_path: Path, lines: str, mode: str) -> None:
    text = f"BEGIN IONS\n{lines}\nPEPMASS=195.0877\n110.07 5\nEND IONS\n"
    (found,), problems = _all(read_mgf, _write(tmp_path / "a.mgf", text))
    assert not problems
    assert isinstance(found.record, PeakList)
    assert (found.record.adduct, found.record.ionmode, abs(found.record.charge or 0)) == (None, mode, 1)


@pytest.mark.parametrize(
    ("lines", "origin", "mode"),
    [
        (
            'TITLE=a.17.17.1 File:"a.raw", NativeID:"controllerType=0 controllerNumber=1 scan=17"\nRTINSECONDS=90',
            Origin(scans="17", rt_min=1.5),
            None,
        ),
        ("TITLE=Cmpd 1, +MSn(195.0877), 7.8 min\nCHARGE=1+", Origin(rt_min=7.8), "positive"),
        ("TITLE=Cmpd 2, -MS2(193.0731), 7.8 min #512", Origin(rt_min=7.8), "negative"),
        ("TITLE=Cmpd 3, 1.5 min\nRTINSECONDS=60\nIONMODE=-", Origin(rt_min=1.0), "negative"),
        ("TITLE=5-min-old extract of Allium-MS", Origin(), None),
    ],
    ids=["msconvert", "bruker", "bruker negative", "fields first", "a name"],
)
def test_what_only_the_title_tells_is_read(tmp_path: Path, lines: str, origin: Origin, mode: str | None) -> None:
    text = f"BEGIN IONS\n{lines}\nPEPMASS=195.0877 1000.0\n110.07 5\nEND IONS\n"
    (found,), problems = _all(read_mgf, _write(tmp_path / "a.mgf", text))
    assert not problems
    assert found.origin == origin
    assert isinstance(found.record, PeakList)
    assert found.record.ionmode == mode
