"""A toy pretrainer and a reader of SMILES for tests of `molvis_nn.pretrained`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from molvis_core import registry
from molvis_core.chemistry.structures import structure
from molvis_core.interfaces import Spec
from molvis_core.plugins import Component, Plugin
from molvis_core.records import Measurement, Structure
from molvis_nn.loop import TrainingProgress
from molvis_nn.pretrained import PretrainResult, save_state


def read(path: Path) -> Iterator[Measurement]:
    for line in path.read_text().splitlines():
        yield Measurement(structure(line), structure(line), "structure")


def run(
    structures: Sequence[Structure], encoder: Spec, folder: Path, *, epochs: int, batch: int, seed: int, workers: int,
    resume: bool, progress: Callable[[TrainingProgress], None] | None,
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
