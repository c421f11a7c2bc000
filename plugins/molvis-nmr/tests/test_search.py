from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from molvis_core.errors import ConfigError
from molvis_core.fitting import Normal
from molvis_core.records import Trace
from molvis_nmr.fitting.last_steps import from_rest, from_start_values, to_the_end
from molvis_nmr.fitting.measured import Measured
from molvis_nmr.fitting.moves import _gathered, _parted, assigned, transported
from molvis_nmr.fitting.priors import of_shifts, usual_spread, with_prior, with_usual_prior
from molvis_nmr.fitting.problem import problem_of
from molvis_nmr.fitting.second_looks import lopsided, told_badly
from molvis_nmr.fitting.solutions import Floor, Quiet, Solution, same_parameters, same_spectrum, worse
from molvis_nmr.fitting.spin_system import fit
from molvis_nmr.fitting.symmetry import symmetries, ties_of
from molvis_nmr.fitting.uncertainty import resting_on_line_shape
from molvis_nmr.fitting.variable_projection import descend, evaluate
from molvis_nmr.prediction.structure import from_smiles
from molvis_nmr.report.page import fit_summary, solutions_table
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.workflows.fit import outside, read_numbers

FIELD = 400.0
AXIS = np.arange(1.5, 3.6, 0.0005)


def system(shifts: Sequence[float], couplings: dict[tuple[int, int], float], width: float = 0.8) -> SpinSystem:
    j = np.zeros((len(shifts), len(shifts)))
    for (k, m), value in couplings.items():
        j[k, m] = j[m, k] = value
    names = tuple(f"H{i + 1}" for i in range(len(shifts)))
    return SpinSystem(names, np.array(shifts), j, widths=np.full(len(shifts), width))


CHAIN = system(
    [2.05, 2.12, 2.42, 3.30], {(0, 1): -14.0, (0, 2): 9.0, (1, 2): 6.0, (0, 3): 4.0, (1, 3): 8.0, (2, 3): 2.5}
)
ORTHO = system([7.50, 7.50, 7.28, 7.28], {(0, 1): 0.4, (0, 2): 8.0, (1, 3): 8.0, (0, 3): 1.6, (1, 2): 1.6, (2, 3): 7.4})


def noisy(truth: SpinSystem, ratio: float, seed: int, axis: Any = AXIS, wave: float = 0.0) -> Trace:
    clean = simulate(truth, FIELD, axis=axis)
    noise = np.random.default_rng(seed).normal(0, 1, len(axis)) + wave * np.sin((axis - axis[0]) * FIELD / 60)
    return replace(clean, y=clean.y + noise * clean.y.max() / ratio)


def problem(trace: Trace, start: SpinSystem) -> Any:
    return with_usual_prior(problem_of([Measured(trace, "1H", [])], [start], "1H"), gaussian=False, phase=False)


def solution(trace: Trace, start: SpinSystem, theta: np.ndarray | None = None) -> Solution:
    whole = problem(trace, start)
    theta = whole.mean if theta is None else theta
    stage = whole.stage(whole.mean, 0.0, 40.0)
    quiet = Quiet(whole, theta, 40.0)
    return Solution(whole, evaluate(whole, theta, stage), stage, (quiet.floor(stage, 0),))


@pytest.mark.full
def test_a_start_that_is_far_off_is_found_or_doubted() -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        change = np.triu(rng.uniform(-3, 3, (4, 4)), 1)
        start = replace(
            CHAIN, shifts=CHAIN.shifts + rng.uniform(-0.05, 0.05, 4), couplings=CHAIN.couplings + change + change.T
        )
        found = fit(noisy(CHAIN, 300, seed), start, seed=seed)
        right = np.abs(np.abs(found.system.couplings) - np.abs(CHAIN.couplings)).max() < 0.3
        assert right or found.doubt or found.problem or found.alternatives


