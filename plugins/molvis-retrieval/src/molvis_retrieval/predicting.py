"""Predictions for structures from files or from the command line, whatever the predictor."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError, ReadError, StructureError, WriteError, did_you_mean
from molvis_core.interfaces import NamesColumns, PredictsRecords
from molvis_core.progress import Progress
from molvis_core.records import EiSpectrum, Measurement, PeakList, ShiftList, Structure
from molvis_core.text import in_cells
from molvis_files.measurements import parse_settings, read_measurements
from molvis_files.writing import write_text

__all__ = [
    "Prediction", "build_predictor", "predict_records", "predict_structures", "summary", "write_predictions",
    "write_records",
]  # fmt: skip

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Prediction:
    """One value for one structure.

    Attributes:
        structure: its name, or its SMILES.
        smiles: of the structure; empty for a record of another type.
        column: what the value is of, such as an adduct; empty where a predictor has one value without a name.
        mean: predicted.
        sd: its standard deviation.
    """

    structure: str
    smiles: str
    column: str
    mean: float
    sd: float


def predict_structures(
    name: str,
    structures: Sequence[str | Structure],
    settings: Sequence[str] = (),
    *,
    columns: Sequence[str] = (),
    progress: Progress | None = None,
) -> tuple[Prediction, ...]:
    """Predictions of every value for every structure, in their order.

    Args:
        name: of the predictor, which gives numbers.
        structures: files, or SMILES; or structures.
        settings: arguments of the predictor, as `molvis_files.measurements.parse_settings` reads them.
        columns: only these of the predictor's values.
        progress: called with the number of structures that are done and the number in all.

    Raises:
        ConfigError: an argument or a column that the predictor does not have, or text that is no file and no SMILES.
        molvis_core.errors.ReadError: a file cannot be read.
        molvis_core.errors.ComponentError: no such predictor, or no reader of a file.
    """
    import torch

    made = build_predictor(name, settings)
    if isinstance(made, PredictsRecords):
        raise ConfigError(f"predictor {name!r} gives records of modality {made.predicts!r}, not numbers")
    named = [one for text in structures for one in _records(text, made.accepts)]
    model: Any = made.eval() if isinstance(made, torch.nn.Module) else made
    out: list[Prediction] = []
    for start in range(0, len(named), _BATCH):
        some = named[start : start + _BATCH]
        with torch.no_grad():
            mean, sd = (part.float().cpu().numpy() for part in model(model.collate([record for _, record in some])))
        chosen = _columns(name, made, mean.shape[1], columns)
        for row, (label, record) in enumerate(some):
            smiles = getattr(record, "smiles", "")
            out += [Prediction(label, smiles, text, float(mean[row, i]), float(sd[row, i])) for i, text in chosen]
        if progress:
            progress(min(start + _BATCH, len(named)), len(named))
    return tuple(out)


def predictor_named(name: str) -> str:
    """The name of a predictor: as it is, or that of the only one of a modality of this name."""
    offered = registry.components("predictor")
    own = [one.name for one in offered if one.modality == name]
    return own[0] if len(own) == 1 and name not in {one.name for one in offered} else name


def build_predictor(name: str, settings: Sequence[str] = ()) -> Any:
    """A predictor with its arguments.

    Args:
        name: of the predictor, or a modality that one predictor alone predicts.
        settings: its arguments, as `molvis_files.measurements.parse_settings` reads them.

    Raises:
        ConfigError: an argument that the predictor does not have.
        molvis_core.errors.ComponentError: no such predictor.
    """
    name = predictor_named(name)
    registry.component("predictor", name)
    return registry.build("predictor", {"use": name, **parse_settings(settings)}, where="--set")


def predict_records(
    predictor: PredictsRecords, structures: Sequence[str | Structure], *, progress: Progress | None = None
) -> tuple[Measurement, ...]:
    """Predicted records of every structure under every setting, as measurements with their structures.

    Args:
        predictor: that `build_predictor` made, and that gives records.
        structures: files, or SMILES; or structures.
        progress: called with the number of structures that are done and the number in all.

    Raises:
        ConfigError: text that is no file and no SMILES.
        molvis_core.errors.ReadError: a file cannot be read.
    """
    named = [one for text in structures for one in _records(text, predictor.accepts)]
    out: list[Measurement] = []
    for start in range(0, len(named), _BATCH):
        some = named[start : start + _BATCH]
        for (label, record), made in zip(some, predictor.records([record for _, record in some]), strict=True):
            known = record if isinstance(record, Structure) else None
            out += [Measurement(one, known, predictor.predicts, name=label, source="predicted") for one in made]
        if progress:
            progress(min(start + _BATCH, len(named)), len(named))
    return tuple(out)


_HIGHEST = 5


def summary(found: Measurement) -> dict[str, Any]:
    """A predicted record as plain values, for a table or for JSON: what it is of, its peaks or its shifts."""
    record = found.record
    row: dict[str, Any] = {
        "structure": found.name, "smiles": found.structure.smiles if found.structure else None,
    }  # fmt: skip
    for name in (one.name for one in fields(record)):
        value = getattr(record, name)
        if isinstance(value, str | float | int):
            row[name] = round(value, 6) if isinstance(value, float) else value
    if isinstance(record, PeakList | EiSpectrum):
        peaks = list(zip(record.mz.round(5).tolist(), record.intensity.tolist(), strict=True))
        highest = sorted(peaks, key=lambda peak: -peak[1])[:_HIGHEST]
        row["highest peaks"] = ", ".join(f"{mz:.4f} ({100 * height:.0f}%)" for mz, height in highest)
        row["peaks"] = [[mz, round(height, 5)] for mz, height in peaks]
    if isinstance(record, ShiftList):
        row["shifts"] = ", ".join(f"{shift:g}" for shift in record.shifts.round(3).tolist())
        row["atoms"] = list(record.atoms)
    return row


def write_records(path: Path, found: Sequence[Measurement]) -> None:
    """Predicted records by the writer that claims the path's ending.

    Raises:
        molvis_core.errors.ComponentError: no writer of their modality claims the ending.
        WriteError: the file cannot be written.
    """
    modality = found[0].modality if found else None
    registry.load("writer", registry.for_suffix("writer", path, modality=modality).name)(path, found)


def _records(text: str | Structure, accepts: type[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(text, Structure):
        yield text.name or text.smiles, text
        return
    if Path(text).is_file():
        reader = registry.for_suffix("reader", text, remedy="Convert it to a format that one of them alone reads.")
        for found in read_measurements(text, reader=reader.name):
            record = found.record if isinstance(found.record, accepts) else found.structure
            if not isinstance(record, accepts):
                raise ReadError(
                    text, f"a {type(found.record).__name__} is in it; {accepts.__name__}s are predicted for"
                )
            yield found.name or getattr(record, "name", None) or getattr(record, "smiles", text), record
        return
    try:
        yield text, structure(text)
    except StructureError as error:
        raise ConfigError(f"{text!r} is neither a file nor a SMILES: {error}") from error


def _columns(name: str, predictor: Any, count: int, wanted: Sequence[str]) -> list[tuple[int, str]]:
    usual = [""] if count == 1 else [str(number) for number in range(1, count + 1)]
    known = list(predictor.columns) if isinstance(predictor, NamesColumns) else usual
    for one in wanted:
        if one not in known:
            raise ConfigError(
                f"predictor {name!r} has no value of {one!r}.{did_you_mean(one, known)} It has: {', '.join(known)}."
            )
    return [(i, text) for i, text in enumerate(known) if not wanted or text in wanted]


def write_predictions(path: Path, found: Sequence[Prediction]) -> None:
    """Predictions as CSV or JSON, by the path's ending.

    Raises:
        WriteError: another ending, or the file cannot be written.
    """
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps([asdict(one) for one in found], indent=2) + "\n")
        return
    if path.suffix.lower() != ".csv":
        raise WriteError(f"{path}: predictions are written as .csv or .json, got {path.suffix or 'no ending'!r}")
    text = io.StringIO(newline="")
    table, names = csv.writer(text), [f.name for f in fields(Prediction)]
    table.writerow(names)
    table.writerows(in_cells(getattr(one, name) for name in names) for one in found)
    write_text(path, text.getvalue())
