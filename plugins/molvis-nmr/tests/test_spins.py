from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.special import wofz

from molvis_core.errors import ReadError, RecordError
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.spins.derivatives import lines_and_derivatives
from molvis_nmr.spins.hamiltonian import larmor
from molvis_nmr.spins.simulation import render, simulate, simulate_all
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, lines, merged

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "nmr"


STEPS = (-1e-5, 1e-5)


def make(shifts, couplings=(), **fields) -> SpinSystem:
    size = len(shifts)
    j = np.zeros((size, size))
    for k, m, hertz in couplings:
        j[k, m] = j[m, k] = hertz
    return SpinSystem(tuple(f"H{k}" for k in range(1, size + 1)), np.array(shifts, dtype=float), j, **fields)


@pytest.mark.full
def test_a_star_brings_all_public_names_and_not_pytorch() -> None:
    script = "import sys; from molvis_nmr import *; print(simulate.__module__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("molvis_nmr.spins.simulation False\n", "")


def strong(size: int, seed: int = 0, **fields) -> SpinSystem:
    draw = np.random.default_rng(seed)
    pairs = [(k, m, draw.uniform(-12, 12)) for k, m in combinations(range(size), 2)]
    return make(draw.uniform(1, 1.4, size), pairs, **fields)


def pulled_apart(system: SpinSystem) -> SpinSystem:
    """Each spin a group of its own."""
    owner = np.repeat(np.arange(len(system)), system.multiplicity)
    return SpinSystem(
        tuple(f"{system.names[k]}.{i}" for i, k in enumerate(owner)),
        system.shifts[owner],
        system.couplings[np.ix_(owner, owner)],
        widths=system.widths[owner],
        intensities=system.intensities[owner],
        nuclei=tuple(system.nuclei[k] for k in owner),
    )


def lorentzians(found: Lines, system: SpinSystem, hertz: np.ndarray, broadening: float = 0) -> np.ndarray:
    width = found.share @ system.widths + broadening
    return width / (width**2 + (hertz[:, None] - found.position) ** 2) @ (found.weight @ system.intensities)


def table(found: Lines, least: float = 1e-3, near: float = 1e-6) -> np.ndarray:
    """Positions and heights of what can be seen, lines in one place added up."""
    total = found.weight.sum(axis=1)
    order = np.argsort(found.position)
    position, total = found.position[order], total[order]
    starts = np.append(0, np.flatnonzero(np.diff(position) > near) + 1)
    rows = np.stack([position[starts], np.add.reduceat(total, starts)], axis=1)
    return rows[rows[:, 1] > least]


