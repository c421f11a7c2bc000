"""Several mode pairings in one run, and one vector for all measurements of an unknown."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from safetensors.torch import load_file

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, DatasetError, RecordError, TrainingError
from molvis_core.records import Measurement, PeakList, Structure, Trace, Value
from molvis_core.testing import EncoderContract, offer
from molvis_files.documents import write_toml
from molvis_nn.fusion import SetAttention, Vectors, collate_measured
from molvis_nn.loop import TrainingProgress
from molvis_retrieval.config import RunConfig, fill, pairs_of, parse_config
from molvis_retrieval.importing import write
from molvis_retrieval.library import Library
from molvis_retrieval.training import batches
from molvis_retrieval.training.loop import load_trained, train
from molvis_retrieval.training.pairings import candidate_pools, pairing_names
from molvis_retrieval.training.step import GradientBalance

CONFIG = """
[data]
path = "dataset"
[encoders.msms]
use = "toy-peaks"
[encoders.ir]
use = "toy-waves"
[encoders.ccs]
use = "toy-numbers"
[encoders.structure]
use = "toy-letters"
[joint]
pairings = "all"
loss = "toy-softmax"
min_compounds = 4
[train]
epochs = 2
batch = 8
learning_rate = 0.01
accelerator = "cpu"
devices = 1
"""
FUSED = '[encoders.fused]\nuse = "set-attention"\nof = ["msms", "ir", "ccs"]\ndim = 8\nheads = 2\nwidth = 4\n'
SMILES = ["C" * n + tail for n in range(1, 9) for tail in ("O", "N", "S", "Cl", "F")]


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(toy.PLUGIN):
        yield


def spectrum(known: Structure, rng: np.random.Generator) -> PeakList:
    mz = np.sort(np.array([20 + ord(c) % 64 for c in known.smiles], float) + rng.normal(0, 1e-3, len(known.smiles)))
    return PeakList(mz, np.ones(len(mz)), ion_mz(known.exact_mass, "[M+H]+"), "[M+H]+", 1, "positive")


def trace(known: Structure, rng: np.random.Generator) -> Trace:
    y = np.zeros(64)
    for letter in known.smiles:
        y[ord(letter) % 64] += 1
    return Trace(np.arange(64.0), y + rng.normal(0, 0.01, 64))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """All compounds have MS/MS, every second IR, every fifth CCS: some have one modality only, some all three."""
    rng = np.random.default_rng(0)
    items: list[Measurement] = []
    for number, text in enumerate(SMILES):
        known, fold = structure(text), "val" if number % 4 == 0 else "train"
        items += [Measurement(spectrum(known, rng), known, "msms", fold=fold) for _ in range(2)]
        if number % 2 == 0 or number % 5 == 0:
            items.append(Measurement(trace(known, rng), known, "ir", fold=fold))
        if number % 5 == 0:
            items.append(Measurement(Value(100 + known.exact_mass, adduct="[M+H]+"), known, "ccs", fold=fold))
    write(items, tmp_path / "dataset")
    return tmp_path / "dataset"


def configured(dataset: Path, text: str = CONFIG, **settings: Any) -> RunConfig:
    made = parse_config(text)
    return replace(made, data=replace(made.data, path=str(dataset)), train=replace(made.train, **settings))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted((folder / "bundle").glob("*.safetensors"))
    return {f"{f.stem}.{name}": tensor for f in files for name, tensor in load_file(f).items()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def spied(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every batch of the runs that follow."""
    seen: list[Any] = []
    made = batches.Batches.__getitem__

    def spy(self: Any, step: int) -> Any:
        seen.append(made(self, step))
        return seen[-1]

    monkeypatch.setattr(batches.Batches, "__getitem__", spy)
    return seen


