"""What is wrong with a study, its fluxes included."""

from __future__ import annotations

from collections.abc import Iterator

from molvis_flux.model.checking import Finding, check_structure
from molvis_flux.model.network import Study


def check(study: Study) -> tuple[Finding, ...]:
    """Everything that can be told without data being fitted.

    Args:
        study: the network and its experiments.

    Returns:
        Faults, errors first. Beyond `check_structure`: whether the balances, bounds and constraints leave any flux
        vector, and if not the smallest set of them that clashes; fluxes without a limit; reactions that cannot carry
        any; and stated fluxes that do not balance. These are looked at once there is no error in the structure.
    """
    found = list(check_structure(study))
    if not any(finding.severity == "error" for finding in found):
        found += _space(study)
    return tuple(sorted(found, key=lambda finding: finding.severity != "error"))


def _space(study: Study) -> Iterator[Finding]:
    from molvis_flux.errors import FluxSpaceError
    from molvis_flux.space.flux_space import flux_space

    network = study.network
    try:
        space = flux_space(network)
    except FluxSpaceError as error:
        yield Finding("error", str(error), conditions=error.conditions)
        return
    for (kind, name), (low, high) in zip(space.parameters, space.ranges, strict=True):
        reaction = network.reactions[name]
        if kind == "net" and low == high == 0 and reaction.net != (0, 0):
            message = f"reaction {name!r} can carry no flux: balances and bounds hold it at 0"
            yield Finding("warning", message, reaction.where)
    yield from _imbalance(study)


def _imbalance(study: Study) -> Iterator[Finding]:
    """Stated fluxes that do not balance; metabolites of which one flux is not stated are left out."""
    stated = {name: value for (kind, name), value in study.fluxes.items() if kind == "net"}
    change: dict[str, float] = {}
    size: dict[str, float] = {}
    unknown: set[str] = set()
    for name, reaction in study.network.reactions.items():
        for sign, side in ((-1, reaction.substrates), (1, reaction.products)):
            for participant in side:
                if name not in stated:
                    unknown.add(participant.metabolite)
                    continue
                flow = participant.coefficient * stated[name]
                change[participant.metabolite] = change.get(participant.metabolite, 0.0) + sign * flow
                size[participant.metabolite] = size.get(participant.metabolite, 0.0) + abs(flow)
    off = [
        (name, left)
        for name, left in change.items()
        if name not in unknown and study.network.metabolites[name].role == "balanced" and abs(left) > 1e-3 * size[name]
    ]
    if off:
        shown = ", ".join(f"{name} by {left:.3g}" for name, left in off[:5]) + (", ..." if len(off) > 5 else "")
        yield Finding("warning", f"the stated fluxes do not balance: {shown}. They serve as a start only")
