from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from molvis_core.errors import ConfigError, StructureError
from molvis_core.records import Structure
from molvis_core.testing.synthetic import synthetic_structures
from molvis_structure.chemistry.fingerprints import fingerprint
from molvis_structure.encoders import fingerprint as module
from molvis_structure.encoders.fingerprint import FingerprintEncoder


def _small(**options) -> FingerprintEncoder:
    torch.manual_seed(0)
    return FingerprintEncoder(**{"dim": 8, "width": 16, "bits": 100, "fingerprints": ("morgan2", "maccs"), **options})


def test_bits_come_off_the_bytes_in_the_order_of_the_fingerprints() -> None:
    encoder = _small()
    structures = synthetic_structures(5)
    batch = encoder.collate(structures)
    assert batch.packed.shape == (5, (100 + 167 + 7) // 8)
    bits = module._unpack(batch.packed, encoder.count).numpy()
    for row, one in zip(bits, structures, strict=True):
        wanted = np.concatenate([fingerprint(one.smiles, "morgan2", 100), fingerprint(one.smiles, "maccs")])
        assert (row == wanted).all()


def test_summing_rows_is_the_product_with_the_bits() -> None:
    encoder = _small(blocks=0, descriptors=()).eval()
    batch = encoder.collate(synthetic_structures(5))
    bits = module._unpack(batch.packed, encoder.count).float()
    x = torch.nn.functional.gelu(bits @ encoder.table.weight + encoder.numbers(batch.numbers))
    wanted = torch.nn.functional.normalize(encoder.out(encoder.norm(x)), dim=-1)
    torch.testing.assert_close(encoder(batch), wanted, atol=1e-5, rtol=0)


def test_what_was_featurised_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = _small()
    structures = synthetic_structures(6)
    fresh = encoder.collate(structures)
    encoder.featurise(structures)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(encoder._kept, "_make", fail)
    kept = encoder.collate(structures)
    assert torch.equal(fresh.packed, kept.packed)
    assert torch.equal(fresh.numbers, kept.numbers)


def test_what_it_keeps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.FingerprintEncoder, "most_kept", 4)
    encoder = _small()
    encoder.featurise(synthetic_structures(12))
    assert len(encoder._kept) == 4
    wanted = _small().collate(synthetic_structures(12))
    assert torch.equal(encoder.collate(synthetic_structures(12)).packed, wanted.packed)
    assert len(encoder._kept) <= 4


def test_it_travels_without_what_it_keeps() -> None:
    encoder = _small()
    before = len(pickle.dumps(encoder))
    encoder.featurise(synthetic_structures(12))
    assert len(pickle.dumps(encoder)) == before


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    _small().featurise(synthetic_structures(5), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)


def test_no_records_make_an_empty_batch() -> None:
    encoder = _small().eval()
    assert encoder(encoder.collate([])).shape == (0, 8)


def test_bits_are_hidden_in_training_only() -> None:
    encoder = _small(dropout=0.0, bit_dropout=0.5)
    batch = encoder.collate(synthetic_structures(4))
    assert not torch.equal(encoder.train()(batch), encoder(batch))
    assert torch.equal(encoder.eval()(batch), encoder(batch))


def test_a_refused_smiles_is_named_by_collate() -> None:
    with pytest.raises(StructureError, match="C1CC"):
        _small().collate([Structure("C1CC", "A" * 14, "C3H6", 42.047)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fingerprints": ()}, "'fingerprints' is empty"),
        ({"fingerprints": ("morgan2", "macs")}, "no fingerprint 'macs'. Did you mean 'maccs'"),
        ({"descriptors": ("ring",)}, "no descriptor 'ring'. Did you mean 'rings'"),
        ({"bits": 0}, "bits must be"),
        ({"bit_dropout": 1.0}, "bit_dropout must be"),
    ],
)
def test_what_cannot_be_is_told_when_it_is_made(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _small(**options)


@pytest.mark.gpu
def test_a_gpu_gives_the_vectors_of_the_processor() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    encoder = _small().eval()
    batch = encoder.collate(synthetic_structures(12))
    with torch.no_grad():
        wanted = encoder(batch)
        found = encoder.cuda()(batch.to("cuda")).cpu()
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