def test_all_pairings_need_no_section_each() -> None:
    config = parse_config(CONFIG + FUSED)
    assert [f"{p.query}:{p.reference}" for p in pairs_of(config)] == [
        "msms:structure", "ir:structure", "ccs:structure", "fused:structure", "msms:ir", "msms:ccs", "ir:ccs",
    ]  # fmt: skip
    only = parse_config(CONFIG.replace('"all"', '"structure"'))
    assert [p.query for p in pairs_of(only)] == ["msms", "ir", "ccs"]


def test_a_pairing_with_a_section_of_its_own_is_left_as_it_says() -> None:
    own = '[[pairs]]\nquery = "ir"\nreference = "msms"\nloss = "toy-plain"\nweight = 3.0\n'
    pairs = pairs_of(parse_config(CONFIG + own))
    assert [(p.query, p.reference, p.weight) for p in pairs[:2]] == [("ir", "msms", 3.0), ("msms", "structure", 1.0)]
    assert len(pairs) == 6


def test_a_joint_run_is_filled_and_read_back() -> None:
    config = parse_config(CONFIG)
    assert pairs_of(parse_config(write_toml(fill(config)))) == tuple(
        replace(p, loss={"use": "toy-softmax", "temperature": 0.1}) for p in pairs_of(config)
    )
    assert "joint" not in fill(replace(config, pairs=pairs_of(config), joint=type(config.joint)()))


