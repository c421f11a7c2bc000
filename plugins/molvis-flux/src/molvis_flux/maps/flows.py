"""What a map says of each reaction: how wide its arrow is, what stands beside it, what is told on hovering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from molvis_flux.fit.estimates import Estimates
from molvis_flux.fit.identifiability import BOUNDED, FIXED, IDENTIFIABLE, UNSEEN, Verdict
from molvis_flux.maps.layout import NUMBERS
from molvis_flux.model.network import Network, Participant, Reaction

STYLES = {IDENTIFIABLE: "identifiable", BOUNDED: "bounded", UNSEEN: "unseen", FIXED: "fixed"}
CERTAIN = (0.05, 0.15, 0.5, 1.0)
"""Half widths of intervals, as parts of the flux, at which the colour of certainty changes."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A reaction's numbers as a map shows them.

    Attributes:
        value: net flux; its sign is the arrow's direction, its size the width. None: nothing is known, a thin line.
        text: what stands beside the arrow, below the reaction's name: a size, since the arrow has the direction.
        styles: classes of the drawing: one of `STYLES`, and `sure0` to `sure4` from certain to not.
        told: what is told on hovering, a line each.
        counts: whether the width of other arrows is relative to this one, too.
    """

    value: float | None
    text: str
    styles: tuple[str, ...]
    told: tuple[str, ...]
    counts: bool = True


def number(value: float) -> str:
    """Three digits, as on a label."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-9 else "0"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"


def equation(reaction: Reaction) -> str:
    """A reaction as text, with all of its metabolites."""

    def side(some: tuple[Participant, ...]) -> str:
        factors = [(f"{p.coefficient:g} " if p.coefficient != 1 else "") + p.metabolite for p in some]
        return " + ".join(factors) or "outside"

    return f"{side(reaction.substrates)} {'⇌' if reaction.reversible else '→'} {side(reaction.products)}"


def flows_of(found: Estimates) -> dict[str, Flow]:
    """Of the net fluxes of a fit. One that is not identifiable is drawn at its mean, and its label is the interval."""
    judged = {verdict.name: verdict for verdict in found.verdicts}
    return {
        name: _flow(found, reaction, judged["net", name], judged.get(("exchange", name)))
        for name, reaction in found.study.network.reactions.items()
        if ("net", name) in judged
    }


def _flow(found: Estimates, reaction: Reaction, verdict: Verdict, exchange: Verdict | None) -> Flow:
    seen = verdict.kind != UNSEEN
    middle = (verdict.low + verdict.high) / 2 if verdict.mean is None else verdict.mean
    value = verdict.value if verdict.value is not None else middle
    told = [reaction.name, equation(reaction)]
    estimate = f"net {number(value)}, " if seen else "no estimate, "
    told.append(f"{estimate}{found.level:.0%} {number(verdict.low)} to {number(verdict.high)}")
    told.append(f"{verdict.kind}; ended by {verdict.low_from}, {verdict.high_from}")
    if exchange is not None:
        shown = "" if exchange.value is None else f"{number(exchange.value)}, "
        told.append(f"exchange {shown}{number(exchange.low)} to {number(exchange.high)}, {exchange.kind}")
    text = number(abs(value)) if seen else f"{_short(verdict.low)}…{_short(verdict.high)}"
    text = text if len(text) <= NUMBERS + 1 else "?"
    return Flow(value, text, (STYLES[verdict.kind], certainty(verdict)), tuple(told), counts=seen)


def certainty(verdict: Verdict) -> str:
    """`sure0` to `sure4`, by the half width of the interval beside the flux."""
    half, size = (verdict.high - verdict.low) / 2, abs(verdict.value or 0.0)
    return f"sure{sum(half > limit * size for limit in CERTAIN)}" if verdict.kind != FIXED else "sure0"


def flows_without_fit(network: Network, fluxes: Mapping[tuple[str, str], float]) -> dict[str, Flow]:
    """Of a network that was not fitted, with the net fluxes that its file states, if any."""
    out: dict[str, Flow] = {}
    for name, reaction in network.reactions.items():
        value = fluxes.get(("net", name))
        told = (name, equation(reaction), *(() if value is None else (f"net {number(value)}, as stated",)))
        out[name] = Flow(value, "" if value is None else number(abs(value)), ("fixed", "sure0"), told)
    return out
