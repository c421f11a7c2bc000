"""Spectra predicted from structures: entries of the ladder, the network, learning, and what comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import ELECTRON_MASS, formula_mass
from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.records import PeakList, Structure
from molvis_core.testing import RecordPredictorContract, synthetic_structures
from molvis_msms.forward.batches import collate, measure
from molvis_msms.forward.ladder import Strays, Tolerance, ladder, within
from molvis_msms.forward.learning import Example, Recipe, by_compound, learn, unlike
from molvis_msms.forward.losses import agreement
from molvis_msms.forward.model import ForwardModel, Shape
from molvis_msms.forward.network import ForwardNetwork
from molvis_msms.forward.pieces import pieces
from molvis_msms.forward.predictor import SpectrumPredictor
from molvis_msms.forward.remembered import Remembered
from molvis_msms.forward.settings import Setting, instrument_class
from molvis_msms.forward.strays import Unexplained, find_strays, unexplained

PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"
PHENOL_ION = formula_mass("C6H8NO") - ELECTRON_MASS
"""m/z of the aminophenol ion, the highest of protonated paracetamol."""


def spectrum(peaks: dict[float, float], energy: float = 20.0, adduct: str = "[M+H]+") -> PeakList:
    return PeakList(
        np.array(sorted(peaks)), np.array([peaks[mz] for mz in sorted(peaks)]), adduct=adduct, collision_energy=energy,
        instrument_type="LC-ESI-QTOF",
    )  # fmt: skip


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """Amides that give the ion of their amine, at 40 eV with little of the precursor left and at 10 eV with much."""
    made = []
    for smiles, ion in ((PARACETAMOL, "C6H8NO"), ("CC(=O)Nc1ccccc1", "C6H8N"), ("CCC(=O)Nc1ccc(C)cc1", "C7H10N")):
        known = structure(smiles)
        ions = ion_mz(known.exact_mass, "[M+H]+"), formula_mass(ion) - ELECTRON_MASS
        pairs = ((10.0, (1.0, 0.1)), (40.0, (0.05, 1.0)))
        made.append(
            Example(known, tuple(spectrum(dict(zip(ions, heights, strict=True)), energy) for energy, heights in pairs))
        )
    return made


@pytest.fixture(scope="module")
def model(examples: list[Example]) -> ForwardModel:
    recipe = Recipe(width=16, layers=1, parts=40, strays=0, epochs=25, batch=3, dropout=0.0, learning_rate=2e-2)
    return learn(examples, examples, recipe, seed=1)


def test_the_ladder_holds_parts_with_their_hydrogens_and_no_ion_above_the_precursor() -> None:
    one = ladder(pieces(PARACETAMOL), Setting("[M+H]+"))
    assert one.peaks[-1] == pytest.approx(one.precursor_mz)
    for formula in ("C6H8NO", "C2H3O", "C8H8NO"):
        assert np.abs(one.peaks - formula_mass(formula) + ELECTRON_MASS).min() < 1e-6
    negative = ladder(pieces(PARACETAMOL), Setting("[M-H]-"))
    assert np.abs(negative.peaks - formula_mass("C6H6NO") - ELECTRON_MASS).min() < 1e-6


def test_a_fragment_of_a_sodium_adduct_may_keep_the_metal() -> None:
    one = ladder(pieces(PARACETAMOL), Setting("[M+Na]+"))
    kept = formula_mass("C6H7NONa") - ELECTRON_MASS
    assert np.abs(one.peaks - kept).min() < 1e-6
    assert one.shape[1] == 2


def test_peaks_are_paired_with_all_groups_within_the_tolerance() -> None:
    peak, group = within(np.array([100.0, 100.004, 200.0]), np.array([100.001, 150.0, 200.003]), Tolerance(20, 0.005))
    assert list(zip(peak.tolist(), group.tolist(), strict=True)) == [(0, 0), (0, 1), (2, 2)]


def test_a_molecule_is_predicted_the_same_alone_and_among_larger_ones() -> None:
    torch.manual_seed(0)
    network = ForwardNetwork(8, 2).eval()
    small, large = pieces("CC(N)C(=O)O", 50), pieces("CN(C)CCCN1c2ccccc2Sc2ccc(Cl)cc21", 300)
    setting = Setting("[M+H]+", 20.0, "LC-ESI-QTOF")
    alone = network(collate([small], [[setting]])).exp()
    both = network(collate([small, large], [[setting], [setting, Setting("[M+Na]+")]])).exp()
    assert float(both[0, -1].detach()) == pytest.approx(float(alone[0, -1].detach()), rel=1e-4)
    assert both.sum(1).detach().numpy() == pytest.approx(np.ones(3), abs=1e-4)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    strays = Strays(np.array([55.0, 18.01]), np.array([False, True]), np.array([1, 1]))
    network = ForwardNetwork(8, 1, len(strays))
    batch = collate([pieces(PARACETAMOL, 80)], [[Setting(), Setting("[M+Na]+")]], strays)
    measured = measure(batch, [spectrum({PHENOL_ION: 1.0, 77.77: 0.1}), spectrum({PHENOL_ION: 1.0})], Tolerance())
    entropy, cosine = agreement(network(batch), batch, measured)
    (entropy - cosine).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_cosine_is_one_where_the_predicted_shares_are_those_measured() -> None:
    batch = collate([pieces(PARACETAMOL, 80)], [[Setting()]])
    one = batch.ladders[0]
    measured = measure(batch, [spectrum({one.precursor_mz: 4.0, PHENOL_ION: 1.0})], Tolerance())
    log_shares = torch.full((1, batch.possible.shape[1] + 1), -50.0)
    log_shares[0, -2] = float(np.log(2 / 3))
    log_shares[0, int(np.abs(one.mz - PHENOL_ION).argmin())] = float(np.log(1 / 3))
    entropy, cosine = agreement(log_shares, batch, measured)
    assert float(cosine[0]) == pytest.approx(1, abs=1e-5)
    assert float(entropy[0]) == pytest.approx(-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)), abs=1e-5)


def test_strays_are_what_several_compounds_have_and_no_part_explains() -> None:
    made = pieces(PARACETAMOL)
    found = unexplained(made, [spectrum({PHENOL_ION: 1.0, 60.3: 1.0})], Tolerance())
    assert found.mz.tolist() == [60.3]
    shared = Unexplained(np.array([60.3, 81.1]), np.array([91.7, 70.9]), np.array([0.02, 0.01]), np.array([1, 1]))
    strays = find_strays([found, shared, shared], most=10, least=3)
    assert (strays.mz.round(3).tolist(), strays.loss.tolist(), strays.sign.tolist()) == ([60.3], [False], [1])


def test_spectra_of_one_compound_that_are_drawn_together_are_unlike() -> None:
    some = [spectrum({100.0: 1.0}, energy) for energy in (21.0, 22.0, 40.0)]
    energies = sorted(one.collision_energy or 0 for one in unlike(some, 5, np.random.default_rng(0)))
    assert energies[1] == 40
    assert len(energies) == 2


def test_it_learns_that_the_amine_is_seen_and_at_which_energy(model: ForwardModel) -> None:
    known = structure(PARACETAMOL)
    low, high = model.spectra([known], [[Setting(energy=10.0), Setting(energy=40.0)]])[0]
    precursor = ion_mz(known.exact_mass, "[M+H]+")
    assert low.mz[low.intensity.argmax()] == pytest.approx(precursor)
    assert high.mz[high.intensity.argmax()] == pytest.approx(PHENOL_ION)
    assert model.figures["val_cosine"] > 0.9


def test_fragments_are_probabilities_of_parts_with_their_hydrogens(model: ForwardModel) -> None:
    (one,) = model.fragments(structure(PARACETAMOL), [Setting(energy=40.0)])
    total = one.probability.sum() + one.stray_probability.sum() + one.precursor + one.elsewhere
    assert total == pytest.approx(1, abs=1e-5)
    part, form, shift = np.unravel_index(one.probability.argmax(), one.probability.shape)
    assert one.mz[part, form, shift] == pytest.approx(PHENOL_ION)
    assert one.parts.sets[part, 0] == sum(1 << atom for atom in range(3, 11))
    # The aminophenoxy part carries five hydrogens and the nitrogen's: one more, besides the charge's, makes the ion.
    assert shift - 4 == 1


def test_what_is_remembered_of_molecules_predicts_what_the_model_does(model: ForwardModel) -> None:
    some = [structure(smiles) for smiles in (PARACETAMOL, "CCO", "CCC(=O)Nc1ccc(C)cc1")]
    remembered = Remembered(model, 30)
    for setting in (Setting("[M+H]+", 20.0), Setting("[M+Na]+", 40.0), Setting("[M+H]+", 10.0)):
        batch = collate([pieces(one.smiles, 30) for one in some], [[setting]] * 3, model.strays)
        for (one, shares), (rungs, wanted) in zip(remembered(some, setting), model.peaks(batch), strict=True):
            np.testing.assert_array_equal(one.peaks, rungs.peaks)
            np.testing.assert_allclose(shares, wanted, rtol=1e-4, atol=1e-7)
    (again,) = Remembered(model, 30)(some[:1], Setting("[M+H]+", 10.0))
    first, *_ = remembered(some, Setting("[M+H]+", 10.0))
    np.testing.assert_allclose(again[1], first[1], rtol=1e-5)


def test_a_saved_model_predicts_the_same_and_a_damaged_one_is_refused(model: ForwardModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = ForwardModel.load(tmp_path)
    known = structure(PARACETAMOL)
    a, b = (m.spectra([known], [[Setting(energy=40.0)]])[0][0] for m in (model, again))
    assert a.mz == pytest.approx(b.mz)
    assert a.intensity == pytest.approx(b.intensity)
    (tmp_path / "forward.safetensors").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="no forward model, or damaged"):
        ForwardModel.load(tmp_path)


def test_an_interrupted_training_ends_as_an_undisturbed_one(examples: list[Example], tmp_path: Path) -> None:
    recipe = Recipe(networks=2, width=8, layers=1, parts=40, strays=5, epochs=2, batch=2)
    whole = learn(examples, examples, recipe)

    class Stop(Exception):
        pass

    for network in (1, 2):  # in the second epoch of each

        def stop(done: int, total: int, what: str = "", network: int = network) -> None:
            if what == f"training network {network}" and done == 2:
                raise Stop

        with pytest.raises(Stop):
            learn(examples, examples, recipe, folder=tmp_path, progress=stop)
    resumed = learn(examples, examples, recipe, folder=tmp_path)
    assert resumed.figures == pytest.approx(whole.figures, rel=1e-5)
    with pytest.raises(TrainingError, match="checkpoint is of other settings"):
        learn(examples, examples, Recipe(width=8, layers=1), folder=tmp_path)


def test_networks_of_a_model_differ_and_their_probabilities_are_averaged(examples: list[Example]) -> None:
    both = learn(examples, examples, Recipe(networks=2, width=8, layers=1, parts=40, strays=0, epochs=2, batch=2))
    setting = [Setting(energy=20.0)]
    known = structure(PARACETAMOL)
    every = [ForwardModel([one], both.strays, both.shape).fragments(known, setting)[0] for one in both.networks]
    assert abs(every[0].elsewhere - every[1].elsewhere) > 1e-3
    mean = both.fragments(known, setting)[0]
    assert mean.precursor == pytest.approx((every[0].precursor + every[1].precursor) / 2, rel=1e-5)
    np.testing.assert_allclose(mean.probability, (every[0].probability + every[1].probability) / 2, atol=1e-6)


def test_nothing_to_learn_from_is_an_error() -> None:
    assert by_compound([(structure("CCO"), PeakList([50.0], [0.0]))]) == []
    with pytest.raises(TrainingError, match="0 compounds to learn from"):
        learn([], [], Recipe())


@pytest.mark.parametrize(
    ("name", "kind"), [("LC-ESI-QTOF", 1), ("Orbitrap", 2), ("LC-ESI-ITFT", 3), (None, 0), ("LC-ESI-QQQ", 4)]
)
def test_instruments_are_classed_by_what_tells_their_spectra_apart(name: str | None, kind: int) -> None:
    assert instrument_class(name) == kind


class TestPredictor(RecordPredictorContract):
    @pytest.fixture
    def predictor(self, model: ForwardModel, tmp_path: Path) -> SpectrumPredictor:
        model.save(tmp_path)
        return SpectrumPredictor(adduct="[M+H]+,[M+Na]+", energy="10,40eV", path=str(tmp_path))

    def test_there_is_a_spectrum_for_each_adduct_and_energy(self, predictor: SpectrumPredictor) -> None:
        found = predictor.records(synthetic_structures(2))
        assert [(s.adduct, s.collision_energy) for s in found[1]] == [
            ("[M+H]+", 10), ("[M+H]+", 40), ("[M+Na]+", 10), ("[M+Na]+", 40),
        ]  # fmt: skip
        assert all(s.intensity.max() == 1 for s in found[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"energy": "fast"}, "energy 'fast' must be a positive number of eV"),
        ({"adduct": "[M+Q]+"}, "predictor msms: adduct"),
        ({"min_intensity": 1.5}, "min_intensity must be from 0 to below 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SpectrumPredictor(**arguments)


def test_an_atom_alone_and_a_large_molecule_have_their_precursor_at_least() -> None:
    torch.manual_seed(0)
    nothing = Strays(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64))
    model = ForwardModel([ForwardNetwork(8, 1)], nothing, Shape(8, 1, 50))
    large: Structure = structure("C" * 140)
    for spectra in model.spectra([structure("C"), large], [[Setting()], [Setting()]]):
        assert len(spectra[0]) >= 1