def test_compounds_take_part_in_what_they_can(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = spied(monkeypatch)
    train(configured(dataset, epochs=1), tmp_path / "run")
    bundle = load_trained(tmp_path / "run")
    assert [f"{p.query}:{p.reference}" for p in bundle.config.pairs] == [
        "msms:structure", "ir:structure", "ccs:structure", "msms:ir", "msms:ccs", "ir:ccs",
    ]  # fmt: skip
    assert {batch.pair for batch in seen} == set(range(6))
    train_fold = [n for n in range(len(SMILES)) if n % 4]
    with_ir = sum(n % 2 == 0 or n % 5 == 0 for n in train_fold)
    in_ir = {int(key) for b in seen if b.pair == 1 for key in b.query.target.key}
    assert len(in_ir) <= with_ir
    assert max(len(b.query.batch) for b in seen if b.pair == 2) == sum(n % 5 == 0 for n in train_fold)


def test_a_pairing_with_too_few_compounds_is_left_out_with_a_word(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(dataset, CONFIG.replace("min_compounds = 4", "min_compounds = 10"), epochs=1)
    with caplog.at_level(logging.WARNING, "molvis"):
        train(config, tmp_path / "run")
    assert "pairing ccs:structure is left out: 6 compounds of fold 'train'" in caplog.text
    assert "encoder 'ccs' is left out" in caplog.text
    assert load_trained(tmp_path / "run").modalities == ("msms", "ir", "structure")
    own = '[[pairs]]\nquery = "raman"\nreference = "structure"\nloss = "toy-softmax"\n'
    own += '[encoders.raman]\nuse = "toy-waves"\n'
    with pytest.raises(DatasetError, match="no measurements of 'raman'"):
        train(configured(dataset, CONFIG + own), tmp_path / "explicit")


def test_a_modality_that_the_dataset_lacks_is_left_out(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(dataset, CONFIG + '[encoders.raman]\nuse = "toy-waves"\n', epochs=1)
    with caplog.at_level(logging.WARNING, "molvis"):
        train(config, tmp_path / "run")
    assert "encoder 'raman' is left out" in caplog.text
    fused = FUSED.replace('"ccs"]', '"raman"]') + '[encoders.raman]\nuse = "toy-waves"\n'
    with caplog.at_level(logging.WARNING, "molvis"):
        train(configured(dataset, CONFIG + fused, epochs=1), tmp_path / "fused")
    assert "encoder 'raman' is fused, but has no measurements" in caplog.text
    nothing = configured(dataset, CONFIG.replace("min_compounds = 4", "min_compounds = 1000"))
    with pytest.raises(TrainingError, match=r"no pairing of \[joint\] has 1000 compounds"):
        train(nothing, tmp_path / "nothing")


@pytest.mark.parametrize(
    ("exponent", "wanted"), [(1.0, {0: 80, 1: 20, 2: 5}), (0.5, {0: 60, 1: 30, 2: 15}), (0.0, {0: 35, 1: 35, 2: 35})]
)
def test_sampling_deals_the_same_steps_out_by_a_power_of_the_compounds(exponent: float, wanted: dict[int, int]) -> None:
    config = parse_config(CONFIG)
    config = replace(config, pairs=pairs_of(config)[:3], train=replace(config.train, sampling=exponent, batch=10))
    found = Counter(pair for pair, _ in batches.plan(config, [800, 200, 50], 1))
    assert found == wanted


def test_batches_alternate() -> None:
    config = parse_config(CONFIG)
    config = replace(config, pairs=pairs_of(config)[:2], train=replace(config.train, sampling=0.0))
    order = [pair for pair, _ in batches.plan(config, [64, 16], 1)]
    assert order == [0, 1] * 5


def test_a_small_pairing_that_comes_often_goes_over_its_compounds_again(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = spied(monkeypatch)
    train(configured(dataset, epochs=1, sampling=0.0), tmp_path / "run")
    counts = Counter(batch.pair for batch in seen)
    assert len(set(counts.values())) == 1
    assert all(len(b.query.target.key) == len(b.query.target.key.unique()) > 1 for b in seen)


def test_a_loss_on_labelled_pairs_sees_every_positive_in_an_epoch(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = spied(monkeypatch)
    text = CONFIG.replace('"toy-softmax"', '"toy-whole"')
    train(configured(dataset, text, epochs=1, sampling=0.0, batch=7), tmp_path / "run")
    keys = {int(key) for batch in seen if batch.pair == 0 for key in batch.query.target.key}
    assert len(keys) == sum(1 for n in range(len(SMILES)) if n % 4)


def test_every_pairing_has_a_temperature_and_figures_of_its_own(dataset: Path, tmp_path: Path) -> None:
    result = train(configured(dataset), tmp_path / "run")
    last = rows(tmp_path / "run")[-1]
    names = ["msms:structure", "ir:structure", "ccs:structure", "msms:ir", "msms:ccs", "ir:ccs"]
    temperatures = [float(last[f"temperature/{name}"]) for name in names]
    assert len(set(temperatures)) == len(names), "one loss for several pairings would learn one temperature"
    # Of CCS only two compounds are in the validation fold, and of these every pairing has figures too.
    hits = [float(last[f"val_hit1/{name}"]) for name in names]
    assert float(last["val_hit1"]) == pytest.approx(np.mean(hits))
    assert all(np.isfinite(float(last[f"loss/{name}"])) for name in names)
    assert result.metrics["val_mrr/ir:structure"] > 0
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_two_pairings_of_the_same_modalities_are_told_apart() -> None:
    config = parse_config(CONFIG)
    assert pairing_names([config and pairs_of(config)[0]] * 2) == ["msms:structure", "msms:structure#2"]


@pytest.mark.full
@pytest.mark.parametrize("killed_at", [3, 17])
@pytest.mark.parametrize("balance", ["none", "norm"])
def test_a_joint_run_killed_anywhere_resumes_to_the_same_weights(
    dataset: Path, tmp_path: Path, killed_at: int, balance: str
) -> None:
    config = configured(dataset, CONFIG + FUSED, checkpoint_every=0.0, ema_decay=0.9, balance=balance)
    config = replace(config, negatives=replace(config.negatives, in_batch=0.5, ppm=5000.0))

    def kill(state: TrainingProgress) -> None:
        if state.step == killed_at and not state.message:
            raise KeyboardInterrupt

    train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "killed", progress=kill)
    train(config, tmp_path / "killed")
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[k], killed[k]) for k in whole)
    assert (tmp_path / "whole/metrics.csv").read_text() == (tmp_path / "killed/metrics.csv").read_text()


def test_balance_brings_the_gradients_of_pairings_at_a_shared_encoder_to_one_length() -> None:
    shared, own = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    balance = GradientBalance([{"structure", "ir"}, {"structure", "ms"}], ["structure", "ir"], on=True)
    assert balance.shared == ["structure"]
    lengths: dict[int, float] = {}
    for _ in range(30):
        for pair, size in enumerate((1.0, 9.0)):
            for module in (shared, own):
                module.zero_grad()
                module(torch.ones(1, 3)).sum().mul(size).backward()
            balance.scale(pair, {"structure": shared, "ir": own})
            gradients = [p.grad.flatten() for p in shared.parameters() if p.grad is not None]
            lengths[pair] = float(torch.cat(gradients).norm())
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-6)
    assert lengths[0] == pytest.approx(5 * 12**0.5, rel=1e-6), "the mean of both lengths"
    assert own.weight.grad is not None
    assert float(own.weight.grad[0, 0]) == 9.0, "an encoder of one pairing is left alone"


def test_balance_changes_a_joint_run_and_not_a_single_pair(dataset: Path, tmp_path: Path) -> None:
    for name, balance in (("plain", "none"), ("balanced", "norm")):
        train(configured(dataset, epochs=1, balance=balance), tmp_path / name)
        single = configured(dataset, epochs=1, balance=balance)
        single = replace(single, pairs=pairs_of(single)[:1], joint=type(single.joint)())
        train(single, tmp_path / f"single-{name}")
    plain, balanced = weights(tmp_path / "plain"), weights(tmp_path / "balanced")
    assert any(not torch.equal(plain[k], balanced[k]) for k in plain)
    plain, balanced = weights(tmp_path / "single-plain"), weights(tmp_path / "single-balanced")
    assert all(torch.equal(plain[k], balanced[k]) for k in plain)


@pytest.mark.parametrize("by", ["mass", "formula"])
def test_a_share_of_a_batch_comes_with_others_of_its_mass_or_formula(by: str) -> None:
    known = [structure(s) for s in ("CCO", "CCCCO", "COC", "CCN", "CCCOC", "CNC", "CCOCC", "CCCCCC")]
    groups = batches.alike(known, by, 10.0)
    assert sorted(sorted(group.tolist()) for group in groups) == [[0, 2], [1, 4, 6], [3, 5]]
    order = batches.one_pass(8, groups, 1.0, np.random.default_rng(0)).tolist()
    assert sorted(order) == list(range(8))
    for group in groups:
        places = sorted(order.index(place) for place in group)
        assert places == list(range(places[0], places[0] + len(places))), "side by side"
    some = batches.one_pass(8, groups, 0.25, np.random.default_rng(0))
    assert sorted(some.tolist()) == list(range(8))


def test_a_formula_is_no_mass() -> None:
    known = [structure(s) for s in ("CCCCCCC(=O)C", "CCCCCC(=O)CC", "c1ccccc1CCO", "c1ccccc1C(C)O")]
    assert len(batches.alike(known, "formula", 10.0)) == 2
    assert len(batches.alike(known, "mass", 1e5)) == 1


def test_a_large_group_does_not_fill_a_batch() -> None:
    order = batches.one_pass(100, [np.arange(50)], 0.5, np.random.default_rng(0))
    runs = "".join("x" if place < 50 else " " for place in order).split()
    assert sorted(order.tolist()) == list(range(100))
    assert max(map(len, runs)) < 50


class TestSetAttention(EncoderContract):
    @pytest.fixture
    def encoder(self) -> SetAttention:
        torch.manual_seed(0)
        made = SetAttention(["msms", "ir"], dim=8, heads=2, width=4, dropout=0.0)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        return made

    @pytest.fixture
    def records(self) -> list[Vectors]:
        return [vectors(size, seed=size) for size in (1, 4, 2, 7)]

    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "set-attention", "of": ["msms", "ir"], "dim": 8, "heads": 2, "width": 4, "dropout": 0.0}


