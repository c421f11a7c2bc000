"""The encoders of infrared spectra, and what they are made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from molvis_core.errors import ConfigError, RecordError
from molvis_core.records import Trace
from molvis_core.testing import EncoderContract, synthetic_traces
from molvis_ir.augmentation import augment
from molvis_ir.encoders.bands import IrBands
from molvis_ir.encoders.frame import TraceBatch
from molvis_ir.encoders.local import IrLocal
from molvis_ir.encoders.one_dimensional import OneDimensional, one_dimensional
from molvis_ir.encoders.resnet import IrResNet
from molvis_ir.encoders.timm_models import IrTimm
from molvis_ir.encoders.vit import IrViT
from molvis_ir.encoders.xception import IrXception
from molvis_ir.preparation import channels, grid, prepare

FAMILIES = (
    "resnet10t", "convnext_atto", "densenet121", "dla46_c", "efficientnet_lite0", "ghostnet_100", "lcnet_050",
    "mobilenetv3_small_050", "regnetx_002", "repvgg_a0", "resnetblur50", "starnet_s1",
)  # fmt: skip


def test_the_grid_is_that_of_the_report() -> None:
    points = grid()
    assert (len(points), points[0], points[-1]) == (825, 550.0, 3846.0)
    assert np.allclose(np.diff(points), 4.0)


def test_a_spectrum_comes_out_interpolated_and_of_unit_norm() -> None:
    x = np.array([500.0, 2000.0, 4000.0])
    found = prepare([Trace(x, np.array([0.0, 3.0, 1.0]))])[0]
    expected = np.interp(grid(), x, [0.0, 3.0, 1.0])
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(found, expected / np.linalg.norm(expected), atol=1e-6)


def test_outside_of_what_was_measured_there_is_nothing() -> None:
    found = prepare([Trace(np.linspace(1000, 3000, 500), np.ones(500))])[0]
    inside = (grid() >= 1000) & (grid() <= 3000)
    assert (found[~inside] == 0).all()
    assert (found[inside] > 0).all()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([2.5, 25.0], [1.0, 1.0], "Are its units right"),
        ([550.0, 700.0], [1.0, 1.0], "less than a quarter"),
        ([500.0, 4000.0], [0.0, 0.0], "is zero from 550 to 3846"),
        ([], [], "no point"),
    ],
)
def test_a_spectrum_that_says_nothing_is_refused(x, y, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        prepare([Trace(np.array(x), np.array(y))])


def test_the_channels_are_of_unit_mean_square() -> None:
    spectra = torch.from_numpy(prepare(synthetic_traces()))
    found = channels(spectra) + 0.5
    assert torch.allclose(found.square().mean(dim=2), torch.ones(3, 2), atol=1e-4)


def test_augmentation_changes_a_spectrum_a_little_and_none_at_strength_zero() -> None:
    torch.manual_seed(0)
    spectra = torch.from_numpy(prepare(synthetic_traces((900,) * 32)))
    assert augment(spectra, 0.0) is spectra
    changed = nn.functional.normalize(augment(spectra), dim=1)
    cosine = (changed * spectra).sum(1)
    assert torch.isfinite(changed).all()
    assert (cosine < 0.99999).all()
    assert (cosine > 0.9).all()


def local() -> IrLocal:
    return IrLocal(dim=8, width=16, blocks=1, local=4)


def bands() -> IrBands:
    return IrBands()


def resnet() -> IrResNet:
    return IrResNet(dim=8, width=4, layers=(1, 1), places=5)


def xception() -> IrXception:
    return IrXception(dim=8, width=4, stages=2, middle=1, places=5)


def vit() -> IrViT:
    return IrViT(dim=8, width=24, depth=1, heads=2)


def timm() -> IrTimm:
    return IrTimm("resnet10t", dim=8)


class TestLocal(EncoderContract):
    @pytest.fixture
    def encoder(self) -> IrLocal:
        return local()

    @pytest.fixture
    def spec(self) -> dict:
        return {"use": "ir-local", "dim": 8, "width": 16, "blocks": 1, "local": 4}


class TestRobustLocal(EncoderContract):
    @pytest.fixture
    def encoder(self) -> IrLocal:
        return IrLocal(dim=8, width=16, blocks=1, local=4, robust=True)

    @pytest.fixture
    def spec(self) -> dict:
        return {"use": "ir-local", "dim": 8, "width": 16, "blocks": 1, "local": 4, "robust": True}


class TestRobustBands(EncoderContract):
    @pytest.fixture
    def encoder(self) -> IrBands:
        return IrBands(robust=True)

    @pytest.fixture
    def spec(self) -> dict:
        return {"use": "ir-bands", "robust": True}


class TestBands(EncoderContract):
    @pytest.fixture
    def encoder(self) -> IrBands:
        return bands()

    @pytest.fixture
    def spec(self) -> dict:
        return {"use": "ir-bands"}


class TestResNet(EncoderContract):
    @pytest.fixture
    def encoder(self) -> IrResNet:
        return resnet()

    @pytest.fixture
    def spec(self) -> dict:
        return {"use": "ir-resnet", "dim": 8, "width": 4, "layers": [1, 1], "places": 5}


class TestXception(EncoderContract):
    @pytest.fixture
    def encoder(self) -> IrXception:
        return xception()

    @pytest.fixture
    def spec(self) -> dict:
        return {"use": "ir-xception", "dim": 8, "width": 4, "stages": 2, "middle": 1, "places": 5}


class TestViT(EncoderContract):
    @pytest.fixture
    def encoder(self) -> IrViT:
        return vit()

    @pytest.fixture
    def spec(self) -> dict:
        return {"use": "ir-vit", "dim": 8, "width": 24, "depth": 1, "heads": 2}


class TestTimm(EncoderContract):
    @pytest.fixture
    def encoder(self) -> IrTimm:
        return timm()

    @pytest.fixture
    def spec(self) -> dict:
        return {"use": "ir-timm", "model": "resnet10t", "dim": 8}


@pytest.mark.parametrize("make", [local, bands, resnet, xception, vit, timm])
def test_the_unit_of_absorbance_does_not_matter(make) -> None:
    encoder = make().eval()
    one = synthetic_traces((900,))[0]
    vectors = encoder(encoder.collate([one, Trace(one.x, one.y * 1000), Trace(one.x[::-1], one.y[::-1])]))
    assert torch.allclose(vectors, vectors[:1].expand(3, -1), atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize(("make", "steps"), [(local, 60), (resnet, 60), (xception, 60), (vit, 200)])
def test_it_learns_to_tell_spectra_apart(make, steps: int) -> None:
    torch.manual_seed(0)
    encoder = make().train()
    batch = encoder.collate(synthetic_traces((900,) * 8))
    wanted = torch.eye(8)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(encoder(batch) / 0.1, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert (encoder.eval()(batch).argmax(1) == torch.arange(8)).float().mean() > 0.7


@pytest.mark.full
@pytest.mark.parametrize("name", FAMILIES)
def test_a_timm_model_becomes_one_dimensional(name: str) -> None:
    encoder = IrTimm(name, dim=8, dropout=0.0)
    kernels = [m.kernel_size for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert kernels
    assert all(isinstance(k, tuple) and k[0] == 1 for k in kernels)
    assert max(k[1] for k in kernels) > 1  # it still looks along the axis
    batch = TraceBatch(torch.from_numpy(prepare(synthetic_traces((900, 500)))), torch.ones(2, 825, dtype=torch.bool))
    vectors = encoder.train()(batch)
    vectors.square()[:, 0].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)


def test_a_layer_made_one_dimensional_computes_what_its_namesake_computes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 5, 2, 2), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2, 2))
    found = one_dimensional(model)
    narrow = model[0]
    assert isinstance(narrow, nn.Conv2d)
    same = nn.Sequential(nn.Conv1d(2, 4, 5, 2, 2), nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(2, 2))
    same[0].load_state_dict({"weight": narrow.weight[:, :, 0], "bias": narrow.bias})
    x = torch.randn(3, 2, 96)
    assert torch.allclose(found(x).reshape(3, 4, -1), same(x), atol=1e-6)
    assert isinstance(found, OneDimensional)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet_18", "Did you mean"),
        ("vit_tiny_patch16_224", "attends among places"),
        ("mixer_s32_224", "not made of convolutions alone"),
    ],
)
def test_a_model_that_cannot_be_made_so_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        IrTimm(name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IrLocal(stride=40), "stretch must be"),
        (lambda: IrLocal(width=0), "width must be"),
        (lambda: IrBands(power=2.0), "power must be"),
        (lambda: IrResNet(layers=()), "stages of"),
        (lambda: IrXception(kernel=4), "kernel odd"),
        (lambda: IrViT(width=10, heads=3), "heads divide"),
        (lambda: IrViT(patch=900), "patch and stride must be"),
        (lambda: IrResNet(dropout=1.0), "dropout from 0 to below 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
