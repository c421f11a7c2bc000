"""The contract kit itself: it lets right objects pass and says of wrong ones what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fake_plugins import Install, install, manifest
from torch import Tensor, nn

from molvis_core.errors import ReadError
from molvis_core.records import RECORD_TYPES, PeakList, Structure, Value
from molvis_core.testing import (
    ContractError,
    EncoderContract,
    PairLossContract,
    PluginContract,
    PredictorContract,
    ReaderContract,
    RecordPredictorContract,
    ScorerContract,
    check_installed,
    checks,
    synthetic_peaks,
    synthetic_records,
    synthetic_structures,
    synthetic_traces,
)
from molvis_nn.batches import TensorBatch, pad

__all__ = ["install"]


@dataclass(frozen=True, eq=False)
class Peaks(TensorBatch):
    peaks: Tensor
    mask: Tensor


class PeakEncoder(nn.Module):
    """Right: a masked mean over peaks."""

    accepts = PeakList

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.dim = dim
        self.layer = nn.Linear(2, dim)

    def collate(self, records: Sequence[PeakList]) -> Peaks:
        rows = [np.stack([r.mz / 100, r.intensity], axis=1).astype(np.float32) for r in records]
        return Peaks(*pad(rows))

    def forward(self, batch: Peaks) -> Tensor:
        hidden = self.layer(batch.peaks).tanh() * batch.mask[..., None]
        return nn.functional.normalize(hidden.sum(1) / batch.mask.sum(1, keepdim=True), dim=-1)


class TestPeakEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self) -> PeakEncoder:
        return PeakEncoder()


class Leaky(PeakEncoder):
    def forward(self, batch: Peaks) -> Tensor:
        return nn.functional.normalize(self.layer(batch.peaks).tanh().mean(1), dim=-1)


class Long(PeakEncoder):
    def forward(self, batch: Peaks) -> Tensor:
        return 2 * super().forward(batch)


class Short(PeakEncoder):
    def forward(self, batch: Peaks) -> Tensor:
        return super().forward(batch)[:1]


class Idle(PeakEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)


class Restless(PeakEncoder):
    def forward(self, batch: Peaks) -> Tensor:
        return nn.functional.normalize(super().forward(batch) + torch.randn(self.dim), dim=-1)


class Forgetful(PeakEncoder):
    """Keeps what it learned outside the state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.layer.bias.data.fill_(0.5)
        self.layer._parameters["bias"] = None
        self.bias = torch.rand(self.dim)

    def forward(self, batch: Peaks) -> Tensor:
        self.layer.bias = None
        return nn.functional.normalize(super().forward(batch) + self.bias, dim=-1)


@dataclass(frozen=True, eq=False)
class Stuck(Peaks):
    def to(self, device: object) -> Any:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("not to be sent")


class Unsendable(PeakEncoder):
    def collate(self, records: Sequence[PeakList]) -> Peaks:
        batch = super().collate(records)
        return Stuck(batch.peaks, batch.mask)


@pytest.mark.parametrize(
    ("check", "encoder", "message"),
    [
        (checks.encoder_ignores_neighbours, Leaky, "record 0 comes out different alone and among 2 others"),
        (checks.encoder_gives_unit_rows, Long, "rows have norms from 2.0"),
        (checks.encoder_gives_unit_rows, Short, r"3 records must give shape \(3, 8\), got \(1, 8\)"),
        (checks.encoder_gives_unit_rows, nn.Identity, "lacks accepts, dim, collate"),
        (checks.encoder_parameters_learn, Idle, "no gradient reaches unused.weight, unused.bias"),
        (checks.encoder_is_deterministic, Restless, "two calls give different rows"),
        (checks.encoder_batch_travels, Unsendable, r"batch.to\(device\) must return a new batch, got the batch itself"),
    ],
)
def test_an_encoder_that_breaks_its_contract_is_told_how(
    check: Callable[..., None], encoder: type[Any], message: str
) -> None:
    torch.manual_seed(0)
    with pytest.raises(ContractError, match=message) as caught:
        check(encoder(), synthetic_peaks())
    assert "(contract: docs/contracts.md#encoder-" in str(caught.value)


def test_what_is_neither_argument_nor_state_is_lost_in_a_bundle(install: Install) -> None:
    source = f"import sys\nForgetful = sys.modules[{__name__!r}].Forgetful\n"
    install("acme", {"acme.py": manifest("encoder forgetful acme_at:Forgetful"), "acme_at.py": source}, "acme")
    encoder = Forgetful()
    checks.encoder_survives_a_bundle(encoder, synthetic_peaks())
    with pytest.raises(ContractError, match="stored and loaded again gives other rows"):
        checks.encoder_survives_a_bundle(encoder, synthetic_peaks(), {"use": "forgetful"})


