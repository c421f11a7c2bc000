"""Datasets on disk: whole or not at all, and what was put in comes out."""

from __future__ import annotations

import csv
import errno
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ComponentError, DatasetError, LeftOutError, ReadError
from molvis_core.modality import Modality
from molvis_core.plugins import Component
from molvis_core.records import Distribution, Measurement, PeakList, Record, Structure, Trace, Value
from molvis_core.testing import offer, toy_component
from molvis_retrieval import importing
from molvis_retrieval.dataset import Dataset, describe
from molvis_retrieval.importing import import_files, write
from molvis_retrieval.splitting import split


def spectrum(smiles: str | None = "CCO", **origin: Any) -> Measurement:
    known = structure(smiles) if smiles else None
    record = PeakList(
        np.array([29.0391234567, 46.0]),
        np.array([1.0, 0.25]),
        47.0491,
        "[M+H]+",
        1,
        "positive",
        20.0,
        "LC-ESI-QTOF",
        2,
        "x",
    )
    return Measurement(record, known, "msms", **origin)


def read_good(path: Path) -> Iterator[Measurement | ReadError]:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line == "stop":
            raise KeyboardInterrupt
        yield ReadError(path, "not a structure", line=number, record=line) if line == "bad" else spectrum(line)


def reading(
    read: Callable[[Path], Iterator[Measurement | ReadError]], name: str = "toy", modality: str = "msms"
) -> Component:
    """A reader of files whose names end in `.toy`."""
    return toy_component("reader", name, read, modality=modality, suffixes=(".toy",))


@pytest.fixture(scope="module", autouse=True)
def reader() -> Iterator[None]:
    with offer(reading(read_good), hide="*"):
        yield


def file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "a.toy"
    path.write_text("\n".join(lines))
    return path


