"""A map of differences: what flows more in one condition than in another."""

from __future__ import annotations

from collections.abc import Sequence

from molvis_flux.fit.comparison import LESS, MORE, NOT, SAME, TURNED, Change
from molvis_flux.maps.flows import Flow, equation, number
from molvis_flux.model.network import Network

_STYLES = {MORE: "more", LESS: "less", TURNED: "turned", SAME: "same", NOT: "unseen"}


def flows_of_changes(network: Network, changes: Sequence[Change], level: float) -> dict[str, Flow]:
    """Of the net fluxes of a comparison: widths are differences, arrows point where the flux goes after."""
    return {
        change.name[1]: _flow(network, change, level)
        for change in changes
        if change.name[0] == "net" and change.name[1] in network.reactions
    }


def _flow(network: Network, change: Change, level: float) -> Flow:
    reaction = network.reactions[change.name[1]]
    told = [reaction.name, equation(reaction)]
    size, text = None, "?"
    if change.difference is not None and change.before is not None and change.after is not None:
        told.append(f"{number(change.before)} before, {number(change.after)} after")
        told.append(
            f"difference {number(change.difference)}, {level:.0%} {number(change.low)} to {number(change.high)}"
        )
        if change.fold is not None and change.fold_low is not None and change.fold_high is not None:
            told.append(f"{number(change.fold)}-fold, {number(change.fold_low)} to {number(change.fold_high)}")
        way = change.after or change.before
        size = abs(change.difference) * (1 if way >= 0 else -1)
        gain = change.difference * (1 if way >= 0 else -1)
        text = f"{'+' if gain > 0 else '−' if gain < 0 else ''}{number(abs(gain))}"
    told.append(change.call + ("" if change.q is None else f"; p {change.p:.2g}, q {change.q:.2g}"))
    return Flow(size, text, (_STYLES[change.call],), tuple(told), counts=change.call != SAME)
