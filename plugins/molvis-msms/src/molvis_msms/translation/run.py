"""Files of spectra through a translation: what was asked of each, what came out, and what was measured there."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.errors import ConfigError, MolvisError, ReadError
from molvis_core.records import Measurement, PeakList
from molvis_files.arguments import folder_of
from molvis_files.writing import write_text
from molvis_msms.references.similarity import Similarity
from molvis_msms.translation.settings import Settings, energy_in_ev, instrument_class, named_instrument
from molvis_msms.translation.translator import Request, Translator

SHIPPED = "massbank"
_EQUAL = 0.05
"""Share by which the energies of two spectra may differ to be of the same settings."""


@dataclass(frozen=True, eq=False, slots=True)
class Translated:
    """A spectrum and what it was translated to.

    Attributes:
        query: its name.
        target: the settings; None where it was not translated.
        source: as it was measured; None where it could not be read.
        result: the translation with the query's name and identity; None where there is none.
        problem: why it was not translated; empty where it was.
        measured: a spectrum of the same ion at the target settings from the same files, where there is one.
        copied, agreement: root cosine of the source and of the translation with that spectrum.
    """

    query: str
    target: Settings | None = None
    source: Measurement | None = None
    result: Measurement | None = None
    problem: str = ""
    measured: PeakList | None = None
    copied: float | None = None
    agreement: float | None = None


def find_translation(name: Path | str) -> Path:
    """The folder of a translation: the name of one that a plugin ships, or a path.

    Raises:
        ConfigError: neither is there.
    """
    return folder_of("translation", name, make="Train one with: molvis translation train SPECTRA --out FOLDER")


def translate(
    translator: Translator,
    queries: Sequence[Measurement | ReadError],
    energies: Sequence[str],
    instrument: str | None = None,
    *,
    formula: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Translated]:
    """Translate each query to each energy. What cannot be translated gets a problem, and the rest goes on.

    Args:
        translator: trained.
        queries: spectra; an error stands for one that could not be read.
        energies: in eV or normalized, such as `40` or `30NCE`; none for those of the queries.
        instrument: class of instruments; None for those of the queries.
        formula: of all queries; None for those that they name themselves, if any.
        progress: called with the translations done and in all.

    Raises:
        ConfigError: an energy or an instrument that cannot be read, or neither is given.
    """
    if not energies and instrument is None:
        raise ConfigError("nothing to translate to: give an energy, an instrument class, or both")
    kind = named_instrument(instrument) if instrument else None
    for text in energies:
        energy_in_ev(text, 1.0)
    spectra = [q for q in queries if isinstance(q, Measurement)]
    found: list[Translated] = []
    for number, query in enumerate(queries, start=1):
        for text in energies or (None,):
            found.append(_one(translator, query, number, text, kind, formula, spectra))
        if progress:
            progress(number, len(queries))
    return found


def _one(
    translator: Translator,
    query: Measurement | ReadError,
    number: int,
    text: str | None,
    kind: str | None,
    formula: str | None,
    others: Sequence[Measurement],
) -> Translated:
    """One query at one energy."""
    if isinstance(query, ReadError):
        return Translated(str(query.record or f"record {number}"), problem=str(query))
    spectrum: PeakList = query.record
    name = query.name or spectrum.identifier or f"spectrum {number}"
    own = Settings.of(spectrum)
    energy = own.energy if text is None else energy_in_ev(text, spectrum.precursor_mz or 0.0)
    target = Settings(energy, kind or own.instrument)
    known = formula or (query.structure.formula if query.structure else None)
    try:
        (result,) = translator.translate([Request(spectrum, target, known)])
    except MolvisError as error:
        return Translated(name, target, query, problem=str(error))
    made = dataclasses.replace(query, record=result, source=_origin(own, query))
    measured = _measured(query, target, others)
    compare = Similarity()
    return Translated(
        name, target, query, made, "", measured,
        compare(spectrum, measured).score if measured is not None else None,
        compare(result, measured).score if measured is not None else None,
    )  # fmt: skip


def _measured(query: Measurement, target: Settings, others: Sequence[Measurement]) -> PeakList | None:
    """What was measured of the same compound at the settings that are asked for; None where nothing was."""
    return next((m.record for m in others if m is not query and _same(query, m) and _at(m.record, target)), None)


def _origin(own: Settings, query: Measurement) -> str:
    """What a translated spectrum says of where it is from, so that nobody takes it for a measured one."""
    energy = "unknown energy" if own.energy is None else f"{own.energy:.4g} eV"
    return f"translated by molvis from {energy}, {own.instrument}" + (f"; {query.source}" if query.source else "")


def _same(one: Measurement, other: Measurement) -> bool:
    """Whether two spectra are of one ion: of one structure, or of one name where no structure is known."""
    if one.record.adduct != other.record.adduct or one.record.ionmode != other.record.ionmode:
        return False
    if one.structure and other.structure:
        return one.structure.inchikey14 == other.structure.inchikey14
    return one.name is not None and one.name == other.name


def _at(spectrum: PeakList, target: Settings) -> bool:
    """Whether a spectrum was measured at some settings."""
    energy = spectrum.collision_energy
    if energy is None or target.energy is None or instrument_class(spectrum.instrument_type) != target.instrument:
        return False
    return abs(energy - target.energy) <= _EQUAL * target.energy


def to_json(found: Sequence[Translated]) -> list[dict[str, Any]]:
    """Nested plain values, ready for `json.dumps`."""
    return [
        {
            "query": one.query,
            "problem": one.problem,
            "energy": one.target.energy if one.target else None,
            "instrument": one.target.instrument if one.target else None,
            "root_cosine_to_measured": one.agreement,
            "root_cosine_of_copy": one.copied,
            "precursor_mz": one.source.record.precursor_mz if one.source else None,
            "peaks": _peaks(one.result.record) if one.result else [],
        }
        for one in found
    ]


def _peaks(spectrum: PeakList) -> list[list[float]]:
    return [
        [round(mz, 5), round(height, 5)]
        for mz, height in zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True)
    ]


def write_json(path: Path, found: Sequence[Translated]) -> None:
    """`to_json` as a file, whole or not at all.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    write_text(path, json.dumps(to_json(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_spectra(path: Path, found: Sequence[Translated]) -> None:
    """The translated spectra, in the format of the path's ending.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
        molvis_core.errors.ComponentError: no writer has this ending.
    """
    writer = registry.load("writer", registry.for_suffix("writer", path, modality="msms").name)
    writer(path, [one.result for one in found if one.result])
