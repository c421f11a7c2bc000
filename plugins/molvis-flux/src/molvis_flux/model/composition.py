"""Whole bodies and co-cultures: networks of parts, joined by pools that circulate between them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from molvis_core.errors import did_you_mean
from molvis_flux.errors import CompositionError
from molvis_flux.model.network import (
    Constraint,
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

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Part:
    """A tissue, or a strain of a co-culture.

    Attributes:
        study: its network, a template for any number of parts, with what was measured in it.
        mass: fluxes and pools of the study are per unit of mass; in the whole they are multiplied by this.
        without: reactions of the template that the part has not.
    """

    study: Study
    mass: float = 1.0
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """Where a part meets a pool.

    Attributes:
        metabolite: of the part.
        net: bounds of the uptake, in the units of the whole; negative is release.
        exchange: bounds of the exchange flux.
    """

    metabolite: str
    net: tuple[float, float] = (-1000.0, 1000.0)
    exchange: tuple[float, float] = (0.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Pool:
    """What circulates: a metabolite of the plasma or of the medium.

    Attributes:
        ports: by part.
        role: `balanced`; `source`, whose labelling is an experiment's tracer; or `sink`.
    """

    ports: Mapping[str, Port]
    role: str = "balanced"


@dataclass(frozen=True, slots=True)
class Mixture:
    """Fragments that are measured of several parts at once, such as amino acids of mixed biomass.

    Attributes:
        fragments: names that each of the parts has.
        weights: share of each part; as given, or a start where fitted.
        fitted: the shares are parameters of the fit, the same ones for all these fragments.
    """

    fragments: tuple[str, ...]
    weights: Mapping[str, float]
    fitted: bool = False


def uptake(part: str, pool: str) -> str:
    """Name of the reaction by which a part takes a pool up; its net flux is negative where the part releases."""
    return f"{part}.uptake.{pool}"


def compose(
    name: str,
    parts: Mapping[str, Part],
    pools: Mapping[str, Pool],
    *,
    infusions: Mapping[str, tuple[float, float]] | None = None,
    mixtures: Mapping[str, Mixture] | None = None,
    medium: str = "plasma",
) -> Study:
    """One network of several.

    Everything of a part is named `part.name`. A pool is a metabolite `medium.pool`, and each port a reversible reaction
    `part.uptake.pool` between it and the part's metabolite, whose net flux may have either sign. A metabolite that was
    a source or a sink of the part is balanced by this.

    Args:
        name: of the whole.
        parts: by prefix.
        pools: by name, without the medium.
        infusions: bounds of the rate at which a pool is infused: a reaction `infusion.pool` from the source
            `infused.pool`, which an experiment labels.
        mixtures: fragments over several parts, under the names `name.fragment`.
        medium: what pools are named after.

    Returns:
        The study. Experiments of the parts with one name are one experiment. All fluxes are those of the whole: divide
        those of a part by its mass to get them per unit of mass.

    Raises:
        CompositionError: a name does not exist, a metabolite has other atoms than the pool it joins, or a mass or a
            share is not positive.
    """
    whole = _Whole(name, parts, medium)
    steps: list[tuple[str, Mapping[str, Any], Callable[[str, Any], None]]] = [
        ("parts", parts, whole.add),
        ("pools", pools, whole.join),
        ("infusions", infusions or {}, whole.infuse),
        ("mixtures", mixtures or {}, whole.mix),
    ]
    for section, items, step in steps:
        for item, value in items.items():
            try:
                step(item, value)
            except CompositionError as error:
                error.place = (section, item)
                raise
    return whole.study()


def arterio_venous(
    part: str,
    pool: str,
    flow: float,
    arterial: tuple[float, float],
    venous: tuple[float, float],
    *,
    flow_sd: float = 0.0,
) -> Datum:
    """The uptake of a part, measured by what goes in with the blood and what comes out.

    Args:
        part: of the port.
        pool: of the port.
        flow: volume of blood in a time.
        arterial: concentration with its standard deviation. Amounts, volumes and times in the units of the fluxes.
        venous: the same behind the part.
        flow_sd: standard deviation of the flow.

    Returns:
        The net flux `flow * (arterial - venous)` with its standard deviation.

    Raises:
        CompositionError: the flow or a standard deviation is not positive.
    """
    difference = arterial[0] - venous[0]
    sd = math.sqrt((flow * arterial[1]) ** 2 + (flow * venous[1]) ** 2 + (difference * flow_sd) ** 2)
    if not flow > 0 or not sd > 0 or math.isinf(sd):
        raise CompositionError(
            f"the A-V difference of {pool!r} over {part!r} has a flow of {flow:g} and a standard deviation of {sd:g}; "
            "both are positive numbers"
        )
    return Datum(uptake(part, pool), "net", (flow * difference,), (sd,))


def spread_mid(mid: Sequence[float]) -> Tracer:
    """A source with a measured MID, each M+i spread evenly over the positions.

    For pools whose labelling is measured rather than fitted. What splits the molecule depends on the positions, which a
    MID does not determine: a balanced pool with the MID as its datum is better where it can be had.

    Args:
        mid: fractions M+0, M+1, ..., which are made to sum to one.

    Raises:
        CompositionError: a fraction is negative or NaN, or all are zero.
    """
    total = sum(mid)
    if not total > 0 or not all(value >= 0 for value in mid):
        raise CompositionError(f"{list(mid)} is no MID: fractions are numbers from 0, and one is more than 0")
    atoms = len(mid) - 1
    isotopomers = []
    for heavy, fraction in enumerate(mid):
        if fraction > 0:
            places = list(itertools.combinations(range(atoms), heavy))
            for at in places:
                pattern = "".join("1" if i in at else "0" for i in range(atoms))
                isotopomers.append((pattern, fraction / total / len(places)))
    return Tracer(tuple(isotopomers))


class _Renaming:
    """A part's study with its prefix before every name, its amounts multiplied by its mass, and some reactions less."""

    def __init__(self, prefix: str, part: Part) -> None:
        self.prefix, self.mass, self.old = prefix, part.mass, part.study
        self.kept = {name: r for name, r in part.study.network.reactions.items() if name not in part.without}
        self.present = {p.metabolite for r in self.kept.values() for p in (*r.substrates, *r.products)}

    def named(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    def scaled(self, bounds: tuple[float, float]) -> tuple[float, float]:
        return bounds[0] * self.mass, bounds[1] * self.mass

    def study(self) -> Study:
        """All of it."""
        network = self.old.network
        fragments = {self.named(name): self.fragment(f) for name, f in network.fragments.items() if self.seen(f)}
        reactions = {self.named(name): self.reaction(reaction) for name, reaction in self.kept.items()}
        metabolites = {self.named(n): self.metabolite(m) for n, m in network.metabolites.items() if n in self.present}
        # What a reaction that is left out would carry is zero.
        constraints = [self.constraint(constraint) for constraint in network.constraints]
        renamed = Network(network.name, metabolites, reactions, fragments, tuple(c for c in constraints if c.terms))
        notes = [f"{self.prefix}: {note}" for note in self.old.notes]
        if self.mass != 1:
            notes.append(
                f"Fluxes of {self.prefix} are those of all of it; divide by {self.mass:g} to get them per unit of mass."
            )
        return Study(
            renamed,
            tuple(self.experiment(experiment, renamed) for experiment in self.old.experiments),
            {(kind, self.named(n)): v * self.mass for (kind, n), v in self.old.fluxes.items() if n in self.kept},
            {self.named(name): v * self.mass for name, v in self.old.pools.items() if name in self.present},
            tuple(notes),
        )

    def reaction(self, reaction: Reaction) -> Reaction:
        substrates, products = (
            tuple(dataclasses.replace(p, metabolite=self.named(p.metabolite)) for p in side)
            for side in (reaction.substrates, reaction.products)
        )
        return dataclasses.replace(
            reaction, name=self.named(reaction.name), substrates=substrates, products=products,
            net=self.scaled(reaction.net), exchange=self.scaled(reaction.exchange),
        )  # fmt: skip

    def metabolite(self, metabolite: Metabolite) -> Metabolite:
        pool = None if metabolite.pool is None else self.scaled(metabolite.pool)
        return dataclasses.replace(metabolite, name=self.named(metabolite.name), pool=pool)

    def seen(self, fragment: Fragment) -> bool:
        """All its metabolites are there."""
        return {pool for _, pool, _ in fragment.parts} | {pool for pool, _ in fragment.convolved} <= self.present

    def fragment(self, fragment: Fragment) -> Fragment:
        return dataclasses.replace(
            fragment,
            name=self.named(fragment.name),
            parts=tuple((weight, self.named(pool), atoms) for weight, pool, atoms in fragment.parts),
            convolved=tuple((self.named(pool), atoms) for pool, atoms in fragment.convolved),
            mix=tuple(map(self.named, fragment.mix)),
        )

    def constraint(self, constraint: Constraint) -> Constraint:
        terms = tuple((kind, self.named(n), factor) for kind, n, factor in constraint.terms if n in self.kept)
        low, high = self.scaled((constraint.low, constraint.high))
        return dataclasses.replace(constraint, terms=terms, low=low, high=high)

    def experiment(self, experiment: Experiment, network: Network) -> Experiment:
        known = {"mid": network.fragments, "pool": network.metabolites}
        data = tuple(
            self.datum(datum)
            for datum in experiment.data
            if self.named(datum.target) in known.get(datum.kind, network.reactions)
        )
        tracers = {self.named(source): t for source, t in experiment.tracers.items() if source in self.present}
        return Experiment(experiment.name, tracers, data)

    def datum(self, datum: Datum) -> Datum:
        """Fractions are not amounts."""
        scale = 1.0 if datum.kind == "mid" else self.mass
        values, sd = (tuple(x * scale for x in numbers) for numbers in (datum.values, datum.sd))
        return dataclasses.replace(datum, target=self.named(datum.target), values=values, sd=sd)


class _Whole:
    """The network as it grows."""

    def __init__(self, name: str, parts: Mapping[str, Part], medium: str) -> None:
        if medium in parts or {"infused", "infusion"} & set(parts):
            raise CompositionError(f"a part cannot be called {medium!r}, 'infused' or 'infusion'; rename it")
        self.name, self.parts, self.medium = name, parts, medium
        self.metabolites: dict[str, Metabolite] = {}
        self.reactions: dict[str, Reaction] = {}
        self.fragments: dict[str, Fragment] = {}
        self.constraints: list[Constraint] = []
        self.experiments: dict[str, Experiment] = {}
        self.fluxes: dict[tuple[str, str], float] = {}
        self.pools: dict[str, float] = {}
        self.notes: list[str] = []

    def add(self, prefix: str, part: Part) -> None:
        """A part under its prefix, scaled by its mass."""
        if not part.mass > 0 or math.isinf(part.mass):
            raise CompositionError(f"part {prefix!r} has a mass of {part.mass:g}; it must be positive and finite")
        for name in part.without:
            if name not in part.study.network.reactions:
                near = did_you_mean(name, part.study.network.reactions)
                raise CompositionError(f"part {prefix!r} is to be without reaction {name!r}, which it has not.{near}")
        study = _Renaming(prefix, part).study()
        self.reactions |= study.network.reactions
        self.metabolites |= study.network.metabolites
        self.fragments |= study.network.fragments
        self.constraints += study.network.constraints
        self.fluxes |= study.fluxes
        self.pools |= study.pools
        for experiment in study.experiments:
            old = self.experiments.get(experiment.name, Experiment(experiment.name))
            self.experiments[experiment.name] = Experiment(
                experiment.name, {**old.tracers, **experiment.tracers}, (*old.data, *experiment.data)
            )
        self.notes += study.notes

    def join(self, name: str, pool: Pool) -> None:
        """A pool with a reaction for each of its ports."""
        central = f"{self.medium}.{name}"
        if not pool.ports:
            raise CompositionError(f"pool {name!r} has no ports; name a metabolite of at least one part")
        if pool.role not in ("balanced", "source", "sink"):
            raise CompositionError(f"pool {name!r} has the role {pool.role!r}; it is balanced, source or sink")
        elements: tuple[str, ...] | None = None
        first = ""
        for part, port in pool.ports.items():
            if part not in self.parts:
                raise CompositionError(
                    f"pool {name!r} joins part {part!r}, which is not there.{did_you_mean(part, self.parts)}"
                )
            inner = f"{part}.{port.metabolite}"
            if inner not in self.metabolites:
                own = [m.removeprefix(f"{part}.") for m in self.metabolites if m.startswith(f"{part}.")]
                near = did_you_mean(port.metabolite, own)
                raise CompositionError(f"pool {name!r} joins {port.metabolite!r}, which part {part!r} has not.{near}")
            metabolite = self.metabolites[inner]
            if elements is not None and metabolite.elements != elements:
                raise CompositionError(
                    f"pool {name!r} joins {first!r} of {len(elements)} atoms ({''.join(elements)}) and {inner!r} of "
                    f"{len(metabolite.elements)} ({''.join(metabolite.elements)}); what circulates is one molecule"
                )
            elements, first = metabolite.elements, inner
            self.metabolites[inner] = dataclasses.replace(metabolite, role="balanced")
            self.metabolites.setdefault(
                central, dataclasses.replace(metabolite, name=central, role=pool.role, pool=None)
            )
            for experiment in self.experiments.values():
                experiment.tracers.pop(inner, None)
            labels = _labels(len(elements))
            self.reactions[uptake(part, name)] = Reaction(
                uptake(part, name),
                (Participant(central, 1.0, labels),),
                (Participant(inner, 1.0, labels),),
                reversible=True,
                net=port.net,
                exchange=port.exchange,
            )

    def infuse(self, name: str, rate: tuple[float, float]) -> None:
        """A source that runs into a pool."""
        central = f"{self.medium}.{name}"
        if central not in self.metabolites:
            known = [m.removeprefix(f"{self.medium}.") for m in self.metabolites if m.startswith(f"{self.medium}.")]
            raise CompositionError(f"{name!r} is infused, and there is no such pool.{did_you_mean(name, known)}")
        if not 0 <= rate[0] <= rate[1]:
            raise CompositionError(f"{name!r} is infused at {rate[0]:g} to {rate[1]:g}; a rate is a number from 0")
        source = dataclasses.replace(self.metabolites[central], name=f"infused.{name}", role="source")
        labels = _labels(len(source.elements))
        self.metabolites[source.name] = source
        self.reactions[f"infusion.{name}"] = Reaction(
            f"infusion.{name}",
            (Participant(source.name, 1.0, labels),),
            (Participant(central, 1.0, labels),),
            net=rate,
        )

    def mix(self, name: str, mixture: Mixture) -> None:
        """Fragments over several parts."""
        total = sum(mixture.weights.values())
        if not mixture.weights or not all(weight > 0 for weight in mixture.weights.values()):
            raise CompositionError(
                f"mixture {name!r} has the shares {dict(mixture.weights)}; they are positive numbers"
            )
        for fragment_name in mixture.fragments:
            parts = []
            for part in mixture.weights:
                inner = self.fragments.get(f"{part}.{fragment_name}")
                if inner is None:
                    own = [f.removeprefix(f"{part}.") for f in self.fragments if f.startswith(f"{part}.")]
                    near = did_you_mean(fragment_name, own)
                    raise CompositionError(
                        f"mixture {name!r} needs fragment {fragment_name!r} of {part!r}, which has none.{near}"
                    )
                if len(inner.parts) > 1 or inner.convolved:
                    raise CompositionError(
                        f"mixture {name!r}: {inner.name!r} is itself mixed or joined; mix plain fragments"
                    )
                parts.append(inner)
            if len({len(p.elements) for p in parts}) > 1:
                raise CompositionError(f"mixture {name!r}: {fragment_name!r} has not as many atoms in every part")
            mixed = f"{name}.{fragment_name}"
            self.fragments[mixed] = dataclasses.replace(
                parts[0],
                name=mixed,
                parts=tuple(
                    (weight / total, *p.parts[0][1:]) for weight, p in zip(mixture.weights.values(), parts, strict=True)
                ),
                mix=tuple(f"{name}.{part}" for part in mixture.weights) if mixture.fitted else (),
            )

    def study(self) -> Study:
        """What has come of it."""
        network = Network(self.name, self.metabolites, self.reactions, self.fragments, tuple(self.constraints))
        return Study(network, tuple(self.experiments.values()), self.fluxes, self.pools, tuple(self.notes))


def _labels(atoms: int) -> tuple[str, ...]:
    return tuple(_LETTERS[:atoms]) if atoms <= len(_LETTERS) else tuple(f"x{i + 1}" for i in range(atoms))
