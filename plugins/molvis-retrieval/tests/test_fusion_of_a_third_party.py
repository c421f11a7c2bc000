"""A second fusion, as somebody else's plugin brings it: trained, stored, and evidence in an identification."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from torch import Tensor, nn

from molvis_core import Component
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError
from molvis_core.records import Measurement, PeakList, Trace
from molvis_core.testing import EncoderContract, checks, offer
from molvis_nn.fusion import VectorBatch, Vectors
from molvis_retrieval.config import parse_config

ACME = Component(
    "encoder", "acme-weighted-mean", "test_fusion_of_a_third_party:WeightedMean", "A learned weight for each modality.",
    parts="members",
)  # fmt: skip
CONFIG = """
[data]
path = "data"
[encoders]
msms.use = "toy-peaks"
ir.use = "toy-waves"
structure.use = "toy-letters"
both = { use = "acme-weighted-mean", members = ["msms", "ir"] }
[joint]
pairings = "structure"
loss = "toy-softmax"
[train]
epochs = 8
batch = 8
learning_rate = 0.01
accelerator = "cpu"
devices = 1
"""


class WeightedMean(nn.Module):
    """The mean of the vectors, with a weight for each modality that training finds."""

    accepts = Vectors

    def __init__(self, members: Sequence[str], dim: int = 8) -> None:
        super().__init__()
        self.members, self.dim = tuple(members), dim
        self.weight = nn.Parameter(torch.zeros(len(self.members)))

    def collate(self, records: Sequence[Vectors]) -> VectorBatch:
        width = max(len(r.vectors) for r in records)
        vectors, mask = np.zeros((len(records), width, self.dim), np.float32), np.zeros((len(records), width), bool)
        modality = np.zeros((len(records), width), np.int64)
        for row, record in enumerate(records):
            n = len(record.vectors)
            vectors[row, :n], mask[row, :n] = record.vectors, True
            modality[row, :n] = [self.members.index(m) for m in record.modality]
        return VectorBatch(torch.from_numpy(vectors), torch.from_numpy(mask), torch.from_numpy(modality))

    def forward(self, batch: VectorBatch) -> Tensor:
        share = self.weight.exp()[batch.modality] * batch.mask
        return nn.functional.normalize((share[:, :, None] * batch.vectors).sum(dim=1), dim=-1)


@pytest.fixture(autouse=True, scope="module")
def acme() -> object:
    with offer(toy.PLUGIN, ACME):
        yield


class TestWeightedMean(EncoderContract):
    @pytest.fixture
    def encoder(self) -> WeightedMean:
        return WeightedMean(["msms", "ir"])

    @pytest.fixture
    def records(self) -> list[Vectors]:
        rows = nn.functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), dim=1).numpy()
        return [Vectors(rows[:1], ("ir",)), Vectors(rows, ("msms", "ir", "msms"))]

    @pytest.fixture
    def spec(self) -> dict[str, object]:
        return {"use": "acme-weighted-mean", "members": ["msms", "ir"]}


def measurements(text: str, seed: int, fold: str | None = None) -> list[Measurement]:
    known, rng = structure(text), np.random.default_rng(seed)
    mz = np.sort(np.array([20 + ord(c) % 64 for c in known.smiles], float) + rng.normal(0, 1e-3, len(known.smiles)))
    y = np.bincount([ord(c) % 64 for c in known.smiles], minlength=64).astype(float)
    return [
        Measurement(PeakList(mz, np.ones(len(mz))), known, "msms", fold=fold),
        Measurement(Trace(np.arange(64.0), y + rng.normal(0, 0.01, 64)), known, "ir", fold=fold),
    ]


@pytest.mark.full
def test_it_is_trained_stored_and_evidence_in_an_identification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from molvis_retrieval import Library, identify, load_bundle, train
    from molvis_retrieval.importing import write
    from molvis_retrieval.index import build_index

    monkeypatch.chdir(tmp_path)
    smiles = ["C" * n + tail for n in range(1, 9) for tail in ("O", "N", "S", "Cl", "F")]
    folds = ["val" if number % 4 == 0 else "train" for number in range(len(smiles))]
    write([m for n, s in enumerate(smiles) for m in measurements(s, n, folds[n])], "data")
    trained = train(parse_config(CONFIG), tmp_path / "run")

    bundle = load_bundle(tmp_path / "run" / "bundle")
    assert bool(bundle.encoder("both").get_parameter("weight").detach().any())
    assert trained.metrics["val_mrr"] > 0.3
    index = build_index(bundle, Library.from_structures([structure(s) for s in smiles]), tmp_path / "index")
    (found,) = identify(bundle, [measurements("CCCCCN", 99)], index, candidates="all")
    assert found.problem == ""
    assert set(found.candidates[0].evidence) == {"msms", "ir", "both"}


def test_its_parts_must_be_encoders_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"\[encoders.both\] fuses 'irr', which is no measurement .* 'ir'"):
        parse_config(CONFIG.replace('members = ["msms", "ir"]', 'members = ["msms", "irr"]'))


def test_a_manifest_that_names_no_argument_for_the_parts_is_refused() -> None:
    odd = Component("encoder", "acme-odd", ACME.target, "Odd.", parts="of")
    with offer(odd), pytest.raises(checks.ContractError, match="parts = 'of' is no argument of encoder 'acme-odd'"):
        checks.component_resolves(odd)
