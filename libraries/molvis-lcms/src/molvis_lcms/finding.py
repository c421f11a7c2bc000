"""Features of a run: from the ions that were isolated for MS/MS, or from a list of targets.

Two passes over the file: the first collects the MS/MS scans, the second follows their precursors through the survey
scans. Only the survey scans of a window around the ions that are being followed are held, and the MS/MS scans.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from molvis_core.progress import Progress
from molvis_files.opening import open_bytes
from molvis_lcms.chromatograms import Chromatogram, Peak, extract, find_peaks
from molvis_lcms.ions import group_ions, hypotheses
from molvis_lcms.isotopes import charge_of, heavier_of, isotope_pattern
from molvis_lcms.merging import merge_energies, merge_repeats
from molvis_lcms.records import Feature, FeatureTable, Scan
from molvis_lcms.runs import Problems, read_scans
from molvis_lcms.settings import STANDARD, Settings, Target

__all__ = ["STANDARD", "Settings", "Target", "find_features", "find_targets", "measure_areas", "numbered"]


@dataclass(frozen=True, slots=True)
class _Seed:
    """An ion to follow between two times, and the MS/MS scans or the target for which it is followed."""

    mz: float
    ionmode: str | None
    start: float
    end: float
    msms: tuple[Scan, ...] = ()
    place: int = -1


@dataclass(frozen=True, slots=True)
class _Grown:
    """A feature without its MS/MS merged, and the MS/MS scans."""

    feature: Feature
    msms: tuple[Scan, ...]


def find_features(path: Path, settings: Settings = STANDARD, progress: Progress | None = None) -> FeatureTable:
    """The features of a run that have MS/MS: one for each chromatographic peak in which an ion was isolated.

    MS/MS of one precursor, within `ppm` and of one polarity, belongs to the peak of its chromatogram at its time; where
    there is none, scans nearer to each other than `reach` are a feature without chromatogram. Repeats are merged for
    each energy, and then the energies. The isotopes around the apex give the charge where the file does not, and ions
    of other adducts that rise and fall with it give its adduct hypotheses.

    Args:
        path: an mzML file.
        settings: tolerances.
        progress: called with the scans done and in all, over both passes.

    Raises:
        molvis_core.errors.ReadError: the file cannot be read as mzML, or holds no scan.
    """
    problems = Problems(path)
    counted = _Counted(path, progress, passes=2)
    msms, ordered = _collected(counted(problems.sound(read_scans(path))), settings, problems)
    if not msms:
        problems.add("no MS/MS scan of a single ion in it, and so no feature; look for ions of a list with --targets")
    seeds = _seeds(msms, settings)
    # What is wrong with the file was counted in the first pass.
    survey = (s for s in counted(Problems(path).sound(read_scans(path))) if s.level == 1)
    grown = [g for seed, scans in _windows(survey, seeds, settings, ordered) for g in _grow(seed, scans, settings)]
    features = [_finished(g, path.name, settings) for g in _each_once(grown, settings)]
    return _table(features, path, problems, settings.ppm)


def find_targets(
    path: Path,
    targets: Sequence[Target],
    settings: Settings = STANDARD,
    progress: Progress | None = None,
) -> FeatureTable:
    """Ions of a list in the survey scans of a run: one feature for each target; its area is 0 where there is no peak.

    Args:
        path: an mzML file.
        targets: ions to look for. One without time has the survey scans of the whole run held at once.
        settings: tolerances.
        progress: called with the scans done and in all.

    Raises:
        molvis_core.errors.ReadError: the file cannot be read as mzML, or holds no scan.
    """
    problems = Problems(path)
    found: dict[int, Feature] = {}
    for seed, scans in _target_windows(path, targets, settings, problems, progress):
        one, kept = _targeted(seed, targets[seed.place], scans, settings), found.get(seed.place)
        if kept is None or (one.height or 0.0) > (kept.height or 0.0):
            found[seed.place] = one
    features = [
        replace(_finished(_Grown(found[k], ()), path.name, settings), identifier=t.identifier or str(k + 1))
        for k, t in enumerate(targets)
    ]
    return FeatureTable(tuple(features), (path.name,), tuple(problems.lines()))


def measure_areas(
    path: Path,
    targets: Sequence[Target],
    settings: Settings = STANDARD,
    progress: Progress | None = None,
) -> list[float]:
    """The areas of ions of a list in a run, 0 where there is no peak; see `find_targets`."""
    found = [0.0] * len(targets)
    for seed, scans in _target_windows(path, targets, settings, Problems(path), progress):
        target = targets[seed.place]
        chromatogram = extract(scans, target.mz, settings.ppm)
        if peak := _highest(chromatogram, target):
            part = slice(peak.start, peak.end + 1)
            area = float(np.trapezoid(chromatogram.intensity[part], chromatogram.time[part]))
            found[seed.place] = max(found[seed.place], area)
    return found


class _OutOfOrder(Exception):  # noqa: N818 - it starts another way of reading, and nothing is wrong
    """A survey scan came before one of an earlier time."""


def _target_windows(
    path: Path, targets: Sequence[Target], settings: Settings, problems: Problems, progress: Progress | None
) -> Iterator[tuple[_Seed, list[Scan]]]:
    """Each target with the survey scans around its time; one without polarity once for each.

    Of a run whose scans are not in the order of time they come once more, from scans that were sorted.
    """
    counted = _Counted(path, progress, passes=1)
    seeds = [
        _Seed(t.mz, mode, -np.inf, np.inf, place=k)
        if t.time is None
        else _Seed(t.mz, mode, t.time - t.within, t.time + t.within, place=k)
        for k, t in enumerate(targets)
        for mode in ([t.ionmode] if t.ionmode else ["positive", "negative"])
    ]

    def survey(told: Problems) -> Iterator[Scan]:
        return (s for s in counted(told.sound(read_scans(path))) if s.level == 1)

    try:
        yield from _windows(_in_order(survey(problems)), seeds, settings)
    except _OutOfOrder:
        problems.add(_UNORDERED)
        yield from _windows(survey(Problems(path)), seeds, settings, ordered=False)


_UNORDERED = "its scans are not in the order of time; they are sorted, all held at once"


def _in_order(survey: Iterable[Scan]) -> Iterator[Scan]:
    """Scans as they come, as long as they come in the order of time.

    Raises:
        _OutOfOrder: they do not.
    """
    last = -np.inf
    for scan in survey:
        if scan.time < last:
            raise _OutOfOrder
        last = scan.time
        yield scan


class _Counted:
    """Tells how many scans of how many have been read."""

    def __init__(self, path: Path, progress: Progress | None, passes: int) -> None:
        self.progress, self.done = progress, 0
        self.total = passes * _stated_scans(path) if progress else 0

    def __call__(self, scans: Iterable[Scan]) -> Iterator[Scan]:
        for scan in scans:
            self.done += 1
            if self.progress and self.done % 20 == 0:
                self.progress(min(self.done, self.total) if self.total else self.done, self.total)
            yield scan


def _stated_scans(path: Path) -> int:
    """As many as the list of scans states at its beginning; 0 where it does not."""
    try:
        with open_bytes(path) as file:
            head = file.read(1 << 20)
    except (OSError, ValueError, EOFError):
        return 0
    found = re.search(rb'<spectrumList[^>]*\bcount="(\d{1,9})"', head)
    return int(found.group(1)) if found else 0


def _collected(scans: Iterable[Scan], settings: Settings, problems: Problems) -> tuple[list[Scan], bool]:
    """The MS/MS scans of single ions, and whether the survey scans come in the order of time."""
    msms: list[Scan] = []
    modes: set[str | None] = set()
    ordered, last = True, -np.inf
    for scan in scans:
        if scan.level == 1:
            modes.add(scan.ionmode)
            if scan.time < last and ordered:
                ordered = False
                problems.add(_UNORDERED, scan.line)
            last = scan.time
        elif scan.isolation and scan.isolation[1] - scan.isolation[0] > settings.widest:
            problems.add(f"an MS/MS scan isolates more than {settings.widest:g} m/z at once (DIA); passed over")
        elif not len(scan):
            problems.add("an MS/MS scan has no peak; passed over", scan.line)
        else:
            msms.append(scan)
    return _of_survey_polarity(msms, modes, problems), ordered


def _of_survey_polarity(msms: list[Scan], modes: set[str | None], problems: Problems) -> list[Scan]:
    """MS/MS scans with the polarity of the survey scans, where all of these have one and they are called otherwise."""
    if len(modes) != 1 or None in modes:
        return msms
    (mode,) = modes
    out: list[Scan] = []
    for scan in msms:
        if scan.ionmode not in (None, mode):
            problems.add(
                f"an MS/MS scan is called {scan.ionmode}, and every survey scan {mode}; taken for {mode}", scan.line
            )
            charge = None if scan.charge is None else -scan.charge
            scan = replace(scan, ionmode=mode, charge=charge)
        out.append(scan)
    return out


def _seeds(msms: Sequence[Scan], settings: Settings) -> list[_Seed]:
    """Precursors to follow: MS/MS scans of one m/z and polarity, none of them far in time from the next."""
    order = sorted(msms, key=lambda s: (s.ionmode or "", s.precursor_mz or 0.0))
    seeds: list[_Seed] = []
    group: list[Scan] = []
    for scan in [*order, None]:
        if group and (scan is None or not _same_ion(group[-1], scan, settings.ppm)):
            seeds += _in_time(group, settings)
            group = []
        if scan is not None:
            group.append(scan)
    return seeds


def _same_ion(one: Scan, other: Scan, ppm: float) -> bool:
    a, b = one.precursor_mz or 0.0, other.precursor_mz or 0.0
    return one.ionmode == other.ionmode and abs(a - b) <= ppm * 1e-6 * a


def _in_time(group: Sequence[Scan], settings: Settings) -> Iterator[_Seed]:
    """Scans of one ion, cut where nothing was isolated for a while, and where it was for very long."""
    part: list[Scan] = []
    for scan in sorted(group, key=lambda s: s.time):
        if part and (scan.time - part[-1].time > settings.reach or scan.time - part[0].time > 3 * settings.reach):
            yield _seed(part)
            part = []
        part.append(scan)
    if part:
        yield _seed(part)


def _seed(part: Sequence[Scan]) -> _Seed:
    mz = float(np.median([s.precursor_mz or 0.0 for s in part]))
    return _Seed(mz, part[0].ionmode, part[0].time, part[-1].time, tuple(part))


def _windows(
    survey: Iterable[Scan], seeds: Sequence[_Seed], settings: Settings, ordered: bool = True
) -> Iterator[tuple[_Seed, list[Scan]]]:
    """Each ion with the survey scans of its polarity around its time, as soon as they are all there.

    An ion whose polarity is not known is followed in each; scans that state none count for every ion.
    """
    survey = survey if ordered else sorted(survey, key=lambda s: s.time)
    waiting = sorted(seeds, key=lambda s: s.end)
    earliest = np.minimum.accumulate([s.start for s in reversed(waiting)])[::-1] - settings.reach if waiting else []
    held: deque[Scan] = deque()
    done = 0
    for scan in survey:
        while done < len(waiting) and waiting[done].end + settings.reach < scan.time:
            yield waiting[done], _around(held, waiting[done], settings.reach)
            done += 1
        if done == len(waiting):
            return
        while held and held[0].time < earliest[done]:
            held.popleft()
        held.append(scan)
    for seed in waiting[done:]:
        yield seed, _around(held, seed, settings.reach)


def _around(held: Iterable[Scan], seed: _Seed, reach: float) -> list[Scan]:
    modes = (None, seed.ionmode) if seed.ionmode else ("positive", "negative", None)
    return [s for s in held if seed.start - reach <= s.time <= seed.end + reach and s.ionmode in modes]


def _grow(seed: _Seed, scans: Sequence[Scan], settings: Settings) -> Iterator[_Grown]:
    """Features of the MS/MS scans of an ion: one for each chromatographic peak that has some of them."""
    chromatogram = _followed(seed, scans, settings)
    peaks = find_peaks(chromatogram.intensity)
    found: dict[int, list[Scan]] = {}
    lost: list[Scan] = []
    for scan in seed.msms:
        place = _peak_at(scan.time, peaks, chromatogram)
        if place is None:
            lost.append(scan)
        else:
            found.setdefault(place, []).append(scan)
    for place, msms in found.items():
        feature = _with_peak(seed, peaks[place], chromatogram, scans, _stated_charge(msms), settings)
        yield _Grown(feature, tuple(msms))
    if lost:
        time = float(np.median([s.time for s in lost]))
        charge = _stated_charge(lost)
        bare = Feature("", seed.mz, time, ionmode=seed.ionmode, charge=charge)
        bare = replace(bare, adducts=hypotheses(bare, (), 0, settings.ppm))
        yield _Grown(replace(bare, notes=("no chromatographic peak in the survey scans",)), tuple(lost))


def _stated_charge(msms: Sequence[Scan]) -> int | None:
    stated = [s.charge for s in msms if s.charge]
    return max(set(stated), key=lambda c: (stated.count(c), -abs(c))) if stated else None


def _followed(seed: _Seed, scans: Sequence[Scan], settings: Settings) -> Chromatogram:
    """The chromatogram at the m/z that the survey scans themselves show near the MS/MS scans."""
    found = extract(scans, seed.mz, settings.ppm)
    near = (found.time >= seed.start - 5) & (found.time <= seed.end + 5) & (found.intensity > 0)
    if not near.any():
        return found
    middle = float(np.average(found.mz[near], weights=found.intensity[near]))
    return extract(scans, middle, settings.ppm)


def _peak_at(time: float, peaks: Sequence[Peak], chromatogram: Chromatogram) -> int | None:
    """The peak whose ion is seen at a time, or no more than three survey scans away from it.

    An ion is isolated as soon as it is high enough, which may be far below a hundredth of its apex.
    """
    if not peaks:
        return None
    times = chromatogram.time
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    off = [max(times[p.first] - time, time - times[p.last], 0.0) for p in peaks]
    best = int(np.argmin(off))
    return best if off[best] <= 3 * step else None


def _with_peak(
    seed: _Seed, peak: Peak, chromatogram: Chromatogram, scans: Sequence[Scan], stated: int | None, settings: Settings
) -> Feature:
    """A feature with its peak, its isotopes and its adduct hypotheses."""
    part = slice(peak.start, peak.end + 1)
    time, height = chromatogram.time[part], chromatogram.intensity[part]
    top = int(peak.apex - peak.start)
    tall = np.flatnonzero(height >= height[top] / 2)
    around = [scans[peak.start + k] for k in tall.tolist()]
    mz = float(np.average(chromatogram.mz[part][tall], weights=height[tall]))
    sign = -1 if seed.ionmode == "negative" else 1
    size, doubt = _charge(stated, charge_of(around, mz, settings.ppm), mz)
    pattern = isotope_pattern(around, mz, size or 1, settings.ppm)
    feature = Feature(
        "",
        mz,
        float(time[top]),
        float(time[0]),
        float(time[-1]),
        seed.ionmode,
        sign * size if size else None,
        float(height[top]),
        {"": float(np.trapezoid(height, time))},
        *pattern,
        trace_time=time,
        trace_intensity=height,
    )
    lighter = heavier_of(around, mz, size or 1, settings.ppm)
    notes = doubt if lighter is None else (*doubt, f"probably an isotope of {lighter:.4f}")
    own = hypotheses(feature, scans[part], top, settings.ppm)
    return replace(feature, adducts=own, notes=notes)


_LIGHT = 400.0
"""Da below which a molecule hardly takes two charges."""


def _charge(stated: int | None, seen: int | None, mz: float) -> tuple[int | None, tuple[str, ...]]:
    """The charge, without sign, that isotopes show, or else the file states, and a note where the two differ.

    Instruments state a charge that was set or guessed where they saw no isotopes.
    """
    size = abs(stated) if stated else None
    if seen is not None:
        doubt = size is not None and size != seen
        return seen, (f"charge {size} in the file, {seen} by the distance of isotopes",) if doubt else ()
    if size is not None and size > 1 and mz * size < _LIGHT:
        return None, (f"charge {size} in the file is not believed of so light an ion",)
    return size, ()


def _highest(chromatogram: Chromatogram, target: Target) -> Peak | None:
    """The highest peak whose apex is near the time of a target."""
    best: Peak | None = None
    for peak in find_peaks(chromatogram.intensity):
        off = 0.0 if target.time is None else abs(chromatogram.time[peak.apex] - target.time)
        if off <= target.within and (
            best is None or chromatogram.intensity[peak.apex] > chromatogram.intensity[best.apex]
        ):
            best = peak
    return best


def _targeted(seed: _Seed, target: Target, scans: Sequence[Scan], settings: Settings) -> Feature:
    """The feature of a target, with its peak where there is one."""
    chromatogram = extract(scans, target.mz, settings.ppm)
    if peak := _highest(chromatogram, target):
        seed = replace(seed, ionmode=target.ionmode or scans[peak.apex].ionmode)
        feature = _with_peak(seed, peak, chromatogram, scans, target.charge, settings)
    else:
        feature = Feature("", target.mz, target.time, ionmode=target.ionmode, charge=target.charge, areas={"": 0.0})
        feature = replace(feature, notes=("no chromatographic peak in the survey scans",))
    return replace(feature, name=target.name, adduct=target.adduct, formula=target.formula)


def _each_once(grown: Sequence[_Grown], settings: Settings) -> list[_Grown]:
    """Those of one apex as one: isolations a little apart in m/z may lead to the same chromatogram."""
    out: list[_Grown] = []
    for one in sorted(grown, key=lambda g: (g.feature.ionmode or "", g.feature.mz)):
        same = next(
            (
                k
                for k in range(len(out) - 1, max(-1, len(out) - 20), -1)
                if out[k].feature.ionmode == one.feature.ionmode
                and abs(out[k].feature.mz - one.feature.mz) <= settings.ppm * 1e-6 * one.feature.mz
                and out[k].feature.start is not None
                and out[k].feature.time == one.feature.time
            ),
            None,
        )
        if same is None:
            out.append(one)
        else:
            out[same] = replace(out[same], msms=(*out[same].msms, *one.msms))
    return out


def _finished(grown: _Grown, file: str, settings: Settings) -> Feature:
    """With MS/MS merged, and its area under the name of the file."""
    feature = grown.feature
    spectra = merge_repeats(grown.msms, feature.mz, feature.charge, settings.fragment_ppm)
    return replace(
        feature,
        areas={file: feature.areas[""]} if "" in feature.areas else {},
        spectra=spectra,
        merged=merge_energies(spectra, settings.fragment_ppm),
        scans=tuple(s.number for s in sorted(grown.msms, key=lambda s: s.time) if s.number),
    )


def _table(features: Sequence[Feature], path: Path, problems: Problems, ppm: float) -> FeatureTable:
    named = numbered(group_ions(features, ppm))
    return FeatureTable(named, (path.name,), tuple(problems.lines()))


def numbered(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """In the order of m/z, with the place in it as identifier."""
    order = sorted(features, key=lambda f: (f.mz, f.time or 0.0, f.ionmode or ""))
    return tuple(replace(f, identifier=str(k)) for k, f in enumerate(order, start=1))
