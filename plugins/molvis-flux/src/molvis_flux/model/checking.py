"""What is wrong with a study, each fault with its place and what to change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from molvis_core.errors import did_you_mean
from molvis_flux.model.network import (
    Datum,
    Experiment,
    Fragment,
    Metabolite,
    Network,
    Participant,
    Reaction,
    Study,
    Tracer,
)

_SUM_ERROR = 0.05
_SUM_WARNING = 0.005


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault.

    Attributes:
        severity: `error`: results would be wrong or cannot be had; `warning`: worth a look.
        message: what was found, and what to change.
        where: `file:line`, or empty.
        conditions: those that clash, where the fluxes have no solution.
    """

    severity: Literal["error", "warning"]
    message: str
    where: str = ""
    conditions: tuple[str, ...] = ()


def check_structure(study: Study) -> tuple[Finding, ...]:
    """Faults of atom maps, metabolites, bounds, fragments, tracers and measurements; no fluxes are solved for."""
    network = study.network
    found = [
        *(f for reaction in network.reactions.values() for f in _reaction(reaction, network)),
        *_metabolites(network),
        *_constraints(network),
        *(f for fragment in network.fragments.values() for f in _fragment(fragment, network)),
        *(f for experiment in study.experiments for f in _experiment(experiment, network)),
        *_values(study),
    ]
    return tuple(found)


def _error(message: str, where: str = "") -> Finding:
    return Finding("error", message, where)


def _warning(message: str, where: str = "") -> Finding:
    return Finding("warning", message, where)


def _reaction(reaction: Reaction, network: Network) -> Iterator[Finding]:
    name, where = reaction.name, reaction.where
    sides = (("substrates", reaction.substrates), ("products", reaction.products))
    elements: dict[str, dict[str, tuple[str, str]]] = {"substrates": {}, "products": {}}
    sound = True
    if not reaction.substrates and not reaction.products:
        yield _error(f"reaction {name!r} has neither substrates nor products; write at least one", where)
    for side, participants in sides:
        for participant in participants:
            metabolite = network.metabolites.get(participant.metabolite)
            if metabolite is None:
                sound = False
                near = did_you_mean(participant.metabolite, network.metabolites)
                yield _error(f"reaction {name!r} has the unknown metabolite {participant.metabolite!r}.{near}", where)
                continue
            if not participant.coefficient >= 0 or math.isinf(participant.coefficient):
                yield _error(
                    f"reaction {name!r}: the coefficient of {metabolite.name!r} is {participant.coefficient:g}; it is "
                    "a positive number",
                    where,
                )
            if participant.atoms and len(participant.atoms) != len(metabolite.elements):
                sound = False
                yield _error(
                    f"reaction {name!r} maps {len(participant.atoms)} atoms of {metabolite.name!r} "
                    f"({_shown(participant)}), which has {len(metabolite.elements)}; correct the map or the metabolite",
                    where,
                )
                continue
            for label, element in zip(participant.atoms, metabolite.elements, strict=False):
                if label in elements[side]:
                    sound = False
                    yield _error(
                        f"reaction {name!r}: atom {label!r} stands twice among the {side} ({_equation(reaction)}); "
                        "give each atom a label of its own",
                        where,
                    )
                elements[side][label] = (element, metabolite.name)
    if sound and elements["products"]:
        yield from _balance(reaction, elements["substrates"], elements["products"])
    yield from _bounds(reaction)


def _balance(
    reaction: Reaction, left: dict[str, tuple[str, str]], right: dict[str, tuple[str, str]]
) -> Iterator[Finding]:
    name, where = reaction.name, reaction.where
    for label, (element, metabolite) in right.items():
        if label not in left:
            yield _error(
                f"reaction {name!r} does not balance: atom {label!r} of product {metabolite!r} comes from no substrate "
                f"({_equation(reaction)}); correct the map",
                where,
            )
        elif left[label][0] != element:
            yield _error(
                f"reaction {name!r} turns atom {label!r} from {left[label][0]} of {left[label][1]!r} into {element} of "
                f"{metabolite!r}; correct the map, or the elements of one of them",
                where,
            )
    lost = [label for label in left if label not in right]
    if lost:
        text = (
            f"reaction {name!r}: {'atom' if len(lost) == 1 else 'atoms'} {', '.join(map(repr, lost))} of "
            f"{', '.join(dict.fromkeys(repr(left[label][1]) for label in lost))} "
            f"{'is' if len(lost) == 1 else 'are'} in no product ({_equation(reaction)})"
        )
        if reaction.reversible:
            yield _error(f"{text}, so its way back does not balance; add the product, or make it irreversible", where)
        else:
            yield _warning(f"{text}; right where a product is left out on purpose", where)
    for participant in (*reaction.substrates, *reaction.products):
        if participant.atoms and participant.coefficient not in (0, 1):
            yield _warning(
                f"reaction {name!r} follows the atoms of one {participant.metabolite!r}, and its coefficient is "
                f"{participant.coefficient:g}; write a metabolite that takes part twice out twice",
                where,
            )


