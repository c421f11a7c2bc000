"""Translation of spectra between settings: sub-formulas, settings, tokens, the network and what it learns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from translation_samples import ENERGIES, UNSEEN, measurements, spectrum

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.errors import BundleError, ConfigError, RecordError, TrainingError
from molvis_core.records import PeakList
from molvis_msms.references.similarity import Similarity
from molvis_msms.translation.corpus import Ion, by_compound, ions_of, vocabulary_of
from molvis_msms.translation.formulas import ELEMENTS, MASSES, hill, ion_atoms, ion_mass, sub_formulas
from molvis_msms.translation.learning import Lesson, Recipe, learn
from molvis_msms.translation.settings import (
    INSTRUMENTS,
    SETTINGS,
    Settings,
    energy_in_ev,
    instrument_class,
    named_instrument,
)
from molvis_msms.translation.tokens import Choices, tokens
from molvis_msms.translation.translator import FILE, FOLDER, Request, Translator
from molvis_msms.translation.vocabulary import Vocabulary, nearest
from molvis_nn.loop import Checkpoint

COSINE = Similarity()


@pytest.fixture(scope="module")
def ions() -> list[Ion]:
    return ions_of(measurements(range(UNSEEN)))


@pytest.fixture(scope="module")
def vocabulary(ions: list[Ion]) -> Vocabulary:
    return vocabulary_of(ions, min_compounds=3)


def small(vocabulary: Vocabulary) -> Translator:
    torch.manual_seed(0)
    return Translator.untrained(vocabulary, dim=32, table=16, layers=1)


@pytest.fixture(scope="module")
def trained(ions: list[Ion], vocabulary: Vocabulary) -> Translator:
    translator = small(vocabulary)
    learn(translator.network, Lesson(vocabulary, by_compound(ions)), Recipe(epochs=60, blind=0.0, rate=6e-3), seed=0)
    return translator


# Peaks of caffeine, MassBank EA030202: [M+H]+ and what it loses, with the formulas that the record states.
CAFFEINE = {195.0877: "C8H11N4O2", 138.0662: "C6H8N3O", 110.0713: "C5H8N3", 69.0447: "C3H5N2", 42.0338: "C2H4N"}


def test_peaks_get_the_sub_formulas_that_a_record_states() -> None:
    atoms = ion_atoms("C8H10N4O2", "[M+H]+")
    assert atoms is not None
    found = sub_formulas(np.array([*CAFFEINE, 100.5]), atoms, 1)
    assert [hill(one) for one in found[:-1]] == list(CAFFEINE.values())
    assert (found[-1] == -1).all(), "100.5 is the mass of no part of caffeine"


@pytest.mark.parametrize(
    ("adduct", "formula"),
    [("[M+H]+", "C6H7O"), ("[M-H]-", "C6H5O"), ("[M+Na]+", "C6H6NaO"), ("[M+NH4]+", "C6H10NO"), ("[M]+", "C6H6O"),
     ("[M+HCOO]-", "C7H7O3"), ("[M+H-H2O]+", "C6H5")],
)  # fmt: skip
def test_an_ion_has_the_atoms_and_the_mass_of_its_adduct(adduct: str, formula: str) -> None:
    atoms = ion_atoms("C6H6O", adduct)
    assert atoms is not None
    assert hill(atoms) == formula
    expected = ion_mz(float(ion_atoms("C6H6O", "[M]+") @ MASSES), adduct)
    assert ion_mass(atoms[None], 1 if adduct.endswith("+") else -1)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("formula", "adduct"), [("C6H6O", "[2M+H]+"), ("C6H6O", "[M-2H]2-"), ("C6H5Pt", "[M+H]+")])
def test_an_ion_that_cannot_be_taken_apart_has_no_atoms(formula: str, adduct: str) -> None:
    assert ion_atoms(formula, adduct) is None


def test_an_ion_of_too_many_atoms_gets_no_sub_formulas() -> None:
    atoms = ion_atoms("C200H300N50O60S5", "[M+H]+")
    assert atoms is not None
    assert (sub_formulas(np.array([138.0662]), atoms, 1) == -1).all()


def test_energies_are_read_in_ev_and_normalized() -> None:
    assert energy_in_ev("40", 300.0) == energy_in_ev(" 40 eV", 300.0) == 40
    assert energy_in_ev("30NCE", 250.0) == energy_in_ev("30%", 250.0) == 15
    for text in ("-5", "0", "much", "20-40"):
        with pytest.raises(ConfigError, match="write a positive number"):
            energy_in_ev(text, 300.0)


def test_instruments_have_classes() -> None:
    names = {"LC-ESI-QTOF": "QTOF", "LC-ESI-QFT": "Orbitrap", "Q Exactive": "Orbitrap", "LC-ESI-ITFT": "ion trap"}
    assert {name: instrument_class(name) for name in names} == names
    assert instrument_class(None) == instrument_class("GC-EI-Q") == "other"
    assert named_instrument("qtof") == "QTOF"
    with pytest.raises(ConfigError, match="Did you mean 'Orbitrap'"):
        named_instrument("Orbtrap")


def test_settings_that_are_not_known_are_marked_as_such() -> None:
    known, unknown = Settings(20.0, "QTOF").numbers(300.0), Settings(None).numbers(300.0)
    assert len(known) == len(unknown) == SETTINGS
    assert not unknown[: -1 - len(INSTRUMENTS)].any()
    assert np.abs(known - Settings(40.0, "QTOF").numbers(300.0)).max() > 0.5


def test_the_nearest_number_is_found_within_its_width() -> None:
    among = np.array([1.0, 2.0, 2.5])
    assert nearest(np.array([0.9, 1.6, 2.2, 9.0]), among, 0.35).tolist() == [0, -1, 1, -1]
    assert nearest(np.array([1.0]), np.empty(0), 1.0).tolist() == [-1]


def test_a_vocabulary_holds_what_several_compounds_share(vocabulary: Vocabulary) -> None:
    losses = {hill(vocabulary.atoms[i]) for i in vocabulary.sides[False, True]}
    assert {"", "H2O", "CO", "CH2O2"} <= losses
    assert not len(vocabulary.sides[True, False]), "no spectrum is of negative ions"
    assert (np.diff(vocabulary.mass[vocabulary.sides[False, True]]) >= 0).all()


def test_a_vocabulary_needs_compounds_that_share_something(ions: list[Ion]) -> None:
    with pytest.raises(TrainingError, match="shared by 50 compounds of the 9"):
        vocabulary_of(ions, min_compounds=50)


def test_places_are_measured_peaks_then_formulas_within_the_ion(vocabulary: Vocabulary, ions: list[Ion]) -> None:
    one = ions[0].spectra[0]
    free = tokens(one, vocabulary, Choices.of(vocabulary, negative=False), 60)
    known = tokens(one, vocabulary, Choices.of(vocabulary, negative=False, atoms=ions[0].atoms), 60)
    assert free.mz[: len(one)].tolist() == one.mz.tolist()
    assert (free.loss >= 0).all(), "every peak is the precursor less a common loss"
    assert len(known.formula) <= len(free.formula)
    assert ions[0].atoms is not None
    assert (vocabulary.atoms[known.formula] <= ions[0].atoms).all()
    assert (free.place[free.formula == free.loss[0]] < len(one)).all(), "a formula that was measured is at its peak"
    place, share = free.targets(ions[0].spectra[-1])
    assert share.sum() == pytest.approx(1)
    assert np.abs(free.mz[place] - ions[0].spectra[-1].mz).max() < 0.01


def test_an_untrained_translation_is_nearly_a_copy(vocabulary: Vocabulary) -> None:
    one = spectrum(0, 20.0)
    (made,) = small(vocabulary).translate([Request(one, Settings(60.0, "QTOF"))])
    assert COSINE(one, made).score > 0.97
    assert made.collision_energy == 60
    assert made.instrument_type == "LC-ESI-QTOF"
    assert made.precursor_mz == one.precursor_mz


def test_a_translation_learns_how_spectra_change_with_the_energy(trained: Translator) -> None:
    copied, made = [], []
    for source in ENERGIES:
        for target in ENERGIES:
            before, after = spectrum(UNSEEN, source), spectrum(UNSEEN, target)
            (found,) = trained.translate([Request(before, Settings(target, "QTOF"))])
            copied.append(COSINE(before, after).score)
            made.append(COSINE(found, after).score)
    assert np.mean(made) > 0.97 > 0.88 > np.mean(copied)


def test_peaks_that_were_not_measured_appear(trained: Translator) -> None:
    one, precursor = spectrum(UNSEEN, 60.0), spectrum(UNSEEN, 10.0).mz.max()
    assert one.mz.max() < precursor - 1, "at 60 eV nothing is left of the ion"
    (found,) = trained.translate([Request(one, Settings(10.0, "QTOF"), "C9H8O2")])
    assert found.mz[np.argmax(found.intensity)] == pytest.approx(precursor, abs=0.002)


def test_a_translation_is_the_same_alone_and_among_others(trained: Translator) -> None:
    asked = [Request(spectrum(n, 20.0), Settings(40.0, "QTOF")) for n in (1, 8, 5)]
    together, alone = trained.translate(asked), [trained.translate([one])[0] for one in asked]
    for one, other in zip(together, alone, strict=True):
        assert COSINE(one, other).score > 0.9999


def test_a_known_formula_keeps_out_what_is_no_part_of_it(trained: Translator) -> None:
    one = spectrum(UNSEEN, 40.0)
    (where, _), (limited, _) = trained.shares(
        [Request(one, Settings(20.0)), Request(one, Settings(20.0), "C9H8O2")]
    )  # fmt: skip
    assert len(limited) <= len(where)
    with pytest.raises(RecordError, match="formula or adduct cannot be read"):
        trained.translate([Request(one, Settings(20.0), "Xx3")])


def test_a_spectrum_without_precursor_or_peaks_is_refused(trained: Translator) -> None:
    one = spectrum(0, 20.0)
    for bare, why in (
        (dataclasses.replace(one, precursor_mz=None), "no precursor"),
        (PeakList(one.mz[:1], one.intensity[:1], one.precursor_mz), "fewer than two peaks"),
    ):
        with pytest.raises(RecordError, match=why):
            trained.translate([Request(bare, Settings(20.0))])


def test_a_translation_is_read_back_as_it_was_written(trained: Translator, tmp_path: Path) -> None:
    trained.save(tmp_path / "made", about={"compounds": 9})
    read = Translator.open(tmp_path / "made")
    asked = [Request(spectrum(3, 20.0), Settings(40.0, "QTOF"))]
    assert COSINE(read.translate(asked)[0], trained.translate(asked)[0]).score > 0.999
    assert read.about == {"compounds": 9}
    with pytest.raises(BundleError, match="exists"):
        trained.save(tmp_path / "made")
    content = bytearray((tmp_path / "made" / FILE).read_bytes())
    content[-1] ^= 1
    (tmp_path / "made" / FILE).write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        Translator.open(tmp_path / "made")
    (tmp_path / "made" / FOLDER.file).unlink()
    with pytest.raises(BundleError, match="molvis translation train"):
        Translator.open(tmp_path / "made")


def test_an_interrupted_training_ends_where_an_undisturbed_one_does(
    ions: list[Ion], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    lesson, recipe = Lesson(vocabulary, by_compound(ions)), Recipe(epochs=3)
    whole = small(vocabulary).network
    learn(whole, lesson, recipe, seed=1)

    class Stop(Exception):
        pass

    def stop(done: int, value: float) -> None:
        if done == 2:
            raise Stop

    checkpoint = Checkpoint(tmp_path / "checkpoint", "toy")
    checkpoint.due = lambda seconds: True
    with pytest.raises(Stop):
        learn(small(vocabulary).network, lesson, recipe, seed=1, checkpoint=checkpoint, progress=stop)
    resumed = small(vocabulary).network
    learn(resumed, lesson, recipe, seed=1, checkpoint=checkpoint)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_elements_stand_in_the_order_that_is_written() -> None:
    """A folder keeps counts of atoms by place: a new element goes to the end, with a new format."""
    assert ELEMENTS == ("C", "H", "N", "O", "S", "P", "F", "Cl", "Br", "I", "Si", "Na", "K", "B", "Se")
