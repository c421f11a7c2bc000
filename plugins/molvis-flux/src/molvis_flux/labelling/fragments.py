"""What an experiment feeds into a network, and what it sees of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from molvis_core.errors import did_you_mean
from molvis_flux.errors import SimulationError
from molvis_flux.labelling.channels import recipes
from molvis_flux.labelling.elimination import Rows, convolve, mix
from molvis_flux.labelling.emu import Decomposition, Emu, canonical, orbit, span
from molvis_flux.labelling.straight_line import Builder
from molvis_flux.model.abundance import MASS_SHIFT, heavy_share
from molvis_flux.model.network import Experiment, Fragment, Metabolite, Network, Tracer


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a fragment's mass isotopomers stand in a vector of simulated data.

    Attributes:
        experiment, fragment: names.
        start, stop: M+0 up to the heaviest, or the fragment's channels; one past the end.
    """

    experiment: str
    fragment: str
    start: int
    stop: int


class FragmentVector:
    """What simulates fragments: their mass isotopomers stand one after the other in a vector, along the axis `d`.

    Attributes:
        layout: fragments by experiment, in the order of the axis.
    """

    __slots__ = ()
    layout: tuple[Slot, ...]

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        return self.layout[-1].stop if self.layout else 0

    def slot(self, experiment: str, fragment: str) -> slice:
        """Where a fragment's mass isotopomers are.

        Raises:
            SimulationError: that fragment is not simulated in that experiment.
        """
        slots = {f"{slot.experiment}/{slot.fragment}": slice(slot.start, slot.stop) for slot in self.layout}
        asked = f"{experiment}/{fragment}"
        if asked not in slots:
            raise SimulationError(f"{asked!r} is not simulated.{did_you_mean(asked, slots)}")
        return slots[asked]


def ways_of(network: Network, balances: Decomposition) -> Int[np.ndarray, "w 3"]:
    """Of each directed reaction: its reaction, whether it is forward, and whether the reaction is reversible."""
    reactions = tuple(network.reactions.values())
    ways = [(way.reaction, way.forward, reactions[way.reaction].reversible) for way in balances.ways]
    return np.array(ways, np.int32).reshape(-1, 3)


def source_rows(
    builder: Builder, network: Network, experiments: Sequence[Experiment], units: Iterable[Emu]
) -> dict[Emu, Rows]:
    """Labelling of units of sources, as constants of a program."""
    return {
        (name, atoms): tuple(
            tuple(builder.constant(float(x)) for x in source_mid(network, experiment, name, atoms))
            for experiment in experiments
        )
        for name, atoms in units
    }


def observe(
    builder: Builder,
    network: Network,
    experiments: Sequence[Experiment],
    chosen: Sequence[Sequence[Fragment]],
    values: Mapping[Emu, Rows],
) -> tuple[list[int], tuple[Slot, ...]]:
    """Rows of all fragments, and where each stands."""
    outputs: list[int] = []
    layout: list[Slot] = []
    for e, (experiment, some) in enumerate(zip(experiments, chosen, strict=True)):
        for fragment in some:
            rows = _measured(builder, network, fragment, {u: (values[u][e],) for u in units_of(network, fragment)})
            layout.append(Slot(experiment.name, fragment.name, len(outputs), len(outputs) + len(rows)))
            outputs += rows
    return outputs, tuple(layout)


def source_mid(network: Network, experiment: Experiment, name: str, atoms: Sequence[int]) -> Float[np.ndarray, " m"]:
    """Mass isotopomers of some atoms of a source, as an experiment feeds it.

    Raises:
        SimulationError: a tracer whose patterns do not fit the metabolite, or whose fractions do not add up to one.
    """
    metabolite = network.metabolites[name]
    tracer = experiment.tracers.get(name) or Tracer((("0" * len(metabolite.elements), 1.0),))
    _check_tracer(experiment, metabolite, tracer)
    total, shares = np.zeros(span(metabolite, atoms) + 1), dict(tracer.abundance)
    for turn in orbit(metabolite):
        for pattern, fraction in tracer.isotopomers:
            mid = np.ones(1)
            for atom in atoms:
                element = metabolite.elements[atom]
                light = shares.get(element, heavy_share(element)) if tracer.natural else 0.0
                heavy = tracer.purity if pattern[turn[atom]] == "1" else light
                step = np.zeros(MASS_SHIFT.get(element, 1) + 1)
                step[0], step[-1] = 1 - heavy, heavy
                mid = np.convolve(mid, step)
            total += fraction * mid / len(orbit(metabolite))
    return total


