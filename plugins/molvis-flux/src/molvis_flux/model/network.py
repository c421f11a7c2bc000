"""Networks of reactions with atom maps: what labelling is simulated from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from molvis_core.records import Distribution


@dataclass(frozen=True, slots=True)
class Metabolite:
    """A pool.

    Attributes:
        name: once in a network; a compartment is part of it, such as `Pyr.m`.
        elements: of the traced atoms, in the order of the atom maps: `("C", "C", "C")`. Empty where none is traced.
        role: `balanced`: what flows in flows out; `source`: given from outside, its labelling is an experiment's;
            `sink`: leaves the network unbalanced.
        symmetries: permutations of the traced atoms, counted from 0, under which the molecule looks the same, the
            identity left out: succinate has `((3, 2, 1, 0),)`.
        pool: bounds of the pool size for instationary labelling, or None.
        formula: of the whole molecule, or empty.
    """

    name: str
    elements: tuple[str, ...] = ()
    role: str = "balanced"
    symmetries: tuple[tuple[int, ...], ...] = ()
    pool: tuple[float, float] | None = None
    formula: str = ""


@dataclass(frozen=True, slots=True)
class Participant:
    """A metabolite's part in a reaction. Two equal products are two participants.

    Attributes:
        metabolite: its name.
        coefficient: how many are used or made, in the balance of the metabolite. Atoms are followed where `atoms` names
            them, whatever the coefficient: 0 is a copy, which takes the labelling and drains nothing (dilution
            parameters, mfapy's pseudo reactions).
        atoms: labels of the traced atoms in the metabolite's order; a label stands on both sides of the reaction, once
            on each. Empty where atoms are not followed.
    """

    metabolite: str
    coefficient: float = 1.0
    atoms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reaction:
    """A conversion with its atom map.

    Attributes:
        name: once in a network.
        substrates, products: who takes part. Either may be empty: exchange with the outside.
        reversible: it has an exchange flux: forward = net + exchange if net > 0, backward = exchange, and so on:
            forward = max(net, 0) + exchange, backward = max(-net, 0) + exchange.
        net: bounds of the net flux.
        exchange: bounds of the exchange flux; used where reversible.
        where: `file:line` it was read from, for messages.
    """

    name: str
    substrates: tuple[Participant, ...]
    products: tuple[Participant, ...]
    reversible: bool = False
    net: tuple[float, float] = (0.0, 1000.0)
    exchange: tuple[float, float] = (0.0, 1000.0)
    where: str = ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A linear condition on fluxes: low <= sum of coefficients times fluxes <= high.

    Attributes:
        terms: `(kind, reaction, coefficient)`, where kind is `net` or `exchange`.
        low, high: equal for an equality; infinite where open.
        where: `file:line` it was read from.
        name: for messages, such as the text it was written as; or empty.
    """

    terms: tuple[tuple[str, str, float], ...]
    low: float
    high: float
    where: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Fragment:
    """What an instrument sees of a network.

    Attributes:
        name: once in a network.
        parts: `(weight, metabolite, atoms)` whose labelling is mixed in proportion to the weights: one for an ordinary
            fragment, several where compartments are mixed. Atoms are counted from 0, in the metabolite's order.
            Weights are normalised.
        elements: of the fragment's traced atoms.
        formula: of the measured ion with its derivative, for the correction of natural abundance; or empty.
        convolved: `(metabolite, atoms)` of further molecules whose mass isotopomers add up with those of `parts`, as in
            a condensation product; usually empty.
        mix: names of mixing parameters, one for each part, where the weights are to be fitted; empty: as given.
        kind: `ms`; `msms` (tandem), `ms-resolved` (isotopes of several elements told apart), `1h-nmr`, `13c-nmr`; see
            `molvis_flux.labelling.channels`.
        channels: what the numbers of a datum are, where they are not M+0, M+1, ..., such as `("2,0", "2,1")`.
        daughter: of `msms`: which of a part's atoms stay in the ion that a collision leaves, by their places in it.
    """

    name: str
    parts: tuple[tuple[float, str, tuple[int, ...]], ...]
    elements: tuple[str, ...] = ()
    formula: str = ""
    convolved: tuple[tuple[str, tuple[int, ...]], ...] = ()
    mix: tuple[str, ...] = ()
    kind: str = "ms"
    where: str = ""
    channels: tuple[str, ...] = ()
    daughter: tuple[int, ...] = ()

    def labels(self, places: Iterable[int]) -> tuple[str, ...]:
        """What some numbers of a datum are called, counted from 0: `M+0`, or a channel."""
        return tuple(self.channels[i] if self.kind != "ms" and self.channels else f"M+{i}" for i in places)


@dataclass(frozen=True, slots=True)
class Tracer:
    """The labelling of a source: a mixture of isotopomers.

    Attributes:
        isotopomers: `(pattern, fraction)`: a pattern has `1` where an atom is the heavy isotope, `0` where it is not,
            such as `("100000", 0.5)`. Fractions sum to one.
        purity: chance that an atom written as heavy is heavy.
        natural: whether atoms written as light carry the natural abundance of their heavy isotope.
        abundance: by element, that abundance, where another than `molvis_flux.model.abundance.heavy_share` is meant.
    """

    isotopomers: tuple[tuple[str, float], ...]
    purity: float = 1.0
    natural: bool = False
    abundance: tuple[tuple[str, float], ...] = ()

    def unlabelled(self) -> Tracer:
        """The same source before its tracer is given."""
        light = "0" * len(self.isotopomers[0][0])
        return Tracer(((light, 1.0),), natural=self.natural, abundance=self.abundance)


@dataclass(frozen=True, slots=True)
class Datum:
    """A measured number of a fragment or a flux.

    Attributes:
        target: a fragment's name, or a reaction's.
        kind: `mid`, `net` or `exchange`, `pool`.
        values, sd: of a MID all its fractions M+0, M+1, ...; NaN where one was not measured. Of a flux one number.
        time: for instationary labelling; None where stationary.
        scaled: whether the values are in arbitrary units, so that a scale has to be fitted.
        corrected: whether natural abundance of the derivative is already taken out.
    """

    target: str
    kind: str
    values: tuple[float, ...]
    sd: tuple[float, ...]
    time: float | None = None
    scaled: bool = False
    corrected: bool = True
    where: str = ""

    @property
    def stationary(self) -> bool:
        """Whether these are the fractions of a MID as they are simulated: neither of a time nor in arbitrary units."""
        return self.kind == "mid" and self.time is None and self.corrected and not self.scaled


@dataclass(frozen=True, slots=True)
class Experiment:
    """One labelling experiment: what was fed, and what was measured.

    Attributes:
        name: once in a study.
        tracers: by source; a source without one is unlabelled.
        data: measurements.
    """

    name: str
    tracers: dict[str, Tracer] = field(default_factory=dict)
    data: tuple[Datum, ...] = ()

    @property
    def is_labelled(self) -> bool:
        """Whether a tracer has a labelled atom."""
        return any("1" in pattern for tracer in self.tracers.values() for pattern, _ in tracer.isotopomers)


@dataclass(frozen=True, slots=True)
class Network:
    """A network model. What a reader returns beside its experiments; see `molvis_flux.space.consistency.check`.

    Attributes:
        name: for people.
        metabolites, reactions, fragments: by name, in the order of the file.
        constraints: beyond the balances and the bounds.
    """

    name: str
    metabolites: dict[str, Metabolite]
    reactions: dict[str, Reaction]
    fragments: dict[str, Fragment] = field(default_factory=dict)
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """What a model file holds: the network, its experiments, and flux values where the file states some.

    Attributes:
        network: the model.
        experiments: parallel labelling experiments; empty where the file has none.
        fluxes: `(kind, reaction)` to a value the file gives, as a start or as the truth; kind is `net` or `exchange`.
        pools: sizes the file gives, by metabolite.
        notes: what the file holds that this model cannot express, one sentence each.
    """

    network: Network
    experiments: tuple[Experiment, ...] = ()
    fluxes: dict[tuple[str, str], float] = field(default_factory=dict)
    pools: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_records(self) -> tuple[Distribution, ...]:
        """The stationary MIDs of all experiments, named `experiment/fragment`, without fractions that are not known."""
        found: list[Distribution] = []
        for experiment in self.experiments:
            for datum in experiment.data:
                known = np.flatnonzero(np.isfinite(datum.values))
                if not datum.stationary or not len(known):
                    continue
                name = f"{experiment.name}/{datum.target}"
                if len(known) < len(datum.values):
                    name += f" ({', '.join(self.network.fragments[datum.target].labels(known.tolist()))})"
                found.append(Distribution(np.array(datum.values)[known], np.array(datum.sd)[known], name))
        return tuple(found)