def vectors(size: int, seed: int = 0) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(size, 8)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return Vectors(drawn, tuple("ir" if n % 3 == 1 else "msms" for n in range(size)))


def test_an_untrained_fusion_keeps_one_vector_and_takes_the_mean_over_modalities_of_several() -> None:
    fused = SetAttention(["msms", "ir"], dim=8, heads=2).eval()
    one, four = vectors(1), vectors(4)
    with torch.inference_mode():
        found = fused(fused.collate([one, four])).numpy()
    np.testing.assert_allclose(found[0], one.vectors[0], atol=1e-6)
    mean = four.vectors[[0, 2, 3]].mean(axis=0) + four.vectors[1]
    np.testing.assert_allclose(found[1], mean / np.linalg.norm(mean), atol=1e-6)


def test_the_order_of_an_unknowns_measurements_does_not_matter() -> None:
    torch.manual_seed(0)
    fused = SetAttention(["msms", "ir"], dim=8, heads=2).eval()
    for parameter in fused.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    some = vectors(5)
    turned = Vectors(np.ascontiguousarray(some.vectors[::-1]), some.modality[::-1])
    with torch.inference_mode():
        a, b = fused(fused.collate([some])), fused(fused.collate([turned]))
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(a, torch.from_numpy(some.vectors[:1]), atol=1e-2)


