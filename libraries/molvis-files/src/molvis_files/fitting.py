"""A fit from files to files, whatever the fitter."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from molvis_core import registry
from molvis_core.errors import ConfigError, WriteError
from molvis_core.fitting import Fit
from molvis_core.interfaces import Fitter, HoldsMeasurements
from molvis_core.output import to_plain
from molvis_core.records import Measurement
from molvis_core.text import in_cells
from molvis_files.measurements import parse_settings, read_measurements
from molvis_files.writing import write_text

__all__ = ["FitSummary", "Parameter", "fit_summary", "open_fitter", "write_fit"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """An estimate.

    Attributes:
        name: path of the parameter, such as `shift/H3`.
        value: estimated.
        sd: its standard deviation.
        low, high: bounds of its interval.
        unit: such as `Hz`.
    """

    name: str
    value: float
    sd: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True, slots=True)
class FitSummary:
    """What people want to know of a fit.

    Attributes:
        parameters: estimates.
        level: probability of their intervals.
        problem: empty when the fit succeeded; else what went wrong.
    """

    parameters: tuple[Parameter, ...]
    level: float
    problem: str


def open_fitter(
    name: str, files: Sequence[Path], settings: Sequence[str], *, modality: str | None = None, reader: str | None = None
) -> tuple[Fitter, tuple[Measurement, ...]]:
    """A fitter, and the measurements whose records it is to fit.

    Args:
        name: of the fitter.
        files: with measurements. A fitter that is constructed with its measurements needs none.
        settings: arguments of the fitter, as `molvis_files.measurements.parse_settings` reads them.
        modality: take only readers of this one.
        reader: name of the reader, instead of choosing one by each file's ending.

    Raises:
        ConfigError: an argument that the fitter does not take, lacks or refuses, or there is nothing to fit.
        molvis_core.errors.ReadError: a file cannot be read.
        molvis_core.errors.ComponentError: no such fitter, or no reader of a file.
    """
    registry.component("fitter", name)
    fitter = registry.build("fitter", {"use": name, **parse_settings(settings)}, where="--set")
    found = [m for file in files for m in read_measurements(file, modality=modality, reader=reader)]
    if not files and isinstance(fitter, HoldsMeasurements):
        found = [Measurement(record, None, "") for record in fitter.measured()]
    if not found:
        raise ConfigError(f"fitter {name!r}: there is nothing to fit; name a file of measurements")
    return fitter, tuple(found)


def fit_summary(found: Fit, level: float = 0.9) -> FitSummary:
    """Estimates with their intervals.

    Raises:
        ConfigError: `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level:g}")
    columns = (found.names, found.values, np.sqrt(np.diag(found.covariance)), found.interval(level), found.units)
    parameters = tuple(
        Parameter(name, float(value), float(sd), float(low), float(high), unit)
        for name, value, sd, (low, high), unit in zip(*columns, strict=True)
    )
    return FitSummary(parameters, level, found.problem)


def write_fit(path: Path, summary: FitSummary) -> None:
    """The estimates as CSV or JSON, by the path's ending.

    Raises:
        WriteError: another ending, or the file cannot be written.
    """
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps(to_plain(summary), indent=2, allow_nan=False) + "\n")
        return
    if path.suffix.lower() != ".csv":
        raise WriteError(f"{path}: a fit is written as .csv or .json, got {path.suffix or 'no ending'!r}")
    text = io.StringIO(newline="")
    table = csv.writer(text)
    names = [f.name for f in fields(Parameter)]
    table.writerow(names)
    table.writerows(in_cells(getattr(p, name) for name in names) for p in summary.parameters)
    write_text(path, text.getvalue())