def _check_tracer(experiment: Experiment, metabolite: Metabolite, tracer: Tracer) -> None:
    where = f"experiment {experiment.name!r}: tracer of {metabolite.name!r}"
    for pattern, fraction in tracer.isotopomers:
        if len(pattern) != len(metabolite.elements) or set(pattern) - set("01"):
            raise SimulationError(
                f"{where}: pattern {pattern!r}; {len(metabolite.elements)} digits 0 or 1 are expected, one for each "
                "traced atom"
            )
        if not 0 <= fraction <= 1:
            raise SimulationError(f"{where}: a fraction of {fraction}; 0 to 1 is expected")
    total = math.fsum(fraction for _, fraction in tracer.isotopomers)
    if abs(total - 1) > 1e-6:
        raise SimulationError(f"{where}: its fractions add up to {total:g}, not to 1. Add the unlabelled rest")
    if not 0 <= tracer.purity <= 1:
        raise SimulationError(f"{where}: a purity of {tracer.purity}; 0 to 1 is expected")


def chosen_fragments(network: Network, experiment: Experiment, names: Collection[str] | None) -> list[Fragment]:
    """Fragments by name; without names those the experiment has data of, or all where it has none.

    Raises:
        SimulationError: an unknown fragment, or one that cannot be simulated; or a tracer of what is no source.
    """
    for source in experiment.tracers:
        if source not in network.metabolites:
            raise SimulationError(
                f"experiment {experiment.name!r}: a tracer of {source!r}, which is no metabolite of "
                f"{network.name!r}.{did_you_mean(source, network.metabolites)}"
            )
        if network.metabolites[source].role != "source":
            raise SimulationError(
                f"experiment {experiment.name!r}: a tracer of {source!r}, which the network makes itself. Its role "
                "has to be 'source'"
            )
    if names is None:
        measured = dict.fromkeys(datum.target for datum in experiment.data if datum.kind == "mid")
        names = list(measured) or [name for name, f in network.fragments.items() if f.kind == "ms" or f.channels]
    for name in names:
        if name not in network.fragments:
            raise SimulationError(
                f"experiment {experiment.name!r}: no fragment {name!r} in {network.name!r}."
                f"{did_you_mean(name, network.fragments)}"
            )
    return [network.fragments[name] for name in names]


def units_of(network: Network, fragment: Fragment) -> list[Emu]:
    """The units a fragment is made of: its parts, then what is convolved with them.

    Raises:
        SimulationError: channels that the fragment cannot have.
    """
    if fragment.kind != "ms":
        parts = zip(fragment.parts, recipes(network, fragment), strict=True)
        return [canonical(network, (name, unit)) for (_, name, _), recipe in parts for unit in recipe.units]
    named = [(name, atoms) for _, name, atoms in fragment.parts] + list(fragment.convolved)
    return [canonical(network, emu) for emu in named]


def _measured(builder: Builder, network: Network, fragment: Fragment, values: Mapping[Emu, Rows]) -> tuple[int, ...]:
    weights = [weight for weight, _, _ in fragment.parts]
    if fragment.kind != "ms":
        return _by_channel(builder, network, fragment, values)
    shares = [builder.constant(weight / sum(weights)) for weight in weights]
    units = units_of(network, fragment)
    rows = mix(builder, [(share, values[unit]) for share, unit in zip(shares, units, strict=False)])
    for unit in units[len(shares) :]:
        rows = convolve(builder, rows, values[unit])
    return rows[0]


def _by_channel(builder: Builder, network: Network, fragment: Fragment, values: Mapping[Emu, Rows]) -> tuple[int, ...]:
    """Rows of the channels of tandem MS, resolved MS or NMR: sums of mass isotopomers of units."""
    sums: list[list[tuple[int, int]]] = [[] for _ in fragment.channels]
    total = sum(weight for weight, _, _ in fragment.parts)
    for (share, name, _), recipe in zip(fragment.parts, recipes(network, fragment), strict=True):
        units = [values[canonical(network, (name, unit))][0] for unit in recipe.units]
        for found, terms in zip(sums, recipe.terms, strict=True):
            found += [(builder.constant(share / total * weight), units[unit][mass]) for unit, mass, weight in terms]
    return tuple(builder.total(found) for found in sums)