@pytest.mark.full
def test_training_sees_random_subsets_and_teaches_the_other_encoders_too(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = spied(monkeypatch)
    text = CONFIG.replace('pairings = "all"', 'pairings = "none"') + FUSED
    text += '[[pairs]]\nquery = "fused"\nreference = "structure"\nloss = "toy-softmax"\nmeasured = 2\nrecords = 1\n'
    result = train(configured(dataset, text, epochs=30), tmp_path / "run")
    measured = [b.query.batch for b in seen]
    subsets = {tuple(m[k].tolist()) for b in measured for m, k in zip(b.modality, b.mask, strict=True)}
    assert {(0,), (1,), (0, 1), (0, 1, 2)} <= subsets
    assert (2, 2) not in subsets
    assert max(len(b.query.batch) for b in seen) == 8
    first, last = rows(tmp_path / "run")[0], rows(tmp_path / "run")[-1]
    assert float(last["loss"]) < 0.8 * float(first["loss"])
    assert result.metrics["val_mrr"] > 0.4
    short = train(configured(dataset, text, epochs=1), tmp_path / "short")
    before, after = weights(short.folder), weights(result.folder)
    for name in ("msms", "ir", "fused"):
        assert any(not torch.equal(before[k], after[k]) for k in before if k.startswith(name))


def test_an_encoder_runs_on_padding_where_no_unknown_has_its_modality() -> None:
    encoders = {"msms": toy.Peaks(dropout=0.0), "ir": toy.Waves(dropout=0.0)}
    rng, known = np.random.default_rng(0), structure("CCO")
    unknowns = [{"msms": [spectrum(known, rng)]}, {"msms": [spectrum(known, rng)]}]
    batch = collate_measured(encoders, ("msms", "ir"), unknowns, {"ir": trace(known, rng)})
    found = batch.encode(encoders)
    assert found.modality.tolist() == [[0], [0]]
    found.vectors.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in encoders["ir"].parameters())
    alone = collate_measured(encoders, ("msms", "ir"), unknowns)
    torch.testing.assert_close(alone.encode(encoders).vectors, found.vectors)


def test_negatives_from_a_library_are_of_the_mass_or_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = structure("CCCCCCCC=O")
    library = Library.from_structures([structure(s) for s in ("CCCCCCCC=O", "CCCCCC(=O)CC", "NCCCCCCC=N")])
    rows = {by: candidate_pools(library, {truth.inchikey14: truth}, by, 2e5, 64, 0) for by in ("mass", "formula")}
    drawn = {by: {one.smiles for one in library.structures(pools[truth.inchikey14])} for by, pools in rows.items()}
    assert drawn == {"mass": {"CCCCCC(=O)CC", "N=CCCCCCCN"}, "formula": {"CCCCCC(=O)CC"}}


