from __future__ import annotations

import numpy as np
import pytest

from molvis_core.errors import RecordError
from molvis_core.fitting import Fit, Normal, Uniform


def fit(**changes: object) -> Fit:
    fields: dict[str, object] = {
        "names": ("shift/H1", "coupling/H1-H2"),
        "units": ("ppm", "Hz"),
        "values": np.array([7.2, 8.0]),
        "covariance": np.diag([0.01, 4.0]),
        "samples": None,
        "simulated": (),
    }
    return Fit(**{**fields, **changes})


def test_an_interval_of_a_normal_posterior_is_the_textbooks() -> None:
    # 1.959964 standard deviations on either side hold 95 %.
    wanted = [[7.2 - 0.1959964, 7.2 + 0.1959964], [8 - 2 * 1.959964, 8 + 2 * 1.959964]]
    np.testing.assert_allclose(fit().interval(0.95), wanted, rtol=1e-6)


def test_an_interval_of_samples_is_their_quantiles() -> None:
    samples = np.stack([np.linspace(0, 1, 101), np.linspace(-1, 1, 101)], axis=1)
    np.testing.assert_allclose(fit(samples=samples).interval(0.8), [[0.1, 0.9], [-0.8, 0.8]])


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 90])
def test_a_level_beyond_0_and_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"level must be between 0 and 1, got {level}"):
        fit().interval(level)


@pytest.mark.parametrize("changes", [{"units": ("ppm",)}, {"values": np.zeros(3)}, {"covariance": np.zeros((2, 3))}])
def test_a_fit_whose_fields_disagree_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RecordError, match="Fit of 2 names has"):
        fit(**changes)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_normal_prior_has_a_finite_mean_and_a_positive_width(mean: float, sd: float) -> None:
    with pytest.raises(RecordError, match="mean must be finite and sd positive"):
        Normal(mean, sd)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf"))])
def test_a_uniform_prior_has_a_width(low: float, high: float) -> None:
    with pytest.raises(RecordError, match="low < high"):
        Uniform(low, high)
