"""`molvis translation train`, `molvis translate`, and a library search with translations."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import typer
from translation_samples import UNSEEN, measurements, spectrum

from molvis_core import output
from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.records import Measurement
from molvis_msms.commands import translation as commands
from molvis_msms.commands.search import search
from molvis_msms.commands.translate import NOTHING_TRANSLATED, translate
from molvis_msms.readers.mgf import read_mgf
from molvis_msms.references.index import References
from molvis_msms.references.search import read_spectra
from molvis_msms.translation import training
from molvis_msms.translation.learning import Recipe
from molvis_msms.translation.run import find_translation
from molvis_msms.writers import write_mgf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translation that was trained by the command, with a higher learning rate, as it sees so few spectra."""
    place = tmp_path_factory.mktemp("translation")
    write_mgf(place / "train.mgf", measurements(range(UNSEEN)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Recipe", lambda epochs, stop: Recipe(epochs=epochs, stop=stop, rate=6e-3))
        commands.train([place / "train.mgf"], place / "made", fold="train", epochs=30, min_compounds=3)
    return place / "made"


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    write_mgf(tmp_path / "queries.mgf", measurements([UNSEEN]))
    return tmp_path / "queries.mgf"


def test_training_states_what_it_learned_from(folder: Path) -> None:
    assert not folder.with_name("made.checkpoint").exists(), "nothing is left to go on from"
    about = commands_about(folder)
    assert (about["compounds"], about["spectra"], about["licences"]) == (UNSEEN, 4 * UNSEEN, {"CC0": 4 * UNSEEN})
    assert about["sources"] == ["train.mgf"]
    with pytest.raises(BundleError, match="exists"):
        commands.train([folder.parent / "train.mgf"], folder)


def commands_about(folder: Path) -> dict[str, object]:
    from molvis_msms.translation.translator import Translator

    return dict(Translator.open(folder).about)


def test_training_needs_compounds_at_several_settings(tmp_path: Path) -> None:
    write_mgf(tmp_path / "few.mgf", measurements([0, 1]))
    with pytest.raises(TrainingError, match="2 compounds have two spectra of one ion"):
        commands.train([tmp_path / "few.mgf"], tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_spectra_are_translated_and_written(
    folder: Path, queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mgf"
    translate([queries], ["40", "60 eV"], "qtof", out=out, translation=str(folder), report=tmp_path / "page.html")
    shown = capsys.readouterr().out
    assert "10 eV, QTOF" in shown
    written = [m for m in read_mgf(out) if isinstance(m, Measurement)]
    assert [m.record.collision_energy for m in written] == 4 * [40.0, 60.0]
    assert written[0].source == "translated by molvis from 10 eV, QTOF"
    assert written[0].structure is not None
    assert written[0].structure.smiles == next(measurements([UNSEEN])).structure.smiles
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('<svg class="mirror"') == 8 + 6, "a translation to where a query was measured itself has no check"
    assert "measured there" in page


def test_agreement_with_what_was_measured_is_reported(
    folder: Path, queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with output.asked(json=True):
        translate([queries], ["60"], translation=str(folder), json_file=tmp_path / "out.json")
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "out.json").read_text())
    assert [one["energy"] for one in found] == [60.0] * 4
    assert found[3]["root_cosine_to_measured"] is None, "a spectrum is no check of itself"
    gained = [one["root_cosine_to_measured"] - one["root_cosine_of_copy"] for one in found[:2]]
    assert min(gained) > 0.05
    assert max(height for _, height in found[0]["peaks"]) == 1


def test_what_cannot_be_translated_is_reported(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "BEGIN IONS\nTITLE=one peak\nPEPMASS=150.0\n100.0 1\nEND IONS\n"
    (tmp_path / "bad.mgf").write_text(text)
    with pytest.raises(typer.Exit) as stopped:
        translate([tmp_path / "bad.mgf"], ["40"], translation=str(folder))
    assert stopped.value.exit_code == NOTHING_TRANSLATED
    assert "not translated: one peak: it has fewer than two peaks" in capsys.readouterr().err


def test_what_makes_no_sense_is_refused(folder: Path, queries: Path) -> None:
    name = str(folder)
    with pytest.raises(ConfigError, match="nothing to translate to"):
        translate([queries], translation=name)
    with pytest.raises(ConfigError, match="no instrument class is like 'bathtub'"):
        translate([queries], ["40"], "bathtub", translation=name)
    with pytest.raises(ConfigError, match="write a positive number"):
        translate([queries], ["hot"], translation=name)
    with pytest.raises(ConfigError, match="give one of them"):
        translate([queries], ["40"], translation=name, structure="C", formula="CH4")
    with pytest.raises(ConfigError, match="molvis translation train"):
        find_translation("nowhere")


def test_a_search_with_translations_finds_a_compound_at_another_energy(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stranger of the same m/z was measured at the query's energy, the compound itself at another one only."""
    query, *_, other = measurements([UNSEEN])
    known = spectrum(UNSEEN, 10.0)
    mixed = dataclasses.replace(known, mz=known.mz[-2:], intensity=known.intensity[-2:], identifier="stranger")
    stranger = dataclasses.replace(next(measurements([0])), record=mixed)
    References.of([other, stranger], tmp_path / "refs")
    write_mgf(tmp_path / "query.mgf", [query])
    assert len(read_spectra(tmp_path / "query.mgf")) == 1
    scores: list[float] = []
    for asked in (False, True):
        with output.asked(json=True):
            search([tmp_path / "query.mgf"], tmp_path / "refs", translate=asked, translation=str(folder))
        hits = json.loads(capsys.readouterr().out)[0]["hits"]
        scores.append(next(hit["score"] for hit in hits if hit["reference"] == other.record.identifier))
    assert scores[1] > scores[0] + 0.1
    with output.asked(json=True), pytest.raises(typer.Exit):
        search(
            [tmp_path / "query.mgf"], tmp_path / "refs", translate=True, translation=str(folder),
            precursor_tolerance="none",
        )  # fmt: skip
    assert "needs a tolerance of the precursor" in json.loads(capsys.readouterr().out)[0]["problem"]
