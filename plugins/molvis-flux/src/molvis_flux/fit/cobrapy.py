"""Fluxes handed to a model of cobrapy, and bounds taken from one.

cobrapy is not imported: a model comes from whoever has it (Ebrahim et al., BMC Syst. Biol. 7 (2013) 74,
doi:10.1186/1752-0509-7-74), and only `reactions`, their `id`, `bounds` and `metabolites` are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from molvis_core.errors import did_you_mean
from molvis_flux.errors import FitError
from molvis_flux.fit.estimates import Estimates
from molvis_flux.fit.identifiability import UNSEEN
from molvis_flux.model.matching import direction, matches
from molvis_flux.model.network import Network, Study


@dataclass(frozen=True, slots=True)
class Handed:
    """What came of handing fluxes over.

    Attributes:
        bounds: of the model's reactions that were narrowed, by their ids.
        unseen: reactions of the network that are not identifiable, and left as they were.
        missing: reactions of the network that the model does not have.
    """

    bounds: dict[str, tuple[float, float]]
    unseen: tuple[str, ...]
    missing: tuple[str, ...]


def narrow_bounds(
    model: Any, found: Estimates, *, names: Mapping[str, str] | None = None, scale: float = 1.0
) -> Handed:
    """Narrow the bounds of a cobrapy model to the intervals of a fit's net fluxes.

    The model is changed in place; within `with model:` cobrapy takes it back. What is not identifiable is left.
    Reactions are found by name, as on maps of Escher, and turned where their metabolites say that the model writes them
    the other way round.

    Args:
        model: a `cobra.Model`.
        found: of a fit: `read_fit(folder)` or `estimates(result)`.
        names: of reactions of the network, to their ids in the model.
        scale: of the network's fluxes to the model's: their uptake, in mmol per gram and hour, over the fit's.

    Raises:
        FitError: a name does not exist, or an interval lies outside of the model's bounds; the model is unchanged then.
    """
    if not scale > 0:
        raise FitError(f"the scale must be a positive number, got {scale}")
    network = found.study.network
    theirs = _theirs(model, network, names)
    judged = {verdict.name[1]: verdict for verdict in found.verdicts if verdict.name[0] == "net"}
    narrowed: dict[str, tuple[float, float]] = {}
    for name, reaction in theirs.items():
        if name in judged and judged[name].kind != UNSEEN:
            sign = direction(network.reactions[name], _sides(reaction))
            given = sorted((sign * scale * judged[name].low, sign * scale * judged[name].high))
            whose = f"of {reaction.id!r} in the model"
            narrowed[reaction.id] = _within(name, (given[0], given[1]), reaction.bounds, whose)
    for reaction in theirs.values():
        if reaction.id in narrowed:
            reaction.bounds = narrowed[reaction.id]
    unseen = tuple(name for name in theirs if name in judged and judged[name].kind == UNSEEN)
    return Handed(narrowed, unseen, tuple(name for name in network.reactions if name not in theirs))


def with_bounds(
    study: Study, model: Any, *, names: Mapping[str, str] | None = None, scale: float = 1.0
) -> tuple[Study, tuple[str, ...]]:
    """A study whose net fluxes are also within the bounds of a cobrapy model.

    Args:
        study: what is to be fitted; it is left as it is.
        model: a `cobra.Model`.
        names: of reactions of the network, to their ids in the model.
        scale: of the network's fluxes to the model's; the model's bounds are divided by it.

    Returns:
        The study, and the reactions of its network that the model does not have.

    Raises:
        FitError: a name does not exist, or no flux is within the bounds of both.
    """
    if not scale > 0:
        raise FitError(f"the scale must be a positive number, got {scale}")
    network = study.network
    theirs, reactions = _theirs(model, network, names), dict(network.reactions)
    for name, reaction in theirs.items():
        sign = direction(network.reactions[name], _sides(reaction))
        given = sorted(sign * float(bound) / scale for bound in reaction.bounds)
        bounds = _within(name, (given[0], given[1]), network.reactions[name].net, "of the network")
        reactions[name] = replace(network.reactions[name], net=bounds)
    missing = tuple(name for name in network.reactions if name not in theirs)
    return replace(study, network=replace(network, reactions=reactions)), missing


def _theirs(model: Any, network: Network, names: Mapping[str, str] | None) -> dict[str, Any]:
    """The model's reactions by the network's names."""
    ids = {reaction.id: reaction for reaction in model.reactions}
    for ours, other in (names or {}).items():
        if ours not in network.reactions:
            raise FitError(f"the network has no reaction {ours!r}.{did_you_mean(ours, network.reactions)}")
        if other not in ids:
            raise FitError(f"the model has no reaction {other!r}.{did_you_mean(other, ids)}")
    found = matches(network.reactions, ids, names or {})
    return {ours: ids[other] for other, ours in found.items()}


def _sides(reaction: Any) -> dict[str, float]:
    return {metabolite.id: float(value) for metabolite, value in reaction.metabolites.items()}


def _within(name: str, given: tuple[float, float], allowed: tuple[float, float], whose: str) -> tuple[float, float]:
    low, high = max(given[0], float(allowed[0])), min(given[1], float(allowed[1]))
    slack = 1e-9 * (1.0 + abs(low) + abs(high))
    if low > high + slack:
        raise FitError(
            f"{name}: {given[0]:.6g} to {given[1]:.6g} is outside of the bounds {whose}, {allowed[0]:.6g} to "
            f"{allowed[1]:.6g}. Are the units the same (scale), and the directions?"
        )
    return min(low, high), high
