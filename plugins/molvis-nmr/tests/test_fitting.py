from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from molvis_core.errors import RecordError
from molvis_core.fitting import Fixed, Normal, Uniform
from molvis_core.records import Trace
from molvis_core.testing import FitterContract
from molvis_nmr.fitting import agreement as metrics
from molvis_nmr.fitting.lorentzians import Shape, Window, basis, jacobian
from molvis_nmr.fitting.spin_system import fit
from molvis_nmr.spins.derivatives import lines_and_derivatives
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines
from molvis_nmr.workflows.fitter import NmrSpinSystem

FIELD = 400.0


def system(
    shifts: Sequence[float], couplings: dict[tuple[int, int], float], width: float = 0.8, **more: Any
) -> SpinSystem:
    j = np.zeros((len(shifts), len(shifts)))
    for (k, m), value in couplings.items():
        j[k, m] = j[m, k] = value
    names = tuple(f"H{i + 1}" for i in range(len(shifts)))
    return SpinSystem(names, np.array(shifts), j, widths=np.full(len(shifts), width), **more)


ABX = system([3.80, 3.93, 3.97], {(0, 1): 6.0, (0, 2): 3.5, (1, 2): -12.3})
AXIS = np.arange(3.6, 4.2, 0.0005)


def noisy(trace: Trace, ratio: float, seed: int) -> Trace:
    rng = np.random.default_rng(seed)
    return replace(trace, y=trace.y + rng.normal(0, trace.y.max() / ratio, len(trace)))


def measured(truth: SpinSystem = ABX, ratio: float = 1000, seed: int = 0, axis: Any = AXIS) -> Trace:
    return noisy(simulate(truth, FIELD, axis=axis), ratio, seed)


def moved(truth: SpinSystem, shift: float, coupling: float, seed: int = 0) -> SpinSystem:
    rng = np.random.default_rng(seed)
    change = np.triu(rng.uniform(-coupling, coupling, truth.couplings.shape), 1) * (truth.couplings != 0)
    return replace(
        truth,
        shifts=truth.shifts + rng.uniform(-shift, shift, len(truth)),
        couplings=truth.couplings + change + change.T,
        widths=np.ones(len(truth)),
    )


PLAIN: dict[str, Any] = {"couplings": "given", "gaussian": False, "absolute": False}
"""What leaves Gaussian noise and the model alone: coverage is defined there."""


def test_every_way_to_the_fit_has_the_same_defaults() -> None:
    from molvis_nmr.commands.fit import fit as command
    from molvis_nmr.workflows.fit import fit_files

    parameters = {f: inspect.signature(f).parameters for f in (fit, fit_files, NmrSpinSystem, command)}
    shared = ("nucleus", "couplings", "gaussian", "phase", "baseline", "line_shape", "absolute", "starts", "exclude")
    for name in shared:
        defaults = {f.__name__: p[name].default or None for f, p in parameters.items() if name in p}
        assert len(set(map(str, defaults.values()))) == 1, (name, defaults)
    assert parameters[command]["given_couplings"].default is False
    assert parameters[fit]["couplings"].default == "all"


def test_the_fitters_prior_is_the_usual_one() -> None:
    start = system([3.80, 3.97, 4.4], {(0, 1): 7.0, (1, 2): 5.0})
    record = measured(start, axis=np.arange(3.5, 4.8, 0.001))
    prior = NmrSpinSystem(start).prior([record])
    free = {name: belief.sd for name, belief in prior.items() if isinstance(belief, Normal)}
    assert free["shift/H1"] == pytest.approx(0.05)
    assert (free["coupling/H1-H2"], free["coupling/H1-H3"]) == (pytest.approx(3.0), pytest.approx(1.0))
    assert free["width/H1"] == pytest.approx(0.7 * start.widths[0])
    assert free["intensity/H1"] == pytest.approx(0.25)
    assert "gaussian" in free


def test_the_fitters_prior_as_it_is_changes_nothing() -> None:
    record = measured()
    start = moved(ABX, 0.004, 0.5)
    plain = fit(record, start, starts=1).fit
    prior = NmrSpinSystem(start).prior([record])
    same = fit(record, start, starts=1, prior={k: v for k, v in prior.items() if not isinstance(v, Fixed)}).fit
    assert same.names == plain.names
    np.testing.assert_allclose(same.values, plain.values, rtol=1e-9)
    np.testing.assert_allclose(same.covariance, plain.covariance, rtol=1e-6, atol=1e-20)