def test_a_bundle_embeds_all_measurements_of_an_unknown(dataset: Path, tmp_path: Path) -> None:
    train(configured(dataset, CONFIG + FUSED), tmp_path / "run")
    bundle = load_trained(tmp_path / "run")
    stored = load_file(tmp_path / "run/bundle/fused.safetensors")
    # The other encoders' weights are not stored twice.
    assert {name.split(".")[0] for name in stored} == {"modality", "attention", "gate"}
    rng, known = np.random.default_rng(1), structure("CCCO")
    everything = {
        "msms": [spectrum(known, rng), spectrum(known, rng)],
        "ir": [trace(known, rng)],
        "ccs": [Value(160.0)],
    }
    some = {"ir": everything["ir"]}
    found = bundle.embed_fused([everything, some, everything])
    assert found.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found[0], found[2], atol=1e-6)
    np.testing.assert_allclose(bundle.embed_fused([some])[0], found[1], atol=1e-6)
    with torch.inference_mode():
        encoders = {key: bundle.encoder(key) for key in bundle.modalities}
        batch = collate_measured(encoders, ("msms", "ir", "ccs"), [everything, some])
        trained = encoders["fused"](batch.encode(encoders)).numpy()
    np.testing.assert_allclose(trained, found[:2], atol=1e-6)
    with pytest.raises(RecordError, match="unknown 1 has no record of msms, ir, ccs"):
        bundle.embed_fused([some, {"raman": [trace(known, rng)]}])
    with pytest.raises(BundleError, match="no fused encoder 'ir'"):
        bundle.embed_fused([some], key="ir")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONFIG + FUSED.replace('"ccs"]', '"css"]'), "fuses 'css', which is no measurement.*Did you mean 'ccs'"),
        (
            CONFIG + FUSED + '[[pairs]]\nquery = "ir"\nreference = "fused"\nloss = "toy-softmax"\n',
            "a fusion is a query",
        ),
        (CONFIG.replace('"all"', '"any"'), "joint.pairings must be one of 'none', 'structure', 'all', got 'any'"),
        (CONFIG.replace('"all"', '"none"'), "no \\[\\[pairs\\]\\].*or set \\[joint\\] pairings = 'all'"),
        (CONFIG.replace("batch = 8", "sampling = 2.0"), "train.sampling must be from 0 to 1, got 2.0"),
        (
            CONFIG.replace("batch = 8", 'balance = "gradnorm"'),
            "train.balance must be one of 'none', 'norm', got 'gradnorm'",
        ),
        (CONFIG + "[negatives]\nin_batch = 1.5\n", "negatives.in_batch must be from 0 to 1, got 1.5"),
        (CONFIG.replace("min_compounds = 4", "negatives = 4"), "negatives needs \\[negatives\\] path"),
    ],
)
def test_a_joint_configuration_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(text)


def test_a_fused_encoder_of_another_length_says_so(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="set-attention: dim = 16, but the encoders of msms, ir, ccs give vectors of length 8"
    ):
        train(configured(dataset, CONFIG + FUSED.replace("dim = 8", "dim = 16")), tmp_path / "run")
    with pytest.raises(ConfigError, match="dim must be a multiple of heads, got dim = 9 and heads = 4"):
        SetAttention(["ir"], dim=9)
    with pytest.raises(ConfigError, match="at least one modality, and none twice"):
        SetAttention(["ir", "ir"], dim=8)
    with pytest.raises(RecordError, match="no raman in this fusion"):
        SetAttention(["ir"], dim=8).collate([Vectors(np.ones((1, 8), np.float32), ("raman",))])
