"""A study while it is read: what all readers share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from molvis_core.errors import ReadError, did_you_mean
from molvis_flux.formats.notation import Turns, fold, positions
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


@dataclass(slots=True)
class Draft:
    """What a reader has found so far.

    Attributes:
        path: the file, for messages.
        name: of the network.
        tracers, data: by experiment.
    """

    path: str
    name: str = ""
    metabolites: dict[str, Metabolite] = field(default_factory=dict)
    reactions: dict[str, Reaction] = field(default_factory=dict)
    fragments: dict[str, Fragment] = field(default_factory=dict)
    constraints: list[Constraint] = field(default_factory=list)
    tracers: dict[str, dict[str, Tracer]] = field(default_factory=dict)
    data: dict[str, list[Datum]] = field(default_factory=dict)
    fluxes: dict[tuple[str, str], float] = field(default_factory=dict)
    pools: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    turns: Turns = field(default_factory=dict)

    def error(self, reason: str, line: int | None = None, path: str | None = None) -> ReadError:
        """To be raised."""
        return ReadError(path or self.path, reason, line=line)

    def where(self, line: int | None, path: str | None = None) -> str:
        """`file:line`."""
        return (path or self.path) + ("" if line is None else f":{line}")

    def add_metabolite(self, metabolite: Metabolite, line: int | None = None) -> None:
        """Add one; a name stands for one metabolite."""
        if metabolite.name in self.metabolites:
            raise self.error(f"metabolite {metabolite.name!r} is defined twice; take one away", line)
        self.metabolites[metabolite.name] = metabolite

    def add_reaction(self, reaction: Reaction, line: int | None = None) -> None:
        """Add one; a name stands for one reaction."""
        if reaction.name in self.reactions:
            first = self.reactions[reaction.name].where
            raise self.error(f"reaction {reaction.name!r} is defined twice, first at {first}; rename one", line)
        self.reactions[reaction.name] = reaction

    def known_reaction(self, name: str, line: int | None, what: str, path: str | None = None) -> Reaction:
        """A reaction by name, or an error that proposes the nearest name."""
        if name not in self.reactions:
            near = did_you_mean(name, self.reactions)
            raise self.error(f"{what} names reaction {name!r}, which the network has not.{near}", line, path)
        return self.reactions[name]

    def known_metabolite(self, name: str, line: int | None, what: str, path: str | None = None) -> Metabolite:
        """A metabolite by name, or an error that proposes the nearest name."""
        if name not in self.metabolites:
            near = did_you_mean(name, self.metabolites)
            raise self.error(f"{what} names metabolite {name!r}, which the network has not.{near}", line, path)
        return self.metabolites[name]

    def known_source(self, name: str, experiment: str, line: int | None) -> Metabolite:
        """A source of labelled atoms by name, or an error that lists them."""
        metabolite = self.known_metabolite(name, line, f"a tracer of experiment {experiment!r}")
        sources = [m.name for m in self.metabolites.values() if m.role == "source" and m.elements]
        if metabolite.role != "source":
            raise self.error(
                f"experiment {experiment!r} has a tracer of {name!r}, which is no source; sources are "
                f"{', '.join(sources) or 'none'}. Make it one, or label another",
                line,
            )
        if not metabolite.elements:
            raise self.error(
                f"experiment {experiment!r} has a tracer of {name!r}, of which no atom is followed; write its "
                "atoms in the maps of the reactions that use it",
                line,
            )
        return metabolite

    def known_fragment(self, name: str, line: int | None, path: str | None = None) -> Fragment:
        """A fragment by name, or an error that proposes the nearest name."""
        if name not in self.fragments:
            near = did_you_mean(name, self.fragments)
            known = f"it has {', '.join(list(self.fragments)[:6])}{', ...' if len(self.fragments) > 6 else ''}"
            raise self.error(
                f"fragment {name!r} is measured, but the network has none of that name{near or ';'} {known}. "
                "Correct the name, or define the fragment.",
                line,
                path,
            )
        return self.fragments[name]

    def atoms(
        self, text: str, metabolite: Metabolite, what: str, line: int | None, path: str | None = None
    ) -> tuple[int, ...]:
        """Positions of atoms that a metabolite has; all of them where the text is empty."""
        try:
            found = positions(text) or tuple(range(len(metabolite.elements)))
        except ValueError as error:
            raise self.error(f"{what}: {error}", line, path) from error
        count = len(metabolite.elements)
        if max(found, default=0) >= count:
            raise self.error(
                f"{what} has atom {max(found, default=0) + 1} of {metabolite.name}, which has {count}",
                line,
                path,
            )
        return found

    def constrain(self, constraint: Constraint, line: int | None = None) -> None:
        """Add a condition. One on a single flux becomes its bound."""
        for _, name, _ in constraint.terms:
            self.known_reaction(name, line, f"the condition {constraint.name!r}")
        if len(constraint.terms) != 1:
            self.constraints.append(constraint)
            return
        kind, name, factor = constraint.terms[0]
        low, high = sorted((constraint.low / factor, constraint.high / factor))
        self.bound(kind, name, low, high, line)

    def bound(self, kind: str, name: str, low: float, high: float, line: int | None = None) -> None:
        """Narrow the bounds of a flux; infinite leaves a side as it is."""
        reaction = self.reactions[name]
        if kind == "exchange" and not reaction.reversible:
            if low > 0:
                self.notes.append(
                    f"{self.where(line)}: the exchange of {name} is bounded from below by {low:g}, but the reaction is "
                    "irreversible; the bound is not used."
                )
            return
        old = reaction.net if kind == "net" else reaction.exchange
        new = (max(old[0], low), min(old[1], high))
        if (math.isfinite(low) and math.isfinite(high) and low > high) or new[0] > new[1]:
            raise self.error(
                f"the {kind} flux of {name!r} is to lie between {low:g} and {high:g}, and also between {old[0]:g} and "
                f"{old[1]:g} ({reaction.where}); no value does both. Correct one of the two.",
                line,
            )
        self.reactions[name] = dataclasses.replace(reaction, **{kind: new})

    def folded(self, side: Sequence[Participant]) -> tuple[Participant, ...]:
        """One side of a reaction, in which parts of a symmetric molecule are one; its symmetry is kept for the end."""
        found, turns = fold(side)
        for name, some in turns.items():
            self.turns[name] = tuple(dict.fromkeys((*self.turns.get(name, ()), *some)))
        return found

    def symmetric(self) -> None:
        """Give metabolites the symmetries that their reactions show."""
        for name, turns in self.turns.items():
            metabolite = self.metabolites[name]
            if not metabolite.symmetries and turns:
                self.metabolites[name] = dataclasses.replace(metabolite, symmetries=turns)
                self.notes.append(
                    f"{name} stands in a reaction in several orientations: taken as symmetric everywhere."
                )

    def cap_at_scale(self) -> None:
        """Close bounds that are open: what samples fluxes needs closed ones.

        They are closed at 1000, or at ten times the greatest flux that the files state where that is more.
        """
        stated = [abs(value) for value in self.fluxes.values()]
        stated += [abs(b) for r in self.reactions.values() for b in (*r.net, *r.exchange) if math.isfinite(b)]
        stated += [abs(b) for c in self.constraints for b in (c.low, c.high) if math.isfinite(b)]
        stated += [abs(d.values[0]) for data in self.data.values() for d in data if d.kind in ("net", "exchange")]
        limit = max([1000.0, *(10 * value for value in stated if value > 100)])
        for name, reaction in self.reactions.items():
            net = (max(reaction.net[0], -limit), min(reaction.net[1], limit))
            exchange = (max(reaction.exchange[0], 0.0), min(reaction.exchange[1], limit))
            exchange = (
                exchange if reaction.reversible else (0.0, 1000.0)
            )  # not used; one value makes networks comparable
            self.reactions[name] = dataclasses.replace(reaction, net=net, exchange=exchange)

    def finish(self) -> Study:
        """The study."""
        self.symmetric()
        names = list(dict.fromkeys([*self.tracers, *self.data]))
        return Study(
            network=Network(self.name, self.metabolites, self.reactions, self.fragments, tuple(self.constraints)),
            experiments=tuple(
                Experiment(name, dict(self.tracers.get(name, {})), tuple(self.data.get(name, ()))) for name in names
            ),
            fluxes=self.fluxes,
            pools=self.pools,
            notes=tuple(self.notes),
        )


def reverse(elements: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """The symmetry of a chain that reads the same from both ends."""
    return (tuple(reversed(range(len(elements)))),) if len(elements) > 1 else ()