class TestSpinSystemContract(FitterContract):
    seeds = 30

    @pytest.fixture
    def fitter(self) -> NmrSpinSystem:
        pair = system([3.80, 3.97], {(0, 1): 7.0})
        return NmrSpinSystem(pair, shift_sd=0.005, coupling_sd=0.5, width_sd=0.1, intensity_sd=0.1, starts=2, **PLAIN)

    @pytest.fixture
    def records(self) -> Sequence[Trace]:
        axis = np.arange(3.65, 4.15, 0.001)
        return [Trace(axis, np.exp(-(((axis - 3.9) / 0.1) ** 2)), frequency=FIELD)]

    @pytest.fixture
    def add_noise(self) -> Callable[[Sequence[Trace], np.random.Generator], Sequence[Trace]]:
        def add(records: Sequence[Trace], rng: np.random.Generator) -> Sequence[Trace]:
            return [replace(r, y=r.y + rng.normal(0, 0.02 * np.abs(r.y).max(), len(r))) for r in records]

        return add

    @pytest.fixture
    def impossible(self, records: Sequence[Trace]) -> Sequence[Trace]:
        return [replace(records[0], y=np.zeros(len(records[0])))]


class TestUnseen(FitterContract):
    """A coupling between spins far from anything that would show it: H1 and H3 are joined by nothing else."""

    seeds = 6

    @pytest.fixture
    def fitter(self) -> NmrSpinSystem:
        singlets = SpinSystem(("H1", "X"), np.array([3.8, 0.0]), np.array([[0, 1e-7], [1e-7, 0]]), nuclei=("1H", "13C"))
        return NmrSpinSystem(singlets, shift_sd=0.005, coupling_sd=1e-6, starts=1, **PLAIN)

    @pytest.fixture
    def records(self) -> Sequence[Trace]:
        axis = np.arange(3.6, 4.0, 0.001)
        return [Trace(axis, np.exp(-(((axis - 3.8) / 0.02) ** 2)), frequency=FIELD)]

    @pytest.fixture
    def add_noise(self) -> Callable[[Sequence[Trace], np.random.Generator], Sequence[Trace]]:
        return lambda records, rng: [
            replace(r, y=r.y + rng.normal(0, 0.02 * np.abs(r.y).max(), len(r))) for r in records
        ]

    @pytest.fixture
    def unseen(self) -> str:
        return "coupling/H1-X"


def test_the_paper_s_iou_is_one_for_equal_shapes_and_ignores_scale() -> None:
    y = np.exp(-(np.linspace(-5, 5, 300) ** 2))
    assert metrics.iou(y, 7 * y) == pytest.approx(1)
    assert metrics.iou(y, np.zeros(300)) == 0


def test_the_paper_s_iou_is_the_share_that_two_boxes_have_in_common() -> None:
    a, b = np.zeros(100), np.zeros(100)
    a[10:30], b[20:40] = 1, 1
    # Inside of the model's mask half of the measurement is seen, and brought to unit area there: twice as high.
    assert metrics.iou(a, b) == pytest.approx(0.5 / 1.5)
    assert metrics.roi_iou(a, b, np.ones(100, dtype=bool)) == pytest.approx(1 / 3)


@pytest.mark.usefixtures("unchecked_shapes")
def test_spectra_of_different_lengths_cannot_be_compared() -> None:
    with pytest.raises(RecordError, match=r"\(3,\).*\(4,\)"):
        metrics.iou(np.ones(3), np.ones(4))


def test_the_r_factor_of_nothing_is_one() -> None:
    y = np.linspace(0, 1, 50)
    assert metrics.r_factor(0 * y, y) == pytest.approx(1)
    assert metrics.r_factor(y, y) == 0


