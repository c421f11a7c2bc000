from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvis_core import structure
from molvis_core.chemistry.formula import ELECTRON_MASS
from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_core.registry import for_suffix
from molvis_structure.readers.sdf import read_sdf
from molvis_structure.readers.smiles import is_smiles_file, read_smiles
from molvis_structure.readers.synonyms import resolve_synonyms
from molvis_structure.readers.tables import read_table

# InChIKeys as PubChem gives them: ethanol (CID 702), benzene (241), caffeine (2519).
ETHANOL, BENZENE, CAFFEINE = "LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "UHOVQNZJYSORNB-UHFFFAOYSA-N", "RYYVLZVUVIJVGH-UHFFFAOYSA-N"
MOLFILE = """{title}
     molvis

  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
    1.5000    0.0000    0.0000 {last}   0  0
  1  2  {order}  0
M  END
"""
Read = Callable[[Path], Iterator[Measurement | ReadError]]


def _all(read: Read, path: Path) -> tuple[list[Measurement], list[ReadError]]:
    items = list(read(path))
    return [i for i in items if isinstance(i, Measurement)], [i for i in items if isinstance(i, ReadError)]


def _keys(found: list[Measurement]) -> list[str]:
    return [m.structure.inchikey for m in found if m.structure]


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.smi", "smiles"),
        ("a.smiles", "smiles"),
        ("a.txt", "smiles"),
        ("a.sdf.gz", "sdf"),
        ("A.CSV", "structure-table"),
        ("a.tsv", "structure-table"),
        ("a.parquet", "structure-table"),
    ],
)
def test_a_files_ending_finds_its_reader(name: str, reader: str) -> None:
    assert for_suffix("reader", name, modality="structure").name == reader