RECORDS: list[Record] = [
    PeakList(np.array([50.00000001, 60.0]), np.array([0.5, 1.0])),
    PeakList(np.empty(0), np.empty(0), 100.5, "[M-H]-", -1, "negative", 35.5, "X", 3, "id"),
    Trace(np.array([1.0, 2.0, 4.0]), np.array([0.1, -0.2, 0.3]), 600.13, "t"),
    Value(145.2, 0.3, 181.07, "[M+H]+", 1, "N2", "DT", "v"),
    Distribution(np.array([0.7, 0.3]), np.array([0.01, 0.02]), "Glu"),
    Distribution(np.array([1.0]), None, None),
    structure("OC[C@H](O)C=O"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_every_record_comes_back_as_it_was(record: Record, tmp_path: Path) -> None:
    known = record if isinstance(record, Structure) else structure("C[N+](C)(C)CCO", name="choline")
    item = Measurement(record, known, "any", "train", 7, known.name, "s", "CC0", "c", "a")
    write([item], tmp_path / "d")
    found = Dataset.open(tmp_path / "d").measurement("any", 0)
    for name in record.__dataclass_fields__:
        before, after = getattr(record, name), getattr(found.record, name)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(before, after)
        else:
            assert before == after
    assert found.structure == known
    assert (found.fold, found.cluster, found.licence, found.authors) == ("train", 7, "CC0", "a")


def test_a_bad_record_is_counted_skipped_and_listed(tmp_path: Path) -> None:
    report = import_files([file(tmp_path, "CCO", "bad", "CCN")], tmp_path / "d")
    assert (report.imported, report.skipped) == ({"msms": 2}, 1)
    assert report.problems == (f"{tmp_path / 'a.toy'}:2: record bad: not a structure",)
    with (tmp_path / "d" / "problems.csv").open() as content:
        rows = list(csv.DictReader(content))
    assert rows == [{"file": str(tmp_path / "a.toy"), "line": "2", "record": "bad", "reason": "not a structure"}]


def test_what_is_left_out_is_counted_by_its_reason(tmp_path: Path) -> None:
    reasons = [
        "no peaks",
        "charge 3 is odd",
        "charge -14 is odd",
        "SMILES 'CC' is odd",
        "SMILES 'C' is odd",
        "no peaks",
    ]

    def read(path: Path) -> Iterator[Measurement | ReadError]:
        yield spectrum()
        yield from (ReadError(path, reason) for reason in [*reasons, "no peaks", "alone at 7"])
        yield LeftOutError(path, "of low resolution")

    with offer(reading(read), hide="*"):
        report = import_files([file(tmp_path)], tmp_path / "d")
    counted = {"no peaks": 3, "charge N is odd": 2, "SMILES ... is odd": 2, "alone at 7": 1, "of low resolution": 1}
    assert (report.reasons, next(iter(report.reasons)), report.skipped) == (counted, "no peaks", 9)


def test_strict_does_not_stop_at_what_is_left_out_by_rule(tmp_path: Path) -> None:
    def read(path: Path) -> Iterator[Measurement | ReadError]:
        yield LeftOutError(path, "of low resolution")
        yield spectrum()

    with offer(reading(read), hide="*"):
        assert import_files([file(tmp_path)], tmp_path / "d", strict=True).skipped == 1


def test_a_table_that_may_hold_measurements_or_structures_is_read_as_measurements(tmp_path: Path) -> None:
    asked: list[str] = []

    def measured(path: Path) -> Iterator[Measurement | ReadError]:
        asked.append("msms")
        return read_good(path)

    def listed(path: Path) -> Iterator[Measurement | ReadError]:
        asked.append("structure")
        return read_good(path)

    with offer(reading(measured), reading(listed, "toy-table", "structure"), hide="*"):
        import_files([file(tmp_path, "CCO")], tmp_path / "a")
        import_files([file(tmp_path, "CCO")], tmp_path / "b", modality="structure")
    assert asked == ["msms", "structure"]


def test_what_is_not_measured_is_refused_with_the_commands_that_take_it(tmp_path: Path) -> None:
    network = file(tmp_path, "CCO")
    own = replace(reading(read_good, "toy-network", "toy-study"), distribution="molvis-toy")
    made = toy_component("command", "toy-solve", print)
    study = Modality("toy-study", Value, measured=False)
    offered = [own, toy_component("modality", "toy-study", study), replace(made, distribution="molvis-toy")]
    why = r"a\.toy: the reader 'toy-network' .* gives toy-study, which is not measured; molvis toy --help lists"
    with offer(*offered, hide="*"):
        for chosen in ({}, {"modality": "toy-study"}, {"reader": "toy-network"}):
            with pytest.raises(ReadError, match=why):
                import_files([network], tmp_path / "d", **chosen)
    structures = pytest.raises(ReadError, match="gives structure, which is not measured; molvis library build takes")
    with offer(reading(read_good, "toy-list", "structure"), hide="*"), structures:
        import_files([network], tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_a_record_that_no_table_holds_is_refused_by_its_field(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Nested:
        parts: tuple[object, ...]

    odd = Measurement(Nested(()), None, "toy")
    with pytest.raises(DatasetError, match=r"Nested\.parts is tuple.*a dataset holds records of arrays"):
        write([odd], tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_strict_stops_at_the_first_bad_record_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"a\.toy:2: record bad"):
        import_files([file(tmp_path, "CCO", "bad")], tmp_path / "d", strict=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.toy"]


def test_an_interrupted_import_leaves_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        import_files([file(tmp_path, "CCO", "stop")], tmp_path / "d")
    assert [p.name for p in tmp_path.iterdir()] == ["a.toy"]


def test_a_dataset_is_not_overwritten_but_can_be_added_to(tmp_path: Path) -> None:
    import_files([file(tmp_path, "CCO")], tmp_path / "d")
    with pytest.raises(DatasetError, match="exists. Choose another folder, add to it with --append"):
        import_files([file(tmp_path, "CCN")], tmp_path / "d")
    import_files([file(tmp_path, "CCN")], tmp_path / "d", append=True)
    dataset = Dataset.open(tmp_path / "d")
    assert [dataset.structure("msms", i).smiles for i in range(2)] == ["CCO", "CCN"]


def test_nothing_to_import_is_told_with_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"1 records read, 1 refused\. The first: .*not a structure"):
        import_files([file(tmp_path, "bad")], tmp_path / "d")
    with pytest.raises(ReadError, match="no such file"):
        import_files([tmp_path / "gone.toy"], tmp_path / "d")
    with pytest.raises(DatasetError, match="name at least one"):
        import_files([], tmp_path / "d")
    (tmp_path / "a.xyz").write_text("")
    with pytest.raises(ComponentError, match=r"no reader claims this ending\. Known endings: \.toy"):
        import_files([tmp_path / "a.xyz"], tmp_path / "d")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_files([file(tmp_path, "CCO")], tmp_path / "d")

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(importing, "write_metadata", full)
    with pytest.raises(DatasetError, match="the disk is full; free some space. Nothing half-written is left"):
        import_files([file(tmp_path, "CCN")], tmp_path / "d", append=True)
    monkeypatch.undo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.toy", "d"]
    assert len(Dataset.open(tmp_path / "d").table("msms")) == 1


def test_an_unknown_has_no_structure(tmp_path: Path) -> None:
    write([spectrum(None)], tmp_path / "d")
    dataset = Dataset.open(tmp_path / "d")
    assert dataset.measurement("msms", 0).structure is None
    with pytest.raises(DatasetError, match="row 0 of msms has no structure"):
        dataset.structure("msms", 0)


def test_rows_are_chosen_by_fold_adduct_and_peaks(tmp_path: Path) -> None:
    write([spectrum(fold="train"), spectrum("CCN", fold="val"), spectrum("CCC", fold="train")], tmp_path / "d")
    dataset = Dataset.open(tmp_path / "d")
    assert dataset.rows("msms").tolist() == [0, 1, 2]
    assert dataset.rows("msms", fold="train").tolist() == [0, 2]
    assert dataset.rows("msms", adducts=("[M-H]-",)).tolist() == []
    assert dataset.rows("msms", min_peaks=3).tolist() == []
    assert dataset.rows("msms", fold="val", adducts=("[M+H]+",), min_peaks=2).tolist() == [1]
    with pytest.raises(DatasetError, match="no fold 'vall'. Did you mean 'val'"):
        dataset.rows("msms", fold="vall")
    with pytest.raises(DatasetError, match="no measurements of 'msm'. Did you mean 'msms'"):
        dataset.table("msm")
    with pytest.raises(DatasetError, match="rows 0 to 2, got 3"):
        dataset.record("msms", 3)


def test_a_dataset_travels_to_another_process(tmp_path: Path) -> None:
    write([spectrum()], tmp_path / "d")
    dataset = Dataset.open(tmp_path / "d")
    dataset.record("msms", 0)
    assert pickle.loads(pickle.dumps(dataset)).record("msms", 0).precursor_mz == 47.0491


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (
            lambda d: (d / "dataset.toml").unlink(),
            "no dataset here: dataset.toml is missing. Make one with: molvis data import",
        ),
        (lambda d: (d / "dataset.toml").write_text("format = "), "dataset.toml: damaged"),
        (lambda d: (d / "dataset.toml").write_text("format = 99"), "format 99; this molvis reads up to 2. Upgrade it"),
        (lambda d: (d / "msms.arrow").write_bytes((d / "msms.arrow").read_bytes()[:-40]), "msms.arrow: damaged"),
        (lambda d: (d / "msms.arrow").unlink(), "msms.arrow: damaged or missing"),
    ],
)
def test_a_damaged_dataset_says_what_is_wrong(damage: Any, complaint: str, tmp_path: Path) -> None:
    write([spectrum()], tmp_path / "d")
    damage(tmp_path / "d")
    with pytest.raises(DatasetError, match=complaint):
        Dataset.open(tmp_path / "d").table("msms")


SMILES = [f"{'C' * n}{tail}" for n in range(2, 12) for tail in ("O", "N", "c1ccccc1", "C(=O)O", "Cl")]


def test_a_split_by_compound_keeps_each_compound_in_one_fold(tmp_path: Path) -> None:
    write([spectrum(s) for s in SMILES for _ in range(2)], tmp_path / "d")
    dataset = split(Dataset.open(tmp_path / "d"), fractions=(0.6, 0.2, 0.2), seed=1)
    folds = dataset.table("msms")["fold"].to_pylist()
    assert folds[::2] == folds[1::2]
    assert {f: folds.count(f) for f in set(folds)} == {"train": 60, "val": 20, "test": 20}
    again = split(dataset, fractions=(0.6, 0.2, 0.2), seed=1)
    assert again.table("msms")["fold"].to_pylist() == folds
    assert split(again, seed=2).table("msms")["fold"].to_pylist() != folds


def test_the_command_says_that_folds_are_dealt_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from molvis_retrieval.commands import data

    write([spectrum(s) for s in SMILES], tmp_path / "d")
    data.split(tmp_path / "d")
    assert "dealt anew" not in " ".join(capsys.readouterr().err.split())
    data.split(tmp_path / "d")
    assert "had folds (test, train, val)" in " ".join(capsys.readouterr().err.split())


def test_a_split_by_cluster_keeps_similar_compounds_together(tmp_path: Path) -> None:
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    write([spectrum(s) for s in SMILES], tmp_path / "d")
    dataset = split(Dataset.open(tmp_path / "d"), by="cluster")
    folds = dataset.table("msms")["fold"].to_pylist()
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    bits = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in SMILES]
    for i in range(len(bits)):
        for j in range(i):
            if DataStructs.TanimotoSimilarity(bits[i], bits[j]) >= 0.6:
                assert folds[i] == folds[j]
    assert len(set(folds)) > 1


def test_shares_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    write([spectrum()], tmp_path / "d")
    with pytest.raises(DatasetError, match="three positive numbers that add up to 1"):
        split(Dataset.open(tmp_path / "d"), fractions=(0.5, 0.2, 0.2))


def test_a_description_counts_what_is_there(tmp_path: Path) -> None:
    items = [spectrum(fold="train", licence="CC0"), spectrum(fold="train"), spectrum("CCN", fold="val"), spectrum(None)]
    write(items, tmp_path / "d")
    found = describe(Dataset.open(tmp_path / "d")).modalities["msms"]
    assert (found["measurements"], found["compounds"], found["unknowns"]) == (4, 2, 1)
    assert found["fold"] == {"train": 2, "val": 1}
    assert found["fold_compounds"] == {"train": 1, "val": 1}
    assert found["adduct"] == {"[M+H]+": 4}
    assert found["licence"] == {"CC0": 1}
    assert found["points"]["50%"] == 2
    assert found["mass_range"] == pytest.approx([45.0578, 46.0419], abs=1e-3)


def test_the_digest_follows_the_data(tmp_path: Path) -> None:
    for name, smiles in (("a", "CCO"), ("b", "CCO"), ("c", "CCN")):
        write([spectrum(smiles)], tmp_path / name)
    a, b, c = (Dataset.open(tmp_path / name).digest for name in "abc")
    assert a == b != c


def test_data_are_mapped_from_disk_not_read(tmp_path: Path) -> None:
    write([spectrum() for _ in range(100)], tmp_path / "d")
    before = pa.total_allocated_bytes()
    table = Dataset.open(tmp_path / "d").table("msms")
    assert len(table) == 100
    assert pa.total_allocated_bytes() - before < 4096
