"""What was measured of one unknown: measurements put together, checked, and their ions read."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from molvis_core.chemistry.adducts import likely_adducts, parse_adduct
from molvis_core.errors import (
    AdductError,
    BundleError,
    MolvisError,
    RecordError,
)
from molvis_core.records import NO_ORIGIN, Measurement, Origin, PeakList, Record, Structure
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.ions import check_ion, common_mass, describe_ion

Query = Measurement | Record | Sequence["Measurement | Record"]
"""One measurement, or all that was measured of one unknown."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """What was measured of one unknown, checked.

    Attributes:
        name: of the query.
        measured: records by modality, in the order in which they came.
        problem: why it cannot be searched; empty where it can.
        mass: neutral mass in Da, where it follows from an ion or was given.
        truth: the true structure, where it is known.
        notes: what of it is not used, and why.
        origin: where in which file it was found.
        share: how often neutral molecules form its ion; 1 where the ion is known.
        betaine: whether it is looked for among betaines alone, see `as_betaine`.
        ions: adducts that an ion without one may be, instead of the likely ones of its polarity, each with how much
            what was seen beside it speaks for it, as the logarithm of a likelihood ratio.
        support: that of its adduct, where it is one of `ions`.
        isotopes: peaks of a survey scan around its ion; None where there are none.
    """

    name: str
    measured: dict[str, tuple[Any, ...]]
    problem: str = ""
    mass: float | None = None
    truth: Structure | None = None
    notes: tuple[str, ...] = ()
    origin: Origin = NO_ORIGIN
    share: float = 1.0
    betaine: bool = False
    ions: Mapping[str, float] = field(default_factory=dict)
    support: float = 0.0
    isotopes: PeakList | None = None

    @property
    def records(self) -> tuple[Any, ...]:
        """All of them, modality by modality."""
        return tuple(r for records in self.measured.values() for r in records)

    @property
    def ion(self) -> Any:
        """The first record that names an adduct or a precursor, or else the first."""
        ions = [r for r in self.records if _says(r, "adduct") or _says(r, "precursor_mz")]
        return ions[0] if ions else self.records[0] if self.records else None

    @property
    def adduct(self) -> str | None:
        """Of its ion, where that names one."""
        return getattr(self.ion, "adduct", None)


def _says(record: Any, name: str) -> bool:
    return getattr(record, name, None) is not None


@dataclass(frozen=True, slots=True)
class _Item:
    """A record with what its query states about it; `own` is its name, `label` that of the unknown."""

    record: Any
    modality: str
    label: str | None
    truth: Structure | None
    origin: Origin = NO_ORIGIN
    own: str | None = None


def unknowns_of(
    bundle: Bundle,
    queries: Sequence[Query],
    adduct: str | None,
    consensus: bool,
    modality: str | None,
    mass: float | None,
) -> list[Unknown]:
    """Queries as unknowns, each of whose measurements is checked against what the bundle can use."""
    groups: dict[Any, list[_Item]] = {}
    modalities_of = functools.cache(bundle.channels.modalities_of)
    for number, query in enumerate(queries, start=1):
        parts = list(query) if isinstance(query, Sequence) else [query]
        items = [_item(part, number, modality, modalities_of) for part in parts]
        label = next((i.label for i in items if i.label), None)
        name = label or f"query {number}"
        items = [replace(i, label=name, own=i.label) for i in items] or [_Item(None, "", name, None)]
        groups.setdefault(name if consensus and label else number, []).extend(items)
    return [_unknown(bundle, group, adduct, mass) for group in groups.values()]


def _item(
    part: Measurement | Record, number: int, modality: str | None, modalities_of: Callable[[type[Any]], list[str]]
) -> _Item:
    if isinstance(part, Measurement):
        return _Item(part.record, part.modality, _label(part), part.structure, part.origin)
    return _Item(part, modality or _modality_of(part, number, modalities_of), getattr(part, "identifier", None), None)


def _label(part: Measurement) -> str | None:
    """What people call a measurement: its name, or the feature, or the scan, or whatever its source calls it."""
    identifier, origin = getattr(part.record, "identifier", None), part.origin
    if part.name or not (origin.feature_id or origin.scans):
        return part.name or identifier
    if origin.feature_id:
        return f"feature {origin.feature_id}"
    # mzML writes controllerType=0 controllerNumber=1 scan=17.
    own = identifier in (None, origin.scans) or identifier.endswith(f"scan={origin.scans}")
    return f"scan {origin.scans}" if own else identifier


def _modality_of(record: Any, number: int, modalities_of: Callable[[type[Any]], list[str]]) -> str:
    """The modality of a bare record, by its type."""
    found = modalities_of(type(record))
    if len(found) != 1:
        what = f"may be any of {', '.join(found)}" if found else "belongs to no installed modality"
        raise RecordError(
            f"query {number} is a {type(record).__name__}, which {what}; pass a Measurement, which names its modality"
        )
    return found[0]


def _unknown(
    bundle: Bundle,
    group: Sequence[_Item],
    adduct: str | None,
    mass: float | None,
) -> Unknown:
    measured: dict[str, list[Any]] = {}
    masses: list[tuple[float, str]] = []
    notes: list[str] = []
    several = len(group) > 1
    for item in group:
        try:
            checked, own = _checked(bundle, item, adduct)
        except MolvisError as error:
            notes.append(f"{item.modality}: {error}" if several and item.modality else str(error))
            continue
        measured.setdefault(item.modality, []).append(checked)
        if own is not None:
            masses.append((own, describe_ion(checked, item.own)))
    problem = "" if measured else notes[0] if notes else "nothing was measured"
    if mass is None:
        mass, differ = common_mass(masses)
        problem = problem or differ
    truth = next((i.truth for i in group if i.truth is not None), None)
    kept = measured or _grouped(group)
    return Unknown(
        str(group[0].label),
        {m: tuple(r) for m, r in kept.items()},
        problem,
        mass,
        truth,
        tuple(notes if measured else ()),
        _one_origin([i.origin for i in group]),
    )


def _one_origin(origins: Sequence[Origin]) -> Origin:
    """Where the measurements of one unknown were found: their names side by side, the middle of their times."""

    def names(every: Iterable[str | None]) -> str | None:
        return ", ".join(dict.fromkeys(n for n in every if n)) or None

    times = [o.rt_min for o in origins if o.rt_min is not None]
    return Origin(
        names(o.feature_id for o in origins),
        names(o.scans for o in origins),
        float(np.median(times)) if times else None,
        names(o.source_file for o in origins),
    )


def _grouped(group: Sequence[_Item]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    for item in group:
        if item.record is not None:
            out.setdefault(item.modality, []).append(item.record)
    return out


def _checked(bundle: Bundle, item: _Item, adduct: str | None) -> tuple[Any, float | None]:
    """A record that the bundle can use, and the neutral mass that follows from it.

    Raises:
        MolvisError: the bundle cannot use it, and why.
    """
    if item.record is None:
        raise RecordError("nothing was measured")
    if item.modality in bundle.modalities:
        encoder = bundle.encoder(item.modality)
        if not isinstance(item.record, encoder.accepts):
            raise RecordError(
                f"a {type(item.record).__name__}; the {item.modality!r} encoder takes {encoder.accepts.__name__}"
            )
    elif not bundle.channels.scored(item.modality, item.record):
        raise BundleError(
            f"bundle {bundle.name!r} has no encoder for {item.modality!r} and no scorer that takes it; it knows "
            f"{', '.join(bundle.channels.modalities)}"
        )
    return check_ion(item.record, adduct)


def as_likely_ions(unknown: Unknown, names: Sequence[str] = ()) -> list[Unknown]:
    """An unknown whose ions name no adduct, once for each that they may be; any other, as it is.

    Args:
        unknown: whose mass follows from no ion.
        names: of adducts to try, instead of the likely ones of the ions' polarity and charge.

    Raises:
        AdductError: no adduct fits its polarity and charge, or its ions are of both polarities.
    """
    nameless = [
        r
        for r in unknown.records
        if getattr(r, "precursor_mz", None) is not None and getattr(r, "adduct", None) is None
    ]
    if unknown.problem or unknown.mass is not None or not nameless:
        return [unknown]
    modes = {m for r in nameless if (m := getattr(r, "ionmode", None))}
    charges = {r.charge for r in nameless if r.charge is not None}
    if len(modes) > 1 or len(charges) > 1:
        raise AdductError("its ions name no adduct and differ in polarity or charge; name their adducts")
    likely = likely_adducts(_only(modes), _only(charges), names or tuple(unknown.ions))
    likely = likely if names else _of_seen_charge(likely, unknown, nameless)
    found = [_as_ion(unknown, name, share) for name, share in likely.items()]
    # The lightest ions cannot be all of them.
    return [u for u in found if not u.problem] or found[:1]


def _of_seen_charge(likely: dict[str, float], unknown: Unknown, records: Sequence[Any]) -> dict[str, float]:
    """Adducts without those of several charges of which nothing is seen; all of them where no other is left."""
    if any(r.charge is not None or _has_larger(r) for r in records):
        return likely
    single = {a: s for a, s in likely.items() if abs(parse_adduct(a).charge) == 1 or unknown.ions.get(a, 0.0) > 0}
    return single or likely


def _has_larger(record: Any) -> bool:
    """Whether a spectrum has a peak above its precursor and the isotopes of that.

    Ions of two charges break into two of one, the heavier of which is there: in 19 of 21 such spectra of MassBank's
    open training and validation compounds (all of 6), and in 3% of those of ions of one charge.
    """
    return not isinstance(record, PeakList) or bool((record.mz > (record.precursor_mz or 0.0) + 1.5).any())


def _only(values: set[Any]) -> Any:
    """The one that there is, or None."""
    return next(iter(values), None)


def as_betaine(unknown: Unknown) -> Unknown | None:
    """An unknown whose ions are `[M]+`, with the same ions as `[M+H]+` of a betaine; None for any other.

    The cation of carnitine is written as `[M]+` of a cation and as `[M+H]+` of the betaine; libraries hold the betaine.
    """
    named = {a for r in unknown.records if (a := getattr(r, "adduct", None))}
    if unknown.problem or unknown.mass is None or named != {"[M]+"}:
        return None
    nameless = {
        m: tuple(dataclasses.replace(r, adduct=None) if getattr(r, "adduct", None) else r for r in records)
        for m, records in unknown.measured.items()
    }
    found = _as_ion(dataclasses.replace(unknown, measured=nameless), "[M+H]+", unknown.share)
    return None if found.problem or found.mass is None else dataclasses.replace(found, betaine=True)


def _as_ion(unknown: Unknown, adduct: str, share: float) -> Unknown:
    """An unknown with this adduct for the ions that name none."""
    masses: list[tuple[float, str]] = []
    measured: dict[str, tuple[Any, ...]] = {}
    problem = ""
    for modality, records in unknown.measured.items():
        checked: list[Any] = []
        for record in records:
            try:
                named, mass = check_ion(record, adduct)
            except AdductError as error:
                problem, named, mass = problem or str(error), record, None
            checked.append(named)
            masses += [(mass, describe_ion(named))] if mass is not None else []
        measured[modality] = tuple(checked)
    mass, differ = common_mass(masses)
    return dataclasses.replace(
        unknown,
        measured=measured,
        mass=mass,
        problem=problem or differ,
        share=share,
        support=unknown.ions.get(adduct, 0.0),
    )