class Softmax(nn.Module):
    """Right: rows pick their matches."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        logits = (self.scale * query @ reference.T).masked_fill(weight == 0, -1e30)
        positive = weight * (target >= 0.999)
        cost = -(positive * logits.log_softmax(1)).sum()
        return cost / positive.sum().clamp_min(1)


class TestSoftmax(PairLossContract):
    @pytest.fixture
    def loss(self) -> Softmax:
        return Softmax()


def mean_of_all(query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return ((query @ reference.T - target) ** 2).mean()


def by_place(query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return ((query @ reference.T - torch.eye(len(query), len(reference))) ** 2 * weight).sum()


def of_nothing(query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return ((query @ reference.T - target) ** 2 * weight).sum() / weight.sum()


def root(query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return ((query[:, None] - reference).norm(dim=-1) * weight * target).sum().sqrt()


def reward(query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return (query @ reference.T * target * weight).sum()


@pytest.mark.parametrize(
    ("check", "loss", "message"),
    [
        (checks.loss_hides_pairs_of_weight_zero, mean_of_all, "when rows and columns of weight 0 were added"),
        (checks.loss_ignores_the_order_of_pairs, by_place, "in another order"),
        (checks.loss_of_nothing_is_zero, of_nothing, "with nothing known the loss is nan, not 0"),
        (checks.loss_has_finite_gradients, root, "for equal vectors a gradient is not finite"),
        (checks.loss_prefers_matches, reward, "matching vectors cost"),
    ],
)
def test_a_loss_that_breaks_its_contract_is_told_how(check: Any, loss: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        check(loss)
    assert "(contract: docs/contracts.md#loss-" in str(caught.value)


class MassPredictor(nn.Module):
    accepts = Structure
    predicts = "structure"

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 2)

    def collate(self, records: Sequence[Structure]) -> Peaks:
        return Peaks(torch.tensor([[r.exact_mass / 100] for r in records]), torch.ones(len(records)))

    def forward(self, batch: Peaks) -> tuple[Tensor, Tensor]:
        out = self.line(batch.peaks)
        return out[:, :1], nn.functional.softplus(out[:, 1:]) + 0.01


class TestMassPredictor(PredictorContract):
    @pytest.fixture
    def predictor(self) -> MassPredictor:
        return MassPredictor()


class TautomerPredictor:
    """Gives two structures for each, as one of spectra gives two energies."""

    accepts = Structure
    predicts = "structure"

    def records(self, structures: Sequence[Structure]) -> list[list[Structure]]:
        return [[one, one] for one in structures]


class TestTautomerPredictor(RecordPredictorContract):
    @pytest.fixture
    def predictor(self) -> TautomerPredictor:
        return TautomerPredictor()


def test_a_prediction_that_depends_on_its_neighbours_is_found() -> None:
    class First(TautomerPredictor):
        def records(self, structures: Sequence[Structure]) -> list[list[Structure]]:
            return [[structures[0]] for _ in structures]

    with pytest.raises(ContractError, match="differently alone and among others"):
        checks.predictor_gives_records(First(), synthetic_structures(2))


class MassScorer:
    accepts = PeakList
    features = ("nearness", "size")

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> np.ndarray:
        mass = np.array([c.exact_mass for c in candidates])
        return np.stack([-np.abs(mass - (query.precursor_mz or 0)), mass], axis=1)


class TestMassScorer(ScorerContract):
    @pytest.fixture
    def scorer(self) -> MassScorer:
        return MassScorer()


def test_a_scorer_that_prefers_who_comes_first_is_found_out() -> None:
    class Queue(MassScorer):
        def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> np.ndarray:
            return super().__call__(query, candidates) - np.arange(len(candidates))[:, None]

    with pytest.raises(ContractError, match=r"candidate 0 scores differently in another order, by 5"):
        checks.scorer_ignores_the_order_of_candidates(Queue(), synthetic_peaks()[0], synthetic_structures())


def read_lines(path: Path) -> Any:
    """A reader of structures, one SMILES a line; `.gz` too."""
    import gzip

    from molvis_core.chemistry.structures import structure
    from molvis_core.errors import StructureError

    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(path, f"cannot be read: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            found = structure(line)
        except StructureError as error:
            yield ReadError(path, str(error), line=number)
        else:
            yield SimpleNamespace(record=found, structure=found, modality="structure")


def write_lines(path: Path, measurements: Sequence[Any]) -> None:
    path.write_text("".join(f"{m.record.smiles}\n" for m in measurements))


class TestLines(ReaderContract):
    @pytest.fixture
    def read(self) -> Any:
        return read_lines

    @pytest.fixture
    def write(self) -> Any:
        return write_lines

    @pytest.fixture
    def modality(self) -> str:
        return "structure"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        (tmp_path / "good.smi").write_text("CCO\nc1ccccc1\n")
        return tmp_path / "good.smi"

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        (tmp_path / "bad.smi").write_text("CCO\nC(\n")
        return tmp_path / "bad.smi"


def test_faults_of_a_reader_are_found_out(tmp_path: Path) -> None:
    (tmp_path / "bad.smi").write_text("CCO\nC(\n")

    def placeless(path: Path) -> Any:
        for item in read_lines(path):
            yield ReadError(item.path, item.reason) if isinstance(item, ReadError) else item

    def rash(path: Path) -> Any:
        return iter([path.read_text()[5]])

    with pytest.raises(ContractError, match="names neither line nor record"):
        checks.reader_names_the_place(placeless, tmp_path / "bad.smi")
    with pytest.raises(ContractError, match="a file of empty bytes raised IndexError"):
        checks.reader_survives_any_bytes(rash, ".smi")


class TestCore(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-core"


def test_a_promise_is_not_broken_in_silence() -> None:
    with pytest.raises(TypeError, match=r"Quiet.test_it_gives_unit_rows overrides a contract test; say why"):

        class Quiet(EncoderContract):
            def test_it_gives_unit_rows(self) -> None:
                pass

    class Honest(EncoderContract):
        @pytest.mark.xfail(reason="its rows are boxes")
        def test_it_gives_unit_rows(self, encoder: Any, records: Sequence[Any]) -> None:
            pass

    assert issubclass(Honest, EncoderContract)


@pytest.mark.parametrize("record", list(RECORD_TYPES.values()), ids=list(RECORD_TYPES))
def test_synthetic_records_are_valid_and_the_same_each_time(record: type[Any]) -> None:
    one, two = synthetic_records(record), synthetic_records(record)
    assert len(one) >= 3
    for a, b in zip(one, two, strict=True):
        assert type(a) is record
        for name in record.__dataclass_fields__:
            np.testing.assert_equal(getattr(a, name), getattr(b, name))


def test_synthetic_records_have_the_sizes_asked_for() -> None:
    assert [len(r) for r in synthetic_peaks((0, 1, 7))] == [0, 1, 7]
    assert [len(r) for r in synthetic_traces((20, 30), low=0, high=1)] == [20, 30]
    assert all(isinstance(r, Value) and r.value > 100 for r in synthetic_records(Value))
    with pytest.raises(ValueError, match="count must be at most 12, got 100"):
        synthetic_structures(100)
    with pytest.raises(ValueError, match="no synthetic records of type int"):
        synthetic_records(int)


CHECKED = """
import sys
from molvis_core.modality import Modality
from molvis_core.records import PeakList