def _bounds(reaction: Reaction) -> Iterator[Finding]:
    for kind, (low, high) in (("net", reaction.net), ("exchange", reaction.exchange)):
        if kind == "exchange" and not reaction.reversible:
            continue
        if math.isnan(low) or math.isnan(high):
            yield _error(f"a bound of the {kind} flux of {reaction.name!r} is NaN; write a number", reaction.where)
        elif low > high:
            yield _error(
                f"the {kind} flux of {reaction.name!r} is bounded by {low:g} from below and {high:g} from above; no "
                "flux lies between. Swap or correct them",
                reaction.where,
            )
        elif kind == "exchange" and high < 0:
            yield _error(f"the exchange flux of {reaction.name!r} cannot be negative ({high:g})", reaction.where)


def _metabolites(network: Network) -> Iterator[Finding]:
    made, used = _made_and_used(network)
    bare = _made_without_map(network)
    for name, metabolite in network.metabolites.items():
        yield from _role(metabolite, made.get(name), used.get(name), bare.get(name))
        for turn in metabolite.symmetries:
            if sorted(turn) != list(range(len(metabolite.elements))):
                yield _error(f"a symmetry of {name!r} is no permutation of its {len(metabolite.elements)} atoms")
        if metabolite.pool is not None and not 0 <= metabolite.pool[0] <= metabolite.pool[1]:
            yield _error(f"the pool of {name!r} is bounded by {metabolite.pool}; write a low and a high number from 0")


def _made_and_used(network: Network) -> tuple[dict[str, Reaction], dict[str, Reaction]]:
    """The first reaction that can make each metabolite, and the first that can use it."""
    made: dict[str, Reaction] = {}
    used: dict[str, Reaction] = {}
    for reaction in network.reactions.values():
        for participants, forward, backward in (
            (reaction.substrates, used, made),
            (reaction.products, made, used),
        ):
            for participant in participants:
                forward.setdefault(participant.metabolite, reaction)
                if reaction.reversible:
                    backward.setdefault(participant.metabolite, reaction)
    return made, used


def _made_without_map(network: Network) -> dict[str, Reaction]:
    """The first reaction that makes each metabolite without saying where its atoms come from."""
    bare: dict[str, Reaction] = {}
    for reaction in network.reactions.values():
        for participant in reaction.products:
            if not participant.atoms and participant.coefficient:
                bare.setdefault(participant.metabolite, reaction)
    return bare


def _role(
    metabolite: Metabolite, made: Reaction | None, used: Reaction | None, bare: Reaction | None
) -> Iterator[Finding]:
    """Whether the reactions around a metabolite suit its role."""
    name, balanced = metabolite.name, metabolite.role == "balanced"
    if made is None and used is None:
        yield _warning(f"metabolite {name!r} is in no reaction; take it away, or add one")
    elif balanced and used is not None and made is None:
        yield _error(
            f"metabolite {name!r} is used by {used.name!r} and never made; make it a source, or add a "
            "reaction that makes it",
            used.where,
        )
    elif balanced and made is not None and used is None:
        yield _error(
            f"metabolite {name!r} is made by {made.name!r} and never used, so that no flux can make it; make "
            f"it a sink, or add a reaction that uses it, such as {name} -> ",
            made.where,
        )
    elif balanced and metabolite.elements and bare is not None:
        yield _warning(
            f"reaction {bare.name!r} makes {name!r} without a map of its atoms; its labelling takes no part "
            "of it. Write the map",
            bare.where,
        )


