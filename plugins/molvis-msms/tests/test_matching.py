"""What peaks are worth in the match of a predicted spectrum and a measured one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from molvis_core.errors import BundleError
from molvis_core.interfaces import LeavesOut
from molvis_msms.forward.ladder import Ladder, Tolerance
from molvis_msms.forward.matching import FILE, LEAST, PARTS, Compared, Matching, beside, learn_matching, part_of
from molvis_msms.scorers.predicted_spectrum import PredictedSpectrum

TOLERANCE = Tolerance(10.0, 0.001)
PRECURSOR = 300.0
EPOCHS = 8
NO_FORMS = np.empty((0, 4))


def ladder(mz: list[float]) -> Ladder:
    """Of a candidate that may give these peaks."""
    return Ladder((0, 0, 0), NO_FORMS, np.empty(0), np.empty(0, bool), np.empty(0, int), np.array(mz), PRECURSOR)


def query(rng: np.random.Generator) -> tuple[Compared, int]:
    """Six candidates, to each of which six of eight peaks are predicted as high: the truth has those below m/z 150."""
    mz = np.sort(np.r_[rng.uniform(60, 140, 4), rng.uniform(160, 280, 4)])
    truth = int(rng.integers(6))
    predicted = []
    for place in range(6):
        low, high = (4, 2) if place == truth else (2, 4)
        taken = np.sort(np.r_[rng.permutation(4)[:low], 4 + rng.permutation(4)[:high]])
        predicted.append((ladder(mz[taken].tolist()), np.full(6, 0.1)))
    return beside(mz, np.full(8, 1 / 8), PRECURSOR, predicted, TOLERANCE), truth


@pytest.fixture(scope="module")
def queries() -> dict[str, list[tuple[Compared, int]]]:
    rng = np.random.default_rng(3)
    return {f"COMPOUND{number:06d}": [query(rng), query(rng)] for number in range(LEAST)}


@pytest.fixture(scope="module")
def learned(queries: dict[str, list[tuple[Compared, int]]]) -> Matching:
    done: list[tuple[int, int]] = []
    found = learn_matching(queries, epochs=EPOCHS, seed=1, progress=lambda one, total: done.append((one, total)))
    assert found is not None
    assert done == sorted(done)
    return found


def test_sums_are_those_of_the_peaks_that_are_predicted() -> None:
    mz, share = np.array([100.0, 200.0]), np.array([0.75, 0.25])
    found = beside(mz, share, PRECURSOR, [(ladder([100.0, 250.0, 300.0]), np.array([0.3, 0.4, 0.3]))] * 2, TOLERANCE)
    likelihood = 0.75 * np.log1p(0.3 / 0.002)
    cosine = 0.75 * 0.3 / np.sqrt(0.75**2 + 0.25**2) / np.sqrt(0.3**2 + 0.4**2)  # the precursor is left out
    np.testing.assert_allclose(found.sums, [[likelihood, cosine, likelihood * np.log(3)]] * 2)
    assert found.candidate.tolist() == [0, 1]
    np.testing.assert_allclose(found.worth, [likelihood] * 2)
    assert not found.missing.any()  # as much is missing of the one as of the other


def test_what_is_predicted_below_all_peaks_is_counted_apart() -> None:
    mz, share = np.array([100.0]), np.ones(1)
    low, high = ladder([50.0, 100.0]), ladder([100.0, 120.0])
    found = beside(mz, share, PRECURSOR, [(low, np.array([0.5, 0.5])), (high, np.array([0.5, 0.5]))], TOLERANCE)
    below, above = found.missing[:, 2], found.missing[:, 5]
    assert below[0] > below[1]
    assert above[1] > above[0]


def test_networks_learn_which_peaks_count(learned: Matching) -> None:
    """All candidates have six peaks as high, so that the sums do not tell them apart."""
    rng = np.random.default_rng(4)
    unseen = [query(rng) for _ in range(40)]
    assert max(np.ptp(one.sums, axis=0).max() for one, _ in unseen) < 1e-9
    assert np.mean([learned(one).argmax() == truth for one, truth in unseen]) > 0.9


@pytest.mark.full
def test_a_compound_is_asked_of_networks_that_have_not_learned_from_it(
    learned: Matching, queries: dict[str, list[tuple[Compared, int]]]
) -> None:
    key = next(iter(queries))
    more = {name: some for name, some in queries.items() if part_of(name) != part_of(key)} | {
        f"OTHER{number:09d}": [query(np.random.default_rng(number))] for number in range(60)
    }
    more = {name: some for name, some in more.items() if name in queries or part_of(name) == part_of(key)}
    again = learn_matching(more, epochs=EPOCHS, seed=1)
    assert again is not None
    one, _ = queries[key][0]
    np.testing.assert_array_equal(again.without([key])(one), learned.without([key])(one))
    assert not np.array_equal(again(one), learned(one))
    others = [name for name in queries if part_of(name) != part_of(key)]
    assert learned.without([key, others[0]]).parts == {part_of(key), part_of(others[0])}


def test_few_compounds_are_too_few_to_learn_from(queries: dict[str, list[tuple[Compared, int]]]) -> None:
    assert learn_matching(dict(list(queries.items())[: LEAST - 1])) is None


def test_networks_are_read_as_they_were_written(learned: Matching, tmp_path: Path) -> None:
    assert Matching.load(tmp_path) is None
    learned.save(tmp_path)
    again = Matching.load(tmp_path)
    assert again is not None
    assert len(again.networks) % PARTS == 0
    one, _ = query(np.random.default_rng(5))
    np.testing.assert_array_equal(again(one), learned(one))
    (tmp_path / FILE).write_bytes(b"no weights")
    with pytest.raises(BundleError, match="damaged"):
        Matching.load(tmp_path)


def test_the_scorer_leaves_out_what_its_match_learned_from(learned: Matching) -> None:
    scorer = PredictedSpectrum()
    assert isinstance(scorer, LeavesOut)
    assert scorer.without(["A"]) is scorer
    scorer.matching = learned
    fewer = scorer.without(["A"])
    assert fewer.matching is not None
    assert fewer.matching.parts == {part_of("A")}
    assert not learned.parts
