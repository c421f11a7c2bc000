from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from molvis_ccs.readers.csv import is_ccs_csv, read_csv
from molvis_ccs.readers.parquet import is_ccs_table, read_parquet
from molvis_core.errors import ReadError
from molvis_core.records import Measurement, Value
from molvis_core.registry import for_suffix

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "ccs"
with_tables = pytest.mark.skipif(not DATA.is_dir(), reason=f"no tables of cross sections in {DATA}: set MOLVIS_DATA")
CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
CAFFEINE_INCHI = "InChI=1S/C8H10N4O2/c1-10-4-9-6-5(10)7(13)12(3)8(14)11(6)2/h4H,1-3H3"


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _values(path: Path) -> list[Value]:
    items = list(read_csv(path))
    assert all(isinstance(item, Measurement) for item in items), items
    return [item.record for item in items]


def _refusal(tmp_path: Path, header: str, row: str) -> ReadError:
    path = _write(tmp_path / "bad.csv", f"{header}\n{row}\n")
    (error,) = read_csv(path)
    assert isinstance(error, ReadError)
    assert (Path(error.path), error.line) == (path, 2)
    return error


# The exports of the collections, by their headers


def test_a_table_of_ccsbase_is_read(tmp_path: Path) -> None:
    text = f"name,adduct,mass,z,mz,ccs,smi,ref,ccs_type\ncaffeine,[M+H]+,194.08,1,195.0877,138.2,{CAFFEINE},x,TIMS\n"
    (item,) = read_csv(_write(tmp_path / "a.csv", text))
    assert isinstance(item, Measurement)
    value = item.record
    assert (value.value, value.precursor_mz, value.adduct, value.charge) == (138.2, 195.0877, "[M+H]+", 1)
    assert (value.instrument_type, item.name, item.source, item.modality) == ("TIMS", "caffeine", "x", "ccs")
    assert item.structure is not None
    assert item.structure.inchikey14 == "RYYVLZVUVIJVGH"


def test_a_table_of_allccs_is_read_without_structures(tmp_path: Path) -> None:
    text = (
        "AllCCS ID\tName\tFormula\tType\tAdduct\tm/z\tCCS\nAllCCS1\tcaffeine\tC8H10N4O2\tx\t[M+H]+\t195.0877\t138.2\n"
    )
    (item,) = read_csv(_write(tmp_path / "a.tsv", text))
    assert isinstance(item, Measurement)
    assert item.structure is None
    assert (item.record.identifier, item.record.value) == ("AllCCS1", 138.2)


def test_a_table_of_metlin_gives_the_average_and_its_deviation(tmp_path: Path) -> None:
    header = "Molecule Name,METLIN ID,Precursor Adduct,CCS1,CCS2,CCS3,CCS_AVG,% CV,m/z,inchi,InChIKEY"
    row = f'caffeine,5,[M+H]+,138,139,140,139.0,1,195.0877,"{CAFFEINE_INCHI}",RYYVLZVUVIJVGH-UHFFFAOYSA-N'
    (value,) = _values(_write(tmp_path / "a.csv", f"{header}\n{row}\n"))
    assert (value.value, value.sd) == (139.0, 1.39)


def test_a_table_of_the_compendium_takes_the_sign_of_its_ions_from_the_charge(tmp_path: Path) -> None:
    header = "Compound,Neutral.Formula,CAS,InChi,mz,Ion.Species,Charge,CCS,SD.CCS,Sources"
    row = f'caffeine,C8H10N4O2,58-08-2,"{CAFFEINE_INCHI}",195.0877,[M+H],+1,138.2,0.4,7'
    (value,) = _values(_write(tmp_path / "a.csv", f"{header}\n{row}\n"))
    assert (value.adduct, value.charge, value.sd) == ("[M+H]+", 1, 0.4)


def test_cross_sections_of_several_instruments_are_a_measurement_each(tmp_path: Path) -> None:
    text = f"SMILES;Adduct;DTCCSN2 (Å²);TWCCS;TIMSCCS\n{CAFFEINE};M+H;138,2;139,0;\n"
    values = _values(_write(tmp_path / "a.csv", text))
    assert [(v.value, v.instrument_type, v.gas) for v in values] == [(138.2, "DT", "N2"), (139.0, "TW", None)]
    assert values[0].precursor_mz == pytest.approx(195.08765, abs=1e-4)