def _constraints(network: Network) -> Iterator[Finding]:
    for constraint in network.constraints:
        text = constraint.name or "a constraint"
        for kind, name, factor in constraint.terms:
            if name not in network.reactions:
                near = did_you_mean(name, network.reactions)
                yield _error(f"{text!r} names the unknown reaction {name!r}.{near}", constraint.where)
            elif kind not in ("net", "exchange"):
                yield _error(f"{text!r} is about {kind!r} of {name!r}; kinds are net and exchange", constraint.where)
            if not math.isfinite(factor):
                yield _error(f"{text!r} has the coefficient {factor} of {name!r}", constraint.where)
        if math.isnan(constraint.low) or math.isnan(constraint.high) or constraint.low > constraint.high:
            yield _error(
                f"{text!r} lies between {constraint.low:g} and {constraint.high:g}; no flux does", constraint.where
            )


def _fragment(fragment: Fragment, network: Network) -> Iterator[Finding]:
    label, where = f"fragment {fragment.name!r}", fragment.where
    for pool, atoms in [*((pool, atoms) for _, pool, atoms in fragment.parts), *fragment.convolved]:
        metabolite = network.metabolites.get(pool)
        if metabolite is None:
            near = did_you_mean(pool, network.metabolites)
            yield _error(f"{label} is of the unknown metabolite {pool!r}.{near}", where)
        elif not atoms:
            yield _error(f"{label} has no atom of {pool!r}; it cannot be labelled", where)
        elif min(atoms) < 0 or max(atoms) >= len(metabolite.elements):
            yield _error(f"{label} has atom {max(atoms) + 1} of {pool!r}, which has {len(metabolite.elements)}", where)
        elif len(set(atoms)) < len(atoms):
            yield _error(f"{label} has an atom of {pool!r} twice", where)
    if not fragment.parts or not all(weight > 0 for weight, _, _ in fragment.parts):
        yield _error(f"{label} needs parts of positive weight", where)
    if fragment.mix and len(fragment.mix) != len(fragment.parts):
        yield _error(f"{label} has {len(fragment.parts)} parts and {len(fragment.mix)} mixing parameters", where)


def _experiment(experiment: Experiment, network: Network) -> Iterator[Finding]:
    label = f"experiment {experiment.name!r}"
    for source, tracer in experiment.tracers.items():
        metabolite = network.metabolites.get(source)
        sources = [m.name for m in network.metabolites.values() if m.role == "source" and m.elements]
        if metabolite is None:
            yield _error(
                f"{label} has a tracer of the unknown metabolite {source!r}.{did_you_mean(source, network.metabolites)}"
            )
        elif metabolite.role != "source":
            yield _error(
                f"{label} has a tracer of {source!r}, which is no source: what it is labelled with comes from its "
                f"reactions. Sources are {', '.join(sources) or 'none'}; make it one, or label another"
            )
        elif not metabolite.elements:
            yield _error(
                f"{label} has a tracer of {source!r}, of which no atom is followed; write its atoms in the maps of the "
                "reactions that use it"
            )
        else:
            yield from _tracer(f"{label}: the tracer of {source!r}", tracer, len(metabolite.elements))
    mids = [datum for datum in experiment.data if datum.kind == "mid"]
    if mids and not experiment.is_labelled:
        yield _warning(f"{label} has measured MIDs and nothing labelled; give it its tracers")
    for datum in experiment.data:
        yield from _datum(datum, network, label)


def _tracer(label: str, tracer: Tracer, atoms: int) -> Iterator[Finding]:
    for pattern, fraction in tracer.isotopomers:
        if len(pattern) != atoms or set(pattern) - set("01"):
            yield _error(f"{label} has the labelling {pattern!r}; it is {atoms} digits 0 or 1")
        if not 0 <= fraction <= 1:
            yield _error(f"{label} has {fraction:g} of {pattern}; fractions lie between 0 and 1")
    total = sum(fraction for _, fraction in tracer.isotopomers)
    if not abs(total - 1) <= 1e-3:
        yield _error(f"{label}: its fractions sum to {total:g}, not to 1; add what is missing, such as unlabelled")
    if not 0 <= tracer.purity <= 1:
        yield _error(f"{label} has a purity of {tracer.purity:g}; it lies between 0 and 1")