def test_noise_alone_is_no_alarm_and_costs_no_starts() -> None:
    found = fit(noisy(CHAIN, 25, 0), CHAIN)
    assert found.metrics["r_factor"] > 0.1
    assert found.metrics["unexplained"] < 0.03
    assert (found.problem, found.doubt) == ("", "")
    assert found.starts < 6


def test_a_residual_that_is_noise_is_told_from_one_that_is_not() -> None:
    trace = noisy(CHAIN, 100, 1)
    right = solution(trace, CHAIN)
    wrong = solution(trace, replace(CHAIN, shifts=CHAIN.shifts + np.array([0, 0, 0, 0.002])))
    assert right.only_noise()
    assert right.unexplained < 0.02
    assert not wrong.only_noise()
    assert wrong.unexplained > 0.1
    assert worse(wrong, right) > 100


def test_noise_is_measured_beside_the_signals() -> None:
    trace = noisy(CHAIN, 50, 2)
    one = solution(trace, CHAIN)
    assert one.floor[0].variance == pytest.approx(1 / 50**2, rel=0.15)
    assert Floor().variance == 0


def test_a_baseline_as_high_as_the_noise_is_seen_and_none_is_not() -> None:
    wavy, flat = noisy(CHAIN, 100, 3, wave=1.0), noisy(CHAIN, 100, 3)
    levels = []
    for trace in (wavy, flat):
        one = solution(trace, CHAIN)
        quiet = Quiet(one.problem, one.problem.mean, 40.0)
        levels.append(quiet.slow(one.problem.mean, one.state.linear[0][:4], 0) * 100)
    assert 0.3 < levels[0] < 1.5
    assert levels[1] < 0.1


def test_a_baseline_is_seen_beside_few_points_without_signal() -> None:
    # 5 stretches of 25 Hz are free of signal here: too few to say that there is no baseline.
    axis = np.arange(1.65, 3.7, 0.0005)
    trace = noisy(CHAIN, 100, 3, axis, wave=1.0)
    one = solution(trace, CHAIN)
    quiet = Quiet(one.problem, one.problem.mean, 40.0)
    quiet.masks[0] &= axis > 3.45
    assert quiet.masks[0].sum() * 0.0005 * FIELD < 100
    assert quiet.slow(one.problem.mean, one.state.linear[0][:4], 0) * 100 > 0.1


def test_two_pairs_that_met_in_the_middle_are_parted_and_find_which_goes_with_which() -> None:
    merged = system([7.48, 7.4801, 7.28, 7.2801], {(0, 2): 9.8, (1, 3): 6.8, (0, 3): 1.0, (1, 2): 2.0})
    one = problem(noisy(merged, 200, 0, np.arange(7.0, 7.8, 0.0005)), merged)
    tried = list(_parted(one, one.mean))
    assert len(tried) == 8  # two pairs together in all four ways, and each alone in both
    both = one.system(tried[0], 0)
    assert both.shifts[0] - both.shifts[1] == pytest.approx(2 * 1.3 / FIELD)
    assert both.couplings[0, 2] == both.couplings[1, 3] == pytest.approx(8.3)
    assert both.couplings[0, 3] == both.couplings[1, 2] == pytest.approx(1.5)


def test_a_small_coupling_that_came_near_0_is_found_again() -> None:
    truth = system([2.0, 2.4, 3.3], {(0, 2): 7.0, (1, 2): 3.0, (0, 1): 1.1}, width=0.4)
    trace = noisy(truth, 300, 0)
    near_zero = replace(
        system([2.0, 2.4, 3.3], {(0, 2): 7.0, (1, 2): 3.0, (0, 1): 0.02}), widths=np.array([0.75, 0.75, 0.4])
    )
    one = problem(trace, near_zero)
    stage = one.stage(one.mean, 0.0, 40.0)
    state, _ = descend(one, one.mean, stage, most=2)
    given = np.ones(len(one.names), dtype=bool)
    better = from_rest(one, state, stage, given, tolerance=1e-5)
    assert abs(one.system(better.theta, 0).couplings[0, 1]) == pytest.approx(1.1, abs=0.1)
    assert from_rest(one, state, stage, ~given, tolerance=1e-5) is state


