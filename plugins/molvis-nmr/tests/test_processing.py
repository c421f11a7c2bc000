from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from molvis_core.errors import RecordError
from molvis_core.records import Trace
from molvis_nmr.processing import Fid, apodize, autophase, find_baseline, find_reference, process, transform

MHZ, WIDTH, CARRIER, POINTS = 500.0, 6000.0, 4.7, 8192
LINES = ((0.0, 2.0), (1.33, 3.0), (2.1, 1.0), (3.2, 1.0), (3.21, 1.0), (6.9, 1.0), (8.1, 0.5))


def _fid(turn: float = 0.0, order: float = 0.0, *, delay: float = 0.0, noise: float = 1.0, seed: int = 0) -> Fid:
    """Lines of 1 Hz; `turn` and `order` are their phase at the carrier and over the sweep width, in degrees."""
    time = (np.arange(POINTS) - delay) / WIDTH
    rng = np.random.default_rng(seed)
    points = noise * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    for ppm, height in LINES:
        hertz = (ppm - CARRIER) * MHZ
        phase = np.deg2rad(turn + order * hertz / WIDTH)
        points += 100 * height * np.where(time >= 0, np.exp((2j * np.pi * hertz - np.pi) * time + 1j * phase), 0)
    return Fid(points, WIDTH, MHZ, CARRIER, delay, "1H", "made up")


@pytest.mark.parametrize(("turn", "order"), [(0, 0), (75, 0), (180, -20), (264, 40), (-130, 18), (10, -45)])
def test_the_phase_is_found(turn: float, order: float):
    fid = _fid(turn, order)
    found = autophase(transform(apodize(fid, 1.0), 2 * POINTS), WIDTH)
    offsets = (np.array([ppm for ppm, _ in LINES]) - CARRIER) * MHZ / WIDTH
    wrong = (found[0] - turn) + (found[1] - order) * offsets
    assert np.abs((wrong + 180) % 360 - 180).max() < 3


def test_a_spectrum_of_noise_alone_gets_some_phase():
    rng = np.random.default_rng(0)
    p0, p1 = autophase(rng.normal(size=4096) + 1j * rng.normal(size=4096), WIDTH)
    assert np.isfinite(p0)
    assert p1 == 0


def test_areas_and_positions_survive_processing():
    done = process(_fid(60, 20))
    trace = done.trace
    areas = [trace.y[np.abs(trace.x - ppm) < 0.15].sum() for ppm in (0.0, 1.33, 2.1, 3.205, 6.9)]
    np.testing.assert_allclose(np.array(areas) / areas[0], [1, 1.5, 0.5, 1, 0.5], rtol=0.05)
    assert abs(trace.x[trace.y.argmax()] - 1.33) < 1e-3
    assert trace.frequency == MHZ
    assert trace.identifier == "made up"
    assert done.imaginary.shape == trace.y.shape


def test_a_line_is_as_wide_as_it_should_be():
    fid = _fid(noise=0.0)
    for broadening, gaussian, wanted in ((0.0, 0.0, 1.0), (1.0, 0.0, 2.0), (0.0, 3.0, 3.56)):
        trace = process(fid, broadening=broadening, gaussian=gaussian, phase=(0, 0), size=131072).trace
        near = np.abs(trace.x - 1.33) < 0.1
        x, y = trace.x[near] * MHZ, trace.y[near]
        above = x[y > 0.5 * y.max()]
        # Voigt: doi:10.1016/0022-4073(77)90161-3
        assert above[-1] - above[0] == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize("delay", [67.9842, 76.0, 69.5])
def test_the_delay_of_a_digital_filter_is_taken_out(delay: float):
    plain = process(_fid(noise=0.01), phase=(0, 0), baseline=False).trace
    late = process(_fid(delay=delay, noise=0.01), phase=(0, 0), baseline=False).trace
    near = np.abs(plain.x - 2.1) < 0.05
    assert np.corrcoef(plain.y[near], late.y[near])[0, 1] > 0.9995


def test_a_known_phase_is_taken_away_as_stated():
    done = process(_fid(50, 30, noise=0.0), phase=(50, 30), baseline=False)
    assert done.phase == (50, 30)
    assert done.trace.y.min() > -1e-3 * done.trace.y.max()


def test_the_baseline_is_what_is_left_without_lines():
    x = np.linspace(-2, 12, 32768)
    rng = np.random.default_rng(0)
    curve = 5 * np.sin(x / 3) + 0.2 * x
    lines = sum(h * 300 / (1 + ((x - c) / 0.003) ** 2) for c, h in LINES)
    found = find_baseline(curve + lines + rng.normal(size=len(x)))
    inner = slice(2000, -2000)
    assert np.abs(found - curve)[inner].max() < 0.7
    assert find_baseline(np.zeros(1000)).any() == np.False_
    np.testing.assert_array_equal(find_baseline(np.ones(20)), 0)


@pytest.mark.parametrize("shift", [0.08, -0.21])
def test_a_reference_near_zero_is_moved_to_zero(shift: float):
    fid = _fid()
    done = process(replace(fid, carrier=CARRIER + shift))
    assert done.shift == pytest.approx(-shift, abs=3e-4)
    left = process(replace(fid, carrier=CARRIER + shift), reference=None)
    assert left.shift == 0
    moved = process(fid, reference=0.5)
    assert moved.trace.x[moved.trace.y.argmax()] == pytest.approx(1.83, abs=1e-3)


def test_no_reference_is_found_where_none_is():
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 10, 20_000)
    noise = Trace(x, rng.normal(size=len(x)), frequency=MHZ)
    assert find_reference(noise) is None
    broad = Trace(x, noise.y + 200 / (1 + ((x - 0.05) / 0.05) ** 2), frequency=MHZ)
    assert find_reference(broad) is None
    assert find_reference(Trace(x[x > 1], noise.y[x > 1], frequency=MHZ)) is None
    other = process(replace(_fid(), nucleus="13C", carrier=CARRIER + 0.1))
    assert other.shift == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"points": np.ones(4)}, "one axis of at least 16 points"),
        ({"points": np.zeros(99)}, "every point of the fid is 0"),
        ({"points": np.full(99, np.nan)}, r"must be finite, got \(?nan"),
        ({"sweep_width": 0.0}, "sweep_width must be positive, got 0.0"),
        ({"frequency": float("nan")}, "frequency must be positive, got nan"),
        ({"delay": 1e9}, "this cannot be"),
    ],
)
def test_a_fid_that_cannot_be_is_refused(change: dict, reason: str):
    with pytest.raises(RecordError, match=reason):
        replace(_fid(), **change)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(RecordError, match="at least the 8192 points of the fid, got 100"):
        process(_fid(), size=100)
    with pytest.raises(RecordError, match="broadening is -1 Hz"):
        process(_fid(), broadening=-1)
