"""The neural estimator as a fitter of studies: from a file to fluxes, as the classical fitter goes.

The estimator is not trained: what is tested here does not depend on how good its proposal is.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from test_fitting_contract import two_routes

from molvis_core import registry
from molvis_core.errors import RecordError
from molvis_core.records import Distribution
from molvis_files.documents import to_plain
from molvis_files.fitting import fit_summary, open_fitter, write_fit
from molvis_files.priors import read_prior
from molvis_flux.errors import EstimatorError
from molvis_flux.formats.writers import write_study
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Datum, Experiment, Study, Tracer
from molvis_flux.neural.estimator import (
    Estimator,
    Settings,
    load_estimator,
    make_model,
    measurements,
    save_estimator,
)
from molvis_flux.neural.fitter import NeuralFluxes
from molvis_flux.neural.transform import fit_copula
from molvis_flux.sampling.prior import sample
from molvis_flux.space.flux_space import flux_space

SD = 0.02
TRUTH = {"straight": 0.7, "turned": 0.3, "swap": 1.0, "mix": 1.0, "out": 2.0, "elsewhere": 1.0, "gone": 1.0}


def with_data(study: Study, *data: Datum) -> Study:
    """Its one experiment with these data."""
    (experiment,) = study.experiments
    return dataclasses.replace(study, experiments=(dataclasses.replace(experiment, data=data),))


SPLIT = Datum("straight", "net", (0.7,), (0.05,))


def routes() -> Study:
    """The network of two routes, with the elements of its fragments as a file has them."""
    study = two_routes()
    fragments = {
        name: dataclasses.replace(fragment, elements=("C",) * len(fragment.parts[0][2]))
        for name, fragment in study.network.fragments.items()
    }
    return dataclasses.replace(study, network=dataclasses.replace(study.network, fragments=fragments))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An estimator for a network in which the split of A is measured too, its weights as they were drawn."""
    study, settings = with_data(routes(), SPLIT), Settings(width=16, depth=1, components=2)
    plan, space = compile_plan(study.network, study.experiments), flux_space(study.network)
    parts = measurements(study, plan, settings.noise)
    copula = fit_copula(space, sample(space, 1000, seed=0))
    size, free = parts[-1].stop, tuple(space.parameters[row] for row in space.free)
    network = make_model(parts, len(copula), settings)
    folder = tmp_path_factory.mktemp("neural") / "model"
    save_estimator(Estimator(study, settings, copula, network, np.zeros(size), np.ones(size), free), folder)
    return folder


@pytest.fixture(scope="module")
def mids() -> tuple[Datum, ...]:
    """Distributions at the true fluxes."""
    study = routes()
    plan = compile_plan(study.network, study.experiments)
    net, exchange = np.array([[*TRUTH.values()]]), np.array([[0.8 * (r == "swap") for r in TRUTH]])
    found = plan.simulate(net, exchange)[0]
    return tuple(
        Datum(slot.fragment, "mid", tuple(found[slot.start : slot.stop].tolist()), (SD,) * (slot.stop - slot.start))
        for slot in plan.layout
    )


def records(mids: Sequence[Datum]) -> list[Distribution]:
    return [Distribution(np.array(d.values), np.array(d.sd), d.target) for d in mids]


def test_a_study_is_fitted_as_its_distributions_are(model: Path, mids: tuple[Datum, ...]) -> None:
    fitter = NeuralFluxes(model, draws=300)
    study = with_data(routes(), *mids)
    one, other = (fitter.fit(given, fitter.prior(given), seed=1) for given in ([study], records(mids)))
    assert one.names == other.names
    assert one.samples is not None
    assert other.samples is not None
    np.testing.assert_array_equal(one.samples, other.samples)
    (simulated,) = one.simulated
    for datum, distribution in zip(simulated.experiments[0].data, other.simulated, strict=True):
        np.testing.assert_array_equal(datum.values, distribution.fractions)