def test_a_descent_ends_where_more_steps_gain_what_no_data_can_tell() -> None:
    one = problem(noisy(CHAIN, 200, 0), CHAIN)
    stage = one.stage(one.mean, 0.0, 40.0)
    assert not descend(one, one.mean, stage, most=1, tolerance=1e-9)[1]
    assert to_the_end(one, one.mean, stage, most=20, tolerance=1e-9)[1]


def test_couplings_below_the_line_width_are_flagged_where_more_than_noise_is_left() -> None:
    truth = system([2.0, 2.4, 3.3], {(0, 2): 7.0, (1, 2): 3.0, (0, 1): 0.6})
    trace = noisy(truth, 300, 0)
    aside = np.interp(trace.x - 2 / FIELD, trace.x, trace.y)
    strange = fit(replace(trace, y=0.85 * trace.y + 0.15 * aside), truth, starts=1)
    plain = fit(trace, truth, starts=1)
    assert strange.flags["coupling/H1-H2"] == "line-shape"
    assert plain.flags.get("coupling/H1-H2") != "line-shape"


# 1 Hz apart: outer lines have a thousandth of the inner ones' intensity.
NEARLY_ONE = system([4.900, 4.9025, 3.0], {(0, 1): 14.0}, width=0.6)


def test_a_coupling_that_shows_in_faint_outer_lines_alone_is_flagged() -> None:
    trace = noisy(NEARLY_ONE, 200, 0, np.arange(2.8, 5.1, 0.0003))
    found = fit(trace, replace(NEARLY_ONE, couplings=NEARLY_ONE.couplings * 0.9), starts=1)
    assert found.flags["coupling/H1-H2"] == "flat"
    low, high = found.fit.interval(0.9)[found.fit.names.index("coupling/H1-H2")]
    assert low < 14.0 < high
    apart = replace(NEARLY_ONE, shifts=np.array([4.86, 4.94, 3.0]))
    told = fit(noisy(apart, 200, 0, np.arange(2.8, 5.1, 0.0003)), apart, starts=1)
    assert told.flags.get("coupling/H1-H2") in (None, "sign-ambiguous")


def test_outer_lines_that_a_foot_may_be_are_those_of_a_line_shape() -> None:
    one = solution(noisy(NEARLY_ONE, 200, 0, np.arange(2.8, 5.1, 0.0003)), NEARLY_ONE)
    assert resting_on_line_shape(one.problem, one.state, 0.05)["coupling/H1-H2"] == "line-shape"
    assert "coupling/H1-H2" not in resting_on_line_shape(one.problem, one.state, 0.0)


def test_a_start_of_a_structure_half_a_ppm_off_is_left_for_one_that_explains_the_spectrum() -> None:
    trace = noisy(CHAIN, 100, 1)
    far = replace(CHAIN, shifts=CHAIN.shifts + np.array([0.6, 0, 0, 0]))
    one = problem(trace, far)
    right = one.mean.copy()
    right[one.at(0, "shift")] = CHAIN.shifts
    assert worse(solution(trace, far, right), solution(trace, far)) < 0


def test_swapped_labels_are_one_solution_and_the_start_s_names_are_kept() -> None:
    start = system([2.0, 2.4, 3.3], {(0, 2): 7.0, (1, 2): 3.0})
    trace = noisy(start, 200, 0)
    one = solution(trace, start)
    other = solution(trace, start, one.problem.swapped(one.problem.mean, 0, 1))
    assert same_spectrum(other, one)
    assert same_parameters(other, one)
    assert worse(other, one) > 10


