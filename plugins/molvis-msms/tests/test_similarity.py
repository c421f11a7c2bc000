"""Similarities of spectra: values by hand and of other people, and what holds for any two spectra."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvis_core.errors import ConfigError, RecordError
from molvis_core.records import PeakList
from molvis_msms.references.similarity import KINDS, Similarity, Tolerance, similarity

MATCHINGS = ("greedy", "optimal")


def spectrum(*peaks: tuple[float, float], precursor: float | None = 500.0) -> PeakList:
    return PeakList(np.array([p[0] for p in peaks]), np.array([p[1] for p in peaks]), precursor_mz=precursor)


heights = st.integers(1, 1024).map(lambda n: n / 1024)
# On a coarse grid, so that peaks of one spectrum often compete for those of another.
peaks = st.lists(st.tuples(st.integers(500, 700).map(lambda n: n / 10), heights), min_size=1, max_size=25)
spectra = st.builds(lambda some, ion: spectrum(*some, precursor=ion), peaks, st.integers(71, 75).map(float))
kinds = st.sampled_from(sorted(KINDS))
tolerances = st.sampled_from([Tolerance(0.01), Tolerance(0.15), Tolerance(0.25), Tolerance(3000, "ppm")])


def test_the_cosine_is_that_of_the_powers_of_intensities() -> None:
    one, other = spectrum((100.0, 1.0), (200.0, 4.0)), spectrum((100.005, 9.0), (250.0, 16.0))
    found = Similarity("cosine", power=1.0)(one, other)
    assert found.score == pytest.approx(9 / (math.sqrt(17) * math.sqrt(337)))
    assert found.pairs.tolist() == [[0, 0]]
    assert Similarity("cosine")(one, other).score == pytest.approx(3 / (math.sqrt(5) * math.sqrt(25)))


def test_of_pairs_that_compete_greedy_takes_the_highest_product_and_optimal_the_highest_sum() -> None:
    one = spectrum((100.000, 0.9), (100.008, 1.0))
    other = spectrum((99.995, 0.8), (100.004, 1.0))
    # By m/z the first of one is near both, the second of one is near the second alone.
    norms = math.hypot(0.9, 1.0) * math.hypot(0.8, 1.0)
    assert Similarity(power=1.0)(one, other).score == pytest.approx((1.0 + 0.72) / norms)
    one, other = spectrum((100.000, 1.0), (100.008, 0.9)), spectrum((99.995, 0.8), (100.004, 1.0))
    norms = math.hypot(0.9, 1.0) * math.hypot(0.8, 1.0)
    assert Similarity(power=1.0)(one, other).score == pytest.approx(1.0 / norms)
    assert Similarity(power=1.0, matching="optimal")(one, other).score == pytest.approx((0.8 + 0.9) / norms)


def test_hybrid_also_pairs_peaks_that_are_shifted_by_the_difference_of_the_precursors() -> None:
    one = spectrum((100.0, 1.0), (200.0, 1.0), precursor=300.0)
    other = spectrum((100.0, 1.0), (214.0157, 1.0), precursor=314.0157)
    assert Similarity("cosine")(one, other).score == pytest.approx(0.5)
    found = Similarity("hybrid")(one, other)
    assert found.score == pytest.approx(1.0)
    assert sorted(found.pairs.tolist()) == [[0, 0], [1, 1]]
    assert Similarity("neutral-loss")(one, other).score == pytest.approx(0.5)
    # Of four peaks and losses each, one peak and one loss agree.
    assert Similarity("peaks-and-losses")(one, other).score == pytest.approx(0.5)


def test_neutral_losses_are_those_of_peaks_below_the_precursor() -> None:
    one = spectrum((100.0, 1.0), (300.0, 1.0), precursor=300.0)
    assert Similarity("neutral-loss")(one, one).score == pytest.approx(1.0)
    assert Similarity("neutral-loss")(one, one).pairs.tolist() == [[0, 0]]
    with pytest.raises(RecordError, match="precursor"):
        Similarity("neutral-loss")(one, replace(one, precursor_mz=None))
    assert Similarity("hybrid")(one, replace(one, precursor_mz=None)).score == pytest.approx(1.0)


def test_the_entropy_similarity_is_one_less_the_divergence_of_the_weighted_spectra() -> None:
    """Computed from the definition of Li et al. (2021): 1 - (2 S_AB - S_A - S_B) / ln 4, weights 0.25 + 0.25 S."""

    def entropy(p: np.ndarray) -> float:
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    def weighted(p: np.ndarray) -> np.ndarray:
        p = p / p.sum()
        raised = p ** (0.25 + 0.25 * entropy(p)) if entropy(p) < 3 else p
        raised = np.where(p > 0, raised, 0.0)
        return raised / raised.sum()

    a, b = np.array([1.0, 4.0, 0.0, 2.0]), np.array([3.0, 0.0, 5.0, 2.0])
    p, q = weighted(a), weighted(b)
    wanted = 1 - (2 * entropy((p + q) / 2) - entropy(p) - entropy(q)) / math.log(4)
    mz = np.array([80.0, 120.0, 160.0, 200.0])
    one, other = PeakList(mz[a > 0], a[a > 0]), PeakList(mz[b > 0], b[b > 0])
    assert Similarity("entropy")(one, other).score == pytest.approx(wanted)


def test_a_rich_spectrum_keeps_its_intensities_in_the_entropy_similarity() -> None:
    flat = spectrum(*[(100.0 + k, 1.0) for k in range(40)])  # entropy ln 40 = 3.7
    half = spectrum(*[(100.0 + k, 1.0) for k in range(20)])
    p, q = np.full(40, 1 / 40), np.where(np.arange(40) < 20, 1 / 20, 0)
    mixed = (p + q) / 2
    divergence = 2 * -(mixed * np.log(mixed)).sum() - math.log(40) - math.log(20)
    # The entropy of twenty equal peaks is below 3 by a little, but powers leave equal peaks equal.
    assert Similarity("entropy")(flat, half).score == pytest.approx(1 - divergence / math.log(4))


@settings(max_examples=150, deadline=None)
@given(spectra, spectra, kinds, tolerances, st.sampled_from(MATCHINGS))
def test_the_order_of_two_spectra_does_not_matter_and_scores_are_between_0_and_1(
    one: PeakList, other: PeakList, kind: str, tolerance: Tolerance, matching: str
) -> None:
    compare = Similarity(kind, tolerance, matching=matching)
    found, turned = compare(one, other), compare(other, one)
    assert 0 <= found.score <= 1
    assert found.score == pytest.approx(turned.score, abs=1e-12)
    assert len(found.pairs) == len(turned.pairs) or matching == "optimal"
    if kind != "peaks-and-losses":  # there a peak is used as a peak and as a loss
        assert len(set(found.pairs[:, 0].tolist())) == len(set(found.pairs[:, 1].tolist())) == len(found.pairs)


@settings(max_examples=100, deadline=None)
@given(spectra, kinds, tolerances, st.sampled_from(MATCHINGS))
def test_a_spectrum_is_like_itself(one: PeakList, kind: str, tolerance: Tolerance, matching: str) -> None:
    if kind != "neutral-loss" or (one.mz < one.precursor_mz).any():
        compare = Similarity(kind, tolerance, matching=matching)
        assert compare(one, one).score == pytest.approx(1.0)


@settings(max_examples=100, deadline=None)
@given(peaks, spectra, kinds, st.randoms(use_true_random=False))
def test_the_order_of_peaks_and_the_unit_of_intensities_do_not_matter(
    some: list[tuple[float, float]], other: PeakList, kind: str, chance: object
) -> None:
    shuffled = [(mz, 1000 * height) for mz, height in some]
    chance.shuffle(shuffled)
    compare = Similarity(kind, Tolerance(0.15))
    one, two = (spectrum(*p, precursor=73.0) for p in (some, shuffled))
    assert compare(one, other).score == pytest.approx(compare(two, other).score, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(spectra, spectra, kinds, tolerances)
def test_optimal_matching_is_never_below_greedy(
    one: PeakList, other: PeakList, kind: str, tolerance: Tolerance
) -> None:
    greedy, optimal = (Similarity(kind, tolerance, matching=m) for m in MATCHINGS)
    assert optimal(one, other).score >= greedy(one, other).score - 1e-12


@settings(max_examples=50, deadline=None)
@given(spectra, spectra, kinds)
def test_peaks_without_intensity_change_nothing(one: PeakList, other: PeakList, kind: str) -> None:
    empty = spectrum(*zip(other.mz.tolist(), [0.0] * len(other), strict=True))
    more = spectrum(
        *zip([*one.mz, *empty.mz], [*one.intensity, *empty.intensity], strict=True), precursor=one.precursor_mz
    )
    compare = Similarity(kind, Tolerance(0.15))
    assert compare(more, other).score == pytest.approx(compare(one, other).score, abs=1e-9)
    assert compare(empty, other).score == 0


def test_spectra_without_peaks_are_like_nothing() -> None:
    empty = PeakList(np.empty(0), np.empty(0), 200.0)
    for kind in KINDS:
        found = Similarity(kind)(empty, spectrum((100.0, 1.0)))
        assert (found.score, len(found.pairs)) == (0, 0)


def test_tolerances_in_ppm_are_of_the_mean_of_two_peaks() -> None:
    near, far = spectrum((1000.0, 1.0)), spectrum((1000.0101, 1.0))
    assert Similarity(tolerance=Tolerance(10, "ppm"))(near, far).score == 0
    assert Similarity(tolerance=Tolerance(10.2, "ppm"))(near, far).score == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0.01Da", Tolerance(0.01)),
        ("10 ppm", Tolerance(10, "ppm")),
        (".5", Tolerance(0.5)),
        ("5PPM", Tolerance(5, "ppm")),
    ],
)
def test_a_tolerance_is_a_number_with_its_unit(text: str, wanted: Tolerance) -> None:
    assert Tolerance.parse(text) == wanted
    assert Tolerance.parse(str(wanted)) == wanted


@pytest.mark.parametrize("text", ["", "ten", "-1Da", "10 mDa", "1e5ppm"])
def test_what_is_no_tolerance_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="0.01Da or 10ppm"):
        Tolerance.parse(text)


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'cosine'"):
        similarity("cosin")
    with pytest.raises(ConfigError, match="matching"):
        similarity("cosine", matching="fast")
    with pytest.raises(ConfigError, match="power"):
        Similarity(power=0.0)
    with pytest.raises(ConfigError, match="'Da' or 'ppm'"):
        Tolerance(1.0, "mDa")
    with pytest.raises(ConfigError, match="not negative"):
        Tolerance(-1.0)
