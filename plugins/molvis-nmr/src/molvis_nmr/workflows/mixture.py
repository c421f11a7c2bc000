"""From files to quantified mixtures, one or many: what `molvis nmr quantify` calls."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core import registry
from molvis_core.errors import ConfigError, MolvisError, ReadError, did_you_mean
from molvis_core.progress import Progress
from molvis_core.records import Trace
from molvis_files.writing import write_text
from molvis_nmr.formats.opening import read_spectrum
from molvis_nmr.formats.spin_systems import is_system_file, read_system, read_systems
from molvis_nmr.mixture.quantify import quantify
from molvis_nmr.mixture.results import WATER, Entry, Quantification, Reference
from molvis_nmr.mixture.titration import windows_of
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.workflows.amounts import MZTAB, common_unit, write_amounts

DEFAULT = "metabolites"
"""The library that is taken where none is named."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a mixture is asked for; see `molvis_nmr.mixture.quantify.quantify`.

    Attributes:
        library: names of libraries that plugins ship, or files; see `library_entries`.
        only: compounds to take from it, by name or identifier.
    """

    library: tuple[str, ...] = (DEFAULT,)
    only: tuple[str, ...] = ()
    window: float = 0.03
    exclude: tuple[tuple[float, float], ...] = (WATER,)
    standard: str | None = "DSS"
    concentration: float | None = None
    unit: str = "mM"
    dilution: float = 1.0
    reference: tuple[float, float] | None = None
    tube: bool = True
    limit: float = 2.0
    least_probability: float = 0.65


def library_file(name: Path | str) -> Path:
    """A file, or the one behind the name of a library that a plugin ships.

    Raises:
        ConfigError: neither.
    """
    path = Path(name)
    if path.exists() or path.with_name(path.name.partition("#")[0]).exists():
        return path
    shipped = {c.name for c in registry.components("spin-library")}
    first, _, entries = str(name).partition("#")
    if first in shipped:
        found = Path(registry.load("spin-library", first))
        return found.with_name(f"{found.name}#{entries}") if entries else found
    known = (
        f"Libraries that ship: {', '.join(sorted(shipped))}" if shipped else "Install molvis-nmr-library to have one"
    )
    raise ConfigError(f"there is no library {str(name)!r}: no such file, and none ships under that name."
                      f"{did_you_mean(str(name), shipped)} {known}, or name a file of spin systems")  # fmt: skip


def library_entries(paths: Sequence[Path | str]) -> list[Entry]:
    """Entries of a library of compounds, from files of spin systems and of spectra.

    A file of spin systems gives all of its systems; `FILE#ENTRY,ENTRY` those named. Any other file is a reference
    spectrum of one compound, by the file's name; in `FILE#9` its signals are of 9 protons. A name such as `urine` is
    that of a library that a plugin ships.

    Raises:
        ConfigError: there is no such library.
        ReadError: a file is neither.
    """
    found: list[Entry] = []
    for given in paths:
        path = library_file(given)
        name, _, selected = path.name.partition("#")
        file = path if path.exists() else path.with_name(name)
        if is_system_file(file):
            picked = [entry for entry in selected.split(",") if entry] if file != path else []
            found += [read_system(file, entry) for entry in picked] if picked else read_systems(file)
            continue
        protons = None
        if file != path and selected:
            try:
                protons = float(selected)
            except ValueError:
                raise ReadError(file, f"#{selected} behind a spectrum must be the number of its protons") from None
        trace = read_spectrum(file)
        found.append(Reference(trace, file.stem, protons=protons, identifier=trace.identifier or ""))
    return found


def _chosen(asked: Asked) -> list[Entry]:
    entries = library_entries(asked.library)
    if asked.only:
        known = {key for e in entries for key in _keys(e)}
        if missing := [name for name in asked.only if name.lower() not in known]:
            raise ConfigError(f"the library has no {missing[0]!r}.{did_you_mean(missing[0].lower(), known)}")
        selected = {name.lower() for name in asked.only}
        entries = [e for e in entries if _keys(e) & selected]
    return entries


def _keys(entry: Entry) -> set[str]:
    name = getattr(entry, "name", "")
    return {key.lower() for key in (name, entry.identifier or "") if key}


def read_reference(text: str) -> tuple[float, float]:
    """`812.5:1.0` to an amount of one proton and its concentration.

    Raises:
        ConfigError: it is none.
    """
    try:
        amount, concentration = (float(part) for part in text.split(":"))
    except ValueError:
        amount = concentration = 0.0
    if not (amount > 0 and concentration > 0):
        raise ConfigError(f"an external reference must be AMOUNT:CONCENTRATION such as 812.5:1.0, got {text!r}")
    return amount, concentration


def quantify_file(spectrum: Path, asked: Asked, progress: Progress | None = None) -> Quantification:
    """Read a mixture and a library, and quantify. See `molvis_nmr.mixture.quantify.quantify`.

    Raises:
        ConfigError: a name of `only` that the library has not, or a library that there is not.
        ReadError, RecordError: a file cannot be read, or cannot be quantified.
    """
    return _quantified(spectrum, _chosen(asked), asked, progress)


def _quantified(
    spectrum: Path, entries: Sequence[Entry], asked: Asked, progress: Progress | None = None
) -> Quantification:
    return quantify(
        read_spectrum(spectrum), entries, window=asked.window, windows=windows_of(entries, asked.window),
        exclude=asked.exclude, standard=asked.standard, concentration=asked.concentration, unit=asked.unit,
        dilution=asked.dilution, reference=asked.reference, tube=asked.tube, limit=asked.limit,
        least_probability=asked.least_probability, progress=progress,
    )  # fmt: skip


def quantify_files(
    spectra: Sequence[Path], table: Path, asked: Asked, *, reports: Path | None = None, progress: Progress | None = None
) -> list[str]:
    """Quantify many mixtures into a table with a row for each; what fails, with why.

    The table is written anew after each sample, and a sample that it holds under the same settings and a library of
    the same content is not done again: a run that was interrupted goes on. Beside it lies `TABLE.done.jsonl`, which
    holds what is known of each sample.

    Args:
        spectra: files or folders.
        table: CSV, or mzTab-M where it ends in `.mztab`. Of each compound it has its concentration (or amount), its
            error, its probability, and the upper limit where it was not found. The unit stands in the column's name,
            in mzTab-M in the metadata: a sample in another unit has no amounts there.
        asked: of each.
        reports: folder for a report of each sample; none without.
        progress: called with samples done and in all.
    """
    from molvis_nmr.report.mixture import write_quantification

    entries = _chosen(asked)
    settings = hashlib.sha256(
        json.dumps([asdict(asked), [_digest(e) for e in entries]], default=str).encode()
    ).hexdigest()
    kept = table.with_name(table.name + ".done.jsonl")
    done = _kept(kept, settings)
    failed: list[str] = []
    names = _names(spectra)
    inchis = {e.identifier: e.inchi for e in entries if isinstance(e, SpinSystem) and e.inchi}
    locations = {names[p]: p for p in spectra}
    for number, path in enumerate(spectra):
        key = names[path]
        if key not in done:
            try:
                found = _quantified(path, entries, asked)
            except MolvisError as error:
                failed.append(f"{path}: {error}")
                continue
            if reports is not None:
                write_quantification(reports / key, found, title=key, settings={"library": ", ".join(asked.library)})
            done[key] = _row(key, found)
            write_text(kept, "".join(json.dumps({"settings": settings, **row}) + "\n" for row in done.values()))
            write_amounts(table, [done[n] for n in locations if n in done], inchis, locations)
        if progress is not None:
            progress(number + 1, len(spectra))
    rows = [done[name] for name in locations if name in done]
    write_amounts(table, rows, inchis, locations)
    return failed + _without_amounts(table, rows, locations)


def _without_amounts(table: Path, rows: Sequence[Mapping[str, Any]], locations: Mapping[str, Path]) -> list[str]:
    """Samples whose amounts a table of mzTab-M has no place for, with why."""
    if table.suffix.lower() != MZTAB or not rows:
        return []
    unit = common_unit(rows)
    return [
        f"{locations[row['sample']]}: its unit is {row['unit']!r} and the table's {unit!r}, so that its amounts are"
        " null there; is its standard missing? A table that ends in .csv holds them"
        for row in rows
        if row["unit"] != unit
    ]


def _digest(entry: Entry) -> str:
    """Of all that an entry of a library says, so that what an edited library gave is not taken for this one's."""
    made = hashlib.sha256()
    for field in fields(entry):
        value = getattr(entry, field.name)
        told = _digest(value) if isinstance(value, Trace) else repr(value)
        made.update(f"{field.name} {told}".encode())
        if isinstance(value, np.ndarray):
            made.update(value.tobytes())
    return made.hexdigest()