def test_a_gaussian_and_a_coupling_that_are_not_there_are_said_to_be_unseen() -> None:
    start = system([2.0, 2.4, 3.3], {(0, 2): 7.0, (1, 2): 3.0})
    found = fit(noisy(start, 60, 1), start)
    assert found.gaussian == (0.0,)
    assert found.flags["gaussian"] == "unseen"
    assert found.flags["coupling/H1-H2"] == "unseen"
    i = found.fit.names.index("coupling/H1-H2")
    assert found.fit.values[i] == 0
    assert 0 < found.fit.covariance[i, i] ** 0.5 <= 1


def test_a_gaussian_that_is_there_is_fitted() -> None:
    lone = system([2.5], {}, width=0.5)
    trace = simulate(lone, FIELD, axis=AXIS)
    kernel = np.exp(-0.5 * (np.arange(-60, 61) * 0.0005 * FIELD / 1.5) ** 2)
    y = np.convolve(trace.y, kernel / kernel.sum(), mode="same")
    y += np.random.default_rng(0).normal(0, y.max() / 300, len(y))
    found = fit(replace(trace, y=y), lone)
    assert found.gaussian[0] == pytest.approx(1.5, rel=0.1)


def test_the_symmetry_of_a_spin_system_ties_what_it_makes_equal() -> None:
    assert len(symmetries(ORTHO)) == 2
    ties = ties_of(ORTHO)
    assert ["shift/H1", "shift/H2"] in ties
    assert ["coupling/H1-H3", "coupling/H2-H4"] in ties
    assert ["coupling/H1-H4", "coupling/H2-H3"] in ties
    assert ties_of(CHAIN) == []
    assert ["shift/H3@2", "shift/H4@2"] in ties_of(ORTHO, 2)


def test_symmetric_protons_stay_equal_in_a_fit() -> None:
    truth = replace(ORTHO, widths=np.full(4, 0.15))
    axis = np.arange(7.0, 7.8, 0.0001)
    start = from_smiles("Clc1ccccc1Cl")
    order = [start.names.index(name) for name in ("H3", "H6", "H4", "H5")]
    start = replace(start, shifts=np.array([7.48, 7.31, 7.31, 7.48]))
    found = fit(noisy(truth, 200, 0, axis), start)
    assert found.problem == ""
    shifts = found.system.shifts[order]
    assert shifts[0] == shifts[1]
    assert shifts[2] == shifts[3]
    assert np.abs(np.sort(shifts) - np.sort(truth.shifts)).max() < 2e-4
    i, j = (found.fit.names.index(f"shift/{name}") for name in ("H3", "H6"))
    assert found.fit.covariance[i, j] == pytest.approx(found.fit.covariance[i, i])


def test_a_sharp_start_that_is_right_is_not_left() -> None:
    truth = replace(ORTHO, widths=np.full(4, 0.05))
    axis = np.arange(7.0, 7.8, 0.00005)
    start = replace(truth, shifts=truth.shifts + np.array([1, 1, -1, -1]) * 5e-4, widths=np.full(4, 0.1))
    found = fit(noisy(truth, 500, 0, axis), start, starts=1)
    assert found.metrics["r_factor"] < 0.05


def test_ties_can_be_left_out_and_a_prior_of_its_own_unties() -> None:
    trace = noisy(ORTHO, 200, 0, np.arange(7.0, 7.8, 0.0004))
    free = fit(trace, ORTHO, ties=(), starts=1)
    tied = fit(trace, ORTHO, starts=1)
    apart = fit(trace, ORTHO, prior={"coupling/H1-H3": Normal(8.0, 0.5)}, starts=1)
    assert tied.system.couplings[0, 2] == tied.system.couplings[1, 3]
    assert apart.system.couplings[0, 2] != apart.system.couplings[1, 3]
    assert free.fit.covariance.shape == tied.fit.covariance.shape


