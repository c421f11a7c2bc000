"""From spectra to a bundle whose fragments are learned, and back: the scorer, training and identification together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import ELECTRON_MASS, formula_mass
from molvis_core.chemistry.structures import structure
from molvis_core.records import Measurement, PeakList
from molvis_retrieval import identify
from molvis_retrieval.bundle import Calibration
from molvis_retrieval.config import parse_config
from molvis_retrieval.importing import write
from molvis_retrieval.index import build_index
from molvis_retrieval.library import Library
from molvis_retrieval.training.loop import load_trained, train

CONFIG = """
name = "amides"
[data]
path = "dataset"
[encoders.msms]
use = "peak-sum"
dim = 8
width = 8
blocks = 1
[encoders.structure]
use = "fingerprint"
dim = 8
width = 8
blocks = 0
[[pairs]]
query = "msms"
reference = "structure"
[scorers.fragments]
use = "learned-fragments"
networks = 1
width = 16
epochs = 12
[train]
epochs = 1
batch = 8
accelerator = "cpu"
devices = 1
"""


def amide(acid: int, amine: int, energy: float, fold: str) -> Measurement:
    """The acylium ion and the protonated amine of an amide of straight chains."""
    truth = structure(f"{'C' * (acid - 1)}C(=O)N{'C' * amine}")
    acylium = formula_mass(f"C{acid}H{2 * acid - 1}O") - ELECTRON_MASS
    amine_ion = formula_mass(f"C{amine}H{2 * amine + 4}N") - ELECTRON_MASS
    mz, height = np.array([acylium, amine_ion]), np.array([1.0, 0.5])
    precursor = ion_mz(truth.exact_mass, "[M+H]+")
    return Measurement(PeakList(mz, height, precursor, "[M+H]+", 1, "positive", energy), truth, "msms", fold=fold)


@pytest.mark.full
def test_a_bundle_learns_fragments_and_identifies_with_them(tmp_path: Path) -> None:
    fold = {5: "train", 6: "train", 7: "train", 8: "train", 9: "val", 10: "test"}
    items = [
        amide(acid, size - acid, energy, fold[size])
        for size in fold
        for acid in range(1, size)
        for energy in (5.0, 20.0, 40.0)
    ]
    write(items, tmp_path / "dataset")
    # Isomers that were never measured: the chain of the acid is branched.
    others = [f"CC({'C' * (a - 3)})C(=O)N{'C' * (n - a)}" for n in fold for a in range(4, n)]
    (tmp_path / "library.smi").write_text("\n".join([i.structure.smiles for i in items if i.structure] + others))
    made = parse_config(CONFIG)
    config = replace(
        made,
        data=replace(made.data, path=str(tmp_path / "dataset")),
        negatives=replace(made.negatives, path=str(tmp_path / "library.smi")),
    )
    result = train(config, tmp_path / "run")
    assert result.metrics["val_hit1/fragments"] > 0.4
    bundle = load_trained(tmp_path / "run").with_calibration(Calibration({"msms": 0.0, "fragments.logit": 1.0}))
    index = build_index(bundle, Library.read(tmp_path / "library.smi"), tmp_path / "index")
    unknown = [item for item in items if item.fold == "test"]
    found = identify(bundle, [item.record for item in unknown], index)
    right = [
        one.candidates[0].structure.inchikey14 == item.structure.inchikey14
        for one, item in zip(found, unknown, strict=True)
        if item.structure
    ]
    rivals = np.mean([len(one.candidates) for one in found])
    assert np.mean(right) > 2 / rivals, "better than chance among isomers of a size that was never seen"
