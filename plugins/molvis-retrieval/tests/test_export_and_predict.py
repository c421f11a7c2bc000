"""`molvis data export` works with any writer, and `molvis predict` with any predictor, of numbers or of records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import barcode
import pytest
import torch
import toy
from torch import Tensor

from molvis_core import output
from molvis_core.errors import ComponentError, ConfigError, DatasetError, ReadError
from molvis_core.records import Measurement, PeakList, Structure, Value
from molvis_core.testing import offer, toy_component
from molvis_retrieval.commands.predict import predict
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.exporting import export_file
from molvis_retrieval.importing import import_files, write
from molvis_retrieval.predicting import (
    build_predictor,
    predict_records,
    predict_structures,
    summary,
    write_predictions,
    write_records,
)


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
    with offer(barcode.PLUGIN, toy.PLUGIN, writer, predictor={"toy-letters": Letters}):
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
    pytest.importorskip("molvis_msms", reason="MGF is read and written by molvis-msms")
    report = export_file(dataset(), "a.mgf")
    assert import_files([report.path], "again").imported == {"msms": 6}


def test_a_file_is_converted_by_whichever_reader_and_writer_claim_it() -> None:
    pytest.importorskip("molvis_msms", reason="MGF is read and written by molvis-msms")
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
    Path("a.structures").write_text("CCO ethanol\nCO methanol\n")
    found = predict_structures("toy-letters", ["CCCC", "a.structures"], ["sd=0.5"], columns=["two"])
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


def test_a_file_whose_measurements_have_no_structure_cannot_be_predicted_for() -> None:
    pytest.importorskip("molvis_ccs", reason="tables of cross sections are read by molvis-ccs")
    Path("a.ccs.csv").write_text("smiles,adduct,ccs\n,[M+H]+,150\n")
    with pytest.raises(ReadError):
        predict_structures("toy-letters", ["a.ccs.csv"])


def test_an_option_that_the_predictor_does_not_take_is_called_by_its_own_name() -> None:
    with pytest.raises(ConfigError) as caught:
        predict("toy-letters", ["C"], adduct="[M+H]+")
    assert str(caught.value) == (
        "--adduct: predictor 'toy-letters' has no argument 'adduct'. It takes: sd. Values that it predicts are chosen "
        "with --column."
    )


class Spectra:
    """Predicts the precursor, at each of the energies that it is made with."""

    accepts = Structure
    predicts = "msms"

    def __init__(self, energy: str | float = "20", adduct: str = "[M+H]+") -> None:
        self.energies, self.adduct = [float(one) for one in str(energy).split(",")], adduct

    def records(self, structures: Sequence[Structure]) -> list[list[PeakList]]:
        return [
            [PeakList([s.exact_mass], [1.0], s.exact_mass, self.adduct, collision_energy=e) for e in self.energies]
            for s in structures
        ]


def test_a_predictor_of_spectra_writes_them_with_whichever_writer_claims_the_file() -> None:
    pytest.importorskip("molvis_msms", reason="MGF is read and written by molvis-msms")
    Path("a.structures").write_text("CCO ethanol\nCO methanol\n")
    with offer(predictor={"toy-spectra": Spectra}):
        made = build_predictor("toy-spectra", ["energy=10,40"])
        found = predict_records(made, ["a.structures"])
        write_records(Path("a.mgf"), found)
        with pytest.raises(ConfigError, match="gives records of modality 'msms', not numbers"):
            predict_structures("toy-spectra", ["C"])
    assert [(m.name, m.record.collision_energy) for m in found] == [
        ("ethanol", 10.0), ("ethanol", 40.0), ("methanol", 10.0), ("methanol", 40.0),
    ]  # fmt: skip
    assert import_files(["a.mgf"], "again").imported == {"msms": 4}
    row = summary(found[0])
    assert (row["structure"], row["collision_energy"], row["highest peaks"]) == ("ethanol", 10.0, "46.0419 (100%)")


def test_the_command_hands_adduct_and_energy_on(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("molvis_msms", reason="MSP is written and read by molvis-msms")
    with offer(predictor={"toy-spectra": Spectra}):
        predict("toy-spectra", ["CCO"], adduct="[M+Na]+", energy="10,40", out=Path("a.msp"))
        assert "[M+Na]+" in capsys.readouterr().out
        with output.asked(json=True):
            predict("toy-spectra", ["CCO"])
        assert json.loads(capsys.readouterr().out)[0]["peaks"] == [[46.04186, 1.0]]
        with pytest.raises(ConfigError, match="instrument"):
            predict("toy-spectra", ["CCO"], instrument="QTOF")
        with pytest.raises(ConfigError, match="no columns"):
            predict("toy-spectra", ["CCO"], columns=["one"])
        predict("toy-spectra", ["CCO"], energy="20", report=Path("a.html"), measured=Path("a.msp"))
    assert Path("a.msp").read_text().count("Num Peaks: 1") == 2
    page = Path("a.html").read_text()
    assert page.count("<svg") == 2
    assert "not measured" in page  # the measured spectrum is of the sodium adduct
    with pytest.raises(ConfigError, match="gives numbers, and the page is of spectra"):
        predict("toy-letters", ["CCO"], report=Path("a.html"))
