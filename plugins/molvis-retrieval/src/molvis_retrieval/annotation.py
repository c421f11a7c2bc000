"""From features to what they are, chunk by chunk: what is done is kept, so that a run which is killed goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core.errors import ConfigError
from molvis_core.progress import Progress
from molvis_files.chunks import kept_in, work_in_chunks
from molvis_files.digests import checksum
from molvis_files.documents import load_json
from molvis_files.opening import read_text
from molvis_files.parallel import Engine
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
from molvis_retrieval.unknown_features import asked, ion_of, together

__all__ = ["CHUNK", "annotate", "annotated", "begin"]

CHUNK = 50
"""Unknowns of a chunk: some seconds of work, and one file."""
_FEW = 4
"""Chunks from which on other processes work on some: each takes seconds to start."""
_SETTINGS = "settings.json"
_PARTS = "parts"


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
    processes: int | None = 1,
    engine: Engine = "processes",
    address: str | None = None,
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
        processes: how many work on chunks side by side; None for all processors.
        engine: `local`, `processes` or `ray`, whose processes may be on other machines that reach bundle and index.
        address: of a Ray cluster, such as `auto`.
        progress: called with the features done and in all.
    """
    some = together(table.features)
    search = _Search(bundle, index, options, retention, standards)
    work_in_chunks(
        search, some, len(some), folder / _PARTS, size=CHUNK, what="annotated features", processes=processes,
        few=_FEW, engine=engine, address=address, progress=progress,
    )  # fmt: skip


@dataclass(frozen=True)
class _Search:
    """What is found of a chunk of unknowns; each process has one."""

    bundle: Bundle
    index: Index
    options: Mapping[str, Any]
    retention: Retention | None
    standards: OwnStandards | None

    def __call__(self, chunk: Sequence[Sequence[Feature]]) -> list[dict[str, Any]]:
        queries = [asked(members) for members in chunk]
        found = identify(
            self.bundle, [q.measurements for q in queries], self.index, ions=[q.ions for q in queries],
            isotopes=[q.isotopes for q in queries], formulas=True, **self.options,
        )  # fmt: skip
        found = with_retention(found, self.retention)
        reference = known_references(self.bundle)
        known = (reference,) if reference else ()
        levels = [confidence_level(one, best_known(one, known, self.standards)) for one in found]
        return [_kept(members, one, level) for members, one, level in zip(chunk, found, levels, strict=True)]


def _kept(members: Sequence[Feature], one: Identification, level: tuple[str, str]) -> dict[str, Any]:
    """An identification as plain values, with its features and its confidence level."""
    (told,) = to_json([one])
    ions = {f.identifier: ion_of(f, members) for f in members}
    first = members[0].identifier
    return {"feature": first, "unknown": first, "ions": ions, "level": level[0], "level_evidence": level[1], **told}


def annotated(folder: Path, table: FeatureTable) -> Iterator[tuple[Feature, dict[str, Any] | None]]:
    """Each feature of a table with what was kept of it; None where it has no MS/MS, and so nothing was searched.

    Features that are ions of one unknown have one answer, each as its own ion.
    """
    found = kept_in(folder / _PARTS)
    waiting: dict[str, dict[str, Any]] = {}
    for feature in table.features:
        if not feature.spectra:
            yield feature, None
            continue
        kept = waiting.pop(feature.identifier, None)
        if kept is None:
            kept = next(found, None)
            if kept is None or kept.get("feature") != feature.identifier:
                raise ConfigError(f"{folder} does not hold the results of these features; delete it, and run again")
            waiting |= {name: kept for name in kept["ions"] if name != feature.identifier}
        yield feature, _as_ion(kept, feature)


def _as_ion(kept: dict[str, Any], feature: Feature) -> dict[str, Any]:
    """The answer to an unknown, for one of its ions."""
    ion = kept["ions"][feature.identifier]
    if ion is None:
        return kept
    candidates = [c | {"adduct": ion} for c in kept["candidates"]]
    own = {"feature": feature.identifier, "adduct": ion, "precursor_mz": feature.mz, "candidates": candidates}
    return kept | own | ({"adducts": {ion: 1.0}} if kept["adducts"] else {})