def test_a_header_in_square_nanometres_is_converted(tmp_path: Path) -> None:
    (value,) = _values(_write(tmp_path / "a.csv", "mz,adduct,CCS (nm^2),sd\n195.0877,[M+H]+,1.382,0.01\n"))
    assert value.value == pytest.approx(138.2)
    assert value.sd == pytest.approx(1.0)


def test_an_unknown_needs_no_structure_and_no_adduct(tmp_path: Path) -> None:
    (value,) = _values(_write(tmp_path / "a.csv", "m/z,CCS\n195.0877,138.2\n"))
    assert (value.adduct, value.precursor_mz, value.value) == (None, 195.0877, 138.2)


def test_a_deviation_of_zero_is_an_unknown_one(tmp_path: Path) -> None:
    assert _values(_write(tmp_path / "a.csv", "m/z,CCS,sd\n195.0877,138.2,0\n"))[0].sd is None


def test_an_m_z_with_few_digits_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    (value,) = _values(_write(tmp_path / "a.csv", f"smiles,adduct,m/z,CCS\n{CAFFEINE},[M+H]+,195,138.2\n"))
    assert value.precursor_mz == 195


# Bad input


@pytest.mark.parametrize(
    ("ccs", "reason"),
    [
        ("0", "positive number in A^2"),
        ("-138.2", "positive number in A^2"),
        ("1.382", "if it is in nm^2, write 138.2"),
        ("13.8", "no ion is that small in A^2"),
        ("1382", "times what an ion of 195.1 Da has in N2"),
        ("nan", "not a finite number"),
        ("inf", "not a finite number"),
        ("about 138", "'about 138' is not a number"),
        ("", "no cross section"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_column(tmp_path: Path, ccs: str, reason: str) -> None:
    error = _refusal(tmp_path, "adduct,m/z,My Id,CCS", f"[M+H]+,195.0877,x,{ccs}")
    assert reason in error.reason
    assert error.reason.startswith("column CCS: ")


@pytest.mark.parametrize(
    ("header", "row", "column", "reason"),
    [
        ("adduct,charge,CCS", "[M-H]-,+1,138.2", "adduct", "has charge -1, not +1"),
        ("adduct,charge,CCS", "[M+2H]2+,1,138.2", "adduct", "has charge +2, not 1"),
        ("adduct,charge,CCS", "[M+H]+,zero,138.2", "adduct", "charge 'zero' cannot be read"),
        ("adduct,ion mode,CCS", "[M+H]+,negative,138.2", "adduct", "is positive, but the ion mode is negative"),
        ("adduct,polarity,CCS", "[M-H]-,ESI+,138.2", "adduct", "is negative, but the ion mode is ESI+"),
        ("adduct,polarity,CCS", "[M+H]+,sideways,138.2", "adduct", "ion mode 'sideways' cannot be read"),
        ("adduct,CCS", "[M+H,138.2", "adduct", "is not understood"),
        ("adduct,m/z,CCS", "[M+H]+,-5,138.2", "m/z", "must be positive"),
        ("adduct,m/z,CCS", "[M+H]+,nan,138.2", "m/z", "not a finite number"),
        ("adduct,CCS,sd", "[M+H]+,138.2,-1", "sd", "not negative"),
        ("smiles,adduct,CCS", "C1CC,[M+H]+,138.2", "smiles", "RDKit refuses"),
        ("smiles,adduct,CCS", "CCN.Cl,[M+H]+,138.2", "smiles", "several parts"),
        ("smiles,adduct,CCS", "C[N+](C)(C)C,[M+H]+,138.2", "smiles", "write [M]+"),
    ],
)
def test_an_ion_that_contradicts_itself_is_refused_with_its_column(
    tmp_path: Path, header: str, row: str, column: str, reason: str
) -> None:
    error = _refusal(tmp_path, header, row)
    assert reason in error.reason
    assert error.reason.startswith(f"column {column}: ")


def test_an_m_z_that_contradicts_structure_and_adduct_says_by_how_much(tmp_path: Path) -> None:
    error = _refusal(tmp_path, "smiles,adduct,m/z,CCS", f"{CAFFEINE},[M+H]+,195.0979,138.2")
    assert "column m/z: m/z 195.098 contradicts structure and adduct: C8H10N4O2 as [M+H]+ has 195.0877" in error.reason
    assert "+53 ppm off" in error.reason


def test_a_bad_row_does_not_stop_the_others(tmp_path: Path) -> None:
    rows = "[M+H]+,195.0877,138.2\n[M+H]+,195.0877,0\n\n[M+H]+,195.0877,138.2,7\n[M+H]+,195.0877,139\n"
    items = list(read_csv(_write(tmp_path / "a.csv", f"adduct,m/z,CCS\n{rows}")))
    assert [isinstance(item, Measurement) for item in items] == [True, False, False, True]
    assert [item.line for item in items if isinstance(item, ReadError)] == [3, 5]


def test_a_table_of_something_else_says_what_it_lacks(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "wavenumber,absorbance\n1000,0.1\n")
    with pytest.raises(ReadError, match="no column of cross sections .* it has wavenumber, absorbance"):
        list(read_csv(path))
    assert not is_ccs_csv(path)


def test_a_file_is_told_by_its_header(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "m/z,CCS\n195.0877,138.2\n")
    assert is_ccs_csv(path)
    assert for_suffix("reader", path, modality="ccs").name == "ccs-csv"


def test_a_table_becomes_a_dataset(tmp_path: Path) -> None:
    pytest.importorskip("molvis_retrieval", reason="molvis-retrieval is not installed")
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.importing import import_files

    table = _write(tmp_path / "a.csv", f"smiles,adduct,CCS,fold\n{CAFFEINE},[M+H]+,138.2,test\nCCO,[M+H]+,0,test\n")
    report = import_files([table], tmp_path / "dataset", reader="ccs-csv")
    assert (report.imported, report.skipped) == ({"ccs": 1}, 1)
    data = Dataset.open(tmp_path / "dataset")
    assert data.record("ccs", 0).value == 138.2
    assert data.rows("ccs", fold="test").tolist() == [0]


# Parquet


def test_a_parquet_table_keeps_fold_and_origin(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row: dict[str, list[Any]] = {
        "smiles": [CAFFEINE], "adduct": ["[M+CHO2]-"], "charge": [-1], "ccs": [150.0], "ccs_sd": [0.3],
        "instrument_type": ["TW"], "fold": ["val"], "source": ["s"], "reference": ["A. Author"],
        "licence": ["MIT"], "redistribution": ["ok-with-attribution"], "gas": ["N2"],
    }  # fmt: skip
    pq.write_table(pa.table(row), tmp_path / "a.parquet")
    assert is_ccs_table(tmp_path / "a.parquet")
    (item,) = read_parquet(tmp_path / "a.parquet")
    assert isinstance(item, Measurement)
    assert (item.fold, item.source, item.authors) == ("val", "s", "A. Author")
    assert item.licence == "ok-with-attribution; MIT"
    assert (item.record.adduct, item.record.charge, item.record.sd, item.record.gas) == ("[M+HCOO]-", -1, 0.3, "N2")


def test_a_signed_charge_in_a_parquet_table_must_agree_with_the_adduct(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"adduct": ["[M-H]-"], "charge": [1], "ccs": [150.0]}), tmp_path / "a.parquet")
    (error,) = read_parquet(tmp_path / "a.parquet")
    assert isinstance(error, ReadError)
    assert (error.line, error.reason.partition(":")[0]) == (1, "column adduct")


@with_tables
def test_of_collected_values_with_wrong_structures_nine_in_ten_are_refused() -> None:
    items = list(read_parquet(DATA / "ccs_wrong_structures.parquet"))
    refused = [item for item in items if isinstance(item, ReadError)]
    assert len(items) == 1440
    # The other 82 come without an m/z and contradict nothing that the table holds.
    assert len(refused) == 1358
    assert sum("ppm off" in error.reason for error in refused) == 1268
