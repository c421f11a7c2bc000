"""The training loop: it learns, resumes to the same result, and loses nothing when something goes wrong."""

from __future__ import annotations

import csv
import errno
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
from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.records import Measurement, PeakList
from molvis_core.testing import offer
from molvis_nn.loop import TrainingProgress
from molvis_nn.pretrained import save_state
from molvis_retrieval.config import NegativesConfig, RunConfig, TrainConfig, parse_config
from molvis_retrieval.importing import write
from molvis_retrieval.library import Library
from molvis_retrieval.training import loop
from molvis_retrieval.training.batches import Batches
from molvis_retrieval.training.checkpoint import checkpoint_of
from molvis_retrieval.training.loop import load_trained, train
from molvis_retrieval.training.run import prepare
from molvis_retrieval.training.validation import validate

CONFIG = toy.CONFIG + toy.TRAIN + "epochs = 6\nlearning_rate = 0.02\n"


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(toy.PLUGIN):
        yield


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """Chains and rings whose spectra hold a peak for each of their atoms: easy to learn."""
    rng = np.random.default_rng(0)
    smiles = ["C" * n + tail for n in range(1, 9) for tail in ("O", "N", "S", "Cl", "F")]
    items: list[Measurement] = []
    for number, text in enumerate(smiles):
        known = structure(text)
        for _ in range(2):
            mz = np.sort(
                np.array([20 + ord(c) % 64 for c in known.smiles], float) + rng.normal(0, 1e-3, len(known.smiles))
            )
            spectrum = PeakList(mz, np.ones(len(mz)), ion_mz(known.exact_mass, "[M+H]+"), "[M+H]+", 1, "positive")
            items.append(Measurement(spectrum, known, "msms", fold="val" if number % 4 == 0 else "train"))
    write(items, tmp_path / "dataset")
    made = parse_config(CONFIG)
    return replace(made, data=replace(made.data, path=str(tmp_path / "dataset")))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{file.stem}.{name}": tensor
        for file in sorted((folder / "bundle").glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def killer(step: int) -> Any:
    def progress(state: TrainingProgress) -> None:
        if state.step == step and not state.message:
            raise KeyboardInterrupt

    return progress


def test_a_run_learns_and_leaves_a_bundle(config: RunConfig, tmp_path: Path) -> None:
    result = train(config, tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    assert result.metrics["val_mrr"] == max(float(r["val_mrr"]) for r in rows)
    bundle = load_trained(tmp_path / "run")
    assert bundle.metadata["best_epoch"] == result.best_epoch
    assert bundle.metadata["citations"] == ["10.0000/toy"]
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_prepared_run_is_all_that_batches_and_validation_need(config: RunConfig) -> None:
    run = prepare(config)
    assert [len(p.compounds) for p in (*run.pairings, *run.validation)] == [30, 10]
    batch = Batches(run)[0]
    assert len(batch.query.batch) == len(batch.reference.batch) == 8
    untrained = validate(run)
    assert untrained == validate(prepare(config)), "the seed decides what a run begins with"
    assert 0 < untrained["val_mrr"] < 1


@pytest.mark.parametrize("world", [2, 3])
def test_the_parts_of_several_processes_are_the_batch_of_one(config: RunConfig, tmp_path: Path, world: int) -> None:
    structures = [f"{'C' * n}O{'C' * m}" for n in range(1, 9) for m in range(1, 9)]
    (tmp_path / "more.smi").write_text("\n".join(structures), encoding="utf-8")
    negatives = replace(config.negatives, path=str(tmp_path / "more.smi"), ppm=1e5)
    pairs = (replace(config.pairs[0], negatives=2),)
    config = replace(config, negatives=negatives, pairs=pairs, train=replace(config.train, batch=4))
    run = prepare(config)
    whole = Batches(replace(run, config=replace(config, train=replace(config.train, batch=4 * world))))
    parts = [Batches(run, rank, world) for rank in range(world)]
    assert len({len(some) for some in (whole, *parts)}) == 1
    for step in range(len(whole)):
        one, several = whole[step], [part[step] for part in parts]
        assert len(one.owner)
        count = len(one.query.batch)
        queries = torch.cat([part.query.batch.values for part in several])
        assert torch.equal(queries, one.query.batch.values)
        ends = [
            part.reference.batch.values.split(
                [len(part.query.batch), len(part.reference.batch) - len(part.query.batch)]
            )
            for part in several
        ]
        assert torch.equal(torch.cat([end[0] for end in ends]), one.reference.batch.values[:count])
        assert torch.equal(torch.cat([end[1] for end in ends]), one.reference.batch.values[count:])
        for part in several:
            assert torch.equal(part.owner, one.owner)
            assert torch.equal(part.query.target.key, one.query.target.key)
            assert torch.equal(part.reference.target.key, one.reference.target.key)


def test_more_processes_than_a_batch_has_compounds_for_are_refused(config: RunConfig) -> None:
    run = prepare(config)
    with pytest.raises(ConfigError, match=r"31 processes train together.*msms:structure has 30 compounds"):
        Batches(run, 0, 31)
    alone = replace(run, config=replace(config, train=replace(config.train, batch=1)))
    with pytest.raises(ConfigError, match="batch is 1 and must be at least 2"):
        Batches(alone, 0, 2)


def test_what_counts_for_a_checkpoint_is_the_batch_of_all_processes(config: RunConfig, tmp_path: Path) -> None:
    short = replace(config, train=replace(config.train, epochs=1))
    train(short, tmp_path / "run")
    half = replace(short, train=replace(short.train, batch=4))
    with checkpoint_of(tmp_path / "run", half, 2).reading() as content:
        assert content["state"]["step"] == 4
    told = r"where batch is that of all 2 processes together \(it has 'batch = 8', this run 'batch = 16'"
    with pytest.raises(TrainingError, match=told), checkpoint_of(tmp_path / "run", short, 2).reading():
        pass


def test_under_torchrun_devices_are_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_fabric.strategies import DDPStrategy

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr("lightning_fabric.Fabric", lambda **settings: seen.append(settings))
    loop._fabric(TrainConfig(accelerator="cpu"))
    loop._fabric(TrainConfig(accelerator="cpu", devices=4, strategy="fsdp"))
    assert [(s["devices"], s["num_nodes"]) for s in seen] == [(2, 2), (4, 1)]
    assert isinstance(seen[0]["strategy"], DDPStrategy)
    assert seen[1]["strategy"] == "fsdp"
    with pytest.raises(
        ConfigError, match=r"torchrun has started 4 processes, 2 of them here, but \[train\] has devices = 2"
    ):
        loop._fabric(TrainConfig(devices=2))


@pytest.mark.full
@pytest.mark.parametrize("killed_at", [1, 6, 9])
def test_a_run_killed_anywhere_resumes_to_the_same_weights(config: RunConfig, tmp_path: Path, killed_at: int) -> None:
    config = replace(config, train=replace(config.train, checkpoint_every=0.0, ema_decay=0.9))
    train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "killed", progress=killer(killed_at))
    assert not (tmp_path / "killed" / "bundle").exists()
    train(config, tmp_path / "killed")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    assert (tmp_path / "whole/metrics.csv").read_text() == (tmp_path / "killed/metrics.csv").read_text()


def test_a_run_that_is_done_trains_no_further(config: RunConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "run")
    before = weights(tmp_path / "run")
    steps: list[int] = []
    train(config, tmp_path / "run", progress=lambda state: steps.append(state.step))
    assert steps == []
    assert same(before, weights(tmp_path / "run"))


def test_another_seed_gives_other_weights(config: RunConfig, tmp_path: Path) -> None:
    short = replace(config, train=replace(config.train, epochs=1))
    train(short, tmp_path / "a")
    train(replace(short, train=replace(short.train, seed=1)), tmp_path / "b")
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_workers_make_the_same_batches(config: RunConfig, tmp_path: Path) -> None:
    short = replace(config, train=replace(config.train, epochs=1))
    train(short, tmp_path / "a")
    train(replace(short, train=replace(short.train, workers=1)), tmp_path / "b")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_checkpoint_of_another_configuration_is_refused(config: RunConfig, tmp_path: Path) -> None:
    train(replace(config, train=replace(config.train, epochs=1)), tmp_path / "run")
    with pytest.raises(TrainingError, match=r"another configuration[\s\S]*epochs = 1[\s\S]*--no-resume"):
        train(config, tmp_path / "run")
    train(config, tmp_path / "run", resume=False)
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 7


def test_a_checkpoint_with_old_keys_is_refused_with_the_command_that_starts_anew(
    config: RunConfig, tmp_path: Path
) -> None:
    config = replace(config, train=replace(config.train, epochs=1, ema_decay=0.9))
    train(config, tmp_path / "run")
    file = tmp_path / "run" / "checkpoint.pt"
    content = torch.load(file, weights_only=True)
    old = content["signature"].replace("ema_decay = ", "average = ")
    torch.save({**content, "signature": old}, file)
    kept = file.read_bytes()
    with pytest.raises(TrainingError) as refused:
        train(config, tmp_path / "run")
    assert "train.average, which is now train.ema_decay" in str(refused.value)
    command = str(refused.value).split("anew with: ")[1]
    assert command == f"molvis train {tmp_path}/run/config.toml --out {tmp_path}/run --no-resume"
    assert file.read_bytes() == kept
    stored = (tmp_path / "run" / "config.toml").read_text().replace("ema_decay = ", "average = ")
    assert train(parse_config(stored), tmp_path / "run", resume=False).best_epoch == 1


def test_a_damaged_checkpoint_is_named(config: RunConfig, tmp_path: Path) -> None:
    train(replace(config, train=replace(config.train, epochs=1)), tmp_path / "run")
    file = tmp_path / "run" / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: the checkpoint is damaged"):
        train(replace(config, train=replace(config.train, epochs=1)), tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(config: RunConfig, tmp_path: Path) -> None:
    broken = replace(config, pairs=(replace(config.pairs[0], loss={"use": "toy-broken"}),))
    with pytest.raises(TrainingError, match=r"the loss of pair msms:structure \('toy-broken'\) is nan"):
        train(broken, tmp_path / "run")


@pytest.mark.full
def test_a_full_disk_keeps_the_last_checkpoint(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, train=replace(config.train, checkpoint_every=0.0))
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", progress=killer(5))
    kept = (tmp_path / "run" / "checkpoint.pt").read_bytes()

    made = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "checkpoint" not in path.name:
            return made(path, data)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(TrainingError, match="the disk is full; free some space.*last checkpoint is kept"):
            train(config, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == kept
    assert not list((tmp_path / "run").glob("*.partial"))
    train(config, tmp_path / "run")
    train(config, tmp_path / "whole")
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


def test_a_frozen_encoder_keeps_its_weights(config: RunConfig, tmp_path: Path) -> None:
    frozen = replace(config, train=replace(config.train, epochs=1, freeze=("structure",)))
    train(frozen, tmp_path / "one")
    train(replace(frozen, train=replace(frozen.train, epochs=2)), tmp_path / "two")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.equal(one[k], two[k]) for k in one if k.startswith("structure"))
    assert not all(torch.equal(one[k], two[k]) for k in one if k.startswith("msms"))


def test_a_run_starts_from_pretrained_weights(config: RunConfig, tmp_path: Path) -> None:
    torch.manual_seed(7)
    known = toy.Letters().state_dict()
    (tmp_path / "pretrained").mkdir()
    save_state(tmp_path / "pretrained", {"use": "toy-letters"}, known, {})
    settings = replace(
        config.train, epochs=1, freeze=("structure",), init_from={"structure": str(tmp_path / "pretrained")}
    )
    train(replace(config, train=settings), tmp_path / "run")
    stored = weights(tmp_path / "run")
    assert all(torch.equal(stored[f"structure.{name}"], tensor) for name, tensor in known.items())
    with pytest.raises(ConfigError, match="init_from names 'ir'; the encoders are msms, structure"):
        train(replace(config, train=replace(settings, init_from={"ir": "x"})), tmp_path / "other")
    with pytest.raises(BundleError, match="no pretrained encoder here"):
        train(replace(config, train=replace(settings, init_from={"structure": str(tmp_path)})), tmp_path / "missing")


def test_training_stops_early_when_nothing_gets_better(config: RunConfig, tmp_path: Path) -> None:
    idle = replace(config, train=replace(config.train, epochs=50, learning_rate=1e-12, patience=2))
    result = train(idle, tmp_path / "run")
    assert result.stopped == "early stop"
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 4


def test_harder_candidates_come_from_the_library_and_never_are_the_truth(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.from_structures([structure(s) for s in ("CCO", "COC", "CCN", "CNC", "CCCO", "CC(C)O", "COCC")])
    monkeypatch.setattr(Library, "read", classmethod(lambda cls, path, progress=None: library))
    config = replace(
        config,
        negatives=NegativesConfig("library.smi"),
        pairs=(replace(config.pairs[0], negatives=2),),
        train=replace(config.train, epochs=1),
    )
    seen: list[tuple[int, int]] = []
    made = Batches.__getitem__

    def spy(self: Any, step: int) -> Any:
        batch = made(self, step)
        key = batch.query.target.key
        extra = batch.reference.target.key[len(key) :]
        assert not (key[batch.owner] == extra).any()
        seen.append((len(key), len(extra)))
        return batch

    monkeypatch.setattr(Batches, "__getitem__", spy)
    train(config, tmp_path / "run")
    assert sum(extra for _, extra in seen) > 0


def test_without_a_library_encoders_are_trained_without_harder_negatives(
    config: RunConfig, caplog: pytest.LogCaptureFixture
) -> None:
    run = prepare(replace(config, pairs=(replace(config.pairs[0], negatives=2),)))
    assert "trained without harder negatives" in caplog.text
    assert run.library is None
    assert len(Batches(run)[0].owner) == 0


def test_a_batch_holds_distinct_compounds(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    made = Batches.__getitem__

    def spy(self: Any, step: int) -> Any:
        batch = made(self, step)
        sizes.append((len(batch.query.target.key), len(batch.query.target.key.unique())))
        return batch

    monkeypatch.setattr(Batches, "__getitem__", spy)
    train(replace(config, train=replace(config.train, epochs=2, spectra=2)), tmp_path / "run")
    assert all(count == distinct for count, distinct in sizes)
    assert len(sizes) == 2 * round(30 * 2 / 8)


def test_an_empty_fold_and_a_missing_one_are_told(config: RunConfig, tmp_path: Path) -> None:
    wrong = replace(config, data=replace(config.data, train="trian"))
    with pytest.raises(Exception, match=r"no fold 'trian'\. Did you mean 'train'"):
        train(wrong, tmp_path / "run")
    strict = replace(config, data=replace(config.data, min_peaks=99))
    with pytest.raises(TrainingError, match="has 0 compounds in fold 'train'"):
        train(strict, tmp_path / "run")
    with pytest.raises(ConfigError, match="nothing to train"):
        train(
            replace(config, train=replace(config.train, freeze=("msms", "structure")), pairs=_plain(config)),
            tmp_path / "x",
        )


def _plain(config: RunConfig) -> Any:
    return (replace(config.pairs[0], loss={"use": "toy-plain"}),)
