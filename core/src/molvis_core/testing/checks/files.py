"""Contracts of readers and writers."""

from __future__ import annotations

import gzip
import math
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core import registry
from molvis_core.errors import LeftOutError, ReadError
from molvis_core.testing.checks._contract import ContractError, contract, require


def _read(read: Any, path: Path) -> tuple[list[Any], list[ReadError]]:
    measurements: list[Any] = []
    errors: list[ReadError] = []
    try:
        for item in read(path):
            (errors if isinstance(item, ReadError) else measurements).append(item)
    except ReadError as error:
        errors.append(error)
    return measurements, errors


def _refused(errors: Sequence[ReadError]) -> list[ReadError]:
    return [error for error in errors if not isinstance(error, LeftOutError)]


def _describe(measurement: Any) -> tuple[object, ...]:
    record = measurement.record
    fields = tuple(
        value.tobytes() if isinstance(value := getattr(record, name), np.ndarray) else value
        for name in type(record).__dataclass_fields__
    )
    structure = measurement.structure
    return (type(record).__name__, *fields, structure and structure.inchikey)


@contract("reader-measurements")
def reader_gives_measurements(read: Any, path: Path, modality: str) -> None:
    """Measurements of the modality's record type; the same ones each time."""
    found, errors = _read(read, path)
    require(not _refused(errors), f"a good file gave an error: {_refused(errors)[:1]}")
    require(found, f"{path.name} gave nothing")
    record = registry.load("modality", modality).record
    for item in found:
        require(hasattr(item, "record"), f"a reader yields molvis_core.records.Measurement, not {type(item).__name__}")
        require(
            isinstance(item.record, record), f"modality {modality!r} is carried by {record.__name__}, not {item!r:.80}"
        )
        require(item.modality == modality, f"a measurement must have modality {modality!r}, got {item.modality!r}")
    again, _ = _read(read, path)
    require([_describe(m) for m in found] == [_describe(m) for m in again], "a second reading gives other measurements")


@contract("reader-gzip")
def reader_reads_gzip(read: Any, path: Path) -> None:
    """`name.suffix.gz` reads like `name.suffix`."""
    wanted, _ = _read(read, path)
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / path.parent.name / f"{path.name}.gz"
        packed.parent.mkdir()
        packed.write_bytes(gzip.compress(path.read_bytes()))
        found, errors = _read(read, packed)
    require(not _refused(errors), f"the compressed file gave an error: {_refused(errors)[:1]}")
    # A record may name the file that it is from.
    places = [repr(_describe(m)).replace(str(packed), str(path)) for m in found]
    require(places == [repr(_describe(m)) for m in wanted], "the compressed file reads differently")


@contract("reader-bad-file")
def reader_names_the_place(read: Any, path: Path) -> None:
    """A bad file gives a `ReadError` with its path, and the line or the record where it went wrong."""
    _, errors = _read(read, path)
    require(errors, f"the bad file {path.name} was read without an error")
    for error in errors:
        require(Path(error.path).name == path.name, f"an error names {error.path}, not {path}")
        require(error.line is not None or error.record is not None, f"an error names neither line nor record: {error}")
        require(error.reason.strip(), "an error gives no reason")


@contract("reader-any-bytes")
def reader_survives_any_bytes(read: Any, suffix: str) -> None:
    """A missing, an empty and a garbled file give nothing or a `ReadError`, never another exception."""
    rng = np.random.default_rng(0)
    contents = {
        "empty": b"",
        "garbled": rng.bytes(400),
        "text": b"BEGIN\n\x00 this is = not : a\tspectrum\n1 2 3\nnan inf\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, content in contents.items():
            path = Path(folder) / f"{name}{suffix}"
            path.write_bytes(content)
            try:
                _read(read, path)
            except Exception as error:
                raise ContractError(f"a file of {name} bytes raised {type(error).__name__}: {error}") from error
        try:
            _, errors = _read(read, Path(folder) / f"missing{suffix}")
        except Exception as error:
            raise ContractError(f"a missing file raised {type(error).__name__}: {error}, not a ReadError") from error
        require(errors, "a missing file was read without an error")


@contract("writer-round-trip")
def writer_round_trip(write: Any, read: Any, measurements: Iterable[Any], suffix: str) -> None:
    """What is written is read back."""
    wanted = list(measurements)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"round-trip{suffix}"
        write(path, wanted)
        left = [p.name for p in Path(folder).iterdir() if p != path]
        require(not left, f"writing leaves {', '.join(left)} behind")
        found, errors = _read(read, path)
    require(not errors, f"what was written cannot be read: {errors[:1]}")
    require(len(found) == len(wanted), f"{len(wanted)} measurements were written and {len(found)} read")
    for number, (before, after) in enumerate(zip(wanted, found, strict=True)):
        for name in type(before.record).__dataclass_fields__:
            a, b = getattr(before.record, name), getattr(after.record, name)
            same = np.allclose(a, b, rtol=1e-6) if isinstance(a, np.ndarray) else (a == b or _near(a, b))
            require(same, f"measurement {number}: {name} was {a!r:.60} and came back as {b!r:.60}")


def _near(a: object, b: object) -> bool:
    return isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-6)


@contract("writer-callable")
def is_callable(function: Any) -> None:
    """It can be called."""
    require(callable(function), f"{function!r:.80} cannot be called")