def test_smiles_with_a_heading_names_comments_and_blank_lines(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.smi", "smiles name\n# ours\nCCO ethyl alcohol\n\nc1ccccc1\tbenzene\nCCO\n")
    found, errors = _all(read_smiles, path)
    assert not errors
    assert _keys(found) == [ETHANOL, BENZENE, ETHANOL]
    assert [m.name for m in found] == ["ethyl alcohol", "benzene", None]


def test_inchi_is_read_where_smiles_are(tmp_path: Path) -> None:
    found, _ = _all(read_smiles, _write(tmp_path / "a.smi", "InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3 ethanol\n"))
    assert _keys(found) == [ETHANOL]
    assert found[0].record.smiles == "CCO"


def test_a_refused_line_is_named_with_rdkits_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.smi", "CCO\nFC(F)(F)(F)F five bonds\nc1ccccc1\n")
    found, errors = _all(read_smiles, path)
    assert _keys(found) == [ETHANOL, BENZENE]
    assert [e.line for e in errors] == [2]
    assert "valence" in errors[0].reason
    assert str(errors[0]).startswith(f"{path}:2: ")


def test_an_sdf_file_gives_each_molecule_its_title_or_its_name(tmp_path: Path) -> None:
    titled = MOLFILE.format(title="methanol", last="O", order=1) + "$$$$\n"
    named = MOLFILE.format(title="", last="N", order=1) + "> 1 <Name>\nmethylamine\n\n> <mass>\n31\n\n$$$$\n"
    last = MOLFILE.format(title="", last="C", order=1)
    found, errors = _all(read_sdf, _write(tmp_path / "a.sdf", titled + named + last))
    assert not errors
    assert [m.name for m in found] == ["methanol", "methylamine", None]
    assert [m.structure.formula for m in found if m.structure] == ["CH4O", "CH5N", "C2H6"]


def test_a_bad_molecule_of_an_sdf_file_is_named_by_number_line_and_reason(tmp_path: Path) -> None:
    good = MOLFILE.format(title="", last="O", order=1) + "$$$$\n"
    bad = MOLFILE.format(title="", last="F", order=2) + "$$$$\n"
    cut = good[: good.index("M  END")] + "$$$$\n"
    found, errors = _all(read_sdf, _write(tmp_path / "a.sdf", good + bad + cut + good))
    assert len(found) == 2
    lines = good.count("\n")
    assert [(e.record, e.line) for e in errors] == [(2, lines + 1), (3, 2 * lines + 1)]
    assert "valence" in errors[0].reason
    assert "cut off" in errors[1].reason


def test_an_sdf_file_is_read_one_molecule_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.sdf.gz"
    one = MOLFILE.format(title="", last="O", order=1) + "$$$$\n"
    path.write_bytes(gzip.compress((one * 3).encode())[:-12])
    items = read_sdf(path)
    assert isinstance(next(items), Measurement)
    with pytest.raises(ReadError, match="cannot be read"):
        list(items)


def test_a_table_finds_its_columns_whatever_their_case_and_order(tmp_path: Path) -> None:
    text = 'Source,Compound Name,Canonical SMILES,x\nours,"ethanol, pure",CCO,1\n,benzene,c1ccccc1,2\n'
    found, errors = _all(read_table, _write(tmp_path / "a.csv", text))
    assert not errors
    assert _keys(found) == [ETHANOL, BENZENE]
    assert [(m.name, m.source) for m in found] == [("ethanol, pure", "ours"), ("benzene", None)]


def test_a_tab_separated_table_with_inchi_gives_smiles(tmp_path: Path) -> None:
    text = f"inchi\tinchikey\tformula\texact_mass\nInChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3\t{ETHANOL}\tC2H6O\t46.04186\n"
    found, _ = _all(read_table, _write(tmp_path / "a.tsv", text))
    assert found[0].record == structure("CCO")


def test_bad_rows_of_a_table_are_named_by_line(tmp_path: Path) -> None:
    text = "smiles,inchikey,formula,exact_mass\nCCO,,,\n,,,\nnonsense,,,\n"
    text += f"CCO,{ETHANOL},C2H6Xx,46.04\nCCO,{ETHANOL},C2H6O,heavy\nCCO,short,C2H6O,46.04\nCCO,{ETHANOL},C2H6O,-1\n"
    found, errors = _all(read_table, _write(tmp_path / "a.csv", text))
    assert _keys(found) == [ETHANOL]
    assert [e.line for e in errors] == [3, 4, 5, 6, 7, 8]


def test_a_table_without_structures_says_what_it_found(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no column of structures: found name, mass"):
        list(read_table(_write(tmp_path / "a.csv", "name,mass\nethanol,46\n")))


def test_a_given_identity_is_taken_as_it_is(tmp_path: Path) -> None:
    # The first row is checked against RDKit, the second is not: nobody waits for hundreds of thousands of InChIKeys.
    rows = {
        "inchikey14": [ETHANOL[:14], "AAAAAAAAAAAAAA"],
        "smiles": ["CCO", "c1ccccc1"],
        "formula": ["C2H6O", "C6H6"],
        "exact_mass": [46.041864812, 78.046950192],
        "sources": ["ours", None],
    }
    found, errors = _all(read_table, _parquet(tmp_path, rows))
    assert not errors
    assert _keys(found) == [ETHANOL[:14], "AAAAAAAAAAAAAA"]
    assert found[0].structure is not None
    assert found[0].structure.inchikey14 == ETHANOL[:14]
    assert [m.source for m in found] == ["ours", None]


def test_a_given_identity_that_contradicts_its_smiles_is_refused(tmp_path: Path) -> None:
    rows = {"inchikey": [BENZENE], "smiles": ["CCO"], "formula": ["C6H6"], "exact_mass": [78.047]}
    found, errors = _all(read_table, _parquet(tmp_path, rows))
    assert not found
    assert errors[0].record == 1
    assert "UHOVQNZJYSORNB, 78.0470 Da, but its SMILES is LFQSCWFLJHTTHZ, 46.0419 Da" in errors[0].reason


def test_an_identity_with_gaps_is_worked_out(tmp_path: Path) -> None:
    rows = {"inchikey": [None], "smiles": ["CCO"], "formula": ["C2H6O"], "exact_mass": [float("nan")]}
    found, _ = _all(read_table, _parquet(tmp_path, rows))
    assert found[0].record == structure("CCO")


def test_a_formula_with_its_charge_is_stored_without(tmp_path: Path) -> None:
    choline = structure("C[N+](C)(C)CCO")
    rows = {
        "inchikey": [choline.inchikey], "smiles": [choline.smiles], "formula": ["C5H14NO+"],
        "exact_mass": [choline.exact_mass], "charge": [1],
    }  # fmt: skip
    found, _ = _all(read_table, _parquet(tmp_path, rows))
    assert found[0].record == choline


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = _parquet(tmp_path, {"smiles": ["CCO"] * 100})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ReadError, match="not a Parquet file, or damaged"):
        list(read_table(path))


def _parquet(folder: Path, columns: dict[str, list[Any]]) -> Path:
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder / "a.parquet"


def test_a_library_keeps_good_structures_and_tells_the_bad_ones(tmp_path: Path) -> None:
    pytest.importorskip("molvis_retrieval", reason="molvis-retrieval is not installed")
    from molvis_retrieval.library import Library

    library = Library.read(_write(tmp_path / "a.smi", "CCO\nOCC again\nC1CC\nc1ccccc1\n"))
    assert [s.inchikey for s in library.structures([0, 1])] == [ETHANOL, BENZENE]
    assert [p.line for p in library.problems] == [3]


@pytest.mark.parametrize(
    ("read", "suffix"), [(read_smiles, ".smi"), (read_sdf, ".sdf"), (read_table, ".csv"), (read_table, ".tsv")]
)
def test_any_text_gives_structures_or_read_errors(read: Read, suffix: str, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"

    @settings(max_examples=25, deadline=None)
    @given(st.text(alphabet='CNO()=#1[]+-.\n\r\t ",$Mend>V2000smiles\x00é', max_size=80))
    def check(text: str) -> None:
        path.write_text(f"smiles,name\tx\n{text}" if suffix in (".csv", ".tsv") else text, encoding="utf-8")
        try:
            items = list(read(path))
        except ReadError:
            return
        assert all(isinstance(i, (Measurement, ReadError)) for i in items)

    check()


def test_synonyms_are_resolved_from_a_users_table(tmp_path: Path) -> None:
    # CAS numbers and PubChem CIDs of ethanol and caffeine.
    table = _write(tmp_path / "a.csv", "cas,cid,smiles\n64-17-5,702,CCO\n58-08-2,2519,Cn1c(=O)c2c(ncn2C)n(C)c1=O\n")
    found = resolve_synonyms(table, ["58-08-2", "702"])
    assert {name: s.inchikey for name, s in found.items()} == {"58-08-2": CAFFEINE, "702": ETHANOL}
    assert found["702"].name == "702"


def test_a_name_that_a_users_table_lacks_is_told(tmp_path: Path) -> None:
    table = _write(tmp_path / "a.csv", "name,smiles\nCaffeine,Cn1c(=O)c2c(ncn2C)n(C)c1=O\n")
    with pytest.raises(ReadError, match="no row for 'cafeine'. Did you mean 'caffeine'"):
        resolve_synonyms(table, ["cafeine"])


def test_a_refused_structure_of_a_users_table_is_told_with_its_line(tmp_path: Path) -> None:
    table = _write(tmp_path / "a.csv", "name,smiles\ngood,CCO\nbad,C1CC\n")
    with pytest.raises(ReadError, match=r"a\.csv:3: .*C1CC"):
        resolve_synonyms(table, ["bad"])


@pytest.mark.full
def test_the_real_library_reads_and_agrees_with_rdkit() -> None:
    shared = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    path = Path(os.environ.get("MOLVIS_DATA", shared)) / "structures.parquet"
    if not path.exists():
        pytest.skip(f"no {path.name}: set MOLVIS_DATA to the folder that holds it")
    checked = 0
    for count, item in enumerate(read_table(path)):
        assert isinstance(item, Measurement), item
        if count % 250 == 100 and item.structure:
            made = structure(item.structure.smiles)
            assert (made.inchikey14, made.formula) == (item.structure.inchikey14, item.structure.formula)
            # The table has the mass of an ion, as RDKit computes it; ours leaves the electrons to the adduct.
            ion = made.exact_mass - made.charge * ELECTRON_MASS
            assert ion == pytest.approx(item.structure.exact_mass, abs=1e-4)
            checked += 1
        if count == 20_000:
            break
    assert checked == 80


@pytest.mark.parametrize(
    "heading",
    [
        "Canonical SMILES", "canonical_smiles", "Canonical-SMILES", "CANONICAL_SMILES", "IsomericSMILES", "SMILES",
        "SMILES (QSAR-ready)", "std_smiles", " smiles ", "Structure", "isosmiles",
    ],
)  # fmt: skip
@pytest.mark.parametrize("parted", [",", "\t", ";"])
def test_a_column_of_smiles_is_known_however_its_heading_is_written(tmp_path: Path, heading: str, parted: str) -> None:
    rows = [["CID", heading, "Compound Name"], ["702", "CCO", "ethanol"], ["241", "c1ccccc1", "benzene"]]
    text = "\n".join(parted.join(row) for row in rows) + "\n"
    for name, read in (("a.csv", read_table), ("a.txt", read_smiles), ("a.smi", read_smiles)):
        found, errors = _all(read, _write(tmp_path / name, text))
        assert not errors
        assert _keys(found) == [ETHANOL, BENZENE]
        assert [m.name for m in found] == ["ethanol", "benzene"]


@pytest.mark.parametrize("heading", ["InChI", "Standard InChI", "standard_inchi", "InChI string"])
def test_a_column_of_inchi_is_known_beside_one_of_inchikeys(tmp_path: Path, heading: str) -> None:
    text = f'InChI Key,"{heading}",ID\n{ETHANOL},"InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3",x1\n'
    (found,), errors = _all(read_table, _write(tmp_path / "a.csv", text))
    assert not errors
    assert (_keys([found]), found.name) == ([ETHANOL], "x1")


_WITHOUT_HEADINGS = pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("a.csv", "CCO,ethanol\nc1ccccc1,benzene\n", ["ethanol", "benzene"]),
        ("a.csv", "702,CCO\n241,c1ccccc1\n", ["702", "241"]),
        ("a.csv", "CCO\nc1ccccc1\n", [None, None]),
        ("a.tsv", "ethanol\tCCO\nbenzene\tc1ccccc1\n", ["ethanol", "benzene"]),
        ("a.txt", "CCO ethanol\nc1ccccc1 benzene\n", ["ethanol", "benzene"]),
        ("a.txt", "CCO\nc1ccccc1\n", [None, None]),
        ("a.smi", "CCO,ethanol\nc1ccccc1;benzene\n", ["ethanol", "benzene"]),
        ("a.smi", "CCO ethyl alcohol, pure\nc1ccccc1\tbenzene\n", ["ethyl alcohol, pure", "benzene"]),
        ("a.txt", "SMILES\nCCO\nc1ccccc1\n", [None, None]),
        ("a.txt", "InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3 ethanol\nc1ccccc1 benzene\n", ["ethanol", "benzene"]),
    ],
)


