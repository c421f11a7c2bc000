"""Elementary metabolite units: what of a network a set of fragments depends on.

Reference: Antoniewicz, Kelleher and Stephanopoulos, Metab. Eng. 9 (2007) 68, doi:10.1016/j.ymben.2006.09.001
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from molvis_core.errors import did_you_mean
from molvis_flux.errors import SimulationError
from molvis_flux.model.abundance import MASS_SHIFT
from molvis_flux.model.network import Metabolite, Network, Participant, Reaction

Emu: TypeAlias = tuple[str, tuple[int, ...]]
"""A metabolite and some of its traced atoms, ascending, counted from 0."""

_LOG = logging.getLogger("molvis")


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a reaction.

    Attributes:
        reaction: its place in the network.
        forward: from substrates to products.
    """

    reaction: int
    forward: bool


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The balances that the needed units depend on, and no others.

    Attributes:
        ways: directed reactions.
        inflows: of every unknown unit: what it is made from (one unit, or several whose labelling combines) to the
            ways that do so and how much of their flux arrives.
        sources: units of metabolites that are given from outside.
    """

    ways: tuple[Way, ...]
    inflows: dict[Emu, dict[tuple[Emu, ...], dict[int, float]]]
    sources: tuple[Emu, ...]


def decompose(network: Network, needed: Iterable[Emu]) -> Decomposition:
    """Follow the atoms of the needed units back to the sources.

    What a reaction makes without an atom map, such as what biomass gives back, is taken to be labelled like the rest of
    its pool; that is logged.

    Raises:
        SimulationError: a metabolite that nothing makes, or an atom that comes from nowhere.
    """
    ways, makers, unmapped = _directions(network)
    inflows: dict[Emu, dict[tuple[Emu, ...], dict[int, float]]] = {}
    sources: dict[Emu, None] = {}
    open_units = [canonical(network, emu) for emu in needed]
    while open_units:
        unit = open_units.pop()
        if unit in inflows or unit in sources:
            continue
        metabolite = network.metabolites[unit[0]]
        if metabolite.role == "source":
            sources[unit] = None
            continue
        found = _inflows(network, unit, makers.get(metabolite.name, ()))
        if not found:
            raise SimulationError(
                f"no reaction makes metabolite {metabolite.name!r} with an atom map, and it is no source: its "
                "labelling cannot be followed. Add the reaction or its map, or give it the role 'source'"
            )
        for name in unmapped.pop(metabolite.name, ()):
            _LOG.info("%s makes %s without an atom map: taken as labelled like the rest", name, metabolite.name)
        inflows[unit] = found
        open_units += [emu for made_of in found for emu in made_of]
    return Decomposition(ways, inflows, tuple(sources))


@dataclass(frozen=True, slots=True)
class _Maker:
    """A way that makes a metabolite, with a map of its atoms.

    Attributes:
        way: its place.
        reaction: that it is a direction of.
        given: what goes in.
        made: the metabolite as it comes out.
        origin: of each label: which of `given`, and which atom of that.
    """

    way: int
    reaction: Reaction
    given: tuple[Participant, ...]
    made: Participant
    origin: dict[str, tuple[int, int]]


def _directions(network: Network) -> tuple[tuple[Way, ...], dict[str, list[_Maker]], dict[str, list[str]]]:
    """The directed reactions, and by metabolite what makes it: with an atom map, and names of reactions without."""
    ways: list[Way] = []
    makers: dict[str, list[_Maker]] = {}
    unmapped: dict[str, list[str]] = {}
    for place, reaction in enumerate(network.reactions.values()):
        for forward in (True, False) if reaction.reversible else (True,):
            given, made = (reaction.substrates, reaction.products)[:: 1 if forward else -1]
            origin = {label: (which, atom) for which, p in enumerate(given) for atom, label in enumerate(p.atoms)}
            for participant in made:
                if not participant.atoms:
                    unmapped.setdefault(participant.metabolite, []).append(reaction.name)
                    continue
                maker = _Maker(len(ways), reaction, given, participant, origin)
                makers.setdefault(participant.metabolite, []).append(maker)
            ways.append(Way(place, forward))
    return tuple(ways), makers, unmapped


def _inflows(network: Network, unit: Emu, makers: Iterable[_Maker]) -> dict[tuple[Emu, ...], dict[int, float]]:
    """What a unit is made from, to the ways that do so and how much of their flux arrives."""
    turns = orbit(network.metabolites[unit[0]])
    found: dict[tuple[Emu, ...], dict[int, float]] = {}
    for maker in makers:
        # A copy drains nothing, and still arrives with the whole flux.
        weight = (maker.made.coefficient or 1.0) / len(turns)
        for turn in turns:
            made_of = _trace(network, maker, [turn[atom] for atom in unit[1]])
            share = found.setdefault(made_of, {})
            share[maker.way] = share.get(maker.way, 0.0) + weight
    return found


def canonical(network: Network, emu: Emu) -> Emu:
    """The one name of a unit that a molecule's symmetry gives several.

    Raises:
        SimulationError: no such metabolite or atom.
    """
    name, atoms = emu
    if name not in network.metabolites:
        raise SimulationError(f"no metabolite {name!r} in {network.name!r}.{did_you_mean(name, network.metabolites)}")
    metabolite = network.metabolites[name]
    if not atoms or min(atoms) < 0 or max(atoms) >= len(metabolite.elements) or len(set(atoms)) < len(atoms):
        raise SimulationError(
            f"atoms {[a + 1 for a in atoms]} of {name!r}, which has {len(metabolite.elements)} traced atoms: name "
            "some, each once"
        )
    return name, min(tuple(sorted(turn[atom] for atom in atoms)) for turn in orbit(metabolite))


@functools.cache
def orbit(metabolite: Metabolite) -> tuple[tuple[int, ...], ...]:
    """All turns under which a molecule looks the same: the group that its symmetries generate, identity first."""
    still = tuple(range(len(metabolite.elements)))
    for turn in metabolite.symmetries:
        if sorted(turn) != list(still):
            raise SimulationError(f"symmetry {turn} of {metabolite.name!r} is no permutation of its {len(still)} atoms")
    group, edge = [still], [still]
    while edge:
        edge = [tuple(turn[i] for i in known) for known in edge for turn in metabolite.symmetries]
        edge = [turn for turn in dict.fromkeys(edge) if turn not in group]
        group += edge
    return tuple(group)


def span(metabolite: Metabolite, atoms: Iterable[int]) -> int:
    """Heaviest mass isotopomer of some atoms: a unit of them has `span + 1` fractions."""
    return sum(MASS_SHIFT.get(metabolite.elements[atom], 1) for atom in atoms)


def _trace(network: Network, maker: _Maker, atoms: list[int]) -> tuple[Emu, ...]:
    """The units that some atoms of what is made come from.

    Raises:
        SimulationError: the map lacks an atom, or an atom that comes from nowhere.
    """
    reaction, participant = maker.reaction, maker.made
    where = f" ({reaction.where})" if reaction.where else ""
    if len(participant.atoms) <= max(atoms):
        raise SimulationError(
            f"reaction {reaction.name!r}{where} makes {participant.metabolite!r} with a map of only "
            f"{len(participant.atoms)} atoms; write the others"
        )
    parts: dict[int, list[int]] = {}
    for atom in atoms:
        label = participant.atoms[atom]
        if label not in maker.origin:
            raise SimulationError(
                f"reaction {reaction.name!r}{where}: atom {label!r} of {participant.metabolite!r} stands on one side "
                "only; each label belongs once on each side"
            )
        which, position = maker.origin[label]
        parts.setdefault(which, []).append(position)
    units = ((maker.given[which].metabolite, tuple(places)) for which, places in parts.items())
    return tuple(sorted(canonical(network, unit) for unit in units))