ACME = Modality(name="other", record=PeakList)
parts = sys.modules[{module!r}]
Right, Leaky, Softmax = parts.PeakEncoder, parts.Leaky, parts.Softmax

class Needs:
    def __init__(self, vocabulary): ...
"""


def test_checking_an_installed_plugin_needs_none_of_its_tests(install: Install) -> None:
    parts = manifest(
        "modality acme-ms acme_parts:ACME",
        "encoder acme-right acme_parts:Right",
        "encoder acme-leaky acme_parts:Leaky",
        "encoder acme-needs acme_parts:Needs",
        "loss acme-softmax acme_parts:Softmax",
        "encoder acme-gone acme_parts:Gone",
        "encodr acme-typo acme_parts:Right",
    )
    install("acme-ms", {"acme.py": parts, "acme_parts.py": CHECKED.format(module=__name__)}, "acme")
    steps: list[tuple[int, int]] = []
    results = check_installed("acme_ms", progress=lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1]
    failed = {(r.component, r.check): r.problem for r in results if r.ok is False}
    # The manifest's own process does not see the folder on our sys.path.
    manifest_check = ("plugin acme-ms", "manifest brings in nothing heavy")
    assert "No module named 'acme'" in failed.pop(manifest_check)
    assert failed[("modality acme-ms", "is a Modality")].startswith("modality 'acme-ms' calls itself 'other'")
    assert "padding" in failed[("encoder acme-leaky", "same alone and among neighbours")]
    assert any(component == "encoder acme-gone" for component, _ in failed)
    assert failed[("encodr acme-typo", "is described")].startswith(
        "component 'acme-typo' is of an unknown kind, 'encodr'. Did you mean 'encoder'?"
    )
    assert {c for c, _ in failed} == {"modality acme-ms", "encoder acme-leaky", "encoder acme-gone", "encodr acme-typo"}
    (left,) = [r for r in results if r.ok is None]
    assert (left.component, left.problem) == ("encoder acme-needs", "needs vocabulary: left to the plugin's own tests")
    assert len([r for r in results if r.component == "loss acme-softmax" and r.ok]) == 9
