"""Whatever writes a folder refuses while another thread or process writes it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import BusyError
from molvis_core.records import Measurement, PeakList
from molvis_core.testing import offer
from molvis_files import locking
from molvis_retrieval.bundle import Calibration, load_bundle, save_bundle, verify_bundle, write_calibration
from molvis_retrieval.config import parse_config
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.importing import import_files, write
from molvis_retrieval.index import begin_index, build_index
from molvis_retrieval.library import Library
from molvis_retrieval.splitting import split
from molvis_retrieval.training.loop import train
from molvis_retrieval.training.pretraining import pretrain
from molvis_retrieval.verification import verify_dataset

sys.path.insert(0, str(Path(__file__).parent))
import toy
import toy_pretrainer


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("molvis_retrieval.importing._reader", lambda path, reader, modality: None)
    monkeypatch.setattr(locking, "_PATIENCE", 0.0)
    with offer(toy.PLUGIN, toy_pretrainer.PLUGIN):
        fill()
        yield tmp_path


def fill() -> None:
    record = PeakList(np.array([50.0]), np.array([1.0]))
    write([Measurement(record, structure("C" * n + "O"), "msms", "train") for n in range(2, 9)], "data")
    states = {"msms": toy.Peaks().state_dict(), "structure": toy.Letters().state_dict()}
    save_bundle("bundle", parse_config(toy.CONFIG), states)
    Path("a.smi").write_text("CCO\n")


def _hashed() -> Any:
    return SimpleNamespace(encoders_digest="d", name="x", encoder=lambda key: SimpleNamespace(dim=4))


LIBRARY = Library.from_structures([structure("CCO")])

WRITERS: dict[str, tuple[str, Callable[[], object]]] = {
    "write": ("data", lambda: write([], "data")),
    "import": ("data", lambda: import_files(["a.smi"], "data", append=True)),
    "split": ("data", lambda: split(Dataset.open("data"))),
    "save_bundle": (
        "bundle",
        lambda: save_bundle("bundle", parse_config(toy.CONFIG), {"msms": {}, "structure": {}}),
    ),
    "calibration": ("bundle", lambda: write_calibration(load_bundle("bundle"), Calibration())),
    "accept": ("bundle", lambda: verify_bundle("bundle", accept=True)),
    "begin_index": ("index", lambda: begin_index("index", _hashed(), LIBRARY)),
    "build_index": ("index", lambda: build_index(_hashed(), LIBRARY, "index")),
    "train": ("run", lambda: train(parse_config(toy.CONFIG.replace("dataset", "data")), "run")),
    "pretrain": ("run", lambda: pretrain("a.smi", "toy-letters", "run", method="toy")),
}


@pytest.fixture
def held(workplace: Path) -> Iterator[Callable[[str], None]]:
    done = threading.Event()
    threads: list[threading.Thread] = []

    def hold(name: str) -> None:
        begun = threading.Event()

        def work() -> None:
            with locking.sole_writer(workplace / name):
                begun.set()
                done.wait()

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        begun.wait()

    yield hold
    done.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_refuses_a_folder_that_is_being_written(
    name: str, held: Callable[[str], None], workplace: Path
) -> None:
    folder, work = WRITERS[name]
    held(folder)
    before = sorted((p, p.stat().st_mtime_ns) for p in workplace.rglob("*"))
    with pytest.raises(BusyError, match=f"{folder}: process .* is writing it"):
        work()
    assert sorted((p, p.stat().st_mtime_ns) for p in workplace.rglob("*")) == before


def test_readers_do_not_mind_a_writer(held: Callable[[str], None]) -> None:
    held("data")
    held("bundle")
    assert len(Dataset.open("data").table("msms")) == 7
    assert not verify_dataset("data").damaged
    assert load_bundle("bundle").modalities == ("msms", "structure")
