"""The variants of FluxML's reactions: one participant in several orientations, as of a symmetric molecule.

A reaction with variants is as many reactions as there are combinations of them, whose net and exchange fluxes keep the
ratios: the attribute `id` names them all (`id="fum___1 fum___2"`), and conditions may speak of each.

Reference: Beyß et al., Frontiers in Microbiology 10 (2019) 1022, doi:10.3389/fmicb.2019.01022
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Sequence

from molvis_flux.formats.builder import Draft
from molvis_flux.formats.fluxml_tree import Node, attribute, number
from molvis_flux.model.network import Constraint, Participant, Reaction

Oriented = list[tuple[Participant, float]]
"""A participant in each of its orientations, with the share of the flux."""

_MOST = 64


def labels(text: str) -> tuple[str, ...]:
    """Labels of atoms: `abc`, or `C#1@1 C#2@1`."""
    return tuple(text.split()) if "#" in text else tuple(text.strip())


class Variants:
    """Makes reactions of those with variants, and knows what has become of them.

    Args:
        draft: gets the reactions and the conditions that tie them.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.split: dict[str, tuple[tuple[str, float], ...]] = {}

    def participants(self, nodes: Iterator[Node], reaction: str) -> list[Oriented]:
        """Who takes part, each in its orientations.

        Raises:
            ReadError: a pool that there is not, or shares that are none.
        """
        found: list[Oriented] = []
        for node in nodes:
            name = attribute(node, "id", self.draft)
            self.draft.known_metabolite(name, node.line, f"reaction {reaction!r}")
            atoms = labels(node.attributes.get("cfg", ""))
            variants = self.orientations(node, name, reaction)
            last = found[-1] if found else []
            if variants:
                found.append(variants)
            elif not atoms and len(last) == 1 and last[0][0].metabolite == name and not last[0][0].atoms:
                found[-1] = [(dataclasses.replace(last[0][0], coefficient=last[0][0].coefficient + 1), 1.0)]
            else:
                found.append([(Participant(name, 1.0, atoms), 1.0)])
        return found

    def orientations(self, node: Node, name: str, reaction: str) -> Oriented:
        """Those that a participant has as `<variant>`; equal shares where no ratio is given."""
        nodes = list(node.all("variant"))
        if not nodes:
            return []
        with_ratio = [v for v in nodes if "ratio" in v.attributes]
        if with_ratio and len(with_ratio) < len(nodes):
            raise self.draft.error(
                f"of the variants of {name!r} in reaction {reaction!r} some have a ratio and some none; give it to all "
                "of them, or to none",
                node.line,
            )
        ratios = [number(v.attributes.get("ratio", "1"), v, "the ratio", self.draft) for v in nodes]
        total = math.fsum(ratios)
        if min(ratios) < 0 or not total > 0:
            raise self.draft.error(f"the ratios of the variants of {name!r} are {ratios}; they are shares", node.line)
        if with_ratio and abs(total - 1) > 1e-6:
            self.draft.notes.append(
                f"{self.draft.where(node.line)}: the ratios of the variants of {name!r} sum to {total:g}; they were "
                "divided by that."
            )
        return [
            (Participant(name, 1.0, labels(attribute(v, "cfg", self.draft))), ratio / total)
            for v, ratio in zip(nodes, ratios, strict=True)
        ]

    def add(self, base: Reaction, substrates: Sequence[Oriented], products: Sequence[Oriented], line: int) -> None:
        """Add a reaction, or one for each combination of its variants.

        Raises:
            ReadError: the names are not as many as the combinations.
        """
        sides = (*substrates, *products)
        count = math.prod(map(len, sides))
        if count > _MOST:
            raise self.draft.error(
                f"reaction {base.name!r} has {count} combinations of variants; at most {_MOST} are read", line
            )
        names = [name for name in re.split(r"[,\s]+", base.name) if name] if count > 1 else [base.name]
        if len(names) not in (1, count):
            raise self.draft.error(
                f"reaction {base.name!r} has {len(names)} names and {count} combinations of variants; give one name "
                "for each, or one for all",
                line,
            )
        # As in 13CFLUX, the variants of the first participant change fastest.
        made: list[tuple[Reaction, float]] = []
        for turned in itertools.product(*reversed(sides)):
            chosen = turned[::-1]
            name = names[len(made)] if len(names) == count else f"{base.name}___{len(made) + 1}"
            who = [participant for participant, _ in chosen]
            reaction = dataclasses.replace(
                base, name=name, substrates=tuple(who[: len(substrates)]), products=tuple(who[len(substrates) :])
            )
            made.append((reaction, math.prod(share for _, share in chosen)))
        made = [(reaction, share) for reaction, share in made if share > 0]
        for reaction, _ in made:
            self.draft.add_reaction(reaction, line)
        if len(made) > 1:
            self.tie(base.name if len(names) == 1 else "", made)

    def tie(self, whole: str, made: Sequence[tuple[Reaction, float]]) -> None:
        """Keep the fluxes of variants in their ratio; `whole` then stands for all of them."""
        first, share = made[0]
        if whole:
            self.split[whole] = tuple((reaction.name, part) for reaction, part in made)
        for reaction, part in made[1:]:
            for kind in ("net", "exchange") if first.reversible else ("net",):
                terms = ((kind, first.name, 1 / share), (kind, reaction.name, -1 / part))
                self.draft.constraints.append(Constraint(terms, 0.0, 0.0, first.where, f"variants of {first.name}"))

    def of(self, name: str) -> tuple[tuple[str, float], ...]:
        """The variants that a name stands for, each with its share of the flux; itself where it has none."""
        return self.split.get(name, ((name, 1.0),))

    def term(self, name: str) -> tuple[str, float]:
        """The first variant of a reaction and what its flux is multiplied with to make the whole one."""
        first, share = self.of(name)[0]
        return first, 1 / share

    def whole(self, constraint: Constraint) -> Constraint:
        """A condition in which the name of a reaction may stand for its variants."""
        terms = tuple((kind, *self._scaled(name, factor)) for kind, name, factor in constraint.terms)
        return dataclasses.replace(constraint, terms=terms)

    def _scaled(self, name: str, factor: float) -> tuple[str, float]:
        first, times = self.term(name)
        return first, factor * times