def explicit(system: SpinSystem, frequency: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights from the whole matrix in the product basis, spin by spin."""
    plus, z = np.array([[0, 1], [0, 0]]), np.diag([0.5, -0.5])
    owner = np.repeat(np.arange(len(system)), system.multiplicity)
    size = len(owner)

    def at(operator, k):
        return np.kron(np.kron(np.eye(2**k), operator), np.eye(2 ** (size - k - 1)))

    h = np.zeros((2**size, 2**size))
    for k, g in enumerate(owner):
        h += system.shifts[g] * larmor(system.nuclei[g], frequency) * at(z, k)
    for a, b in combinations(range(size), 2):
        hertz = system.couplings[owner[a], owner[b]]
        h = h + hertz * at(z, a) @ at(z, b)
        if system.nuclei[owner[a]] == system.nuclei[owner[b]]:
            h = h + hertz / 2 * (at(plus, a) @ at(plus.T, b) + at(plus.T, a) @ at(plus, b))
    levels, states = np.linalg.eigh(h)
    flips = [states.T @ at(plus, k) @ states for k in range(size)]
    weight = np.zeros((len(system), *h.shape))
    for k, g in enumerate(owner):
        weight[g] += sum(flips) * flips[k] * 2 / 2**size
    some = np.abs(weight).max(axis=0) > 1e-12
    return (levels[:, None] - levels)[some], weight[:, some].T


# Lines


def test_an_ab_system_has_the_lines_of_the_formula():
    j, gap = 8.0, 15.0
    found = table(lines(make([1.0, 1.0 + gap / 300], [(0, 1, j)]), 300.0))
    root = np.hypot(j, gap)
    center = 300 + gap / 2
    wanted = [center - (root + j) / 2, center - (root - j) / 2, center + (root - j) / 2, center + (root + j) / 2]
    np.testing.assert_allclose(found[:, 0], wanted, atol=1e-9)
    outer, inner = (1 - j / root) / 2, (1 + j / root) / 2
    np.testing.assert_allclose(found[:, 1], [outer, inner, inner, outer], atol=1e-9)


def test_the_ab_part_of_an_abx_system_is_two_ab_quartets():
    a, b, ab, ax, bx = 300.0, 310.0, 12.0, 3.0, 7.0
    found = lines(make([1.0, 310 / 300, 1000.0], [(0, 1, ab), (0, 2, ax), (1, 2, bx)]), 300.0)
    quartets = []
    for half in (-0.5, 0.5):
        low, high = a + half * ax, b + half * bx
        root = np.hypot(high - low, ab)
        for sign, inner in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            height = (1 + ab / root) / 4 if sign != inner else (1 - ab / root) / 4
            quartets.append(((low + high + sign * root + inner * ab) / 2, height))
    seen = table(found)
    seen = seen[seen[:, 0] < 1000]
    np.testing.assert_allclose(seen, np.array(sorted(quartets)), atol=1e-4)  # X is 300,000 Hz away, not infinitely


def test_an_a2b2_system_far_apart_is_two_triplets():
    found = table(lines(make([1.0, 100.0], [(0, 1, 7.0)], multiplicity=[2, 2]), 300.0), near=0.1)
    np.testing.assert_allclose(found[:, 0], [293, 300, 307, 29993, 30000, 30007], atol=2e-2)
    np.testing.assert_allclose(found[:, 1], [0.5, 1, 0.5, 0.5, 1, 0.5], atol=2e-3)


def test_an_a2b2_system_is_what_the_whole_matrix_says():
    system = make([1.0, 1.05], [(0, 1, 7.0)], multiplicity=[2, 2])
    position, weight = explicit(system, 300.0)
    np.testing.assert_allclose(table(lines(system, 300.0)), table(Lines(position, weight, weight)), atol=1e-9)


def test_a_strongly_coupled_system_agrees_with_nmrsim():
    # nmrsim 0.7.1, qm_spinsystem([430, 265, 300], J12 = 7, J13 = 15, J23 = 1.5)
    known = [
        (260.6615286, 0.2301125), (262.1893034, 0.2487606), (267.6299155, 0.2485558), (269.1576904, 0.2725642),
        (291.3191137, 0.2288200), (292.8468885, 0.2138123), (306.3229519, 0.2925168), (307.8507267, 0.2648680),
        (419.5193578, 0.2910724), (426.4877447, 0.2662987), (434.5231960, 0.2300459), (441.4915829, 0.2125728),
    ]  # fmt: skip
    system = make([430 / 500, 265 / 500, 300 / 500], [(0, 1, 7), (0, 2, 15), (1, 2, 1.5)])
    # Its intensities are scaled up by what it leaves out.
    np.testing.assert_allclose(table(lines(system, 500.0)), known, rtol=1e-5)


@pytest.mark.parametrize("multiplicity", [[1, 1, 1, 1], [3, 1, 2, 1], [2, 2, 3, 1]])
def test_lines_of_each_group_are_those_of_the_whole_matrix(multiplicity):
    system = strong(4, multiplicity=multiplicity)
    position, weight = explicit(system, 60.0)
    found = lines(system, 60.0, threshold=0)
    hertz = np.linspace(30, 110, 100)
    for given, wanted in zip(
        (1 / (1 + (hertz[:, None] - found.position) ** 2) @ found.weight).T,
        (1 / (1 + (hertz[:, None] - position) ** 2) @ weight).T,
        strict=True,
    ):
        np.testing.assert_allclose(given, wanted, atol=1e-9)


def test_the_lines_of_a_group_add_up_to_its_spins():
    system = strong(5, multiplicity=[1, 3, 2, 1, 1])
    found = lines(system, 60.0)
    np.testing.assert_allclose(found.weight.sum(axis=0), system.multiplicity, rtol=1e-4)
    np.testing.assert_allclose(found.share.sum(axis=1), 1)


def test_couplings_do_not_move_the_center_of_all_lines():
    system = strong(6, multiplicity=[1, 1, 2, 1, 3, 1])
    found = lines(system, 60.0, threshold=0)
    center = found.weight.sum(axis=1) @ found.position
    assert center == pytest.approx(system.multiplicity @ system.shifts * 60)


def test_the_order_of_the_groups_changes_nothing():
    system = strong(5, multiplicity=[1, 2, 1, 1, 3])
    order = np.array([3, 0, 4, 2, 1])
    other = replace(
        system,
        names=tuple(system.names[k] for k in order),
        shifts=system.shifts[order],
        couplings=system.couplings[np.ix_(order, order)],
        multiplicity=system.multiplicity[order],
    )
    np.testing.assert_allclose(table(lines(other, 60.0)), table(lines(system, 60.0)), atol=1e-8)


def test_all_signs_of_j_turned_change_nothing():
    system = strong(5)
    turned = replace(system, couplings=-system.couplings)
    np.testing.assert_allclose(table(lines(turned, 60.0)), table(lines(system, 60.0)), atol=1e-8)


def test_groups_are_what_their_spins_are_one_by_one():
    system = strong(3, multiplicity=[2, 3, 1], widths=[0.7, 1.1, 1.3], intensities=[0.8, 1, 0.9])
    axis = np.linspace(0.5, 2, 2000)
    alone = pulled_apart(system)
    assert len(merged(alone)[0]) == 3
    wanted = simulate(system, 60.0, axis=axis).y
    np.testing.assert_allclose(simulate(alone, 60.0, axis=axis).y, wanted, atol=1e-9 * wanted.max())
    hertz = axis * 60
    found = lines_and_derivatives(system, 60.0), lines_and_derivatives(alone, 60.0)
    np.testing.assert_allclose(
        lorentzians(found[1].lines, alone, hertz), lorentzians(found[0].lines, system, hertz), atol=1e-9
    )
    np.testing.assert_allclose(found[1].position[:, 2:5].sum(axis=1), found[0].position[:, 1])
    np.testing.assert_allclose(found[1].signal[:, :2].sum(axis=1), found[0].signal[:, 0])
    across = [i for i, (k, m) in enumerate(found[1].pairs) if k < 2 and 2 <= m < 5]
    within = [i for i, (k, m) in enumerate(found[1].pairs) if 2 <= k < m < 5]
    assert (len(across), len(within)) == (6, 0)
    np.testing.assert_allclose(found[1].signal[:, 6:][:, across].sum(axis=1), found[0].signal[:, 3])


def test_equivalent_spins_have_the_derivatives_that_moving_them_shows():
    system = make([1.0, 1.0, 1.1], [(0, 1, -12.0), (0, 2, 7.0), (1, 2, 7.0)])
    found = lines_and_derivatives(system, 60.0)
    hertz = np.linspace(50, 80, 300)
    off = hertz[:, None] - found.lines.position
    slope = 2 * off / (1 + off**2) ** 2 * found.lines.weight.sum(axis=1)
    jacobian = 1 / (1 + off**2) @ found.signal + slope @ found.position
    for q in range(6):
        ends = [lorentzians(lines(at, 60.0), at, hertz) for at in (changed(system, q, found.pairs, by) for by in STEPS)]
        np.testing.assert_allclose(jacobian[:, q], (ends[1] - ends[0]) / 2e-5, atol=1e-3)


def test_what_is_not_coupled_is_simulated_apart():
    first, second = strong(3, 1), strong(3, 2)
    both = make(
        [*first.shifts, *second.shifts],
        [(k, m, first.couplings[k, m]) for k, m in combinations(range(3), 2)]
        + [(3 + k, 3 + m, second.couplings[k, m]) for k, m in combinations(range(3), 2)],
    )
    found = lines(both, 60.0)
    assert len(found) == len(lines(first, 60.0)) + len(lines(second, 60.0))


def test_another_nucleus_splits_without_mixing():
    system = make([1.0, 1.02, -80.0], [(0, 1, 8), (0, 2, 45), (1, 2, 3)], nuclei=("1H", "1H", "19F"))
    position, weight = explicit(system, 300.0)
    for nucleus, group, low, high in (("1H", (0, 1), 200, 400), ("19F", (2,), -23000, -22000)):
        some = (position > low) & (position < high)
        found = lines(system, 300.0, nucleus=nucleus)
        wanted = table(Lines(position[some], weight[some], weight[some]))
        np.testing.assert_allclose(table(found), wanted, atol=1e-6)
        assert found.weight.sum() == pytest.approx(len(group), rel=1e-5)
    assert larmor("19F", 300.0) == pytest.approx(282.282, abs=1e-3)


def test_a_nucleus_that_is_not_there_or_not_known_is_refused():
    with pytest.raises(RecordError, match="has no 13C; it has 1H"):
        lines(strong(2), 60.0, nucleus="13C")
    with pytest.raises(RecordError, match="no spin-1/2 nucleus is named '14N'.*15N"):
        lines(make([1.0], nuclei=("14N",)), 60.0, nucleus="14N")
    with pytest.raises(RecordError, match="positive, got -60"):
        lines(strong(2), -60.0)


# Derivatives


def changed(system: SpinSystem, q: int, pairs: np.ndarray, by: float) -> SpinSystem:
    shifts, couplings = system.shifts.copy(), system.couplings.copy()
    if q < len(system):
        shifts[q] += by
    else:
        k, m = pairs[q - len(system)]
        couplings[k, m] += by
        couplings[m, k] += by
    return replace(system, shifts=shifts, couplings=couplings)


@pytest.mark.parametrize("multiplicity", [[1, 1, 1, 1], [2, 1, 3, 1]])
def test_derivatives_agree_with_finite_differences(multiplicity):
    r = np.array([0.7, 1.0, 0.8, 0.9])
    system = strong(4, 3, multiplicity=multiplicity)
    pairs = list(combinations(range(4), 2))
    system = changed(system, 4, np.array(pairs), -system.couplings[0, 1])  # one J is 0, and wanted all the same
    found = lines_and_derivatives(system, 60.0, threshold=0, pairs=pairs, intensities=r)
    hertz = np.linspace(50, 100, 200)
    off = hertz[:, None] - found.lines.position
    line, slope = 1 / (1 + off**2), 2 * off / (1 + off**2) ** 2
    jacobian = line @ found.signal + slope * (found.lines.weight @ r) @ found.position
    for q in range(10):
        ends = []
        for by in STEPS:
            there = lines(changed(system, q, np.array(pairs), by), 60.0, threshold=0)
            ends.append(1 / (1 + (hertz[:, None] - there.position) ** 2) @ (there.weight @ r))
        wanted = (ends[1] - ends[0]) / 2e-5
        np.testing.assert_allclose(jacobian[:, q], wanted, atol=2e-6 * max(1, np.abs(wanted).max()))


def test_derivatives_are_finite_where_levels_meet():
    system = make([1.0, 1.0, 1.0], [(0, 1, 7.0), (0, 2, 7.0), (1, 2, 7.0)])
    found = lines_and_derivatives(system, 60.0)
    assert np.isfinite(found.signal).all()
    assert np.isfinite(found.position).all()
    np.testing.assert_allclose((found.lines.weight.sum(axis=1) @ found.position)[:3], 60)


def test_a_pair_that_is_none_is_refused():
    with pytest.raises(RecordError, match="two different groups of the 3"):
        lines_and_derivatives(strong(3), 60.0, pairs=[(1, 1)])


# Spectra


@pytest.mark.parametrize("frequency", [60.0, 400.0])
def test_a_spectrum_is_the_sum_of_its_lorentzians(frequency):
    system = strong(4, widths=[0.5, 0.8, 1.3, 2.0], intensities=[0.7, 1.0, 0.9, 0.8])
    found = lines(system, frequency)
    draw = np.random.default_rng(1)
    axes = {
        "even": np.linspace(0.5, 2, 3000),
        "part": np.linspace(1.1, 1.2, 400),
        "dense": np.linspace(1.1, 1.1001, 400),
        "coarse": np.linspace(0, 3, 50),
        "uneven": np.sort(draw.uniform(0.5, 2, 700)),
    }
    for name, axis in axes.items():
        wanted = lorentzians(found, system, axis * frequency, 0.3)
        given = simulate(system, frequency, axis=axis, broadening=0.3)
        peak = lorentzians(found, system, found.position, 0.3).max()
        np.testing.assert_allclose(given.y, wanted, atol=1e-5 * peak, err_msg=name)
        assert given.frequency == frequency


def test_a_gaussian_makes_a_voigt_profile():
    axis = np.linspace(0.8, 1.2, 2001)
    given = simulate(make([1.0], widths=[0.6]), 300.0, axis=axis, gaussian=1.1)
    hertz = (axis - 1) * 300
    wanted = wofz((hertz + 0.6j) / (1.1 * np.sqrt(2))).real / (1.1 * np.sqrt(2 * np.pi)) * np.pi
    np.testing.assert_allclose(given.y, wanted, atol=1e-5 * wanted.max())


def test_a_kernel_puts_lines_where_it_says():
    axis = np.linspace(0.8, 1.2, 2001)
    once, both = (simulate(make([shift], widths=[0.6]), 300.0, axis=axis).y for shift in (1.0, 1.0 + 2 / 300))
    given = simulate(make([1.0], widths=[0.6]), 300.0, axis=axis, kernel=np.array([[0.0, 6.0], [2.0, 2.0]]))
    np.testing.assert_allclose(given.y, 0.75 * once + 0.25 * both, atol=1e-5)


def test_the_area_of_a_spectrum_is_pi_for_each_spin():
    system = strong(4, multiplicity=[1, 2, 3, 1])
    spectrum = simulate(system, 60.0, window=(-60, 62), points=1 << 16)
    area = spectrum.y.sum() * (spectrum.x[1] - spectrum.x[0]) * 60
    assert area == pytest.approx(np.pi * 7, rel=1e-3)


def test_without_an_axis_all_lines_are_in_the_window():
    spectrum = simulate(strong(4), 60.0)
    found = lines(strong(4), 60.0).position / 60
    assert spectrum.x[0] < found.min() - 0.19
    assert spectrum.x[-1] > found.max() + 0.19


def test_many_spectra_come_on_one_axis():
    systems = [strong(3, seed) for seed in range(3)]
    axis = np.linspace(0.5, 2, 500)
    rows = simulate_all(systems, 60.0, axis)
    for system, row in zip(systems, rows, strict=True):
        np.testing.assert_array_equal(row, simulate(system, 60.0, axis=axis).y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axis": np.array([2.0, 1.0])}, "ascending"),
        ({"axis": np.array([1.0])}, "two or more"),
        ({"axis": np.array([1.0, np.nan, 2.0])}, "finite"),
        ({"window": (2.0, 1.0)}, "lower end comes first"),
        ({"points": 1}, "points must be at least 2"),
        ({"gaussian": -1.0}, "must not be negative"),
        ({"broadening": -0.1}, "must not be negative"),
        ({"kernel": np.array([[0.0, 0.0]])}, "sum is positive"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(RecordError, match=message):
        simulate(strong(2), 60.0, **arguments)


# Large systems


def chain(groups: int, seed: int = 0) -> SpinSystem:
    """CH2 after CH2, as in a fatty acid, but further apart."""
    draw = np.random.default_rng(seed)
    shifts = 1 + 0.25 * np.arange(groups) + draw.uniform(-0.05, 0.05, groups)
    neighbours = [(k, k + 1, draw.uniform(6, 8)) for k in range(groups - 1)]
    return make(shifts, neighbours, multiplicity=[3] + [2] * (groups - 2) + [1])


def distance(system: SpinSystem, one: Lines, other: Lines) -> float:
    """Sum of the differences of the spectra over the sum of one."""
    hertz = np.arange(one.position.min() - 50, one.position.max() + 50, 0.1)
    a, b = (render(found, system.widths, system.intensities, hertz) for found in (one, other))
    return float(np.abs(a - b).sum() / b.sum())


def test_clusters_of_a_chain_agree_with_the_whole(caplog):
    system = chain(5)  # 216 states
    whole = lines(system, 600.0)
    with caplog.at_level(logging.INFO, "molvis"):
        few, more = (lines(system, 600.0, states=states) for states in (40, 160))
    assert "clusters; what is left out moves lines by" in caplog.text
    assert distance(system, more, whole) < 1e-2
    assert distance(system, more, whole) < distance(system, few, whole) < 3e-2
    np.testing.assert_allclose(more.weight.sum(axis=0), system.multiplicity, rtol=2e-3)


@pytest.mark.full
def test_a_long_chain_is_simulated_in_clusters():
    system = chain(12)  # 24 spins, 472,392 states
    found = lines(system, 600.0, states=1024)
    np.testing.assert_allclose(found.weight.sum(axis=0), system.multiplicity, rtol=2e-3)
    middle = chain(12).couplings[5, 4:7]
    near = found.position[np.abs(found.weight[:, 5]) > 1e-3]
    assert np.ptp(near) == pytest.approx(2 * (middle[0] + middle[2]), abs=2.0)


def test_derivatives_of_clusters_are_near_those_of_the_whole():
    system = chain(4)  # 72 states
    whole, split = (lines_and_derivatives(system, 600.0, states=states) for states in (4096, 40))
    for found in (whole, split):
        assert found.signal.shape == (len(found.lines), 4 + 3)
    height = [found.lines.weight.sum(axis=1) for found in (whole, split)]
    np.testing.assert_allclose(height[1] @ split.position, height[0] @ whole.position, rtol=5e-3, atol=0.2)


# Libraries

ENTRY = '{"id": "x", "name": "X", "multiplicity": [3, 1], "shifts_ppm": [1, 2], "couplings_Hz": [[0, 1, 7.0]]}'


def test_a_library_is_read(tmp_path):
    path = tmp_path / "library.json"
    path.write_text(f'{{"systems": [{ENTRY}]}}')
    (system,) = read_systems(path)
    assert (system.identifier, system.name, system.n_spins) == ("x", "X", 4)
    assert system.couplings[1, 0] == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "a list 'systems' of them"),
        ('{"systems": [3]}', "a list 'systems' of them"),
        (
            f'{{"systems": [{ENTRY.replace("[0, 1, 7.0]", "[0, 2, 7.0]")}]}}',
            "record x: couplings_Hz couples groups 0 and 2",
        ),
        (f'{{"systems": [{ENTRY.replace("shifts_ppm", "shifts")}]}}', "it needs 'spins' or 'shifts_ppm'"),
        (f'{{"systems": [{ENTRY.replace("[3, 1]", "[3]")}]}}', "2 shifts_ppm and 1 multiplicity"),
        (f'{{"systems": [{ENTRY.replace("[1, 2]", chr(34) + "a" + chr(34))}]}}', "record x"),
    ],
)
def test_a_bad_library_names_the_system(tmp_path, text, message):
    path = tmp_path / "library.json"
    path.write_text(text)
    with pytest.raises(ReadError, match=message):
        read_systems(path)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no spin systems in {DATA}: set MOLVIS_DATA")
def test_every_spin_system_of_the_library_is_simulated():
    systems = read_systems(DATA / "spin_systems.json")
    assert len(systems) > 1200
    for system in systems:
        found = lines(system, 600.0)
        np.testing.assert_allclose(found.weight.sum(axis=0), system.multiplicity, rtol=1e-2, err_msg=system.name)
