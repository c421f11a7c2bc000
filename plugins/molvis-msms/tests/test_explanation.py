"""What is said of a peak is a connected part of the molecule with the right mass, a path to it, and a probability."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from msms_samples import table_file

from molvis_core import output
from molvis_core.chemistry.formula import ELECTRON_MASS, formula_mass
from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, ReadError, TrainingError, WriteError
from molvis_core.records import Measurement, PeakList
from molvis_files.substructures import Occurrence
from molvis_fragmentation.parts import parts
from molvis_msms.commands.explain import explain as command
from molvis_msms.explanation import collection
from molvis_msms.explanation.annotations import Explained, mzpaf, mzspeclib, peak_annotation, separating, to_json
from molvis_msms.explanation.assignment import look
from molvis_msms.explanation.collection import Choice, explain_collection
from molvis_msms.explanation.learning import learn, make_example, with_foreign
from molvis_msms.explanation.model import FragmentModel, load_model, shipped_model, without_prediction
from molvis_msms.explanation.peaks import Explanation, explain
from molvis_msms.explanation.prediction import predicted_peaks
from molvis_msms.explanation.reading import explain_all, read_structures
from molvis_msms.explanation.report import render_report
from molvis_msms.explanation.weighing import Contrast, judge, roots_below, weigh

METOXURON = structure("COc1ccc(NC(=O)N(C)C)cc1Cl")
OTHER = structure("COC(=O)c1ccc(N(C)CC)cc1Cl")
CLASSES = (
    Occurrence("urea", "functional group", (6, 7, 8, 9)),
    Occurrence("methoxyarene", "functional group", (0, 1, 2)),
)
SPECTRUM = PeakList(
    # MassBank record MSBNK-AGILENT-AG000057, with the 37Cl isotope of m/z 156 and a foreign peak added.
    [46.0651245, 72.044387, 73.052215, 156.021072, 158.01812, 199.7, 229.073837],
    [0.466, 1.0, 0.0233, 0.0528, 0.0168, 0.03, 0.0263],
    precursor_mz=229.07383, adduct="[M+H]+", charge=1, ionmode="positive", collision_energy=20.0,
    instrument_type="ESI-QTOF", identifier="AG000057",
)  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Explanation:
    return explain(SPECTRUM, METOXURON, classes=CLASSES)


def connected(atoms: tuple[int, ...]) -> bool:
    neighbours = parts(METOXURON.smiles).molecule.neighbours[:, 0]
    inside = sum(1 << a for a in atoms)
    reached = front = 1 << atoms[0]
    while front:
        front = sum({1 << b for a in atoms if front >> a & 1 for b in atoms if int(neighbours[a]) >> b & 1}) & ~reached
        reached |= front
    return reached == inside


def test_every_substructure_is_a_connected_part_of_the_right_mass(found: Explanation) -> None:
    for some in found.peaks:
        for one in some:
            assert connected(one.atoms)
            if one.precursor or one.isotope:
                continue
            calculated = formula_mass(one.elements) - ELECTRON_MASS
            assert one.mz == pytest.approx(calculated * (1 + one.ppm * 1e-6), abs=1e-6)
            assert abs(one.mz - calculated) <= max(15e-6 * one.mz, 0.0008) + 1e-9
            assert -3 <= one.hydrogens <= 5


def test_a_path_leads_from_the_whole_molecule_by_parts_of_parts(found: Explanation) -> None:
    for some in found.peaks:
        for one in some:
            steps = one.path
            assert steps[0].atoms == tuple(range(15))
            assert steps[0].loss == ""
            assert steps[-1].atoms == one.atoms
            for before, after in itertools.pairwise(steps):
                assert set(after.atoms) < set(before.atoms)
                assert connected(after.atoms)
                if "-" not in after.loss and before.formula[-1] == after.formula[-1] == "+":
                    lost = formula_mass(before.formula[:-1]) - formula_mass(after.formula[:-1])
                    assert lost == pytest.approx(formula_mass(after.loss), abs=1e-9)


def test_probabilities_of_a_peak_add_up_to_one_at_most(found: Explanation) -> None:
    for some, none in zip(found.peaks, found.unexplained, strict=True):
        assert 0 <= none <= 1
        assert sum(one.probability for one in some) + none <= 1 + 1e-9
        assert all(one.probability <= one.formula_probability + 1e-9 for one in some)
    dimethylcarbamoyl = found.peaks[1][0]
    assert (dimethylcarbamoyl.formula, dimethylcarbamoyl.probability > 0.5) == ("C3H6NO+", True)
    assert found.unexplained[5] == pytest.approx(1.0)
    assert not found.peaks[5]
    assert found.explained is not None
    assert found.explained > 0.7


def test_precursor_isotope_and_classes_are_told(found: Explanation) -> None:
    (precursor,) = found.peaks[6]
    assert precursor.precursor
    assert precursor.formula == "C10H14ClN2O2+"
    assert {c.name for c in precursor.classes} == {"urea", "methoxyarene"}
    isotope = next(one for one in found.peaks[4] if one.isotope)
    assert isotope.isotope == "37Cl"
    assert isotope.atoms == found.peaks[3][0].atoms
    assert [c.name for c in found.peaks[3][0].classes] == ["methoxyarene"]


def test_foreign_peaks_are_explained_less(found: Explanation) -> None:
    wrong = explain(SPECTRUM, OTHER)
    assert found.evidence.sum() > wrong.evidence.sum()
    assert wrong.share < found.share
    first = separating(found, wrong)[0]
    assert first["evidence"] > 0
    assert first["first"] > first["second"]


def test_symmetric_sets_of_atoms_are_one_substructure() -> None:
    urea = structure("CN(C)C(=O)N(C)C")
    half = PeakList([72.0444], [1.0], precursor_mz=117.1022, adduct="[M+H]+", ionmode="positive")
    first = explain(half, urea).peaks[0][0]
    assert first.formula == "C3H6NO+"
    assert first.equivalents == 2


def test_ions_keep_the_metal_of_their_adduct() -> None:
    sodium = formula_mass("C8H8NO2Na") - ELECTRON_MASS
    q = PeakList([sodium], [1.0], precursor_mz=251.0558, adduct="[M+Na]+", ionmode="positive")
    formulas = {one.formula for one in explain(q, structure("COc1ccc(C(=O)NCC(C)(C)O)cc1")).peaks[0]}
    assert "C8H8NNaO2+" in formulas


def test_a_molecule_too_large_to_be_broken_and_no_peaks_at_all_are_no_error() -> None:
    large = structure("C" * 140)
    q = PeakList([57.0704], [1.0], precursor_mz=500.0, adduct="[M+H]+")
    assert explain(q, large).peaks == ((),)
    empty = explain(replace(q, mz=np.empty(0), intensity=np.empty(0)), METOXURON)
    assert empty.peaks == ()
    assert empty.explained is None


def test_annotations_are_those_of_the_standards(found: Explanation) -> None:
    assert re.fullmatch(r"f\{C3H6NO\}/0\.\dppm\*0\.\d\d|f\{C3H6NO\}/-0\.\dppm\*[01]\.\d\d", mzpaf(found.peaks[1][0]))
    assert mzpaf(found.peaks[6][0]).startswith("p/")
    assert "[37Cl]" in mzpaf(next(one for one in found.peaks[4] if one.isotope))
    assert peak_annotation(found, 5) == "?"
    lines = list(mzspeclib([Explained("one\nname", found, licence="CC BY")], "library"))
    assert lines[0] == "<mzSpecLib>"
    peaks = lines[lines.index("<Peaks>") + 1 : -1]
    assert [float(line.split("\t")[0]) for line in peaks] == pytest.approx(SPECTRUM.mz.tolist(), abs=1e-6)
    assert not any("\n" in line for line in lines)
    assert "[2]MS:1003276|other attribute value=CC BY" in lines
    plain = json.loads(json.dumps(to_json([Explained("one", found)])))
    assert plain[0]["peaks"][1]["substructures"][0]["path"][-1]["peak"] == 1


def items() -> list[Measurement]:
    return [
        Measurement(replace(SPECTRUM, identifier=f"spectrum {n}"), METOXURON, "msms", licence="CC BY", contributor="A")
        for n in range(3)
    ]


def test_the_page_shows_atoms_without_running_anything(found: Explanation) -> None:
    text = render_report([Explained("<script>x</script>", found, (explain(SPECTRUM, OTHER),))])
    assert "<script" not in text
    assert not re.search(r"url\(|@import|\son\w+=|src=", text)
    assert text.count('class="halo h1"') >= 1  # the other structure explains the peak less
    assert "#s1-1:has(.p1:is(:hover, :focus)) .h1 { opacity: 1; }" in text
    assert '<g class="known p1" tabindex="0"' in text
    assert "peaks that speak for this structure against" in text
    # Peaks of the predicted spectrum are counted on after the seven measured ones, and show their atoms too.
    assert '<g class="known p7" tabindex="0"' in text
    assert 'class="halo h7"' in text
    assert "predicted m/z" in text
    assert "root cosine with the predicted spectrum" in text


def test_the_predicted_spectrum_knows_its_ions(found: Explanation) -> None:
    peaks = predicted_peaks(found.fragments, METOXURON, SPECTRUM)
    assert [one.mz for one in peaks] == sorted(one.mz for one in peaks)
    assert max(one.height for one in peaks) == pytest.approx(1.0)
    assert peaks[-1].formula == "[M+H]+"
    carbamoyl = next(one for one in peaks if one.mz == pytest.approx(72.0444, abs=1e-3))
    assert (carbamoyl.formula, carbamoyl.smiles) == ("C3H6NO+", "CN(C)C=O")
    for one in peaks[:-1]:
        assert not one.atoms or one.mz == pytest.approx(formula_mass(one.formula[:-1]) - ELECTRON_MASS, abs=1e-6)


def test_what_cannot_be_explained_is_said_and_the_rest_goes_on() -> None:
    some = [ReadError(Path("a.mgf"), "no peaks"), replace(items()[0], structure=None), items()[1]]
    explained, problems = explain_all(some, ())
    assert [one.found.spectrum.identifier for one in explained] == ["spectrum 1"]
    assert len(problems) == 2
    assert "give one with --structure" in problems[1]
    with pytest.raises(ConfigError, match="--structure"):
        read_structures(["C1CC"])


MGF = """BEGIN IONS
TITLE=metoxuron
PEPMASS=229.07383
ADDUCT=[M+H]+
IONMODE=positive
COLLISION_ENERGY=20 eV
INSTRUMENT_TYPE=ESI-QTOF
SMILES=COc1ccc(NC(=O)N(C)C)cc1Cl
LICENSE=CC BY
46.0651245 46
72.044387 100
156.021072 5
END IONS
"""


def test_the_command_writes_what_its_options_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a.mgf"
    source.write_text(MGF, encoding="utf-8")
    library, page = tmp_path / "a.mzSpecLib.txt", tmp_path / "a.html"
    command([source], structure=None, ppm=10.0, top=3, write=library, report=page)
    assert "C3H6NO+" in capsys.readouterr().out
    assert "f{C3H6NO}" in library.read_text(encoding="utf-8")
    assert page.is_file()
    with output.asked(json=True):
        command([source], structure=[METOXURON.smiles, OTHER.smiles], ppm=10.0, top=1, write=tmp_path / "a.json")
    assert json.loads(capsys.readouterr().out)[0]["separating"]
    with pytest.raises(WriteError, match=r"\.mzSpecLib\.txt"):
        command([source], write=tmp_path / "a.csv", ppm=10.0, top=1)
    source.write_text(MGF.replace("SMILES", "IGNORED"), encoding="utf-8")
    with pytest.raises(typer.Exit):
        command([source], ppm=10.0, top=1)
    with pytest.raises(ConfigError, match="--output"):
        command(None, collection=source)


def test_a_collection_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "a.mgf", tmp_path / "out.parquet"
    source.write_text(MGF * 3, encoding="utf-8")
    monkeypatch.setattr(collection, "PIECE", 1)
    done: list[int] = []

    def interrupt(number: int, total: int) -> None:
        done.append(number)
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain_collection(source, target, progress=interrupt)
    assert not target.exists()
    with pytest.raises(ConfigError, match="pieces of another"):
        explain_collection(source, target, Choice(most=1))
    explained = collection.explain
    made: list[str | None] = []

    def counted(spectrum: PeakList, *arguments: object, **options: object) -> Explanation:
        made.append(spectrum.identifier)
        return explained(spectrum, *arguments, **options)

    monkeypatch.setattr(collection, "explain", counted)
    summary = explain_collection(source, target)
    assert len(made) == 1
    assert (summary.spectra, summary.compounds, summary.peaks, summary.licences) == (3, 1, 9, {"CC BY": 3})
    table = pq.read_table(target).to_pylist()
    assert len(table) == summary.rows
    first = next(row for row in table if row["mz"] == pytest.approx(72.044387) and row["rank"] == 1)
    assert (first["formula"], first["licence"], first["path_peaks"][-1]) == ("C3H6NO+", "CC BY", 1)
    assert first["path"][-1].endswith(">C3H6NO+")
    assert [p.name for p in tmp_path.iterdir() if "pieces" in p.name] == []
    card = target.with_suffix(".md").read_text(encoding="utf-8")
    assert "| CC BY | 3 |" in card
    assert all(f"| {what} | {figure} |" in card for what, figure in collection.MEASURED.items())
    with pytest.raises(ReadError, match="names its structure"):
        explain_collection(source, tmp_path / "b.parquet", Choice(fold="test"))


def test_the_card_of_a_collection_counts_what_its_reader_leaves_out(tmp_path: Path) -> None:
    table_file(tmp_path / "a.parquet")  # of three rows one is of low resolution
    summary = explain_collection(tmp_path / "a.parquet", tmp_path / "out.parquet")
    assert summary.left_out["of low resolution (is_high_res)"] == 1
    assert "- of low resolution (is_high_res): 1" in (tmp_path / "out.md").read_text(encoding="utf-8")


def test_the_model_learns_to_tell_own_peaks_from_foreign_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    strange = PeakList(rng.uniform(50, 220, 20), np.ones(20), ionmode="positive")
    formulas = {72.044387: "C3H6NO", 156.021072: "C7H7ClNO", 46.0651245: "C2H8N", 73.052215: "C3H7NO"}
    examples = []
    for _ in range(8):
        q, foreign = with_foreign(SPECTRUM, [strange], 7, rng)
        assert foreign.sum() == 7
        examples.append(make_example(q, METOXURON, formulas, foreign))
    model, losses = learn(examples, examples, epochs=6, batch=4)
    assert losses[-1] < losses[0]
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    own, other = (explain(SPECTRUM, METOXURON, model=m) for m in (model, again))
    np.testing.assert_allclose(own.unexplained, other.unexplained, atol=1e-5)
    assert own.peaks[1][0].formula == "C3H6NO+"
    with pytest.raises(TrainingError, match="0 spectra"):
        learn([], examples)


def test_how_much_predictions_count_is_learned_from_structures_that_are_to_be_told_apart() -> None:
    q, foreign = with_foreign(SPECTRUM, [PeakList(np.linspace(50, 220, 20), np.ones(20))], 7, np.random.default_rng(0))
    plain = FragmentModel({**shipped_model().weights, **without_prediction()})
    judged = judge(look(q, METOXURON), q, {72.044387: "C3H6NO", 156.021072: "C7H7ClNO"}, foreign)
    assert judged.counts.sum() >= judged.right.any()
    contrast = Contrast(roots_below(SPECTRUM), [look(SPECTRUM, one) for one in (METOXURON, OTHER)])
    learned = weigh(plain, [judged], [contrast])

    def gap(model: FragmentModel) -> float:
        right, wrong = (explain(SPECTRUM, one, model=model).evidence for one in (METOXURON, OTHER))
        return float(roots_below(SPECTRUM) @ (right - wrong))

    assert gap(learned) > gap(plain)
    assert all(np.array_equal(learned.weights[name], plain.weights[name]) for name in ("out", "none", "bonds"))
    with pytest.raises(TrainingError, match="0 with wrong structures"):
        weigh(plain, [judged], [])


def test_damaged_weights_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(BundleError, match="damaged"):
        load_model(path)
    weights = {name: array for name, array in shipped_model().weights.items() if name != "out"}
    with pytest.raises(BundleError, match="out must be of shape"):
        type(shipped_model())(weights)
