"""Spectra predicted from structures: how like they are to measured ones, beside three baselines, in one run.

    python benchmarks/prediction.py --dataset DATASET [--model FOLDER] [--fold val] [--seconds 600] [--work FOLDER]

DATASET is what `molvis data import massbank_open.parquet` makes. Of each compound of the fold up to eight spectra are
predicted that differ in adduct, energy and instrument: by the forward model; as the precursor alone; as the spectrum of
the training compound that is most alike (Tanimoto of ECFP4, same adduct, nearest energy), its precursor moved to where
this one's is; and by a NEIMS-like network, trained here on the training fold within a budget of CPU seconds.

Similarities are the cosine of root intensities and the entropy similarity, peaks matching within 0.01 Da, as
`molvis_msms.references.similarity` computes them; with the precursor's peak and without. Means are over spectra of a
compound, then over compounds; 95% intervals are from 1,000 bootstrap draws of compounds. Writes
benchmarks/results/prediction.json, of the validation fold prediction-val.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from prediction_baseline import Baseline, train
from rdkit import DataStructs
from rdkit.Chem import rdFingerprintGenerator

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.records import PeakList, Structure
from molvis_msms.forward.learning import Example, by_compound, unlike
from molvis_msms.forward.predictor import loaded
from molvis_msms.forward.settings import Setting, instrument_class
from molvis_msms.references.similarity import Similarity, Tolerance
from molvis_retrieval.dataset import Dataset

RESULTS = Path(__file__).parent / "results"
PER_COMPOUND = 8
DRAWS = 1000
ENERGIES = (0, 15, 30, 50, 80, math.inf)
Predict = Callable[[Structure, Sequence[Setting]], Sequence[PeakList]]


def examples(dataset: Dataset, fold: str) -> list[Example]:
    """Compounds of a fold with their spectra."""
    rows = dataset.rows("msms", fold=fold, min_peaks=1).tolist()
    return by_compound([(dataset.structure("msms", row), dataset.record("msms", row)) for row in rows])


def precursor_alone(structure: Structure, setting: Setting) -> PeakList:
    mz = setting.precursor_mz(structure.exact_mass)
    return PeakList(np.array([mz]), np.ones(1), precursor_mz=mz)


class Analogue:
    """The spectrum of the training compound that is most alike."""

    def __init__(self, known: Sequence[Example]) -> None:
        self.generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
        self.known = known
        self.bits = [self.generator.GetFingerprint(parse_smiles(one.structure.smiles)) for one in known]
        self.adducts = [{Setting.of(s).adduct for s in one.spectra} for one in known]
        self._order: dict[str, np.ndarray] = {}

    def __call__(self, structure: Structure, setting: Setting) -> PeakList:
        """Its spectrum at the nearest energy; the precursor where no training compound has the adduct."""
        if structure.smiles not in self._order:
            mine = self.generator.GetFingerprint(parse_smiles(structure.smiles))
            alike = np.array(DataStructs.BulkTanimotoSimilarity(mine, self.bits))
            self._order[structure.smiles] = np.argsort(-alike, kind="stable")
        precursor = setting.precursor_mz(structure.exact_mass)
        for number in self._order[structure.smiles].tolist():
            if setting.adduct in self.adducts[number]:
                example = self.known[number]
                same = [s for s in example.spectra if s.adduct == setting.adduct]
                near = min(same, key=lambda s: distance(s, setting))
                whole = Setting.of(near).precursor_mz(example.structure.exact_mass)
                moved = np.where(np.abs(near.mz - whole) < 0.02, precursor, near.mz)
                return replace(near, mz=moved, precursor_mz=precursor)
        return precursor_alone(structure, setting)


def distance(spectrum: PeakList, setting: Setting) -> tuple[float, bool]:
    """How far apart energies are, on a logarithmic scale in steps of a tenth; then whether instruments differ."""
    one, other = spectrum.collision_energy, setting.energy
    apart = 9.0 if one is None or other is None else abs(math.log(max(one, 1) / max(other, 1)))
    return round(apart, 1), instrument_class(spectrum.instrument_type) != instrument_class(setting.instrument)


def each(predict: Callable[[Structure, Setting], PeakList]) -> Predict:
    """One spectrum after the other."""
    return lambda structure, settings: [predict(structure, one) for one in settings]


@dataclass(frozen=True, slots=True)
class Case:
    """A measured spectrum of a compound."""

    compound: int
    structure: Structure
    spectrum: PeakList
    setting: Setting


def cases(held_out: Sequence[Example]) -> list[Case]:
    return [
        Case(number, one.structure, spectrum, Setting.of(spectrum))
        for number, one in enumerate(held_out)
        for spectrum in unlike(one.spectra, PER_COMPOUND, np.random.default_rng(number))
    ]


def without_precursor(spectrum: PeakList, precursor: float) -> PeakList:
    kept = np.abs(spectrum.mz - precursor) > 0.5
    return replace(spectrum, mz=spectrum.mz[kept], intensity=spectrum.intensity[kept])


def scores(some: Sequence[Case], predicted: Sequence[PeakList]) -> np.ndarray:
    """Cosine and entropy similarity with the precursor, then without it; NaN where nothing else was measured."""
    cosine, entropy = Similarity("cosine", Tolerance(0.01)), Similarity("entropy", Tolerance(0.01))
    rows = []
    for case, one in zip(some, predicted, strict=True):
        whole = case.setting.precursor_mz(case.structure.exact_mass)
        row = [compare(case.spectrum, one).score for compare in (cosine, entropy)]
        measured, mine = without_precursor(case.spectrum, whole), without_precursor(one, whole)
        there = bool((measured.intensity > 0).any())
        row += [compare(measured, mine).score if there else math.nan for compare in (cosine, entropy)]
        rows.append(row)
    return np.array(rows)


NAMES = ("cosine", "entropy", "cosine_without_precursor", "entropy_without_precursor")


def means(values: np.ndarray, compounds: np.ndarray) -> dict[str, Any]:
    """Means over compounds with intervals."""
    found: dict[str, Any] = {"compounds": len(np.unique(compounds)), "spectra": len(compounds)}
    rng = np.random.default_rng(0)
    for column, name in enumerate(NAMES):
        known = np.isfinite(values[:, column])
        owners = np.unique(compounds[known], return_inverse=True)[1]
        if not len(owners):
            continue
        each = np.bincount(owners, values[known, column]) / np.bincount(owners)
        draws = [each[rng.integers(0, len(each), len(each))].mean() for _ in range(DRAWS)]
        low, high = np.percentile(draws, [2.5, 97.5])
        found[name] = [round(float(v), 4) for v in (each.mean(), low, high)]
    return found


def groups(some: Sequence[Case]) -> dict[str, np.ndarray]:
    """Which spectra belong to each group of energy, adduct and instrument."""
    energy = np.array([math.nan if c.setting.energy is None else c.setting.energy for c in some])
    adduct = np.array([c.setting.adduct or "" for c in some])
    kind = np.array([instrument_class(c.setting.instrument) for c in some])
    made = {
        f"energy {low:g} to {high:g} eV": (energy > low) & (energy <= high)
        for low, high in itertools.pairwise(ENERGIES)
    }
    made |= {f"adduct {name}": adduct == name for name in ("[M+H]+", "[M-H]-", "[M]+", "[M+Na]+")}
    return made | {
        "time of flight": kind == 1, "Fourier transform": kind == 2, "ion trap and Fourier transform": kind == 3,
    }  # fmt: skip


def baseline(known: Sequence[Example], seconds: float, work: Path | None) -> Baseline:
    """The NEIMS-like network: trained, or read where a folder of the work holds it."""
    file = work / "neims.pkl" if work else None
    if file and file.exists():
        return pickle.loads(file.read_bytes())
    made = train(known, seconds=seconds)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(made))
    return made


def speed(predict: Callable[[Sequence[Structure]], object], some: Sequence[Structure]) -> float:
    """Structures in a second of processor time, on one core, each seen for the first time."""
    began = time.process_time()
    predict(some)
    return len(some) / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--model", default="", help="folder of a forward model; the one that ships by default")
    parser.add_argument("--fold", default="test")
    parser.add_argument("--seconds", type=float, default=600, help="CPU seconds of the NEIMS-like network's training")
    parser.add_argument("--work", type=Path, help="folder that keeps the NEIMS-like network")
    parser.add_argument("--only-baseline", action="store_true", help="train the NEIMS-like network and stop")
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset.open(given.dataset)
    known = examples(dataset, "train")
    neims = baseline(known, given.seconds, given.work)
    if given.only_baseline:
        return
    model = loaded(given.model)
    some = cases(examples(dataset, given.fold))
    predictors: dict[str, Predict] = {
        "precursor alone": each(precursor_alone),
        "nearest analogue": each(Analogue(known)),
        "NEIMS-like network": each(neims.predict),
        "forward model": lambda one, settings: model.spectra([one], [settings])[0],
    }
    compounds = np.array([case.compound for case in some])
    found: dict[str, Any] = {"fold": given.fold, "training_compounds": len(known), "methods": {}}
    fresh = list({case.structure.smiles: case.structure for case in some}.values())[:100]
    setting = Setting("[M+H]+", 20.0, "LC-ESI-QTOF")
    found["structures_a_second_of_processor_time"] = round(
        speed(lambda s: model.spectra(s, [[setting]] * len(s)), fresh), 1
    )
    for name, predict in predictors.items():
        began = time.process_time()
        predicted = [
            spectrum
            for _, mine in itertools.groupby(some, key=lambda case: case.compound)
            for compound in [list(mine)]
            for spectrum in predict(compound[0].structure, [case.setting for case in compound])
        ]
        values = scores(some, predicted)
        every = {"all": means(values, compounds)}
        every |= {group: means(values[mine], compounds[mine]) for group, mine in groups(some).items() if mine.any()}
        found["methods"][name] = every
        print(name, every["all"], round(time.process_time() - began), "s", flush=True)
    file = RESULTS / ("prediction.json" if given.fold == "test" else f"prediction-{given.fold}.json")
    file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