@pytest.mark.parametrize(
    ("smiles", "wanted"), [("C=Cc1ccccc1", [10.5, 17.0]), ("C=CC(=O)O", [10.5, 17.0]), ("C=CCO", [10.5, 17.0])]
)
def test_a_vinyl_group_has_a_cis_and_a_trans_coupling(smiles: str, wanted: list[float]) -> None:
    start = from_smiles(smiles)
    k, m, other = (start.names.index(name) for name in ("H1a", "H1b", "H2"))
    assert sorted(start.couplings[[k, m], other]) == wanted
    assert 0 <= start.couplings[k, m] <= 3


def test_protons_one_apart_in_an_aromatic_ring_and_beside_a_double_bond_couple() -> None:
    styrene, allyl = from_smiles("C=Cc1ccccc1"), from_smiles("C=CCO")
    assert styrene.couplings[styrene.names.index("H5"), styrene.names.index("H7")] == pytest.approx(1.3)
    assert allyl.couplings[allyl.names.index("H1a"), allyl.names.index("H3")] == pytest.approx(-1.3)


def test_other_solutions_are_in_the_summary_and_in_a_table() -> None:
    found = fit(noisy(CHAIN, 200, 0), CHAIN, starts=1)
    summary = fit_summary(found)
    assert (summary["doubt"], summary["alternatives"]) == ("", [])
    from molvis_nmr.fitting.spin_system import Alternative

    other = replace(found.system, shifts=found.system.shifts + np.array([0, 0, 0, 0.01]))
    more = replace(found, alternatives=(Alternative(other, 0.05, 3.2),))
    assert fit_summary(more)["alternatives"][0]["worse"] == 3.2
    _, rows = solutions_table(more)
    assert rows[0][1:3] == ["5.00%", "3.2"]
    assert rows[0][3].startswith("H4 at 3.31")


def test_regions_and_numbers_of_the_command_line() -> None:
    assert read_numbers("4,1,0", "--broadening") == (4.0, 1.0, 0.0)
    with pytest.raises(ConfigError, match="--broadening must be numbers"):
        read_numbers("4;1", "--broadening")
    windows = outside([(6.5, 7.0), (2.0, 3.0)])
    assert [(round(a, 1), round(b, 1)) for a, b in windows] == [(-1e4, 2.0), (3.0, 6.5), (7.0, 1e4)]
    assert outside([]) == []


def test_shifts_that_are_half_a_ppm_off_are_put_where_the_signal_is() -> None:
    truth = replace(ORTHO, widths=np.full(4, 0.3))
    trace = noisy(truth, 300, 0, np.arange(6.4, 8.4, 0.0002))
    start = replace(ORTHO, shifts=np.array([7.4, 7.4, 6.98, 6.98]))
    moved = transported(problem(trace, start), problem(trace, start).mean)
    found = problem(trace, start).system(moved, 0)
    assert found.shifts == pytest.approx(truth.shifts, abs=0.01)


VINYL = system([5.24, 5.75, 6.72], {(0, 1): 0.9, (0, 2): 10.9, (1, 2): 17.6}, width=0.15)
VINYL_AXIS = np.arange(4.6, 7.6, 0.0001)
# As rules have it for styrene: no line of the start is near a signal.
VINYL_RULE = replace(VINYL, shifts=np.array([5.59, 5.66, 7.26]), widths=np.ones(3))


def test_a_start_whose_signals_lie_outside_of_its_windows_is_found() -> None:
    found = fit(noisy(VINYL, 300, 0, VINYL_AXIS), VINYL_RULE, prior=of_shifts(VINYL_RULE, 0.25))
    assert found.problem == found.doubt == ""
    assert found.system.shifts == pytest.approx(VINYL.shifts, abs=1e-3)
    assert np.abs(found.system.couplings) == pytest.approx(np.abs(VINYL.couplings), abs=0.1)


def test_a_prior_of_shifts_is_wide_and_starts_near_the_signal_are_not() -> None:
    wide = with_prior(problem(noisy(VINYL, 300, 0, VINYL_AXIS), VINYL_RULE), of_shifts(VINYL_RULE, 0.25))
    assert wide.sd[wide.at(0, "shift")].tolist() == [0.25] * 3
    assert usual_spread(wide)[wide.at(0, "shift")].tolist() == [0.05] * 3
    assert list(of_shifts(VINYL, 0.2, spectra=2))[:2] == ["shift/H1@1", "shift/H1@2"]