def test_measured_fluxes_of_its_study_count_beside_the_records(
    model: Path, mids: tuple[Datum, ...], tmp_path: Path
) -> None:
    whole = with_data(routes(), *mids, SPLIT)
    write_study(tmp_path / "fluxes.toml", with_data(routes(), SPLIT))
    built = registry.build(
        "fitter", {"use": "flux-neural", "model": str(model), "study": str(tmp_path / "fluxes.toml"), "draws": 300}
    )
    found = built.fit(records(mids), built.prior(records(mids)), seed=1)
    alone = NeuralFluxes(model, draws=300)
    expected = alone.fit([whole], alone.prior([whole]), seed=1)
    np.testing.assert_array_equal(found.samples, expected.samples)
    (simulated,) = expected.simulated
    flux = simulated.experiments[0].data[-1]
    assert (flux.target, flux.kind, flux.sd) == ("straight", "net", (0.05,))
    assert 0.4 < flux.values[0] < 1.0


def test_a_file_of_a_study_is_fitted_by_name_with_a_prior(model: Path, mids: tuple[Datum, ...], tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    write_study(file, with_data(routes(), *mids))
    fitter, read = open_fitter("flux-neural", [file], [f"model={json.dumps(str(model))}", "draws=300"])
    given = [measurement.record for measurement in read]
    usual = fitter.prior(given)
    name = next(n for n in usual if n in ("net/straight", "net/turned"))
    (tmp_path / "prior.toml").write_text(f'["{name}"]\nmean = {TRUTH[name[4:]]}\nsd = 0.001\n')
    wide = {p.name: p.sd for p in fit_summary(fitter.fit(given, usual)).parameters}
    summary = fit_summary(fitter.fit(given, read_prior(tmp_path / "prior.toml", usual)))
    found = {p.name: p for p in summary.parameters}
    assert found.keys() == usual.keys()
    assert found[name].value == pytest.approx(TRUTH[name[4:]], abs=0.005)
    assert found[name].sd < 0.5 * wide[name]
    write_fit(tmp_path / "fit.json", summary)
    assert len(json.loads((tmp_path / "fit.json").read_text())["parameters"]) == len(usual)


def test_a_study_of_another_network_or_tracer_is_refused(model: Path, mids: tuple[Datum, ...]) -> None:
    study = with_data(routes(), *mids)
    reactions = {name: r for name, r in study.network.reactions.items() if name != "gone"}
    smaller = dataclasses.replace(study, network=dataclasses.replace(study.network, reactions=reactions))
    with pytest.raises(EstimatorError, match="'gone' is absent here"):
        NeuralFluxes(model).prior([smaller])
    fed = Experiment("one", {"A": Tracer((("111", 1.0),))}, mids)
    with pytest.raises(EstimatorError, match="the tracer of 'A'"):
        NeuralFluxes(model, study=dataclasses.replace(study, experiments=(fed,))).prior(records(mids))
    fitter = NeuralFluxes(model, study=study)
    with pytest.raises(RecordError, match="a Distribution or a Study, got a str"):
        fitter.prior(["B"])
    assert "the only record" in fitter.fit([study], fitter.prior([study])).problem


def test_a_failed_fit_keeps_its_prior(model: Path, mids: tuple[Datum, ...]) -> None:
    fitter = NeuralFluxes(model)
    prior = fitter.prior([])
    found = fitter.fit([], prior)
    assert "at least one fragment" in found.problem
    assert found.names == tuple(prior)
    assert np.isfinite(found.covariance).all()
    low, high = found.interval(0.5).T
    assert (low < high).all()


def test_an_estimator_that_called_its_ensemble_walkers_opens(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = load_estimator(model)
    monkeypatch.setattr(
        "molvis_flux.neural.estimator.to_plain",
        lambda settings: {k.replace("ensemble_cases", "walked"): v for k, v in to_plain(settings).items()},
    )
    factors = np.full((5, len(fresh.space.parameters)), 1.5)
    save_estimator(dataclasses.replace(fresh, calibration={"walkers/0.9": factors}), tmp_path / "old")
    found = load_estimator(tmp_path / "old")
    assert found.settings == fresh.settings
    np.testing.assert_array_equal(found.calibration["ensemble/0.9"], factors)
