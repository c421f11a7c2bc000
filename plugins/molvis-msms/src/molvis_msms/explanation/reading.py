"""Spectra of files, with the structures that they are explained by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError, MolvisError, ReadError, StructureError
from molvis_core.progress import Progress
from molvis_core.records import Measurement, PeakList, Structure
from molvis_files.substructures import LocatesClasses, locating_classifiers, occurrences
from molvis_msms.explanation.annotations import Explained
from molvis_msms.explanation.matching import PPM
from molvis_msms.explanation.peaks import Explanation, explain


def read_structures(texts: Sequence[str]) -> list[Structure]:
    """Structures from SMILES, stereo kept.

    Raises:
        ConfigError: RDKit refuses one.
    """
    out: list[Structure] = []
    for text in texts:
        try:
            out.append(structure(text))
        except StructureError as error:
            raise ConfigError(f"--structure: {error}") from error
    return out


def explain_all(
    items: Sequence[Measurement | ReadError],
    structures: Sequence[Structure],
    *,
    ppm: float = PPM,
    most: int = 3,
    progress: Progress | None = None,
) -> tuple[list[Explained], list[str]]:
    """Explain spectra by structures, or by those that their files name; and what could not be explained, in words.

    Args:
        items: of files; an error stands for a spectrum that could not be read.
        structures: by which every spectrum is explained, the first against the others.
        ppm: tolerance.
        most: substructures of each peak.
        progress: called with the spectra done and in all.
    """
    locating = locating_classifiers()
    found: list[Explained] = []
    problems: list[str] = []
    for number, item in enumerate(items, start=1):
        if isinstance(item, ReadError):
            problems.append(str(item))
        elif not isinstance(item.record, PeakList) or not len(item.record):
            problems.append(f"{item.name or number}: it has no peaks")
        elif not (chosen := structures or ([item.structure] if item.structure else [])):
            problems.append(f"{item.name or number}: its file names no structure; give one with --structure")
        else:
            try:
                made = [_explain(item.record, one, locating, ppm, most) for one in chosen]
                found.append(_named(item, number, made))
            except MolvisError as error:
                problems.append(f"{item.name or number}: {error}")
        if progress:
            progress(number, len(items))
    return found, problems


def _named(item: Measurement, number: int, made: Sequence[Explanation]) -> Explained:
    name = item.name or item.record.identifier or f"spectrum {number}"
    return Explained(name, made[0], tuple(made[1:]), item.licence, item.contributor, item.authors)


def _explain(
    spectrum: PeakList, by: Structure, locating: Sequence[LocatesClasses], ppm: float, most: int
) -> Explanation:
    return explain(spectrum, by, ppm=ppm, most=most, classes=occurrences(by, locating))


def read_files(paths: Sequence[Path], reader: str | None = None) -> list[Measurement | ReadError]:
    """The spectra of files.

    Raises:
        ReadError: a file cannot be read at all.
        molvis_core.errors.ComponentError: no reader claims one.
    """
    from molvis_msms.references.search import read_spectra

    return [item for path in paths for item in read_spectra(path, reader)]
