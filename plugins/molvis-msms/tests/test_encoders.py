"""The encoders of spectra, and what they are made of."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from molvis_core.errors import ConfigError
from molvis_core.records import PeakList
from molvis_core.testing import EncoderContract, synthetic_peaks
from molvis_msms.encoders.clerms import Clerms
from molvis_msms.encoders.peak_sum import PeakSum
from molvis_msms.encoders.sinusoids import sinusoidal
from molvis_msms.encoders.usual import UsualVector


def test_the_sinusoidal_embedding_is_the_published_formula() -> None:
    mz, dim, low, high = 432.10987, 64, 10**-2.5, 10**3.3
    found = sinusoidal(torch.tensor([mz], dtype=torch.float64), dim)[0]
    for i in range(dim // 2):
        wavelength = low * (high / low) ** (2 * i / (dim - 2))
        assert found[2 * i].item() == pytest.approx(math.sin(2 * math.pi * mz / wavelength), abs=1e-5)
        assert found[2 * i + 1].item() == pytest.approx(math.cos(2 * math.pi * mz / wavelength), abs=1e-5)


def test_the_sinusoidal_embedding_keeps_the_shape_and_refuses_odd_sizes() -> None:
    assert sinusoidal(torch.ones(2, 3, dtype=torch.float64), 8).shape == (2, 3, 8)
    with pytest.raises(ConfigError, match="even number"):
        sinusoidal(torch.ones(1), 7)
    with pytest.raises(ConfigError, match="shortest < longest"):
        sinusoidal(torch.ones(1), 8, 2.0, 1.0)


EMPTY = PeakList(np.empty(0), np.empty(0))
SILENT = PeakList(np.array([50.0]), np.array([0.0]), 120.0, "[M+H]+", 1, "positive")


def bag() -> PeakSum:
    return PeakSum(dim=8, width=16, rows=32)


def clerms() -> Clerms:
    return Clerms(dim=8, width=16, heads=2, encoder_layers=1, decoder_layers=1)


@pytest.mark.parametrize("make", [bag, clerms])
class TestEdges:
    def test_a_spectrum_without_peaks_still_has_a_unit_vector(self, make) -> None:
        encoder = make().eval()
        vectors = encoder(encoder.collate([EMPTY, SILENT, *synthetic_peaks((3, 12))]))
        assert torch.allclose(vectors.norm(dim=1), torch.ones(4), atol=1e-5)

    def test_the_unit_of_intensity_does_not_matter(self, make) -> None:
        encoder = make().eval()
        one = synthetic_peaks((12,))[0]
        louder = dataclasses.replace(one, intensity=one.intensity * 1000)
        vectors = encoder(encoder.collate([one, louder]))
        assert torch.allclose(vectors[0], vectors[1], atol=1e-4)

    def test_unknown_metadata_is_not_the_same_as_any_known(self, make) -> None:
        encoder = make().eval()
        base = dataclasses.replace(
            synthetic_peaks((12,))[0],
            adduct="[M+H]+",
            ionmode="positive",
            collision_energy=20.0,
            instrument_type="LC-ESI-QTOF",
        )
        others = [
            dataclasses.replace(base, **{name: None})
            for name in ("adduct", "ionmode", "collision_energy", "instrument_type")
        ]
        vectors = encoder(encoder.collate([base, *others]))
        assert all(not torch.allclose(vectors[0], v, atol=1e-6) for v in vectors[1:])

    def test_sixteen_bits_give_nearly_the_same(self, make) -> None:
        encoder = make().eval()
        batch = encoder.collate(synthetic_peaks())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = encoder(batch)
        assert half.dtype == torch.float32
        assert torch.allclose(half, encoder(batch), atol=0.05)


def test_training_sees_other_peaks_each_time_and_evaluation_the_same() -> None:
    encoder = PeakSum(dim=8, width=16, rows=32, dropout=0.0)
    batch = encoder.collate(synthetic_peaks())
    assert not torch.equal(encoder.train()(batch), encoder(batch))
    assert torch.equal(encoder.eval()(batch), encoder(batch))


def test_only_the_highest_peaks_are_used() -> None:
    encoder = PeakSum(dim=8, width=16, rows=32, top_peaks=2).eval()
    many = PeakList(np.array([50.0, 60.0, 70.0]), np.array([1.0, 0.2, 0.5]), 100.0, "[M+H]+")
    two = PeakList(np.array([50.0, 70.0]), np.array([1.0, 0.5]), 100.0, "[M+H]+")
    vectors = encoder(encoder.collate([many, two]))
    assert torch.equal(vectors[0], vectors[1])


def test_fragments_at_and_above_the_precursor_are_removed_unless_kept() -> None:
    small = {"dim": 8, "width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    torch.manual_seed(0)
    removing, keeping = Clerms(**small).eval(), Clerms(**small, keep_precursor=True).eval()
    with_ion = PeakList(np.array([50.0, 100.0]), np.array([0.5, 1.0]), 100.0, "[M+H]+")
    without = PeakList(np.array([50.0]), np.array([0.5]), 100.0, "[M+H]+")
    assert torch.equal(*removing(removing.collate([with_ion, without])))
    assert not torch.equal(*keeping(keeping.collate([with_ion, without])))


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: PeakSum(bin_width=0), "bin_width must be"),
        (lambda: PeakSum(rows=0), "rows must be"),
        (lambda: Clerms(width=30, heads=8), "not a multiple of heads"),
        (lambda: Clerms(top_peaks=0), "top_peaks must be"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(build, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build()


class TestPeakSumContract(EncoderContract):
    @pytest.fixture
    def encoder(self) -> PeakSum:
        return PeakSum(dim=8, width=16, rows=64, dropout=0.0)

    @pytest.fixture
    def records(self) -> list[PeakList]:
        return synthetic_peaks((3, 12, 40, 7))


class TestClermsContract(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Clerms:
        return Clerms(dim=8, width=16, heads=2, encoder_layers=1, decoder_layers=1, dropout=0.0)

    @pytest.fixture
    def records(self) -> list[PeakList]:
        return synthetic_peaks((3, 12, 40, 7))


class TestCentredPeakSumContract(EncoderContract):
    @pytest.fixture
    def encoder(self) -> PeakSum:
        return PeakSum(dim=8, width=16, rows=64, dropout=0.0, centred=True)


def test_what_all_spectra_of_a_mass_have_in_common_is_taken_off() -> None:
    torch.manual_seed(0)
    usual = UsualVector(4)
    common = {False: torch.tensor([5.0, 0, 0, 0]), True: torch.tensor([0, 5.0, 0, 0])}
    mass = torch.linspace(100, 900, 400, dtype=torch.float64)
    negative = torch.arange(400) % 2 == 1
    shared = torch.stack([common[bool(one)] for one in negative]) * (mass[:, None] / 500).float()
    for _ in range(30):
        left = usual(shared + 0.1 * torch.randn(400, 4), mass, negative)
    assert left.mean(0).abs().max() < 0.05
    usual.eval()
    again = usual(shared, mass, negative)
    inner = (mass > 150) & (mass < 800)
    assert again[inner].abs().max() < 0.6
    assert shared[inner].abs().max() > 5


def test_isomers_are_not_taken_off_each_other() -> None:
    usual = UsualVector(2)
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    together = usual(vectors, torch.tensor([300.0, 300.001], dtype=torch.float64), torch.zeros(2, dtype=torch.bool))
    np.testing.assert_array_equal(together, vectors)
    apart = usual(vectors, torch.tensor([300.0, 305.0], dtype=torch.float64), torch.zeros(2, dtype=torch.bool))
    np.testing.assert_allclose(apart, [[1.0, -1.0], [-1.0, 1.0]], atol=1e-6)