def test_shifts_that_a_structure_has_in_the_wrong_order_are_put_into_the_right_one() -> None:
    start = replace(CHAIN, shifts=CHAIN.shifts[[2, 1, 0, 3]])
    one = problem(noisy(CHAIN, 300, 0), start)
    there = one.mean.copy()
    orders = assigned(one, there, one.stage(there, 4.0, 40.0), 3)
    assert len(orders) == 3
    assert one.system(orders[0], 0).shifts == pytest.approx(CHAIN.shifts)


# Two pairs of which nothing but a trace of strong coupling tells which goes with which.
TWINS = system([7.4869, 7.4845, 7.7577, 7.7605, 7.36], {(0, 2): 8.3, (1, 3): 8.3, (0, 4): 7.6, (1, 4): 7.6}, width=1.2)


def test_near_groups_that_may_have_changed_places_are_another_solution() -> None:
    wrong = replace(TWINS, shifts=TWINS.shifts[[1, 0, 2, 3, 4]])
    axis = np.arange(7.1, 8.0, 0.0003)
    found = fit(noisy(TWINS, 100, 0, axis), wrong)
    solutions = [found.system, *(one.system for one in found.alternatives)]
    order = [tuple(np.argsort(one.shifts[:4]).tolist()) for one in solutions]
    assert {(0, 1), (1, 0)} == {some[:2] for some in order}
    alone = fit(noisy(CHAIN, 100, 0), CHAIN)
    assert alone.alternatives == ()


def test_a_wrong_pairing_is_told_from_the_right_one_where_the_data_do() -> None:
    truth = system([7.60, 7.594, 7.30, 6.90], {(0, 2): 8.0, (1, 3): 5.0}, width=0.6)
    wrong = replace(truth, shifts=truth.shifts[[1, 0, 2, 3]])
    trace = noisy(truth, 200, 0, np.arange(6.6, 7.9, 0.0003))
    (other, by), *_ = told_badly(solution(trace, wrong), noise=True)
    assert by < -100
    assert other.problem.system(other.state.theta, 0).shifts == pytest.approx(truth.shifts, abs=1e-3)
    assert all(by > 100 for _, by in told_badly(solution(trace, truth), noise=True))


QUARTET = system([4.530, 4.540], {(0, 1): -13.5}, width=1.0)


def test_a_coupling_of_near_groups_that_went_far_from_its_start_is_looked_at_there_again() -> None:
    trace = noisy(QUARTET, 300, 0, np.arange(4.4, 4.67, 0.0002))
    right = solution(trace, QUARTET)
    assert told_badly(right, noise=True) == []
    theta = right.state.theta.copy()
    theta[0] = -1.5
    (other, by), *_ = told_badly(solution(trace, QUARTET, theta), noise=True)
    assert by < -100
    assert other.state.theta[0] == pytest.approx(-13.5, abs=0.3)


def test_a_group_without_its_signal_is_said_and_sought_where_it_is() -> None:
    trace = noisy(QUARTET, 400, 0, np.arange(4.2, 4.9, 0.0002))
    lost = replace(QUARTET, shifts=np.array([4.5645, 4.535]))
    lost = replace(lost, couplings=lost.couplings * 0.05)
    one = solution(trace, lost)
    assert set(lopsided(one)) == {"H1", "H2"}
    assert lopsided(solution(trace, QUARTET)) == {}
    back = with_prior(one.problem, {"coupling/H1-H2": Normal(-11.0, 3.0)})
    shifts = [back.system(theta, 0).shifts for theta in _gathered(back, one.state.theta, one.state.linear)]
    assert len(shifts) == 2
    assert sorted(shifts[0]) == pytest.approx([4.535 - 1.3 / FIELD, 4.535 + 1.3 / FIELD], abs=3e-3)
    said = fit(trace, lost, starts=1).doubt
    assert "H1 0." in said


