"""mzTab-M: what is written is valid and comes back, what others wrote is read, and what is wrong is named."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from molvis_core.errors import MolvisError, ReadError
from molvis_lcms.annotations import Annotation, NamedCandidate
from molvis_lcms.mztab import problems_of, read_mztab
from molvis_lcms.mztab_writing import write_mztab
from molvis_lcms.records import AdductHypothesis, Feature, FeatureTable

INTEROP = Path(os.environ.get("MOLVIS_DATA") or Path(__file__).parents[4] / "shared" / "data") / "interop"
FILES = sorted(INTEROP.glob("mztabm_*"))
WRONG = {
    "mztabm_lipidomics-example-crosslink-error.mzTab": "SME_ID_REFS names 3",
    "mztabm_lipidomics-example-missing-required-MTD.mzTab": r"lack software\[1\]",
    "mztabm_lipidomics-example-wrong-msscan-ref.mzTab": r"'ms_run\[1\]:index=732'",
}

CAFFEINE = NamedCandidate(
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "RYYVLZVUVIJVGH-UHFFFAOYSA-N", "C8H10N4O2", 194.080376, "[M+H]+", 0.8, 0.6,
    "caf\tfeine", ("hmdb:HMDB0001847", "cas:58-08-2"),
)  # fmt: skip
OTHER = NamedCandidate("CCn1cnc2c1c(=O)[nH]c(=O)n2C", "GISWGHGEIIOKGX", "C8H10N4O2", 194.080376, "[M+H]+", 0.2, 0.15)
TABLE = FeatureTable(
    (
        Feature(
            "F1", 195.0877, 100.0, 95.0, 108.0, "positive", 1, areas={"a.mzML": 10.0, "b.mzML": 30.0}, group=1,
            scans=("a.mzML:17", "b.mzML:4"),
        ),
        Feature(
            "F2", 217.0696, 100.0, ionmode="positive", areas={"a.mzML": 2.0}, group=1,
            adducts=(AdductHypothesis("[M+Na]+", 1.0, 0.9),),
        ),
        Feature("F3", 300.1, ionmode="negative", charge=-1, scans=("a.mzML:30",)),
    ),
    ("a.mzML", "b.mzML"),
)  # fmt: skip
NAMED = Annotation("F1", (CAFFEINE, OTHER), 0.75, "3", "ranked by its spectrum")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "run.mztab"
    write_mztab(path, TABLE, [NAMED], version="0.1.0", locations={"a.mzML": tmp_path / "a.mzML"})
    return path


def test_what_is_written_is_valid(written: Path) -> None:
    assert problems_of(read_mztab(written)) == []


def test_ions_of_one_molecule_are_one_row_of_the_summary(written: Path) -> None:
    found = read_mztab(written).small_molecules
    assert found is not None
    first, second = (row.cells for row in found.rows)
    assert first["SMF_ID_REFS"] == "1| 2"
    assert first["adduct_ions"] == "[M+H]1+| [M+Na]1+"
    assert first["chemical_name"] == "caf feine"
    assert first["database_identifier"] == "hmdb:HMDB0001847| cas:58-08-2"
    assert first["uri"] == "https://identifiers.org/hmdb:HMDB0001847"
    assert (first["reliability"], first["best_id_confidence_value"]) == ("3", "0.8")
    assert (first["abundance_assay[1]"], first["abundance_study_variable[1]"]) == ("10", "20")
    assert float(first["abundance_variation_study_variable[1]"] or 0) == pytest.approx(2**-0.5)
    assert (second["smiles"], second["reliability"], second["abundance_study_variable[1]"]) == (None, "5", None)


def test_every_candidate_is_evidence_with_its_rank_and_scans(written: Path) -> None:
    document = read_mztab(written)
    assert document.features is not None
    assert document.evidence is not None
    feature = document.features.rows[0].cells
    assert (feature["SME_ID_REFS"], feature["SME_ID_REF_ambiguity_code"]) == ("1| 2", "1")
    rows = [row.cells for row in document.evidence.rows]
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert rows[0]["spectra_ref"] == "ms_run[1]:scan=17| ms_run[2]:scan=4"
    assert float(rows[0]["theoretical_mass_to_charge"] or 0) == pytest.approx(195.08765, abs=1e-4)
    assert [row["id_confidence_measure[2]"] for row in rows] == ["0.6", "0.15"]
    assert document.features.rows[2].cells["charge"] == "1"


def test_runs_that_are_nowhere_known_have_no_place(written: Path, tmp_path: Path) -> None:
    known = read_mztab(written).metadata
    assert known["ms_run[1]-location"] == (tmp_path / "a.mzML").as_uri()
    assert known["ms_run[2]-location"] == "null"


def test_features_without_annotations_are_valid_too(tmp_path: Path) -> None:
    write_mztab(tmp_path / "a.mztab", TABLE, version="0.1.0")
    document = read_mztab(tmp_path / "a.mztab")
    assert document.evidence is None
    assert problems_of(document) == []


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(MolvisError, match=r"nowhere/a\.mztab: cannot be written"):
        write_mztab(tmp_path / "nowhere" / "a.mztab", TABLE, version="0.1.0")


@pytest.mark.skipif(not FILES, reason="needs interop/ of the data folder, see MOLVIS_DATA")
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_files_of_other_programs_are_judged_as_their_makers_say(path: Path) -> None:
    found = problems_of(read_mztab(path))
    if path.name in WRONG:
        assert any(re.search(WRONG[path.name], problem) for problem in found), found
    else:
        assert found == []


def _without(line: str) -> Callable[[str], str]:
    return lambda text: "".join(one for one in text.splitlines(keepends=True) if line not in one)


def _with(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_without("ms_run[2]-scan_polarity"), r"lack ms_run\[2\]-scan_polarity\[1\]"),
        (_without("MTD\tquantification_method"), "lack quantification_method"),
        (_with("2.0.0-M", "1.0.0"), "mzTab-version is '1.0.0'"),
        (_with("assay[2]-ms_run_ref\tms_run[2]", "assay[2]-ms_run_ref\tms_run[7]"), r"names ms_run\[7\]"),
        (_with("\tinchi\tchemical_name", "\tstructure\tchemical_name"), "the section lacks inchi"),
        (_with("abundance_assay[2]", "abundance_assay[9]"), r"abundance_assay\[9\] is of no assay"),
        (_with("SMF\t2\t", "SMF\t1\t"), "SMF_ID 1 is there twice"),
        (_with("1| 2\thmdb", "1| 9\thmdb"), "SMF_ID_REFS names 9"),
        (_with("\t195.0877\t", "\tabout 195\t"), "exp_mass_to_charge is 'about 195', no number"),
        (_with("\t[M+H]1+\tnull\t", "\tM+H\tnull\t"), "adduct_ion is 'M[+]H'"),
        (_with("ms_run[1]:scan=17", "ms_run[1]:spectrum 17"), "'ms_run.1.:spectrum 17'"),
        (_with("ms_run[2]:scan=4", "ms_run[5]:scan=4"), r"spectra_ref names ms_run\[5\]"),
    ],
)
def test_what_contradicts_the_specification_is_named(change: Callable[[str], str], problem: str, written: Path) -> None:
    before = written.read_text(encoding="utf-8")
    after = change(before)
    assert after != before
    written.write_text(after, encoding="utf-8")
    found = problems_of(read_mztab(written))
    assert any(re.search(problem, one) for one in found), found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SML\t1\n", r"a\.mztab.*1.*before the heading"),
        ("MTD\tmzTab-version\t2.0.0-M\nSMH\tSML_ID\nSML\t1\t2\n", "the row has 2 cells, its section 1 columns"),
        ("Formula\tMass\n", "'Formula' begins no line of mzTab-M"),
        ("MTD\ttitle\tno version\n", "does not state an mzTab-version"),
    ],
)
def test_what_is_no_mztab_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mztab"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ReadError, match=problem):
        read_mztab(path)
