"""`molvis data export` works with any writer, and `molvis predict` with any predictor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import barcode
import pytest
import torch
import toy
from torch import Tensor

from molvis_core.errors import ComponentError, ConfigError, DatasetError, ReadError
from molvis_core.records import Measurement, Structure, Value
from molvis_core.testing import offer, toy_component
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.exporting import export_file
from molvis_retrieval.importing import import_files, write
from molvis_retrieval.predicting import predict_structures, write_predictions


def write_names(path: Path, measurements: Iterable[Measurement]) -> None:
    path.write_text("".join(f"{m.modality} {m.name}\n" for m in measurements))


class Letters:
    """Predicts how many letters a SMILES has, and twice as many."""

    accepts = Structure
    predicts = "ccs"
    columns = ("one", "two")

    def __init__(self, sd: float = 1.0) -> None:
        self.sd = sd

    def collate(self, records: Sequence[Structure]) -> toy.Features:
        return toy.Features(torch.tensor([[len(r.smiles), 2.0 * len(r.smiles)] for r in records]))

    def __call__(self, batch: toy.Features) -> tuple[Tensor, Tensor]:
        return batch.values, torch.full_like(batch.values, self.sd)


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    writer = toy_component("writer", "toy-names", write_names, modality="msms", suffixes=(".names",))
    with offer(barcode.PLUGIN, writer, predictor={"toy-letters": Letters}):
        yield


def dataset(*modalities: str) -> Dataset:
    made = [barcode.measurement(s, fold=fold) for s in barcode.STRUCTURES[:3] for fold in ("train", "test")]
    if "ccs" in modalities:
        made += [Measurement(Value(150.0), barcode.STRUCTURES[0], "ccs", fold="train")]
    write(made, "data")
    return Dataset.open("data")


def test_a_third_partys_writer_is_found_by_the_ending_of_the_file() -> None:
    report = export_file(dataset(), "a.names", fold="test")
    assert (report.modality, report.writer, report.measurements) == ("msms", "toy-names", 3)
    assert Path("a.names").read_text().splitlines() == [f"msms {s.smiles}" for s in barcode.STRUCTURES[:3]]


def test_what_is_exported_is_imported_again() -> None:
    report = export_file(dataset(), "a.mgf")
    assert import_files([report.path], "again").imported == {"msms": 6}


def test_a_file_is_converted_by_whichever_reader_and_writer_claim_it() -> None:
    export_file(dataset(), "a.mgf", fold="test")
    report = export_file("a.mgf", "a.names")
    assert (report.modality, report.writer, report.measurements) == ("msms", "toy-names", 3)
    assert Path("a.names").read_text().startswith("msms ")
    with pytest.raises(DatasetError, match="a file has no folds; import it"):
        export_file("a.mgf", "b.names", fold="test")
    with pytest.raises(ReadError, match="no such file"):
        export_file("b.mgf", "b.names")


def test_an_export_that_cannot_be_says_what_there_is() -> None:
    both = dataset("msms", "ccs")
    with pytest.raises(DatasetError, match="it holds ccs, msms; name one of them with --modality"):
        export_file(both, "a.names")
    with pytest.raises(DatasetError, match="no modality 'msm'. Did you mean 'msms'"):
        export_file(both, "a.names", modality="msm")
    with pytest.raises(DatasetError, match="the writer 'toy-names' writes msms, and the measurements are ccs"):
        export_file(both, "a.names", modality="ccs", writer="toy-names")
    with pytest.raises(ComponentError, match="no writer claims this ending"):
        export_file(both, "a.unknown", modality="msms")
    with pytest.raises(DatasetError, match="msms has no fold 'tests'. Did you mean 'test'"):
        export_file(both, "a.names", modality="msms", fold="tests")


def test_a_third_partys_predictor_takes_smiles_and_files() -> None:
    Path("a.smi").write_text("CCO ethanol\nCO methanol\n")
    found = predict_structures("toy-letters", ["CCCC", "a.smi"], ["sd=0.5"], columns=["two"])
    assert [(p.structure, p.column, p.mean, p.sd) for p in found] == [
        ("CCCC", "two", 8.0, 0.5), ("ethanol", "two", 6.0, 0.5), ("methanol", "two", 4.0, 0.5),
    ]  # fmt: skip
    write_predictions(Path("a.json"), found)
    assert json.loads(Path("a.json").read_text())[0]["mean"] == 8.0
    write_predictions(Path("a.csv"), found)
    assert Path("a.csv").read_text().splitlines()[1] == "CCCC,CCCC,two,8.0,0.5"


def test_a_prediction_that_cannot_be_made_says_why() -> None:
    with pytest.raises(ComponentError, match="no predictor named 'toy-leters'. Did you mean 'toy-letters'"):
        predict_structures("toy-leters", ["C"])
    with pytest.raises(ConfigError, match="'nowhere.smi' is neither a file nor a SMILES"):
        predict_structures("toy-letters", ["nowhere.smi"])
    with pytest.raises(ConfigError, match="no value of 'tow'. Did you mean 'two'"):
        predict_structures("toy-letters", ["C"], columns=["tow"])
    Path("a.ccs.csv").write_text("smiles,adduct,ccs\n,[M+H]+,150\n")
    with pytest.raises(ReadError):
        predict_structures("toy-letters", ["a.ccs.csv"])
