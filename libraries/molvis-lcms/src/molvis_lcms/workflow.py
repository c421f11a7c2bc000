"""From runs to one table of features: found in each, aligned, measured in all, without what the blanks have too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from molvis_core.errors import ConfigError, ReadError
from molvis_core.progress import Progress, StageProgress
from molvis_lcms.alignment import Warp, consensus, estimate_warp
from molvis_lcms.finding import STANDARD, Settings, Target, find_features, find_targets, measure_areas, numbered
from molvis_lcms.ions import group_ions
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["Comparison", "features_of_runs"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How runs are compared.

    Attributes:
        seconds: tolerance of times once they are made comparable, half width.
        drift: seconds by which the times of two runs may differ before.
        blank_ratio: a feature stays whose area is more than so many times that in every blank.

    Raises:
        ConfigError: a number that makes no sense.
    """

    seconds: float = 6.0
    drift: float = 60.0
    blank_ratio: float = 3.0

    def __post_init__(self) -> None:
        for name in ("seconds", "drift", "blank_ratio"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name):g}")


_USUAL = Comparison()


def features_of_runs(
    runs: Sequence[Path],
    *,
    blanks: Sequence[Path] = (),
    targets: Sequence[Target] = (),
    settings: Settings = STANDARD,
    comparison: Comparison = _USUAL,
    progress: StageProgress | None = None,
) -> FeatureTable:
    """The features of one or several runs, with their area in each.

    Times are those of the run with the most features. Where a file has no MS/MS of an ion that another has, the area is
    that of the peak at its place. A run that cannot be read is left out, and a note says so.

    Args:
        runs: mzML files.
        blanks: runs without sample: features that they have too are left out.
        targets: ions to look for, in place of those that have MS/MS.
        settings: tolerances within a run.
        comparison: tolerances between runs.
        progress: called with the scans read and in all, and which file they are of.

    Raises:
        ConfigError: two files have one name, or there is none.
        ReadError: none of the runs can be read.
    """
    _distinct([*runs, *blanks])
    notes: list[str] = []
    tables: list[FeatureTable] = []
    paths: list[Path] = []
    for path in runs:
        show = _at(progress, f"reading {path.name}")
        try:
            found = find_targets(path, targets, settings, show) if targets else find_features(path, settings, show)
        except ReadError as error:
            if len(runs) == 1:
                raise
            notes.append(f"{error}; the file is left out")
            continue
        notes += found.notes
        tables.append(found)
        paths.append(path)
    if not tables:
        raise ReadError(runs[0], f"none of the {len(runs)} runs can be read: {'; '.join(notes)}")
    if targets:
        features = _side_by_side(tables)
        warps = [_STRAIGHT for _ in tables]
    else:
        features, warps = _aligned(tables, settings, comparison, notes)
        features = _filled(features, paths, warps, settings, comparison, progress)
    if blanks:
        features = _without_blanks(features, blanks, settings, comparison, progress, notes)
    if not targets:
        features = numbered(group_ions(features, settings.ppm))
    return FeatureTable(tuple(features), tuple(p.name for p in [*paths, *blanks]), tuple(notes))


_STRAIGHT = Warp(np.empty(0), np.empty(0))


def _distinct(paths: Sequence[Path]) -> None:
    if not paths:
        raise ConfigError("name at least one run")
    twice = [name for name, count in Counter(p.name for p in paths).items() if count > 1]
    if twice:
        raise ConfigError(f"two files are called {twice[0]}; areas are listed by file name, so rename one of them")


def _at(progress: StageProgress | None, what: str) -> Progress | None:
    return (lambda done, total: progress(done, total, what)) if progress else None


def _aligned(
    tables: Sequence[FeatureTable], settings: Settings, comparison: Comparison, notes: list[str]
) -> tuple[list[Feature], list[Warp]]:
    """Features over all runs, and how the times of each run become those of the reference."""
    if len(tables) == 1:
        return list(tables[0].features), [_STRAIGHT]
    reference = max(range(len(tables)), key=lambda k: len(tables[k]))
    warps: list[Warp] = []
    for k, table in enumerate(tables):
        if k == reference:
            warps.append(_STRAIGHT)
            continue
        warp = estimate_warp(table.features, tables[reference].features, settings.ppm, comparison.drift)
        warps.append(warp)
        if not len(warp.own):
            few = f"{warp.shared} ions in common with {tables[reference].files[0]}"
            notes.append(f"{table.files[0]}: {few} are too few to correct its times")
    found = consensus(tables, warps, settings.ppm, comparison.seconds, settings.fragment_ppm)
    return found, warps


def _filled(
    features: Sequence[Feature],
    paths: Sequence[Path],
    warps: Sequence[Warp],
    settings: Settings,
    comparison: Comparison,
    progress: StageProgress | None,
) -> list[Feature]:
    """Areas also in the files that have no MS/MS of a feature."""
    if len(paths) == 1:
        return list(features)
    areas = [dict(f.areas) for f in features]
    for path, warp in zip(paths, warps, strict=True):
        missing = [k for k, f in enumerate(features) if path.name not in f.areas and f.start is not None]
        targets = [_place(features[k], warp, comparison.seconds) for k in missing]
        show = _at(progress, f"measuring {path.name}")
        for k, area in zip(missing, measure_areas(path, targets, settings, show), strict=True):
            areas[k][path.name] = area
    names = [p.name for p in paths]
    return [replace(f, areas={n: own[n] for n in names if n in own}) for f, own in zip(features, areas, strict=True)]


def _place(feature: Feature, warp: Warp, seconds: float) -> Target:
    return Target(feature.mz, feature.ionmode, warp.back(feature.time or 0.0), seconds)


def _side_by_side(tables: Sequence[FeatureTable]) -> list[Feature]:
    """Of each target the highest feature, with the areas of all files."""
    out: list[Feature] = []
    for some in zip(*(t.features for t in tables), strict=True):
        best = max(some, key=lambda f: f.height or 0.0)
        out.append(replace(best, areas={n: a for f in some for n, a in f.areas.items()}))
    return out


def _without_blanks(
    features: Sequence[Feature],
    blanks: Sequence[Path],
    settings: Settings,
    comparison: Comparison,
    progress: StageProgress | None,
    notes: list[str],
) -> list[Feature]:
    """Features whose area is well above that in every blank, which is noted with the others.

    The times of a blank are taken as those of the reference, give or take twice the tolerance: a blank has few ions to
    tell a drift by.
    """
    timed = [k for k, f in enumerate(features) if f.start is not None]
    areas = [dict(f.areas) for f in features]
    kept = [True] * len(features)
    for path in blanks:
        targets = [_place(features[k], _STRAIGHT, 2 * comparison.seconds) for k in timed]
        measured = measure_areas(path, targets, settings, _at(progress, f"measuring {path.name}"))
        for k, area in zip(timed, measured, strict=True):
            areas[k][path.name] = area
            if (features[k].area or 0.0) <= comparison.blank_ratio * area:
                kept[k] = False
    if lost := kept.count(False):
        notes.append(
            f"{lost} of {len(features)} features are left out: their area is not {comparison.blank_ratio:g} times that "
            "in every blank"
        )
    return [replace(f, areas=own) for f, own, keep in zip(features, areas, kept, strict=True) if keep]
