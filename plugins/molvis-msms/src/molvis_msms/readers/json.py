"""Spectra as JSON or JSON lines, as GNPS, MoNA and matchms write them."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_files.documents import load_json
from molvis_files.opening import lines
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items


def read_json(path: Path) -> Items:
    """Spectra as a JSON list, a JSON object, or JSON lines: as GNPS, MoNA and matchms write them.

    Raises:
        ReadError: the file is not JSON; names the line.
    """
    whole_file = not path.name.lower().removesuffix(".gz").endswith(".jsonl")
    # A whole library can stand on one line.
    numbered = lines(path, most=sys.maxsize if whole_file else None)
    if whole_file:
        kept = list(numbered)
        try:
            whole = load_json("\n".join(line for _, line in kept))
        except json.JSONDecodeError as error:
            # Lines of JSON under the name of a whole one: the first line alone shows it.
            first = next((line for _, line in kept if line.strip()), "")
            if len(kept) < 2 or not isinstance(_parsed(first), dict):
                reason, line = error.msg, error.lineno
                raise ReadError(path, f"not JSON: {reason}", line=line) from error
        else:
            for number, record in enumerate(whole if isinstance(whole, list) else [whole], start=1):
                yield _json_record(path, record, None, number)
            return
        numbered = iter(kept)
    places = ((place, line) for place, line in numbered if line.strip())
    for number, (place, line) in enumerate(places, start=1):
        record = _parsed(line)
        if isinstance(record, str):
            yield ReadError(path, f"not JSON: {record}", line=place, record=number)
        else:
            yield _json_record(path, record, place, number)


def _parsed(line: str) -> dict[str, Any] | list[Any] | str:
    """What the line holds, or why it holds no JSON object."""
    try:
        found = load_json(line)
    except json.JSONDecodeError as error:
        return error.msg
    return found if isinstance(found, (dict, list)) else f"a spectrum is an object, found {type(found).__name__}"


def _json_record(path: Path, record: Any, line: int | None, number: int) -> Measurement | ReadError:
    if not isinstance(record, dict):
        return ReadError(path, f"a spectrum is an object, found {type(record).__name__}", line=line, record=number)
    fields = {_key(k): str(v) for k, v in record.items() if isinstance(v, (str, int, float))}
    # MoNA keeps names and identifiers inside the compound, and the rest in lists of metadata.
    for compound in itertools.islice(_objects(record.get("compound")), 1):
        for item in itertools.chain(
            _objects(compound.get("metaData")), [{"name": "inchi", "value": compound.get("inchi")}]
        ):
            if item.get("value") is not None:
                fields.setdefault(_key(item.get("name")), str(item["value"]))
        for item in itertools.islice(_objects(compound.get("names")), 1):
            fields.setdefault("name", str(item.get("name", "")))
    for item in _objects(record.get("metaData")):
        fields.setdefault(_key(item.get("name")), str(item.get("value", "")))
    try:
        peaks = _json_peaks({_key(k): v for k, v in record.items()})
    except (ValueError, TypeError, IndexError, KeyError, RecursionError) as error:
        return ReadError(path, f"its peaks are not pairs of numbers: {error}", line=line, record=number)
    return measurement(path, fields, peaks, line=line, number=number)


def _key(name: object) -> str:
    return str(name).strip().lower().replace(" ", "_")


def _objects(found: object) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON list; nothing from anything else."""
    return (item for item in found if isinstance(item, dict)) if isinstance(found, list) else iter(())


def _json_peaks(record: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Peaks as pairs under one name, as a string of either kind, or as two lists."""
    raw = next((record[k] for k in ("peaks_json", "peaks", "spectrum") if k in record), None)
    if raw is None:
        mz, heights = (next((record[k] for k in names if k in record), []) for names in (("mz", "mzs"), _HEIGHTS))
        raw = list(zip(mz, heights, strict=True))
    if isinstance(raw, str):
        pairs = load_json(raw) if raw.strip().startswith("[") else [p.split(":") for p in raw.replace(";", " ").split()]
    else:
        pairs = raw
    return [(float(p[0]), float(p[1])) for p in pairs]


_HEIGHTS = ("intensity", "intensities")
