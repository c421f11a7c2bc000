"""Models that INCA saved in MATLAB files.

INCA keeps a model in the variable `m`: `rates` with their fluxes `flx`, `states`, `mets`, and `expts` with their
`tracers`, `data_flx`, `data_ms` and `data_cxn`. These names are public, by INCAWrapper and by scripts that authors
deposited; how `flx.sub` and `flx.prod` keep atoms is not. Atom maps are read where a text has them, or participants
with `id`, `coef` and `atoms`; else a table of reactions gives them.

Reference: Young, Bioinformatics 30 (2014) 1333, doi:10.1093/bioinformatics/btu015; Rasmussen et al., Bioinformatics 40
(2024), INCAWrapper.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import did_you_mean
from molvis_flux.formats.builder import Draft, reverse
from molvis_flux.formats.equations import add_reaction
from molvis_flux.formats.experiments import settle_roles
from molvis_flux.formats.inca_parts import joined, mixture, normalised
from molvis_flux.formats.matlab import load, number, records, text
from molvis_flux.formats.notation import reaction as parse_reaction
from molvis_flux.formats.notation import split_atoms
from molvis_flux.model.network import Datum, Fragment, Participant

Equations = Mapping[str, str]

_WIDE = 1e6
"""Bounds beyond are those that INCA sets where nobody does, 1e7."""

_LABELLED = re.compile(r"(?:(?P<id>[^@]*?)\s*:\s+)?(?P<met>\S+)\s*@\s*(?P<atoms>[\w\s,.]*)")
_NAMED = re.compile(r"(?P<atom>[A-Z][a-z]?\d+):(?P<label>\w+)")
_EXPERIMENT = {"id", "on", "tracers", "data_flx", "data_ms", "data_cxn", "notes", "base"}


def is_model(names: tuple[str, ...]) -> bool:
    """Whether variables are those of INCA: the model `m`, and fit `f` and simulation `s` beside it."""
    return "m" in names


def read_mat(path: Path, draft: Draft, equations: Equations) -> None:
    """Fill a draft from a MATLAB file.

    Args:
        path: the file.
        draft: to be filled.
        equations: of reactions whose atom maps the file keeps in a form that is not known.

    Raises:
        ReadError: it has no model, or one of which something cannot be.
    """
    found = load(path)
    model = next(iter(records(found.get("m"))), None)
    if model is None or not records(model.get("rates")):
        raise draft.error(
            f"has no model of INCA: a variable `m` with `rates`; it has {', '.join(found) or 'none'}. Save the model "
            "as `m`"
        )
    rates = records(model["rates"])
    off = [name for name, rate in ((_rate_name(r), r) for r in rates) if not number(rate.get("on"), 1.0)]
    for rate in rates:
        name = _rate_name(rate)
        if name not in off:
            _reaction(draft, name, rate, equations)
    if off:
        draft.notes.append(f"{path}: reactions that are switched off are left out: {', '.join(off)}.")
    settle_roles(draft)
    _states(draft, records(model.get("states")))
    _symmetries(draft, records(model.get("mets")))
    for i, experiment in enumerate(records(model.get("expts"))):
        _experiment(draft, text(experiment.get("id")) or f"experiment {i + 1}", experiment)
    if "options" in model:
        draft.notes.append(f"{path}: options of INCA are not used.")
    if others := [name for name in found if name != "m"]:
        draft.notes.append(f"{path}: results of INCA are not used: {', '.join(others)}.")
    draft.cap_at_scale()


def _rate_name(rate: Mapping[str, Any]) -> str:
    """The name of a reaction: that of the rate, or of its fluxes."""
    fluxes = records(rate.get("flx"))
    return text(rate.get("id")) or (text(fluxes[0].get("rxn")) if fluxes else "")


def _reaction(draft: Draft, name: str, rate: Mapping[str, Any], equations: Equations) -> None:
    fluxes = records(rate.get("flx"))
    if not name:
        raise draft.error("a rate has neither `id` nor `flx.rxn`; name the reactions in INCA")
    equation = equations.get(name) or _equation(rate, *fluxes)
    if equation:
        try:
            substrates, products, reversible = parse_reaction(equation)
        except ValueError as error:
            raise draft.error(f"reaction {name!r}: {error}") from error
    else:
        substrates, products = _side(draft, name, fluxes, "sub"), _side(draft, name, fluxes, "prod")
        reversible = len(fluxes) > 1
    add_reaction(draft, name, _in_order(substrates), _in_order(products), reversible, None)
    _limits(draft, name, fluxes)


def _equation(*tables: Mapping[str, Any]) -> str:
    """The first text of a field that is a reaction."""
    texts = (text(value) for table in tables for value in table.values())
    return next((found for found in texts if re.search(r"<?-+>", found)), "")


def _side(draft: Draft, name: str, fluxes: list[dict[str, Any]], key: str) -> tuple[Participant, ...]:
    """Participants that the first flux of a reaction has as structs."""
    found: list[Participant] = []
    for item in records(fluxes[0].get(key)) if fluxes else []:
        metabolite = text(item.get("id")) or text(item.get("met"))
        atoms = item.get("atoms", "")
        if not metabolite or not isinstance(atoms, (str, list)):
            found = []
            break
        labels = tuple(map(str, atoms)) if isinstance(atoms, list) else split_atoms(atoms)
        found.append(Participant(metabolite, number(item.get("coef"), 1.0), labels))
    if not found and key == "sub":
        raise draft.error(
            f"reaction {name!r} has no equation, and its atoms are kept in a form of INCA's that is not published; "
            "give the reactions as a table beside it: `reactions=` a CSV with the columns rxn_id and rxn_eqn"
        )
    return tuple(found)


def _in_order(side: tuple[Participant, ...]) -> tuple[Participant, ...]:
    """Atoms that are named, `A (C1:a C2:b)`, by their number."""
    ordered = []
    for participant in side:
        # One named atom has no blank by which it is told from letters.
        whole = "".join(participant.atoms)
        pairs = [_NAMED.fullmatch(atom) for atom in ((whole,) if _NAMED.fullmatch(whole) else participant.atoms)]
        if pairs and all(pairs):
            named = sorted((int(re.sub(r"\D", "", p["atom"])), p["label"]) for p in pairs if p)
            participant = dataclasses.replace(participant, atoms=tuple(label for _, label in named))
        ordered.append(participant)
    return tuple(ordered)


def _limits(draft: Draft, name: str, fluxes: list[dict[str, Any]]) -> None:
    """Values and bounds. INCA has both directions; molvis their difference and the lesser of them."""
    reaction = draft.reactions[name]
    ahead = [f for f in fluxes if text(f.get("dir")) != "b"]
    back = [f for f in fluxes if text(f.get("dir")) == "b"]
    if not ahead:
        return
    (low, high, value, fixed), (low_b, high_b, value_b, fixed_b) = (
        _flux(draft, name, of[0]) if of else (0.0, math.inf if reaction.reversible else 0.0, math.nan, False)
        for of in (ahead, back)
    )
    if math.isfinite(value):
        draft.fluxes["net", name] = value - (value_b if math.isfinite(value_b) else 0.0)
        if reaction.reversible and math.isfinite(value_b):
            draft.fluxes["exchange", name] = min(value, value_b)
    if not reaction.reversible:
        draft.bound("net", name, low, high)
        return
    if fixed and fixed_b:
        draft.bound("exchange", name, min(value, value_b), min(value, value_b))
    draft.bound("net", name, low - high_b, high - low_b)
    draft.bound("exchange", name, min(low, low_b), min(high, high_b))


def _flux(draft: Draft, name: str, flux: Mapping[str, Any]) -> tuple[float, float, float, bool]:
    """Bounds and value of one direction; fixed ones have their value as both bounds."""
    value = number(flux.get("val"), math.nan)
    low, high = number(flux.get("lb"), 0.0), number(flux.get("ub"), math.inf)
    if number(flux.get("fix"), 0.0) and math.isfinite(value):
        return value, value, value, True
    low, high = (0.0 if not low > 1e-6 else low), (math.inf if not high < _WIDE else high)
    if low > high:
        raise draft.error(f"the flux of {name!r} has the bounds {low:g} and {high:g}, the wrong way round")
    return low, high, value, False


def _states(draft: Draft, states: list[dict[str, Any]]) -> None:
    """Pool sizes, and what is not balanced."""
    for state in states:
        name = text(state.get("met")) or text(state.get("id"))
        metabolite = draft.metabolites.get(name)
        if metabolite is None:
            continue
        value = number(state.get("val"), math.nan)
        if math.isfinite(value) and value > 0:
            draft.pools[name] = value
            low, high = number(state.get("lb"), 0.0), number(state.get("ub"), math.inf)
            fixed = number(state.get("fix"), 0.0)
            pool = (value, value) if fixed else (max(low, 0.0), high if high < _WIDE else max(1000.0, 10 * value))
            metabolite = dataclasses.replace(metabolite, pool=pool)
        if not number(state.get("bal"), 1.0) and metabolite.role == "balanced":
            used = any(p.metabolite == name for r in draft.reactions.values() for p in r.substrates)
            metabolite = dataclasses.replace(metabolite, role="source" if used else "sink")
            draft.notes.append(
                f"{draft.path}: {name} is not balanced though reactions make and use it: taken as given from outside."
            )
        draft.metabolites[name] = metabolite


def _symmetries(draft: Draft, metabolites: list[dict[str, Any]]) -> None:
    """Molecules with a map of their atoms onto themselves; only that by half a turn is understood."""
    for item in metabolites:
        name = text(item.get("id"))
        metabolite = draft.metabolites.get(name)
        if metabolite is None or not _held(item.get("sym")):
            continue
        draft.metabolites[name] = dataclasses.replace(metabolite, symmetries=reverse(metabolite.elements))
        draft.notes.append(f"{draft.path}: {name} is symmetric: taken as the same read from both ends.")


def _held(value: Any) -> bool:
    """Whether a field holds anything."""
    return bool(value.size) if isinstance(value, np.ndarray) else bool(value)


def _experiment(draft: Draft, name: str, experiment: Mapping[str, Any]) -> None:
    if not number(experiment.get("on"), 1.0):
        draft.notes.append(f"{draft.path}: experiment {name!r} is switched off and left out.")
        return
    parts: dict[str, list[tuple[tuple[int, ...], float, float]]] = {}
    for item in records(experiment.get("tracers")):
        source, atoms, _ = _labelled(draft, item, f"a tracer of {name!r}")
        share = number(item.get("frac"), 1.0)
        parts.setdefault(source, []).append((tuple(a + 1 for a in atoms), share, _purity(draft, source, item)))
    tracers = draft.tracers.setdefault(name, {})
    for source, found in parts.items():
        tracers[source] = mixture(draft, source, found, None, None)
    data = draft.data.setdefault(name, [])
    for key, kind in (("data_flx", "net"), ("data_cxn", "pool")):
        data += _scalars(draft, records(experiment.get(key)), kind)
    for item in records(experiment.get("data_ms")):
        if number(item.get("on"), 1.0):
            data += _mids(draft, item)
    unknown = [key for key in experiment if key not in _EXPERIMENT and _held(experiment[key])]
    if unknown:
        draft.notes.append(f"{draft.path}: not read of experiment {name!r}: {', '.join(sorted(unknown))}.")


def _labelled(draft: Draft, item: Mapping[str, Any], what: str) -> tuple[str, tuple[int, ...], str]:
    """Metabolite, atoms from 0 and name, of `Glc1: Glc @ 1 2` or of the fields `met` and `atoms`."""
    match = next((m for value in item.values() if (m := _LABELLED.fullmatch(text(value)))), None)
    if match is not None:
        name, metabolite, where = (match["id"] or "").strip(), match["met"], match["atoms"]
    else:
        name, metabolite = text(item.get("id")), text(item.get("met")) or text(item.get("state"))
        where = _atoms(item.get("atoms", ""))
    if not metabolite:
        raise draft.error(f"{what} ({name or 'without a name'}) names no metabolite; it is `met`, or `id: met @ 1 2`")
    if metabolite not in draft.metabolites:
        near = did_you_mean(metabolite, draft.metabolites)
        raise draft.error(f"{what} is of {metabolite!r}, which the model has not.{near}")
    digits = " ".join(re.findall(r"\d+", where))
    found = draft.atoms(digits, draft.metabolites[metabolite], what, None) if digits else ()
    return metabolite, found, name or text(item.get("id")) or metabolite


def _atoms(value: Any) -> str:
    """The atoms of a field: a text, numbers, or structs with `id`."""
    if isinstance(value, np.ndarray):
        return " ".join(str(int(a)) for a in value.ravel())
    cells = [text(row.get("id")) for row in records(value)] or ([value] if isinstance(value, str) else value)
    return " ".join(map(str, cells))


def _purity(draft: Draft, source: str, item: Mapping[str, Any]) -> float:
    """The share of the heavy isotope at the labelled atoms, of the light and heavy shares `it` of each."""
    groups = records(item.get("atoms"))
    stated = {round(float(it.ravel()[-1]), 12) for g in groups if isinstance(it := g.get("it"), np.ndarray) and it.size}
    if len(stated) > 1:
        raise draft.error(f"the labelled atoms of a tracer of {source!r} have the purities {sorted(stated)}; give one")
    return stated.pop() if stated else 1.0


def _scalars(draft: Draft, items: list[dict[str, Any]], kind: str) -> Iterator[Datum]:
    """Measured fluxes or pool sizes."""
    for item in items:
        name = text(item.get("id"))
        # INCA writes the net flux of a reversible reaction as `R2 net`.
        target, _, which = name.partition(" ")
        target, of = (target, {"exch": "exchange"}.get(which, kind)) if which in ("net", "exch") else (name, kind)
        known = draft.known_metabolite if kind == "pool" else draft.known_reaction
        known(target, None, f"a measured {'pool' if kind == 'pool' else 'flux'}")
        if number(item.get("on"), 1.0):
            yield Datum(target, of, (number(item.get("val"), math.nan),), (number(item.get("std"), math.nan),))


def _mids(draft: Draft, item: Mapping[str, Any]) -> Iterator[Datum]:
    metabolite, atoms, name = _labelled(draft, item, "a fragment")
    atoms = atoms or tuple(range(len(draft.metabolites[metabolite].elements)))
    more = text(item.get("more"))
    elements = tuple(draft.metabolites[metabolite].elements[i] for i in atoms)
    formula = joined(f"C{len(atoms)}{more}") if more else ""
    draft.fragments.setdefault(name, Fragment(name, ((1.0, metabolite, atoms),), elements, formula))
    columns = [column for idv in _idvs(item.get("idvs")) for column in _columns(draft, name, idv)]
    stationary = all(time in (0.0, math.inf) for time, *_ in columns)
    length = len(elements) + 1
    for time, values, sd in columns:
        fill = (math.nan,) * (length - len(values))
        yield normalised(
            name, (*values, *fill), (*sd, *fill), time=None if stationary else time, corrected=not more
        )  # fmt: skip


def _idvs(value: Any) -> list[dict[str, Any]]:
    """One table with columns of measurements, or one for each measurement; INCA has either."""
    return [row for row in ([value] if isinstance(value, dict) else value or []) if isinstance(row, dict)]


def _columns(
    draft: Draft, name: str, idv: Mapping[str, Any]
) -> Iterator[tuple[float, tuple[float, ...], tuple[float, ...]]]:
    """Time, fractions and standard deviations of each measurement."""
    values, sd = idv.get("val"), idv.get("std")
    if not isinstance(values, np.ndarray) or not values.size:
        return
    values = np.atleast_2d(values.T).T if values.ndim == 1 else values
    values = values.T if values.shape[0] == 1 else values
    spread = np.full(values.shape, math.nan) if not isinstance(sd, np.ndarray) or not sd.size else sd
    spread = spread.reshape(values.shape) if spread.size == values.size else spread
    if spread.shape != values.shape:
        raise draft.error(f"fragment {name!r} has {values.size} fractions and {spread.size} standard deviations")
    times = idv.get("time")
    times = times.ravel() if isinstance(times, np.ndarray) and times.size else np.zeros(values.shape[1])
    if len(times) != values.shape[1]:
        raise draft.error(f"fragment {name!r} has {values.shape[1]} measurements and {len(times)} times")
    on = idv.get("on")
    used = on.ravel() if isinstance(on, np.ndarray) and on.size == values.shape[1] else np.ones(values.shape[1])
    for j in np.flatnonzero(used):
        yield float(times[j]), tuple(map(float, values[:, j])), tuple(map(float, spread[:, j]))