@_WITHOUT_HEADINGS
def test_structures_without_a_heading_are_read(tmp_path: Path, name: str, text: str, names: list[str | None]) -> None:
    path = _write(tmp_path / name, text)
    reader = for_suffix("reader", path, modality="structure").name
    found, errors = _all({"smiles": read_smiles, "structure-table": read_table}[reader], path)
    assert not errors
    assert _keys(found) == [ETHANOL, BENZENE]
    assert [m.name for m in found] == names


@_WITHOUT_HEADINGS
def test_structures_without_a_heading_become_a_library(
    tmp_path: Path, name: str, text: str, names: list[str | None]
) -> None:
    pytest.importorskip("molvis_retrieval", reason="molvis-retrieval is not installed")
    from molvis_retrieval.library import Library

    library = Library.read(_write(tmp_path / name, text))
    assert library.table["inchikey"].to_pylist() == [ETHANOL, BENZENE]
    assert library.table["name"].to_pylist() == names


def test_a_table_without_structures_lists_the_headings_that_it_has(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "Compound,InChIKey,Mass\nethanol,LFQSCWFLJHTTHZ,46.04\n")
    with pytest.raises(ReadError, match="found Compound, InChIKey, Mass; call it 'smiles' or 'inchi'") as caught:
        list(read_table(path))
    assert caught.value.line == 1


def test_a_line_of_a_table_is_named_with_its_number_whatever_stands_before(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", 'smiles,name\n\n"CCO","ethyl\nalcohol"\nC1CC,bad\nCCO,\nFF(F),bad\n')
    found, errors = _all(read_table, path)
    assert len(found) == 2
    assert [e.line for e in errors] == [5, 7]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("CCO ethanol\nCCN\n", True),
        ("SMILES\tName\n", True),
        ("Name;Canonical SMILES\n", True),
        ("ACCESSION: MSBNK-1\nRECORD_TITLE: x\n", False),
        ("4000.1 0.02\n3999.2 0.03\n", False),
        ("", False),
    ],
)
def test_a_text_file_of_structures_is_told_from_other_text(tmp_path: Path, text: str, known: bool) -> None:
    assert is_smiles_file(_write(tmp_path / "a.txt", text)) is known
