"""A toy pretrainer and a reader of SMILES for tests of `molvis.pretrained`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from molvis import registry
from molvis.dataset import Measurement
from molvis.identity import structure
from molvis.interfaces import Spec
from molvis.plugins import Component, Plugin
from molvis.pretrained import PretrainResult, save_state
from molvis.records import Structure
from molvis.training import Progress


def read(path: Path) -> Iterator[Measurement]:
    for line in path.read_text().splitlines():
        yield Measurement(structure(line), structure(line), "structure")


def run(
    structures: Sequence[Structure], encoder: Spec, folder: Path, *, epochs: int, batch: int, seed: int, workers: int,
    resume: bool, progress: Callable[[Progress], None] | None,
) -> PretrainResult:  # fmt: skip
    folder.mkdir(parents=True)
    settings = {"epochs": epochs, "batch": batch, "seed": seed, "workers": workers, "resume": resume}
    about = {"settings": settings, "names": [s.smiles for s in structures]}
    save_state(folder, encoder, registry.build("encoder", encoder).state_dict(), about)
    return PretrainResult(folder, len(structures), {"loss": 1.0})


PLUGIN = Plugin(
    "toy-pretrainer",
    "molvis-toy-pretrainer",
    "1.0",
    "toy_pretrainer",
    (
        Component("pretrainer", "toy", "toy_pretrainer:run", "Learns nothing."),
        Component(
            "reader", "toy-smiles", "toy_pretrainer:read", "SMILES.", modality="structure", suffixes=(".toysmi",)
        ),
    ),
)