def _datum(datum: Datum, network: Network, label: str) -> Iterator[Finding]:
    where = datum.where
    known = {"mid": network.fragments, "pool": network.metabolites}.get(datum.kind, network.reactions)
    what = {"mid": "fragment", "pool": "metabolite"}.get(datum.kind, "reaction")
    called = {"mid": "MID", "pool": "pool"}.get(datum.kind, f"{datum.kind} flux")
    text = f"{label}: the {called} of {datum.target!r}"
    if datum.kind not in ("mid", "net", "exchange", "pool"):
        yield _error(f"{text} is of the unknown kind {datum.kind!r}", where)
        return
    if datum.target not in known:
        yield _error(
            f"{text} is measured, and the network has no such {what}.{did_you_mean(datum.target, known)}", where
        )
        return
    if len(datum.sd) != len(datum.values):
        yield _error(f"{text} has {len(datum.values)} values and {len(datum.sd)} standard deviations", where)
        return
    measured = [(value, sd) for value, sd in zip(datum.values, datum.sd, strict=True) if not math.isnan(value)]
    if not measured:
        yield _error(f"{text} holds no number (NaN); take it away, or write what was measured", where)
    for value, sd in measured:
        if not math.isfinite(value):
            yield _error(f"{text} holds {value}; write a finite number", where)
        if not sd > 0 or math.isinf(sd):
            yield _error(f"{text} has a standard deviation of {sd:g}; it is a positive number", where)
    if datum.time is not None and not datum.time >= 0:
        yield _error(f"{text} was measured at {datum.time:g}; times count from 0, when the tracer came", where)
    if datum.kind == "exchange" and not network.reactions[datum.target].reversible:
        yield _error(f"{text} is measured, and the reaction is irreversible; make it reversible", where)
    if datum.kind == "mid":
        yield from _mid(datum, network.fragments[datum.target], text)


def _mid(datum: Datum, fragment: Fragment, text: str) -> Iterator[Finding]:
    where = datum.where
    expected = len(fragment.channels) or len(fragment.elements) + 1
    if len(datum.values) != expected and (datum.corrected or len(datum.values) < 2 or not fragment.formula):
        count = f"{len(datum.values)} {'numbers' if fragment.channels else 'fractions'}"
        yield _error(
            f"{text} has {count}; {_has(fragment, expected)}. Write NaN for what was not measured",
            where,
        )
        return
    if any(value < -0.02 for value in datum.values):
        yield _warning(f"{text} has a fraction of {min(datum.values):g}, below zero", where)
    if fragment.kind != "ms" or datum.scaled or any(math.isnan(value) for value in datum.values):
        return
    total = sum(datum.values)
    if abs(total - 1) > _SUM_ERROR:
        yield _error(
            f"{text} sums to {total:g}, not to 1; normalise it, write NaN for what was not measured, or mark it as "
            "scaled",
            where,
        )
    elif abs(total - 1) > _SUM_WARNING:
        yield _warning(f"{text} sums to {total:g}, not to 1", where)


def _has(fragment: Fragment, expected: int) -> str:
    if fragment.channels:
        return f"its channels are {' '.join(fragment.channels)}"
    atoms = expected - 1
    return f"the fragment has {atoms} atoms that may be labelled, so M+0 to M+{atoms} are {expected}"


def _values(study: Study) -> Iterator[Finding]:
    for (kind, name), value in study.fluxes.items():
        if name not in study.network.reactions:
            yield _error(
                f"a flux of the unknown reaction {name!r} is given.{did_you_mean(name, study.network.reactions)}"
            )
        elif not math.isfinite(value):
            yield _error(f"the {kind} flux of {name!r} is given as {value}", study.network.reactions[name].where)
    for name, value in study.pools.items():
        if name not in study.network.metabolites:
            yield _error(
                f"the pool of the unknown metabolite {name!r} is given.{did_you_mean(name, study.network.metabolites)}"
            )
        elif not value >= 0 or math.isinf(value):
            yield _error(f"the pool of {name!r} is given as {value}; it is a positive number")


def _shown(participant: Participant) -> str:
    atoms = participant.atoms
    return f"{participant.metabolite}({('' if all(len(a) == 1 for a in atoms) else ' ').join(atoms)})"


def _equation(reaction: Reaction) -> str:
    sides = (" + ".join(_shown(p) for p in side if p.atoms) for side in (reaction.substrates, reaction.products))
    return (" <-> " if reaction.reversible else " -> ").join(sides)
