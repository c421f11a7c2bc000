"""From features to what they are, chunk by chunk: what is done is kept, so that a run which is killed goes on.

Each finished chunk is a file written whole. Chunks are the same whenever the same features are annotated with the same
settings, and so is the result, killed or not. Only one chunk is held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from molvis_core.errors import ConfigError
from molvis_core.progress import Progress
from molvis_core.records import Measurement, Origin
from molvis_files.digests import checksum
from molvis_files.documents import load_json
from molvis_files.opening import read_text
from molvis_files.writing import write_text
from molvis_lcms.records import Feature, FeatureTable
from molvis_lcms.retention import Retention
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.levels import best_known, confidence_level
from molvis_retrieval.references import OwnStandards, known_references
from molvis_retrieval.results import Identification, to_json
from molvis_retrieval.retention import with_retention

__all__ = ["CHUNK", "annotate", "annotated", "as_query", "begin"]

CHUNK = 50
"""Features of a chunk: some seconds of work, and one file."""
_SETTINGS = "settings.json"
_PARTS = "parts"


def as_query(feature: Feature) -> tuple[tuple[Measurement, ...], dict[str, float]]:
    """What was measured of a feature, a measurement for each collision energy, and the adducts that it may be.

    A feature whose adduct another program or a target names is that ion, and no other is tried.
    """
    minutes = feature.time / 60 if feature.time is not None else None
    origin = Origin(feature.identifier, ", ".join(feature.scans[:20]) or None, minutes)
    spectra = [replace(s, adduct=feature.adduct) for s in feature.spectra]
    measurements = tuple(
        Measurement(s, None, "msms", name=f"feature {feature.identifier}", origin=origin) for s in spectra
    )
    return measurements, {} if feature.adduct else {h.adduct: h.evidence for h in feature.adducts}


def begin(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Take a folder for the results of these settings; whether there are some already.

    Raises:
        ConfigError: it holds the results of other settings, and which differ.
    """
    file = folder / _SETTINGS
    if not file.is_file():
        if folder.is_dir() and any(p for p in folder.iterdir() if not p.name.startswith(".")):
            raise ConfigError(f"{folder} holds other files; choose a new folder for the results")
        folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps({"settings": settings, "digest": checksum(settings)}, indent=2) + "\n")
        return False
    try:
        found = load_json(read_text(file))
        before, digest = found["settings"], found["digest"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is damaged: {error}; delete {folder}, or choose another") from error
    if digest != checksum(settings):
        other = [k for k in dict.fromkeys([*settings, *before]) if settings.get(k) != before.get(k)]
        raise ConfigError(
            f"{folder} holds results of other settings ({', '.join(other) or 'damaged'} differ); choose another "
            "folder, or delete it"
        )
    return True


def annotate(
    bundle: Bundle,
    index: Index,
    table: FeatureTable,
    folder: Path,
    *,
    options: Mapping[str, Any],
    retention: Retention | None = None,
    standards: OwnStandards | None = None,
    progress: Progress | None = None,
) -> None:
    """Identify every feature with MS/MS, and keep what was found in the folder, see `annotated`.

    Args:
        bundle: whose encoders and weights.
        index: of candidates.
        table: the features.
        folder: that `begin` was called with.
        options: further arguments of `molvis_retrieval.identification.identify`.
        retention: times of the column, learned from standards, as evidence.
        standards: what the user measured of known compounds, for confidence levels.
        progress: called with the features done and in all.
    """
    parts = folder / _PARTS
    parts.mkdir(exist_ok=True)
    some = [f for f in table.features if f.spectra]
    reference = known_references(bundle)
    for start in range(0, len(some), CHUNK):
        chunk, file = some[start : start + CHUNK], parts / f"{start // CHUNK + 1:05d}.json"
        if not file.is_file():
            made = [as_query(f) for f in chunk]
            found = identify(bundle, [q for q, _ in made], index, ions=[i for _, i in made], **options)
            found = with_retention(found, retention)
            levels = [confidence_level(x, best_known(x, [reference] if reference else (), standards)) for x in found]
            kept = [_kept(f, x, level) for f, x, level in zip(chunk, found, levels, strict=True)]
            write_text(file, json.dumps(kept) + "\n")
        if progress:
            progress(min(start + CHUNK, len(some)), len(some))


def _kept(feature: Feature, one: Identification, level: tuple[str, str]) -> dict[str, Any]:
    """An identification as plain values, with its feature and its confidence level."""
    (told,) = to_json([one])
    return {"feature": feature.identifier, "level": level[0], "level_evidence": level[1], **told}


def annotated(folder: Path, table: FeatureTable) -> Iterator[tuple[Feature, dict[str, Any] | None]]:
    """Each feature of a table with what was kept of it; None where it has no MS/MS, and so nothing was searched."""
    found = _parts(folder)
    for feature in table.features:
        if not feature.spectra:
            yield feature, None
            continue
        kept = next(found, None)
        if kept is None or kept.get("feature") != feature.identifier:
            raise ConfigError(f"{folder} does not hold the results of these features; delete it, and run again")
        yield feature, kept


def _parts(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted((folder / _PARTS).glob("*.json")):
        try:
            yield from load_json(read_text(file))
        except json.JSONDecodeError as error:
            raise ConfigError(f"{file} is damaged: {error}; delete it, and run the same command again") from error
