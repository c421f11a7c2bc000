"""The neural estimator: what it learns, how it is kept, what it refuses, and that its posterior is the posterior."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from small_estimator import SMALL, measured, model, study
from typer.testing import CliRunner

from molvis_core import output
from molvis_core.errors import BundleError, MolvisError, TrainingError
from molvis_core.fitting import Fixed, Normal
from molvis_core.records import Distribution
from molvis_core.testing import FitterContract
from molvis_flux.commands.estimate import estimate as estimate_command
from molvis_flux.commands.train import train as train_command
from molvis_flux.errors import EstimatorError
from molvis_flux.model.network import Datum, Fragment, Study, Tracer
from molvis_flux.neural import inference
from molvis_flux.neural.calibration import calibrate_ensemble, held_out, with_missing
from molvis_flux.neural.estimator import Estimator, Settings, collect, load_estimator, network_digest, save_estimator
from molvis_flux.neural.fitter import NeuralFluxes
from molvis_flux.neural.inference import estimate, report
from molvis_flux.neural.network import Mixture, SetEncoder
from molvis_flux.neural.posterior import ensemble_draws, weigh
from molvis_flux.neural.training import draw_missing, train
from molvis_flux.neural.transform import fit_copula
from molvis_flux.sampling.importance import quantiles
from molvis_flux.sampling.prior import sample
from molvis_flux.space.flux_space import flux_space

pytestmark = pytest.mark.full


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("estimator") / "small"
    train(study(), place, settings=SMALL)
    return place


@pytest.fixture(scope="session")
def trained(folder: Path) -> Estimator:
    return load_estimator(folder)


def test_the_copula_makes_the_prior_standard_normal_and_goes_back() -> None:
    space = flux_space(model())
    values = sample(space, 5000, seed=1)
    copula = fit_copula(space, values)
    theta = space.coordinates(values)
    z = copula.normal(theta)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=0.05)
    back, prior = copula.theta(z)
    np.testing.assert_allclose(back, theta, rtol=1e-9)
    # One-dimensional blocks are uniform, or uniform in their logarithm: the prior is the normal density itself.
    width = np.log(np.ptp(copula.knots, axis=1)).sum()
    np.testing.assert_allclose(prior + 0.5 * (z**2).sum(axis=1), width, atol=1e-9)


def test_the_mixture_is_one_of_normal_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(2, 3, 2, generator=generator)
    factor = torch.tril(torch.randn(2, 3, 2, 2, generator=generator))
    factor.diagonal(dim1=-2, dim2=-1).abs_().add_(0.5)
    weight = torch.randn(2, 3, generator=generator).log_softmax(-1)
    mixture = Mixture(weight, mean, factor)
    precision = factor @ factor.transpose(-1, -2)
    peer = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=weight),
        torch.distributions.MultivariateNormal(mean, precision.inverse()),
    )
    z = torch.randn(2, 2, generator=generator)
    torch.testing.assert_close(mixture.log_prob(z), peer.log_prob(z), rtol=1e-4, atol=1e-4)
    draws = mixture.sample(40_000, generator)
    torch.testing.assert_close(draws.mean(dim=1), peer.mean, atol=0.05, rtol=0.05)
    torch.testing.assert_close(draws.var(dim=1), peer.variance, atol=0.1, rtol=0.1)


def test_a_missing_measurement_leaves_no_trace() -> None:
    encoder = SetEncoder(3, 4, 2, width=16, depth=1, components=2).eval()
    generator = torch.Generator().manual_seed(0)
    values, there = torch.randn(5, 3, 4, generator=generator), torch.ones(5, 3, 4)
    there[:, 1] = 0
    noise = torch.zeros(5, 3)
    with torch.no_grad():
        one = encoder(values * there, there, noise)
        other = encoder((values * 7) * there, there, noise)
        full = encoder(values, torch.ones(5, 3, 4), noise)
    torch.testing.assert_close(one.mean, encoder(values * there, there, noise).mean)
    assert torch.equal(one.mean[:, 0].isnan(), torch.zeros(5, 2, dtype=torch.bool))
    assert not torch.allclose(one.mean, full.mean)
    assert not torch.allclose(one.mean, other.mean)  # what is there does matter


def test_every_pattern_of_missing_measurements_is_drawn(trained: Estimator) -> None:
    there = draw_missing(trained.measurements, 4000, torch.Generator().manual_seed(0))
    counts = there.sum(dim=1)
    assert counts.min() == 1
    assert counts.max() == len(trained.measurements)
    owner = np.array([m.experiment for m in trained.measurements])
    alone = there[:, owner == "middle"].all(dim=1) & ~there[:, owner == "first"].any(dim=1)
    assert 0.02 < alone.float().mean() < 0.5


def test_an_estimator_comes_back_from_its_folder(folder: Path, trained: Estimator) -> None:
    assert {file.name for file in folder.iterdir()} == {"estimator.toml", "study.toml", "weights.safetensors"}
    again = load_estimator(folder)
    values, clean = held_out(trained, 3, seed=1)
    data = [with_missing(trained, row, 0.5, np.random.default_rng(0)) for row in clean]
    torch.testing.assert_close(trained.posterior(data).mean, again.posterior(data).mean, rtol=0, atol=0)
    assert again.settings == SMALL
    assert network_digest(again.study.network) == network_digest(model())
    assert values.shape == (3, len(trained.space.parameters))


def test_what_does_not_matter_is_not_in_the_digest_and_does_not_move_coordinates(trained: Estimator) -> None:
    network = trained.study.network
    reactions = {n: dataclasses.replace(r, where="x.toml:1") for n, r in network.reactions.items()}
    reactions["v1"] = dataclasses.replace(reactions["v1"], exchange=(0.0, 7.0))  # it is not reversible
    metabolites = dict(reversed(network.metabolites.items()))
    other = dataclasses.replace(network, name="other", metabolites=metabolites, reactions=reactions)
    assert network_digest(other) == network_digest(network)
    turned = dataclasses.replace(trained, study=dataclasses.replace(trained.study, network=other))
    assert [turned.space.parameters[i] for i in turned.space.free] == list(trained.free)
    reactions["v2"] = dataclasses.replace(reactions["v2"], exchange=(1e-3, 2.0))
    assert network_digest(other) != network_digest(network)


def test_importance_sampling_gives_the_posterior_of_a_grid(trained: Estimator) -> None:
    space, rng = trained.space, np.random.default_rng(3)
    (low, high), (start, stop) = trained.copula.knots[:, [0, -1]]
    a, b = np.meshgrid(np.linspace(low, high, 1201), np.exp(np.linspace(start, stop, 161)), indexing="ij")
    grid = np.stack([a.ravel(), b.ravel()], axis=1)
    simulated = trained.simulate(grid)
    _, clean = held_out(trained, 4, seed=2)
    for truth, missing in zip(clean, (0.0, 0.5, 0.75, 0.9), strict=True):
        data = with_missing(trained, truth, missing, rng, sd=0.03)
        residuals = ((simulated - data.values) / data.sd)[:, data.there]
        log_p = -0.5 * (residuals**2).sum(axis=1)
        weight = np.exp(log_p - log_p.max())
        wanted = quantiles(grid, weight / weight.sum(), (0.05, 0.5, 0.95))
        found = weigh(trained, data, trained.posterior([data]), draws=8000, enough=2500)
        assert found.effective > 2000
        got = quantiles(found.points, found.weight, (0.05, 0.5, 0.95))
        width = wanted[2] - wanted[0]
        np.testing.assert_allclose((got - wanted) / width, 0, atol=0.06)
    assert len(space) == 2


def test_an_ensemble_and_importance_sampling_agree(trained: Estimator) -> None:
    _, clean = held_out(trained, 2, seed=2)
    for truth, missing in zip(clean, (0.0, 0.75), strict=True):
        data = with_missing(trained, truth, missing, np.random.default_rng(3), sd=0.03)
        posterior = trained.posterior([data])
        wanted, moved = (f(trained, data, posterior, draws=4000, seed=1) for f in (weigh, ensemble_draws))
        assert moved.effective > 400
        one, other = (quantiles(d.points, d.weight, (0.05, 0.5, 0.95)) for d in (wanted, moved))
        off = (other - one) / (one[2] - one[0])
        np.testing.assert_allclose(off[1], 0, atol=0.12)
        np.testing.assert_allclose(off, 0, atol=0.25)  # tails of an ensemble are known less well than their middle
        again = ensemble_draws(trained, data, posterior, draws=4000, seed=1)
        np.testing.assert_array_equal(moved.points, again.points)


def test_intervals_of_an_ensemble_are_calibrated_for_nets_and_exchanges(trained: Estimator) -> None:
    factors = calibrate_ensemble(trained, n=2, draws=200)
    assert list(factors) == ["ensemble/0.5", "ensemble/0.8", "ensemble/0.9", "ensemble/0.95"]
    wide = dataclasses.replace(trained, calibration={"ensemble/0.9": np.full_like(factors["ensemble/0.9"], 3.0)})
    space = trained.space
    net, back = space.index["net", "v4"], space.index["exchange", "v2"]
    for table in factors.values():
        assert table.shape == (5, len(space.parameters))
        assert (table[:, net] > 0).all()
        assert (table[:, net] != table[:, back]).any()
        assert (table[:, space.index["net", "v1"]] == 1).all()  # a fixed flux has no interval to widen
    _, clean = held_out(trained, 1, seed=8)
    data = measured(trained, clean[0], sd=0.005)
    plain, fair = (estimate(e, data, method="ensemble", draws=400, refine=False) for e in (trained, wide))
    np.testing.assert_array_equal(plain.samples, fair.samples)
    np.testing.assert_allclose(np.ptp(fair.intervals[net]), 3 * np.ptp(plain.intervals[net]), rtol=1e-6)


@pytest.mark.parametrize("method", ["ensemble", "sequential"])
def test_every_method_holds_the_truth(trained: Estimator, method: str) -> None:
    values, clean = held_out(trained, 1, seed=8)
    found = estimate(trained, measured(trained, clean[0]), method=method, draws=400)
    row = trained.space.index["net", "v4"]
    assert found.method == method
    assert found.intervals[row, 0] <= values[0, row] <= found.intervals[row, 1]
    assert np.ptp(found.intervals[row]) < 0.2


def test_where_importance_weights_are_worth_too_little_few_fluxes_are_drawn_from_their_fit(
    trained: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, clean = held_out(trained, 1, seed=8)
    data, row = measured(trained, clean[0]), trained.space.index["net", "v4"]
    weighed = estimate(trained, data, draws=1000)
    monkeypatch.setattr(inference, "WORTH", 1.1)
    found = estimate(trained, data, draws=1000, refine=False)
    assert (weighed.method, found.method) == ("importance", "sequential")
    assert found.best is not None  # which the particles begin with
    assert found.intervals[row, 0] <= values[0, row] <= found.intervals[row, 1]
    off = (found.intervals[row] - weighed.intervals[row]) / np.ptp(weighed.intervals[row])
    np.testing.assert_allclose(off, 0, atol=0.2)
    assert estimate(trained, data, draws=400, method="importance").method == "importance"
    monkeypatch.setattr(inference, "WIDEST", 0)
    assert estimate(trained, data, draws=400).method == "ensemble"


def test_an_estimate_holds_the_truth_and_agrees_with_the_data(trained: Estimator) -> None:
    values, clean = held_out(trained, 1, seed=5)
    noisy = clean[0] + 0.01 * np.random.default_rng(0).standard_normal(len(clean[0]))
    found = estimate(trained, measured(trained, noisy), draws=1000)
    assert (found.method, found.problem) == ("importance", "")
    split = trained.space.index["net", "v4"]
    assert found.intervals[split, 0] <= values[0, split] <= found.intervals[split, 1]
    assert found.best is not None
    assert found.best.goodness.accepted
    assert abs(found.values[split] - found.best.values[split]) < 0.05
    assert {v.name: v.kind for v in found.verdicts}["net", "v4"] == "identifiable"
    lines = {line.name: line for line in report(found).fluxes}
    assert lines["net/v4"].median == pytest.approx(found.value("v4"))
    quick = estimate(trained, measured(trained, noisy), method="neural", refine=False)
    assert (quick.best, quick.verdicts) == (None, ())
    assert (quick.intervals[:, 0] <= quick.values).all()


def test_what_no_data_see_keeps_its_prior(trained: Estimator) -> None:
    _, clean = held_out(trained, 1, seed=5)
    # B is the tracer whatever the fluxes are, as long as nothing flows back; with sd 0.5 it says nothing at all.
    found = estimate(trained, measured(trained, clean[0], ["middle/B"], sd=0.5), draws=1000, refine=False)
    row = trained.space.index["exchange", "v2"]
    assert found.intervals[row, 0] < 2e-3
    assert found.intervals[row, 1] > 0.5
    assert any("standard deviation of 0.5" in note for note in found.notes)


def test_data_that_no_fluxes_explain_are_flagged(trained: Estimator) -> None:
    _, clean = held_out(trained, 1, seed=5)
    wrong = clean[0].copy()
    part = next(m for m in trained.measurements if m.target == "F")
    wrong[part.start : part.stop] = [0.0, 0.0, 0.1, 0.9]
    found = estimate(trained, measured(trained, wrong), draws=200)
    assert found.best is not None
    assert not found.best.goodness.accepted
    assert "no fluxes explain the data" in found.problem


def _changed(data: Study, **changes: object) -> Study:
    first = data.experiments[0]
    datum = dataclasses.replace(first.data[0], **changes)
    return dataclasses.replace(
        data, experiments=(dataclasses.replace(first, data=(datum, *first.data[1:])), *data.experiments[1:])
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "G"}, "data.csv:7: mid of 'G' is not among"),
        ({"values": (0.5, 0.5)}, "has 2 values"),
        ({"sd": (0.0,) * 4}, "positive ones are expected"),
        ({"scaled": True}, "arbitrary units; correct it first"),
        ({"corrected": False}, "not corrected for natural abundance"),
        ({"time": 3.0}, "stationary state"),
        ({"values": (float("nan"),) * 4}, "no measurement in the data"),
    ],
)
def test_data_that_cannot_be_used_are_refused(trained: Estimator, changes: dict[str, object], message: str) -> None:
    _, clean = held_out(trained, 1, seed=5)
    with pytest.raises(EstimatorError, match=message):
        collect(trained, _changed(measured(trained, clean[0], ["middle/B"]), **changes))


def test_another_network_or_tracer_is_refused(trained: Estimator) -> None:
    data = measured(trained, held_out(trained, 1, seed=5)[1][0])
    reactions = dict(data.network.reactions)
    reactions["v4"] = dataclasses.replace(reactions["v4"], net=(0.0, 0.1))
    with pytest.raises(EstimatorError, match="trained for another network: reaction 'v4'"):
        collect(trained, dataclasses.replace(data, network=dataclasses.replace(data.network, reactions=reactions)))
    other = dataclasses.replace(data.experiments[0], tracers={"A": Tracer((("111", 1.0),))})
    with pytest.raises(EstimatorError, match="the tracer of 'A'"):
        collect(trained, dataclasses.replace(data, experiments=(other,)))
    named = dataclasses.replace(data.experiments[0], name="mddle")
    with pytest.raises(EstimatorError, match="Did you mean 'middle'"):
        collect(trained, dataclasses.replace(data, experiments=(named,)))


def test_damaged_folders_are_refused(folder: Path, trained: Estimator, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="molvis flux train makes one"):
        load_estimator(tmp_path)
    save_estimator(trained, tmp_path / "a")
    (tmp_path / "a" / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="its digest is not the one"):
        load_estimator(tmp_path / "a")
    save_estimator(trained, tmp_path / "b")
    file = tmp_path / "b" / "study.toml"
    file.write_text(file.read_text().replace("v6", "v7"))
    with pytest.raises(BundleError, match="not the one the estimator was trained for"):
        load_estimator(tmp_path / "b")
    text = (folder / "estimator.toml").read_text()
    (tmp_path / "a" / "estimator.toml").write_text(text.replace("format = 2", "format = 9"))
    with pytest.raises(BundleError, match="Upgrade it: pip install"):
        load_estimator(tmp_path / "a")


def test_one_flipped_bit_of_an_estimator_does_not_go_unnoticed(trained: Estimator, tmp_path: Path) -> None:
    save_estimator(trained, tmp_path / "a")
    rng = np.random.default_rng(0)
    for name in ("estimator.toml", "study.toml", "weights.safetensors"):
        file = tmp_path / "a" / name
        good = file.read_bytes()
        for place in rng.integers(len(good), size=20):
            file.write_bytes(good[:place] + bytes([good[place] ^ (1 << int(rng.integers(8)))]) + good[place + 1 :])
            with pytest.raises(MolvisError):
                load_estimator(tmp_path / "a")
        file.write_bytes(good)
    assert load_estimator(tmp_path / "a").metrics == trained.metrics


def test_an_estimator_of_format_1_opens(trained: Estimator, tmp_path: Path) -> None:
    save_estimator(trained, tmp_path / "a")
    file = tmp_path / "a" / "estimator.toml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith(("checksum = ", "study = "))]
    file.write_text("\n".join(lines).replace("format = 2", "format = 1"))
    assert load_estimator(tmp_path / "a").metrics == trained.metrics


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dataclasses.replace(SMALL, noise=(0.03, 0.005)), "the smaller one first"),
        (dataclasses.replace(SMALL, steps=0), "steps must be at least 1, got 0"),
        (dataclasses.replace(SMALL, simulations=10), "at least 1,000"),
        (dataclasses.replace(SMALL, ensemble_cases=-1), "ensemble_cases must be 0 or more, got -1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, settings: Settings, message: str) -> None:
    with pytest.raises(EstimatorError, match=message):
        train(study(), tmp_path / "x", settings=settings)


def test_a_study_without_experiments_or_free_fluxes_cannot_be_learned(tmp_path: Path) -> None:
    with pytest.raises(EstimatorError, match="has no experiment"):
        train(Study(model()), tmp_path / "x", settings=SMALL)
    with pytest.raises(TrainingError, match="Lower the learning rate"):
        train(study(), tmp_path / "x", settings=dataclasses.replace(SMALL, rate=1e30))


def test_labelling_in_time_and_unknown_mixtures_cannot_be_learned(tmp_path: Path) -> None:
    base = study()
    late = dataclasses.replace(base.experiments[0], data=(Datum("C", "mid", (1.0, 0.0, 0.0), (0.01,) * 3, time=5.0),))
    with pytest.raises(EstimatorError, match="stationary state"):
        train(dataclasses.replace(base, experiments=(late,)), tmp_path / "x", settings=SMALL)
    both = Fragment("both", ((0.5, "B", (0, 1, 2)), (0.5, "D", (0, 1, 2))), ("C",) * 3, mix=("b", "d"))
    network = dataclasses.replace(base.network, fragments={"both": both})
    with pytest.raises(EstimatorError, match="'both' mixes in unknown proportions"):
        train(dataclasses.replace(base, network=network), tmp_path / "x", settings=SMALL)


def test_measured_fluxes_count(tmp_path: Path) -> None:
    base = study()
    flux = Datum("v4", "net", (0.3,), (0.01,))
    first = dataclasses.replace(base.experiments[0], data=(Datum("C", "mid", (1.0, 0.0, 0.0), (0.01,) * 3), flux))
    given = dataclasses.replace(base, experiments=(first,))
    made = train(given, tmp_path / "x", settings=dataclasses.replace(SMALL, steps=20))
    assert [(m.target, m.kind) for m in made.measurements] == [("C", "mid"), ("v4", "net")]
    only = dataclasses.replace(given, experiments=(dataclasses.replace(first, data=(flux,)),))
    found = estimate(made, only, draws=1000)
    row = made.space.index["net", "v4"]
    np.testing.assert_allclose(found.intervals[row], 0.3 + 1.645 * 0.01 * np.array([-1, 1]), atol=0.003)


def test_commands_train_and_estimate(tmp_path: Path, folder: Path, trained: Estimator) -> None:
    from molvis_flux.formats.writers import write_study

    app = typer.Typer()
    app.command()(train_command)
    app.command()(estimate_command)

    values, clean = held_out(trained, 1, seed=5)
    write_study(tmp_path / "network.toml", study())
    write_study(tmp_path / "data.toml", measured(trained, clean[0]))
    runner = CliRunner()
    with output.asked(json=True):
        done = runner.invoke(app, ["train", str(tmp_path / "network.toml"), "--out", str(tmp_path / "e"), "--steps",
                                   "10", "--simulations", "1000", "--width", "16"])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["measurements"] == 8
    asked = ["estimate", str(folder), str(tmp_path / "data.toml"), "--draws", "500"]
    with output.asked(json=True):
        done = runner.invoke(app, [*asked, "--out", str(tmp_path / "draws.csv")])
    assert done.exit_code == 0, done.output
    fluxes = {f["name"]: f for f in json.loads(done.stdout)["fluxes"]}
    truth = values[0, trained.space.index["net", "v4"]]
    assert fluxes["net/v4"]["low"] <= truth <= fluxes["net/v4"]["high"]
    assert len((tmp_path / "draws.csv").read_text().splitlines()) == 501
    done = runner.invoke(app, asked)
    assert "identifiable" in done.stdout


class TestNeuralFluxes(FitterContract):
    @pytest.fixture
    def fitter(self, folder: Path) -> NeuralFluxes:
        return NeuralFluxes(str(folder), draws=800)

    @pytest.fixture
    def records(self) -> Sequence[Distribution]:
        return [
            Distribution(np.eye(n)[0], np.full(n, 0.01), name)
            for name, n in (("middle/F", 4), ("first/C", 3), ("first/D", 4))
        ]

    @pytest.fixture
    def add_noise(self):
        return lambda records, rng: [
            Distribution(r.fractions + r.sd * rng.standard_normal(len(r)), r.sd, r.identifier) for r in records
        ]

    @pytest.fixture
    def impossible(self, records: Sequence[Distribution]) -> Sequence[Distribution]:
        return [Distribution(np.roll(r.fractions, -1), r.sd, r.identifier) for r in records]


def test_the_fitter_takes_a_narrower_prior_and_says_what_it_cannot(folder: Path) -> None:
    fitter = NeuralFluxes(str(folder), draws=800)
    record = Distribution(np.array([0.2, 0.6, 0.1, 0.1]), np.full(4, 10.0), "middle/F")
    prior = fitter.prior([record])
    name = next(n for n in prior if n.startswith("net/"))
    middle = (prior[name].low + prior[name].high) / 2
    fit = fitter.fit([record], prior | {name: Normal(middle, 0.01)})
    assert fit.problem == ""
    i = fit.names.index(name)
    assert fit.values[i] == pytest.approx(middle, abs=0.002)
    assert np.sqrt(fit.covariance[i, i]) == pytest.approx(0.01, rel=0.25)
    assert "train an estimator" in fitter.fit([record], prior | {name: Fixed(middle)}).problem
    assert "no fragment 'middle/X'" in fitter.fit([Distribution(np.ones(1), np.ones(1), "middle/X")], prior).problem
    assert (
        "standard deviations are expected"
        in fitter.fit([Distribution(record.fractions, None, "middle/F")], prior).problem
    )