def test_columns_of_the_jacobian_are_differences_of_the_model() -> None:
    truth = replace(ABX, intensities=np.array([0.8, 1.0, 1.2]))
    window = [Window(1480.0, 0.3, np.zeros(500), np.ones(500, dtype=bool))]
    shape = Shape(gaussian=0.4, phase=(0.1, 0.05))
    pairs = [(0, 1), (0, 2), (1, 2)]

    def model(one: SpinSystem, how: Shape = shape) -> np.ndarray:
        return basis(window, lines(one, FIELD), one.widths, how)[0] @ one.intensities

    derived = lines_and_derivatives(truth, FIELD, pairs=pairs)
    _, columns = jacobian(window, derived, truth.widths, shape, truth.intensities)[0]
    bump = np.array([0, 1e-7, 0])
    j = np.zeros((3, 3))
    j[1, 2] = j[2, 1] = 1e-5
    differences = {
        1: (replace(truth, shifts=truth.shifts + bump), replace(truth, shifts=truth.shifts - bump), 2e-7),
        5: (replace(truth, couplings=truth.couplings + j), replace(truth, couplings=truth.couplings - j), 2e-5),
    }
    for column, (up, down, size) in differences.items():
        wanted = (model(up) - model(down)) / size
        assert np.abs(columns[:, column] - wanted).max() < 1e-3 * np.abs(wanted).max()
    turned = Shape(gaussian=0.4, phase=(0.1 + 1e-5, 0.05)), Shape(gaussian=0.4, phase=(0.1 - 1e-5, 0.05))
    wanted = (model(truth, turned[0]) - model(truth, turned[1])) / 2e-5
    assert np.abs(columns[:, -2] - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_a_fit_finds_the_truth_from_a_start_that_is_off() -> None:
    found = fit(measured(), moved(ABX, 0.02, 2.0))
    assert found.problem == ""
    assert np.abs(found.system.shifts - ABX.shifts).max() * FIELD < 0.02
    assert np.abs(np.abs(found.system.couplings) - np.abs(ABX.couplings)).max() < 0.05
    assert found.metrics["iou"] > 0.98
    assert found.metrics["roi_iou"] > 0.98
    assert set(found.fit.names) >= {"shift/H1", "coupling/H2-H3", "width/H3", "intensity/H1", "gaussian"}


def test_lines_that_are_all_displaced_are_found() -> None:
    found = fit(measured(axis=np.arange(3.3, 4.6, 0.0005)), replace(ABX, shifts=ABX.shifts - 0.1))
    assert found.problem == ""
    assert np.abs(found.system.shifts - ABX.shifts).max() * FIELD < 0.05


def test_sharp_lines_are_found_from_a_start_that_is_off() -> None:
    sharp = replace(ABX, widths=np.full(3, 0.1))
    axis = np.arange(3.6, 4.2, 0.0001)
    for seed in range(3):
        found = fit(measured(sharp, axis=axis), moved(sharp, 0.02, 1.5, seed))
        assert found.problem == ""
        assert np.abs(found.system.shifts - sharp.shifts).max() * FIELD < 0.02


def test_several_fields_share_their_couplings() -> None:
    other = replace(ABX, shifts=ABX.shifts + 0.01)
    axis = np.arange(3.6, 4.2, 0.0004)
    spectra = [measured(), noisy(simulate(other, 500.0, axis=axis), 1000, 1)]
    found = fit(spectra, moved(ABX, 0.01, 1.0))
    assert np.array_equal(found.systems[0].couplings, found.systems[1].couplings)
    assert np.abs(found.systems[1].shifts - other.shifts).max() < 1e-4
    assert "shift/H1@2" in found.fit.names
    assert found.fit.names.count("coupling/H1-H2") == 1


def test_tied_parameters_are_equal() -> None:
    ties = [["coupling/H1-H2", "coupling/H1-H3"], ["width/H1", "width/H2", "width/H3"]]
    found = fit(measured(), ABX, ties=ties, starts=1)
    assert found.system.couplings[0, 1] == pytest.approx(found.system.couplings[0, 2])
    assert np.ptp(found.system.widths) == pytest.approx(0)


def test_excluded_windows_do_not_count() -> None:
    trace = measured()
    water = 50 * trace.y.max() * np.exp(-(((AXIS - 4.1) / 0.005) ** 2))
    found = fit(replace(trace, y=trace.y + water), moved(ABX, 0.01, 1.0), exclude=[(4.05, 4.15)])
    assert np.abs(found.system.shifts - ABX.shifts).max() * FIELD < 0.05


def test_a_prior_fixes_and_bounds() -> None:
    found = fit(measured(), ABX, prior={"coupling/H1-H2": Fixed(5.0), "shift/H1": Uniform(3.802, 3.81)}, starts=1)
    assert found.system.couplings[0, 1] == 5.0
    assert 3.802 <= found.system.shifts[0] <= 3.81
    assert "coupling/H1-H2" not in found.fit.names


def test_a_baseline_and_a_phase_are_found() -> None:
    trace = measured()
    found = fit(replace(trace, y=trace.y + 0.02 * trace.y.max()), ABX, baseline=1)
    assert np.median(found.baseline[0][found.baseline[0] != 0]) == pytest.approx(0.02 * trace.y.max(), rel=0.1)


def test_a_line_shape_explains_what_lines_cannot() -> None:
    trace = measured(ratio=5000)
    # A shim error: a tenth of each line 3 Hz higher.
    shifted = np.interp(trace.x - 3 / FIELD, trace.x, trace.y)
    found = fit(replace(trace, y=0.9 * trace.y + 0.1 * shifted), ABX, line_shape=True)
    assert found.parametric is not None
    assert found.metrics["roi_iou"] > max(found.parametric["roi_iou"] + 0.02, 0.97)
    shape = found.line_shape[0]
    assert shape is not None
    assert shape[1].sum() == pytest.approx(1)


@pytest.mark.full
def test_errors_are_those_of_repeated_measurements() -> None:
    values, errors = [], []
    for seed in range(12):
        found = fit(measured(ratio=300, seed=seed), ABX, gaussian=False).fit
        i = found.names.index("coupling/H1-H2")
        values.append(found.values[i])
        errors.append(found.covariance[i, i] ** 0.5)
    assert 0.5 < np.std(values) / np.mean(errors) < 1.8


def test_a_profile_rises_to_both_sides() -> None:
    found = fit(measured(ratio=300), ABX, gaussian=False)
    i = found.fit.names.index("coupling/H1-H2")
    value, error = found.fit.values[i], found.fit.covariance[i, i] ** 0.5
    profile = found.profile("coupling/H1-H2", [value - 2 * error, value, value + 2 * error])
    assert profile[1] == pytest.approx(0, abs=0.1)
    assert profile[[0, 2]] == pytest.approx([4, 4], rel=0.5)
    with pytest.raises(RecordError, match="no parameter 'coupling/H1-H9'"):
        found.profile("coupling/H1-H9", [1.0])


def test_a_coupling_whose_sign_does_not_show_is_flagged() -> None:
    weak = system([3.7, 4.1], {(0, 1): 7.0})
    found = fit(measured(weak, ratio=200), weak)
    assert found.flags["coupling/H1-H2"] == "sign-ambiguous"


def test_a_start_that_is_far_off_says_so_and_returns_its_best() -> None:
    off = replace(ABX, shifts=ABX.shifts - 0.15)
    held = {f"shift/{name}": Normal(shift, 1e-3) for name, shift in zip(off.names, off.shifts, strict=True)}
    found = fit(measured(axis=np.arange(3.3, 4.6, 0.0005)), off, prior=held, starts=2)
    assert found.problem
    assert len(found.simulated[0]) == len(found.residual[0])


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (Trace(AXIS, np.ones(len(AXIS))), "no frequency"),
        (Trace(AXIS, np.zeros(len(AXIS)), frequency=FIELD), "0 everywhere"),
        (Trace(AXIS**1.5, np.ones(len(AXIS)), frequency=FIELD), "uneven axis"),
        (Trace(AXIS + 5, np.ones(len(AXIS)), frequency=FIELD), "outside of spectrum 1"),
        (Trace(AXIS[:8], np.ones(8), frequency=FIELD), "8 points"),
    ],
)
def test_a_spectrum_that_cannot_be_fitted_is_refused(trace: Trace, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        fit(trace, ABX)


def test_what_does_not_fit_together_is_refused() -> None:
    trace = measured()
    with pytest.raises(RecordError, match="2 spin systems were given for 1"):
        fit(trace, [ABX, ABX])
    with pytest.raises(RecordError, match="no spin-1/2 nucleus is named '2H'"):
        fit(trace, ABX, nucleus="2H")
    with pytest.raises(RecordError, match="Did you mean 'shift/H1'"):
        fit(trace, ABX, prior={"shifts/H1": Fixed(1.0)})
    with pytest.raises(RecordError, match="each once"):
        fit(trace, ABX, ties=[["shift/H1", "shift/H1"]])
    with pytest.raises(RecordError, match="couplings must be 'all' or 'given', got 'some'"):
        fit(trace, ABX, couplings="some")
    many = system([3.70, 3.75, 3.80, 3.85, 3.90, 3.95], {(k, k + 1): 7.0 for k in range(5)})
    with pytest.raises(RecordError, match="more parameters"):
        fit(Trace(AXIS[::60], trace.y[::60], frequency=FIELD), many)


@pytest.mark.full
def test_gradient_descent_comes_near_the_same_answer() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed, which gradient descent needs")
    from molvis_nmr.fitting.gradient import fit_gradient

    pair = system([3.80, 3.97], {(0, 1): 7.0})
    axis = np.arange(3.65, 4.15, 0.001)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_gradient(measured(pair, axis=axis), moved(pair, 0.002, 0.3), epochs=30, broadening=(2, 0))
    assert found.metrics["iou"] > 0.85
    held = fit_gradient(measured(pair, axis=axis), moved(pair, 0.002, 0.3), epochs=5, mode="fixed-couplings")
    assert held.system.couplings[0, 1] == moved(pair, 0.002, 0.3).couplings[0, 1]
    with pytest.raises(RecordError, match="no mode named 'all'"):
        fit_gradient(measured(pair), pair, mode="all")


@pytest.mark.full
def test_gradient_descent_is_a_fitter() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed, which gradient descent needs")
    from molvis_nmr.workflows.gradient_fitter import NmrGradient

    pair = system([3.80, 3.97], {(0, 1): 7.0})
    fitter = NmrGradient(pair, epochs=3)
    records = [measured(pair)]
    prior = fitter.prior(records)
    found = fitter.fit(records, prior)
    assert found.problem == ""
    assert set(found.names) >= {name for name, belief in prior.items() if not isinstance(belief, Fixed)}
    assert fitter.fit([replace(records[0], y=0 * records[0].y)], prior).problem
