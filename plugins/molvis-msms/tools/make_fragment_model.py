"""Makes `molvis_msms/explanation/fragments.safetensors` from open MassBank and its annotated peaks.

    python make_fragment_model.py DATA OUT [--annotated 8] [--others 2] [--seed 1] [--network FILE] [--forward FOLDER]

DATA holds `msms/massbank_open.parquet`, `msms/msms_annotations.parquet` and `structures.parquet`. Learned on the
training fold, a few spectra of each compound; the epoch is chosen by the validation fold. Each spectrum gets as many
peaks of other compounds, half of them near in mass; of a third of the spectra only some peaks are taken. How much the
forward model's probabilities count is learned on the validation fold, which that model did not learn from: on
annotated spectra with foreign peaks, and on structures of equal mass that are to be told apart. Two minutes on one
core, and half a minute where the network is there. The network that is shipped learned from matches within 10 ppm, its
errors taken to be 0.3 tolerances wide; what was learned after it, from matches within 15 ppm.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.errors import ReadError
from molvis_core.records import Measurement, Structure
from molvis_msms.explanation.assignment import look
from molvis_msms.explanation.learning import Example, learn, make_example, with_foreign
from molvis_msms.explanation.model import FragmentModel, load_model
from molvis_msms.explanation.weighing import Contrast, Judged, judge, roots_below, weigh
from molvis_msms.forward.model import ForwardModel
from molvis_msms.forward.predictor import loaded
from molvis_msms.readers.parquet import read_parquet

Formulas = Mapping[str, Mapping[float, str]]


def formulas_of(data: Path) -> Formulas:
    """Formulas of the ions of one charge by m/z, by the identifier of the spectrum."""
    columns = ["identifier", "mzs", "formulas", "charges"]
    table = pq.read_table(data / "msms" / "msms_annotations.parquet", columns=columns)
    return {
        row["identifier"]: {
            float(mz): formula
            for mz, formula, charge in zip(row["mzs"], row["formulas"], row["charges"], strict=True)
            if formula and charge is not None and abs(charge) == 1
        }
        for row in table.to_pylist()
    }


def spectra_of(data: Path) -> dict[str, list[Measurement]]:
    """Spectra of known compounds of one part, by fold."""
    out: dict[str, list[Measurement]] = {"train": [], "val": []}
    for item in read_parquet(data / "msms" / "massbank_open.parquet"):
        if not isinstance(item, ReadError) and item.fold in out and item.structure and "." not in item.structure.smiles:
            out[item.fold].append(item)
    return out


def choose(items: Sequence[Measurement], count: int, rng: np.random.Generator) -> list[Measurement]:
    """Up to so many spectra of each compound."""
    by: dict[str, list[Measurement]] = {}
    for item in items:
        by.setdefault(item.structure.inchikey14 if item.structure else "", []).append(item)
    return [group[int(i)] for _, group in sorted(by.items()) for i in rng.permutation(len(group))[:count]]


def examples_of(
    items: Sequence[Measurement], formulas: Formulas, annotated: int, others: int, seed: int
) -> list[Example]:
    """Examples of the spectra whose peaks are annotated, and of some that are not."""
    rng = np.random.default_rng(seed)
    known = [i for i in items if i.record.identifier in formulas]
    unknown = [i for i in items if i.record.identifier not in formulas]
    modes = {m: [i for i in items if i.record.ionmode == m] for m in ("positive", "negative")}
    masses = {m: np.array([i.structure.exact_mass for i in some if i.structure]) for m, some in modes.items()}
    out: list[Example] = []
    for item in [*choose(known, annotated, rng), *choose(unknown, others, rng)]:
        truth, record = item.structure, item.record
        assert truth is not None
        if rng.random() < 1 / 3:
            kept = np.sort(rng.permutation(len(record))[: max(1, int(len(record) * rng.random()))])
            record = replace(record, mz=record.mz[kept], intensity=record.intensity[kept])
        pool, mass = modes[record.ionmode], masses[record.ionmode]
        near = rng.permutation(np.flatnonzero(np.abs(mass - truth.exact_mass) < 8))[:3].tolist()
        drawn = [pool[int(i)] for i in [*near, *rng.integers(0, len(pool), 3).tolist()]]
        strangers = [d.record for d in drawn if d.structure and d.structure.inchikey14 != truth.inchikey14]
        both, foreign = with_foreign(record, strangers, max(len(record), 3), rng)
        weight = float(1 / np.sqrt(len(both)))
        out.append(make_example(both, truth, formulas.get(item.record.identifier, {}), foreign, weight=weight))
    return out


WRONG = 5
"""Structures of equal mass beside each right one."""


def weighed(
    model: FragmentModel, forward: ForwardModel, items: Sequence[Measurement], formulas: Formulas, data: Path
) -> FragmentModel:
    """The model with the forward model's probabilities, learned on one annotated spectrum of each compound."""
    rng = np.random.default_rng(1)
    known = choose([i for i in items if i.record.identifier in formulas], 1, rng)
    table = pq.read_table(data / "structures.parquet", columns=["smiles", "inchikey14", "exact_mass"])
    mass = table["exact_mass"].to_numpy()
    order = np.argsort(mass, kind="stable")
    mass, smiles, keys = mass[order], table["smiles"].take(order), table["inchikey14"].take(order)
    modes = {m: [i for i in items if i.record.ionmode == m] for m in ("positive", "negative")}
    judged: list[Judged] = []
    contrasts: list[Contrast] = []
    for item in known:
        truth, record = item.structure, item.record
        assert truth is not None
        drawn = [modes[record.ionmode][int(i)] for i in rng.integers(0, len(modes[record.ionmode]), 6)]
        strangers = [d.record for d in drawn if d.structure and d.structure.inchikey14 != truth.inchikey14]
        both, foreign = with_foreign(record, strangers, len(record), rng)
        seen = look(both, truth, model=model, forward=forward)
        judged.append(judge(seen, both, formulas[record.identifier or ""], foreign))
        wanted = neutral_mass(record.precursor_mz or 0.0, record.adduct or "")
        low, high = np.searchsorted(mass, [wanted * (1 - 1e-5), wanted * (1 + 1e-5)])
        near = rng.permutation(np.arange(low, high))[: 3 * WRONG].tolist()
        wrong = [
            Structure(smiles[i].as_py(), keys[i].as_py(), "", float(mass[i]))
            for i in near
            if keys[i].as_py() != truth.inchikey14 and "." not in smiles[i].as_py()
        ][:WRONG]
        roots = roots_below(record)
        if wrong and roots.any():
            every = [look(record, one, model=model, forward=forward) for one in (truth, *wrong)]
            contrasts.append(Contrast(roots, every))
    print(len(judged), "spectra with known peaks,", len(contrasts), "with wrong structures", flush=True)
    return weigh(model, judged, contrasts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--annotated", type=int, default=8, help="annotated spectra of a compound")
    parser.add_argument("--others", type=int, default=2, help="other spectra of a compound")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--network", type=Path, help="weights whose network is kept; only the rest is learned")
    parser.add_argument("--forward", default="", help="folder of a forward model; the shipped one, if none is named")
    given = parser.parse_args()
    torch.set_num_threads(1)
    formulas, items = formulas_of(given.data), spectra_of(given.data)
    if given.network:
        model = load_model(given.network)
    else:
        training = examples_of(items["train"], formulas, given.annotated, given.others, given.seed)
        validation = examples_of(items["val"], formulas, 4, 1, given.seed + 1)
        print(len(training), "training spectra,", len(validation), "validation spectra", flush=True)
        model, losses = learn(training, validation, seed=given.seed)
        print("validation loss by epoch", [round(loss, 4) for loss in losses])
        model.save(given.out)
    weighed(model, loaded(given.forward), items["val"], formulas, given.data).save(given.out)


if __name__ == "__main__":
    main()