def _names(spectra: Sequence[Path]) -> dict[Path, str]:
    """A short name of each sample: its own, with as many of its folders as tell those apart that share it."""
    parts = {p: [*p.parts[:-1], p.name if p.is_dir() else p.stem] for p in spectra}
    names = {p: own[-1] for p, own in parts.items()}
    for depth in range(2, 1 + max(map(len, parts.values()), default=0)):
        count = Counter(names.values())
        for path, name in names.items():
            if count[name] > 1:
                names[path] = "_".join(part for part in parts[path][-depth:] if part not in ("/", ".."))
    count = Counter(names.values())
    return {p: name if count[name] == 1 else "_".join(p.resolve().parts[1:]) for p, name in names.items()}


def _kept(path: Path, settings: str) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {
        row["sample"]: {k: v for k, v in row.items() if k != "settings"} for row in rows if row["settings"] == settings
    }


def _row(sample: str, found: Quantification) -> dict[str, Any]:
    unit = found.unit or "amount"
    compounds: dict[str, dict[str, float | bool | str | None]] = {}
    for m in found.metabolites:
        by_concentration = m.concentration is not None
        compounds[m.name] = {
            "value": (m.concentration if by_concentration else m.amount) if m.present else None,
            "error": (m.concentration_error if by_concentration else m.error) if m.present else None,
            "probability": m.probability,
            "identifier": m.identifier,
            "tube": m.tube,
            "limit": None if m.present else _finite(m.upper_concentration if by_concentration else m.upper_limit),
        }
    return {"sample": sample, "unit": unit, "standard": found.standard, "offset_ppb": 1000 * found.offset,
            "roi_iou": found.roi_iou, "unexplained": found.unexplained, "problem": found.problem,
            "compounds": compounds}  # fmt: skip


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
