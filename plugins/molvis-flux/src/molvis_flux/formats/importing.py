"""Measured tables joined to a network: which compound is which metabolite, and what had to be assumed."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from molvis_core.errors import ReadError, did_you_mean
from molvis_flux.formats.builder import reverse
from molvis_flux.formats.isotopologues import Isotopologues
from molvis_flux.formats.notation import tracer
from molvis_flux.model.network import Datum, Experiment, Fragment, Metabolite, Network, Study, Tracer

_SYMMETRIC = ("suc", "succ", "succinate", "fum", "fumarate")
"""Metabolites that look the same from both ends, by the names that models give them."""

_LONG = {
    "alanine": "ala", "glycine": "gly", "serine": "ser", "valine": "val", "leucine": "leu", "isoleucine": "ile",
    "aspartate": "asp", "glutamate": "glu", "glutamine": "gln", "phenylalanine": "phe", "tyrosine": "tyr",
    "pyruvate": "pyr", "lactate": "lac", "citrate": "cit", "succinate": "suc", "fumarate": "fum", "malate": "mal",
    "alphaketoglutarate": "akg", "2oxoglutarate": "akg", "ketoglutarate": "akg", "glucose6phosphate": "g6p",
    "fructose6phosphate": "f6p", "phosphoenolpyruvate": "pep", "3phosphoglycerate": "3pg", "oxaloacetate": "oaa",
}  # fmt: skip
"""Names of metabolites, and what models call them."""


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """Standard deviations of fractions for which a table has none: the greater of the two.

    Attributes:
        floor: of any fraction.
        relative: times the fraction.
    """

    floor: float = 0.01
    relative: float = 0.0

    def of(self, value: float) -> float:
        """The standard deviation of a fraction."""
        return max(self.floor, self.relative * abs(value))


def import_measurements(
    study: Study,
    measured: Sequence[Isotopologues],
    *,
    names: Mapping[str, str] | None = None,
    tracers: Mapping[str, object] | None = None,
    raw: bool = False,
    errors: ErrorModel | None = None,
) -> Study:
    """A study with measured isotopologues as its experiments, one for each sample.

    Args:
        study: the network; its own experiments are replaced.
        measured: as `molvis_flux.formats.isotopologues.read_isotopologues` has them.
        names: fragment or metabolite of the network by compound, where the proposed one is not right; "" leaves it out.
        tracers: by source, of every sample, as `molvis_flux.formats.notation.tracer` reads them.
        raw: natural isotopes are still in the data. Then each compound needs its formula.
        errors: of fractions without a standard deviation.

    Returns:
        The study, in whose notes stands whatever was assumed.

    Raises:
        ReadError: a compound or a source that the network does not have, more masses than a fragment can have, or raw
            data of a compound without a formula.
    """
    names, errors = dict(names or {}), errors or ErrorModel()
    network, notes = _with_symmetries(study.network)
    fragments = dict(network.fragments)
    data: dict[str, list[Datum]] = {}
    proposed: dict[str, str] = {}
    for item in measured:
        target = names.get(item.compound)
        if target is None:
            target = proposed[item.compound] = _propose(item, network)
        if not target:
            continue
        fragment = fragments[target] = _fragment(fragments, network, item, target, raw=raw)
        data.setdefault(item.sample or "measured", []).append(_datum(item.normalised(), fragment, errors, raw=raw))
    notes += [f"{compound!r} is taken as {target!r}." for compound, target in proposed.items() if compound != target]
    notes += _assumed([item for item in measured if names.get(item.compound, "?")], errors, raw=raw)
    fed = _fed(network, tracers or {}, notes)
    experiments = tuple(Experiment(name, dict(fed), tuple(some)) for name, some in data.items())
    made = dataclasses.replace(network, fragments=fragments)
    return dataclasses.replace(study, network=made, experiments=experiments, notes=(*study.notes, *notes))


def _assumed(measured: Sequence[Isotopologues], errors: ErrorModel, *, raw: bool) -> list[str]:
    """What was assumed of the numbers."""
    notes: list[str] = []
    if scaled := [item.compound for item in measured if item.unit != "fraction"]:
        notes.append(f"{_few(scaled)}: areas or percent, made to sum to one.")
    if bare := [item.compound for item in measured if not item.sd]:
        notes.append(
            f"{_few(bare)}: no standard deviations in the table; taken as the greater of {errors.floor:g} and "
            f"{errors.relative:g} times the fraction."
        )
    if raw:
        return [*notes, "Natural isotopes are still in the data; they are simulated, by the formulas of the fragments."]
    return [*notes, "The data are taken as corrected for natural isotopes; --raw says that they are not."]


def _fragment(
    fragments: Mapping[str, Fragment], network: Network, item: Isotopologues, target: str, *, raw: bool
) -> Fragment:
    """What a compound is a measurement of, with its formula where natural isotopes are in the data."""
    fragment = fragments[target] if target in fragments else _whole(network, item, target)
    if not raw or fragment.formula:
        return fragment
    if not item.formula:
        raise _error(item, f"{item.compound!r} is raw and has no formula; add a column `formula`")
    return dataclasses.replace(fragment, formula=item.formula)


def _error(item: Isotopologues, reason: str) -> ReadError:
    file, _, line = item.where.rpartition(":")
    return ReadError(file, reason, line=int(line))


def _few(compounds: Sequence[str]) -> str:
    some = list(dict.fromkeys(compounds))
    return ", ".join(some[:4]) + (f" and {len(some) - 4} more" if len(some) > 4 else "")


def _plain(name: str) -> str:
    """A name without case, compartment and punctuation, and short where models have it short."""
    bare = re.sub(r"[^a-z0-9]", "", re.sub(r"([._\[](c|m|e|ex|cyt|mit)\]?)$", "", name.lower()))
    return _LONG.get(bare, bare)


def _propose(item: Isotopologues, network: Network) -> str:
    """The fragment or metabolite of the network that a compound most likely is.

    Raises:
        ReadError: none has its name, or several do.
    """
    if item.compound in network.fragments or item.compound in network.metabolites:
        return item.compound
    wanted = _plain(item.compound)
    for known in (network.fragments, {n: m for n, m in network.metabolites.items() if m.elements}):
        found = [name for name in known if _plain(name) == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise _error(
                item,
                f"{item.compound!r} may be {' or '.join(map(repr, found))}; say which with "
                f"--name {item.compound}={found[0]}, or leave it out with --name {item.compound}=",
            )
    near = did_you_mean(item.compound, [*network.fragments, *network.metabolites])
    raise _error(
        item,
        f"the network has no fragment or metabolite {item.compound!r}.{near} Say which it is with --name "
        f"{item.compound}=METABOLITE, or leave it out with --name {item.compound}=",
    )


def _whole(network: Network, item: Isotopologues, target: str) -> Fragment:
    """All atoms of a metabolite as a fragment."""
    metabolite = network.metabolites.get(target)
    if metabolite is None or not metabolite.elements:
        near = did_you_mean(target, network.metabolites)
        raise _error(item, f"{target!r} is no fragment, and no metabolite whose atoms are followed.{near}")
    atoms = tuple(range(len(metabolite.elements)))
    return Fragment(target, ((1.0, target, atoms),), metabolite.elements, where=item.where)


def _datum(item: Isotopologues, fragment: Fragment, errors: ErrorModel, *, raw: bool) -> Datum:
    """A measured distribution, as long as its fragment can be."""
    length = len(fragment.elements) + 1
    values, sd = item.values, item.sd or tuple(errors.of(v) for v in item.values)
    if not raw and len(values) > length:
        beyond = values[length:]
        if any(v == v and abs(v) > 1e-6 for v in beyond):
            raise _error(
                item,
                f"{item.compound!r} has M+{len(values) - 1}, and {fragment.name!r} has {length - 1} atoms that carry "
                "label; is it another fragment, or raw (--raw)?",
            )
        values, sd = values[:length], sd[:length]
    fill = (math.nan,) * (0 if raw else length - len(values))
    return Datum(fragment.name, "mid", (*values, *fill), (*sd, *fill), corrected=not raw, where=item.where)


def _with_symmetries(network: Network) -> tuple[Network, list[str]]:
    """Succinate and fumarate of four carbons look the same from both ends; models that omit that are told so."""
    metabolites: dict[str, Metabolite] = dict(network.metabolites)
    notes: list[str] = []
    for name, metabolite in metabolites.items():
        if _plain(name) in _SYMMETRIC and len(metabolite.elements) == 4 and not metabolite.symmetries:
            metabolites[name] = dataclasses.replace(metabolite, symmetries=reverse(metabolite.elements))
            notes.append(f"{name!r} is taken as symmetric: its carbons 1 to 4 read the same from both ends.")
    return dataclasses.replace(network, metabolites=metabolites), notes


def _fed(network: Network, tracers: Mapping[str, object], notes: list[str]) -> dict[str, Tracer]:
    """Tracers by source; what has none is unlabelled, and the notes say so.

    Raises:
        ReadError: a source that there is not, or a labelling that it cannot have.
    """
    sources = {m.name: m for m in network.metabolites.values() if m.role == "source" and m.elements}
    found: dict[str, Tracer] = {}
    for name, spec in tracers.items():
        if name not in sources:
            near = did_you_mean(name, sources)
            raise ReadError(
                "--tracer", f"{name!r} is no source of labelled atoms.{near} There are {', '.join(sources)}"
            )
        try:
            found[name] = tracer(spec, len(sources[name].elements))
        except ValueError as error:
            raise ReadError("--tracer", f"the tracer of {name!r}: {error}") from error
    if bare := [name for name in sources if name not in found]:
        notes.append(f"Taken as unlabelled: {', '.join(bare)}.")
    return found