# As aspirin: a CH3, and a ring of which a rule has three protons 0.3 to 0.4 ppm off.
RING = system(
    [7.067, 7.525, 7.280, 8.037], {(0, 1): 8.1, (0, 2): 1.2, (0, 3): 0.4, (1, 2): 7.4, (1, 3): 1.7, (2, 3): 7.9}
)
WITH_METHYL = SpinSystem(
    (*RING.names, "CH3"), np.append(RING.shifts, 2.29), np.pad(RING.couplings, (0, 1)),
    multiplicity=np.array([1, 1, 1, 1, 3]), widths=np.full(5, 0.5),
)  # fmt: skip
BY_RULE = replace(WITH_METHYL, shifts=np.array([7.364, 7.415, 7.011, 7.606, 2.29]), widths=np.ones(5))


def beside_an_acid_proton() -> Trace:
    """The broad signal of a proton lies beside the one that the rule has farthest off."""
    axis = np.arange(1.5, 9.5, 0.0004)
    clean = noisy(WITH_METHYL, 2000, 0, axis)
    broad = 1 / (1 + ((axis - 8.245) * FIELD / 18) ** 2)
    return replace(clean, y=clean.y + broad * clean.y.sum() / 7 / broad.sum())


def test_broad_signals_and_other_ranges_do_not_count_where_shifts_are_put_where_the_signal_is() -> None:
    one = problem(beside_an_acid_proton(), BY_RULE)
    moved = one.system(transported(one, one.mean), 0).shifts
    assert np.sort(moved) == pytest.approx(np.sort(WITH_METHYL.shifts), abs=0.1)  # 40 Hz, a window
    assert np.argsort(moved).tolist() == np.argsort(BY_RULE.shifts).tolist()


@pytest.mark.full
def test_a_proton_whose_signal_lies_outside_of_the_windows_is_found_beside_a_broad_one() -> None:
    found = fit(beside_an_acid_proton(), BY_RULE, prior=of_shifts(BY_RULE, 0.25))
    assert found.problem == ""
    assert np.sort(found.system.shifts) == pytest.approx(np.sort(WITH_METHYL.shifts), abs=2e-3)
    assert lopsided(found._solution) == {}


# Two CH2 beside each other, and a CH: of the coupling within the second CH2 there are optima at -7 and at -20 Hz.
NEAR_CH2 = system(
    [3.6855, 3.6525, 3.1770, 3.2040, 5.6438],
    {(0, 1): -15.4, (0, 2): 9.2, (0, 3): 6.4, (1, 2): 6.3, (1, 3): 9.2, (2, 3): -14.5, (2, 4): 6.5, (3, 4): 5.8},
)  # fmt: skip


def test_a_coupling_that_went_to_another_optimum_is_tried_where_it_started() -> None:
    one = problem(noisy(NEAR_CH2, 50, 0, np.arange(2.9, 5.9, 0.0005)), NEAR_CH2)
    place = {pair: i for i, pair in enumerate(one.pairs)}
    theta = one.mean.copy()
    for pair, value in {(0, 2): 8.9, (0, 3): 6.8, (1, 2): 6.7, (1, 3): 8.9, (2, 3): -6.9}.items():
        theta[place[pair]] = value
    stage = one.stage(theta, 0.0, 40.0)
    wrong = descend(one, theta, stage, most=20, tolerance=1e-5)[0]
    assert wrong.theta[place[2, 3]] > -9
    back = from_start_values(one, wrong, stage, ~one.new_couplings)
    assert back.objective < wrong.objective - 50
    assert back.theta[place[2, 3]] == pytest.approx(-14.5, abs=0.3)
    assert back.theta[place[0, 2]] == pytest.approx(9.2, abs=0.1)
    assert from_start_values(one, back, stage, ~one.new_couplings) is back
