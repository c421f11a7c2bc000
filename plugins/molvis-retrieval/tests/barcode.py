"""A bundle that knows its answers: a structure's vector is drawn from its name, and a spectrum spells a vector."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from toy import Features

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.plugins import Component, Plugin
from molvis_core.records import Measurement, PeakList, Structure
from molvis_retrieval.bundle import Bundle, Calibration, save_bundle
from molvis_retrieval.config import parse_config
from molvis_retrieval.index import Index, build_index
from molvis_retrieval.library import Library

DIM = 16
BUTANOLS = ("CCCCO", "CCC(C)O", "CC(C)CO", "CC(C)(C)O", "CCOCC", "COCCC", "COC(C)C")
PENTANOLS = (
    "CCCCCO", "CCCC(C)O", "CCC(O)CC", "CCC(C)CO", "CC(C)CCO", "CC(C)C(C)O", "CCC(C)(C)O", "CC(C)(C)CO", "COCCCC",
    "CCOCCC", "COCC(C)C", "COC(C)CC", "COC(C)(C)C", "CCOC(C)C",
)  # fmt: skip
OTHERS = ("CCO", "c1ccccc1", "CC(=O)O", "OCCO", "CCN")
STRUCTURES = tuple(structure(s) for s in (*BUTANOLS, *PENTANOLS, *OTHERS))


def code(one: Structure) -> np.ndarray:
    """The vector of a structure, before it is normalized."""
    return np.random.default_rng(zlib.crc32(one.inchikey14.encode())).random(DIM)


class Spelled(nn.Module):
    """Reads the vector off the intensities at m/z 10, 11, ..."""

    accepts = PeakList
    dim = DIM

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(1))

    def collate(self, records: Sequence[PeakList]) -> Features:
        rows = torch.zeros(len(records), DIM)
        for row, record in zip(rows, records, strict=True):
            row[torch.from_numpy((record.mz.astype(int) - 10) % DIM)] = torch.from_numpy(record.intensity.copy())
        return Features(rows)

    def forward(self, batch: Features) -> Tensor:
        return nn.functional.normalize(batch.values * self.one, dim=-1)


class Drawn(nn.Module):
    """A structure's own vector, or one and the same for all."""

    accepts = Structure
    dim = DIM

    def __init__(self, same: bool = False) -> None:
        super().__init__()
        self.same = same
        self.register_buffer("one", torch.ones(1))

    def collate(self, records: Sequence[Structure]) -> Features:
        rows = [np.ones(DIM) if self.same else code(r) for r in records]
        return Features(torch.from_numpy(np.array(rows, dtype=np.float32).reshape(-1, DIM)))

    def forward(self, batch: Features) -> Tensor:
        return nn.functional.normalize(batch.values * self.one, dim=-1)


class Explanation:
    """What `explain` says of a peak."""

    def __init__(self, peak: int) -> None:
        self.peak, self.formula, self.smiles, self.ppm = peak, "C2H5O+", "C[CH]O", 1.25


class Favours:
    """Scores one structure higher than all others; a second column says nothing."""

    accepts = PeakList
    features = ("liked", "idle")

    def __init__(self, smiles: str = "", value: float = 1.0) -> None:
        self.smiles, self.value = smiles, value

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> np.ndarray:
        return np.array([[self.value if c.smiles == self.smiles else 0.0, 1.0] for c in candidates]).reshape(-1, 2)

    def explain(self, query: PeakList, candidate: Structure) -> list[Explanation]:
        return [Explanation(0), Explanation(3)]


def read_codes(path: Path) -> Iterable[Measurement]:
    """One SMILES a line; what is none is a bad record. `CCO [M+Na]+?` is an ion of that adduct that does not say so."""
    from molvis_core.errors import MolvisError, ReadError

    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            smiles, _, ion = text.partition(" ")
            found = measurement(structure(smiles), adduct=None if ion else "[M+H]+")
            mz = ion_mz(structure(smiles).exact_mass, ion.removesuffix("?") or "[M+H]+")
            yield dataclasses.replace(found, record=dataclasses.replace(found.record, precursor_mz=mz))
        except MolvisError as error:
            yield ReadError(path, str(error), line=line, record=text)  # type: ignore[misc]


PLUGIN = Plugin(
    "barcode",
    "molvis-barcode",
    "1.0",
    "barcode",
    (
        Component("encoder", "spelled", "barcode:Spelled", "Peaks."),
        Component("encoder", "drawn", "barcode:Drawn", "Structures."),
        Component("loss", "barcode-softmax", "toy:Softmax", "Softmax."),
        Component("scorer", "favours", "barcode:Favours", "Likes one structure."),
        Component("reader", "codes", "barcode:read_codes", "SMILES.", modality="msms", suffixes=(".codes",)),
    ),
)


def measurement(
    one: Structure,
    *,
    noise: float = 0.0,
    seed: int = 0,
    adduct: str | None = "[M+H]+",
    fold: str = "test",
    named: bool = True,
    known: bool = True,
) -> Measurement:
    """A spectrum that spells the structure's vector, with noise if asked for."""
    drawn = np.random.default_rng([seed, zlib.crc32(one.inchikey14.encode())]).random(DIM)
    record = PeakList(
        mz=10.0 + np.arange(DIM),
        intensity=(1 - noise) * code(one) + noise * drawn,
        precursor_mz=ion_mz(one.exact_mass, adduct or "[M+H]+"),
        adduct=adduct,
        ionmode="negative" if adduct and adduct.endswith("-") else "positive",
        instrument_type="LC-ESI-QTOF",
        collision_energy=20.0,
    )
    return Measurement(record, one if known else None, "msms", fold=fold, name=one.smiles if named else None)


def make_bundle(
    folder: Path,
    *,
    same: bool = False,
    scorer: str = "",
    calibration: Calibration | None = None,
    name: str = "barcode",
    cosines: bool = True,
) -> Bundle:
    """The bundle on disk. `scorer` is a TOML inline table."""
    text = f"""
name = "{name}"
encoders.msms.use = "spelled"
encoders.structure = {{ use = "drawn", same = {str(same).lower()} }}
{f"scorers.liking = {scorer}" if scorer else ""}
[data]
path = "somewhere"
[[pairs]]
query = "msms"
reference = "structure"
loss = "barcode-softmax"
[evidence]
cosines = {str(cosines).lower()}
"""
    states = {"msms": Spelled().state_dict(), "structure": Drawn().state_dict()}
    return save_bundle(folder, parse_config(text), states, calibration=calibration, metadata={"name": name})


def make_index(bundle: Bundle, folder: Path, structures: Sequence[Structure] = STRUCTURES) -> Index:
    """An index of the structures."""
    return build_index(bundle, Library.from_structures(structures), folder)


BUTANOL = STRUCTURES[0]


def changed(**fields: Any) -> Any:
    """A good query with something of its record replaced."""
    good = measurement(BUTANOL)
    return dataclasses.replace(good, name="bad", record=dataclasses.replace(good.record, **fields))
